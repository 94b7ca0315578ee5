//! How many calls a second may start: no bound, until the service throttles or comes back from an outage.

use std::time::{Duration, Instant};

/// What is left of the rate that was taken when the service throttled; AWS's SDKs take the same share.
const KEPT: f64 = 0.7;

/// How fast the rate grows again, in calls a second for each second cubed; AWS's SDKs take the same.
const CUBIC: f64 = 0.4;

/// The least rate, in calls a second.
const MIN_PER_S: f64 = 0.5;

/// What an endpoint is taken to bear when it comes back and nothing is known of it.
const UNKNOWN_PER_S: f64 = 8.0;

/// The weight of a second in what is usual.
const WEIGHT: f64 = 0.2;

/// Calls that may start at once after a pause.
const BURST: f64 = 2.0;

/// Above this many times the usual rate a bound is no bound any more.
const FREE_FACTOR: f64 = 16.0;

/// How many calls start and are taken, and how many may.
#[derive(Debug, Default)]
pub(super) struct Rate {
    started: Counted,
    taken: Counted,
    /// What started before the outage.
    before_outage_per_s: Option<f64>,
    bound: Option<Bound>,
    /// Only a throttle is a reason to wait any more.
    hurried: bool,
}

/// Calls that started or were taken, counted a second at a time.
#[derive(Debug, Default)]
struct Counted {
    second: Option<Instant>,
    count: u32,
    per_s: Option<f64>,
}

#[derive(Debug, Clone, Copy)]
struct Bound {
    /// Calls that started before this moment say nothing of the rate since.
    since: Instant,
    growth: Growth,
    tokens: f64,
    filled_at: Instant,
}

#[derive(Debug, Clone, Copy)]
enum Growth {
    /// After a throttle: carefully towards the rate at which it came, then past it.
    Cubic { at_throttle_per_s: f64 },
    /// Nothing has succeeded for some calls: as many as usual.
    Steady { per_s: f64 },
    /// After an outage: linear in the first second, then doubling.
    Recovery { usual_per_s: f64 },
}

impl Counted {
    fn add(&mut self, now: Instant) {
        self.roll(now);
        self.count += 1;
    }

    fn roll(&mut self, now: Instant) {
        let second = *self.second.get_or_insert(now);
        let passed = now.saturating_duration_since(second).as_secs_f64();
        if passed < 1.0 {
            return;
        }
        let seen = f64::from(self.count) / passed;
        let weight = 1.0 - (1.0 - WEIGHT).powf(passed);
        let per_s = self.per_s.unwrap_or(seen);
        self.per_s = Some(per_s + weight * (seen - per_s));
        self.count = 0;
        self.second = Some(now);
    }
}

impl Bound {
    fn per_s(&self, now: Instant) -> f64 {
        let t = now.saturating_duration_since(self.since).as_secs_f64();
        match self.growth {
            Growth::Cubic { at_throttle_per_s } => {
                let k = (at_throttle_per_s * (1.0 - KEPT) / CUBIC).cbrt();
                (CUBIC * (t - k).powi(3) + at_throttle_per_s).max(MIN_PER_S)
            }
            Growth::Steady { per_s } => per_s,
            Growth::Recovery { usual_per_s } => {
                usual_per_s
                    * if t < 1.0 {
                        1.0 + t / 2.0
                    } else {
                        1.5 * 2_f64.powf(t - 1.0)
                    }
            }
        }
    }

    fn tokens_at(&self, now: Instant) -> f64 {
        let passed = now.saturating_duration_since(self.filled_at).as_secs_f64();
        (self.tokens + passed * self.per_s(now)).min(BURST)
    }
}

impl Rate {
    /// When a call may start, if not at `now`.
    pub(super) fn next_at(&self, now: Instant) -> Option<Instant> {
        let bound = self.bound.as_ref()?;
        let tokens = bound.tokens_at(now);
        if tokens >= 1.0 {
            return None;
        }
        let wait_s = (1.0 - tokens) / bound.per_s(now);
        Some(now + Duration::from_secs_f64(wait_s).max(Duration::from_millis(1)))
    }

