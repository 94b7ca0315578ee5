//! What is shown, taken at one moment.

use std::collections::BTreeMap;
use std::time::{Instant, SystemTime};

use super::page::Label;
use crate::api::summary::{LaneTotals, Summary, Totals};
use crate::ledger::calls::Calls;
use crate::ledger::destination::Destination;
use crate::ledger::http::HttpCounts;
use crate::ledger::receipts::OTLP_RECEIVERS;
use crate::ledger::signal::{Content, Receiver, Signal};
use crate::ledger::{DropReason, RejectReason};
use crate::pipeline::lane::depth::Depth;

/// Everything that is shown, at one moment.
#[derive(Debug, Clone)]
pub struct Observed {
    /// What became of the documents.
    pub totals: Totals,
    /// Each lane; without OTLP there is one.
    pub lanes: Vec<LaneObserved>,
    /// What came in, by receiver and signal; `None` in a daemon that has nothing to do with OTLP, whose samples have no
    /// labels for it.
    pub bridge: Option<BridgeObserved>,
    /// What the TCP port was asked.
    pub http: HttpCounts,
    /// Whether the daemon can do its work.
    pub is_ready: bool,
    /// When it started.
    pub started_at: SystemTime,
    /// The moment, on both clocks.
    pub now: Instant,
    /// See [`Observed::now`].
    pub wall_clock: SystemTime,
}

/// One lane.
#[derive(Debug, Clone)]
pub struct LaneObserved {
    /// Where it sends.
    pub destination: Destination,
    /// What goes there.
    pub contents: Vec<Content>,
    /// What became of it.
    pub totals: LaneTotals,
    /// What was not processed, by the error code of the destination.
    pub unprocessed: BTreeMap<(Content, String), u64>,
    /// What is in memory.
    pub depth: Depth,
    /// What became of the calls.
    pub calls: Calls,
}

/// What came in.
#[derive(Debug, Clone, Default)]
pub struct BridgeObserved {
    /// Items, by receiver and what they are.
    pub received: Vec<(Receiver, Content, u64)>,
    /// What was refused, by receiver, what it was to be, and reason.
    pub rejected: Vec<(Receiver, Content, &'static str, u64)>,
}

/// The reason of OTLP requests that are refused for what they are.
const INVALID_REQUEST: &str = "invalid_request";

impl BridgeObserved {
    /// Of a daemon.
    #[must_use]
    pub fn of(summary: &Summary) -> Self {
        let (ledger, mut observed) = (summary.ledger(), Self::default());
        let over_tcp = ledger.received_over_tcp();
        let datagrams = ledger.received_as_segments().saturating_sub(over_tcp);
        observed.received = vec![
            (Receiver::Udp, Content::Segments, datagrams),
            (Receiver::Http, Content::Segments, over_tcp),
        ];
        let counts = ledger.snapshot_of(Content::Segments);
        for reason in RejectReason::ALL {
            let over_tcp = ledger.rejected_over_tcp(reason);
            let datagrams = counts.rejected(reason).saturating_sub(over_tcp);
            observed
                .rejected
                .push((Receiver::Udp, Content::Segments, reason.label(), datagrams));
            if reason == RejectReason::MissingSegment {
                observed
                    .rejected
                    .push((Receiver::Http, Content::Segments, reason.label(), over_tcp));
            }
        }
        for receiver in OTLP_RECEIVERS {
            for signal in Signal::ALL {
                let receipt = summary.fanout.receipts().of(receiver, signal);
                let content = Content::of(signal);
                observed.received.push((receiver, content, receipt.received));
                observed
                    .rejected
                    .push((receiver, content, INVALID_REQUEST, receipt.rejected));
            }
        }
        observed
    }
}

impl Observed {
    /// The labels of a lane; none where there is nothing else.
    pub(super) fn labels(&self, lane: &LaneObserved) -> Vec<Label<'static>> {
        match &self.bridge {
            None => Vec::new(),
            Some(_) => vec![("destination", lane.destination.label())],
        }
    }

    /// Each lane with each of its contents, their labels and counts.
    pub(super) fn by_content(&self) -> Vec<(Vec<Label<'static>>, &LaneObserved, Content)> {
        let lanes = self.lanes.iter();
        lanes
            .flat_map(|lane| {
                lane.contents.iter().map(move |content| {
                    let mut labels = self.labels(lane);
                    if self.bridge.is_some() {
                        labels.push(("signal", content.label()));
                    }
                    (labels, lane, *content)
                })
            })
            .collect()
    }

    /// The reasons that documents can be lost for.
    pub(super) fn drop_reasons(&self) -> &'static [DropReason] {
        const WITHOUT_OTLP: &[DropReason] = DropReason::ALL.split_at(DropReason::UNCONVERTED).0;
        match &self.bridge {
            None => WITHOUT_OTLP,
            Some(_) => &DropReason::ALL,
        }
    }
}
