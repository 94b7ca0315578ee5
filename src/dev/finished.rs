//! When a trace is finished, so that it can be shown as a whole. Pure: `now` is passed in.
//!
//! Nothing in a trace says that it is over. It is taken for finished when its first segment is complete and nothing
//! new came for a while: a short one when every parent that is named is there and nothing is in progress, a longer one
//! when something is missing, since batches of one trace can be a second apart. The longest one is for the segment where
//! the request came in: it is the last to be complete, and the trace is called by it. Where it never comes, since who
//! calls sends no segments here, nobody waits for it a second time.
//!
//! A trace is shown once. What comes later is shown on the page; here it is only when it went wrong after all, or when
//! its first segment has come at last.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::time::{Duration, Instant};

use xray_service::row::Row;

/// How long a trace without gaps must be quiet.
pub(crate) const QUIET: Duration = Duration::from_millis(250);

/// How long a trace must be quiet in which something is missing.
pub(crate) const PATIENCE: Duration = Duration::from_millis(2_500);

/// How long a trace must be quiet whose first segment names a parent that has not come.
pub(crate) const HEADLESS: Duration = Duration::from_secs(10);

/// Names of first segments whose parents do not come that are remembered; services on a laptop are a dozen.
const MAX_CALLED_FROM_ELSEWHERE: usize = 100;

/// As what a trace was shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Shown {
    headless: bool,
    /// 0: ok, to 3: fault.
    badness: u8,
}

impl Shown {
    fn of(row: &Row) -> Self {
        Self {
            headless: row.headless,
            badness: match row.marks().worst() {
                "fault" => 3,
                "throttle" => 2,
                "error" => 1,
                _ => 0,
            },
        }
    }

    /// Whether there is a reason to show it again as `self`.
    fn is_news_after(self, before: Self) -> bool {
        self.badness > before.badness || (before.headless && !self.headless)
    }
}

/// The traces that are not shown yet.
#[derive(Debug, Default)]
pub(crate) struct Waiting {
    due: BTreeSet<(Instant, String)>,
    due_of: HashMap<String, Instant>,
    shown: HashMap<String, Shown>,
    /// Of what the first segment was called where its parent did not come.
    called_from_elsewhere: HashSet<String>,
}

impl Waiting {
    /// The trace is new or has grown.
    pub(crate) fn changed(&mut self, row: &Row, now: Instant) {
        self.forget_due(&row.id);
        let shown = self.shown.get(&row.id);
        if row.open || shown.is_some_and(|before| !Shown::of(row).is_news_after(*before)) {
            return;
        }
        let due = now
            + if row.whole {
                QUIET
            } else if row.headless && !self.called_from_elsewhere.contains(&row.name) {
                HEADLESS
            } else {
                PATIENCE
            };
        self.due.insert((due, row.id.clone()));
        self.due_of.insert(row.id.clone(), due);
    }

    /// The trace was forgotten.
    pub(crate) fn gone(&mut self, id: &str) {
        self.forget_due(id);
        self.shown.remove(id);
    }

    /// All traces were forgotten.
    pub(crate) fn clear(&mut self) {
        *self = Self::default();
    }

    /// The traces that are finished now, oldest first.
    pub(crate) fn take_due(&mut self, now: Instant) -> Vec<String> {
        let mut ids = Vec::new();
        while let Some((due, id)) = self.due.pop_first() {
            if due > now {
                self.due.insert((due, id));
                break;
            }
            self.due_of.remove(&id);
            ids.push(id);
        }
        ids
    }

    /// The trace is shown as it is; returns whether it was before.
    pub(crate) fn shown(&mut self, row: &Row) -> bool {
        if row.headless && self.called_from_elsewhere.len() < MAX_CALLED_FROM_ELSEWHERE {
            self.called_from_elsewhere.insert(row.name.clone());
        }
        let before = self.shown.insert(row.id.clone(), Shown::of(row));
        if before.is_some_and(|before| before.headless) && !row.headless {
            // It does come, and takes its time.
            self.called_from_elsewhere.clear();
        }
        before.is_some()
    }

    /// When to ask again; `None`: not before something changes.
    #[must_use]
    pub(crate) fn next_due(&self) -> Option<Instant> {
        self.due.first().map(|(due, _)| *due)
    }

