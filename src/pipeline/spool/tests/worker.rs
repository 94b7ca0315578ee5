//! When the worker tries, what it writes together, and what it counts.

use std::io;

use super::fake::FakeDisk;
use super::*;
use crate::pipeline::spool::name::FileName;

/// A batch of one document, whose body has so many bytes.
fn of_bytes(bytes: usize) -> Batch {
    let document = format!("\"{}\"", "x".repeat(bytes - 4));
    Batch::of_documents::<Strings>(&[document.as_bytes()], Instant::now()).unwrap()
}

fn keep(bench: &Bench, batches: Vec<Batch>) {
    let documents: usize = batches.iter().map(|batch| batch.documents).sum();
    bench.ledger.add_received(documents as u64);
    assert!(bench.spool().keep_at_end(batches).is_empty());
}

/// How many times files were written together, if each group of n costs 3n + 1 changes and nothing had to go.
fn groups(bench: &mut Bench, batches: Vec<Batch>) -> usize {
    bench.work();
    let (before, count) = (bench.disk.operations(), batches.len());
    keep(bench, batches);
    bench.work();
    assert_eq!(bench.files(), count);
    bench.disk.operations() - before - 3 * count
}

/// After how many milliseconds it tries next, each time.
fn waits_ms(bench: &mut Bench, times: usize) -> Vec<u64> {
    (0..times)
        .map(|_| {
            let wait = bench.worker.next_wake().unwrap() - bench.at.instant;
            bench.pass(wait - Duration::from_millis(1));
            let operations = bench.disk.operations();
            bench.work();
            assert_eq!(bench.disk.operations(), operations, "not before");
            bench.pass(Duration::from_millis(1));
            bench.work();
            wait.as_millis() as u64
        })
        .collect()
}

#[test]
fn thirty_two_files_are_written_together_and_no_more() {
    let mut bench = Bench::new(&FakeDisk::default(), 100 * MB);
    assert_eq!(groups(&mut bench, vec![of_bytes(64 << 10); 33]), 2);
}

#[test]
fn files_of_a_quarter_of_what_the_spool_may_take_up_are_written_together() {
    // A quarter of 1 MiB is 262,144.
    for (bytes, together) in [(131_072, 2), (131_071, 3), (300_000, 1)] {
        let mut bench = Bench::new(&FakeDisk::default(), MB);
        let count = (900_000 / bytes / together) * together;
        assert_eq!(
            groups(&mut bench, vec![of_bytes(bytes); count]),
            count / together,
            "{bytes}"
        );
    }
}

#[test]
fn small_batches_join_up_to_an_eighth_of_what_may_wait_for_the_disk() {
    let mut bench = Bench::new(&FakeDisk::default(), 10 * MB);
    bench.work();
    // An eighth of 1.5 MiB is 196,608: six bodies of 32,768, whose frames become separators.
    keep(&bench, vec![of_bytes(32_768); 14]);
    bench.work();
    let documents: Vec<usize> = (0..3)
        .map(|_| {
            let batch = bench.back();
            bench.lane.settle(batch.ticket);
            batch.documents
        })
        .collect();
    assert_eq!(documents, [6, 6, 2]);
}

#[test]
fn a_disk_that_refuses_is_left_alone_twice_as_long_each_time_up_to_a_second() {
    let mut bench = Bench::new(&FakeDisk::default(), 10 * MB);
    bench.work();
    bench.disk.set_fault(Some(io::ErrorKind::StorageFull));
    keep(&bench, vec![of_bytes(100)]);
    bench.work();
    assert_eq!(waits_ms(&mut bench, 6), [100, 200, 400, 800, 1000, 1000]);
    bench.disk.set_fault(None);
    assert_eq!(waits_ms(&mut bench, 1), [1000]);
    assert_eq!((bench.files(), bench.worker.next_wake()), (1, None));
    // The next time it begins anew.
    bench.disk.set_fault(Some(io::ErrorKind::StorageFull));
    keep(&bench, vec![of_bytes(100)]);
    bench.work();
    assert_eq!(waits_ms(&mut bench, 1), [100]);
}

#[test]
fn a_directory_that_cannot_be_had_is_tried_every_ten_seconds_and_within_a_second_once_something_waits() {
    let mut bench = Bench::new(&FakeDisk::default(), 10 * MB);
    bench.disk.set_locked(true);
    bench.work();
    assert_eq!(
        waits_ms(&mut bench, 9),
        [100, 200, 400, 800, 1600, 3200, 6400, 10_000, 10_000]
    );
    bench.pass(Duration::from_secs(2));
    keep(&bench, vec![of_bytes(100)]);
    // That was the end, which tries at once.
    bench.work();
    assert_eq!(waits_ms(&mut bench, 1), [200]);

    let mut bench = Bench::new(&FakeDisk::default(), 10 * MB);
    bench.disk.set_locked(true);
    bench.work();
    waits_ms(&mut bench, 8);
    bench.pass(Duration::from_secs(2));
    bench.ledger.add_received(1);
    assert!(bench.spool().keep(of_bytes(100)).is_none());
    bench.work();
    assert_eq!(waits_ms(&mut bench, 3), [1000, 1000, 1000]);

    let mut bench = Bench::new(&FakeDisk::default(), 10 * MB);
    bench.disk.set_locked(true);
    bench.work();
    waits_ms(&mut bench, 8);
    bench.disk.set_locked(false);
    bench.ledger.add_received(1);
    assert!(bench.spool().keep(of_bytes(100)).is_none());
    bench.work();
    assert_eq!((bench.files(), bench.counts().spooled), (0, 0), "not at once");
    assert_eq!(waits_ms(&mut bench, 1), [1000]);
    assert_eq!((bench.files(), bench.counts().spooled), (1, 1));
}

