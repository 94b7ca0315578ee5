//! The counts of one moment, and what they come to.

use super::reasons::{DropReason, RejectReason};

/// The counts of one moment, in documents.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Snapshot {
    /// Datagrams, and documents over TCP, that came in; empty datagrams do not count, as with the official daemon.
    pub received: u64,
    /// Documents of an earlier process found in the spool.
    pub recovered: u64,
    /// Documents that wait on disk; not a counter.
    pub spooled: u64,
    /// Documents the service took.
    pub sent: u64,
    /// Documents the service named as unprocessed and that are not sent again.
    pub unprocessed: u64,
    /// Documents in which bytes were replaced by U+FFFD.
    pub replaced_utf8: u64,
    pub(super) rejected: [u64; RejectReason::ALL.len()],
    pub(super) dropped: [u64; DropReason::ALL.len()],
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

    /// These and `other` together.
    #[must_use]
    pub fn plus(&self, other: &Self) -> Self {
        Self {
            received: self.received + other.received,
            recovered: self.recovered + other.recovered,
            spooled: self.spooled + other.spooled,
            sent: self.sent + other.sent,
            unprocessed: self.unprocessed + other.unprocessed,
            replaced_utf8: self.replaced_utf8 + other.replaced_utf8,
            rejected: std::array::from_fn(|i| self.rejected[i] + other.rejected[i]),
            dropped: std::array::from_fn(|i| self.dropped[i] + other.dropped[i]),
        }
    }

    /// What came since `before`; what is spooled is what is now.
    #[must_use]
    pub fn since(&self, before: &Self) -> Self {
        Self {
            received: self.received.saturating_sub(before.received),
            recovered: self.recovered.saturating_sub(before.recovered),
            spooled: self.spooled,
            sent: self.sent.saturating_sub(before.sent),
            unprocessed: self.unprocessed.saturating_sub(before.unprocessed),
            replaced_utf8: self.replaced_utf8.saturating_sub(before.replaced_utf8),
            rejected: std::array::from_fn(|i| self.rejected[i].saturating_sub(before.rejected[i])),
            dropped: std::array::from_fn(|i| self.dropped[i].saturating_sub(before.dropped[i])),
        }
    }

    /// Documents in memory, accepted and not settled yet, as far as the counts tell.
    #[must_use]
    pub fn pending(&self) -> u64 {
        u64::try_from(self.remainder()).unwrap_or_default()
    }

    /// What the counts leave: documents that came and are in no other count. Less than 0 when some are in two.
    #[must_use]
    pub fn remainder(&self) -> i64 {
        let elsewhere =
            self.sent + self.unprocessed + self.rejected_total() + self.dropped_total() + self.spooled;
        // Both are far below 2^63.
        (self.received + self.recovered).cast_signed() - elsewhere.cast_signed()
    }
}
