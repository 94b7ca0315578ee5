//! What the worker and its log lines are given.

use std::time::Duration;

/// How long a disk that refused is left alone.
pub const RETRY: Duration = Duration::from_secs(10);

/// What a worker needs to know.
#[derive(Debug, Clone)]
pub(super) struct WorkerConfig {
    /// The directory, as it may be shown in the log.
    pub(super) shown: String,
    /// What its files may take up.
    pub(super) limit_bytes: u64,
}
