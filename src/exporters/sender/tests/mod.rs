use std::collections::HashMap;
use std::sync::Mutex;

use bytes::Bytes;

mod decides;
mod half_ill;
mod model;
mod refused;
mod said;
mod spooled;
mod two_lanes;
mod unprocessed;

use super::ended::outcome;
use super::length::BOUND_BODIES_FOR;
use super::*;
use crate::exporters::answer::Unprocessed;
use crate::exporters::pacer::Outcome;
use crate::exporters::xray::encoding::Segments;
use crate::ledger::outcome::ErrorClass;
use crate::ledger::{DropReason, Snapshot};
use crate::logs::testing::LogLines;
use crate::pipeline::batch::Batch;
use crate::pipeline::batch::encoding::Encoding as _;
use crate::pipeline::batch::kind::Kind;
use crate::pipeline::budget::Budget;
use crate::pipeline::intake::Intake as _;

type Script = dyn Fn(usize, &str) -> (Duration, Result<Answer, PutError>) + Send + Sync;

/// An endpoint that answers as its script says: (number of the call, body) to (after how long, what).
#[derive(Clone)]
struct Endpoint {
    script: Arc<Script>,
    seen: Arc<Mutex<Seen>>,
}

#[derive(Default)]
struct Seen {
    calls: usize,
    in_flight: usize,
    most_in_flight: usize,
    delivered: HashMap<String, usize>,
}

impl Exporter for Endpoint {
    type Encoding = Segments;

    async fn put(&self, _: Kind, body: Bytes) -> Result<Answer, PutError> {
        let body = String::from_utf8(body.to_vec()).unwrap();
        let call = {
            let mut seen = self.seen.lock().unwrap();
            seen.calls += 1;
            seen.in_flight += 1;
            seen.most_in_flight = seen.most_in_flight.max(seen.in_flight);
            seen.calls - 1
        };
        let (after, result) = (self.script)(call, &body);
        tokio::time::sleep(after).await;
        let mut seen = self.seen.lock().unwrap();
        seen.in_flight -= 1;
        if result.is_ok() {
            *seen.delivered.entry(body).or_default() += 1;
        }
        result
    }
}

struct Bench {
    lane: Arc<Lane<Segments>>,
    ledger: Arc<Ledger>,
    endpoint: Endpoint,
    phase: watch::Sender<Phase>,
    sender: task::JoinHandle<()>,
}

impl Bench {
    fn start(
        concurrency: Option<usize>,
        script: impl Fn(usize, &str) -> (Duration, Result<Answer, PutError>) + Send + Sync + 'static,
    ) -> Self {
        let ledger = Arc::new(Ledger::default());
        let lane = Arc::new(Lane::new(Budget::of_mb(3), Arc::clone(&ledger)));
        let endpoint = Endpoint {
            script: Arc::new(script),
            seen: Arc::default(),
        };
        let (phase, phases) = watch::channel(Phase::Running);
        let concurrency = concurrency.and_then(NonZeroUsize::new);
        let sender = Sender::new(
            endpoint.clone(),
            Arc::clone(&lane),
            Arc::clone(&ledger),
            concurrency,
        );
        let sender = tokio::spawn(sender.run(phases));
        Self {
            lane,
            ledger,
            endpoint,
            phase,
            sender,
        }
    }

    /// Adds `batches` full batches of 50 documents, each numbered.
    fn add(&self, batches: usize) {
        for batch in 0..batches {
            let documents: Vec<String> = (0..50)
                .map(|document| format!("batch {batch} document {document}"))
                .collect();
            self.ledger.add_received(50);
            self.lane.add(documents.iter().map(String::as_bytes), now());
        }
    }

    async fn drain(self) -> (Snapshot, Seen) {
        self.phase.send_replace(Phase::Draining);
        self.sender.await.unwrap();
        (
            self.ledger.snapshot(),
            std::mem::take(&mut self.endpoint.seen.lock().unwrap()),
        )
    }
}

fn ok() -> Result<Answer, PutError> {
    Ok(Answer {
        unprocessed: Vec::new(),
        request_id: None,
        ..Answer::default()
    })
}

fn failure(class: ErrorClass) -> Result<Answer, PutError> {
    Err(PutError {
        class,
        message: format!("{class:?}"),
        status: None,
        code: None,
        whole: false,
        retry_after: None,
    })
}

const AT_ONCE: Duration = Duration::ZERO;

#[tokio::test(start_paused = true)]
async fn every_batch_is_sent_once_and_counted_as_sent() {
    let bench = Bench::start(None, |_, _| (Duration::from_millis(3), ok()));
    bench.add(20);
    let (counts, seen) = bench.drain().await;
    assert_eq!(
        (counts.sent, counts.pending(), counts.dropped_total()),
        (1000, 0, 0)
    );
    assert_eq!((seen.calls, seen.delivered.len()), (20, 20));
}

