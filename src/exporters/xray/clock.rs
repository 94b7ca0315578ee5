//! The service's clock, where ours is wrong: calls are signed with a time, and one that is minutes off is refused.

use std::sync::atomic::{AtomicI64, Ordering::Relaxed};
use std::time::{Duration, SystemTime};

use aws_smithy_types::DateTime;
use aws_smithy_types::date_time::Format;

/// What is less may be the way of the answer, and the service allows minutes.
const LEAST: Duration = Duration::from_secs(60);

/// How far the service's clock is ahead of ours, as far as answers have shown that it matters.
#[derive(Debug, Default)]
pub(super) struct Clock {
    ahead_ms: AtomicI64,
}

impl Clock {
    /// The service's time when ours is `now`.
    pub(super) fn corrected(&self, now: SystemTime) -> SystemTime {
        let ahead_ms = self.ahead_ms.load(Relaxed);
        let by = Duration::from_millis(ahead_ms.unsigned_abs());
        let corrected = if ahead_ms < 0 {
            now.checked_sub(by)
        } else {
            now.checked_add(by)
        };
        corrected.unwrap_or(now)
    }

    /// An answer has come at `came_at` by our clock, with this `Date`. One that took the call shows nothing that matters,
    /// unless it is for a correction that was made.
    pub(super) fn heard(&self, has_taken: bool, date: Option<&str>, came_at: SystemTime) {
        if has_taken && self.ahead_ms.load(Relaxed) == 0 {
            return;
        }
        let Some(theirs) = date
            .and_then(|date| DateTime::from_str(date, Format::HttpDate).ok())
            .and_then(|date| SystemTime::try_from(date).ok())
        else {
            return;
        };
        let ms = |by: Duration| i64::try_from(by.as_millis()).unwrap_or(i64::MAX);
        let ahead_ms = match theirs.duration_since(came_at) {
            Ok(ahead) => ms(ahead),
            Err(behind) => -ms(behind.duration()),
        };
        let matters = ahead_ms.unsigned_abs() >= ms(LEAST).unsigned_abs();
        self.ahead_ms.store(if matters { ahead_ms } else { 0 }, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use super::*;

    /// 1 January 2026, 00:00:00.
    const THEIRS: &str = "Thu, 01 Jan 2026 00:00:00 GMT";

    fn ours(seconds_after: i64) -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(1_767_225_600_u64.checked_add_signed(seconds_after).unwrap())
    }

    #[test]
    fn a_clock_that_is_minutes_off_is_corrected_after_a_refusal_and_not_before() {
        for off in [-600, -61, 61, 86_400] {
            let clock = Clock::default();
            clock.heard(true, Some(THEIRS), ours(off));
            assert_eq!(clock.corrected(ours(off)), ours(off), "{off}");
            clock.heard(false, Some(THEIRS), ours(off));
            assert_eq!(clock.corrected(ours(off)), ours(0), "{off}");
        }
    }

    #[test]
    fn what_is_less_than_a_minute_or_no_date_changes_nothing() {
        let clock = Clock::default();
        for (date, off) in [
            (Some(THEIRS), 59),
            (Some(THEIRS), -59),
            (Some("yesterday"), 600),
            (None, 600),
        ] {
            clock.heard(false, date, ours(off));
            assert_eq!(clock.corrected(ours(off)), ours(off));
        }
    }

    #[test]
    fn a_correction_ends_with_the_first_answer_that_does_not_need_it() {
        let clock = Clock::default();
        clock.heard(false, Some(THEIRS), ours(600));
        // Somebody has set it.
        clock.heard(true, Some(THEIRS), ours(1));
        assert_eq!(clock.corrected(ours(1)), ours(1));
    }
}
