//! OTLP requests, put together as they are: one behind the other they are one request.

use std::time::Instant;

use bytes::Bytes;

use super::buffer::{Buffer, Pool};
use super::encoding::Encoding;
use super::kind::Kind;
use super::{Batch, FIRST_CAPACITY_BYTES, MAX_AGE, MAX_BODY_BYTES};
use crate::ledger::signal::Signal;
use crate::pipeline::intake::Form;

/// The batches that requests are being added to: one for each signal, of requests in protobuf. Those in JSON can't be put
/// together, and go alone.
#[derive(Debug)]
pub struct OpenRequests {
    open: [Open; Signal::ALL.len()],
    max_body_bytes: usize,
    /// For a while, what is taken at the destination; `max_body_bytes` otherwise.
    bound_bytes: usize,
}

#[derive(Debug)]
struct Open {
    kind: Kind,
    /// `None` while empty.
    body: Option<(Buffer, Instant)>,
    items: usize,
    next_capacity_bytes: usize,
    pool: Pool,
}

impl OpenRequests {
    /// Empty ones whose bodies stay within `max_body_bytes`, as far as requests can be divided.
    #[must_use]
    pub fn new(max_body_bytes: usize) -> Self {
        Self {
            open: Signal::ALL.map(|signal| Open {
                kind: Kind::Requests(signal, Form::Protobuf),
                body: None,
                items: 0,
                next_capacity_bytes: FIRST_CAPACITY_BYTES,
                pool: Pool::new(max_body_bytes.min(MAX_BODY_BYTES)),
            }),
            max_body_bytes,
            bound_bytes: max_body_bytes,
        }
    }

    /// Keeps bodies within `max_bytes` too; `None`: no longer. What is open already stays.
    pub fn bound(&mut self, max_bytes: Option<usize>) {
        self.bound_bytes = max_bytes.map_or(self.max_body_bytes, |bytes| bytes.min(self.max_body_bytes));
    }

    /// Most bytes in a body now.
    #[must_use]
    pub fn bound_bytes(&self) -> usize {
        self.bound_bytes
    }

    /// Adds a request of `kind` with `items` items, which fits into a body; `None` when it is of no kind that is put
    /// together. Returns the batch that it closed, if it closed one.
    pub fn push(&mut self, kind: Kind, body: &[u8], items: usize, now: Instant) -> Option<Option<Batch>> {
        let bound_bytes = self.bound_bytes;
        let open = self.open.iter_mut().find(|open| open.kind == kind)?;
        let closed = if open.bytes() + body.len() > bound_bytes {
            open.seal()
        } else {
            None
        };
        let (buffer, _) = open.body.get_or_insert_with(|| {
            // No longer than it can become, or the pool would have no room for it.
            let capacity_bytes = open.next_capacity_bytes.min(bound_bytes).max(body.len());
            (open.pool.take(capacity_bytes), now)
        });
        super::encoding::Output::append_with(buffer, body.len(), |room| {
            room.copy_from_slice(body);
            body.len()
        });
        open.items += items;
        if closed.is_none() && open.bytes() >= bound_bytes {
            return Some(open.seal());
        }
        Some(closed)
    }

    /// The batches whose first request is [`MAX_AGE`] old.
    pub fn seal_if_due(&mut self, now: Instant) -> Vec<Batch> {
        let due = |open: &&mut Open| open.opened_at().is_some_and(|at| at + MAX_AGE <= now);
        let due = self.open.iter_mut().filter(due);
        due.filter_map(|open| {
            // Few requests come: the system can have the memory until the next body is made.
            open.pool.rest();
            open.seal()
        })
        .collect()
    }

    /// All of them, whatever their age.
    pub fn seal(&mut self) -> Vec<Batch> {
        self.open.iter_mut().filter_map(Open::seal).collect()
    }

    /// When the first of them came; `None` while all are empty.
    #[must_use]
    pub fn opened_at(&self) -> Option<Instant> {
        self.open.iter().filter_map(Open::opened_at).min()
    }

