//! What a `Retry-After` asks for.

use std::time::{Duration, SystemTime};

use aws_smithy_types::DateTime;
use aws_smithy_types::date_time::Format;

use super::error::RETRY_AFTER_MAX;

/// How long to wait by `asked`, the header's value: seconds, or an HTTP date. At most [`RETRY_AFTER_MAX`]; `None` when it is
/// neither. `date` is the header of that name in the same answer, which came at `came_at` by our clock.
pub(super) fn asked(asked: &str, date: Option<&str>, came_at: SystemTime) -> Option<Duration> {
    let asked = asked.trim();
    let seconds = match asked.parse() {
        Ok(seconds) => seconds,
        Err(_) => seconds_until(asked, date, came_at)?,
    };
    Some(Duration::from_secs(seconds).min(RETRY_AFTER_MAX))
}

/// From the answer to `until`, an HTTP date; 0 when that is over. By the clock of whoever wrote both dates, where it says its
/// time: ours may be wrong.
fn seconds_until(until: &str, date: Option<&str>, came_at: SystemTime) -> Option<u64> {
    let read = |date: &str| DateTime::from_str(date.trim(), Format::HttpDate).ok();
    let until = read(until)?;
    let answered = date.and_then(read).unwrap_or_else(|| DateTime::from(came_at));
    Some(u64::try_from(until.secs().saturating_sub(answered.secs())).unwrap_or(0))
}
