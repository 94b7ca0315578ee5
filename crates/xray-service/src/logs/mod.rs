//! Lines of logs that name a trace, beside it: kept inside a budget of bytes, the oldest line out first, whether its trace
//! has come or not. Pure: the time of arrival is passed in.
//!
//! | file | its one job |
//! |---|---|
//! | this one | what is kept |
//! | [`mod@line`] | what a line of a file tells: its time, its level, its traces |

pub mod line;

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

/// The share of the store's budget that log lines may have.
pub const SHARE: usize = 16;

/// The longest text of a line, in bytes, with the lines that go on from it.
pub const MAX_TEXT_BYTES: usize = 8 << 10;

/// The most lines of one trace; the oldest go.
const MAX_OF_A_TRACE: usize = 1_000;

/// What a line costs beside its texts: itself, its counts, its places.
const LINE_BYTES: usize = size_of::<Line>() + 64;

/// What a trace with lines costs: its id twice, its place.
const TRACE_BYTES: usize = 192;

/// One line.
#[derive(Debug, Clone, PartialEq)]
pub struct Line {
    /// When it was written, in seconds since 1970; when it came, where it does not say.
    pub time: f64,
    /// The file, or the service of an OTLP record.
    pub source: Arc<str>,
    /// As the log calls it, in capitals.
    pub level: Option<String>,
    /// The line, and those that go on from it: a stack.
    pub text: String,
    /// The span that was active, 16 hex digits.
    pub span: Option<String>,
}

impl Line {
    fn cost(&self) -> usize {
        let level = self.level.as_ref().map_or(0, String::len);
        let span = self.span.as_ref().map_or(0, String::len);
        LINE_BYTES + self.text.len() + level + span
    }
}

/// Lines of every trace.
#[derive(Debug)]
pub struct Logs {
    max_bytes: usize,
    bytes: usize,
    by_trace: HashMap<String, VecDeque<Arc<Line>>>,
    /// Whose oldest line is the oldest, in the order of their coming.
    order: VecDeque<String>,
    lines: usize,
    dropped: u64,
}

impl Logs {
    /// Of a store with so large a budget.
    #[must_use]
    pub fn new(store_bytes: usize) -> Self {
        Self {
            max_bytes: store_bytes / SHARE,
            bytes: 0,
            by_trace: HashMap::new(),
            order: VecDeque::new(),
            lines: 0,
            dropped: 0,
        }
    }

    /// Keeps a line of a trace.
    pub fn insert(&mut self, trace_id: &str, mut line: Line) {
        cut(&mut line.text, MAX_TEXT_BYTES);
        let cost = line.cost();
        let lines = match self.by_trace.get_mut(trace_id) {
            Some(lines) => lines,
            None => {
                self.bytes += TRACE_BYTES;
                self.by_trace.entry(trace_id.to_owned()).or_default()
            }
        };
        lines.push_back(Arc::new(line));
        self.lines += 1;
        self.bytes += cost;
        self.order.push_back(trace_id.to_owned());
        if lines.len() > MAX_OF_A_TRACE {
            self.remove_oldest_of(trace_id);
        }
        while self.bytes > self.max_bytes {
            let Some(oldest) = self.order.pop_front() else {
                break;
            };
            self.remove_oldest_of(&oldest);
        }
        // Those whose line went out of turn.
        if self.order.len() > 2 * self.lines + MAX_OF_A_TRACE {
            self.settle_order();
        }
    }

    /// Puts a text behind the last line of a trace that came from `source`, which goes on in it.
    pub fn go_on(&mut self, trace_id: &str, source: &str, text: &str) {
        let Some(lines) = self.by_trace.get_mut(trace_id) else {
            return;
        };
        let Some(last) = lines.iter_mut().rev().find(|line| *line.source == *source) else {
            return;
        };
        let before = last.cost();
        let last = Arc::make_mut(last);
        if last.text.len() < MAX_TEXT_BYTES {
            last.text.push('\n');
            last.text.push_str(text);
            cut(&mut last.text, MAX_TEXT_BYTES);
        }
        self.bytes = self.bytes + last.cost() - before;
    }

    /// The lines of a trace in the order of their time.
    #[must_use]
    pub fn of(&self, trace_id: &str) -> Vec<Arc<Line>> {
        let mut lines: Vec<Arc<Line>> = self
            .by_trace
            .get(trace_id)
            .into_iter()
            .flatten()
            .cloned()
            .collect();
        lines.sort_by(|a, b| a.time.total_cmp(&b.time));
        lines
    }

    /// Lines that are kept.
    #[must_use]
    pub const fn lines(&self) -> usize {
        self.lines
    }

    /// What they cost.
    #[must_use]
    pub const fn bytes(&self) -> usize {
        self.bytes
    }

    /// Lines that newer ones have pushed out.
    #[must_use]
    pub const fn dropped(&self) -> u64 {
        self.dropped
    }

