//! Documents, encoded once into an open request body; sealed by count, bytes or age.
//!
//! A sealed batch *is* the body of its call: nothing is copied or encoded again. What such a body is made of is an
//! [`Encoding`]'s business.

mod body;
mod buffer;
pub mod encoding;
pub mod join;
pub mod kind;
pub mod origin;
pub mod requests;
#[cfg(test)]
pub(crate) mod testing;

use std::marker::PhantomData;
use std::time::{Duration, Instant};

use bytes::Bytes;

use self::buffer::{Buffer, Pool};
use self::encoding::Encoding;
use self::kind::Kind;
use self::origin::Origin;
use crate::ledger::amounts::Amounts;
use crate::ledger::signal::Content;

/// How long a document may wait for neighbours: a second, less what timers and the receiver's pause may add.
pub const MAX_AGE: Duration = Duration::from_millis(990);

/// Most bytes in a body, unless the budget asks for less. X-Ray's own limit is not published; 1 MiB is 50 documents of
/// 20 KB, stays below the usual limit of proxies on the way, and keeps a repeated call cheap.
pub const MAX_BODY_BYTES: usize = 1 << 20;

/// As much memory as this many of the largest bodies is kept for the next ones while segments keep coming. With segments
/// of 1 KB that is for some 35 bodies, more than there are calls in flight.
const SPARE_BODIES: usize = 2;

/// The capacity of the first body; later ones start with the size of the one before.
const FIRST_CAPACITY_BYTES: usize = 4 << 10;

/// A sealed batch: a finished request body and what the sender needs to know of it.
#[derive(Debug, Clone)]
pub struct Batch {
    /// What the body is made of.
    pub kind: Kind,
    /// As its encoding writes it, or requests as they came.
    pub body: Bytes,
    /// How many documents or, in requests, items it carries: 1 and up, to [`Encoding::MAX_DOCUMENTS`] for documents.
    pub documents: usize,
    /// When its first document came.
    pub opened_at: Instant,
    /// How often it was sent without success.
    pub attempts: u32,
    /// How often its documents came back as unprocessed and were sent again.
    pub redeliveries: u32,
    /// In how many of those the service failed over them, instead of asking for fewer.
    pub faults: u32,
    /// Not to be sent again before; `None`: at once.
    pub not_before: Option<Instant>,
    /// The spool file that it, or the whole that it is a part of, was read from.
    pub(crate) origin: Option<Origin>,
    /// Whether it may become one with its neighbours. A part of one that came to an end is apart for a reason.
    pub(crate) joins: bool,
    cost_bytes: usize,
}

impl Batch {
    /// A finished body with `documents` documents, not sent before.
    #[must_use]
    pub fn of_body(body: Vec<u8>, documents: usize, opened_at: Instant) -> Self {
        let held_bytes = body.capacity();
        Self::new(body.into(), held_bytes, documents, opened_at)
    }

    /// The same of requests of `kind` with `items` items.
    #[must_use]
    pub fn of_requests(kind: Kind, body: Vec<u8>, items: usize, opened_at: Instant) -> Self {
        Self {
            kind,
            ..Self::of_body(body, items, opened_at)
        }
    }

    /// The same, of a body that holds `held_bytes` of memory.
    fn new(body: Bytes, held_bytes: usize, documents: usize, opened_at: Instant) -> Self {
        Self {
            kind: Kind::Segments,
            body,
            documents,
            opened_at,
            attempts: 0,
            redeliveries: 0,
            faults: 0,
            not_before: None,
            origin: None,
            joins: true,
            cost_bytes: held_bytes + size_of::<Self>(),
        }
    }

    /// What it carries, and how many.
    #[must_use]
    pub fn amount(&self) -> (Content, u64) {
        (self.kind.content(), self.documents as u64)
    }

    /// The same as an amount.
    #[must_use]
    pub fn amount_alone(&self) -> Amounts {
        Amounts::from_iter([self.amount()])
    }

    /// What it costs in the budget: the memory that it holds.
    #[must_use]
    pub fn cost_bytes(&self) -> usize {
        self.cost_bytes
    }
}

/// The batch that documents are being added to, as `E` writes them.
#[derive(Debug)]
pub struct OpenBatch<E> {
    /// `None` while empty.
    body: Option<Buffer>,
    documents: usize,
    opened_at: Option<Instant>,
    next_capacity_bytes: usize,
    max_body_bytes: usize,
    /// For a while, what is taken at the destination; `max_body_bytes` otherwise.
    bound_bytes: usize,
    pool: Pool,
    encoding: PhantomData<E>,
}

/// What [`OpenBatch::push`] did.
#[derive(Debug, Default)]
#[must_use]
pub struct Pushed {
    /// A batch that the document closed, by filling it or by not fitting in.
    pub sealed: Option<Batch>,
    /// The document had bytes that had to be replaced: those that are not UTF-8, by U+FFFD.
    pub replaced_utf8: bool,
}

