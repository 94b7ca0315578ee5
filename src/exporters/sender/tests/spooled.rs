//! What is in the spool goes out beside the live traffic.

use std::sync::Mutex;

use bytes::Bytes;

use super::super::*;
use crate::exporters::xray::encoding::Segments;
use crate::ledger::outcome::ErrorClass;
use crate::logs::testing::LogLines;
use crate::pipeline::batch::Batch;
use crate::pipeline::batch::kind::Kind;
use crate::pipeline::budget::{Budget, MB};
use crate::pipeline::intake::Intake as _;
use crate::pipeline::spool::Spool;
use crate::pipeline::spool::store::{Moment, Store};
use crate::pipeline::spool::tests::fake::FakeDisk;

/// An endpoint that takes 1 s for each call, or fails at once while it is down.
#[derive(Clone, Default)]
struct Endpoint(Arc<Mutex<Seen>>);

#[derive(Default)]
struct Seen {
    down: bool,
    calls: usize,
    /// Calls in flight that carry what was in the spool, and the most of them.
    spooled_in_flight: usize,
    most_spooled_in_flight: usize,
    latency: Duration,
}

impl Exporter for Endpoint {
    type Encoding = Segments;

    async fn put(&self, _: Kind, body: Bytes) -> Result<Answer, PutError> {
        let spooled = usize::from(body.windows(7).any(|word| word == b"spooled"));
        let (down, latency) = {
            let mut seen = self.0.lock().unwrap();
            seen.calls += 1;
            seen.spooled_in_flight += spooled;
            seen.most_spooled_in_flight = seen.most_spooled_in_flight.max(seen.spooled_in_flight);
            (seen.down, seen.latency)
        };
        tokio::time::sleep(latency).await;
        self.0.lock().unwrap().spooled_in_flight -= spooled;
        if down {
            return Err(PutError {
                class: ErrorClass::ConnectionRefused,
                message: "refused".to_owned(),
                status: None,
                code: None,
                whole: false,
                retry_after: None,
            });
        }
        Ok(Answer {
            unprocessed: Vec::new(),
            request_id: None,
            ..Answer::default()
        })
    }
}

struct Bench {
    endpoint: Endpoint,
    lane: Arc<Lane<Segments>>,
    ledger: Arc<Ledger>,
    _phase: watch::Sender<Phase>,
}

impl Bench {
    /// A sender over a spool in which so many batches of one document were found.
    async fn start(found: usize, latency: Duration, down: bool) -> Self {
        Self::start_with(found, latency, down, None).await
    }

    /// The same with at most so many calls in flight.
    async fn start_with(found: usize, latency: Duration, down: bool, concurrency: Option<usize>) -> Self {
        let at = || Moment {
            instant: now(),
            unix_ms: 1_795_227_595_034,
        };
        let disk = FakeDisk::default();
        let (mut store, _) = Store::<_, Segments>::open(disk.clone(), 100 * MB).unwrap();
        let batches = (0..found).map(|_| Batch::of_documents::<Segments>(&[b"\"spooled\""], now()).unwrap());
        assert_eq!(store.write(batches.collect(), at()).stored.len(), found);

        let ledger = Arc::new(Ledger::default());
        let budget = Budget::of_mb(16).with_spool();
        let (spool, mut worker) = Spool::on_fake(&disk, 100 * MB, budget.to_spool_bytes, &ledger);
        let lane = Arc::new(Lane::with_spool(budget, Arc::clone(&ledger), Some(spool)));
        worker.work(&*lane, at);
        tokio::spawn({
            let lane = Arc::clone(&lane);
            async move {
                loop {
                    tokio::time::sleep(Duration::from_millis(1)).await;
                    worker.work(&*lane, at);
                }
            }
        });
        let endpoint = Endpoint::default();
        endpoint.0.lock().unwrap().latency = latency;
        endpoint.0.lock().unwrap().down = down;
        let (phase, phases) = watch::channel(Phase::Running);
        let sender = Sender::new(
            endpoint.clone(),
            Arc::clone(&lane),
            Arc::clone(&ledger),
            concurrency.and_then(NonZeroUsize::new),
        );
        tokio::spawn(sender.run(phases));
        Self {
            endpoint,
            lane,
            ledger,
            _phase: phase,
        }
    }

