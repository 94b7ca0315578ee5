//! What the daemon makes of datagrams, seen by the project's own X-Ray, which checks every signature.

use std::net::{Ipv4Addr, SocketAddr, UdpSocket};

use serde_json::Value;
use xray_double::harness::apps::App;
use xray_double::harness::install;
use xray_double::harness::routes::{routes, trace_id};
use xray_double::harness::tap::Tap;
use xray_double::harness::web;

use crate::TMP;
use crate::daemon::Daemon;
use crate::endpoint::Endpoint;
use crate::shipped::{compose_arguments, entry_point_arguments};

/// The header of every SDK.
const HEADER: &str = "{\"format\":\"json\",\"version\":1}\n";

/// The most bytes that a UDP datagram carries over IPv4.
const LARGEST_DATAGRAM_BYTES: usize = 65_507;

/// The most documents in one call, by the service's rule.
const MOST_DOCUMENTS: usize = 50;

#[test]
fn what_two_apps_send_arrives_byte_for_byte_in_signed_calls() {
    let (Some(python), Some(node_modules)) = (install::python(TMP), install::node_modules(TMP)) else {
        return;
    };
    const ROUNDS: usize = 15;
    let endpoint = Endpoint::start();
    let daemon = Daemon::start(&endpoint.url());
    let tap = Tap::start(daemon.udp);
    let apps = [
        App::flask(&python, tap.address),
        App::express(&node_modules, tap.address),
    ];

    let routes = routes();
    let sent = ROUNDS * routes.len() * apps.len();
    for app in &apps {
        // The caller decided against this one, so the SDK sends nothing.
        let unsampled = format!("Root={};Parent=53995c3f42cd8ad8;Sampled=0", trace_id(sent));
        assert_eq!(
            web::get(app.address, routes[0].path, Some(&unsampled)).status,
            200
        );
        for number in 0..ROUNDS {
            for route in &routes {
                route.get(app.address, &trace_id(number));
            }
        }
    }

    let mut arrived = endpoint.wait_for_documents(sent);
    let mut relayed = tap.documents();
    arrived.sort();
    relayed.sort();
    assert_eq!(relayed.len(), sent, "documents that the SDKs sent");
    assert_eq!(arrived, relayed, "documents that arrived");
    for app in &apps {
        let name = |document: &String| {
            let document: Value = serde_json::from_str(document).expect("an SDK's document is JSON");
            document["name"] == app.name
        };
        assert_eq!(
            arrived.iter().filter(|document| name(document)).count(),
            sent / apps.len(),
            "{}",
            app.name
        );
    }

    let calls = endpoint.check_requests();
    assert!(
        calls
            .iter()
            .all(|documents| (1..=MOST_DOCUMENTS).contains(documents)),
        "{calls:?}"
    );
    assert_eq!(calls.iter().sum::<usize>(), sent, "{calls:?}");
    daemon.stop_after(sent as u64);
}

#[test]
fn the_first_request_to_an_app_is_sampled_without_a_word_from_the_caller() {
    let (Some(python), Some(node_modules)) = (install::python(TMP), install::node_modules(TMP)) else {
        return;
    };
    let endpoint = Endpoint::start();
    let daemon = Daemon::start(&endpoint.url());
    let apps = [
        App::flask(&python, daemon.udp),
        App::express(&node_modules, daemon.udp),
    ];
    for app in &apps {
        assert_eq!(web::get(app.address, "/api/activities/home", None).status, 200);
    }
    let mut names: Vec<_> = endpoint
        .wait_for_documents(apps.len())
        .iter()
        .map(|document| {
            serde_json::from_str::<Value>(document).expect("an SDK's document is JSON")["name"].clone()
        })
        .collect();
    names.sort_by_key(Value::to_string);
    assert_eq!(names, ["backend-express", "backend-flask"]);
    daemon.stop_after(apps.len() as u64);
}

#[test]
fn an_opentelemetry_document_which_is_not_json_arrives_unchanged() {
    // What AWS's OpenTelemetry distributions send: a mark and an OTLP request with one span, in base64.
    let document = "T1SCjsSORI3ChBfhMel4d4co9XqO1pOW/v/EghTmVw/Qs2K2CoFY2hlY2swAjkAE8DrQVs9FkEA9LXxQVs9Fg==";
    forwards(&[document.to_owned()]);
}

