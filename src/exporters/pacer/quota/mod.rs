//! How many documents a second the service takes: no bound until it throttles.
//!
//! After a throttle the rate goes down, and up again, as in the adaptive mode of AWS's SDKs, counted in documents and not in
//! calls. The service's quota is one of documents, and many daemons may share it: one that may send three documents a second
//! sends three in a call a second. Would it wait until it has fifty, a call every twenty seconds, each throttled one would
//! cost it a third of its minute, and what it gets would be chance.
//!
//! None of them knows the others. That they get the same is left to what a throttle changes (`bound`): each takes a share of
//! the rate, the way up is slower for the one that has more, and both are steps that get smaller with each throttle, as in
//! any search by samples of chance. Large steps find the rate soon, small ones keep to it.

mod bound;

use std::time::{Duration, Instant};

use self::bound::{AFTER_OUTAGE, Bound, FULL, Growth, KEPT};
use super::rate::Counted;

/// What is said of calls that started so soon after a throttle is said of the rate before it: a service counts by the second.
/// Otherwise two seconds in which it throttles would leave nothing of a rate of many calls.
const SETTLES: Duration = Duration::from_secs(1);

/// Less than this share of what was usual says nothing of the quota: the service takes nothing at all just now.
const STALLED: f64 = 0.05;

/// And where that is refused too, fewer go, down to so many a second: as soon is seen that something is taken again.
const STALLED_LEAST_PER_S: f64 = 1.0;

/// The weight of a second in what is usual, over minutes.
const USUAL_WEIGHT: f64 = 0.01;

/// The least rate, in documents a second.
const MIN_PER_S: f64 = 0.1;

/// What is taken for usual when nothing is known, in documents a second.
const UNKNOWN_PER_S: f64 = 400.0;

/// Above this many times the usual rate a bound is no bound any more.
const FREE_FACTOR: f64 = 16.0;

/// How many documents are taken, and how many may be sent.
#[derive(Debug, Default)]
pub(super) struct Quota {
    taken: Counted,
    /// What is taken over minutes, and when that was reckoned.
    usual: Option<(f64, Instant)>,
    /// What was taken before the outage; repeats were no part of it.
    before_outage_per_s: Option<f64>,
    /// As many documents as a probe carries during an outage.
    probe_documents: Option<usize>,
    bound: Option<Bound>,
    /// Only a throttle is a reason to wait any more.
    hurried: bool,
}

impl Quota {
    /// When a call may start, if not at `now`.
    pub(super) fn next_at(&self, now: Instant) -> Option<Instant> {
        self.bound.as_ref()?.next_at(now)
    }

    /// How many documents a call may carry that starts at `now`; `None`: any number.
    pub(super) fn most_documents(&self, now: Instant) -> Option<usize> {
        self.probe_documents
            .or_else(|| Some(self.bound.as_ref()?.most_documents(now)))
    }

    /// A call with so many documents starts.
    pub(super) fn started(&mut self, documents: usize, now: Instant) {
        let usual = self.usual_per_s().max(UNKNOWN_PER_S);
        if let Some(bound) = &mut self.bound {
            if bound.per_s(now) > FREE_FACTOR * usual {
                self.bound = None;
                return;
            }
            bound.started(documents, now);
        }
    }

    fn usual_per_s(&self) -> f64 {
        self.usual.map_or(UNKNOWN_PER_S, |(per_s, _)| per_s)
    }

    /// So many documents of a call were taken.
    pub(super) fn taken(&mut self, documents: usize, now: Instant) {
        self.taken.add(documents, now);
        if documents == 0 {
            return;
        }
        if let Some(lately) = self.taken.per_s() {
            let (per_s, at) = self.usual.unwrap_or((lately, now));
            let passed = now.saturating_duration_since(at).as_secs_f64().min(60.0);
            let weight = 1.0 - (1.0 - USUAL_WEIGHT).powf(passed);
            self.usual = Some((per_s + weight * (lately - per_s), now));
        }
        if let Some(bound) = &mut self.bound {
            bound.taken(now);
        }
    }

    /// A call that started at `started` was too much, and nothing goes before `waits_until`.
    pub(super) fn throttled(&mut self, started: Instant, now: Instant, waits_until: Option<Instant>) {
        let waits_until = waits_until.unwrap_or(now).max(now);
        if let Some(bound) = &mut self.bound {
            bound.waits(now, waits_until);
            if started < bound.since() + SETTLES {
                return;
            }
        }
        self.taken.roll(now);
        let lately = self.taken.now_per_s(now).unwrap_or(UNKNOWN_PER_S);
        let least = match self.bound.map(|bound| bound.growth()) {
            // Even those are too many in a call.
            Some(Growth::Stalled { per_s }) => (KEPT * per_s).max(STALLED_LEAST_PER_S.min(per_s)),
            _ => (STALLED * self.usual_per_s()).max(MIN_PER_S),
        };
        let at_per_s = self.bound.map_or(lately, |bound| {
            let most = match bound.growth() {
                Growth::Share { .. } => f64::MAX,
                // Of so few what was taken in the last seconds is chance.
                Growth::Recovery { usual_per_s, .. } if lately < FULL => AFTER_OUTAGE * usual_per_s,
                Growth::Recovery { .. } => lately,
                Growth::Stalled { .. } | Growth::Search { .. } => 2.0 * lately,
            };
            bound.per_s(now).min(most)
        });
        let bound = if at_per_s <= least {
            Bound::new(Growth::Stalled { per_s: least }, now)
        } else if self.taken.per_s().is_none() {
            // In the first second.
            let from_per_s = KEPT * at_per_s;
            Bound::new(Growth::Search { from_per_s }, now)
        } else {
            Bound::throttled(self.bound, at_per_s, now, waits_until)
        };
        self.bound = Some(bound);
    }

    /// An outage begins: what is usual is what was before it. Its probes carry no more than usual calls: with as much as
    /// fits, those of a fleet that come first would take what all of them may have.
    pub(super) fn outage(&mut self) {
        if self.usual.is_some() {
            self.before_outage_per_s = self.taken.per_s();
        }
        if !self.hurried {
            let usual_per_s = self.before_outage_per_s;
            self.probe_documents = usual_per_s.map(|per_s| bound::portion(per_s) as usize);
        }
    }

    /// An outage that took so long has ended: many may come back now, each with much that waits. Nothing goes before `from`.
    pub(super) fn recovers(&mut self, took: Duration, from: Instant) {
        self.probe_documents = None;
        if self.hurried {
            return;
        }
        let usual_per_s = self.before_outage_per_s.unwrap_or(UNKNOWN_PER_S).max(1.0);
        // Counting goes on as if there had been no outage.
        self.taken = Counted::at(usual_per_s);
        let is_known = self.before_outage_per_s.is_some();
        self.bound = Some(Bound::recovers(usual_per_s, is_known, took, from));
    }

    /// From now on a throttle is the only reason to wait.
    pub(super) fn hurry(&mut self, now: Instant) {
        self.hurried = true;
        self.probe_documents = None;
        self.bound = self
            .bound
            .filter(|bound| !matches!(bound.growth(), Growth::Recovery { .. }));
        if let Some(bound) = &mut self.bound {
            bound.hurry(now);
        }
    }
}

#[cfg(test)]
mod tests;
