//! A run: the processes of a plan, one after the other, and what must hold between and after them.

use std::sync::Arc;
use std::time::{Duration, Instant};

use fastrand::Rng;
use tokio::runtime;
use tokio::sync::{oneshot, watch};

use super::disk::SimulatedDisk;
use super::disk_thread::DiskThread;
use super::endpoint::{Endpoint, Told};
use super::moment;
use super::plan::{End, Life, Plan};
use super::source::Source;
use super::trace::Trace;
use super::watch::Watch;
use crate::api::health::Health;
use crate::daemon::remainder;
use crate::daemon::running::{Part, Running, Sending};
use crate::daemon::signals::Stop;
use crate::exporters::bodies::Bodies;
use crate::exporters::pacer::DEFAULT_MAX_CONCURRENCY;
use crate::exporters::sender::{Phase, Sender};
use crate::ledger::{DropReason, Ledger, Snapshot};
use crate::pipeline::fanout::Fanout;
use crate::pipeline::lane::Lane;
use crate::pipeline::spool::Spool;

/// When every fault is over, all that waits is gone in this time: the longest that a service may ask to wait is 90 s, and a
/// file that could not be read is left alone for some minutes.
const DRAINED_WITHIN: Duration = Duration::from_secs(900);

/// How long a file that could not be removed may stay, twice.
const SWEPT_WITHIN: Duration = Duration::from_secs(20);

/// What a stop may take beyond its deadline: the last count.
const BEYOND_DEADLINE: Duration = Duration::from_millis(300);

/// At a stop with so much time, nothing may be lost where the endpoint bears what comes.
const ENOUGH_TO_STOP: Duration = Duration::from_secs(6);

/// What a run was.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Report {
    pub(super) simulated: Duration,
    pub(super) faults: u64,
    pub(super) calls: u64,
    pub(super) documents: u64,
    pub(super) trace: Trace,
    /// What is not as it must be.
    pub(super) violation: Option<String>,
}

/// Runs the plan of `seed`.
pub(super) fn run(seed: u64) -> Report {
    // What the sender throws dice with is this thread's.
    fastrand::seed(seed);
    let (thread, watch) = (DiskThread::default(), Watch::default());
    let runtime = runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .on_thread_park({
            let (thread, watch) = (thread.clone(), watch.clone());
            move || {
                thread.turn();
                watch.look();
            }
        })
        .build()
        .unwrap();
    runtime.block_on(async {
        let plan = Plan::of_seed(seed);
        let mut world = World::new(&plan, seed, thread, watch);
        world.run().await;
        world.report()
    })
}

/// Everything that outlives a process.
struct World<'p> {
    plan: &'p Plan,
    start: Instant,
    endpoint: Endpoint,
    disk: Option<SimulatedDisk>,
    thread: DiskThread,
    watch: Watch,
    source: Source,
    rng: Rng,
    account: Account,
}

/// What the processes that are over have counted.
#[derive(Debug, Default)]
struct Account {
    /// Dropped, or given up as unprocessed.
    lost: u64,
    /// In the memory of processes that ended without a stop, or in files whose names were not safe yet.
    crashed: u64,
    crashes: u64,
    /// Taken, but the process ended before it saw that.
    unseen: u64,
}

/// A process.
struct Process {
    lane: Arc<Lane<Bodies>>,
    ledger: Arc<Ledger>,
}

/// Until when the last process lives.
#[derive(Debug, Clone, Copy)]
enum Until {
    Then(Instant),
    Drained,
}

impl<'p> World<'p> {
    fn new(plan: &'p Plan, seed: u64, thread: DiskThread, watch: Watch) -> Self {
        let start = moment();
        let mut rng = Rng::with_seed(seed ^ 0x5eed);
        let endpoint = Endpoint::new(start, &plan.endpoint, plan.latency, rng.fork());
        let disk = SimulatedDisk::new(start, &plan.disk, &plan.clock_steps, &endpoint, rng.fork());
        let source = Source::new(plan, &endpoint, &watch, rng.fork());
        tokio::spawn(thread.clone().keep_time());
        Self {
            plan,
            start,
            endpoint,
            disk: plan.spool_bytes.map(|_| disk),
            thread,
            watch,
            source,
            rng,
            account: Account::default(),
        }
    }

    async fn run(&mut self) {
        for Life { length, end } in &self.plan.lives {
            let until = Until::Then(moment() + *length);
            self.live(until, *end).await;
        }
        // Everything works again, and nothing more comes.
        self.source.end();
        let end = End::Stopped {
            timeout: Duration::from_secs(8),
            again_after: None,
        };
        self.live(Until::Drained, end).await;
        self.check_end();
    }

    fn report(&self) -> Report {
        let service = self.endpoint.service();
        let disk_faults = self.disk.as_ref().map_or(0, SimulatedDisk::faults);
        let of_plan = self.plan.clock_steps.len() as u64 + self.account.crashes;
        Report {
            simulated: moment() - self.start,
            faults: service.seen.faults + disk_faults + of_plan,
            calls: service.seen.calls,
            documents: service.documents() as u64,
            trace: service.trace,
            violation: self.watch.violation(),
        }
    }

