//! OTLP documents (`T1S…`), as the OpenTelemetry distributions of AWS send them over UDP: their spans as documents in
//! the form of segments.
//!
//! A span of kind server or consumer, and one without a parent, becomes a segment of its service (`service.name`);
//! any other one a subsegment under its parent. What X-Ray has a field for goes there; all attributes are in the
//! metadata, under `attributes` and `resource`.

pub mod message;

use prost::Message;
use serde_json::{Map, Value, json};

use crate::outline::Outline;
use message::{AnyValue, KeyValue, Request, Span, any_value};

/// The most spans of one document that are taken; a datagram has room for a few hundred.
const MAX_SPANS: usize = 10_000;

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

/// The spans of a `T1S` or `T1U` document, each as the outline and text of a document; `None` when it cannot be read.
/// Spans without proper ids are left out.
#[must_use]
pub fn documents(document: &str) -> Option<Vec<(Outline, String)>> {
    let bytes = aws_smithy_types::base64::decode(document.get(3..)?).ok()?;
    let request = Request::decode(bytes.as_slice()).ok()?;
    let mut found = Vec::new();
    for resource_spans in &request.resource_spans {
        let resource = attributes(
            resource_spans
                .resource
                .as_ref()
                .map_or(&[], |resource| &resource.attributes),
        );
        let spans = resource_spans.scope_spans.iter().flat_map(|scope| &scope.spans);
        found.extend(spans.filter_map(|span| document_of(span, &resource)));
        if found.len() > MAX_SPANS {
            found.truncate(MAX_SPANS);
            break;
        }
    }
    Some(found)
}

fn document_of(span: &Span, resource: &Map<String, Value>) -> Option<(Outline, String)> {
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
    data.insert("name".into(), json!(name));
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
    let exceptions = exceptions(span);
    if !exceptions.is_empty() {
        data.insert("cause".into(), json!({ "exceptions": exceptions }));
    }
    data.insert(
        "metadata".into(),
        json!({"otlp": {"span": span.name, "attributes": span_attributes, "resource": resource}}),
    );
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

fn exceptions(span: &Span) -> Vec<Value> {
    let events = span.events.iter().filter(|event| event.name == "exception");
    let mut exceptions: Vec<Value> = events
        .map(|event| {
            let attributes = attributes(&event.attributes);
            json!({
                "type": text(&attributes, &["exception.type"]),
                "message": text(&attributes, &["exception.message"]),
                "stack": text(&attributes, &["exception.stacktrace"])
                    .into_iter()
                    .flat_map(str::lines)
                    .skip(1)
                    .map(|line| json!({"label": line.trim()}))
                    .collect::<Vec<Value>>(),
            })
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

fn seconds(nanos: u64) -> f64 {
    nanos as f64 / 1e9
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::message::{ResourceSpans, ScopeSpans};
    use super::*;

    fn encoded(spans: Vec<Span>) -> String {
        let request = Request {
            resource_spans: vec![ResourceSpans {
                resource: None,
                scope_spans: vec![ScopeSpans { spans }],
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
