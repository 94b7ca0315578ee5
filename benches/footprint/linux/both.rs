//! Segments to X-Ray, to an OTLP endpoint, and to both: what a destination costs, and that UDP loses nothing by it.

use super::args::Options;
use super::destinations::Destinations;
use super::generator::Load;
use super::measure::{self, Measured};
use super::subject::{Bench, Subject};
use super::table::{Table, median, mib};
use super::{Result, say};

const RATE: u64 = 20_000;
const DOCUMENT_BYTES: usize = 1024;

/// The subjects, and where each sends.
const RUNS: [(Subject, Destinations); 6] = [
    (Subject::Daemon, Destinations::XRAY),
    (Subject::Control, Destinations::XRAY),
    (Subject::Daemon, Destinations::OTLP),
    (Subject::Control, Destinations::OTLP),
    (Subject::Daemon, Destinations::BOTH),
    (Subject::Control, Destinations::BOTH),
];

pub(crate) fn run(bench: &Bench, options: &Options) -> Result<()> {
    say(&format!(
        "\n## both: {RATE} segments/s of {DOCUMENT_BYTES} bytes to X-Ray, to an OTLP endpoint, and to both\n\n\
         {} s a run, {} rounds in turns, medians; sent and lost are sums. A segment counts as delivered when each of its \
         destinations has it. Spans are compressed by gzip. The control makes spans and compresses them with the daemon's \
         libraries.\n",
        options.time.as_secs_f64(),
        options.rounds,
    ));
    let load = Load {
        rate: RATE,
        document_bytes: DOCUMENT_BYTES,
        count: u64::from(u32::MAX),
        time: options.time,
        ..Load::default()
    };
    let mut measured: Vec<Vec<Measured>> = vec![Vec::new(); RUNS.len()];
    for round in 0..options.rounds {
        for turn in 0..RUNS.len() {
            let index = (round + turn) % RUNS.len();
            let (subject, to) = RUNS[index];
            measured[index].push(measure::run_to(bench, subject, load, to)?);
        }
    }
    let table = Table::new(&[
        "subject",
        "to       ",
        "sent",
        "lost",
        "kernel drops",
        "CPU µs/segment",
        "× control",
        "RSS peak MiB",
        "RSS after MiB",
        "threads",
    ]);
    for (index, &(subject, to)) in RUNS.iter().enumerate() {
        let floor = RUNS
            .iter()
            .position(|&(subject, of)| subject == Subject::Control && of == to)
            .map_or(&[][..], |place| &measured[place]);
        table.row(row(subject, to, &measured[index], floor));
    }
    let cost = |subject, to| {
        let place = RUNS.iter().position(|&run| run == (subject, to)).unwrap_or(0);
        median(measured[place].iter().map(Measured::cpu_us_per_segment))
    };
    say("");
    for subject in [Subject::Daemon, Subject::Control] {
        let [xray, both] = [Destinations::XRAY, Destinations::BOTH].map(|to| cost(subject, to));
        say(&format!(
            "- {}: {xray:.2} µs a segment for X-Ray, {:.2} µs more for OTLP.",
            subject.name(),
            both - xray
        ));
    }
    Ok(())
}

fn row(subject: Subject, to: Destinations, rounds: &[Measured], floor: &[Measured]) -> Vec<String> {
    let middle = |of: fn(&Measured) -> f64| median(rounds.iter().map(of));
    let sum = |of: fn(&Measured) -> u64| rounds.iter().map(of).sum::<u64>().to_string();
    let ratios = rounds
        .iter()
        .zip(floor)
        .map(|(round, floor)| round.cpu_us_per_segment() / floor.cpu_us_per_segment());
    vec![
        subject.name().to_owned(),
        to.name().to_owned(),
        sum(|round| round.load.sent),
        sum(Measured::lost),
        sum(|round| round.kernel_drops),
        format!("{:.2}", middle(Measured::cpu_us_per_segment)),
        format!("{:.2}", median(ratios)),
        mib(middle(|round| round.memory.peak_kib as f64)),
        mib(middle(|round| round.memory.now_kib as f64)),
        format!("{:.0}", middle(|round| round.threads as f64)),
    ]
}
