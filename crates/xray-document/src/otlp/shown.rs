//! OTLP documents (`T1S…`), as the OpenTelemetry distributions of AWS send them over UDP: their spans as documents in
//! the form of segments.
//!
//! A span of kind server or consumer, and one without a parent, becomes a segment of its service (`service.name`);
//! any other one a subsegment under its parent. What X-Ray has a field for goes there; all attributes are in the
//! metadata, under `attributes` and `resource`. The attributes whose keys `aws.xray.annotations` lists, and those that
//! begin with `annotation.`, are annotations.
//!
//! A document becomes no more than some times its own length of text. What its spans share, the resource, is in the
//! first of them of each trace, and its attributes are annotations of each span that lists them; where all this is more
//! than four times the document, the rest say that it is left out.

use std::collections::HashSet;

use prost::Message;
use serde_json::{Map, Value, json};

use super::message::{AnyValue, KeyValue, Request, Span, any_value};
use crate::outline::Outline;
use crate::segment::MAX_DOCUMENT_BYTES;

/// The most spans of one document that are taken: what is left of [`MAX_DOCUMENT_BYTES`] without base64 has room for
/// some 1,500 with nothing but their ids.
const MAX_SPANS: usize = 2_000;

/// How much room copies of resources and of their attributes get, in lengths of the document.
const RESOURCE_ROOM: usize = 4;

/// The longest name that is made of an attribute, in characters: what a segment's name may have.
const MAX_NAME_CHARS: usize = 200;

const KIND_SERVER: i32 = 2;
const KIND_CLIENT: i32 = 3;
const KIND_PRODUCER: i32 = 4;
const KIND_CONSUMER: i32 = 5;
const STATUS_ERROR: i32 = 2;

/// Whether this is the document of an OTLP request, broken or not.
#[must_use]
pub fn is_otlp(document: &str) -> bool {
    document.starts_with("T1S") || document.starts_with("T1U")
}

/// The spans of a `T1S` or `T1U` document, each as the outline and text of a document; `None` when it cannot be read, or
/// is longer than [`MAX_DOCUMENT_BYTES`]. Spans without proper ids are left out, and those beyond the first 2,000.
#[must_use]
pub fn documents(document: &str) -> Option<Vec<(Outline, String)>> {
    if document.len() > MAX_DOCUMENT_BYTES {
        return None;
    }
    let bytes = aws_smithy_types::base64::decode(document.get(3..)?).ok()?;
    let request = Request::decode(bytes.as_slice()).ok()?;
    let mut room = RESOURCE_ROOM * document.len();
    let mut left = MAX_SPANS;
    let mut found = Vec::new();
    for resource_spans in &request.resource_spans {
        let resource = attributes(
            resource_spans
                .resource
                .as_ref()
                .map_or(&[], |resource| &resource.attributes),
        );
        let resource = Shared {
            bytes: Value::Object(resource.clone()).to_string().len(),
            resource,
        };
        let mut named = HashSet::new();
        let spans = resource_spans.scope_spans.iter().flat_map(|scope| &scope.spans);
        for span in spans.take(left) {
            left -= 1;
            let shown = named
                .insert(span.trace_id.as_slice())
                .then(|| resource.shown(&mut room));
            found.extend(document_of(span, &resource.resource, shown, &mut room));
        }
    }
    Some(found)
}

/// What the spans of one resource share.
struct Shared {
    resource: Map<String, Value>,
    bytes: usize,
}

impl Shared {
    /// As it is shown with the first span of a trace, as long as there is room.
    fn shown(&self, room: &mut usize) -> Value {
        if self.bytes <= *room {
            *room -= self.bytes;
            return Value::Object(self.resource.clone());
        }
        json!(format!(
            "left out: {} bytes, the same for too many traces of one document",
            self.bytes
        ))
    }
}

