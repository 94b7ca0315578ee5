//! One daemon in place of two sidecars: the example application with both SDKs, X-Ray behind it, and a receiver of OTLP.

use std::path::Path;

use xray_double::harness::apps::App;
use xray_double::harness::install;
use xray_double::harness::routes::trace_id;
use xray_double::harness::web;

use crate::TMP;
use crate::daemon::Daemon;
use crate::endpoint::Endpoint;
use crate::receiver::{Receiver, spans_of};

/// What stands for HONEYCOMB_API_KEY.
const KEY: &str = "key of these tests";

const ROUNDS: usize = 3;

/// The value of a variable of the service `xray` in docker-compose.otel.yml, with what stands for the key in it.
fn of_compose(variable: &str) -> String {
    let file = install::repository().join("docker-compose.otel.yml");
    let text = std::fs::read_to_string(file).expect("the compose file");
    let value = text
        .lines()
        .find_map(|line| line.trim().strip_prefix(&format!("{variable}: ")))
        .expect("the variable")
        .trim_matches('"');
    let (before, rest) = value.split_once("${HONEYCOMB_API_KEY:?").expect("the key");
    let (_, after) = rest.split_once('}').expect("its end");
    // As in a header of W3C baggage.
    format!("{before}{}{after}", KEY.replace(' ', "%20"))
}

#[test]
fn the_flask_app_with_both_sdks_reaches_x_ray_and_an_otlp_back_end_through_one_daemon() {
    if let Some(python) = install::python(TMP) {
        reaches_both(&python, &Receiver::python(&python), &[]);
    }
}

#[test]
fn the_flask_app_with_both_sdks_reaches_a_published_receiver_with_the_key_of_the_back_end() {
    if let Some(python) = install::python(TMP)
        && let Some(receiver) = Receiver::elastic()
    {
        reaches_both(&python, &receiver, &[("XRAY_OTLP_COMPRESSION", "none")]);
    }
}

/// `variables` are the daemon's, besides those of docker-compose.otel.yml.
fn reaches_both(python: &Path, receiver: &Receiver, variables: &[(&str, &str)]) {
    let endpoint = Endpoint::start();
    let base = format!("http://{}", receiver.address);
    let headers = of_compose("OTEL_EXPORTER_OTLP_HEADERS");
    let of_file = [
        ("XRAY_OTLP_ENDPOINT", base.as_str()),
        ("OTEL_EXPORTER_OTLP_HEADERS", headers.as_str()),
    ];
    let daemon = Daemon::start_bridge(&endpoint.url(), &[&of_file, variables].concat());
    let app = App::flask_with(
        python,
        daemon.udp,
        &[
            (
                "OTEL_EXPORTER_OTLP_ENDPOINT",
                &format!("http://{}", daemon.otlp()),
            ),
            ("OTEL_SERVICE_NAME", "backend-flask"),
            // Milliseconds; the default is five seconds.
            ("OTEL_BSP_SCHEDULE_DELAY", "100"),
        ],
    );
    let mut traces: Vec<String> = (0..ROUNDS).map(trace_id).collect();
    for trace in &traces {
        let sampled = format!("Root={trace};Parent=53995c3f42cd8ad8;Sampled=1");
        let answer = web::get(app.address, "/api/activities/home", Some(&sampled));
        assert_eq!(answer.status, 200);
    }

    assert_eq!(endpoint.wait_for_documents(ROUNDS).len(), ROUNDS);
    receiver.wait_for_spans("home_activities", ROUNDS);
    let requests = receiver.wait_for_spans("home-activities-mock-data", ROUNDS);
    for request in &requests {
        assert_eq!(request["path"], "/v1/traces");
        assert_eq!(request["headers"]["x-honeycomb-team"], KEY, "{request}");
        assert_eq!(request["headers"]["content-type"], "application/x-protobuf");
    }
    for span in spans_of(&requests, "home-activities-mock-data") {
        assert_eq!(span["service"], "backend-flask");
        assert_eq!(span["attributes"]["app.result_length"], 2, "{span}");
        assert!(span["attributes"]["app.now"].is_string(), "{span}");
    }
    let segments = spans_of(&requests, "backend-flask");
    for span in &segments {
        assert_eq!(span["attributes"]["http.response.status_code"], 200, "{span}");
    }
    let mut arrived: Vec<&str> = segments
        .iter()
        .filter_map(|span| span["trace_id"].as_str())
        .collect();
    arrived.sort_unstable();
    // The digits without the version and the dashes.
    traces = traces.iter().map(|trace| trace[2..].replace('-', "")).collect();
    traces.sort();
    assert_eq!(arrived, traces);
    app.stop();
    let last = daemon.stop();
    assert!(
        last.ends_with(
            "to X-Ray: sent 3, unprocessed 0, dropped 0; to OTLP: sent 6 (segments 3, traces 3), unprocessed 0, dropped 0"
        ),
        "{last}"
    );
}
