//! What an answer, or the lack of one, means.
//!
//! Only a 200 with `PutTraceSegments`' own JSON is a success. The official daemon takes a redirect followed by
//! anything, and a 200 without a body, for one, and so reports segments as sent that a proxy's error page swallowed.
//!
//! In the same way only X-Ray's own word refuses a body for good: an error of its model, in the model's form. Any other
//! 4xx may be the page of a proxy, a firewall or a load balancer on the way, which says nothing about the segments.
//! The one exception is 413: whoever says it, the same body is too long the next time too.

use std::error::Error;
use std::time::{Duration, SystemTime};

use aws_runtime::retries::classifiers::{THROTTLING_ERRORS, TRANSIENT_ERRORS};
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_runtime_api::client::result::SdkError;
use aws_smithy_types::DateTime;
use aws_smithy_types::date_time::Format;
use bytes::Bytes;
use serde_json::{Map, Value};

use crate::aws::credentials::CredentialsFailure;
use crate::exporters::answer::{Answer, Unprocessed};
use crate::exporters::error::{PutError, RETRY_AFTER_MAX};
use crate::ledger::outcome::ErrorClass;
use crate::logs::sanitize_lines;
use crate::net::client::connector::{ConnectError, io_class};
use crate::net::client::error::{find_cause, told};

/// The longest part of an unexpected body that a message shows, in characters.
const SHOWN_BODY_MAX_CHARS: usize = 120;

/// The longest error code, request id, document id or message taken from an answer, in characters.
const TAKEN_TEXT_MAX_CHARS: usize = 300;

/// How much of a 503's body is looked at for a word about slowing down, in bytes.
const SLOW_DOWN_WITHIN_BYTES: usize = 4096;

/// An answer as it came, whole.
#[derive(Debug, Clone)]
pub(super) struct Raw {
    status: u16,
    error_type: Option<String>,
    request_id: Option<String>,
    retry_after: Option<String>,
    /// When the other side says that it answered.
    date: Option<String>,
    /// When the answer came, by our clock.
    came_at: SystemTime,
    location: Option<String>,
    body: Bytes,
}

impl Raw {
    /// `None` when the body was not read to its end.
    #[expect(
        clippy::disallowed_methods,
        reason = "Retry-After counts from when the answer came"
    )]
    pub(super) fn of(response: &HttpResponse) -> Option<Self> {
        let header = |name: &str| response.headers().get(name).map(str::to_owned);
        Some(Self {
            status: response.status().as_u16(),
            error_type: header("x-amzn-errortype"),
            request_id: header("x-amzn-requestid").or_else(|| header("x-amz-request-id")),
            retry_after: header("retry-after"),
            date: header("date"),
            came_at: SystemTime::now(),
            location: header("location"),
            body: Bytes::copy_from_slice(response.body().bytes()?),
        })
    }

    /// An answer that came outside of the SDK.
    #[expect(
        clippy::disallowed_methods,
        reason = "Retry-After counts from when the answer came"
    )]
    pub(super) fn of_http(response: &http::Response<Bytes>) -> Self {
        let header = |name: &str| {
            let value = response.headers().get(name)?;
            Some(value.to_str().ok()?.to_owned())
        };
        Self {
            status: response.status().as_u16(),
            error_type: header("x-amzn-errortype"),
            request_id: header("x-amzn-requestid"),
            retry_after: header("retry-after"),
            date: header("date"),
            came_at: SystemTime::now(),
            location: header("location"),
            body: response.body().clone(),
        }
    }

    /// What the answer means.
    ///
    /// # Errors
    /// Why it is not a success.
    pub(super) fn meaning(&self) -> Result<Answer, PutError> {
        let json = serde_json::from_slice::<Map<String, Value>>(&self.body).ok();
        match self.status {
            200 => match json.as_ref().and_then(unprocessed) {
                Some(unprocessed) => Ok(Answer {
                    unprocessed,
                    request_id: self.request_id.as_deref().map(taken),
                }),
                None => Err(self.error(ErrorClass::NotAnAnswer, None, self.not_an_answer())),
            },
            201..=299 => Err(self.error(ErrorClass::NotAnAnswer, None, self.not_an_answer())),
            300..=399 => {
                let target = taken(self.location.as_deref().unwrap_or("nowhere"));
                let text = format!("redirected to {target}; X-Ray does not redirect: is the endpoint right?");
                Err(self.error(ErrorClass::NotAnAnswer, None, text))
            }
            _ => Err(self.failure(json.as_ref())),
        }
    }

    fn failure(&self, json: Option<&Map<String, Value>>) -> PutError {
        let code = self.code(json);
        let text = json
            .and_then(|json| json.get("message").or_else(|| json.get("Message")))
            .and_then(Value::as_str)
            .or_else(|| self.xml_element("Message"))
            .map(taken)
            .unwrap_or_else(|| self.shown_body());
        let class = if self.status == 503 && self.asks_to_slow_down() {
            ErrorClass::Throttled
        } else {
            class_of(self.status, code.as_deref(), self.has_modelled_form(json))
        };
        self.error(class, code, text)
    }

    /// Whether this has the form of the errors in X-Ray's model: a JSON object, or the code in the protocol's own header.
    /// Not XML, which is what AWS's fronts and other services write, and not a page.
    fn has_modelled_form(&self, json: Option<&Map<String, Value>>) -> bool {
        json.is_some() || (self.error_type.is_some() && self.body.is_empty())
    }

    /// Whether the body asks for fewer calls without having the form of an error: AWS's fronts and the stores behind them
    /// write `503 Slow Down` as a page or as XML.
    fn asks_to_slow_down(&self) -> bool {
        let looked_at = &self.body[..self.body.len().min(SLOW_DOWN_WITHIN_BYTES)];
        let text = String::from_utf8_lossy(looked_at).to_ascii_lowercase();
        ["slow down", "slowdown", "reduce your request rate"]
            .iter()
            .any(|words| text.contains(words))
    }

    /// `code` and `text` are fit for a log line.
    fn error(&self, class: ErrorClass, code: Option<String>, text: String) -> PutError {
        let code_in_text = code.as_deref().map(|code| format!(" {code}")).unwrap_or_default();
        let separator = if text.is_empty() { "" } else { ": " };
        PutError {
            status: Some(self.status),
            retry_after: self.retry_after(),
            code,
            ..PutError::new(
                class,
                format!("status {}{code_in_text}{separator}{text}", self.status),
            )
        }
    }

    /// The AWS error code, without the name space before `#` and the URL after `:` that some services write.
    fn code<'a>(&'a self, json: Option<&'a Map<String, Value>>) -> Option<String> {
        let in_json = |json: &'a Map<String, Value>| {
            ["__type", "code", "Code"]
                .into_iter()
                .find_map(|key| json.get(key)?.as_str())
        };
        let code = self
            .error_type
            .as_deref()
            .or_else(|| json.and_then(in_json))
            .or_else(|| self.xml_element("Code"))?;
        let code = code.rsplit('#').next().unwrap_or_default();
        let code = code.split(':').next().unwrap_or_default().trim();
        (!code.is_empty()).then(|| taken(code))
    }

    /// The text of the first element called `name`. Errors of AWS's front are sometimes XML; a parser for two texts
    /// of an error message would be too much.
    fn xml_element(&self, name: &str) -> Option<&str> {
        let body = std::str::from_utf8(&self.body).ok()?;
        let (_, rest) = body.split_once(&format!("<{name}>"))?;
        let (text, _) = rest.split_once(&format!("</{name}>"))?;
        Some(text.trim())
    }

    fn retry_after(&self) -> Option<Duration> {
        let asked = self.retry_after.as_deref()?.trim();
        let seconds = match asked.parse() {
            Ok(seconds) => seconds,
            Err(_) => self.seconds_until(asked)?,
        };
        Some(Duration::from_secs(seconds).min(RETRY_AFTER_MAX))
    }

    /// From the answer to `date`, an HTTP date; 0 when that is over. By the clock of whoever wrote both dates, where it
    /// says its time: ours may be wrong.
    fn seconds_until(&self, date: &str) -> Option<u64> {
        let read = |date: &str| DateTime::from_str(date.trim(), Format::HttpDate).ok();
        let until = read(date)?;
        let answered = self.date.as_deref().and_then(read);
        let answered = answered.unwrap_or_else(|| DateTime::from(self.came_at));
        Some(u64::try_from(until.secs().saturating_sub(answered.secs())).unwrap_or(0))
    }

    fn not_an_answer(&self) -> String {
        let what = if self.body.is_empty() {
            "without a body".to_owned()
        } else {
            format!("with the body \"{}\"", self.shown_body())
        };
        format!(
            "{what}, which is not PutTraceSegments' answer: is the endpoint right, is a proxy in between?"
        )
    }

    fn shown_body(&self) -> String {
        sanitize_lines(&String::from_utf8_lossy(&self.body), SHOWN_BODY_MAX_CHARS)
    }
}