#[test]
fn a_settled_file_that_cannot_be_removed_is_tried_again_after_ten_seconds() {
    let mut bench = Bench::new(&FakeDisk::default(), 10 * MB);
    bench.work();
    keep(&bench, vec![of_bytes(100); 1]);
    bench.work();
    let batch = bench.back();
    bench.disk.set_fault(Some(io::ErrorKind::PermissionDenied));
    bench.lane.settle(batch.ticket);
    bench.work();
    assert_eq!(waits_ms(&mut bench, 2), [10_000, 10_000]);
    bench.disk.set_fault(None);
    assert_eq!((waits_ms(&mut bench, 1), bench.files()), (vec![10_000], 0));
    assert_eq!(bench.worker.next_wake(), None);
}

#[test]
fn a_file_that_cannot_be_read_is_what_the_worker_wakes_up_for() {
    let mut bench = Bench::new(&FakeDisk::default(), 10 * MB);
    bench.work();
    assert_eq!(bench.worker.next_wake(), None);
    keep(&bench, vec![of_bytes(100)]);
    bench.work();
    bench.disk.set_read_fault(Some(io::ErrorKind::PermissionDenied));
    assert!(bench.spool().ask());
    bench.work();
    assert_eq!((bench.spool().ready(), bench.spool().waiting_files()), (0, 1));
    bench.pass(RETRY - Duration::from_millis(1));
    bench.work();
    assert_eq!(bench.spool().ready(), 0, "not before");
    assert_eq!(
        bench.worker.next_wake(),
        Some(bench.at.instant + Duration::from_millis(1))
    );
    bench.pass(Duration::from_millis(1));
    bench.work();
    assert_eq!(bench.spool().ready(), 1);
}

#[test]
fn what_was_asked_for_is_being_read_until_it_has_come_and_out_until_its_end() {
    let mut bench = Bench::new(&FakeDisk::default(), 10 * MB);
    bench.work();
    keep(&bench, vec![of_bytes(70_000); 3]);
    bench.work();
    let counts = |bench: &Bench| {
        let spool = bench.spool();
        (spool.ready(), spool.reading(), spool.out())
    };
    assert_eq!(counts(&bench), (3, 0, 0));
    assert!(bench.spool().ask() && bench.spool().ask());
    assert_eq!(counts(&bench), (3, 2, 2));
    bench.work();
    assert_eq!(counts(&bench), (1, 0, 2));
    let (first, _second) = (bench.take(), bench.take());
    bench.lane.settle(first.ticket);
    bench.work();
    assert_eq!(counts(&bench), (1, 0, 1));
    // Nothing comes for what is asked in vain.
    assert!(bench.spool().ask() && bench.spool().ask());
    bench.work();
    assert_eq!(counts(&bench), (0, 0, 2));
}

#[test]
fn what_was_found_is_counted_with_the_damaged_and_the_files_that_are_too_many() {
    let disk = FakeDisk::default();
    for (sequence, documents) in [(1, 1), (2, 2), (3, 4)] {
        let body = serde_json::to_vec(&vec!["x"; documents]).unwrap();
        let id = FileId {
            opened_ms: 1,
            sequence,
        };
        disk.plant(&FileName::of(id, documents, 0, &body).to_string(), &body);
    }
    let id = FileId {
        opened_ms: 1,
        sequence: 4,
    };
    disk.plant(&FileName::of(id, 8, 0, b"whole").to_string(), b"cut");
    let mut bench = Bench::new(&disk, 2 * index::BLOCK_BYTES);
    bench.work();
    let counts = bench.counts();
    assert_eq!((counts.recovered, counts.spooled), (15, 6));
    assert_eq!(
        (
            counts.dropped(DropReason::SpoolDamaged),
            counts.dropped(DropReason::SpoolFull)
        ),
        (8, 1)
    );
    assert_eq!(counts.pending(), 0);
    assert_eq!(
        (bench.spool().waiting_files(), bench.spool().file_bytes()),
        (2, 2 * index::BLOCK_BYTES)
    );
}

