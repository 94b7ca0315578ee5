//! Sealed batches inside a byte budget. What does not fit pushes the oldest out, and the caller is told.

use std::collections::{BTreeMap, VecDeque};
use std::time::Instant;

use crate::pipeline::batch::Batch;

/// Batches that wait, oldest first, and the account of those that are being sent.
#[derive(Debug)]
pub struct Queue {
    waiting: VecDeque<Batch>,
    waiting_bytes: usize,
    waiting_documents: usize,
    // By ticket. Kept here and not only in the calls, so that nothing is lost with a call that is abandoned; the body is
    // shared, not copied.
    in_flight: BTreeMap<u64, Batch>,
    in_flight_bytes: usize,
    next_ticket: u64,
    budget_bytes: usize,
}

/// What pushed out: the oldest batches, in order.
#[derive(Debug, Default)]
#[must_use = "evicted batches must be counted or kept elsewhere"]
pub struct Evicted(pub Vec<Batch>);

impl Evicted {
    /// How many documents they carry.
    #[must_use]
    pub fn documents(&self) -> usize {
        self.0.iter().map(|batch| batch.documents).sum()
    }
}

/// What [`Queue::take`] has for the sender.
#[derive(Debug)]
pub enum Next {
    /// A batch to be sent now.
    Ready(Batch),
    /// All that waits is being held back; the first may go then.
    NotBefore(Instant),
    /// Nothing waits.
    Empty,
}

impl Queue {
    /// An empty queue; waiting and in flight together stay within `budget_bytes`, as far as what is in flight lets it.
    #[must_use]
    pub fn new(budget_bytes: usize) -> Self {
        Self {
            waiting: VecDeque::new(),
            waiting_bytes: 0,
            waiting_documents: 0,
            in_flight: BTreeMap::new(),
            in_flight_bytes: 0,
            next_ticket: 0,
            budget_bytes,
        }
    }

    /// Adds a new batch behind the others.
    pub fn push(&mut self, batch: Batch) -> Evicted {
        self.count_in(&batch);
        self.waiting.push_back(batch);
        self.evict()
    }

    /// The oldest batch that may be sent at `now`; it counts as in flight from here on, and must come back through
    /// [`Queue::settle`], [`Queue::put_back`] or [`Queue::replace`].
    pub fn take(&mut self, now: Instant) -> Next {
        let mut earliest: Option<Instant> = None;
        for index in 0..self.waiting.len() {
            match self.waiting[index].not_before {
                Some(at) if at > now => earliest = Some(earliest.map_or(at, |other| other.min(at))),
                _ => {
                    let Some(mut batch) = self.waiting.remove(index) else {
                        break;
                    };
                    self.count_out(&batch);
                    batch.ticket = self.next_ticket;
                    self.next_ticket += 1;
                    self.in_flight_bytes += batch.cost_bytes();
                    self.in_flight.insert(batch.ticket, batch.clone());
                    return Next::Ready(batch);
                }
            }
        }
        earliest.map_or(Next::Empty, Next::NotBefore)
    }

    /// A batch in flight has come to its end.
    pub fn settle(&mut self, batch: &Batch) {
        self.land(batch);
    }

    /// A batch in flight is to be sent again: back to its place by age.
    pub fn put_back(&mut self, batch: Batch) -> Evicted {
        if self.land(&batch) {
            self.insert(batch);
        }
        self.evict()
    }

    /// A batch in flight has ended, and these are to be sent in its place.
    pub fn replace(&mut self, batch: &Batch, parts: impl IntoIterator<Item = Batch>) -> Evicted {
        if self.land(batch) {
            for part in parts {
                self.insert(part);
            }
        }
        self.evict()
    }

    /// Adds a batch from the spool at its place by age, if there is room for it without pushing anything out; false when
    /// there is none.
    pub fn take_back(&mut self, batch: Batch) -> bool {
        // One that is larger than the whole budget must have its chance too.
        let fits = self.bytes() == 0 || self.bytes() + batch.cost_bytes() <= self.budget_bytes;
        if fits {
            self.insert(batch);
        }
        fits
    }

    /// Whether less than half of the budget is used.
    #[must_use]
    pub fn is_half_empty(&self) -> bool {
        self.bytes() < self.budget_bytes / 2
    }

    /// Everything there is, in flight or waiting, oldest first. What becomes of the calls in flight changes nothing any
    /// more.
    #[must_use = "these batches must be counted or kept elsewhere"]
    pub fn abandon(&mut self) -> Vec<Batch> {
        let mut batches: Vec<Batch> = std::mem::take(&mut self.in_flight).into_values().collect();
        batches.extend(std::mem::take(&mut self.waiting));
        batches.sort_by_key(|batch| batch.opened_at);
        (self.waiting_bytes, self.waiting_documents, self.in_flight_bytes) = (0, 0, 0);
        batches
    }

    /// True when the batch was in flight; it is not any more.
    fn land(&mut self, batch: &Batch) -> bool {
        let landed = self.in_flight.remove(&batch.ticket);
        self.in_flight_bytes -= landed.as_ref().map_or(0, Batch::cost_bytes);
        landed.is_some()
    }

    fn insert(&mut self, batch: Batch) {
        self.count_in(&batch);
        let place = self
            .waiting
            .partition_point(|other| other.opened_at <= batch.opened_at);
        self.waiting.insert(place, batch);
    }

    fn count_in(&mut self, batch: &Batch) {
        self.waiting_bytes += batch.cost_bytes();
        self.waiting_documents += batch.documents;
    }

    fn count_out(&mut self, batch: &Batch) {
        self.waiting_bytes -= batch.cost_bytes();
        self.waiting_documents -= batch.documents;
    }

    /// Lets every batch that is held back go at once, as if it had never failed.
    pub fn release(&mut self) {
        for batch in &mut self.waiting {
            batch.not_before = None;
            batch.attempts = 0;
        }
    }

    /// When the first document of the oldest waiting batch came.
    #[must_use]
    pub fn oldest(&self) -> Option<Instant> {
        self.waiting.front().map(|batch| batch.opened_at)
    }

    /// Documents that wait.
    #[must_use]
    pub fn waiting_documents(&self) -> usize {
        self.waiting_documents
    }

    /// Documents that are being sent.
    #[must_use]
    pub fn in_flight_documents(&self) -> usize {
        self.in_flight.values().map(|batch| batch.documents).sum()
    }

    /// Bytes of the batches that wait.
    #[must_use]
    pub fn waiting_bytes(&self) -> usize {
        self.waiting_bytes
    }

    /// Bytes of the batches that are being sent.
    #[must_use]
    pub fn in_flight_bytes(&self) -> usize {
        self.in_flight_bytes
    }

    /// Bytes of all batches that wait or are in flight.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.waiting_bytes + self.in_flight_bytes
    }

    /// Documents that wait or are in flight, counted anew.
    #[cfg(test)]
    pub(crate) fn documents(&self) -> usize {
        self.waiting
            .iter()
            .chain(self.in_flight.values())
            .map(|batch| batch.documents)
            .sum()
    }

    fn evict(&mut self) -> Evicted {
        let mut evicted = Evicted::default();
        while self.bytes() > self.budget_bytes {
            let Some(batch) = self.waiting.pop_front() else {
                break;
            };
            self.count_out(&batch);
            evicted.0.push(batch);
        }
        evicted
    }
}

#[cfg(test)]
mod tests;
