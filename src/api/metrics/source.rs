//! Where the numbers come from, for every port that shows them.

use std::sync::Arc;
use std::time::{Instant, SystemTime};

use super::{BridgeObserved, LaneObserved, Observed, render};
use crate::api::health::{Health, calls_of};
use crate::api::summary::{LaneTotals, Summary};
use crate::ledger::Ledger;
use crate::ledger::signal::Content;
use crate::net::server::answer::{self, Answer};

/// The text format's type; the version is that of the format.
const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// What a daemon counts and knows of itself.
#[derive(Debug, Clone)]
pub struct Source {
    summary: Arc<Summary>,
    health: Arc<Health>,
    started_at: SystemTime,
}

impl Source {
    /// Of a daemon that starts now.
    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "the daemon's start is a metric")]
    pub fn new(summary: Arc<Summary>, health: Arc<Health>) -> Self {
        Self {
            summary,
            health,
            started_at: SystemTime::now(),
        }
    }

    /// The counters, for the port to count on.
    #[must_use]
    pub fn ledger(&self) -> &Arc<Ledger> {
        self.summary.ledger()
    }

    /// The page as of now.
    #[must_use]
    #[expect(
        clippy::disallowed_methods,
        reason = "a page is of one moment, the present one"
    )]
    pub fn page(&self) -> String {
        let ledger = self.ledger();
        let now = Instant::now();
        let fanout = &self.summary.fanout;
        let lanes = fanout.lanes().all().map(|lane| LaneObserved {
            destination: lane.destination(),
            contents: fanout.contents_to(lane.destination()),
            totals: LaneTotals {
                counts: Content::ALL.map(|content| lane.ledger().snapshot_of(content)),
                pending: lane.pending_amounts(),
            },
            unprocessed: lane.ledger().unprocessed_by_code(),
            depth: lane.depth(),
            calls: lane.ledger().calls(),
        });
        render(&Observed {
            totals: self.summary.totals(),
            lanes: lanes.collect(),
            bridge: self
                .summary
                .is_bridge()
                .then(|| BridgeObserved::of(&self.summary)),
            http: ledger.http.snapshot(),
            is_ready: self.health.unmet_of(&calls_of(fanout), now).is_empty(),
            started_at: self.started_at,
            now,
            wall_clock: SystemTime::now(),
        })
    }

    /// The answer to `GET /metrics`.
    pub(crate) fn answer(&self) -> Answer {
        answer::of_type(CONTENT_TYPE, self.page())
    }
}