#[test]
fn what_does_not_fit_in_at_all_is_lost_and_counted_beside_what_was_pushed_out() {
    let mut bench = Bench::new(&FakeDisk::default(), 2 * index::BLOCK_BYTES);
    bench.work();
    keep(&bench, vec![of_bytes(4096); 2]);
    bench.work();
    let large = Batch::of_documents::<Strings>(&[&[b'x'; 5000][..]; 3], bench.at.instant).unwrap();
    keep(&bench, vec![large]);
    bench.work();
    let counts = bench.counts();
    assert_eq!((counts.spooled, counts.dropped(DropReason::SpoolFull)), (2, 3));
    keep(&bench, vec![of_bytes(4097)]);
    bench.work();
    let counts = bench.counts();
    assert_eq!((counts.spooled, counts.dropped(DropReason::SpoolFull)), (1, 5));
    assert_eq!((counts.pending(), bench.spool().pending_documents()), (0, 0));
    assert_eq!(bench.spool().to_write_bytes(), 0);
}

#[test]
fn only_what_can_never_be_is_an_error_of_the_directory_at_the_start() {
    for (fault, is_error) in [
        (None, false),
        (Some(io::ErrorKind::WouldBlock), false),
        (Some(io::ErrorKind::StorageFull), false),
        (Some(io::ErrorKind::QuotaExceeded), false),
        (Some(io::ErrorKind::ReadOnlyFilesystem), false),
        (Some(io::ErrorKind::PermissionDenied), true),
        (Some(io::ErrorKind::NotADirectory), true),
    ] {
        let mut bench = Bench::new(&FakeDisk::default(), 10 * MB);
        bench.disk.set_lock_fault(fault);
        let kind = bench.worker.claim().err().map(|error| error.kind());
        assert_eq!(kind, fault.filter(|_| is_error));
        bench.disk.set_lock_fault(None);
        bench.work();
        assert!(bench.worker.claim().is_ok(), "it is had already");
    }
}

#[tokio::test]
async fn the_worker_runs_until_the_spool_is_closed_or_nobody_has_it_any_more() {
    for closed in [true, false] {
        let Bench {
            disk,
            ledger,
            lane,
            worker,
            ..
        } = Bench::new(&FakeDisk::default(), 10 * MB);
        let lane = Arc::new(lane);
        let running = std::thread::spawn({
            let taker = Lane::<Strings>::new(Budget::of_mb(3), Arc::default());
            move || worker.run(&taker)
        });
        ledger.add_received(1);
        assert!(lane.spool().unwrap().keep(of_bytes(100)).is_none());
        if closed {
            lane.spool().unwrap().close().await;
            assert_eq!((disk.names().len(), ledger.snapshot().spooled), (1, 1));
        }
        drop(lane);
        running.join().unwrap();
        assert_eq!(ledger.snapshot().spooled, 1);
    }
}

#[test]
fn the_time_that_keeping_takes_counts_what_waits_for_the_disk_already() {
    let bench = Bench::new(&FakeDisk::default(), 10 * MB);
    let took_ms = |batches, documents, bytes| {
        let took = bench.spool().time_to_keep(batches, documents, bytes);
        (took.as_secs_f64() * 1000.0).round() as u64
    };
    assert_eq!(took_ms(0, 0, 0), 0);
    // 5 ms a file; of two that stay apart, both have more than fifty documents.
    assert_eq!(
        [took_ms(1, 1, 9), took_ms(9, 49, 9), took_ms(9, 50, 9)],
        [5, 5, 15]
    );
    let thirty = Batch::of_documents::<Strings>(&[&b"\"x\""[..]; 30], Instant::now()).unwrap();
    for _ in 0..2 {
        assert!(bench.spool().keep(thirty.clone()).is_none());
    }
    assert_eq!([took_ms(0, 0, 0), took_ms(1, 40, 0)], [15, 25]);
    // 50 ns a byte.
    let bench = Bench::new(&FakeDisk::default(), 10 * MB);
    assert!(bench.spool().keep(of_bytes(1_000_000)).is_none());
    let bytes = bench.spool().to_write_bytes();
    assert!((1_000_000..1_010_000).contains(&bytes), "{bytes}");
    let took = bench.spool().time_to_keep(1, 1, 1_000_000).as_nanos();
    assert!(took.abs_diff((1_000_000 + bytes as u128) * 50) < 1000, "{took}");
}

#[test]
fn a_spool_has_room_for_what_fits_on_its_way_and_on_disk() {
    let budget = Budget::of_mb(3).with_spool();
    let bench = Bench::new(&FakeDisk::default(), 100 * MB);
    assert_eq!(bench.spool().limit_bytes(), 100 * MB);
    assert!(bench.spool().has_room(budget.to_spool_bytes));
    assert!(!bench.spool().has_room(budget.to_spool_bytes + 1));
    assert!(bench.spool().keep(of_bytes(1000)).is_none());
    let left = budget.to_spool_bytes - bench.spool().to_write_bytes();
    assert!(bench.spool().has_room(left) && !bench.spool().has_room(left + 1));

    let mut bench = Bench::new(&FakeDisk::default(), MB);
    bench.work();
    keep(&bench, vec![of_bytes(100_000)]);
    bench.work();
    let left = (MB - bench.spool().file_bytes()) as usize;
    assert_eq!(left, (1 << 20) - 102_400);
    assert!(bench.spool().has_room(left) && !bench.spool().has_room(left + 1));
}
