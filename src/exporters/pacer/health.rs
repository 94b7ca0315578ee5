//! Whether anything succeeds.
//!
//! How many failures a success costs is learned from every call. With it, "nothing succeeds any more" has a meaning: more
//! failures in a row than chance brings about at that price. An endpoint that always failed nine of ten calls and does so
//! still is no outage; one that never failed is down after ten failures.

use std::time::{Duration, Instant};

use super::{CAP, CAP_AT_END, INITIAL_CONCURRENCY, Outage, back_off};

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
    /// The largest back-off.
    cap: Duration,
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
            cap: CAP,
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
    #[cfg(test)]
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
            let doublings = probing.probes / probing.probes_per_doubling;
            probing.next_at = now + back_off(doublings, self.cap, jitter);
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
        let cost_before_streak = self.cost_before_streak();
        let explained = CHANCE_FACTOR * (cost_before_streak + 1.0);
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
                probes_per_doubling: per_doubling(streak.cost.max(cost_before_streak)),
                next_at: now + back_off(0, self.cap, jitter),
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

    /// The next probe goes at once, the back-off starts anew, and it stays short from here on.
    pub(super) fn hurry(&mut self, now: Instant) {
        self.cap = CAP_AT_END;
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

#[cfg(test)]
mod tests {
    use super::*;

    const MS: fn(u64) -> Duration = Duration::from_millis;

    fn seen(successes: f64, failures: f64) -> Health {
        Health {
            successes,
            failures,
            ..Health::default()
        }
    }

    /// The same, and then so many failures in a row since `now`.
    fn with_streak(successes: f64, failures: f64, streak: u32, now: Instant) -> Health {
        Health {
            streak: Some(Streak {
                since: now,
                failures: streak,
                cost: 1.0,
            }),
            ..seen(successes, failures + f64::from(streak))
        }
    }

    /// Nothing succeeds since `now`, and two probes go out before the back-off doubles.
    fn down(now: Instant) -> Health {
        Health {
            probing: Some(Probing {
                began: now,
                probes: 0,
                probes_per_doubling: 2,
                next_at: now,
            }),
            ..with_streak(100.0, 100.0, 20, now)
        }
    }

    #[test]
    fn nine_of_ten_calls_are_taken_to_fail_until_more_is_known() {
        let mut health = Health::default();
        assert_eq!((health.failing_share(), health.cost()), (0.9, 9.0));
        health.count(1.0, 0.0);
        assert_eq!((health.successes, health.failures), (10.98, 89.82));
        health.count(0.0, 1.0);
        assert!((health.successes - 10.958_04).abs() < 1e-9, "{health:?}");
        assert!((health.failures - 90.640_36).abs() < 1e-9, "{health:?}");
        assert_eq!(seen(100.0, 300.0).failing_share(), 0.75);
    }

    #[test]
    fn a_success_costs_as_many_failures_as_there_are_for_each_and_31_at_the_most() {
        let now = Instant::now();
        assert_eq!(seen(100.0, 300.0).cost(), 3.0);
        assert_eq!(seen(10.0, 311.0).cost(), 31.0);
        assert_eq!(seen(0.0, 2.0).cost(), 20.0, "no division by nothing");
        let health = with_streak(100.0, 300.0, 100, now);
        assert_eq!((health.cost(), health.cost_before_streak()), (4.0, 3.0));
        assert_eq!(with_streak(10.0, 400.0, 9, now).cost_before_streak(), 31.0);
        let faded = Health {
            failures: 50.0,
            ..with_streak(100.0, 0.0, 100, now)
        };
        assert_eq!(faded.cost_before_streak(), 0.0);
    }

    #[test]
    fn a_batch_may_fail_four_times_as_often_as_a_success_costs_calls() {
        assert_eq!(seen(100.0, 0.0).explained_failures(), 4);
        assert_eq!(seen(100.0, 300.0).explained_failures(), 16);
    }

    #[test]
    fn three_times_as_many_failures_as_a_success_costs_calls_are_a_reason_to_doubt_but_never_less_than_eight()
    {
        let now = Instant::now();
        let doubtful = |successes, failures| {
            (0..200)
                .find(|streak| with_streak(successes, failures, *streak, now).is_doubtful())
                .unwrap()
        };
        assert_eq!(doubtful(100.0, 300.0), 12);
        assert_eq!(doubtful(100.0, 0.0), 8);
        assert!(!seen(100.0, 300.0).is_doubtful());
    }

    #[test]
    fn ten_times_as_many_failures_as_a_success_costs_calls_within_half_a_second_are_an_outage() {
        let now = Instant::now();
        // A success costs 4.05 calls: with the 41st failure in a row nothing succeeds.
        let mut health = with_streak(1e9, 3.05e9, 39, now);
        assert!(!health.failed(now + MS(1), now + MS(500), 1.0));
        assert_eq!((health.outage(), health.probe_at()), (None, None));
        let mut too_soon = with_streak(1e9, 3.05e9, 40, now);
        assert!(!too_soon.failed(now + MS(1), now + MS(499), 1.0));
        assert!(health.failed(now + MS(2), now + MS(500), 1.0));
        let outage = Outage {
            since: now,
            failures: 41,
        };
        assert_eq!(health.outage(), Some(outage));
        assert_eq!(health.probe_at(), Some(now + MS(700)));
        let probing = health.probing.unwrap();
        assert_eq!((probing.probes, probing.probes_per_doubling), (0, 4));
        assert!(
            !health.failed(now + MS(500), now + MS(501), 1.0),
            "it does not begin twice"
        );
        assert_eq!(health.probe_at(), Some(now + MS(700)));
    }

    #[test]
    fn the_back_off_doubles_with_as_many_probes_as_a_success_costs_calls_and_starts_anew_in_a_hurry() {
        let now = Instant::now();
        let mut health = down(now);
        let mut waits = || {
            health.probe_started(now, 1.0);
            (health.probe_at().unwrap() - now).as_millis()
        };
        assert_eq!([waits(), waits(), waits(), waits()], [200, 400, 400, 800]);
        health.hurry(now + MS(5));
        assert_eq!(health.probe_at(), Some(now + MS(5)));
        health.probe_started(now, 1.0);
        assert_eq!(health.probe_at(), Some(now + MS(200)));
        for _ in 0..20 {
            health.probe_started(now, 1.0);
        }
        assert_eq!(
            health.probe_at(),
            Some(now + MS(250)),
            "there is no time for more"
        );
        let mut up = seen(100.0, 0.0);
        up.probe_started(now, 1.0);
        up.hurry(now);
        assert_eq!(up.probe_at(), None);
    }

    #[test]
    fn only_calls_that_started_in_an_outage_count_in_it() {
        let now = Instant::now();
        let before = now - Duration::from_nanos(1);
        let mut health = down(now);
        let outage = health.outage();
        assert_eq!(outage.unwrap().failures, 20);
        assert_eq!(health.succeeded(before), None);
        assert!(!health.failed(before, now, 1.0));
        assert_eq!((health.outage(), health.successes), (outage, 100.0));
        assert!(!health.failed(now, now, 1.0));
        assert_eq!(health.outage().unwrap().failures, 21);
        assert!(!health.failed(now + MS(1), now + MS(1), 1.0));
        assert_eq!(health.outage().unwrap().failures, 22);
        let mut later = down(now);
        assert_eq!(later.succeeded(now + MS(1)), outage);
        assert_eq!(health.succeeded(now).unwrap().failures, 22);
        assert_eq!((health.outage(), health.probe_at()), (None, None));
        assert!(health.streak.is_none());
    }
}
