//! What receivers do with a lane: they add to the open batch, and have it sealed in time.

use std::sync::atomic::Ordering;
use std::time::Instant;

use super::Lane;
use crate::pipeline::batch::OpenBatch;
use crate::pipeline::batch::encoding::Encoding;
use crate::pipeline::intake::{Intake, Room};
use crate::pipeline::queue::Evicted;

/// The largest document that the receiver adds under the lock: what a datagram can carry.
pub(super) const DATAGRAM_MAX_BYTES: usize = 1 << 16;

impl<E: Encoding> Intake for Lane<E> {
    /// The lock is taken once for all of it.
    fn add<'a>(&self, documents: impl Iterator<Item = &'a [u8]>, now: Instant) {
        let mut sealed = false;
        let mut evicted = Evicted::default();
        let mut handed_on = Vec::new();
        let mut replaced = 0;
        {
            let mut state = self.lock();
            for document in documents {
                let pushed = state.open.push(document, now);
                replaced += u64::from(pushed.replaced_utf8);
                if let Some(batch) = pushed.sealed {
                    handed_on.extend(self.copy_for_follower(&batch));
                    evicted.0.append(&mut state.queue.push(batch).0);
                    sealed = true;
                }
            }
        }
        self.ledger.add_replaced_utf8(replaced);
        self.hand_on(handed_on, now);
        self.spill(evicted, now);
        if sealed {
            self.sealed.notify_one();
        }
    }

    /// One that is larger than a datagram goes in a batch of its own, which is made before the lock is taken: the
    /// receiver must not wait while it is encoded.
    fn add_from_elsewhere(&self, document: &[u8], now: Instant) {
        if document.len() <= DATAGRAM_MAX_BYTES {
            self.add(std::iter::once(document), now);
        } else if let Some(batch) = OpenBatch::<E>::of_one(document, now) {
            let mut handed_on = Vec::new();
            let evicted = {
                let mut state = self.lock();
                // What is in the open batch came before.
                let mut evicted = match state.open.seal() {
                    Some(older) => {
                        handed_on.extend(self.copy_for_follower(&older));
                        state.queue.push(older)
                    }
                    None => Evicted::default(),
                };
                handed_on.extend(self.copy_for_follower(&batch));
                evicted.0.append(&mut state.queue.push(batch).0);
                evicted
            };
            self.hand_on(handed_on, now);
            self.spill(evicted, now);
            self.sealed.notify_one();
        }
        self.tell_receiver();
    }

    async fn opened(&self) {
        self.opened.notified().await;
    }

    /// `None` while no batch is open and nothing is left to be said.
    fn next_tick(&self) -> Option<Instant> {
        // Before it looks: who adds in the meantime has either been seen, or sees that it does not wait.
        self.receiver_waits.store(false, Ordering::Release);
        let others_at = self.lock_others().and_then(|others| others.deadline());
        let at = {
            let state = self.lock();
            [state.open.deadline(), state.spilled.due(), others_at]
                .into_iter()
                .flatten()
                .min()
        };
        self.receiver_waits.store(at.is_some(), Ordering::Release);
        at
    }

    fn tick(&self, now: Instant) {
        let others = self.lock_others().map(|mut others| others.seal_if_due(now));
        self.push_all(others.unwrap_or_default(), now);
        let (handed_on, sealed, evicted, said) = {
            let mut state = self.lock();
            let batch = state.open.seal_if_due(now);
            let handed_on = batch.as_ref().and_then(|batch| self.copy_for_follower(batch));
            let sealed = batch.is_some();
            let evicted = batch.map_or_else(Evicted::default, |batch| state.queue.push(batch));
            (handed_on, sealed, evicted, state.spilled.add(0, now))
        };
        self.hand_on(handed_on, now);
        self.spill(evicted, now);
        self.say_spilled(said);
        if sealed {
            self.sealed.notify_one();
        }
    }

    fn seal(&self, now: Instant) {
        let others = self.lock_others().map(|mut others| others.seal());
        self.push_all(others.unwrap_or_default(), now);
        let (handed_on, evicted) = {
            let mut state = self.lock();
            let batch = state.open.seal();
            let handed_on = batch.as_ref().and_then(|batch| self.copy_for_follower(batch));
            let evicted = batch.map_or_else(Evicted::default, |batch| state.queue.push(batch));
            (handed_on, evicted)
        };
        self.hand_on(handed_on, now);
        self.spill(evicted, now);
        let said = self.lock().spilled.flush(0, now);
        self.say_spilled(said);
        self.sealed.notify_one();
    }

    fn room_for(&self, bytes: usize) -> Room {
        if cost(bytes) > self.budget.sealed_bytes {
            return Room::TooLong;
        }
        let others_bytes = self.held_in_others().bytes;
        let fits = {
            let state = self.lock();
            // What is open now will be sealed too.
            cost(state.open.bytes() + others_bytes + bytes) + state.queue.bytes() <= self.budget.sealed_bytes
        };
        // Whole batches are pushed out: as much as is sealed, and up to one more.
        let pushed_out = cost(bytes.saturating_add(2 * self.budget.open_batch_bytes));
        let spool = self.spool();
        if fits || spool.is_some_and(|spool| spool.has_room(pushed_out)) {
            Room::Free
        } else {
            Room::Full
        }
    }

    fn longest_bytes(&self) -> usize {
        // The last one whose cost, a quarter rounded down with it, is not more.
        let above = self.budget.sealed_bytes.saturating_add(1);
        above.saturating_mul(4).div_ceil(5) - 1
    }
}

/// What a sealed body may cost, which is a quarter more than its length (`OpenBatch::seal`).
fn cost(bytes: usize) -> usize {
    bytes.saturating_add(bytes / 4)
}
