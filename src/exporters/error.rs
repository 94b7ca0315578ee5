//! What can go wrong with one call.

use std::time::Duration;

use crate::ledger::outcome::ErrorClass;

/// A call that failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct PutError {
    /// What kind of failure it was.
    pub class: ErrorClass,
    /// What happened: one line without control characters, some hundred characters at most.
    pub message: String,
    /// The HTTP status, when an answer came.
    pub status: Option<u16>,
    /// The AWS error code, when an answer had one.
    pub code: Option<String>,
    /// Of a refusal: it is not about what is in the body, so that parts of it would be refused as well.
    pub whole: bool,
    /// How long the service asked to wait, at most [`RETRY_AFTER_MAX`].
    pub retry_after: Option<Duration>,
}

/// The longest `Retry-After` that is believed. A wrong header must not stop the daemon for hours.
pub const RETRY_AFTER_MAX: Duration = Duration::from_secs(60);

impl PutError {
    /// Whether the body was refused for its length, whoever says it by whatever name.
    #[must_use]
    pub fn is_too_long(&self) -> bool {
        let code = self.code.as_deref().unwrap_or_default();
        self.class == ErrorClass::Refused
            && (self.status == Some(413) || code.contains("TooLarge") || code.contains("TooLong"))
    }

    /// `message` is fit for a log line: its parts from outside have been through [`sanitize`](crate::logs::sanitize).
    pub(crate) fn new(class: ErrorClass, message: impl Into<String>) -> Self {
        Self {
            class,
            message: message.into(),
            status: None,
            code: None,
            whole: false,
            retry_after: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_reads_as_its_message() {
        assert_eq!(PutError::new(ErrorClass::Other, "told").to_string(), "told");
    }
    #[test]
    fn a_body_is_too_long_by_the_status_or_by_any_of_the_codes_for_it_if_it_is_refused() {
        let refused = ErrorClass::Refused;
        for (class, status, code, is_too_long) in [
            (refused, Some(413), None, true),
            (refused, Some(400), Some("RequestEntityTooLarge"), true),
            (refused, None, Some("PayloadTooLong"), true),
            (refused, Some(400), Some("InvalidRequest"), false),
            (refused, None, None, false),
            (ErrorClass::ServerError, Some(413), Some("TooLarge"), false),
        ] {
            let error = PutError {
                status,
                code: code.map(str::to_owned),
                ..PutError::new(class, "no")
            };
            assert_eq!(error.is_too_long(), is_too_long, "{error:?}");
        }
    }
}
