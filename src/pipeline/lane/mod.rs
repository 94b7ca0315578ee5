//! One destination's lane, where documents come in and batches go out: the open batch and the queue under one short lock,
//! a share of the budget, and a spool if there is one. Lanes know nothing of each other.
//!
//! The receiver adds, the sender takes; neither holds the lock over I/O. What the budget pushes out goes to the spool;
//! without one it is counted here, and said in the log at most once a second.

pub mod depth;
mod incoming;
mod others;
mod spill;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::Notify;

use self::others::{HeldOpen, Others};
use crate::ledger::Ledger;
use crate::ledger::amounts::Amounts;
use crate::ledger::destination::Destination;
use crate::ledger::signal::Content;
use crate::logs::Tally;
use crate::pipeline::batch::encoding::Encoding;
use crate::pipeline::batch::{Batch, OpenBatch};
use crate::pipeline::budget::Budget;
use crate::pipeline::queue::{Next, Queue, Ticket};
use crate::pipeline::spool::{Spool, TakesBack};

/// The meeting point of receiver and sender, for bodies of `E`.
#[derive(Debug)]
pub struct Lane<E> {
    // A std mutex: it is held for microseconds and never across an await.
    state: Mutex<State<E>>,
    sealed: Notify,
    /// A batch was opened by somebody else than the receiver, whose timer seals it.
    opened: Notify,
    /// When the receiver looked last there was something to wait for. What is opened later is due later, so that it need not be
    /// told: its timer comes first, and it looks again.
    receiver_waits: AtomicBool,
    budget: Budget,
    ledger: Arc<Ledger>,
    spool: Option<Spool<E>>,
    destination: Destination,
    /// `None` in a lane that takes nothing but segments.
    others: Option<Mutex<Others<E>>>,
    /// The lane that each sealed batch of segments goes into as well.
    follower: Option<Arc<Self>>,
}

#[derive(Debug)]
struct State<E> {
    open: OpenBatch<E>,
    queue: Queue,
    spilled: Tally,
    abandoned: bool,
}

impl<E: Encoding> TakesBack for Lane<E> {
    fn take_back(&self, batch: Batch) -> bool {
        let taken = {
            let mut state = self.lock();
            !state.abandoned && state.queue.take_back(batch)
        };
        if taken {
            self.sealed.notify_one();
        }
        taken
    }

    fn wake(&self) {
        self.sealed.notify_one();
    }
}

/// What a lane holds.
#[cfg(test)]
pub(crate) struct Held {
    pub(crate) documents: usize,
    pub(crate) sealed_bytes: usize,
}

impl<E: Encoding> Lane<E> {
    /// An empty lane that keeps within `budget` and counts in `ledger`.
    #[must_use]
    pub fn new(budget: Budget, ledger: Arc<Ledger>) -> Self {
        Self::with_spool(budget, ledger, None)
    }

    /// As [`Lane::new`]; what has no room goes to `spool`.
    #[must_use]
    pub fn with_spool(budget: Budget, ledger: Arc<Ledger>, spool: Option<Spool<E>>) -> Self {
        Self {
            state: Mutex::new(State {
                open: OpenBatch::new(budget.open_batch_bytes),
                queue: Queue::new(budget.sealed_bytes),
                spilled: Tally::default(),
                abandoned: false,
            }),
            sealed: Notify::new(),
            opened: Notify::new(),
            receiver_waits: AtomicBool::new(false),
            budget,
            ledger,
            spool,
            destination: Destination::XRay,
            others: None,
            follower: None,
        }
    }

    /// The same, for `destination`.
    #[must_use]
    pub fn to(self, destination: Destination) -> Self {
        Self { destination, ..self }
    }

    /// The same, which takes OTLP requests too, and documents that were made of them.
    #[must_use]
    pub fn with_others(self) -> Self {
        let others = Others::new(self.budget.open_batch_bytes);
        Self {
            others: Some(Mutex::new(others)),
            ..self
        }
    }

