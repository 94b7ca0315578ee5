//! The spool between the lane and a disk: commands in, files and counts out.

use std::io;
use std::time::Instant;

pub(crate) mod fake;
mod worker;

use self::fake::FakeDisk;
use super::settings::{BUSY_RETRY, FIRST_RETRY, RETRY};
use super::store::Moment;
use super::*;
use crate::ledger::{DropReason, Snapshot};
use crate::logs::testing::LogLines;
use crate::pipeline::batch::testing::Strings;
use crate::pipeline::budget::{Budget, MB};
use crate::pipeline::intake::Intake as _;
use crate::pipeline::lane::Lane;
use crate::pipeline::queue::{Flight, Next};

/// A lane of 3 MB over a spool on `disk`, at a time that the test moves.
struct Bench {
    disk: FakeDisk,
    ledger: Arc<Ledger>,
    lane: Lane<Strings>,
    worker: Worker<FakeDisk, Strings>,
    at: Moment,
}

impl Bench {
    fn new(disk: &FakeDisk, limit_bytes: u64) -> Self {
        let ledger = Arc::new(Ledger::default());
        let budget = Budget::of_mb(3).with_spool();
        let (spool, worker) = Spool::on_fake(disk, limit_bytes, budget.to_spool_bytes, &ledger);
        Self {
            disk: disk.clone(),
            lane: Lane::with_spool(budget, Arc::clone(&ledger), Some(spool)),
            ledger,
            worker,
            at: Moment {
                instant: Instant::now() + Duration::from_secs(3600),
                unix_ms: 1_795_227_595_034,
            },
        }
    }

    /// So many batches of one document of 100 KB, a second apart.
    fn add(&mut self, batches: usize) {
        for _ in 0..batches {
            self.pass(Duration::from_secs(1));
            self.ledger.add_received(1);
            self.lane
                .add(std::iter::once(&[b'x'; 100_000][..]), self.at.instant);
            self.lane.seal(self.at.instant);
        }
    }

    fn pass(&mut self, time: Duration) {
        self.at.instant += time;
        self.at.unix_ms += time.as_millis() as u64;
    }

    fn work(&mut self) {
        let at = self.at;
        assert!(self.worker.work(&self.lane, || at));
    }

    fn spool(&self) -> &Spool<Strings> {
        self.lane.spool().unwrap()
    }

    fn take(&self) -> Flight {
        match self.lane.take(self.at.instant) {
            Next::Ready(flight) => flight,
            other => panic!("no batch: {other:?}"),
        }
    }

    /// Takes all there is in memory and settles it as sent.
    fn send_all(&self) {
        while let Next::Ready(batch) = self.lane.take(self.at.instant) {
            self.ledger.add_sent(batch.documents as u64);
            self.lane.settle(batch.ticket);
        }
    }

    /// Asks for the next one and takes it.
    fn back(&mut self) -> Flight {
        assert!(self.spool().ask());
        self.work();
        self.take()
    }

    fn counts(&self) -> Snapshot {
        self.ledger.snapshot()
    }

    fn files(&self) -> usize {
        self.disk.names().len()
    }
}

/// So many batches of 100 KB fit into what a budget of 3 MB with a spool leaves for them.
const FIT: usize = 10;

#[test]
fn what_has_no_room_waits_on_disk_and_comes_back_oldest_first() {
    let mut bench = Bench::new(&FakeDisk::default(), 10 * MB);
    bench.work();
    bench.add(FIT + 3);
    assert_eq!(bench.counts().pending(), FIT as u64 + 3, "on its way to the disk");
    bench.work();
    let counts = bench.counts();
    assert_eq!((counts.spooled, counts.pending()), (3, FIT as u64));
    assert_eq!((bench.files(), bench.spool().waiting_files()), (3, 3));
    bench.send_all();
    let first_came = bench.at.instant - Duration::from_secs(FIT as u64 + 2);
    for n in 0..3 {
        let batch = bench.back();
        assert_eq!(batch.opened_at, first_came + Duration::from_secs(n));
        let counts = bench.counts();
        assert_eq!((counts.spooled, counts.pending()), (2 - n, 1));
        assert_eq!(bench.files(), 3 - n as usize, "not before it is settled");
        bench.ledger.add_sent(1);
        bench.lane.settle(batch.ticket);
        bench.work();
        assert_eq!(bench.files(), 2 - n as usize);
    }
    let counts = bench.counts();
    assert_eq!(
        (counts.sent, counts.pending(), counts.spooled),
        (FIT as u64 + 3, 0, 0)
    );
    assert_eq!((bench.spool().out(), bench.spool().to_write_bytes()), (0, 0));
}

