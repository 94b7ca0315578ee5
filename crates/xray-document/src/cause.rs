//! What is wrong with a document that is refused, and where: for people, who get a code alone from X-Ray.
//!
//! It goes through a document in the order of [`crate::segment::check`], with the same tests, and stops at the same
//! field. Its texts are short and escaped, whatever is in the document.

use serde_json::{Map, Value};

use crate::segment::{MAX_DOCUMENT_BYTES, MAX_NAME_CHARS, fits_name, is_hex, is_time, is_trace_id};

/// The longest part of a document that is quoted, in characters.
const QUOTED_CHARS: usize = 40;

/// The longest cause, in characters: with the words around it, it fits into one line of the log.
const MAX_CHARS: usize = 140;

/// The cause, for a document that [`crate::segment::check`] refuses; `None` for any other, and for what its refusal tells
/// already (length and depth).
#[must_use]
pub fn cause(document: &str) -> Option<String> {
    if document.len() > MAX_DOCUMENT_BYTES {
        return None;
    }
    let cause = match document.get(..3) {
        Some(prefix @ ("T1S" | "T1U")) => otlp(prefix, &document[3..]),
        _ => json(document),
    }?;
    let end = cause.char_indices().nth(MAX_CHARS - 1);
    Some(match end {
        Some((end, _)) if cause.chars().nth(MAX_CHARS).is_some() => format!("{}…", &cause[..end]),
        _ => cause,
    })
}

fn otlp(prefix: &str, text: &str) -> Option<String> {
    let is_base64 = |c: char| c.is_ascii_alphanumeric() || matches!(c, '+' | '/' | '=');
    if text.is_empty() {
        return Some(format!("nothing after {prefix}"));
    }
    if let Some((at, c)) = text.chars().enumerate().find(|(_, c)| !is_base64(*c)) {
        return Some(format!(
            "{c:?} at character {} after {prefix} is not base64",
            at + 1
        ));
    }
    if !text.len().is_multiple_of(4) {
        return Some(format!(
            "the base64 after {prefix} has {} characters, which is no multiple of 4",
            text.len()
        ));
    }
    Some(format!("the base64 after {prefix} is no OTLP request"))
}

fn json(document: &str) -> Option<String> {
    let value: Value = match serde_json::from_str(document) {
        Ok(value) => value,
        Err(error) => return Some(not_json(document, &error)),
    };
    let Value::Object(segment) = &value else {
        return Some(format!("the document is {}, not an object", kind(&value)));
    };
    if let Some(wrong) = top(segment).or_else(|| entity(segment)) {
        return Some(wrong);
    }
    subsegments(segment)
}

/// The parser's words and what is at its place.
fn not_json(document: &str, error: &serde_json::Error) -> String {
    let text = error.to_string();
    let what = text.split(" at line ").next().unwrap_or_default();
    if document.trim().is_empty() {
        return "the document is empty".to_owned();
    }
    if error.is_eof() {
        return format!(
            "no JSON: {what}; the document ends after {} bytes",
            document.len()
        );
    }
    let line = document.split('\n').nth(error.line().saturating_sub(1));
    // Columns are bytes from 1, and may point into a character.
    let before = line.unwrap_or_default().as_bytes();
    let before = &before[..error.column().saturating_sub(1).min(before.len())];
    let before = String::from_utf8_lossy(before);
    let character = before.chars().count();
    let rest: String = line
        .unwrap_or_default()
        .chars()
        .skip(character)
        .take(12)
        .collect();
    format!(
        "no JSON: {what} at line {}, character {}: {rest:?}",
        error.line(),
        character + 1
    )
}

/// What only a document's outermost entity has.
fn top(segment: &Map<String, Value>) -> Option<String> {
    if let Some(wrong) = id(segment) {
        return Some(wrong);
    }
    match segment.get("trace_id") {
        None => return Some("trace_id is missing".to_owned()),
        Some(Value::String(id)) if is_trace_id(id) => {}
        Some(Value::String(id)) => {
            return Some(format!(
                "trace_id {} is not 1-<8 hex digits>-<24 hex digits>{}",
                quoted(id),
                not_hex(id, |c| c.is_ascii_hexdigit() || c == '-')
            ));
        }
        Some(other) => return Some(format!("trace_id is {}, not a string", kind(other))),
    }
    let is_subsegment = segment.get("type").and_then(Value::as_str) == Some("subsegment");
    match segment.get("parent_id") {
        None | Some(Value::Null) if is_subsegment => {
            Some("parent_id is missing, which a subsegment sent on its own needs".to_owned())
        }
        None | Some(Value::Null) => None,
        Some(Value::String(id)) if is_hex(id, 16) => None,
        Some(Value::String(id)) => Some(sixteen("parent_id", id)),
        Some(other) => Some(format!("parent_id is {}, not a string", kind(other))),
    }
}

fn id(entity: &Map<String, Value>) -> Option<String> {
    match entity.get("id") {
        None => Some("id is missing".to_owned()),
        Some(Value::String(id)) if is_hex(id, 16) => None,
        Some(Value::String(id)) => Some(sixteen("id", id)),
        Some(other) => Some(format!("id is {}, not a string", kind(other))),
    }
}

