//! What an answer, or the lack of one, means.
//!
//! Only a 200 with `PutTraceSegments`' own JSON is a success. The official daemon takes a redirect followed by
//! anything, and a 200 without a body, for one, and so reports segments as sent that a proxy's error page swallowed.
//!
//! In the same way only X-Ray's own word refuses a body for good: an error of its model, in the model's form. Any other
//! 4xx may be the page of a proxy, a firewall or a load balancer on the way, which says nothing about the segments.
//! The one exception is 413: whoever says it, the same body is too long the next time too.

mod codes;

use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::header::{DATE, LOCATION, RETRY_AFTER};
use http::{HeaderMap, HeaderName, Response};
use serde_json::{Map, Value};

pub(super) use self::codes::says_bad_key;
use self::codes::{class_of, class_of_unprocessed};

use super::clock::Clock;
use crate::exporters::answer::{Answer, Unprocessed};
use crate::exporters::error::PutError;
use crate::exporters::retry_after;
use crate::ledger::outcome::ErrorClass;
use crate::logs::sanitize_lines;

/// The name of an error.
const ERROR_TYPE: HeaderName = HeaderName::from_static("x-amzn-errortype");

/// The id of a call.
const REQUEST_ID: HeaderName = HeaderName::from_static("x-amzn-requestid");

/// That of AWS's fronts.
const REQUEST_ID_OF_FRONT: HeaderName = HeaderName::from_static("x-amz-request-id");

/// The longest part of an unexpected body that a message shows, in characters.
const SHOWN_BODY_MAX_CHARS: usize = 120;

/// The longest error code, request id, document id or message taken from an answer, in characters.
const TAKEN_TEXT_MAX_CHARS: usize = 300;

/// How much of a 503's body is looked at for a word about slowing down, in bytes.
const SLOW_DOWN_WITHIN_BYTES: usize = 4096;

/// How the service says that it took all documents of a call.
const ALL_TAKEN: &[u8] = br#"{"UnprocessedTraceSegments":[]}"#;

/// An answer as it came, whole.
#[derive(Debug)]
pub(super) struct Raw {
    status: u16,
    headers: HeaderMap,
    body: Bytes,
    /// When the answer came, by our clock.
    came_at: SystemTime,
}

impl Raw {
    #[expect(
        clippy::disallowed_methods,
        reason = "Retry-After counts from when the answer came"
    )]
    pub(super) fn of(response: Response<Bytes>) -> Self {
        let (head, body) = response.into_parts();
        Self {
            status: head.status.as_u16(),
            headers: head.headers,
            body,
            came_at: SystemTime::now(),
        }
    }

    fn header(&self, name: &HeaderName) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// What it shows of the service's clock.
    pub(super) fn tell(&self, clock: &Clock) {
        clock.heard(
            (200..300).contains(&self.status),
            self.header(&DATE),
            self.came_at,
        );
    }

    /// What the answer means.
    ///
    /// # Errors
    /// Why it is not a success.
    pub(super) fn meaning(&self) -> Result<Answer, PutError> {
        if self.status == 200 && self.body == ALL_TAKEN {
            return Ok(self.answer(Vec::new()));
        }
        let json = serde_json::from_slice::<Map<String, Value>>(&self.body).ok();
        match self.status {
            200 => match json.as_ref().and_then(unprocessed) {
                Some(unprocessed) => Ok(self.answer(unprocessed)),
                None => Err(self.error(ErrorClass::NotAnAnswer, None, self.not_an_answer())),
            },
            201..=299 => Err(self.error(ErrorClass::NotAnAnswer, None, self.not_an_answer())),
            300..=399 => {
                let target = taken(self.header(&LOCATION).unwrap_or("nowhere"));
                let text = format!("redirected to {target}; X-Ray does not redirect: is the endpoint right?");
                Err(self.error(ErrorClass::NotAnAnswer, None, text))
            }
            _ => Err(self.failure(json.as_ref())),
        }
    }

    fn answer(&self, unprocessed: Vec<Unprocessed>) -> Answer {
        let request_id = self
            .header(&REQUEST_ID)
            .or_else(|| self.header(&REQUEST_ID_OF_FRONT));
        Answer {
            unprocessed,
            request_id: request_id.map(taken),
            ..Answer::default()
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
        json.is_some() || (self.header(&ERROR_TYPE).is_some() && self.body.is_empty())
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
            .header(&ERROR_TYPE)
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
        retry_after::asked(self.header(&RETRY_AFTER)?, self.header(&DATE), self.came_at)
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

/// As [`taken`] in length, and otherwise as it came: it is compared first, and made fit for a line where it is shown.
fn cut(text: &str) -> String {
    text.chars().take(TAKEN_TEXT_MAX_CHARS).collect()
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
                let text = |key: &str| entry.get(key).and_then(Value::as_str).map(cut);
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

#[cfg(test)]
mod tests;
