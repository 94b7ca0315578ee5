//! `xray traces` and `xray trace`, as scripts use them.

use std::process::{Command, Output};

use serde_json::{Value, json};
use xray_double::harness::apps::clean;
use xray_double::harness::dev::Dev;
use xray_double::harness::process::Process;

use crate::XRAY;

const FAILED: &str = "1-581cf771-a006649127e371903a2de979";
const FINE: &str = "1-581cf772-a006649127e371903a2de979";

fn documents() -> [String; 2] {
    [
        json!({"trace_id": FAILED, "id": "0000000000000001", "name": "shop", "start_time": 1_795_227_595.0,
               "end_time": 1_795_227_596.0, "fault": true, "annotations": {"tier": "gold"},
               "cause": {"exceptions": [{"type": "PayError", "message": "no money"}]}}),
        json!({"trace_id": FINE, "id": "0000000000000002", "name": "stock", "start_time": 1_795_227_597.0,
               "end_time": 1_795_227_597.5}),
    ]
    .map(|document| document.to_string())
}

fn filled() -> Dev {
    let dev = Dev::start(XRAY, &[]);
    for document in documents() {
        dev.send(&document);
    }
    dev.wait_for_documents(2);
    dev
}

fn command(dev: &Dev, arguments: &[&str]) -> Command {
    let mut command = Command::new(XRAY);
    clean(&mut command)
        .args(arguments)
        .env("XRAY_BIND_TCP", dev.tcp.to_string());
    command
}

fn xray(dev: &Dev, arguments: &[&str]) -> Output {
    command(dev, arguments).output().expect("it starts")
}

fn lines(output: &Output) -> Vec<String> {
    String::from_utf8_lossy(&output.stdout)
        .lines()
        .map(str::to_owned)
        .collect()
}

#[test]
fn traces_are_listed_with_the_latest_last_and_a_filter_or_words_choose() {
    let dev = filled();
    let all = xray(&dev, &["traces"]);
    let listed = lines(&all);
    assert_eq!((all.status.code(), listed.len()), (Some(0), 2), "{all:?}");
    assert!(
        listed[0].ends_with(&format!("{FAILED}  FAULT  shop: PayError: no money")),
        "{listed:?}"
    );
    assert!(listed[1].contains("  stock  500 ms  1 seg  "), "{listed:?}");
    for chosen in [
        &["traces", "fault"][..],
        &["traces", "gold"],
        &["traces", "no money", "--limit", "5"],
        &["traces", "581cf771a006649127e371903a2de979"],
    ] {
        let output = xray(&dev, chosen);
        assert_eq!(lines(&output), listed[..1], "{chosen:?}: {output:?}");
    }
    assert_eq!(lines(&xray(&dev, &["traces", "--limit", "1"])), listed[1..]);
}

#[test]
fn with_json_each_trace_is_an_object_with_services_exception_and_link() {
    let dev = filled();
    let output = xray(&dev, &["traces", "fault", "--json"]);
    let trace: Value = serde_json::from_slice(&output.stdout).expect("one object");
    assert_eq!(
        (
            &trace["trace_id"],
            &trace["services"],
            &trace["exception"]["message"]
        ),
        (&json!(FAILED), &json!(["shop"]), &json!("no money"))
    );
    assert_eq!(
        trace["link"],
        json!(format!("http://{}/#/trace/{FAILED}", dev.tcp))
    );
}

#[test]
fn one_trace_is_a_tree_or_an_object_with_its_documents_and_hints() {
    let dev = filled();
    let orphan = json!({"trace_id": FINE, "id": "0000000000000003", "parent_id": "0000000000000009", "type": "subsegment",
        "name": "late", "start_time": 1_795_227_597.0, "end_time": 1_795_227_597.2});
    dev.send(&orphan.to_string());
    dev.wait_for_documents(3);
    let tree = xray(
        &dev,
        &["trace", "Root=1-581cf772-a006649127e371903a2de979;Sampled=1"],
    );
    let shown = lines(&tree).join("\n");
    assert_eq!(tree.status.code(), Some(0));
    assert!(
        shown.contains("hint: \"late\" waits for \"0000000000000009\"") && shown.contains("  ├─ stock"),
        "{shown}"
    );
    let object = xray(&dev, &["trace", "--json", FINE]);
    let object: Value = serde_json::from_slice(&object.stdout).expect("an object");
    assert_eq!(object["documents"].as_array().map(Vec::len), Some(2));
    assert_eq!(object["hints"][0]["code"], "waits_for_parent");
}

#[test]
fn the_exit_code_tells_none_from_a_wrong_question_and_from_nobody_there() {
    let dev = filled();
    for (arguments, code, said) in [
        (&["traces", "nothing-has-this"][..], 1, ""),
        (
            &["trace", "1-581cf779-a006649127e371903a2de979"],
            1,
            "is not there",
        ),
        (
            &["traces", "ok AND"],
            2,
            "The filter is wrong: a keyword expected, found the end (at character 7)",
        ),
        (&["traces", "--nope"], 2, "flag provided but not defined: -nope"),
        (&["trace", "shop"], 2, "is no trace id"),
        (&["trace"], 2, "a trace id is missing"),
        (
            &["traces", "--from", "127.0.0.1:1"],
            3,
            "No xray dev answers at 127.0.0.1:1: ",
        ),
    ] {
        let output = xray(&dev, arguments);
        let error = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {error}");
        assert!(
            error.contains(said) && (said.is_empty() == error.is_empty()),
            "{arguments:?}: {error}"
        );
    }
}

#[test]
fn what_answers_there_and_is_no_xray_dev_is_named() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("its address").to_string();
    let other = std::thread::spawn(move || {
        use std::io::{Read as _, Write as _};
        let (mut stream, _) = listener.accept().expect("a client");
        let _ = stream.read(&mut [0; 1024]);
        stream
            .write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi")
            .expect("an answer");
    });
    let output = clean(&mut Command::new(XRAY))
        .args(["traces", "--from", &address])
        .output()
        .expect("it starts");
    other.join().expect("it has answered");
    assert_eq!(output.status.code(), Some(3));
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(
        error.contains("is no page of xray dev: its page has no key"),
        "{error}"
    );
}

#[test]
fn who_follows_sees_each_trace_once_when_it_is_finished_and_hears_when_the_end_has_come() {
    let dev = Dev::start(XRAY, &[]);
    let following = Process::start(
        "xray traces",
        &mut command(&dev, &["traces", "--follow", "--json", "gold"]),
    );
    // It may not listen yet: what it does not hear of is sent again.
    let [gold, other] = documents();
    let line = following.wait_until("the trace", |lines| {
        dev.send(&gold);
        dev.send(&other);
        lines.first().cloned()
    });
    let trace: Value = serde_json::from_str(&line).expect("an object");
    assert_eq!(trace["trace_id"], FAILED);
    drop(dev.process.terminate());
    let (status, lines) = following.end();
    assert_eq!(status.code(), Some(3));
    let objects = lines.iter().filter(|line| line.starts_with('{')).count();
    assert_eq!(objects, 1, "{lines:?}");
    assert!(
        lines.iter().any(|line| line.contains("No xray dev answers at")),
        "{lines:?}"
    );
}
