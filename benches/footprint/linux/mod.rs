//! The parts of the benchmark. The first argument says which of its processes this one is.

use std::error::Error;
use std::io::Write;
use std::process::ExitCode;

mod args;
mod both;
mod bursts;
mod clients;
mod control;
mod destinations;
mod dev;
mod drain;
mod generator;
mod http;
mod ill;
mod ingest;
mod latency;
mod lifecycle;
mod matrix;
mod measure;
mod metrics;
mod otlp;
mod play;
mod process;
mod role;
mod sampling;
mod scenario;
mod sink;
mod subject;
mod table;
mod times;
mod tls;
mod watch;

use scenario::Scenario;

/// Errors end the run with a message; none is handled.
pub(crate) type Result<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

pub(crate) fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let first = arguments.next();
    let result = match first.as_deref() {
        Some(role::SINK) => sink::main(arguments),
        Some(role::GENERATOR) => generator::main(arguments),
        Some(role::CONTROL) => control::main(arguments),
        Some(role::CONTROL_OVER_TCP) => control::main_over_tcp(arguments),
        Some(role::SPANS) => otlp::spans::main(arguments),
        Some(role::OTLP_CONTROL) => otlp::control::main(arguments),
        _ => args::parse().and_then(|options| options.map_or(Ok(()), |options| run(&options))),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            say(&format!("footprint: {error}"));
            ExitCode::FAILURE
        }
    }
}

fn run(options: &args::Options) -> Result<()> {
    let bench = subject::Bench::new(options)?;
    say(&bench.heading());
    if options.scenarios.is_empty() {
        if options.has("lifecycle") {
            lifecycle::run(&bench, options)?;
        }
        if options.has("table") {
            matrix::run(&bench, options)?;
        }
    }
    for &scenario in &options.scenarios {
        match scenario {
            Scenario::Played(play) => play::run(&bench, options, play)?,
            Scenario::HalfIll => ill::run(&bench, options)?,
            Scenario::Drain => drain::run(&bench, options)?,
            Scenario::Bursts => bursts::run(&bench)?,
            Scenario::Latency => latency::run(&bench, options)?,
            Scenario::Sampling => sampling::run(&bench, options)?,
            Scenario::Ingest => ingest::run(&bench, options)?,
            Scenario::Dev => dev::run(&bench, options)?,
            Scenario::Both => both::run(&bench, options)?,
            Scenario::Otlp => otlp::run(&bench, options)?,
        }
    }
    Ok(())
}

/// A line of the report. What can't be written has no reader.
pub(crate) fn say(text: &str) {
    let mut out = std::io::stdout().lock();
    let _: std::io::Result<()> = writeln!(out, "{text}").and_then(|()| out.flush());
}
