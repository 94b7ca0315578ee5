//! Sealed batches inside a byte budget. What does not fit pushes the oldest out, and the caller is told.

use std::collections::{BTreeMap, VecDeque};
use std::time::Instant;

use bytes::Bytes;

use crate::ledger::amounts::Amounts;
use crate::pipeline::batch::Batch;
use crate::pipeline::batch::encoding::Encoding;
use crate::pipeline::batch::join;
use crate::pipeline::batch::kind::Kind;
use crate::pipeline::batch::origin::Origin;

/// Batches that wait, oldest first, and those that are being sent.
#[derive(Debug)]
pub struct Queue {
    waiting: VecDeque<Batch>,
    waiting_bytes: usize,
    waiting_documents: usize,
    // Kept here and nowhere else: a call has no more than the body and the ticket, so that nothing is lost with a call
    // that is dropped or panics.
    in_flight: BTreeMap<Ticket, Batch>,
    in_flight_bytes: usize,
    in_flight_documents: usize,
    next_ticket: Ticket,
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

/// Names a batch in flight, each time that it flies anew. An end that is told by a ticket which is over changes nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ticket(u64);

/// What a call needs of the batch that it is for. The batch stays in the queue.
#[derive(Debug, Clone)]
pub struct Flight {
    /// Every end of the call goes by it.
    pub ticket: Ticket,
    /// What the body is made of.
    pub kind: Kind,
    /// The body to be sent, shared with the batch.
    pub body: Bytes,
    /// How many documents it carries, 1 and up.
    pub documents: usize,
    /// When its first document came.
    pub opened_at: Instant,
    /// How often it was sent without success.
    pub attempts: u32,
    /// How often its documents came back as unprocessed and were sent again.
    pub redeliveries: u32,
    /// In how many of those the service failed over them, instead of asking for fewer.
    pub faults: u32,
}

/// What [`Queue::take`] has for the sender.
#[derive(Debug)]
pub enum Next {
    /// A batch to be sent now.
    Ready(Flight),
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
            in_flight_documents: 0,
            next_ticket: Ticket(0),
            budget_bytes,
        }
    }

    /// Adds a new batch behind the others.
    pub fn push(&mut self, batch: Batch) -> Evicted {
        self.count_in(&batch);
        self.waiting.push_back(batch);
        self.evict()
    }

    /// The oldest batch that may be sent at `now`; it counts as in flight from here on, until its ticket comes back through
    /// [`Queue::settle`], [`Queue::put_back`] or [`Queue::replace`], or all are abandoned.
    pub fn take(&mut self, now: Instant) -> Next {
        let oldest = self.oldest_ready(now);
        if let Some(batch) = oldest.and_then(|place| self.waiting.remove(place)) {
            self.count_out(&batch);
            return Next::Ready(self.fly(batch));
        }
        let earliest = self.waiting.iter().filter_map(|batch| batch.not_before).min();
        earliest.map_or(Next::Empty, Next::NotBefore)
    }

    /// The place of the oldest batch that may be sent at `now`.
    fn oldest_ready(&self, now: Instant) -> Option<usize> {
        self.waiting.iter().position(|batch| may_go(batch, now))
    }

    /// Makes one batch of the oldest that may be sent at `now` and those right behind it, as far as they are small: what
    /// waits behind others costs one call then. Its body has `max_body_bytes` at the most. Nothing is joined when the first
    /// has `most_documents` already, which is as many as may be sent.
    pub fn join_next<E: Encoding>(
        &mut self,
        now: Instant,
        max_body_bytes: usize,
        most_documents: Option<usize>,
    ) {
        let Some(start) = self.oldest_ready(now) else {
            return;
        };
        if most_documents.is_some_and(|most| self.waiting[start].documents >= most) {
            return;
        }
        let ready = self.waiting.range(start..).take_while(|batch| may_go(batch, now));
        let count = join::joinable::<E>(ready, max_body_bytes);
        if count < 2 {
            return;
        }
        let batches: Vec<Batch> = self.waiting.drain(start..start + count).collect();
        for batch in &batches {
            self.count_out(batch);
        }
        let joined = join::join::<E>(batches).map_or_else(|apart| apart, |joined| vec![joined]);
        for (place, batch) in (start..).zip(joined) {
            self.count_in(&batch);
            self.waiting.insert(place, batch);
        }
    }

    /// Makes two of the oldest batch that may be sent at `now`, if it has more than `most_documents`: so many, and the rest
    /// right behind them.
    pub fn split_next<E: Encoding>(&mut self, now: Instant, most_documents: usize) -> Evicted {
        let Some(place) = self.oldest_ready(now) else {
            return Evicted::default();
        };
        // More than once for requests only, which are halved.
        while let Some(parts) = self.waiting[place].split_at::<E>(most_documents) {
            if let Some(whole) = self.waiting.remove(place) {
                self.count_out(&whole);
            }
            for part in parts.into_iter().rev() {
                self.count_in(&part);
                self.waiting.insert(place, part);
            }
        }
        self.evict()
    }

    fn fly(&mut self, batch: Batch) -> Flight {
        let ticket = self.next_ticket;
        self.next_ticket = Ticket(ticket.0 + 1);
        let flight = Flight {
            ticket,
            kind: batch.kind,
            body: batch.body.clone(),
            documents: batch.documents,
            opened_at: batch.opened_at,
            attempts: batch.attempts,
            redeliveries: batch.redeliveries,
            faults: batch.faults,
        };
        self.in_flight_bytes += batch.cost_bytes();
        self.in_flight_documents += batch.documents;
        self.in_flight.insert(ticket, batch);
        flight
    }

    /// A batch in flight has come to its end: it is given out. `None` when it is not in flight.
    pub fn settle(&mut self, ticket: Ticket) -> Option<Batch> {
        self.land(ticket)
    }

    /// A batch in flight was sent without success and is to be sent again, not before `not_before` (`None`: at once): back
    /// to its place by age.
    pub fn put_back(&mut self, ticket: Ticket, not_before: Option<Instant>) -> Evicted {
        if let Some(mut batch) = self.land(ticket) {
            batch.attempts = batch.attempts.saturating_add(1);
            batch.not_before = not_before;
            self.insert(batch);
        }
        self.evict()
    }

    /// A batch in flight has ended: it is given out, and `parts`, which are parts of its spool file too, are to be sent
    /// in its place. `None` when it is not in flight; then they are not taken.
    #[must_use = "what was pushed out must be counted or kept elsewhere"]
    pub fn replace(
        &mut self,
        ticket: Ticket,
        parts: impl IntoIterator<Item = Batch>,
    ) -> Option<(Batch, Evicted)> {
        let batch = self.land(ticket)?;
        for mut part in parts {
            part.origin = batch.origin.as_ref().map(Origin::part);
            part.joins = false;
            self.insert(part);
        }
        Some((batch, self.evict()))
    }

    /// Adds batches that are in memory anyway and have no other place to go, whatever the budget says: for the end.
    pub fn hold(&mut self, batches: impl IntoIterator<Item = Batch>) {
        for batch in batches {
            self.insert(batch);
        }
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

    /// Whether less than half of the budget is used, `others_bytes` included that are about to come.
    #[must_use]
    pub fn is_half_empty_beside(&self, others_bytes: usize) -> bool {
        self.bytes().saturating_add(others_bytes) < self.budget_bytes / 2
    }

    /// Everything there is, in flight or waiting, oldest first. What becomes of the calls in flight changes nothing any
    /// more.
    #[must_use = "these batches must be counted or kept elsewhere"]
    pub fn abandon(&mut self) -> Vec<Batch> {
        let mut batches: Vec<Batch> = std::mem::take(&mut self.in_flight).into_values().collect();
        batches.extend(std::mem::take(&mut self.waiting));
        batches.sort_by_key(|batch| batch.opened_at);
        (self.waiting_bytes, self.waiting_documents) = (0, 0);
        (self.in_flight_bytes, self.in_flight_documents) = (0, 0);
        batches
    }

    /// The batch, which is in flight no more.
    fn land(&mut self, ticket: Ticket) -> Option<Batch> {
        let batch = self.in_flight.remove(&ticket)?;
        self.in_flight_bytes -= batch.cost_bytes();
        self.in_flight_documents -= batch.documents;
        Some(batch)
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

    /// How many batches there are, waiting or in flight.
    #[must_use]
    pub fn batches(&self) -> usize {
        self.waiting.len() + self.in_flight.len()
    }

    /// When the first document of the oldest waiting batch came.
    #[must_use]
    pub fn oldest(&self) -> Option<Instant> {
        self.waiting.front().map(|batch| batch.opened_at)
    }

    /// What the batches carry that wait or are being sent, counted anew.
    #[must_use]
    pub fn amounts(&self) -> Amounts {
        let all = self.waiting.iter().chain(self.in_flight.values());
        all.map(Batch::amount).collect()
    }

    /// Documents that wait.
    #[must_use]
    pub fn waiting_documents(&self) -> usize {
        self.waiting_documents
    }

    /// Documents that are being sent.
    #[must_use]
    pub fn in_flight_documents(&self) -> usize {
        self.in_flight_documents
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

/// Whether a batch is not held back any more at `now`.
fn may_go(batch: &Batch, now: Instant) -> bool {
    batch.not_before.is_none_or(|at| at <= now)
}

#[cfg(test)]
mod tests;
