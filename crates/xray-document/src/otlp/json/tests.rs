use proptest::prelude::*;
use prost::Message as _;
use serde_json::{Value, json};

use super::*;
use crate::otlp::message::{Request, any_value};

fn read(request: &Value) -> Request {
    Request::decode(to_protobuf(request.to_string().as_bytes()).unwrap().as_slice()).unwrap()
}

fn refused(request: &str) -> String {
    to_protobuf(request.as_bytes()).unwrap_err().to_string()
}

fn with_span(span: Value) -> Value {
    json!({"resourceSpans": [{"scopeSpans": [{"spans": [span]}]}]})
}

/// As the exporter of Node.js writes it: times as strings, whole numbers as numbers; and every field there is.
#[test]
fn every_field_is_read_whatever_the_order() {
    let request = read(&json!({"resourceSpans": [{
        "schemaUrl": "r",
        "scopeSpans": [{
            "schemaUrl": "s",
            "spans": [{
                "traceId": "5B8EFFF798038103D269B633813FC60C", "spanId": "eee19b7ec3c1b174", "parentSpanId": "eee19b7ec3c1b173",
                "traceState": "a=b", "name": "GET", "kind": 2, "flags": 257,
                "startTimeUnixNano": "1544712660000000000", "endTimeUnixNano": 1544712661000000000_u64,
                "attributes": [
                    {"key": "text", "value": {"stringValue": "x"}}, {"key": "bool", "value": {"boolValue": true}},
                    {"key": "int", "value": {"intValue": "-5"}}, {"key": "int2", "value": {"intValue": 5}},
                    {"key": "double", "value": {"doubleValue": 0.5}}, {"key": "nan", "value": {"doubleValue": "NaN"}},
                    {"key": "bytes", "value": {"bytesValue": "AP8="}}, {"key": "none", "value": {}}, {"key": "null"},
                    {"key": "list", "value": {"arrayValue": {"values": [{"intValue": 1}, {}]}}},
                    {"key": "object", "value": {"kvlistValue": {"values": [{"key": "k", "value": {"stringValue": "v"}}]}}},
                ],
                "droppedAttributesCount": 1,
                "events": [{"timeUnixNano": "1", "name": "e", "attributes": [], "droppedAttributesCount": 2}],
                "droppedEventsCount": 3,
                "links": [{"traceId": "5b8efff798038103d269b633813fc60c", "spanId": "eee19b7ec3c1b174", "traceState": "t", "flags": 1}],
                "droppedLinksCount": 4,
                "status": {"code": 2, "message": "m"},
                "nobodyKnows": [{"deep": {}}],
            }],
            "scope": {"name": "n", "version": "v", "attributes": [{"key": "a", "value": {"intValue": 1}}], "droppedAttributesCount": 5},
        }],
        "resource": {"attributes": [{"key": "service.name", "value": {"stringValue": "shop"}}], "droppedAttributesCount": 6,
                     "entityRefs": [{"schemaUrl": "u", "type": "host", "idKeys": ["host.id"], "descriptionKeys": ["host.name"]}]},
    }]}));
    let resource_spans = &request.resource_spans[0];
    let resource = resource_spans.resource.as_ref().unwrap();
    assert_eq!(
        (
            resource_spans.schema_url.as_str(),
            resource.dropped_attributes_count
        ),
        ("r", 6)
    );
    assert_eq!(
        (
            resource.entity_refs[0].kind.as_str(),
            resource.entity_refs[0].id_keys.len()
        ),
        ("host", 1)
    );
    let scope_spans = &resource_spans.scope_spans[0];
    let scope = scope_spans.scope.as_ref().unwrap();
    assert_eq!(
        (
            scope.name.as_str(),
            scope.version.as_str(),
            scope.dropped_attributes_count
        ),
        ("n", "v", 5)
    );
    assert_eq!(scope_spans.schema_url, "s");
    let span = &scope_spans.spans[0];
    assert_eq!(hex::encode(&span.trace_id), "5b8efff798038103d269b633813fc60c");
    assert_eq!(
        (hex::encode(&span.span_id), span.parent_span_id.len()),
        ("eee19b7ec3c1b174".to_owned(), 8)
    );
    assert_eq!(
        (
            span.trace_state.as_str(),
            span.name.as_str(),
            span.kind,
            span.flags
        ),
        ("a=b", "GET", 2, 257)
    );
    assert_eq!(span.start_time_unix_nano, 1_544_712_660_000_000_000);
    assert_eq!(span.end_time_unix_nano, 1_544_712_661_000_000_000);
    let dropped = (
        span.dropped_attributes_count,
        span.dropped_events_count,
        span.dropped_links_count,
    );
    assert_eq!(dropped, (1, 3, 4));
    assert_eq!(
        (
            span.events[0].time_unix_nano,
            span.events[0].dropped_attributes_count
        ),
        (1, 2)
    );
    assert_eq!(
        (span.links[0].trace_state.as_str(), span.links[0].flags),
        ("t", 1)
    );
    let status = span.status.as_ref().unwrap();
    assert_eq!((status.code, status.message.as_str()), (2, "m"));
    let values = span
        .attributes
        .iter()
        .map(|attribute| attribute.value.as_ref().and_then(|any| any.value.clone()));
    let values: Vec<Option<any_value::Value>> = values.collect();
    assert_eq!(
        values[..3],
        [
            Some(any_value::Value::Text("x".to_owned())),
            Some(any_value::Value::Bool(true)),
            Some(any_value::Value::Int(-5)),
        ]
    );
    assert_eq!(
        (&values[3], &values[4]),
        (
            &Some(any_value::Value::Int(5)),
            &Some(any_value::Value::Double(0.5))
        )
    );
    assert!(matches!(values[5], Some(any_value::Value::Double(number)) if number.is_nan()));
    assert_eq!(
        values[6..9],
        [Some(any_value::Value::Bytes(vec![0, 255])), None, None]
    );
    assert!(matches!(&values[9], Some(any_value::Value::Array(list)) if list.values.len() == 2));
    assert!(matches!(&values[10], Some(any_value::Value::List(list)) if list.values[0].key == "k"));
}

