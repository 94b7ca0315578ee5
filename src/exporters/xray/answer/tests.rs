use http::HeaderValue;

use super::*;
use crate::exporters::transport::{class_of_transport, timed_out};

fn answer(status: u16, error_type: Option<&str>, body: &str) -> Raw {
    Raw {
        status,
        headers: headers(error_type.map(|error_type| (ERROR_TYPE, error_type))),
        body: Bytes::copy_from_slice(body.as_bytes()),
        came_at: SystemTime::UNIX_EPOCH,
    }
}

fn headers<'a>(headers: impl IntoIterator<Item = (HeaderName, &'a str)>) -> HeaderMap {
    let headers = headers.into_iter();
    headers
        .map(|(name, value)| (name, HeaderValue::from_str(value).unwrap()))
        .collect()
}

#[test]
fn every_status_has_its_class() {
    for status in 100..=600 {
        let class = match status {
            401 | 403 => ErrorClass::Credentials,
            408 => ErrorClass::Timeout,
            413 => ErrorClass::Refused,
            429 => ErrorClass::Throttled,
            500..=599 => ErrorClass::ServerError,
            _ => ErrorClass::NotAnAnswer,
        };
        for has_modelled_form in [false, true] {
            assert_eq!(class_of(status, None, has_modelled_form), class, "{status}");
        }
    }
}

#[test]
fn a_telling_code_stands_over_the_status() {
    for (code, class) in [
        ("ThrottledException", ErrorClass::Throttled),
        ("ThrottlingException", ErrorClass::Throttled),
        ("SlowDown", ErrorClass::Throttled),
        ("SlowDownRead", ErrorClass::Throttled),
        ("TooManyRequestsException", ErrorClass::Throttled),
        ("TooManyRequests", ErrorClass::Throttled),
        ("RequestLimitExceeded", ErrorClass::Throttled),
        ("RequestTimeout", ErrorClass::Timeout),
        ("UnrecognizedClientException", ErrorClass::Credentials),
        ("SignatureDoesNotMatch", ErrorClass::Credentials),
    ] {
        for status in [400, 403, 413, 500, 503] {
            assert_eq!(class_of(status, Some(code), true), class, "{status} {code}");
        }
    }
    assert_eq!(
        class_of(400, Some("InvalidRequestException"), true),
        ErrorClass::Refused
    );
    assert_eq!(
        class_of(500, Some("InternalFailure"), true),
        ErrorClass::ServerError
    );
}

