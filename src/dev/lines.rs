//! Traces in words, for a terminal: one line each, or a tree. Pure.
//!
//! Everything from segments is untrusted: it is escaped and shortened, so that a name can neither end a line nor move
//! the cursor.

use std::fmt::Write as _;
use std::time::{Duration, UNIX_EPOCH};

use aws_smithy_types::DateTime;
use aws_smithy_types::date_time::Format;
use serde_json::json;
use xray_service::digest::Digest;
use xray_service::model::{Entity, Marks, Tree};
use xray_service::sampling::Reported;
use xray_service::service::{Refusal, Refused};

use crate::logs::sanitize;

/// The longest name, URL or SQL that is shown, in characters.
const SHOWN_CHARS: usize = 120;

/// The longest message of an exception that is shown, in characters.
const MESSAGE_CHARS: usize = 300;

/// The most entities of one tree; the page shows them all.
const MAX_TREE_LINES: usize = 500;

/// Whether lines are coloured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Style {
    /// No escape sequences: for files and pipes.
    Plain,
    /// With the 16 colours that every terminal has.
    Coloured,
}

#[derive(Clone, Copy)]
enum Paint {
    Dim,
    Bold,
    Red,
    Yellow,
    Magenta,
    Green,
}

impl Style {
    fn paint(self, paint: Paint, text: &str) -> String {
        if self == Self::Plain || text.is_empty() {
            return text.to_owned();
        }
        let code = match paint {
            Paint::Dim => "2",
            Paint::Bold => "1",
            Paint::Red => "31",
            Paint::Yellow => "33",
            Paint::Magenta => "35",
            Paint::Green => "32",
        };
        format!("\x1b[{code}m{text}\x1b[0m")
    }

    fn marked(self, marks: Marks, text: &str) -> String {
        match marks.worst() {
            "fault" => self.paint(Paint::Red, text),
            "throttle" => self.paint(Paint::Magenta, text),
            "error" => self.paint(Paint::Yellow, text),
            _ => text.to_owned(),
        }
    }
}

/// One line about a trace, without its end. `known`: how many segments it was shown with before, if it was.
#[must_use]
pub(crate) fn line(digest: &Digest, known: Option<usize>, style: Style) -> String {
    let entry = digest.entry_part();
    let http = entry.map(|entry| &entry.http);
    let status = http.and_then(|http| http.status);
    let status = status.map_or_else(|| "  -".to_owned(), |status| format!("{status:>3}"));
    let what = match http.and_then(|http| http.url.as_deref()) {
        Some(url) => {
            let method = http.and_then(|http| http.method.as_deref()).unwrap_or("-");
            format!("{} {}", sanitize(method, SHOWN_CHARS), sanitize(url, SHOWN_CHARS))
        }
        None => sanitize(&digest.name, SHOWN_CHARS),
    };
    let took = duration(digest.duration());
    let mut line = format!(
        "{}  {}  {}  {}  {}",
        style.paint(Paint::Dim, &time_of_day(digest.start)),
        match digest.marks.worst() {
            "ok" => style.paint(Paint::Green, &status),
            _ => style.marked(digest.marks, &status),
        },
        style.paint(Paint::Bold, &what),
        took,
        plural(digest.segments),
    );
    if let Some(known) = known {
        // Its number may have gone down, when a document came again with less in it.
        let _ = write!(line, " ({:+})", digest.segments as i64 - known as i64);
    }
    if digest.in_progress {
        line.push_str("  in progress");
    }
    for mark in marks(digest.marks) {
        let _ = write!(line, "  {}", style.marked(digest.marks, &mark.to_uppercase()));
    }
    if let Some(note) = digest.note() {
        let _ = write!(line, "  ({note})");
    }
    let _ = write!(
        line,
        "  {}",
        style.paint(Paint::Dim, &sanitize(&digest.id, SHOWN_CHARS))
    );
    line
}

/// The line and under it the tree, each line with its end.
#[must_use]
pub(crate) fn tree(digest: &Digest, tree: &Tree, known: Option<usize>, style: Style) -> String {
    let mut text = line(digest, known, style);
    text.push('\n');
    let order = tree.preorder();
    // Which of the levels above go on below this line.
    let mut open: Vec<bool> = Vec::new();
    for (at, depth) in order.iter().take(MAX_TREE_LINES) {
        let entity = &tree.entities[*at];
        let siblings = entity
            .parent
            .map_or(&tree.roots, |parent| &tree.entities[parent].children);
        let is_last = siblings.last() == Some(at);
        open.truncate(*depth);
        let mut indent: String = open
            .iter()
            .map(|goes_on| if *goes_on { "│  " } else { "   " })
            .collect();
        let branch = if is_last { "└─ " } else { "├─ " };
        let _ = writeln!(
            text,
            "  {}{}",
            style.paint(Paint::Dim, &format!("{indent}{branch}")),
            entity_line(entity, style)
        );
        open.push(!is_last);
        indent.push_str(if is_last { "   " } else { "│  " });
        let has_children = !entity.children.is_empty();
        indent.push_str(if has_children { "│  " } else { "   " });
        for exception in &entity.exceptions {
            let kind = exception.kind.as_deref().unwrap_or("exception");
            let message = exception.message.as_deref().unwrap_or_default();
            let shown = format!(
                "{}: {}",
                sanitize(kind, SHOWN_CHARS),
                sanitize(message, MESSAGE_CHARS)
            );
            let _ = writeln!(
                text,
                "  {}{}",
                style.paint(Paint::Dim, &indent),
                style.marked(entity.marks, &format!("! {shown}"))
            );
        }
    }
    if order.len() > MAX_TREE_LINES {
        let _ = writeln!(text, "  … and {} more", order.len() - MAX_TREE_LINES);
    }
    text
}

