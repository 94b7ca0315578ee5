//! What the sender decides, one decision at a time.

use super::*;
use crate::pipeline::budget::MB;
use crate::pipeline::spool::Spool;
use crate::pipeline::spool::store::{Moment, Store};
use crate::pipeline::spool::tests::fake::FakeDisk;
use crate::pipeline::spool::worker::Worker;

type Parts = (Sender<Endpoint>, Arc<Lane<Segments>>);

fn sender(lane: Lane<Segments>, concurrency: Option<usize>) -> Parts {
    let lane = Arc::new(lane);
    let endpoint = Endpoint {
        script: Arc::new(|_, _| (Duration::from_secs(3600), ok())),
        seen: Arc::default(),
    };
    let concurrency = concurrency.and_then(NonZeroUsize::new);
    let sender = Sender::new(endpoint, Arc::clone(&lane), Arc::default(), concurrency);
    (sender, lane)
}

/// A sender over a spool in which so many files were found, and the spool's worker, which nobody runs.
fn over_a_spool(found: usize, concurrency: Option<usize>) -> (Parts, Worker<FakeDisk, Segments>) {
    let at = Moment::now();
    let disk = FakeDisk::default();
    let (mut store, _) = Store::<_, Segments>::open(disk.clone(), 100 * MB).unwrap();
    let one = || Batch::of_documents::<Segments>(&[b"\"x\""], at.instant).unwrap();
    assert_eq!(
        store.write((0..found).map(|_| one()).collect(), at).stored.len(),
        found
    );
    let budget = Budget::of_mb(16).with_spool();
    let ledger = Arc::default();
    let (spool, mut worker) = Spool::on_fake(&disk, 100 * MB, budget.to_spool_bytes, &ledger);
    let lane = Lane::with_spool(budget, ledger, Some(spool));
    worker.work(&lane, || at);
    (sender(lane, concurrency), worker)
}

fn seal(lane: &Lane<Segments>, document: &[u8]) {
    lane.add(std::iter::once(document), now());
    lane.seal(now());
}

fn take(lane: &Lane<Segments>) -> Flight {
    match lane.take(now()) {
        Next::Ready(flight) => flight,
        other => panic!("no batch: {other:?}"),
    }
}

/// How many batches the spool was asked for in all.
fn asked(sender: &Sender<Endpoint>) -> usize {
    sender.ask_spool();
    sender.lane.spool().unwrap().out()
}

async fn until_down(sender: &mut Sender<Endpoint>) {
    while sender.pacer.outage().is_none() {
        tokio::time::advance(Duration::from_millis(100)).await;
        let call = sender.pacer.started(50, now(), 1.0);
        let failed = Outcome::Failed { retry_after: None };
        let _ = sender.pacer.ended(call, now(), failed, 1.0);
    }
}

#[tokio::test(start_paused = true)]
async fn the_spool_is_asked_for_half_of_the_calls_and_for_no_more_than_there_is() {
    for (found, concurrency, expected) in [
        (20, None, 4),
        (5, None, 4),
        (4, None, 4),
        (3, None, 3),
        (1, None, 1),
        (0, None, 0),
        (20, Some(7), 3),
        (20, Some(1), 1),
    ] {
        let ((sender, _), _worker) = over_a_spool(found, concurrency);
        assert_eq!(asked(&sender), expected, "{found} files, {concurrency:?}");
        assert_eq!(asked(&sender), expected, "once");
    }
}

#[tokio::test(start_paused = true)]
async fn in_an_outage_the_spool_is_asked_for_one_probe_and_only_where_there_is_no_other() {
    let ((mut sender, _), _worker) = over_a_spool(20, None);
    until_down(&mut sender).await;
    assert_eq!(asked(&sender), 1);
    assert_eq!(asked(&sender), 1, "it is on its way");
    // One waits in memory.
    let ((mut sender, lane), _worker) = over_a_spool(20, None);
    until_down(&mut sender).await;
    seal(&lane, b"{}");
    assert_eq!(asked(&sender), 0);
    // It is being sent.
    let flight = take(&lane);
    sender.start(flight, now());
    assert_eq!(asked(&sender), 0);
}

