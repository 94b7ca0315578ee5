//! What can be chosen on the command line, after `cargo bench --bench footprint --`.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Arg, ArgAction, ArgMatches, Command, value_parser};
use xray_double::sized;

use super::Result;
use super::scenario::{Scenario, scenarios};

fn command() -> Command {
    let flag = |name: &'static str, help: &'static str| {
        Arg::new(name).long(name).action(ArgAction::SetTrue).help(help)
    };
    let value = |name: &'static str, shown: &'static str, help: &'static str| {
        Arg::new(name).long(name).value_name(shown).help(help)
    };
    let list = |name: &'static str, shown: &'static str, help: &'static str| {
        value(name, shown, help)
            .value_delimiter(',')
            .action(ArgAction::Append)
    };
    Command::new("footprint")
        .bin_name("cargo bench --bench footprint --")
        .about("Measures the daemon beside a control that does only what any forwarder must do")
        .args([
            flag("quick", "Short runs, for a first look"),
            value(
                "seconds",
                "N",
                "How long each run of the table sends [default: 5, quick: 2]",
            )
            .value_parser(value_parser!(f64)),
            value(
                "rounds",
                "N",
                "How often each run is repeated, in turns; medians are shown [default: 3, quick: 1]",
            )
            .value_parser(value_parser!(usize)),
            list(
                "rates",
                "N|max,...",
                "Segments a second [default: 1000,5000,20000,50000,max, quick: 1000,20000,max]",
            )
            .value_parser(rate),
            list(
                "sizes",
                "BYTES,...",
                "Bytes of a segment [default: 300,1024,10240,61440, quick: 1024]",
            )
            .value_parser(size),
            value(
                "max-mb-per-s",
                "N",
                "Lowers the rate of large segments to so many MB (10^6 bytes) a second",
            )
            .value_parser(value_parser!(u64).range(1..))
            .default_value("200"),
            value(
                "idle-seconds",
                "N",
                "How long idle processes are watched [default: 30, quick: 3]",
            )
            .value_parser(value_parser!(u64)),
            value(
                "outage-seconds",
                "N",
                "How long the endpoint is down in the outage scenarios [default: 60, quick: 6]",
            )
            .value_parser(value_parser!(u64)),
            value(
                "ill-seconds",
                "N",
                "How long each run of half-ill sends [default: 60, quick: 15]",
            )
            .value_parser(value_parser!(u64).range(1..)),
            value(
                "dev-seconds",
                "N",
                "How long xray dev is sent segments [default: 30, quick: 5]",
            )
            .value_parser(value_parser!(u64).range(1..)),
            value(
                "spool-files",
                "N",
                "Files of 50 KB in the spool of drain [default: 20000, quick: 2000]",
            )
            .value_parser(value_parser!(u64).range(1..)),
            flag("tls", "HTTPS with a private authority in place of HTTP"),
            value(
                "daemon",
                "PATH",
                "The daemon's binary [default: the one that `cargo build --release` makes]",
            )
            .value_parser(value_parser!(PathBuf)),
            value(
                "daemon-arg",
                "ARG",
                "One more argument for the daemon; may be repeated",
            )
            .action(ArgAction::Append)
            .allow_hyphen_values(true),
            value(
                "other",
                "PATH",
                "The binary of another X-Ray daemon, measured in the same table; of an OpenTelemetry Collector in otlp",
            )
            .value_parser(value_parser!(PathBuf)),
            list("part", "NAME,...", "Only these parts: lifecycle, table")
                .value_parser(["lifecycle", "table"]),
            list(
                "scenario",
                "NAME,...",
                "Only these scenarios: outage, outage-small, burst-small, burst-large, slow, half-ill, drain, bursts, both, \
                 otlp, latency, sampling, ingest, dev, all",
            )
            .value_parser(scenarios),
            flag("bench", "What cargo says to every benchmark").hide(true),
        ])
}

/// A rate in documents a second; 0 stands for `max`.
fn rate(text: &str) -> std::result::Result<u64, String> {
    match (text, text.parse()) {
        ("max", _) => Ok(0),
        (_, Ok(rate)) if rate > 0 => Ok(rate),
        _ => Err("neither a number above 0 nor max".to_owned()),
    }
}

