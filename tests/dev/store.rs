//! What is kept, and for how long.

use serde_json::json;
use xray_double::harness::dev::Dev;

use crate::XRAY;

fn document(trace: u32) -> String {
    json!({
        "trace_id": format!("1-581cf771-{trace:024x}"), "id": format!("{trace:016x}"), "name": "shop",
        "start_time": 1_000 + trace, "end_time": 1_001 + trace
    })
    .to_string()
}

fn ids(dev: &Dev) -> Vec<String> {
    let list = dev.get("/-/traces");
    let traces = list["traces"].as_array().expect("a list");
    traces
        .iter()
        .map(|trace| trace["id"].as_str().expect("an id").to_owned())
        .collect()
}

#[test]
fn the_store_keeps_the_newest_traces_and_says_how_many_it_let_go() {
    let dev = Dev::start(XRAY, &["--max-traces", "3"]);
    for trace in 0..5 {
        let body = json!({"TraceSegmentDocuments": [document(trace)]}).to_string();
        assert_eq!(crate::http::post(dev.tcp, "/TraceSegments", &[], &body).0, 200);
    }
    assert_eq!(ids(&dev).len(), 3);
    let stats = dev.get("/-/stats");
    assert_eq!(
        (&stats["store"]["traces"], &stats["store"]["evicted_traces"]),
        (&json!(3), &json!(2))
    );
}

#[test]
fn a_store_in_a_file_survives_a_restart() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let file = directory.path().join("traces");
    let arguments = ["--store", file.to_str().expect("UTF-8")];
    let dev = Dev::start(XRAY, &arguments);
    for trace in 0..3 {
        dev.send(&document(trace));
    }
    dev.wait_for_documents(3);
    let before = ids(&dev);
    assert_eq!(dev.process.terminate().0.code(), Some(0));

    let again = Dev::start(XRAY, &arguments);
    assert_eq!(ids(&again), before);
    again.send(&document(3));
    again.wait_for_documents(4);
    let mut second = std::process::Command::new(XRAY);
    let output = xray_double::harness::apps::clean(&mut second)
        .args(["dev", "-b", "127.0.0.1:0", "-t", "127.0.0.1:0"])
        .args(arguments)
        .output()
        .expect("it starts");
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(said.contains("another xray dev uses it"), "{said}");
}

#[cfg(unix)]
#[test]
fn a_damaged_store_is_set_aside_and_said_and_nobody_else_can_read_either() {
    use std::os::unix::fs::PermissionsExt as _;
    let directory = tempfile::tempdir().expect("a temporary directory");
    let file = directory.path().join("traces");
    let arguments = ["--store", file.to_str().expect("UTF-8")];
    let dev = Dev::start(XRAY, &arguments);
    for trace in 0..3 {
        dev.send(&document(trace));
    }
    dev.wait_for_documents(3);
    assert_eq!(dev.process.terminate().0.code(), Some(0));
    let mut bytes = std::fs::read(&file).expect("a file");
    // In the second document.
    let at = bytes.len() / 2;
    bytes[at] ^= 1;
    std::fs::write(&file, &bytes).expect("it can be written");

    let again = Dev::start(XRAY, &arguments);
    assert_eq!(ids(&again).len(), 1);
    again.process.wait_for("what became of it", |line| {
        (line.contains("damaged at byte") && line.contains("traces.damaged; the 1 documents before are kept"))
            .then_some(())
    });
    for name in ["traces", "traces.damaged"] {
        let metadata = std::fs::metadata(directory.path().join(name)).expect("a file");
        assert_eq!(metadata.permissions().mode() & 0o777, 0o600, "{name}");
    }
}

#[test]
fn a_store_whose_first_line_is_damaged_is_set_aside_and_its_traces_are_kept() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let file = directory.path().join("traces");
    let arguments = ["--store", file.to_str().expect("UTF-8")];
    let dev = Dev::start(XRAY, &arguments);
    for trace in 0..3 {
        dev.send(&document(trace));
    }
    dev.wait_for_documents(3);
    let before = ids(&dev);
    assert_eq!(dev.process.terminate().0.code(), Some(0));
    let mut bytes = std::fs::read(&file).expect("a file");
    bytes[7] ^= 0xff;
    std::fs::write(&file, &bytes).expect("it can be written");

    let again = Dev::start(XRAY, &arguments);
    assert_eq!(ids(&again), before);
    again.process.wait_for("what became of it", |line| {
        line.contains("its first line is damaged, set aside as ")
            .then(|| {
                assert!(
                    line.contains("traces.damaged; the 3 documents that can be read are kept"),
                    "{line}"
                )
            })
    });
    assert_eq!(
        std::fs::read(directory.path().join("traces.damaged")).expect("a file"),
        bytes
    );
    assert_eq!(again.process.terminate().0.code(), Some(0));
    assert_eq!(ids(&Dev::start(XRAY, &arguments)), before);
}
