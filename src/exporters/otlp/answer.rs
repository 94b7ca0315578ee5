//! What an answer to an OTLP request means, by the specification of OTLP over HTTP.
//!
//! | status | what it means |
//! |---|---|
//! | 2xx | taken, but for what a partial success says; that is never sent again |
//! | 429 | too much: again later, when `Retry-After` says |
//! | 502, 503, 504, 408 | an outage: again later, the same |
//! | 401, 403 | our key is no good: an outage too, since with a good key the same data will be taken |
//! | 400, 413 | the body: it is halved |
//! | 3xx, and a page for people with any of 2xx and 400 | not an answer of OTLP: an outage |
//! | any other | nothing of it will ever be taken; the specification forbids to send it again, 500 included |

use std::time::SystemTime;

use bytes::Bytes;
use http::HeaderMap;
use http::header::{CONTENT_TYPE, DATE, LOCATION, RETRY_AFTER};
use prost::Message as _;
use serde_json::{Map, Value};
use xray_document::otlp::response::{PartialSuccess, Response};

use crate::exporters::answer::{Answer, Unnamed};
use crate::exporters::error::PutError;
use crate::exporters::retry_after;
use crate::ledger::outcome::ErrorClass;
use crate::ledger::signal::Signal;
use crate::logs::sanitize_lines;

/// The longest text taken from an answer, in characters.
const TEXT_MAX_CHARS: usize = 300;

/// The longest part of a body that nobody expected, in characters.
const BODY_MAX_CHARS: usize = 120;

/// The most bytes that are read of an answer. Those of OTLP are some hundred; a Collector reads as much.
pub(in crate::exporters) const MAX_BYTES: usize = 64 << 10;

/// An answer, its body as far as it was read.
#[derive(Debug, Clone)]
pub(in crate::exporters) struct Reply {
    pub(in crate::exporters) status: u16,
    pub(in crate::exporters) headers: HeaderMap,
    pub(in crate::exporters) body: Bytes,
    /// When it came, by our clock.
    pub(in crate::exporters) came_at: SystemTime,
}

/// What a success says besides.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(in crate::exporters) struct Taken {
    /// What was not taken.
    pub(in crate::exporters) not: Option<Unnamed>,
    /// A remark on what was, as one line.
    pub(in crate::exporters) remark: Option<String>,
}

impl Taken {
    /// As the answer to a call.
    pub(in crate::exporters) fn answer(self) -> Answer {
        Answer {
            unnamed: self.not,
            ..Answer::default()
        }
    }
}

/// `google.rpc.Status`, the body of failures.
#[derive(Clone, PartialEq, prost::Message)]
struct Status {
    #[prost(int32, tag = "1")]
    code: i32,
    #[prost(string, tag = "2")]
    message: String,
}

/// How a body is written, by its content type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Written {
    Protobuf,
    Json,
    /// For people: no program of OTLP answers so.
    Page,
    /// It does not say.
    Other,
}

impl Reply {
    /// What it says of what was sent: requests of `signal`. A success whose body is not read is one all the same.
    ///
    /// # Errors
    /// Why it was not taken.
    pub(in crate::exporters) fn meaning(&self, signal: Signal) -> Result<Taken, PutError> {
        match self.status {
            200..=299 if self.written() == Written::Page => Err(self.error(
                ErrorClass::NotAnAnswer,
                &format!(
                    "a page and no answer of OTLP, \"{}\": is the address right, is a proxy in between?",
                    self.shown_body()
                ),
            )),
            200..=299 => Ok(self.taken(signal)),
            300..=399 => {
                let target = self.header(&LOCATION).unwrap_or("nowhere");
                let target = sanitize_lines(target, TEXT_MAX_CHARS);
                Err(self.error(
                    ErrorClass::NotAnAnswer,
                    &format!("redirected to {target}, where nothing is sent: is the address right?"),
                ))
            }
            _ => Err(self.failure()),
        }
    }

    fn failure(&self) -> PutError {
        let text = self.text();
        let is_page = self.written() == Written::Page;
        let class = match self.status {
            408 => ErrorClass::Timeout,
            429 => ErrorClass::Throttled,
            502..=504 => ErrorClass::ServerError,
            401 | 403 => ErrorClass::Credentials,
            // A page that a proxy or a firewall on the way writes says nothing about what is in the body.
            400 if is_page => ErrorClass::NotAnAnswer,
            _ => ErrorClass::Refused,
        };
        PutError {
            whole: class == ErrorClass::Refused && !matches!(self.status, 400 | 413),
            ..self.error(class, &text)
        }
    }

    /// `text` is fit for a log line.
    fn error(&self, class: ErrorClass, text: &str) -> PutError {
        let separator = if text.is_empty() { "" } else { ": " };
        PutError {
            status: Some(self.status),
            retry_after: self.retry_after(),
            ..PutError::new(class, format!("status {}{separator}{text}", self.status))
        }
    }

