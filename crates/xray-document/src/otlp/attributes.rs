//! Attributes, and JSON in them.
//!
//! Two forms are in use. As it is: objects become lists of keys and values, and back. Flat: a scalar as it is, anything
//! else as JSON text, for back ends that show scalars only; a text that could be taken for JSON is quoted.

use std::collections::BTreeMap;

use serde_json::{Map, Number, Value, json};

use super::message::{AnyValue, ArrayValue, KeyValue, KeyValueList, any_value};

/// Attributes by their keys.
pub(super) type Attributes = BTreeMap<String, any_value::Value>;

/// As a span has them.
pub(super) fn listed(attributes: Attributes) -> Vec<KeyValue> {
    let attributes = attributes.into_iter();
    attributes
        .map(|(key, value)| KeyValue {
            key,
            value: Some(AnyValue { value: Some(value) }),
        })
        .collect()
}

/// A text.
pub(super) fn of_text(text: impl Into<String>) -> any_value::Value {
    any_value::Value::Text(text.into())
}

/// A list of texts.
pub(super) fn texts<T: Into<String>>(texts: impl IntoIterator<Item = T>) -> any_value::Value {
    let values = texts.into_iter().map(|one| AnyValue {
        value: Some(of_text(one)),
    });
    any_value::Value::Array(ArrayValue {
        values: values.collect(),
    })
}

fn number(number: &Number) -> any_value::Value {
    match number.as_i64() {
        Some(whole) => any_value::Value::Int(whole),
        None => any_value::Value::Double(number.as_f64().unwrap_or_default()),
    }
}

/// A value, flat.
pub(super) fn flat(value: Value) -> any_value::Value {
    match value {
        Value::Bool(flag) => any_value::Value::Bool(flag),
        Value::Number(whole) => number(&whole),
        Value::String(plain) if !looks_like_json(&plain) => of_text(plain),
        other => of_text(other.to_string()),
    }
}

/// What [`flat`] was made of; `value` is as [`json`] makes it.
pub(super) fn unflat(value: Value) -> Value {
    match value {
        Value::String(plain) if looks_like_json(&plain) => {
            serde_json::from_str(&plain).unwrap_or(Value::String(plain))
        }
        other => other,
    }
}

fn looks_like_json(text: &str) -> bool {
    text.starts_with(['{', '[', '"']) || text == "null"
}

/// Attributes as JSON. Of a key that is there twice, the last counts. prost's limit of 100 levels bounds the recursion.
pub(super) fn json_of(attributes: &[KeyValue]) -> Map<String, Value> {
    attributes
        .iter()
        .map(|attribute| (attribute.key.clone(), json_value(attribute.value.as_ref())))
        .collect()
}

/// Bytes, and the three numbers that JSON does not have, in the way of OTLP's JSON.
fn json_value(any: Option<&AnyValue>) -> Value {
    match any.and_then(|any| any.value.as_ref()) {
        None => Value::Null,
        Some(any_value::Value::Text(text)) => json!(text),
        Some(any_value::Value::Bool(flag)) => json!(flag),
        Some(any_value::Value::Int(number)) => json!(number),
        Some(any_value::Value::Double(number)) if number.is_finite() => json!(number),
        Some(any_value::Value::Double(number)) => {
            let name = if number.is_nan() {
                "NaN"
            } else if *number > 0.0 {
                "Infinity"
            } else {
                "-Infinity"
            };
            json!({ "doubleValue": name })
        }
        Some(any_value::Value::Array(array)) => {
            array.values.iter().map(|one| json_value(Some(one))).collect()
        }
        Some(any_value::Value::List(list)) => Value::Object(json_of(&list.values)),
        Some(any_value::Value::Bytes(bytes)) => {
            json!({ "bytesValue": aws_smithy_types::base64::encode(bytes) })
        }
    }
}

/// What [`json_of`] was made of. The JSON parser's bound of 128 levels bounds the recursion.
pub(super) fn of_json(attributes: Map<String, Value>) -> Vec<KeyValue> {
    let attributes = attributes.into_iter();
    attributes
        .map(|(key, value)| KeyValue {
            key,
            value: Some(any_of(value)),
        })
        .collect()
}

