//! Traces in words, for a terminal: one line each, or a tree. Pure.
//!
//! Everything from segments is untrusted: it is escaped and shortened, so that a name can neither end a line nor move
//! the cursor.
//!
//! | file | its one job |
//! |---|---|
//! | this one | the line of a trace, and what stands beside traces |
//! | `tree` | a trace as a tree |
//! | [`json`] | a trace as a JSON object |
//! | [`row`] | pieces of a line, cut to the width of a terminal |
//! | [`numbers`] | durations and times |

pub(crate) mod json;
pub(crate) mod numbers;
pub(crate) mod row;
mod tree;

use std::fmt::Write as _;

use xray_service::hints::Hint;
use xray_service::model::{Marks, Tree};
use xray_service::row::Row as Trace;
use xray_service::sampling::Reported;
use xray_service::service::{Refusal, Refused};

use self::numbers::{duration, moment};
use self::row::{Paint, Row, columns, left, right};
pub(crate) use self::row::{Sheet, Style};
use crate::logs::sanitize;

/// The longest name, URL or SQL that is shown, in characters.
const SHOWN_CHARS: usize = 120;

/// The longest message of an exception that is shown, in characters.
const MESSAGE_CHARS: usize = 300;

/// The columns of a time without a date, and those of what follows it: status, duration, number of segments, id.
const TIME_COLUMNS: usize = 13;
const STATUS_COLUMNS: usize = 3;
const TOOK_COLUMNS: usize = 9;
const COUNT_COLUMNS: usize = 14;
const ID_COLUMNS: usize = 35;

/// What the request gets of a line at least, and at most: beyond that it is easier to read beside the rest.
const WHAT_COLUMNS: (usize, usize) = (24, 64);

/// Hints of one trace that a terminal shows; the page shows them all.
const MAX_HINTS: usize = 3;

/// About a trace: a line, and a second one where the sheet is too narrow for what went wrong; hints below. Each with its
/// end. `again`: it was shown before, and went on. `now` in seconds since 1970.
#[must_use]
pub(crate) fn line(trace: &Trace, hints: &[Hint], again: bool, sheet: &Sheet, now: f64) -> String {
    let places = Places::of(sheet);
    let time = moment(trace.start, now);
    let status = trace
        .status
        .map_or_else(|| "-".to_owned(), |status| status.to_string());
    let mut row = Row::default();
    row.add(Some(Paint::Dim), time.as_str())
        .add(None, "  ")
        .add(
            Paint::of(trace.marks()).or(Some(Paint::Green)),
            right(&status, STATUS_COLUMNS),
        )
        .add(None, "  ")
        .add(
            Some(Paint::Bold),
            // A date takes its columns from what is beside it.
            places.what(&request(trace), columns(&time).saturating_sub(TIME_COLUMNS)),
        )
        .add(None, "  ")
        .add(None, right(&duration(trace.duration_s), places.took))
        .add(None, "  ")
        .add(None, places.count(&counted(trace)));
    let mut rest = outcome(trace, again);
    let id = || sanitize(&trace.id, SHOWN_CHARS);
    let link = || sheet.link(&trace.id);
    let mut below = Row::default();
    if places.has_id {
        row.add(None, "  ").add_link(Some(Paint::Dim), id(), link());
    } else {
        below.add_link(Some(Paint::Dim), id(), link());
    }
    let fits = |row: &Row, rest: &Row| {
        sheet
            .columns
            .is_none_or(|most| row.columns() + 2 + rest.columns() <= most)
    };
    if !rest.is_empty() && places.has_id && fits(&row, &rest) {
        row.add(None, "  ").append(std::mem::take(&mut rest));
    }
    let mut text = row.on(sheet) + "\n";
    // What went wrong before the id, which stands on a line of its own where there is no room for both.
    let indent = TIME_COLUMNS + 2;
    let has_room = sheet
        .columns
        .is_none_or(|most| indent + rest.columns() + 2 + below.columns() <= most);
    let lines = if rest.is_empty() || below.is_empty() || has_room {
        if !rest.is_empty() && !below.is_empty() {
            rest.add(None, "  ");
        }
        rest.append(below);
        vec![rest]
    } else {
        vec![rest, below]
    };
    for line in lines.into_iter().filter(|line| !line.is_empty()) {
        let mut indented = Row::default();
        indented.add(None, " ".repeat(indent)).append(line);
        text.push_str(&indented.on(sheet));
        text.push('\n');
    }
    for hint in hints.iter().take(MAX_HINTS) {
        // Whole, however long: it says what to do.
        let _ = writeln!(
            text,
            "{}{}",
            " ".repeat(TIME_COLUMNS + 2),
            sheet.style.paint(
                Some(Paint::Yellow),
                &format!("hint: {}", sanitize(&hint.text, usize::MAX))
            )
        );
    }
    text
}

