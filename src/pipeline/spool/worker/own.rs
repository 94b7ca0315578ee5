//! Whose the directory is: opened, locked again before each write, and lost to another process.

use std::io;

use super::{Files, Worker};
use crate::ledger::DropReason;
use crate::ledger::amounts::Amounts;
use crate::pipeline::batch::encoding::Encoding;
use crate::pipeline::spool::disk::Disk;
use crate::pipeline::spool::name::FileName;
use crate::pipeline::spool::store::{Moment, Store};

impl<D: Disk, E: Encoding> Worker<D, E> {
    /// Takes possession of the directory and looks at what is there.
    pub(super) fn open(&mut self, at: Moment) {
        let disk = match std::mem::replace(&mut self.files, Files::Opening) {
            Files::Closed(disk) => disk,
            other => {
                self.files = other;
                return;
            }
        };
        match Store::open(disk, self.limit_bytes) {
            Err((disk, error)) => {
                self.files = Files::Closed(disk);
                self.leave_alone(at.instant);
                self.log.cannot_open(&error);
            }
            Ok((store, found)) => {
                self.files = Files::Open(store);
                self.refused = None;
                let damaged: Amounts = found.damaged.iter().map(FileName::amount).collect();
                let evicted: Amounts = found.evicted.iter().map(FileName::amount).collect();
                self.account(|ledger| {
                    ledger.add_all_recovered(found.documents.plus(damaged));
                    ledger.sub_all_spooled(damaged.plus(evicted));
                    ledger.add_all_dropped(DropReason::SpoolDamaged, damaged);
                    ledger.add_all_dropped(DropReason::SpoolFull, evicted);
                });
                self.log.opened(&found, at.instant);
            }
        }
    }

    /// Makes sure that the open directory is still ours, and makes it anew if somebody removed it.
    pub(super) fn lock_again(&mut self, at: Moment) -> io::Result<()> {
        let locked = self.store().map_or(Ok(()), |store| store.disk_mut().lock());
        if let Err(error) = &locked
            && error.kind() == io::ErrorKind::WouldBlock
        {
            self.lose_directory(error, at);
        }
        locked
    }

    /// Another process has the directory that was ours: what waits in it is not ours any more. What is in memory is sent
    /// from there.
    fn lose_directory(&mut self, error: &io::Error, at: Moment) {
        match std::mem::replace(&mut self.files, Files::Opening) {
            Files::Open(store) => {
                let lost = store.index().waiting_amounts();
                self.account(|ledger| {
                    ledger.sub_all_spooled(lost);
                    ledger.add_all_dropped(DropReason::SpoolDamaged, lost);
                });
                self.log.taken_over(error, lost);
                self.files = Files::Closed(store.into_disk());
            }
            other => self.files = other,
        }
        self.sweep_at = None;
        self.log.holds(0, at.instant);
    }
}
