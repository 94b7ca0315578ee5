//! What a span is in X-Ray: a segment, a subsegment, or a segment that has one call in it.

use serde_json::{Map, Value, json};

use super::{
    Beside, MAX_LINKS, Made, Segment, Times, annotations, aws, cause, fields, http, metadata, names, shed,
};
use crate::otlp::attributes::json_of;
use crate::otlp::attributes::{add, add_object, text};
use crate::otlp::message::{Link, Span, flags, kind};
use crate::otlp::tables::{FORM, FORM_FIELD, WRAPS};
use crate::outline::Outline;
use crate::segment::MAX_DOCUMENT_BYTES;

/// What is kept of [`MAX_DOCUMENT_BYTES`] for ids and times, which are written at the end.
const FRAME_BYTES: usize = 512;

/// What a segment that is made for a call may have of a document, beside the call.
const WRAPPER_BYTES: usize = 8 << 10;

/// The document of a span; or why there is none.
pub(super) fn document(span: &Span, beside: Beside<'_>) -> Result<Segment, String> {
    let ids = Ids::of(span)?;
    if span.start_time_unix_nano == 0 {
        return Err("it has no start time".to_owned());
    }
    let is_from_segment = beside.scope.is_from_segment;
    let is_remote = span.flags & (flags::REMOTE_KNOWN | flags::REMOTE) == flags::REMOTE_KNOWN | flags::REMOTE;
    let is_segment = ids.parent.is_none() || is_remote || matches!(span.kind, kind::SERVER | kind::CONSUMER);
    let is_call = matches!(span.kind, kind::CLIENT | kind::PRODUCER);
    let attributes = json_of(&span.attributes);
    let times = Times::of(span);
    let made = Made {
        is_segment: is_segment && !is_call,
        is_from_segment,
    };
    let service = names::service(&beside.resource.attributes, &attributes);
    let own = if made.is_segment { &service } else { "" };
    let segment_fields = is_segment.then(|| shared_fields(beside.resource, beside.sharing));
    let mut entity = Map::new();
    entity.insert(
        "name".to_owned(),
        json!(names::of(span, &attributes, own, is_call, is_from_segment)),
    );
    if is_call {
        let namespace = if names::is_aws(&attributes) {
            "aws"
        } else {
            "remote"
        };
        entity.insert("namespace".to_owned(), json!(namespace));
    }
    if made.is_segment {
        entity.extend(segment_fields.clone().unwrap_or_default());
    }
    fill(span, &attributes, made, &mut entity);
    let mut own_room = annotations::Room {
        sharing: beside.sharing,
        left_out: 0,
    };
    let found = annotations::of(
        &attributes,
        &beside.resource.attributes,
        beside.options,
        made,
        &mut own_room,
    );
    let left_out = own_room.left_out;
    add_object(&mut entity, "annotations", found);
    fields::restore(&attributes, made, &mut entity);
    if !is_from_segment || !metadata::is_told(span, &attributes, beside.resource) {
        let of = metadata::Of {
            span,
            attributes: &attributes,
            times: &times,
            resource_shown: beside.resource.is_shown(&span.trace_id, beside.sharing),
            resource: beside.resource,
            scope_shown: beside.sharing.takes(beside.scope.bytes),
            scope: beside.scope,
            annotations_left_out: left_out,
        };
        metadata::add(&of, &mut entity);
    }
    let wraps = is_segment && is_call;
    let budget = MAX_DOCUMENT_BYTES - FRAME_BYTES - if wraps { WRAPPER_BYTES } else { 0 };
    shed::shed(&mut entity, budget);
    let outline = Outline {
        id: if wraps {
            wrapper_id(&span.span_id)
        } else {
            ids.id.clone()
        },
        trace_id: ids.trace_id.clone(),
        in_progress: times.end.is_none(),
        start: span.start_time_unix_nano as f64 / 1e9,
    };
    let document = if wraps {
        let mut wrapper = segment_fields.unwrap_or_default();
        wrapper.insert("name".to_owned(), json!(service));
        for mark in ["error", "fault", "throttle"] {
            add(&mut wrapper, mark, entity.get(mark).cloned());
        }
        wrapper.insert(
            "metadata".to_owned(),
            json!({"otlp": {FORM_FIELD: FORM, WRAPS: ids.id}}),
        );
        shed::shed(&mut wrapper, WRAPPER_BYTES);
        let call = written(&[("id", &ids.id)], &times, entity, None);
        let mut head = vec![("trace_id", ids.trace_id.as_str()), ("id", outline.id.as_str())];
        head.extend(ids.parent.as_deref().map(|parent| ("parent_id", parent)));
        written(&head, &times, wrapper, Some(&call))
    } else {
        let mut head = vec![("trace_id", ids.trace_id.as_str()), ("id", ids.id.as_str())];
        head.extend(ids.parent.as_deref().map(|parent| ("parent_id", parent)));
        if !made.is_segment {
            head.push(("type", "subsegment"));
        }
        written(&head, &times, entity, None)
    };
    Ok(Segment { outline, document })
}

