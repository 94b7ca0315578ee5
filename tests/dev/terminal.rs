//! What the terminal shows.

use std::process::Command;

use serde_json::{Value, json};
use xray_double::harness::apps::clean;

use crate::server::Dev;

/// A fixed trace in three documents; the subsegment comes before its parent.
fn documents() -> [String; 3] {
    [
        json!({
            "trace_id": "1-581cf771-a006649127e371903a2de979", "id": "0000000000000005", "name": "render",
            "type": "subsegment", "parent_id": "0000000000000001", "start_time": 1_795_227_596.05,
            "end_time": 1_795_227_596.1
        }),
        json!({
            "trace_id": "1-581cf771-a006649127e371903a2de979", "id": "0000000000000004", "name": "pay",
            "parent_id": "0000000000000003", "start_time": 1_795_227_595.5, "end_time": 1_795_227_595.9, "error": true
        }),
        json!({
            "trace_id": "1-581cf771-a006649127e371903a2de979", "id": "0000000000000001", "name": "shop",
            "start_time": 1_795_227_595.12, "end_time": 1_795_227_596.12, "fault": true,
            "http": {"request": {"method": "GET", "url": "http://shop/carts"}, "response": {"status": 502}},
            "cause": {"exceptions": [{"type": "PayError", "message": "no \u{1b}[31mred"}]},
            "subsegments": [
                {"id": "0000000000000002", "name": "DynamoDB", "namespace": "aws", "start_time": 1_795_227_595.2,
                 "end_time": 1_795_227_595.3, "aws": {"operation": "GetItem", "table_name": "carts"}},
                {"id": "0000000000000003", "name": "pay", "namespace": "remote", "start_time": 1_795_227_595.4,
                 "end_time": 1_795_227_596.0, "error": true}
            ]
        }),
    ]
    .map(|document| document.to_string())
}

const LINE: &str = "02:19:55.120Z  502  GET http://shop/carts  1.00 s  5 segments  FAULT  ERROR  \
                    1-581cf771-a006649127e371903a2de979";

fn shown(arguments: &[&str], last_line: &str) -> Vec<String> {
    let dev = Dev::start(arguments);
    for document in documents() {
        dev.send(&document);
    }
    dev.process
        .wait_for("the trace", |line| line.contains(last_line).then_some(()));
    let (status, lines) = dev.process.terminate();
    assert_eq!(status.code(), Some(0));
    // After the welcome and the empty line that ends it.
    lines
        .into_iter()
        .skip_while(|line| !line.is_empty())
        .skip(1)
        .collect()
}

#[test]
fn a_finished_trace_is_one_line() {
    assert_eq!(shown(&[], "502"), [LINE]);
}

#[test]
fn with_tree_it_is_a_tree() {
    assert_eq!(
        shown(&["--tree"], "render"),
        [
            LINE,
            "  └─ shop  GET http://shop/carts  1.00 s  502  FAULT",
            "     │  ! PayError: no \\x1b[31mred",
            "     ├─ DynamoDB  GetItem carts  100 ms",
            "     ├─ pay  600 ms  ERROR",
            "     │  └─ pay  400 ms  ERROR",
            "     └─ render  50.0 ms",
        ]
    );
}

#[test]
fn with_json_each_line_is_an_object() {
    let mut command = Command::new(env!("CARGO_BIN_EXE_xray"));
    clean(&mut command).args([
        "dev",
        "-b",
        "127.0.0.1:0",
        "-t",
        "127.0.0.1:0",
        "--log-format",
        "json",
    ]);
    let process = xray_double::harness::process::Process::start("xray dev", &mut command);
    let listening: Value = process.wait_for("where it listens", |line| {
        let value: Value = serde_json::from_str(line).ok()?;
        value.get("listening").cloned()
    });
    let udp = listening["udp"].as_str().expect("an address");
    let sent = clean(&mut Command::new(env!("CARGO_BIN_EXE_xray")))
        .args(["send", "--to", udp])
        .output()
        .expect("it starts");
    assert!(sent.status.success());
    let trace: Value = process.wait_for("the trace", |line| {
        let value: Value = serde_json::from_str(line).ok()?;
        value.get("trace_id").is_some().then_some(value)
    });
    assert_eq!(
        (&trace["name"], &trace["segments"], &trace["status"]),
        (&json!("sample-shop"), &json!(7), &json!(200))
    );
}

#[test]
fn a_port_that_is_taken_is_an_error_that_says_what_to_do() {
    let dev = Dev::start(&[]);
    for (flag, other, name, address) in [("-b", "-t", "UDP", dev.udp), ("-t", "-b", "TCP", dev.tcp)] {
        let output = clean(&mut Command::new(env!("CARGO_BIN_EXE_xray")))
            .args(["dev", flag, &address.to_string(), other, "127.0.0.1:0"])
            .output()
            .expect("it starts");
        assert_eq!(output.status.code(), Some(1));
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(
            said.contains(&format!("Cannot listen on {name} {address}")),
            "{said}"
        );
        assert!(said.contains(&format!("{flag} chooses another")), "{said}");
    }
}

#[test]
fn send_says_when_nobody_listens() {
    let unused = std::net::UdpSocket::bind("127.0.0.1:0")
        .expect("a port")
        .local_addr()
        .expect("its address");
    let output = clean(&mut Command::new(env!("CARGO_BIN_EXE_xray")))
        .arg("send")
        .env("AWS_XRAY_DAEMON_ADDRESS", unused.to_string())
        .output()
        .expect("it starts");
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(
        said.contains("nobody listens there") && said.contains(&unused.to_string()),
        "{said}"
    );
}
