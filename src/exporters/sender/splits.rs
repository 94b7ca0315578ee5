//! What the search for refused documents may cost.
//!
//! A refused batch is halved until each bad document stands alone, so nothing good is lost, and n documents cost at most
//! 2(n-1) extra calls. That is a bound for one batch; for all of them together it is a rate. A sender of which every second
//! document is bad would otherwise make two calls for each of its documents for ever. What is over the rate waits, apart
//! from the others, in the queue: there the budget decides.

use std::time::{Duration, Instant};

/// Splits that need not wait, after a time without any: enough to find two bad documents in each of some fifty batches.
const BURST: u32 = 640;

/// The time for each split beyond: 20 splits, 40 extra calls a second.
const EACH: Duration = Duration::from_millis(50);

/// No half waits for longer, however many do: by then its turn is as good as any.
const WAIT_MAX: Duration = Duration::from_secs(60);

/// The rate of splits.
#[derive(Debug, Default)]
pub(super) struct Splits {
    /// When the allowance is full again.
    full_at: Option<Instant>,
}

impl Splits {
    /// One more split. When its halves may go; `None`: at once.
    pub(super) fn split(&mut self, now: Instant) -> Option<Instant> {
        let full_at = self.full_at.map_or(now, |at| at.max(now));
        let next = full_at + EACH;
        let wait = next.saturating_duration_since(now).saturating_sub(EACH * BURST);
        if wait > WAIT_MAX {
            return Some(now + WAIT_MAX);
        }
        self.full_at = Some(next);
        (!wait.is_zero()).then(|| now + wait)
    }

    /// Starts anew: for the last chances before the end.
    pub(super) fn hurry(&mut self) {
        self.full_at = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_goes_at_once_then_twenty_a_second_and_nothing_waits_for_more_than_a_minute() {
        let start = Instant::now();
        let mut splits = Splits::default();
        for _ in 0..BURST {
            assert_eq!(splits.split(start), None);
        }
        for n in 1..=1200 {
            assert_eq!(splits.split(start), Some(start + EACH * n));
        }
        assert_eq!(splits.split(start), Some(start + WAIT_MAX));
        // After a minute the last 640 have no allowance yet, and after 32 s more all is as at the start.
        let later = start + WAIT_MAX;
        assert_eq!(splits.split(later), Some(later + EACH));
        let full = later + EACH * (BURST + 1);
        for _ in 0..BURST {
            assert_eq!(splits.split(full), None);
        }
        assert_eq!(splits.split(full), Some(full + EACH));
        splits.hurry();
        assert_eq!(splits.split(full), None);
    }
}