fn size(text: &str) -> std::result::Result<usize, String> {
    let sizes = sized::MIN_BYTES..=sized::MAX_BYTES;
    match text.parse() {
        Ok(size) if sizes.contains(&size) => Ok(size),
        _ => Err(format!(
            "a segment has {} to {} bytes",
            sizes.start(),
            sizes.end()
        )),
    }
}

/// The choices of a run, complete.
#[derive(Debug, Clone)]
pub(crate) struct Options {
    pub(crate) time: Duration,
    pub(crate) rounds: usize,
    /// In documents a second; 0 is as fast as possible.
    pub(crate) rates: Vec<u64>,
    pub(crate) sizes: Vec<usize>,
    pub(crate) max_bytes_per_s: u64,
    pub(crate) idle: Duration,
    pub(crate) outage: Duration,
    pub(crate) ill: Duration,
    pub(crate) dev: Duration,
    /// By how much the runs of latency are shorter than usual, 0 to 1.
    pub(crate) latency_share: f64,
    /// Files in the spool that is drained.
    pub(crate) spool_files: u64,
    pub(crate) starts: usize,
    pub(crate) tls: bool,
    /// `None`: what `cargo build --release` makes.
    pub(crate) daemon: Option<PathBuf>,
    pub(crate) daemon_args: Vec<String>,
    pub(crate) other: Option<PathBuf>,
    pub(crate) scenarios: Vec<Scenario>,
    /// The parts of a run without scenarios: `lifecycle` and `table`.
    parts: Vec<String>,
}

impl Options {
    pub(crate) fn has(&self, part: &str) -> bool {
        self.parts.iter().any(|chosen| chosen == part)
    }
}

/// `None`: nothing is to be done, and why was said.
pub(crate) fn parse() -> Result<Option<Options>> {
    let matches = match command().try_get_matches() {
        Ok(matches) => matches,
        Err(shown) => {
            shown.print()?;
            return if shown.use_stderr() {
                Err("bad arguments".into())
            } else {
                Ok(None)
            };
        }
    };
    if !matches.get_flag("bench") {
        super::say("footprint: run it with `cargo bench --bench footprint`");
        return Ok(None);
    }
    complete(&matches).map(Some)
}

fn complete(matches: &ArgMatches) -> Result<Options> {
    let quick = matches.get_flag("quick");
    let seconds =
        |name, usual, short| Duration::from_secs(one(matches, name).unwrap_or(either(quick, usual, short)));
    Ok(Options {
        time: Duration::try_from_secs_f64(one(matches, "seconds").unwrap_or(either(quick, 5.0, 2.0)))?,
        rounds: one(matches, "rounds").unwrap_or(either(quick, 3, 1)).max(1),
        rates: all(
            matches,
            "rates",
            either(quick, &[1000, 5000, 20_000, 50_000, 0], &[1000, 20_000, 0]),
        ),
        sizes: all(
            matches,
            "sizes",
            either(quick, &[300, 1024, 10_240, 61_440], &[1024]),
        ),
        max_bytes_per_s: one(matches, "max-mb-per-s").unwrap_or(200) * 1_000_000,
        idle: seconds("idle-seconds", 30, 3),
        outage: seconds("outage-seconds", 60, 6),
        ill: seconds("ill-seconds", 60, 15),
        dev: seconds("dev-seconds", 30, 5),
        latency_share: either(quick, 1.0, 0.25),
        spool_files: one(matches, "spool-files").unwrap_or(either(quick, 20_000, 2000)),
        starts: either(quick, 20, 5),
        tls: matches.get_flag("tls"),
        daemon: one(matches, "daemon"),
        daemon_args: all(matches, "daemon-arg", &[]),
        other: one(matches, "other"),
        scenarios: all::<Vec<Scenario>>(matches, "scenario", &[]).concat(),
        parts: all(matches, "part", &["lifecycle".to_owned(), "table".to_owned()]),
    })
}

fn one<T: Clone + Send + Sync + 'static>(matches: &ArgMatches, name: &str) -> Option<T> {
    matches.get_one(name).cloned()
}

fn all<T: Clone + Send + Sync + 'static>(matches: &ArgMatches, name: &str, default: &[T]) -> Vec<T> {
    let given = matches.get_many(name).into_iter().flatten().cloned();
    let given: Vec<T> = given.collect();
    if given.is_empty() { default.to_vec() } else { given }
}

fn either<T>(quick: bool, usual: T, short: T) -> T {
    if quick { short } else { usual }
}