    /// A call starts.
    pub(super) fn started(&mut self, now: Instant) {
        self.started.add(now);
        let usual = self.started.per_s.unwrap_or(UNKNOWN_PER_S);
        if let Some(bound) = &mut self.bound {
            if bound.per_s(now) > FREE_FACTOR * usual.max(UNKNOWN_PER_S) {
                self.bound = None;
                return;
            }
            bound.tokens = bound.tokens_at(now) - 1.0;
            bound.filled_at = now;
        }
    }

    /// A call was taken, wholly or in part.
    pub(super) fn taken(&mut self, now: Instant) {
        self.taken.add(now);
    }

    /// A call that started at `started` was too much.
    pub(super) fn throttled(&mut self, started: Instant, now: Instant) {
        if self.bound.is_some_and(|bound| started < bound.since) {
            return;
        }
        self.taken.roll(now);
        self.let_go();
        let bound_per_s = self.bound.map(|bound| bound.per_s(now));
        let taken = self.taken.per_s.unwrap_or(UNKNOWN_PER_S);
        let at_throttle_per_s = bound_per_s
            .map_or(taken, |bound| bound.min(taken * 2.0))
            .max(MIN_PER_S);
        self.bound = Some(Bound {
            since: now,
            growth: Growth::Cubic { at_throttle_per_s },
            tokens: 0.0,
            filled_at: now,
        });
    }

    /// Nothing has succeeded for some calls: repeats must not make them more than usual.
    pub(super) fn hold(&mut self, now: Instant) {
        if self.bound.is_none() && !self.hurried {
            let per_s = self.started.per_s.unwrap_or(UNKNOWN_PER_S).max(UNKNOWN_PER_S);
            self.bound = Some(Bound {
                since: now,
                growth: Growth::Steady { per_s },
                tokens: 0.0,
                filled_at: now,
            });
        }
    }

    /// Something has succeeded.
    pub(super) fn let_go(&mut self) {
        if matches!(
            self.bound,
            Some(Bound {
                growth: Growth::Steady { .. },
                ..
            })
        ) {
            self.bound = None;
        }
    }

    /// An outage begins: what is usual is what was before it.
    pub(super) fn outage(&mut self) {
        if self.taken.per_s.is_some() {
            self.before_outage_per_s = self.started.per_s;
        }
    }

    /// An outage ends.
    pub(super) fn recovers(&mut self, now: Instant) {
        if self.hurried {
            return;
        }
        let usual_per_s = self.before_outage_per_s.unwrap_or(UNKNOWN_PER_S).max(1.0);
        // Counting goes on as if there had been no outage.
        for counted in [&mut self.started, &mut self.taken] {
            *counted = Counted {
                per_s: Some(usual_per_s),
                ..Counted::default()
            };
        }
        self.bound = Some(Bound {
            since: now,
            growth: Growth::Recovery { usual_per_s },
            tokens: 0.0,
            filled_at: now,
        });
    }

