//! Which traces a question of the page is about, and in which order.

use super::{Query, Wrong, filter_of, number};
use crate::digest::{Digest, ServiceKey};
use crate::filter::Filter;
use crate::operations::OperationKey;
use crate::service::{Service, View};
use crate::work::{Ended, Work};

/// Which traces a question of the page is about: `filter`, `start` and `end` (seconds since 1970, of the trace's start),
/// `service` and `operation` as `/-/operations` names them.
#[derive(Debug)]
pub struct Selection {
    filter: Filter,
    start: f64,
    end: f64,
    operation: Option<OperationKey>,
}

impl Selection {
    fn of(filter: Filter, query: &Query) -> Result<Self, Wrong> {
        let service = query.get("service").filter(|id| !id.is_empty());
        let operation = service.map(|id| {
            let (name, kind) = id.rsplit_once('~').unwrap_or((id, ""));
            OperationKey {
                service: ServiceKey {
                    name: name.to_owned(),
                    kind: kind.to_owned(),
                },
                operation: query.get("operation").cloned().unwrap_or_default(),
            }
        });
        Ok(Self {
            filter,
            start: number(query, "start")?.unwrap_or(f64::NEG_INFINITY),
            end: number(query, "end")?.unwrap_or(f64::INFINITY),
            operation,
        })
    }

    /// Of a query; without a word in it all.
    ///
    /// # Errors
    /// When its filter or a number in it cannot be read.
    pub fn of_service(service: &Service, query: &Query) -> Result<Self, Wrong> {
        Self::of(service.question(filter_of(query))?, query)
    }

    pub(super) fn of_view(view: &View, query: &Query) -> Result<Self, Wrong> {
        Self::of(view.question(filter_of(query))?, query)
    }

    /// Whether a trace is meant.
    ///
    /// # Errors
    /// When the budget is spent, or nobody waits.
    pub fn judge(&self, digest: &Digest, work: &Work) -> Result<bool, Ended> {
        if digest.start < self.start || digest.start > self.end || !self.filter.judge(digest, work)? {
            return Ok(false);
        }
        let Some(operation) = &self.operation else {
            return Ok(true);
        };
        work.spend(digest.size())?;
        Ok(operation.is_in(digest))
    }
}

/// The order of a list: by what, largest first; `None` for the usual one, newest first.
pub(super) type Order = Option<fn(&Digest) -> f64>;

pub(super) fn order(query: &Query) -> Result<Order, Wrong> {
    match query.get("sort").map(String::as_str) {
        None | Some("" | "start") => Ok(None),
        // What has no response yet has taken as long as anything in it.
        Some("duration") => Ok(Some(|digest| digest.response_time().unwrap_or(digest.duration()))),
        Some("segments") => Ok(Some(|digest| digest.entities() as f64)),
        Some(_) => Err(Wrong::Request {
            message: "sort is start, duration or segments".to_owned(),
            position: None,
        }),
    }
}