#[tokio::test(start_paused = true)]
async fn a_call_that_panics_loses_nothing_and_its_batch_is_sent_again() {
    let log = LogLines::collect();
    let bench = Bench::start(None, |call, _| {
        assert!(call != 1, "not this one");
        (Duration::from_millis(3), ok())
    });
    bench.add(4);
    tokio::time::sleep(Duration::from_secs(1)).await;
    let ledger = Arc::clone(&bench.ledger);
    let (counts, seen) = bench.drain().await;
    assert_eq!(
        (counts.sent, counts.pending(), counts.dropped_total()),
        (200, 0, 0)
    );
    assert_eq!((seen.calls, seen.delivered.len()), (5, 4));
    let calls = ledger.calls();
    assert_eq!((calls.in_flight, calls.retries), (0, 1));
    let lost = log.take();
    let lost = lost
        .iter()
        .filter(|line| line.contains("A call ended in a way that it should not"));
    assert_eq!(lost.count(), 1);
}

#[tokio::test(start_paused = true)]
async fn the_batches_of_calls_that_are_cut_are_still_in_the_lane() {
    let bench = Bench::start(Some(2), |_, _| (Duration::from_secs(3600), ok()));
    bench.add(3);
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(bench.lane.depth().in_flight.documents, 100);
    bench.sender.abort();
    assert!(bench.sender.await.unwrap_err().is_cancelled());
    let left: Vec<usize> = bench.lane.abandon().iter().map(|batch| batch.documents).collect();
    assert_eq!(left, [50, 50, 50]);
}

