//! `metadata.otlp`: what a span is, as it came.

use serde_json::{Map, Value, json};

use super::Times;
use super::{OfResource, OfScope, Sharing};
use crate::otlp::attributes::{add_object, json_of};
use crate::otlp::keys::{ANNOTATIONS, is_known};
use crate::otlp::message::{Event, Link, Resource, Scope, Span};
use crate::otlp::tables::{FORM, FORM_FIELD, KINDS};

/// What is told.
pub(super) struct Of<'a> {
    pub(super) span: &'a Span,
    pub(super) attributes: &'a Map<String, Value>,
    pub(super) times: &'a Times,
    pub(super) resource: &'a OfResource,
    pub(super) resource_shown: Shown,
    pub(super) scope: &'a OfScope,
    pub(super) scope_shown: bool,
    /// How many annotations of the resource there was no room for.
    pub(super) annotations_left_out: usize,
}

/// What of a resource is in a document.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Shown {
    Whole,
    LeftOut,
    /// It is in another document of the same trace.
    Elsewhere,
}

impl OfResource {
    pub(super) fn is_shown(&mut self, trace_id: &[u8], sharing: &mut Sharing) -> Shown {
        if sharing.once_a_trace && !self.named.insert(trace_id.to_vec()) {
            return Shown::Elsewhere;
        }
        if sharing.takes(self.bytes) {
            Shown::Whole
        } else {
            Shown::LeftOut
        }
    }
}

/// Adds `metadata.otlp`.
pub(super) fn add(of: &Of<'_>, entity: &mut Map<String, Value>) {
    let metadata = entity
        .entry("metadata")
        .or_insert_with(|| Value::Object(Map::new()));
    if !metadata.is_object() {
        *metadata = json!({});
    }
    metadata["otlp"] = Value::Object(otlp(of));
}

/// Whether all of a span that was made of a segment comes back from the fields of that segment: others have added nothing
/// to it.
pub(super) fn is_told(span: &Span, attributes: &Map<String, Value>, resource: &OfResource) -> bool {
    let listed = attributes.get(ANNOTATIONS).and_then(Value::as_array);
    let listed = listed.map_or(&[][..], Vec::as_slice);
    let is_listed = |key: &String| listed.iter().any(|one| one.as_str() == Some(key));
    resource.is_told
        && attributes.keys().all(|key| is_known(key) || is_listed(key))
        && span.events.iter().all(|event| event.name == "exception")
        && span.trace_state.is_empty()
        && span.dropped_attributes_count == 0
        && span.dropped_events_count == 0
        && span.dropped_links_count == 0
        && are_told(&span.links)
}

/// Whether X-Ray has fields for all that the links are.
fn are_told(links: &[Link]) -> bool {
    let is_told = |link: &Link| {
        link.trace_state.is_empty()
            && link.flags == 0
            && link.dropped_attributes_count == 0
            && link.trace_id.len() == 16
            && link.span_id.len() == 8
    };
    links.len() <= super::MAX_LINKS && links.iter().all(is_told)
}

