//! What the OpenTelemetry Collector makes of the same documents and spans (its receiver and its exporter for X-Ray, of 0.103,
//! whose output is in `collector/`), and why this project's differs.
//!
//! A difference that is not in a table here fails, and so does a row of which there is no case any more. The tables are told in
//! docs/otlp-mapping.md.

use std::collections::{BTreeMap, BTreeSet};

use prost::Message as _;
use serde_json::{Map, Value, json};
use xray_document::otlp::json::to_protobuf;
use xray_document::otlp::message::{AnyValue, KeyValue, Request, any_value};
use xray_document::otlp::to_segment::{Options, segments_of};
use xray_document::otlp::to_span::{Context, Converted, spans_of};

/// What [`SPANS`] was made of, in this order.
const DOCUMENTS: [&str; 3] = [
    include_str!("documents.jsonl"),
    include_str!("recorded/node.jsonl"),
    include_str!("recorded/python.jsonl"),
];

/// A request in JSON for each document; an `error` or a `panic` where there is none.
const SPANS: &str = include_str!("collector/spans.jsonl");

/// A request a line.
const REQUESTS: &str = include_str!("recorded/spans.jsonl");

/// A list of documents for each request.
const SEGMENTS: &str = include_str!("collector/segments.jsonl");

/// Older names of attributes, and the stable ones for the same value.
const RENAMED: [(&str, &str); 12] = [
    ("aws.operation", "rpc.method"),
    ("aws.queue_url", "aws.sqs.queue.url"),
    ("aws.service", "rpc.service"),
    ("db.name", "db.namespace"),
    ("db.statement", "db.query.text"),
    ("db.user", "aws.xray.sql.user"),
    ("http.client_ip", "client.address"),
    ("http.method", "http.request.method"),
    ("http.response_content_length", "http.response.body.size"),
    ("http.status_code", "http.response.status_code"),
    ("http.url", "url.full"),
    ("http.user_agent", "user_agent.original"),
];

/// Where spans differ, and why.
const OF_SPANS: [(&str, &str); 18] = [
    (
        "attribute aws.account_id",
        "of a segment it is the account that it ran in: resource, cloud.account.id",
    ),
    ("attribute aws.table_name", "aws.dynamodb.table_names, a list"),
    ("attribute aws.xray.annotations", "the same keys, in order"),
    (
        "attribute aws.xray.inprogress",
        "what has ended is not in progress",
    ),
    (
        "attribute db.connection_string",
        "a part of the URL, which is aws.xray.sql.url",
    ),
    (
        "attribute db.system",
        "db.system.name has the values of the conventions",
    ),
    (
        "attribute http.response_content_length",
        "a text with a number is a number, and -1 is no length",
    ),
    (
        "event exception.stacktrace",
        "no space before the line, which Java does not print",
    ),
    ("event time", "0 is 1970"),
    ("flags", "whether the parent is remote"),
    ("kind", "a segment is a server"),
    ("message", "of the exception that the id names, not the id"),
    ("name", "a call to AWS says which"),
    (
        "resource cloud.provider",
        "unknown is no provider, and an origin of AWS is AWS",
    ),
    ("resource service.name", "a subsegment is no service"),
    ("resource telemetry.sdk.language", "lower case"),
    ("scope", "the SDK"),
    ("status", "of a server that answers 4xx it is unset"),
];

/// Where segments differ, and why.
const OF_SEGMENTS: [(&str, &str); 27] = [
    (
        "a segment",
        "a call without a parent is a segment of its service, with the call in it",
    ),
    ("aws", "of a subsegment it is what is called, not where it ran"),
    ("aws.cloudwatch_logs", "the same"),
    ("aws.ecs", "the same"),
    ("aws.ecs.launch_type", "upper case, as ECS writes it"),
    ("aws.xray", "the same"),
    ("aws.xray.auto_instrumentation", "not known"),
    (
        "cause.exceptions.id",
        "made of the span's id: the same on every retry",
    ),
    ("cause.exceptions.remote", "not known"),
    (
        "cause.exceptions.stack",
        "a line with ^ signs below belongs to its frame; the cause has frames of its own",
    ),
    ("cause.exceptions.type", "empty"),
    (
        "error",
        "false says nothing; a 4xx is an error also where the status is unset or error",
    ),
    ("fault", "false says nothing; a 4xx is no fault"),
    ("http.request", "empty"),
    ("http.request.url", "with its query"),
    (
        "http.request.x_forwarded_for",
        "client.address does not say where it is from",
    ),
    ("http.response", "a length that nobody knows is not 0"),
    ("http.response.content_length", "the same"),
    ("metadata.default", "metadata.otlp has all of it, and more"),
    ("name", "what is called: of the newer names too"),
    ("origin", "of segments"),
    (
        "parent_id",
        "the id of the segment that is made for a call is another one",
    ),
    ("service", "of segments"),
    ("sql.connection_string", "not made up"),
    ("sql.url", "not made up"),
    ("throttle", "a 429 is one; false says nothing"),
    (
        "type",
        "a consumer is a segment, and what is inside of another one needs no type",
    ),
];

