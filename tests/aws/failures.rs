//! Calls to which no whole answer comes.

use std::time::Duration;

use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;
use xray::exporters::xray::XRay;
use xray::ledger::outcome::ErrorClass;

use crate::support::*;

#[tokio::test]
async fn a_port_that_nobody_listens_on_is_connection_refused() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let error = failure_at(format!("http://{address}")).await;
    assert_eq!((error.class, error.status), (ErrorClass::ConnectionRefused, None));
    assert!(
        error
            .message
            .starts_with(&format!("cannot connect to http://{address}: ")),
        "{error}"
    );
    assert!(error.message.contains("refused"), "{error}");
}

#[tokio::test]
async fn a_name_without_an_address_is_unknown_host() {
    // A label of more than 63 characters is in no DNS, and no resolver asks for it.
    let host = format!("{}.example", "x".repeat(70));
    let error = failure_at(format!("http://{host}")).await;
    assert_eq!((error.class, error.status), (ErrorClass::UnknownHost, None));
    assert!(
        error
            .message
            .starts_with(&format!("cannot find the address of {host}: ")),
        "{error}"
    );
}

#[tokio::test]
async fn a_connection_that_is_reset_is_a_connection_error() {
    let address = raw_server(|stream| async move {
        let stream = socket2::Socket::from(stream.into_std().unwrap());
        // With no time to linger, closing sends a reset.
        stream.set_linger(Some(Duration::ZERO)).unwrap();
    })
    .await;
    let error = failure_at(format!("http://{address}")).await;
    assert_eq!((error.class, error.status), (ErrorClass::Connection, None));
    assert!(error.message.to_lowercase().contains("reset"), "{error}");
}

#[tokio::test]
async fn a_connection_that_is_closed_is_a_connection_error() {
    let address = raw_server(|stream| async move { drop(stream) }).await;
    let error = failure_at(format!("http://{address}")).await;
    assert_eq!((error.class, error.status), (ErrorClass::Connection, None));
    assert!(error.message.contains("closed"), "{error}");
}

#[tokio::test]
async fn an_answer_cut_in_its_body_is_a_connection_error() {
    let address = raw_server(|mut stream| async move {
        stream
            .write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{")
            .await
            .unwrap();
    })
    .await;
    let error = failure_at(format!("http://{address}")).await;
    assert_eq!((error.class, error.status), (ErrorClass::Connection, Some(200)));
    assert!(error.message.contains("its body did not arrive"), "{error}");
}

#[tokio::test]
async fn an_answer_without_end_is_cut_off_at_a_mebibyte() {
    let address = raw_server(|mut stream| async move {
        let head = b"HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n";
        stream.write_all(head).await.unwrap();
        while stream.write_all(&[b' '; 65536]).await.is_ok() {}
    })
    .await;
    let error = failure_at(format!("http://{address}")).await;
    assert_eq!((error.class, error.status), (ErrorClass::NotAnAnswer, Some(200)));
}

#[tokio::test]
async fn what_does_not_speak_http_is_not_an_answer() {
    let address = raw_server(|mut stream| async move {
        stream.write_all(b"220 mail.example ESMTP\r\n").await.unwrap();
        // Open until the client has read it.
        tokio::time::sleep(Duration::from_secs(60)).await;
    })
    .await;
    let error = failure_at(format!("http://{address}")).await;
    assert_eq!((error.class, error.status), (ErrorClass::NotAnAnswer, None));
}

#[tokio::test]
async fn an_endpoint_that_never_answers_is_a_timeout() {
    let address = raw_server(|stream| async move {
        tokio::time::sleep(Duration::from_secs(60)).await;
        drop(stream);
    })
    .await;
    let aws = XRay::connect_within(
        &config_for(format!("http://{address}")),
        &environment(&[]),
        "eu-west-1",
        impatient(),
    )
    .await
    .unwrap();
    let error = aws.put_trace_segments(BODY.into()).await.unwrap_err();
    assert_eq!((error.class, error.status), (ErrorClass::Timeout, None));
    assert_eq!(error.message, "no answer within 0.3 s");
}

#[tokio::test]
async fn a_call_waits_for_a_slow_endpoint_as_long_as_the_limit_says() {
    let address = raw_server(|mut stream| async move {
        tokio::time::sleep(Duration::from_millis(100)).await;
        stream
            .write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")
            .await
            .unwrap();
    })
    .await;
    let aws = XRay::connect_within(
        &config_for(format!("http://{address}")),
        &environment(&[]),
        "eu-west-1",
        xray::aws::Limits {
            attempt_timeout: Duration::from_secs(20),
            ..impatient()
        },
    )
    .await
    .unwrap();
    aws.put_trace_segments(BODY.into()).await.unwrap();
    assert_eq!(
        xray::aws::Limits::default().attempt_timeout,
        Duration::from_secs(15)
    );
}

#[tokio::test]
async fn a_tls_handshake_that_never_ends_is_a_timeout() {
    let address = raw_server(|stream| async move {
        tokio::time::sleep(Duration::from_secs(60)).await;
        drop(stream);
    })
    .await;
    let config = xray::config::XRayConfig {
        no_verify_ssl: true,
        ..config_for(format!("https://{address}"))
    };
    let limits = xray::aws::Limits {
        connect_timeout: Duration::from_millis(100),
        ..xray::aws::Limits::default()
    };
    let aws = XRay::connect_within(&config, &environment(&[]), "eu-west-1", limits)
        .await
        .unwrap();
    let error = aws.put_trace_segments(BODY.into()).await.unwrap_err();
    assert_eq!(error.class, ErrorClass::Timeout);
    assert_eq!(
        error.message,
        format!("no connection to https://{address} within 0.2 s")
    );
}
