//! The rate in documents a second that one may send, how it grows, and what of it is left at a moment.

use std::time::{Duration, Instant};

use super::MIN_PER_S;
use crate::exporters::pacer::{CAP, rate};

/// What is left of the rate when the service throttles and nothing is known; AWS's SDKs take the same share.
pub(super) const KEPT: f64 = 0.7;

/// Of a step down, and of the way up, so much is done after so many throttles: all of it at first, half after four, and so
/// on. One that has seen many throttles is near the rate at which it gets as many as the others; large steps would only
/// carry it away from there.
const STEPS_HALVE_AFTER: f64 = 4.0;
const LEAST_STEP: f64 = 0.1;

/// As many throttles are taken for seen at the first one: what was taken until then, or was usual before an outage, is no bad
/// guess.
const KNOWN_AT_FIRST: f64 = 10.0;

/// So many calls in a row that were throttled are no chance: the steps are large again.
const IN_A_ROW: u32 = 4;

/// The way up is as long as the last step down after this time in seconds, for fifty documents a second and more.
const WAY_UP_S: f64 = 20.0;

/// With fewer it is shorter, by this power of the rate: so of two that share a quota, the one with less gains on the other.
/// With more it is the same, but the one with more makes more calls, and meets more throttles.
const FEWNESS_EXPONENT: f64 = 0.4;

/// When no throttle comes for this many times as long, much more may be had than before. The rate grows with the fourth power
/// of the time then, and the steps are large again when it has doubled.
const SEARCHES_AFTER: f64 = 3.0;
const FOUND_FACTOR: f64 = 2.0;

/// Where each throttle means a wait, one must be rarer: the way up is longer by so many seconds for each of the wait. So a
/// twentieth of the time is waited.
const WAY_UP_PER_WAIT: f64 = 18.0;

/// What was not sent during a wait that the service asked for is made up for afterwards, or who is asked more often gets less:
/// with so much more than the rate, for fifty documents a second and more, and no more than the rate makes in so many seconds.
/// With fewer it is more, by the power of the way up: those are many, and their waits are over at different times. Of few that
/// have much, one alone would make up for its wait at the cost of the next one's.
const MAKES_UP: f64 = 0.2;
const MAKES_UP_MOST_S: f64 = 30.0;

/// How long the rate takes to double when nobody knows how much may be had.
const DOUBLES_IN: Duration = Duration::from_secs(1);

/// What the rate grows to in the first second after an outage, as a multiple of the usual one. It stays there until the last
/// of a fleet has seen that the outage is over: otherwise those who come first take it all.
pub(super) const AFTER_OUTAGE: f64 = 1.5;

/// Then each call adds so much of the usual rate, up to so much: who makes few calls learns little from them, and one that
/// grows faster than it learns takes the share of others before a throttle tells.
const GROWS_PER_CALL: f64 = 0.001;
const GROWS_BY_CALLS_MOST: f64 = 0.5;

/// After so many calls without a throttle it seems that nobody else wants it: the rate doubles with each so many more. And
/// in each so much time, when as much has passed as the outage took, in which a fleet has made up for most of it.
const CALLS_THAT_TELL: u32 = 600;
const DOUBLES_IN_CALLS: f64 = 200.0;
const DOUBLES_AFTER_OUTAGE_IN: Duration = Duration::from_secs(10);

/// A call waits for no more documents than this.
pub(super) const FULL: f64 = 50.0;

/// And no longer than this for more than one: where few documents may go, they go in small calls.
const PORTION: Duration = Duration::from_millis(1250);

/// As many portions may start at once after a pause.
const BURST: f64 = 2.0;

#[derive(Debug, Clone, Copy)]
pub(super) struct Bound {
    /// Calls that started before this moment, or soon after it, say nothing of the rate since.
    since: Instant,
    growth: Growth,
    grows_from: Instant,
    /// How many throttles it has seen since it last searched.
    throttles: f64,
    /// Throttles without anything taken between them.
    in_a_row: u32,
    taken_since: bool,
    /// After an outage: calls since everybody is back, and since when the rate doubles whatever they are.
    calls: u32,
    doubles_from: Instant,
    /// Documents that may go, and those that a wait has kept back.
    tokens: f64,
    owed: f64,
    filled_at: Instant,
}

