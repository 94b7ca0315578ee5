//! Where a trace failed, and what its exceptions say: bounded, since it is kept with each trace.

use super::model::{Exception, Kind, Marks, Tree};

/// Exceptions of one trace that are kept.
pub(crate) const MAX_SAID: usize = 8;

/// The longest text of each, in characters.
const MAX_CHARS: usize = 200;

/// What one exception says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Said {
    /// The class.
    pub kind: Option<String>,
    /// The text, its beginning.
    pub message: Option<String>,
}

impl Said {
    /// The first exceptions of a trace, callers before what they called.
    #[must_use]
    pub fn of(tree: &Tree) -> Vec<Self> {
        let order = tree.preorder();
        let all = order.iter().flat_map(|(at, _)| &tree.entities[*at].exceptions);
        let mut said: Vec<Self> = Vec::new();
        for one in all.map(Self::one) {
            // An exception goes up through its callers, and each of them has it.
            if said.len() < MAX_SAID && !said.contains(&one) {
                said.push(one);
            }
        }
        said.shrink_to_fit();
        said
    }

    fn one(exception: &Exception) -> Self {
        Self {
            kind: exception.kind.as_deref().map(beginning),
            message: exception.message.as_deref().map(beginning),
        }
    }

    /// `KIND: MESSAGE`, or what of it there is.
    #[must_use]
    pub fn text(&self) -> String {
        let parts = [&self.kind, &self.message];
        let parts: Vec<&str> = parts.into_iter().flatten().map(String::as_str).collect();
        parts.join(": ")
    }
}

/// The first place where something went wrong: the deepest that is marked, since those above it pass on what it says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// Fault, error or throttle.
    pub marks: Marks,
    /// The name of the segment or subsegment.
    pub name: String,
    /// It is a call of, or work inside, this service; `None`: it is the service itself.
    pub inside: Option<String>,
    /// What it says.
    pub said: Option<Said>,
    /// The status of its response.
    pub status: Option<i64>,
}

impl Failure {
    /// Of a trace; `None` when nothing in it is marked.
    #[must_use]
    pub fn of(tree: &Tree) -> Option<Self> {
        let order = tree.preorder();
        let mut has_marked = vec![false; tree.entities.len()];
        let mut best: Option<(u8, f64, usize)> = None;
        for (at, _) in order.iter().rev() {
            let entity = &tree.entities[*at];
            let is_marked = !entity.marks.ok();
            if is_marked && !has_marked[*at] {
                let found = (rank(entity.marks), entity.start, *at);
                let is_before = |(rank, start, _): (u8, f64, usize)| (found.0, found.1) <= (rank, start);
                if best.is_none_or(is_before) {
                    best = Some(found);
                }
            }
            if let Some(parent) = entity.parent {
                has_marked[parent] |= is_marked || has_marked[*at];
            }
        }
        let (_, _, at) = best?;
        let entity = &tree.entities[at];
        let mut above = entity.parent;
        let mut said = entity.exceptions.first();
        // What a caller says of it is better than nothing.
        while let Some(parent) = above
            && said.is_none()
        {
            said = tree.entities[parent].exceptions.first();
            above = tree.entities[parent].parent;
        }
        Some(Self {
            marks: entity.marks,
            name: beginning(&entity.name),
            inside: service_of(tree, at).map(beginning),
            said: said.map(Said::one),
            status: entity.http.status.filter(|status| *status >= 400),
        })
    }

    /// `shop › pay: PayError: no money`, or the status where no exception says more.
    #[must_use]
    pub fn text(&self) -> String {
        let place = match &self.inside {
            Some(service) => format!("{service} › {}", self.name),
            None => self.name.clone(),
        };
        match (&self.said, self.status) {
            (Some(said), _) => format!("{place}: {}", said.text()),
            (None, Some(status)) => format!("{place}: status {status}"),
            (None, None) => place,
        }
    }
}

/// The name of the segment that a subsegment is in.
fn service_of(tree: &Tree, at: usize) -> Option<&str> {
    if tree.entities[at].kind == Kind::Segment {
        return None;
    }
    let mut next = tree.entities[at].parent;
    while let Some(parent) = next {
        if tree.entities[parent].kind == Kind::Segment {
            return Some(&tree.entities[parent].name);
        }
        next = tree.entities[parent].parent;
    }
    None
}

fn rank(marks: Marks) -> u8 {
    match marks.worst() {
        "fault" => 0,
        "throttle" => 1,
        _ => 2,
    }
}

/// What of a text is kept, in bytes, at most.
pub(crate) fn kept_bytes(text: &str) -> usize {
    text.len().min(MAX_CHARS * 4 + '…'.len_utf8())
}

/// As much of a text as is kept.
fn beginning(text: &str) -> String {
    match text.char_indices().nth(MAX_CHARS) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn tree(documents: &[Value]) -> Tree {
        let texts: Vec<String> = documents.iter().map(ToString::to_string).collect();
        Tree::build(texts.iter().map(String::as_str))
    }

    #[test]
    fn the_deepest_mark_is_the_failure_and_the_worst_goes_first() {
        let tree = tree(&[
            json!({"id": "1", "name": "shop", "start_time": 1, "end_time": 5, "fault": true, "subsegments": [
                {"id": "2", "name": "cache", "start_time": 1, "end_time": 2, "error": true},
                {"id": "3", "name": "pay", "start_time": 2, "end_time": 4, "fault": true,
                 "cause": {"exceptions": [{"type": "PayError", "message": "no money"}]}}]}),
        ]);
        let failure = Failure::of(&tree).unwrap();
        assert_eq!(failure.text(), "shop › pay: PayError: no money");
        assert_eq!(Said::of(&tree).len(), 1);
    }

    #[test]
    fn an_exception_of_the_caller_speaks_for_a_call_that_has_none_and_a_status_for_both() {
        let call = json!({"id": "2", "name": "pay", "start_time": 2, "end_time": 4, "error": true,
                          "http": {"response": {"status": 402}}});
        let shop = |more: Value| {
            let mut shop = json!({"id": "1", "name": "shop", "start_time": 1, "end_time": 5, "fault": true,
                                  "subsegments": [call]});
            shop.as_object_mut()
                .unwrap()
                .extend(more.as_object().unwrap().clone());
            Failure::of(&tree(&[shop])).unwrap().text()
        };
        assert_eq!(shop(json!({})), "shop › pay: status 402");
        let cause = json!({"cause": {"exceptions": [{"type": "Oops"}]}});
        assert_eq!(shop(cause), "shop › pay: Oops");
    }

    #[test]
    fn one_exception_that_goes_up_is_kept_once_and_a_long_one_not_as_a_whole() {
        let cause = json!({"exceptions": [{"type": "E", "message": "x".repeat(1000)}]});
        let tree = tree(&[
            json!({"id": "1", "name": "a", "start_time": 1, "end_time": 2, "fault": true, "cause": cause,
            "subsegments": [{"id": "2", "name": "b", "start_time": 1, "end_time": 2, "fault": true, "cause": cause}]}),
        ]);
        let said = Said::of(&tree);
        assert_eq!(said.len(), 1);
        assert_eq!(said[0].text().chars().count(), "E: ".len() + MAX_CHARS + 1);
        assert_eq!(Failure::of(&self::tree(&[json!({"id": "1", "name": "a"})])), None);
    }
}