fn entity_line(entity: &Entity, style: Style) -> String {
    let mut line = style.marked(entity.marks, &sanitize(&entity.name, SHOWN_CHARS));
    if !entity.detail.is_empty() {
        let _ = write!(
            line,
            "  {}",
            style.paint(Paint::Dim, &sanitize(&entity.detail, SHOWN_CHARS))
        );
    }
    let took = if entity.in_progress {
        "in progress".to_owned()
    } else {
        duration(entity.end - entity.start)
    };
    let _ = write!(line, "  {took}");
    if let Some(status) = entity.http.status {
        let _ = write!(line, "  {}", style.marked(entity.marks, &status.to_string()));
    }
    for mark in marks(entity.marks) {
        let _ = write!(line, "  {}", style.marked(entity.marks, &mark.to_uppercase()));
    }
    if entity.orphan {
        line.push_str("  (its parent has not come)");
    }
    line
}

/// One JSON object about a trace, without the end of the line.
#[must_use]
pub(crate) fn json_line(digest: &Digest) -> String {
    let http = digest.entry_part().map(|entry| &entry.http);
    let mut line = json!({
        "time": date_time(digest.start),
        "trace_id": digest.id,
        "name": digest.name,
        "method": http.and_then(|http| http.method.as_deref()),
        "url": http.and_then(|http| http.url.as_deref()),
        "status": http.and_then(|http| http.status),
        "duration_ms": (digest.duration() * 1e6).round() / 1e3,
        "segments": digest.segments,
        "fault": digest.marks.fault,
        "error": digest.marks.error,
        "throttle": digest.marks.throttle,
        "in_progress": digest.in_progress,
    });
    if let Some(note) = digest.note() {
        line["note"] = json!(note);
    }
    line.to_string()
}

/// What SDKs have reported about requests, without the end of the line.
#[must_use]
pub(crate) fn sampling(rule: &str, reported: Reported, style: Style) -> String {
    let Reported { requests, sampled } = reported;
    let noun = if requests == 1 { "request" } else { "requests" };
    let text = format!(
        "SDKs saw {requests} {noun} and sent {sampled}: rule {}",
        sanitize(rule, SHOWN_CHARS)
    );
    style.paint(Paint::Dim, &text)
}

/// A document that was not taken, without the end of the line.
#[must_use]
pub(crate) fn refused(refused: &Refused, style: Style) -> String {
    let Refusal { id, message, .. } = &refused.refusal;
    let mut line = style.paint(Paint::Red, "REFUSED");
    for text in [&refused.name, id].into_iter().flatten() {
        let _ = write!(line, "  {}", sanitize(text, SHOWN_CHARS));
    }
    let _ = write!(line, "  {}", sanitize(message.as_bytes(), MESSAGE_CHARS));
    line
}

fn marks(marks: Marks) -> impl Iterator<Item = &'static str> {
    [
        (marks.fault, "fault"),
        (marks.throttle, "throttle"),
        (marks.error, "error"),
    ]
    .into_iter()
    .filter_map(|(is, word)| is.then_some(word))
}

fn plural(segments: usize) -> String {
    match segments {
        1 => "1 segment".to_owned(),
        n => format!("{n} segments"),
    }
}

/// Three digits that count: `123 µs`, `1.23 ms`, `12.3 s`, `5 min 3 s`.
#[must_use]
pub(crate) fn duration(seconds: f64) -> String {
    let micros = (seconds * 1e6).round();
    let digits = |value: f64, unit: &str| {
        let decimals = if value < 9.995 {
            2
        } else if value < 99.95 {
            1
        } else {
            0
        };
        format!("{value:.decimals$} {unit}")
    };
    if micros < 1e3 {
        format!("{micros:.0} µs")
    } else if micros < 999.5e3 {
        digits(micros / 1e3, "ms")
    } else if micros < 99.95e6 {
        digits(micros / 1e6, "s")
    } else {
        let whole = (micros / 1e6).round();
        format!("{:.0} min {:.0} s", (whole / 60.0).floor(), whole % 60.0)
    }
}

