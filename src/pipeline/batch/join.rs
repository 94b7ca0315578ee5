//! Joins small batches: what costs is a call and a sync of the disk, not the documents in it. Off the hot path; a pure
//! function of what is given.

use std::time::Instant;

use super::Batch;
use super::encoding::Encoding;
use super::kind::Kind;

/// A body of this many bytes is large enough to be worth a call of its own, and is not copied into another one.
pub const SMALL_BYTES: usize = 64 << 10;

/// How many of the first of `batches` make one batch, in a body of `max_body_bytes` at the most: 1 and up, 0 without any.
///
/// Only batches that the receiver made are joined, and only such as were sent again equally often: a part of a refused
/// batch is apart for a reason, and a batch of a spool file is its file.
pub fn joinable<'b, E: Encoding>(
    batches: impl IntoIterator<Item = &'b Batch>,
    max_body_bytes: usize,
) -> usize {
    let mut batches = batches.into_iter();
    let Some(first) = batches.next() else { return 0 };
    if !is_small(first) {
        return 1;
    }
    let (mut count, mut documents, mut bytes) = (1, first.documents, first.body.len());
    let (most_documents, frame_bytes, separator_bytes) = match first.kind {
        Kind::Segments => (
            E::MAX_DOCUMENTS,
            E::HEAD.len() + E::TAIL.len(),
            E::SEPARATOR.len(),
        ),
        Kind::Requests(..) => (usize::MAX, 0, 0),
    };
    for batch in batches {
        documents += batch.documents;
        // The frame of the one goes, a separator comes.
        bytes = (bytes + batch.body.len() + separator_bytes).saturating_sub(frame_bytes);
        let joins = is_small(batch)
            && batch.kind == first.kind
            && (batch.redeliveries, batch.faults) == (first.redeliveries, first.faults)
            && documents <= most_documents
            && bytes <= max_body_bytes;
        if !joins {
            break;
        }
        count += 1;
    }
    count
}

fn is_small(batch: &Batch) -> bool {
    let is_joinable = batch.kind == Kind::Segments || batch.kind.concatenates();
    is_joinable && batch.joins && batch.origin.is_none() && batch.body.len() < SMALL_BYTES
}

/// One batch of the documents of all `batches`, which [`joinable`] has counted, in their order. Without a second one, the
/// first as it is.
///
/// # Errors
/// The batches as they were, where one of them is no body of `E` or there are none.
pub fn join<E: Encoding>(batches: Vec<Batch>) -> Result<Batch, Vec<Batch>> {
    if let [only] = &batches[..] {
        return Ok(only.clone());
    }
    let Some(first) = batches.first() else {
        return Err(batches);
    };
    let joined = match first.kind {
        Kind::Segments => join_documents::<E>(&batches),
        Kind::Requests(..) => Some(join_requests(first.kind, &batches, first.opened_at)),
    };
    let Some(mut joined) = joined else {
        return Err(batches);
    };
    joined.documents = batches.iter().map(|batch| batch.documents).sum();
    joined.opened_at = batches
        .iter()
        .map(|batch| batch.opened_at)
        .min()
        .unwrap_or(first.opened_at);
    joined.attempts = batches
        .iter()
        .map(|batch| batch.attempts)
        .max()
        .unwrap_or_default();
    joined.not_before = batches.iter().filter_map(|batch| batch.not_before).max();
    (joined.redeliveries, joined.faults) = (first.redeliveries, first.faults);
    Ok(joined)
}

/// The documents of all in one body; `None` where one of them is no body of `E`.
fn join_documents<E: Encoding>(batches: &[Batch]) -> Option<Batch> {
    let inner = |batch: &Batch| {
        let start = E::HEAD.len();
        let end = batch
            .body
            .len()
            .checked_sub(E::TAIL.len())
            .filter(|end| *end > start)?;
        let framed = batch.body.starts_with(E::HEAD) && batch.body.ends_with(E::TAIL);
        framed.then(|| batch.body.slice(start..end))
    };
    let documents = batches.iter().map(inner).collect::<Option<Vec<_>>>()?;
    let views: Vec<&[u8]> = documents.iter().map(AsRef::as_ref).collect();
    // Documents that stand beside each other in one body are moved as one.
    Batch::of_documents::<E>(&views, batches.first()?.opened_at)
}

