//! The TCP port as other programs use it: boto3 as a sender, Prometheus' own parser as a reader.

use std::path::Path;
use std::process::Command;

use serde_json::Value;
use xray_double::harness::apps::clean;
use xray_double::harness::install::{python, repository};
use xray_double::harness::routes::trace_id;

use crate::TMP;
use crate::daemon::Daemon;
use crate::endpoint::Endpoint;

/// Runs a script of this directory with the daemon's HTTP address; the JSON that it prints.
fn run(python: &Path, script: &str, daemon: &Daemon, arguments: &[String]) -> Value {
    let output = clean(&mut Command::new(python))
        .arg(repository().join("tests/clients").join(script))
        .arg(format!("http://{}", daemon.tcp))
        .args(arguments)
        .output()
        .expect("Python starts");
    assert!(
        output.status.success(),
        "{script}:\n{}",
        String::from_utf8_lossy(&output.stderr)
    );
    serde_json::from_slice(&output.stdout).expect("the script prints JSON")
}

#[test]
fn boto3_sends_documents_signed_and_unsigned() {
    let Some(python) = python(TMP) else { return };
    let endpoint = Endpoint::start();
    let daemon = Daemon::start(&endpoint.url());
    let document = |number: usize, filler: usize| {
        let (id, filler) = (trace_id(number), "é\"".repeat(filler));
        let metadata = serde_json::json!({"test": {"filler": filler}});
        format!(
            r#"{{"trace_id": "{id}", "id": "53995c3f42cd8ad8", "start_time": 1, "end_time": 2, "name": "a", "metadata": {metadata}}}"#
        )
    };
    // The second is no datagram's size, though small enough for the service.
    let documents = [document(1, 1), document(2, 12_500)];
    assert!(documents[1].len() < 64 << 10);
    for how in ["signed", "unsigned"] {
        let mut arguments = vec![how.to_owned()];
        arguments.extend(documents.iter().cloned());
        let answer = run(&python, "put_segments.py", &daemon, &arguments);
        assert_eq!(answer["UnprocessedTraceSegments"], serde_json::json!([]), "{how}");
    }
    let mut arrived = endpoint.wait_for_documents(4);
    arrived.sort();
    let mut expected = [documents.clone(), documents].concat();
    expected.sort();
    assert_eq!(arrived, expected);
    daemon.stop_after(4);
}

#[test]
fn prometheus_reads_the_metrics() {
    let Some(python) = python(TMP) else { return };
    let endpoint = Endpoint::start();
    let daemon = Daemon::start(&endpoint.url());
    let document = format!(
        r#"{{"trace_id":"{}","id":"53995c3f42cd8ad8","start_time":1,"end_time":2,"name":"a"}}"#,
        trace_id(1)
    );
    run(
        &python,
        "put_segments.py",
        &daemon,
        &["signed".to_owned(), document],
    );
    endpoint.wait_for_documents(1);
    daemon.wait_for_sent(1);
    let metrics = run(&python, "read_metrics.py", &daemon, &[]);
    let value = |name: &str, labels: Value| {
        let samples = metrics["samples"].as_array().expect("a list");
        let found = samples
            .iter()
            .find(|sample| sample["name"] == name && sample["labels"] == labels);
        found.unwrap_or_else(|| panic!("no {name} {labels}"))["value"].as_f64()
    };
    let none = || serde_json::json!({});
    assert_eq!(value("xray_segments_received_total", none()), Some(1.0));
    assert_eq!(value("xray_segments_sent_total", none()), Some(1.0));
    let call = serde_json::json!({"operation": "PutTraceSegments", "outcome": "success"});
    assert_eq!(value("xray_calls_total", call), Some(1.0));
    let bucket = serde_json::json!({"le": "+Inf"});
    assert_eq!(value("xray_call_duration_seconds_bucket", bucket), Some(1.0));
    let request = serde_json::json!({"route": "TraceSegments", "code": "200"});
    assert_eq!(value("xray_http_requests_total", request), Some(1.0));
    // The parser calls what it does not understand so.
    let kinds = metrics["kinds"].as_object().expect("kinds by name");
    assert!(kinds.len() > 20, "{kinds:?}");
    assert!(kinds.values().all(|kind| kind != "unknown"), "{kinds:?}");
}
