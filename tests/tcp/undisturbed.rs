//! Whatever happens on the TCP port, segments over UDP arrive.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;
use xray_double::double::Double;
use xray_double::harness::process::PATIENCE;

use crate::client::{Client, get, metric};
use crate::daemon::{Daemon, pair, segment};

/// Sends segments in small bursts until `done`, and asserts that each of them arrives.
async fn segments_flow(daemon: &Daemon, double: &Double, first: usize, count: usize) {
    let before = double.look(|state| state.accepted());
    for burst in (first..first + count).collect::<Vec<_>>().chunks(20) {
        daemon.send(burst.iter().copied().map(segment));
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    double
        .wait_for_documents(before + count as u64, PATIENCE)
        .await
        .expect("every segment arrives");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_idle_connections_lock_out_neither_segments_nor_health_checks() {
    let (double, daemon) = pair().await;
    let mut idle = Vec::new();
    for _ in 0..1000 {
        idle.push(TcpStream::connect(daemon.tcp).await.unwrap());
    }
    segments_flow(&daemon, &double, 0, 1000).await;
    assert_eq!(daemon.health_check(&[]).0, Some(0));
    let open = metric(daemon.tcp, "xray_http_connections").await.unwrap();
    assert!(open <= 256.0, "{open}");
    let evicted = metric(
        daemon.tcp,
        "xray_http_connections_ended_total{reason=\"evicted\"}",
    )
    .await;
    assert!(evicted.unwrap() >= 744.0, "{evicted:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clients_that_send_slowly_or_do_not_read_take_nothing_from_segments() {
    let (double, daemon) = pair().await;
    let tcp = daemon.tcp;
    let mut clients = tokio::task::JoinSet::new();
    for number in 0..100 {
        clients.spawn(slow(tcp, number));
    }
    segments_flow(&daemon, &double, 0, 2000).await;
    assert_eq!(get(tcp, "/healthz").await.status, 200);
    clients.abort_all();
}

/// A client with bad manners, one of five kinds.
async fn slow(tcp: SocketAddr, number: usize) {
    let Ok(mut stream) = TcpStream::connect(tcp).await else {
        return;
    };
    let head: &[u8] = match number % 5 {
        // The head byte by byte.
        0 => b"",
        // The body byte by byte.
        1 => b"POST /TraceSegments HTTP/1.1\r\nhost: x\r\ncontent-length: 100000\r\n\r\n",
        // In chunks of one byte.
        2 => b"POST /GetSamplingRules HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n",
        // Requests without end, and no answer is read.
        3 => b"GET /metrics HTTP/1.1\r\nhost: x\r\n\r\n",
        // Half-closed in the middle.
        _ => b"POST /TraceSegments HTTP/1.1\r\nhost: x\r\ncontent-length: 10\r\n\r\n{",
    };
    let _ = stream.write_all(head).await;
    if number % 5 == 4 {
        let _ = stream.shutdown().await;
    }
    loop {
        let piece: &[u8] = match number % 5 {
            2 => b"1\r\n{\r\n",
            3 => head,
            _ => b"x",
        };
        if stream.write_all(piece).await.is_err() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn huge_bodies_are_refused_while_segments_flow() {
    let (double, daemon) = pair().await;
    let tcp = daemon.tcp;
    let mut clients = tokio::task::JoinSet::new();
    for path in [
        "/TraceSegments",
        "/GetSamplingRules",
        "/nowhere",
        "/TraceSegments",
    ] {
        clients.spawn(async move {
            let mut client = Client::connect(tcp).await;
            let bytes = 50 << 20;
            let head = format!("POST {path} HTTP/1.1\r\nhost: x\r\ncontent-length: {bytes}\r\n\r\n");
            client.send(head.as_bytes()).await;
            let piece = vec![b'x'; 1 << 20];
            for _ in 0..bytes / piece.len() {
                // The daemon may have had enough.
                if client.stream.write_all(&piece).await.is_err() {
                    return None;
                }
            }
            Some((path, client.answer().await.status))
        });
    }
    segments_flow(&daemon, &double, 0, 2000).await;
    let answers: Vec<_> = clients.join_all().await.into_iter().flatten().collect();
    for (path, status) in answers {
        assert_eq!(status, if path == "/nowhere" { 404 } else { 413 }, "{path}");
    }
    let (status, log) = daemon.stop();
    assert_eq!(status.code(), Some(0));
    assert!(log.contains("received 2000, sent 2000, "), "{log}");
}
