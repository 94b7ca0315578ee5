//! Bursts, with the receive buffer that the system's limit allows and with the one that the daemon asks for past it.

use super::generator::Load;
use super::measure::{self, arrived, start_warm};
use super::scenario::{BURST_QUIET, LONG};
use super::subject::{Bench, Running, Subject, may_go_past_limits};
use super::table::Table;
use super::{Result, role, say};

/// Segments of so many bytes.
const BURSTS: [(u64, usize); 3] = [(5000, 300), (50_000, 1024), (5000, 8192)];

/// Each burst comes so often, to a process that has just been started each time.
const TIMES: usize = 5;

/// Who receives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Who {
    Forced,
    Limited,
    Control,
}

impl Who {
    fn name(self) -> &'static str {
        match self {
            Self::Forced => "xray, forced",
            Self::Limited => "xray",
            Self::Control => "control",
        }
    }

    fn start(self, bench: &Bench) -> Result<Running> {
        match self {
            Self::Forced => start_warm(bench, Subject::Daemon, &[]),
            Self::Limited => measure::warm(bench, bench.start_within_limits()?),
            Self::Control => start_warm(bench, Subject::Control, &[]),
        }
    }
}

pub(crate) fn run(bench: &Bench) -> Result<()> {
    say("\n## bursts: as fast as one sender can, five times each\n\n\
         What the kernel keeps for a receiver is limited by net.core.rmem_max, unless the process has CAP_NET_ADMIN \
         (\"forced\"). Ordinary hosts have 212992: `sysctl -w net.core.rmem_max=212992` before this shows them.\n");
    let mut who = vec![Who::Limited, Who::Control];
    if may_go_past_limits()? {
        who.insert(0, Who::Forced);
    } else {
        say("This process has no CAP_NET_ADMIN: nothing is forced.\n");
    }
    let table = Table::new(&[
        "subject        ",
        "burst",
        "bytes each",
        "buffer KiB",
        "sent/s",
        "lost, each time",
        "kernel drops",
    ]);
    for (count, document_bytes) in BURSTS {
        for &who in &who {
            let load = Load {
                rate: 0,
                document_bytes,
                count,
                time: LONG,
                ..Load::default()
            };
            let (mut lost, mut kernel_drops, mut rates, mut buffer) = (Vec::new(), 0, Vec::new(), None);
            for _ in 0..TIMES {
                let mut running = who.start(bench)?;
                let before = running.kernel_drops()?;
                let sent = measure::send(&running, load)?;
                arrived(bench, sent.sent, BURST_QUIET)?;
                running.must_run()?;
                kernel_drops += running.kernel_drops()? - before;
                buffer = running
                    .line_with("UDP receive buffer")
                    .and_then(|line| kib(&line));
                running.end()?;
                let delivered: u64 = bench.sink().ask(role::COUNT)?.get("distinct")?;
                lost.push(sent.sent.saturating_sub(delivered).to_string());
                rates.push(sent.sent as f64 / sent.seconds);
            }
            table.row(vec![
                who.name().to_owned(),
                count.to_string(),
                document_bytes.to_string(),
                buffer.unwrap_or_else(|| "?".to_owned()),
                format!("{:.0}", super::table::median(rates)),
                lost.join(", "),
                kernel_drops.to_string(),
            ]);
        }
    }
    Ok(())
}

/// The number in front of the unit in what the daemon says of its buffer.
fn kib(line: &str) -> Option<String> {
    let before = line.split(" KiB").next()?;
    before.rsplit(' ').next().map(str::to_owned)
}
