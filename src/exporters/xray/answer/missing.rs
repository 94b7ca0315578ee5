//! The errors of calls to which no answer came, or only its head.

use std::error::Error;
use std::time::Duration;

use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_runtime_api::client::result::SdkError;

use crate::aws::credentials::CredentialsFailure;
use crate::exporters::error::PutError;
use crate::ledger::outcome::ErrorClass;
use crate::net::client::connector::{ConnectError, io_class};
use crate::net::client::error::{find_cause, told};

/// The error of a call to which no whole answer came within `limit`.
pub(in crate::exporters::xray) fn without_answer<E>(
    error: &SdkError<E, HttpResponse>,
    limit: Duration,
) -> PutError
where
    E: Error + 'static,
{
    if let Some(failure) = find_cause::<CredentialsFailure>(error) {
        return PutError::new(ErrorClass::Credentials, failure.0.clone());
    }
    if let Some(connecting) = find_cause::<ConnectError>(error) {
        return PutError::new(connecting.class, connecting.to_string());
    }
    match error {
        SdkError::TimeoutError(_) => timed_out(limit),
        SdkError::ResponseError(response) => without_body(response.raw().status().as_u16(), error),
        SdkError::DispatchFailure(failure) if failure.is_timeout() => timed_out(limit),
        _ => PutError::new(class_of_transport(error), cause(error)),
    }
}

/// The error of a call that was not over within `limit`.
pub(in crate::exporters::xray) fn timed_out(limit: Duration) -> PutError {
    let message = format!("no answer within {} s", limit.as_secs_f32());
    PutError::new(ErrorClass::Timeout, message)
}

/// The error of a call whose answer stopped after its head.
pub(in crate::exporters::xray) fn without_body(status: u16, error: &(dyn Error + 'static)) -> PutError {
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

/// The error of a request outside of the SDK to which no head came.
pub(in crate::exporters::xray) fn without_head(error: &(dyn Error + 'static)) -> PutError {
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

/// The telling part of a chain: from hyper's error on, where there is one; the rest names layers of the SDK.
fn cause(error: &(dyn Error + 'static)) -> String {
    match find_cause::<hyper::Error>(error) {
        Some(hyper) => told(hyper),
        None => told(error),
    }
}
