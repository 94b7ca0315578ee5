//! Whether the X-Ray service would take one segment document.
//!
//! The service answers `PutTraceSegments` with 200 and names the documents it did not take, each with an error code.
//! There is no published list of codes. Seen in public reports: `ParseError` and `MissingId` (both without an `Id`),
//! `InvalidName`, `InvalidTraceId`, `InvalidSegment`, and the texts `Invalid segment. ErrorCode: …` and
//! `Invalid subsegment. ErrorCode: …, Cause: null`. The other codes here are only **believed**; each is marked so
//! where it is made. What no report tells, this module takes: times in any order, ids of any age (the API's
//! description says the time inside a trace id is not checked), fields it does not know.

use std::time::Duration;

use serde::Deserialize;
use serde_json::{Map, Value};

use crate::nesting;

/// Documents longer than this are refused: the guide says 64 kB; 1,024 bytes a kB is **believed**, and lets through
/// everything that fits into a datagram.
pub const MAX_DOCUMENT_BYTES: usize = 64 * 1024;

/// The longest name, in characters, by the guide.
pub(crate) const MAX_NAME_CHARS: usize = 200;

/// What a document turned out to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Document {
    /// A segment, or a subsegment sent on its own.
    Segment {
        /// 16 hex digits.
        id: String,
        /// `1-<8 hex>-<24 hex>`.
        trace_id: String,
    },
    /// `T1S` or `T1U` and an OTLP request in base64, as the OpenTelemetry distributions of AWS send it.
    Otlp {
        /// `T1S`; `T1U` is not sampled.
        sampled: bool,
    },
}

/// One entry of `UnprocessedTraceSegments`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// The document's `id`, when it has one.
    pub id: Option<String>,
    /// `ParseError`, `InvalidName`, …
    pub code: String,
    /// A sentence for people.
    pub message: String,
}

/// Looks at one document as the service is known, or believed, to.
///
/// # Errors
/// The entry of `UnprocessedTraceSegments` to answer with.
pub fn check(document: &str) -> Result<Document, Refusal> {
    // First of all: what is longer is not worth reading.
    if document.len() > MAX_DOCUMENT_BYTES {
        // The code was seen with a trace that had grown too big; for a single document it is believed.
        return Err(caused(
            id_of(document).as_deref(),
            "InvalidSegment",
            &format!("{} bytes exceed {MAX_DOCUMENT_BYTES}", document.len()),
        ));
    }
    if let Some(sampled) = otlp_prefix(document) {
        return match aws_smithy_types::base64::decode(&document[3..]) {
            Ok(bytes) if !bytes.is_empty() => Ok(Document::Otlp { sampled }),
            // Believed: nothing tells what a broken OTLP body is answered with.
            _ => Err(refuse(None, "ParseError")),
        };
    }
    let levels = nesting::levels(document);
    if levels > nesting::MAX_LEVELS {
        // Believed: how deep the service reads is not published.
        return Err(caused(
            None,
            "ParseError",
            &format!(
                "objects and lists are {levels} deep inside each other; {} are the most, which is {} subsegments",
                nesting::MAX_LEVELS,
                nesting::MAX_LEVELS / 2
            ),
        ));
    }
    let value: Value = serde_json::from_str(document).map_err(|_| refuse(None, "ParseError"))?;
    // `[]` is answered with MissingId; that other JSON which is no object is too, is believed.
    let empty = Map::new();
    let segment = value.as_object().unwrap_or(&empty);
    let id = segment
        .get("id")
        .and_then(Value::as_str)
        .ok_or_else(|| refuse(None, "MissingId"))?;
    let fail = |code: &str| refuse(Some(id), code);
    if !is_hex(id, 16) {
        return Err(fail("InvalidId")); // believed
    }
    let trace_id = match segment.get("trace_id") {
        Some(Value::String(trace_id)) if is_trace_id(trace_id) => trace_id,
        Some(_) => return Err(fail("InvalidTraceId")),
        None => return Err(fail("MissingTraceId")), // believed
    };
    match segment.get("parent_id") {
        Some(Value::String(parent)) if is_hex(parent, 16) => {}
        None | Some(Value::Null) if segment.get("type").and_then(Value::as_str) != Some("subsegment") => {}
        None | Some(Value::Null) => return Err(fail("MissingParentId")), // believed
        Some(_) => return Err(fail("InvalidParentId")),                  // believed
    }
    check_entity(segment).map_err(fail)?;
    check_subsegments(segment).map_err(|code| Refusal {
        message: format!("Invalid subsegment. ErrorCode: {code}, Cause: null"),
        ..fail(code)
    })?;
    Ok(Document::Segment {
        id: id.to_owned(),
        trace_id: trace_id.clone(),
    })
}

