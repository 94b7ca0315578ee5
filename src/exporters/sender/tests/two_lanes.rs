//! Two destinations: neither waits for the other, and each counts for itself what an answer says without naming it.

use super::*;
use crate::exporters::answer::Unnamed;
use crate::exporters::bodies::Bodies;
use crate::ledger::destination::Destination;
use crate::ledger::signal::{Content, Signal};
use crate::pipeline::intake::Form;

/// What a destination does with a call that comes so long after the start: how long it takes, and its answer.
type Behaviour = fn(Duration) -> (Duration, Result<Answer, PutError>);

/// A destination, and when it was given each document for the first time.
#[derive(Clone)]
struct Place {
    start: Instant,
    behaviour: Behaviour,
    /// How long after its batch was opened each call was taken, in the order of the calls.
    waits: Arc<Mutex<Vec<Duration>>>,
}

impl Exporter for Place {
    type Encoding = Bodies;

    async fn put(&self, _: Kind, _: Bytes) -> Result<Answer, PutError> {
        let (takes, result) = (self.behaviour)(now() - self.start);
        tokio::time::sleep(takes).await;
        if result.is_ok() {
            self.waits.lock().unwrap().push(now() - self.start);
        }
        result
    }
}

fn at_once(_: Duration) -> (Duration, Result<Answer, PutError>) {
    (Duration::from_millis(20), ok())
}

/// Hangs from the tenth second on, for a minute; each call until its time-out.
fn hangs_for_a_minute(since: Duration) -> (Duration, Result<Answer, PutError>) {
    if (10..70).contains(&since.as_secs()) {
        (Duration::from_secs(15), failure(ErrorClass::Timeout))
    } else {
        at_once(since)
    }
}

