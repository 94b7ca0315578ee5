//! What the sender says in the log of calls that fail, of outages, and of segments that were left undone.

use std::collections::BTreeMap;
use std::time::Instant;

use super::settled::Settled;
use super::trouble::{HalfIll, Row};
use super::{Sender, now};
use crate::exporters::Exporter;
use crate::exporters::answer::{Answer, Unprocessed};
use crate::ledger::DropReason;
use crate::ledger::destination::Destination;
use crate::ledger::outcome::ErrorClass;
use crate::ledger::signal::Content;
use crate::logs::{self, LineBudget};
use crate::pipeline::batch::encoding::{Description, Encoding as _};
use crate::pipeline::batch::kind::Kind;
use crate::pipeline::queue::Flight;

/// What a batch is called in lines about it: as the official daemon says it, a segment batch.
pub(super) fn batch_of(kind: Kind) -> &'static str {
    match kind.content() {
        Content::Segments => "segment",
        Content::Traces => "span",
        Content::Metrics => "metrics",
        Content::Logs => "log",
    }
}

/// A line of `-l debug` that every call might have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum CallLine {
    Failed(ErrorClass),
    Halved,
    LeftOut,
}

/// Bounds on them: dozens of calls a second fail with the same words.
#[derive(Debug, Default)]
pub(super) struct CallLines(BTreeMap<CallLine, LineBudget>);

impl CallLines {
    /// As [`LineBudget::allow`], for each kind.
    fn allow(&mut self, line: CallLine, now: Instant) -> Option<u64> {
        self.0
            .entry(line)
            .or_insert_with(LineBudget::one_a_second)
            .allow(now)
    }
}