/// `shown`: the resource as it is to be in this span's metadata, when it is; `room`: for what is copied of it beyond that.
fn document_of(
    span: &Span,
    resource: &Map<String, Value>,
    shown: Option<Value>,
    room: &mut usize,
) -> Option<(Outline, String)> {
    if span.trace_id.len() != 16 || span.span_id.len() != 8 {
        return None;
    }
    let hex_id = hex::encode(&span.trace_id);
    let trace_id = format!("1-{}-{}", &hex_id[..8], &hex_id[8..]);
    let id = hex::encode(&span.span_id);
    let span_attributes = attributes(&span.attributes);
    let has_parent = span.parent_span_id.len() == 8;
    let is_segment = !has_parent || matches!(span.kind, KIND_SERVER | KIND_CONSUMER);
    let start = seconds(span.start_time_unix_nano);
    let mut data = Map::new();
    data.insert("trace_id".into(), json!(trace_id));
    data.insert("id".into(), json!(id));
    if has_parent {
        data.insert("parent_id".into(), json!(hex::encode(&span.parent_span_id)));
    }
    let service = text(resource, &["service.name"]).unwrap_or("unknown_service");
    let called = matches!(span.kind, KIND_CLIENT | KIND_PRODUCER).then(|| called(&span_attributes));
    let name = match &called {
        _ if is_segment => service,
        Some((Some(peer), _)) => peer,
        _ => &span.name,
    };
    data.insert("name".into(), json!(shortened(name)));
    data.insert("start_time".into(), json!(start));
    let ended = span.end_time_unix_nano != 0;
    if ended {
        data.insert(
            "end_time".into(),
            json!(seconds(span.end_time_unix_nano).max(start)),
        );
    } else {
        data.insert("in_progress".into(), json!(true));
    }
    if is_segment {
        if let Some(origin) = origin(resource) {
            data.insert("origin".into(), json!(origin));
        }
    } else {
        data.insert("type".into(), json!("subsegment"));
        if let Some((_, namespace)) = &called {
            data.insert("namespace".into(), json!(namespace));
        }
    }
    let http = http(&span_attributes);
    marks(span, http.as_ref(), &mut data);
    if let Some(http) = http {
        data.insert("http".into(), http);
    }
    if let Some(database) = text(&span_attributes, &["db.system.name", "db.system"]) {
        let query = text(&span_attributes, &["db.query.text", "db.statement"]);
        data.insert(
            "sql".into(),
            json!({"database_type": database, "sanitized_query": query}),
        );
    }
    if let Some(operation) = text(&span_attributes, &["rpc.method", "aws.operation"])
        && text(&span_attributes, &["rpc.system"]) == Some("aws-api")
    {
        let request_id = text(&span_attributes, &["aws.request_id"]);
        data.insert(
            "aws".into(),
            json!({"operation": operation, "request_id": request_id}),
        );
    }
    if let Some(user) = text(&span_attributes, &["enduser.id", "user.id"]) {
        data.insert("user".into(), json!(user));
    }
    let (annotations, left_out) = annotations(&span_attributes, resource, room);
    if !annotations.is_empty() {
        data.insert("annotations".into(), Value::Object(annotations));
    }
    let exceptions = exceptions(span);
    if !exceptions.is_empty() {
        data.insert("cause".into(), json!({ "exceptions": exceptions }));
    }
    let mut metadata = json!({"span": span.name, "attributes": span_attributes});
    if let Some(resource) = shown {
        metadata["resource"] = resource;
    }
    if left_out > 0 {
        metadata["annotations"] = json!(format!(
            "left out: {left_out} of the resource, of which there are too many copies in one document"
        ));
    }
    data.insert("metadata".into(), json!({ "otlp": metadata }));
    let outline = Outline {
        id,
        trace_id,
        in_progress: !ended,
        start,
    };
    Some((outline, Value::Object(data).to_string()))
}

/// The called service's name, where the span tells it, and the namespace of the call.
fn called(attributes: &Map<String, Value>) -> (Option<String>, &'static str) {
    let is_aws = text(attributes, &["rpc.system"]) == Some("aws-api");
    let names: &[&str] = if is_aws {
        &["rpc.service"]
    } else {
        &[
            "peer.service",
            "db.namespace",
            "db.name",
            "rpc.service",
            "messaging.destination.name",
            "server.address",
            "net.peer.name",
            "http.host",
        ]
    };
    let name = text(attributes, names).map(str::to_owned);
    (name, if is_aws { "aws" } else { "remote" })
}

fn origin(resource: &Map<String, Value>) -> Option<&'static str> {
    match text(resource, &["cloud.platform"])? {
        "aws_ec2" => Some("AWS::EC2::Instance"),
        "aws_ecs" => Some("AWS::ECS::Container"),
        "aws_eks" => Some("AWS::EKS::Container"),
        "aws_elastic_beanstalk" => Some("AWS::ElasticBeanstalk::Environment"),
        "aws_app_runner" => Some("AWS::AppRunner::Service"),
        "aws_lambda" => Some("AWS::Lambda::Function"),
        _ => None,
    }
}

