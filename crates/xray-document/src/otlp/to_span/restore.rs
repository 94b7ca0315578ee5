//! Documents that [`crate::otlp::to_segment`] has made of spans: `metadata.otlp` says what the spans were, and the
//! fields of the segment tell what is not said there.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use super::kind;
use crate::otlp::attributes::of_json;
use crate::otlp::message::{EntityRef, Event, KeyValue, Link, Resource, Scope, Span, Status};
use crate::otlp::tables::{FORM, FORM_FIELD, KINDS, WRAPS};

/// Of the segment that was made for a call without a parent: the call, in the place where it was.
pub(super) fn unwrap(entity: &mut Map<String, Value>) -> Option<Map<String, Value>> {
    let otlp = entity.get("metadata")?.get("otlp")?;
    let wraps = otlp.get(WRAPS)?.as_str()?;
    if !is_ours(otlp) {
        return None;
    }
    let [Value::Object(call)] = entity.get("subsegments")?.as_array()?.as_slice() else {
        return None;
    };
    if call.get("id").and_then(Value::as_str) != Some(wraps) {
        return None;
    }
    let mut call = call.clone();
    if let Some(parent) = entity.get("parent_id") {
        call.insert("parent_id".to_owned(), parent.clone());
    }
    call.insert("type".to_owned(), Value::from("subsegment"));
    Some(call)
}

fn is_ours(otlp: &Value) -> bool {
    otlp.get(FORM_FIELD).and_then(Value::as_u64) == Some(FORM)
}

/// What a document says of the span that it was made of.
pub(super) struct Ours(Map<String, Value>);

/// Takes what says so.
pub(super) fn take(entity: &mut Map<String, Value>) -> Option<Ours> {
    let metadata = entity.get_mut("metadata")?.as_object_mut()?;
    if !is_ours(metadata.get("otlp")?) {
        return None;
    }
    let Some(Value::Object(ours)) = metadata.remove("otlp") else {
        return None;
    };
    Some(Ours(ours))
}

impl Ours {
    /// The span as it was; what is not said stays as the segment's fields have it.
    pub(super) fn span(self, span: &mut Span) {
        let Self(mut ours) = self;
        let is_whole = !ours.contains_key("left_out");
        if let Some(Value::String(name)) = ours.remove("span") {
            span.name = name;
        }
        if let Some(kind) = ours.get("kind") {
            let known = KINDS.iter().position(|known| Some(*known) == kind.as_str());
            span.kind = known
                .map(|place| place as i32)
                .or_else(|| number(Some(kind)))
                .unwrap_or(kind::INTERNAL);
        }
        if let Some(Value::Object(attributes)) = ours.remove("attributes") {
            let mut found = of_json(attributes);
            if !is_whole {
                // What has been left out may be in the fields.
                let told: BTreeSet<&str> = found.iter().map(|attribute| attribute.key.as_str()).collect();
                span.attributes
                    .retain(|attribute| !told.contains(attribute.key.as_str()));
                found.append(&mut span.attributes);
            }
            span.attributes = found;
        } else if is_whole {
            span.attributes.clear();
        }
        if let Some(Value::String(state)) = ours.remove("trace_state") {
            span.trace_state = state;
        }
        span.flags = number(ours.get("flags")).unwrap_or_default();
        for (key, time) in [
            ("start_time_unix_nano", &mut span.start_time_unix_nano),
            ("end_time_unix_nano", &mut span.end_time_unix_nano),
        ] {
            if let Some(exact) = nanos(ours.get(key)) {
                *time = exact;
            }
        }
        let dropped = |what: &str| number(ours.get("dropped").and_then(|dropped| dropped.get(what)));
        span.dropped_attributes_count = dropped("attributes").unwrap_or_default();
        span.dropped_events_count = dropped("events").unwrap_or_default();
        span.dropped_links_count = dropped("links").unwrap_or_default();
        if let Some(events) = list(ours.get("events"), event) {
            span.events = events;
        } else if is_whole {
            span.events.clear();
        }
        if let Some(links) = list(ours.get("links"), link) {
            span.links = links;
        }
        match ours.get("status") {
            Some(status) => {
                span.status = Some(Status {
                    code: number(status.get("code")).unwrap_or_default(),
                    message: text(status.get("message")),
                });
            }
            None if is_whole => span.status = None,
            None => {}
        }
    }

