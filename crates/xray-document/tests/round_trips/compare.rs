//! There and back, and what is equal.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};
use xray_document::otlp::to_segment::{Options, segments_of};
use xray_document::otlp::to_span::{Context, Converted, spans_of};
use xray_document::segment::check;

/// The documents that the spans of a document become; `None` when it has no spans.
pub(crate) fn there_and_back(document: &str) -> Option<Vec<Value>> {
    let Ok(Converted::Spans(spans)) = spans_of(document, &Context::default()) else {
        return None;
    };
    let mut found = Vec::new();
    let counted = segments_of(&spans.request, &Options::default(), |made| {
        let made = made.unwrap_or_else(|refused| panic!("{refused}: {document}"));
        assert!(check(&made.document).is_ok(), "{}", made.document);
        found.push(serde_json::from_str(&made.document).expect("JSON"));
    });
    assert_eq!(counted.expect("a request").items, spans.spans);
    Some(found)
}

/// Every segment and subsegment of a document has come back with all that it had.
pub(crate) fn assert_comes_back(document: &str) {
    let back = there_and_back(document).unwrap_or_else(|| panic!("no spans: {document}"));
    let back: BTreeMap<String, Value> = back
        .into_iter()
        .map(|entity| (entity["id"].as_str().expect("an id").to_owned(), entity))
        .collect();
    let original: Value = serde_json::from_str(document).expect("JSON");
    let expected = entities(original);
    assert_eq!(back.len(), expected.len());
    for expected in expected {
        let got = &back[expected["id"].as_str().expect("an id")];
        if let Err(path) = contains(got, &expected) {
            panic!("{path}\n   of: {expected}\n  got: {got}");
        }
    }
}

/// The entities of a document, each as it is on its own, in the one form of fields that come in several.
fn entities(document: Value) -> Vec<Value> {
    let mut found = Vec::new();
    let mut left = vec![(document, Value::Null, Value::Null)];
    while let Some((mut entity, trace_id, parent_id)) = left.pop() {
        let fields = entity.as_object_mut().expect("an object");
        if !trace_id.is_null() {
            fields.insert("trace_id".to_owned(), trace_id);
            fields.insert("parent_id".to_owned(), parent_id);
            fields.insert("type".to_owned(), json!("subsegment"));
        }
        if fields.get("type") != Some(&json!("subsegment")) {
            fields.remove("type");
        }
        if fields.get("in_progress") == Some(&json!(false)) {
            fields.remove("in_progress");
        }
        one_form(fields);
        let children = fields.remove("subsegments").unwrap_or_default();
        let (trace_id, id) = (fields["trace_id"].clone(), fields["id"].clone());
        for child in children.as_array().into_iter().flatten() {
            left.push((child.clone(), trace_id.clone(), id.clone()));
        }
        found.push(entity);
    }
    found
}

fn one_form(fields: &mut Map<String, Value>) {
    for field in ["trace_id", "id", "parent_id"] {
        if let Some(Value::String(id)) = fields.get_mut(field) {
            *id = id.to_lowercase();
            if field == "trace_id" && id.len() == 32 {
                *id = format!("1-{}-{}", &id[..8], &id[8..]);
            }
        }
    }
    if let Some(response) = fields.get_mut("http").and_then(|http| http.get_mut("response")) {
        for field in ["status", "content_length"] {
            if let Some(number) = response[field].as_str().and_then(|text| text.parse::<i64>().ok()) {
                response[field] = json!(number);
            }
        }
    }
    if let Some(Value::Array(exceptions)) = fields
        .get_mut("cause")
        .and_then(|cause| cause.get_mut("exceptions"))
    {
        for exception in exceptions.iter_mut().filter_map(Value::as_object_mut) {
            exception.retain(|_, value| !value.is_null());
        }
    }
    if fields.get("links") == Some(&json!([])) {
        fields.remove("links");
    }
    if let Some(Value::Object(cause)) = fields.get_mut("cause")
        && cause.get("exceptions") == Some(&json!([]))
        && !cause.get("id").is_some_and(Value::is_string)
    {
        cause.remove("exceptions");
    }
    without_nothing(fields);
}

/// Without `null`, and objects with nothing in them, down to where values are only carried.
fn without_nothing(fields: &mut Map<String, Value>) {
    const INSIDE: [&str; 12] = [
        "aws",
        "cause",
        "ec2",
        "ecs",
        "eks",
        "elastic_beanstalk",
        "http",
        "request",
        "response",
        "service",
        "sql",
        "xray",
    ];
    for (field, value) in fields.iter_mut() {
        if let Value::Object(inner) = value
            && INSIDE.contains(&field.as_str())
        {
            without_nothing(inner);
        }
    }
    fields.retain(|_, value| !value.is_null() && value.as_object().is_none_or(|inner| !inner.is_empty()));
}

/// Whether everything of `expected` is in `got`, or where it is not.
fn contains(got: &Value, expected: &Value) -> Result<(), String> {
    let at = |part: &str| {
        let part = part.to_owned();
        move |path: String| format!("{part}.{path}")
    };
    match (got, expected) {
        (Value::Object(got), Value::Object(expected)) => expected.iter().try_for_each(|(field, expected)| {
            let got = got.get(field).ok_or_else(|| format!("{field} is gone"))?;
            if ["start_time", "end_time"].contains(&field.as_str()) {
                return same_time(got, expected).map_err(at(field));
            }
            contains(got, expected).map_err(at(field))
        }),
        (Value::Array(got), Value::Array(expected)) if got.len() == expected.len() => {
            let mut pairs = got.iter().zip(expected).enumerate();
            pairs.try_for_each(|(place, (got, expected))| {
                contains(got, expected).map_err(at(&place.to_string()))
            })
        }
        (got, expected) if got == expected => Ok(()),
        (Value::Number(got), Value::Number(expected)) if got.as_f64() == expected.as_f64() => Ok(()),
        (got, expected) => Err(format!(": {got} is not {expected}")),
    }
}

fn same_time(got: &Value, expected: &Value) -> Result<(), String> {
    let micros = |time: &Value| (time.as_f64().expect("a time") * 1e6).round();
    if micros(got) == micros(expected) {
        return Ok(());
    }
    Err(format!(": {got} is not {expected}"))
}
