//! From a datagram to the request body that X-Ray gets.

use std::net::{SocketAddr, UdpSocket};

use xray_double::faults::{Fault, Which};
use xray_double::harness::daemon::{HEADER, Setup, arrived, documents_of, double, line, segment};
use xray_double::harness::datagrams;
use xray_double::harness::process::PATIENCE;
use xray_service::service::Operation;

use crate::XRAY;

#[tokio::test(flavor = "multi_thread")]
async fn every_datagram_of_the_conformance_table_is_forwarded_byte_for_byte_or_counted_as_rejected() {
    let double = double().await;
    let daemon = Setup::new(XRAY, &double.url()).start();
    let rows = datagrams::rows();
    for (_, datagram, _) in &rows {
        daemon.send(datagram);
    }
    daemon.send(b"");
    let expected: Vec<String> = rows
        .iter()
        .filter_map(|(_, _, becomes)| becomes.as_ref().ok())
        .map(|body| String::from_utf8_lossy(body).into_owned())
        .collect();
    let (status, lines) = daemon.stop();
    assert_eq!(status.code(), Some(0));
    let mut sent = expected.clone();
    let mut got = arrived(&double, expected.len()).await;
    // Batches may overtake each other.
    sent.sort();
    got.sort();
    assert_eq!(got, sent);
    let rejected = rows.len() - expected.len();
    let last = line(&lines, "Shutdown finished: ");
    assert!(
        last.starts_with(&format!("Shutdown finished: received {}, ", rows.len())),
        "{last}"
    );
    assert!(
        last.contains(&format!(
            ", rejected {rejected} (missing_header 6, missing_segment 2, invalid_header {}), dropped 0",
            rejected - 8
        )),
        "{last}"
    );
    let refusals = lines.iter().filter(|line| line.contains("header")).count();
    assert!(
        refusals <= 4,
        "at most one line a second about {rejected} refused datagrams:\n{}",
        lines.join("\n")
    );
    assert!(
        lines.iter().all(|line| !line.contains("trace_id")),
        "no segment content:\n{}",
        lines.join("\n")
    );
}

