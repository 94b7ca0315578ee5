//! What is left out of a document that is longer than X-Ray takes: X-Ray would refuse all of it.

use serde_json::{Map, Value, json};

/// Fields that a document is nothing without, or that are short.
const KEPT: [&str; 6] = ["error", "fault", "name", "namespace", "origin", "throttle"];

/// The most parts whose names are told; of what is left out beyond, only how much it is.
const MAX_TOLD: usize = 50;

/// The longest name of a part that is told, in characters.
const MAX_NAME_CHARS: usize = 100;

/// Makes an entity no longer than that: its metadata goes first, the largest parts of it before the others, then its
/// other fields. `metadata.otlp.left_out` says what has gone and how long it was.
pub(super) fn shed(entity: &mut Map<String, Value>, budget_bytes: usize) {
    let length = json_bytes(entity);
    if length <= budget_bytes {
        return;
    }
    // Room for what is told.
    let budget_bytes = budget_bytes.saturating_sub(MAX_TOLD * (4 * MAX_NAME_CHARS).min(120));
    let mut over = length.saturating_sub(budget_bytes);
    let mut told = Map::new();
    let mut others = 0;
    for paths in [in_metadata(entity), fields(entity)] {
        for (path, bytes) in paths {
            if over == 0 {
                break;
            }
            remove(entity, &path);
            over = over.saturating_sub(bytes);
            let name: String = path.join(".").chars().take(MAX_NAME_CHARS).collect();
            if told.len() < MAX_TOLD && name.len() <= MAX_NAME_CHARS && name.is_ascii() {
                told.insert(name, json!(bytes));
            } else {
                others += bytes;
            }
        }
    }
    if others > 0 {
        told.insert("others".to_owned(), json!(others));
    }
    let metadata = entity
        .entry("metadata")
        .or_insert_with(|| Value::Object(Map::new()));
    if !metadata.get("otlp").is_some_and(Value::is_object) {
        *metadata = json!({"otlp": {}});
    }
    metadata["otlp"]["left_out"] = Value::Object(told);
}

fn json_bytes(object: &Map<String, Value>) -> usize {
    object
        .iter()
        .map(|(key, value)| entry_bytes(key, value))
        .sum::<usize>()
        + 2
}

/// With what stands around it.
fn entry_bytes(key: &str, value: &Value) -> usize {
    json!(key).to_string().len() + value.to_string().len() + 2
}

/// A part of a document, and its length.
type Part = (Vec<String>, usize);

/// The parts of the metadata, largest first: each key of each namespace; of `otlp` also each attribute.
fn in_metadata(entity: &Map<String, Value>) -> Vec<Part> {
    let mut parts = Vec::new();
    let Some(metadata) = entity.get("metadata").and_then(Value::as_object) else {
        return parts;
    };
    for (namespace, value) in metadata {
        let at = |more: &[&str]| {
            let path = ["metadata", namespace].into_iter().chain(more.iter().copied());
            path.map(str::to_owned).collect::<Vec<String>>()
        };
        let Value::Object(keys) = value else {
            parts.push((at(&[]), entry_bytes(namespace, value)));
            continue;
        };
        for (key, value) in keys {
            match value {
                Value::Object(inner)
                    if namespace == "otlp" && ["attributes", "resource"].contains(&key.as_str()) =>
                {
                    for (name, value) in inner {
                        parts.push((at(&[key, name]), entry_bytes(name, value)));
                    }
                }
                _ if namespace == "otlp" && ["form", "kind", "wraps"].contains(&key.as_str()) => {}
                _ => parts.push((at(&[key]), entry_bytes(key, value))),
            }
        }
    }
    parts.sort_by_key(|(_, bytes)| std::cmp::Reverse(*bytes));
    parts
}

/// The other fields, largest first.
fn fields(entity: &Map<String, Value>) -> Vec<Part> {
    let fields = entity
        .iter()
        .filter(|(field, _)| *field != "metadata" && !KEPT.contains(&field.as_str()));
    let mut parts: Vec<Part> = fields
        .map(|(field, value)| (vec![field.clone()], entry_bytes(field, value)))
        .collect();
    parts.sort_by_key(|(_, bytes)| std::cmp::Reverse(*bytes));
    parts
}

fn remove(entity: &mut Map<String, Value>, path: &[String]) {
    let Some((last, above)) = path.split_last() else {
        return;
    };
    let mut object = entity;
    for part in above {
        let Some(Value::Object(inner)) = object.get_mut(part) else {
            return;
        };
        object = inner;
    }
    object.remove(last);
}
