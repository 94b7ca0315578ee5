//! What counts as a success, and what every other answer means.

use std::time::Duration;

use xray::exporters::answer::{Answer, Unprocessed};
use xray::exporters::error::PutError;
use xray::ledger::outcome::ErrorClass;

use crate::support::*;

async fn answered(
    status: u16,
    headers: &'static [(&str, &str)],
    body: &'static str,
) -> Result<Answer, PutError> {
    let server = Server::answering(move |_| reply_with(status, headers, body)).await;
    put(&config_for(server.url()), &environment(&[])).await
}

async fn refused(status: u16, headers: &'static [(&str, &str)], body: &'static str) -> PutError {
    let error = answered(status, headers, body).await.unwrap_err();
    assert_eq!(error.status, Some(status));
    error
}

#[tokio::test]
async fn put_trace_segments_own_answers_are_successes() {
    for body in [
        "{}",
        " {} ",
        r#"{"UnprocessedTraceSegments":[]}"#,
        r#"{"UnprocessedTraceSegments":null}"#,
    ] {
        let answer = answered(200, &[("x-amzn-requestid", "1-2-3")], body)
            .await
            .unwrap();
        assert_eq!(
            answer,
            Answer {
                unprocessed: Vec::new(),
                request_id: Some("1-2-3".to_owned()),
                ..Answer::default()
            },
            "{body}"
        );
    }
}

#[tokio::test]
async fn unprocessed_documents_are_told() {
    let answer = answered(
        200,
        &[],
        r#"{"UnprocessedTraceSegments":[
            {"Id":"0000000000000001","ErrorCode":"InvalidName","Message":"Invalid\u001b[31m subsegment"},
            {"ErrorCode":"ParseError"},
            {}]}"#,
    )
    .await
    .unwrap();
    let nothing = Unprocessed {
        id: None,
        error_code: None,
        message: None,
        class: ErrorClass::Refused,
    };
    assert_eq!(
        answer.unprocessed,
        [
            Unprocessed {
                id: Some("0000000000000001".to_owned()),
                error_code: Some("InvalidName".to_owned()),
                // As it came: who shows it escapes it, once.
                message: Some("Invalid\u{1b}[31m subsegment".to_owned()),
                class: ErrorClass::Refused,
            },
            Unprocessed {
                error_code: Some("ParseError".to_owned()),
                ..nothing.clone()
            },
            nothing,
        ]
    );
}

#[tokio::test]
async fn a_200_with_anything_else_is_no_success() {
    for body in [
        "",
        "<html><body>Sign in to the wifi</body></html>",
        "null",
        "[]",
        "\"ok\"",
        r#"{"status":"ok"}"#,
        r#"{"UnprocessedTraceSegments":{}}"#,
        r#"{"UnprocessedTraceSegments":["x"]}"#,
        r#"{"UnprocessedTraceSegments":[]"#,
    ] {
        let error = refused(200, &[], body).await;
        assert_eq!(error.class, ErrorClass::NotAnAnswer, "{body}");
        assert!(
            error.message.contains("is not PutTraceSegments' answer"),
            "{error}"
        );
    }
    assert_eq!(refused(204, &[], "").await.class, ErrorClass::NotAnAnswer);
    assert_eq!(refused(202, &[], "{}").await.class, ErrorClass::NotAnAnswer);
}

#[tokio::test]
async fn a_redirect_is_not_followed_and_is_no_success() {
    for status in [301, 302, 307, 308] {
        let server = Server::answering(move |_| reply_with(status, &[("location", "/Other")], "{}")).await;
        let error = put(&config_for(server.url()), &environment(&[]))
            .await
            .unwrap_err();
        assert_eq!(
            (error.class, error.status),
            (ErrorClass::NotAnAnswer, Some(status))
        );
        assert!(error.message.contains("redirected to /Other"), "{error}");
        assert_eq!(server.requests().len(), 1);
    }
}

#[tokio::test]
async fn a_refused_body_is_permanent_and_says_why() {
    let error = refused(
        400,
        &[(
            "x-amzn-errortype",
            "InvalidRequestException:http://internal.amazon.com/",
        )],
        r#"{"message":"Exceeding maximum segment count: 50"}"#,
    )
    .await;
    assert_eq!(
        error,
        PutError {
            class: ErrorClass::Refused,
            message: "status 400 InvalidRequestException: Exceeding maximum segment count: 50".to_owned(),
            status: Some(400),
            code: Some("InvalidRequestException".to_owned()),
            whole: false,
            retry_after: None,
        }
    );
    assert_eq!(refused(413, &[], "").await.class, ErrorClass::Refused);
    assert_eq!(refused(413, &[], "").await.message, "status 413");
}

