//! Annotations, metadata, and what nobody maps; and how fields are taken.

use serde_json::{Map, Value};

use crate::otlp::attributes::{Attributes, flat, of_text, texts};
use crate::otlp::keys::{ANNOTATION, ANNOTATIONS, METADATA, MORE, XRAY, is_known, is_plain_field};
use crate::otlp::message::any_value;

/// Takes an object out of another one; anything else stays.
pub(super) fn take_object(from: &mut Map<String, Value>, field: &str) -> Option<Map<String, Value>> {
    if !from.get(field)?.is_object() {
        return None;
    }
    match from.remove(field) {
        Some(Value::Object(object)) => Some(object),
        _ => None,
    }
}

/// Moves a text with something in it to an attribute. It stays where it is when the attribute has another value already.
pub(super) fn move_text(from: &mut Map<String, Value>, field: &str, attributes: &mut Attributes, key: &str) {
    if copy_text(from, field, attributes, key) {
        from.remove(field);
    }
}

/// Copies a text with something in it to an attribute that has no value yet; returns whether the attribute has that value.
pub(super) fn copy_text(
    from: &Map<String, Value>,
    field: &str,
    attributes: &mut Attributes,
    key: &str,
) -> bool {
    let Some(found) = from
        .get(field)
        .and_then(Value::as_str)
        .filter(|found| !found.is_empty())
    else {
        return false;
    };
    let value = attributes.entry(key.to_owned()).or_insert_with(|| of_text(found));
    *value == of_text(found)
}

/// Makes attributes of all that is left of an entity: its annotations, its metadata, and every other field under its own
/// name.
pub(super) fn take(mut entity: Map<String, Value>, attributes: &mut Attributes) {
    if let Some(annotations) = take_object(&mut entity, "annotations") {
        self::annotations(annotations, attributes);
    }
    if let Some(metadata) = take_object(&mut entity, "metadata") {
        let metadata = metadata.into_iter();
        attributes.extend(
            metadata.map(|(namespace, value)| (format!("{METADATA}{namespace}"), of_text(value.to_string()))),
        );
    }
    leftovers(&[], entity, attributes);
}

/// Each under its own key, and the list of the keys.
fn annotations(annotations: Map<String, Value>, attributes: &mut Attributes) {
    let mut keys = Vec::new();
    for (key, value) in annotations {
        let is_scalar = value.is_string() || value.is_number() || value.is_boolean();
        if is_scalar && !key.is_empty() && !is_known(&key) {
            let value = match value {
                Value::String(plain) => of_text(plain),
                other => flat(other),
            };
            attributes.insert(key.clone(), value);
            keys.push(key);
        } else {
            attributes.insert(format!("{ANNOTATION}{key}"), flat(value));
        }
    }
    if !keys.is_empty() {
        attributes.insert(ANNOTATIONS.to_owned(), texts(keys));
    }
}

/// What is left of an object at that path of the entity, under the path. `null` tells nothing.
pub(super) fn leftovers(path: &[&str], object: Map<String, Value>, attributes: &mut Attributes) {
    let mut prefix = XRAY.to_owned();
    for part in path {
        prefix.push_str(part);
        prefix.push('.');
    }
    for (name, value) in object {
        if value.is_null() {
            continue;
        }
        let key = format!("{prefix}{name}");
        let is_plain = !name.is_empty() && !name.contains('.') && (!path.is_empty() || is_plain_field(&name));
        if is_plain && !attributes.contains_key(&key) {
            attributes.insert(key, flat(value));
        } else {
            more(path, name, value, attributes);
        }
    }
}

/// Puts a field among those that have no key of their own.
fn more(path: &[&str], name: String, value: Value, attributes: &mut Attributes) {
    let mut all = match attributes.get(MORE) {
        Some(any_value::Value::Text(all)) => serde_json::from_str(all).unwrap_or_default(),
        _ => Map::new(),
    };
    let mut object = &mut all;
    for part in path {
        let inner = object
            .entry((*part).to_owned())
            .or_insert_with(|| Value::Object(Map::new()));
        let Value::Object(inner) = inner else { return };
        object = inner;
    }
    object.insert(name, value);
    attributes.insert(MORE.to_owned(), of_text(Value::Object(all).to_string()));
}
