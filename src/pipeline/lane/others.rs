//! What a lane takes beside the documents of receivers: OTLP requests, and documents made of them.
//!
//! Neither is under the lane's lock, which receivers share: putting a request into a batch takes longer than they may wait.
//! Nor does it go to the follower, which is given what came as segments.

use std::time::Instant;

use bytes::Bytes;

use super::Lane;
use crate::ledger::amounts::Amounts;
use crate::ledger::signal::Content;
use crate::pipeline::batch::encoding::Encoding;
use crate::pipeline::batch::kind::Kind;
use crate::pipeline::batch::requests::{self, OpenRequests};
use crate::pipeline::batch::{Batch, MAX_AGE, OpenBatch};
use crate::pipeline::intake::Intake as _;
use crate::pipeline::queue::Evicted;

/// The open batches of those.
#[derive(Debug)]
pub(super) struct Others<E> {
    requests: OpenRequests,
    documents: OpenBatch<E>,
}

impl<E: Encoding> Others<E> {
    pub(super) fn new(max_body_bytes: usize) -> Self {
        Self {
            requests: OpenRequests::new(max_body_bytes),
            documents: OpenBatch::new(max_body_bytes),
        }
    }

    pub(super) fn bound(&mut self, max_bytes: Option<usize>) {
        self.requests.bound(max_bytes);
        self.documents.bound(max_bytes);
    }

    pub(super) fn seal_if_due(&mut self, now: Instant) -> Vec<Batch> {
        let mut batches = self.requests.seal_if_due(now);
        batches.extend(self.documents.seal_if_due(now));
        batches
    }

    pub(super) fn seal(&mut self) -> Vec<Batch> {
        let mut batches = self.requests.seal();
        batches.extend(self.documents.seal());
        batches
    }

    /// When the oldest came; `None` while all are empty.
    pub(super) fn opened_at(&self) -> Option<Instant> {
        let both = [self.requests.opened_at(), self.documents.opened_at()];
        both.into_iter().flatten().min()
    }

    /// When the first must be sealed.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.opened_at().map(|at| at + MAX_AGE)
    }

    /// What is in them.
    pub(super) fn held(&self) -> HeldOpen {
        let mut held = HeldOpen {
            bytes: self.requests.bytes() + self.documents.bytes(),
            ..HeldOpen::default()
        };
        let requests = self.requests.items();
        let documents = (Kind::Segments, self.documents.documents());
        for (kind, items) in requests.chain([documents]).filter(|(_, items)| *items > 0) {
            held.batches += 1;
            held.amounts.add(kind.content(), items as u64);
        }
        held
    }
}

/// What open batches hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct HeldOpen {
    pub(super) batches: usize,
    pub(super) amounts: Amounts,
    pub(super) bytes: usize,
}

impl HeldOpen {
    /// Documents and items.
    pub(super) fn items(&self) -> usize {
        usize::try_from(self.amounts.total()).unwrap_or(usize::MAX)
    }
}

impl<E: Encoding> Lane<E> {
    /// Takes an OTLP request of `kind` with `items` items, 1 and up. Those in protobuf are put together to batches; those in
    /// JSON, and those that are longer than a batch, go in their own.
    pub fn add_requests(&self, kind: Kind, body: &Bytes, items: u64, now: Instant) {
        self.ledger.add_accepted(kind.content(), items);
        let items = usize::try_from(items).unwrap_or(usize::MAX);
        let (closed, bound_bytes) = match self.lock_others() {
            None => (None, self.budget.open_batch_bytes),
            Some(mut others) => {
                let bound_bytes = others.requests.bound_bytes();
                let fits = kind.concatenates() && body.len() <= bound_bytes;
                let closed = fits.then(|| others.requests.push(kind, body, items, now));
                (closed.flatten(), bound_bytes)
            }
        };
        match closed {
            Some(closed) => self.push_all(closed, now),
            None => {
                let alone = requests::batches_of::<E>(kind, body.clone(), items, bound_bytes, now);
                self.push_all(alone, now);
            }
        }
        self.opened.notify_one();
    }

    /// Takes documents that were made of OTLP requests, and that the follower is not given.
    pub fn add_made<'a>(&self, documents: impl Iterator<Item = &'a [u8]>, now: Instant) {
        let mut count = 0;
        let counted = documents.inspect(|_| count += 1);
        let batches: Vec<Batch> = match self.lock_others() {
            None => {
                // Without a follower there is no difference.
                self.add(counted, now);
                Vec::new()
            }
            Some(mut others) => counted
                .filter_map(|document| others.documents.push(document, now).sealed)
                .collect(),
        };
        // Before they can be settled; for an instant, what is open is counted in the lane and not here.
        self.ledger.add_accepted(Content::Segments, count);
        self.push_all(batches, now);
        self.opened.notify_one();
    }

    /// Sealed batches, behind all others.
    pub(super) fn push_all(&self, batches: impl IntoIterator<Item = Batch>, now: Instant) {
        let mut batches = batches.into_iter().peekable();
        if batches.peek().is_none() {
            return;
        }
        let mut evicted = Evicted::default();
        {
            let mut state = self.lock();
            for batch in batches {
                evicted.0.append(&mut state.queue.push(batch).0);
            }
        }
        self.spill(evicted, now);
        self.sealed.notify_one();
    }

    /// What the follower is given of a batch that was sealed; `None` without one.
    pub(super) fn copy_for_follower(&self, batch: &Batch) -> Option<Batch> {
        self.follower.as_ref().map(|_| batch.clone())
    }

    /// Gives the follower its copies. Not under the lock: neither lane's lock is held while another one's is taken.
    pub(super) fn hand_on(&self, batches: impl IntoIterator<Item = Batch>, now: Instant) {
        let Some(follower) = &self.follower else { return };
        let counted = batches.into_iter().inspect(|batch| {
            let (content, count) = batch.amount();
            follower.ledger.add_accepted(content, count);
        });
        follower.push_all(counted, now);
    }
}