/// Attributes as JSON.
fn record(attributes: &[KeyValue]) -> Map<String, Value> {
    fn value(any: &AnyValue) -> Value {
        match &any.value {
            Some(any_value::Value::Text(text)) => json!(text),
            Some(any_value::Value::Bool(flag)) => json!(flag),
            Some(any_value::Value::Int(number)) => json!(number),
            Some(any_value::Value::Double(number)) => json!(number),
            Some(any_value::Value::Array(array)) => array.values.iter().map(value).collect(),
            Some(any_value::Value::List(list)) => Value::Object(record(&list.values)),
            Some(any_value::Value::Bytes(bytes)) => json!(bytes),
            None => Value::Null,
        }
    }
    let pairs = attributes.iter();
    pairs
        .map(|pair| (pair.key.clone(), pair.value.as_ref().map_or(Value::Null, value)))
        .collect()
}

/// The spans of a request by their ids, each with what can be compared.
fn told(request: &[u8]) -> BTreeMap<Vec<u8>, Map<String, Value>> {
    let request = Request::decode(request).expect("a request");
    let mut found = BTreeMap::new();
    for of_resource in request.resource_spans {
        let resource = record(&of_resource.resource.unwrap_or_default().attributes);
        for of_scope in of_resource.scope_spans {
            let scope = of_scope.scope.unwrap_or_default().name;
            for span in of_scope.spans {
                let status = span.status.unwrap_or_default();
                let micros = |nanos: u64| (nanos + 500) / 1_000;
                let mut all = Map::new();
                for (what, value) in [
                    ("name", json!(span.name)),
                    ("parent", json!(span.parent_span_id)),
                    ("kind", json!(span.kind)),
                    ("flags", json!(span.flags)),
                    ("scope", json!(scope)),
                    ("status", json!(status.code)),
                    ("message", json!(status.message)),
                    ("start", json!(micros(span.start_time_unix_nano))),
                    ("end", json!(micros(span.end_time_unix_nano))),
                    ("events", json!(span.events.len())),
                    ("links", json!(span.links.len())),
                ] {
                    all.insert(what.to_owned(), value);
                }
                for event in &span.events {
                    all.insert("event time".to_owned(), json!(event.time_unix_nano));
                    let attributes = record(&event.attributes).into_iter();
                    all.extend(attributes.map(|(key, value)| (format!("event {key}"), value)));
                }
                for (of, attributes) in [
                    ("attribute", record(&span.attributes)),
                    ("resource", resource.clone()),
                ] {
                    let attributes = attributes.into_iter();
                    all.extend(attributes.map(|(key, value)| (format!("{of} {key}"), value)));
                }
                found.insert(span.span_id, all);
            }
        }
    }
    found
}

/// Whether something of theirs is there under its own name, or under the one that it has now.
fn has(ours: &Map<String, Value>, what: &str, theirs: &Value) -> bool {
    let renamed = what.strip_prefix("attribute ").and_then(|key| {
        let (_, new) = RENAMED.iter().find(|(old, _)| *old == key)?;
        Some(format!("attribute {new}"))
    });
    match (ours.get(renamed.as_deref().unwrap_or(what)), theirs) {
        // Of whole numbers it makes floats.
        (Some(Value::Number(ours)), Value::Number(theirs)) => ours.as_f64() == theirs.as_f64(),
        (ours, theirs) => ours == Some(theirs),
    }
}