#[test]
fn a_batch_from_disk_that_has_no_room_again_is_not_written_again() {
    let mut bench = Bench::new(&FakeDisk::default(), 10 * MB);
    bench.add(FIT + 1);
    bench.work();
    bench.send_all();
    let batch = bench.back();
    bench.lane.put_back(batch.ticket, None, bench.at.instant);
    bench.add(FIT - 1);
    bench.work();
    let before = bench.disk.operations();
    bench.add(1);
    bench.work();
    assert_eq!(bench.disk.operations(), before);
    let counts = bench.counts();
    assert_eq!(
        (counts.spooled, bench.spool().waiting_files(), bench.spool().out()),
        (1, 1, 0)
    );
}

#[test]
fn the_file_of_a_split_batch_goes_with_its_last_part() {
    let mut bench = Bench::new(&FakeDisk::default(), 10 * MB);
    bench.ledger.add_received(20);
    let batch = Batch::of_documents::<Strings>(&[&br#""x""#[..]; 20], bench.at.instant).unwrap();
    assert!(bench.spool().keep(batch).is_none());
    bench.work();
    let batch = bench.back();
    bench.lane.replace(
        batch.ticket,
        Batch::halves::<Strings>(batch.kind, &batch.body, batch.opened_at).unwrap(),
        bench.at.instant,
    );
    let (first, second) = (bench.take(), bench.take());
    bench.lane.replace(
        second.ticket,
        Batch::halves::<Strings>(second.kind, &second.body, second.opened_at).unwrap(),
        bench.at.instant,
    );
    let (third, fourth) = (bench.take(), bench.take());
    for part in [first, third, fourth] {
        bench.work();
        assert_eq!((bench.files(), bench.spool().out()), (1, 1));
        bench.lane.settle(part.ticket);
    }
    bench.work();
    assert_eq!((bench.files(), bench.spool().out()), (0, 0));
}

#[test]
fn a_part_that_has_no_room_gets_a_file_of_its_own() {
    let mut bench = Bench::new(&FakeDisk::default(), 10 * MB);
    bench.ledger.add_received(20);
    let batch = Batch::of_documents::<Strings>(&[&br#""x""#[..]; 20], bench.at.instant).unwrap();
    assert!(bench.spool().keep(batch).is_none());
    bench.work();
    let batch = bench.back();
    bench.lane.replace(
        batch.ticket,
        Batch::halves::<Strings>(batch.kind, &batch.body, batch.opened_at).unwrap(),
        bench.at.instant,
    );
    let first = bench.take();
    bench.ledger.add_sent(10);
    bench.lane.settle(first.ticket);
    let second = bench.lane.abandon().pop().unwrap();
    assert!(bench.spool().keep(second).is_none());
    bench.work();
    let names = bench.disk.names();
    assert_eq!(names.len(), 1);
    assert!(names[0].contains("-00000001-10-0-"), "{names:?}");
    let counts = bench.counts();
    assert_eq!((counts.spooled, counts.sent, counts.pending()), (10, 10, 0));
}

#[test]
fn what_the_disk_cannot_keep_up_with_is_dropped_and_counted() {
    let mut bench = Bench::new(&FakeDisk::default(), 100 * MB);
    // Half of 3 MB holds fourteen batches of 100 KB on their way.
    bench.add(FIT + 17);
    let counts = bench.counts();
    assert_eq!(counts.dropped(DropReason::SpoolSlow), 3);
    assert!(bench.spool().to_write_bytes() <= 3 << 19);
    bench.work();
    let counts = bench.counts();
    assert_eq!((counts.spooled, counts.pending()), (14, FIT as u64));
}

#[test]
fn a_full_spool_loses_its_oldest_and_says_so() {
    let log = LogLines::collect();
    let mut bench = Bench::new(&FakeDisk::default(), MB);
    bench.work();
    bench.add(FIT);
    for _ in 0..12 {
        bench.add(1);
        bench.work();
    }
    let counts = bench.counts();
    // Ten files of 100 KB in blocks of 4 KiB fit into 1 MiB.
    assert_eq!((counts.spooled, counts.dropped(DropReason::SpoolFull)), (10, 2));
    let lines = log.take();
    assert!(
        lines.contains(
            &"[Warn] Dropping 1 segments: the spool's 1 MB are full, the oldest go; --spool-size raises the limit"
                .to_owned()
        ),
        "{lines:#?}"
    );
}

#[test]
fn a_disk_that_refuses_is_said_once_and_tried_again_and_nothing_is_lost_while_memory_has_room() {
    let log = LogLines::collect();
    let mut bench = Bench::new(&FakeDisk::default(), 10 * MB);
    bench.work();
    bench.add(FIT);
    log.take();
    bench.disk.set_fault(Some(io::ErrorKind::StorageFull));
    bench.add(2);
    bench.work();
    let tries = bench.disk.operations();
    bench.work();
    assert_eq!(bench.disk.operations(), tries, "left alone for a while");
    // Half of 3 MB holds fourteen batches of 100 KB.
    bench.add(15);
    let counts = bench.counts();
    assert_eq!(
        (counts.dropped(DropReason::SpoolFailed), counts.dropped_total()),
        (3, 3)
    );
    bench.disk.set_fault(None);
    bench.pass(BUSY_RETRY);
    bench.work();
    let counts = bench.counts();
    assert_eq!(
        (counts.dropped_total(), counts.spooled, counts.pending()),
        (3, 14, FIT as u64)
    );
    assert_eq!(
        log.take(),
        [
            "[Error] The spool /spool can't be written to: no storage space; segments wait in memory until it can be, and \
             are dropped when that has no room for more (tried every second)",
            "[Warn] Spilling over 1 segments: the buffer memory limit is reached and the spool's disk does not keep up, \
             the oldest are dropped; -m raises the limit",
            "[Warn] Spilling over 1 segments: the buffer memory limit is reached and the spool's disk does not keep up, \
             the oldest are dropped; -m raises the limit",
            "[Warn] Spilling over 1 segments: the buffer memory limit is reached and the spool's disk does not keep up, \
             the oldest are dropped; -m raises the limit",
            "[Info] The spool can be written to again",
            "[Info] The buffer memory limit is reached: the oldest segments wait in the spool /spool (at most 10 MB) \
             until they can be sent",
        ]
    );
}

#[test]
fn one_error_of_the_disk_loses_nothing_and_is_over_in_a_tenth_of_a_second() {
    // The write, the sync and the new name of a file, and the removal of an older one.
    for (limit_bytes, changes_before) in [(10 * MB, 0), (10 * MB, 1), (10 * MB, 2), (MB, 0)] {
        let mut bench = Bench::new(&FakeDisk::default(), limit_bytes);
        bench.work();
        bench.add(FIT);
        for n in 0..14 {
            if n == 12 {
                bench.disk.fail_after(changes_before, 1, io::ErrorKind::Other);
            }
            bench.add(1);
            bench.work();
        }
        bench.pass(FIRST_RETRY);
        bench.work();
        let counts = bench.counts();
        let full = counts.dropped(DropReason::SpoolFull);
        assert_eq!(
            (counts.dropped_total(), counts.pending()),
            (full, FIT as u64),
            "{changes_before}"
        );
        assert_eq!(counts.spooled + full, 14);
        assert_eq!(full, if limit_bytes == MB { 4 } else { 0 });
    }
}

#[test]
fn what_a_disk_does_not_take_is_sent_from_memory() {
    let mut bench = Bench::new(&FakeDisk::default(), 10 * MB);
    bench.work();
    bench.disk.set_fault(Some(io::ErrorKind::ReadOnlyFilesystem));
    bench.add(FIT + 5);
    bench.work();
    bench.send_all();
    assert_eq!((bench.spool().ready(), bench.spool().waiting_files()), (5, 0));
    let first_came = bench.at.instant - Duration::from_secs(FIT as u64 + 4);
    for n in 0..5 {
        let batch = bench.back();
        assert_eq!(batch.opened_at, first_came + Duration::from_secs(n));
        bench.ledger.add_sent(1);
        bench.lane.settle(batch.ticket);
    }
    bench.work();
    let counts = bench.counts();
    assert_eq!(
        (counts.sent, counts.pending(), bench.lane.pending_documents()),
        (FIT as u64 + 5, 0, 0)
    );
    assert_eq!(
        (
            bench.spool().ready(),
            bench.spool().out(),
            bench.spool().to_write_bytes()
        ),
        (0, 0, 0)
    );
}

#[test]
fn a_file_that_cannot_be_read_does_not_stop_the_others_and_stays_in_the_counts() {
    let log = LogLines::collect();
    let mut bench = Bench::new(&FakeDisk::default(), 10 * MB);
    bench.add(FIT + 21);
    bench.work();
    bench.add(0);
    bench.send_all();
    let counts = bench.counts();
    let spooled = counts.spooled;
    let unreadable = bench.disk.names().remove(0);
    bench.disk.set_unreadable(&unreadable, true);
    log.take();
    assert!(bench.spool().ask());
    for _ in 1..spooled {
        let batch = bench.back();
        bench.lane.settle(batch.ticket);
    }
    bench.work();
    assert_eq!(bench.disk.names(), std::slice::from_ref(&unreadable));
    assert_eq!((bench.spool().waiting_files(), bench.spool().ready()), (1, 0));
    assert_eq!(bench.counts().spooled, 1);
    assert_eq!(
        log.take(),
        [format!(
            "[Error] Spool file {unreadable} can't be read: permission denied; its 1 segments wait, and it is tried again \
             later; other files go on"
        )]
    );
    bench.disk.set_unreadable(&unreadable, false);
    bench.pass(RETRY);
    bench.work();
    assert_eq!(bench.spool().ready(), 1);
    let batch = bench.back();
    bench.lane.settle(batch.ticket);
    bench.work();
    assert_eq!((bench.files(), bench.counts().spooled), (0, 0));
}

#[test]
fn small_batches_are_joined_before_they_are_written() {
    let mut bench = Bench::new(&FakeDisk::default(), 10 * MB);
    bench.work();
    bench.ledger.add_received(3_640);
    let one = Batch::of_documents::<Strings>(&[b"\"one\""], bench.at.instant).unwrap();
    for _ in 0..40 {
        assert!(bench.spool().keep(one.clone()).is_none());
    }
    bench.work();
    assert_eq!(
        (bench.files(), bench.disk.synced(), bench.spool().to_write_bytes()),
        (1, 1, 0)
    );
    let batch = bench.back();
    assert_eq!(batch.documents, 40);
    assert_eq!(batch.body, serde_json::to_vec(&["one"; 40][..]).unwrap());
    bench.lane.settle(batch.ticket);
    // At a stop.
    assert!(bench.spool().keep_at_end(vec![one; 3_600]).is_empty());
    bench.work();
    assert_eq!((bench.files(), bench.disk.synced()), (72, 73));
    assert_eq!(
        (bench.counts().spooled, bench.spool().to_write_bytes()),
        (3_600, 0)
    );
}

#[test]
fn two_files_of_one_time_and_sequence_both_go_and_leave_nothing_to_wake_up_for() {
    let at = Moment::now();
    let disk = FakeDisk::default();
    for body in [&b"[\"a\"]"[..], b"[\"b\"]"] {
        let id = FileId {
            opened_ms: 1_795_227_595_034,
            sequence: 7,
        };
        disk.plant(&name::FileName::of(id, 1, 0, body).to_string(), body);
    }
    let mut bench = Bench::new(&disk, 10 * MB);
    bench.at = at;
    bench.work();
    for _ in 0..2 {
        let batch = bench.back();
        bench.lane.settle(batch.ticket);
    }
    bench.work();
    assert_eq!(
        (bench.files(), bench.spool().ready(), bench.spool().out()),
        (0, 0, 0)
    );
    assert_eq!(bench.worker.next_wake(), None);
}

#[test]
fn a_directory_that_another_daemon_has_is_taken_over_when_it_is_free() {
    let log = LogLines::collect();
    let disk = FakeDisk::default();
    let mut first = Bench::new(&disk, 10 * MB);
    first.add(FIT + 5);
    first.work();
    drop(log.take());
    disk.set_locked(true);
    let mut second = Bench::new(&disk, 10 * MB);
    second.work();
    second.add(FIT + 2);
    second.work();
    assert_eq!(second.counts().dropped_total(), 0);
    disk.set_locked(false);
    second.pass(RETRY);
    second.work();
    let counts = second.counts();
    assert_eq!(
        (counts.recovered, counts.spooled, counts.pending()),
        (5, 7, FIT as u64)
    );
    second.add(1);
    second.work();
    assert_eq!(second.counts().spooled, 8);
    assert_eq!(
        log.take(),
        [
            "[Error] The spool /spool is in use by another daemon; segments wait in memory until it can be used, and are \
             dropped when that has no room for more (tried every second)",
            "[Info] Using spool /spool, at most 10 MB",
            "[Info] Found 5 segments in 5 files in the spool; they are sent beside new ones",
        ]
    );
}

#[test]
fn the_log_says_when_spooling_begins_and_when_it_is_over() {
    let log = LogLines::collect();
    let mut bench = Bench::new(&FakeDisk::default(), 10 * MB);
    bench.work();
    bench.add(FIT + 2);
    bench.work();
    bench.send_all();
    for _ in 0..2 {
        let batch = bench.back();
        bench.lane.settle(batch.ticket);
        bench.work();
    }
    assert_eq!(
        log.take(),
        [
            "[Info] Using spool /spool, at most 10 MB",
            "[Info] The buffer memory limit is reached: the oldest segments wait in the spool /spool (at most 10 MB) \
             until they can be sent",
            "[Info] The spool is empty again",
        ]
    );
    // Soon again: at most once a minute.
    bench.add(FIT + 1);
    bench.work();
    bench.send_all();
    let batch = bench.back();
    bench.lane.settle(batch.ticket);
    bench.work();
    assert_eq!(log.take(), Vec::<String>::new());
}

#[test]
fn a_damaged_file_is_counted_and_the_next_one_sent() {
    let log = LogLines::collect();
    let mut bench = Bench::new(&FakeDisk::default(), 10 * MB);
    bench.add(FIT + 3);
    bench.work();
    bench.send_all();
    let names = bench.disk.names();
    bench.disk.edit(&names[0], |content| content[50] ^= 1);
    bench.disk.lose(&names[1]);
    log.take();
    for _ in 0..2 {
        assert!(bench.spool().ask());
    }
    bench.work();
    assert!(matches!(bench.lane.take(bench.at.instant), Next::Empty));
    assert_eq!(bench.spool().out(), 0);
    assert_eq!(bench.back().documents, 1);
    let counts = bench.counts();
    assert_eq!(
        (
            counts.dropped(DropReason::SpoolDamaged),
            counts.spooled,
            counts.pending()
        ),
        (2, 0, 1)
    );
    assert_eq!(
        log.take(),
        [format!(
            "[Error] Spool file {} is damaged and set aside as *.damaged; its 1 segments are lost",
            names[0]
        )]
    );
    bench.pass(Duration::from_secs(1));
    bench.work();
    assert_eq!(
        log.take(),
        [format!(
            "[Error] Spool file {} was removed by somebody; its 1 segments are lost",
            names[1]
        )]
    );
}

#[test]
fn at_the_end_all_that_is_left_is_kept_and_the_next_process_finds_it() {
    let disk = FakeDisk::default();
    let mut bench = Bench::new(&disk, 10 * MB);
    bench.add(FIT + 4);
    bench.work();
    bench.send_all();
    // One is being sent, one came back from disk, one waits, one is open.
    bench.add(2);
    let _in_flight = bench.take();
    assert!(bench.spool().ask());
    bench.work();
    bench.ledger.add_received(1);
    bench.lane.add(std::iter::once(&b"open"[..]), bench.at.instant);
    let left = bench.lane.abandon();
    assert_eq!(left.len(), 4);
    assert!(bench.spool().keep_at_end(left).is_empty());
    // Asked for too late: it stays where it is.
    assert!(bench.spool().ask());
    bench.work();
    let counts = bench.counts();
    assert_eq!((counts.spooled, counts.pending()), (7, 0));
    assert_eq!(counts.received, counts.sent + 7);

    let mut next = Bench::new(&disk.after_kill(), 10 * MB);
    next.work();
    let counts = next.counts();
    assert_eq!((counts.recovered, counts.spooled, counts.pending()), (7, 7, 0));
    let sizes: Vec<usize> = (0..7)
        .map(|_| {
            let batch = next.back();
            Strings::documents(&batch.body).unwrap()[0].len()
        })
        .collect();
    assert_eq!(sizes, [100_002, 100_002, 100_002, 100_002, 100_002, 100_002, 6]);
}

#[test]
fn at_the_end_a_disk_that_refused_gets_one_more_chance() {
    let mut bench = Bench::new(&FakeDisk::default(), 10 * MB);
    bench.work();
    bench.disk.set_fault(Some(io::ErrorKind::StorageFull));
    bench.add(FIT + 1);
    bench.work();
    bench.disk.set_fault(None);
    assert!(bench.spool().keep_at_end(bench.lane.abandon()).is_empty());
    bench.work();
    let counts = bench.counts();
    assert_eq!(
        (counts.spooled, counts.dropped(DropReason::SpoolFailed)),
        (FIT as u64 + 1, 0)
    );
}

#[tokio::test]
async fn closing_waits_for_the_disk_and_a_closed_account_stays_as_it_is() {
    let mut bench = Bench::new(&FakeDisk::default(), 10 * MB);
    bench.add(2);
    assert!(bench.spool().keep_at_end(bench.lane.abandon()).is_empty());
    {
        let mut closing = std::pin::pin!(bench.lane.spool().unwrap().close());
        assert!(
            tokio::time::timeout(Duration::ZERO, closing.as_mut())
                .await
                .is_err()
        );
        assert!(
            !bench.worker.work(&bench.lane, || bench.at),
            "that was the last one"
        );
        closing.await;
    }
    assert_eq!(bench.counts().spooled, 2);

    let mut late = Bench::new(&FakeDisk::default(), 10 * MB);
    late.add(2);
    assert!(late.spool().keep_at_end(late.lane.abandon()).is_empty());
    late.spool().close_account();
    assert!(!late.worker.work(&late.lane, || late.at));
    assert_eq!((late.counts().spooled, late.files()), (0, 2));
}

#[test]
fn a_worker_that_is_gone_keeps_nothing() {
    let bench = Bench::new(&FakeDisk::default(), 10 * MB);
    let Bench { lane, worker, at, .. } = bench;
    drop(worker);
    let batch = Batch::of_documents::<Strings>(&[b"\"x\""], at.instant).unwrap();
    let spool = lane.spool().unwrap();
    assert!(spool.keep(batch.clone()).is_some());
    assert_eq!(spool.keep_at_end(vec![batch]).len(), 1);
    assert!(!spool.ask());
    assert_eq!((spool.out(), spool.reading()), (0, 0));
    assert_eq!((spool.to_write_bytes(), spool.pending_documents()), (0, 0));
}

#[test]
fn what_a_worker_that_is_gone_did_not_take_is_still_pending_at_the_end() {
    let mut bench = Bench::new(&FakeDisk::default(), 10 * MB);
    bench.add(3);
    let _in_flight = bench.take();
    let Bench {
        lane, ledger, worker, ..
    } = bench;
    drop(worker);
    assert_eq!(lane.keep_in_spool(), 0);
    assert_eq!((lane.pending_documents(), ledger.snapshot().pending()), (3, 3));
}

#[test]
fn what_goes_to_the_disk_at_the_end_is_not_said_to_have_had_no_room_in_memory() {
    let log = LogLines::collect();
    let mut bench = Bench::new(&FakeDisk::default(), 10 * MB);
    bench.work();
    bench.add(1);
    assert_eq!(bench.lane.keep_in_spool(), 1);
    bench.work();
    assert_eq!(bench.counts().spooled, 1);
    assert_eq!(log.take(), ["[Info] Using spool /spool, at most 10 MB"]);
}

#[test]
fn what_is_on_its_way_to_the_disk_is_pending_until_it_is_counted() {
    let mut bench = Bench::new(&FakeDisk::default(), 10 * MB);
    bench.add(FIT + 3);
    assert_eq!(
        (bench.spool().pending_documents(), bench.lane.pending_documents()),
        (3, FIT as u64 + 3)
    );
    bench.work();
    assert_eq!(
        (bench.spool().pending_documents(), bench.lane.pending_documents()),
        (0, FIT as u64)
    );
    // The same for one that waits on disk again without being written.
    bench.send_all();
    bench.back();
    assert_eq!(bench.lane.keep_in_spool(), 1);
    assert_eq!(bench.lane.pending_documents(), 1);
    bench.work();
    assert_eq!((bench.lane.pending_documents(), bench.counts().pending()), (0, 0));
    // What is written after the last count stays in it.
    let mut late = Bench::new(&FakeDisk::default(), 10 * MB);
    late.add(2);
    assert_eq!(late.lane.keep_in_spool(), 2);
    late.spool().close_account();
    late.worker.work(&late.lane, || late.at);
    assert_eq!((late.lane.pending_documents(), late.counts().pending()), (2, 2));
}

#[test]
fn a_directory_that_somebody_removed_is_made_again_and_nothing_is_lost() {
    let parent = tempfile::tempdir().unwrap();
    let path = parent.path().join("spool");
    let ledger = Arc::new(Ledger::default());
    let (spool, mut worker) = Spool::<Strings>::new(&path, 10 * MB, 1 << 20, Arc::clone(&ledger));
    let lane = Lane::<Strings>::new(Budget::of_mb(3), Arc::clone(&ledger));
    let at = Moment::now();
    worker.claim().unwrap();
    worker.work(&lane, || at);
    std::fs::remove_dir_all(&path).unwrap();
    let keep = |spool: &Spool<Strings>| {
        ledger.add_received(1);
        let batch = Batch::of_documents::<Strings>(&[b"\"x\""], Instant::now()).unwrap();
        assert!(spool.keep(batch).is_none());
    };
    keep(&spool);
    worker.work(&lane, || at);
    keep(&spool);
    worker.work(&lane, || at);
    let counts = ledger.snapshot();
    assert_eq!((counts.dropped_total(), counts.spooled), (0, 2));
    assert!(Directory::new(&path).lock().is_err(), "and has its lock again");
}

#[test]
fn a_directory_that_another_daemon_has_by_now_is_given_up_and_said_and_every_segment_accounted_for() {
    let log = LogLines::collect();
    let disk = FakeDisk::default();
    let mut bench = Bench::new(&disk, 10 * MB);
    bench.add(FIT + 3);
    bench.work();
    bench.send_all();
    let out = bench.back();
    assert_eq!((bench.counts().spooled, bench.spool().out()), (2, 1));

    disk.set_locked(true);
    let before = disk.operations();
    bench.add(FIT);
    bench.work();
    assert_eq!(
        disk.operations(),
        before,
        "nothing is written to what is another one's"
    );
    let counts = bench.counts();
    assert_eq!(
        (
            counts.spooled,
            counts.dropped(DropReason::SpoolDamaged),
            counts.dropped(DropReason::SpoolFailed)
        ),
        (0, 2, 0)
    );
    assert_eq!(
        (bench.spool().waiting_files(), bench.spool().file_bytes()),
        (0, 0)
    );
    let said = log.take();
    assert_eq!(
        said[said.len() - 2..],
        [
            "[Error] The spool /spool is in use by another daemon; segments wait in memory until it can be used, and are \
             dropped when that has no room for more (tried every second)",
            "[Error] 2 segments that waited in the spool /spool are lost: its files were removed, or are the other \
             daemon's now",
        ]
    );

    // The one in memory has lost its file: it is written anew.
    bench.lane.put_back(out.ticket, None, bench.at.instant);
    bench.work();
    bench.add(1);
    bench.work();
    let counts = bench.counts();
    assert_eq!(bench.spool().out(), 0);
    assert_eq!((counts.pending(), counts.dropped_total()), (FIT as u64 + 2, 2));
    disk.set_locked(false);
    bench.pass(RETRY);
    bench.work();
    bench.add(1);
    bench.work();
    assert_eq!(
        (bench.counts().spooled, bench.counts().pending()),
        (3 + 3, FIT as u64)
    );
}