fn sixteen(field: &str, id: &str) -> String {
    format!(
        "{field} {} is not 16 hex digits{}",
        quoted(id),
        not_hex(id, |c| c.is_ascii_hexdigit())
    )
}

/// The first character that does not belong, or the length.
fn not_hex(text: &str, belongs: fn(char) -> bool) -> String {
    match text.chars().enumerate().find(|(_, c)| !belongs(*c)) {
        Some((at, c)) => format!(": {c:?} at character {}", at + 1),
        None => format!(", but {} characters", text.chars().count()),
    }
}

/// Name and times.
fn entity(entity: &Map<String, Value>) -> Option<String> {
    match entity.get("name") {
        None => return Some("name is missing".to_owned()),
        Some(Value::String(name)) => {
            let chars = name.chars().count();
            if name.is_empty() {
                return Some("name is empty".to_owned());
            }
            if chars > MAX_NAME_CHARS {
                return Some(format!(
                    "name {} has {chars} characters, more than {MAX_NAME_CHARS}",
                    quoted(name)
                ));
            }
            if let Some((at, c)) = name.chars().enumerate().find(|(_, c)| !fits_name(*c)) {
                return Some(format!(
                    "name {} has {c:?} at character {}, which names may not have",
                    quoted(name),
                    at + 1
                ));
            }
        }
        Some(other) => return Some(format!("name is {}, not a string", kind(other))),
    }
    let time = |field: &str, value: &Value| match value {
        value if is_time(value) => None,
        Value::Number(number) => Some(format!("{field} {number} is no time in seconds since 1970")),
        other => Some(format!("{field} is {}, not a number", kind(other))),
    };
    match entity.get("start_time") {
        None => return Some("start_time is missing".to_owned()),
        Some(value) => {
            if let Some(wrong) = time("start_time", value) {
                return Some(wrong);
            }
        }
    }
    let in_progress = entity.get("in_progress") == Some(&Value::Bool(true));
    match entity.get("end_time") {
        None | Some(Value::Null) if in_progress => None,
        None | Some(Value::Null) => Some("end_time is missing, and in_progress is not true".to_owned()),
        Some(value) => time("end_time", value),
    }
}

/// The first one that is wrong, anywhere below; the JSON parser's bound of 128 levels bounds the recursion.
fn subsegments(parent: &Map<String, Value>) -> Option<String> {
    let children = match parent.get("subsegments") {
        None | Some(Value::Null) => return None,
        Some(Value::Array(children)) => children,
        Some(other) => {
            return Some(format!(
                "subsegments of {} is {}, not a list",
                label(parent),
                kind(other)
            ));
        }
    };
    children.iter().enumerate().find_map(|(at, child)| {
        let Value::Object(child) = child else {
            return Some(format!(
                "subsegment {} of {} is {}, not an object",
                at + 1,
                label(parent),
                kind(child)
            ));
        };
        let own = id(child).or_else(|| entity(child));
        match own {
            Some(wrong) => Some(format!("subsegment {} of {}: {wrong}", at + 1, label(parent))),
            None => subsegments(child),
        }
    })
}

/// How people find an entity.
fn label(entity: &Map<String, Value>) -> String {
    let name = entity.get("name").and_then(Value::as_str);
    quoted(name.unwrap_or("(no name)"))
}

/// Escaped and shortened.
fn quoted(text: &str) -> String {
    let short: String = text.chars().take(QUOTED_CHARS).collect();
    let more = if short.len() < text.len() { "…" } else { "" };
    format!("{short:?}{more}")
}

const fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::segment::check;

    fn segment() -> Value {
        json!({
            "name": "shop", "id": "70de5b6f19ff9a0a", "trace_id": "1-581cf771-a006649127e371903a2de979",
            "start_time": 1.5, "end_time": 2.5,
            "subsegments": [{
                "name": "pay", "id": "53995c3f42cd8ad8", "start_time": 1.5, "end_time": 2,
                "subsegments": [
                    {"name": "a", "id": "53995c3f42cd8ad9", "start_time": 1.5, "in_progress": true},
                    {"name": "b", "id": "53995c3f42cd8ada", "start_time": 1.5, "end_time": 2}
                ]
            }]
        })
    }

    fn of(change: impl Fn(&mut Value)) -> String {
        let mut value = segment();
        change(&mut value);
        assert!(check(&value.to_string()).is_err(), "{value}");
        cause(&value.to_string()).unwrap()
    }

    fn without(field: &'static str) -> String {
        of(|v| {
            v.as_object_mut().unwrap().remove(field);
        })
    }

    #[test]
    fn field_and_character_are_named() {
        for (said, wanted) in [
            (without("id"), "id is missing"),
            (of(|v| v["id"] = json!(5)), "id is a number, not a string"),
            (
                of(|v| v["id"] = json!("70de5b6f19ff9a0")),
                "id \"70de5b6f19ff9a0\" is not 16 hex digits, but 15 characters",
            ),
            (
                of(|v| v["id"] = json!("70de5b6fg9ff9a0a")),
                "id \"70de5b6fg9ff9a0a\" is not 16 hex digits: 'g' at character 9",
            ),
            (without("trace_id"), "trace_id is missing"),
            (
                of(|v| v["trace_id"] = json!("581cf771a006649127e371903a2de979")),
                "trace_id \"581cf771a006649127e371903a2de979\" is not 1-<8 hex digits>-<24 hex digits>, but 32 characters",
            ),
            (
                of(|v| v["parent_id"] = json!("x")),
                "parent_id \"x\" is not 16 hex digits: 'x' at character 1",
            ),
            (
                of(|v| v["type"] = json!("subsegment")),
                "parent_id is missing, which a subsegment sent on its own needs",
            ),
            (without("name"), "name is missing"),
            (of(|v| v["name"] = json!("")), "name is empty"),
            (
                of(|v| v["name"] = json!("why?")),
                "name \"why?\" has '?' at character 4, which names may not have",
            ),
            (
                of(|v| v["name"] = json!("é".repeat(201))),
                "name \"éééééééééééééééééééééééééééééééééééééééé\"… has 201 characters, more than 200",
            ),
            (
                of(|v| v["start_time"] = json!("2026-11-21")),
                "start_time is a string, not a number",
            ),
            (
                of(|v| v["start_time"] = json!(0)),
                "start_time 0 is no time in seconds since 1970",
            ),
            (
                without("end_time"),
                "end_time is missing, and in_progress is not true",
            ),
            (
                of(|v| v["end_time"] = json!([])),
                "end_time is a list, not a number",
            ),
            (
                of(|v| v["subsegments"] = json!({})),
                "subsegments of \"shop\" is an object, not a list",
            ),
            (
                of(|v| v["subsegments"][0] = json!(7)),
                "subsegment 1 of \"shop\" is a number, not an object",
            ),
            (
                of(|v| v["subsegments"][0]["subsegments"][1]["name"] = json!("SELECT ?")),
                "subsegment 2 of \"pay\": name \"SELECT ?\" has '?' at character 8, which names may not have",
            ),
        ] {
            assert_eq!(said, wanted);
        }
    }

    #[test]
    fn what_is_no_json_is_told_with_its_place() {
        for (document, wanted) in [
            ("", "the document is empty"),
            (
                "{\"id\": x}",
                "no JSON: expected value at line 1, character 8: \"x}\"",
            ),
            (
                "{\"é\": 1,\n \"b\": nul}",
                "no JSON: expected ident at line 2, character 10: \"}\"",
            ),
            (
                "{\"id\": \"70",
                "no JSON: EOF while parsing a string; the document ends after 10 bytes",
            ),
            ("[1]", "the document is a list, not an object"),
            ("null", "the document is null, not an object"),
            ("T1S", "nothing after T1S"),
            ("T1U{}", "'{' at character 1 after T1U is not base64"),
            (
                "T1SCgA",
                "the base64 after T1S has 3 characters, which is no multiple of 4",
            ),
            ("T1SCgAA", "the base64 after T1S is no OTLP request"),
        ] {
            assert_eq!(cause(document).as_deref(), Some(wanted), "{document}");
        }
        assert_eq!(cause(&segment().to_string()), None);
        assert_eq!(cause(&" ".repeat(MAX_DOCUMENT_BYTES + 1)), None);
    }

    #[test]
    fn what_a_document_holds_is_escaped_and_short() {
        let said = of(|v| v["name"] = json!(format!("a\u{1b}[31m\n\u{202e}{}", "x".repeat(150))));
        assert!(said.starts_with("name \"a\\u{1b}[31m\\n\\u{202e}xxx"), "{said}");
        let long = of(|v| {
            v["subsegments"][0]["name"] = json!("n".repeat(100));
            v["subsegments"][0]["subsegments"][0]["name"] = json!("\u{7}".repeat(100));
        });
        assert_eq!((long.chars().count(), long.ends_with('…')), (140, true));
    }

    proptest! {
        #[test]
        fn whatever_is_refused_for_its_fields_has_a_cause(
            place in "|/subsegments/0|/subsegments/0/subsegments/1",
            field in "id|trace_id|parent_id|type|name|start_time|end_time|in_progress|subsegments",
            text in "null|-?[0-9]{1,3}(e[0-9]{1,3})?|\"[a-f0-9-]{0,40}\"|\"[\\PC]{0,10}\"|\\[\\{\\}\\]|true",
        ) {
            let mut value = segment();
            let Ok(other) = serde_json::from_str::<Value>(&text) else { return Ok(()) };
            value.pointer_mut(&place).unwrap()[&field] = other;
            let document = value.to_string();
            prop_assert_eq!(cause(&document).is_some(), check(&document).is_err());
        }

        #[test]
        fn no_text_makes_it_panic(text in "\\PC{0,60}") {
            let _cause = cause(&text);
            let _cause = cause(&format!("T1S{text}"));
        }
    }
}