/// The differences are those that have a reason.
fn are_explained(differ: &BTreeMap<String, String>, table: &[(&str, &str)]) {
    let reasons: BTreeSet<&str> = table.iter().map(|(what, _)| *what).collect();
    for (what, example) in differ {
        assert!(reasons.contains(what.as_str()), "{what}: {example}");
    }
    for what in reasons {
        assert!(differ.contains_key(what), "no case of {what}");
    }
}

#[test]
fn spans_are_those_of_the_collector_but_where_there_is_a_reason() {
    let documents = DOCUMENTS
        .iter()
        .flat_map(|documents| documents.lines())
        .filter(|line| !line.is_empty() && !line.starts_with('#'));
    let mut differ = BTreeMap::new();
    let mut compared = 0;
    for (document, theirs) in documents.zip(SPANS.lines()) {
        let Ok(Converted::Spans(ours)) = spans_of(document, &Context::default()) else {
            panic!("{document}");
        };
        let ours = told(&ours.request);
        // It refuses a field of another type, and panics on an exception without an id.
        if theirs.starts_with("{\"error\"") || theirs.starts_with("{\"panic\"") {
            assert!(!ours.is_empty());
            continue;
        }
        let theirs = told(&to_protobuf(theirs.as_bytes()).expect("a request"));
        assert!(ours.keys().eq(theirs.keys()), "{document}");
        for (id, theirs) in theirs {
            let ours = &ours[&id];
            for (what, theirs) in theirs {
                if !has(ours, &what, &theirs) {
                    let example = format!("{:?} is not {theirs} in {document}", ours.get(&what));
                    differ.entry(what).or_insert(example);
                }
            }
            compared += 1;
        }
    }
    assert!(compared >= 60, "{compared}");
    are_explained(&differ, &OF_SPANS);
}

/// Where their document has something that ours has not, or of another value.
fn compare(path: &str, ours: &Value, theirs: &Value, differ: &mut BTreeMap<String, String>) {
    let mut says = |path: &str| {
        let example = format!("{ours} is not {theirs}");
        differ.entry(path.to_owned()).or_insert(example);
    };
    match (ours, theirs) {
        (Value::Object(ours), Value::Object(theirs)) => {
            for (field, theirs) in theirs {
                let path = format!("{path}{}{field}", if path.is_empty() { "" } else { "." });
                compare(&path, ours.get(field).unwrap_or(&Value::Null), theirs, differ);
            }
        }
        (Value::Array(ours), Value::Array(theirs)) if ours.len() == theirs.len() => {
            for (ours, theirs) in ours.iter().zip(theirs) {
                compare(path, ours, theirs, differ);
            }
        }
        (Value::Number(ours), Value::Number(theirs)) if path.ends_with("_time") => {
            let (ours, theirs) = (ours.as_f64().unwrap_or(0.0), theirs.as_f64().unwrap_or(0.0));
            if (ours - theirs).abs() > 2e-6 {
                says(path);
            }
        }
        (ours, theirs) if ours == theirs => {}
        _ => says(path),
    }
}

#[test]
fn segments_are_those_of_the_collector_but_where_there_is_a_reason() {
    let mut differ = BTreeMap::new();
    let mut compared = 0;
    for (request, theirs) in REQUESTS.lines().zip(SEGMENTS.lines()) {
        let mut ours = BTreeMap::new();
        let request = to_protobuf(request.as_bytes()).expect("a request");
        let counted = segments_of(&request, &Options::default(), |made| {
            let mut document: Value = serde_json::from_str(&made.expect("a segment").document).expect("JSON");
            let inner = document
                .as_object_mut()
                .and_then(|fields| fields.remove("subsegments"));
            for mut inner in inner
                .as_ref()
                .and_then(Value::as_array)
                .cloned()
                .unwrap_or_default()
            {
                inner["parent_id"] = document["id"].clone();
                inner["trace_id"] = document["trace_id"].clone();
                inner["type"] = json!("subsegment");
                ours.insert(inner["id"].to_string(), inner);
            }
            ours.insert(document["id"].to_string(), document);
        });
        counted.expect("a request");
        let theirs: Vec<Value> = serde_json::from_str(theirs).expect("documents");
        for theirs in theirs {
            match ours.get(&theirs["id"].to_string()) {
                Some(ours) => compare("", ours, &theirs, &mut differ),
                None => drop(differ.insert("a segment".to_owned(), theirs.to_string())),
            }
            compared += 1;
        }
    }
    assert!(compared >= 25, "{compared}");
    are_explained(&differ, &OF_SEGMENTS);
}
