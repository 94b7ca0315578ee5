//! How many documents a second the service takes: no bound until it throttles.
//!
//! After a throttle the rate follows a curve like that of the adaptive mode of AWS's SDKs, counted in documents and not in
//! calls. The service's quota is one of documents, and many daemons may share it: one that may send three documents a second
//! sends three in a call a second. Would it wait until it has fifty, a call every twenty seconds, each throttled one would
//! cost it a third of its minute, and what it gets would be chance.

use std::time::{Duration, Instant};

use super::rate::{Counted, recovered};

/// What is left of the rate that was taken when the service throttled; AWS's SDKs take the same share.
const KEPT: f64 = 0.7;

/// What is said of calls that started so soon after a throttle is said of the rate before it: a service counts by the second.
/// Otherwise two seconds in which it throttles would leave nothing of a rate of many calls.
const SETTLES: Duration = Duration::from_secs(1);

/// How fast the rate grows again, in documents a second for each second cubed, where one document a second was taken when
/// it throttled. It grows with that rate, but less than in proportion: so of two daemons that get different shares, the one
/// with less gains on the other.
const CUBIC: f64 = 0.002;
const CUBIC_EXPONENT: f64 = 2.0 / 3.0;

/// After so many calls without a throttle, and so many times the time that the way back takes, much more may be had than
/// before: the rate doubles until it is too much.
const SEARCHES_AFTER_CALLS: u32 = 16;
const SEARCHES_AFTER: f64 = 2.0;

/// How long the rate takes to double then.
const DOUBLES_IN: Duration = Duration::from_secs(1);

/// Less than this share of what was usual says nothing of the quota: the service takes nothing at all just now.
const STALLED: f64 = 0.05;

/// The weight of a second in what is usual, over minutes.
const USUAL_WEIGHT: f64 = 0.01;

/// The least rate, in documents a second.
const MIN_PER_S: f64 = 0.1;

/// What is taken for usual when nothing is known, in documents a second.
const UNKNOWN_PER_S: f64 = 400.0;

/// A call waits for no more documents than this.
const FULL: f64 = 50.0;

/// And no longer than this for more than one: where few documents may go, they go in small calls.
const PORTION: Duration = Duration::from_secs(1);

/// As many portions may start at once after a pause.
const BURST: f64 = 2.0;

/// Above this many times the usual rate a bound is no bound any more.
const FREE_FACTOR: f64 = 16.0;

/// How many documents are sent and taken, and how many may be.
#[derive(Debug, Default)]
pub(super) struct Quota {
    sent: Counted,
    taken: Counted,
    /// What is taken over minutes, and when that was reckoned.
    usual: Option<(f64, Instant)>,
    /// What was sent before the outage.
    before_outage_per_s: Option<f64>,
    bound: Option<Bound>,
    /// Only a throttle is a reason to wait any more.
    hurried: bool,
}

#[derive(Debug, Clone, Copy)]
struct Bound {
    /// Calls that started before this moment, or soon after it, say nothing of the rate since.
    since: Instant,
    growth: Growth,
    grows_from: Instant,
    /// Calls that were taken since.
    calls: u32,
    tokens: f64,
    filled_at: Instant,
}

#[derive(Debug, Clone, Copy)]
enum Growth {
    /// After a throttle: carefully towards the rate at which it came, then past it.
    Cubic { at_throttle_per_s: f64 },
    /// Until the first document is taken again: few.
    Stalled { per_s: f64 },
    /// Nobody knows how much may be had: twice as much in each second.
    Search { from_per_s: f64 },
    /// After an outage, as the calls.
    Recovery { usual_per_s: f64 },
}

/// How long the way back to the rate takes at which the service throttled.
fn way_back_s(at_throttle_per_s: f64) -> f64 {
    ((1.0 - KEPT) * at_throttle_per_s / cubic(at_throttle_per_s)).cbrt()
}

fn cubic(at_throttle_per_s: f64) -> f64 {
    CUBIC * at_throttle_per_s.powf(CUBIC_EXPONENT)
}

impl Bound {
    fn new(growth: Growth, now: Instant) -> Self {
        Self {
            since: now,
            growth,
            grows_from: now,
            calls: 0,
            tokens: 0.0,
            filled_at: now,
        }
    }

    fn per_s(&self, now: Instant) -> f64 {
        let t = now.saturating_duration_since(self.grows_from).as_secs_f64();
        let per_s = match self.growth {
            Growth::Cubic {
                at_throttle_per_s: at,
            } => cubic(at) * (t - way_back_s(at)).powi(3) + at,
            Growth::Stalled { per_s } => per_s,
            Growth::Search { from_per_s } => from_per_s * 2_f64.powf(t / DOUBLES_IN.as_secs_f64()),
            Growth::Recovery { usual_per_s } => usual_per_s * recovered(t),
        };
        per_s.max(MIN_PER_S)
    }

    /// The documents that a call waits for.
    fn portion(&self, now: Instant) -> f64 {
        (self.per_s(now) * PORTION.as_secs_f64()).clamp(1.0, FULL)
    }