#[tokio::test]
async fn throttling_is_known_by_status_or_by_code() {
    let bare = refused(429, &[], "").await;
    assert_eq!((bare.class, bare.retry_after), (ErrorClass::Throttled, None));
    let coded = refused(
        429,
        &[("x-amzn-errortype", "ThrottledException"), ("retry-after", "7")],
        r#"{"Message":"slow down"}"#,
    )
    .await;
    assert_eq!(coded.class, ErrorClass::Throttled);
    assert_eq!(coded.retry_after, Some(Duration::from_secs(7)));
    assert_eq!(coded.message, "status 429 ThrottledException: slow down");
    for (status, body) in [
        (400, r#"{"__type":"com.amazonaws.xray#ThrottlingException"}"#),
        (503, r#"{"code":"SlowDown"}"#),
        (
            400,
            "<Response><Error><Code>RequestLimitExceeded</Code></Error></Response>",
        ),
        (400, r#"{"__type":"ThrottlingException"}"#),
        (503, "<Error><Code>SlowDown</Code></Error>"),
        (503, "<html><head><title>503 Slow Down</title></head></html>"),
        (503, r#"{"message":"Please reduce your request rate."}"#),
    ] {
        assert_eq!(
            refused(status, &[], body).await.class,
            ErrorClass::Throttled,
            "{body}"
        );
    }
}

#[tokio::test]
async fn retry_after_is_bounded_and_nonsense_is_ignored() {
    assert_eq!(
        refused(503, &[("retry-after", "86400")], "").await.retry_after,
        Some(Duration::from_secs(60))
    );
    assert_eq!(refused(503, &[("retry-after", "-1")], "").await.retry_after, None);
    assert_eq!(
        refused(503, &[("retry-after", "soon")], "").await.retry_after,
        None
    );
    let dated = [
        ("date", "Wed, 25 Nov 2026 18:00:00 GMT"),
        ("retry-after", "Wed, 25 Nov 2026 18:00:07 GMT"),
    ];
    let dated: &'static [(&str, &str)] = Box::leak(Box::new(dated));
    assert_eq!(
        refused(503, dated, "").await.retry_after,
        Some(Duration::from_secs(7)),
        "a date is as good as a number"
    );
}

#[tokio::test]
async fn faults_of_the_service_are_server_errors() {
    for status in [500, 501, 502, 503, 504] {
        let error = refused(status, &[], "<html>\r\n<h1>oops</h1>\r\n</html>").await;
        assert_eq!(error.class, ErrorClass::ServerError, "{status}");
        assert_eq!(
            error.message,
            format!("status {status}: <html> <h1>oops</h1> </html>")
        );
    }
}

#[tokio::test]
async fn refused_credentials_are_retriable_and_say_what_was_refused() {
    let json = refused(
        403,
        &[("x-amzn-errortype", "InvalidSignatureException")],
        r#"{"message":"The request signature we calculated does not match"}"#,
    )
    .await;
    assert_eq!(json.class, ErrorClass::Credentials);
    assert_eq!(
        json.message,
        "status 403 InvalidSignatureException: The request signature we calculated does not match"
    );
    let xml = refused(
        403,
        &[],
        "<ErrorResponse><Error><Code>AccessDenied</Code>\n<Message>not\nauthorized</Message></Error></ErrorResponse>",
    )
    .await;
    assert_eq!(xml.class, ErrorClass::Credentials);
    assert_eq!(xml.message, "status 403 AccessDenied: not authorized");
    assert_eq!(refused(401, &[], "").await.class, ErrorClass::Credentials);
    assert_eq!(refused(403, &[], "").await.class, ErrorClass::Credentials);
    assert_eq!(
        refused(400, &[], r#"{"__type":"ExpiredTokenException"}"#)
            .await
            .class,
        ErrorClass::Credentials
    );
}

#[tokio::test]
async fn a_4xx_that_is_none_of_xrays_own_errors_is_not_blamed_on_the_documents() {
    let page = "<html><head><title>Bad Request</title></head></html>";
    for status in [
        400, 402, 404, 405, 406, 407, 409, 410, 411, 415, 417, 421, 422, 423, 425, 426, 431, 451, 460, 499,
    ] {
        for body in [page, "", "{}", r#"{"error":"no"}"#] {
            let error = refused(status, &[], body).await;
            assert_eq!(error.class, ErrorClass::NotAnAnswer, "{status} {body}");
            assert!(error.class.is_retriable());
        }
    }
    let xml = "<Response><Errors><Error><Code>InvalidRequest</Code></Error></Errors></Response>";
    assert_eq!(refused(400, &[], xml).await.class, ErrorClass::NotAnAnswer);
}

#[tokio::test]
async fn xrays_own_errors_about_a_body_refuse_it_wherever_the_code_stands() {
    for code in [
        "InvalidRequestException",
        "ValidationException",
        "SerializationException",
        "RequestEntityTooLargeException",
    ] {
        let in_body: &'static str = Box::leak(format!(r#"{{"__type":"{code}"}}"#).into_boxed_str());
        assert_eq!(
            refused(400, &[], in_body).await.class,
            ErrorClass::Refused,
            "{code}"
        );
        let header: &'static [(&str, &str)] = Box::leak(Box::new([("x-amzn-errortype", code)]));
        assert_eq!(
            refused(400, header, "{}").await.class,
            ErrorClass::Refused,
            "{code}"
        );
    }
    for page in ["", "<html>413 Request Entity Too Large</html>"] {
        assert_eq!(refused(413, &[], page).await.class, ErrorClass::Refused);
    }
}

#[tokio::test]
async fn what_a_server_says_cannot_forge_log_lines() {
    let error = refused(
        400,
        &[],
        "{\"__type\":\"A\\nB\\u001b[2J\",\"message\":\"x\\r\\n2026-11-21T00:00:00Z [Info] forged\"}",
    )
    .await;
    assert_eq!(
        error.message,
        "status 400 A B\\x1b[2J: x 2026-11-21T00:00:00Z [Info] forged"
    );
    assert_eq!(error.code.as_deref(), Some("A B\\x1b[2J"));
    let long: &'static str =
        Box::leak(format!(r#"{{"message":"{}"}}"#, "y".repeat(100_000)).into_boxed_str());
    let message = refused(400, &[], long).await.message;
    assert_eq!(
        message,
        format!("status 400: {}… (100000 bytes)", "y".repeat(300))
    );
}
