//! The service of a subsegment that was sent on its own: such a document names what was called, not who called.
//!
//! Children come before their parent, so that no look at the trace can tell. Most daemons serve one application, though,
//! and then the one name that its segments have is the answer.

use std::time::{Duration, Instant};

/// How long a name is remembered: a deployment that renames its service is known by the new name after that time.
pub(super) const REMEMBERED: Duration = Duration::from_mins(10);

/// The segment names that were seen lately, as far as it matters: one, or more than one.
#[derive(Debug, Clone, Default)]
pub struct Names {
    /// The one that was seen last, and the last other one.
    seen: [Option<(String, Instant)>; 2],
}

impl Names {
    /// A segment of that name was seen.
    pub fn note(&mut self, name: &str, now: Instant) {
        match &mut self.seen {
            [Some((last, at)), _] if last == name => *at = now,
            [last, other] => {
                *other = last.take();
                *last = Some((name.to_owned(), now));
            }
        }
    }

    /// The name that all segments of the last 10 minutes had; `None` if there was none, or another one.
    #[must_use]
    pub fn only(&self, now: Instant) -> Option<&str> {
        let mut recent = self.seen.iter().flatten().filter(|(_, at)| {
            now.checked_duration_since(*at)
                .is_none_or(|age| age <= REMEMBERED)
        });
        match (recent.next(), recent.next()) {
            (Some((name, _)), None) => Some(name),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_only_name_is_the_answer_and_two_are_none_until_one_is_forgotten() {
        let start = Instant::now();
        let after = |minutes: u64| start + Duration::from_mins(minutes);
        let mut names = Names::default();
        assert_eq!(names.only(start), None);
        names.note("shop", start);
        names.note("shop", after(1));
        assert_eq!(names.only(after(11)), Some("shop"));
        assert_eq!(names.only(after(12)), None);
        names.note("stock", after(2));
        names.note("shop", after(3));
        assert_eq!(names.only(after(4)), None);
        names.note("shop", after(10));
        assert_eq!(names.only(after(13)), Some("shop"));
    }
}
