//! One run: start a subject, load it, wait until all has arrived or nothing more comes, end it, count.

use std::thread;
use std::time::{Duration, Instant};

use super::destinations::Destinations;
use super::generator::{Generator, Load, Sent};
use super::process::Memory;
use super::role;
use super::subject::{Bench, Running, Subject};
use super::watch::Watch;
use super::{Result, process};

/// Documents that make the first connection before anything is measured.
pub(crate) const WARM_UP: u64 = 100;

/// How long a run waits for the next document before it gives the rest up: three times the age of a batch.
const QUIET: Duration = Duration::from_secs(3);

/// Documents of a batch at most.
const LAST_BATCH: u64 = 50;

/// Between two questions to the sink.
const LOOK: Duration = Duration::from_millis(20);

/// How long after the last document the memory is read again.
const SETTLE: Duration = Duration::from_secs(1);

/// What a run showed.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Measured {
    pub(crate) load: Sent,
    /// Documents that the sink got, each counted once, after the end of the process.
    pub(crate) delivered: u64,
    /// From the first segment sent until all had arrived but what the last batch may hold.
    pub(crate) seconds: f64,
    /// Datagrams among the lost that never left the kernel.
    pub(crate) kernel_drops: u64,
    /// Until the last document arrived.
    pub(crate) cpu: Duration,
    pub(crate) sleeps: u64,
    pub(crate) threads: usize,
    pub(crate) memory: Memory,
    /// The most that resident memory was above what waited, in KiB, where that was watched.
    pub(crate) beyond_kib: Option<u64>,
}

impl Measured {
    pub(crate) fn lost(&self) -> u64 {
        self.load.sent.saturating_sub(self.delivered)
    }

    /// User and system time; nothing is subtracted for idling.
    pub(crate) fn cpu_us_per_segment(&self) -> f64 {
        self.cpu.as_secs_f64() * 1e6 / (self.delivered.max(1) as f64)
    }
}

/// A subject that has its connection and is known to forward.
pub(crate) fn start_warm(bench: &Bench, subject: Subject, more: &[&str]) -> Result<Running> {
    bench.sink().ask(role::UP)?;
    warm(bench, bench.start(subject, more)?)
}

/// Sends a subject that has just been started what makes its first connection, to an endpoint that is well.
pub(crate) fn warm(bench: &Bench, running: Running) -> Result<Running> {
    warm_to(bench, running, Destinations::XRAY)
}

fn warm_to(bench: &Bench, running: Running, to: Destinations) -> Result<Running> {
    bench.sink().ask(role::RESET)?;
    let load = Load {
        rate: 1000,
        document_bytes: 1024,
        count: WARM_UP,
        time: Duration::from_secs(10),
        ..Load::default()
    };
    send(&running, load)?;
    if arrived_at(WARM_UP, QUIET, || delivered_to(bench, to))?.delivered < WARM_UP {
        return Err(format!("{} does not forward: {}", running.name, running.last_line()).into());
    }
    bench.sink().ask(role::RESET)?;
    Ok(running)
}

pub(crate) fn send(running: &Running, load: Load) -> Result<Sent> {
    let mut generator = Generator::prepare(running.udp, load)?;
    generator.start()?;
    generator.finish()
}

/// What came to the sink after all was sent.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Arrived {
    pub(crate) delivered: u64,
    /// Until the last one came.
    pub(crate) after: Duration,
    /// Until all but [`LAST_BATCH`] had come: the last ones wait up to 1 s for neighbours.
    pub(crate) bulk_after: Duration,
}

/// Waits until the sink has `expected` documents or gets none for `quiet`.
pub(crate) fn arrived(bench: &Bench, expected: u64, quiet: Duration) -> Result<Arrived> {
    arrived_at(expected, quiet, || bench.delivered())
}

/// The same for what `delivered` counts.
pub(crate) fn arrived_at(
    expected: u64,
    quiet: Duration,
    delivered_now: impl Fn() -> Result<u64>,
) -> Result<Arrived> {
    let start = Instant::now();
    let mut steps = vec![(delivered_now()?, start)];
    let (delivered, at) = loop {
        let last = steps[steps.len() - 1];
        if last.0 >= expected || last.1.elapsed() >= quiet {
            break last;
        }
        thread::sleep(LOOK);
        let delivered = delivered_now()?;
        if delivered > last.0 {
            steps.push((delivered, Instant::now()));
        }
    };
    let bulk = steps.iter().find(|(count, _)| count + LAST_BATCH >= delivered);
    Ok(Arrived {
        delivered,
        after: at - start,
        bulk_after: bulk.map_or(Duration::ZERO, |(_, at)| *at - start),
    })
}

pub(crate) fn run(bench: &Bench, subject: Subject, load: Load) -> Result<Measured> {
    run_to(bench, subject, load, Destinations::XRAY)
}

/// The documents that have come to the sink for each of these destinations, each counted once.
fn delivered_to(bench: &Bench, to: Destinations) -> Result<u64> {
    let counts = bench.sink().ask(role::COUNT)?;
    let of = |is_one: bool, name| if is_one { counts.get(name) } else { Ok(u64::MAX) };
    Ok(of(to.xray, "distinct")?.min(of(to.otlp, "spans")?))
}

/// The same with these destinations for what is sent. What has come to each of them is delivered.
pub(crate) fn run_to(bench: &Bench, subject: Subject, load: Load, to: Destinations) -> Result<Measured> {
    bench.sink().ask(role::UP)?;
    let mut running = warm_to(bench, bench.start_to(subject, to)?, to)?;
    let process = running.process;
    let mut generator = Generator::prepare(running.udp, load)?;
    let (cpu, sleeps, drops) = (process.cpu()?, process.sleeps()?, running.kernel_drops()?);
    let watch = match subject {
        Subject::Daemon if Watch::wants(load.rate) => Some(Watch::start(process, running.udp)?),
        _ => None,
    };
    generator.start()?;
    let sent = generator.finish()?;
    let threads = process.threads()?.len();
    let arrived = arrived_at(sent.sent, QUIET, || delivered_to(bench, to))?;
    running.must_run()?;
    let cpu = process.cpu()? - cpu;
    let sleeps = process.sleeps()?.saturating_sub(sleeps);
    let kernel_drops = process::kernel_drops(running.udp.port())? - drops;
    thread::sleep(SETTLE);
    let memory = process.memory()?;
    let beyond_kib = watch.map(Watch::end).transpose()?;
    running.end()?;
    Ok(Measured {
        load: sent,
        delivered: delivered_to(bench, to)?,
        seconds: sent.seconds + arrived.bulk_after.as_secs_f64(),
        kernel_drops,
        cpu,
        sleeps,
        threads,
        memory,
        beyond_kib,
    })
}