    fn tokens_at(&self, now: Instant) -> f64 {
        let passed = now.saturating_duration_since(self.filled_at).as_secs_f64();
        (self.tokens + passed * self.per_s(now)).min(BURST * self.portion(now))
    }

    /// A call was taken.
    fn taken(&mut self, now: Instant) {
        self.calls = self.calls.saturating_add(1);
        let searches = match self.growth {
            Growth::Cubic { at_throttle_per_s } => {
                let passed = now.saturating_duration_since(self.grows_from).as_secs_f64();
                self.calls >= SEARCHES_AFTER_CALLS && passed >= SEARCHES_AFTER * way_back_s(at_throttle_per_s)
            }
            Growth::Stalled { .. } => true,
            Growth::Search { .. } | Growth::Recovery { .. } => false,
        };
        if searches {
            let from_per_s = self.per_s(now);
            (self.growth, self.grows_from) = (Growth::Search { from_per_s }, now);
        }
    }
}

impl Quota {
    /// When a call may start, if not at `now`.
    pub(super) fn next_at(&self, now: Instant) -> Option<Instant> {
        let bound = self.bound.as_ref()?;
        let missing = bound.portion(now) - bound.tokens_at(now);
        if missing <= 0.0 {
            return None;
        }
        let wait = Duration::from_secs_f64(missing / bound.per_s(now));
        Some(now + wait.max(Duration::from_millis(1)))
    }

    /// How many documents a call may carry that starts at `now`; `None`: any number.
    pub(super) fn most_documents(&self, now: Instant) -> Option<usize> {
        let bound = self.bound.as_ref()?;
        Some((bound.tokens_at(now) as usize).max(1))
    }

