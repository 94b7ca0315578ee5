//! What the sender says in the log of calls that fail, of outages, and of segments that were left undone.

use std::time::Instant;

use super::Sender;
use super::trouble::{HalfIll, Row};
use crate::exporters::Exporter;
use crate::exporters::answer::Unprocessed;
use crate::logs;
use crate::pipeline::batch::encoding::Description;

impl<X: Exporter> Sender<X> {
    pub(super) fn say_failing(&self, row: &Row, now: Instant, message: &str) {
        let (waiting, spooled) = (self.lane.pending_documents(), self.ledger.snapshot().spooled);
        let failing_s = now.saturating_duration_since(row.since).as_secs_f64();
        let on_disk = match spooled {
            0 => String::new(),
            _ => format!(" and {spooled} in the spool"),
        };
        tracing::error!(
            waiting,
            spooled,
            failing_s,
            failures = row.failures,
            error = message,
            "Sending segment batch failed with: {message}; {waiting} segments wait in memory{on_disk} and are sent when calls \
             succeed again (failing for {failing_s:.1} s)"
        );
    }

    pub(super) fn say_over(&self, row: &Row, now: Instant) {
        let failing_s = now.saturating_duration_since(row.since).as_secs_f64();
        let waiting = self.lane.pending_documents() + self.ledger.snapshot().spooled;
        tracing::info!(
            waiting,
            failing_s,
            failures = row.failures,
            "Calls succeed again after {failing_s:.1} s; {waiting} segments wait and are sent now"
        );
    }

    /// Of an endpoint that is half ill. `message`: what this call failed with.
    pub(super) fn say_share(&mut self, now: Instant, message: Option<&str>) {
        match self.trouble.share(now) {
            None => {}
            Some(HalfIll::Is(share)) => {
                let waiting = self.lane.pending_documents();
                let with = message
                    .map(|message| format!(", this one with: {message}"))
                    .unwrap_or_default();
                tracing::warn!(
                    calls = share.calls,
                    failed = share.failed,
                    over_s = share.over.as_secs_f64(),
                    waiting,
                    error = message,
                    "{} % of the calls fail: {} of {} in the last {:.0} s{with}; they are repeated, and {waiting} segments wait",
                    share.percent(),
                    share.failed,
                    share.calls,
                    share.over.as_secs_f64()
                );
            }
            Some(HalfIll::IsOver(share)) => tracing::info!(
                calls = share.calls,
                failed = share.failed,
                over_s = share.over.as_secs_f64(),
                "Most calls succeed again: {} of {} failed in the last {:.0} s",
                share.failed,
                share.calls,
                share.over.as_secs_f64()
            ),
        }
    }
}

/// The longest text of an answer that a line shows, in characters.
const SHOWN_MAX_CHARS: usize = 200;

/// How many lines of its kind were left out before one.
pub(super) fn more(left_out: u64) -> String {
    match left_out {
        0 => String::new(),
        _ => format!(" ({left_out} more lines of this kind were left out before)"),
    }
}

/// One line about a segment that the service did not process; `again` when it goes out once more.
pub(super) fn say_unprocessed(left: &Unprocessed, segment: Option<&Description>, again: bool, left_out: u64) {
    let shown = |text: &Option<String>| text.as_deref().map(|text| logs::sanitize(text, SHOWN_MAX_CHARS));
    let (id, error_code, message) = (shown(&left.id), shown(&left.error_code), shown(&left.message));
    let or_none = |text: &Option<String>| text.clone().unwrap_or_else(|| "none".to_owned());
    let described = segment.map_or_else(|| format!("id {}", or_none(&id)), Description::to_string);
    let of_segment = |text: fn(&Description) -> &Option<String>| {
        let text = text(segment?).as_deref()?;
        Some(Description::shown(Some(text)))
    };
    let ending = if again { "; it is sent again" } else { "" };
    tracing::error!(
        id,
        trace_id = of_segment(|segment| &segment.trace_id),
        name = of_segment(|segment| &segment.name),
        bytes = segment.map(|segment| segment.bytes),
        error_code,
        error = message,
        again,
        left_out,
        "Unprocessed segment: {described}, error code {}, message: {}{ending}{}",
        or_none(&error_code),
        or_none(&message),
        more(left_out),
    );
}
