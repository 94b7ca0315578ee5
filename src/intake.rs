//! Where documents come in and batches go out: the open batch and the queue under one short lock.
//!
//! The receiver adds, the sender takes; neither holds the lock over I/O. What the budget pushes out is counted here,
//! and said in the log at most once a second.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use tokio::sync::Notify;

use crate::batch::{Batch, OpenBatch};
use crate::budget::Budget;
use crate::ledger::{DropReason, Ledger};
use crate::logs::Tally;
use crate::queue::{Evicted, Next, Queue};

/// The meeting point of receiver and sender.
#[derive(Debug)]
pub struct Intake {
    // A std mutex: it is held for microseconds and never across an await.
    state: Mutex<State>,
    sealed: Notify,
    ledger: Arc<Ledger>,
}

#[derive(Debug)]
struct State {
    open: OpenBatch,
    queue: Queue,
    spilled: Tally,
}

impl Intake {
    /// An empty intake that keeps within `budget` and counts in `ledger`.
    #[must_use]
    pub fn new(budget: Budget, ledger: Arc<Ledger>) -> Self {
        Self {
            state: Mutex::new(State {
                open: OpenBatch::new(budget.open_batch_bytes),
                queue: Queue::new(budget.sealed_bytes),
                spilled: Tally::default(),
            }),
            sealed: Notify::new(),
            ledger,
        }
    }

    /// Adds what one receive brought; the lock is taken once for all of it.
    pub fn add<'a>(&self, documents: impl Iterator<Item = &'a [u8]>, now: Instant) {
        let mut sealed = false;
        let mut spilled = 0;
        let mut replaced = 0;
        let said = {
            let mut state = self.lock();
            for document in documents {
                let pushed = state.open.push(document, now);
                replaced += u64::from(pushed.replaced_utf8);
                if let Some(batch) = pushed.sealed {
                    spilled += state.queue.push(batch).documents();
                    sealed = true;
                }
            }
            state.spilled.add(spilled, now)
        };
        self.ledger.add_replaced_utf8(replaced);
        self.account_for_spilled(spilled, said);
        if sealed {
            self.sealed.notify_one();
        }
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
        let (sealed, spilled, said) = {
            let mut state = self.lock();
            let batch = state.open.seal_if_due(now);
            let sealed = batch.is_some();
            let spilled = batch.map_or(0, |batch| state.queue.push(batch).documents());
            (sealed, spilled, state.spilled.add(spilled, now))
        };
        self.account_for_spilled(spilled, said);
        if sealed {
            self.sealed.notify_one();
        }
    }

    /// Seals the open batch whatever its age, for the end: nothing more is added.
    pub fn seal(&self, now: Instant) {
        let (spilled, said) = {
            let mut state = self.lock();
            let batch = state.open.seal();
            let spilled = batch.map_or(0, |batch| state.queue.push(batch).documents());
            (spilled, state.spilled.flush(spilled, now))
        };
        self.account_for_spilled(spilled, said);
        self.sealed.notify_one();
    }

    /// The next batch for the sender.
    pub fn take(&self, now: Instant) -> Next {
        self.lock().queue.take(now)
    }

    /// A batch that was taken has come to its end.
    pub fn settle(&self, batch: &Batch) {
        self.lock().queue.settle(batch);
    }

    /// A batch that was taken is to be sent again.
    pub fn put_back(&self, batch: Batch, now: Instant) {
        self.return_to_queue(now, |queue| queue.put_back(batch));
    }

    /// A batch that was taken has ended, and these are to be sent in its place.
    pub fn replace(&self, batch: &Batch, parts: impl IntoIterator<Item = Batch>, now: Instant) {
        self.return_to_queue(now, |queue| queue.replace(batch, parts));
    }

    fn return_to_queue(&self, now: Instant, change: impl FnOnce(&mut Queue) -> Evicted) {
        let (spilled, said) = {
            let mut state = self.lock();
            let spilled = change(&mut state.queue).documents();
            (spilled, state.spilled.add(spilled, now))
        };
        self.account_for_spilled(spilled, said);
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

    fn account_for_spilled(&self, spilled: usize, said: Option<u64>) {
        if spilled > 0 {
            self.ledger.add_dropped(DropReason::BufferFull, spilled as u64);
        }
        if let Some(segments) = said {
            tracing::warn!(
                segments,
                "Spilling over {segments} segments: the buffer memory limit is reached, the oldest are dropped; \
                 -m raises it"
            );
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // No code panics under this lock in a way that leaves the state torn; going on beats taking every task down.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