fn fill(span: &Span, attributes: &Map<String, Value>, made: Made, entity: &mut Map<String, Value>) {
    let http = http::of(attributes, span.kind == kind::SERVER && !made.is_from_segment);
    if !made.is_from_segment {
        http::marks(span, attributes, entity);
    }
    add_object(entity, "http", http);
    if !made.is_segment {
        let mut call = aws::of_call(attributes, made.is_from_segment);
        if let Some(Value::Object(shared)) = entity.remove("aws") {
            call.extend(shared);
        }
        add_object(entity, "aws", call);
    }
    add_object(entity, "sql", aws::sql(attributes, made.is_from_segment));
    add(entity, "user", text(attributes, &["enduser.id", "user.id"]));
    add_object(entity, "cause", cause::of(span, made));
    let links: Vec<Value> = span.links.iter().filter_map(link).take(MAX_LINKS).collect();
    if !links.is_empty() {
        entity.insert("links".to_owned(), Value::Array(links));
    }
}

/// `aws`, `service` and `origin`, as long as there is room for copies.
fn shared_fields(resource: &super::OfResource, sharing: &mut super::Sharing) -> Map<String, Value> {
    if sharing.takes(resource.fields_bytes) {
        resource.fields.clone()
    } else {
        Map::new()
    }
}

/// A link whose ids are ids.
fn link(link: &Link) -> Option<Value> {
    let trace_id = trace_id(&link.trace_id)?;
    let id = span_id(&link.span_id)?;
    let attributes = json_of(&link.attributes).into_iter();
    let attributes: Map<String, Value> = attributes
        .map(|(key, value)| (key, crate::otlp::attributes::unflat(value)))
        .collect();
    let mut json = json!({"trace_id": trace_id, "id": id});
    if !attributes.is_empty() {
        json["attributes"] = Value::Object(attributes);
    }
    Some(json)
}

/// The ids of a span as X-Ray writes them.
struct Ids {
    trace_id: String,
    id: String,
    parent: Option<String>,
}

impl Ids {
    fn of(span: &Span) -> Result<Self, String> {
        let wrong = |what: &str, id: &[u8], bytes: usize| {
            if id.len() == bytes {
                format!("its {what} is all zeros")
            } else {
                format!("its {what} has {} bytes, not {bytes}", id.len())
            }
        };
        let parent = match span.parent_span_id.as_slice() {
            [] | [0, 0, 0, 0, 0, 0, 0, 0] => None,
            id => Some(span_id(id).ok_or_else(|| wrong("parent's id", id, 8))?),
        };
        Ok(Self {
            trace_id: trace_id(&span.trace_id).ok_or_else(|| wrong("trace id", &span.trace_id, 16))?,
            id: span_id(&span.span_id).ok_or_else(|| wrong("id", &span.span_id, 8))?,
            parent,
        })
    }
}

fn trace_id(id: &[u8]) -> Option<String> {
    let is_id = id.len() == 16 && id.iter().any(|&byte| byte != 0);
    is_id.then(|| format!("1-{}-{}", hex::encode(&id[..4]), hex::encode(&id[4..])))
}

fn span_id(id: &[u8]) -> Option<String> {
    let is_id = id.len() == 8 && id.iter().any(|&byte| byte != 0);
    is_id.then(|| hex::encode(id))
}

/// The id of the segment that is made for a call: the same whenever the call is converted, and no other span's.
fn wrapper_id(span_id: &[u8]) -> String {
    let mut id: Vec<u8> = span_id.iter().map(|byte| byte ^ 0xa5).collect();
    if id.iter().all(|&byte| byte == 0) {
        id = vec![0x5a; 8];
    }
    hex::encode(id)
}

/// Seconds with nine decimals, by whole numbers: as a float, a child could begin before its parent.
fn seconds(nanos: u64) -> String {
    format!("{}.{:09}", nanos / 1_000_000_000, nanos % 1_000_000_000)
}

/// The text of an entity, its ids and times first.
fn written(head: &[(&str, &str)], times: &Times, entity: Map<String, Value>, child: Option<&str>) -> String {
    let mut out = String::from("{");
    for (field, value) in head {
        out.push_str(&format!("\"{field}\":\"{value}\","));
    }
    out.push_str(&format!("\"start_time\":{},", seconds(times.start)));
    match times.end {
        Some(end) => out.push_str(&format!("\"end_time\":{},", seconds(end))),
        None => out.push_str("\"in_progress\":true,"),
    }
    if let Some(child) = child {
        out.push_str(&format!("\"subsegments\":[{child}],"));
    }
    let rest = Value::Object(entity).to_string();
    out.push_str(&rest[1..]);
    out
}
