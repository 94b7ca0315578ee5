//! A number for each content.

use std::sync::atomic::{
    AtomicU64,
    Ordering::{AcqRel, Acquire},
};

use super::signal::Content;

/// So many of each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Amounts([u64; Content::ALL.len()]);

impl Amounts {
    /// Adds `count` of `content`.
    pub fn add(&mut self, content: Content, count: u64) {
        self.0[content.index()] += count;
    }

    /// Adds so many of a content.
    pub fn add_some(&mut self, (content, count): (Content, u64)) {
        self.add(content, count);
    }

    /// How many of `content`.
    #[must_use]
    pub fn of(&self, content: Content) -> u64 {
        self.0[content.index()]
    }

    /// How many of all.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.0.iter().sum()
    }

    /// These and `other` together.
    #[must_use]
    pub fn plus(mut self, other: Self) -> Self {
        for (content, count) in other.some() {
            self.add(content, count);
        }
        self
    }

    /// Those of which there are any.
    pub fn some(&self) -> impl Iterator<Item = (Content, u64)> {
        let all = Content::ALL.into_iter().zip(self.0);
        all.filter(|(_, count)| *count > 0)
    }

    /// What they are, in the plural: the name of the only content, `items` for several, `segments` for none.
    #[must_use]
    pub fn items(&self) -> &'static str {
        let mut some = self.some().map(|(content, _)| content);
        match (some.next(), some.next()) {
            (Some(_), Some(_)) => "items",
            (only, _) => only.unwrap_or(Content::Segments).items(),
        }
    }
}

/// The same, shared.
#[derive(Debug, Default)]
pub struct AtomicAmounts([AtomicU64; Content::ALL.len()]);

impl AtomicAmounts {
    /// So many more.
    pub fn add(&self, amounts: Amounts) {
        for (content, count) in amounts.some() {
            self.0[content.index()].fetch_add(count, AcqRel);
        }
    }

    /// So many fewer.
    pub fn sub(&self, amounts: Amounts) {
        for (content, count) in amounts.some() {
            self.0[content.index()].fetch_sub(count, AcqRel);
        }
    }

    /// How many now.
    #[must_use]
    pub fn load(&self) -> Amounts {
        let counts = Content::ALL.map(|content| (content, self.0[content.index()].load(Acquire)));
        counts.into_iter().collect()
    }
}

impl FromIterator<(Content, u64)> for Amounts {
    fn from_iter<I: IntoIterator<Item = (Content, u64)>>(counts: I) -> Self {
        let mut amounts = Self::default();
        for (content, count) in counts {
            amounts.add(content, count);
        }
        amounts
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_add_up_by_content_and_are_called_by_what_they_are() {
        let amounts: Amounts = [(Content::Logs, 2), (Content::Segments, 3), (Content::Logs, 4)]
            .into_iter()
            .collect();
        assert_eq!((amounts.of(Content::Logs), amounts.of(Content::Traces)), (6, 0));
        assert_eq!(amounts.total(), 9);
        assert_eq!(
            amounts.some().collect::<Vec<_>>(),
            [(Content::Segments, 3), (Content::Logs, 6)]
        );
        assert_eq!(amounts.plus(amounts).total(), 18);
        let of = |content| Amounts::from_iter([(content, 1)]).items();
        assert_eq!(
            Content::ALL.map(of),
            ["segments", "spans", "data points", "log records"]
        );
        assert_eq!(
            (amounts.items(), Amounts::default().items()),
            ("items", "segments")
        );
    }
}
