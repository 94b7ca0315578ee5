//! Clients that mean no good, or do not know what they do.

use super::*;
use crate::net::server::body::decode::testing::gzip;

const PROTOBUF: &str = "content-type: application/x-protobuf\r\n";

#[tokio::test]
async fn a_gzip_bomb_is_too_long_and_the_rest_of_the_port_goes_on() {
    let port = Port::open();
    // 64 MiB in 64 KB, four at a time.
    let bomb = gzip(&vec![0; 64 << 20]);
    let headers = format!("{PROTOBUF}content-encoding: gzip\r\n");
    let (whole, _) = protobuf(Signal::Traces);
    let (first, second, third, fourth) = tokio::join!(
        port.post("/v1/traces", &headers, &bomb),
        port.post("/v1/metrics", &headers, &bomb),
        port.post("/v1/logs", &headers, &bomb),
        port.post("/v1/traces", PROTOBUF, &whole),
    );
    for answer in [first, second, third] {
        assert_eq!(answer.status, 413, "{answer:?}");
    }
    assert_eq!(fourth.status, 200);
    assert_eq!(port.requests().len(), 1);
    assert_eq!(port.kept.refused.lock().unwrap().len(), 3);
    port.close().await;
}

#[tokio::test]
async fn too_long_is_too_long_announced_or_not_and_the_longest_is_taken() {
    let port = Port::open();
    let most = LIMITS.max_bytes;
    // One item, and a field that nobody knows with all the rest.
    let body = |bytes: usize| {
        let (mut body, _) = protobuf(Signal::Traces);
        let rest = bytes - body.len() - 5;
        body.push(9 << 3 | 2);
        let mut left = rest;
        // A length in four bytes.
        for last in [false, false, false, true] {
            body.push((left & 0x7f) as u8 | if last { 0 } else { 0x80 });
            left >>= 7;
        }
        body.resize(bytes, 0);
        body
    };
    for (bytes, status) in [(most, 200), (most + 1, 413)] {
        let whole = port.post("/v1/traces", PROTOBUF, &body(bytes)).await;
        let zipped = port
            .post(
                "/v1/traces",
                &format!("{PROTOBUF}content-encoding: gzip\r\n"),
                &gzip(&body(bytes)),
            )
            .await;
        let head = format!(
            "POST /v1/traces HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n{PROTOBUF}transfer-encoding: chunked\r\n\r\n{bytes:x}\r\n"
        );
        let in_chunks = port
            .ask(&[head.as_bytes(), &body(bytes), b"\r\n0\r\n\r\n"].concat())
            .await;
        assert_eq!(
            [whole.status, zipped.status, in_chunks.status],
            [status; 3],
            "{bytes}"
        );
    }
    let announced = format!(
        "POST /v1/traces HTTP/1.1\r\nhost: localhost\r\nexpect: 100-continue\r\nconnection: close\r\n{PROTOBUF}content-length: {}\r\n\r\n",
        u64::MAX / 2
    );
    assert_eq!(port.ask(announced.as_bytes()).await.status, 413);
    assert_eq!(port.requests().len(), 3);
    port.close().await;
}

#[tokio::test]
async fn a_million_empty_resources_are_refused_and_counted() {
    let port = Port::open_with(&Signal::ALL, limits::bodies(u64::MAX), limits::CONNECTIONS);
    let million = [0x0a, 0].repeat(1_000_000);
    let answer = port.post("/v1/traces", PROTOBUF, &million).await;
    assert_eq!(answer.status, 400, "{answer:?}");
    let million = format!("{{\"resourceSpans\":[{}{{}}]}}", "{},".repeat(999_999));
    let json = "content-type: application/json\r\n";
    let answer = port.post("/v1/traces", json, million.as_bytes()).await;
    assert_eq!(
        (answer.status, answer.json()["message"].as_str()),
        (
            400,
            Some("The body has 1000000 resources and scopes in one request; 23437 are the most.")
        )
    );
    assert_eq!(port.requests(), []);
    assert_eq!(
        *port.kept.refused.lock().unwrap(),
        [(Signal::Traces, Receiver::OtlpHttp); 2]
    );
    // A few of them are nothing, and no error: an empty request succeeds.
    let few = [0x0a, 0].repeat(10_000);
    assert_eq!(port.post("/v1/traces", PROTOBUF, &few).await.status, 200);
    assert_eq!(port.requests(), []);
    port.close().await;
}

