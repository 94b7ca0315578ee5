//! Logs beside the trace: lines of a file, and records of OTLP.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use xray_double::harness::dev::Dev;
use xray_double::harness::process::PATIENCE;

use crate::XRAY;

const ID: &str = "1-581cf771-a006649127e371903a2de979";

/// Waits until the trace has so many lines beside it.
fn lines(dev: &Dev, wanted: usize) -> Vec<Value> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let trace = dev.get(&format!("/-/trace/{ID}"));
        let lines = trace["logs"].as_array().expect("a list").clone();
        if lines.len() >= wanted {
            return lines;
        }
        assert!(Instant::now() < deadline, "not {wanted} lines: {trace}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn send_trace(dev: &Dev) {
    let segment = json!({"trace_id": ID, "id": "0000000000000001", "name": "shop", "start_time": 1_795_227_595.0,
        "end_time": 1_795_227_596.0});
    dev.send(&segment.to_string());
    dev.wait_for_documents(1);
}

#[test]
fn lines_of_a_file_that_name_a_trace_stand_beside_it_at_their_time() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let path = directory.path().join("app.log");
    let write = |text: &str| {
        let mut file = OpenOptions::new()
            .create(true)
            .append(true)
            .open(&path)
            .expect("a file");
        file.write_all(text.as_bytes()).expect("it is written");
    };
    write(&format!(
        "2026-11-21T02:19:55.250Z INFO {ID} before it was followed\n"
    ));
    let dev = Dev::start(XRAY, &["--tail", path.to_str().expect("UTF-8")]);
    send_trace(&dev);
    write(&format!(
        "other\n2026-11-21T02:19:55.500Z ERROR [trace_id=581cf771a006649127e371903a2de979] no money\n  at pay\n{ID} no time\n"
    ));
    let lines = lines(&dev, 3);
    assert_eq!(
        (&lines[0]["time"], &lines[0]["level"], &lines[0]["source"]),
        (&json!(1_795_227_595.25), &json!("INFO"), &json!("app.log"))
    );
    assert_eq!(
        (&lines[1]["time"], &lines[1]["level"]),
        (&json!(1_795_227_595.5), &json!("ERROR"))
    );
    let text = lines[1]["text"].as_str().expect("a text");
    assert!(text.ends_with("no money\n  at pay"), "{text}");
    // One that tells no time has the one of its coming, which is later than any of the others.
    assert!(lines[2]["time"].as_f64() > Some(1_795_227_596.0), "{lines:?}");
}

#[test]
fn records_of_otlp_stand_beside_the_trace_that_they_name() {
    let dev = Dev::start(XRAY, &[]);
    send_trace(&dev);
    let otlp = dev.process.wait_for("where OTLP is taken", |line| {
        let (_, rest) = line.split_once("OTLP      ")?;
        rest.split([' ', ',']).next()?.parse().ok()
    });
    let record = json!({"resourceLogs": [{
        "resource": {"attributes": [{"key": "service.name", "value": {"stringValue": "shop"}}]},
        "scopeLogs": [{"logRecords": [{
            "timeUnixNano": "1795227595750000000", "severityNumber": 13, "body": {"stringValue": "slow"},
            "traceId": "581cf771a006649127e371903a2de979", "spanId": "0000000000000001"}]}]}]});
    let headers = [("Content-Type", "application/json")];
    let (status, answer) = crate::http::post(otlp, "/v1/logs", &headers, &record.to_string());
    assert_eq!(status, 200, "{answer}");
    assert_eq!(
        lines(&dev, 1),
        [
            json!({"time": 1_795_227_595.75, "source": "shop", "level": "WARN", "text": "slow", "span": "0000000000000001"})
        ]
    );
    let stats = dev.get("/-/stats");
    assert_eq!(
        (&stats["logs"]["lines"], &stats["logs"]["dropped"]),
        (&json!(1), &json!(0))
    );
}
