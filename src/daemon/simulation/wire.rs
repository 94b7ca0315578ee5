//! What the endpoint, and others on the way, write; read by the same code that reads the real answers.

use bytes::Bytes;
use http::Response;

use super::plan::{Failure, Throttle};
use crate::exporters::error::PutError;
pub(super) use crate::exporters::xray::testing::{meaning, timed_out};

fn response(status: u16, body: impl Into<Bytes>) -> Response<Bytes> {
    Response::builder()
        .status(status)
        .body(body.into())
        .expect("a response")
}

/// A page of somebody on the way.
pub(super) fn page(status: u16) -> Response<Bytes> {
    response(status, "<html><body><h1>Blocked</h1></body></html>")
}

/// An answer that names these documents, with codes, as not processed.
pub(super) fn answered(named: &[(String, &str)]) -> Response<Bytes> {
    let entries: Vec<String> = named
        .iter()
        .map(|(id, code)| format!(r#"{{"Id":"{id}","ErrorCode":"{code}"}}"#))
        .collect();
    response(
        200,
        format!(r#"{{"UnprocessedTraceSegments":[{}]}}"#, entries.join(",")),
    )
}

/// The body is refused for good.
pub(super) fn refused() -> Response<Bytes> {
    response(400, r#"{"__type":"InvalidRequestException","message":"no"}"#)
}

pub(super) fn failure(how: Failure) -> Result<Response<Bytes>, PutError> {
    match how {
        Failure::Service(status) => Ok(response(status, r#"{"__type":"InternalFailure"}"#)),
        Failure::Page(status) => Ok(page(status)),
        Failure::Credentials => Ok(response(403, r#"{"__type":"ExpiredTokenException"}"#)),
        Failure::Transport(class) => Err(PutError::new(class, "no answer")),
    }
}

pub(super) fn throttled(how: Throttle, retry_after_s: Option<u64>) -> Response<Bytes> {
    let mut response = match how {
        Throttle::Status => response(429, ""),
        Throttle::SlowDown => response(503, "<Error><Code>SlowDown</Code></Error>"),
        Throttle::Code | Throttle::Documents => response(400, r#"{"__type":"ThrottlingException"}"#),
    };
    if let Some(seconds) = retry_after_s {
        response
            .headers_mut()
            .insert(http::header::RETRY_AFTER, seconds.into());
    }
    response
}
