//! How many calls a second may start: no bound, until nothing succeeds for some calls or the service comes back from an
//! outage. What it throttles is counted in documents, in `quota`.

use std::time::{Duration, Instant};

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
    /// Something was answered.
    is_known: bool,
    /// What started before the outage.
    before_outage_per_s: Option<f64>,
    bound: Option<Bound>,
    /// Only a throttle is a reason to wait any more.
    hurried: bool,
}

/// Calls or documents, counted a second at a time.
#[derive(Debug, Default)]
pub(super) struct Counted {
    second: Option<Instant>,
    count: usize,
    per_s: Option<f64>,
}

#[derive(Debug, Clone, Copy)]
struct Bound {
    since: Instant,
    growth: Growth,
    tokens: f64,
    filled_at: Instant,
}

#[derive(Debug, Clone, Copy)]
enum Growth {
    /// Nothing has succeeded for some calls: as many as usual.
    Steady { per_s: f64 },
    /// After an outage: linear in the first second, then doubling.
    Recovery { usual_per_s: f64 },
}

/// How many times the usual rate an endpoint is taken to bear so many seconds after an outage.
pub(super) fn recovered(seconds: f64) -> f64 {
    if seconds < 1.0 {
        1.0 + seconds / 2.0
    } else {
        1.5 * 2_f64.powf(seconds - 1.0)
    }
}

impl Counted {
    /// Such a rate is usual.
    pub(super) fn at(per_s: f64) -> Self {
        Self {
            per_s: Some(per_s),
            ..Self::default()
        }
    }

    pub(super) fn add(&mut self, count: usize, now: Instant) {
        self.roll(now);
        self.count += count;
    }

    /// How many a second, usually; `None` in the first second.
    pub(super) fn per_s(&self) -> Option<f64> {
        self.per_s
    }

    /// The same, and in the first second what it would be by now, if there was something.
    pub(super) fn now_per_s(&self, now: Instant) -> Option<f64> {
        let second = self.second?;
        let passed = now.saturating_duration_since(second).as_secs_f64().max(0.1);
        self.per_s
            .or_else(|| (self.count > 0).then(|| self.count as f64 / passed))
    }

    pub(super) fn roll(&mut self, now: Instant) {
        let second = *self.second.get_or_insert(now);
        let passed = now.saturating_duration_since(second).as_secs_f64();
        if passed < 1.0 {
            return;
        }
        let seen = self.count as f64 / passed;
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
            Growth::Steady { per_s } => per_s,
            Growth::Recovery { usual_per_s } => usual_per_s * recovered(t),
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
        self.started.add(1, now);
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
        self.is_known = true;
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
        if self.is_known {
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
        self.started = Counted::at(usual_per_s);
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
        self.bound = None;
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

    /// As many calls a second as this are counted, some of them were answered, and nothing bounds them.
    fn counted(per_s: f64) -> Rate {
        Rate {
            started: Counted::at(per_s),
            is_known: true,
            ..Rate::default()
        }
    }

    #[test]
    fn calls_are_counted_by_the_second_and_a_second_weighs_a_fifth() {
        let now = Instant::now();
        let mut counted = Counted::default();
        for _ in 0..10 {
            counted.add(1, now);
        }
        counted.roll(now + MS(999));
        assert_eq!(counted.per_s(), None, "the first second is not over");
        assert_eq!(counted.now_per_s(now + MS(500)), Some(20.0));
        assert_eq!(counted.now_per_s(now), Some(100.0), "as of a tenth of a second");
        assert_eq!(Counted::default().now_per_s(now), None);
        counted.roll(now + S(1));
        assert_eq!(counted.per_s, Some(10.0));
        for _ in 0..20 {
            counted.add(1, now + S(1));
        }
        counted.roll(now + S(2));
        assert!(is_near(counted.per_s.unwrap(), 12.0), "{counted:?}");
        // Two seconds with ten calls each weigh 1 - 0.8 x 0.8.
        for _ in 0..20 {
            counted.add(1, now + S(2));
        }
        counted.roll(now + S(4));
        assert!(is_near(counted.per_s.unwrap(), 12.0 - 2.0 * 0.36), "{counted:?}");
        assert_eq!(counted.count, 0);
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
        let mut back = counted(20.0);
        back.recovers(now);
        back.hold(now + S(1));
        back.let_go();
        assert_eq!(back.bound.unwrap().since, now, "a success does not lift it");
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
            (rate.bound.unwrap().per_s(now), rate.started.per_s)
        };
        assert_eq!(recovered(counted(20.0)), (20.0, Some(20.0)));
        assert_eq!(recovered(counted(0.5)), (1.0, Some(1.0)));
        assert_eq!(
            recovered(Rate::default()),
            (8.0, Some(8.0)),
            "nothing is known of one that took nothing yet"
        );
        let mut hurried = counted(20.0);
        hurried.recovers(now);
        hurried.hurry();
        assert!(hurried.bound.is_none(), "before the end nothing holds it back");
        hurried.recovers(now);
        assert!(hurried.bound.is_none());
    }
}
