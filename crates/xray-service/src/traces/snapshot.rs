//! The traces of one moment, to be asked while the store goes on.

use std::sync::Arc;

use super::{Cursor, Trace, micros};

/// Every trace of one moment. It holds them as long as it is kept, also those that the store lets go meanwhile.
#[derive(Debug, Clone, Default)]
pub struct Snapshot {
    pub(super) newest_first: Vec<Arc<Trace>>,
}

impl Snapshot {
    /// One trace.
    #[must_use]
    pub fn get(&self, id: &str) -> Option<&Trace> {
        let mut traces = self.newest_first.iter();
        traces.find(|trace| trace.id == id).map(AsRef::as_ref)
    }

    /// The traces that start within so many seconds of `start`, newest first.
    pub fn around(&self, start: f64, apart_s: f64) -> impl Iterator<Item = &Trace> {
        let (from, to) = (micros(start - apart_s), micros(start + apart_s));
        let first = self.newest_first.partition_point(|trace| trace.start_us > to);
        let near = self.newest_first[first..].iter();
        near.take_while(move |trace| trace.start_us >= from)
            .map(AsRef::as_ref)
    }

    /// Every trace, newest start first; with `before`, those that come after it in this order.
    pub fn newest_first(&self, before: Option<&Cursor>) -> impl Iterator<Item = &Trace> {
        let first = before.map_or(0, |before| {
            let before = (before.start_us, before.id.as_str());
            self.newest_first
                .partition_point(|trace| (trace.start_us, trace.id.as_str()) >= before)
        });
        self.newest_first[first..].iter().map(AsRef::as_ref)
    }
}
