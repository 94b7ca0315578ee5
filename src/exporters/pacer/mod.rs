//! What a failed call means, when to try again, and how many calls may be in flight. No clock: `now` comes in.
//!
//! Two gates decide whether a batch goes out. The *endpoint's* gate, here: while calls fail, one probe at a time,
//! after a capped exponential back-off with full jitter; afterwards the number in flight grows again with each
//! success, so that an endpoint that comes back is not stampeded. The *batch's* own gate ([`Pacer::hold_back`]): a
//! batch that fails again and again must not stand before the others.

use std::time::{Duration, Instant};

/// The first back-off's upper bound; it doubles with each failure.
const BASE: Duration = Duration::from_millis(200);

/// The largest back-off: how late an endpoint's return may be noticed.
const CAP: Duration = Duration::from_secs(10);

/// The least back-off, so that full jitter never means at once.
const FLOOR: Duration = Duration::from_millis(20);

/// The longest Retry-After that is obeyed; a service that says an hour must not stop a daemon for an hour.
const MAX_RETRY_AFTER: Duration = Duration::from_secs(60);

/// Calls in flight at the start: the official daemon's number of senders.
pub const INITIAL_CONCURRENCY: usize = 8;

/// Most calls in flight when `Concurrency` does not say: at 1 s an answer, 64 calls carry 3,200 segments a second.
pub const DEFAULT_MAX_CONCURRENCY: usize = 64;

/// A run of failures.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Outage {
    /// When the first call failed.
    pub since: Instant,
    /// Failures in a row, those of the same moment counted once.
    pub failures: u32,
    /// No probe before.
    pub until: Instant,
    counted_at: Instant,
}

/// Whether a call may start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Start {
    /// Yes.
    Now,
    /// Not before then.
    At(Instant),
    /// Not before one in flight has ended.
    WhenOneEnds,
}

/// Paces the calls to one endpoint.
#[derive(Debug)]
pub struct Pacer {
    limit: usize,
    max: usize,
    outage: Option<Outage>,
    // Beside the outage: what the service asked for holds even when a call that was under way then succeeds.
    asked_to_wait_until: Option<Instant>,
}

impl Pacer {
    /// At most `max` calls in flight.
    #[must_use]
    pub fn new(max: usize) -> Self {
        let max = max.max(1);
        Self {
            limit: INITIAL_CONCURRENCY.min(max),
            max,
            outage: None,
            asked_to_wait_until: None,
        }
    }

    /// The run of failures that is going on.
    #[must_use]
    pub fn outage(&self) -> Option<&Outage> {
        self.outage.as_ref()
    }

    /// How many calls may be in flight while nothing fails.
    #[must_use]
    pub fn limit(&self) -> usize {
        self.limit
    }

    /// Whether one more call may start at `now` beside `in_flight` others.
    #[must_use]
    pub fn may_start(&self, now: Instant, in_flight: usize) -> Start {
        if let Some(until) = self.asked_to_wait_until.filter(|until| *until > now) {
            return Start::At(until);
        }
        match &self.outage {
            Some(_) if in_flight > 0 => Start::WhenOneEnds,
            Some(outage) if outage.until > now => Start::At(outage.until),
            None if in_flight >= self.limit => Start::WhenOneEnds,
            _ => Start::Now,
        }
    }

    /// A call was answered; `in_flight` counts it. Returns the outage that it ends.
    pub fn succeeded(&mut self, in_flight: usize) -> Option<Outage> {
        // Only a limit that was reached is raised: otherwise nothing shows that more would be carried.
        if in_flight >= self.limit {
            self.limit = (self.limit + 1).min(self.max);
        }
        self.outage.take()
    }

    /// A call that started at `started` failed in a way that may pass. `jitter` is a random number in [0, 1).
    pub fn failed(&mut self, now: Instant, started: Instant, retry_after: Option<Duration>, jitter: f64) {
        let failures = match &self.outage {
            // It was under way when the failure was noted: the same event, not a further one.
            Some(outage) if started < outage.counted_at => outage.failures,
            Some(outage) => outage.failures.saturating_add(1),
            None => 1,
        };
        let counted = self.outage.is_none_or(|outage| outage.failures != failures);
        if counted {
            self.limit = (self.limit / 2).max(1);
        }
        let until = now + back_off(failures.saturating_sub(1), jitter);
        let asked = retry_after.map(|asked| now + asked.min(MAX_RETRY_AFTER));
        self.asked_to_wait_until = self.asked_to_wait_until.max(asked);
        self.outage = Some(match self.outage {
            None => Outage {
                since: started,
                failures,
                until,
                counted_at: now,
            },
            Some(outage) => Outage {
                failures,
                until: outage.until.max(until),
                counted_at: if counted { now } else { outage.counted_at },
                ..outage
            },
        });
    }

    /// Starts the back-off anew from its shortest: for the last chances before the end.
    pub fn hurry(&mut self, now: Instant) {
        self.asked_to_wait_until = None;
        if let Some(outage) = &mut self.outage {
            outage.until = now;
            outage.failures = 0;
        }
    }

    /// When a batch that failed `attempts` times (1 and up) may go again: its own back-off, beside the endpoint's.
    #[must_use]
    pub fn hold_back(now: Instant, attempts: u32, jitter: f64) -> Instant {
        now + back_off(attempts.saturating_sub(1), jitter)
    }
}

/// Full jitter below a bound that doubles from [`BASE`] to [`CAP`].
fn back_off(doublings: u32, jitter: f64) -> Duration {
    let bound = BASE.saturating_mul(2_u32.saturating_pow(doublings)).min(CAP);
    bound.mul_f64(jitter.clamp(0.0, 1.0)).max(FLOOR)
}

#[cfg(test)]
mod tests;
