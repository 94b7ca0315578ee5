//! What questions are asked of: traces, groups and retrievals of one moment, while the service goes on.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::SystemTime;

use super::Operation;
use crate::answer::Answer;
use crate::api;
use crate::filter::{Filter, FilterError};
use crate::groups::Groups;
use crate::hints::{self, Around, Hint};
use crate::refused::Refused;
use crate::retrieval::Retrievals;
use crate::traces::{Snapshot, Trace};
use crate::work::{Ended, Work};

/// A moment of the service.
#[derive(Debug, Clone)]
pub struct View {
    /// Its traces.
    pub traces: Snapshot,
    pub(super) groups: Arc<Groups>,
    pub(super) retrievals: Arc<Retrievals>,
    pub(super) refused: Arc<VecDeque<Refused>>,
}

impl View {
    /// Answers an operation that only asks about traces ([`Operation::reads_traces`]); `now` is the answer's time.
    #[must_use]
    pub fn read(&self, operation: Operation, body: &[u8], now: SystemTime, work: &Work) -> Answer {
        let Self {
            traces,
            groups,
            retrievals,
            refused: _,
        } = self;
        let answer = match operation {
            Operation::BatchGetTraces => return api::batch_get_traces(traces, body, work),
            Operation::GetTraceSummaries => {
                return api::get_trace_summaries(traces, groups, body, now, work);
            }
            Operation::GetServiceGraph => return api::get_service_graph(traces, groups, body, work),
            Operation::GetTraceGraph => return api::get_trace_graph(traces, body, work),
            Operation::GetTimeSeriesServiceStatistics => api::series(traces, groups, body, work),
            Operation::ListRetrievedTraces => retrievals.list(traces, body, work),
            Operation::GetRetrievedTracesGraph => retrievals.graph(traces, body, work),
            _ => return Answer::unknown_operation(),
        };
        answer.map_or_else(|refusal| refusal, |answer| Answer::ok(&answer))
    }

    /// What probably went wrong in a trace of this moment.
    ///
    /// # Errors
    /// When the budget is spent, or nobody waits.
    pub fn hints(&self, trace: &Trace, now: SystemTime, work: &Work) -> Result<Vec<Hint>, Ended> {
        let around = Around {
            traces: &self.traces,
            refused: &self.refused,
            now,
        };
        hints::of(trace, around, work)
    }

    /// Reads a filter expression in which groups may be named.
    ///
    /// # Errors
    /// As [`Filter::parse_with`].
    pub fn filter(&self, text: &str) -> Result<Filter, FilterError> {
        self.groups.filter(text)
    }

    /// Reads what a person asks for ([`Filter::parse_question`]).
    ///
    /// # Errors
    /// As there.
    pub fn question(&self, text: &str) -> Result<Filter, FilterError> {
        self.groups.question(text)
    }
}
