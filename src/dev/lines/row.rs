//! A line of a terminal: pieces with colours and links, cut to its width.

use unicode_width::{UnicodeWidthChar as _, UnicodeWidthStr as _};
use xray_service::model::Marks;

/// Whether lines are coloured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Style {
    /// No escape sequences: for files and pipes.
    Plain,
    /// With the 16 colours that every terminal has.
    Coloured,
}

/// What is written on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Sheet {
    /// Colours.
    pub style: Style,
    /// Its columns; `None`: a file or a pipe, where nothing is cut.
    pub columns: Option<usize>,
    /// It shows links (OSC 8).
    pub links: bool,
    /// The address of the page, with a slash at its end.
    pub page: String,
}

impl Sheet {
    /// The page's address of a trace. Ids have no character that means something in it.
    pub(crate) fn link(&self, trace_id: &str) -> String {
        format!("{}#/trace/{trace_id}", self.page)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Paint {
    Dim,
    Bold,
    Red,
    Yellow,
    Magenta,
    Green,
}

impl Paint {
    /// That of the worst mark; `None` where all is well.
    pub(super) fn of(marks: Marks) -> Option<Self> {
        match marks.worst() {
            "fault" => Some(Self::Red),
            "throttle" => Some(Self::Magenta),
            "error" => Some(Self::Yellow),
            _ => None,
        }
    }

    const fn code(self) -> &'static str {
        match self {
            Self::Dim => "2",
            Self::Bold => "1",
            Self::Red => "31",
            Self::Yellow => "33",
            Self::Magenta => "35",
            Self::Green => "32",
        }
    }
}

impl Style {
    pub(super) fn paint(self, paint: Option<Paint>, text: &str) -> String {
        match paint {
            Some(paint) if self == Self::Coloured && !text.is_empty() => {
                format!("\x1b[{}m{text}\x1b[0m", paint.code())
            }
            _ => text.to_owned(),
        }
    }
}

/// The columns that a text takes.
pub(super) fn columns(text: &str) -> usize {
    text.width()
}

/// As much of a text as fits, with `…` where it is not all.
pub(super) fn cut(text: &str, most: usize) -> String {
    if columns(text) <= most {
        return text.to_owned();
    }
    let (mut taken, mut out) = (0, String::new());
    for c in text.chars() {
        let width = c.width().unwrap_or(0);
        if taken + width + 1 > most {
            break;
        }
        taken += width;
        out.push(c);
    }
    if most > 0 {
        out.push('…');
    }
    out
}

/// A text in so many columns, on the left of them.
pub(super) fn left(text: &str, wide: usize) -> String {
    let text = cut(text, wide);
    let blank = wide.saturating_sub(columns(&text));
    format!("{text}{}", " ".repeat(blank))
}

/// A text in so many columns, on the right of them; a wider one stays whole.
pub(super) fn right(text: &str, wide: usize) -> String {
    format!("{}{text}", " ".repeat(wide.saturating_sub(columns(text))))
}

/// One line on its way.
#[derive(Debug, Default)]
pub(super) struct Row {
    pieces: Vec<(String, Option<Paint>, Option<String>)>,
}

impl Row {
    pub(super) fn add(&mut self, paint: Option<Paint>, text: impl Into<String>) -> &mut Self {
        self.pieces.push((text.into(), paint, None));
        self
    }

    /// A piece that leads to `link` where the terminal knows links.
    pub(super) fn add_link(
        &mut self,
        paint: Option<Paint>,
        text: impl Into<String>,
        link: String,
    ) -> &mut Self {
        self.pieces.push((text.into(), paint, Some(link)));
        self
    }

    pub(super) fn append(&mut self, mut other: Self) {
        self.pieces.append(&mut other.pieces);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.pieces.is_empty()
    }

    pub(super) fn columns(&self) -> usize {
        self.pieces.iter().map(|(text, ..)| columns(text)).sum()
    }

    /// Its text, no wider than the sheet, without an end of line and without blanks before that.
    pub(super) fn on(self, sheet: &Sheet) -> String {
        let mut left = sheet.columns.unwrap_or(usize::MAX);
        let mut text = String::new();
        let last = self.pieces.len().saturating_sub(1);
        for (at, (piece, paint, link)) in self.pieces.into_iter().enumerate() {
            let mut piece = cut(&piece, left);
            left = left.saturating_sub(columns(&piece));
            if at == last || left == 0 {
                piece.truncate(piece.trim_end().len());
            }
            let painted = sheet.style.paint(paint, &piece);
            match link.filter(|_| sheet.links && !piece.is_empty()) {
                Some(link) => {
                    text.push_str("\x1b]8;;");
                    text.push_str(&link);
                    text.push_str("\x1b\\");
                    text.push_str(&painted);
                    text.push_str("\x1b]8;;\x1b\\");
                }
                None => text.push_str(&painted),
            }
            if left == 0 {
                break;
            }
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sheet(columns: Option<usize>, links: bool) -> Sheet {
        Sheet {
            style: Style::Plain,
            columns,
            links,
            page: "http://h/".to_owned(),
        }
    }

    #[test]
    fn a_text_is_cut_by_the_columns_that_its_characters_take() {
        assert_eq!(cut("abc", 3), "abc");
        assert_eq!(cut("abcd", 3), "ab…");
        assert_eq!(cut("日本語", 6), "日本語");
        assert_eq!(cut("日本語", 5), "日本…");
        assert_eq!(cut("日本語", 4), "日…");
        assert_eq!(cut("ab", 0), "");
        assert_eq!(
            (left("日", 4), right("日", 4)),
            ("日  ".to_owned(), "  日".to_owned())
        );
    }

    #[test]
    fn a_row_is_no_wider_than_its_sheet_and_links_only_where_links_are_shown() {
        let row = || {
            let mut row = Row::default();
            row.add(None, "12345  ")
                .add_link(Some(Paint::Dim), "1-abc", "http://h/#/trace/1-abc".to_owned());
            row
        };
        assert_eq!(row().on(&sheet(None, false)), "12345  1-abc");
        assert_eq!(row().on(&sheet(Some(9), false)), "12345  1…");
        assert_eq!(row().on(&sheet(Some(6), false)), "12345…");
        assert_eq!(
            row().on(&sheet(None, true)),
            "12345  \x1b]8;;http://h/#/trace/1-abc\x1b\\1-abc\x1b]8;;\x1b\\"
        );
    }
}
