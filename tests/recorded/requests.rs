//! Requests to the daemon's ports and to the API of `xray dev`, as they were sent, over loopback into the binary.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};

use serde_json::Value;
use xray_document::otlp::{Signal, count, json};
use xray_double::harness::apps::address_after;
use xray_double::harness::daemon::{Setup, double};
use xray_double::harness::dev::Dev;
use xray_double::harness::process::PATIENCE;
use xray_double::harness::recorded::{Message, Recording, Way};

const XRAY: &str = env!("CARGO_BIN_EXE_xray");

/// What of `recording` went one way.
fn requests(recording: &Recording, way: Way) -> Vec<&Message> {
    let messages = recording.messages.iter();
    messages.filter(|message| message.way == way).collect()
}

/// Sends `request` as it is; status and body of the answer.
fn send(to: SocketAddr, request: &Message) -> (u16, String) {
    let mut stream = TcpStream::connect(to).expect("a connection");
    stream.set_read_timeout(Some(PATIENCE)).expect("a time limit");
    stream.write_all(&request.bytes).expect("a request is sent");
    let mut answer = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        let text = String::from_utf8_lossy(&answer);
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head.lines().find_map(|line| {
                let (name, value) = line.split_once(": ")?;
                name.eq_ignore_ascii_case("content-length").then_some(value)
            });
            let length: usize = length.expect("a length").parse().expect("a number");
            if body.len() >= length {
                let status = head.split(' ').nth(1).expect("a status").parse();
                return (status.expect("a number"), body.to_owned());
            }
        }
        let read = stream.read(&mut buffer).expect("an answer");
        assert_ne!(read, 0, "the answer ends early: {text}");
        answer.extend_from_slice(&buffer[..read]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_daemon_passes_each_sampling_call_on_with_its_body_and_a_valid_signature() {
    let double = double().await;
    let daemon = Setup::new(XRAY, &double.url()).start();
    let tcp = daemon.process.wait_for("its TCP address", |line| {
        address_after("Starting proxy http server on ", line)
    });
    let mut passed_on = 0;
    for recording in Recording::all() {
        for request in requests(&recording, Way::Tcp) {
            let client = &recording.client;
            let (status, answer) = send(tcp, request);
            assert_eq!(status, 200, "{client}, {}: {answer}", request.text());
            passed_on += 1;
            let requests = double.requests();
            assert_eq!(requests.len(), passed_on, "{client}");
            let last = requests.last().expect("a request");
            assert!(last.signature.is_valid(), "{client}: {last}");
            assert_eq!(format!("POST {}", last.path), request.target(), "{client}");
            assert_eq!(last.body, request.body(), "{client}");
        }
    }
    assert!(passed_on >= 14, "{passed_on}");
}

#[test]
fn xray_dev_understands_each_call_of_its_api() {
    // What is sent in order to be refused.
    let refused = |body: &[u8]| {
        let body = String::from_utf8_lossy(body);
        body.contains("fault AND") || body.contains("\"fault = \"")
    };
    for recording in Recording::all() {
        let requests = requests(&recording, Way::Api);
        if requests.is_empty() {
            continue;
        }
        let dev = Dev::start(XRAY, &[]);
        for request in requests {
            let expected = if refused(&request.body()) { 400 } else { 200 };
            let (status, answer) = send(dev.tcp, request);
            assert_eq!(
                status,
                expected,
                "{}, {}: {answer}",
                recording.client,
                request.text()
            );
            serde_json::from_str::<Value>(&answer).expect("JSON");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_daemon_takes_each_request_of_otlp_and_what_are_spans_arrives_as_segments() {
    let double = double().await;
    let daemon = Setup::new(XRAY, &double.url())
        .args(&["--otlp-listen", "127.0.0.1:0"])
        .start();
    let otlp = daemon.process.wait_for("its OTLP address", |line| {
        address_after("Listening for OTLP over HTTP and gRPC on ", line)
    });
    let mut spans = 0;
    for recording in Recording::all() {
        for request in requests(&recording, Way::Otlp) {
            let (signal, items) = match &request.target()[..] {
                "POST /v1/traces" => (Signal::Traces, 10),
                "POST /v1/metrics" => (Signal::Metrics, 2),
                "POST /v1/logs" => (Signal::Logs, 3),
                other => panic!("{}: {other}", recording.client),
            };
            let is_json = request.header("content-type").as_deref() == Some("application/json");
            let body = request.body();
            let counted = match is_json {
                true => json::parts::count(signal, &body).map_err(|error| error.to_string()),
                false => count::count(signal, &body).map_err(|error| error.to_string()),
            };
            let counted = counted.unwrap_or_else(|error| panic!("{}: {error}", recording.client));
            assert_eq!(counted.items, items, "{}: {signal:?}", recording.client);
            if signal == Signal::Traces {
                spans += items;
                let (status, answer) = send(otlp, request);
                assert_eq!(status, 200, "{}: {answer}", recording.client);
            }
        }
    }
    assert_eq!(
        spans, 30,
        "of Python in protobuf, of Node.js in protobuf and JSON"
    );
    let documents = double
        .wait_for_documents(spans, PATIENCE)
        .await
        .expect("documents");
    for document in documents {
        let document: Value = serde_json::from_str(&document).expect("JSON");
        assert_eq!(
            (&document["name"], document["end_time"].is_f64()),
            (&"sender".into(), true),
            "{document}"
        );
    }
}