#[derive(Debug, Clone, Copy)]
pub(super) enum Growth {
    /// After a throttle, for which the service asks to wait so long.
    Share { from_per_s: f64, wait_s: f64 },
    /// Until the first document is taken again: few.
    Stalled { per_s: f64 },
    /// Nobody knows how much may be had: twice as much in each second.
    Search { from_per_s: f64 },
    /// After an outage. Where the usual rate is a guess, nothing speaks for staying at it: it grows as that of the calls.
    Recovery { usual_per_s: f64, is_known: bool },
}

/// How much of a step is done after so many throttles.
fn step(throttles: f64) -> f64 {
    (STEPS_HALVE_AFTER / (STEPS_HALVE_AFTER + throttles)).max(LEAST_STEP)
}

/// How long the way up takes from this rate, where the service asks to wait so long with each throttle.
fn way_up_s(from_per_s: f64, wait_s: f64) -> f64 {
    WAY_UP_S / fewness(from_per_s) + WAY_UP_PER_WAIT * wait_s
}

/// How much of what waits have kept back is made up for with each document at this rate.
fn makes_up(per_s: f64) -> f64 {
    MAKES_UP * fewness(per_s)
}

/// 1 for fifty documents a second and more, more for fewer.
fn fewness(per_s: f64) -> f64 {
    (FULL / per_s.min(FULL)).powf(FEWNESS_EXPONENT)
}

/// The documents that a call waits for at this rate.
pub(super) fn portion(per_s: f64) -> f64 {
    (per_s * PORTION.as_secs_f64()).clamp(1.0, FULL)
}

impl Bound {
    pub(super) fn new(growth: Growth, now: Instant) -> Self {
        Self {
            since: now,
            growth,
            grows_from: now,
            throttles: 0.0,
            in_a_row: 0,
            taken_since: false,
            calls: 0,
            doubles_from: now,
            tokens: 0.0,
            owed: 0.0,
            filled_at: now,
        }
    }

    /// The bound after an outage that took so long, from `from` on.
    pub(super) fn recovers(usual_per_s: f64, is_known: bool, took: Duration, from: Instant) -> Self {
        Self {
            doubles_from: from + took.max(CAP),
            ..Self::new(
                Growth::Recovery {
                    usual_per_s,
                    is_known,
                },
                from,
            )
        }
    }

    /// The bound after a throttle at this rate; nothing goes before `waits_until`.
    pub(super) fn throttled(before: Option<Self>, at_per_s: f64, now: Instant, waits_until: Instant) -> Self {
        let wait_s = waits_until.saturating_duration_since(now).as_secs_f64();
        let in_a_row = match before {
            // A wait takes enough.
            Some(before) if !before.taken_since && wait_s == 0.0 => before.in_a_row + 1,
            _ => 0,
        };
        let throttles = match before.map(|before| (before.growth, before.throttles)) {
            _ if in_a_row >= IN_A_ROW => 0.0,
            Some((Growth::Share { from_per_s, .. }, _)) if at_per_s > FOUND_FACTOR * from_per_s => 0.0,
            Some((Growth::Share { .. }, throttles)) => throttles + 1.0,
            _ => KNOWN_AT_FIRST,
        };
        let from_per_s = at_per_s * (1.0 - (1.0 - KEPT) * step(throttles));
        let bound = Self::new(Growth::Share { from_per_s, wait_s }, now);
        Self {
            grows_from: waits_until,
            throttles,
            in_a_row,
            tokens: before.map_or(0.0, |before| before.tokens),
            owed: before.map_or(0.0, |before| before.owed),
            filled_at: waits_until,
            ..bound
        }
    }

    pub(super) fn since(&self) -> Instant {
        self.since
    }

    pub(super) fn growth(&self) -> Growth {
        self.growth
    }

    pub(super) fn per_s(&self, now: Instant) -> f64 {
        let t = now.saturating_duration_since(self.grows_from).as_secs_f64();
        let per_s = match self.growth {
            Growth::Share { from_per_s, wait_s } => {
                let ways = t / way_up_s(from_per_s, wait_s);
                let steps = ways + (ways / SEARCHES_AFTER).powi(4);
                // Far above whatever is no bound any more, and finite.
                from_per_s * ((1.0 - KEPT) * step(self.throttles) * steps).min(20.0).exp()
            }
            Growth::Stalled { per_s } => per_s,
            Growth::Search { from_per_s } => from_per_s * 2_f64.powf(t / DOUBLES_IN.as_secs_f64()),
            Growth::Recovery {
                usual_per_s,
                is_known: true,
            } => usual_per_s * self.recovered(now),
            Growth::Recovery { usual_per_s, .. } => usual_per_s * rate::recovered(t),
        };
        per_s.max(MIN_PER_S)
    }