    /// The resource as it was.
    pub(super) fn resource(&self, resource: &mut Resource, schema_url: &mut String) {
        let Some(Value::Object(attributes)) = self.0.get("resource") else {
            return;
        };
        let more = self.0.get("resource_more");
        let more = |field: &str| more.and_then(|more| more.get(field));
        *resource = Resource {
            attributes: of_json(attributes.clone()),
            dropped_attributes_count: number(more("dropped_attributes_count")).unwrap_or_default(),
            entity_refs: list(more("entity_refs"), entity_ref).unwrap_or_default(),
        };
        *schema_url = text(more("schema_url"));
    }

    /// The scope as it was.
    pub(super) fn scope(&self, scope: &mut Scope, schema_url: &mut String) {
        let found = self.0.get("scope");
        *schema_url = text(found.and_then(|found| found.get("schema_url")));
        *scope = Scope {
            name: text(found.and_then(|found| found.get("name"))),
            version: text(found.and_then(|found| found.get("version"))),
            attributes: attributes(found.and_then(|found| found.get("attributes"))),
            dropped_attributes_count: number(found.and_then(|found| found.get("dropped_attributes_count")))
                .unwrap_or_default(),
        };
    }
}

fn text(value: Option<&Value>) -> String {
    value.and_then(Value::as_str).unwrap_or_default().to_owned()
}

fn number<T: TryFrom<i64>>(value: Option<&Value>) -> Option<T> {
    value
        .and_then(Value::as_i64)
        .and_then(|number| T::try_from(number).ok())
}

fn nanos(value: Option<&Value>) -> Option<u64> {
    value.and_then(Value::as_str).and_then(|nanos| nanos.parse().ok())
}

fn attributes(value: Option<&Value>) -> Vec<KeyValue> {
    value
        .and_then(Value::as_object)
        .map(|attributes| of_json(attributes.clone()))
        .unwrap_or_default()
}

/// `None` when it is no list, as what is left out.
fn list<T>(value: Option<&Value>, one: impl Fn(&Value) -> Option<T>) -> Option<Vec<T>> {
    Some(value?.as_array()?.iter().filter_map(one).collect())
}

fn event(event: &Value) -> Option<Event> {
    Some(Event {
        name: event.get("name")?.as_str()?.to_owned(),
        time_unix_nano: nanos(event.get("time_unix_nano")).unwrap_or_default(),
        attributes: attributes(event.get("attributes")),
        dropped_attributes_count: number(event.get("dropped_attributes_count")).unwrap_or_default(),
    })
}

fn link(link: &Value) -> Option<Link> {
    let id = |field: &str| hex::decode(link.get(field)?.as_str()?).ok();
    Some(Link {
        trace_id: id("trace_id")?,
        span_id: id("span_id")?,
        trace_state: text(link.get("trace_state")),
        attributes: attributes(link.get("attributes")),
        dropped_attributes_count: number(link.get("dropped_attributes_count")).unwrap_or_default(),
        flags: number(link.get("flags")).unwrap_or_default(),
    })
}

fn entity_ref(entity: &Value) -> Option<EntityRef> {
    let keys =
        |field: &str| list(entity.get(field), |key| key.as_str().map(str::to_owned)).unwrap_or_default();
    Some(EntityRef {
        schema_url: text(entity.get("schema_url")),
        kind: entity.get("type")?.as_str()?.to_owned(),
        id_keys: keys("id_keys"),
        description_keys: keys("description_keys"),
    })
}