fn taken(text: &str) -> String {
    sanitize_lines(text, TAKEN_TEXT_MAX_CHARS)
}

/// The documents that `json` names, or `None` when it is not `PutTraceSegments`' answer.
fn unprocessed(json: &Map<String, Value>) -> Option<Vec<Unprocessed>> {
    match json.get("UnprocessedTraceSegments") {
        None if json.is_empty() => Some(Vec::new()),
        None => None,
        Some(Value::Null) => Some(Vec::new()),
        Some(Value::Array(entries)) => entries
            .iter()
            // The SDK's own reader skips null entries as well.
            .filter(|entry| !entry.is_null())
            .map(|entry| {
                let entry = entry.as_object()?;
                let text = |key: &str| entry.get(key).and_then(Value::as_str).map(taken);
                let error_code = text("ErrorCode");
                Some(Unprocessed {
                    id: text("Id"),
                    class: class_of_unprocessed(error_code.as_deref()),
                    error_code,
                    message: text("Message"),
                })
            })
            .collect(),
        Some(_) => None,
    }
}

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
fn class_of_unprocessed(code: Option<&str>) -> ErrorClass {
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
pub(super) fn says_bad_key(error: &PutError) -> bool {
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
fn class_of(status: u16, code: Option<&str>, has_modelled_form: bool) -> ErrorClass {
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

/// The error of a call to which no whole answer came within `limit`.
pub(super) fn without_answer<E>(error: &SdkError<E, HttpResponse>, limit: Duration) -> PutError
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

/// The error of a request outside of the SDK to which no head came.
pub(super) fn without_head(error: &(dyn Error + 'static)) -> PutError {
    match find_cause::<ConnectError>(error) {
        Some(connecting) => PutError::new(connecting.class, connecting.to_string()),
        None => PutError::new(class_of_transport(error), cause(error)),
    }
}

/// The class of what went wrong on an open connection.
fn class_of_transport(error: &(dyn Error + 'static)) -> ErrorClass {
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

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(status: u16, error_type: Option<&str>, body: &str) -> Raw {
        Raw {
            status,
            error_type: error_type.map(str::to_owned),
            request_id: None,
            retry_after: None,
            date: None,
            came_at: SystemTime::UNIX_EPOCH,
            location: None,
            body: Bytes::copy_from_slice(body.as_bytes()),
        }
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
                retry_after: Some(retry_after.to_owned()),
                date: date.map(str::to_owned),
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
}
