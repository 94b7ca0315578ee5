//! How the endpoint is ill, as a line that says it and as what becomes of each call.

use std::time::{Duration, Instant};

use super::super::Result;

/// What may be wrong with the endpoint. Nothing by default: each call is taken at once.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(crate) struct Faults {
    /// How long each answer takes, whatever it says.
    pub(crate) after: Duration,
    /// The share of calls that is answered with 503, 0 to 1, by chance.
    pub(crate) failing: f64,
    /// Each so-manieth call is never answered; 0: none.
    pub(crate) hanging_calls: u64,
    /// On each so-manieth connection no call is ever answered; 0: none.
    pub(crate) hanging_connections: u64,
    /// Calls a second beyond which one is answered with 429.
    pub(crate) quota_per_s: Option<f64>,
}

/// What becomes of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    Taken,
    /// 503.
    Fails,
    /// 429.
    Throttled,
    /// No answer, for as long as the client waits.
    Hangs,
}

impl Faults {
    /// As words of a line, for [`Faults::parse`].
    pub(crate) fn line(&self) -> String {
        format!(
            "{} {} {} {} {}",
            self.after.as_micros(),
            self.failing,
            self.hanging_calls,
            self.hanging_connections,
            self.quota_per_s.unwrap_or(0.0)
        )
    }

    pub(super) fn parse(words: &[&str]) -> Result<Self> {
        let &[after, failing, hanging_calls, hanging_connections, quota] = words else {
            return Err("faults have five words".into());
        };
        let quota: f64 = quota.parse()?;
        Ok(Self {
            after: Duration::from_micros(after.parse()?),
            failing: failing.parse()?,
            hanging_calls: hanging_calls.parse()?,
            hanging_connections: hanging_connections.parse()?,
            quota_per_s: (quota > 0.0).then_some(quota),
        })
    }
}

/// Decides, call by call.
#[derive(Debug)]
pub(super) struct Judge {
    faults: Faults,
    calls: u64,
    quota_left: f64,
    quota_at: Instant,
}

impl Judge {
    pub(super) fn new(faults: Faults) -> Self {
        Self {
            faults,
            calls: 0,
            quota_left: 1.0,
            quota_at: Instant::now(),
        }
    }

    /// What becomes of a call that came on the connection of this number, and after how long.
    pub(super) fn decide(&mut self, connection: u64) -> (Fate, Duration) {
        self.calls += 1;
        let is_each = |every: u64, number: u64| every > 0 && number.is_multiple_of(every);
        let fate = if is_each(self.faults.hanging_connections, connection)
            || is_each(self.faults.hanging_calls, self.calls)
        {
            Fate::Hangs
        } else if fastrand::f64() < self.faults.failing {
            Fate::Fails
        } else if self.is_over_quota() {
            Fate::Throttled
        } else {
            Fate::Taken
        };
        (fate, self.faults.after)
    }

    /// A bucket that holds a quarter of a second's calls.
    fn is_over_quota(&mut self) -> bool {
        let Some(per_s) = self.faults.quota_per_s else {
            return false;
        };
        let passed_s = self.quota_at.elapsed().as_secs_f64();
        self.quota_at = Instant::now();
        self.quota_left = (self.quota_left + passed_s * per_s).min(1.0 + per_s / 4.0);
        let is_over = self.quota_left < 1.0;
        if !is_over {
            self.quota_left -= 1.0;
        }
        is_over
    }
}
