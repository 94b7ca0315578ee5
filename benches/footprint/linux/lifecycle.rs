//! Binary size, start to bound socket, what idling costs, and how long the end takes.

use std::collections::BTreeMap;
use std::fs;
use std::thread;
use std::time::Duration;

use super::args::Options;
use super::generator::Load;
use super::measure::{self, arrived};
use super::process::Process;
use super::role;
use super::subject::{Bench, Subject};
use super::table::{Table, median, mib};
use super::{Result, say};

/// What a process does right after its start and after its last answer is not idling yet.
const SETTLE: Duration = Duration::from_secs(2);

/// Documents that wait when the end comes, in the third of the three cases.
const PENDING: u64 = 10_000;

const AT_ONCE: Duration = Duration::from_secs(10);

pub(crate) fn run(bench: &Bench, options: &Options) -> Result<()> {
    start(bench, options)?;
    idle(bench, options)?;
    end(bench)
}

fn start(bench: &Bench, options: &Options) -> Result<()> {
    say(&format!(
        "\n## Start\n\n\
         From before the process is made until its UDP port refuses no empty datagram any more (looked at every 0.1 ms), \
         {} starts in turns.\n",
        options.starts
    ));
    let subjects = bench.subjects();
    let mut starts: Vec<Vec<f64>> = vec![Vec::new(); subjects.len()];
    for _ in 0..options.starts {
        for (&subject, starts) in subjects.iter().zip(&mut starts) {
            starts.push(bench.start(subject, &[])?.bound_after.as_secs_f64() * 1000.0);
        }
    }
    let table = Table::new(&["subject", "binary MiB", "bound ms, median", "fastest", "slowest"]);
    for (&subject, starts) in subjects.iter().zip(&starts) {
        let size = bench
            .binary(subject)
            .map(|binary| fs::metadata(binary).map(|file| file.len()))
            .transpose()?;
        table.row(vec![
            subject.name().to_owned(),
            size.map_or_else(|| "-".to_owned(), |bytes| mib(bytes as f64 / 1024.0)),
            format!("{:.2}", median(starts.iter().copied())),
            format!("{:.2}", starts.iter().copied().fold(f64::INFINITY, f64::min)),
            format!("{:.2}", starts.iter().copied().fold(0.0, f64::max)),
        ]);
    }
    Ok(())
}

fn idle(bench: &Bench, options: &Options) -> Result<()> {
    say(&format!(
        "\n## Idle\n\n\
         Watched for {} s: fresh after the start, and again {} s after {} segments were delivered. Wake-ups are voluntary \
         context switches of all threads, with the threads that had any.\n",
        options.idle.as_secs(),
        SETTLE.as_secs(),
        PENDING,
    ));
    let table = Table::new(&[
        "subject",
        "when",
        "CPU ms",
        "wake-ups",
        "by thread",
        "RSS MiB",
        "threads",
    ]);
    for subject in bench.subjects() {
        bench.sink().ask(role::UP)?;
        bench.sink().ask(role::RESET)?;
        let running = bench.start(subject, &[])?;
        thread::sleep(SETTLE);
        table.row(watch(subject, "fresh", running.process, options.idle)?);
        let load = Load {
            rate: 5000,
            document_bytes: 1024,
            count: PENDING,
            time: AT_ONCE,
            ..Load::default()
        };
        let sent = measure::send(&running, load)?;
        arrived(bench, sent.sent, SETTLE)?;
        thread::sleep(SETTLE);
        table.row(watch(subject, "after traffic", running.process, options.idle)?);
    }
    Ok(())
}

fn watch(subject: Subject, when: &str, process: Process, time: Duration) -> Result<Vec<String>> {
    let (cpu, before) = (process.cpu()?, process.threads()?);
    thread::sleep(time);
    let (cpu, after) = (process.cpu()? - cpu, process.threads()?);
    let mut by_name: BTreeMap<&str, u64> = BTreeMap::new();
    for (id, (name, sleeps)) in &after {
        let earlier = before.get(id).map_or(0, |(_, sleeps)| *sleeps);
        if *sleeps > earlier {
            *by_name.entry(name).or_default() += sleeps - earlier;
        }
    }
    let names: Vec<String> = by_name
        .iter()
        .map(|(name, sleeps)| format!("{name} {sleeps}"))
        .collect();
    Ok(vec![
        subject.name().to_owned(),
        when.to_owned(),
        format!("{:.2}", cpu.as_secs_f64() * 1000.0),
        by_name.values().sum::<u64>().to_string(),
        if names.is_empty() {
            "-".to_owned()
        } else {
            names.join(", ")
        },
        mib(process.memory()?.now_kib as f64),
        after.len().to_string(),
    ])
}

fn end(bench: &Bench) -> Result<()> {
    say(&format!(
        "\n## End\n\n\
         From SIGTERM to the end of the process: with nothing pending, one segment, and {PENDING} that wait behind an \
         endpoint that held its answers back until the signal.\n"
    ));
    let table = Table::new(&["subject", "pending", "ms", "lost", "exit"]);
    for subject in bench.daemons() {
        for pending in [0, 1, PENDING] {
            let running = measure::start_warm(bench, subject, &[])?;
            bench.sink().ask(role::HOLD)?;
            let load = Load {
                rate: 20_000,
                document_bytes: 1024,
                count: pending,
                time: AT_ONCE,
                ..Load::default()
            };
            let sent = measure::send(&running, load)?;
            bench.sink().ask(role::UP)?;
            let end = running.end()?;
            table.row(vec![
                subject.name().to_owned(),
                sent.sent.to_string(),
                format!("{:.1}", end.after.as_secs_f64() * 1000.0),
                sent.sent.saturating_sub(bench.delivered()?).to_string(),
                end.status
                    .code()
                    .map_or_else(|| end.status.to_string(), |code| code.to_string()),
            ]);
        }
    }
    Ok(())
}
