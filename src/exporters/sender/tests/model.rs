//! Batches, queue, lane, sender and spool together, against an endpoint, a disk and a clock that the test has in
//! hand: whatever comes in whatever order, the ledger adds up, the memory stays within the budget, and nothing is sent
//! again once its success was seen.

use std::collections::BTreeSet;
use std::io;
use std::sync::Mutex;

use bytes::Bytes;
use proptest::prelude::*;

use super::super::*;
use crate::exporters::answer::Unprocessed;
use crate::exporters::xray::encoding::Segments;
use crate::ledger::outcome::ErrorClass;
use crate::ledger::{DropReason, Snapshot};
use crate::logs::testing::cases;
use crate::pipeline::batch;
use crate::pipeline::batch::encoding::Encoding as _;
use crate::pipeline::budget::{Budget, MB};
use crate::pipeline::intake::Intake as _;
use crate::pipeline::spool::store::Moment;
use crate::pipeline::spool::tests::fake::FakeDisk;
use crate::pipeline::spool::worker::Worker;
use crate::pipeline::spool::{self, Spool};

/// How the endpoint behaves.
#[derive(Debug, Clone, Copy)]
enum Mode {
    Answers,
    Fails(ErrorClass),
    /// Asks to be left alone for so long.
    Throttles {
        retry_after_s: u64,
    },
    Hangs,
    /// Takes the documents, and the answer is lost.
    LosesAnswers,
    /// Every so many calls fail.
    Flaps {
        every: usize,
    },
}

/// What a document is for the endpoint; the first letter of its id.
#[derive(Debug, Clone, Copy)]
enum Kind {
    /// `n`: taken.
    Normal,
    /// `p`: with it, the whole call is refused.
    Poison,
    /// `b`: never processed, through a fault of its own.
    Bad,
    /// `t`: not processed in every second call.
    Throttled,
}

#[derive(Debug, Clone)]
enum Step {
    Arrive {
        documents: usize,
        bytes: usize,
        kind: Kind,
    },
    Pass {
        ms: u64,
    },
    Endpoint {
        mode: Mode,
        latency_ms: u64,
    },
    /// The disk fails; or not any more.
    Disk {
        fault: Option<io::ErrorKind>,
    },
    /// The disk does not come back from a call; or it does.
    Stall(bool),
    /// The process ends within so much time, and another one starts on what it left.
    Restart {
        after_ms: u64,
    },
}

/// The endpoint; clones are the same one.
#[derive(Clone)]
struct Endpoint(Arc<Mutex<Service>>);

struct Service {
    mode: Mode,
    latency: Duration,
    calls: usize,
    /// Ids of documents of which the sender has seen that they were taken.
    succeeded: BTreeSet<String>,
    /// Ids of documents that were sent although they had succeeded.
    sent_again: Vec<String>,
}

impl Exporter for Endpoint {
    type Encoding = Segments;