/// `2026-11-21T01:02:03.123Z`, between 1970 and the year 9999.
fn date_time(seconds: f64) -> String {
    // To whole milliseconds, so that the text has always as many digits. What does not fit is cut to what does.
    let millis = (seconds * 1e3).round().clamp(0.0, 253_402_300_799_999.0) as u64;
    let time = DateTime::from(UNIX_EPOCH + Duration::from_millis(millis));
    let text = time.fmt(Format::DateTime).unwrap_or_default();
    match text.strip_suffix('Z').and_then(|text| text.split_once('.')) {
        Some((before, fraction)) => format!("{before}.{fraction:0<3}Z"),
        None => text.replace('Z', ".000Z"),
    }
}

fn time_of_day(seconds: f64) -> String {
    let text = date_time(seconds);
    text.split_once('T')
        .map_or(text.clone(), |(_, time)| time.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shop() -> (Digest, Tree) {
        let documents = [
            json!({
                "id": "1", "name": "shop", "start_time": 1_795_227_595.12, "end_time": 1_795_227_596.12, "fault": true,
                "http": {"request": {"method": "GET", "url": "http://shop/carts"}, "response": {"status": 502}},
                "subsegments": [
                    {"id": "2", "name": "DynamoDB", "namespace": "aws", "start_time": 1_795_227_595.2,
                     "end_time": 1_795_227_595.3, "aws": {"operation": "GetItem", "table_name": "carts"},
                     "subsegments": [{"id": "6", "name": "wait", "start_time": 1_795_227_595.2,
                                      "end_time": 1_795_227_595.200_4}]},
                    {"id": "3", "name": "pay", "namespace": "remote", "start_time": 1_795_227_595.4,
                     "end_time": 1_795_227_596.0, "fault": true,
                     "cause": {"exceptions": [{"type": "IOError", "message": "gone\nFAKE"}]}}
                ]
            }),
            json!({"id": "4", "parent_id": "3", "name": "pay", "start_time": 1_795_227_595.5, "in_progress": true}),
            json!({"id": "5", "parent_id": "9", "name": "late\u{1b}[31m", "start_time": 1_795_227_595.6,
                   "end_time": 1_795_227_595.7, "error": true, "throttle": true}),
        ]
        .map(|document| document.to_string());
        let tree = Tree::build(documents.iter().map(String::as_str));
        (Digest::of("1-581cf771-a006649127e371903a2de979", &tree), tree)
    }

    #[test]
    fn a_line_says_when_what_how_long_and_how_it_went() {
        let (digest, _) = shop();
        assert_eq!(
            line(&digest, None, Style::Plain),
            "02:19:55.120Z  502  GET http://shop/carts  1.00 s  6 segments  in progress  FAULT  THROTTLE  ERROR  \
             1-581cf771-a006649127e371903a2de979"
        );
        assert!(line(&digest, Some(2), Style::Plain).contains("6 segments (+4)"));
        let coloured = line(&digest, None, Style::Coloured);
        assert!(coloured.contains("\x1b[31m502\x1b[0m") && coloured.contains("\x1b[31mFAULT\x1b[0m"));
    }

    #[test]
    fn a_tree_shows_depth_durations_marks_and_exceptions_and_nothing_that_moves_the_cursor() {
        let (digest, own) = shop();
        let text = tree(&digest, &own, None, Style::Plain);
        let (_, below) = text.split_once('\n').unwrap();
        assert_eq!(
            below,
            "  ├─ shop  GET http://shop/carts  1.00 s  502  FAULT\n\
             \x20 │  ├─ DynamoDB  GetItem carts  100 ms\n\
             \x20 │  │  └─ wait  400 µs\n\
             \x20 │  └─ pay  600 ms  FAULT\n\
             \x20 │     │  ! IOError: gone\\nFAKE\n\
             \x20 │     └─ pay  in progress\n\
             \x20 └─ late\\x1b[31m  100 ms  THROTTLE  ERROR  (its parent has not come)\n"
        );
    }

    #[test]
    fn a_json_line_is_one_object() {
        let (digest, _) = shop();
        let value: serde_json::Value = serde_json::from_str(&json_line(&digest)).unwrap();
        assert_eq!(value["time"], json!("2026-11-21T02:19:55.120Z"));
        assert_eq!(
            (&value["duration_ms"], &value["status"]),
            (&json!(1000.0), &json!(502))
        );
    }

    #[test]
    fn durations_have_three_digits_that_count() {
        for (seconds, text) in [
            (0.0, "0 µs"),
            (0.000_999, "999 µs"),
            (0.001_234, "1.23 ms"),
            (0.0123, "12.3 ms"),
            (0.123, "123 ms"),
            (0.999_9, "1.00 s"),
            (12.34, "12.3 s"),
            (303.0, "5 min 3 s"),
        ] {
            assert_eq!(duration(seconds), text);
        }
    }
}
