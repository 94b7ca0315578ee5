//! What a document costs: everything that is held because of it, counted when it comes.
//!
//! Counted is what the allocator gives for each piece, not what is asked of it. What the digest of a trace holds is the
//! sum of what its documents bring: it is made at the first question, and charged before.

use std::mem::size_of;

use crate::digest::{Call, Digest, Part};
use crate::failure::{self, Failure, Said};
use crate::model::{Entity, Exception, Kind, Scalar, Tree};

/// A trace id, as each of the indexes holds it: `1-<8 hex>-<24 hex>`.
const ID_BYTES: usize = 48;

/// What an entry of a map takes with the room that is free beside it: those that grow at one end are little more than half
/// full.
const fn entry(bytes: usize) -> usize {
    2 * bytes
}

/// What each trace costs besides its documents: itself and its digest, its id in the store's four indexes and in what
/// the terminal remembers.
pub(super) const TRACE_BYTES: usize = held(size_of::<super::Trace>() + 16)
    + held(size_of::<Digest>() + 16)
    + 2 * ID_BYTES
    + 5 * (entry(size_of::<String>() + size_of::<u64>()) + ID_BYTES);

/// What one document brings.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Cost {
    /// Of text, id, and its part of the digest.
    pub(super) bytes: usize,
    /// Segments and subsegments in it.
    pub(super) entities: usize,
}

impl Cost {
    pub(super) fn of(text: &str, id: &str) -> Self {
        let tree = Tree::build([text]);
        let digest: usize = tree.entities.iter().map(in_digest).sum();
        Self {
            // Before an `Arc<str>`'s text are its two counts.
            bytes: held(text.len() + 16) + held(id.len()) + digest,
            entities: tree.entities.len(),
        }
    }
}

/// What a vector of so many places holds.
pub(super) const fn places<T>(capacity: usize) -> usize {
    held(capacity * size_of::<T>())
}

/// What the allocator gives for so many bytes: multiples of 16, beyond 64 of a quarter of a power of two; of what
/// is larger than 128 KiB only the pages that are used take memory.
pub(super) const fn held(bytes: usize) -> usize {
    if bytes > 128 << 10 {
        return bytes.next_multiple_of(4 << 10);
    }
    if bytes <= 64 {
        return bytes.next_multiple_of(16);
    }
    let step = 1 << ((bytes - 1).ilog2() - 2);
    bytes.next_multiple_of(step)
}

/// What a segment or subsegment holds in the digest, at most.
fn in_digest(entity: &Entity) -> usize {
    let is_called = entity.database.is_some() || entity.namespace.is_some();
    let text = |text: &Option<String>| text.as_ref().map_or(0, |text| held(text.len()));
    let name = held(entity.name.len());
    // Itself and whoever called it, or what it called, with the call. A subsegment on its own may stand for its segment.
    let parts = match entity.kind {
        Kind::Segment => 2,
        Kind::Subsegment => usize::from(is_called) + usize::from(entity.parent.is_none()),
    };
    let http = &entity.http;
    let texts = [
        &http.method,
        &http.url,
        &http.user_agent,
        &http.client_ip,
        &entity.user,
        &entity.resource_arn,
        &entity.instance_id,
        &entity.availability_zone,
        &entity.origin,
        &entity.database,
    ];
    // A kind is `remote`, or made of the name.
    let kind = held("AWS::".len() + entity.name.len());
    let names = match (entity.kind, parts) {
        (_, 0) => 0,
        // Also the trace's name, one in the list of services with its place there, and name and kind of who called.
        (Kind::Segment, _) => 3 * name + 64,
        (Kind::Subsegment, _) if entity.namespace.as_deref() == Some("remote") => name + 16,
        (Kind::Subsegment, _) => name + kind,
    };
    let of_parts = match parts {
        0 => 0,
        _ => {
            let operation = entity.operation().map_or(0, |operation| held(operation.len()));
            let texts: usize = texts.into_iter().map(text).sum();
            places::<Part>(parts) + places::<Call>(parts) + names + operation + texts
        }
    };
    of_parts
        + places::<(String, Scalar)>(entity.annotations.len())
        + entity.annotations.iter().map(of_annotation).sum::<usize>()
        + of_failure(entity)
}