#[test]
fn the_largest_datagram_arrives_whole() {
    let start = segment(1).replace("\"name\":\"a\"", "\"metadata\":{\"filler\":{\"text\":\"");
    let end = "\"}},\"name\":\"a\"}";
    let start = start.strip_suffix('}').expect("an object").to_owned();
    let filler = LARGEST_DATAGRAM_BYTES - HEADER.len() - start.len() - end.len();
    // Quotes and backslashes, so that the request body is larger than the document.
    let unit = r#"\"\\"#;
    let document = format!(
        "{start}{}{}{end}",
        unit.repeat(filler / unit.len()),
        "a".repeat(filler % unit.len())
    );
    assert_eq!(HEADER.len() + document.len(), LARGEST_DATAGRAM_BYTES);
    serde_json::from_str::<Value>(&document).expect("the test makes JSON");
    forwards(&[document]);
}

#[test]
fn the_entry_point_of_the_image_with_the_arguments_of_the_compose_example_forwards() {
    forwards_with(&entry_point_arguments(), &compose_arguments(), &[segment(1)]);
}

/// A widely copied compose file has the whole command line as one string. The official daemon starts with it.
#[test]
fn the_entry_point_with_a_whole_command_line_as_one_argument_forwards_and_warns() {
    let quoted = "xray -o -b xray-daemon:2000".to_owned();
    let log = forwards_with(
        &entry_point_arguments(),
        std::slice::from_ref(&quoted),
        &[segment(1)],
    );
    let warnings: Vec<_> = log.iter().filter(|line| line.contains("[Warn]")).collect();
    assert!(warnings.iter().any(|line| line.contains(&quoted)), "{log:#?}");
}

#[test]
fn the_example_configuration_file_starts_a_daemon_without_a_warning() {
    let endpoint = Endpoint::start();
    let example =
        std::fs::read_to_string(install::repository().join("cfg.example.yaml")).expect("the example");
    // The addresses of the flags, which would be said to go over others.
    let directory = tempfile::tempdir().expect("a temporary directory");
    let file = directory.path().join("cfg.yaml");
    std::fs::write(&file, example.replace("127.0.0.1:2000", "127.0.0.1:0")).expect("a file in it");
    let daemon = Daemon::start_with_file(&endpoint.url(), &file);
    let log = forwarded(&endpoint, daemon, &[segment(1)]);
    let warnings: Vec<_> = log
        .iter()
        .filter(|line| line.contains("[Warn]") && !line.contains("UDP receive buffer"))
        .collect();
    assert!(warnings.is_empty(), "{warnings:#?}");
}

/// Asserts that these documents, sent to a daemon, are what arrives.
fn forwards(documents: &[String]) {
    forwards_with(&[], &[], documents);
}

/// As [`forwards`], with arguments before and after the test's own; the daemon's log.
fn forwards_with(before: &[String], after: &[String], documents: &[String]) -> Vec<String> {
    let endpoint = Endpoint::start();
    let daemon = Daemon::start_line(&endpoint.url(), before, after);
    forwarded(&endpoint, daemon, documents)
}

fn forwarded(endpoint: &Endpoint, daemon: Daemon, documents: &[String]) -> Vec<String> {
    send(daemon.udp, documents);
    assert_eq!(endpoint.wait_for_documents(documents.len()), documents);
    assert_eq!(endpoint.check_requests(), [documents.len()]);
    daemon.stop_after(documents.len() as u64)
}

fn send(daemon: SocketAddr, documents: &[String]) {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
    for document in documents {
        let datagram = format!("{HEADER}{document}");
        let sent = socket
            .send_to(datagram.as_bytes(), daemon)
            .expect("loopback takes a datagram");
        assert_eq!(sent, datagram.len());
    }
}

/// The smallest segment that the service takes.
fn segment(number: usize) -> String {
    let trace_id = trace_id(number);
    format!(r#"{{"trace_id":"{trace_id}","id":"53995c3f42cd8ad8","start_time":1,"end_time":2,"name":"a"}}"#)
}
