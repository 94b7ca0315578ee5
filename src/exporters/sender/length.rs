//! Batches in halves, and the length of a body that was refused as too long.

use std::time::{Duration, Instant};

use super::Sender;
use crate::exporters::Exporter;
use crate::pipeline::batch::Batch;
use crate::pipeline::queue::Flight;

/// For how long batches stay below a length that was refused. A proxy's limit does not change often, and finding it again
/// costs a few calls.
pub(super) const BOUND_BODIES_FOR: Duration = Duration::from_secs(600);

/// Bodies are not bounded below this, whatever was refused: with fewer bytes than one document has, each call would carry
/// one.
const BOUND_BODIES_MIN_BYTES: usize = 16 << 10;

/// What a body that was refused for its length has taught.
#[derive(Debug, Clone, Copy)]
pub(super) struct BodiesBound {
    bytes: usize,
    until: Instant,
}

impl<X: Exporter> Sender<X> {
    /// No batch is longer than what was refused: one that is, from before or from the spool, is halved without being sent.
    /// True when it was.
    pub(super) fn split_too_long(&mut self, flight: &Flight, now: Instant) -> bool {
        self.bodies_bound
            .is_some_and(|bound| flight.body.len() > bound.bytes)
            && self.halve(flight, None, now)
    }

    /// Puts the halves of a batch in its place, to be sent not before `not_before`; false for a single document.
    pub(super) fn halve(&self, flight: &Flight, not_before: Option<Instant>, now: Instant) -> bool {
        let Some(mut halves) = Batch::halves::<X::Encoding>(flight.kind, &flight.body, flight.opened_at)
        else {
            return false;
        };
        for half in &mut halves {
            half.not_before = not_before;
            half.redeliveries = flight.redeliveries;
            half.faults = flight.faults;
        }
        self.lane.replace(flight.ticket, halves, now);
        true
    }

    pub(super) fn learn_bodies_bound(&mut self, flight: &Flight, now: Instant) {
        let refused_bytes = flight.body.len();
        // Its halves are to be tried as they are.
        let halves = Batch::halves::<X::Encoding>(flight.kind, &flight.body, flight.opened_at);
        let bytes = halves.map_or(refused_bytes - 1, |[first, second]| {
            first.body.len().max(second.body.len())
        });
        let known = self.bodies_bound.map_or(usize::MAX, |bound| bound.bytes);
        let bytes = bytes.max(BOUND_BODIES_MIN_BYTES).min(known);
        self.bodies_bound = Some(BodiesBound {
            bytes,
            until: now + BOUND_BODIES_FOR,
        });
        self.lane.bound_bodies(Some(bytes));
        if bytes < known {
            let minutes = BOUND_BODIES_FOR.as_secs() / 60;
            tracing::warn!(
                bytes,
                refused_bytes,
                minutes,
                "A body of {refused_bytes} bytes is too long for whoever answers at the endpoint; bodies stay below {bytes} \
                 bytes for {minutes} minutes"
            );
        }
    }

    pub(super) fn forget_bodies_bound(&mut self, now: Instant) {
        if self.bodies_bound.is_some_and(|bound| bound.until <= now) {
            self.bodies_bound = None;
            self.lane.bound_bodies(None);
        }
    }
}