    /// The items in each, by their kind.
    pub fn items(&self) -> impl Iterator<Item = (Kind, usize)> {
        self.open.iter().map(|open| (open.kind, open.items))
    }

    /// The bytes of all.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.open.iter().map(Open::bytes).sum()
    }
}

impl Open {
    fn bytes(&self) -> usize {
        self.body.as_ref().map_or(0, |(body, _)| body.len())
    }

    fn opened_at(&self) -> Option<Instant> {
        self.body.as_ref().map(|(_, at)| *at)
    }

    fn seal(&mut self) -> Option<Batch> {
        let (body, opened_at) = self.body.take()?;
        let (bytes, held_bytes) = (body.len(), body.capacity());
        self.next_capacity_bytes = bytes + bytes / 16;
        let items = std::mem::take(&mut self.items);
        // The most that it costs beyond its length; `Lane::room_for` counts on it.
        let mut batch = if held_bytes - bytes > bytes / 4 {
            Batch::of_body(body.as_ref().to_vec(), items, opened_at)
        } else {
            Batch::new(body.into_bytes(), held_bytes, items, opened_at)
        };
        batch.kind = self.kind;
        Some(batch)
    }
}

/// The part of its length that a request may grow by when it is divided: what its items share, a resource or a scope, is in
/// each part. `Lane::room_for` counts on it.
const DIVIDED_GROWTH_PART: usize = 8;