    async fn drained(&self) -> Duration {
        let started = now();
        while self.ledger.snapshot().spooled + self.ledger.snapshot().pending() > 0 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        now() - started
    }
}

#[tokio::test(start_paused = true)]
async fn what_was_found_goes_out_without_any_traffic_as_fast_as_the_endpoint_and_the_disk_bear() {
    let bench = Bench::start(200, Duration::from_millis(5), false).await;
    let took = bench.drained().await;
    // Four calls at a time at least, of 5 ms each and a millisecond or two for the disk's turn.
    assert!(
        (Duration::from_millis(30)..Duration::from_millis(400)).contains(&took),
        "{took:?}"
    );
    let counts = bench.ledger.snapshot();
    assert_eq!((counts.recovered, counts.sent), (200, 200));
}

#[tokio::test(start_paused = true)]
async fn it_takes_half_of_the_calls_at_most_where_live_traffic_wants_them() {
    let bench = Bench::start_with(100, Duration::from_secs(1), false, Some(8)).await;
    // Too large to be joined, more than eight calls carry, and never half of the memory.
    let document = vec![b'x'; 70_000];
    for number in 0..400 {
        for _ in 0..if number == 0 { 16 } else { 1 } {
            bench.ledger.add_received(1);
            bench.lane.add(std::iter::once(&document[..]), now());
            bench.lane.seal(now());
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    assert_eq!(bench.endpoint.0.lock().unwrap().most_spooled_in_flight, 4);
    assert!(bench.ledger.snapshot().spooled < 100, "it drains beside");
}

#[tokio::test(start_paused = true)]
async fn it_takes_the_calls_that_live_traffic_leaves_and_so_learns_how_many_the_endpoint_bears() {
    let bench = Bench::start(400, Duration::from_secs(1), false).await;
    // With half of the first eight calls that would be 100 s.
    let took = bench.drained().await;
    assert!(took < Duration::from_secs(25), "{took:?}");
    let most = bench.endpoint.0.lock().unwrap().most_spooled_in_flight;
    assert!((33..=64).contains(&most), "{most}");
}

#[tokio::test(start_paused = true)]
async fn during_an_outage_a_few_batches_are_the_probes_and_the_rest_stays_on_disk() {
    let bench = Bench::start(100, Duration::ZERO, true).await;
    tokio::time::sleep(Duration::from_secs(60)).await;
    let counts = bench.ledger.snapshot();
    // Half of the first eight calls, until it was known for an outage.
    assert_eq!((counts.pending(), counts.spooled), (4, 96));
    let calls = bench.endpoint.0.lock().unwrap().calls;
    assert!((5..180).contains(&calls), "{calls}");
    bench.endpoint.0.lock().unwrap().down = false;
    assert!(bench.drained().await < Duration::from_secs(15));
}

#[tokio::test(start_paused = true)]
async fn what_is_on_disk_is_said_beside_what_waits_in_memory() {
    let log = LogLines::collect();
    let bench = Bench::start(100, Duration::ZERO, true).await;
    tokio::time::sleep(Duration::from_secs(5)).await;
    bench.endpoint.0.lock().unwrap().down = false;
    bench.drained().await;
    let lines = log.take();
    let failing = "[Error] Sending segment batch failed with: refused; 4 segments wait in memory and 96 in the spool and are \
                   sent when calls succeed again (failing for 0.0 s)";
    assert_eq!(
        lines.iter().filter(|line| *line == failing).count(),
        1,
        "{lines:#?}"
    );
    let over = "s; 100 segments wait and are sent now";
    assert_eq!(
        lines.iter().filter(|line| line.ends_with(over)).count(),
        1,
        "{lines:#?}"
    );
}

#[tokio::test(start_paused = true)]
async fn it_waits_while_memory_is_more_than_half_full() {
    let bench = Bench::start(10, Duration::from_secs(1), false).await;
    // 5 of 7 MB, before the sender had its first turn.
    let document = vec![b'x'; 500_000];
    for _ in 0..10 {
        bench.ledger.add_received(1);
        bench.lane.add(std::iter::once(&document[..]), now());
        bench.lane.seal(now());
    }
    tokio::time::sleep(Duration::from_millis(900)).await;
    let counts = bench.ledger.snapshot();
    assert_eq!((counts.spooled, counts.pending()), (10, 10));
    bench.drained().await;
    assert_eq!(bench.ledger.snapshot().sent, 20);
}
