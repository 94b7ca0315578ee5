//! `cause`: the exceptions of a span.

use serde_json::{Map, Value, json};

use super::Made;
use crate::otlp::attributes::{add, text};
use crate::otlp::attributes::{json_of, unflat};
use crate::otlp::keys::EXCEPTION;
use crate::otlp::message::{Event, STATUS_ERROR, Span};
use crate::otlp::stack;

/// `cause`; empty when there are no exceptions.
pub(super) fn of(span: &Span, made: Made) -> Map<String, Value> {
    let mut exceptions = Vec::new();
    for event in span.events.iter().filter(|event| event.name == "exception") {
        exception(span, event, made, &mut exceptions);
    }
    let message = span.status.as_ref().filter(|status| status.code == STATUS_ERROR);
    let message = message
        .map(|status| &status.message)
        .filter(|message| !message.is_empty());
    if let (Some(message), true, false) = (message, exceptions.is_empty(), made.is_from_segment) {
        exceptions.push(json!({"id": id(&span.span_id, 0), "message": message}));
    }
    let mut cause = Map::new();
    if !exceptions.is_empty() {
        cause.insert("exceptions".to_owned(), Value::Array(exceptions));
    }
    cause
}

/// An exception, and those that caused it.
fn exception(span: &Span, event: &Event, made: Made, exceptions: &mut Vec<Value>) {
    let attributes = json_of(&event.attributes);
    if let Some(whole) = attributes.get("aws.xray.exception").and_then(Value::as_str) {
        exceptions.extend(serde_json::from_str::<Value>(whole));
        return;
    }
    let trace = text(&attributes, &["exception.stacktrace"]).unwrap_or_default();
    let thrown = stack::thrown(trace);
    let first = exceptions.len();
    let count = if made.is_from_segment { 1 } else { thrown.len() };
    for (place, thrown) in thrown.iter().take(count).enumerate() {
        let mut exception = Map::new();
        match &thrown.cause {
            None => {
                add(
                    &mut exception,
                    "type",
                    attributes.get("exception.type").and_then(Value::as_str),
                );
                add(
                    &mut exception,
                    "message",
                    attributes.get("exception.message").and_then(Value::as_str),
                );
            }
            Some(cause) => match cause.split_once(": ") {
                Some((kind, message)) => {
                    add(&mut exception, "type", Some(kind));
                    add(&mut exception, "message", Some(message));
                }
                None => add(&mut exception, "type", Some(cause.as_str())),
            },
        }
        let frames: Vec<Value> = thrown.frames.iter().map(stack::Frame::json).collect();
        if !frames.is_empty() {
            exception.insert("stack".to_owned(), Value::Array(frames));
        }
        if !made.is_from_segment {
            exception.insert("id".to_owned(), json!(id(&span.span_id, first + place)));
            if thrown.truncated > 0 {
                exception.insert("truncated".to_owned(), json!(thrown.truncated));
            }
            if place + 1 < count {
                exception.insert("cause".to_owned(), json!(id(&span.span_id, first + place + 1)));
            }
        }
        if place == 0 {
            // What X-Ray has and the conventions do not.
            for (key, value) in &attributes {
                if let Some(field) = key.strip_prefix(EXCEPTION) {
                    exception.insert(field.to_owned(), unflat(value.clone()));
                }
            }
        }
        exceptions.push(Value::Object(exception));
    }
}

/// An id for an exception that has none: the same whenever the span is converted.
fn id(span_id: &[u8], place: usize) -> String {
    // FNV-1a, whose last step mixes the place into the low bytes.
    let bytes = span_id.iter().copied().chain((place as u64).to_be_bytes());
    let hash = bytes.fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    format!("{hash:016x}")
}