/// Batches of one request: as few as have bodies within `bound_bytes`, as far as it can be divided. What shares so much that
/// the parts would be much longer than the whole stays in one piece: its destination is to say whether it takes that.
#[must_use]
pub fn batches_of<E: Encoding>(
    kind: Kind,
    body: Bytes,
    items: usize,
    bound_bytes: usize,
    opened_at: Instant,
) -> Vec<Batch> {
    let held_bytes = body.len();
    let mut growth_bytes = held_bytes / DIVIDED_GROWTH_PART;
    let mut whole = Batch::new(body, held_bytes, items, opened_at);
    whole.kind = kind;
    let mut batches = Vec::new();
    let mut left = vec![whole];
    while let Some(batch) = left.pop() {
        let halves = (batch.body.len() > bound_bytes)
            .then(|| Batch::halves::<E>(batch.kind, &batch.body, opened_at))
            .flatten();
        let more_bytes = |halves: &[Batch; 2]| {
            let bytes: usize = halves.iter().map(|half| half.body.len()).sum();
            bytes.saturating_sub(batch.body.len())
        };
        match halves {
            Some(halves) if more_bytes(&halves) <= growth_bytes => {
                growth_bytes -= more_bytes(&halves);
                let [first, second] = halves;
                left.extend([second, first]);
            }
            _ => batches.push(batch),
        }
    }
    batches
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pipeline::batch::testing::Strings;

    const SPANS: Kind = Kind::Requests(Signal::Traces, Form::Protobuf);
    const LOGS: Kind = Kind::Requests(Signal::Logs, Form::Protobuf);
    const SPANS_IN_JSON: Kind = Kind::Requests(Signal::Traces, Form::Json);

    fn shown(batch: &Batch) -> (Kind, &str, usize) {
        (
            batch.kind,
            std::str::from_utf8(&batch.body).unwrap(),
            batch.documents,
        )
    }

    #[test]
    fn requests_of_one_signal_stand_behind_one_another_until_one_does_not_fit() {
        let (mut open, now) = (OpenRequests::new(10), Instant::now());
        assert!(open.push(SPANS, b"aaaa", 2, now).unwrap().is_none());
        assert!(open.push(LOGS, b"xxx", 1, now).unwrap().is_none());
        assert!(open.push(SPANS, b"bbbb", 3, now).unwrap().is_none());
        assert_eq!(open.bytes(), 11);
        let closed = open.push(SPANS, b"ccc", 1, now).unwrap().unwrap();
        assert_eq!(shown(&closed), (SPANS, "aaaabbbb", 5));
        let full = open.push(LOGS, b"yyyyyyy", 7, now).unwrap().unwrap();
        assert_eq!(shown(&full), (LOGS, "xxxyyyyyyy", 8), "to the last byte");
        let left = open.seal();
        assert_eq!(left.iter().map(shown).collect::<Vec<_>>(), [(SPANS, "ccc", 1)]);
        assert_eq!((open.bytes(), open.opened_at()), (0, None));
    }

    #[test]
    fn each_signal_is_sealed_a_second_after_its_first_request() {
        let (mut open, now) = (OpenRequests::new(100), Instant::now());
        assert!(open.push(SPANS, b"a", 1, now).unwrap().is_none());
        assert!(open.push(LOGS, b"x", 1, now + MAX_AGE / 2).unwrap().is_none());
        assert_eq!(open.opened_at(), Some(now));
        assert!(
            open.seal_if_due(now + MAX_AGE - std::time::Duration::from_nanos(1))
                .is_empty()
        );
        let due = open.seal_if_due(now + MAX_AGE);
        assert_eq!(due.iter().map(shown).collect::<Vec<_>>(), [(SPANS, "a", 1)]);
        assert_eq!(
            (due[0].opened_at, open.opened_at()),
            (now, Some(now + MAX_AGE / 2))
        );
    }

    #[test]
    fn a_body_gets_the_memory_of_one_that_is_over_however_full_it_was() {
        // Of a length with which the next one would have more than a body may have.
        let request = [b'a'; 10_900];
        let (mut open, now) = (OpenRequests::new(64 << 10), Instant::now());
        let mut next = || {
            (0..7)
                .find_map(|_| open.push(SPANS, &request, 1, now).unwrap())
                .unwrap()
        };
        // The first one finds its length; then one is filled while the one before it is sent.
        drop(next());
        let second = next();
        let (place, held_bytes) = (second.body.as_ptr(), second.cost_bytes() - size_of::<Batch>());
        drop(second);
        drop(next());
        let fourth = next();
        assert_eq!((fourth.documents, fourth.body.as_ptr()), (6, place));
        assert_eq!(held_bytes, 64 << 10, "as much as is kept for later");
    }

    #[test]
    fn a_request_in_json_is_put_beside_no_other() {
        let mut open = OpenRequests::new(100);
        assert!(open.push(SPANS_IN_JSON, b"{}", 1, Instant::now()).is_none());
        assert_eq!(open.bytes(), 0);
    }

    #[test]
    fn a_bound_that_was_learnt_holds_until_it_is_forgotten() {
        let (mut open, now) = (OpenRequests::new(10), Instant::now());
        open.bound(Some(4));
        assert!(open.push(SPANS, b"aaa", 1, now).unwrap().is_none());
        assert_eq!(open.push(SPANS, b"bb", 1, now).unwrap().unwrap().documents, 1);
        open.bound(None);
        assert_eq!(open.bound_bytes(), 10);
    }

    #[test]
    fn a_long_request_is_divided_into_parts_within_the_bound_in_its_order() {
        let now = Instant::now();
        let body = Bytes::from_static(b"abcdefghijk");
        let parts = batches_of::<Strings>(SPANS, body.clone(), 11, 3, now);
        assert!(
            parts
                .iter()
                .all(|part| part.body.len() <= 3 && part.kind == SPANS)
        );
        assert_eq!(parts.iter().map(|part| part.documents).sum::<usize>(), 11);
        let together: Vec<u8> = parts.iter().flat_map(|part| part.body.to_vec()).collect();
        assert_eq!(together, body);
        let whole = batches_of::<Strings>(SPANS, body.clone(), 11, 11, now);
        assert_eq!(whole[0].body.as_ptr(), body.as_ptr(), "not copied");
        let alone = batches_of::<Strings>(SPANS, Bytes::from_static(b"a"), 1, 0, now);
        assert_eq!(alone.len(), 1, "what can't be divided goes all the same");
    }
}