    /// A call with so many documents starts.
    pub(super) fn started(&mut self, documents: usize, now: Instant) {
        self.sent.add(documents, now);
        let usual = self.usual_per_s().max(UNKNOWN_PER_S);
        if let Some(bound) = &mut self.bound {
            if bound.per_s(now) > FREE_FACTOR * usual {
                self.bound = None;
                return;
            }
            // What can't be split is no reason to wait for long.
            let least = -BURST * bound.portion(now);
            bound.tokens = (bound.tokens_at(now) - documents as f64).max(least);
            bound.filled_at = now;
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

    /// A call that started at `started` was too much.
    pub(super) fn throttled(&mut self, started: Instant, now: Instant) {
        if self.bound.is_some_and(|bound| started < bound.since + SETTLES) {
            return;
        }
        self.taken.roll(now);
        let lately = self.taken.now_per_s(now).unwrap_or(UNKNOWN_PER_S);
        let least = (STALLED * self.usual_per_s()).max(MIN_PER_S);
        let at_throttle_per_s = self
            .bound
            .map_or(lately, |bound| bound.per_s(now).min(lately * 2.0));
        let growth = if at_throttle_per_s <= least {
            Growth::Stalled { per_s: least }
        } else if self.taken.per_s().is_none() {
            // In the first second.
            Growth::Search {
                from_per_s: KEPT * at_throttle_per_s,
            }
        } else {
            Growth::Cubic { at_throttle_per_s }
        };
        self.bound = Some(Bound::new(growth, now));
    }

    /// An outage begins: what is usual is what was before it.
    pub(super) fn outage(&mut self) {
        if self.usual.is_some() {
            self.before_outage_per_s = self.sent.per_s();
        }
    }

    /// An outage ends: many may come back now, each with much that waits.
    pub(super) fn recovers(&mut self, now: Instant) {
        if self.hurried {
            return;
        }
        let usual_per_s = self.before_outage_per_s.unwrap_or(UNKNOWN_PER_S).max(1.0);
        // Counting goes on as if there had been no outage.
        self.sent = Counted::at(usual_per_s);
        self.taken = Counted::at(usual_per_s);
        self.bound = Some(Bound::new(Growth::Recovery { usual_per_s }, now));
    }

    /// From now on a throttle is the only reason to wait.
    pub(super) fn hurry(&mut self) {
        self.hurried = true;
        self.bound = self
            .bound
            .filter(|bound| !matches!(bound.growth, Growth::Recovery { .. }));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: fn(u64) -> Duration = Duration::from_millis;
    const S: fn(u64) -> Duration = Duration::from_secs;

    /// A service that took so many documents in each second, and throttles now.
    fn throttled(per_s: usize) -> (Quota, Instant) {
        let mut now = Instant::now();
        let mut quota = Quota::default();
        for _ in 0..100 {
            quota.started(per_s, now);
            quota.taken(per_s, now);
            now += S(1);
        }
        assert_eq!((quota.next_at(now), quota.most_documents(now)), (None, None));
        quota.throttled(now, now);
        (quota, now)
    }

    fn per_s(quota: &Quota, at: Instant) -> f64 {
        quota.bound.unwrap().per_s(at)
    }

    /// Sends what it may for so long: calls and documents.
    fn send(quota: &mut Quota, from: Instant, length: Duration) -> (u32, usize) {
        let (mut now, mut calls, mut documents) = (from, 0, 0);
        while now < from + length {
            match quota.next_at(now) {
                Some(at) => now = at,
                None => {
                    let count = quota.most_documents(now).unwrap().min(50);
                    quota.started(count, now);
                    calls += 1;
                    documents += count;
                }
            }
        }
        (calls, documents)
    }

    #[test]
    fn few_documents_a_second_go_in_small_calls_and_many_in_full_ones() {
        let (mut quota, now) = throttled(4);
        // Some three a second.
        let (calls, documents) = send(&mut quota, now, S(5));
        assert!((4..=7).contains(&calls), "{calls}");
        assert!((11..=22).contains(&documents), "{documents}");
        let (mut quota, now) = throttled(1000);
        // 700 a second, and nearly 1000 at the end.
        let (calls, documents) = send(&mut quota, now, S(10));
        assert_eq!(documents, 50 * calls as usize);
        assert!((8_500..9_900).contains(&documents), "{documents}");
    }

    #[test]
    fn a_throttle_takes_three_tenths_and_the_way_back_is_slow_near_the_rate_at_which_it_came() {
        let (quota, now) = throttled(100);
        let after = |seconds| per_s(&quota, now + S(seconds)).round();
        assert_eq!(
            [0, 2, 4, 6, 8, 10, 12, 14].map(after),
            [70.0, 86.0, 95.0, 99.0, 100.0, 100.0, 101.0, 106.0]
        );
    }

    #[test]
    fn of_two_that_are_throttled_together_the_one_with_less_gains_on_the_other() {
        let [(small, from), (large, _)] = [throttled(10), throttled(100)];
        let gain = |quota: &Quota| per_s(quota, from + S(14)) / per_s(quota, from + S(1));
        assert!(
            gain(&small) > 1.2 * gain(&large),
            "{} and {}",
            gain(&small),
            gain(&large)
        );
    }

    #[test]
    fn what_was_under_way_when_it_throttled_changes_nothing_and_a_later_throttle_takes_more() {
        let (mut quota, now) = throttled(100);
        let at = quota.next_at(now).unwrap();
        assert_eq!((at - now).as_millis(), 714, "fifty, of seventy a second");
        quota.throttled(now + MS(999), now + S(1));
        assert_eq!(quota.next_at(now), Some(at));
        let now = now + S(1);
        let before = per_s(&quota, now);
        quota.throttled(now, now);
        assert!((per_s(&quota, now) - 0.7 * before).abs() < 1e-9);
    }

    #[test]
    fn without_a_throttle_for_long_the_rate_doubles_each_second_and_then_there_is_no_bound() {
        let (mut quota, now) = throttled(100);
        // Calls alone, or time alone, are no reason.
        for _ in 0..20 {
            quota.taken(50, now);
        }
        assert_eq!(per_s(&quota, now).round(), 70.0);
        let later = now + S(18);
        let before = per_s(&quota, later);
        quota.taken(50, later);
        assert_eq!(per_s(&quota, later + S(3)).round(), (8.0 * before).round());
        quota.started(50, later + S(9));
        assert_eq!(quota.next_at(later + S(9)), None);
    }

    #[test]
    fn where_nothing_at_all_is_taken_a_twentieth_of_what_was_usual_goes_until_something_is() {
        let (mut quota, mut now) = throttled(100);
        for _ in 0..60 {
            now += S(1);
            quota.throttled(now, now);
        }
        assert_eq!(per_s(&quota, now), 5.0);
        assert_eq!(per_s(&quota, now + S(600)), 5.0);
        quota.taken(5, now);
        assert_eq!(per_s(&quota, now + S(4)).round(), 80.0);
    }

    #[test]
    fn one_that_is_throttled_in_its_first_second_searches_for_what_it_may_have() {
        let mut now = Instant::now();
        let mut quota = Quota::default();
        quota.taken(50, now);
        now += MS(500);
        quota.throttled(now, now);
        assert_eq!(per_s(&quota, now).round(), 70.0);
        assert_eq!(per_s(&quota, now + S(2)).round(), 280.0);
        // Nothing is known at all.
        let mut quota = Quota::default();
        quota.throttled(now, now);
        assert_eq!(per_s(&quota, now).round(), 280.0);
    }

    #[test]
    fn after_an_outage_documents_come_back_at_their_usual_rate_and_before_the_end_at_once() {
        let (mut quota, mut now) = throttled(100);
        quota.outage();
        now += S(600);
        quota.recovers(now);
        let (_, documents) = send(&mut quota, now, S(1));
        assert!((100..=150).contains(&documents), "{documents}");
        quota.hurry();
        assert_eq!(quota.next_at(now), None);
        quota.recovers(now);
        assert_eq!(quota.next_at(now), None);
        let (mut quota, now) = throttled(100);
        quota.hurry();
        assert!(quota.next_at(now).is_some(), "a throttle still counts");
    }
}