/// What no log may show.
const SECRET: &str = "jane@example.com";

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_datagram_is_told_by_its_looks_and_its_sender_and_no_byte_of_it_is_in_the_log() {
    let double = double().await;
    let bare = format!("{{\"trace_id\":\"1-5f84c7a5-0\",\"user\":\"{SECRET}\"}}");
    let half = &format!("{bare}\n")[20..];
    let header = String::from_utf8_lossy(HEADER);
    for (datagram, reason, looks_like) in [
        (bare.clone(), "missing_header", "bare_segment"),
        (format!("\u{feff}{bare}\n{{}}"), "invalid_header", "bare_segment"),
        (format!("\0{header}{bare}"), "invalid_header", "hidden_start"),
        (format!("x{bare}\n{{}}"), "invalid_header", "json_part"),
        (half.to_owned(), "missing_segment", "json_part"),
        (
            format!("GET /{SECRET} HTTP/1.1\r\n\r\n"),
            "invalid_header",
            "http",
        ),
        (format!("{SECRET}:1|c\n"), "missing_segment", "statsd"),
        (format!("\x16\x03\x01{SECRET}"), "missing_header", "tls"),
    ] {
        let daemon = Setup::new(XRAY, &double.url())
            .args(&["--log-format", "json"])
            .start();
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.send_to(datagram.as_bytes(), daemon.udp).unwrap();
        let (_, lines) = daemon.stop();
        assert!(!lines.concat().contains("jane"), "{datagram:?}: {lines:?}");
        let refused = lines.iter().find(|line| line.contains("\"looks_like\"")).unwrap();
        let refused: serde_json::Value = serde_json::from_str(refused).unwrap();
        assert_eq!(refused["looks_like"], looks_like, "{datagram:?}");
        assert_eq!(refused["reason"], reason, "{datagram:?}");
        assert_eq!(refused["bytes"], datagram.len());
        assert_eq!(refused["sender"], socket.local_addr().unwrap().to_string());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn at_debug_the_beginning_of_a_refused_datagram_is_shown_escaped() {
    let double = double().await;
    let daemon = Setup::new(XRAY, &double.url()).args(&["-l", "debug"]).start();
    daemon.send(b"\x1b[31mhello");
    let (_, lines) = daemon.stop();
    assert!(
        line(&lines, "The refused datagram from 127.0.0.1:").ends_with(" begins with: \\x1b[31mhello"),
        "{lines:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn in_json_each_line_with_numbers_and_names_has_them_as_fields() {
    let double = double().await;
    let daemon = Setup::new(XRAY, &double.url())
        .args(&["--log-format", "json"])
        .start();
    daemon.send_segments(7);
    arrived(&double, 7).await;
    let udp = daemon.udp.to_string();
    let (_, lines) = daemon.stop();
    let event = |words: &str| -> serde_json::Value {
        let found = lines.iter().find(|line| line.contains(words));
        serde_json::from_str(found.unwrap_or_else(|| panic!("{words}: {lines:?}"))).unwrap()
    };
    assert_eq!(event("Listening on UDP")["address"], udp);
    let region = event("Using region");
    assert_eq!(
        (&region["region"], &region["source"]),
        (&"us-east-1".into(), &"AWS_REGION".into())
    );
    assert_eq!(event("Using endpoint")["endpoint"], double.url());
    assert_eq!(event("Got shutdown signal")["signal"], "terminated");
    let finished = event("Shutdown finished");
    for (field, number) in [
        ("received", 7),
        ("sent", 7),
        ("unprocessed", 0),
        ("rejected", 0),
        ("dropped", 0),
    ] {
        assert_eq!(finished[field], number, "{field}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn fifty_segments_make_a_request_and_the_rest_follows_within_a_second() {
    let double = double().await;
    let daemon = Setup::new(XRAY, &double.url()).start();
    daemon.send_segments(120);
    let mut got = arrived(&double, 120).await;
    got.sort();
    assert_eq!(got, (0..120).map(segment).collect::<Vec<_>>());
    let mut sizes: Vec<usize> = double
        .requests_to(Operation::PutTraceSegments)
        .iter()
        .map(|request| documents_of(&request.body).len())
        .collect();
    sizes.sort_unstable();
    assert_eq!(sizes, [20, 50, 50]);
    let (_, lines) = daemon.stop();
    assert_eq!(
        lines
            .iter()
            .filter(|line| line.contains("Successfully sent batch of 50 segments (0."))
            .count(),
        2
    );
    assert_eq!(
        lines
            .iter()
            .filter(|line| line.contains("Successfully sent batch of 20 segments (0."))
            .count(),
        1
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_request_is_that_of_a_daemon() {
    let double = double().await;
    let daemon = Setup::new(XRAY, &double.url())
        .env("AWS_EXECUTION_ENV", "AWS_ECS_FARGATE")
        .start();
    daemon.send(&[HEADER, b"{}"].concat());
    let late = double.wait_for_requests(1, PATIENCE).await;
    let requests = late.unwrap_or_else(|late| panic!("{late}"));
    let request = &requests[0];
    assert_eq!(
        (request.method.as_str(), request.path.as_str()),
        ("POST", "/TraceSegments")
    );
    assert_eq!(request.body, b"{\"TraceSegmentDocuments\":[\"{}\"]}"[..]);
    assert_eq!(request.header("content-type"), Some("application/json"));
    assert_eq!(request.header("content-length"), Some("32"));
    let agent = request.header("user-agent").unwrap();
    let version = env!("CARGO_PKG_VERSION");
    assert!(
        agent.contains(&format!(
            " xray-agent/xray-daemon/{version} exec-env/AWS_ECS_FARGATE OS/linux-"
        )),
        "{agent}"
    );
    let timestamp = request.header("x-amzn-xray-timestamp").unwrap();
    let (seconds, nanoseconds) = timestamp.split_once('.').unwrap();
    assert!(seconds.len() == 10 && nanoseconds.len() == 9, "{timestamp}");
    assert!(
        request
            .header("authorization")
            .unwrap()
            .contains("x-amzn-xray-timestamp"),
        "it is signed"
    );
    drop(daemon);
}

#[tokio::test(flavor = "multi_thread")]
async fn all_addresses_means_both_ip_versions() {
    let double = double().await;
    let daemon = Setup::new(XRAY, &double.url()).args(&["-b", "0.0.0.0:0"]).start();
    let datagram = [HEADER, b"over four"].concat();
    let four = UdpSocket::bind("127.0.0.1:0").unwrap();
    four.send_to(&datagram, ("127.0.0.1", daemon.udp.port())).unwrap();
    let mut expected = vec!["over four".to_owned()];
    // A host without IPv6 has only the one.
    if let Ok(six) = UdpSocket::bind("[::1]:0") {
        six.send_to(&[HEADER, b"over six"].concat(), ("::1", daemon.udp.port()))
            .unwrap();
        expected.push("over six".to_owned());
    }
    let mut got = arrived(&double, expected.len()).await;
    got.sort();
    assert_eq!(got, expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn it_listens_on_host_names_and_on_ipv6_literals_in_brackets() {
    let double = double().await;
    let mut addresses = vec!["localhost:0"];
    if UdpSocket::bind("[::1]:0").is_ok() {
        addresses.push("[::1]:0");
    }
    for (number, address) in addresses.iter().enumerate() {
        let daemon = Setup::new(XRAY, &double.url()).args(&["--bind", address]).start();
        let from: SocketAddr = if daemon.udp.is_ipv6() {
            "[::1]:0".parse().unwrap()
        } else {
            "127.0.0.1:0".parse().unwrap()
        };
        let socket = UdpSocket::bind(from).unwrap();
        socket
            .send_to(&[HEADER, segment(number).as_bytes()].concat(), daemon.udp)
            .unwrap();
        assert_eq!(
            arrived(&double, number + 1).await[number],
            segment(number),
            "{address}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn unprocessed_segments_are_named_and_do_not_count_as_sent() {
    let double = double().await;
    double.faults().times(
        1,
        Fault::unprocessed(Which::containing("bad"), "InvalidName", "no such name"),
    );
    let daemon = Setup::new(XRAY, &double.url()).start();
    daemon.send(
        &[
            HEADER,
            br#"{"id": "aaaaaaaaaaaaaaaa", "trace_id": "1-2-3", "name": "bad"}"#,
        ]
        .concat(),
    );
    daemon.send(&[HEADER, segment(1).as_bytes()].concat());
    daemon.process.wait_for("the unprocessed segment", |line| {
        line.contains("Unprocessed segment:").then_some(())
    });
    let (_, lines) = daemon.stop();
    assert!(
        line(
            &lines,
            "Sent batch of 2 segments but had 1 Unprocessed segments (0."
        )
        .ends_with(" seconds)"),
        "{lines:?}"
    );
    assert_eq!(
        line(&lines, "Unprocessed segment:"),
        "Unprocessed segment: id aaaaaaaaaaaaaaaa, trace id 1-2-3, name bad, 62 bytes, error code InvalidName, \
         message: no such name"
    );
    assert!(
        line(&lines, "Shutdown finished:")
            .contains("received 2, sent 1, unprocessed 1, rejected 0, dropped 0")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_outage_is_said_when_it_begins_and_when_it_is_over_and_costs_nothing() {
    let double = double().await;
    double.stop().await;
    let daemon = Setup::new(XRAY, &double.url()).start();
    daemon.send_segments(75);
    daemon.process.wait_for("the outage", |line| {
        line.contains("Sending segment batch failed with:").then_some(())
    });
    double.start_again().await.unwrap();
    arrived(&double, 75).await;
    let (_, lines) = daemon.stop();
    assert!(line(&lines, "Calls succeed again after ").ends_with(" wait and are sent now"));
    assert!(
        line(&lines, "Shutdown finished:")
            .contains("received 75, sent 75, unprocessed 0, rejected 0, dropped 0")
    );
    let failures = lines.iter().filter(|line| line.contains("failed with")).count();
    assert_eq!(failures, 1, "one line while it lasts:\n{}", lines.join("\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_error_makes_no_line_of_a_dependency() {
    let double = double().await;
    double.faults().times(3, Fault::status(503));
    let daemon = Setup::new(XRAY, &double.url()).start();
    daemon.send_segments(1);
    assert_eq!(arrived(&double, 1).await, [segment(0)]);
    let (_, lines) = daemon.stop();
    line(&lines, "Sending segment batch failed with:");
    assert!(lines.iter().all(|line| !line.contains("aws_smithy")), "{lines:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_answer_of_x_ray_is_no_success() {
    for fault in [
        Fault::redirect(301, "http://127.0.0.1:9/elsewhere"),
        Fault::empty_ok(),
        Fault::html_ok(),
        Fault::json_ok(r#"{"status":"ok"}"#),
    ] {
        let double = double().await;
        double.faults().times(1, fault);
        let daemon = Setup::new(XRAY, &double.url()).start();
        daemon.send_segments(1);
        assert_eq!(arrived(&double, 1).await, [segment(0)]);
        let (_, lines) = daemon.stop();
        line(&lines, "Sending segment batch failed with:");
        assert!(line(&lines, "Shutdown finished:").contains("received 1, sent 1,"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_buffer_drops_the_oldest_counts_them_and_says_so_once_a_second() {
    let double = double().await;
    double.freeze();
    let daemon = Setup::new(XRAY, &double.url())
        .args(&["-m", "3", "--shutdown-timeout", "2s"])
        .start();
    let socket = UdpSocket::bind(("127.0.0.1", 0)).unwrap();
    let body = vec![b'x'; 60_000];
    for number in 0..200 {
        socket
            .send_to(
                &[HEADER, format!("{number:03}").as_bytes(), &body].concat(),
                daemon.udp,
            )
            .unwrap();
    }
    let (_, lines) = daemon.stop();
    let last = line(&lines, "Shutdown finished:");
    let number_after = |words: &str| -> u64 {
        let rest = last
            .split_once(words)
            .unwrap_or_else(|| panic!("no {words:?} in {last}"))
            .1;
        let digits = rest
            .split(|c: char| !c.is_ascii_digit())
            .next()
            .unwrap_or_default();
        digits
            .parse()
            .unwrap_or_else(|_| panic!("no number after {words:?} in {last}"))
    };
    let received = number_after("received ");
    assert_eq!(
        received + number_after("kernel drops "),
        200,
        "each is somewhere: {last}"
    );
    assert_eq!(number_after("dropped "), received, "{last}");
    assert!(received > 60, "3 MB hold some 50 of 60 KB: {last}");
    let spilled: u64 = lines
        .iter()
        .filter_map(|line| {
            line.split_once("Spilling over ")?
                .1
                .split(' ')
                .next()?
                .parse::<u64>()
                .ok()
        })
        .sum();
    assert_eq!(number_after("buffer_full "), spilled, "{last}");
    let spills = lines
        .iter()
        .filter(|line| line.contains("Spilling over "))
        .count();
    assert!(spills <= 3, "at most one line a second: {lines:?}");
}
