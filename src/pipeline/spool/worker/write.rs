//! What is to be written is: in groups, small batches joined.

use std::sync::atomic::Ordering::AcqRel;
use std::time::Instant;

use super::{Files, Worker, amounts};
use crate::ledger::DropReason;
use crate::ledger::amounts::Amounts;
use crate::pipeline::batch::encoding::Encoding;
use crate::pipeline::batch::{Batch, join};
use crate::pipeline::spool::disk::Disk;
use crate::pipeline::spool::name::FileName;
use crate::pipeline::spool::store::Moment;

/// Most batches that are written together. More would hold the ones at the front up for longer than it helps.
const GROUP: usize = 32;

impl<D: Disk, E: Encoding> Worker<D, E> {
    /// The first of those that are to be written, small ones joined, as far as they should be written together.
    fn group(&mut self) -> Vec<Batch> {
        // None of a group makes room for another one, so a group must be much smaller than the whole.
        let most_bytes = self.limit_bytes / 4;
        let (mut group, mut bytes) = (Vec::new(), 0);
        while group.len() < GROUP && (group.is_empty() || bytes < most_bytes) {
            let count = join::joinable::<E>(&self.to_write, self.max_joined_bytes);
            if count == 0 {
                break;
            }
            let batches: Vec<Batch> = self.to_write.drain(..count).collect();
            let before_bytes: usize = batches.iter().map(Batch::cost_bytes).sum();
            let joined = join::join::<E>(batches).map_or_else(|apart| apart, |joined| vec![joined]);
            let after_bytes: usize = joined.iter().map(Batch::cost_bytes).sum();
            self.shared
                .to_write_bytes
                .fetch_sub(before_bytes.saturating_sub(after_bytes), AcqRel);
            bytes += joined.iter().map(|batch| batch.body.len() as u64).sum::<u64>();
            group.extend(joined);
        }
        group
    }

    /// Tries to write some of what is to be written, and sees by `clock` how long that takes.
    pub(super) fn write(&mut self, at: Moment, clock: impl Fn() -> Instant) {
        if let Err(error) = self.lock_again(at) {
            self.leave_alone(at.instant);
            if matches!(self.files, Files::Open(_)) {
                self.log.failed(&error, at.instant);
            }
            return;
        }
        let group = self.group();
        let Files::Open(store) = &mut self.files else {
            return;
        };
        let started = clock();
        let mut written = store.write(group, at);
        let took = clock().saturating_duration_since(started);
        let bytes = written.stored.iter().map(|batch| batch.body.len() as u64).sum();
        self.shared.lock_pace().saw(written.stored.len(), bytes, took);
        let [stored, full] = [&written.stored, &written.full].map(|batches| amounts(batches));
        let evicted: Amounts = written.evicted.iter().map(FileName::amount).collect();
        let lost = full.plus(evicted);
        self.account_for(stored.plus(full), |ledger| {
            ledger.add_all_spooled(stored);
            ledger.sub_all_spooled(evicted);
            ledger.add_all_dropped(DropReason::SpoolFull, lost);
        });
        self.log.full(lost, at.instant);
        if let Some(error) = &written.names_unsafe {
            self.log.names_unsafe(error);
        }
        for batch in written.stored.iter().chain(&written.full) {
            self.shared.to_write_bytes.fetch_sub(batch.cost_bytes(), AcqRel);
            self.end_origin(batch, at);
        }
        for batch in written.unwritten.drain(..).rev() {
            self.to_write.push_front(batch);
        }
        match &written.error {
            Some(error) => {
                self.leave_alone(at.instant);
                self.log.failed(error, at.instant);
            }
            None => {
                self.refused = None;
                self.log.writes_again();
            }
        }
    }
}
