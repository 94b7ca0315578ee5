//! AWS's OpenTelemetry distribution for Python sends OTLP inside of datagrams: X-Ray gets them as they are, and an OTLP
//! back end gets the spans in them.

use std::process::Command;

use xray_double::harness::apps::clean;
use xray_double::harness::install::{self, repository};

use crate::TMP;
use crate::daemon::Daemon;
use crate::endpoint::Endpoint;
use crate::receiver::{Receiver, spans_of};

#[test]
fn the_udp_exporter_of_adot_reaches_x_ray_unchanged_and_an_otlp_back_end_as_the_spans_that_it_sent() {
    let Some(python) = install::python_packages(TMP, "otlp", &["tests/clients/otlp/requirements.txt"]) else {
        return;
    };
    let Some(receiver) = Receiver::elastic() else {
        return;
    };
    let endpoint = Endpoint::start();
    let base = format!("http://{}", receiver.address);
    let daemon = Daemon::start_bridge(
        &endpoint.url(),
        &[("XRAY_OTLP_ENDPOINT", &base), ("XRAY_OTLP_COMPRESSION", "none")],
    );
    let sent = clean(&mut Command::new(&python))
        .arg(repository().join("tests/clients/otlp/udp.py"))
        .arg(daemon.udp.port().to_string())
        .output()
        .expect("a sender");
    assert!(sent.status.success(), "{}", String::from_utf8_lossy(&sent.stderr));

    let documents = endpoint.wait_for_documents(11);
    for (document, mark) in documents.iter().zip(["T1S"; 10].into_iter().chain(["T1U"])) {
        assert!(document.starts_with(mark), "{document}");
    }
    let requests = receiver.wait_for_spans("work", 10);
    let mut numbers = Vec::new();
    for span in spans_of(&requests, "work") {
        assert_eq!(span["service"], "sender", "{span}");
        assert_eq!(span["attributes"]["sampled"], true, "{span}");
        numbers.extend(span["attributes"]["number"].as_i64());
    }
    numbers.sort_unstable();
    assert_eq!(numbers, (0..10).collect::<Vec<_>>());
    let last = daemon.stop();
    assert!(
        last.ends_with(
            "to X-Ray: sent 11, unprocessed 0, dropped 0; to OTLP: sent 10, unprocessed 0, dropped 1 (unsampled 1)"
        ),
        "{last}"
    );
}
