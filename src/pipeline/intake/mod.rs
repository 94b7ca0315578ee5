//! Where documents come in and batches go out: the open batch and the queue under one short lock.
//!
//! The receiver adds, the sender takes; neither holds the lock over I/O. What the budget pushes out goes to the spool;
//! without one it is counted here, and said in the log at most once a second.

pub mod depth;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use tokio::sync::Notify;

use crate::ledger::{DropReason, Ledger};
use crate::logs::Tally;
use crate::pipeline::batch::origin::Origin;
use crate::pipeline::batch::{Batch, OpenBatch};
use crate::pipeline::budget::Budget;
use crate::pipeline::queue::{Evicted, Next, Queue};
use crate::pipeline::spool::{Spool, TakesBack};

/// The largest document that the receiver adds under the lock: what a datagram can carry.
const DATAGRAM_MAX_BYTES: usize = 1 << 16;

/// The meeting point of receiver and sender.
#[derive(Debug)]
pub struct Intake {
    // A std mutex: it is held for microseconds and never across an await.
    state: Mutex<State>,
    sealed: Notify,
    /// A batch was opened by somebody else than the receiver, whose timer seals it.
    opened: Notify,
    budget: Budget,
    ledger: Arc<Ledger>,
    spool: Option<Spool>,
}

#[derive(Debug)]
struct State {
    open: OpenBatch,
    queue: Queue,
    spilled: Tally,
    abandoned: bool,
}

impl TakesBack for Intake {
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

#[cfg(test)]
pub(crate) struct Held {
    pub(crate) documents: usize,
    pub(crate) sealed_bytes: usize,
}

impl Intake {
    /// An empty intake that keeps within `budget` and counts in `ledger`.
    #[must_use]
    pub fn new(budget: Budget, ledger: Arc<Ledger>) -> Self {
        Self::with_spool(budget, ledger, None)
    }

    /// As [`Intake::new`]; what has no room goes to `spool`.
    #[must_use]
    pub fn with_spool(budget: Budget, ledger: Arc<Ledger>, spool: Option<Spool>) -> Self {
        Self {
            state: Mutex::new(State {
                open: OpenBatch::new(budget.open_batch_bytes),
                queue: Queue::new(budget.sealed_bytes),
                spilled: Tally::default(),
                abandoned: false,
            }),
            sealed: Notify::new(),
            opened: Notify::new(),
            budget,
            ledger,
            spool,
        }
    }

    /// The spool, if there is one.
    #[must_use]
    pub fn spool(&self) -> Option<&Spool> {
        self.spool.as_ref()
    }

    /// Adds what one receive brought; the lock is taken once for all of it.
    pub fn add<'a>(&self, documents: impl Iterator<Item = &'a [u8]>, now: Instant) {
        let mut sealed = false;
        let mut evicted = Evicted::default();
        let mut replaced = 0;
        {
            let mut state = self.lock();
            for document in documents {
                let pushed = state.open.push(document, now);
                replaced += u64::from(pushed.replaced_utf8);
                if let Some(batch) = pushed.sealed {
                    evicted.0.append(&mut state.queue.push(batch).0);
                    sealed = true;
                }
            }
        }
        self.ledger.add_replaced_utf8(replaced);
        self.spill(evicted, now);
        if sealed {
            self.sealed.notify_one();
        }
    }

    /// As [`Intake::add`] for one document that did not come through the receiver.
    ///
    /// One that is larger than a datagram goes in a batch of its own, which is made before the lock is taken: the
    /// receiver must not wait while it is escaped.
    pub fn add_from_elsewhere(&self, document: &[u8], now: Instant) {
        if document.len() <= DATAGRAM_MAX_BYTES {
            self.add(std::iter::once(document), now);
        } else if let Some(batch) = OpenBatch::of_one(document, now) {
            let evicted = {
                let mut state = self.lock();
                // What is in the open batch came before.
                let mut evicted = match state.open.seal() {
                    Some(older) => state.queue.push(older),
                    None => Evicted::default(),
                };
                evicted.0.append(&mut state.queue.push(batch).0);
                evicted
            };
            self.spill(evicted, now);
            self.sealed.notify_one();
        }
        self.opened.notify_one();
    }