/// The requests of all, one behind the other.
fn join_requests(kind: Kind, batches: &[Batch], opened_at: Instant) -> Batch {
    let mut body = Vec::with_capacity(batches.iter().map(|batch| batch.body.len()).sum());
    for batch in batches {
        body.extend_from_slice(&batch.body);
    }
    let items = batches.iter().map(|batch| batch.documents).sum();
    Batch::of_requests(kind, body, items, opened_at)
}

/// The most bodies that so many documents of so many bytes in all are in once neighbours have joined: of two that stay
/// apart, one is large or both together have too many documents or bytes.
#[must_use]
pub fn most_bodies<E: Encoding>(
    batches: usize,
    documents: usize,
    bytes: usize,
    max_body_bytes: usize,
) -> usize {
    let large = bytes / SMALL_BYTES.min(max_body_bytes).max(1);
    let full = documents / E::MAX_DOCUMENTS;
    batches.min(2 * (large + full) + 1)
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use proptest::prelude::*;

    use super::*;
    use crate::pipeline::batch::origin::{FileId, Origin};
    use crate::pipeline::batch::testing::Strings;

    /// A batch of so many documents of so many bytes each, with their quotes.
    fn batch(documents: usize, bytes: usize, opened_at: Instant) -> Batch {
        let document = format!("\"{}\"", "x".repeat(bytes - 2));
        Batch::of_documents::<Strings>(&vec![document.as_bytes(); documents], opened_at).unwrap()
    }

    fn joinable_of(batches: &[Batch], max_body_bytes: usize) -> usize {
        joinable::<Strings>(batches, max_body_bytes)
    }

    #[test]
    fn as_many_documents_join_as_a_body_may_have() {
        let now = Instant::now();
        assert_eq!(joinable_of(&[], 1000), 0);
        assert_eq!(joinable_of(&vec![batch(1, 5, now); 120], usize::MAX), 50);
        assert_eq!(
            joinable_of(&[batch(30, 5, now), batch(21, 5, now)], usize::MAX),
            1
        );
        assert_eq!(
            joinable_of(&[batch(30, 5, now), batch(20, 5, now)], usize::MAX),
            2
        );
    }

    #[test]
    fn the_joint_body_keeps_within_its_bound() {
        let batches = vec![batch(1, 100, Instant::now()); 10];
        // 100 and the frame; each more brings its separator too.
        for (max_body_bytes, count) in [(1, 1), (202, 1), (203, 2), (303, 2), (304, 3)] {
            assert_eq!(joinable_of(&batches, max_body_bytes), count, "{max_body_bytes}");
            if count > 1 {
                let joined = join::<Strings>(batches[..count].to_vec()).unwrap();
                assert!(joined.body.len() <= max_body_bytes);
            }
        }
    }

    #[test]
    fn large_ones_and_what_is_apart_for_a_reason_stay_apart() {
        let now = Instant::now();
        let small = batch(1, 5, now);
        let with = |change: fn(&mut Batch)| {
            let mut batch = small.clone();
            change(&mut batch);
            batch
        };
        let from_a_file = with(|batch| {
            batch.origin = Some(Origin::new(FileId {
                sequence: 1,
                opened_ms: 1,
            }));
        });
        let apart = [
            batch(1, SMALL_BYTES, now),
            with(|batch| batch.joins = false),
            with(|batch| batch.redeliveries = 1),
            with(|batch| batch.faults = 1),
            from_a_file,
        ];
        for other in apart {
            assert_eq!(
                joinable_of(&[small.clone(), other.clone()], usize::MAX),
                1,
                "{other:?}"
            );
            assert_eq!(
                joinable_of(&[other.clone(), small.clone()], usize::MAX),
                1,
                "{other:?}"
            );
        }
        assert_eq!(joinable_of(&[small.clone(), small.clone()], usize::MAX), 2);
        // The frame of two bytes counts.
        for (bytes, count) in [(SMALL_BYTES - 2, 1), (SMALL_BYTES - 3, 2)] {
            assert_eq!(
                joinable_of(&[small.clone(), batch(1, bytes, now)], usize::MAX),
                count
            );
            assert_eq!(
                joinable_of(&[batch(1, bytes, now), small.clone()], usize::MAX),
                count
            );
        }
    }

    #[test]
    fn two_bodies_for_each_full_or_large_one_and_one_more_are_left_at_the_most() {
        for (batches, documents, bytes, max_body_bytes, most) in [
            (1000, 49, 0, usize::MAX, 1),
            (1000, 99, 0, usize::MAX, 3),
            (1000, 100, 0, usize::MAX, 5),
            (1000, 0, 3 * SMALL_BYTES - 1, usize::MAX, 5),
            (1000, 0, 3 * SMALL_BYTES, usize::MAX, 7),
            (1000, 100, 3 * SMALL_BYTES, usize::MAX, 11),
            (1000, 0, 1000, 100, 21),
            (1000, 0, 100, 0, 201),
            (4, 100, 3 * SMALL_BYTES, usize::MAX, 4),
            (0, 0, 0, usize::MAX, 0),
        ] {
            assert_eq!(
                most_bodies::<Strings>(batches, documents, bytes, max_body_bytes),
                most,
                "{batches} batches, {documents} documents, {bytes} bytes"
            );
        }
    }

    #[test]
    fn what_is_no_body_is_given_back() {
        let now = Instant::now();
        for other in [&b"{}"[..], b"[]", b"]", b"[\"a\"", b"\"a\"]"] {
            let other = Batch::of_body(other.to_vec(), 1, now);
            let apart = join::<Strings>(vec![batch(1, 5, now), other]).unwrap_err();
            assert_eq!(apart.len(), 2);
        }
        assert!(join::<Strings>(Vec::new()).unwrap_err().is_empty());
    }

    proptest! {
        #[test]
        fn all_documents_are_in_the_joint_batch_in_their_order(
            texts in prop::collection::vec(prop::collection::vec(".{0,20}", 1..5), 1..8),
            ages_ms in prop::collection::vec(0_u64..1000, 8),
            attempts in prop::collection::vec(0_u32..5, 8),
        ) {
            let now = Instant::now() + Duration::from_secs(10);
            let mut batches = Vec::new();
            for (n, texts) in texts.iter().enumerate() {
                let documents: Vec<Vec<u8>> = texts.iter().map(|text| serde_json::to_vec(text).unwrap()).collect();
                let documents: Vec<&[u8]> = documents.iter().map(Vec::as_slice).collect();
                let mut batch = Batch::of_documents::<Strings>(&documents, now - Duration::from_millis(ages_ms[n])).unwrap();
                batch.attempts = attempts[n];
                batches.push(batch);
            }
            prop_assert_eq!(joinable_of(&batches, usize::MAX), batches.len());
            let cost_bytes: usize = batches.iter().map(Batch::cost_bytes).sum();
            let joined = join::<Strings>(batches).unwrap();
            let all = texts.concat();
            let count = texts.len();
            prop_assert_eq!(&joined.body[..], serde_json::to_vec(&all).unwrap());
            prop_assert_eq!(joined.documents, all.len());
            prop_assert_eq!(joined.opened_at, now - Duration::from_millis(*ages_ms[..count].iter().max().unwrap()));
            prop_assert_eq!(joined.attempts, *attempts[..count].iter().max().unwrap());
            prop_assert!(joined.cost_bytes() <= cost_bytes);
            prop_assert!(joined.joins);
        }

        #[test]
        fn no_more_bodies_are_left_than_is_said(
            sizes in prop::collection::vec((1_usize..50, 3_usize..3000), 1..40),
            max_body_bytes in 20_000_usize..1_000_000,
        ) {
            let now = Instant::now();
            let mut batches: Vec<Batch> = sizes.iter().map(|(documents, bytes)| batch(*documents, *bytes, now)).collect();
            let (count, documents) = (batches.len(), sizes.iter().map(|(documents, _)| documents).sum());
            let bytes = batches.iter().map(Batch::cost_bytes).sum();
            let mut bodies = 0;
            while !batches.is_empty() {
                batches.drain(..joinable_of(&batches, max_body_bytes));
                bodies += 1;
            }
            prop_assert!(bodies <= most_bodies::<Strings>(count, documents, bytes, max_body_bytes), "{bodies}");
        }
    }
}
