//! What waits goes back to the sender when it asks for it: from a file, or, while the disk refuses, from what is to be written.

use std::sync::atomic::Ordering::AcqRel;

use super::Worker;
use crate::ledger::DropReason;
use crate::pipeline::batch::encoding::Encoding;
use crate::pipeline::batch::origin::Origin;
use crate::pipeline::spool::TakesBack;
use crate::pipeline::spool::disk::Disk;
use crate::pipeline::spool::name::FileName;
use crate::pipeline::spool::store::{Moment, Taken};

impl<D: Disk, E: Encoding> Worker<D, E> {
    pub(super) fn next(&mut self, taker: &impl TakesBack, at: Moment) {
        let taken = self.store().map_or(Taken::Nothing, |store| store.take(at));
        let lost = |worker: &Self, name: &FileName| {
            let (content, count) = name.amount();
            worker.account(|ledger| {
                ledger.of(content).sub_spooled(count);
                ledger.of(content).add_dropped(DropReason::SpoolDamaged, count);
            });
        };
        match taken {
            Taken::Batch(batch) => {
                let file = batch.origin.as_ref().map(Origin::file);
                let (content, count) = batch.amount();
                // In one, so that the last count finds them here or there.
                let taken = self.account(|ledger| {
                    // Before it is there, so that it can't be settled before it is counted.
                    ledger.of(content).sub_spooled(count);
                    let taken = taker.take_back(batch);
                    if !taken {
                        ledger.of(content).add_spooled(count);
                    }
                    taken
                });
                // After the last count nothing is taken any more.
                if taken == Some(true) {
                    return;
                }
                if let (Some(file), Some(store)) = (file, self.store()) {
                    store.give_back(file);
                }
            }
            Taken::Nothing => self.take_back_unwritten(taker),
            Taken::Damaged(name) => {
                lost(self, &name);
                self.log.damaged(&name, at.instant);
            }
            Taken::Missing(name) => {
                lost(self, &name);
                self.log.missing(&name, at.instant);
            }
            Taken::Failed(name, error) => self.log.unreadable(&name, &error, at.instant),
        }
        self.shared.out.fetch_sub(1, AcqRel);
    }

    /// While the disk refuses, what it was to take can be sent from memory.
    fn take_back_unwritten(&mut self, taker: &impl TakesBack) {
        if self.refused.is_none() {
            return;
        }
        let Some(batch) = self.to_write.pop_front() else {
            return;
        };
        let (amount, cost_bytes) = (batch.amount_alone(), batch.cost_bytes());
        let taken = self.account(|_| {
            let taken = taker.take_back(batch.clone());
            if taken {
                self.shared.unaccounted.sub(amount);
            }
            taken
        });
        if taken == Some(true) {
            self.shared.to_write_bytes.fetch_sub(cost_bytes, AcqRel);
        } else {
            self.to_write.push_front(batch);
        }
    }
}