    fn process(&self) -> Process {
        let ledger = Arc::new(Ledger::default());
        let budget = self.plan.budget;
        let lane = match (&self.disk, self.plan.spool_bytes) {
            (Some(disk), Some(limit_bytes)) => {
                let (spool, mut worker) = Spool::on_fake(disk, limit_bytes, budget.to_spool_bytes, &ledger);
                // The settings are right: what it says passes.
                drop(worker.claim());
                let lane = Arc::new(Lane::with_spool(budget, Arc::clone(&ledger), Some(spool)));
                self.thread.start(worker, &lane, disk);
                lane
            }
            _ => Arc::new(Lane::new(budget, Arc::clone(&ledger))),
        };
        Process { lane, ledger }
    }

    /// One process from its start to its end.
    async fn live(&mut self, until: Until, end: End) {
        self.endpoint.service().process_starts();
        let process = self.process();
        let Process { lane, ledger } = &process;
        let concurrency = self.plan.concurrency.and_then(std::num::NonZeroUsize::new);
        let most_in_flight = self.plan.concurrency.unwrap_or(DEFAULT_MAX_CONCURRENCY);
        self.watch
            .start(lane, ledger, self.plan.budget, &self.endpoint, most_in_flight);

        let (stop_receiving, receiving_stopped) = oneshot::channel();
        let (tell_ended, receiving_ended) = oneshot::channel();
        let receiver = tokio::spawn(self.source.clone().receive(
            Arc::clone(lane),
            Arc::clone(ledger),
            receiving_stopped,
            tell_ended,
        ));
        let mut receiving = Part::new(vec![stop_receiving], receiving_ended);
        let (stop_serving, serving_stopped) = oneshot::channel();
        let serving = async {
            let _: Result<(), oneshot::error::RecvError> = serving_stopped.await;
            Ok(())
        };
        let (phase, phases) = watch::channel(Phase::Running);
        let sender = Sender::new(
            self.endpoint.clone(),
            Arc::clone(lane),
            Arc::clone(ledger),
            concurrency,
        );
        let sending = async {
            sender.run(phases).await;
            Ok(())
        };
        let shutdown_timeout = match end {
            End::Stopped { timeout, .. } => timeout,
            End::Killed | End::PowerFailed { .. } => Duration::ZERO,
        };
        let health = Health::default();
        let fanout = Fanout::of_segments(Arc::clone(lane));
        let mut running = Running {
            receiving: &mut receiving,
            serving: Part::new(vec![stop_serving], Box::pin(serving)),
            fanout: &fanout,
            sending: Sending {
                phase,
                ended: Box::pin(sending),
            },
            health: &health,
            shutdown_timeout,
        };
        let (_stop, mut stop) = watch::channel(Stop::Run);
        tokio::select! {
            biased;
            ended = running.run(&mut stop) => self.watch.found(format!("ended by itself: {ended:?}")),
            () = self.wait(until, &process) => {}
        }
        match end {
            End::Stopped { timeout, again_after } => {
                self.watch.end();
                let stopped_at = moment();
                let drained = running.drain((stopped_at + timeout).into());
                let is_whole = tokio::select! {
                    biased;
                    result = drained => result.is_ok(),
                    () = tokio::time::sleep(again_after.unwrap_or(Duration::MAX)) => false,
                };
                let took = moment() - stopped_at;
                let is_whole = is_whole && took < timeout;
                receiving.read_the_rest().await;
                if let Some(spool) = lane.spool() {
                    spool.close_account();
                }
                let left = lane.pending_documents();
                remainder::settle(lane, timeout).await;
                let stop_took = moment() - stopped_at;
                self.check_stop(&process, end, stop_took, left);
                self.thread.end();
                if is_whole && self.plan.disk.is_empty() {
                    self.check_nothing_settled_is_kept();
                }
                if let Some(disk) = &mut self.disk {
                    *disk = disk.with(disk.fake.after_kill());
                }
            }
            End::Killed => {
                self.crash(&process);
                if let Some(disk) = &mut self.disk {
                    *disk = disk.with(disk.fake.after_kill());
                }
            }
            End::PowerFailed { after_changes } => {
                if let Some(disk) = &self.disk {
                    disk.fake.fail_power_after(after_changes);
                }
                tokio::select! {
                    biased;
                    _ = running.run(&mut stop) => {}
                    () = self.thread.power_failed() => {}
                    () = tokio::time::sleep(Duration::from_secs(2)) => {}
                }
                self.crash(&process);
                let (kept, cut) = (self.rng.usize(0..8), self.rng.usize(0..200));
                if let Some(disk) = &mut self.disk {
                    *disk = disk.with(disk.fake.after_power_failure(kept, cut));
                }
            }
        }
        receiver.abort();
        self.check_recovered(&process);
    }