    async fn put(&self, _: batch::kind::Kind, body: Bytes) -> Result<Answer, PutError> {
        let ids: Vec<String> = Segments::describe(&body)
            .into_iter()
            .map(|document| document.id.unwrap())
            .collect();
        let (call, mode, latency) = {
            let mut service = self.0.lock().unwrap();
            service.calls += 1;
            let again: Vec<String> = ids
                .iter()
                .filter(|id| service.succeeded.contains(*id))
                .cloned()
                .collect();
            service.sent_again.extend(again);
            (service.calls, service.mode, service.latency)
        };
        tokio::time::sleep(latency).await;
        let error = |class, retry_after: Option<u64>| PutError {
            class,
            message: format!("{class:?}"),
            status: None,
            code: None,
            whole: false,
            retry_after: retry_after.map(Duration::from_secs),
        };
        match mode {
            Mode::Answers | Mode::LosesAnswers => {}
            Mode::Fails(class) => return Err(error(class, None)),
            Mode::Throttles { retry_after_s } => {
                return Err(error(ErrorClass::Throttled, Some(retry_after_s)));
            }
            Mode::Hangs => {
                tokio::time::sleep(Duration::from_secs(15)).await;
                return Err(error(ErrorClass::Timeout, None));
            }
            Mode::Flaps { every } if call.is_multiple_of(every) => {
                return Err(error(ErrorClass::ServerError, None));
            }
            Mode::Flaps { .. } => {}
        }
        if ids.iter().any(|id| id.starts_with('p')) {
            return Err(error(ErrorClass::Refused, None));
        }
        if matches!(mode, Mode::LosesAnswers) {
            return Err(error(ErrorClass::Connection, None));
        }
        let mut answer = Answer {
            unprocessed: Vec::new(),
            request_id: None,
            ..Answer::default()
        };
        let mut service = self.0.lock().unwrap();
        for id in ids {
            let (code, class) = match id.as_bytes()[0] {
                b'b' => ("InvalidSegment", ErrorClass::Refused),
                b't' if call.is_multiple_of(2) => ("ThrottledException", ErrorClass::Throttled),
                _ => {
                    service.succeeded.insert(id);
                    continue;
                }
            };
            answer.unprocessed.push(Unprocessed {
                id: Some(id),
                error_code: Some(code.to_owned()),
                message: None,
                class,
            });
        }
        Ok(answer)
    }
}

/// One process.
struct Process {
    lane: Arc<Lane<Segments>>,
    ledger: Arc<Ledger>,
    worker: Option<Worker<FakeDisk, Segments>>,
    phase: watch::Sender<Phase>,
    sender: task::JoinHandle<()>,
}

struct Model {
    endpoint: Endpoint,
    disk: Option<FakeDisk>,
    stalled: bool,
    process: Process,
    arrived: u64,
    /// Documents that ended otherwise than by success, in the processes before this one.
    lost: u64,
    epoch: Instant,
}

const BUDGET_MB: u64 = 3;

impl Process {
    fn start(endpoint: &Endpoint, disk: Option<&FakeDisk>) -> Self {
        let ledger = Arc::new(Ledger::default());
        let budget = Budget::of_mb(BUDGET_MB);
        let (lane, worker) = match disk {
            None => (Lane::new(budget, Arc::clone(&ledger)), None),
            Some(disk) => {
                let budget = budget.with_spool();
                let (spool, worker) = Spool::on_fake(disk, 100 * MB, budget.to_spool_bytes, &ledger);
                (
                    Lane::with_spool(budget, Arc::clone(&ledger), Some(spool)),
                    Some(worker),
                )
            }
        };
        let lane = Arc::new(lane);
        let (phase, phases) = watch::channel(Phase::Running);
        let sender = Sender::new(endpoint.clone(), Arc::clone(&lane), Arc::clone(&ledger), None);
        let sender = tokio::spawn(sender.run(phases));
        Self {
            lane,
            ledger,
            worker,
            phase,
            sender,
        }
    }
}

impl Model {
    fn new(spooling: bool) -> Self {
        let endpoint = Endpoint(Arc::new(Mutex::new(Service {
            mode: Mode::Answers,
            latency: Duration::ZERO,
            calls: 0,
            succeeded: BTreeSet::new(),
            sent_again: Vec::new(),
        })));
        let disk = spooling.then(FakeDisk::default);
        Self {
            process: Process::start(&endpoint, disk.as_ref()),
            endpoint,
            disk,
            stalled: false,
            arrived: 0,
            lost: 0,
            epoch: now(),
        }
    }

    fn counts(&self) -> Snapshot {
        self.process.ledger.snapshot()
    }

