//! What the service took: documents, verbatim and in order, inside a budget of bytes.

use std::collections::VecDeque;
use std::time::SystemTime;

/// One accepted document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stored {
    /// Exactly what was sent.
    pub document: String,
    /// When the call that carried it was handled.
    pub accepted_at: SystemTime,
}

/// Accepted documents, oldest out first when the budget is full.
#[derive(Debug, Clone)]
pub struct Store {
    kept: VecDeque<Stored>,
    kept_bytes: usize,
    budget_bytes: usize,
    accepted: u64,
    accepted_bytes: u64,
}

impl Store {
    /// Keeps at most `budget_bytes` of document text; 0 keeps nothing and only counts.
    #[must_use]
    pub fn new(budget_bytes: usize) -> Self {
        Self {
            kept: VecDeque::new(),
            kept_bytes: 0,
            budget_bytes,
            accepted: 0,
            accepted_bytes: 0,
        }
    }

    /// Takes one document. One bigger than the whole budget is counted and not kept.
    pub fn push(&mut self, document: String, accepted_at: SystemTime) {
        self.count(1, document.len());
        if document.len() > self.budget_bytes || self.budget_bytes == 0 {
            return;
        }
        self.kept_bytes += document.len();
        self.kept.push_back(Stored {
            document,
            accepted_at,
        });
        while self.kept_bytes > self.budget_bytes {
            let Some(oldest) = self.kept.pop_front() else {
                break;
            };
            self.kept_bytes -= oldest.document.len();
        }
    }

    /// Counts `documents` that are not kept, `bytes` long together.
    pub fn count(&mut self, documents: usize, bytes: usize) {
        self.accepted += documents as u64;
        self.accepted_bytes += bytes as u64;
    }

    /// What is kept, in the order it was accepted.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &Stored> {
        self.kept.iter()
    }

    /// Documents accepted since the start, kept or not.
    #[must_use]
    pub fn accepted(&self) -> u64 {
        self.accepted
    }

    /// Their bytes.
    #[must_use]
    pub fn accepted_bytes(&self) -> u64 {
        self.accepted_bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(store: &Store) -> Vec<&str> {
        store.iter().map(|stored| stored.document.as_str()).collect()
    }

    fn fill(store: &mut Store, documents: &[&str]) {
        for document in documents {
            store.push((*document).to_owned(), SystemTime::UNIX_EPOCH);
        }
    }

    #[test]
    fn five_documents_of_ten_bytes_into_thirty_leave_the_last_three() {
        let mut store = Store::new(30);
        fill(
            &mut store,
            &[
                "aaaaaaaaaa",
                "bbbbbbbbbb",
                "cccccccccc",
                "dddddddddd",
                "eeeeeeeeee",
            ],
        );
        assert_eq!(texts(&store), ["cccccccccc", "dddddddddd", "eeeeeeeeee"]);
        assert_eq!((store.accepted(), store.accepted_bytes()), (5, 50));
    }

    #[test]
    fn one_document_too_big_for_the_budget_pushes_nothing_out() {
        let mut store = Store::new(10);
        fill(&mut store, &["kept", "longer than ten bytes", "too"]);
        assert_eq!(texts(&store), ["kept", "too"]);
        assert_eq!(store.accepted(), 3);
    }

    #[test]
    fn a_store_without_a_budget_only_counts() {
        let mut store = Store::new(0);
        fill(&mut store, &["one", ""]);
        assert_eq!(texts(&store), Vec::<&str>::new());
        assert_eq!((store.accepted(), store.accepted_bytes()), (2, 3));
    }
}