    fn remove_oldest_of(&mut self, trace_id: &str) {
        let Some(lines) = self.by_trace.get_mut(trace_id) else {
            return;
        };
        if let Some(line) = lines.pop_front() {
            self.bytes -= line.cost();
            self.lines -= 1;
            self.dropped += 1;
        }
        if lines.is_empty() {
            self.by_trace.remove(trace_id);
            self.bytes -= TRACE_BYTES;
        }
    }

    /// Forgets as many places of each trace, the first of them, as it has too many.
    fn settle_order(&mut self) {
        let mut too_many: HashMap<String, usize> = HashMap::new();
        for id in &self.order {
            *too_many.entry(id.clone()).or_default() += 1;
        }
        for (id, places) in &mut too_many {
            *places -= self.by_trace.get(id).map_or(0, VecDeque::len).min(*places);
        }
        self.order.retain(|id| match too_many.get_mut(id) {
            Some(left) if *left > 0 => {
                *left -= 1;
                false
            }
            _ => true,
        });
    }
}

/// Shortens a text to so many bytes, and no character is cut in half.
fn cut(text: &mut String, most: usize) {
    if text.len() > most {
        let end = (0..=most)
            .rev()
            .find(|at| text.is_char_boundary(*at))
            .unwrap_or(0);
        text.truncate(end);
        text.push('…');
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn line(time: f64, text: &str) -> Line {
        Line {
            time,
            source: Arc::from("app.log"),
            level: None,
            text: text.to_owned(),
            span: None,
        }
    }

    fn texts(logs: &Logs, id: &str) -> Vec<String> {
        logs.of(id).iter().map(|line| line.text.clone()).collect()
    }

    #[test]
    fn lines_of_a_trace_are_in_the_order_of_their_time() {
        let mut logs = Logs::new(16 << 20);
        logs.insert("a", line(2.0, "second"));
        logs.insert("b", line(1.5, "other"));
        logs.insert("a", line(1.0, "first"));
        logs.go_on("a", "app.log", "  at main");
        logs.go_on("a", "other.log", "nobody's");
        logs.go_on("c", "app.log", "nobody's");
        assert_eq!(texts(&logs, "a"), ["first\n  at main", "second"]);
        assert_eq!(texts(&logs, "c"), Vec::<String>::new());
    }

    #[test]
    fn the_oldest_line_goes_first_and_what_is_kept_is_within_its_bytes() {
        let one = line(0.0, "x").cost() + TRACE_BYTES;
        let mut logs = Logs::new(one * 3 * SHARE);
        for (at, id) in ["a", "b", "c", "d"].into_iter().enumerate() {
            logs.insert(id, line(at as f64, "x"));
        }
        assert_eq!((logs.lines(), logs.dropped(), logs.bytes()), (3, 1, one * 3));
        assert!(logs.of("a").is_empty() && logs.of("d").len() == 1);
        logs.insert("e", line(9.0, &"x".repeat(one * 4)));
        assert_eq!(
            logs.lines(),
            0,
            "one that is too large for all of it leaves nothing"
        );
        assert_eq!(logs.bytes(), 0);
    }

    #[test]
    fn a_trace_that_logs_without_end_keeps_its_latest_thousand() {
        let mut logs = Logs::new(64 << 20);
        for at in 0..5_000 {
            logs.insert("a", line(f64::from(at), "x"));
        }
        assert_eq!((logs.lines(), logs.of("a")[0].time), (MAX_OF_A_TRACE, 4_000.0));
        assert!(logs.order.len() <= 2 * logs.lines() + MAX_OF_A_TRACE);
        assert!(logs.of("a").len() == 1_000);
        logs.insert("a", line(0.0, &"é".repeat(MAX_TEXT_BYTES)));
        assert_eq!(logs.of("a")[0].text.len(), MAX_TEXT_BYTES + '…'.len_utf8());
    }

    proptest! {
        /// Whatever comes in whatever order, what is counted is what is kept, and that is within its bytes.
        #[test]
        fn the_count_is_what_is_kept(steps in proptest::collection::vec((0..6_u8, 0..300_usize, any::<bool>()), 1..300)) {
            let mut logs = Logs::new(4_000 * SHARE);
            for (trace, length, goes_on) in steps {
                let id = format!("trace-{trace}");
                if goes_on {
                    logs.go_on(&id, "app.log", &"y".repeat(length));
                } else {
                    logs.insert(&id, line(length as f64, &"x".repeat(length)));
                    prop_assert!(logs.bytes() <= 4_000);
                }
                let kept: usize = logs.by_trace.values().flatten().map(|line| line.cost()).sum();
                let lines: usize = logs.by_trace.values().map(VecDeque::len).sum();
                prop_assert_eq!(logs.lines(), lines);
                prop_assert_eq!(logs.bytes(), kept + logs.by_trace.len() * TRACE_BYTES);
            }
        }
    }
}
