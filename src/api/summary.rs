//! The account in words: one line a minute while there is traffic, one at the end.

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::config::SystemFiles;
use crate::exporters::xray::encoding::Segments;
use crate::ledger::{DropReason, Ledger, RejectReason, Snapshot};
use crate::pipeline::lane::Lane;
use crate::receivers::udp::fragments::LostInFragments;
use crate::receivers::udp::kernel::KernelDrops;

/// How long the traffic of one line is gathered.
const INTERVAL: Duration = Duration::from_secs(60);

/// What the lines are made of.
#[derive(Debug)]
pub struct Summary {
    /// The counts.
    pub ledger: Arc<Ledger>,
    /// What waits.
    pub lane: Arc<Lane<Segments>>,
    /// The socket's drops, where the system tells them.
    pub kernel_drops: Option<Arc<KernelDrops>>,
    /// What the network lost in fragments, where the system tells.
    pub lost_in_fragments: Option<LostInFragments>,
}

/// Everything that is counted at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Totals {
    /// The ledger's counts.
    pub counts: Snapshot,
    /// Documents that the pipeline holds in memory; counted there, not inferred from the other counts.
    pub pending: u64,
    /// Datagrams that the kernel dropped before they could be read; `None` where the system does not tell.
    pub kernel_dropped: Option<u64>,
    /// Datagrams, whoever they were for, that this network namespace could not put together from their fragments;
    /// `None` where the system does not tell.
    pub lost_in_fragments: Option<u64>,
}

impl Summary {
    /// The counts now, since the start.
    #[must_use]
    pub fn totals(&self) -> Totals {
        Totals {
            counts: self.ledger.snapshot(),
            pending: self.lane.pending_documents(),
            kernel_dropped: self.kernel_drops.as_ref().map(|drops| drops.read(&SystemFiles)),
            lost_in_fragments: self.lost_in_fragments.map(|lost| lost.read(&SystemFiles)),
        }
    }

    /// Logs a line a minute after each first document, and so on while documents come or wait. Sleeps without a timer
    /// otherwise. Never ends.
    #[expect(
        clippy::disallowed_methods,
        reason = "says each minute what came since the last"
    )]
    pub async fn run(&self) {
        let mut before = self.totals();
        loop {
            self.ledger.activity().await;
            loop {
                tokio::time::sleep(INTERVAL).await;
                let now = self.totals();
                let Some(line) = minute(&before, &now, self.lane.oldest(), Instant::now()) else {
                    break;
                };
                tracing::info!("{line}");
                if let Some(line) = lost_by_the_network(&before, &now) {
                    tracing::warn!("{line}");
                }
                before = now;
            }
        }
    }
}

/// The line about what changed; `None` when nothing did and nothing waits.
fn minute(before: &Totals, now: &Totals, oldest: Option<Instant>, at: Instant) -> Option<String> {
    let pending = now.pending;
    if before == now && pending == 0 {
        return None;
    }
    let change = now.since(before);
    let mut line = format!(
        "In the last {} s: {change}; pending {pending}",
        INTERVAL.as_secs()
    );
    if let Some(oldest) = oldest {
        let age_s = at.saturating_duration_since(oldest).as_secs_f64();
        // Writing to a String does not fail.
        let _: std::fmt::Result = write!(line, ", the oldest for {age_s:.1} s");
    }
    Some(line)
}

/// The line about fragments; `None` when none was lost.
fn lost_by_the_network(before: &Totals, now: &Totals) -> Option<String> {
    let lost = now.since(before).lost_in_fragments.filter(|lost| *lost > 0)?;
    Some(format!(
        "The network lost {lost} datagrams in the last {} s, {} since the start: they came in fragments, and not all of \
         them (ReasmFails of this network namespace, which counts those for others too). Segments longer than a packet \
         may be among them; POST /TraceSegments on the TCP port takes such whole",
        INTERVAL.as_secs(),
        now.lost_in_fragments.unwrap_or_default()
    ))
}

/// What came since, where the system tells.
fn difference(now: Option<u64>, before: Option<u64>) -> Option<u64> {
    now.map(|now| now.saturating_sub(before.unwrap_or_default()))
}

impl Totals {
    /// What came since `before`, and what is pending still.
    #[must_use]
    pub fn since(&self, before: &Self) -> Self {
        Self {
            counts: self.counts.since(&before.counts),
            pending: self.pending,
            kernel_dropped: difference(self.kernel_dropped, before.kernel_dropped),
            lost_in_fragments: difference(self.lost_in_fragments, before.lost_in_fragments),
        }
    }
}

