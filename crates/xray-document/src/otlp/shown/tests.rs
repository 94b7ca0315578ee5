use proptest::prelude::*;
use prost::Message as _;
use serde_json::{Value, json};

use super::*;
use crate::otlp::message::{
    AnyValue, ArrayValue, Event, KeyValue, Request, Resource, ResourceSpans, ScopeSpans, Span, any_value,
};

/// A span that X-Ray takes: it has a start.
fn started() -> Span {
    Span {
        start_time_unix_nano: 1_795_227_595_000_000_000,
        ..Span::default()
    }
}

fn encoded(spans: Vec<Span>) -> String {
    let request = Request {
        resource_spans: vec![ResourceSpans {
            resource: None,
            scope_spans: vec![ScopeSpans {
                spans,
                ..ScopeSpans::default()
            }],
            ..ResourceSpans::default()
        }],
    };
    format!("T1S{}", aws_smithy_types::base64::encode(request.encode_to_vec()))
}

#[test]
fn what_is_no_request_is_no_document() {
    assert!(documents("T1S").is_none_or(|found| found.is_empty()));
    for broken in ["", "T1", "T1S!", "T1SCgA", "T1U////"] {
        assert!(documents(broken).is_none(), "{broken}");
    }
    let odd = Span {
        trace_id: vec![0xab; 15],
        span_id: vec![1; 8],
        ..started()
    };
    assert_eq!(documents(&encoded(vec![odd])).unwrap(), []);
}

/// A document of so many spans, of so many traces, with a resource of so many bytes.
fn of_resource(spans: u16, traces: u16, resource_bytes: usize) -> String {
    let attribute = KeyValue {
        key: "k".to_owned(),
        value: Some(AnyValue {
            value: Some(any_value::Value::Text("x".repeat(resource_bytes))),
        }),
    };
    let span = |n: u16| {
        let mut trace_id = vec![1; 14];
        trace_id.extend((n % traces).to_be_bytes());
        let mut span_id = vec![1; 6];
        span_id.extend(n.to_be_bytes());
        Span {
            trace_id,
            span_id,
            ..started()
        }
    };
    let request = Request {
        resource_spans: vec![ResourceSpans {
            resource: Some(Resource {
                attributes: vec![attribute],
                ..Resource::default()
            }),
            scope_spans: vec![ScopeSpans {
                spans: (0..spans).map(span).collect(),
                ..ScopeSpans::default()
            }],
            ..ResourceSpans::default()
        }],
    };
    format!("T1S{}", aws_smithy_types::base64::encode(request.encode_to_vec()))
}

fn resources(found: &[(Outline, String)]) -> Vec<usize> {
    let resource = |text: &String| {
        let value: Value = serde_json::from_str(text).unwrap();
        Some(value["metadata"]["otlp"]["resource"]["k"].as_str()?.len())
    };
    found.iter().filter_map(|(_, text)| resource(text)).collect()
}

fn text_bytes(found: &[(Outline, String)]) -> usize {
    found.iter().map(|(_, text)| text.len()).sum()
}

#[test]
fn what_spans_share_is_in_the_first_of_each_trace() {
    let found = documents(&of_resource(6, 2, 1_000)).unwrap();
    assert_eq!((found.len(), resources(&found)), (6, vec![1_000, 1_000]));
    assert!(found[0].1.contains("\"resource\"") && found[1].1.contains("\"resource\""));
    assert!(!found[2].1.contains("\"resource\""));
}

#[test]
fn a_document_of_64_kb_becomes_less_than_a_megabyte_whatever_its_spans_share() {
    // The same 18 KB for 700 spans were 13 MB.
    for traces in [1, 700] {
        let document = of_resource(700, traces, 18_000);
        assert!(document.len() > 60_000, "{}", document.len());
        let found = documents(&document).unwrap();
        assert_eq!(found.len(), 700);
        let bytes = text_bytes(&found);
        assert!(bytes < 1_000_000, "{bytes}");
    }
    let left_out = documents(&of_resource(700, 700, 18_000)).unwrap();
    assert_eq!(resources(&left_out).len(), 13);
    assert!(
        left_out[699].1.contains("left out: 18008 bytes"),
        "{}",
        left_out[699].1
    );
}

fn attribute(key: &str, value: any_value::Value) -> KeyValue {
    KeyValue {
        key: key.to_owned(),
        value: Some(AnyValue { value: Some(value) }),
    }
}

fn text_attribute(key: &str, text: &str) -> KeyValue {
    attribute(key, any_value::Value::Text(text.to_owned()))
}

