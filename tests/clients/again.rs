//! The OpenTelemetry SDKs for Python and Node.js have to come again, and the daemon gets each span once: while it has no room,
//! and while it is not there yet.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;
use xray_double::harness::apps::clean;
use xray_double::harness::install::{self, repository};
use xray_double::harness::process::{PATIENCE, Process};

use crate::TMP;
use crate::daemon::Daemon;
use crate::endpoint::Endpoint;

/// What an SDK sends.
const SPANS: usize = 10;

/// An SDK with a protocol that it comes again by.
struct Sender {
    program: PathBuf,
    node_modules: Option<PathBuf>,
    script: &'static str,
    protocol: &'static str,
}

fn python() -> Vec<Sender> {
    let python = install::python_packages(TMP, "otlp", &["tests/clients/otlp/requirements.txt"]);
    let senders = python.into_iter().flat_map(|python| {
        ["http/protobuf", "grpc"].map(|protocol| Sender {
            program: python.clone(),
            node_modules: None,
            script: "again.py",
            protocol,
        })
    });
    senders.collect()
}

/// Its exporter over gRPC tries once, whatever it is answered.
fn node() -> Vec<Sender> {
    let modules = install::node_packages(TMP, "otlp-node", &repository().join("tests/clients/otlp"));
    let senders = modules.into_iter().flat_map(|modules| {
        ["http/protobuf", "http/json"].map(|protocol| Sender {
            program: Path::new("node").to_owned(),
            node_modules: Some(modules.clone()),
            script: "again.mjs",
            protocol,
        })
    });
    senders.collect()
}

impl Sender {
    fn start(&self, port: u16) -> Process {
        let mut command = Command::new(&self.program);
        let script = repository().join("tests/clients/otlp").join(self.script);
        clean(&mut command)
            .arg(script)
            .args([&port.to_string(), self.protocol]);
        if let Some(modules) = &self.node_modules {
            command.env("NODE_PATH", modules);
        }
        Process::start(self.script, &mut command)
    }
}

/// Waits until it says that it will come again.
fn wait_for_a_failure(process: &Process) {
    process.wait_for("that it comes again", |line| {
        (line.contains("Transient error") || line.contains("Scheduling export retry")).then_some(())
    });
}

/// The X-Ray service has each of the spans once, as segments of the sender's service.
fn each_came_once(endpoint: &Endpoint, what: &str) {
    let documents = endpoint.documents();
    let of_sender = documents
        .iter()
        .map(|document| serde_json::from_str::<Value>(document).expect("a segment in JSON"))
        .filter(|segment| segment["name"] == "sender");
    let mut numbers: Vec<i64> = of_sender
        .filter_map(|segment| segment["metadata"]["otlp"]["attributes"]["number"].as_i64())
        .collect();
    numbers.sort_unstable();
    let expected: Vec<i64> = (0..SPANS)
        .filter_map(|number| i64::try_from(number).ok())
        .collect();
    assert_eq!(numbers, expected, "{what}");
}

/// Sends a span with so many bytes of text; the status of the answer.
fn send_filler(otlp: SocketAddr, number: usize, bytes: usize) -> u16 {
    let body = format!(
        r#"{{"resourceSpans":[{{"scopeSpans":[{{"spans":[{{"traceId":"5759e988bd862e3fe1be46a994272793",
        "spanId":"{:016x}","name":"{}","startTimeUnixNano":"1","endTimeUnixNano":"2"}}]}}]}}]}}"#,
        number + 1,
        "x".repeat(bytes)
    );
    let mut stream = TcpStream::connect(otlp).expect("the daemon accepts connections");
    stream.set_read_timeout(Some(PATIENCE)).expect("a time limit");
    write!(
        stream,
        "POST /v1/traces HTTP/1.0\r\nHost: {otlp}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
    .expect("the daemon takes the request");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer");
    let status = answer.split(' ').nth(1).and_then(|status| status.parse().ok());
    status.unwrap_or_else(|| panic!("no status in {answer:?}"))
}

fn comes_again_when_there_is_no_room(senders: &[Sender]) {
    for sender in senders {
        let endpoint = Endpoint::start();
        let daemon = Daemon::start_bridge_with(&endpoint.url(), &["-m", "3"], &[]);
        endpoint.stop();
        let mut taken = 0;
        // First much at a time, then so little that nothing more has room.
        for bytes in [20_000, 1] {
            while send_filler(daemon.otlp(), taken, bytes) == 200 {
                taken += 1;
            }
        }
        let process = sender.start(daemon.otlp().port());
        wait_for_a_failure(&process);
        endpoint.start_again();
        let (status, lines) = process.end();
        assert!(status.success(), "{}", lines.join("\n"));
        let last = daemon.stop();
        each_came_once(&endpoint, sender.protocol);
        let came = taken + SPANS;
        assert!(
            last.contains(&format!("sent {came}, unprocessed 0")) && last.contains("dropped 0"),
            "{last}"
        );
    }
}

fn comes_again_until_the_daemon_is_there(senders: &[Sender]) {
    for sender in senders {
        let endpoint = Endpoint::start();
        // Free again when it is dropped: connections are refused.
        let address = TcpListener::bind("127.0.0.1:0")
            .and_then(|listener| listener.local_addr())
            .expect("a free port");
        let process = sender.start(address.port());
        wait_for_a_failure(&process);
        let daemon =
            Daemon::start_bridge_with(&endpoint.url(), &["--otlp-listen", &address.to_string()], &[]);
        let (status, lines) = process.end();
        assert!(status.success(), "{}", lines.join("\n"));
        let last = daemon.stop();
        each_came_once(&endpoint, sender.protocol);
        assert!(
            last.contains(&format!("sent {SPANS}, unprocessed 0")) && last.contains("dropped 0"),
            "{last}"
        );
    }
}

#[test]
fn the_python_sdk_comes_again_to_a_daemon_that_had_no_room() {
    comes_again_when_there_is_no_room(&python());
}

#[test]
fn the_python_sdk_comes_again_until_the_daemon_is_there() {
    comes_again_until_the_daemon_is_there(&python());
}

#[test]
fn the_node_sdk_comes_again_to_a_daemon_that_had_no_room() {
    comes_again_when_there_is_no_room(&node());
}

#[test]
fn the_node_sdk_comes_again_until_the_daemon_is_there() {
    comes_again_until_the_daemon_is_there(&node());
}