    /// Returns when the receiver should look at [`Intake::next_tick`] again.
    pub async fn opened(&self) {
        self.opened.notified().await;
    }

    /// When [`Intake::tick`] has something to do; `None` while no batch is open and nothing is left to be said.
    #[must_use]
    pub fn next_tick(&self) -> Option<Instant> {
        let state = self.lock();
        [state.open.deadline(), state.spilled.due()]
            .into_iter()
            .flatten()
            .min()
    }

    /// Seals the open batch if it is old enough, and says what is left to be said.
    pub fn tick(&self, now: Instant) {
        let (sealed, evicted, said) = {
            let mut state = self.lock();
            let batch = state.open.seal_if_due(now);
            let sealed = batch.is_some();
            let evicted = batch.map_or_else(Evicted::default, |batch| state.queue.push(batch));
            (sealed, evicted, state.spilled.add(0, now))
        };
        self.spill(evicted, now);
        self.say_spilled(said);
        if sealed {
            self.sealed.notify_one();
        }
    }

    /// Seals the open batch whatever its age, for the end: nothing more is added.
    pub fn seal(&self, now: Instant) {
        let evicted = {
            let mut state = self.lock();
            let batch = state.open.seal();
            batch.map_or_else(Evicted::default, |batch| state.queue.push(batch))
        };
        self.spill(evicted, now);
        let said = self.lock().spilled.flush(0, now);
        self.say_spilled(said);
        self.sealed.notify_one();
    }

    /// The next batch for the sender.
    pub fn take(&self, now: Instant) -> Next {
        self.lock().queue.take(now)
    }

    /// A batch that was taken has come to its end.
    pub fn settle(&self, batch: &Batch) {
        {
            let mut state = self.lock();
            if state.abandoned {
                return;
            }
            state.queue.settle(batch);
        }
        self.ended(batch);
    }

    /// A batch that was taken is to be sent again.
    pub fn put_back(&self, batch: Batch, now: Instant) {
        let evicted = self.lock().queue.put_back(batch);
        self.spill(evicted, now);
    }

    /// A batch that was taken has ended, and these are to be sent in its place.
    pub fn replace(&self, batch: &Batch, parts: impl IntoIterator<Item = Batch>, now: Instant) {
        let parts = parts.into_iter().map(|mut part| {
            part.origin = batch.origin.as_ref().map(Origin::part);
            part
        });
        let evicted = {
            let mut state = self.lock();
            if state.abandoned {
                return;
            }
            state.queue.replace(batch, parts)
        };
        // After its parts are there: the file that they came from must not go yet.
        self.ended(batch);
        self.spill(evicted, now);
    }

    /// Whether there is room for batches from the spool beside what comes in.
    #[must_use]
    pub fn has_room(&self) -> bool {
        self.lock().queue.is_half_empty()
    }

