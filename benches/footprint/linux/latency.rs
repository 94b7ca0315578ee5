//! How long a segment takes to its call, and how much of that is not the batch's.

use std::collections::HashMap;
use std::time::Duration;

use xray::exporters::xray::encoding::Segments;
use xray::pipeline::batch::MAX_AGE;
use xray::pipeline::batch::encoding::Encoding as _;

use super::args::Options;
use super::generator::{Generator, Load};
use super::measure::{arrived, start_warm};
use super::subject::Bench;
use super::table::Table;
use super::times::{self, Event, quantile, shown};
use super::{Result, role, say};

/// Segments a second, and for so long: long enough for some tens of calls.
const LOADS: [(u64, u64); 3] = [(1, 40), (100, 20), (10_000, 10)];

const DOCUMENT_BYTES: usize = 1024;

/// How long the last documents may take.
const QUIET: Duration = Duration::from_secs(5);

pub(crate) fn run(bench: &Bench, options: &Options) -> Result<()> {
    say(&format!(
        "\n## latency: from a segment's way into the socket to the end of its call at the endpoint\n\n\
         A batch of both is due when it is full, or {} ms after its first segment. \"Beyond\" is what a call took longer than that: \
         receiving, escaping, hashing, signing and sending, and for a batch that is not full how late its time was noticed.\n",
        MAX_AGE.as_millis()
    ));
    let table = Table::new(&[
        "subject",
        "segments/s",
        "sent",
        "lost",
        "calls",
        "to its call p50",
        "p99",
        "worst",
        "beyond p50",
        "p99",
        "worst",
    ]);
    for (rate, seconds) in LOADS {
        for subject in bench.subjects() {
            let running = start_warm(bench, subject, &[])?;
            let files = [bench.dir().join("sent"), bench.dir().join("came")];
            let load = Load {
                rate,
                document_bytes: DOCUMENT_BYTES,
                count: u64::from(u32::MAX),
                time: Duration::from_secs(seconds).mul_f64(options.latency_share),
                ..Load::default()
            };
            bench.sink().ask(role::RECORD)?;
            let mut generator = Generator::prepare_with(running.udp, load, Some(&files[0]))?;
            generator.start()?;
            let sent = generator.finish()?;
            let delivered = arrived(bench, sent.sent, QUIET)?.delivered;
            bench
                .sink()
                .ask(&format!("{} {}", role::WRITE, files[1].display()))?;
            running.end()?;
            let waits = Waits::of(&times::read(&files[0])?, &times::read(&files[1])?);
            let three = |times: &[Duration]| [0.5, 0.99, 1.0].map(|share| shown(quantile(times, share)));
            let mut row = vec![
                subject.name().to_owned(),
                rate.to_string(),
                sent.sent.to_string(),
                sent.sent.saturating_sub(delivered).to_string(),
                waits.beyond.len().to_string(),
            ];
            row.extend(three(&waits.to_call));
            row.extend(three(&waits.beyond));
            table.row(row);
        }
    }
    Ok(())
}

/// Sorted.
#[derive(Debug, Default)]
struct Waits {
    /// Of each segment, from when it was sent.
    to_call: Vec<Duration>,
    /// Of each call, from when its batch was due.
    beyond: Vec<Duration>,
}

impl Waits {
    fn of(sent: &[Event], came: &[Event]) -> Self {
        let sent: HashMap<u32, Duration> = sent.iter().map(|event| (event.number, event.at)).collect();
        let mut calls: HashMap<u32, (Duration, Vec<Duration>)> = HashMap::new();
        for event in came {
            if let Some(&at) = sent.get(&event.number) {
                let call = calls.entry(event.call).or_insert_with(|| (event.at, Vec::new()));
                call.1.push(at);
            }
        }
        let mut waits = Self::default();
        for (came, segments) in calls.into_values() {
            waits
                .to_call
                .extend(segments.iter().map(|sent| came.saturating_sub(*sent)));
            let first = segments.iter().min().copied().unwrap_or_default();
            let last = segments.iter().max().copied().unwrap_or_default();
            let due = if segments.len() == Segments::MAX_DOCUMENTS {
                last
            } else {
                first + MAX_AGE
            };
            waits.beyond.push(came.saturating_sub(due));
        }
        waits.to_call.sort_unstable();
        waits.beyond.sort_unstable();
        waits
    }
}
