//! A trace as a tree: for each segment when it began, how long it took and that as a bar, then where it stands.

use xray_service::model::{Entity, Tree};

use super::numbers::duration;
use super::row::{Paint, Row, Sheet, left, right};
use super::{MESSAGE_CHARS, SHOWN_CHARS, marks};
use crate::logs::sanitize;

/// The most entities of one tree; the page shows them all.
const MAX_TREE_LINES: usize = 500;

/// `+59 m 59 s` and what `59 m 59 s` takes.
const OFFSET_COLUMNS: usize = 10;
const TOOK_COLUMNS: usize = 9;

/// The columns of a bar, by those of the terminal.
fn bar_columns(sheet: &Sheet) -> usize {
    match sheet.columns {
        Some(columns) if columns < 80 => 10,
        Some(columns) if columns >= 140 => 32,
        _ => 20,
    }
}

/// Each line with its end.
pub(super) fn tree(tree: &Tree, sheet: &Sheet) -> String {
    let mut text = String::new();
    let order = tree.preorder();
    let bars = bar_columns(sheet);
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
        let mut row = times(entity, tree, bars);
        row.add(Some(Paint::Dim), format!("{indent}{branch}"));
        row.append(words(entity));
        text.push_str(&row.on(sheet));
        text.push('\n');
        open.push(!is_last);
        indent.push_str(if is_last { "   " } else { "│  " });
        indent.push_str(if entity.children.is_empty() {
            "   "
        } else {
            "│  "
        });
        for exception in &entity.exceptions {
            let kind = exception.kind.as_deref().unwrap_or("exception");
            let message = exception.message.as_deref().unwrap_or_default();
            let shown = format!(
                "! {}: {}",
                sanitize(kind, SHOWN_CHARS),
                sanitize(message, MESSAGE_CHARS)
            );
            let blank = " ".repeat(OFFSET_COLUMNS + TOOK_COLUMNS + bars + 6);
            let mut row = Row::default();
            row.add(Some(Paint::Dim), format!("{blank}{indent}"))
                .add(Paint::of(entity.marks), shown);
            text.push_str(&row.on(sheet));
            text.push('\n');
        }
    }
    if order.len() > MAX_TREE_LINES {
        text.push_str(&format!("  … and {} more\n", order.len() - MAX_TREE_LINES));
    }
    text
}

/// When it began, how long it took, and its bar.
fn times(entity: &Entity, tree: &Tree, bars: usize) -> Row {
    let offset = format!("+{}", duration(entity.start - tree.start));
    let took = match entity.in_progress {
        true => "…".to_owned(),
        false => duration(entity.end - entity.start),
    };
    let mut row = Row::default();
    row.add(Some(Paint::Dim), right(&offset, OFFSET_COLUMNS))
        .add(None, format!("  {}  ", right(&took, TOOK_COLUMNS)))
        .add(
            Paint::of(entity.marks).or(Some(Paint::Green)),
            left(&bar(entity, tree, bars), bars + 2),
        );
    row
}

/// Where in the trace's time it ran: at least one column, and a lighter one while it has no end.
fn bar(entity: &Entity, tree: &Tree, columns: usize) -> String {
    let whole = tree.end - tree.start;
    let place = |time: f64| match whole > 0.0 {
        true => ((time - tree.start) / whole * columns as f64).clamp(0.0, columns as f64),
        false => 0.0,
    };
    let from = (place(entity.start).floor() as usize).min(columns - 1);
    let to = (place(entity.end).round() as usize).clamp(from + 1, columns);
    let cell = if entity.in_progress { "░" } else { "█" };
    format!("{}{}", " ".repeat(from), cell.repeat(to - from))
}

fn words(entity: &Entity) -> Row {
    let mut row = Row::default();
    let paint = Paint::of(entity.marks);
    row.add(paint, sanitize(&entity.name, SHOWN_CHARS));
    if !entity.detail.is_empty() {
        row.add(
            Some(Paint::Dim),
            format!("  {}", sanitize(&entity.detail, SHOWN_CHARS)),
        );
    }
    if let Some(status) = entity.http.status {
        row.add(paint, format!("  {status}"));
    }
    for mark in marks(entity.marks) {
        row.add(paint, format!("  {}", mark.to_uppercase()));
    }
    if entity.in_progress {
        row.add(None, "  in progress");
    }
    if entity.orphan {
        row.add(None, "  (its parent has not come)");
    }
    row
}
