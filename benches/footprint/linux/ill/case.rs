//! One endpoint that is ill in one way, with a daemon and a generator of its own.

use std::thread;
use std::time::{Duration, Instant};

use super::super::Result;
use super::super::generator::{Generator, Load};
use super::super::measure::{WARM_UP, start_warm};
use super::super::metrics::Metrics;
use super::super::process::Machine;
use super::super::role;
use super::super::scenario::AROUND;
use super::super::sink::Faults;
use super::super::subject::{Bench, Running, Subject};

/// When a rate that is learned has been learned; from then on calls are counted as late ones.
const LATE: Duration = Duration::from_secs(10);

/// How long the daemon may take to read what its socket holds.
const READ_LIMIT: Duration = Duration::from_secs(2);

/// Between two questions to the sink or the daemon.
const LOOK: Duration = Duration::from_millis(50);

/// What happens, and under which load.
#[derive(Debug, Clone, Copy)]
pub(super) struct Case {
    pub(super) faults: Faults,
    /// The endpoint is down for so long, [`AROUND`] after the first segment.
    pub(super) outage: Option<Duration>,
    pub(super) arguments: &'static [&'static str],
    pub(super) load: Load,
    /// After the last segment, how long at the most what waits is waited for.
    pub(super) settle: Duration,
}

/// What came of it, in segments and calls, the warm-up left out.
#[derive(Debug, Clone, Copy)]
pub(super) struct Seen {
    /// What the generator sent.
    pub(super) sent: u64,
    /// What had arrived, each segment counted once, when the load was over and what the case waits for.
    pub(super) arrived: u64,
    /// What the daemon had dropped by then, as it says.
    pub(super) dropped: u64,
    pub(super) calls: u64,
    /// From the tenth second on.
    pub(super) late_calls: u64,
    pub(super) late_throttled: u64,
    /// Before the outage, and in the first second from the first call after it.
    pub(super) usual_calls_per_s: f64,
    pub(super) first_second: u64,
    /// Of what waited when SIGTERM came, how much never arrived.
    pub(super) lost_at_stop: u64,
    pub(super) stop: Duration,
    /// How late 99 of 100 of the generator's bursts were at the most.
    pub(super) lag_p99_ms: f64,
}

impl Seen {
    /// What still waited when the load was over.
    pub(super) fn pending(&self) -> u64 {
        self.sent.saturating_sub(self.arrived + self.dropped)
    }
}

/// A case whose daemon runs and has shown that it forwards.
#[derive(Debug)]
pub(super) struct Prepared {
    bench: Bench,
    running: Running,
    case: Case,
}

impl Prepared {
    /// One at a time: two that look for a free port at once may find the same.
    pub(super) fn new(bench: &Bench, case: Case) -> Result<Self> {
        let bench = bench.another()?;
        let running = start_warm(&bench, Subject::Daemon, case.arguments)?;
        bench.ill(case.faults)?;
        Ok(Self { bench, running, case })
    }

    pub(super) fn run(self) -> Result<Seen> {
        let Self {
            bench,
            mut running,
            case,
        } = self;
        let drops = running.kernel_drops()?;
        let mut generator = Generator::prepare(running.udp, case.load)?;
        let start = Instant::now();
        generator.start()?;
        let mut usual_calls_per_s = 0.0;
        let mut before_late = None;
        if let Some(outage) = case.outage {
            thread::sleep(AROUND);
            let calls: u64 = bench.sink().ask(role::DOWN)?.get("calls")?;
            usual_calls_per_s = calls as f64 / AROUND.as_secs_f64();
            thread::sleep(outage);
            bench.sink().ask(role::UP)?;
        } else if LATE < case.load.time {
            thread::sleep(LATE.saturating_sub(start.elapsed()));
            before_late = Some(bench.sink().ask(role::COUNT)?);
        }
        let sent = generator.finish()?;
        running.must_run()?;
        let settled_by = Instant::now() + case.settle;
        while Instant::now() < settled_by && bench.delivered()? < sent.sent {
            thread::sleep(LOOK);
        }
        // First what was dropped: what arrives in between counts as arrived only.
        let dropped = dropped(&running, drops, sent.sent)?;
        let counts = bench.sink().ask(role::COUNT)?;
        let arrived = counts.get("distinct")?;
        let end = running.end()?;
        let delivered = bench.delivered()?;
        let late = |name: &str| -> Result<u64> {
            let before = before_late.as_ref().map_or(Ok(0), |before| before.get(name));
            Ok(counts.get::<u64>(name)? - before?)
        };
        Ok(Seen {
            sent: sent.sent,
            arrived,
            dropped,
            calls: counts.get("calls")?,
            late_calls: late("calls")?,
            late_throttled: late("throttled")?,
            usual_calls_per_s,
            first_second: counts.get("first_second")?,
            lost_at_stop: sent.sent.saturating_sub(delivered + dropped),
            stop: end.after,
            lag_p99_ms: sent.lag_p99_ms,
        })
    }
}

/// What was lost of `sent` segments, in the kernel (`drops_before` are from before) and in the daemon, as both say; an error
/// when the daemon does not know of all that were sent.
fn dropped(running: &Running, drops_before: u64, sent: u64) -> Result<u64> {
    // Not before it is needed: the daemon closes a connection on which nothing is asked.
    let mut metrics = Metrics::connect(running.udp)?;
    let start = Instant::now();
    loop {
        let page = metrics.page()?;
        let received =
            page.sum("xray_segments_received_total")? - page.sum("xray_segments_rejected_total")?;
        let kernel_drops = running.kernel_drops()? - drops_before;
        if received + kernel_drops == sent + WARM_UP {
            return Ok(page.sum("xray_segments_dropped_total")? + kernel_drops);
        }
        if start.elapsed() > READ_LIMIT {
            return Err(format!(
                "{} were sent, but {received} were received and {kernel_drops} dropped by the kernel",
                sent + WARM_UP
            )
            .into());
        }
        thread::sleep(LOOK);
    }
}

/// What came of several that ran side by side.
#[derive(Debug)]
pub(super) struct Group {
    pub(super) seen: Vec<Seen>,
    /// The share of the processors' time in which they were busy, 0 to 1.
    pub(super) busy: f64,
}

impl Group {
    pub(super) fn run(bench: &Bench, cases: &[Case]) -> Result<Self> {
        let prepared: Vec<Prepared> = cases
            .iter()
            .map(|case| Prepared::new(bench, *case))
            .collect::<Result<_>>()?;
        let before = Machine::now()?;
        let seen = thread::scope(|scope| {
            let running: Vec<_> = prepared
                .into_iter()
                .map(|prepared| scope.spawn(|| prepared.run()))
                .collect();
            running
                .into_iter()
                .map(|run| run.join().map_err(|_| "a run has ended too early")?)
                .collect::<Result<Vec<Seen>>>()
        })?;
        Ok(Self {
            seen,
            busy: Machine::now()?.busy_since(before),
        })
    }
}
