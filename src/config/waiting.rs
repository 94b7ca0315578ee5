//! The settings of the spool and of time-outs, checked.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::{Report, Sourced, SpoolConfig};

/// Bytes that files may take up when `--spool-size` does not say: 17 minutes of 1,000 segments of 1 KB a second.
pub const DEFAULT_SPOOL_MB: u64 = 1024;

/// The least size: room for a dozen of the largest batches.
pub const MIN_SPOOL_MB: u64 = 16;

/// The most MB of a spool: 1 TiB. Beyond it somebody wrote bytes.
const MAX_SIZE_MB: u64 = 1024 * 1024;

/// The longest time-out, as for flags.
const MAX_TIMEOUT_S: i64 = 3600;

/// The spool, if there is to be one; an empty flag takes the file's back.
pub(super) fn spool(
    flags: (Option<Sourced<PathBuf>>, Option<Sourced<i64>>),
    file: (Option<Sourced<String>>, Option<Sourced<i64>>),
    report: &mut Report,
) -> Option<SpoolConfig> {
    let file_directory = file.0.map(|sourced| Sourced {
        value: PathBuf::from(sourced.value),
        source: sourced.source,
    });
    let size = flags.1.or(file.1);
    let directory = flags
        .0
        .or(file_directory)
        .filter(|sourced| sourced.value != Path::new(""));
    let Some(directory) = directory else {
        if let Some(Sourced { source, .. }) = size {
            report.warning(format!(
                "{source} has no effect without a spool: set --spool-dir, or Path in the section Spool."
            ));
        }
        return None;
    };
    Some(SpoolConfig {
        directory,
        size_mb: size_mb(size, report).unwrap_or(DEFAULT_SPOOL_MB),
    })
}

fn size_mb(size: Option<Sourced<i64>>, report: &mut Report) -> Option<u64> {
    let Sourced { value, source } = size?;
    match u64::try_from(value) {
        Ok(size_mb) if (MIN_SPOOL_MB..=MAX_SIZE_MB).contains(&size_mb) => Some(size_mb),
        Ok(size_mb) if size_mb > MAX_SIZE_MB => {
            report.problem(format!(
                "{source}: {value} MB is more than {MAX_SIZE_MB} MB (1 TiB). The value is in MB, not in bytes."
            ));
            None
        }
        _ => {
            report.problem(format!(
                "{source} is {value}: a spool has {MIN_SPOOL_MB} MB or more. Leave it out for {DEFAULT_SPOOL_MB} MB."
            ));
            None
        }
    }
}

/// A time-out: the flag, else the file's seconds, else `default`.
pub(super) fn timeout(
    flag: Option<Sourced<Duration>>,
    file_seconds: Option<Sourced<i64>>,
    default: Duration,
    report: &mut Report,
) -> Duration {
    let setting = match (flag, file_seconds) {
        (Some(flag), _) => flag,
        (None, None) => return default,
        (None, Some(Sourced { value, source })) => {
            let Ok(seconds) = u64::try_from(value.min(MAX_TIMEOUT_S + 1)) else {
                report.problem(format!("{source} is {value}: write seconds, 1 or more."));
                return default;
            };
            Sourced {
                value: Duration::from_secs(seconds),
                source,
            }
        }
    };
    let Sourced { value, source } = setting;
    if value.is_zero() || value > Duration::from_secs(MAX_TIMEOUT_S.unsigned_abs()) {
        report.problem(format!(
            "{source}: a time-out is longer than nothing and one hour at most. Leave it out for {} s.",
            default.as_secs()
        ));
        return default;
    }
    value
}
