//! Who may use the port.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};

use xray_double::harness::dev::Dev;
use xray_double::harness::process::PATIENCE;

use crate::XRAY;

/// One request with these headers besides Host (unless it is among them); status and body.
pub(crate) fn ask(
    to: SocketAddr,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &str,
) -> (u16, String) {
    let mut stream = TcpStream::connect(to).expect("a connection");
    stream.set_read_timeout(Some(PATIENCE)).expect("a time limit");
    let mut head = format!(
        "{method} {path} HTTP/1.1\r\nConnection: close\r\nContent-Length: {}\r\n",
        body.len()
    );
    if !headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("host")) {
        head.push_str(&format!("Host: {to}\r\n"));
    }
    for (name, value) in headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    write!(stream, "{head}\r\n{body}").expect("the request is taken");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer in UTF-8");
    let (head, body) = answer.split_once("\r\n\r\n").expect("an answer");
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
    (status.expect("a status"), format!("{head}\r\n\r\n{body}"))
}

pub(crate) fn post(to: SocketAddr, path: &str, headers: &[(&str, &str)], body: &str) -> (u16, String) {
    ask(to, "POST", path, headers, body)
}

#[test]
fn pages_of_other_sites_and_rebound_names_are_refused_for_page_and_api() {
    let dev = Dev::start(XRAY, &[]);
    let own = format!("http://{}", dev.tcp);
    let traces = dev.with_key("/-/traces");
    for (method, path) in [
        ("GET", "/"),
        ("GET", &traces),
        ("DELETE", &traces),
        ("POST", "/TraceSummaries"),
        ("POST", "/GetSamplingRules"),
    ] {
        let status = |headers: &[(&str, &str)]| ask(dev.tcp, method, path, headers, "{}").0;
        for headers in [
            [("Origin", "http://evil.example")],
            [("Origin", "null")],
            [("Host", "evil.example")],
            [("Host", "127.0.0.1.nip.io:2000")],
            [("Sec-Fetch-Site", "cross-site")],
        ] {
            assert_eq!(status(&headers), 403, "{method} {path} {headers:?}");
        }
        for headers in [
            [("Origin", own.as_str())],
            [("Sec-Fetch-Site", "same-origin")],
            [("Host", "localhost")],
        ] {
            assert_ne!(status(&headers), 403, "{method} {path} {headers:?}");
        }
    }
    let link = [
        ("Sec-Fetch-Site", "cross-site"),
        ("Sec-Fetch-Mode", "navigate"),
        ("Sec-Fetch-Dest", "document"),
    ];
    assert_eq!(
        ask(dev.tcp, "GET", "/", &link, "").0,
        200,
        "a link to the page may be followed"
    );
    assert_eq!(ask(dev.tcp, "GET", &traces, &link, "").0, 403);
}

/// A page of somebody who answers for names on this network, under one that it has led here: to the browser all of this is
/// of one origin, so that a GET has no Origin, and what is answered can be read.
#[test]
fn a_name_that_anyone_on_the_network_can_serve_reads_neither_page_nor_key_nor_traces() {
    let dev = Dev::start(XRAY, &["--allow-host", "xray.corp"]);
    let traces = dev.with_key("/-/traces");
    for host in [
        "evil.local",
        "evil.internal",
        "evil",
        "evil.home.arpa",
        "evil.test",
        "evil.svc",
    ] {
        for (method, path) in [
            ("GET", "/"),
            ("HEAD", "/"),
            ("GET", "/assets/main.js"),
            ("GET", "/-/traces"),
            ("GET", &traces),
            ("GET", &dev.with_key("/-/events")),
            ("DELETE", &traces),
            ("POST", &dev.with_key("/-/traces/undo")),
        ] {
            let (status, answer) = ask(dev.tcp, method, path, &[("Host", host)], "");
            assert_eq!(status, 403, "{method} {path} {host}");
            assert!(!answer.contains("xray-key"), "{answer}");
        }
        // It has an Origin with every POST, and an SDK in a container has none.
        let origin = format!("http://{host}");
        let body = r#"{"StartTime":1,"EndTime":2}"#;
        let of_page = [("Host", host), ("Origin", &origin)];
        assert_eq!(post(dev.tcp, "/TraceSummaries", &of_page, body).0, 403, "{host}");
        assert_eq!(
            post(dev.tcp, "/TraceSummaries", &[("Host", host)], body).0,
            200,
            "{host}"
        );
    }
    for host in ["127.0.0.1", "[::1]", "localhost", "app.localhost", "xray.corp"] {
        assert_eq!(
            ask(dev.tcp, "GET", &traces, &[("Host", host)], "").0,
            200,
            "{host}"
        );
    }
}

