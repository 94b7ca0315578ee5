//! Sealed batches inside a byte budget. What does not fit pushes the oldest out, and the caller is told.

use std::collections::VecDeque;
use std::time::Instant;

use crate::batch::Batch;

/// Batches that wait, oldest first, and the account of those that are being sent.
#[derive(Debug)]
pub struct Queue {
    waiting: VecDeque<Batch>,
    waiting_bytes: usize,
    in_flight_bytes: usize,
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
            in_flight_bytes: 0,
            budget_bytes,
        }
    }

    /// Adds a new batch behind the others.
    pub fn push(&mut self, batch: Batch) -> Evicted {
        self.waiting_bytes += batch.cost_bytes();
        self.waiting.push_back(batch);
        self.evict()
    }

    /// The oldest batch that may be sent at `now`; it counts as in flight from here on, and must come back through
    /// [`Queue::settle`] or [`Queue::put_back`].
    pub fn take(&mut self, now: Instant) -> Next {
        let mut earliest: Option<Instant> = None;
        for index in 0..self.waiting.len() {
            match self.waiting[index].not_before {
                Some(at) if at > now => earliest = Some(earliest.map_or(at, |other| other.min(at))),
                _ => {
                    let Some(batch) = self.waiting.remove(index) else {
                        break;
                    };
                    self.waiting_bytes -= batch.cost_bytes();
                    self.in_flight_bytes += batch.cost_bytes();
                    return Next::Ready(batch);
                }
            }
        }
        earliest.map_or(Next::Empty, Next::NotBefore)
    }

    /// A batch in flight has come to its end.
    pub fn settle(&mut self, batch: &Batch) {
        self.in_flight_bytes -= batch.cost_bytes();
    }

    /// A batch in flight is to be sent again: back to its place by age.
    pub fn put_back(&mut self, batch: Batch) -> Evicted {
        self.in_flight_bytes -= batch.cost_bytes();
        self.insert(batch);
        self.evict()
    }

    /// A batch in flight has ended, and these are to be sent in its place.
    pub fn replace(&mut self, batch: &Batch, parts: impl IntoIterator<Item = Batch>) -> Evicted {
        self.in_flight_bytes -= batch.cost_bytes();
        for part in parts {
            self.insert(part);
        }
        self.evict()
    }

    fn insert(&mut self, batch: Batch) {
        self.waiting_bytes += batch.cost_bytes();
        let place = self
            .waiting
            .partition_point(|other| other.opened_at <= batch.opened_at);
        self.waiting.insert(place, batch);
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
        self.waiting.iter().map(|batch| batch.documents).sum()
    }

    /// Bytes of all batches that wait or are in flight.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.waiting_bytes + self.in_flight_bytes
    }

    fn evict(&mut self) -> Evicted {
        let mut evicted = Evicted::default();
        while self.bytes() > self.budget_bytes {
            let Some(batch) = self.waiting.pop_front() else {
                break;
            };
            self.waiting_bytes -= batch.cost_bytes();
            evicted.0.push(batch);
        }
        evicted
    }
}

#[cfg(test)]
mod tests;
