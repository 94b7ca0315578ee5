//! How full a lane is, for those who look at it.

use super::Lane;
use crate::pipeline::batch::encoding::Encoding;

/// Documents and the bytes of their bodies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Amount {
    /// How many.
    pub documents: usize,
    /// What they cost in the budget.
    pub bytes: usize,
}

/// How much is held at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Depth {
    /// In the batch that documents are being added to.
    pub open: Amount,
    /// In sealed batches that wait.
    pub waiting: Amount,
    /// In batches that are being sent.
    pub in_flight: Amount,
    /// What the whole may cost in memory, what is on its way to the spool included.
    pub budget_bytes: usize,
    /// What the spool holds, if there is one.
    pub spool: Option<SpoolDepth>,
}

/// How much a spool holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct SpoolDepth {
    /// Files that wait.
    pub files: usize,
    /// What all files take up.
    pub file_bytes: u64,
    /// What they may take up.
    pub limit_bytes: u64,
    /// Memory of what waits to be written.
    pub to_write_bytes: usize,
}

impl<E: Encoding> Lane<E> {
    /// How much is held, and where.
    #[must_use]
    pub fn depth(&self) -> Depth {
        let others = self.held_in_others();
        let state = self.lock();
        Depth {
            open: Amount {
                documents: state.open.documents() + others.items(),
                bytes: state.open.bytes() + others.bytes,
            },
            waiting: Amount {
                documents: state.queue.waiting_documents(),
                bytes: state.queue.waiting_bytes(),
            },
            in_flight: Amount {
                documents: state.queue.in_flight_documents(),
                bytes: state.queue.in_flight_bytes(),
            },
            budget_bytes: self.budget.open_batch_bytes
                + self.budget.sealed_bytes
                + self.budget.to_spool_bytes,
            spool: self.spool().map(|spool| SpoolDepth {
                files: spool.waiting_files(),
                file_bytes: spool.file_bytes(),
                limit_bytes: spool.limit_bytes(),
                to_write_bytes: spool.to_write_bytes(),
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Instant;

    use super::*;
    use crate::ledger::{DropReason, Ledger};
    use crate::pipeline::batch::testing::Strings;
    use crate::pipeline::budget::Budget;
    use crate::pipeline::intake::{Intake as _, Room};
    use crate::pipeline::spool::Spool;
    use crate::pipeline::spool::tests::fake::FakeDisk;

    const DOCUMENT_BYTES: usize = 60_000;

    /// Adds documents while there is said to be room for them; how many, and what was said then.
    fn fill(lane: &Lane<Strings>) -> (usize, Room) {
        let document = vec![b'x'; DOCUMENT_BYTES];
        for added in 0..200 {
            let room = lane.room_for(DOCUMENT_BYTES);
            if room != Room::Free {
                return (added, room);
            }
            lane.add_from_elsewhere(&document, Instant::now());
        }
        panic!("3 MB hold no 200 documents of 60 KB");
    }

    #[test]
    fn room_that_is_said_to_be_there_is_there() {
        let ledger = Arc::new(Ledger::default());
        let lane = Lane::new(Budget::of_mb(3), Arc::clone(&ledger));
        let (added, room) = fill(&lane);
        assert!((30..=52).contains(&added), "{added}");
        assert_eq!(room, Room::Full);
        lane.seal(Instant::now());
        assert_eq!(ledger.snapshot().dropped_total(), 0);
        assert_eq!(lane.depth().waiting.documents, added);
        assert_eq!(lane.room_for(3 << 20), Room::TooLong);
    }

    #[test]
    fn a_body_that_takes_all_the_memory_for_sealed_batches_can_come() {
        let intake = Lane::<Strings>::new(Budget::of_mb(3), Arc::default());
        // 3 MiB less the eighth for the open batch is 2,752,512: a quarter more than this.
        assert_eq!(intake.room_for(2_202_010), Room::Free);
        assert_eq!(intake.room_for(2_202_011), Room::TooLong);
        assert_eq!(intake.longest_bytes(), 2_202_010);
        for mb in 4..20 {
            let intake = Lane::<Strings>::new(Budget::of_mb(mb), Arc::default());
            let longest = intake.longest_bytes();
            assert_eq!(intake.room_for(longest), Room::Free, "{mb} MB");
            assert_eq!(intake.room_for(longest + 1), Room::TooLong, "{mb} MB");
        }
    }

    #[test]
    fn a_spool_must_have_room_for_the_body_and_two_open_batches() {
        let budget = Budget::of_mb(3).with_spool();
        let ledger = Arc::new(Ledger::default());
        let (spool, _worker) = Spool::on_fake(&FakeDisk::default(), 1 << 30, budget.to_spool_bytes, &ledger);
        let intake = Lane::<Strings>::with_spool(budget, Arc::clone(&ledger), Some(spool));
        for _ in 0..12 {
            intake.add_from_elsewhere(&[b'x'; DOCUMENT_BYTES], Instant::now());
        }
        assert_eq!(intake.depth().spool.unwrap().to_write_bytes, 0);
        // Beside what is there it has no room in memory. 1.5 MiB may wait for the disk: a quarter more than this and
        // two open batches of 384 KiB.
        assert_eq!(intake.room_for(471_859), Room::Free);
        assert_eq!(intake.room_for(471_860), Room::Full);
    }

    #[test]
    fn the_depth_tells_where_everything_is() {
        for budget in [Budget::of_mb(3), Budget::of_mb(3).with_spool()] {
            let intake = Lane::<Strings>::new(budget, Arc::default());
            let now = Instant::now();
            let add = || {
                intake.add_from_elsewhere(b"xy", now);
                intake.seal(now);
            };
            add();
            let sealed_bytes = intake.held().sealed_bytes;
            let taken = intake.take(now);
            assert!(
                matches!(taken, crate::pipeline::queue::Next::Ready(_)),
                "one was sealed"
            );
            add();
            intake.add([&b"xy"[..]; 3].into_iter(), now);
            let sealed = Amount {
                documents: 1,
                bytes: sealed_bytes,
            };
            assert_eq!(
                intake.depth(),
                Depth {
                    open: Amount {
                        documents: 3,
                        bytes: "[\"xy\",\"xy\",\"xy\"".len(),
                    },
                    waiting: sealed,
                    in_flight: sealed,
                    budget_bytes: 3 << 20,
                    spool: None,
                }
            );
        }
    }

    #[test]
    fn a_spool_is_room_as_long_as_its_disk_keeps_up() {
        let ledger = Arc::new(Ledger::default());
        let budget = Budget::of_mb(3).with_spool();
        // Nobody writes, so what is given to it stays in memory.
        let (spool, _worker) = Spool::on_fake(&FakeDisk::default(), 1 << 30, budget.to_spool_bytes, &ledger);
        let lane = Lane::with_spool(budget, Arc::clone(&ledger), Some(spool));
        let (added, room) = fill(&lane);
        // The memory for sealed batches alone holds 19.
        assert!((20..=52).contains(&added), "{added}");
        assert_eq!(room, Room::Full);
        lane.seal(Instant::now());
        assert_eq!(ledger.snapshot().dropped(DropReason::SpoolSlow), 0);
        let depth = lane.depth();
        assert!(depth.spool.unwrap().to_write_bytes > DOCUMENT_BYTES);
        assert!(depth.waiting.bytes <= budget.sealed_bytes);
    }
}
