//! `links`.

use serde_json::{Map, Value};

use super::ids::{span_id, trace_id_bytes};
use crate::otlp::attributes::{Attributes, flat, listed};
use crate::otlp::message::Link;

/// Takes the links whose ids are ids; the others stay.
pub(super) fn take(entity: &mut Map<String, Value>) -> Vec<Link> {
    let Some(Value::Array(links)) = entity.get_mut("links") else {
        return Vec::new();
    };
    let mut found = Vec::new();
    links.retain(|link| match link_of(link) {
        Some(link) => {
            found.push(link);
            false
        }
        None => true,
    });
    if links.is_empty() {
        entity.remove("links");
    }
    found
}

fn link_of(link: &Value) -> Option<Link> {
    let link = link.as_object()?;
    let known = ["trace_id", "id", "attributes"];
    if !link.keys().all(|key| known.contains(&key.as_str())) {
        return None;
    }
    let mut attributes = Attributes::new();
    match link.get("attributes") {
        None | Some(Value::Null) => {}
        Some(Value::Object(found)) => {
            let found = found.clone().into_iter();
            attributes.extend(found.map(|(key, value)| (key, flat(value))));
        }
        Some(_) => return None,
    }
    Some(Link {
        trace_id: trace_id_bytes(link.get("trace_id")?.as_str()?)?,
        span_id: span_id(link.get("id"))?,
        attributes: listed(attributes),
        ..Link::default()
    })
}
