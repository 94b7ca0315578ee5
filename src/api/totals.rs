//! The counts of one moment, and the account in words.

use std::fmt::{self, Display};

use crate::ledger::amounts::Amounts;
use crate::ledger::destination::Destination;
use crate::ledger::receipts::Receipt;
use crate::ledger::signal::{Content, Receiver};
use crate::ledger::{DropReason, RejectReason, Snapshot};

/// Everything that is counted at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Totals {
    /// The counts of the lane that receivers of segments fill; without OTLP there is no other one.
    pub counts: Snapshot,
    /// Documents that the lanes hold in memory; counted there, not inferred from the other counts.
    pub pending: u64,
    /// Datagrams that the kernel dropped before they could be read; `None` where the system does not tell.
    pub kernel_dropped: Option<u64>,
    /// Datagrams, whoever they were for, that this network namespace could not put together from their fragments;
    /// `None` where the system does not tell.
    pub lost_in_fragments: Option<u64>,
    /// By receiver and destination; `None` in a daemon that has nothing to do with OTLP.
    pub bridge: Option<BridgeTotals>,
}

/// What came in by each receiver, and what became of it at each destination.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct BridgeTotals {
    /// By receiver, in the order of [`Receiver::ALL`].
    pub received: [Receipt; Receiver::ALL.len()],
    /// By destination, in the order of [`Destination::ALL`]; `None` where nothing goes there.
    pub lanes: [Option<LaneTotals>; Destination::ALL.len()],
}

/// What became of what one lane was given.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct LaneTotals {
    /// By content, in the order of [`Content::ALL`].
    pub counts: [Snapshot; Content::ALL.len()],
    /// What it holds in memory.
    pub pending: Amounts,
}

impl LaneTotals {
    /// Of all contents together.
    #[must_use]
    pub fn all(&self) -> Snapshot {
        let all = self.counts.iter();
        all.fold(Snapshot::default(), |sum, counts| sum.plus(counts))
    }

    /// What was sent by content, as the account lists it; `None` when nothing was.
    pub(crate) fn sent_by(&self) -> Option<String> {
        let by_content = Content::ALL.iter().zip(&self.counts);
        listed(by_content.map(|(content, counts)| (content.label(), counts.sent)))
    }

    /// What was dropped by reason, likewise.
    pub(crate) fn dropped_by(&self) -> Option<String> {
        let all = self.all();
        listed(DropReason::ALL.map(|reason| (reason.label(), all.dropped(reason))))
    }

    fn since(&self, before: &Self) -> Self {
        Self {
            counts: std::array::from_fn(|i| self.counts[i].since(&before.counts[i])),
            pending: self.pending,
        }
    }
}

/// What came since, where the system tells.
fn difference(now: Option<u64>, before: Option<u64>) -> Option<u64> {
    now.map(|now| now.saturating_sub(before.unwrap_or_default()))
}

impl Totals {
    /// The same when the daemon has ended: what the lanes hold still is counted as dropped by then, and waits for nobody.
    #[must_use]
    pub fn at_the_end(&self) -> Self {
        let settled = |lane: Option<LaneTotals>| {
            lane.map(|lane| LaneTotals {
                pending: Amounts::default(),
                ..lane
            })
        };
        Self {
            pending: 0,
            bridge: self.bridge.map(|bridge| BridgeTotals {
                lanes: bridge.lanes.map(settled),
                ..bridge
            }),
            ..*self
        }
    }

    /// What came since `before`, and what is pending still.
    #[must_use]
    pub fn since(&self, before: &Self) -> Self {
        Self {
            counts: self.counts.since(&before.counts),
            pending: self.pending,
            kernel_dropped: difference(self.kernel_dropped, before.kernel_dropped),
            lost_in_fragments: difference(self.lost_in_fragments, before.lost_in_fragments),
            bridge: self.bridge.map(|bridge| {
                let before = before.bridge.unwrap_or_default();
                BridgeTotals {
                    received: std::array::from_fn(|i| bridge.received[i].since(before.received[i])),
                    lanes: std::array::from_fn(|i| {
                        bridge.lanes[i].map(|lane| lane.since(&before.lanes[i].unwrap_or_default()))
                    }),
                }
            }),
        }
    }