impl<E: Encoding> OpenBatch<E> {
    /// An empty one whose bodies stay within `max_body_bytes` (a document that is larger alone goes alone).
    #[must_use]
    pub fn new(max_body_bytes: usize) -> Self {
        Self {
            body: None,
            documents: 0,
            opened_at: None,
            next_capacity_bytes: FIRST_CAPACITY_BYTES,
            max_body_bytes,
            bound_bytes: max_body_bytes,
            pool: Pool::new(SPARE_BODIES * max_body_bytes.min(MAX_BODY_BYTES)),
            encoding: PhantomData,
        }
    }

    /// Keeps bodies within `max_bytes` too; `None`: no longer. What is in the open one already stays.
    pub fn bound(&mut self, max_bytes: Option<usize>) {
        self.bound_bytes = max_bytes.map_or(self.max_body_bytes, |bytes| bytes.min(self.max_body_bytes));
    }

    /// Most bytes in a body now.
    #[must_use]
    pub fn bound_bytes(&self) -> usize {
        self.bound_bytes
    }

    /// Adds a document, encoding it; seals the batch when it is full. How long a document becomes shows only once it is
    /// encoded: one with which the body would be too long is taken out again, and opens the next.
    pub fn push(&mut self, document: &[u8], now: Instant) -> Pushed {
        let mut pushed = Pushed::default();
        // When even the least that it can become does not fit, seal what there is first.
        let least_bytes = document.len() + E::LEAST_GROWTH_BYTES + E::TAIL.len();
        if self.bytes() + least_bytes > self.bound_bytes {
            pushed.sealed = self.seal();
        }
        let before = self.bytes();
        let body = match &mut self.body {
            Some(body) => {
                body.extend(E::SEPARATOR);
                body
            }
            none => {
                self.opened_at = Some(now);
                let body = none.insert(self.pool.take(self.next_capacity_bytes));
                body.extend(E::HEAD);
                body
            }
        };
        pushed.replaced_utf8 = E::append(document, body);
        if before > 0 && body.len() + E::TAIL.len() > self.bound_bytes {
            let encoded = body
                .as_ref()
                .get(before + E::SEPARATOR.len()..)
                .unwrap_or_default()
                .to_vec();
            body.truncate(before);
            // It was not empty, so nothing was sealed above.
            pushed.sealed = self.seal();
            self.opened_at = Some(now);
            let body = self.body.insert(self.pool.take(self.next_capacity_bytes));
            body.extend(E::HEAD);
            body.extend(&encoded);
        }
        self.documents += 1;
        let is_full = self.documents == E::MAX_DOCUMENTS || self.bytes() >= self.bound_bytes;
        if pushed.sealed.is_none() && is_full {
            pushed.sealed = self.seal();
        }
        pushed
    }

    /// A sealed batch of `document` alone.
    #[must_use]
    pub fn of_one(document: &[u8], now: Instant) -> Option<Batch> {
        let mut open = Self::new(usize::MAX);
        open.next_capacity_bytes = document.len() + document.len() / 4;
        // Neither limit is reached by one document.
        drop(open.push(document, now));
        open.seal()
    }

    /// How many documents it has.
    #[must_use]
    pub fn documents(&self) -> usize {
        self.documents
    }

    /// How long its body is.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.body.as_ref().map_or(0, Buffer::len)
    }

    /// When its first document came; `None` while empty.
    #[must_use]
    pub fn opened_at(&self) -> Option<Instant> {
        self.opened_at
    }

    /// When it must be sealed at the latest; `None` while empty.
    #[must_use]
    pub fn deadline(&self) -> Option<Instant> {
        self.opened_at.map(|at| at + MAX_AGE)
    }

    /// Seals it when its first document is [`MAX_AGE`] old.
    #[must_use]
    pub fn seal_if_due(&mut self, now: Instant) -> Option<Batch> {
        if self.deadline()? > now {
            return None;
        }
        // Few documents come: the system can have the memory until the next body is made.
        self.pool.rest();
        self.seal()
    }

    /// Seals it whatever its age; `None` when it is empty.
    #[must_use]
    pub fn seal(&mut self) -> Option<Batch> {
        let opened_at = self.opened_at.take()?;
        let mut body = self.body.take()?;
        body.extend(E::TAIL);
        let bytes = body.len();
        // The next batch will be much like this one; a little more saves it from growing at its end.
        self.next_capacity_bytes = bytes + bytes / 16 + E::SLACK_BYTES;
        let documents = std::mem::take(&mut self.documents);
        // The most that it costs beyond its length; `Lane::room_for` counts on it.
        if body.capacity() - bytes > bytes / 4 {
            return Some(Batch::of_body(body.as_ref().to_vec(), documents, opened_at));
        }
        let held_bytes = body.capacity();
        Some(Batch::new(body.into_bytes(), held_bytes, documents, opened_at))
    }
}

#[cfg(test)]
mod tests;
