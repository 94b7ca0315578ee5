//! Documents over TCP.

use std::time::Duration;

use serde_json::json;
use xray_double::faults::Fault;
use xray_double::harness::process::PATIENCE;

use crate::client::{metric, post};
use crate::daemon::{Start, double, segment};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_single_document_over_tcp_is_sent_within_its_second_without_any_datagram() {
    let double = double().await;
    let daemon = Start::new(&double.url()).start();
    let body = json!({"TraceSegmentDocuments": [segment(1)]}).to_string();
    let answer = post(daemon.tcp, "/TraceSegments", &body).await;
    assert_eq!(
        (answer.status, answer.json()),
        (200, json!({"UnprocessedTraceSegments": []}))
    );
    // Nothing else would wake the receiver, whose timer seals the batch.
    let documents = double
        .wait_for_documents(1, Duration::from_secs(10))
        .await
        .unwrap();
    assert_eq!(documents, [segment(1)]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn documents_of_both_ports_share_batches() {
    let double = double().await;
    let daemon = Start::new(&double.url()).start();
    let body = json!({"TraceSegmentDocuments": (0..25).map(segment).collect::<Vec<_>>()}).to_string();
    assert_eq!(post(daemon.tcp, "/TraceSegments", &body).await.status, 200);
    daemon.send((25..50).map(segment));
    let documents = double.wait_for_documents(50, PATIENCE).await.unwrap();
    assert_eq!(documents.len(), 50);
    assert_eq!(double.requests().len(), 1);
    let (status, log) = daemon.stop();
    assert_eq!(status.code(), Some(0));
    assert!(log.contains("received 50, sent 50, "), "{log}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sender_over_tcp_is_told_when_the_buffer_is_full_and_loses_nothing() {
    let double = double().await;
    double.faults().always(Fault::status(503));
    let daemon = Start::new(&double.url()).args(&["-m", "3"]).start();
    let document = |number| {
        let filler = "x".repeat(50_000);
        segment(number).replace(
            "\"test\"",
            &format!("\"test\",\"metadata\":{{\"a\":{{\"b\":\"{filler}\"}}}}"),
        )
    };
    let mut sent = 0;
    loop {
        let body = json!({"TraceSegmentDocuments": [document(sent)]}).to_string();
        let answer = post(daemon.tcp, "/TraceSegments", &body).await;
        if answer.status == 503 {
            assert_eq!(
                (answer.code().as_str(), answer.header("retry-after")),
                ("BufferFull", Some("1"))
            );
            break;
        }
        assert_eq!(answer.status, 200, "{answer:?}");
        sent += 1;
        assert!(sent < 100, "3 MB hold no 100 documents of 50 KB");
    }
    assert!(sent > 30, "{sent}");
    let full = "xray_http_requests_total{route=\"TraceSegments\",code=\"503\"}";
    assert_eq!(metric(daemon.tcp, full).await, Some(1.0));
    double.faults().clear();
    let documents = double.wait_for_documents(sent as u64, PATIENCE).await.unwrap();
    assert_eq!(documents.len(), sent);
    assert_eq!(
        metric(daemon.tcp, "xray_segments_dropped_total{reason=\"buffer_full\"}").await,
        Some(0.0)
    );
}