    /// How many times a rate that is known may be had after an outage.
    fn recovered(&self, now: Instant) -> f64 {
        let t = now.saturating_duration_since(self.grows_from).as_secs_f64();
        let by_calls = (GROWS_PER_CALL * f64::from(self.calls)).min(GROWS_BY_CALLS_MOST);
        let more_calls = self.calls.saturating_sub(CALLS_THAT_TELL);
        let doubles_for = now.saturating_duration_since(self.doubles_from).as_secs_f64();
        // Far above whatever is no bound any more, and finite.
        let doublings = (f64::from(more_calls) / DOUBLES_IN_CALLS
            + doubles_for / DOUBLES_AFTER_OUTAGE_IN.as_secs_f64())
        .min(30.0);
        (1.0 + (AFTER_OUTAGE - 1.0) * t.min(1.0) + by_calls) * 2_f64.powf(doublings)
    }

    /// What is added to the documents that may go, in a second.
    fn fills_per_s(&self, now: Instant) -> f64 {
        let per_s = self.per_s(now);
        let makes_up = if self.owed >= 1.0 { makes_up(per_s) } else { 0.0 };
        per_s * (1.0 + makes_up)
    }

    /// The documents that a call waits for. What is made up for makes calls more frequent, not larger: a service that has
    /// little left refuses large ones first.
    fn portion(&self, now: Instant) -> f64 {
        portion(self.per_s(now))
    }

    /// The documents that may go, and those that are owed then.
    fn filled(&self, now: Instant) -> (f64, f64) {
        let passed = now.saturating_duration_since(self.filled_at).as_secs_f64();
        let per_s = self.per_s(now);
        let filled = passed * per_s;
        let made_up = (filled * makes_up(per_s)).min(self.owed);
        let tokens = (self.tokens + filled + made_up).min(BURST * self.portion(now));
        (tokens, self.owed - made_up)
    }

    fn fill(&mut self, now: Instant) {
        (self.tokens, self.owed) = self.filled(now);
        self.filled_at = self.filled_at.max(now);
    }

    /// When a call may start, if not at `now`.
    pub(super) fn next_at(&self, now: Instant) -> Option<Instant> {
        let (tokens, _) = self.filled(now);
        let missing = self.portion(now) - tokens;
        if missing <= 0.0 {
            return None;
        }
        let wait = Duration::from_secs_f64(missing / self.fills_per_s(now));
        Some(now + wait.max(Duration::from_millis(1)))
    }

    /// How many documents a call may carry that starts at `now`.
    pub(super) fn most_documents(&self, now: Instant) -> usize {
        let (tokens, _) = self.filled(now);
        (tokens as usize).max(1)
    }

    /// A call with so many documents starts.
    pub(super) fn started(&mut self, documents: usize, now: Instant) {
        self.fill(now);
        if now >= self.grows_from + CAP {
            self.calls = self.calls.saturating_add(1);
        }
        // What can't be split is no reason to wait for long.
        let least = -BURST * self.portion(now);
        self.tokens = (self.tokens - documents as f64).max(least);
    }

    /// Documents of a call were taken.
    pub(super) fn taken(&mut self, now: Instant) {
        self.taken_since = true;
        if matches!(self.growth, Growth::Stalled { .. }) {
            let from_per_s = self.per_s(now);
            (self.growth, self.grows_from) = (Growth::Search { from_per_s }, now);
        }
    }

    /// The service asks for a wait: what would have gone in it is owed.
    pub(super) fn waits(&mut self, now: Instant, until: Instant) {
        self.fill(now);
        let per_s = self.per_s(now);
        let waits_s = until.saturating_duration_since(self.filled_at).as_secs_f64();
        self.owed = (self.owed + per_s * waits_s).min(MAKES_UP_MOST_S * per_s);
        self.filled_at = self.filled_at.max(until);
    }

    /// What it was asked to wait for is over.
    pub(super) fn hurry(&mut self, now: Instant) {
        self.grows_from = self.grows_from.min(now);
        self.filled_at = self.filled_at.min(now);
    }
}
