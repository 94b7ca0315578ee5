//! The documents of a trace put together, as the API gives them.

use serde_json::{Map, Value};
use xray_document::fields::{number, text};

/// The segments of a trace as the API gives them: each with the subsegments that were sent apart put into it, under
/// their parents. What has no parent here stands alone. Pairs of id and document, in the order of their start.
#[must_use]
pub fn merged(documents: &[&str]) -> Vec<(String, String)> {
    let parsed: Vec<(usize, Map<String, Value>)> = documents
        .iter()
        .enumerate()
        .filter_map(|(at, document)| match serde_json::from_str(document) {
            Ok(Value::Object(data)) => Some((at, data)),
            _ => None,
        })
        .collect();
    let is_apart = |data: &Map<String, Value>| {
        data.get("type").and_then(Value::as_str) == Some("subsegment")
            && text(data.get("parent_id")).is_some()
    };
    let (apart, mut whole): (Vec<_>, Vec<_>) = parsed.into_iter().partition(|(_, data)| is_apart(data));
    let mut waiting: Vec<(usize, Map<String, Value>)> = apart;
    let mut changed = vec![false; documents.len()];
    // Each round puts in those whose parents are placed; a round that places none leaves orphans and circles.
    loop {
        let before = waiting.len();
        let mut left = Vec::new();
        for (at, data) in waiting {
            let parent_id = text(data.get("parent_id")).unwrap_or_default();
            let mut data = Some(data);
            for (segment_at, segment) in &mut whole {
                if insert_under(segment, &parent_id, &mut data) {
                    changed[*segment_at] = true;
                    break;
                }
            }
            if let Some(data) = data {
                left.push((at, data));
            }
        }
        waiting = left;
        if waiting.len() == before {
            break;
        }
    }
    whole.extend(waiting);
    let start = |data: &Map<String, Value>| number(data.get("start_time")).unwrap_or_default();
    whole.sort_by(|(_, a), (_, b)| start(a).total_cmp(&start(b)));
    whole
        .into_iter()
        .map(|(at, data)| {
            let id = text(data.get("id")).unwrap_or_default();
            // What nothing was put into stays as it was sent, to the byte.
            let document = if changed[at] {
                Value::Object(data).to_string()
            } else {
                documents[at].to_owned()
            };
            (id, document)
        })
        .collect()
}

/// Puts `data` under the entity `parent_id`, wherever that is below `entity`; an older copy of it there gives way.
fn insert_under(
    entity: &mut Map<String, Value>,
    parent_id: &str,
    data: &mut Option<Map<String, Value>>,
) -> bool {
    if entity.get("id").and_then(Value::as_str) == Some(parent_id) {
        let Some(child) = data.take() else { return false };
        let children = entity
            .entry("subsegments")
            .or_insert_with(|| Value::Array(Vec::new()));
        if !children.is_array() {
            *children = Value::Array(Vec::new());
        }
        if let Value::Array(children) = children {
            let same = |other: &Value| other.get("id").is_some() && other.get("id") == child.get("id");
            children.retain(|other| !same(other));
            children.push(Value::Object(child));
        }
        return true;
    }
    let Some(Value::Array(children)) = entity.get_mut("subsegments") else {
        return false;
    };
    children
        .iter_mut()
        .filter_map(Value::as_object_mut)
        .any(|child| insert_under(child, parent_id, data))
}
