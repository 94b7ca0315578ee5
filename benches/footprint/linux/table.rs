//! Tables in Markdown, said row by row: a whole run takes a while.

use super::say;

/// The least width of a column.
const WIDTH: usize = 9;

/// The first column is text, the others are numbers.
#[derive(Debug)]
pub(crate) struct Table {
    widths: Vec<usize>,
}

impl Table {
    /// Says the head.
    pub(crate) fn new(head: &[&str]) -> Self {
        let table = Self {
            widths: head.iter().map(|cell| cell.chars().count().max(WIDTH)).collect(),
        };
        table.row(head.iter().map(|&cell| cell.to_owned()));
        let rules = table
            .widths
            .iter()
            .enumerate()
            .map(|(column, &width)| match column {
                0 => "-".repeat(width),
                _ => format!("{}:", "-".repeat(width - 1)),
            });
        say(&format!("| {} |", rules.collect::<Vec<_>>().join(" | ")));
        table
    }

    /// Says a row; numbers to the right.
    pub(crate) fn row(&self, cells: impl IntoIterator<Item = String>) {
        let cells = cells.into_iter().zip(&self.widths).enumerate();
        let cells = cells.map(|(column, (cell, &width))| match column {
            0 => format!("{cell:<width$}"),
            _ => format!("{cell:>width$}"),
        });
        say(&format!("| {} |", cells.collect::<Vec<_>>().join(" | ")));
    }
}

/// The middle of the values; the mean of the two middle ones when their number is even, 0 when there is none.
pub(crate) fn median(values: impl IntoIterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.into_iter().collect();
    values.sort_by(f64::total_cmp);
    match (values.len(), values.len() / 2) {
        (0, _) => 0.0,
        (count, middle) if count % 2 == 1 => values[middle],
        (_, middle) => f64::midpoint(values[middle - 1], values[middle]),
    }
}

/// `1024` as `1.0`.
pub(crate) fn mib(kib: f64) -> String {
    format!("{:.1}", kib / 1024.0)
}
