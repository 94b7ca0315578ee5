//! The errors of calls of the SDK to which no answer came, or only its head.

use std::error::Error;
use std::time::Duration;

use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_runtime_api::client::result::SdkError;

use crate::aws::credentials::CredentialsFailure;
use crate::exporters::error::PutError;
use crate::exporters::transport::{cause, class_of_transport, timed_out, without_body};
use crate::ledger::outcome::ErrorClass;
use crate::net::client::connector::ConnectError;
use crate::net::client::error::find_cause;

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