/// X-Ray's lane with or without one for OTLP beside it, for 100 s at 1,000 segments a second; when each of X-Ray's calls
/// ended, and the counts of both.
async fn run(xray: Behaviour, otlp: Option<Behaviour>) -> (Vec<Duration>, Snapshot, Snapshot) {
    fastrand::seed(7);
    let start = now();
    let place = |behaviour| Place {
        start,
        behaviour,
        waits: Arc::default(),
    };
    let (phase, phases) = watch::channel(Phase::Running);
    let budget = Budget::of_mb(6).share(2);
    let other = otlp.map(|behaviour| {
        let lane = Arc::new(
            Lane::new(budget, Arc::default())
                .to(Destination::Otlp)
                .with_others(),
        );
        let ledger = Arc::clone(lane.ledger());
        let sender = Sender::new(place(behaviour), Arc::clone(&lane), ledger, None);
        (lane, tokio::spawn(sender.run(phases.clone())))
    });
    let lane = Lane::<Bodies>::new(budget, Arc::default());
    let lane = Arc::new(match &other {
        Some((other, _)) => lane.followed_by(Arc::clone(other)),
        None => lane,
    });
    let exporter = place(xray);
    let ledger = Arc::clone(lane.ledger());
    let sender = Sender::new(exporter.clone(), Arc::clone(&lane), Arc::clone(&ledger), None);
    let sender = tokio::spawn(sender.run(phases));
    let document = format!(r#"{{"id":"0123456789abcdef","x":"{}"}}"#, "x".repeat(1000));
    for _ in 0..10_000 {
        tokio::time::sleep(Duration::from_millis(10)).await;
        ledger.add_received(10);
        lane.add([document.as_bytes(); 10].into_iter(), now());
        lane.tick(now());
    }
    lane.seal(now());
    phase.send_replace(Phase::Draining);
    sender.await.unwrap();
    let of_other = match other {
        Some((other, sender)) => {
            sender.await.unwrap();
            other.ledger().snapshot()
        }
        None => Snapshot::default(),
    };
    let waits = exporter.waits.lock().unwrap().clone();
    (waits, ledger.snapshot(), of_other)
}

#[tokio::test(start_paused = true)]
async fn with_the_other_endpoint_hanging_for_a_minute_all_is_as_if_there_were_none() {
    let (alone, counts_alone, _) = run(at_once, None).await;
    assert_eq!((counts_alone.sent, counts_alone.dropped_total()), (100_000, 0));
    let (beside, counts, other) = run(at_once, Some(hangs_for_a_minute)).await;
    assert_eq!(beside, alone, "each call ended when it did");
    assert_eq!(counts, counts_alone);
    // Its own share holds 3 MB of the 60.
    assert!(other.dropped(DropReason::BufferFull) > 50_000, "{other:?}");
    assert_eq!(other.received, other.sent + other.dropped_total());
    assert_eq!(other.received, 100_000);
}

#[tokio::test(start_paused = true)]
async fn with_x_ray_hanging_for_a_minute_otlp_loses_nothing() {
    let (_, counts, other) = run(hangs_for_a_minute, Some(at_once)).await;
    assert!(counts.dropped(DropReason::BufferFull) > 50_000, "{counts:?}");
    assert_eq!(
        (other.sent, other.dropped_total(), other.pending()),
        (100_000, 0, 0)
    );
}

/// What an answer to a batch of so many of `kind` leaves in the account.
async fn settled(kind: Kind, items: u64, answer: Answer) -> (Vec<String>, Arc<Ledger>) {
    #[derive(Clone)]
    struct Says(Answer);

    impl Exporter for Says {
        type Encoding = Bodies;

        async fn put(&self, _: Kind, _: Bytes) -> Result<Answer, PutError> {
            Ok(self.0.clone())
        }
    }

    let log = LogLines::collect();
    let lane = Lane::new(Budget::of_mb(3), Arc::default());
    let lane = Arc::new(lane.to(Destination::Otlp).with_others());
    let ledger = Arc::clone(lane.ledger());
    match kind {
        Kind::Segments => {
            ledger.add_received(items);
            lane.add((0..items).map(|_| &b"{}"[..]), now());
        }
        Kind::Requests(..) => lane.add_requests(kind, &Bytes::from_static(b"request"), items, now()),
    }
    lane.seal(now());
    let (phase, phases) = watch::channel(Phase::Running);
    let sender = Sender::new(Says(answer), lane, Arc::clone(&ledger), None);
    phase.send_replace(Phase::Draining);
    sender.run(phases).await;
    (log.take(), ledger)
}

#[tokio::test(start_paused = true)]
async fn what_a_partial_success_leaves_out_is_unprocessed_and_never_sent_again() {
    let spans = Kind::Requests(Signal::Traces, Form::Protobuf);
    for (rejected, sent, unprocessed) in [(3, 97, 3), (1_000, 0, 100)] {
        let answer = Answer {
            unnamed: Some(Unnamed {
                count: rejected,
                message: "too old".to_owned(),
            }),
            ..Answer::default()
        };
        let (lines, ledger) = settled(spans, 100, answer).await;
        let counts = ledger.snapshot_of(Content::Traces);
        assert_eq!(
            (counts.sent, counts.unprocessed, counts.pending()),
            (sent, unprocessed, 0)
        );
        let code = (Content::Traces, "PartialSuccess".to_owned());
        assert_eq!(ledger.unprocessed_by_code()[&code], unprocessed);
        assert_eq!(
            lines,
            [
                format!("[Info] Successfully sent batch of {sent} spans to OTLP (0.000 seconds)"),
                format!(
                    "[Error] Partial success to OTLP: {unprocessed} of 100 spans were not taken, and are not sent again; \
                     message: too old"
                ),
            ]
        );
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_not_for_the_destination_is_counted_by_its_reason_and_the_rest_is_sent() {
    let answer = Answer {
        left_out: vec![
            (DropReason::InProgress, 4),
            (DropReason::NotConvertible, 1),
            (DropReason::Unsampled, 0),
        ],
        ..Answer::default()
    };
    let (_, ledger) = settled(Kind::Segments, 50, answer).await;
    let counts = ledger.snapshot_of(Content::Segments);
    let dropped = [
        DropReason::InProgress,
        DropReason::NotConvertible,
        DropReason::Unsampled,
    ];
    assert_eq!(dropped.map(|reason| counts.dropped(reason)), [4, 1, 0]);
    assert_eq!((counts.sent, counts.pending()), (45, 0));
}

#[tokio::test(start_paused = true)]
async fn a_batch_with_nothing_for_the_destination_makes_no_call_and_says_nothing_of_its_health() {
    let answer = Answer {
        left_out: vec![(DropReason::InProgress, 50)],
        not_called: true,
        ..Answer::default()
    };
    let (lines, ledger) = settled(Kind::Segments, 50, answer).await;
    let (counts, calls) = (ledger.snapshot(), ledger.calls());
    assert_eq!(
        (counts.dropped(DropReason::InProgress), counts.pending()),
        (50, 0)
    );
    assert_eq!(
        (calls.last_success, calls.in_flight, calls.sent_bytes),
        (None, 0, 0)
    );
    assert_eq!(lines, Vec::<String>::new());
}