#[test]
fn what_tells_of_traces_asks_for_the_key_of_the_page_of_this_run() {
    let (dev, other) = (Dev::start(XRAY, &[]), Dev::start(XRAY, &[]));
    for (method, path) in [
        ("GET", "/-/traces"),
        ("GET", "/-/stats"),
        ("GET", "/-/latency"),
        ("GET", "/-/graph"),
        ("GET", "/-/trace/1-581cf771-a006649127e371903a2de979"),
        ("GET", "/-/events"),
        ("GET", "/-/operations"),
        ("DELETE", "/-/traces"),
        ("POST", "/-/traces/undo"),
    ] {
        for asked in [path.to_owned(), format!("{path}?key="), other.with_key(path)] {
            let (status, answer) = ask(dev.tcp, method, &asked, &[], "");
            assert_eq!(status, 403, "{method} {asked}");
            assert!(answer.contains("\"PageKey\""), "{answer}");
        }
    }
}

#[test]
fn no_answer_lets_another_origin_read_it_and_the_page_has_a_strict_policy() {
    let dev = Dev::start(XRAY, &[]);
    let (status, page) = ask(dev.tcp, "GET", "/", &[], "");
    assert_eq!(status, 200);
    assert!(
        page.contains("content-security-policy: default-src 'none'; script-src 'self';"),
        "{page}"
    );
    for path in ["/", &dev.with_key("/-/stats")] {
        let (_, answer) = ask(dev.tcp, "GET", path, &[], "");
        assert!(
            !answer.to_lowercase().contains("access-control-allow"),
            "{answer}"
        );
        assert!(answer.contains("x-content-type-options: nosniff"), "{answer}");
    }
}

#[test]
fn what_is_not_there_and_what_is_too_long_is_said_in_json() {
    let dev = Dev::start(XRAY, &[]);
    let (status, answer) = post(dev.tcp, "/NoSuchOperation", &[], "{}");
    assert_eq!(status, 404);
    assert!(
        answer.contains("x-amzn-errortype: UnknownOperationException"),
        "{answer}"
    );
    let (status, answer) = ask(dev.tcp, "GET", &dev.with_key("/-/trace/1-none"), &[], "");
    assert_eq!(status, 404, "{answer}");
    let (status, answer) = ask(dev.tcp, "GET", &dev.with_key("/-/traces?filter=ok+AND"), &[], "");
    assert_eq!(status, 400);
    assert!(
        answer.ends_with(r#"{"message":"a keyword expected, found the end","position":6}"#),
        "{answer}"
    );
}

#[test]
fn an_address_that_others_reach_is_warned_about() {
    let mut command = std::process::Command::new(XRAY);
    xray_double::harness::apps::clean(&mut command).args(["dev", "-b", "0.0.0.0:0", "-t", "0.0.0.0:0"]);
    let process = xray_double::harness::process::Process::start("xray dev", &mut command);
    for name in ["UDP", "TCP"] {
        process.wait_for("a warning", |line| {
            (line.contains("[Warn]")
                && line.contains(&format!("Listening on {name}"))
                && line.contains("whoever reaches"))
            .then_some(())
        });
    }
}
