//! Health, metrics, and the subcommand that asks.

use std::net::TcpListener;

use xray_double::faults::{Fault, Which};
use xray_double::harness::process::PATIENCE;

use crate::client::{get, metric};
use crate::daemon::{Start, double, health_check, segment};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_subcommand_exits_with_the_daemons_health_and_one_line() {
    let double = double().await;
    let daemon = Start::new(&double.url()).start();
    daemon.wait_for("Using credentials from ");
    let tcp = daemon.tcp;
    assert_eq!(
        daemon.health_check(&[]),
        (Some(0), format!("healthy: {tcp} answers GET /healthz\n"))
    );
    // As in the image, where the daemon listens on every address.
    let everywhere = format!("0.0.0.0:{}", tcp.port());
    assert_eq!(
        daemon.health_check(&["--ready", "-t", &everywhere]),
        (Some(0), format!("ready: {everywhere} answers GET /readyz\n"))
    );
    let (code, line) = daemon.health_check(&["--raedy"]);
    assert_eq!(code, Some(1), "a typing error is no health");
    assert!(
        line.contains("Did you mean --ready?") && line.lines().count() == 1,
        "{line}"
    );

    let directory = tempfile::TempDir::new().unwrap();
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let (code, line) = health_check(free, &[], directory.path());
    assert_eq!(code, Some(1));
    assert!(
        line.starts_with(&format!("unhealthy: no answer from {free} (GET /healthz): "))
            && line.lines().count() == 1,
        "{line}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_daemon_without_credentials_is_healthy_and_not_ready() {
    let double = double().await;
    let daemon = Start::new(&double.url()).without_credentials().start();
    daemon.wait_for("No AWS credentials yet");
    assert_eq!(daemon.health_check(&[]).0, Some(0));
    let (code, line) = daemon.health_check(&["--ready"]);
    assert_eq!(code, Some(1));
    assert!(
        line.starts_with("not ready: credentials: no AWS credentials"),
        "{line}"
    );
    assert_eq!(metric(daemon.tcp, "xray_ready").await, Some(0.0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_metrics_are_the_counters() {
    let double = double().await;
    double.faults().times(1, Fault::status(503));
    double.faults().when_document(
        Which::Index(0),
        Fault::unprocessed(Which::Index(0), "ParseError", "no"),
    );
    let daemon = Start::new(&double.url()).start();
    let tcp = daemon.tcp;
    assert_eq!(metric(tcp, "xray_last_success_timestamp_seconds").await, None);
    daemon.send((0..50).map(segment));
    daemon.wait_for("Sent batch of 50 segments but had 1 Unprocessed segments");
    let std_socket = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    drop(std_socket);
    for (sample, value) in [
        ("xray_segments_received_total", 50.0),
        ("xray_segments_sent_total", 49.0),
        ("xray_segments_unprocessed_total{error_code=\"ParseError\"}", 1.0),
        ("xray_segments_rejected_total{reason=\"invalid_header\"}", 0.0),
        ("xray_segments_dropped_total{reason=\"buffer_full\"}", 0.0),
        ("xray_segments_pending", 0.0),
        ("xray_buffer_segments{state=\"waiting\"}", 0.0),
        ("xray_buffer_bytes{state=\"in_flight\"}", 0.0),
        (
            "xray_calls_total{operation=\"PutTraceSegments\",outcome=\"success\"}",
            1.0,
        ),
        (
            "xray_calls_total{operation=\"PutTraceSegments\",outcome=\"server_error\"}",
            1.0,
        ),
        ("xray_calls_in_flight", 0.0),
        ("xray_call_retries_total", 1.0),
        ("xray_call_duration_seconds_count", 2.0),
        ("xray_batch_segments_bucket{le=\"35\"}", 0.0),
        ("xray_batch_segments_bucket{le=\"50\"}", 1.0),
        ("xray_batch_segments_sum", 50.0),
        ("xray_ready", 1.0),
    ] {
        assert_eq!(metric(tcp, sample).await, Some(value), "{sample}");
    }
    assert!(metric(tcp, "xray_sent_bytes_total").await.unwrap() > 50.0 * 100.0);
    let age = metric(tcp, "xray_seconds_since_last_success").await.unwrap();
    assert!(age > 0.0 && age < PATIENCE.as_secs_f64(), "{age}");
    let page = get(tcp, "/metrics").await;
    assert_eq!(
        page.header("content-type"),
        Some("text/plain; version=0.0.4; charset=utf-8")
    );
    let version = format!("xray_build_info{{version=\"{}\"}} 1", env!("CARGO_PKG_VERSION"));
    assert!(page.body.contains(&version));
}
