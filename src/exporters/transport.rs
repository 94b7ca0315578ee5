//! The errors of calls to which no answer came, or only its head, whatever the destination.

use std::error::Error;
use std::time::Duration;

use bytes::Bytes;
use http::Response;
use http_body_util::BodyExt as _;
use hyper::body::Body as _;

use super::error::PutError;
use crate::ledger::outcome::ErrorClass;
use crate::net::client::connector::{ConnectError, io_class};
use crate::net::client::error::{find_cause, told};
use crate::net::client::pool::Answer;

/// The error of a call that was not over within `limit`.
pub(super) fn timed_out(limit: Duration) -> PutError {
    let message = format!("no answer within {} s", limit.as_secs_f32());
    PutError::new(ErrorClass::Timeout, message)
}

/// The error of a call whose answer stopped after its head.
pub(super) fn without_body(status: u16, error: &(dyn Error + 'static)) -> PutError {
    let class = match find_cause::<http_body_util::LengthLimitError>(error) {
        Some(_) => ErrorClass::NotAnAnswer,
        None => class_of_transport(error),
    };
    PutError {
        status: Some(status),
        ..PutError::new(
            class,
            format!("status {status}, but its body did not arrive: {}", cause(error)),
        )
    }
}

/// `response` with its body, once all of that has come.
pub(super) async fn whole(response: Response<Answer>) -> Result<Response<Bytes>, PutError> {
    let (head, mut body) = response.into_parts();
    let status = head.status.as_u16();
    let broken = |error: Box<dyn Error + Send + Sync>| without_body(status, error.as_ref());
    let first = match body.frame().await {
        Some(frame) => frame.map_err(broken)?.into_data().unwrap_or_default(),
        None => Bytes::new(),
    };
    // As nearly all are, since they are short.
    if body.is_end_stream() {
        return Ok(Response::from_parts(head, first));
    }
    let rest = Box::pin(body.collect()).await.map_err(broken)?.to_bytes();
    Ok(Response::from_parts(head, [first, rest].concat().into()))
}

/// The error of a request to which no head came.
pub(super) fn without_head(error: &(dyn Error + 'static)) -> PutError {
    match find_cause::<ConnectError>(error) {
        Some(connecting) => PutError::new(connecting.class, connecting.to_string()),
        None => PutError::new(class_of_transport(error), cause(error)),
    }
}

/// The class of what went wrong on an open connection.
pub(super) fn class_of_transport(error: &(dyn Error + 'static)) -> ErrorClass {
    match find_cause::<hyper::Error>(error) {
        // What answers does not speak HTTP.
        Some(hyper) if hyper.is_parse() => ErrorClass::NotAnAnswer,
        Some(hyper) if hyper.is_user() => ErrorClass::Other,
        Some(hyper) => io_class(hyper).unwrap_or(ErrorClass::Connection),
        None => io_class(error).unwrap_or(ErrorClass::Other),
    }
}

/// The telling part of a chain: from hyper's error on, where there is one; the rest says less.
pub(super) fn cause(error: &(dyn Error + 'static)) -> String {
    match find_cause::<hyper::Error>(error) {
        Some(hyper) => told(hyper),
        None => told(error),
    }
}