    /// What the system lost before it could be read.
    fn write_system(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(dropped) = self.kernel_dropped {
            write!(f, ", kernel drops {dropped}")?;
        }
        match self.lost_in_fragments {
            Some(lost) if lost > 0 => write!(f, ", lost in fragments {lost}"),
            _ => Ok(()),
        }
    }

    fn rejected(&self) -> [(&'static str, u64); RejectReason::ALL.len()] {
        RejectReason::ALL.map(|reason| (reason.label(), self.counts.rejected(reason)))
    }

    /// By reason, and of OTLP by receiver: those are requests, and have no reason but that they were none.
    fn rejected_by(&self, bridge: &BridgeTotals) -> Vec<(&'static str, u64)> {
        let receivers = Receiver::ALL.iter().zip(&bridge.received).skip(2);
        let otlp = receivers.map(|(receiver, receipt)| (receiver.label(), receipt.rejected));
        self.rejected().into_iter().chain(otlp).collect()
    }

    /// What was rejected by reason, as the account of a bridge lists it; `None` when nothing was.
    pub(crate) fn rejected_by_reason(&self, bridge: &BridgeTotals) -> Option<String> {
        listed(self.rejected_by(bridge))
    }

    /// `received 160 (udp 100, otlp_http 60), rejected 1 (otlp_http 1), kernel drops 0; to X-Ray: sent 100, …; to OTLP: …`.
    fn write_bridge(&self, bridge: &BridgeTotals, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let by_receiver = |count: fn(&Receipt) -> u64| {
            let counts = Receiver::ALL.iter().zip(&bridge.received);
            counts.map(move |(receiver, receipt)| (receiver.label(), count(receipt)))
        };
        let received = bridge.received.iter().map(|receipt| receipt.received);
        write!(f, "received {}", received.sum::<u64>())?;
        reasons(f, by_receiver(|receipt| receipt.received))?;
        let rejected: u64 = bridge.received.iter().map(|receipt| receipt.rejected).sum();
        write!(f, ", rejected {rejected}")?;
        reasons(f, self.rejected_by(bridge))?;
        self.write_system(f)?;
        for (destination, lane) in Destination::ALL.into_iter().zip(&bridge.lanes) {
            if let Some(lane) = lane {
                write!(f, "; to {destination}: {lane}")?;
            }
        }
        Ok(())
    }
}

impl Display for Totals {
    /// `received 10, sent 7, unprocessed 0, rejected 1 (invalid_header 1), dropped 2 (buffer_full 2), kernel drops 0`;
    /// what has to do with the spool and with fragments only when there is any: `received 10, recovered 5, …, spooled 3, kernel drops 0`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(bridge) = &self.bridge {
            return self.write_bridge(bridge, f);
        }
        let counts = &self.counts;
        write!(f, "received {}", counts.received)?;
        if counts.recovered > 0 {
            write!(f, ", recovered {}", counts.recovered)?;
        }
        write!(f, ", sent {}, unprocessed {}", counts.sent, counts.unprocessed)?;
        write!(f, ", rejected {}", counts.rejected_total())?;
        reasons(f, self.rejected())?;
        write_dropped(counts, f)?;
        if counts.spooled > 0 {
            write!(f, ", spooled {}", counts.spooled)?;
        }
        self.write_system(f)
    }
}

impl Display for LaneTotals {
    /// `sent 150 (segments 100, traces 50), unprocessed 0, dropped 2 (in_progress 2)`, with what was recovered and what is
    /// spooled or pending where there is any.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let all = self.all();
        if all.recovered > 0 {
            write!(f, "recovered {}, ", all.recovered)?;
        }
        write!(f, "sent {}", all.sent)?;
        let by_content = Content::ALL.iter().zip(&self.counts);
        let sent: Vec<(&str, u64)> = by_content
            .map(|(content, counts)| (content.label(), counts.sent))
            .filter(|(_, sent)| *sent > 0)
            .collect();
        // Segments are what a line is about that says nothing else.
        if !matches!(&sent[..], [] | [("segments", _)]) {
            reasons(f, sent)?;
        }
        write!(f, ", unprocessed {}", all.unprocessed)?;
        write_dropped(&all, f)?;
        if all.spooled > 0 {
            write!(f, ", spooled {}", all.spooled)?;
        }
        match self.pending.total() {
            0 => Ok(()),
            pending => write!(f, ", pending {pending}"),
        }
    }
}

