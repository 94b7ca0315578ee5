//! Bad times: the endpoint down or slow, and bursts. Each shows what was sent, what arrived, and what the daemon says.

use std::thread;
use std::time::Duration;

use super::args::Options;
use super::generator::{Generator, Load, Sent};
use super::measure::{WARM_UP, arrived, start_warm};
use super::role;
use super::subject::{Bench, Running, Subject};
use super::table::{Table, mib};
use super::{Result, say};

/// Before the endpoint goes down, and after it is back.
const AROUND: Duration = Duration::from_secs(2);

/// No document for so long, and the outage on top, means that none comes any more; longer than any back-off.
const QUIET: Duration = Duration::from_secs(10);
const QUIET_MOST: Duration = Duration::from_secs(60);

const BURST_QUIET: Duration = Duration::from_secs(5);
const LONG: Duration = Duration::from_secs(600);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scenario {
    Outage,
    OutageSmall,
    BurstSmall,
    BurstLarge,
    Slow,
}

impl Scenario {
    const ALL: [Self; 5] = [
        Self::Outage,
        Self::OutageSmall,
        Self::BurstSmall,
        Self::BurstLarge,
        Self::Slow,
    ];

    fn name(self) -> &'static str {
        match self {
            Self::Outage => "outage",
            Self::OutageSmall => "outage-small",
            Self::BurstSmall => "burst-small",
            Self::BurstLarge => "burst-large",
            Self::Slow => "slow",
        }
    }

    fn describe(self, outage: Duration) -> String {
        let outage = outage.as_secs();
        match self {
            Self::Outage => format!("1,000/s of 1 KB, endpoint down for {outage} s, default budget"),
            Self::OutageSmall => format!("1,000/s of 1 KB, endpoint down for {outage} s, -m 3"),
            Self::BurstSmall => "5,000 of 300 B as fast as possible".to_owned(),
            Self::BurstLarge => "300,000 of 1 KB as fast as possible".to_owned(),
            Self::Slow => "1,000/s of 1 KB for 20 s, each answer takes 1 s".to_owned(),
        }
    }

    fn arguments(self) -> &'static [&'static str] {
        match self {
            Self::OutageSmall => &["-m", "3"],
            _ => &[],
        }
    }

    fn load(self, outage: Duration) -> Load {
        let paced = |time: Duration| Load {
            rate: 1000,
            document_bytes: 1024,
            count: u64::from(u32::MAX),
            time,
        };
        let burst = |count, document_bytes| Load {
            rate: 0,
            document_bytes,
            count,
            time: LONG,
        };
        match self {
            Self::Outage | Self::OutageSmall => paced(outage + 2 * AROUND),
            Self::Slow => paced(Duration::from_secs(20)),
            Self::BurstSmall => burst(5000, 300),
            Self::BurstLarge => burst(300_000, 1024),
        }
    }

    /// The control has one call in flight and no retry, so only bursts say anything about it.
    fn subjects(self, bench: &Bench) -> Vec<Subject> {
        match self {
            Self::BurstSmall | Self::BurstLarge => bench.subjects(),
            _ => bench.daemons(),
        }
    }

    /// Sends the load and lets happen what is to happen.
    fn play(self, bench: &Bench, running: &Running, outage: Duration) -> Result<Sent> {
        let mut generator = Generator::prepare(running.udp, self.load(outage))?;
        if self == Self::Slow {
            bench.sink().ask(&format!("{} 1000", role::SLOW))?;
        }
        generator.start()?;
        if matches!(self, Self::Outage | Self::OutageSmall) {
            thread::sleep(AROUND);
            bench.sink().ask(role::DOWN)?;
            thread::sleep(outage);
            bench.sink().ask(role::UP)?;
        }
        generator.finish()
    }

    fn quiet(self, outage: Duration) -> Duration {
        match self {
            Self::BurstSmall | Self::BurstLarge => BURST_QUIET,
            _ => QUIET_MOST.min(outage + QUIET),
        }
    }
}

/// The scenario of a name; every one for `all`.
pub(crate) fn scenarios(name: &str) -> std::result::Result<Vec<Scenario>, String> {
    let chosen = Scenario::ALL
        .into_iter()
        .filter(|scenario| name == "all" || scenario.name() == name);
    let chosen: Vec<Scenario> = chosen.collect();
    if chosen.is_empty() {
        Err("there is no such scenario".to_owned())
    } else {
        Ok(chosen)
    }
}

pub(crate) fn run(bench: &Bench, options: &Options, scenario: Scenario) -> Result<()> {
    say(&format!(
        "\n## {}: {}\n",
        scenario.name(),
        scenario.describe(options.outage)
    ));
    let table = Table::new(&[
        "subject",
        "sent",
        "sent/s",
        "delivered",
        "twice",
        "lost",
        "lost %",
        "kernel drops",
        "all there after s",
        "RSS peak MiB",
        "RSS after MiB",
        "end ms",
    ]);
    let mut lines = Vec::new();
    for subject in scenario.subjects(bench) {
        let more: &[&str] = if subject == Subject::Control {
            &[]
        } else {
            scenario.arguments()
        };
        let mut running = start_warm(bench, subject, more)?;
        let drops = running.kernel_drops()?;
        let sent = scenario.play(bench, &running, options.outage)?;
        // A daemon that has dropped some will never be complete; what is missing may still wait for a retry.
        let complete_after = arrived(bench, sent.sent, scenario.quiet(options.outage))?.after;
        running.must_run()?;
        let kernel = running.kernel_drops()? - drops;
        let memory = running.process.memory()?;
        let end = running.end()?;
        let counts = bench.sink().ask(role::COUNT)?;
        let delivered: u64 = counts.get("distinct")?;
        let lost = sent.sent.saturating_sub(delivered);
        table.row(vec![
            subject.name().to_owned(),
            sent.sent.to_string(),
            format!("{:.0}", sent.sent as f64 / sent.seconds),
            delivered.to_string(),
            counts.get::<u64>("duplicates")?.to_string(),
            lost.to_string(),
            format!("{:.2}", lost as f64 * 100.0 / sent.sent.max(1) as f64),
            kernel.to_string(),
            if lost == 0 {
                format!("{:.1}", complete_after.as_secs_f64())
            } else {
                "never".to_owned()
            },
            mib(memory.peak_kib as f64),
            mib(memory.now_kib as f64),
            format!("{:.1}", end.after.as_secs_f64() * 1000.0),
        ]);
        if subject != Subject::Control {
            lines.push(format!("- last line of {}: `{}`", subject.name(), end.last_line));
        }
    }
    if !lines.is_empty() {
        say(&format!(
            "\n{}\n- those counts include the {WARM_UP} segments of the warm-up",
            lines.join("\n")
        ));
    }
    Ok(())
}