    /// Bytes of the batches that wait or are in flight.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.lock().queue.bytes()
    }

    /// Everything that waits or is being sent, for the end: whoever sends it must have been stopped. Late answers to
    /// calls change nothing any more.
    #[must_use = "these batches must be counted or kept elsewhere"]
    pub fn abandon(&self) -> Vec<Batch> {
        let mut state = self.lock();
        state.abandoned = true;
        let mut batches = state.queue.abandon();
        batches.extend(state.open.seal());
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

    /// Lets every batch that is held back go at once.
    pub fn release(&self) {
        self.lock().queue.release();
    }

    /// Documents that wait in sealed batches.
    #[must_use]
    pub fn waiting_documents(&self) -> usize {
        self.lock().queue.waiting_documents()
    }

    /// When the oldest document that waits came; those in flight are not looked at.
    #[must_use]
    pub fn oldest(&self) -> Option<Instant> {
        let state = self.lock();
        [state.open.opened_at(), state.queue.oldest()]
            .into_iter()
            .flatten()
            .min()
    }

    /// Returns once a batch was sealed since the last time.
    pub async fn sealed(&self) {
        self.sealed.notified().await;
    }

    /// What the budget pushed out: to the spool, or lost.
    fn spill(&self, evicted: Evicted, now: Instant) {
        if evicted.0.is_empty() {
            return;
        }
        let Some(spool) = &self.spool else {
            self.lose(evicted.documents(), DropReason::BufferFull, now);
            return;
        };
        for batch in evicted.0 {
            if let Some(batch) = spool.keep(batch) {
                self.lose(batch.documents, DropReason::SpoolSlow, now);
                spool.ended(&batch);
            }
        }
    }

    fn lose(&self, documents: usize, reason: DropReason, now: Instant) {
        self.ledger.add_dropped(reason, documents as u64);
        let said = self.lock().spilled.add(documents, now);
        self.say_spilled(said);
    }

    fn say_spilled(&self, said: Option<u64>) {
        let Some(segments) = said else { return };
        match &self.spool {
            None => tracing::warn!(
                segments,
                "Spilling over {segments} segments: the buffer memory limit is reached, the oldest are dropped; \
                 -m raises it"
            ),
            Some(_) => tracing::warn!(
                segments,
                "Spilling over {segments} segments: the buffer memory limit is reached and the spool's disk does not \
                 keep up, the oldest are dropped; -m raises the limit"
            ),
        }
    }

    fn ended(&self, batch: &Batch) {
        if let Some(spool) = &self.spool {
            spool.ended(batch);
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // No code panics under this lock in a way that leaves the state torn; going on beats taking every task down.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::logs::testing::LogLines;
    use crate::pipeline::batch::MAX_AGE;

    fn intake() -> Intake {
        Intake::new(Budget::of_mb(3), Arc::default())
    }

    fn add(intake: &Intake, document: &[u8], now: Instant) {
        intake.add(std::iter::once(document), now);
    }

    /// Whether `future` is done the first time it is asked.
    async fn is_ready(future: impl Future<Output = ()>) -> bool {
        tokio::select! {
            biased;
            () = future => true,
            () = std::future::ready(()) => false,
        }
    }

    #[test]
    fn documents_with_replaced_bytes_are_counted_over_a_whole_receive() {
        let intake = intake();
        let documents = [&b"\xff"[..], b"x", b"\xfe"];
        intake.add(documents.into_iter(), Instant::now());
        assert_eq!(intake.ledger.snapshot().replaced_utf8, 2);
    }

    #[test]
    fn a_document_that_is_larger_than_a_datagram_goes_in_a_batch_of_its_own() {
        for (bytes, batches) in [(DATAGRAM_MAX_BYTES, 1), (DATAGRAM_MAX_BYTES + 1, 2)] {
            let (intake, now) = (intake(), Instant::now());
            add(&intake, b"small", now);
            intake.add_from_elsewhere(&vec![b'x'; bytes], now);
            assert_eq!(intake.waiting_documents(), batches - 1, "{bytes}");
            intake.seal(now);
            let taken = std::iter::from_fn(|| match intake.take(now) {
                Next::Ready(batch) => Some(batch.documents),
                _ => None,
            });
            assert_eq!(taken.count(), batches, "{bytes}");
        }
    }

    #[tokio::test]
    async fn the_receiver_is_told_of_a_batch_that_it_did_not_open() {
        let (intake, now) = (intake(), Instant::now());
        add(&intake, b"x", now);
        assert!(!is_ready(intake.opened()).await);
        intake.add_from_elsewhere(b"x", now);
        assert!(is_ready(intake.opened()).await);
        assert!(!is_ready(intake.opened()).await);
    }

    #[tokio::test]
    async fn the_sender_is_told_of_every_sealed_batch_and_of_nothing_else() {
        let (intake, now) = (intake(), Instant::now());
        add(&intake, b"x", now);
        intake.tick(now);
        assert!(!is_ready(intake.sealed()).await, "it is still open");
        intake.tick(now + MAX_AGE);
        assert!(is_ready(intake.sealed()).await, "by its age");
        intake.add([&b"x"[..]; 50].into_iter(), now);
        assert!(is_ready(intake.sealed()).await, "by its documents");
        intake.add_from_elsewhere(&[b'x'; DATAGRAM_MAX_BYTES + 1], now);
        assert!(is_ready(intake.sealed()).await, "by its length");
        assert!(intake.take_back(Batch::of_body(Vec::new(), 1, now)));
        assert!(is_ready(intake.sealed()).await, "from the spool");
        intake.wake();
        assert!(is_ready(intake.sealed()).await, "woken");
        add(&intake, b"x", now);
        assert!(!is_ready(intake.sealed()).await);
    }

    #[test]
    fn the_next_tick_is_when_the_open_batch_must_go_or_a_line_may_be_said() {
        let (intake, now) = (intake(), Instant::now());
        assert_eq!(intake.next_tick(), None);
        add(&intake, b"x", now);
        assert_eq!(intake.next_tick(), Some(now + MAX_AGE));
        intake.tick(now + MAX_AGE);
        assert_eq!(intake.next_tick(), None);
        // The first is said at once, the second has to wait.
        intake.lose(1, DropReason::BufferFull, now);
        assert_eq!(intake.next_tick(), None);
        intake.lose(1, DropReason::BufferFull, now);
        let due = now + Duration::from_secs(1);
        assert_eq!(intake.next_tick(), Some(due));
        intake.tick(due);
        assert_eq!(intake.next_tick(), None);
    }

    #[test]
    fn the_oldest_document_is_the_oldest_of_those_that_wait_sealed_or_not() {
        let (intake, now) = (intake(), Instant::now());
        assert_eq!((intake.oldest(), intake.bytes()), (None, 0));
        let second = now + Duration::from_secs(1);
        add(&intake, b"x", now);
        assert_eq!(
            (intake.oldest(), intake.bytes()),
            (Some(now), 0),
            "only what is sealed is counted"
        );
        intake.seal(now);
        add(&intake, b"x", second);
        assert_eq!(intake.oldest(), Some(now));
        let Next::Ready(batch) = intake.take(now) else {
            panic!("it was sealed");
        };
        assert_eq!(
            (intake.oldest(), intake.bytes()),
            (Some(second), batch.cost_bytes())
        );
    }

    #[test]
    fn what_was_pushed_out_is_said_once_a_second_and_at_the_end() {
        let log = LogLines::collect();
        let (intake, now) = (intake(), Instant::now());
        for documents in [1, 20, 300] {
            intake.lose(documents, DropReason::BufferFull, now);
        }
        intake.tick(now + Duration::from_millis(999));
        let spilled = |segments: usize| {
            format!(
                "[Warn] Spilling over {segments} segments: the buffer memory limit is reached, the oldest are dropped; \
                 -m raises it"
            )
        };
        assert_eq!(log.take(), [spilled(1)]);
        intake.tick(now + Duration::from_secs(1));
        assert_eq!(log.take(), [spilled(320)]);
        intake.lose(4000, DropReason::BufferFull, now + Duration::from_secs(1));
        intake.seal(now + Duration::from_secs(1));
        assert_eq!(log.take(), [spilled(4000)]);
        assert_eq!(intake.ledger.snapshot().dropped(DropReason::BufferFull), 4321);
    }

    #[test]
    fn once_abandoned_nothing_comes_in_and_nothing_more_ends() {
        let (intake, now) = (intake(), Instant::now());
        add(&intake, b"x", now);
        intake.seal(now);
        let Next::Ready(in_flight) = intake.take(now) else {
            panic!("it was sealed");
        };
        add(&intake, b"y", now);
        assert_eq!(intake.abandon().len(), 2, "in flight and open");
        intake.settle(&in_flight);
        intake.replace(&in_flight, [in_flight.clone()], now);
        assert!(!intake.take_back(in_flight));
        assert_eq!((intake.held().documents, intake.bytes()), (0, 0));
    }
}