    /// The same, whose batches of segments go into `follower` too, as they are: their memory is there once. It has its own
    /// budget and account, and this lane never waits for it.
    #[must_use]
    pub fn followed_by(self, follower: Arc<Self>) -> Self {
        Self {
            follower: Some(follower),
            ..self
        }
    }

    /// That something was added that its timer is for. It is another thread, and waking it costs more than a document.
    fn tell_receiver(&self) {
        if !self.receiver_waits.load(Ordering::Acquire) {
            self.opened.notify_one();
        }
    }

    /// Where its batches go.
    #[must_use]
    pub fn destination(&self) -> Destination {
        self.destination
    }

    /// What it and whoever sends for it count in.
    #[must_use]
    pub fn ledger(&self) -> &Arc<Ledger> {
        &self.ledger
    }

    /// The spool, if there is one.
    #[must_use]
    pub fn spool(&self) -> Option<&Spool<E>> {
        self.spool.as_ref()
    }

    /// The next batch for the sender.
    pub fn take(&self, now: Instant) -> Next {
        self.take_at_most(now, None)
    }

    /// The same with no more than `most_documents`, if there is such a bound; the rest of a larger one waits in its place.
    pub fn take_at_most(&self, now: Instant, most_documents: Option<usize>) -> Next {
        let (next, evicted) = {
            let mut state = self.lock();
            let max_body_bytes = state.open.bound_bytes();
            state.queue.join_next::<E>(now, max_body_bytes, most_documents);
            let evicted = most_documents.map(|most| state.queue.split_next::<E>(now, most));
            (state.queue.take(now), evicted)
        };
        self.spill(evicted.unwrap_or_default(), now);
        next
    }

    /// A batch that was taken has come to its end. False when that is not news: it was abandoned meanwhile, and what
    /// became of its documents is counted elsewhere.
    pub fn settle(&self, ticket: Ticket) -> bool {
        let landed = self.lock().queue.settle(ticket);
        if let Some(batch) = &landed {
            self.ended(batch);
        }
        landed.is_some()
    }

    /// A batch that was taken was sent without success and is to be sent again, not before `not_before` (`None`: at once).
    pub fn put_back(&self, ticket: Ticket, not_before: Option<Instant>, now: Instant) {
        let evicted = self.lock().queue.put_back(ticket, not_before);
        self.spill(evicted, now);
    }

    /// A batch that was taken has ended, and these are to be sent in its place. False as in [`Lane::settle`].
    pub fn replace(&self, ticket: Ticket, parts: impl IntoIterator<Item = Batch>, now: Instant) -> bool {
        let landed = self.lock().queue.replace(ticket, parts);
        let Some((batch, evicted)) = landed else {
            return false;
        };
        // After its parts are there: the file that they came from must not go yet.
        self.ended(&batch);
        self.spill(evicted, now);
        true
    }

    /// Whether there is room for a batch from the spool beside what comes in, and beside `others` that are being read.
    #[must_use]
    pub fn has_room_beside(&self, others: usize) -> bool {
        let others_bytes = others.saturating_mul(self.budget.open_batch_bytes);
        self.lock().queue.is_half_empty_beside(others_bytes)
    }

    /// How long it takes to give the spool everything that is here, by what its disk has shown; nothing without one.
    #[must_use]
    pub fn time_to_keep(&self) -> Duration {
        let Some(spool) = &self.spool else {
            return Duration::ZERO;
        };
        let others = self.held_in_others();
        let (batches, documents, bytes) = {
            let state = self.lock();
            let (queue, open) = (&state.queue, &state.open);
            (
                queue.batches() + 1 + others.batches,
                open.documents() + queue.waiting_documents() + queue.in_flight_documents() + others.items(),
                open.bytes() + queue.bytes() + others.bytes,
            )
        };
        spool.time_to_keep(batches, documents, bytes)
    }

