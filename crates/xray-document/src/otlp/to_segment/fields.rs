//! Attributes that [`crate::otlp::to_span`] has made of fields, as those fields.

use serde_json::{Map, Value};

use super::Made;
use crate::otlp::attributes::unflat;
use crate::otlp::keys::{METADATA, MORE, NESTED, XRAY, is_plain_field};

/// Fields that are made of the span itself, whatever its attributes say.
const OF_SPAN: [&str; 9] = [
    "annotations",
    "end_time",
    "id",
    "name",
    "parent_id",
    "start_time",
    "subsegments",
    "trace_id",
    "type",
];

/// Fields of X-Ray that spans of others may have attributes for.
const OF_OTHERS: [&str; 8] = [
    "error",
    "fault",
    "namespace",
    "origin",
    "precursor_ids",
    "resource_arn",
    "throttle",
    "traced",
];

/// Puts the fields back. They count more than what was made of other attributes.
pub(super) fn restore(attributes: &Map<String, Value>, made: Made, entity: &mut Map<String, Value>) {
    let marks = ["error", "fault", "throttle"];
    if marks
        .iter()
        .any(|mark| attributes.contains_key(&format!("{XRAY}{mark}")))
    {
        marks.iter().for_each(|mark| drop(entity.remove(*mark)));
    }
    for (key, value) in attributes {
        let Some(name) = key.strip_prefix(XRAY) else {
            continue;
        };
        if let Some(namespace) = key.strip_prefix(METADATA) {
            put(entity, &["metadata"], namespace, json_text(value));
        } else if key == "aws.xray.sampling_rule" {
            put_absent(entity, &["aws", "xray"], "sampling_rule_name", value.clone());
        } else if key == "aws.xray.x_forwarded_for" {
            put_absent(entity, &["http", "request"], "x_forwarded_for", value.clone());
        } else if let Some((path, field)) = nested(name) {
            if made.is_from_segment {
                put(entity, path, field, unflat(value.clone()));
            }
        } else if is_plain_field(name)
            && !OF_SPAN.contains(&name)
            && (made.is_from_segment || OF_OTHERS.contains(&name))
            // Only a segment has no other namespace than its own.
            && (name != "namespace" || !entity.contains_key("namespace"))
        {
            let is_reference = name == "cause" && attributes.contains_key("aws.xray.cause.id");
            if is_reference {
                // Node's form of an id.
                put(entity, &["cause"], "exceptions", Value::Array(Vec::new()));
            } else {
                entity.insert(name.to_owned(), restored(entity.get(name), unflat(value.clone())));
            }
        }
    }
    if let (Some(Value::String(more)), true) = (attributes.get(MORE), made.is_from_segment)
        && let Ok(Value::Object(more)) = serde_json::from_str(more)
    {
        let more = more.into_iter();
        merge(
            entity,
            more.filter(|(field, _)| !OF_SPAN.contains(&field.as_str()) || field == "annotations"),
        );
    }
}

/// The part of a list that had no other place (bad links) goes behind the rest of it.
fn restored(there: Option<&Value>, value: Value) -> Value {
    match (there, value) {
        (Some(Value::Array(there)), Value::Array(more)) => there.iter().cloned().chain(more).collect(),
        (_, value) => value,
    }
}

fn json_text(value: &Value) -> Value {
    match value {
        Value::String(text) => serde_json::from_str(text).unwrap_or_else(|_| value.clone()),
        other => other.clone(),
    }
}

/// Where a field with a key of its own belongs.
fn nested(name: &str) -> Option<(&'static [&'static str], &str)> {
    NESTED.iter().find_map(|path| {
        let mut rest = name;
        for part in *path {
            rest = rest.strip_prefix(part)?.strip_prefix('.')?;
        }
        (!rest.is_empty()).then_some((*path, rest))
    })
}

fn put(entity: &mut Map<String, Value>, path: &[&str], field: &str, value: Value) {
    if let Some(object) = object_at(entity, path) {
        object.insert(field.to_owned(), value);
    }
}

/// As [`put`], unless something with a key of its own is there: those come first by their keys.
fn put_absent(entity: &mut Map<String, Value>, path: &[&str], field: &str, value: Value) {
    if let Some(object) = object_at(entity, path) {
        object.entry(field.to_owned()).or_insert(value);
    }
}

fn object_at<'e>(entity: &'e mut Map<String, Value>, path: &[&str]) -> Option<&'e mut Map<String, Value>> {
    let mut object = entity;
    for part in path {
        let inner = object
            .entry((*part).to_owned())
            .or_insert_with(|| Value::Object(Map::new()));
        if !inner.is_object() {
            *inner = Value::Object(Map::new());
        }
        object = inner.as_object_mut()?;
    }
    Some(object)
}

/// The JSON parser's bound of 128 levels bounds the recursion.
fn merge(object: &mut Map<String, Value>, more: impl Iterator<Item = (String, Value)>) {
    for (field, value) in more {
        match (object.get_mut(&field), value) {
            (Some(Value::Object(there)), Value::Object(more)) => merge_boxed(there, more),
            (_, value) => drop(object.insert(field, value)),
        }
    }
}

fn merge_boxed(object: &mut Map<String, Value>, more: Map<String, Value>) {
    merge(
        object,
        &mut more.into_iter() as &mut dyn Iterator<Item = (String, Value)>,
    );
}
