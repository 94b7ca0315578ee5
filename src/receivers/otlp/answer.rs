//! What a client is answered, in the encoding that it speaks.
//!
//! | outcome | HTTP | gRPC | the client |
//! |---|---|---|---|
//! | taken | 200 | `OK` | goes on |
//! | part of it will never be taken | 200 with `partialSuccess` | the same | logs it, and does not send it again |
//! | no request of this signal | 400 | `INVALID_ARGUMENT` | drops it |
//! | a page or a host that may not | 403 | `PERMISSION_DENIED` | drops it |
//! | no such path, or a signal that has no destination | 404 | `UNIMPLEMENTED` | drops it |
//! | no POST | 405 | | |
//! | too long | 413 | `RESOURCE_EXHAUSTED` | drops it, or sends it in parts |
//! | an encoding that is not spoken here | 415 | `UNIMPLEMENTED` | drops it |
//! | no room, or it came too slowly | 503 with `Retry-After` | `UNAVAILABLE` with `RetryInfo` | sends it again |
//!
//! There is no 500 in it: SDKs drop what is answered with one.

use std::borrow::Cow;

use bytes::Bytes;
use http::header::{ALLOW, RETRY_AFTER};
use http::{HeaderValue, StatusCode};
use prost::Message as _;
use serde_json::{Value, json};
use xray_document::otlp::response::{PartialSuccess, Response};

use super::grpc;
use crate::ledger::signal::Signal;
use crate::net::server::answer::{self, Answer};
use crate::pipeline::intake::NotTaken;

/// How long a client that found no room is to wait, in seconds: what is in the way is mostly gone by then, and SDKs double it
/// themselves from try to try.
const RETRY_AFTER_SECONDS: u32 = 1;

/// How a client speaks, and is spoken to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Speech {
    /// `application/x-protobuf`.
    Protobuf,
    /// `application/json`; also who speaks nothing known is answered so.
    Json,
    /// `application/grpc`.
    Grpc,
}

/// Why a request is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Why {
    Malformed,
    Forbidden,
    NotHere,
    Method,
    TooLong,
    Encoding,
    Busy,
}

impl Why {
    pub(super) const fn status(self) -> StatusCode {
        match self {
            Self::Malformed => StatusCode::BAD_REQUEST,
            Self::Forbidden => StatusCode::FORBIDDEN,
            Self::NotHere => StatusCode::NOT_FOUND,
            Self::Method => StatusCode::METHOD_NOT_ALLOWED,
            Self::TooLong => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Encoding => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::Busy => StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    /// The code of gRPC, which a `google.rpc.Status` has in every encoding.
    const fn code(self) -> u8 {
        match self {
            Self::Malformed => 3,
            Self::Forbidden => 7,
            Self::TooLong => 8,
            Self::NotHere | Self::Method | Self::Encoding => 12,
            Self::Busy => 14,
        }
    }
}

/// A request that is refused, and what its sender is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Refusal {
    pub(super) why: Why,
    pub(super) message: Cow<'static, str>,
    /// Its body has not been read, so HTTP/1.1 can't go on behind it.
    pub(super) is_last: bool,
}

impl Refusal {
    pub(super) fn new(why: Why, message: impl Into<Cow<'static, str>>) -> Self {
        Self {
            why,
            message: message.into(),
            is_last: false,
        }
    }

