//! What the budget pushes out: to the spool, or lost, and then counted and said.

use std::time::Instant;

use super::Lane;
use crate::ledger::DropReason;
use crate::ledger::amounts::Amounts;
use crate::ledger::destination::Destination;
use crate::pipeline::batch::Batch;
use crate::pipeline::batch::encoding::Encoding;
use crate::pipeline::queue::Evicted;

impl<E: Encoding> Lane<E> {
    /// What the budget pushed out: to the spool, or lost.
    pub(super) fn spill(&self, evicted: Evicted, now: Instant) {
        if evicted.0.is_empty() {
            return;
        }
        let Some(spool) = &self.spool else {
            self.lose(
                evicted.0.iter().map(Batch::amount).collect(),
                DropReason::BufferFull,
                now,
            );
            return;
        };
        for batch in evicted.0 {
            if let Some(batch) = spool.keep(batch) {
                self.lose(batch.amount_alone(), spool.drop_reason(), now);
                spool.ended(&batch);
            }
        }
    }

    pub(super) fn lose(&self, lost: Amounts, reason: DropReason, now: Instant) {
        self.ledger.add_all_dropped(reason, lost);
        let documents = usize::try_from(lost.total()).unwrap_or(usize::MAX);
        let said = self.lock().spilled.add(documents, now);
        self.say_spilled(said);
    }

    pub(super) fn say_spilled(&self, said: Option<u64>) {
        let Some(segments) = said else { return };
        // The other lane may hold anything.
        let (items, what) = match self.destination {
            Destination::XRay => ("segments", String::new()),
            other => ("items", format!(" of the lane{}", other.to_other())),
        };
        let destination = self.destination.other_label();
        match &self.spool {
            None => tracing::warn!(
                destination,
                segments,
                "Spilling over {segments} {items}: the buffer memory limit{what} is reached, the oldest are dropped; \
                 -m raises it"
            ),
            Some(_) => tracing::warn!(
                destination,
                segments,
                "Spilling over {segments} {items}: the buffer memory limit{what} is reached and the spool's disk does not \
                 keep up, the oldest are dropped; -m raises the limit"
            ),
        }
    }
}
