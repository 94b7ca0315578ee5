//! Bounds on repeats: enough lines to diagnose with, not enough to fill a disk.
//!
//! | what repeats | bound |
//! |---|---|
//! | events of which only the number counts | [`Tally`]: a line a second, with the number since the last |
//! | events that each have something to show | [`LineBudget`]: twenty lines a second, and the number left out; one where they all show much the same |
//! | a state that lasts | [`Reminder`]: a line a minute |

use std::time::{Duration, Instant};

/// The least time between two lines of a [`Tally`].
const QUIET: Duration = Duration::from_secs(1);

/// Most lines in a second of a [`LineBudget`].
const LINES_PER_S: usize = 20;

/// The least time between two lines of a [`Reminder`].
const REMINDER: Duration = Duration::from_secs(60);

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

/// Lets lines through as long as there are no more than so many in a second, and counts the others.
#[derive(Debug)]
pub struct LineBudget {
    per_s: usize,
    second: Option<Instant>,
    written: usize,
    left_out: u64,
}

impl Default for LineBudget {
    /// Twenty in a second.
    fn default() -> Self {
        Self::of(LINES_PER_S)
    }
}

impl LineBudget {
    /// One in a second: of events that show much the same.
    #[must_use]
    pub fn one_a_second() -> Self {
        Self::of(1)
    }

    fn of(per_s: usize) -> Self {
        Self {
            per_s,
            second: None,
            written: 0,
            left_out: 0,
        }
    }

    /// `None` when the line is to be left out; else how many were left out since the last one.
    #[must_use]
    pub fn allow(&mut self, now: Instant) -> Option<u64> {
        if self
            .second
            .is_none_or(|second| now >= second + Duration::from_secs(1))
        {
            self.second = Some(now);
            self.written = 0;
        }
        if self.written == self.per_s {
            self.left_out += 1;
            return None;
        }
        self.written += 1;
        Some(std::mem::take(&mut self.left_out))
    }
}

/// How many lines were left out before one that [`LineBudget::allow`] let through, for the end of that line; empty for none.
#[must_use]
pub fn more(left_out: u64) -> String {
    match left_out {
        0 => String::new(),
        _ => format!(" ({left_out} more lines of this kind were left out before)"),
    }
}

/// When a state that lasts was said last, so that it is said again after a minute and not before.
#[derive(Debug, Default)]
pub struct Reminder {
    said_at: Option<Instant>,
}

impl Reminder {
    /// Of a state that is said now.
    #[must_use]
    pub fn said(now: Instant) -> Self {
        Self { said_at: Some(now) }
    }

    /// Whether it was said within the last minute.
    #[must_use]
    pub fn was_said_lately(&self, now: Instant) -> bool {
        self.said_at.is_some_and(|at| now < at + REMINDER)
    }

    /// True, and taken for said, when it was not said within the last minute.
    #[must_use]
    pub fn is_due(&mut self, now: Instant) -> bool {
        let due = !self.was_said_lately(now);
        if due {
            self.said_at = Some(now);
        }
        due
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

    #[test]
    fn twenty_lines_a_second_pass_and_the_next_one_says_how_many_did_not() {
        let start = Instant::now();
        let mut budget = LineBudget::default();
        for _ in 0..LINES_PER_S {
            assert_eq!(budget.allow(start), Some(0));
        }
        for _ in 0..7 {
            assert_eq!(budget.allow(start + Duration::from_millis(999)), None);
        }
        assert_eq!(budget.allow(start + Duration::from_secs(1)), Some(7));
        assert_eq!(budget.allow(start + Duration::from_secs(1)), Some(0));
    }

    #[test]
    fn of_what_shows_much_the_same_one_line_a_second_passes() {
        let start = Instant::now();
        let mut budget = LineBudget::one_a_second();
        assert_eq!(budget.allow(start), Some(0));
        assert_eq!(budget.allow(start), None);
        assert_eq!(budget.allow(start + Duration::from_secs(1)), Some(1));
    }

    #[test]
    fn a_state_is_said_at_once_and_again_after_a_minute() {
        let start = Instant::now();
        let mut reminder = Reminder::default();
        assert!(!reminder.was_said_lately(start));
        assert!(reminder.is_due(start));
        assert!(!reminder.is_due(start + REMINDER - Duration::from_millis(1)));
        assert!(reminder.is_due(start + REMINDER));
        assert!(!reminder.is_due(start + REMINDER));
        assert!(Reminder::said(start).was_said_lately(start));
    }
}
