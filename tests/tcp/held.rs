//! Clients that hold on to what they do not use: places, memory, files. The others do not notice.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use xray_double::harness::process::PATIENCE;

use crate::client::{Client, ask, get, metric, post};
use crate::daemon::{Daemon, Start, double, pair, segment};

/// How long a body may take.
const BODY_TIMEOUT: Duration = Duration::from_secs(10);

/// Opens a connection and sends the start of something.
async fn begin(daemon: &Daemon, start: &str) -> TcpStream {
    let mut stream = TcpStream::connect(daemon.tcp).await.expect("a connection");
    // It may be one of those that are answered and closed at once.
    let _ = stream.write_all(start.as_bytes()).await;
    stream
}

fn announced(path: &str, body_bytes: usize) -> String {
    format!("POST {path} HTTP/1.1\r\nhost: localhost\r\ncontent-length: {body_bytes}\r\n\r\n{{")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn half_sent_requests_shut_out_neither_sampling_nor_segments_nor_health_checks() {
    let (_double, daemon) = pair().await;
    let mut held = Vec::new();
    // More than there are places, again and again.
    for round in 0..3 {
        for number in 0..300 {
            let path = ["/GetSamplingRules", "/TraceSegments"][number % 2];
            held.push(begin(&daemon, &announced(path, 100)).await);
        }
        assert_eq!(daemon.health_check(&[]).0, Some(0), "round {round}");
        // Those that came last are late by now.
        tokio::time::sleep(Duration::from_millis(300)).await;
        assert_eq!(daemon.health_check(&["--ready"]).0, Some(0), "round {round}");
        let answer = post(daemon.tcp, "/GetSamplingRules", "{}").await;
        assert_eq!(answer.status, 200, "round {round}: {answer:?}");
        let body = json!({"TraceSegmentDocuments": [segment(round)]}).to_string();
        let answer = post(daemon.tcp, "/TraceSegments", &body).await;
        assert_eq!(answer.status, 200, "round {round}: {answer:?}");
    }
    let open = metric(daemon.tcp, "xray_http_connections").await.unwrap();
    assert!(open <= 256.0, "{open}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_gives_way_with_a_half_sent_request_reads_why() {
    let (_double, daemon) = pair().await;
    let mut first = Client::connect(daemon.tcp).await;
    first.send(announced("/GetSamplingRules", 100).as_bytes()).await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    let mut held = Vec::new();
    for _ in 0..192 {
        held.push(begin(&daemon, &announced("/GetSamplingRules", 100)).await);
    }
    let answer = first.answer().await;
    assert_eq!(
        (
            answer.status,
            answer.code().as_str(),
            answer.header("retry-after")
        ),
        (503, "TooManyConnections", Some("1"))
    );
    assert!(answer.body.contains("has not come for longest"), "{answer:?}");
    first.closed().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_few_files_connections_that_are_held_do_not_stop_delivery() {
    let double = double().await;
    let daemon = Start::new(&double.url()).with_open_files(64).start_whole();
    let mut held = Vec::new();
    for number in 0..200 {
        let start = match number % 3 {
            0 => announced("/TraceSegments", 100),
            1 => "GET /hea".to_owned(),
            _ => String::new(),
        };
        held.push(begin(&daemon, &start).await);
    }
    daemon.send((0..100).map(segment));
    double.wait_for_documents(100, PATIENCE).await.unwrap();
    assert_eq!(daemon.health_check(&[]).0, Some(0));
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(post(daemon.tcp, "/GetSamplingRules", "{}").await.status, 200);
    let (status, log) = daemon.stop();
    assert_eq!(status.code(), Some(0));
    assert!(log.contains("received 100, sent 100, "), "{log}");
    assert!(
        log.contains(
            "[Warn] This process may have 64 files open (RLIMIT_NOFILE), so the TCP port takes 10 connections and not 256."
        ),
        "{log}"
    );
    assert!(!log.contains("Accepting on TCP failed"), "{log}");
}

/// Clients that begin requests and do not go on; each time that one is closed it begins again.
fn hold(address: SocketAddr, clients: usize) -> JoinSet<()> {
    let starts = [
        announced("/GetSamplingRules", 100),
        announced("/TraceSegments", 5 << 20),
        "POST /SamplingTargets HTTP/1.1\r\nhost: localhost\r\ntransfer-encoding: chunked\r\n\r\n1\r\n{\r\n"
            .to_owned(),
        "GET /heal".to_owned(),
        // Behind a whole one, whose answer is read.
        "GET /healthz HTTP/1.1\r\nhost: localhost\r\n\r\nPOST /Get".to_owned(),
    ];
    let mut holding = JoinSet::new();
    for start in starts.into_iter().cycle().take(clients) {
        holding.spawn(async move {
            loop {
                if let Ok(mut stream) = TcpStream::connect(address).await {
                    let _ = stream.write_all(start.as_bytes()).await;
                    let mut answer = Vec::new();
                    let _ = stream.read_to_end(&mut answer).await;
                }
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        });
    }
    holding
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_few_files_a_host_that_holds_all_it_can_again_and_again_shuts_nobody_out() {
    let double = double().await;
    let daemon = Start::new(&double.url()).with_open_files(64).start_whole();
    let mut holding = hold(daemon.tcp, 60);
    // They have all places.
    while metric(
        daemon.tcp,
        "xray_http_connections_ended_total{reason=\"evicted\"}",
    )
    .await
        < Some(100.0)
    {}
    for number in 0..30 {
        for (path, body) in [
            ("/GetSamplingRules", "{}"),
            ("/SamplingTargets", "{\"SamplingStatisticsDocuments\":[]}"),
        ] {
            let answer = post(daemon.tcp, path, body).await;
            assert_eq!(answer.status, 200, "{number}: {answer:?}");
        }
        assert_eq!(get(daemon.tcp, "/healthz").await.status, 200, "{number}");
        let body = json!({"TraceSegmentDocuments": [segment(number)]}).to_string();
        let answer = post(daemon.tcp, "/TraceSegments", &body).await;
        assert_eq!(answer.status, 200, "{number}: {answer:?}");
        daemon.send([segment(1000 + number)]);
    }
    for _ in 0..3 {
        assert_eq!(daemon.health_check(&["--ready"]).0, Some(0));
    }
    assert!(metric(daemon.tcp, "xray_http_connections").await <= Some(11.0));
    double.wait_for_documents(60, PATIENCE).await.unwrap();
    holding.shutdown().await;
    let (status, log) = daemon.stop();
    assert_eq!(status.code(), Some(0));
    assert!(log.contains("received 60, sent 60, "), "{log}");
    assert!(!log.contains("Accepting on TCP failed"), "{log}");
    assert!(!log.contains("Too many open files"), "{log}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_questions_in_a_packet_on_each_connection_hold_nobody_up() {
    let (_double, daemon) = pair().await;
    // Costly ones on some connections, and cheap ones on all there are. None reads an answer.
    for (connections, path) in [(30, "/metrics"), (300, "/healthz")] {
        let mut held = Vec::new();
        let questions = format!("GET {path} HTTP/1.1\r\nhost: localhost\r\n\r\n").repeat(400);
        for _ in 0..connections {
            held.push(begin(&daemon, &questions).await);
        }
        // It gives up after three seconds.
        assert_eq!(daemon.health_check(&[]).0, Some(0), "{path}");
    }
    let answer = post(daemon.tcp, "/GetSamplingRules", "{}").await;
    assert_eq!(answer.status, 200, "{answer:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bodies_that_are_announced_and_do_not_come_are_in_nobodys_way() {
    let (_double, daemon) = pair().await;
    let mut silent = Vec::new();
    for _ in 0..4 {
        silent.push(begin(&daemon, &announced("/TraceSegments", 5 << 20)).await);
        let head = "POST /TraceSegments HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n1\r\n{\r\n";
        silent.push(begin(&daemon, head).await);
    }
    let started = Instant::now();
    let body = json!({"TraceSegmentDocuments": [segment(1)]}).to_string();
    assert_eq!(post(daemon.tcp, "/TraceSegments", &body).await.status, 200);
    let large = json!({"TraceSegmentDocuments": ["x".repeat(4 << 20)]}).to_string();
    assert_eq!(post(daemon.tcp, "/TraceSegments", &large).await.status, 200);
    assert!(started.elapsed() < BODY_TIMEOUT / 2, "{:?}", started.elapsed());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bodies_that_wait_for_each_others_room_do_not_wait_for_long() {
    let (_double, daemon) = pair().await;
    // Half of each, which together is all there may be.
    let half = 5 << 19;
    let mut silent = Vec::new();
    for _ in 0..4 {
        let mut stream = begin(&daemon, &announced("/TraceSegments", 5 << 20)).await;
        stream.write_all(&vec![b' '; half]).await.unwrap();
        silent.push(stream);
    }
    let started = Instant::now();
    let large = json!({"TraceSegmentDocuments": ["x".repeat(4 << 20)]}).to_string();
    // As long as those before it still come it may be the one to give up, and is told to come again.
    loop {
        let answer = post(daemon.tcp, "/TraceSegments", &large).await;
        if answer.status == 200 {
            break;
        }
        assert_eq!(
            (answer.status, answer.code().as_str()),
            (503, "Busy"),
            "{answer:?}"
        );
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert!(started.elapsed() < BODY_TIMEOUT / 2, "{:?}", started.elapsed());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_body_of_many_documents_takes_no_more_memory_than_its_length() {
    let (_double, daemon) = pair().await;
    // Idle, with everything loaded that an answer needs.
    post(daemon.tcp, "/TraceSegments", "{}").await;
    let before = daemon.peak_kib();
    let mut body = "{\"TraceSegmentDocuments\":[".to_owned();
    while body.len() < (5 << 20) - 10 {
        body.push_str("\"\",");
    }
    body.push_str("\"\"]}");
    for _ in 0..3 {
        let answer = post(daemon.tcp, "/TraceSegments", &body).await;
        assert_eq!(
            (answer.status, answer.json()["message"].as_str()),
            (400, Some("Exceeding maximum segment count: 50"))
        );
    }
    let more = daemon.peak_kib() - before;
    assert!(more < 12 << 10, "{more} KiB more than {before} KiB");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_large_bodies_took_is_given_back_when_there_is_nothing_more_to_do() {
    let (_double, daemon) = pair().await;
    // A document with escapes, which is copied to be read, in a body that is refused for what follows it.
    let document = format!("{{\"id\":\"{}\"}}", "\\\"".repeat(1 << 20));
    let body = json!({"TraceSegmentDocuments": [document, 1]}).to_string();
    for _ in 0..2 {
        assert_eq!(post(daemon.tcp, "/TraceSegments", &body).await.status, 400);
    }
    let deadline = Instant::now() + PATIENCE;
    // The copy alone is 2 MB, and grew by doubling.
    while daemon.held_kib() > 5 << 10 {
        assert!(Instant::now() < deadline, "{} KiB", daemon.held_kib());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_longest_body_is_the_one_that_is_said_also_with_a_small_buffer() {
    let double = double().await;
    for (memory, longest) in [("3", 2_202_010), ("16", 5 << 20)] {
        let daemon = Start::new(&double.url()).args(&["-m", memory]).start_whole();
        let body = |bytes: usize| {
            let empty = json!({"TraceSegmentDocuments": [""]}).to_string();
            json!({"TraceSegmentDocuments": ["x".repeat(bytes - empty.len())]}).to_string()
        };
        let answer = post(daemon.tcp, "/TraceSegments", &body(longest + 1)).await;
        assert_eq!(
            (answer.status, answer.json()["message"].as_str()),
            (
                413,
                Some(format!("The body is longer than {longest} bytes, the most for this path.").as_str())
            )
        );
        let answer = post(daemon.tcp, "/TraceSegments", &body(longest)).await;
        assert_eq!(answer.status, 200, "{answer:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_no_request_of_http_1_is_told_what_it_is() {
    let (_double, daemon) = pair().await;
    for (start, status, code) in [
        (
            "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\u{4}\0\0\0\0\0",
            505,
            "HttpVersionNotSupported",
        ),
        (
            "POST /TraceSegments HTTP/1.1\r\nhost: x\r\ncontent-length: 99999999999999999999\r\n\r\n",
            400,
            "InvalidContentLength",
        ),
        (
            "POST /TraceSegments HTTP/1.1\r\nhost: x\r\ncontent-length: 5 MB\r\n\r\n",
            400,
            "InvalidContentLength",
        ),
    ] {
        let answer = ask(daemon.tcp, start.as_bytes()).await;
        assert_eq!(
            (answer.status, answer.code().as_str()),
            (status, code),
            "{start:?}"
        );
    }
    assert_eq!(get(daemon.tcp, "/healthz").await.status, 200);
}
