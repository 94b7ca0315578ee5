//! Counts events that must not each be a log line: at most one line in [`QUIET`], with the number since the last.

use std::time::{Duration, Instant};

/// The least time between two lines about the same thing.
pub(super) const QUIET: Duration = Duration::from_secs(1);

/// Events of one kind that have not been said yet.
#[derive(Debug, Default)]
pub struct Tally {
    unsaid: u64,
    quiet_until: Option<Instant>,
}

impl Tally {
    /// Adds `events` (0 to only ask), and returns the number to say in the log now, if it is time and there is any.
    #[must_use]
    pub fn add(&mut self, events: usize, now: Instant) -> Option<u64> {
        self.unsaid += events as u64;
        if self.unsaid == 0 || self.quiet_until.is_some_and(|until| now < until) {
            return None;
        }
        self.quiet_until = Some(now + QUIET);
        Some(std::mem::take(&mut self.unsaid))
    }

    /// As [`Tally::add`], without regard to the time: for the end.
    #[must_use]
    pub fn flush(&mut self, events: usize, now: Instant) -> Option<u64> {
        self.quiet_until = None;
        self.add(events, now)
    }

    /// When what is unsaid may be said; `None` when nothing is.
    #[must_use]
    pub fn due(&self) -> Option<Instant> {
        if self.unsaid == 0 { None } else { self.quiet_until }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_event_is_said_at_once_and_the_rest_in_one_line_a_second_later() {
        let start = Instant::now();
        let mut tally = Tally::default();
        assert_eq!(tally.add(0, start), None);
        assert_eq!(tally.due(), None);
        assert_eq!(tally.add(50, start), Some(50));
        assert_eq!(tally.due(), None);
        assert_eq!(tally.add(50, start + QUIET / 4), None);
        assert_eq!(tally.add(7, start + QUIET / 2), None);
        assert_eq!(tally.due(), Some(start + QUIET));
        assert_eq!(tally.add(0, start + QUIET), Some(57));
        assert_eq!(tally.due(), None);
    }

    #[test]
    fn at_the_end_what_is_unsaid_is_said_without_waiting() {
        let start = Instant::now();
        let mut tally = Tally::default();
        assert_eq!(tally.add(1, start), Some(1));
        assert_eq!(tally.add(2, start), None);
        assert_eq!(tally.flush(3, start), Some(5));
        assert_eq!(tally.flush(0, start), None);
    }
}
