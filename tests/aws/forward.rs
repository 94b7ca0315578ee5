//! Calls other than PutTraceSegments: on the same connections, through the same proxies, with the same credentials.

use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::time::sleep;
use xray::ledger::outcome::ErrorClass;

use crate::support::*;

const LIMIT: Duration = Duration::from_secs(5);

#[tokio::test]
async fn they_share_connections_and_the_endpoints_path_with_the_segments() {
    let server = Server::ok().await;
    let config = config_for(format!("{}/base/", server.url()));
    let aws = connect(&config, &environment(&[])).await;
    aws.put_trace_segments(Bytes::from_static(BODY.as_bytes()))
        .await
        .unwrap();
    let answer = aws
        .post("/GetSamplingRules", Bytes::from_static(b"{}"), LIMIT)
        .await
        .unwrap();
    assert_eq!(answer.status(), 200);
    let requests = server.requests();
    assert_eq!(requests[1].uri, "/base/GetSamplingRules");
    assert_eq!(requests[1].text(), "{}");
    assert_eq!(requests[1].header("user-agent"), requests[0].header("user-agent"));
    assert_eq!(requests[1].access_key(), requests[0].access_key());
    assert_eq!(server.connections(), 1);
}

#[tokio::test]
async fn a_plain_proxy_is_used_with_its_password() {
    let proxy = Server::ok().await;
    let address = format!("http://me:p%40ss@{}", proxy.address);
    let config = config_for("http://xray.example:8080");
    let aws = connect(&config, &environment(&[("HTTP_PROXY", &address)])).await;
    aws.post("/GetSamplingRules", Bytes::new(), LIMIT).await.unwrap();
    let request = proxy.request();
    assert_eq!(request.uri, "http://xray.example:8080/GetSamplingRules");
    assert_eq!(request.header("proxy-authorization"), "Basic bWU6cEBzcw==");
    assert_eq!(request.header("content-length"), "0");
    assert!(!request.header("authorization").contains("proxy-authorization"));
}

#[tokio::test]
async fn any_answer_is_an_answer_and_none_in_time_is_a_timeout() {
    let server = Server::answering(|request| match request.uri.path() {
        "/Throttled" => reply_with(429, &[("x-amzn-errortype", "ThrottledException")], "<html>"),
        _ => reply_with(302, &[("location", "http://127.0.0.1:1/")], ""),
    })
    .await;
    let aws = connect(&config_for(server.url()), &environment(&[])).await;
    let answer = aws.post("/Throttled", Bytes::new(), LIMIT).await.unwrap();
    assert_eq!(
        (answer.status().as_u16(), &answer.body()[..]),
        (429, &b"<html>"[..])
    );
    let answer = aws.post("/Elsewhere", Bytes::new(), LIMIT).await.unwrap();
    assert_eq!(answer.status().as_u16(), 302);

    let silent = raw_server(|stream| async move {
        sleep(Duration::from_secs(60)).await;
        drop(stream);
    })
    .await;
    let aws = connect(&config_for(format!("http://{silent}")), &environment(&[])).await;
    let started = Instant::now();
    let limit = Duration::from_millis(200);
    let error = aws.post("/x", Bytes::new(), limit).await.unwrap_err();
    assert_eq!(error.class, ErrorClass::Timeout);
    assert_eq!(error.message, "no answer within 0.2 s");
    assert!(started.elapsed() < LIMIT);
}

#[tokio::test]
async fn an_answer_without_end_is_refused() {
    let endless = raw_server(|mut stream| async move {
        use tokio::io::AsyncWriteExt as _;
        let head = b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n";
        if stream.write_all(head).await.is_ok() {
            while stream.write_all(&[b'x'; 4096]).await.is_ok() {}
        }
    })
    .await;
    let aws = connect(&config_for(format!("http://{endless}")), &environment(&[])).await;
    let error = aws.post("/x", Bytes::new(), LIMIT).await.unwrap_err();
    assert_eq!(
        (error.class, error.status),
        (ErrorClass::NotAnAnswer, Some(200)),
        "{error}"
    );
}

#[tokio::test]
async fn without_credentials_nothing_is_sent() {
    let server = Server::ok().await;
    let aws = connect(&config_for(server.url()), &bare_environment(&[])).await;
    let error = aws.post("/x", Bytes::new(), LIMIT).await.unwrap_err();
    assert_eq!(error.class, ErrorClass::Credentials);
    assert!(server.requests().is_empty());
}

#[tokio::test]
async fn a_telemetry_report_is_taken_with_any_body_and_refused_with_its_code() {
    // moto answers without one, AWS with an object.
    for body in ["", "{}"] {
        let server = Server::answering(move |_| reply(200, body)).await;
        let aws = connect(&config_for(server.url()), &environment(&[])).await;
        aws.put_telemetry_records(Bytes::from_static(b"{}"), LIMIT)
            .await
            .unwrap();
        assert_eq!(server.request().uri, "/TelemetryRecords");
    }
    let server = Server::answering(|_| reply(400, r#"{"__type":"InvalidRequestException"}"#)).await;
    let aws = connect(&config_for(server.url()), &environment(&[])).await;
    let error = aws
        .put_telemetry_records(Bytes::from_static(b"{}"), LIMIT)
        .await
        .unwrap_err();
    assert_eq!(
        (error.class, error.status, error.code.as_deref()),
        (ErrorClass::Refused, Some(400), Some("InvalidRequestException"))
    );
}