/// The `id` and nothing else, for answers about documents that are refused for reasons of a test.
#[must_use]
pub fn id_of(document: &str) -> Option<String> {
    label(document)?.id?.into_text()
}

/// The `name` and nothing else, for people who look for a document that was refused.
#[must_use]
pub fn name_of(document: &str) -> Option<String> {
    label(document)?.name?.into_text()
}

/// The `trace_id` and nothing else, for who shows that trace.
#[must_use]
pub fn trace_id_of(document: &str) -> Option<String> {
    label(document)?.trace_id?.into_text()
}

/// The fields that people look for a document by, if they are texts; the rest is stepped over.
#[derive(Deserialize)]
struct Label<'a> {
    #[serde(borrow)]
    id: Option<Text<'a>>,
    #[serde(borrow)]
    name: Option<Text<'a>>,
    #[serde(borrow)]
    trace_id: Option<Text<'a>>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Text<'a> {
    Text(#[serde(borrow)] std::borrow::Cow<'a, str>),
    Other(serde::de::IgnoredAny),
}

impl Text<'_> {
    fn into_text(self) -> Option<String> {
        match self {
            Self::Text(text) => Some(text.into_owned()),
            Self::Other(_) => None,
        }
    }
}

fn label(document: &str) -> Option<Label<'_>> {
    serde_json::from_str(document).ok()
}

fn refuse(id: Option<&str>, code: &str) -> Refusal {
    Refusal {
        id: id.map(str::to_owned),
        code: code.to_owned(),
        message: format!("Invalid segment. ErrorCode: {code}"),
    }
}

fn caused(id: Option<&str>, code: &str, cause: &str) -> Refusal {
    Refusal {
        message: format!("Invalid segment. ErrorCode: {code}, Cause: {cause}"),
        ..refuse(id, code)
    }
}

fn otlp_prefix(document: &str) -> Option<bool> {
    if document.starts_with("T1S") {
        Some(true)
    } else if document.starts_with("T1U") {
        Some(false)
    } else {
        None
    }
}

/// Name and times, which segments and subsegments share.
fn check_entity(entity: &Map<String, Value>) -> Result<(), &'static str> {
    match entity.get("name") {
        Some(Value::String(name)) if is_name(name) => {}
        Some(Value::String(_)) => return Err("InvalidName"),
        Some(_) => return Err("InvalidName"), // believed
        None => return Err("MissingName"),    // believed
    }
    // The codes of the times are believed. `in_progress: false` beside an `end_time` is what the Python SDK sends.
    if !entity.get("start_time").is_some_and(is_time) {
        return Err("InvalidStartTime");
    }
    let in_progress = entity.get("in_progress") == Some(&Value::Bool(true));
    match entity.get("end_time") {
        Some(end) if is_time(end) => Ok(()),
        None | Some(Value::Null) if in_progress => Ok(()),
        _ => Err("InvalidEndTime"),
    }
}

/// Every embedded subsegment; depth is bounded by the JSON parser's 128 levels.
fn check_subsegments(entity: &Map<String, Value>) -> Result<(), &'static str> {
    let children = match entity.get("subsegments") {
        None | Some(Value::Null) => return Ok(()),
        Some(Value::Array(children)) => children,
        Some(_) => return Err("InvalidSegment"), // believed
    };
    for child in children {
        let Value::Object(child) = child else {
            return Err("InvalidSegment"); // believed
        };
        match child.get("id").and_then(Value::as_str) {
            Some(id) if is_hex(id, 16) => {}
            Some(_) => return Err("InvalidId"), // believed
            None => return Err("MissingId"),
        }
        check_entity(child)?;
        check_subsegments(child)?;
    }
    Ok(())
}

fn is_name(name: &str) -> bool {
    !name.is_empty() && name.chars().count() <= MAX_NAME_CHARS && name.chars().all(fits_name)
}

/// Letters, numbers and white space of any script, and `_ . : / % & # = + \ - @`.
pub(crate) fn fits_name(c: char) -> bool {
    c.is_alphanumeric() || c.is_whitespace() || r"_.:/%&#=+\-@".contains(c)
}