#[tokio::test]
async fn nesting_of_ten_thousand_levels_costs_no_stack() {
    let port = Port::open();
    let deep = "[".repeat(10_000) + &"]".repeat(10_000);
    let json = "content-type: application/json\r\n";
    for (body, statuses) in [
        (format!("{{\"unknown\":{deep}}}"), [200, 400]),
        (format!("{{\"resourceSpans\":{deep}}}"), [400, 400]),
        (
            format!("{{\"resourceSpans\":[{{\"scopeSpans\":[{{\"spans\":[{{\"a\":{deep}}}]}}]}}]}}"),
            [200, 400],
        ),
    ] {
        let answer = port.post("/v1/traces", json, body.as_bytes()).await;
        assert!(statuses.contains(&answer.status), "{answer:?}");
    }
    // Each field of protobuf within the one before.
    let mut deep: Vec<u8> = Vec::new();
    for _ in 0..10_000 {
        let mut length = deep.len();
        let mut outer = vec![0x0a];
        while length > 0x7f {
            outer.push((length & 0x7f) as u8 | 0x80);
            length >>= 7;
        }
        outer.push(u8::try_from(length).unwrap());
        outer.append(&mut deep);
        deep = outer;
    }
    let answer = port.post("/v1/traces", PROTOBUF, &deep).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    port.close().await;
}

#[tokio::test]
async fn bodies_that_do_not_come_hold_up_nobody() {
    let mut connections = limits::CONNECTIONS;
    connections.connections = 8;
    let port = Port::open_with(&Signal::ALL, LIMITS, connections);
    let mut held = Vec::new();
    for _ in 0..30 {
        let mut stream = TcpStream::connect(port.address).await.unwrap();
        let head = format!(
            "POST /v1/traces HTTP/1.1\r\nhost: localhost\r\n{PROTOBUF}content-length: 1000000\r\n\r\nx"
        );
        stream.write_all(head.as_bytes()).await.unwrap();
        held.push(stream);
    }
    let (body, _) = protobuf(Signal::Traces);
    let answered = async {
        loop {
            // Until those that wait have waited for long enough to go.
            let mut stream = TcpStream::connect(port.address).await.unwrap();
            let head = format!(
                "POST /v1/traces HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n{PROTOBUF}content-length: {}\r\n\r\n",
                body.len()
            );
            let _: io::Result<()> = stream.write_all(&[head.as_bytes(), &body].concat()).await;
            let mut answer = Vec::new();
            let _: io::Result<usize> = stream.read_to_end(&mut answer).await;
            if answer.starts_with(b"HTTP/1.1 200 ") {
                break;
            }
        }
    };
    tokio::time::timeout(PATIENCE, answered)
        .await
        .expect("a place in time");
    assert_eq!(port.requests().len(), 1);
    drop(held);
    port.close().await;
}

#[tokio::test]
async fn a_client_that_breaks_off_in_the_middle_is_no_request() {
    let port = Port::open();
    let head =
        format!("POST /v1/traces HTTP/1.1\r\nhost: localhost\r\n{PROTOBUF}content-length: 1000\r\n\r\nhalf");
    let mut stream = TcpStream::connect(port.address).await.unwrap();
    stream.write_all(head.as_bytes()).await.unwrap();
    stream.shutdown().await.unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    assert_eq!(Raw::of(&answer).status, 400);
    assert_eq!(port.requests(), []);
    assert_eq!(*port.kept.refused.lock().unwrap(), []);
    port.close().await;
}
