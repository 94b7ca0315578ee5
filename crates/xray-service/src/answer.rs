//! What the service answers.

use serde::Serialize;
use serde_json::json;

use crate::work::Ended;

/// One answer; the content type is always `application/json`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// HTTP status.
    pub status: u16,
    /// For `x-amzn-errortype`.
    pub error_type: Option<&'static str>,
    /// JSON.
    pub body: String,
}

impl Answer {
    pub(crate) fn ok(body: &impl Serialize) -> Self {
        match serde_json::to_string(body) {
            Ok(body) => Self {
                status: 200,
                error_type: None,
                body,
            },
            // No map here has keys that are no texts, which is all that JSON cannot write.
            Err(error) => Self::error(500, "InternalFailure", &error.to_string()),
        }
    }

    /// An error in AWS's form: the code in the header, `{"message": …}` in the body.
    #[must_use]
    pub fn error(status: u16, error_type: &'static str, message: &str) -> Self {
        Self {
            status,
            error_type: Some(error_type),
            body: json!({ "message": message }).to_string(),
        }
    }

    pub(crate) fn unknown_operation() -> Self {
        Self::error(404, "UnknownOperationException", "Unknown operation")
    }

    pub(crate) fn invalid(message: &str) -> Self {
        Self::error(400, "InvalidRequestException", message)
    }

    pub(crate) fn malformed(message: &str) -> Self {
        Self::error(400, "SerializationException", message)
    }
}

impl From<Ended> for Answer {
    fn from(ended: Ended) -> Self {
        Self::invalid(&ended.to_string())
    }
}