    fn arrive(&mut self, documents: usize, bytes: usize, kind: Kind) {
        let letter = match kind {
            Kind::Normal => 'n',
            Kind::Poison => 'p',
            Kind::Bad => 'b',
            Kind::Throttled => 't',
        };
        let first = self.arrived;
        self.arrived += documents as u64;
        let texts: Vec<String> = (0..documents as u64)
            // One special document among normal ones.
            .map(|n| {
                let letter = if n == 0 { letter } else { 'n' };
                let pad = "x".repeat(bytes);
                format!("{{\"id\":\"{letter}{}\",\"pad\":\"{pad}\"}}", first + n)
            })
            .collect();
        self.process.ledger.add_received(documents as u64);
        self.process.lane.add(texts.iter().map(String::as_bytes), now());
    }

    /// Time passes, in small steps, and everybody does what is due.
    async fn pass(&mut self, time: Duration) -> Result<(), TestCaseError> {
        let end = now() + time;
        while now() < end {
            let step = Duration::from_millis(100).min(end - now());
            tokio::time::sleep(step).await;
            self.process.lane.tick(now());
            self.disk_works();
            self.settle_down().await;
            self.disk_works();
            self.check()?;
        }
        Ok(())
    }

    /// Lets every task do what it can without time passing.
    async fn settle_down(&self) {
        for _ in 0..20 {
            task::yield_now().await;
        }
    }

    fn disk_works(&mut self) {
        let at = Moment {
            instant: now(),
            unix_ms: 1_795_227_595_034 + now().duration_since(self.epoch).as_millis() as u64,
        };
        if let Some(worker) = self.process.worker.as_mut().filter(|_| !self.stalled) {
            worker.work(&*self.process.lane, || at);
        }
    }

    fn check(&self) -> Result<(), TestCaseError> {
        let counts = self.counts();
        let held = self.process.lane.held();
        let budget_bytes = (BUDGET_MB * MB) as usize;
        let to_write = self.process.lane.spool().map_or(0, Spool::to_write_bytes);
        prop_assert!(held.sealed_bytes + to_write <= budget_bytes);
        if to_write == 0 && !self.stalled {
            prop_assert_eq!(counts.pending(), held.documents as u64, "{:?}", counts);
        } else {
            prop_assert!(counts.pending() >= held.documents as u64, "{:?}", counts);
        }
        let pending = self.process.lane.pending_documents();
        prop_assert_eq!(counts.remainder(), pending as i64, "{:?}", counts);
        let service = self.endpoint.0.lock().unwrap();
        prop_assert!(
            service.sent_again.is_empty(),
            "sent again: {:?}",
            service.sent_again
        );
        Ok(())
    }

    async fn restart(&mut self, after: Duration) -> Result<(), TestCaseError> {
        // A file that could not be removed is sent again, which is said; here it must be gone.
        self.stalled = false;
        if let Some(disk) = &self.disk {
            disk.set_fault(None);
        }
        self.pass(spool::settings::RETRY * 2).await?;
        let now = now();
        self.process.lane.seal(now);
        self.process.phase.send_replace(Phase::Draining);
        self.pass(after).await?;
        self.process.sender.abort();
        self.settle_down().await;
        self.process.lane.keep_in_spool();
        self.disk_works();
        let pending = self.process.lane.pending_documents();
        prop_assert_eq!(self.counts().remainder(), pending as i64);
        self.process.ledger.add_dropped(DropReason::Shutdown, pending);
        let counts = self.counts();
        prop_assert!(self.disk.is_none() || pending == 0, "{:?}", counts);
        self.lost += counts.dropped_total() + counts.unprocessed;
        let disk = self.disk.as_ref().map(FakeDisk::after_kill);
        self.process = Process::start(&self.endpoint, disk.as_ref());
        self.disk = disk;
        self.disk_works();
        prop_assert_eq!(self.counts().recovered, counts.spooled);
        Ok(())
    }