    async fn wait(&self, until: Until, process: &Process) {
        match until {
            Until::Then(at) => tokio::time::sleep_until(at.into()).await,
            Until::Drained => {
                let from = moment();
                loop {
                    tokio::time::sleep(Duration::from_secs(1)).await;
                    let counts = process.ledger.snapshot();
                    let is_waited_for = self.disk.is_some() && counts.recovered == 0;
                    let left = counts.spooled + process.lane.pending_documents();
                    if left == 0 && (!is_waited_for || moment() - from > SWEPT_WITHIN) {
                        break;
                    }
                    if moment() - from > DRAINED_WITHIN {
                        self.watch
                            .found(format!("{left} are not gone long after all faults are over"));
                        break;
                    }
                }
                tokio::time::sleep(SWEPT_WITHIN).await;
            }
        }
    }

    /// The process ends here and now; what is in its memory is lost.
    fn crash(&mut self, process: &Process) {
        self.watch.end();
        self.thread.end();
        self.account.crashes += 1;
        let counts = process.ledger.snapshot();
        self.account_for(&counts);
        self.account.crashed += process.lane.pending_documents();
        if let Some(disk) = &self.disk
            && disk.are_names_unsafe()
        {
            self.account.crashed += counts.spooled;
        }
    }

    fn account_for(&mut self, counts: &Snapshot) {
        let service = self.endpoint.service();
        let Told {
            taken,
            taken_last,
            refused,
            ..
        } = service.told;
        let unseen = taken.saturating_sub(counts.sent);
        if counts.sent > taken || unseen > taken_last {
            self.watch.found(format!(
                "{} are counted as sent, and {taken} were: {counts:?}",
                counts.sent
            ));
        }
        if counts.dropped(DropReason::Refused) > refused {
            self.watch.found(format!("{refused} were refused: {counts:?}"));
        }
        self.account.unseen += unseen;
        self.account.lost += counts.dropped_total() + counts.unprocessed;
        let lost_for_room = counts.dropped(DropReason::BufferFull) + counts.dropped(DropReason::SpoolSlow);
        if self.plan.is_bearable && lost_for_room > 0 {
            self.watch.found(format!(
                "{lost_for_room} lost while the endpoint bore what came: {counts:?}"
            ));
        }
    }

    fn check_stop(&mut self, process: &Process, end: End, took: Duration, left: u64) {
        let End::Stopped { timeout, again_after } = end else {
            return;
        };
        let most = again_after.map_or(timeout, |after| after.min(timeout)) + BEYOND_DEADLINE;
        if took > most {
            self.watch
                .found(format!("the stop took {took:?}, which is more than {most:?}"));
        }
        let counts = process.ledger.snapshot();
        if counts.remainder() != 0 {
            self.watch.found(format!(
                "{left} were left, and the counts leave {}: {counts:?}",
                counts.remainder()
            ));
        }
        let is_enough = timeout >= ENOUGH_TO_STOP && again_after.is_none();
        if self.plan.is_bearable && is_enough && left > 0 {
            self.watch
                .found(format!("{left} were lost at a stop with {timeout:?}"));
        }
        self.account_for(&counts);
    }

    /// A stop that was over in time has removed the files of what was sent.
    fn check_nothing_settled_is_kept(&self) {
        let Some(disk) = &self.disk else { return };
        let service = self.endpoint.service();
        let kept: Vec<usize> = disk
            .documents()
            .into_iter()
            .filter(|number| service.is_settled(*number))
            .collect();
        if kept.len() as u64 > service.told.taken_last {
            self.watch
                .found(format!("settled, and kept for the next process: {kept:?}"));
        }
    }

    /// A process takes over all that it finds.
    fn check_recovered(&self, process: &Process) {
        let found = self.disk.as_ref().map_or(0, SimulatedDisk::take_found);
        let recovered = process.ledger.snapshot().recovered;
        if recovered != found {
            self.watch
                .found(format!("{found} were on disk, and {recovered} were taken over"));
        }
    }

    /// Every document was taken, or is counted as lost.
    fn check_end(&self) {
        let service = self.endpoint.service();
        let lost = (service.documents() - service.taken()) as u64;
        let Account {
            lost: counted,
            crashed,
            crashes,
            unseen,
        } = self.account;
        // What is counted as lost may still arrive where it is in a file too, or was taken unheard.
        let is_unheard = unseen > 0 || service.seen.unheard > 0 || self.plan.traffic.odd_percent > 0;
        let is_cut = |life: &Life| {
            !matches!(
                life.end,
                End::Stopped {
                    again_after: None,
                    ..
                }
            )
        };
        let is_kept = self.plan.lives.iter().any(is_cut) || self.plan.takes_over();
        let is_exact = crashes == 0 && !is_unheard && !is_kept;
        if lost > counted + crashed || (is_exact && lost != counted) {
            self.watch.found(format!(
                "{lost} never arrived; {counted} are counted as lost, {crashed} went with crashes"
            ));
        }
        if let Some(disk) = &self.disk
            && !disk.fake.names().is_empty()
        {
            self.watch.found(format!("left on disk: {:?}", disk.fake.names()));
        }
    }
}
