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
