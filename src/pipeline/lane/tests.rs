//! What comes in, what goes out, and what is held meanwhile.

use super::depth::Depth;
use super::incoming::DATAGRAM_MAX_BYTES;
use super::*;
use crate::ledger::DropReason;
use crate::logs::testing::LogLines;
use crate::pipeline::batch::MAX_AGE;
use crate::pipeline::batch::testing::Strings;
use crate::pipeline::intake::Intake as _;
use crate::pipeline::spool::tests::fake::FakeDisk;
use crate::pipeline::spool::worker::Worker;

fn intake() -> Lane<Strings> {
    Lane::new(Budget::of_mb(3), Arc::default())
}

fn segments(count: u64) -> Amounts {
    Amounts::from_iter([(Content::Segments, count)])
}

fn add(intake: &Lane<Strings>, document: &[u8], now: Instant) {
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
fn a_document_that_is_larger_than_a_datagram_goes_in_a_batch_of_its_own_behind_what_came_before() {
    for (bytes, batches, waiting) in [(DATAGRAM_MAX_BYTES, 1, 0), (DATAGRAM_MAX_BYTES + 1, 2, 2)] {
        let (intake, now) = (intake(), Instant::now());
        add(&intake, b"small", now);
        intake.add_from_elsewhere(&vec![b'x'; bytes], now);
        assert_eq!(intake.waiting_documents(), waiting, "{bytes}");
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
async fn the_receiver_is_not_told_again_while_it_waits_for_a_batch_and_is_when_it_waits_for_none() {
    let (intake, now) = (intake(), Instant::now());
    intake.add_from_elsewhere(b"x", now);
    assert!(is_ready(intake.opened()).await);
    assert_eq!(intake.next_tick(), Some(now + MAX_AGE));
    // The rest of this batch, and the first document of the next: the timer of this one comes before.
    for _ in 0..50 {
        intake.add_from_elsewhere(b"x", now);
        assert!(!is_ready(intake.opened()).await);
    }
    let due = now + MAX_AGE;
    intake.tick(due);
    assert_eq!(intake.next_tick(), None);
    intake.add_from_elsewhere(b"x", due);
    assert!(is_ready(intake.opened()).await);
    assert_eq!(intake.next_tick(), Some(due + MAX_AGE));
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
    intake.lose(segments(1), DropReason::BufferFull, now);
    assert_eq!(intake.next_tick(), None);
    intake.lose(segments(1), DropReason::BufferFull, now);
    let due = now + Duration::from_secs(1);
    assert_eq!(intake.next_tick(), Some(due));
    intake.tick(due);
    assert_eq!(intake.next_tick(), None);
}

#[test]
fn the_oldest_document_is_the_oldest_of_those_that_wait_sealed_or_not() {
    let (intake, now) = (intake(), Instant::now());
    assert_eq!((intake.oldest(), intake.held().sealed_bytes), (None, 0));
    let second = now + Duration::from_secs(1);
    add(&intake, b"x", now);
    assert_eq!(
        (intake.oldest(), intake.held().sealed_bytes),
        (Some(now), 0),
        "only what is sealed is counted"
    );
    intake.seal(now);
    add(&intake, b"x", second);
    assert_eq!(intake.oldest(), Some(now));
    let sealed_bytes = intake.held().sealed_bytes;
    assert!(matches!(intake.take(now), Next::Ready(_)), "it was sealed");
    assert_eq!(
        (intake.oldest(), intake.held().sealed_bytes),
        (Some(second), sealed_bytes)
    );
}

#[test]
fn what_was_pushed_out_is_said_once_a_second_and_at_the_end() {
    let log = LogLines::collect();
    let (intake, now) = (intake(), Instant::now());
    for documents in [1, 20, 300] {
        intake.lose(segments(documents), DropReason::BufferFull, now);
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
    intake.lose(
        segments(4000),
        DropReason::BufferFull,
        now + Duration::from_secs(1),
    );
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
    let mut left = intake.abandon();
    assert_eq!(left.len(), 2, "in flight and open");
    let batch = left.remove(0);
    assert!(!intake.settle(in_flight.ticket));
    assert!(!intake.replace(in_flight.ticket, [batch.clone()], now));
    assert!(!intake.take_back(batch));
    assert_eq!((intake.held().documents, intake.held().sealed_bytes), (0, 0));
}
/// A lane of 3 MB over a spool on a disk that has shown nothing, and its worker, which nobody runs.
fn over_a_spool() -> (Lane<Strings>, Worker<FakeDisk, Strings>) {
    let (ledger, budget) = (Arc::default(), Budget::of_mb(3).with_spool());
    let (spool, worker) = Spool::on_fake(&FakeDisk::default(), 1 << 30, budget.to_spool_bytes, &ledger);
    (Lane::with_spool(budget, ledger, Some(spool)), worker)
}

/// Seals a batch of so many documents of so many bytes.
fn seal(intake: &Lane<Strings>, documents: usize, bytes: usize, now: Instant) {
    let document = vec![b'x'; bytes];
    intake.add(std::iter::repeat_n(&document[..], documents), now);
    intake.seal(now);
}

#[test]
fn the_time_that_keeping_takes_counts_what_is_open_what_waits_and_what_is_in_flight() {
    let now = Instant::now();
    let took_ms = |lane: &Lane<Strings>| (lane.time_to_keep().as_secs_f64() * 1000.0).round() as u64;
    assert_eq!(took_ms(&intake()), 0, "there is no spool");
    // 5 ms a file. Fifty documents in all: up to three files.
    let (lane, _worker) = over_a_spool();
    seal(&lane, 10, 1, now);
    assert!(matches!(lane.take(now), Next::Ready(_)), "in flight");
    for _ in 0..5 {
        seal(&lane, 4, 1, now);
    }
    lane.add([&b"x"[..]; 20].into_iter(), now);
    assert_eq!(took_ms(&lane), 15);
    // No more files than batches: two, and the open one.
    let (lane, _worker) = over_a_spool();
    for _ in 0..2 {
        seal(&lane, 49, 1, now);
    }
    lane.add([&b"x"[..]; 40].into_iter(), now);
    assert_eq!(took_ms(&lane), 15);
    // 50 ns a byte.
    let (lane, _worker) = over_a_spool();
    seal(&lane, 1, 60_000, now);
    lane.add([&[b'x'; 60_000][..]; 5].into_iter(), now);
    let Depth { open, waiting, .. } = lane.depth();
    assert!(open.bytes > 300_000 && waiting.bytes > 60_000);
    let took = lane.time_to_keep().as_nanos();
    assert!(
        took.abs_diff((open.bytes + waiting.bytes) as u128 * 50) < 1000,
        "{took}"
    );
}

#[test]
fn bodies_to_come_keep_within_a_bound_until_it_is_taken_away() {
    let now = Instant::now();
    let intake = intake();
    let batches = |intake: &Lane<Strings>| {
        seal(intake, 20, 98, now);
        let batches = intake.abandon();
        batches.iter().map(|batch| batch.documents).collect::<Vec<_>>()
    };
    assert_eq!(batches(&intake), [20]);
    intake.bound_bodies(Some(1011));
    assert_eq!(batches(&intake), [10, 10]);
    intake.bound_bodies(None);
    assert_eq!(batches(&intake), [20]);
}

#[test]
fn what_is_held_back_goes_at_once_when_it_is_released() {
    let now = Instant::now();
    let (intake, later) = (intake(), now + Duration::from_secs(9));
    seal(&intake, 1, 1, now);
    let Next::Ready(flight) = intake.take(now) else {
        panic!("it was sealed");
    };
    intake.put_back(flight.ticket, Some(later), now);
    assert!(matches!(intake.take(now), Next::NotBefore(at) if at == later));
    intake.release();
    assert!(matches!(intake.take(now), Next::Ready(_)));
}

#[test]
fn each_batch_in_flight_ends_once() {
    let now = Instant::now();
    let intake = intake();
    let take = || match intake.take(now) {
        Next::Ready(flight) => flight,
        other => panic!("no batch: {other:?}"),
    };
    seal(&intake, 3, 1, now);
    let whole = take();
    let halves = || Batch::halves::<Strings>(whole.kind, &whole.body, now).unwrap();
    assert!(intake.replace(whole.ticket, halves(), now));
    assert!(!intake.replace(whole.ticket, halves(), now));
    assert_eq!(intake.waiting_documents(), 3);
    let half = take();
    assert!(intake.settle(half.ticket));
    assert!(!intake.settle(half.ticket));
    assert_eq!((intake.waiting_documents(), intake.held().documents), (2, 2));
}

#[test]
fn there_is_room_beside_what_comes_in_while_less_than_half_is_used() {
    let (intake, now) = (intake(), Instant::now());
    // 2,752,512 bytes for what is sealed, 393,216 for each that is being read.
    assert!(intake.has_room_beside(3));
    assert!(!intake.has_room_beside(4));
    seal(&intake, 4, 60_000, now);
    assert!(intake.has_room_beside(2));
    assert!(!intake.has_room_beside(3));
}

#[test]
fn what_the_spool_has_taken_at_the_end_is_told_and_what_it_refused_stays() {
    let now = Instant::now();
    let with_three = || {
        let (lane, worker) = over_a_spool();
        seal(&lane, 3, 1, now);
        (lane, worker)
    };
    let (lane, _worker) = with_three();
    assert_eq!((lane.keep_in_spool(), lane.held().documents), (3, 0));
    assert_eq!(lane.pending_documents(), 3, "on their way");
    let (lane, worker) = with_three();
    drop(worker);
    assert_eq!((lane.keep_in_spool(), lane.held().documents), (0, 3));
    assert_eq!(lane.pending_documents(), 3);
    let alone = intake();
    seal(&alone, 3, 1, now);
    assert_eq!((alone.keep_in_spool(), alone.held().documents), (0, 3));
}

#[test]
fn what_is_pending_is_open_waits_is_in_flight_or_on_its_way_to_the_spool() {
    let now = Instant::now();
    let (lane, _worker) = over_a_spool();
    let spool = lane.spool().unwrap();
    let batch =
        |documents: usize| Batch::of_documents::<Strings>(&vec![&b"\"x\""[..]; documents], now).unwrap();
    assert!(spool.keep(batch(5)).is_none());
    seal(&lane, 7, 1, now);
    assert!(matches!(lane.take(now), Next::Ready(_)), "in flight");
    seal(&lane, 11, 1, now);
    lane.add([&b"x"[..]; 13].into_iter(), now);
    assert_eq!(lane.pending_documents(), 5 + 7 + 11 + 13);
    assert_eq!(lane.waiting_documents(), 11);
}

#[test]
fn what_has_no_room_on_its_way_to_the_spool_is_lost_and_counted() {
    let log = LogLines::collect();
    let (lane, _worker) = over_a_spool();
    // 1.5 MiB less an open batch of 384 KiB for what waits, 1.5 MiB for what is on its way.
    for _ in 0..60 {
        seal(&lane, 1, 60_000, Instant::now());
    }
    let dropped = lane.ledger.snapshot().dropped(DropReason::SpoolSlow);
    assert_eq!(dropped + lane.pending_documents(), 60);
    assert!(dropped > 0);
    assert!(log.take()[0].contains("and the spool's disk does not keep up"));
}