#[test]
fn null_is_nothing_and_names_of_enums_are_known() {
    for request in [
        json!({}),
        json!({"resourceSpans": null}),
        json!({"resourceSpans": []}),
    ] {
        assert_eq!(read(&request), Request::default());
    }
    let request = read(&with_span(json!({
        "traceId": null, "kind": "SPAN_KIND_CLIENT", "status": {"code": "STATUS_CODE_ERROR", "message": null},
        "attributes": null, "startTimeUnixNano": null,
    })));
    let span = &request.resource_spans[0].scope_spans[0].spans[0];
    assert_eq!(
        (span.kind, span.status.as_ref().unwrap().code, span.trace_id.len()),
        (3, 2, 0)
    );
}

#[test]
fn what_is_no_request_is_said_in_few_words() {
    let long = format!("{{\"resourceSpans\":\"{}\"}}", "x".repeat(10_000));
    assert!(refused(&long).len() < 300, "{}", refused(&long));
    for (request, what) in [
        ("", "EOF while parsing a value at line 1 column 0"),
        (
            "[]",
            "invalid type: sequence, expected a request at line 1 column 0",
        ),
        ("{} x", "trailing characters at line 1 column 4"),
        (
            r#"{"resourceSpans":{}}"#,
            "invalid type: map, expected a list at line 1 column 19",
        ),
    ] {
        assert_eq!(refused(request), format!("not an OTLP request in JSON: {what}"));
    }
    for (span, what) in [
        (json!({"traceId": "xyz"}), "an id is not made of hex digits"),
        (
            json!({"kind": "SPAN_KIND_ODD"}),
            "an enum has a name that is not known",
        ),
        (
            json!({"startTimeUnixNano": "soon"}),
            "a string is not a whole number",
        ),
        (json!({"startTimeUnixNano": -1}), "a number is out of range"),
        (
            json!({"attributes": [{"value": {"bytesValue": "!"}}]}),
            "a value of bytes is not base64",
        ),
    ] {
        let said = refused(&with_span(span).to_string());
        assert!(said.contains(what), "{said}");
    }
}

#[test]
fn work_ends_at_the_limits() {
    let spans = |count: usize| {
        let spans = vec!["{}"; count].join(",");
        format!(r#"{{"resourceSpans":[{{"scopeSpans":[{{"spans":[{spans}]}}]}}]}}"#)
    };
    assert!(to_protobuf(spans(10_000).as_bytes()).is_ok());
    assert!(refused(&spans(10_001)).contains("more than 10000 spans in one request"));
    let groups = format!(r#"{{"resourceSpans":[{}]}}"#, vec!["{}"; 1_000_000].join(","));
    assert!(refused(&groups).contains("more than 23437 resources and scopes in one request"));
    let long = with_span(json!({"name": "x".repeat(MAX_MESSAGE_BYTES)})).to_string();
    assert!(
        refused(&long).contains("a span, resource or scope of 1048587 bytes"),
        "{}",
        refused(&long)
    );
    let list = |levels: usize| {
        let open = r#"{"arrayValue":{"values":["#.repeat(levels);
        format!(
            r#"{{"resourceSpans":[{{"scopeSpans":[{{"spans":[{{"attributes":[{{"key":"k","value":{open}{}}}]}}]}}]}}]}}"#,
            "]}}".repeat(levels)
        )
    };
    assert!(to_protobuf(list(20).as_bytes()).is_ok());
    assert!(
        refused(&list(10_000)).contains("recursion limit exceeded"),
        "{}",
        refused(&list(10_000))
    );
}

proptest! {
    #[test]
    fn no_text_makes_it_panic(text in "(\\{|\\}|\\[|\\]|,|:|\"resourceSpans\"|\"scopeSpans\"|\"spans\"|\"kind\"|1|null|\"x\"){0,20}") {
        let _read = to_protobuf(text.as_bytes());
        let _count = parts::count(crate::otlp::Signal::Traces, text.as_bytes());
        let _halves = parts::halves(crate::otlp::Signal::Traces, text.as_bytes());
    }
}
