//! A trace as one JSON object.

use serde_json::{Value, json};
use xray_service::hints::Hint;
use xray_service::row::Row;

use super::numbers::date_time;
use super::row::Sheet;

/// One JSON object about a trace, without the end of the line. `again`: it was shown before, and went on.
#[must_use]
pub(crate) fn json_line(trace: &Row, hints: &[Hint], again: bool, sheet: &Sheet) -> String {
    let mut line = object(trace, sheet);
    line["hints"] = hints_of(hints);
    if again {
        line["again"] = json!(true);
    }
    line.to_string()
}

/// What a trace is, without hints.
#[must_use]
pub(crate) fn object(trace: &Row, sheet: &Sheet) -> Value {
    let milliseconds = |seconds: f64| (seconds * 1e6).round() / 1e3;
    let mut object = json!({
        "time": date_time(trace.start),
        "trace_id": trace.id,
        "name": trace.name,
        "method": trace.method,
        "url": trace.url,
        "status": trace.status,
        "duration_ms": milliseconds(trace.duration_s),
        "response_time_ms": trace.response_time_s.map(milliseconds),
        "segments": trace.segments,
        "subsegments": trace.subsegments,
        "services": trace.services,
        "fault": trace.fault,
        "error": trace.error,
        "throttle": trace.throttle,
        "in_progress": trace.in_progress,
        "exception": trace.failure.as_ref().map(|failure| json!({
            "in": failure.place,
            "service": failure.service,
            "type": failure.kind,
            "message": failure.message,
            "status": failure.status,
        })),
        "user": trace.user,
        "annotations": trace.annotations,
        "link": sheet.link(&trace.id),
    });
    if let Some(note) = &trace.note {
        object["note"] = json!(note);
    }
    object
}

/// Hints as programs read them.
#[must_use]
pub(crate) fn hints_of(hints: &[Hint]) -> Value {
    let one = |hint: &Hint| json!({"code": hint.code, "text": hint.text, "segments": hint.segments});
    hints.iter().map(one).collect()
}
