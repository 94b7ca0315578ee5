//! The memory that segments wait in.

use super::file::FileSettings;
use super::{Flags, Report, Sourced};

/// The least buffer memory, in MB, as in the official daemon.
const MIN_MB: u64 = 3;

/// The most buffer memory, in MB: 1 TiB. Beyond it somebody wrote bytes.
const MAX_MB: u64 = 1024 * 1024;

/// How much may wait in memory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BufferConfig {
    /// `-m`, `TotalBufferSizeMB` in MB (2^20 bytes), from 3 to 1,048,576; `None`: decided by
    /// [`crate::pipeline::budget`].
    pub memory_mb: Option<u64>,
}

impl BufferConfig {
    pub(super) fn of(flags: &Flags, file: &FileSettings, report: &mut Report) -> Self {
        let setting = flags.buffer_memory_mb.as_ref().or(file.buffer_memory_mb.as_ref());
        Self {
            memory_mb: memory_mb(setting, report),
        }
    }
}

/// Zero and below mean the default, as in the official daemon.
fn memory_mb(setting: Option<&Sourced<i64>>, report: &mut Report) -> Option<u64> {
    let setting = setting.filter(|sourced| sourced.value > 0)?;
    let Sourced { value, source } = setting;
    let value = value.unsigned_abs();
    if value < MIN_MB {
        report.problem(format!(
            "Not enough Buffers Memory Allocated. Min Buffers Memory required: 3 MB. {source} is {value}: write 3 or \
             more, or leave it out for the default."
        ));
        return None;
    }
    if value > MAX_MB {
        report.problem(format!(
            "{source}: {value} MB is more than {MAX_MB} MB (1 TiB). The value is in MB, not in bytes."
        ));
        return None;
    }
    Some(value)
}