    fn retry_after(&self) -> Option<std::time::Duration> {
        retry_after::asked(self.header(&RETRY_AFTER)?, self.header(&DATE), self.came_at)
    }

    fn header(&self, name: &http::HeaderName) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    fn written(&self) -> Written {
        let content_type = self
            .header(&CONTENT_TYPE)
            .unwrap_or_default()
            .to_ascii_lowercase();
        let kind = content_type.split(';').next().unwrap_or_default().trim();
        match kind {
            "application/x-protobuf" | "application/protobuf" => Written::Protobuf,
            "application/json" => Written::Json,
            "text/html" | "application/xhtml+xml" => Written::Page,
            _ => Written::Other,
        }
    }

    /// The message of a `google.rpc.Status`, else the beginning of the body.
    pub(in crate::exporters) fn text(&self) -> String {
        let message = match self.written() {
            Written::Protobuf => Status::decode(&self.body[..]).ok().map(|status| status.message),
            Written::Json => self.json().and_then(|json| {
                let text = json.get("message").and_then(Value::as_str);
                text.map(str::to_owned)
            }),
            Written::Page | Written::Other => None,
        };
        match message.filter(|message| !message.is_empty()) {
            Some(message) => sanitize_lines(&message, TEXT_MAX_CHARS),
            None => self.shown_body(),
        }
    }

    fn shown_body(&self) -> String {
        sanitize_lines(&String::from_utf8_lossy(&self.body), BODY_MAX_CHARS)
    }

    fn json(&self) -> Option<Map<String, Value>> {
        serde_json::from_slice(&self.body).ok()
    }

    /// What a partial success says, if there is one.
    fn taken(&self, signal: Signal) -> Taken {
        let partial = match self.written() {
            Written::Json => self.json().and_then(|json| of_json(&json, signal)),
            Written::Protobuf | Written::Other => Response::decode(&self.body[..])
                .ok()
                .and_then(|response| response.partial_success),
            Written::Page => None,
        };
        let Some(PartialSuccess {
            rejected,
            error_message,
        }) = partial
        else {
            return Taken::default();
        };
        let message = sanitize_lines(&error_message, TEXT_MAX_CHARS);
        match u64::try_from(rejected) {
            Ok(count) if count > 0 => Taken {
                not: Some(Unnamed { count, message }),
                remark: None,
            },
            _ => Taken {
                not: None,
                remark: (!message.is_empty()).then_some(message),
            },
        }
    }
}