    /// Documents that are here and not settled: in the open batch, in sealed ones that wait, in flight, on their way to the
    /// spool. Counted, not inferred: at any quiet moment it is what the ledger's counts leave. (For an instant, a batch that
    /// the budget has just pushed out is in neither place.)
    #[must_use]
    pub fn pending_documents(&self) -> u64 {
        let others = self.held_in_others().items();
        let state = self.lock();
        let held =
            state.open.documents() + state.queue.waiting_documents() + state.queue.in_flight_documents();
        let on_the_way = self.spool().map_or(0, Spool::pending_documents);
        (held + others + on_the_way) as u64
    }

    /// The same by what they are: documents, and items of requests. Looks at every batch.
    #[must_use]
    pub fn pending_amounts(&self) -> Amounts {
        let open = self.held_in_others().amounts;
        let state = self.lock();
        let mut pending = state.queue.amounts().plus(open);
        pending.add(Content::Segments, state.open.documents() as u64);
        pending.plus(self.spool().map_or_else(Amounts::default, Spool::pending_amounts))
    }

    /// Gives the spool everything that is still here, for the end; how many documents it has taken. What it can't take
    /// stays, and so does all without a spool. Nothing comes back from it any more.
    pub fn keep_in_spool(&self) -> usize {
        let Some(spool) = &self.spool else { return 0 };
        let left = self.abandon();
        let count = |batches: &[Batch]| batches.iter().map(|batch| batch.documents).sum::<usize>();
        let given = count(&left);
        let refused = spool.keep_at_end(left);
        let kept = given - count(&refused);
        self.lock().queue.hold(refused);
        kept
    }

    /// Everything that waits or is being sent, for the end: whoever sends it must have been stopped. Late answers to
    /// calls change nothing any more.
    #[must_use = "these batches must be counted or kept elsewhere"]
    pub fn abandon(&self) -> Vec<Batch> {
        let others = self.lock_others().map(|mut others| others.seal());
        let mut state = self.lock();
        state.abandoned = true;
        let mut batches = state.queue.abandon();
        batches.extend(state.open.seal());
        batches.extend(others.unwrap_or_default());
        batches
    }

    /// What is in memory here, counted anew.
    #[cfg(test)]
    pub(crate) fn held(&self) -> Held {
        let state = self.lock();
        Held {
            documents: state.open.documents() + state.queue.documents(),
            sealed_bytes: state.queue.bytes(),
        }
    }

    /// Keeps the bodies of batches to come within `max_bytes`, as far as single documents let it; `None`: within the budget's
    /// bound only. Those that are sealed stay as they are.
    pub fn bound_bodies(&self, max_bytes: Option<usize>) {
        if let Some(mut others) = self.lock_others() {
            others.bound(max_bytes);
        }
        self.lock().open.bound(max_bytes);
    }

    /// Lets every batch that is held back go at once.
    pub fn release(&self) {
        self.lock().queue.release();
    }

    /// Sealed batches, waiting or in flight.
    #[must_use]
    pub fn batches(&self) -> usize {
        self.lock().queue.batches()
    }

    /// Documents that wait in sealed batches.
    #[must_use]
    pub fn waiting_documents(&self) -> usize {
        self.lock().queue.waiting_documents()
    }

    /// When the oldest document that waits came; those in flight are not looked at.
    #[must_use]
    pub fn oldest(&self) -> Option<Instant> {
        let others = self.lock_others().and_then(|others| others.opened_at());
        let state = self.lock();
        [others, state.open.opened_at(), state.queue.oldest()]
            .into_iter()
            .flatten()
            .min()
    }

    /// Returns once a batch was sealed since the last time.
    pub async fn sealed(&self) {
        self.sealed.notified().await;
    }

    fn ended(&self, batch: &Batch) {
        if let Some(spool) = &self.spool {
            spool.ended(batch);
        }
    }

    /// `None` in a lane that takes nothing but segments.
    fn lock_others(&self) -> Option<MutexGuard<'_, Others<E>>> {
        let others = self.others.as_ref()?;
        Some(others.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn held_in_others(&self) -> HeldOpen {
        self.lock_others()
            .map_or_else(HeldOpen::default, |others| others.held())
    }

    fn lock(&self) -> MutexGuard<'_, State<E>> {
        // No code panics under this lock in a way that leaves the state torn; going on beats taking every task down.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests;