fn http(attributes: &Map<String, Value>) -> Option<Value> {
    let method = text(attributes, &["http.request.method", "http.method"]);
    let url = text(attributes, &["url.full", "http.url"])
        .map(str::to_owned)
        .or_else(|| {
            let path = text(attributes, &["url.path", "http.target"])?;
            let host = text(attributes, &["server.address", "http.host", "net.host.name"]);
            let scheme = text(attributes, &["url.scheme", "http.scheme"]).unwrap_or("http");
            Some(host.map_or_else(|| path.to_owned(), |host| format!("{scheme}://{host}{path}")))
        });
    let status = attributes
        .get("http.response.status_code")
        .or_else(|| attributes.get("http.status_code"))
        .and_then(Value::as_i64);
    if method.is_none() && url.is_none() && status.is_none() {
        return None;
    }
    let mut http = Map::new();
    let agent = text(attributes, &["user_agent.original", "http.user_agent"]);
    let client = text(attributes, &["client.address", "http.client_ip"]);
    http.insert(
        "request".into(),
        json!({"method": method, "url": url, "user_agent": agent, "client_ip": client}),
    );
    if let Some(status) = status {
        http.insert("response".into(), json!({ "status": status }));
    }
    Some(Value::Object(http))
}

fn marks(span: &Span, http: Option<&Value>, data: &mut Map<String, Value>) {
    let status = http.and_then(|http| http["response"]["status"].as_i64());
    let failed = span
        .status
        .as_ref()
        .is_some_and(|status| status.code == STATUS_ERROR);
    let mark = match status {
        Some(429) => {
            data.insert("throttle".into(), json!(true));
            "error"
        }
        Some(400..=499) => "error",
        Some(500..) => "fault",
        _ if failed => "fault",
        _ => return,
    };
    data.insert(mark.into(), json!(true));
}

/// Text, numbers and Booleans only, as X-Ray has them; a key is looked for in the span, then in its resource, whose values
/// are copied as long as there is `room`. How many were not is the second of what is returned.
fn annotations(
    attributes: &Map<String, Value>,
    resource: &Map<String, Value>,
    room: &mut usize,
) -> (Map<String, Value>, usize) {
    let listed = match attributes.get("aws.xray.annotations") {
        Some(Value::Array(keys)) => keys.iter().filter_map(Value::as_str).collect(),
        Some(Value::String(key)) => vec![key.as_str()],
        _ => Vec::new(),
    };
    let mut found = Map::new();
    let mut left_out = 0;
    for key in listed {
        if found.contains_key(key) {
            continue;
        }
        if let Some(value) = attributes.get(key) {
            annotate(&mut found, key, value);
        } else if let Some(value) = resource.get(key) {
            // Six times as long in JSON at most: each copy is not written out to be measured.
            let bytes = key.len() + value.as_str().map_or(0, str::len);
            if bytes <= *room {
                *room -= bytes;
                annotate(&mut found, key, value);
            } else {
                left_out += 1;
            }
        }
    }
    for (key, value) in attributes {
        if let Some(key) = key.strip_prefix("annotation.") {
            annotate(&mut found, key, value);
        }
    }
    (found, left_out)
}

/// Adds what can be an annotation.
fn annotate(annotations: &mut Map<String, Value>, key: &str, value: &Value) {
    if !key.is_empty() && (value.is_string() || value.is_number() || value.is_boolean()) {
        annotations.insert(key.to_owned(), value.clone());
    }
}

fn exceptions(span: &Span) -> Vec<Value> {
    let events = span.events.iter().filter(|event| event.name == "exception");
    let mut exceptions: Vec<Value> = events
        .flat_map(|event| {
            let attributes = attributes(&event.attributes);
            let text_of = |name: &str| text(&attributes, &[name]);
            let thrown = crate::otlp::to_segment::stack::thrown(text_of("exception.stacktrace").unwrap_or_default());
            let of_span = (text_of("exception.type"), text_of("exception.message"));
            let exceptions = thrown.iter().map(|thrown| {
                let (kind, message) = match &thrown.cause {
                    None => of_span,
                    Some(cause) => match cause.split_once(": ") {
                        Some((kind, message)) => (Some(kind), Some(message)),
                        None => (Some(cause.as_str()), None),
                    },
                };
                let mut exception = json!({
                    "type": kind,
                    "message": message,
                    "stack": thrown.frames.iter().map(crate::otlp::to_segment::stack::Frame::json).collect::<Vec<Value>>(),
                });
                if thrown.truncated > 0 {
                    exception["truncated"] = json!(thrown.truncated);
                }
                exception
            });
            exceptions.collect::<Vec<Value>>()
        })
        .collect();
    let message = span.status.as_ref().map(|status| status.message.as_str());
    if let Some(message) = message.filter(|message| exceptions.is_empty() && !message.is_empty()) {
        exceptions.push(json!({ "message": message }));
    }
    exceptions
}