/// The line and under it the tree, each line with its end.
#[must_use]
pub(crate) fn tree(
    trace: &Trace,
    tree: &Tree,
    hints: &[Hint],
    again: bool,
    sheet: &Sheet,
    now: f64,
) -> String {
    line(trace, hints, again, sheet, now) + &tree::tree(tree, sheet)
}

/// How a line is divided.
struct Places {
    /// `None`: as wide as it is.
    what: Option<usize>,
    took: usize,
    count: usize,
    /// The id stands at the end of the line, and not below it.
    has_id: bool,
}

impl Places {
    fn of(sheet: &Sheet) -> Self {
        let Some(columns) = sheet.columns else {
            return Self {
                what: None,
                took: 0,
                count: 0,
                has_id: true,
            };
        };
        let (least, most) = WHAT_COLUMNS;
        let fixed = TIME_COLUMNS + STATUS_COLUMNS + TOOK_COLUMNS + COUNT_COLUMNS + 4 * 2;
        let has_id = columns >= fixed + least + 2 + ID_COLUMNS;
        let rest = columns.saturating_sub(fixed + if has_id { 2 + ID_COLUMNS } else { 0 });
        Self {
            what: Some(rest.clamp(least / 2, most)),
            took: TOOK_COLUMNS,
            count: COUNT_COLUMNS,
            has_id,
        }
    }

    fn what(&self, text: &str, less: usize) -> String {
        match self.what {
            Some(wide) => left(text, wide.saturating_sub(less).max(WHAT_COLUMNS.0 / 2)),
            None => text.to_owned(),
        }
    }

    fn count(&self, text: &str) -> String {
        if self.count == 0 {
            text.to_owned()
        } else {
            left(text, self.count)
        }
    }
}

/// The root's name, and what it was asked: `shop  GET /carts?id=1`.
fn request(trace: &Trace) -> String {
    let name = sanitize(&trace.name, SHOWN_CHARS);
    let Some(url) = trace.url.as_deref() else {
        return name;
    };
    let method = trace.method.as_deref().unwrap_or("-");
    format!(
        "{name}  {} {}",
        sanitize(method, SHOWN_CHARS),
        sanitize(path_of(url), SHOWN_CHARS)
    )
}

/// What comes after the host, which the name stands for.
fn path_of(url: &str) -> &str {
    let Some((_, rest)) = url.split_once("://") else {
        return url;
    };
    rest.find('/').map_or("/", |slash| &rest[slash..])
}

/// `2 seg + 5 sub`: segments are the work of services, subsegments parts of it.
fn counted(trace: &Trace) -> String {
    match trace.subsegments {
        0 => format!("{} seg", trace.segments),
        subsegments => format!("{} seg + {subsegments} sub", trace.segments),
    }
}

/// What is to be known beside the numbers.
fn outcome(trace: &Trace, again: bool) -> Row {
    let mut row = Row::default();
    let paint = Paint::of(trace.marks());
    let words: Vec<String> = marks(trace.marks()).map(str::to_uppercase).collect();
    let mut said = vec![(paint, words.join(" "))];
    if let Some(failure) = &trace.failure {
        said.push((None, sanitize(&failure.text, MESSAGE_CHARS)));
    }
    if trace.in_progress {
        said.push((None, "in progress".to_owned()));
    }
    if again {
        said.push((None, "went on".to_owned()));
    }
    if let Some(note) = &trace.note {
        said.push((None, format!("({note})")));
    }
    for (paint, text) in said.into_iter().filter(|(_, text)| !text.is_empty()) {
        if !row.is_empty() {
            row.add(None, "  ");
        }
        row.add(paint, text);
    }
    row
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
    style.paint(Some(Paint::Dim), &text)
}