/// What its exceptions hold, and what is kept of it where it is the place that failed: its name, that of its service, and
/// one exception more. As the text in a digest is cut, so is the charge.
fn of_failure(entity: &Entity) -> usize {
    let text = |text: &Option<String>| text.as_ref().map_or(0, |text| held(failure::kept_bytes(text)));
    let of_one = |one: &Exception| places::<Said>(1) + text(&one.kind) + text(&one.message);
    let exceptions = &entity.exceptions;
    let said: usize = exceptions.iter().take(failure::MAX_SAID).map(of_one).sum();
    if entity.marks.ok() {
        return said;
    }
    let place = held(size_of::<Failure>());
    place + said + exceptions.first().map_or(0, of_one) + 2 * held(failure::kept_bytes(&entity.name))
}

/// What the texts of one hold.
fn of_annotation((key, value): &(String, Scalar)) -> usize {
    let text = match value {
        Scalar::Text(text) => held(text.len()),
        Scalar::Number(_) | Scalar::Bool(_) => 0,
    };
    held(key.len()) + text
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn what_is_held_is_no_less_than_what_is_asked_for_and_no_quarter_more() {
        assert_eq!(
            [0, 1, 16, 17, 64, 65, 80, 81].map(held),
            [0, 16, 16, 32, 64, 80, 80, 96]
        );
        for bytes in 64..100_000 {
            assert!(
                held(bytes) >= bytes && held(bytes) * 4 <= bytes * 5 + 4,
                "{bytes}"
            );
        }
    }

    /// What a digest holds, piece by piece.
    fn of_digest(digest: &Digest) -> usize {
        let text = |text: &Option<String>| text.as_ref().map_or(0, |text| held(text.capacity()));
        let said = |said: &Said| text(&said.kind) + text(&said.message);
        let part = |part: &Part| {
            let texts = [
                &part.http.method,
                &part.http.url,
                &part.http.user_agent,
                &part.http.client_ip,
                &part.user,
                &part.resource_arn,
                &part.instance_id,
                &part.availability_zone,
            ];
            held(part.service.name.capacity())
                + held(part.service.kind.capacity())
                + texts.into_iter().map(text).sum::<usize>()
                + places::<(String, Scalar)>(part.annotations.capacity())
                + part.annotations.iter().map(of_annotation).sum::<usize>()
        };
        places::<Part>(digest.parts.capacity())
            + places::<Call>(digest.calls.capacity())
            + places::<String>(digest.services.capacity())
            + digest
                .services
                .iter()
                .map(|name| held(name.capacity()))
                .sum::<usize>()
            + digest.parts.iter().map(part).sum::<usize>()
            + places::<Said>(digest.said.capacity())
            + digest.said.iter().map(said).sum::<usize>()
            + digest.failure.as_ref().map_or(0, |failure| {
                held(size_of::<Failure>())
                    + held(failure.name.capacity())
                    + text(&failure.inside)
                    + failure.said.as_ref().map_or(0, said)
            })
    }

    fn document(more: Value) -> String {
        let mut value = json!({"id": "0000000000000001", "name": "shop", "start_time": 1, "end_time": 2});
        value
            .as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        value.to_string()
    }

    #[test]
    fn a_document_is_charged_for_what_its_digest_holds() {
        let remotes: Vec<Value> = (0..500)
            .map(|n| json!({"id": format!("{n:016x}"), "name": format!("host-{n}"), "namespace": "remote"}))
            .collect();
        let annotations: Value = (0..500)
            .map(|n| (format!("key-{n}"), json!(n % 2 == 0)))
            .collect::<serde_json::Map<_, _>>()
            .into();
        for (text, slack) in [
            (document(json!({})), 2.0),
            (document(json!({ "subsegments": remotes })), 1.4),
            (document(json!({ "annotations": annotations })), 1.4),
            (
                document(
                    json!({"user": "u".repeat(5_000), "http": {"request": {"url": "x".repeat(20_000)}}}),
                ),
                1.4,
            ),
            (
                document(json!({"fault": true, "cause": {"exceptions": [
                    {"type": "PayError", "message": "m".repeat(5_000)}, {"type": "é".repeat(500)}]}})),
                2.0,
            ),
        ] {
            let charged = Cost::of(&text, "0000000000000001").bytes - held(text.len() + 16) - 16;
            let digest = of_digest(&Digest::of("t", &Tree::build([text.as_str()])));
            assert!(charged >= digest, "{charged} for {digest}: {:.60}", text);
            assert!(
                charged as f64 <= digest as f64 * slack,
                "{charged} for {digest}: {:.60}",
                text
            );
        }
    }
}