/// The `partialSuccess` of an answer in JSON; its number may be a text.
fn of_json(json: &Map<String, Value>, signal: Signal) -> Option<PartialSuccess> {
    let partial = json.get("partialSuccess")?.as_object()?;
    let name = match signal {
        Signal::Traces => "rejectedSpans",
        Signal::Metrics => "rejectedDataPoints",
        Signal::Logs => "rejectedLogRecords",
    };
    let rejected = match partial.get(name) {
        Some(Value::String(text)) => text.parse().ok()?,
        Some(number) => number.as_i64()?,
        None => 0,
    };
    let error_message = partial.get("errorMessage").and_then(Value::as_str);
    Some(PartialSuccess {
        rejected,
        error_message: error_message.unwrap_or_default().to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use http::HeaderValue;
    use proptest::prelude::*;

    use super::*;

    const PROTOBUF: &str = "application/x-protobuf";
    const JSON: &str = "application/json; charset=utf-8";

    fn reply(status: u16, content_type: &'static str, body: impl Into<Bytes>) -> Reply {
        let mut headers = HeaderMap::new();
        if !content_type.is_empty() {
            headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
        }
        Reply {
            status,
            headers,
            body: body.into(),
            came_at: SystemTime::UNIX_EPOCH,
        }
    }

    fn partial(rejected: i64, message: &str) -> Vec<u8> {
        let partial_success = Some(PartialSuccess {
            rejected,
            error_message: message.to_owned(),
        });
        Response { partial_success }.encode_to_vec()
    }

    fn status(message: &str) -> Vec<u8> {
        let message = message.to_owned();
        Status { code: 3, message }.encode_to_vec()
    }

    #[test]
    fn any_success_is_one_whether_its_body_is_read_or_not() {
        for reply in [
            reply(200, PROTOBUF, ""),
            reply(200, JSON, "{}"),
            reply(200, "", ""),
            reply(202, "text/plain", "accepted"),
            reply(204, "", ""),
            reply(200, PROTOBUF, "no protobuf"),
            reply(200, JSON, "no json"),
            reply(200, JSON, r#"{"partialSuccess":{}}"#),
            reply(200, JSON, r#"{"partialSuccess":{"rejectedSpans":"many"}}"#),
            reply(200, PROTOBUF, partial(-1, "")),
        ] {
            assert_eq!(reply.meaning(Signal::Traces), Ok(Taken::default()), "{reply:?}");
        }
    }

    #[test]
    fn a_partial_success_says_how_much_was_not_taken_in_either_encoding() {
        let not = |count: u64, message: &str| {
            Ok(Taken {
                not: Some(Unnamed {
                    count,
                    message: message.to_owned(),
                }),
                remark: None,
            })
        };
        let of_protobuf = reply(200, PROTOBUF, partial(3, "too\nold"));
        assert_eq!(of_protobuf.meaning(Signal::Logs), not(3, "too old"));
        for (signal, body) in [
            (
                Signal::Traces,
                r#"{"partialSuccess":{"rejectedSpans":"2","errorMessage":"x"}}"#,
            ),
            (
                Signal::Metrics,
                r#"{"partialSuccess":{"rejectedDataPoints":2,"errorMessage":"x"}}"#,
            ),
            (
                Signal::Logs,
                r#"{"partialSuccess":{"rejectedLogRecords":"2","errorMessage":"x"}}"#,
            ),
        ] {
            assert_eq!(reply(200, JSON, body).meaning(signal), not(2, "x"));
        }
        let remark = reply(200, PROTOBUF, partial(0, "deprecated")).meaning(Signal::Traces);
        assert_eq!(
            remark,
            Ok(Taken {
                not: None,
                remark: Some("deprecated".to_owned())
            })
        );
    }

    #[test]
    fn each_status_has_the_class_that_the_specification_gives_it() {
        use ErrorClass::{Credentials, NotAnAnswer, Refused, ServerError, Throttled, Timeout};
        for (code, class, whole) in [
            (302, NotAnAnswer, false),
            (400, Refused, false),
            (401, Credentials, false),
            (403, Credentials, false),
            (404, Refused, true),
            (405, Refused, true),
            (408, Timeout, false),
            (413, Refused, false),
            (415, Refused, true),
            (429, Throttled, false),
            (500, Refused, true),
            (501, Refused, true),
            (502, ServerError, false),
            (503, ServerError, false),
            (504, ServerError, false),
            (505, Refused, true),
        ] {
            let error = reply(code, PROTOBUF, status("words"))
                .meaning(Signal::Traces)
                .unwrap_err();
            assert_eq!((error.class, error.whole), (class, whole), "{code}");
            assert_eq!(error.status, Some(code));
            assert_eq!(error.is_too_long(), code == 413);
        }
    }

    #[test]
    fn the_words_of_a_failure_are_its_message_or_the_beginning_of_its_body() {
        for (content_type, body, message) in [
            (
                PROTOBUF,
                status("missing\x1b key"),
                r"status 400: missing\x1b key",
            ),
            (
                JSON,
                br#"{"code":3,"message":"bad id"}"#.to_vec(),
                "status 400: bad id",
            ),
            (JSON, b"{\"error\":1}".to_vec(), "status 400: {\"error\":1}"),
            (
                "text/plain",
                b"invalid\r\nbody".to_vec(),
                "status 400: invalid body",
            ),
            ("", Vec::new(), "status 400"),
        ] {
            let error = reply(400, content_type, body)
                .meaning(Signal::Traces)
                .unwrap_err();
            assert_eq!((error.class, &*error.message), (ErrorClass::Refused, message));
        }
        let long = reply(400, "", "x".repeat(10_000))
            .meaning(Signal::Traces)
            .unwrap_err();
        assert!(long.message.len() < 160, "{}", long.message);
    }

    #[test]
    fn a_page_for_people_is_no_answer_of_otlp() {
        for code in [200, 400] {
            let page = reply(code, "text/html", "<html>log in</html>");
            let error = page.meaning(Signal::Traces).unwrap_err();
            assert_eq!(error.class, ErrorClass::NotAnAnswer);
            assert!(error.message.contains("log in"), "{}", error.message);
        }
    }

    #[test]
    fn retry_after_is_taken_from_whatever_asks_for_it_in_seconds_or_as_a_date() {
        for (code, asked, waits_s) in [
            (503, "7", Some(7)),
            (429, " 1 ", Some(1)),
            (502, "Thu, 01 Jan 1970 00:00:09 GMT", Some(9)),
            (504, "soon", None),
            (503, "86400", Some(60)),
        ] {
            let mut reply = reply(code, "", "");
            reply.headers.insert(RETRY_AFTER, HeaderValue::from_static(asked));
            let error = reply.meaning(Signal::Traces).unwrap_err();
            assert_eq!(error.retry_after, waits_s.map(Duration::from_secs), "{asked}");
        }
    }

    proptest! {
        #[test]
        fn no_answer_makes_it_panic_or_say_much(
            code in 200_u16..600,
            content_type in proptest::sample::select(vec![PROTOBUF, JSON, "text/html", ""]),
            body in proptest::collection::vec(any::<u8>(), 0..200),
        ) {
            let said = match reply(code, content_type, body).meaning(Signal::Metrics) {
                Ok(taken) => taken.not.map(|not| not.message).or(taken.remark).unwrap_or_default(),
                Err(error) => error.message,
            };
            prop_assert!(said.len() < 2_000 && !said.contains(char::is_control), "{said:?}");
        }
    }
}
