//! What became of a batch whose answer names no document.

use crate::exporters::answer::Answer;
use crate::ledger::signal::Content;
use crate::ledger::{DropReason, Ledger};
use crate::pipeline::queue::Flight;

/// The code of what an OTLP endpoint rejected in a request that it took in part.
const PARTIAL_SUCCESS: &str = "PartialSuccess";

/// What became of each item of a batch whose answer names none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Settled {
    content: Content,
    pub(super) sent: u64,
    /// Not taken, whichever they were.
    pub(super) unprocessed: u64,
    pub(super) left_out: Vec<(DropReason, u64)>,
}

impl Settled {
    /// An answer can't have left out, or left undone, more than there was.
    pub(super) fn of(flight: &Flight, answer: &Answer) -> Self {
        let mut left = flight.documents as u64;
        let mut take = |count: u64| {
            let taken = count.min(left);
            left -= taken;
            taken
        };
        let left_out = answer.left_out.iter();
        let left_out = left_out
            .map(|(reason, count)| (*reason, take(*count)))
            .filter(|(_, count)| *count > 0)
            .collect();
        let unprocessed = answer.unnamed.as_ref().map_or(0, |unnamed| take(unnamed.count));
        Self {
            content: flight.kind.content(),
            sent: left,
            unprocessed,
            left_out,
        }
    }

    pub(super) fn count(&self, ledger: &Ledger) {
        let account = ledger.of(self.content);
        account.add_sent(self.sent);
        for (reason, count) in &self.left_out {
            account.add_dropped(*reason, *count);
        }
        if self.unprocessed > 0 {
            ledger.add_unprocessed_of(self.content, Some(PARTIAL_SUCCESS), self.unprocessed);
        }
    }
}
