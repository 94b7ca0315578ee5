//! The request on the wire.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use aws_credential_types::Credentials;
use aws_sigv4::http_request::{SignableBody, SignableRequest, SigningSettings, sign};
use aws_sigv4::sign::v4::SigningParams;
use aws_smithy_types::DateTime;
use aws_smithy_types::date_time::Format;
use bytes::Bytes;

use crate::support::*;

#[tokio::test]
async fn a_request_has_the_official_daemons_headers_and_no_others() {
    let server = Server::ok().await;
    put(
        &config_for(server.url()),
        &environment(&[("AWS_EXECUTION_ENV", "AWS_ECS_EC2")]),
    )
    .await
    .unwrap();
    let request = server.request();
    assert_eq!(
        (request.method.as_str(), request.uri.to_string().as_str()),
        ("POST", "/TraceSegments")
    );
    let mut names: Vec<&str> = request.headers.keys().map(http::HeaderName::as_str).collect();
    names.sort_unstable();
    assert_eq!(
        names,
        [
            "authorization",
            "content-length",
            "content-type",
            "host",
            "user-agent",
            "x-amz-date",
            "x-amzn-xray-timestamp"
        ]
    );
    assert_eq!(request.header("host"), server.address.to_string());
    assert_eq!(request.header("content-type"), "application/json");
    assert_eq!(request.header("content-length"), BODY.len().to_string());
    let agent = request.header("user-agent");
    let end = format!(
        " xray-agent/xray-daemon/{} exec-env/AWS_ECS_EC2 OS/",
        env!("CARGO_PKG_VERSION")
    );
    assert!(
        agent.starts_with("aws-sdk-rust/") && agent.contains(&end),
        "{agent}"
    );
    assert!(
        request.header("authorization").contains(
            "/eu-west-1/xray/aws4_request, \
             SignedHeaders=content-length;content-type;host;x-amz-date;x-amzn-xray-timestamp, Signature="
        ),
        "{}",
        request.header("authorization")
    );
}

#[tokio::test]
async fn the_body_is_sent_byte_for_byte() {
    let server = Server::ok().await;
    let aws = connect(&config_for(server.url()), &environment(&[])).await;
    // Large, and not even JSON: nothing here may look into it.
    let body = Bytes::from([b"{not json\0\xff".as_slice(), &[b'x'; 3_000_000]].concat());
    aws.put_trace_segments(body.clone()).await.unwrap();
    assert_eq!(server.request().body, body);
}

#[tokio::test]
async fn the_signature_is_the_one_that_sigv4_asks_for() {
    let server = Server::ok().await;
    let environment = environment(&[("AWS_SESSION_TOKEN", "session/token==")]);
    put(&config_for(format!("{}/base/path", server.url())), &environment)
        .await
        .unwrap();
    let request = server.request();
    assert_eq!(request.header("x-amz-security-token"), "session/token==");

    let identity = Credentials::new(
        "AKIDENVIRONMENT",
        "environment-secret",
        Some("session/token==".to_owned()),
        None,
        "test",
    )
    .into();
    let date = request.header("x-amz-date");
    let (year, month, day) = (&date[..4], &date[4..6], &date[6..8]);
    let (hour, minute, second) = (&date[9..11], &date[11..13], &date[13..15]);
    let time = DateTime::from_str(
        &format!("{year}-{month}-{day}T{hour}:{minute}:{second}Z"),
        Format::DateTime,
    )
    .unwrap();
    let parameters = SigningParams::builder()
        .identity(&identity)
        .region("eu-west-1")
        .name("xray")
        .time(SystemTime::try_from(time).unwrap())
        .settings(SigningSettings::default())
        .build()
        .unwrap()
        .into();
    let signed = ["content-length", "content-type", "host", "x-amzn-xray-timestamp"];
    let signable = SignableRequest::new(
        "POST",
        request.uri.to_string(),
        signed.iter().map(|name| (*name, request.header(name))),
        SignableBody::Bytes(&request.body),
    )
    .unwrap();
    let (instructions, _signature) = sign(signable, &parameters).unwrap().into_parts();
    let expected = instructions
        .headers()
        .find(|(name, _)| name.eq_ignore_ascii_case("authorization"))
        .unwrap()
        .1;
    assert_eq!(request.header("authorization"), expected);
}

#[tokio::test]
async fn the_timestamp_is_new_for_each_call_and_is_now() {
    let server = Server::ok().await;
    let aws = connect(&config_for(server.url()), &environment(&[])).await;
    let before = SystemTime::now();
    for _ in 0..2 {
        aws.put_trace_segments(Bytes::from_static(BODY.as_bytes()))
            .await
            .unwrap();
    }
    let after = SystemTime::now();
    let stamps: Vec<SystemTime> = server
        .requests()
        .iter()
        .map(|request| {
            let (seconds, nanoseconds) = request.header("x-amzn-xray-timestamp").split_once('.').unwrap();
            assert_eq!(nanoseconds.len(), 9);
            UNIX_EPOCH + Duration::new(seconds.parse().unwrap(), nanoseconds.parse().unwrap())
        })
        .collect();
    assert!(
        before <= stamps[0] && stamps[0] < stamps[1] && stamps[1] <= after,
        "{stamps:?}"
    );
}

#[tokio::test]
async fn calls_one_after_the_other_share_a_connection() {
    let server = Server::ok().await;
    let aws = connect(&config_for(server.url()), &environment(&[])).await;
    for _ in 0..3 {
        aws.put_trace_segments(Bytes::from_static(BODY.as_bytes()))
            .await
            .unwrap();
    }
    assert_eq!((server.requests().len(), server.connections()), (3, 1));
}

#[tokio::test]
async fn a_failed_call_is_not_repeated_here() {
    let server = Server::answering(|_| reply(503, "")).await;
    put(&config_for(server.url()), &environment(&[]))
        .await
        .unwrap_err();
    assert_eq!(server.requests().len(), 1);
}
