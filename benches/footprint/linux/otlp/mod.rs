//! OTLP in, OTLP out: spans as an SDK sends them, and what it costs to pass them on.

pub(crate) mod control;
pub(crate) mod spans;

use std::fs;
use std::net::SocketAddr;
use std::process::Command;
use std::thread;
use std::time::Duration;

use self::spans::{Spans, SpansLoad};
use super::args::Options;
use super::generator::Sent;
use super::measure::arrived_at;
use super::process::Memory;
use super::subject::{Bench, Running, Subject};
use super::table::{Table, median, mib};
use super::{Result, role, say};

const LOAD: SpansLoad = SpansLoad {
    rate: 20_000,
    span_bytes: 1024,
    spans: 100,
    time: Duration::ZERO,
};

/// Makes the connections before anything is measured.
const WARM_UP: Duration = Duration::from_millis(100);

/// How long a run waits for the next span before it gives the rest up: a Collector gathers for some seconds.
const QUIET: Duration = Duration::from_secs(5);

/// How long after the last span the memory is read again.
const SETTLE: Duration = Duration::from_secs(1);

/// What a run showed.
#[derive(Debug, Clone, Copy)]
struct Measured {
    load: Sent,
    delivered: u64,
    twice: u64,
    cpu: Duration,
    memory: Memory,
}

impl Measured {
    fn lost(&self) -> u64 {
        self.load.sent.saturating_sub(self.delivered)
    }

    fn cpu_us_per_span(&self) -> f64 {
        self.cpu.as_secs_f64() * 1e6 / (self.delivered.max(1) as f64)
    }
}

pub(crate) fn run(bench: &Bench, options: &Options) -> Result<()> {
    say(&format!(
        "\n## otlp: {} spans/s of {} bytes in requests of {}, OTLP over HTTP to OTLP over HTTP\n\n\
         {} s a run, {} rounds in turns, medians; sent, lost and twice are sums. Requests come in protobuf, not compressed, \
         over one connection. CPU is user and system time from the first span until the last one arrived. A Collector \
         gathers for 1 s, as the others do.\n",
        LOAD.rate,
        LOAD.span_bytes,
        LOAD.spans,
        options.time.as_secs_f64(),
        options.rounds,
    ));
    if bench.base().starts_with("https") {
        return Err("otlp is measured without --tls".into());
    }
    let table = Table::new(&[
        "subject",
        "out      ",
        "sent/s",
        "sent",
        "lost",
        "twice",
        "CPU µs/span",
        "× control",
        "RSS peak MiB",
        "RSS after MiB",
    ]);
    let subjects = bench.subjects();
    for gzip in [true, false] {
        let mut measured: Vec<Vec<Measured>> = vec![Vec::new(); subjects.len()];
        for round in 0..options.rounds {
            for turn in 0..subjects.len() {
                let index = (round + turn) % subjects.len();
                measured[index].push(one(bench, subjects[index], gzip, options.time)?);
            }
        }
        let control = subjects.iter().position(|&subject| subject == Subject::Control);
        let floor = control.map_or(&[][..], |place| &measured[place]);
        for (&subject, rounds) in subjects.iter().zip(&measured) {
            table.row(row(subject, gzip, rounds, floor));
        }
    }
    Ok(())
}

fn row(subject: Subject, gzip: bool, rounds: &[Measured], floor: &[Measured]) -> Vec<String> {
    let middle = |of: fn(&Measured) -> f64| median(rounds.iter().map(of));
    let sum = |of: fn(&Measured) -> u64| rounds.iter().map(of).sum::<u64>().to_string();
    let ratios = rounds
        .iter()
        .zip(floor)
        .map(|(round, floor)| round.cpu_us_per_span() / floor.cpu_us_per_span());
    vec![
        subject.name().to_owned(),
        if gzip { "gzip" } else { "none" }.to_owned(),
        format!(
            "{:.0}",
            middle(|round| round.load.sent as f64 / round.load.seconds)
        ),
        sum(|round| round.load.sent),
        sum(Measured::lost),
        sum(|round| round.twice),
        format!("{:.2}", middle(Measured::cpu_us_per_span)),
        format!("{:.2}", median(ratios)),
        mib(middle(|round| round.memory.peak_kib as f64)),
        mib(middle(|round| round.memory.now_kib as f64)),
    ]
}

fn one(bench: &Bench, subject: Subject, gzip: bool, time: Duration) -> Result<Measured> {
    bench.sink().ask(role::UP)?;
    bench.sink().ask(role::RESET)?;
    let (mut running, otlp) = start(bench, subject, gzip)?;
    let warm_up = Spans::prepare(
        otlp,
        SpansLoad {
            time: WARM_UP,
            ..LOAD
        },
    )?
    .run()?;
    let delivered = || bench.sink().ask(role::COUNT)?.get("spans");
    if arrived_at(warm_up.sent, QUIET, delivered)?.delivered < warm_up.sent {
        return Err(format!("{} does not forward: {}", running.name, running.last_line()).into());
    }
    bench.sink().ask(role::RESET)?;
    let spans = Spans::prepare(otlp, SpansLoad { time, ..LOAD })?;
    let cpu = running.process.cpu()?;
    let load = spans.run()?;
    arrived_at(load.sent, QUIET, delivered)?;
    running.must_run()?;
    let cpu = running.process.cpu()? - cpu;
    thread::sleep(SETTLE);
    let memory = running.process.memory()?;
    running.end()?;
    let counts = bench.sink().ask(role::COUNT)?;
    Ok(Measured {
        load,
        delivered: counts.get("spans")?,
        twice: counts.get("spans_twice")?,
        cpu,
        memory,
    })
}

fn start(bench: &Bench, subject: Subject, gzip: bool) -> Result<(Running, SocketAddr)> {
    let compression = if gzip { "gzip" } else { "none" };
    bench.start_otlp(subject, |otlp| match (subject, bench.binary(subject)) {
        (Subject::Other, Some(collector)) => {
            let file = bench.dir().join("collector.yaml");
            fs::write(&file, collector_file(otlp, &bench.base(), compression))?;
            let mut command = Command::new(collector);
            command.arg("--config").arg(file);
            Ok(command)
        }
        (Subject::Daemon, _) => {
            let mut command = bench.otlp_daemon(otlp)?;
            command.env("OTEL_EXPORTER_OTLP_COMPRESSION", compression);
            Ok(command)
        }
        _ => {
            let mut command = role::command(role::OTLP_CONTROL)?;
            command.args([
                otlp.to_string(),
                bench.endpoint().to_string(),
                compression.to_owned(),
            ]);
            Ok(command)
        }
    })
}

/// What an OpenTelemetry Collector is to do: the same.
fn collector_file(otlp: SocketAddr, base: &str, compression: &str) -> String {
    format!(
        "receivers: {{otlp: {{protocols: {{http: {{endpoint: \"{otlp}\"}}}}}}}}\n\
         processors: {{batch: {{timeout: 1s, send_batch_size: 1000, send_batch_max_size: 1000}}}}\n\
         exporters: {{otlp_http: {{endpoint: \"{base}\", compression: \"{compression}\"}}}}\n\
         service:\n  telemetry: {{metrics: {{level: none}}}}\n  \
         pipelines: {{traces: {{receivers: [otlp], processors: [batch], exporters: [otlp_http]}}}}\n"
    )
}