/// A document that was not taken, without the end of the line.
#[must_use]
pub(crate) fn refused(refused: &Refused, style: Style) -> String {
    let Refusal { id, message, .. } = &refused.refusal;
    let mut line = style.paint(Some(Paint::Red), "REFUSED");
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

#[cfg(test)]
mod tests {
    use serde_json::json;
    use xray_service::digest::Digest;

    use super::*;

    const NOW: f64 = 1_795_227_600.0;

    fn row(id: &str, tree: &Tree) -> Trace {
        Trace::of(&Digest::of(id, tree))
    }

    fn shop() -> (Trace, Tree) {
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
        (row("1-581cf771-a006649127e371903a2de979", &tree), tree)
    }

    fn sheet(columns: Option<usize>) -> Sheet {
        Sheet {
            style: Style::Plain,
            columns,
            links: false,
            page: "http://127.0.0.1:2000/".to_owned(),
        }
    }

    #[test]
    fn a_line_says_when_what_how_long_and_why_it_went_wrong() {
        let (trace, _) = shop();
        assert_eq!(
            line(&trace, &[], false, &sheet(None), NOW),
            "02:19:55.120Z  502  shop  GET /carts  1.00 s  3 seg + 3 sub  1-581cf771-a006649127e371903a2de979  \
             FAULT THROTTLE ERROR  shop › pay: IOError: gone\\nFAKE  in progress\n"
        );
        let later = line(&trace, &[], true, &sheet(None), NOW + 86_400.0);
        assert!(
            later.starts_with("2026-11-21 02:19:55.120Z  502  ") && later.ends_with("in progress  went on\n")
        );
        let coloured = Sheet {
            style: Style::Coloured,
            ..sheet(None)
        };
        let coloured = line(&trace, &[], false, &coloured, NOW);
        assert!(
            coloured.contains("\x1b[31m502\x1b[0m")
                && coloured.contains("\x1b[31mFAULT THROTTLE ERROR\x1b[0m")
        );
    }

    #[test]
    fn columns_stand_under_each_other_whatever_the_width_and_no_line_is_wider() {
        let (trace, _) = shop();
        let document = json!({"id": "1", "name": "a service with a name that is long", "start_time": 1_795_227_595.5,
            "end_time": 1_795_227_595.512_3, "http": {"request": {"method": "DELETE",
                "url": "https://h/a/path/that/is/longer/than/any/terminal/has/room/for/beside/all/the/rest"}}});
        let tree = Tree::build([document.to_string().as_str()]);
        let other = row("1-581cf771-a006649127e371903a2de97a", &tree);
        for wide in [60, 80, 108, 109, 120, 200, 300] {
            let [first, second] =
                [&trace, &other].map(|trace| line(trace, &[], false, &sheet(Some(wide)), NOW));
            for text in first.lines().chain(second.lines()) {
                assert!(columns(text) <= wide, "{wide}: {text}");
            }
            let end_of = |text: &str, what: &str| {
                let line = text.lines().next().unwrap();
                line.find(what).map(|at| columns(&line[..at + what.len()]))
            };
            assert_eq!(
                end_of(&first, "1.00 s"),
                end_of(&second, "12.3 ms"),
                "{wide}:\n{first}{second}"
            );
            let rows = if wide >= 300 {
                1
            } else if wide >= 108 {
                2
            } else {
                3
            };
            assert_eq!(first.lines().count(), rows, "{wide}: {first}");
            assert!(first.contains("1-581cf771-a006649127e371903a2de979"), "{first}");
        }
        assert_eq!(
            line(&trace, &[], false, &sheet(Some(80)), NOW),
            "02:19:55.120Z  502  shop  GET /carts                      1.00 s  3 seg + 3 sub\n\
             \x20              FAULT THROTTLE ERROR  shop › pay: IOError: gone\\nFAKE  in progre…\n\
             \x20              1-581cf771-a006649127e371903a2de979\n"
        );
    }

    #[test]
    fn a_tree_shows_offsets_bars_marks_and_exceptions_and_nothing_that_moves_the_cursor() {
        let (trace, own) = shop();
        let text = tree(&trace, &own, &[], false, &sheet(None), NOW);
        let (_, below) = text.split_once('\n').unwrap();
        assert_eq!(
            below.lines().collect::<Vec<_>>(),
            [
                "     +0 ms     1.00 s  ████████████████████  ├─ shop  GET http://shop/carts  502  FAULT",
                "  +80.0 ms     100 ms   ███                  │  ├─ DynamoDB  GetItem carts",
                "  +80.0 ms     400 µs   █                    │  │  └─ wait",
                "   +280 ms     600 ms       █████████████    │  └─ pay  FAULT",
                "                                             │     │  ! IOError: gone\\nFAKE",
                "   +380 ms          …         ░░░░░░░░░░░░░  │     └─ pay  in progress",
                "   +480 ms     100 ms           ███          └─ late\\x1b[31m  THROTTLE  ERROR  (its parent has not come)",
            ]
        );
    }

    #[test]
    fn a_json_line_is_one_object_with_services_exception_and_link() {
        let (trace, _) = shop();
        let value: serde_json::Value =
            serde_json::from_str(&json::json_line(&trace, &[], false, &sheet(None))).unwrap();
        assert_eq!(value["time"], json!("2026-11-21T02:19:55.120Z"));
        assert_eq!(
            (
                &value["duration_ms"],
                &value["status"],
                &value["segments"],
                &value["subsegments"]
            ),
            (&json!(1000.0), &json!(502), &json!(3), &json!(3))
        );
        assert_eq!(value["services"], json!(["shop", "pay", "late\u{1b}[31m"]));
        assert_eq!(
            value["exception"],
            json!({"in": "pay", "service": "shop", "type": "IOError", "message": "gone\nFAKE", "status": null})
        );
        assert_eq!(
            value["link"],
            json!("http://127.0.0.1:2000/#/trace/1-581cf771-a006649127e371903a2de979")
        );
        assert_eq!(value.get("again"), None);
    }
}