#[test]
fn only_errors_of_the_model_in_its_form_refuse_a_body() {
    fn class(status: u16, error_type: Option<&str>, body: &str) -> ErrorClass {
        answer(status, error_type, body).meaning().unwrap_err().class
    }
    for code in [
        "InvalidRequestException",
        "ValidationException",
        "ValidationError",
        "SerializationException",
        "RequestEntityTooLargeException",
        "RequestEntityTooLarge",
        "PayloadTooLargeException",
    ] {
        for status in [400, 404, 422] {
            let (in_json, in_xml) = (
                format!(r#"{{"__type":"com.amazonaws.xray#{code}"}}"#),
                format!("<Error><Code>{code}</Code></Error>"),
            );
            assert_eq!(class(status, None, &in_json), ErrorClass::Refused, "{code}");
            assert_eq!(class(status, Some(code), "{}"), ErrorClass::Refused, "{code}");
            assert_eq!(class(status, Some(code), ""), ErrorClass::Refused, "{code}");
            assert_eq!(class(status, None, &in_xml), ErrorClass::NotAnAnswer, "{code}");
            assert_eq!(
                class(status, Some(code), "<html>"),
                ErrorClass::NotAnAnswer,
                "{code}"
            );
        }
        assert_eq!(class(500, Some(code), "{}"), ErrorClass::ServerError, "{code}");
    }
    for code in [
        "UnknownOperationException",
        "InternalFailure",
        "Invalid",
        "Exception",
    ] {
        assert_eq!(class(400, Some(code), "{}"), ErrorClass::NotAnAnswer, "{code}");
    }
}

#[test]
fn a_retry_after_is_a_number_of_seconds_or_a_date_by_the_clock_of_whoever_wrote_it() {
    let asked = |retry_after: &str, date: Option<&str>| {
        let answer = Raw {
            headers: headers(
                [(RETRY_AFTER, retry_after)]
                    .into_iter()
                    .chain(date.map(|date| (DATE, date))),
            ),
            // 2026-11-25T18:00:00Z
            came_at: SystemTime::UNIX_EPOCH + Duration::from_secs(1_795_629_600),
            ..answer(503, None, "")
        };
        answer
            .meaning()
            .unwrap_err()
            .retry_after
            .map(|asked| asked.as_secs())
    };
    assert_eq!(asked("7", None), Some(7));
    assert_eq!(asked("86400", None), Some(60));
    assert_eq!(asked("Wed, 25 Nov 2026 18:00:09 GMT", None), Some(9));
    assert_eq!(asked(" Wed, 25 Nov 2026 18:00:09 GMT ", None), Some(9));
    assert_eq!(asked("Thu, 26 Nov 2026 18:00:00 GMT", None), Some(60), "bounded");
    assert_eq!(asked("Tue, 24 Nov 2026 18:00:00 GMT", None), Some(0), "over");
    let its_clock = Some("Wed, 25 Nov 2026 12:00:00 GMT");
    assert_eq!(asked("Wed, 25 Nov 2026 12:00:04 GMT", its_clock), Some(4));
    assert_eq!(asked("Wed, 25 Nov 2026 18:00:09 GMT", Some("yesterday")), Some(9));
    for nonsense in ["soon", "", "-1", "1.5", "Wed, 99 Nov 2026 18:00:09 GMT"] {
        assert_eq!(asked(nonsense, None), None, "{nonsense:?}");
    }
}

#[test]
fn the_code_is_found_in_each_of_its_places() {
    let code = |error_type, body| answer(400, error_type, body).meaning().unwrap_err().code;
    let expected = Some("SomeException".to_owned());
    assert_eq!(code(Some("SomeException"), r#"{"__type":"Other"}"#), expected);
    assert_eq!(code(Some("SomeException:http://example.com/"), ""), expected);
    assert_eq!(
        code(None, r#"{"__type":"com.amazonaws.xray#SomeException"}"#),
        expected
    );
    assert_eq!(code(None, r#"{"code":"SomeException"}"#), expected);
    assert_eq!(code(None, "<Error><Code>SomeException</Code></Error>"), expected);
    for nothing in ["", "{}", r#"{"code":7}"#, "<Code>unclosed", "<html>", "\u{fffd}"] {
        assert_eq!(code(None, nothing), None, "{nothing:?}");
    }
}

#[test]
fn only_the_services_own_json_with_a_200_is_a_success() {
    let taken = |body| answer(200, None, body).meaning().map(|answer| answer.unprocessed);
    for nothing_unprocessed in [
        "{}",
        r#"{"UnprocessedTraceSegments":null}"#,
        r#"{"UnprocessedTraceSegments":[]}"#,
        r#"{"UnprocessedTraceSegments":[null],"More":1}"#,
    ] {
        assert_eq!(
            taken(nothing_unprocessed),
            Ok(Vec::new()),
            "{nothing_unprocessed}"
        );
    }
    let entries = r#"[{"Id":"a","ErrorCode":"ParseError","Message":"no\nsegment"},null,{"Id":7}]"#;
    let unprocessed = |id: Option<&str>, error_code: Option<&str>, message: Option<&str>| Unprocessed {
        id: id.map(str::to_owned),
        error_code: error_code.map(str::to_owned),
        message: message.map(str::to_owned),
        class: ErrorClass::Refused,
    };
    assert_eq!(
        taken(&format!(r#"{{"UnprocessedTraceSegments":{entries}}}"#)),
        Ok(vec![
            unprocessed(Some("a"), Some("ParseError"), Some("no\nsegment")),
            unprocessed(None, None, None)
        ])
    );
    let no_answer = |shown: &str| {
        format!(
            "{shown}, which is not PutTraceSegments' answer: is the endpoint right, is a proxy in between?"
        )
    };
    for (status, body, message) in [
        (200, "", no_answer("status 200: without a body")),
        (
            200,
            "<p>\n</p>",
            no_answer("status 200: with the body \"<p> </p>\""),
        ),
        (
            200,
            r#"{"a":1}"#,
            no_answer(r#"status 200: with the body "{"a":1}""#),
        ),
        (
            200,
            r#"{"UnprocessedTraceSegments":[1]}"#,
            no_answer(r#"status 200: with the body "{"UnprocessedTraceSegments":[1]}""#),
        ),
        (
            200,
            r#"{"UnprocessedTraceSegments":{}}"#,
            no_answer(r#"status 200: with the body "{"UnprocessedTraceSegments":{}}""#),
        ),
        (204, "", no_answer("status 204: without a body")),
        (299, "{}", no_answer("status 299: with the body \"{}\"")),
        (
            300,
            "{}",
            "status 300: redirected to nowhere; X-Ray does not redirect: is the endpoint right?".to_owned(),
        ),
        (
            399,
            "",
            "status 399: redirected to nowhere; X-Ray does not redirect: is the endpoint right?".to_owned(),
        ),
    ] {
        let error = answer(status, None, body).meaning().unwrap_err();
        assert_eq!(
            (error.class, error.status, error.code, error.message),
            (ErrorClass::NotAnAnswer, Some(status), None, message)
        );
    }
}

#[test]
fn the_id_of_a_call_is_the_services_or_else_that_of_its_front() {
    let id = |of: &[(HeaderName, &str)]| {
        let answer = Raw {
            headers: headers(of.iter().cloned()),
            ..answer(200, None, "{}")
        };
        answer.meaning().unwrap().request_id
    };
    let (own, front) = ((REQUEST_ID, "an-id"), (REQUEST_ID_OF_FRONT, "of-front"));
    assert_eq!(id(&[front.clone(), own]).as_deref(), Some("an-id"));
    assert_eq!(id(&[front]).as_deref(), Some("of-front"));
    assert_eq!(id(&[]), None);
}

#[test]
fn an_answer_has_the_time_when_it_came_and_headers_that_are_no_text_are_as_none() {
    let mut response = Response::new(Bytes::from_static(b"{}"));
    let value = HeaderValue::from_bytes(b"\xff").unwrap();
    response.headers_mut().insert(REQUEST_ID, value);
    let now = SystemTime::now();
    let came = Raw::of(response);
    assert!(came.came_at >= now);
    assert_eq!(came.meaning().unwrap().request_id, None);
}

#[tokio::test]
async fn a_fault_of_our_own_is_not_taken_for_one_of_the_connection() {
    // Nobody had asked for another protocol.
    let error = hyper::upgrade::on(http::Request::new(())).await.unwrap_err();
    assert!(error.is_user(), "{error:?}");
    assert_eq!(class_of_transport(&error), ErrorClass::Other);
    let reset = std::io::Error::from(std::io::ErrorKind::ConnectionReset);
    assert_eq!(class_of_transport(&reset), ErrorClass::Connection);
    assert_eq!(class_of_transport(&std::fmt::Error), ErrorClass::Other);
}

#[test]
fn a_call_without_an_answer_says_how_long_it_was_waited_for() {
    let error = timed_out(Duration::from_millis(1500));
    assert_eq!((error.class, error.status), (ErrorClass::Timeout, None));
    assert_eq!(error.message, "no answer within 1.5 s");
}

#[test]
fn a_503_that_asks_to_slow_down_in_any_words_is_throttling() {
    for (status, body, class) in [
        (503, "<h1>Slow Down</h1>", ErrorClass::Throttled),
        (
            503,
            "<Message>Please reduce your request rate.</Message>",
            ErrorClass::Throttled,
        ),
        (503, "<h1>Service Unavailable</h1>", ErrorClass::ServerError),
        (503, "", ErrorClass::ServerError),
        (500, "<h1>Slow Down</h1>", ErrorClass::ServerError),
        (400, "<h1>Slow Down</h1>", ErrorClass::NotAnAnswer),
    ] {
        let error = answer(status, None, body).meaning().unwrap_err();
        assert_eq!(error.class, class, "{status} {body}");
    }
}

#[test]
fn keys_are_replaced_when_they_are_no_good_and_not_when_they_lack_rights() {
    let says = |status, code| says_bad_key(&answer(status, Some(code), "").meaning().unwrap_err());
    assert!(says(403, "ExpiredTokenException"));
    assert!(says(400, "UnrecognizedClientException"));
    assert!(says(401, "Anything"));
    assert!(!says(403, "AccessDeniedException"));
    assert!(!says(500, "InternalFailure"));
}

#[test]
fn only_codes_that_blame_the_service_are_worth_another_try() {
    for code in [
        "ThrottledException",
        "InternalFailure",
        "ServiceUnavailable",
        "RequestTimeout",
    ] {
        assert!(class_of_unprocessed(Some(code)).is_retriable(), "{code}");
    }
    for code in [
        "ParseError",
        "MissingId",
        "InvalidName",
        "InvalidTraceId",
        "InvalidSegment",
        "",
    ] {
        assert!(!class_of_unprocessed(Some(code)).is_retriable(), "{code}");
    }
}
