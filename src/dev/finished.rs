//! When a trace is finished, so that it can be shown as a whole. Pure: `now` is passed in.
//!
//! Nothing in a trace says that it is over. It is taken for finished when its first segment is complete and nothing
//! new came for a while: a short one when every parent that is named is there and nothing is in progress, a longer one
//! when something is missing, since batches of one trace can be a second apart.

use std::collections::{BTreeSet, HashMap};
use std::time::{Duration, Instant};

use xray_service::digest::Digest;

/// How long a trace without gaps must be quiet.
pub(crate) const QUIET: Duration = Duration::from_millis(250);

/// How long a trace must be quiet in which something is missing.
pub(crate) const PATIENCE: Duration = Duration::from_millis(2_500);

/// The traces that are not shown yet.
#[derive(Debug, Default)]
pub(crate) struct Waiting {
    due: BTreeSet<(Instant, String)>,
    due_of: HashMap<String, Instant>,
    shown: HashMap<String, usize>,
}

impl Waiting {
    /// The trace is new or has grown.
    pub(crate) fn changed(&mut self, digest: &Digest, now: Instant) {
        self.forget_due(&digest.id);
        let is_complete = digest
            .entry_part()
            .map_or(!digest.in_progress, |entry| !entry.in_progress);
        let grown = self.shown.get(&digest.id) != Some(&digest.segments);
        if !is_complete || !grown {
            return;
        }
        let due = now + if digest.whole { QUIET } else { PATIENCE };
        self.due.insert((due, digest.id.clone()));
        self.due_of.insert(digest.id.clone(), due);
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

    /// The trace is shown with so many segments; returns how many it was shown with before, if it was.
    pub(crate) fn shown(&mut self, id: &str, segments: usize) -> Option<usize> {
        self.shown.insert(id.to_owned(), segments)
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
    use xray_service::model::Tree;

    use super::*;

    fn digest(id: &str, documents: &[serde_json::Value]) -> Digest {
        let texts: Vec<String> = documents.iter().map(ToString::to_string).collect();
        Digest::of(id, &Tree::build(texts.iter().map(String::as_str)))
    }

    fn whole(id: &str) -> Digest {
        digest(
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

    #[test]
    fn a_trace_with_gaps_gets_more_patience_and_one_in_progress_is_not_finished() {
        let mut waiting = Waiting::default();
        let start = Instant::now();
        let orphan = json!({"id": "2", "parent_id": "9", "name": "n", "start_time": 1, "end_time": 2});
        waiting.changed(&digest("a", &[orphan]), start);
        assert_eq!(waiting.next_due(), Some(start + PATIENCE));
        let open = json!({"id": "1", "name": "n", "start_time": 1, "in_progress": true});
        waiting.changed(&digest("a", &[open]), start);
        assert_eq!(waiting.next_due(), None);
    }

    #[test]
    fn a_trace_that_was_shown_is_due_again_only_when_it_has_grown() {
        let mut waiting = Waiting::default();
        let start = Instant::now();
        assert_eq!(waiting.shown("a", 1), None);
        waiting.changed(&whole("a"), start);
        assert_eq!(waiting.next_due(), None);
        let grown = digest(
            "a",
            &[
                json!({"id": "1", "name": "n", "start_time": 1, "end_time": 2}),
                json!({"id": "2", "parent_id": "1", "name": "m", "start_time": 1, "end_time": 2}),
            ],
        );
        waiting.changed(&grown, start);
        assert_eq!(waiting.take_due(start + QUIET), ["a"]);
        assert_eq!(waiting.shown("a", 2), Some(1));
        waiting.gone("a");
        assert_eq!(waiting.shown("a", 2), None);
    }
}
