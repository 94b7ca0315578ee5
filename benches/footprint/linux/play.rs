//! Runs a scenario. Shows what was sent, what arrived, and what the daemon says.

use std::thread;
use std::time::Duration;

use super::args::Options;
use super::generator::{Generator, Sent};
use super::measure::{WARM_UP, arrived, start_warm};
use super::role;
use super::scenario::{AROUND, Play};
use super::sink::Faults;
use super::subject::{Bench, Running, Subject};
use super::table::{Table, mib};
use super::{Result, say};

fn subjects(bench: &Bench, scenario: Play) -> Vec<Subject> {
    if scenario.is_burst() {
        bench.subjects()
    } else {
        bench.daemons()
    }
}

/// Sends the load and lets happen what is to happen.
fn play(bench: &Bench, running: &Running, scenario: Play, outage: Duration) -> Result<Sent> {
    let mut generator = Generator::prepare(running.udp, scenario.load(outage))?;
    if scenario == Play::Slow {
        bench.ill(Faults {
            after: Duration::from_secs(1),
            ..Faults::default()
        })?;
    }
    generator.start()?;
    if matches!(scenario, Play::Outage | Play::OutageSmall) {
        thread::sleep(AROUND);
        bench.sink().ask(role::DOWN)?;
        thread::sleep(outage);
        bench.sink().ask(role::UP)?;
    }
    generator.finish()
}

pub(crate) fn run(bench: &Bench, options: &Options, scenario: Play) -> Result<()> {
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
    for subject in subjects(bench, scenario) {
        let more: &[&str] = if subject == Subject::Control {
            &[]
        } else {
            scenario.arguments()
        };
        let mut running = start_warm(bench, subject, more)?;
        let drops = running.kernel_drops()?;
        let sent = play(bench, &running, scenario, options.outage)?;
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
