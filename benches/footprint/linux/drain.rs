//! How fast a spool drains beside live traffic.

use std::fs;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use super::args::Options;
use super::generator::{Generator, Load};
use super::measure::{self, start_warm};
use super::metrics::Metrics;
use super::process::Machine;
use super::role;
use super::sink::Faults;
use super::subject::{Bench, Subject};
use super::table::Table;
use super::{Result, say};

const ANSWER_MS: [u64; 2] = [0, 50];

/// Segments in a file, as many as in a call.
const FILE_SEGMENTS: u64 = 50;
const DOCUMENT_BYTES: usize = 1024;

/// Segments a second while the spool is filled, and beside its draining.
const FILL_RATE: u64 = 20_000;
const LIVE_RATE: u64 = 1000;

/// So many are sent before what is to be written must be: they fit into what the daemon holds for the disk. At a rate alone a
/// disk, or a processor, that is busy with something else makes it lose some, and the spool gets less than it was to have.
const FILL_PORTION: u64 = 5000;

/// The first ones fill the memory; so many in a row that make no file are none of those.
const FILL_VAIN_MAX: u32 = 10;

/// How long a portion may take until all of it is written.
const FILL_LIMIT: Duration = Duration::from_secs(120);

/// What the daemon may hold in memory, and on disk: more than anybody asks for.
const MEMORY_MB: &str = "16";
const DISK_MB: &str = "1000000";

const LONG: Duration = Duration::from_secs(3600);

/// How long the live traffic's last segments may take.
const QUIET: Duration = Duration::from_secs(10);

/// Between two questions to the sink or the daemon.
const LOOK: Duration = Duration::from_millis(50);

/// What waits in a spool.
#[derive(Debug, Clone, Copy, Default)]
struct Spooled {
    files: u64,
    segments: u64,
    bytes: u64,
}

impl Spooled {
    /// By the names of the files in a directory: `TIME-NUMBER-SEGMENTS-TRIES-BYTES-CRC.json`.
    fn count(dir: &Path) -> Result<Self> {
        let mut spooled = Self::default();
        for entry in fs::read_dir(dir)? {
            let name = entry?.file_name();
            let Some(name) = name.to_str().and_then(|name| name.strip_suffix(".json")) else {
                continue;
            };
            let fields: Vec<&str> = name.split('-').collect();
            let &[_, _, segments, _, bytes, _] = fields.as_slice() else {
                return Err(format!("a file of the spool has the name {name}").into());
            };
            spooled.files += 1;
            spooled.segments += segments.parse::<u64>()?;
            spooled.bytes += bytes.parse::<u64>()?;
        }
        Ok(spooled)
    }
}

pub(crate) fn run(bench: &Bench, options: &Options) -> Result<()> {
    let full = bench.dir().join("full");
    say(&format!(
        "\n## drain: {} files in a spool, {LIVE_RATE}/s of 1 KB beside\n\n\
         The spool is filled by a daemon whose endpoint is down; another one starts with it, -m {MEMORY_MB}, and the time runs \
         until the sink has the last segment that was spooled. Live segments go on all the while; lost are those that never \
         arrive. Files were written in this run, so that most are read from the page cache. Below, in the same columns: the \
         daemon without a spool and the control, as fast as they are sent segments.\n",
        options.spool_files
    ));
    let (spooled, numbers) = fill(bench, &full, options.spool_files)?;
    let table = Table::new(&[
        "subject",
        "answer ms",
        "files",
        "MB",
        "s",
        "files/s",
        "MB/s",
        "segments/s",
        "live sent",
        "live lost",
        "processors busy %",
    ]);
    for answer_ms in ANSWER_MS {
        let dir = bench.dir().join(format!("spool-{answer_ms}"));
        link_all(&full, &dir)?;
        let drained = drain(bench, &dir, spooled, numbers, Duration::from_millis(answer_ms))?;
        let seconds = drained.time.as_secs_f64();
        let megabytes = spooled.bytes as f64 / 1e6;
        table.row(vec![
            "spool of xray".to_owned(),
            answer_ms.to_string(),
            spooled.files.to_string(),
            format!("{megabytes:.0}"),
            format!("{seconds:.1}"),
            format!("{:.0}", spooled.files as f64 / seconds),
            format!("{:.0}", megabytes / seconds),
            format!("{:.0}", spooled.segments as f64 / seconds),
            drained.live_sent.to_string(),
            drained.live_lost.to_string(),
            format!("{:.0}", drained.busy * 100.0),
        ]);
    }
    for subject in [Subject::Daemon, Subject::Control] {
        table.row(unspooled(bench, options, subject)?);
    }
    Ok(())
}

