//! What the terminal shows.

use std::process::Command;

use serde_json::{Value, json};
use xray_double::harness::apps::clean;
use xray_double::harness::dev::Dev;

use crate::XRAY;

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

const LINE: &str = "2026-11-21 02:19:55.120Z  502  shop  GET /carts  1.00 s  2 seg + 3 sub  \
                    1-581cf771-a006649127e371903a2de979  FAULT ERROR  pay: PayError: no \\x1b[31mred";

fn shown(arguments: &[&str], last_line: &str) -> Vec<String> {
    let dev = Dev::start(XRAY, arguments);
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
            "     +0 ms     1.00 s  ████████████████████  └─ shop  GET http://shop/carts  502  FAULT",
            "                                                │  ! PayError: no \\x1b[31mred",
            "  +80.0 ms     100 ms   ███                     ├─ DynamoDB  GetItem carts",
            "   +280 ms     600 ms       █████████████       ├─ pay  ERROR",
            "   +380 ms     400 ms         █████████         │  └─ pay  ERROR",
            "   +930 ms    50.0 ms                    ██     └─ render",
        ]
    );
}

#[test]
fn with_json_each_line_is_an_object() {
    let mut command = Command::new(XRAY);
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
    let sent = clean(&mut Command::new(XRAY))
        .args(["send", "--to", udp])
        .output()
        .expect("it starts");
    assert!(sent.status.success());
    let trace: Value = process.wait_for("the trace", |line| {
        let value: Value = serde_json::from_str(line).ok()?;
        value.get("trace_id").is_some().then_some(value)
    });
    let link = trace["link"].as_str().expect("a link");
    assert!(
        link.starts_with("http://127.0.0.1:") && link.ends_with(trace["trace_id"].as_str().expect("an id")),
        "{link}"
    );
    assert_eq!(trace["services"][0], "sample-shop");
    assert_eq!(
        (&trace["name"], &trace["segments"], &trace["status"]),
        (&json!("sample-shop"), &json!(1), &json!(200))
    );
}

#[test]
fn the_command_line_that_one_has_for_the_daemon_may_follow_dev() {
    assert_eq!(
        shown(&["-o", "-n", "eu-west-1", "--local-mode=true"], "502"),
        [LINE]
    );
}

#[test]
fn a_flag_that_dev_does_not_have_gets_the_usage_of_dev() {
    for (flag, hint) in [
        ("--nope", "Run xray dev --help for the flags there are.\n"),
        (
            "--no-telemetry",
            "That flag is the daemon's; xray dev does without: leave it out. Run xray dev --help for the flags there \
             are.\n",
        ),
    ] {
        let output = clean(&mut Command::new(XRAY))
            .args(["dev", flag])
            .output()
            .expect("it starts");
        assert_eq!(output.status.code(), Some(2));
        let error = String::from_utf8_lossy(&output.stderr);
        assert_eq!(
            error,
            format!(
                "flag provided but not defined: -{}\n{hint}",
                flag.trim_start_matches('-')
            )
        );
        let usage = String::from_utf8_lossy(&output.stdout);
        assert!(
            usage.contains("Usage: xray dev [options]") && usage.contains("--max-traces"),
            "{usage}"
        );
    }
}

