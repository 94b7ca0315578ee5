//! Annotations: attributes that X-Ray is to find traces by.

use serde_json::{Map, Value};

use super::Made;
use super::{Options, Sharing};
use crate::otlp::attributes::unflat;
use crate::otlp::keys::{ANNOTATION, ANNOTATION_OF_SDK, ANNOTATIONS};

/// The most of one document: X-Ray indexes as many of a trace.
const MAX: usize = 50;

/// The longest text of one, in characters, by X-Ray's schema.
const MAX_CHARS: usize = 1_000;

/// The longest key, in characters, by X-Ray's schema.
const MAX_KEY_CHARS: usize = 500;

/// What copies of a resource's attributes get, and how many got none.
pub(super) struct Room<'s> {
    pub(super) sharing: &'s mut Sharing,
    pub(super) left_out: usize,
}

/// Those that the span lists, those of the options, and those that begin with `annotation.`; a key is looked for in the
/// span, then in its resource.
pub(super) fn of(
    attributes: &Map<String, Value>,
    resource: &Map<String, Value>,
    options: &Options<'_>,
    made: Made,
    room: &mut Room<'_>,
) -> Map<String, Value> {
    let mut found = Map::new();
    let listed: Vec<&str> = match attributes.get(ANNOTATIONS) {
        Some(Value::Array(keys)) => keys.iter().filter_map(Value::as_str).collect(),
        Some(Value::String(key)) => vec![key.as_str()],
        _ => Vec::new(),
    };
    let configured = options.annotations.iter().map(String::as_str);
    for key in listed.into_iter().chain(configured) {
        if found.len() >= MAX && !made.is_from_segment {
            break;
        }
        if let Some(value) = attributes.get(key) {
            annotate(&mut found, key, value, made);
        } else if let Some(value) = resource.get(key).filter(|_| !found.contains_key(key)) {
            // Six times as long in JSON at most: each copy is not written out to be measured.
            let bytes = key.len() + value.as_str().map_or(0, |text| text.len().min(4 * MAX_CHARS));
            if room.sharing.takes(bytes) {
                annotate(&mut found, key, value, made);
            } else {
                room.left_out += 1;
            }
        }
    }
    for (key, value) in attributes {
        if let Some(key) = key.strip_prefix(ANNOTATION) {
            if made.is_from_segment {
                found.insert(key.to_owned(), unflat(value.clone()));
            } else {
                annotate(&mut found, key, value, made);
            }
        } else if let Some(key) = key.strip_prefix(ANNOTATION_OF_SDK) {
            annotate(&mut found, key, value, made);
        }
    }
    found
}

/// Adds what can be an annotation: a text, a number or a Boolean. What was one already stays as it is.
fn annotate(annotations: &mut Map<String, Value>, key: &str, value: &Value, made: Made) {
    if made.is_from_segment {
        annotations.insert(key.to_owned(), value.clone());
        return;
    }
    let value = match value {
        Value::String(text) => Value::from(text.chars().take(MAX_CHARS).collect::<String>()),
        Value::Number(_) | Value::Bool(_) => value.clone(),
        _ => return,
    };
    let fits = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '.';
    let key: String = key
        .chars()
        .take(MAX_KEY_CHARS)
        .map(|c| if fits(c) { c } else { '_' })
        .collect();
    if !key.is_empty() && (annotations.len() < MAX || annotations.contains_key(&key)) {
        annotations.insert(key, value);
    }
}