fn attributes(attributes: &[KeyValue]) -> Map<String, Value> {
    attributes
        .iter()
        .map(|attribute| (attribute.key.clone(), value(attribute.value.as_ref())))
        .collect()
}

/// prost's limit of 100 levels bounds the recursion.
fn value(any: Option<&AnyValue>) -> Value {
    match any.and_then(|any| any.value.as_ref()) {
        None => Value::Null,
        Some(any_value::Value::Text(text)) => json!(text),
        Some(any_value::Value::Bool(flag)) => json!(flag),
        Some(any_value::Value::Int(number)) => json!(number),
        Some(any_value::Value::Double(number)) => json!(number),
        Some(any_value::Value::Array(array)) => array.values.iter().map(|one| value(Some(one))).collect(),
        Some(any_value::Value::List(list)) => Value::Object(attributes(&list.values)),
        Some(any_value::Value::Bytes(bytes)) => json!(aws_smithy_types::base64::encode(bytes)),
    }
}

fn text<'a>(attributes: &'a Map<String, Value>, names: &[&str]) -> Option<&'a str> {
    let found = names.iter().filter_map(|name| attributes.get(*name)?.as_str());
    found.into_iter().find(|text| !text.is_empty())
}

/// The first [`MAX_NAME_CHARS`] characters.
fn shortened(name: &str) -> &str {
    let end = name.char_indices().nth(MAX_NAME_CHARS);
    end.map_or(name, |(end, _)| &name[..end])
}

fn seconds(nanos: u64) -> f64 {
    nanos as f64 / 1e9
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::otlp::message::{ArrayValue, Event, Resource, ResourceSpans, ScopeSpans};

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
            ..Span::default()
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
                ..Span::default()
            }
        };
        let request = Request {
            resource_spans: vec![ResourceSpans {
                resource: Some(Resource {
                    attributes: vec![attribute],
                }),
                scope_spans: vec![ScopeSpans {
                    spans: (0..spans).map(span).collect(),
                }],
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
        // The same 24 KB for 700 spans were 17 MB.
        for traces in [1, 700] {
            let document = of_resource(700, traces, 24_000);
            assert!(document.len() > 60_000, "{}", document.len());
            let found = documents(&document).unwrap();
            assert_eq!(found.len(), 700);
            let bytes = text_bytes(&found);
            assert!(bytes < 1_000_000, "{bytes}");
        }
        let left_out = documents(&of_resource(700, 700, 24_000)).unwrap();
        assert_eq!(resources(&left_out).len(), 10);
        assert!(
            left_out[699].1.contains("left out: 24008 bytes"),
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
            ..Span::default()
        };
        let of_value = |value: &str| {
            let request = Request {
                resource_spans: vec![ResourceSpans {
                    resource: Some(Resource {
                        attributes: vec![text_attribute("k", value)],
                    }),
                    scope_spans: vec![ScopeSpans {
                        spans: (0..3).flat_map(|n| (0..100).map(move |m| span(n, m))).collect(),
                    }],
                }],
            };
            let document = format!("T1S{}", aws_smithy_types::base64::encode(request.encode_to_vec()));
            documents(&document).unwrap()
        };
        for (text, whole) in [("x", 8), ("\u{1}", 3)] {
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
            ..Span::default()
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
            ..Span::default()
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
        });
        let found = documents(&encoded(vec![span])).unwrap();
        let value: Value = serde_json::from_str(&found[0].1).unwrap();
        assert_eq!(
            value["cause"]["exceptions"],
            json!([
                {"type": "a.B", "message": "no", "stack": [{"path": "C.java", "line": 5, "label": "a.C.d"}]},
                {"type": "e.F", "message": "gone", "stack": [{"path": "G.java", "line": 6, "label": "e.G.h"}]},
            ])
        );
    }

    #[test]
    fn a_document_longer_than_any_segment_is_not_decoded() {
        assert!(documents(&of_resource(1, 1, 48_000)).is_some());
        assert_eq!(documents(&of_resource(1, 1, 500_000)), None);
    }

    #[test]
    fn a_name_of_an_attribute_is_as_long_as_a_name_may_be() {
        assert_eq!(shortened(&"é".repeat(300)), "é".repeat(200));
        assert_eq!(shortened("shop"), "shop");
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
}