    fn forget_due(&mut self, id: &str) {
        if let Some(due) = self.due_of.remove(id) {
            self.due.remove(&(due, id.to_owned()));
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use xray_service::digest::Digest;
    use xray_service::model::Tree;

    use super::*;

    fn row(id: &str, documents: &[serde_json::Value]) -> Row {
        let texts: Vec<String> = documents.iter().map(ToString::to_string).collect();
        Row::of(&Digest::of(id, &Tree::build(texts.iter().map(String::as_str))))
    }

    fn whole(id: &str) -> Row {
        row(
            id,
            &[json!({"id": "1", "name": "n", "start_time": 1, "end_time": 2})],
        )
    }

    #[test]
    fn a_whole_trace_is_due_after_a_short_quiet_time_that_each_change_begins_anew() {
        let mut waiting = Waiting::default();
        let start = Instant::now();
        waiting.changed(&whole("a"), start);
        assert_eq!(
            waiting.take_due(start + QUIET - Duration::from_millis(1)),
            Vec::<String>::new()
        );
        waiting.changed(&whole("a"), start + QUIET);
        assert_eq!(waiting.next_due(), Some(start + QUIET * 2));
        assert_eq!(waiting.take_due(start + QUIET * 2), ["a"]);
        assert_eq!(waiting.next_due(), None, "no timer runs when nothing waits");
    }

    fn part(id: &str, parent: &str) -> serde_json::Value {
        json!({"id": id, "parent_id": parent, "name": "n", "start_time": 1, "end_time": 2})
    }

    #[test]
    fn a_trace_with_gaps_gets_more_patience_and_one_in_progress_is_not_finished() {
        let mut waiting = Waiting::default();
        let start = Instant::now();
        let root = json!({"id": "1", "name": "n", "start_time": 1, "end_time": 2});
        waiting.changed(&row("a", &[root, part("2", "9")]), start);
        assert_eq!(waiting.next_due(), Some(start + PATIENCE));
        let open = json!({"id": "1", "name": "n", "start_time": 1, "in_progress": true});
        waiting.changed(&row("a", &[open]), start);
        assert_eq!(waiting.next_due(), None);
    }

    #[test]
    fn a_trace_waits_for_its_first_segment_and_is_shown_under_its_name() {
        let mut waiting = Waiting::default();
        let start = Instant::now();
        waiting.changed(&row("a", &[part("2", "1")]), start);
        assert_eq!(waiting.next_due(), Some(start + HEADLESS));
        let later = start + Duration::from_secs(5);
        let root = json!({"id": "1", "name": "root", "start_time": 1, "end_time": 2});
        waiting.changed(&row("a", &[part("2", "1"), root]), later);
        assert_eq!(waiting.take_due(later + QUIET), ["a"]);
    }

    #[test]
    fn where_the_first_segment_never_comes_nobody_waits_for_it_a_second_time() {
        let mut waiting = Waiting::default();
        let start = Instant::now();
        let headless = |id: &str| row(id, &[part("2", "1")]);
        assert!(!waiting.shown(&headless("a")));
        waiting.changed(&headless("b"), start);
        assert_eq!(waiting.next_due(), Some(start + PATIENCE));
        // It was only slow: from now on there is time for it again.
        let root = json!({"id": "1", "name": "root", "start_time": 1, "end_time": 2});
        let whole = row("a", &[part("2", "1"), root]);
        waiting.changed(&whole, start);
        assert_eq!(waiting.take_due(start + QUIET), ["a"]);
        assert!(waiting.shown(&whole));
        waiting.changed(&headless("c"), start);
        waiting.gone("b");
        assert_eq!(waiting.next_due(), Some(start + HEADLESS));
    }

    #[test]
    fn a_trace_that_was_shown_is_due_again_only_when_it_went_wrong_after_all() {
        let mut waiting = Waiting::default();
        let start = Instant::now();
        assert!(!waiting.shown(&whole("a")));
        waiting.changed(&whole("a"), start);
        let with = |more: serde_json::Value| {
            let mut child = part("2", "1");
            child
                .as_object_mut()
                .unwrap()
                .extend(more.as_object().unwrap().clone());
            let root = json!({"id": "1", "name": "n", "start_time": 1, "end_time": 2});
            row("a", &[root, child])
        };
        waiting.changed(&with(json!({})), start);
        assert_eq!(waiting.next_due(), None);
        let failed = with(json!({"fault": true}));
        waiting.changed(&failed, start);
        assert_eq!(waiting.take_due(start + QUIET), ["a"]);
        assert!(waiting.shown(&failed));
        waiting.gone("a");
        assert!(!waiting.shown(&failed));
    }
}
