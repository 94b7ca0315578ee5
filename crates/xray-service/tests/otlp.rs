//! OTLP spans as the service shows them: documents made of them, put together as a trace.

use prost::Message as _;
use xray_document::otlp::{
    self,
    message::{AnyValue, Event, KeyValue, Request, Resource, ResourceSpans, ScopeSpans, Span, any_value},
};
use xray_service::digest::Digest;
use xray_service::model::Tree;

fn attribute(key: &str, value: any_value::Value) -> KeyValue {
    KeyValue {
        key: key.to_owned(),
        value: Some(AnyValue { value: Some(value) }),
    }
}

fn text_attribute(key: &str, text: &str) -> KeyValue {
    attribute(key, any_value::Value::Text(text.to_owned()))
}

fn span(id: u8, parent: u8, kind: i32, name: &str, attributes: Vec<KeyValue>) -> Span {
    Span {
        trace_id: vec![0xab; 16],
        span_id: vec![id; 8],
        parent_span_id: if parent == 0 { Vec::new() } else { vec![parent; 8] },
        name: name.to_owned(),
        kind,
        start_time_unix_nano: 1_795_227_595_000_000_000 + u64::from(id),
        end_time_unix_nano: 1_795_227_596_500_000_000,
        attributes,
        ..Span::default()
    }
}

fn encoded(spans: Vec<Span>) -> String {
    let request = Request {
        resource_spans: vec![ResourceSpans {
            resource: Some(Resource {
                attributes: vec![
                    text_attribute("service.name", "shop"),
                    text_attribute("cloud.platform", "aws_ecs"),
                ],
                ..Resource::default()
            }),
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
fn spans_become_segments_and_subsegments_of_one_trace() {
    let mut failing = span(
        3,
        1,
        3,
        "GET",
        vec![
            text_attribute("server.address", "pay.example"),
            text_attribute("http.request.method", "GET"),
            text_attribute("url.full", "http://pay.example/x"),
            attribute("http.response.status_code", any_value::Value::Int(503)),
        ],
    );
    failing.events.push(Event {
        name: "exception".to_owned(),
        attributes: vec![
            text_attribute("exception.type", "IOError"),
            text_attribute("exception.message", "no"),
        ],
        ..Event::default()
    });
    let documents = otlp::documents(&encoded(vec![
        span(1, 0, 2, "GET /", vec![]),
        span(2, 1, 1, "render", vec![]),
        failing,
    ]))
    .unwrap();
    assert_eq!(documents[0].0.trace_id, "1-abababab-abababababababababababab");
    let tree = Tree::build(documents.iter().map(|(_, text)| text.as_str()));
    let names: Vec<(&str, usize)> = tree
        .preorder()
        .iter()
        .map(|(at, depth)| (tree.entities[*at].name.as_str(), *depth))
        .collect();
    assert_eq!(names, [("shop", 0), ("render", 1), ("pay.example", 1)]);
    assert!(tree.entities[2].marks.fault);
    assert_eq!(tree.entities[2].exceptions[0].kind.as_deref(), Some("IOError"));
    assert_eq!(tree.entities[2].http.status, Some(503));
    let digest = Digest::of("t", &tree);
    assert_eq!(digest.parts[0].service.kind, "AWS::ECS::Container");
    assert_eq!(digest.calls.len(), 2);
}
