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

    /// A call was answered.
    pub(super) fn answered(&mut self) {
        self.is_known = true;
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