/// Fills a spool with `files` files or a few more, whose segments are numbered from 0 on; and the first number that is free.
fn fill(bench: &Bench, dir: &Path, files: u64) -> Result<(Spooled, u64)> {
    let running = start_warm(bench, Subject::Daemon, &arguments(&dir.to_string_lossy()))?;
    bench.sink().ask(role::DOWN)?;
    let mut metrics = Metrics::connect(running.udp)?;
    let (mut filled, mut first_number, mut vain) = (0, 0, 0);
    while filled < files {
        let missing = (files - filled) * FILE_SEGMENTS;
        let load = Load {
            rate: FILL_RATE,
            document_bytes: DOCUMENT_BYTES,
            count: FILL_PORTION.min(missing),
            time: LONG,
            first_number,
            in_traces: false,
        };
        first_number += measure::send(&running, load)?.sent;
        let now_filled = written(&mut metrics)?;
        vain = if now_filled > filled { 0 } else { vain + 1 };
        if vain > FILL_VAIN_MAX {
            return Err(format!(
                "the spool has {filled} files and gets no more: {}",
                running.last_line()
            )
            .into());
        }
        filled = now_filled;
    }
    running.end()?;
    Ok((Spooled::count(dir)?, first_number))
}

/// Waits until nothing is to be written, and tells how many files there are.
fn written(metrics: &mut Metrics) -> Result<u64> {
    let start = Instant::now();
    loop {
        let page = metrics.page()?;
        let to_write_bytes = page.sum("xray_spool_to_write_bytes")?;
        if to_write_bytes == 0 {
            return page.sum("xray_spool_files");
        }
        if start.elapsed() > FILL_LIMIT {
            return Err(format!(
                "{to_write_bytes} bytes are to be written to the spool, and are not after {} s",
                FILL_LIMIT.as_secs()
            )
            .into());
        }
        thread::sleep(LOOK);
    }
}

fn arguments(dir: &str) -> [&str; 6] {
    ["-m", MEMORY_MB, "--spool-dir", dir, "--spool-size", DISK_MB]
}

/// The same files once more, without their bytes.
fn link_all(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        if entry.file_name().to_string_lossy().ends_with(".json") {
            fs::hard_link(entry.path(), to.join(entry.file_name()))?;
        }
    }
    Ok(())
}

#[derive(Debug, Clone, Copy)]
struct Drained {
    time: Duration,
    live_sent: u64,
    live_lost: u64,
    busy: f64,
}

/// Drains the spool in `dir`; live segments are numbered from `first_live` on.
fn drain(bench: &Bench, dir: &Path, spooled: Spooled, first_live: u64, after: Duration) -> Result<Drained> {
    bench.sink().ask(role::RESET)?;
    bench.sink().ask(&format!("{} {first_live}", role::APART))?;
    bench.sink().ask(role::UP)?;
    bench.ill(Faults {
        after,
        ..Faults::default()
    })?;
    let before = Machine::now()?;
    let mut running = bench.start(Subject::Daemon, &arguments(&dir.to_string_lossy()))?;
    let start = Instant::now();
    let load = Load {
        rate: LIVE_RATE,
        document_bytes: DOCUMENT_BYTES,
        count: u64::from(u32::MAX),
        time: LONG,
        first_number: first_live,
        ..Load::default()
    };
    let mut live = Generator::prepare(running.udp, load)?;
    live.start()?;
    let (mut arrived, mut arrived_at) = (0, start);
    while arrived < spooled.segments {
        thread::sleep(LOOK);
        running.must_run()?;
        let counts = bench.sink().ask(role::COUNT)?;
        let now_arrived = counts.get::<u64>("distinct")? - counts.get::<u64>("apart")?;
        if now_arrived > arrived {
            (arrived, arrived_at) = (now_arrived, Instant::now());
        } else if arrived_at.elapsed() > QUIET {
            return Err(format!(
                "{arrived} of {} spooled segments arrive: {}",
                spooled.segments,
                running.last_line()
            )
            .into());
        }
    }
    let time = start.elapsed();
    let busy = Machine::now()?.busy_since(before);
    live.stop()?;
    let sent = live.finish()?;
    let end_of_live = Instant::now();
    let mut live_arrived = 0;
    while live_arrived < sent.sent && end_of_live.elapsed() < QUIET {
        thread::sleep(LOOK);
        live_arrived = bench.sink().ask(role::COUNT)?.get("apart")?;
    }
    running.end()?;
    Ok(Drained {
        time,
        live_sent: sent.sent,
        live_lost: sent.sent.saturating_sub(live_arrived),
        busy,
    })
}

/// What a subject forwards without a spool when it is sent all it bears.
fn unspooled(bench: &Bench, options: &Options, subject: Subject) -> Result<Vec<String>> {
    let load = Load {
        rate: 0,
        document_bytes: DOCUMENT_BYTES,
        count: u64::from(u32::MAX),
        time: options.time,
        ..Load::default()
    };
    let before = Machine::now()?;
    let measured = measure::run(bench, subject, load)?;
    let busy = Machine::now()?.busy_since(before);
    let per_s = measured.delivered as f64 / measured.seconds;
    let none = || "-".to_owned();
    Ok(vec![
        format!("{}, no spool", subject.name()),
        "0".to_owned(),
        none(),
        none(),
        format!("{:.1}", measured.seconds),
        none(),
        format!("{:.0}", per_s * DOCUMENT_BYTES as f64 / 1e6),
        format!("{per_s:.0}"),
        measured.load.sent.to_string(),
        measured.lost().to_string(),
        format!("{:.0}", busy * 100.0),
    ])
}
