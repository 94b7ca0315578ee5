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
        let (buffer, _) = open
            .body
            .get_or_insert_with(|| (open.pool.take(open.next_capacity_bytes.max(body.len())), now));
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

/// Batches of one request: as few as have bodies within `bound_bytes`, as far as it can be divided.
#[must_use]
pub fn batches_of<E: Encoding>(
    kind: Kind,
    body: Bytes,
    items: usize,
    bound_bytes: usize,
    opened_at: Instant,
) -> Vec<Batch> {
    let held_bytes = body.len();
    let mut whole = Batch::new(body, held_bytes, items, opened_at);
    whole.kind = kind;
    let mut batches = Vec::new();
    let mut left = vec![whole];
    while let Some(batch) = left.pop() {
        let halves = (batch.body.len() > bound_bytes)
            .then(|| Batch::halves::<E>(batch.kind, &batch.body, opened_at))
            .flatten();
        match halves {
            Some([first, second]) => left.extend([second, first]),
            None => batches.push(batch),
        }
    }
    batches
}
