//! What statuses and error codes mean for the documents that were sent.

use aws_runtime::retries::classifiers::{THROTTLING_ERRORS, TRANSIENT_ERRORS};

use crate::exporters::error::PutError;
use crate::ledger::outcome::ErrorClass;

/// Words in the codes of unprocessed segments that say that the service was at fault or throttled, so that sending the
/// segment again can help. The service's list of codes is not published; these words are in those of its errors.
const PASSING_CODES: [(&str, ErrorClass); 7] = [
    ("Throttl", ErrorClass::Throttled),
    ("LimitExceeded", ErrorClass::Throttled),
    ("TooManyRequests", ErrorClass::Throttled),
    ("Timeout", ErrorClass::Timeout),
    ("Internal", ErrorClass::ServerError),
    ("Unavailable", ErrorClass::ServerError),
    ("ServerError", ErrorClass::ServerError),
];

/// What an unprocessed segment's error code means; without a telling one it is the segment's own fault.
pub(super) fn class_of_unprocessed(code: Option<&str>) -> ErrorClass {
    let code = code.unwrap_or_default();
    let passing = PASSING_CODES.iter().find(|(word, _)| code.contains(word));
    passing.map_or(ErrorClass::Refused, |(_, class)| *class)
}

/// Codes that mean the keys or their rights, whatever the status. X-Ray sends them with 403, other fronts with 400.
const CREDENTIALS_CODES: &[&str] = &[
    "AccessDenied",
    "AccessDeniedException",
    "AuthFailure",
    "IncompleteSignature",
    "IncompleteSignatureException",
    "InvalidSignature",
    "InvalidSignatureException",
    "MissingAuthenticationToken",
    "MissingAuthenticationTokenException",
    "NotAuthorized",
    "OptInRequired",
    "RequestExpired",
    "RequestTimeTooSkewed",
    "SignatureDoesNotMatch",
];

/// Codes of those that mean the keys themselves: others may work.
const BAD_KEY_CODES: &[&str] = &[
    "ExpiredToken",
    "ExpiredTokenException",
    "InvalidAccessKeyId",
    "InvalidClientTokenId",
    "InvalidToken",
    "InvalidTokenException",
    "TokenRefreshRequired",
    "UnrecognizedClientException",
];

/// Whether the service said that the keys are no good and others should be looked for.
pub(in crate::exporters::xray) fn says_bad_key(error: &PutError) -> bool {
    error.status == Some(401)
        || error
            .code
            .as_deref()
            .is_some_and(|code| BAD_KEY_CODES.contains(&code))
}

/// The errors of X-Ray's model, and those of AWS's JSON protocol, that are about the body itself; without the ending
/// `Exception` or `Error`. The names for a body that is too long differ between services and versions.
const REFUSALS: &[&str] = &[
    "InvalidRequest",
    "InvalidParameter",
    "InvalidParameterValue",
    "InvalidParameterCombination",
    "MissingParameter",
    "Validation",
    "Serialization",
    "RequestEntityTooLarge",
    "RequestTooLarge",
    "EntityTooLarge",
    "PayloadTooLarge",
    "ContentTooLarge",
];

fn is_refusal(code: &str) -> bool {
    let word = code
        .strip_suffix("Exception")
        .or_else(|| code.strip_suffix("Error"))
        .unwrap_or(code);
    REFUSALS.contains(&word)
}

/// Whether a code asks for fewer calls: those of AWS's SDKs, and what is made of the same words.
fn is_throttling(code: &str) -> bool {
    THROTTLING_ERRORS.contains(&code)
        || code.contains("Throttl")
        || code.starts_with("SlowDown")
        || code.starts_with("TooManyRequests")
}

/// `has_modelled_form`: the answer looks as X-Ray's own errors do.
pub(super) fn class_of(status: u16, code: Option<&str>, has_modelled_form: bool) -> ErrorClass {
    let code_is_in = |codes: &[&str]| code.is_some_and(|code| codes.contains(&code));
    if status == 429 || code.is_some_and(is_throttling) {
        return ErrorClass::Throttled;
    }
    if status == 408 || code_is_in(TRANSIENT_ERRORS) {
        return ErrorClass::Timeout;
    }
    if code_is_in(CREDENTIALS_CODES) || code_is_in(BAD_KEY_CODES) {
        return ErrorClass::Credentials;
    }
    match status {
        401 | 403 => ErrorClass::Credentials,
        413 => ErrorClass::Refused,
        400..=499 if has_modelled_form && code.is_some_and(is_refusal) => ErrorClass::Refused,
        500..=599 => ErrorClass::ServerError,
        // Also every other 4xx: a proxy's, or X-Ray's about the way the request came. Dropping segments for it would
        // lose them for somebody else's fault.
        _ => ErrorClass::NotAnAnswer,
    }
}
