//! The counters of one content.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use super::reasons::DropReason;

/// What became of one content at one destination.
#[derive(Debug, Default)]
pub struct Account {
    pub(super) accepted: AtomicU64,
    pub(super) recovered: AtomicU64,
    pub(super) spooled: AtomicU64,
    pub(super) sent: AtomicU64,
    pub(super) dropped: [AtomicU64; DropReason::ALL.len()],
}

impl Account {
    /// `n` of an earlier process were found in the spool, where they are.
    pub fn add_recovered(&self, n: u64) {
        self.recovered.fetch_add(n, Relaxed);
        self.spooled.fetch_add(n, Relaxed);
    }

    /// `n` wait on disk, and not in memory any more.
    pub fn add_spooled(&self, n: u64) {
        self.spooled.fetch_add(n, Relaxed);
    }

    /// `n` on disk were taken into memory, or lost there.
    pub fn sub_spooled(&self, n: u64) {
        self.spooled.fetch_sub(n, Relaxed);
    }

    /// The service took `n`.
    pub fn add_sent(&self, n: u64) {
        self.sent.fetch_add(n, Relaxed);
    }

    /// `n` that were accepted are lost, or not for this destination.
    pub fn add_dropped(&self, reason: DropReason, n: u64) {
        self.dropped[reason.index()].fetch_add(n, Relaxed);
    }
}
