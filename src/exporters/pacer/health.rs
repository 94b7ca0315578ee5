//! Whether anything succeeds.
//!
//! How many failures a success costs is learned from every call. With it, "nothing succeeds any more" has a meaning: more
//! failures in a row than chance brings about at that price. An endpoint that always failed nine of ten calls and does so
//! still is no outage; one that never failed is down after ten failures.

use std::time::{Duration, Instant};

use super::{INITIAL_CONCURRENCY, Outage, back_off};

/// How much of what was counted before is left with each call that ends: some 500 calls are remembered.
const REMEMBERED: f64 = 0.998;

/// Nothing succeeds any more when this many times as many calls have failed in a row as a success costs: with a share p
/// of successes, chance alone does that once in e^10, some twenty thousand, successes.
const CHANCE_FACTOR: f64 = 10.0;

/// When this many times as many calls as a success costs have failed in a row, it is in doubt: chance alone does that once
/// in twenty successes.
const DOUBT_FACTOR: f64 = 3.0;

/// What is taken for known at the start, and forgotten like every other count: one call in ten is taken, so that an
/// endpoint that is so ill gets its chance.
const ASSUMED_SUCCESSES: f64 = 10.0;
const ASSUMED_FAILURES: f64 = 90.0;

/// The most failures that a success may cost: an endpoint of which one call in 32 succeeds is down, not half ill.
const COST_MAX: f64 = 31.0;

/// How long nothing must have succeeded beside that: a restart of one back end is shorter. Where a success costs more than
/// one failure, that many times as long: bad luck is likelier there, to be taken for down costs more, as a probe fails for
/// chance too, and failing calls until then are no more than usual.
const WHILE: Duration = Duration::from_millis(500);

/// A batch may fail this many times as often as a success costs before its failures are its own.
const EXPLAINED_FACTOR: f64 = 4.0;

/// What is known of the endpoint's successes.
#[derive(Debug)]
pub(super) struct Health {
    /// Calls that succeeded and failed, those of long ago counted less.
    successes: f64,
    failures: f64,
    streak: Option<Streak>,
    /// Since when, and when the next probe may go; while nothing succeeds.
    probing: Option<Probing>,
}

/// Failures since the last success.
#[derive(Debug, Clone, Copy)]
struct Streak {
    since: Instant,
    failures: u32,
    /// What a success cost when the last one came.
    cost: f64,
}

#[derive(Debug, Clone, Copy)]
struct Probing {
    began: Instant,
    probes: u32,
    /// So many probes go out before the back-off doubles: as many as a success costs.
    probes_per_doubling: u32,
    next_at: Instant,
}

impl Default for Health {
    fn default() -> Self {
        Self {
            successes: ASSUMED_SUCCESSES,
            failures: ASSUMED_FAILURES,
            streak: None,
            probing: None,
        }
    }
}

impl Health {
    /// The time in which nothing succeeds, if it is one.
    pub(super) fn outage(&self) -> Option<Outage> {
        let (streak, _) = (self.streak?, self.probing?);
        Some(Outage {
            since: streak.since,
            failures: streak.failures,
        })
    }

    /// Whether the last call that ended has failed.
    pub(super) fn is_failing(&self) -> bool {
        self.streak.is_some()
    }

    /// The share of calls that fail, 0 to 1.
    pub(super) fn failing_share(&self) -> f64 {
        match self.successes + self.failures {
            0.0 => 0.0,
            all => self.failures / all,
        }
    }

    /// Failures for each success, lately; at most [`COST_MAX`].
    fn cost(&self) -> f64 {
        // Never by nothing: the counts fade.
        (self.failures / self.successes.max(0.1)).min(COST_MAX)
    }

    /// The same without those since the last success.
    fn cost_before_streak(&self) -> f64 {
        let since = self.streak.map_or(0.0, |streak| f64::from(streak.failures));
        ((self.failures - since).max(0.0) / self.successes.max(0.1)).min(COST_MAX)
    }

    fn count(&mut self, successes: f64, failures: f64) {
        self.successes = self.successes * REMEMBERED + successes;
        self.failures = self.failures * REMEMBERED + failures;
    }

    /// Whether more calls have failed since the last success than chance explains well.
    pub(super) fn is_doubtful(&self) -> bool {
        let failures = self.streak.map_or(0.0, |streak| f64::from(streak.failures));
        failures >= (DOUBT_FACTOR * (self.cost_before_streak() + 1.0)).max(INITIAL_CONCURRENCY as f64)
    }

    /// When the next probe may go; `None` while something succeeds.
    pub(super) fn probe_at(&self) -> Option<Instant> {
        self.probing.map(|probing| probing.next_at)
    }

    /// While probes go out, the next one waits for its back-off, however this one fares.
    pub(super) fn probe_started(&mut self, now: Instant, jitter: f64) {
        if let Some(probing) = &mut self.probing {
            probing.probes = probing.probes.saturating_add(1);
            probing.next_at = now + back_off(probing.probes / probing.probes_per_doubling, jitter);
        }
    }

    /// Returns the outage that it ends. A call that started before the outage began ends none.
    pub(super) fn succeeded(&mut self, started: Instant) -> Option<Outage> {
        if self.probing.is_some_and(|probing| started < probing.began) {
            return None;
        }
        let ended = self.outage();
        self.count(1.0, 0.0);
        self.streak = None;
        self.probing = None;
        ended
    }

    /// True when with this one nothing succeeds any more.
    pub(super) fn failed(&mut self, started: Instant, now: Instant, jitter: f64) -> bool {
        if let Some(probing) = &self.probing
            && started < probing.began
        {
            return false;
        }
        // Before it counts: that nothing succeeds must not explain itself.
        let explained = CHANCE_FACTOR * (self.cost_before_streak() + 1.0);
        let cost = self.cost();
        self.count(0.0, 1.0);
        let streak = self.streak.get_or_insert(Streak {
            since: started,
            failures: 0,
            cost,
        });
        streak.failures = streak.failures.saturating_add(1);
        let unlikely = f64::from(streak.failures) >= explained;
        let begins =
            self.probing.is_none() && unlikely && now >= streak.since + WHILE.mul_f64(streak.cost.max(1.0));
        if begins {
            self.probing = Some(Probing {
                began: now,
                probes: 0,
                probes_per_doubling: per_doubling(streak.cost),
                next_at: now + back_off(0, jitter),
            });
        }
        begins
    }

    /// How often a batch may fail for no fault of its own.
    pub(super) fn explained_failures(&self) -> u32 {
        (EXPLAINED_FACTOR * (self.cost() + 1.0)) as u32
    }

    /// How often a batch may fail before its own back-off doubles; 1 and up.
    pub(super) fn failures_per_doubling(&self) -> u32 {
        per_doubling(self.cost())
    }

    /// The next probe goes at once, and the back-off starts anew.
    pub(super) fn hurry(&mut self, now: Instant) {
        if let Some(probing) = &mut self.probing {
            probing.next_at = now;
            probing.probes = 0;
        }
    }
}

/// As many calls as a success costs.
fn per_doubling(cost: f64) -> u32 {
    (cost + 1.0) as u32
}
