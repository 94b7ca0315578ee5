//! What an answer, or the lack of one, means.
//!
//! Only a 200 with `PutTraceSegments`' own JSON is a success. The official daemon takes a redirect followed by
//! anything, and a 200 without a body, for one, and so reports segments as sent that a proxy's error page swallowed.
//!
//! In the same way only X-Ray's own word refuses a body for good: an error of its model, in the model's form. Any other
//! 4xx may be the page of a proxy, a firewall or a load balancer on the way, which says nothing about the segments.
//! The one exception is 413: whoever says it, the same body is too long the next time too.

mod codes;
mod missing;

use std::time::{Duration, SystemTime};

use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use bytes::Bytes;
use serde_json::{Map, Value};

pub(super) use self::codes::says_bad_key;
use self::codes::{class_of, class_of_unprocessed};
pub(super) use self::missing::without_answer;

use super::clock::Clock;
use crate::exporters::answer::{Answer, Unprocessed};
use crate::exporters::error::PutError;
use crate::exporters::retry_after;
use crate::ledger::outcome::ErrorClass;
use crate::logs::sanitize_lines;

/// The longest part of an unexpected body that a message shows, in characters.
const SHOWN_BODY_MAX_CHARS: usize = 120;

/// The longest error code, request id, document id or message taken from an answer, in characters.
const TAKEN_TEXT_MAX_CHARS: usize = 300;

/// How much of a 503's body is looked at for a word about slowing down, in bytes.
const SLOW_DOWN_WITHIN_BYTES: usize = 4096;

/// How the service says that it took all documents of a call.
const ALL_TAKEN: &[u8] = br#"{"UnprocessedTraceSegments":[]}"#;

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
        let mut raw = Self {
            status: response.status().as_u16(),
            error_type: None,
            request_id: None,
            retry_after: None,
            date: None,
            came_at: SystemTime::now(),
            location: None,
            body: Bytes::copy_from_slice(response.body().bytes()?),
        };
        let mut of_front = None;
        // Gone through once: a look-up hashes each name anew.
        for (name, value) in response.headers() {
            let place = match name {
                "x-amzn-errortype" => &mut raw.error_type,
                "x-amzn-requestid" => &mut raw.request_id,
                "x-amz-request-id" => &mut of_front,
                "retry-after" => &mut raw.retry_after,
                "date" => &mut raw.date,
                "location" => &mut raw.location,
                _ => continue,
            };
            place.get_or_insert_with(|| value.to_owned());
        }
        raw.request_id = raw.request_id.or(of_front);
        Some(raw)
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

    /// What it shows of the service's clock.
    pub(super) fn tell(&self, clock: &Clock) {
        clock.heard(
            (200..300).contains(&self.status),
            self.date.as_deref(),
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
                let target = taken(self.location.as_deref().unwrap_or("nowhere"));
                let text = format!("redirected to {target}; X-Ray does not redirect: is the endpoint right?");
                Err(self.error(ErrorClass::NotAnAnswer, None, text))
            }
            _ => Err(self.failure(json.as_ref())),
        }
    }

    fn answer(&self, unprocessed: Vec<Unprocessed>) -> Answer {
        Answer {
            unprocessed,
            request_id: self.request_id.as_deref().map(taken),
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
        retry_after::asked(self.retry_after.as_deref()?, self.date.as_deref(), self.came_at)
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