fn write_dropped(counts: &Snapshot, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    write!(f, ", dropped {}", counts.dropped_total())?;
    reasons(
        f,
        DropReason::ALL.map(|reason| (reason.label(), counts.dropped(reason))),
    )
}

/// ` (a 1, b 2)`, without those that are 0; nothing when all are.
fn reasons<'c>(f: &mut fmt::Formatter<'_>, counts: impl IntoIterator<Item = (&'c str, u64)>) -> fmt::Result {
    match listed(counts) {
        Some(shown) => write!(f, " ({shown})"),
        None => Ok(()),
    }
}

/// `a 1, b 2`, without those that are 0; `None` when all are.
fn listed<'c>(counts: impl IntoIterator<Item = (&'c str, u64)>) -> Option<String> {
    let shown: Vec<String> = counts
        .into_iter()
        .filter(|(_, count)| *count > 0)
        .map(|(label, count)| format!("{label} {count}"))
        .collect();
    (!shown.is_empty()).then(|| shown.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::Ledger;

    fn lane(change: impl Fn(&Ledger), pending: Amounts) -> LaneTotals {
        let ledger = Ledger::default();
        change(&ledger);
        LaneTotals {
            counts: Content::ALL.map(|content| ledger.snapshot_of(content)),
            pending,
        }
    }

    fn receipt(received: u64, rejected: u64) -> Receipt {
        Receipt { received, rejected }
    }

    #[test]
    fn with_two_lanes_each_is_named_with_what_became_of_what_it_was_given() {
        let xray = lane(
            |ledger| {
                ledger.add_sent(97);
                ledger.add_dropped(DropReason::BufferFull, 3);
            },
            Amounts::default(),
        );
        let otlp = lane(
            |ledger| {
                ledger.of(Content::Segments).add_recovered(5);
                ledger.of(Content::Segments).add_sent(95);
                ledger
                    .of(Content::Segments)
                    .add_dropped(DropReason::InProgress, 5);
                ledger.of(Content::Traces).add_sent(40);
                ledger.add_unprocessed_of(Content::Traces, Some("PartialSuccess"), 2);
            },
            [(Content::Traces, 18)].into_iter().collect(),
        );
        let totals = Totals {
            counts: {
                let ledger = Ledger::default();
                ledger.add_rejected(RejectReason::InvalidHeader);
                ledger.snapshot()
            },
            kernel_dropped: Some(0),
            bridge: Some(BridgeTotals {
                received: [receipt(99, 1), receipt(2, 0), receipt(60, 0), receipt(1, 1)],
                lanes: [Some(xray), Some(otlp)],
            }),
            ..Totals::default()
        };
        assert_eq!(
            totals.to_string(),
            "received 162 (udp 99, http 2, otlp_http 60, otlp_grpc 1), rejected 2 (invalid_header 1, otlp_grpc 1), kernel \
             drops 0; to X-Ray: sent 97, unprocessed 0, dropped 3 (buffer_full 3); to OTLP: recovered 5, sent 135 \
             (segments 95, traces 40), unprocessed 2, dropped 5 (in_progress 5), spooled 5, pending 18"
        );
        // Dropped by then, so it is not told twice.
        let at_the_end = totals.at_the_end().to_string();
        assert!(
            at_the_end.ends_with("dropped 5 (in_progress 5), spooled 5"),
            "{at_the_end}"
        );
        let later = totals.since(&totals);
        assert_eq!(
            later.to_string(),
            "received 0, rejected 0, kernel drops 0; to X-Ray: sent 0, unprocessed 0, dropped 0; to OTLP: sent 0, \
             unprocessed 0, dropped 0, spooled 5, pending 18"
        );
    }

    #[test]
    fn a_destination_that_nothing_goes_to_is_not_named() {
        let totals = Totals {
            bridge: Some(BridgeTotals {
                received: Default::default(),
                lanes: [None, Some(LaneTotals::default())],
            }),
            ..Totals::default()
        };
        assert_eq!(
            totals.to_string(),
            "received 0, rejected 0; to OTLP: sent 0, unprocessed 0, dropped 0"
        );
    }
}