impl std::fmt::Display for Totals {
    /// `received 10, sent 7, unprocessed 0, rejected 1 (invalid_header 1), dropped 2 (buffer_full 2), kernel drops 0`;
    /// what has to do with the spool and with fragments only when there is any: `received 10, recovered 5, …, spooled 3, kernel drops 0`.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let counts = &self.counts;
        write!(f, "received {}", counts.received)?;
        if counts.recovered > 0 {
            write!(f, ", recovered {}", counts.recovered)?;
        }
        write!(f, ", sent {}, unprocessed {}", counts.sent, counts.unprocessed)?;
        write!(f, ", rejected {}", counts.rejected_total())?;
        reasons(
            f,
            RejectReason::ALL.map(|reason| (reason.label(), counts.rejected(reason))),
        )?;
        write!(f, ", dropped {}", counts.dropped_total())?;
        reasons(
            f,
            DropReason::ALL.map(|reason| (reason.label(), counts.dropped(reason))),
        )?;
        if counts.spooled > 0 {
            write!(f, ", spooled {}", counts.spooled)?;
        }
        if let Some(dropped) = self.kernel_dropped {
            write!(f, ", kernel drops {dropped}")?;
        }
        match self.lost_in_fragments {
            Some(lost) if lost > 0 => write!(f, ", lost in fragments {lost}"),
            _ => Ok(()),
        }
    }
}

/// ` (a 1, b 2)`, without those that are 0; nothing when all are.
fn reasons<const N: usize>(f: &mut std::fmt::Formatter<'_>, counts: [(&str, u64); N]) -> std::fmt::Result {
    let shown: Vec<String> = counts
        .iter()
        .filter(|(_, count)| *count > 0)
        .map(|(label, count)| format!("{label} {count}"))
        .collect();
    if shown.is_empty() {
        Ok(())
    } else {
        write!(f, " ({})", shown.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn totals(change: impl Fn(&Ledger), kernel_dropped: Option<u64>) -> Totals {
        let ledger = Ledger::default();
        change(&ledger);
        Totals {
            counts: ledger.snapshot(),
            pending: ledger.snapshot().pending(),
            kernel_dropped,
            lost_in_fragments: None,
        }
    }

    #[test]
    fn what_the_network_lost_has_a_line_of_its_own_and_is_in_the_last_one() {
        let at = |lost_in_fragments| Totals {
            lost_in_fragments,
            ..totals(|ledger| ledger.add_received(1), Some(0))
        };
        let line = lost_by_the_network(&at(Some(5)), &at(Some(12))).unwrap();
        assert!(
            line.starts_with("The network lost 7 datagrams in the last 60 s, 12 since the start: "),
            "{line}"
        );
        assert_eq!(lost_by_the_network(&at(Some(5)), &at(Some(5))), None);
        assert_eq!(lost_by_the_network(&at(None), &at(None)), None);
        assert!(
            at(Some(12))
                .to_string()
                .ends_with("kernel drops 0, lost in fragments 12")
        );
        assert!(at(Some(0)).to_string().ends_with("kernel drops 0"));
    }

    #[test]
    fn the_line_names_every_loss_by_its_reason() {
        let now = totals(
            |ledger| {
                ledger.add_received(12);
                ledger.add_sent(5);
                ledger.add_unprocessed(Some("ParseError"));
                ledger.add_rejected(RejectReason::InvalidHeader);
                ledger.add_dropped(DropReason::BufferFull, 2);
                ledger.add_dropped(DropReason::Refused, 1);
            },
            Some(3),
        );
        assert_eq!(
            now.to_string(),
            "received 12, sent 5, unprocessed 1, rejected 1 (invalid_header 1), dropped 3 (buffer_full 2, refused 1), \
             kernel drops 3"
        );
    }

    #[test]
    fn the_spool_is_in_the_line_when_there_is_something_in_it() {
        let now = totals(
            |ledger| {
                ledger.add_recovered(10);
                ledger.sub_spooled(4);
                ledger.add_sent(3);
                ledger.add_dropped(DropReason::SpoolDamaged, 1);
            },
            None,
        );
        assert_eq!(
            now.to_string(),
            "received 0, recovered 10, sent 3, unprocessed 0, rejected 0, dropped 1 (spool_damaged 1), spooled 6"
        );
        assert_eq!(now.counts.pending(), 0);
    }

    #[test]
    fn a_minute_shows_what_changed_in_it_and_what_waits() {
        let start = Instant::now();
        let before = totals(|ledger| ledger.add_received(10), Some(3));
        let now = totals(
            |ledger| {
                ledger.add_received(30);
                ledger.add_sent(25);
            },
            Some(4),
        );
        assert_eq!(
            minute(&before, &now, Some(start), start + Duration::from_millis(1500)).unwrap(),
            "In the last 60 s: received 20, sent 25, unprocessed 0, rejected 0, dropped 0, kernel drops 1; pending 5, \
             the oldest for 1.5 s"
        );
    }

    #[test]
    fn without_traffic_and_with_nothing_waiting_there_is_no_line() {
        let now = totals(
            |ledger| {
                ledger.add_received(10);
                ledger.add_sent(10);
            },
            None,
        );
        assert_eq!(minute(&now, &now, None, Instant::now()), None);
        let waiting = totals(|ledger| ledger.add_received(1), None);
        assert!(
            minute(&waiting, &waiting, None, Instant::now())
                .unwrap()
                .ends_with("; pending 1")
        );
    }
}
