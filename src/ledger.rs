//! What became of every document: `received = sent + rejected + dropped + unprocessed + pending`, at any quiet moment.
//!
//! Counters only go up; reasons are closed enums. One place counts each: [`crate::udp`] receives and rejects,
//! [`crate::sender`] settles the rest.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, PoisonError};

use tokio::sync::Notify;

/// Why a datagram became no document.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RejectReason {
    /// No newline between header and segment.
    MissingHeader,
    /// Nothing after the header's newline.
    MissingSegment,
    /// The header is not `{"format":"json","version":1}`.
    InvalidHeader,
}

impl RejectReason {
    /// Every reason, in the order of their counters.
    pub const ALL: [Self; 3] = [Self::MissingHeader, Self::MissingSegment, Self::InvalidHeader];

    const fn index(self) -> usize {
        self as usize
    }

    /// The label in metrics and JSON logs.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::MissingHeader => "missing_header",
            Self::MissingSegment => "missing_segment",
            Self::InvalidHeader => "invalid_header",
        }
    }
}

/// Why an accepted document was lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DropReason {
    /// The buffer budget was full and this was the oldest batch.
    BufferFull,
    /// The service refused the request for good.
    Refused,
    /// Still unsent when the shutdown deadline passed.
    Shutdown,
}

impl DropReason {
    /// Every reason, in the order of their counters.
    pub const ALL: [Self; 3] = [Self::BufferFull, Self::Refused, Self::Shutdown];

    const fn index(self) -> usize {
        self as usize
    }

    /// The label in metrics and JSON logs.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::BufferFull => "buffer_full",
            Self::Refused => "refused",
            Self::Shutdown => "shutdown",
        }
    }
}

/// Most different error codes that are kept apart; a service that invents more must not grow our memory.
const MAX_CODES: usize = 32;

/// Longest error code that is kept, in characters.
const MAX_CODE_CHARS: usize = 64;

/// The label of codes beyond [`MAX_CODES`].
const OTHER_CODE: &str = "Other";

/// A code as a label: the service's word as far as it is one, `None` where it gave none.
fn code_label(code: Option<&str>) -> String {
    let word: String = code
        .unwrap_or_default()
        .chars()
        .filter(char::is_ascii_alphanumeric)
        .take(MAX_CODE_CHARS)
        .collect();
    if word.is_empty() { "None".to_owned() } else { word }
}

/// The counters; shared by all stages, lock-free on the way of the data.
#[derive(Debug, Default)]
pub struct Ledger {
    received: AtomicU64,
    sent: AtomicU64,
    // A mutex, because the service's codes are no closed list; it is touched only when segments were not processed.
    unprocessed: Mutex<BTreeMap<String, u64>>,
    replaced_utf8: AtomicU64,
    rejected: [AtomicU64; RejectReason::ALL.len()],
    dropped: [AtomicU64; DropReason::ALL.len()],
    active: AtomicBool,
    activity: Notify,
}

impl Ledger {
    /// `n` datagrams came in, accepted or not.
    pub fn add_received(&self, n: u64) {
        self.received.fetch_add(n, Relaxed);
        // Read first: it is nearly always true, and a plain read does not take the cache line away from others.
        if !self.active.load(Relaxed) && !self.active.swap(true, Relaxed) {
            self.activity.notify_one();
        }
    }

    /// Returns when something was received since the last time it returned. For one caller.
    pub async fn activity(&self) {
        self.activity.notified().await;
        self.active.store(false, Relaxed);
    }

    /// A datagram was refused.
    pub fn add_rejected(&self, reason: RejectReason) {
        self.rejected[reason.index()].fetch_add(1, Relaxed);
    }

    /// The service took `n` documents.
    pub fn add_sent(&self, n: u64) {
        self.sent.fetch_add(n, Relaxed);
    }

    /// The service named a document of an answered call as unprocessed, for this error code.
    pub fn add_unprocessed(&self, code: Option<&str>) {
        let code = code_label(code);
        let mut codes = self.unprocessed.lock().unwrap_or_else(PoisonError::into_inner);
        let known = codes.len() < MAX_CODES || codes.contains_key(&code);
        *codes
            .entry(if known { code } else { OTHER_CODE.to_owned() })
            .or_default() += 1;
    }

    /// The documents that the service did not process, by its error code.
    #[must_use]
    pub fn unprocessed_by_code(&self) -> BTreeMap<String, u64> {
        self.unprocessed
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// `n` accepted documents are lost.
    pub fn add_dropped(&self, reason: DropReason, n: u64) {
        self.dropped[reason.index()].fetch_add(n, Relaxed);
    }

    /// `n` documents had bytes that are not UTF-8, replaced by U+FFFD.
    pub fn add_replaced_utf8(&self, n: u64) {
        if n > 0 {
            self.replaced_utf8.fetch_add(n, Relaxed);
        }
    }

    /// The counts now. Each is exact; together they are only at a quiet moment.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        Snapshot {
            received: self.received.load(Relaxed),
            sent: self.sent.load(Relaxed),
            unprocessed: self.unprocessed_by_code().values().sum(),
            replaced_utf8: self.replaced_utf8.load(Relaxed),
            rejected: std::array::from_fn(|i| self.rejected[i].load(Relaxed)),
            dropped: std::array::from_fn(|i| self.dropped[i].load(Relaxed)),
        }
    }
}

/// The counts of one moment, in documents.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Snapshot {
    /// Datagrams that came in; empty ones do not count, as with the official daemon.
    pub received: u64,
    /// Documents the service took.
    pub sent: u64,
    /// Documents the service named as unprocessed.
    pub unprocessed: u64,
    /// Documents in which bytes were replaced by U+FFFD.
    pub replaced_utf8: u64,
    rejected: [u64; RejectReason::ALL.len()],
    dropped: [u64; DropReason::ALL.len()],
}

impl Snapshot {
    /// Datagrams refused for `reason`.
    #[must_use]
    pub fn rejected(&self, reason: RejectReason) -> u64 {
        self.rejected[reason.index()]
    }

    /// Documents lost for `reason`.
    #[must_use]
    pub fn dropped(&self, reason: DropReason) -> u64 {
        self.dropped[reason.index()]
    }

    /// Datagrams refused, all reasons.
    #[must_use]
    pub fn rejected_total(&self) -> u64 {
        self.rejected.iter().sum()
    }

    /// Documents lost, all reasons.
    #[must_use]
    pub fn dropped_total(&self) -> u64 {
        self.dropped.iter().sum()
    }

    /// What came since `before`.
    #[must_use]
    pub fn since(&self, before: &Self) -> Self {
        Self {
            received: self.received.saturating_sub(before.received),
            sent: self.sent.saturating_sub(before.sent),
            unprocessed: self.unprocessed.saturating_sub(before.unprocessed),
            replaced_utf8: self.replaced_utf8.saturating_sub(before.replaced_utf8),
            rejected: std::array::from_fn(|i| self.rejected[i].saturating_sub(before.rejected[i])),
            dropped: std::array::from_fn(|i| self.dropped[i].saturating_sub(before.dropped[i])),
        }
    }

    /// Documents accepted and not settled yet.
    #[must_use]
    pub fn pending(&self) -> u64 {
        self.received
            .saturating_sub(self.sent + self.unprocessed + self.rejected_total() + self.dropped_total())
    }
}