    async fn step(&mut self, step: Step) -> Result<(), TestCaseError> {
        match step {
            Step::Arrive {
                documents,
                bytes,
                kind,
            } => self.arrive(documents, bytes, kind),
            Step::Pass { ms } => self.pass(Duration::from_millis(ms)).await?,
            Step::Endpoint { mode, latency_ms } => {
                let mut service = self.endpoint.0.lock().unwrap();
                service.mode = mode;
                service.latency = Duration::from_millis(latency_ms);
            }
            Step::Disk { fault } => {
                if let Some(disk) = &self.disk {
                    disk.set_fault(fault);
                }
            }
            Step::Stall(stalled) => self.stalled = stalled,
            Step::Restart { after_ms } => self.restart(Duration::from_millis(after_ms)).await?,
        }
        Ok(())
    }

    /// Everything works again: whatever is left arrives.
    async fn recover(&mut self) -> Result<(), TestCaseError> {
        self.step(Step::Endpoint {
            mode: Mode::Answers,
            latency_ms: 5,
        })
        .await?;
        self.step(Step::Disk { fault: None }).await?;
        self.stalled = false;
        let mut waited_s = 0;
        while self.counts().pending() + self.counts().spooled > 0 {
            prop_assert!(waited_s < 300, "stuck: {:?}", self.counts());
            self.pass(Duration::from_secs(1)).await?;
            waited_s += 1;
        }
        // The last files go, also those that could not be removed at first.
        self.pass(spool::settings::RETRY * 2).await?;
        let counts = self.counts();
        self.lost += counts.dropped_total() + counts.unprocessed;
        let succeeded = self.endpoint.0.lock().unwrap().succeeded.len() as u64;
        prop_assert_eq!(self.arrived, succeeded + self.lost, "{:?}", counts);
        if let Some(disk) = &self.disk {
            prop_assert_eq!(disk.names(), Vec::<String>::new());
        }
        Ok(())
    }
}

fn class() -> impl Strategy<Value = ErrorClass> {
    prop::sample::select(
        ErrorClass::ALL
            .into_iter()
            .filter(|class| class.is_retriable())
            .collect::<Vec<_>>(),
    )
}

fn mode() -> impl Strategy<Value = Mode> {
    prop_oneof![
        4 => Just(Mode::Answers),
        3 => class().prop_map(Mode::Fails),
        1 => (0_u64..90).prop_map(|retry_after_s| Mode::Throttles { retry_after_s }),
        1 => Just(Mode::Hangs),
        1 => Just(Mode::LosesAnswers),
        1 => (2_usize..10).prop_map(|every| Mode::Flaps { every }),
    ]
}

fn kind() -> impl Strategy<Value = Kind> {
    prop_oneof![
        6 => Just(Kind::Normal),
        1 => Just(Kind::Poison),
        1 => Just(Kind::Bad),
        1 => Just(Kind::Throttled),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    let fault = prop_oneof![
        Just(None),
        Just(Some(io::ErrorKind::StorageFull)),
        Just(Some(io::ErrorKind::ReadOnlyFilesystem)),
    ];
    prop_oneof![
        6 => (1_usize..120, 1_usize..20_000, kind())
            .prop_map(|(documents, bytes, kind)| Step::Arrive { documents, bytes, kind }),
        4 => (1_u64..20_000).prop_map(|ms| Step::Pass { ms }),
        3 => (mode(), prop_oneof![Just(0), Just(5), Just(1_000), Just(10_000)])
            .prop_map(|(mode, latency_ms)| Step::Endpoint { mode, latency_ms }),
        1 => fault.prop_map(|fault| Step::Disk { fault }),
        1 => any::<bool>().prop_map(Step::Stall),
        1 => (0_u64..3_000).prop_map(|after_ms| Step::Restart { after_ms }),
    ]
}

proptest! {
    #![proptest_config(cases(32))]
    #[test]
    fn whatever_happens_the_ledger_adds_up_the_budget_holds_and_no_success_is_repeated(
        spooling: bool,
        steps in prop::collection::vec(step(), 1..30),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .unwrap();
        runtime.block_on(async {
            let mut model = Model::new(spooling);
            for step in steps {
                model.step(step).await?;
            }
            model.recover().await
        })?;
    }
}
