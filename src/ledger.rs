//! What became of every document: `received = sent + rejected + dropped + unprocessed + pending`, at any quiet moment.
//!
//! Counters only go up; reasons are closed enums. One place counts each: [`crate::udp`] receives and rejects,
//! [`crate::sender`] settles the rest.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

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
    /// Every reason, in the order of [`RejectReason::index`].
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
    /// Every reason, in the order of [`DropReason::index`].
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

/// The counters; shared by all stages, lock-free.
#[derive(Debug, Default)]
pub struct Ledger {
    received: AtomicU64,
    sent: AtomicU64,
    unprocessed: AtomicU64,
    replaced_utf8: AtomicU64,
    rejected: [AtomicU64; RejectReason::ALL.len()],
    dropped: [AtomicU64; DropReason::ALL.len()],
}

impl Ledger {
    /// `n` datagrams came in, accepted or not.
    pub fn add_received(&self, n: u64) {
        self.received.fetch_add(n, Relaxed);
    }

    /// A datagram was refused.
    pub fn add_rejected(&self, reason: RejectReason) {
        self.rejected[reason.index()].fetch_add(1, Relaxed);
    }

    /// The service took `n` documents.
    pub fn add_sent(&self, n: u64) {
        self.sent.fetch_add(n, Relaxed);
    }

    /// The service named `n` documents of an answered call as unprocessed.
    pub fn add_unprocessed(&self, n: u64) {
        self.unprocessed.fetch_add(n, Relaxed);
    }

    /// `n` accepted documents are lost.
    pub fn add_dropped(&self, reason: DropReason, n: u64) {
        self.dropped[reason.index()].fetch_add(n, Relaxed);
    }

    /// A document had bytes that are not UTF-8, replaced by U+FFFD.
    pub fn add_replaced_utf8(&self) {
        self.replaced_utf8.fetch_add(1, Relaxed);
    }

    /// The counts now. Each is exact; together they are only at a quiet moment.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        Snapshot {
            received: self.received.load(Relaxed),
            sent: self.sent.load(Relaxed),
            unprocessed: self.unprocessed.load(Relaxed),
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

    /// Documents accepted and not settled yet.
    #[must_use]
    pub fn pending(&self) -> u64 {
        self.received
            .saturating_sub(self.sent + self.unprocessed + self.rejected_total() + self.dropped_total())
    }
}