pub(crate) fn is_hex(text: &str, digits: usize) -> bool {
    text.len() == digits && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

pub(crate) fn is_trace_id(text: &str) -> bool {
    let mut parts = text.split('-');
    let fits = parts.next() == Some("1")
        && parts.next().is_some_and(|time| is_hex(time, 8))
        && parts.next().is_some_and(|unique| is_hex(unique, 24));
    fits && parts.next().is_none()
}

/// Seconds since 1970 as a number; zero and below are no times.
pub(crate) fn is_time(value: &Value) -> bool {
    value
        .as_f64()
        .is_some_and(|seconds| seconds > 0.0 && Duration::try_from_secs_f64(seconds).is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    fn segment() -> Value {
        json!({
            "name": "backend-flask",
            "id": "70de5b6f19ff9a0a",
            "trace_id": "1-581cf771-a006649127e371903a2de979",
            "start_time": 1_478_293_361.271,
            "end_time": 1_478_293_361.449,
            "subsegments": [{
                "name": "mock-data", "id": "53995c3f42cd8ad8", "start_time": 1.5, "end_time": 2,
                "subsegments": [{"name": "DynamoDB", "id": "53995c3f42cd8ad9", "start_time": 1.5, "in_progress": true}]
            }]
        })
    }

    fn code_with(change: impl Fn(&mut Value)) -> (Option<String>, String) {
        let mut value = segment();
        change(&mut value);
        let refusal = check(&value.to_string()).unwrap_err();
        (refusal.id, refusal.code)
    }

    fn refused(change: impl Fn(&mut Value)) -> String {
        let (id, code) = code_with(change);
        assert_eq!(id.as_deref(), Some("70de5b6f19ff9a0a"));
        code
    }

    #[test]
    fn a_whole_segment_is_taken() {
        assert_eq!(
            check(&segment().to_string()),
            Ok(Document::Segment {
                id: "70de5b6f19ff9a0a".into(),
                trace_id: "1-581cf771-a006649127e371903a2de979".into()
            })
        );
    }

    #[test]
    fn what_the_sdks_send_besides_the_schema_is_taken() {
        for change in [
            |v: &mut Value| v["in_progress"] = json!(false),
            |v: &mut Value| v["Dummy"] = json!(false),
            |v: &mut Value| v["cause"] = json!("70de5b6f19ff9a0a"),
            |v: &mut Value| v["parent_id"] = Value::Null,
            |v: &mut Value| v["subsegments"] = Value::Null,
            |v: &mut Value| v["start_time"] = json!(1.611_999_810_919E9),
            |v: &mut Value| v["trace_id"] = json!("1-00000000-A006649127E371903A2DE979"),
            |v: &mut Value| v["name"] = json!("größe 価格 a_.:/%&#=+\\-@"),
            |v: &mut Value| {
                v["type"] = json!("subsegment");
                v["parent_id"] = json!("53995c3f42cd8ad8");
            },
        ] {
            let mut value = segment();
            change(&mut value);
            assert!(check(&value.to_string()).is_ok(), "{value}");
        }
    }

    #[test]
    fn refusals_that_were_seen_have_the_codes_that_were_seen() {
        assert_eq!(
            check("x"),
            Err(Refusal {
                id: None,
                code: "ParseError".into(),
                message: "Invalid segment. ErrorCode: ParseError".into()
            })
        );
        assert_eq!(
            check("[]"),
            Err(Refusal {
                id: None,
                code: "MissingId".into(),
                message: "Invalid segment. ErrorCode: MissingId".into()
            })
        );
        assert_eq!(
            refused(|v| v["trace_id"] = json!("1-581cf771-a006")),
            "InvalidTraceId"
        );
        assert_eq!(refused(|v| v["name"] = json!("what?")), "InvalidName");
        let mut nested = segment();
        nested["subsegments"][0]["subsegments"][0]["name"] = json!("SELECT ?");
        let refusal = check(&nested.to_string()).unwrap_err();
        assert_eq!(
            refusal.message,
            "Invalid subsegment. ErrorCode: InvalidName, Cause: null"
        );
        assert_eq!(refusal.id.as_deref(), Some("70de5b6f19ff9a0a"));
    }

    #[test]
    fn refusals_that_are_believed_name_the_field() {
        type Case = (fn(&mut Value), &'static str);
        let cases: [Case; 12] = [
            (|v| v["id"] = json!("70de5b6f19ff9a0"), "InvalidId"),
            (
                |v| v["trace_id"] = json!("2-581cf771-a006649127e371903a2de979"),
                "InvalidTraceId",
            ),
            (
                |v| v["trace_id"] = json!("1-581cf771-a006649127e371903a2de979-0"),
                "InvalidTraceId",
            ),
            (|v| v["trace_id"] = json!(5), "InvalidTraceId"),
            (|v| v["parent_id"] = json!("zz"), "InvalidParentId"),
            (|v| v["type"] = json!("subsegment"), "MissingParentId"),
            (|v| v["name"] = json!(""), "InvalidName"),
            (|v| v["name"] = json!("a".repeat(201)), "InvalidName"),
            (|v| v["start_time"] = json!("now"), "InvalidStartTime"),
            (|v| v["end_time"] = Value::Null, "InvalidEndTime"),
            (|v| v["subsegments"] = json!({}), "InvalidSegment"),
            (|v| v["subsegments"][0]["id"] = json!("1"), "InvalidId"),
        ];
        for (change, code) in cases {
            let (id, got) = code_with(change);
            assert_eq!(got, code);
            assert!(id.is_some());
        }
        for (field, code) in [("trace_id", "MissingTraceId"), ("name", "MissingName")] {
            assert_eq!(
                refused(|v| {
                    v.as_object_mut().unwrap().remove(field);
                }),
                code
            );
        }
        for scalar in ["5", "null", "\"text\""] {
            assert_eq!(check(scalar).unwrap_err().code, "MissingId", "{scalar}");
        }
    }

    #[test]
    fn a_name_of_200_characters_and_a_document_of_64_kb_are_the_most() {
        let mut value = segment();
        value["name"] = json!("é".repeat(200));
        assert!(check(&value.to_string()).is_ok());
        value["metadata"] = json!({"default": {"text": ""}});
        let room = MAX_DOCUMENT_BYTES - value.to_string().len();
        value["metadata"]["default"]["text"] = json!("x".repeat(room));
        assert_eq!(value.to_string().len(), 65_536);
        assert!(check(&value.to_string()).is_ok());
        value["metadata"]["default"]["text"] = json!("x".repeat(room + 1));
        assert_eq!(check(&value.to_string()).unwrap_err().code, "InvalidSegment");
    }

    #[test]
    fn a_document_that_is_too_long_is_not_read_and_still_named() {
        let mut value = segment();
        value["metadata"] = json!({"default": {"text": "x".repeat(MAX_DOCUMENT_BYTES)}});
        let refusal = check(&value.to_string()).unwrap_err();
        assert_eq!(refusal.id.as_deref(), Some("70de5b6f19ff9a0a"));
        assert!(
            refusal.message.ends_with("bytes exceed 65536"),
            "{}",
            refusal.message
        );
        // Whole, and longer than any document: refused before its base64 is looked at.
        let long = format!("T1S{}", "CgAA".repeat(MAX_DOCUMENT_BYTES / 4));
        assert_eq!(check(&long).unwrap_err().code, "InvalidSegment");
    }

    #[test]
    fn sixty_three_subsegments_inside_each_other_are_taken_and_more_refused_with_their_number() {
        let nested = |subsegments: usize| {
            let inner = r#","subsegments":[{"id":"53995c3f42cd8ad8","name":"f","start_time":1,"end_time":2"#;
            let head = r#"{"id":"70de5b6f19ff9a0a","trace_id":"1-581cf771-a006649127e371903a2de979","name":"f","start_time":1,"end_time":2"#;
            format!(
                "{head}{}{}}}",
                inner.repeat(subsegments),
                "}]".repeat(subsegments)
            )
        };
        assert!(check(&nested(63)).is_ok());
        assert_eq!(
            check(&nested(100)).unwrap_err().message,
            "Invalid segment. ErrorCode: ParseError, Cause: objects and lists are 201 deep inside each other; 127 are \
             the most, which is 63 subsegments"
        );
    }

    #[test]
    fn otlp_documents_are_taken_when_their_base64_is_whole() {
        assert_eq!(check("T1SCgA="), Ok(Document::Otlp { sampled: true }));
        assert_eq!(check("T1UCgA="), Ok(Document::Otlp { sampled: false }));
        for broken in ["T1S", "T1SCgA", "T1S{}", "T2SCgA="] {
            assert_eq!(check(broken).unwrap_err().code, "ParseError", "{broken}");
        }
    }

    #[test]
    fn the_id_is_found_whatever_the_spacing() {
        assert_eq!(id_of(r#"{ "id" : "a" }"#).as_deref(), Some("a"));
        assert_eq!(id_of("T1SCgA="), None);
        assert_eq!(id_of("[]"), None);
        assert_eq!(id_of(r#"{"id": 5, "name": "\u0061"}"#), None);
        assert_eq!(name_of(r#"{"id": 5, "name": "\u0061"}"#).as_deref(), Some("a"));
    }

    proptest! {
        #[test]
        fn no_text_makes_the_check_panic(text in "\\PC{0,60}") {
            let _verdict = check(&text);
        }

        #[test]
        fn no_field_makes_the_check_panic(
            field in "id|trace_id|parent_id|type|name|start_time|end_time|in_progress|subsegments",
            text in "null|-?[0-9]{1,3}(e[0-9]{1,3})?|\"[a-f0-9-]{0,40}\"|\\[\\{\\}\\]|true",
        ) {
            let mut value = segment();
            let Ok(other) = serde_json::from_str::<Value>(&text) else { return Ok(()) };
            value[&field] = other;
            let _verdict = check(&value.to_string());
        }
    }
}