#[tokio::test(start_paused = true)]
async fn a_refused_segment_that_is_alone_takes_nothing_of_what_the_search_may_cost() {
    let (mut sender, lane) = sender(Lane::new(Budget::of_mb(3), Arc::default()), None);
    let refused = PutError::new(ErrorClass::Refused, "no");
    for _ in 0..700 {
        seal(&lane, b"{}");
        sender.refused(&take(&lane), &refused);
    }
    // Nor does a body that is too long.
    let too_long = PutError {
        status: Some(413),
        ..refused.clone()
    };
    for _ in 0..700 {
        lane.add([&b"{}"[..]; 2].into_iter(), now());
        lane.seal(now());
        sender.refused(&take(&lane), &too_long);
        assert_eq!(lane.abandon().len(), 2);
    }
    for _ in 0..640 {
        lane.add([&b"{}"[..]; 2].into_iter(), now());
        lane.seal(now());
        sender.refused(&take(&lane), &refused);
        let halves = lane.abandon();
        assert!(halves.iter().all(|half| half.not_before.is_none()));
    }
    lane.add([&b"{}"[..]; 2].into_iter(), now());
    lane.seal(now());
    sender.refused(&take(&lane), &refused);
    let next = now() + Duration::from_millis(50);
    assert!(lane.abandon().iter().all(|half| half.not_before == Some(next)));
}

#[tokio::test(start_paused = true)]
async fn the_call_that_is_given_up_is_the_one_that_was_named() {
    let (mut sender, lane) = sender(Lane::new(Budget::of_mb(3), Arc::default()), None);
    for document in [&b"first"[..], b"second", b"third"] {
        seal(&lane, document);
        let flight = take(&lane);
        sender.start(flight, now());
    }
    let mut calls: Vec<CallId> = sender.flights.values().map(|started| started.call).collect();
    calls.sort_unstable();
    sender.give_up(calls[1], now());
    let mut left: Vec<CallId> = sender.flights.values().map(|started| started.call).collect();
    left.sort_unstable();
    assert_eq!(left, [calls[0], calls[2]]);
    assert_eq!(take_body(&lane).await, "{\"TraceSegmentDocuments\":[\"second\"]}");
    let calls = sender.ledger.calls();
    assert_eq!(calls.in_flight, 2);
}

/// The body that waits, once it may go.
async fn take_body(lane: &Lane<Segments>) -> String {
    assert!(matches!(lane.take(now()), Next::NotBefore(_)), "it is held back");
    tokio::time::advance(Duration::from_secs(1)).await;
    String::from_utf8(take(lane).body.to_vec()).unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_batch_that_was_sent_before_counts_as_a_repeat() {
    let (mut sender, lane) = sender(Lane::new(Budget::of_mb(3), Arc::default()), None);
    for (attempts, redeliveries, repeats) in [(0, 0, 0), (1, 0, 1), (0, 1, 2), (2, 3, 3)] {
        seal(&lane, b"{}");
        let flight = Flight {
            attempts,
            redeliveries,
            ..take(&lane)
        };
        sender.start(flight, now());
        assert_eq!(sender.ledger.calls().retries, repeats);
    }
}

#[test]
fn what_a_call_says_of_the_endpoint_is_in_its_answer() {
    let answer = |codes: &[&str]| {
        let unprocessed = codes.iter().map(|code| left("a", code)).collect();
        Ok(Answer {
            unprocessed,
            request_id: None,
            ..Answer::default()
        })
    };
    let throttled = |taken| Outcome::Throttled {
        retry_after: None,
        taken,
    };
    assert_eq!(outcome(&ok(), 2), Outcome::Answered);
    assert_eq!(
        outcome(&answer(&["InvalidName", "InternalFailure"]), 2),
        Outcome::Answered
    );
    assert_eq!(outcome(&answer(&["ThrottledException"]), 2), throttled(1));
    assert_eq!(
        outcome(&answer(&["InvalidName", "ThrottledException"]), 2),
        throttled(0)
    );
    assert_eq!(outcome(&answer(&["ThrottledException"; 3]), 2), throttled(0));
    let retry_after = Some(Duration::from_secs(7));
    let failed = |class| {
        Err(PutError {
            retry_after,
            ..PutError::new(class, "no")
        })
    };
    assert_eq!(
        outcome(&failed(ErrorClass::Throttled), 1),
        Outcome::Throttled {
            retry_after,
            taken: 0
        }
    );
    assert_eq!(
        outcome(&failed(ErrorClass::ServerError), 1),
        Outcome::Failed { retry_after }
    );
    assert_eq!(outcome(&failed(ErrorClass::Refused), 1), Outcome::Answered);
}