fn any_of(value: Value) -> AnyValue {
    let value = match value {
        Value::Null => None,
        Value::Bool(flag) => Some(any_value::Value::Bool(flag)),
        Value::Number(whole) => Some(number(&whole)),
        Value::String(plain) => Some(of_text(plain)),
        Value::Array(values) => Some(any_value::Value::Array(ArrayValue {
            values: values.into_iter().map(any_of).collect(),
        })),
        Value::Object(fields) => Some(special(&fields).unwrap_or_else(|| {
            any_value::Value::List(KeyValueList {
                values: of_json(fields),
            })
        })),
    };
    AnyValue { value }
}

/// Bytes, or a number that JSON does not have.
fn special(fields: &Map<String, Value>) -> Option<any_value::Value> {
    if fields.len() != 1 {
        return None;
    }
    let (key, value) = fields.iter().next()?;
    match (key.as_str(), value.as_str()?) {
        ("bytesValue", text) => {
            let bytes = aws_smithy_types::base64::decode(text).ok()?;
            Some(any_value::Value::Bytes(bytes))
        }
        ("doubleValue", "NaN") => Some(any_value::Value::Double(f64::NAN)),
        ("doubleValue", "Infinity") => Some(any_value::Value::Double(f64::INFINITY)),
        ("doubleValue", "-Infinity") => Some(any_value::Value::Double(f64::NEG_INFINITY)),
        _ => None,
    }
}

/// The first text with something in it under one of these keys.
pub(super) fn text<'a>(attributes: &'a Map<String, Value>, keys: &[&str]) -> Option<&'a str> {
    let mut found = keys.iter().filter_map(|key| attributes.get(*key)?.as_str());
    found.find(|text| !text.is_empty())
}

/// The first whole number under one of these keys, also one in a text.
pub(super) fn whole(attributes: &Map<String, Value>, keys: &[&str]) -> Option<i64> {
    keys.iter().find_map(|key| match attributes.get(*key)? {
        Value::Number(number) => number.as_i64(),
        Value::String(text) => text.parse().ok(),
        _ => None,
    })
}

/// Adds a field that there is something for.
pub(super) fn add<T: Into<Value>>(object: &mut Map<String, Value>, field: &str, value: Option<T>) {
    if let Some(value) = value {
        object.insert(field.to_owned(), value.into());
    }
}

/// Adds an object that there is something in.
pub(super) fn add_object(object: &mut Map<String, Value>, field: &str, inner: Map<String, Value>) {
    if !inner.is_empty() {
        object.insert(field.to_owned(), Value::Object(inner));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flat_values_come_back_with_their_types() {
        for value in [
            json!("text"),
            json!(""),
            json!("[1]"),
            json!("{not json"),
            json!("\"quoted\""),
            json!("null"),
            json!(null),
            json!(5),
            json!(5.0),
            json!(true),
            json!([1, "a", null]),
            json!({"a": {"b": []}}),
        ] {
            let attribute = KeyValue {
                key: "k".to_owned(),
                value: Some(AnyValue {
                    value: Some(flat(value.clone())),
                }),
            };
            assert_eq!(unflat(json_of(&[attribute])["k"].clone()), value);
        }
        assert_eq!(flat(json!([1])), of_text("[1]"));
        assert_eq!(flat(json!("[1]")), of_text("\"[1]\""));
    }

    #[test]
    fn bytes_and_what_is_no_number_in_json_come_back() {
        let values = [
            any_value::Value::Bytes(vec![0, 255]),
            any_value::Value::Double(f64::INFINITY),
            any_value::Value::Double(f64::NEG_INFINITY),
            any_value::Value::Int(i64::MIN),
        ];
        for value in values {
            let attribute = KeyValue {
                key: "k".to_owned(),
                value: Some(AnyValue { value: Some(value) }),
            };
            assert_eq!(of_json(json_of(std::slice::from_ref(&attribute))), [attribute]);
        }
    }
}