impl<X: Exporter> Sender<X> {
    /// The destination's label, for lines that are about X-Ray where they name none.
    pub(super) fn destination(&self) -> Option<&'static str> {
        self.lane.destination().other_label()
    }

    /// ` to OTLP`, for such lines.
    pub(super) fn to_other(&self) -> &'static str {
        self.lane.destination().to_other()
    }

    /// What waits here, in the plural: segments, as the official daemon says it, where there is nothing else.
    fn items(&self) -> &'static str {
        match self.lane.destination() {
            Destination::XRay => Content::Segments.items(),
            Destination::Otlp => "items",
        }
    }

    /// What may be said of the documents of a batch; nothing of requests.
    pub(super) fn described(&self, flight: &Flight) -> Vec<Description> {
        match flight.kind {
            Kind::Segments => X::Encoding::describe(&flight.body),
            Kind::Requests(..) => Vec::new(),
        }
    }

    /// A batch was taken, all of it or but for what `settled` says.
    pub(super) fn say_sent(&mut self, flight: &Flight, settled: &Settled, answer: &Answer, seconds: f64) {
        let (segments, items) = (settled.sent, flight.kind.content().items());
        let (destination, to) = (self.destination(), self.to_other());
        let left_out: u64 = settled.left_out.iter().map(|(_, count)| count).sum();
        if segments > 0 || left_out == 0 {
            tracing::info!(
                destination,
                segments,
                seconds,
                "Successfully sent batch of {segments} {items}{to} ({seconds:.3} seconds)"
            );
        }
        if left_out > 0
            && let Some(lines_left_out) = self.call_lines.allow(CallLine::LeftOut, now())
        {
            let reasons = reasons(&settled.left_out);
            tracing::debug!(
                destination,
                left_out,
                lines_left_out,
                "{left_out} {items} do not go{to}: {reasons}{}",
                logs::more(lines_left_out)
            );
        }
        if let Some(unnamed) = &answer.unnamed
            && let Some(left_out) = self.unprocessed_lines.allow(now())
        {
            let (unprocessed, message) = (settled.unprocessed, unnamed.message.as_str());
            tracing::error!(
                destination,
                unprocessed,
                segments = flight.documents,
                error = message,
                left_out,
                "Partial success{to}: {unprocessed} of {} {items} were not taken, and are not sent again; message: {message}{}",
                flight.documents,
                logs::more(left_out)
            );
        }
    }

    /// A call failed, one of many it may be. `segments`: of its batch, where that is news.
    pub(super) fn say_failed(
        &mut self,
        segments: Option<usize>,
        class: ErrorClass,
        message: &str,
        now: Instant,
    ) {
        let Some(left_out) = self.call_lines.allow(CallLine::Failed(class), now) else {
            return;
        };
        tracing::debug!(
            destination = self.destination(),
            segments,
            error = message,
            left_out,
            "Sending segment batch{} failed with: {message}{}",
            self.to_other(),
            logs::more(left_out)
        );
    }

    /// A batch was refused, and its halves are tried.
    pub(super) fn say_halved(&mut self, flight: &Flight, message: &str, now: Instant) {
        let Some(left_out) = self.call_lines.allow(CallLine::Halved, now) else {
            return;
        };
        tracing::debug!(
            segments = flight.documents,
            error = message,
            destination = self.destination(),
            left_out,
            "Sending {} batch{} failed with: {message}; trying its {} {} in two halves{}",
            batch_of(flight.kind),
            self.to_other(),
            flight.documents,
            flight.kind.content().items(),
            logs::more(left_out)
        );
    }

    pub(super) fn say_failing(&self, row: &Row, now: Instant, message: &str) {
        let (waiting, spooled) = (self.lane.pending_documents(), self.ledger.snapshot().spooled);
        let failing_s = now.saturating_duration_since(row.since).as_secs_f64();
        let on_disk = match spooled {
            0 => String::new(),
            _ => format!(" and {spooled} in the spool"),
        };
        let (destination, to, items) = (self.destination(), self.to_other(), self.items());
        tracing::error!(
            destination,
            waiting,
            spooled,
            failing_s,
            failures = row.failures,
            error = message,
            "Sending segment batch{to} failed with: {message}; {waiting} {items} wait in memory{on_disk} and are sent when calls \
             succeed again (failing for {failing_s:.1} s)"
        );
    }

    pub(super) fn say_over(&self, row: &Row, now: Instant) {
        let failing_s = now.saturating_duration_since(row.since).as_secs_f64();
        let waiting = self.lane.pending_documents() + self.ledger.snapshot().spooled;
        let (destination, to, items) = (self.destination(), self.to_other(), self.items());
        tracing::info!(
            destination,
            waiting,
            failing_s,
            failures = row.failures,
            "Calls{to} succeed again after {failing_s:.1} s; {waiting} {items} wait and are sent now"
        );
    }

    /// Of an endpoint that is half ill. `message`: what this call failed with.
    pub(super) fn say_share(&mut self, now: Instant, message: Option<&str>) {
        let (destination, to, items) = (self.destination(), self.to_other(), self.items());
        match self.trouble.share(now) {
            None => {}
            Some(HalfIll::Is(share)) => {
                let waiting = self.lane.pending_documents();
                let with = message
                    .map(|message| format!(", this one with: {message}"))
                    .unwrap_or_default();
                tracing::warn!(
                    destination,
                    failed_percent = share.percent(),
                    calls = share.calls,
                    failed = share.failed,
                    over_s = share.over.as_secs_f64(),
                    waiting,
                    error = message,
                    "{} % of the calls{to} fail: {} of {} in the last {:.0} s{with}; they are repeated, and {waiting} {items} wait",
                    share.percent(),
                    share.failed,
                    share.calls,
                    share.over.as_secs_f64()
                );
            }
            Some(HalfIll::IsOver(share)) => tracing::info!(
                destination,
                calls = share.calls,
                failed = share.failed,
                over_s = share.over.as_secs_f64(),
                "Most calls{to} succeed again: {} of {} failed in the last {:.0} s",
                share.failed,
                share.calls,
                share.over.as_secs_f64()
            ),
        }
    }
}

/// The longest text of an answer that a line shows, in characters.
const SHOWN_MAX_CHARS: usize = 200;

/// `in_progress 3, unsampled 1`.
fn reasons(left_out: &[(DropReason, u64)]) -> String {
    let each = left_out.iter();
    let each: Vec<String> = each
        .map(|(reason, count)| format!("{} {count}", reason.label()))
        .collect();
    each.join(", ")
}

/// One line about a segment that the service did not process; `again` when it goes out once more.
pub(super) fn say_unprocessed(left: &Unprocessed, segment: Option<&Description>, again: bool, left_out: u64) {
    let shown = |text: &Option<String>| text.as_deref().map(|text| logs::sanitize(text, SHOWN_MAX_CHARS));
    let (id, error_code, message) = (shown(&left.id), shown(&left.error_code), shown(&left.message));
    let or_none = |text: &Option<String>| text.clone().unwrap_or_else(|| "none".to_owned());
    let described = segment.map_or_else(|| format!("id {}", or_none(&id)), Description::to_string);
    let ending = if again { "; it is sent again" } else { "" };
    tracing::error!(
        id,
        trace_id = segment.and_then(|segment| Description::field(&segment.trace_id)),
        name = segment.and_then(|segment| Description::field(&segment.name)),
        bytes = segment.map(|segment| segment.bytes),
        error_code,
        error = message,
        again,
        left_out,
        "Unprocessed segment: {described}, error code {}, message: {}{ending}{}",
        or_none(&error_code),
        or_none(&message),
        logs::more(left_out),
    );
}
