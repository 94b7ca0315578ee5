//! A bound on lines about single segments: enough to diagnose with, not enough to fill a disk.

use std::time::{Duration, Instant};

/// Most lines in a second about one kind of thing.
pub(super) const LINES_PER_S: usize = 20;

/// Lets lines through as long as there are no more than twenty in a second, and counts the others.
#[derive(Debug, Default)]
pub struct LineBudget {
    second: Option<Instant>,
    written: usize,
    left_out: u64,
}

impl LineBudget {
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
        if self.written == LINES_PER_S {
            self.left_out += 1;
            return None;
        }
        self.written += 1;
        Some(std::mem::take(&mut self.left_out))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
}
