//! What the worker and its log lines are given.

use std::time::Duration;

/// How long a disk that refused is left alone at first; twice as long each time.
pub(super) const FIRST_RETRY: Duration = Duration::from_millis(100);

/// How long it is left alone at the most while something waits to be written: memory does not last long.
pub(super) const BUSY_RETRY: Duration = Duration::from_secs(1);

/// How long it is left alone at the most while nothing waits. A file that can't be read or removed is left alone for so
/// long at first.
pub const RETRY: Duration = Duration::from_secs(10);

/// How long a file that can't be read is left alone at the most.
pub(super) const READ_RETRY_MAX: Duration = Duration::from_secs(600);

/// What a worker needs to know.
#[derive(Debug, Clone)]
pub(super) struct WorkerConfig {
    /// The directory, as it may be shown in the log.
    pub(super) shown: String,
    /// What its files may take up.
    pub(super) limit_bytes: u64,
    /// How much memory batches that wait to be written may take up.
    pub(super) write_limit_bytes: usize,
    /// The longest body that small batches are joined to before they are written.
    pub(super) max_joined_bytes: usize,
}
