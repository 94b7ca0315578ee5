//! The account in the last line of a run.

use std::collections::BTreeMap;

/// What the line says, by name: `received`, `sent`, `dropped`, …, and each reason by its label.
#[derive(Debug)]
pub struct Account(BTreeMap<String, u64>);

impl Account {
    /// Of the last line that begins with `Shutdown finished: `.
    ///
    /// # Panics
    /// When there is none.
    pub fn of(lines: &[String]) -> Self {
        let last = lines
            .iter()
            .rev()
            .find_map(|line| line.split_once("Shutdown finished: "))
            .unwrap_or_else(|| panic!("no last line:\n{}", lines.join("\n")));
        let pairs = last.1.replace(['(', ')'], ",");
        let pairs = pairs.split(',').filter_map(|pair| {
            let (name, number) = pair.trim().rsplit_once(' ')?;
            Some((name.to_owned(), number.parse().ok()?))
        });
        Self(pairs.collect())
    }

    /// The number with this name; 0 when it is not there.
    pub fn get(&self, name: &str) -> u64 {
        self.0.get(name).copied().unwrap_or_default()
    }

    /// Every document is somewhere, and nothing is pending any more.
    ///
    /// # Panics
    /// When it is not so.
    pub fn assert_balance(&self) {
        let came = self.get("received") + self.get("recovered");
        let went: u64 = ["sent", "unprocessed", "rejected", "dropped", "spooled"]
            .iter()
            .map(|name| self.get(name))
            .sum();
        assert_eq!(came, went, "{self:?}");
    }
}