#[tokio::test(start_paused = true)]
async fn an_outage_of_a_minute_costs_nothing_that_fits_into_the_budget() {
    for class in [
        ErrorClass::Timeout,
        ErrorClass::ConnectionRefused,
        ErrorClass::Connection,
        ErrorClass::UnknownHost,
        ErrorClass::ServerError,
        ErrorClass::Throttled,
        ErrorClass::NotAnAnswer,
        ErrorClass::Credentials,
        ErrorClass::Other,
    ] {
        let start = now();
        let bench = Bench::start(None, move |_, _| {
            let over = now() >= start + Duration::from_secs(60);
            (AT_ONCE, if over { ok() } else { failure(class) })
        });
        bench.add(100);
        tokio::time::sleep(Duration::from_secs(75)).await;
        assert_eq!(
            bench.ledger.snapshot().sent,
            5000,
            "{class:?} within 15 s of the end, before any shutdown"
        );
        let (counts, seen) = bench.drain().await;
        assert_eq!(
            (counts.sent, counts.pending(), counts.dropped_total()),
            (5000, 0, 0),
            "{class:?}"
        );
        assert!(seen.delivered.values().all(|&times| times == 1), "{class:?}");
        // Nothing is known of the endpoint: it may be one that always fails nine of ten calls. Some ninety calls tell, in
        // ten seconds, then single probes go out, ten of them before the back-off doubles: no storm.
        assert!(
            (10..180).contains(&(seen.calls - 100)),
            "{class:?}: {} failed calls",
            seen.calls - 100
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_poisoned_document_takes_none_of_its_neighbours_with_it() {
    let bench = Bench::start(None, |_, body| {
        let poisoned = body.contains("batch 3 document 17\"") || body.contains("batch 3 document 49\"");
        (
            AT_ONCE,
            if poisoned {
                failure(ErrorClass::Refused)
            } else {
                ok()
            },
        )
    });
    bench.add(5);
    let (counts, seen) = bench.drain().await;
    assert_eq!(
        (counts.sent, counts.dropped(DropReason::Refused), counts.pending()),
        (248, 2, 0)
    );
    assert!(seen.delivered.values().all(|&times| times == 1));
    // Five batches, and two bad ones of fifty are found within 2 x 2 x log2(50) calls.
    assert!(seen.calls <= 5 + 24, "{}", seen.calls);
}

#[tokio::test(start_paused = true)]
async fn where_everything_is_refused_the_number_of_extra_calls_is_bounded() {
    let bench = Bench::start(None, |_, _| (AT_ONCE, failure(ErrorClass::Refused)));
    bench.add(40);
    let (counts, seen) = bench.drain().await;
    assert_eq!(
        (counts.sent, counts.dropped(DropReason::Refused), counts.pending()),
        (0, 2000, 0)
    );
    // Each batch is halved until its documents are alone: nobody knows before that there is no good one.
    assert_eq!(seen.calls, 40 * 99);
}

#[tokio::test(start_paused = true)]
async fn a_batch_that_fails_for_ever_does_not_stand_before_the_others() {
    let bench = Bench::start(Some(1), |_, body| {
        (
            AT_ONCE,
            if body.contains("batch 0 ") {
                failure(ErrorClass::ServerError)
            } else {
                ok()
            },
        )
    });
    bench.add(10);
    tokio::time::sleep(Duration::from_secs(5)).await;
    let counts = bench.ledger.snapshot();
    assert_eq!((counts.sent, counts.pending()), (450, 50));
    bench.sender.abort();
}

fn left(id: &str, code: &str) -> Unprocessed {
    Unprocessed {
        id: Some(id.to_owned()),
        error_code: Some(code.to_owned()),
        message: Some("why".to_owned()),
        class: match code {
            "ThrottledException" => ErrorClass::Throttled,
            "InternalFailure" => ErrorClass::ServerError,
            _ => ErrorClass::Refused,
        },
    }
}

#[tokio::test(start_paused = true)]
async fn unprocessed_segments_do_not_count_as_sent() {
    let answer = Answer {
        unprocessed: vec![left("a", "InvalidName"), left("b", "ParseError")],
        request_id: None,
        ..Answer::default()
    };
    let bench = Bench::start(None, move |_, _| (AT_ONCE, Ok(answer.clone())));
    bench.add(1);
    let ledger = Arc::clone(&bench.ledger);
    let (counts, seen) = bench.drain().await;
    assert_eq!((counts.sent, counts.unprocessed, counts.pending()), (48, 2, 0));
    assert_eq!(seen.calls, 1);
    let codes = ledger.unprocessed_by_code().into_iter();
    let codes: Vec<(String, u64)> = codes.map(|((_, code), count)| (code, count)).collect();
    assert_eq!(
        codes,
        [("InvalidName".to_owned(), 1), ("ParseError".to_owned(), 1)]
    );
}

#[tokio::test(start_paused = true)]
async fn a_segment_that_the_service_could_not_process_through_no_fault_of_its_own_goes_again() {
    let bench = Bench::start(None, |call, body| {
        assert_eq!(
            body.contains("good"),
            call == 0,
            "only the unprocessed one is sent again: {body}"
        );
        let unprocessed = if call < 2 {
            vec![left("b2", "ThrottledException")]
        } else {
            Vec::new()
        };
        (
            AT_ONCE,
            Ok(Answer {
                unprocessed,
                request_id: None,
                ..Answer::default()
            }),
        )
    });
    bench.ledger.add_received(2);
    let documents = [
        &br#"{"id": "b1", "name": "good"}"#[..],
        br#"{"id": "b2", "name": "throttled"}"#,
    ];
    bench.lane.add(documents.into_iter(), now());
    bench.lane.seal(now());
    let (counts, seen) = bench.drain().await;
    assert_eq!(
        (counts.sent, counts.unprocessed, counts.pending(), seen.calls),
        (2, 0, 0, 3)
    );
}

#[tokio::test(start_paused = true)]
async fn a_segment_over_which_the_service_fails_for_a_minute_is_given_up() {
    let bench = Bench::start(None, |_, _| {
        (
            AT_ONCE,
            Ok(Answer {
                unprocessed: vec![left("b", "InternalFailure")],
                request_id: None,
                ..Answer::default()
            }),
        )
    });
    bench.ledger.add_received(1);
    bench.lane.add(std::iter::once(&br#"{"id":"b"}"#[..]), now());
    bench.lane.seal(now());
    let (counts, seen) = bench.drain().await;
    assert_eq!(
        (counts.sent, counts.unprocessed, counts.pending(), seen.calls),
        (0, 1, 0, 17)
    );
}

#[tokio::test(start_paused = true)]
async fn a_slow_endpoint_gets_more_calls_in_flight_until_the_cap() {
    let bench = Bench::start(None, |_, _| (Duration::from_secs(1), ok()));
    bench.add(400);
    let started = now();
    let (counts, seen) = bench.drain().await;
    assert_eq!((counts.sent, seen.most_in_flight), (20_000, 64));
    // Eight at a time would take 50 s.
    assert_eq!((now() - started).as_secs(), 9);
}

#[tokio::test(start_paused = true)]
async fn concurrency_when_set_is_the_cap() {
    let bench = Bench::start(Some(3), |_, _| (Duration::from_secs(1), ok()));
    bench.add(30);
    let (_, seen) = bench.drain().await;
    assert_eq!(seen.most_in_flight, 3);
}

#[tokio::test(start_paused = true)]
async fn a_full_budget_drops_the_oldest_and_counts_them() {
    // Hangs for ever, so that nothing leaves.
    let bench = Bench::start(Some(1), |_, _| (Duration::from_secs(3600), ok()));
    let document = vec![b'x'; 60_000];
    for _ in 0..100 {
        bench.ledger.add_received(1);
        bench.lane.add(std::iter::once(&document[..]), now());
        task::yield_now().await;
    }
    let counts = bench.ledger.snapshot();
    let kept = counts.pending();
    assert_eq!(counts.dropped(DropReason::BufferFull) + kept, 100);
    // 3 MB hold 52 documents of 60 KB; the open batch's share and rounding to batches take some.
    assert!((40..=52).contains(&kept), "{kept}");
    bench.sender.abort();
}

#[tokio::test(start_paused = true)]
async fn draining_tries_everything_that_was_held_back_at_once() {
    let down = Arc::new(std::sync::atomic::AtomicBool::new(true));
    let bench = Bench::start(None, {
        let down = Arc::clone(&down);
        move |_, _| {
            let down = down.load(std::sync::atomic::Ordering::SeqCst);
            (
                AT_ONCE,
                if down {
                    failure(ErrorClass::Connection)
                } else {
                    ok()
                },
            )
        }
    });
    bench.add(4);
    tokio::time::sleep(Duration::from_secs(120)).await;
    down.store(false, std::sync::atomic::Ordering::SeqCst);
    let started = now();
    let (counts, _) = bench.drain().await;
    assert_eq!(counts.sent, 200);
    assert_eq!(now() - started, Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn an_idle_sender_waits_for_batches_and_for_no_time() {
    let ledger = Arc::new(Ledger::default());
    let lane = Arc::new(Lane::new(Budget::of_mb(3), Arc::clone(&ledger)));
    let endpoint = Endpoint {
        script: Arc::new(|_, _| (AT_ONCE, ok())),
        seen: Arc::default(),
    };
    let mut sender = Sender::new(endpoint, Arc::clone(&lane), ledger, None);
    assert_eq!(sender.start_calls(now()), Wait::ForBatches);
    // Nor does an outage set one while there is nothing to try it with.
    while sender.pacer.outage().is_none() {
        tokio::time::advance(Duration::from_millis(100)).await;
        let call = sender.pacer.started(50, now(), 1.0);
        let failed = Outcome::Failed { retry_after: None };
        let _ = sender.pacer.ended(call, now(), failed, 1.0);
    }
    assert_eq!(sender.start_calls(now()), Wait::ForBatches);
    // The open batch is the receiver's business until it is sealed.
    lane.add(std::iter::once(&b"{}"[..]), now());
    assert_eq!(sender.start_calls(now()), Wait::ForBatches);
    lane.seal(now());
    assert_eq!(
        sender.start_calls(now()),
        Wait::Until(now() + Duration::from_millis(200))
    );
}

#[tokio::test(start_paused = true)]
async fn an_outage_is_said_when_it_begins_once_a_minute_and_when_it_is_over() {
    let log = LogLines::collect();
    let start = now();
    let bench = Bench::start(None, move |_, _| {
        let over = now() >= start + Duration::from_secs(100);
        (
            AT_ONCE,
            if over {
                ok()
            } else {
                failure(ErrorClass::ConnectionRefused)
            },
        )
    });
    bench.add(2);
    tokio::time::sleep(Duration::from_secs(120)).await;
    let lines: Vec<String> = log
        .take()
        .into_iter()
        .filter(|line| !line.contains("Successfully sent"))
        .collect();
    assert_eq!(lines.len(), 3, "{lines:#?}");
    assert_eq!(
        lines[0],
        "[Error] Sending segment batch failed with: ConnectionRefused; 100 segments wait in memory and are sent when \
         calls succeed again (failing for 0.0 s)"
    );
    assert!(
        lines[1].starts_with("[Error] Sending segment batch failed"),
        "{lines:#?}"
    );
    assert!(
        lines[2].starts_with("[Info] Calls succeed again after 1"),
        "{lines:#?}"
    );
    bench.drain().await;
}

#[tokio::test(start_paused = true)]
async fn an_endpoint_that_fails_now_and_then_does_not_fill_the_log() {
    let log = LogLines::collect();
    let bench = Bench::start(None, |call, _| {
        (
            Duration::from_millis(10),
            if call % 10 == 0 {
                failure(ErrorClass::ServerError)
            } else {
                ok()
            },
        )
    });
    for _ in 0..100 {
        bench.add(4);
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    let lines: Vec<String> = log
        .take()
        .into_iter()
        .filter(|line| !line.contains("Successfully sent"))
        .collect();
    // Some forty outages of a tenth of a second within 100 s: two are said, each with its end.
    assert_eq!(lines.len(), 4, "{lines:#?}");
    let (counts, _) = bench.drain().await;
    assert_eq!(counts.sent, 20_000);
}