    /// From now on a throttle is the only reason to wait.
    pub(super) fn hurry(&mut self) {
        self.hurried = true;
        if !matches!(
            self.bound,
            Some(Bound {
                growth: Growth::Cubic { .. },
                ..
            })
        ) {
            self.bound = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: fn(u64) -> Duration = Duration::from_millis;
    const S: fn(u64) -> Duration = Duration::from_secs;

    fn is_near(value: f64, expected: f64) -> bool {
        (value - expected).abs() < 1e-6
    }

    fn bound(since: Instant, growth: Growth) -> Bound {
        Bound {
            since,
            growth,
            tokens: 0.0,
            filled_at: since,
        }
    }

    /// As many calls a second as this are counted, of either kind, and nothing bounds them.
    fn counted(per_s: f64) -> Rate {
        let usual = || Counted {
            per_s: Some(per_s),
            ..Counted::default()
        };
        Rate {
            started: usual(),
            taken: usual(),
            ..Rate::default()
        }
    }

    #[test]
    fn calls_are_counted_by_the_second_and_a_second_weighs_a_fifth() {
        let now = Instant::now();
        let mut counted = Counted::default();
        for _ in 0..10 {
            counted.add(now);
        }
        counted.roll(now + MS(999));
        assert_eq!(counted.per_s, None, "the first second is not over");
        counted.roll(now + S(1));
        assert_eq!(counted.per_s, Some(10.0));
        for _ in 0..20 {
            counted.add(now + S(1));
        }
        counted.roll(now + S(2));
        assert!(is_near(counted.per_s.unwrap(), 12.0), "{counted:?}");
        // Two seconds with ten calls each weigh 1 - 0.8 x 0.8.
        for _ in 0..20 {
            counted.add(now + S(2));
        }
        counted.roll(now + S(4));
        assert!(is_near(counted.per_s.unwrap(), 12.0 - 2.0 * 0.36), "{counted:?}");
        assert_eq!(counted.count, 0);
    }

    #[test]
    fn after_a_throttle_the_rate_grows_as_a_cubic_that_is_flat_where_it_throttled() {
        let now = Instant::now();
        let cubic = |at_throttle_per_s| bound(now, Growth::Cubic { at_throttle_per_s });
        // 20 x 0.3 / 0.4 is 15, and its cubic root 2.466212.
        for (after, per_s) in [(0.0, 14.0), (2.466_212, 20.0), (4.932_424, 26.0)] {
            let at = now + Duration::from_secs_f64(after);
            assert!(
                (cubic(20.0).per_s(at) - per_s).abs() < 1e-4,
                "{after}: {}",
                cubic(20.0).per_s(at)
            );
        }
        assert_eq!(cubic(0.5).per_s(now), 0.5, "and never below the least");
    }

    #[test]
    fn after_an_outage_the_rate_grows_by_half_in_a_second_and_then_doubles() {
        let now = Instant::now();
        let recovery = bound(now, Growth::Recovery { usual_per_s: 20.0 });
        for (after_ms, per_s) in [(0, 20.0), (500, 25.0), (1000, 30.0), (2000, 60.0), (3000, 120.0)] {
            assert!(
                is_near(recovery.per_s(now + MS(after_ms)), per_s),
                "{after_ms}: {}",
                recovery.per_s(now + MS(after_ms))
            );
        }
    }

    #[test]
    fn what_may_start_fills_up_with_time_to_two_calls() {
        let now = Instant::now();
        let steady = bound(now, Growth::Steady { per_s: 8.0 });
        for (after_ms, tokens) in [(0, 0.0), (125, 1.0), (250, 2.0), (9000, 2.0)] {
            assert!(
                is_near(steady.tokens_at(now + MS(after_ms)), tokens),
                "{after_ms}"
            );
        }
        let filled = Bound {
            tokens: 0.5,
            ..steady
        };
        assert!(is_near(filled.tokens_at(now + MS(125)), 1.5));
        let rate = |tokens| Rate {
            bound: Some(Bound { tokens, ..steady }),
            ..Rate::default()
        };
        assert_eq!(rate(0.0).next_at(now), Some(now + MS(125)));
        assert_eq!(rate(0.75).next_at(now), Some(now + Duration::from_micros(31_250)));
        assert_eq!(rate(1.0).next_at(now), None);
        assert_eq!(Rate::default().next_at(now), None);
    }

    #[test]
    fn a_call_that_starts_takes_its_place_in_the_bound() {
        let now = Instant::now();
        let mut rate = counted(20.0);
        rate.bound = Some(bound(now, Growth::Steady { per_s: 8.0 }));
        rate.started(now + MS(250));
        let left = rate.bound.unwrap();
        assert!(is_near(left.tokens, 1.0), "two less the one");
        assert_eq!(left.filled_at, now + MS(250));
        assert_eq!(rate.started.count, 1);
    }

    #[test]
    fn above_sixteen_times_the_usual_rate_nothing_bounds_the_calls_any_more() {
        let now = Instant::now();
        let is_bound = |usual_per_s: Option<f64>, per_s: f64| {
            let mut rate = usual_per_s.map_or_else(Rate::default, counted);
            rate.bound = Some(bound(now, Growth::Steady { per_s }));
            rate.started(now);
            rate.bound.is_some()
        };
        assert!(is_bound(Some(20.0), 320.0));
        assert!(!is_bound(Some(20.0), 320.5));
        // An unknown one, and one that is lower, are taken for 8.
        for usual_per_s in [None, Some(2.0)] {
            assert!(is_bound(usual_per_s, 128.0));
            assert!(!is_bound(usual_per_s, 128.5));
        }
    }

    #[test]
    fn a_throttle_is_measured_at_what_was_taken_and_at_the_bound_where_that_is_near() {
        let now = Instant::now();
        let at_throttle_per_s = |rate: &mut Rate| {
            rate.throttled(now, now);
            match rate.bound.unwrap().growth {
                Growth::Cubic { at_throttle_per_s } => at_throttle_per_s,
                other => panic!("{other:?}"),
            }
        };
        assert_eq!(at_throttle_per_s(&mut Rate::default()), 8.0);
        assert_eq!(at_throttle_per_s(&mut counted(20.0)), 20.0);
        assert_eq!(at_throttle_per_s(&mut counted(0.1)), 0.5, "never below the least");
        // Twice what was taken at the most.
        for (usual_per_s, expected) in [(15.0, 15.0), (30.0, 30.0), (100.0, 40.0)] {
            let mut rate = counted(20.0);
            rate.bound = Some(bound(now, Growth::Recovery { usual_per_s }));
            assert_eq!(at_throttle_per_s(&mut rate), expected);
        }
    }

    #[test]
    fn a_throttle_of_a_call_from_before_the_last_one_says_nothing_new() {
        let now = Instant::now();
        let mut rate = counted(20.0);
        rate.throttled(now, now);
        rate.throttled(now - MS(1), now + S(1));
        assert_eq!(rate.bound.unwrap().since, now);
        rate.throttled(now, now + S(1));
        assert_eq!(rate.bound.unwrap().since, now + S(1));
        rate.throttled(now + S(2), now + S(3));
        assert_eq!(rate.bound.unwrap().since, now + S(3));
    }

    #[test]
    fn while_nothing_succeeds_calls_go_on_as_usual_until_one_does() {
        let now = Instant::now();
        for (usual_per_s, expected) in [(20.0, 20.0), (2.0, 8.0)] {
            let mut rate = counted(usual_per_s);
            rate.hold(now);
            assert!(is_near(rate.bound.unwrap().per_s(now + S(9)), expected));
            rate.hold(now + S(1));
            assert_eq!(rate.bound.unwrap().since, now, "it is held already");
            rate.let_go();
            assert!(rate.bound.is_none());
        }
        let mut throttled = counted(20.0);
        throttled.throttled(now, now);
        throttled.hold(now + S(1));
        throttled.let_go();
        assert_eq!(throttled.bound.unwrap().since, now, "a success does not lift it");
        let mut hurried = counted(20.0);
        hurried.hurry();
        hurried.hold(now);
        assert!(hurried.bound.is_none());
    }

    #[test]
    fn after_an_outage_the_rate_begins_at_what_was_usual_before_it() {
        let now = Instant::now();
        let recovered = |mut rate: Rate| {
            rate.outage();
            // What starts in the outage does not change what is usual.
            rate.started.per_s = Some(0.1);
            rate.recovers(now);
            (
                rate.bound.unwrap().per_s(now),
                rate.started.per_s,
                rate.taken.per_s,
            )
        };
        assert_eq!(recovered(counted(20.0)), (20.0, Some(20.0), Some(20.0)));
        assert_eq!(recovered(counted(0.5)), (1.0, Some(1.0), Some(1.0)));
        assert_eq!(
            recovered(Rate::default()),
            (8.0, Some(8.0), Some(8.0)),
            "nothing is known of one that took nothing yet"
        );
        let mut hurried = counted(20.0);
        hurried.hurry();
        hurried.recovers(now);
        assert!(hurried.bound.is_none());
    }

    #[test]
    fn before_the_end_only_what_a_throttle_asked_for_stays() {
        let now = Instant::now();
        let is_bound = |growth| {
            let mut rate = counted(20.0);
            rate.bound = Some(bound(now, growth));
            rate.hurry();
            rate.bound.is_some()
        };
        assert!(is_bound(Growth::Cubic {
            at_throttle_per_s: 20.0
        }));
        assert!(!is_bound(Growth::Steady { per_s: 20.0 }));
        assert!(!is_bound(Growth::Recovery { usual_per_s: 20.0 }));
    }
}
