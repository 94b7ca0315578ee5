//! What becomes of the TCP port when the daemon is told to stop.

use std::time::Duration;

use serde_json::json;
use tokio::net::TcpStream;
use xray_double::faults::Fault;
use xray_double::harness::process::PATIENCE;
use xray_service::service::Operation;

use crate::client::{Client, post_with};
use crate::daemon::{Start, double, segment};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_in_flight_are_finished_and_documents_of_the_last_moment_sent() {
    let double = double().await;
    double
        .faults()
        .on(Operation::GetSamplingRules)
        .always(Fault::delay(Duration::from_secs(1)));
    let daemon = Start::new(&double.url()).start_whole();
    let tcp = daemon.tcp;

    let mut idle = Client::connect(tcp).await;
    idle.send(b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n").await;
    assert_eq!(idle.answer().await.status, 200);
    let mut sampling = Client::connect(tcp).await;
    sampling
        .send(&post_with("/GetSamplingRules", "host: x\r\n", "{}"))
        .await;
    let mut ingest = Client::connect(tcp).await;
    let body = json!({"TraceSegmentDocuments": [segment(1)]}).to_string();
    let request = post_with("/TraceSegments", "host: x\r\n", &body);
    let (first, rest) = request.split_at(request.len() - 5);
    ingest.send(first).await;
    double
        .wait_for(|state| state.in_flight() == 1, PATIENCE)
        .await
        .unwrap();

    daemon.terminate();
    // The port closes at once, and so does who has no request.
    idle.closed().await;
    assert!(TcpStream::connect(tcp).await.is_err());
    ingest.send(rest).await;
    let answer = ingest.answer().await;
    assert_eq!((answer.status, answer.header("connection")), (200, Some("close")));
    let answer = sampling.answer().await;
    assert_eq!((answer.status, answer.header("connection")), (200, Some("close")));

    let (status, log) = daemon.end();
    assert_eq!(status.code(), Some(0), "{log}");
    assert!(log.contains("Shutdown finished: received 1, sent 1, "), "{log}");
    assert_eq!(double.documents(), [segment(1)]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_never_ends_its_request_does_not_hold_the_end() {
    let double = double().await;
    let daemon = Start::new(&double.url())
        .args(&["--shutdown-timeout", "1s"])
        .start();
    let mut slow = Client::connect(daemon.tcp).await;
    slow.send(b"POST /TraceSegments HTTP/1.1\r\nhost: x\r\ncontent-length: 100\r\n\r\n{")
        .await;
    let mut other = Client::connect(daemon.tcp).await;
    // Answered after the slow one was accepted.
    other.send(b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n").await;
    other.answer().await;
    daemon.send((0..10).map(segment));
    let started = std::time::Instant::now();
    let (status, log) = daemon.stop();
    assert_eq!(status.code(), Some(0), "{log}");
    assert!(
        started.elapsed() < Duration::from_secs(5),
        "{:?}",
        started.elapsed()
    );
    assert!(log.contains("Shutdown finished: received 10, sent 10, "), "{log}");
}