    pub(super) fn last(self) -> Self {
        Self {
            is_last: true,
            ..self
        }
    }
}

/// `google.rpc.Status`.
#[derive(Clone, PartialEq, prost::Message)]
struct Status {
    #[prost(int32, tag = "1")]
    code: i32,
    #[prost(string, tag = "2")]
    message: String,
    #[prost(message, repeated, tag = "3")]
    details: Vec<Any>,
}

/// `google.protobuf.Any`.
#[derive(Clone, PartialEq, prost::Message)]
struct Any {
    #[prost(string, tag = "1")]
    type_url: String,
    #[prost(bytes = "vec", tag = "2")]
    value: Vec<u8>,
}

/// `google.rpc.RetryInfo`.
#[derive(Clone, PartialEq, prost::Message)]
struct RetryInfo {
    #[prost(message, optional, tag = "1")]
    retry_delay: Option<Delay>,
}

/// `google.protobuf.Duration`.
#[derive(Clone, Copy, PartialEq, prost::Message)]
struct Delay {
    #[prost(int64, tag = "1")]
    seconds: i64,
}

/// A request has been taken, but for what `not_taken` says.
pub(super) fn taken(speech: Speech, signal: Signal, not_taken: Option<NotTaken>) -> Answer {
    if speech == Speech::Json {
        let partial = not_taken.map(|part| {
            let rejected = match signal {
                Signal::Traces => "rejectedSpans",
                Signal::Metrics => "rejectedDataPoints",
                Signal::Logs => "rejectedLogRecords",
            };
            // Numbers of 64 bits are strings in protobuf's JSON.
            json!({"partialSuccess": {rejected: part.items.to_string(), "errorMessage": part.why}})
        });
        return answer::json(StatusCode::OK, &partial.unwrap_or_else(|| json!({})));
    }
    let response = Response {
        partial_success: not_taken.map(|part| PartialSuccess {
            rejected: i64::try_from(part.items).unwrap_or(i64::MAX),
            error_message: part.why,
        }),
    };
    let message = response.encode_to_vec();
    match speech {
        Speech::Grpc => grpc::success(&message),
        Speech::Protobuf | Speech::Json => answer::of_type(PROTOBUF, Bytes::from(message)),
    }
}

pub(super) const PROTOBUF: &str = "application/x-protobuf";

/// A request has been refused.
pub(super) fn refused(speech: Speech, refusal: &Refusal) -> Answer {
    let Refusal { why, message, .. } = refusal;
    let is_busy = *why == Why::Busy;
    let mut status = Status {
        code: why.code().into(),
        message: message.clone().into_owned(),
        details: Vec::new(),
    };
    let mut answer = match speech {
        Speech::Grpc => {
            let details = is_busy.then(|| {
                let delay = Delay {
                    seconds: RETRY_AFTER_SECONDS.into(),
                };
                status.details.push(Any {
                    type_url: "type.googleapis.com/google.rpc.RetryInfo".to_owned(),
                    value: RetryInfo {
                        retry_delay: Some(delay),
                    }
                    .encode_to_vec(),
                });
                status.encode_to_vec()
            });
            return grpc::failure(why.code(), message, details.as_deref());
        }
        Speech::Protobuf => {
            let mut answer = answer::of_type(PROTOBUF, Bytes::from(status.encode_to_vec()));
            *answer.status_mut() = why.status();
            answer
        }
        Speech::Json => {
            let status: Value = json!({"code": status.code, "message": status.message});
            answer::json(why.status(), &status)
        }
    };
    let headers = answer.headers_mut();
    if is_busy {
        headers.insert(RETRY_AFTER, HeaderValue::from(RETRY_AFTER_SECONDS));
    }
    if *why == Why::Method {
        headers.insert(ALLOW, HeaderValue::from_static("POST"));
    }
    if refusal.is_last {
        answer::last(answer)
    } else {
        answer
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt as _;

    use super::*;

    async fn body(answer: Answer) -> (Vec<u8>, Option<http::HeaderMap>) {
        let whole = answer.into_body().collect().await.unwrap();
        let trailers = whole.trailers().cloned();
        (whole.to_bytes().to_vec(), trailers)
    }

    fn header<'a>(answer: &'a Answer, name: &str) -> Option<&'a str> {
        answer.headers().get(name).map(|value| value.to_str().unwrap())
    }

    #[tokio::test]
    async fn success_is_an_empty_message_in_each_encoding() {
        let answer = taken(Speech::Protobuf, Signal::Traces, None);
        assert_eq!(
            (answer.status(), header(&answer, "content-type")),
            (StatusCode::OK, Some("application/x-protobuf"))
        );
        assert_eq!(body(answer).await.0, b"");
        let answer = taken(Speech::Json, Signal::Traces, None);
        assert_eq!(
            (answer.status(), header(&answer, "content-type")),
            (StatusCode::OK, Some("application/json"))
        );
        assert_eq!(body(answer).await.0, b"{}");
        let answer = taken(Speech::Grpc, Signal::Traces, None);
        assert_eq!(
            (answer.status(), header(&answer, "content-type")),
            (StatusCode::OK, Some("application/grpc"))
        );
        let (message, trailers) = body(answer).await;
        assert_eq!(message, [0; 5]);
        assert_eq!(trailers.unwrap()["grpc-status"], "0");
    }

