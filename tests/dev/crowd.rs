//! Clients in numbers: what they cost, and that the others are still served.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::thread;

use xray_double::harness::dev::Dev;
use xray_double::harness::process::PATIENCE;

use crate::XRAY;
use crate::http::{ask, post};

/// The longest body that the port takes.
const BODY_BYTES: usize = 5 << 20;

/// Clients at one time.
const CLIENTS: usize = 60;

/// The most memory that the process had so far, in bytes.
fn peak_bytes(dev: &Dev) -> usize {
    let status = std::fs::read_to_string(format!("/proc/{}/status", dev.process.id())).expect("a status");
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib = line.and_then(|line| line.trim().strip_suffix(" kB"));
    kib.and_then(|kib| kib.trim().parse::<usize>().ok())
        .expect("a peak in kB")
        << 10
}

/// So many bodies to `path` at one time, all but their last byte: none of them can be done with while the others come.
/// The connections.
fn send_at_one_time(dev: &Dev, path: &str) -> Vec<TcpStream> {
    let body = vec![b' '; BODY_BYTES - 1];
    let head = format!("POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {BODY_BYTES}\r\n\r\n");
    thread::scope(|scope| {
        let clients: Vec<_> = (0..CLIENTS)
            .map(|_| {
                scope.spawn(|| {
                    let mut stream = TcpStream::connect(dev.tcp).expect("a connection");
                    stream
                        .set_write_timeout(Some(std::time::Duration::from_secs(2)))
                        .expect("a time limit");
                    stream.write_all(head.as_bytes()).expect("the head is taken");
                    // Who has to wait for room, or has its answer, is not listened to.
                    let _ = stream.write_all(&body);
                    stream
                })
            })
            .collect();
        clients
            .into_iter()
            .map(|client| client.join().expect("a client"))
            .collect()
    })
}

#[test]
fn bodies_that_nobody_wants_take_no_memory_and_their_senders_read_why() {
    let dev = Dev::start(XRAY, &[]);
    let before = peak_bytes(&dev);
    let clients = send_at_one_time(&dev, "/nowhere");
    for mut client in clients {
        client.set_read_timeout(Some(PATIENCE)).expect("a time limit");
        let mut start = [0; 12];
        client.read_exact(&mut start).expect("an answer");
        assert_eq!(&start, b"HTTP/1.1 404");
    }
    let more = peak_bytes(&dev) - before;
    assert!(more < 40 << 20, "{more} bytes for {CLIENTS} bodies");
}

#[test]
fn bodies_of_calls_are_bounded_together_and_small_calls_pass_them() {
    let dev = Dev::start(XRAY, &[]);
    let before = peak_bytes(&dev);
    let _clients = send_at_one_time(&dev, "/TraceSegments");
    assert_eq!(ask(dev.tcp, "GET", "/healthz", &[], "").0, 200);
    assert_eq!(post(dev.tcp, "/GetSamplingRules", &[], "{}").0, 200);
    let more = peak_bytes(&dev) - before;
    assert!(more < 100 << 20, "{more} bytes for {CLIENTS} bodies");
}

#[test]
fn events_for_more_readers_than_there_are_places_leave_room_for_the_daemon_itself() {
    let dev = Dev::start(XRAY, &[]);
    let request = format!(
        "GET {} HTTP/1.1\r\nHost: localhost\r\n\r\n",
        dev.with_key("/-/events")
    );
    let readers: Vec<TcpStream> = (0..300)
        .map(|_| {
            let mut stream = TcpStream::connect(dev.tcp).expect("a connection");
            stream
                .write_all(request.as_bytes())
                .expect("the request is taken");
            stream
        })
        .collect();
    dev.send(
        r#"{"trace_id":"1-581cf771-a006649127e371903a2de979","id":"70de5b6f19ff9a0a","name":"shop","start_time":1.0,"end_time":2.0}"#,
    );
    dev.wait_for_documents(1);
    assert_eq!(post(dev.tcp, "/GetSamplingRules", &[], "{}").0, 200);
    let (_, metrics) = ask(dev.tcp, "GET", "/metrics", &[], "");
    assert!(
        metrics.contains("\nxray_segments_sent_total{destination=\"xray\",signal=\"segments\"} 1\n"),
        "{metrics}"
    );
    assert!(
        metrics.contains("xray_http_requests_total{route=\"TraceSegments\",code=\"200\"} 1\n"),
        "{metrics}"
    );
    drop(readers);
}