fn otlp(of: &Of<'_>) -> Map<String, Value> {
    let span = of.span;
    let mut otlp = Map::new();
    let mut put = |field: &str, value: Value| drop(otlp.insert(field.to_owned(), value));
    put(FORM_FIELD, json!(FORM));
    put("span", json!(span.name));
    let kind = usize::try_from(span.kind).ok().and_then(|kind| KINDS.get(kind));
    put("kind", kind.map_or(json!(span.kind), |kind| json!(kind)));
    if !of.attributes.is_empty() {
        put("attributes", Value::Object(of.attributes.clone()));
    }
    if !span.trace_state.is_empty() {
        put("trace_state", json!(span.trace_state));
    }
    if span.flags != 0 {
        put("flags", json!(span.flags));
    }
    if let Some(status) = &span.status {
        put("status", json!({"code": status.code, "message": status.message}));
    }
    let dropped = counts(&[
        ("attributes", span.dropped_attributes_count),
        ("events", span.dropped_events_count),
        ("links", span.dropped_links_count),
    ]);
    if !dropped.is_empty() {
        put("dropped", Value::Object(dropped));
    }
    if !span.events.is_empty() {
        put("events", span.events.iter().map(event).collect());
    }
    if !span.links.is_empty() {
        put("links", span.links.iter().map(link).collect());
    }
    if !of.times.are_whole(span) {
        put(
            "start_time_unix_nano",
            json!(span.start_time_unix_nano.to_string()),
        );
        put("end_time_unix_nano", json!(span.end_time_unix_nano.to_string()));
    }
    match of.resource_shown {
        Shown::Whole => {
            put("resource", Value::Object(of.resource.attributes.clone()));
            if !of.resource.more.is_null() {
                put("resource_more", of.resource.more.clone());
            }
        }
        Shown::LeftOut => put("resource", json!(left_out(of.resource.bytes))),
        Shown::Elsewhere => {}
    }
    if !of.scope_shown {
        put("scope", json!(left_out(of.scope.bytes)));
    } else if !of.scope.json.is_null() {
        put("scope", of.scope.json.clone());
    }
    if of.annotations_left_out > 0 {
        put(
            "annotations",
            json!(format!(
                "left out: {} of the resource, of which there are too many copies in one request",
                of.annotations_left_out
            )),
        );
    }
    otlp
}

fn left_out(bytes: usize) -> String {
    format!("left out: {bytes} bytes, the same in too many documents of one request")
}

fn counts(counts: &[(&str, u32)]) -> Map<String, Value> {
    let counts = counts.iter().filter(|(_, count)| *count > 0);
    counts
        .map(|(what, count)| ((*what).to_owned(), json!(count)))
        .collect()
}

fn event(event: &Event) -> Value {
    let mut json = counts(&[("dropped_attributes_count", event.dropped_attributes_count)]);
    json.insert("name".to_owned(), json!(event.name));
    json.insert(
        "time_unix_nano".to_owned(),
        json!(event.time_unix_nano.to_string()),
    );
    add_object(&mut json, "attributes", json_of(&event.attributes));
    Value::Object(json)
}

fn link(link: &Link) -> Value {
    let mut json = counts(&[
        ("dropped_attributes_count", link.dropped_attributes_count),
        ("flags", link.flags),
    ]);
    json.insert("trace_id".to_owned(), json!(hex::encode(&link.trace_id)));
    json.insert("span_id".to_owned(), json!(hex::encode(&link.span_id)));
    if !link.trace_state.is_empty() {
        json.insert("trace_state".to_owned(), json!(link.trace_state));
    }
    add_object(&mut json, "attributes", json_of(&link.attributes));
    Value::Object(json)
}

/// A scope; `null` for one that is not told.
pub(super) fn scope(scope: &Scope, schema_url: &str) -> Value {
    let mut json = counts(&[("dropped_attributes_count", scope.dropped_attributes_count)]);
    for (field, text) in [
        ("name", scope.name.as_str()),
        ("version", &scope.version),
        ("schema_url", schema_url),
    ] {
        if !text.is_empty() {
            json.insert(field.to_owned(), json!(text));
        }
    }
    add_object(&mut json, "attributes", json_of(&scope.attributes));
    if json.is_empty() {
        Value::Null
    } else {
        Value::Object(json)
    }
}

/// What of a resource is not in its attributes; `null` for nothing.
pub(super) fn resource_more(resource: &Resource, schema_url: String) -> Value {
    let mut json = counts(&[("dropped_attributes_count", resource.dropped_attributes_count)]);
    if !schema_url.is_empty() {
        json.insert("schema_url".to_owned(), json!(schema_url));
    }
    let entities: Vec<Value> = resource
        .entity_refs
        .iter()
        .map(|entity| {
            json!({
                "schema_url": entity.schema_url,
                "type": entity.kind,
                "id_keys": entity.id_keys,
                "description_keys": entity.description_keys,
            })
        })
        .collect();
    if !entities.is_empty() {
        json.insert("entity_refs".to_owned(), Value::Array(entities));
    }
    if json.is_empty() {
        Value::Null
    } else {
        Value::Object(json)
    }
}