#[test]
fn a_port_that_is_taken_is_an_error_that_says_what_to_do() {
    let dev = Dev::start(XRAY, &[]);
    for (flag, other, name, address) in [("-b", "-t", "UDP", dev.udp), ("-t", "-b", "TCP", dev.tcp)] {
        let output = clean(&mut Command::new(XRAY))
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
    let output = clean(&mut Command::new(XRAY))
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

/// What the terminal says after the welcome, once it has said `last`.
fn said_after(dev: Dev, last: &'static str) -> String {
    dev.process
        .wait_for(last, |line| line.contains(last).then_some(()));
    let (_, lines) = dev.process.terminate();
    let said: Vec<String> = lines
        .into_iter()
        .skip_while(|line| !line.is_empty())
        .skip(1)
        .collect();
    said.join("\n")
}

const NAMELESS: &str = r#"{"trace_id":"1-581cf771-a006649127e371903a2de979","id":"70de5b6f19ff9a0a","name":"shop",
    "start_time":1.0,"end_time":2.0,"subsegments":[{"id":"70de5b6f19ff9a0b","name":"SELECT ?","start_time":1.0,
    "end_time":2.0}]}"#;

#[test]
fn what_is_refused_is_in_terminal_page_and_log_with_subsegment_field_and_character() {
    let cause = "Cause: subsegment 1 of \"shop\": name \"SELECT ?\" has '?' at character 8";
    let dev = Dev::start(XRAY, &[]);
    dev.send(NAMELESS);
    dev.wait_for_refused(1);
    let refused = &dev.get("/-/stats")["refused"]["latest"][0];
    assert!(
        refused["message"].as_str().expect("a text").contains(cause),
        "{refused}"
    );
    let said = said_after(dev, "Unprocessed segment");
    assert!(
        said.contains("SELECT ?") && said.contains("at character 8"),
        "{said}"
    );

    // With the log in a file, the terminal says it by itself.
    let directory = tempfile::tempdir().expect("a temporary directory");
    let log = directory.path().join("log");
    let dev = Dev::start(XRAY, &["-f", log.to_str().expect("UTF-8")]);
    dev.send(NAMELESS);
    let said = said_after(dev, "REFUSED");
    assert!(
        said.starts_with("REFUSED  shop  70de5b6f19ff9a0a  Invalid subsegment.") && said.contains(cause),
        "{said}"
    );
    let logged = std::fs::read_to_string(log).expect("a log");
    assert!(logged.contains("at character 8"), "{logged}");
}

/// The log had only what came as a datagram: of the rest the answer told the client alone.
#[test]
fn what_is_refused_of_a_call_is_in_terminal_and_log_and_what_is_refused_of_datagrams_is_there_once() {
    let dev = Dev::start(XRAY, &[]);
    let body = serde_json::json!({ "TraceSegmentDocuments": [NAMELESS] }).to_string();
    let (status, answer) = crate::http::post(dev.tcp, "/TraceSegments", &[], &body);
    assert_eq!(status, 200, "{answer}");
    let said = said_after(dev, "Refused a document");
    assert!(
        said.contains(
            "[Error] Refused a document of PutTraceSegments: id 70de5b6f19ff9a0a, error code InvalidName"
        ) && said.contains("subsegment 1 of \"shop\": name \"SELECT ?\" has '?' at character 8"),
        "{said}"
    );

    let dev = Dev::start(XRAY, &[]);
    dev.send(NAMELESS);
    let said = said_after(dev, "Unprocessed segment");
    assert!(!said.contains("Refused a document"), "{said}");
}

#[test]
fn a_datagram_that_is_no_segment_is_in_terminal_page_and_log() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let log = directory.path().join("log");
    let dev = Dev::start(XRAY, &["-f", log.to_str().expect("UTF-8")]);
    let socket = std::net::UdpSocket::bind("127.0.0.1:0").expect("a socket");
    socket
        .send_to(b"{\"name\":\"shop\"}", dev.udp)
        .expect("a datagram is sent");
    dev.wait_for_refused(1);
    let refused = &dev.get("/-/stats")["refused"];
    let message = refused["latest"][0]["message"].as_str().expect("a text");
    assert!(
        message.starts_with("Missing header or segment: no newline in a datagram of 15 bytes"),
        "{message}"
    );
    let said = said_after(dev, "REFUSED");
    assert!(said.starts_with("REFUSED  Missing header or segment"), "{said}");
    let logged = std::fs::read_to_string(log).expect("a log");
    assert!(logged.contains("Missing header or segment"), "{logged}");
}

#[test]
fn what_sdks_left_out_is_said_in_the_terminal_and_on_the_page() {
    let dev = Dev::start(XRAY, &["--sampling", "aws"]);
    let (status, rules) = crate::http::post(dev.tcp, "/GetSamplingRules", &[], "{}");
    assert!(status == 200 && rules.contains("\"FixedRate\":0.05"), "{rules}");
    let report = r#"{"SamplingStatisticsDocuments": [{"RuleName": "Default", "ClientID": "aaaaaaaaaaaaaaaaaaaaaaaa",
        "Timestamp": 1795227595, "RequestCount": 40, "SampledCount": 5}]}"#;
    let (status, answer) = crate::http::post(dev.tcp, "/SamplingTargets", &[], report);
    assert_eq!(status, 200, "{answer}");
    assert_eq!(
        dev.get("/-/stats")["sampling"],
        json!([{"rule": "Default", "requests": 40, "sampled": 5}])
    );
    let said = said_after(dev, "SDKs saw");
    assert_eq!(said, "SDKs saw 40 requests and sent 5: rule Default");
}

#[test]
fn without_a_flag_every_request_is_sampled() {
    let dev = Dev::start(XRAY, &[]);
    let (_, rules) = crate::http::post(dev.tcp, "/GetSamplingRules", &[], "{}");
    assert!(rules.contains("\"FixedRate\":1.0"), "{rules}");
}
