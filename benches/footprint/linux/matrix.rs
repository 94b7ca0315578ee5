//! The table: each size and rate, the subjects in turns, medians of the rounds.

use super::args::Options;
use super::generator::Load;
use super::measure::{self, Measured};
use super::subject::{Bench, Subject};
use super::table::{Table, median, mib};
use super::{Result, say};

const HEAD: [&str; 15] = [
    "subject",
    "bytes",
    "asked/s",
    "sent/s",
    "sent",
    "lost",
    "kernel drops",
    "delivered/s",
    "CPU µs/segment",
    "× control",
    "sleeps/segment",
    "RSS peak MiB",
    "RSS after MiB",
    "beyond waiting MiB",
    "threads",
];

pub(crate) fn run(bench: &Bench, options: &Options) -> Result<()> {
    say(&format!(
        "\n## Cost by size and rate\n\n\
         {} s a run, {} in turns, medians (the ratio: of the ratios within a round); sent and lost are sums. CPU is user and system time of the whole process \
         (its CPU clock) from the first segment until the last one arrived, idling not subtracted, over the \
         segments that arrived. Peak is VmHWM, after is VmRSS 1 s after the last segment arrived, beyond waiting is the \
         most that VmRSS was above the bytes of the segments that waited at that moment. Sleeps are voluntary context \
         switches.\n",
        options.time.as_secs_f64(),
        if options.rounds == 1 {
            "1 round".to_owned()
        } else {
            format!("{} rounds", options.rounds)
        },
    ));
    let table = Table::new(&HEAD);
    let mut remarks = Vec::new();
    for &size in &options.sizes {
        for rate in rates(options, size, &mut remarks) {
            cell(bench, options, size, rate, &table, &mut remarks)?;
        }
    }
    if !remarks.is_empty() {
        say(&format!("\n- {}", remarks.join("\n- ")));
    }
    Ok(())
}

/// The rates for a size, lowered to what may be sent in a second; a rate that comes twice then is measured once.
fn rates(options: &Options, size: usize, remarks: &mut Vec<String>) -> Vec<u64> {
    let most = (options.max_bytes_per_s / size as u64).max(1);
    let mut rates = Vec::new();
    for &rate in &options.rates {
        let lowered = if rate == 0 { 0 } else { rate.min(most) };
        if lowered < rate {
            remarks.push(format!(
                "{} B: {}/s is lowered to {lowered}/s (--max-mb-per-s).",
                size, rate
            ));
        }
        if !rates.contains(&lowered) {
            rates.push(lowered);
        }
    }
    rates
}

fn cell(
    bench: &Bench,
    options: &Options,
    size: usize,
    rate: u64,
    table: &Table,
    remarks: &mut Vec<String>,
) -> Result<()> {
    let load = Load {
        rate,
        document_bytes: size,
        count: u64::from(u32::MAX),
        time: options.time,
        ..Load::default()
    };
    let subjects = bench.subjects();
    let mut measured: Vec<Vec<Measured>> = vec![Vec::new(); subjects.len()];
    for round in 0..options.rounds {
        // Each has its turn at each place, since what ran just before makes a difference.
        for turn in 0..subjects.len() {
            let index = (round + turn) % subjects.len();
            measured[index].push(measure::run(bench, subjects[index], load)?);
        }
    }
    let control = subjects
        .iter()
        .zip(&measured)
        .find(|(subject, _)| **subject == Subject::Control);
    let floor = control.map_or(&[][..], |(_, rounds)| rounds);
    for (&subject, rounds) in subjects.iter().zip(&measured) {
        table.row(row(subject, size, rate, rounds, floor));
        let lag = rounds
            .iter()
            .map(|round| round.load.lag_p99_ms)
            .fold(0.0, f64::max);
        let behind = rounds
            .iter()
            .any(|round| (round.load.sent as f64) < 0.99 * rate as f64 * options.time.as_secs_f64());
        if lag > 5.0 || behind {
            let latest = rounds
                .iter()
                .map(|round| round.load.lag_max_ms)
                .fold(0.0, f64::max);
            remarks.push(format!(
                "{size} B at {rate}/s beside {}: the generator itself was late (99 % of its bursts within {lag:.1} ms, \
                 the latest {latest:.1} ms), so this load came in larger bursts.",
                subject.name()
            ));
        }
    }
    Ok(())
}

fn row(subject: Subject, size: usize, rate: u64, rounds: &[Measured], floor: &[Measured]) -> Vec<String> {
    let middle = |of: fn(&Measured) -> f64| median(rounds.iter().map(of));
    let sum = |of: fn(&Measured) -> u64| rounds.iter().map(of).sum::<u64>().to_string();
    // Each round beside the control's of the same round, since the machine changes its pace between rounds.
    let ratios = rounds
        .iter()
        .zip(floor)
        .map(|(round, floor)| round.cpu_us_per_segment() / floor.cpu_us_per_segment());
    vec![
        subject.name().to_owned(),
        size.to_string(),
        if rate == 0 {
            "max".to_owned()
        } else {
            rate.to_string()
        },
        format!(
            "{:.0}",
            middle(|round| round.load.sent as f64 / round.load.seconds)
        ),
        sum(|round| round.load.sent),
        sum(Measured::lost),
        sum(|round| round.kernel_drops),
        format!("{:.0}", middle(|round| round.delivered as f64 / round.seconds)),
        format!("{:.2}", middle(Measured::cpu_us_per_segment)),
        format!("{:.2}", median(ratios)),
        format!(
            "{:.2}",
            middle(|round| round.sleeps as f64 / round.delivered.max(1) as f64)
        ),
        mib(middle(|round| round.memory.peak_kib as f64)),
        mib(middle(|round| round.memory.now_kib as f64)),
        match rounds.iter().filter_map(|round| round.beyond_kib).max() {
            Some(most_kib) => mib(most_kib as f64),
            None => "-".to_owned(),
        },
        format!("{:.0}", middle(|round| round.threads as f64)),
    ]
}