    #[tokio::test]
    async fn a_part_that_was_not_taken_is_told_with_its_number_by_the_name_of_its_signal() {
        let part = || {
            Some(NotTaken {
                items: 3,
                why: "bad ids".to_owned(),
            })
        };
        let expected = b"\x0a\x0b\x08\x03\x12\x07bad ids";
        assert_eq!(
            body(taken(Speech::Protobuf, Signal::Logs, part())).await.0,
            expected
        );
        let (message, _) = body(taken(Speech::Grpc, Signal::Logs, part())).await;
        assert_eq!(message, [&[0, 0, 0, 0, 13][..], expected].concat());
        for (signal, name) in [
            (Signal::Traces, "rejectedSpans"),
            (Signal::Metrics, "rejectedDataPoints"),
            (Signal::Logs, "rejectedLogRecords"),
        ] {
            let (text, _) = body(taken(Speech::Json, signal, part())).await;
            let json: Value = serde_json::from_slice(&text).unwrap();
            assert_eq!(
                json,
                json!({"partialSuccess": {name: "3", "errorMessage": "bad ids"}})
            );
        }
    }

    #[tokio::test]
    async fn each_refusal_has_its_status_and_its_code() {
        for (why, status, code) in [
            (Why::Malformed, 400, 3),
            (Why::Forbidden, 403, 7),
            (Why::NotHere, 404, 12),
            (Why::Method, 405, 12),
            (Why::TooLong, 413, 8),
            (Why::Encoding, 415, 12),
            (Why::Busy, 503, 14),
        ] {
            let refusal = Refusal::new(why, "so");
            let answer = refused(Speech::Json, &refusal);
            assert_eq!(answer.status(), status);
            assert_eq!(header(&answer, "retry-after"), (status == 503).then_some("1"));
            assert_eq!(header(&answer, "allow"), (status == 405).then_some("POST"));
            let json: Value = serde_json::from_slice(&body(answer).await.0).unwrap();
            assert_eq!(json, json!({"code": code, "message": "so"}));

            let answer = refused(Speech::Protobuf, &refusal);
            assert_eq!(answer.status(), status);
            assert_eq!(body(answer).await.0, [0x08, code, 0x12, 0x02, b's', b'o']);

            let answer = refused(Speech::Grpc, &refusal);
            assert_eq!(answer.status(), 200);
            assert_eq!(header(&answer, "grpc-status"), Some(code.to_string().as_str()));
            assert_eq!(header(&answer, "grpc-message"), Some("so"));
            let details = header(&answer, "grpc-status-details-bin");
            assert_eq!(details.is_some(), why == Why::Busy);
            if let Some(details) = details {
                let padded = format!("{details}{}", "=".repeat((4 - details.len() % 4) % 4));
                let status = Status::decode(&*aws_smithy_types::base64::decode(padded).unwrap()).unwrap();
                assert_eq!((status.code, status.message.as_str()), (14, "so"));
                assert_eq!(
                    status.details[0].type_url,
                    "type.googleapis.com/google.rpc.RetryInfo"
                );
                let info = RetryInfo::decode(status.details[0].value.as_slice()).unwrap();
                assert_eq!(info.retry_delay.unwrap().seconds, 1);
            }
        }
    }

    #[test]
    fn what_was_not_read_is_the_last_on_its_connection() {
        let refusal = Refusal::new(Why::TooLong, "so");
        assert_eq!(header(&refused(Speech::Json, &refusal), "connection"), None);
        assert_eq!(
            header(&refused(Speech::Json, &refusal.last()), "connection"),
            Some("close")
        );
    }
}