/// Each of 300 spans had its copy: 64 KB became 43 MB where the text is all escapes.
#[test]
fn a_document_of_64_kb_becomes_less_than_two_megabytes_whatever_of_its_resource_is_listed() {
    let listed = any_value::Value::Array(ArrayValue {
        values: vec![AnyValue {
            value: Some(any_value::Value::Text("k".to_owned())),
        }],
    });
    let span = |n: u8, m: u8| Span {
        trace_id: vec![1; 16],
        span_id: vec![1, 1, 1, 1, 1, 1, n, m],
        attributes: vec![attribute("aws.xray.annotations", listed.clone())],
        ..started()
    };
    let of_value = |value: &str| {
        let request = Request {
            resource_spans: vec![ResourceSpans {
                resource: Some(Resource {
                    attributes: vec![text_attribute("k", value)],
                    ..Resource::default()
                }),
                scope_spans: vec![ScopeSpans {
                    spans: (0..3).flat_map(|n| (0..100).map(move |m| span(n, m))).collect(),
                    ..ScopeSpans::default()
                }],
                ..ResourceSpans::default()
            }],
        };
        let document = format!("T1S{}", aws_smithy_types::base64::encode(request.encode_to_vec()));
        documents(&document).unwrap()
    };
    for (text, whole) in [("x", 54), ("\u{1}", 24)] {
        let found = of_value(&text.repeat(24_000));
        assert_eq!(found.len(), 300);
        let bytes = text_bytes(&found);
        assert!(bytes < 2_000_000, "{bytes}");
        let annotated = found
            .iter()
            .filter(|(_, text)| text.contains("\"annotations\":{\"k\":"));
        assert_eq!(annotated.count(), whole);
        assert!(
            found[299].1.contains("left out: 1 of the resource"),
            "{}",
            found[299].1
        );
    }
    // What real resources have is no matter.
    let found = of_value("eu-west-1");
    assert!(
        found
            .iter()
            .all(|(_, text)| text.contains("{\"k\":\"eu-west-1\"}"))
    );
}

#[test]
fn listed_attributes_are_annotations() {
    let listed = ["order.id", "size", "gone", "list"].map(|key| AnyValue {
        value: Some(any_value::Value::Text(key.to_owned())),
    });
    let array = |values: Vec<AnyValue>| any_value::Value::Array(ArrayValue { values });
    let span = Span {
        trace_id: vec![1; 16],
        span_id: vec![1; 8],
        attributes: vec![
            attribute("aws.xray.annotations", array(listed.to_vec())),
            text_attribute("order.id", "o-17"),
            attribute("size", any_value::Value::Int(3)),
            attribute("list", array(Vec::new())),
            attribute("annotation.beta", any_value::Value::Bool(true)),
            text_attribute("other", "x"),
        ],
        ..started()
    };
    let found = documents(&encoded(vec![span])).unwrap();
    let value: Value = serde_json::from_str(&found[0].1).unwrap();
    assert_eq!(
        value["annotations"],
        json!({"order.id": "o-17", "size": 3, "beta": true})
    );
}

#[test]
fn an_exception_has_frames_and_its_causes_are_exceptions_too() {
    let mut span = Span {
        trace_id: vec![1; 16],
        span_id: vec![1; 8],
        ..started()
    };
    span.events.push(Event {
        name: "exception".to_owned(),
        attributes: vec![
            text_attribute("exception.type", "a.B"),
            text_attribute("exception.message", "no"),
            text_attribute(
                "exception.stacktrace",
                "a.B: no\n\tat a.C.d(C.java:5)\nCaused by: e.F: gone\n\tat e.G.h(G.java:6)",
            ),
        ],
        ..Event::default()
    });
    let found = documents(&encoded(vec![span])).unwrap();
    let value: Value = serde_json::from_str(&found[0].1).unwrap();
    let (first, second) = ("9fc2307ac903f2ed", "9fc22f7ac903f13a");
    assert_eq!(
        value["cause"]["exceptions"],
        json!([
            {"id": first, "type": "a.B", "message": "no", "cause": second,
             "stack": [{"path": "C.java", "line": 5, "label": "a.C.d"}]},
            {"id": second, "type": "e.F", "message": "gone",
             "stack": [{"path": "G.java", "line": 6, "label": "e.G.h"}]},
        ])
    );
}

#[test]
fn a_document_longer_than_any_segment_is_not_decoded() {
    assert!(documents(&of_resource(1, 1, 48_000)).is_some());
    assert_eq!(documents(&of_resource(1, 1, 500_000)), None);
}

proptest! {
    #[test]
    fn no_bytes_make_the_decoder_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _documents = documents(&format!("T1S{}", aws_smithy_types::base64::encode(bytes)));
    }

    #[test]
    fn no_text_makes_the_decoder_panic(text in "\\PC{0,20}") {
        let _documents = documents(&text);
        let _documents = documents(&format!("T1S{text}"));
    }
}
