//! At most one line per interval, with the number of lines that were held back.

use std::fmt;
use std::num::NonZeroU64;
use std::time::{Duration, Instant};

/// At most one log line per interval for one call site, counting what it holds back.
///
/// Pure: no clock and no timer; the caller passes `now`. A count that is held back is said with the next line that
/// is allowed, and when no further line comes, by whoever calls [`RateLimit::take_suppressed`] (on any occasion it
/// has anyway, such as a sealed batch) or [`RateLimit::take_rest`] (at shutdown).
///
/// ```
/// # use std::time::{Duration, Instant};
/// # use xray::logs::{AndMore, RateLimit};
/// let start = Instant::now();
/// let mut limit = RateLimit::new(Duration::from_secs(1));
/// assert_eq!(limit.allow(start), Some(0));
/// assert_eq!(limit.allow(start), None);
/// let suppressed = limit.allow(start + Duration::from_secs(1)).expect("the interval is over");
/// assert_eq!(format!("Invalid header: x{}", AndMore(suppressed)), "Invalid header: x (and 1 more)");
/// ```
#[derive(Debug, Clone)]
pub struct RateLimit {
    interval: Duration,
    last_line: Option<Instant>,
    suppressed: u64,
}

impl RateLimit {
    /// One line per `interval`; zero lets every line through.
    #[must_use]
    pub const fn new(interval: Duration) -> Self {
        Self {
            interval,
            last_line: None,
            suppressed: 0,
        }
    }

    /// Asks to write a line. `Some(n)`: write it, and say that `n` others were held back since the last one.
    /// `None`: hold it back; it is counted.
    ///
    /// A `now` before that of an earlier call counts as the same moment.
    #[must_use = "a line that is not allowed must not be written"]
    pub fn allow(&mut self, now: Instant) -> Option<u64> {
        if self.is_open(now) {
            self.last_line = Some(now);
            Some(std::mem::take(&mut self.suppressed))
        } else {
            self.suppressed = self.suppressed.saturating_add(1);
            None
        }
    }

    /// The number held back since the last line, if there is one and the interval is over. Taking it counts as a
    /// line: write one that says the number.
    #[must_use = "the number is said nowhere else"]
    pub fn take_suppressed(&mut self, now: Instant) -> Option<NonZeroU64> {
        if !self.is_open(now) {
            return None;
        }
        let suppressed = self.take_rest()?;
        self.last_line = Some(now);
        Some(suppressed)
    }

    /// The number held back since the last line, at any time: for the last line of a run.
    #[must_use = "the number is said nowhere else"]
    pub fn take_rest(&mut self) -> Option<NonZeroU64> {
        NonZeroU64::new(std::mem::take(&mut self.suppressed))
    }

    /// When [`RateLimit::take_suppressed`] will have something to give, for a caller that keeps a deadline anyway.
    #[must_use]
    pub fn due(&self) -> Option<Instant> {
        (self.suppressed > 0)
            .then_some(self.last_line)
            .flatten()
            .and_then(|last| last.checked_add(self.interval))
    }

    fn is_open(&self, now: Instant) -> bool {
        self.last_line
            .is_none_or(|last| now.saturating_duration_since(last) >= self.interval)
    }
}

/// Displays the number that [`RateLimit::allow`] gives at the end of a line: ` (and 12 more)`, nothing for none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AndMore(pub u64);

impl fmt::Display for AndMore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            0 => Ok(()),
            n => write!(f, " (and {n} more)"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn one_line_per_interval_is_let_through_and_the_others_are_counted() {
        let start = Instant::now();
        let mut limit = RateLimit::new(SECOND);
        let asked_ms = [0_u64, 0, 500, 999, 1000, 1001, 2500, 3499];
        let got: Vec<_> = asked_ms
            .iter()
            .map(|&ms| limit.allow(start + Duration::from_millis(ms)))
            .collect();
        assert_eq!(got, [Some(0), None, None, None, Some(3), None, Some(1), None]);
    }

    #[test]
    fn a_count_that_no_further_line_carries_can_be_taken_once_the_interval_is_over() {
        let start = Instant::now();
        let mut limit = RateLimit::new(SECOND);
        assert_eq!(limit.due(), None);
        assert_eq!(limit.take_suppressed(start), None);
        assert_eq!(limit.allow(start), Some(0));
        assert_eq!(limit.due(), None);
        assert_eq!(limit.allow(start), None);
        assert_eq!(limit.allow(start), None);
        assert_eq!(limit.due(), Some(start + SECOND));
        assert_eq!(
            limit.take_suppressed(start + SECOND - Duration::from_nanos(1)),
            None
        );
        assert_eq!(limit.take_suppressed(start + SECOND), NonZeroU64::new(2));
        assert_eq!(limit.take_suppressed(start + SECOND * 2), None);
        assert_eq!(limit.allow(start + SECOND), None, "taking the count was a line");
        assert_eq!(limit.take_rest(), NonZeroU64::new(1));
        assert_eq!(limit.take_rest(), None);
    }

    #[test]
    fn a_clock_that_goes_back_lets_nothing_through_and_does_not_panic() {
        let start = Instant::now() + SECOND;
        let mut limit = RateLimit::new(SECOND);
        assert_eq!(limit.allow(start), Some(0));
        assert_eq!(limit.allow(start - SECOND), None);
        assert_eq!(limit.allow(start + SECOND), Some(1));
    }

    #[test]
    fn an_interval_of_zero_lets_everything_through() {
        let now = Instant::now();
        let mut limit = RateLimit::new(Duration::ZERO);
        assert_eq!([limit.allow(now), limit.allow(now)], [Some(0), Some(0)]);
    }

    #[test]
    fn the_longest_interval_never_overflows() {
        let now = Instant::now();
        let mut limit = RateLimit::new(Duration::MAX);
        assert_eq!(limit.allow(now), Some(0));
        assert_eq!(limit.allow(now), None);
        assert_eq!(limit.due(), None);
    }

    #[test]
    fn nothing_held_back_adds_nothing_to_a_line() {
        assert_eq!(AndMore(0).to_string(), "");
        assert_eq!(AndMore(12).to_string(), " (and 12 more)");
    }

    proptest! {
        #[test]
        fn every_line_is_either_written_or_said_to_be_held_back(
            steps_ms in proptest::collection::vec((0_u64..3000, any::<bool>()), 0..50),
        ) {
            let mut now = Instant::now();
            let mut limit = RateLimit::new(SECOND);
            let (mut asked, mut written, mut said) = (0, 0, 0);
            for (step_ms, take) in steps_ms {
                now += Duration::from_millis(step_ms);
                if take {
                    said += limit.take_suppressed(now).map_or(0, NonZeroU64::get);
                } else {
                    asked += 1;
                    if let Some(suppressed) = limit.allow(now) {
                        written += 1;
                        said += suppressed;
                    }
                }
            }
            said += limit.take_rest().map_or(0, NonZeroU64::get);
            prop_assert_eq!(asked, written + said);
        }
    }
}
