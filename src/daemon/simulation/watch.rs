//! What must hold at every moment at which nobody has anything to do.

use std::sync::{Arc, Mutex, MutexGuard};

use super::endpoint::Endpoint;
use crate::exporters::bodies::Bodies;
use crate::ledger::Ledger;
use crate::pipeline::budget::Budget;
use crate::pipeline::lane::Lane;
use crate::pipeline::spool::Spool;

/// Looks at the process that runs; clones are the same one.
#[derive(Debug, Clone, Default)]
pub(super) struct Watch(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    watched: Option<Watched>,
    looks: u64,
    violation: Option<String>,
}

#[derive(Debug)]
struct Watched {
    lane: Arc<Lane<Bodies>>,
    ledger: Arc<Ledger>,
    budget: Budget,
    endpoint: Endpoint,
    most_in_flight: usize,
}

impl Watch {
    pub(super) fn start(
        &self,
        lane: &Arc<Lane<Bodies>>,
        ledger: &Arc<Ledger>,
        budget: Budget,
        endpoint: &Endpoint,
        most_in_flight: usize,
    ) {
        self.state().watched = Some(Watched {
            lane: Arc::clone(lane),
            ledger: Arc::clone(ledger),
            budget,
            endpoint: endpoint.clone(),
            most_in_flight,
        });
    }

    /// The process is about to end: how is looked at elsewhere.
    pub(super) fn end(&self) {
        self.state().watched = None;
    }

    /// Everybody waits.
    pub(super) fn look(&self) {
        let state = &mut *self.state();
        state.looks += 1;
        if let Some(watched) = &state.watched
            && state.violation.is_none()
        {
            state.violation = watched.violation(state.looks);
        }
    }

    /// Something is not as it must be.
    pub(super) fn found(&self, violation: String) {
        self.state().violation.get_or_insert(violation);
    }

    /// What was found first.
    pub(super) fn violation(&self) -> Option<String> {
        self.state().violation.clone()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap()
    }
}

impl Watched {
    fn violation(&self, looks: u64) -> Option<String> {
        let counts = self.ledger.snapshot();
        let pending = self.lane.pending_documents();
        if counts.remainder() != pending as i64 {
            return Some(format!(
                "{pending} are pending, and the counts leave {}",
                counts.remainder()
            ));
        }
        let service = self.endpoint.service();
        if counts.sent != service.told.taken {
            return Some(format!(
                "{} are counted as sent, and {} were",
                counts.sent, service.told.taken
            ));
        }
        if !service.seen.again.is_empty() {
            return Some(format!(
                "sent again after they were settled: {:?}",
                service.seen.again
            ));
        }
        if service.seen.most_in_flight > self.most_in_flight {
            return Some(format!("{} calls at once", service.seen.most_in_flight));
        }
        drop(service);
        // Counted anew, which takes time.
        if looks.is_multiple_of(16) {
            let held = self.lane.held();
            let to_write = self.lane.spool().map_or(0, Spool::to_write_bytes);
            if held.sealed_bytes > self.budget.sealed_bytes || to_write > self.budget.to_spool_bytes {
                return Some(format!(
                    "{} bytes in memory and {to_write} on their way to the disk: more than {:?}",
                    held.sealed_bytes, self.budget
                ));
            }
            if held.documents as u64 > pending {
                return Some(format!(
                    "{} documents are there, and {pending} are pending",
                    held.documents
                ));
            }
        }
        None
    }
}
