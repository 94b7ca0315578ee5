//! What a call came to: the class of its failure, which decides what becomes of the documents.

/// Why a call failed, as far as the decision what to do next needs it.
///
/// Every class but [`ErrorClass::Refused`] says nothing about the documents sent, so the same body may succeed
/// later: those are retriable.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ErrorClass {
    /// No answer in time, from the endpoint or the way to it.
    Timeout,
    /// Nobody listens at the endpoint's or the proxy's address.
    ConnectionRefused,
    /// The endpoint's or the proxy's name has no address.
    UnknownHost,
    /// Reset, closed, TLS, a proxy that would not connect, or another I/O error.
    Connection,
    /// The service asks for fewer calls: 429, or a throttling code with any status.
    Throttled,
    /// The service failed: 5xx.
    ServerError,
    /// Something that is not X-Ray answered: a redirect, an answer without `PutTraceSegments`' form, a 4xx that is none of
    /// X-Ray's own errors.
    NotAnAnswer,
    /// No credentials, or the service refused them: 401, 403, or a code that says so.
    Credentials,
    /// The service refused this body for good, by an error of its model; or it is too long, by 413.
    Refused,
    /// None of these; also a fault of this program.
    Other,
}

impl ErrorClass {
    /// Every class.
    pub const ALL: [Self; 10] = [
        Self::Timeout,
        Self::ConnectionRefused,
        Self::UnknownHost,
        Self::Connection,
        Self::Throttled,
        Self::ServerError,
        Self::NotAnAnswer,
        Self::Credentials,
        Self::Refused,
        Self::Other,
    ];

    /// Whether the same body may succeed later.
    #[must_use]
    pub const fn is_retriable(self) -> bool {
        !matches!(self, Self::Refused)
    }

    /// The label in metrics and JSON logs.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Timeout => "timeout",
            Self::ConnectionRefused => "connection_refused",
            Self::UnknownHost => "unknown_host",
            Self::Connection => "connection",
            Self::Throttled => "throttled",
            Self::ServerError => "server_error",
            Self::NotAnAnswer => "not_an_answer",
            Self::Credentials => "credentials",
            Self::Refused => "refused",
            Self::Other => "other",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_refused_body_is_not_retriable() {
        let permanent: Vec<_> = ErrorClass::ALL
            .into_iter()
            .filter(|class| !class.is_retriable())
            .collect();
        assert_eq!(permanent, [ErrorClass::Refused]);
    }

    #[test]
    fn every_class_has_its_own_label() {
        let labels: std::collections::BTreeSet<_> = ErrorClass::ALL.map(ErrorClass::label).into();
        assert_eq!(labels.len(), ErrorClass::ALL.len());
    }
}
