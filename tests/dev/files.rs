//! Traces out of files: `--open`, and what the page sends.

use std::process::Command;

use serde_json::{Value, json};
use xray_double::harness::apps::clean;
use xray_double::harness::dev::Dev;

use crate::XRAY;

const ID: &str = "1-581cf771-a006649127e371903a2de979";

fn segment(id: u32) -> Value {
    json!({"trace_id": ID, "id": format!("{id:016x}"), "name": "shop", "start_time": 1_795_227_595.0,
           "end_time": 1_795_227_596.0})
}

/// As `aws xray batch-get-traces` prints it.
fn batch() -> String {
    let segments =
        [segment(1), segment(2)].map(|segment| json!({"Id": segment["id"], "Document": segment.to_string()}));
    let batch = json!({"Traces": [{"Id": ID, "Duration": 1.0, "LimitExceeded": false, "Segments": segments}],
        "UnprocessedTraceIds": []});
    serde_json::to_string_pretty(&batch).expect("JSON")
}

#[test]
fn a_trace_of_production_is_shown_from_a_file_and_can_be_read_back_as_it_was() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let file = directory.path().join("trace.json");
    std::fs::write(&file, batch()).expect("a file");
    let dev = Dev::start(XRAY, &["--open", file.to_str().expect("UTF-8")]);
    let said = dev.process.wait_for("what was opened", |line| {
        line.starts_with("Opened ").then(|| line.to_owned())
    });
    assert!(
        said.ends_with(&format!(
            "2 documents of 1 traces: http://{}/#/trace/{ID}",
            dev.tcp
        )),
        "{said}"
    );
    let body = json!({ "TraceIds": [ID] }).to_string();
    let (status, answer) = crate::http::post(dev.tcp, "/Traces", &[], &body);
    assert_eq!(status, 200);
    assert!(answer.contains("0000000000000002"), "{answer}");
    assert_eq!(
        dev.get(&format!("/-/trace/{}", &ID.replace('-', "")[1..]))["id"],
        ID
    );
}

#[test]
fn a_file_without_a_trace_is_an_error_that_says_what_is_taken() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let file = directory.path().join("other.json");
    std::fs::write(&file, "{\"a\": 1}").expect("a file");
    let missing = directory.path().join("none.json");
    for (path, said) in [
        (&file, "has no trace: line 1: neither Traces"),
        (&missing, "No such file"),
    ] {
        let output = clean(&mut Command::new(XRAY))
            .args([
                "dev",
                "-b",
                "127.0.0.1:0",
                "-t",
                "127.0.0.1:0",
                "--otlp-listen",
                "127.0.0.1:0",
                "--open",
            ])
            .arg(path)
            .output()
            .expect("it starts");
        assert_eq!(output.status.code(), Some(1));
        let shown = String::from_utf8_lossy(&output.stdout);
        assert!(shown.contains(said) && shown.contains("--open"), "{shown}");
    }
}

#[test]
fn a_file_that_the_page_sends_is_taken_with_the_key_of_the_page_only() {
    let dev = Dev::start(XRAY, &[]);
    let (status, _) = crate::http::post(dev.tcp, "/-/traces", &[], &batch());
    assert_eq!(status, 403);
    let path = dev.with_key("/-/traces");
    let (status, answer) = crate::http::post(dev.tcp, &path, &[], &batch());
    assert_eq!(status, 200, "{answer}");
    assert!(
        answer.contains("\"documents\":2") && answer.contains(ID),
        "{answer}"
    );
    assert_eq!(dev.get("/-/traces")["matched"], 1);
    for (hostile, said) in [
        (
            "[".repeat(1 << 20),
            "No trace is in this file: line 1: EOF while parsing",
        ),
        (
            "x\n".repeat(1 << 19),
            "No trace is in this file: line 1: expected value",
        ),
        (String::new(), "The file is empty"),
    ] {
        let (status, answer) = crate::http::post(dev.tcp, &path, &[], &hostile);
        assert_eq!(status, 400, "{answer}");
        assert!(answer.contains(said), "{answer}");
    }
    assert_eq!(dev.get("/-/traces")["matched"], 1);
}
