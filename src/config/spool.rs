//! The spool.

use std::path::{Path, PathBuf};

use super::file::FileSettings;
use super::{Flags, Report, Sourced, Warning};

/// Bytes that files may take up when `--spool-size` does not say: 17 minutes of 1,000 segments of 1 KB a second.
const DEFAULT_MB: u64 = 1024;

/// The least size: room for a dozen of the largest batches.
const MIN_MB: u64 = 16;

/// The most MB of a spool: 1 TiB. Beyond it somebody wrote bytes.
const MAX_MB: u64 = 1024 * 1024;

/// Where segments wait that memory has no room for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SpoolConfig {
    /// `--spool-dir`, `Spool.Path`: the directory, made when it is not there.
    pub directory: Sourced<PathBuf>,
    /// `--spool-size`, `Spool.SizeMB`: what its files may take up, in MB (2^20 bytes), from
    /// 16 to 1,048,576. Default 1024.
    pub size_mb: u64,
}

impl SpoolConfig {
    /// The spool, if there is to be one; an empty flag takes the file's back.
    pub(super) fn of(flags: &Flags, file: &FileSettings, report: &mut Report) -> Option<Self> {
        let file_directory = file.spool_path.as_ref().map(|sourced| Sourced {
            value: PathBuf::from(&sourced.value),
            source: sourced.source.clone(),
        });
        let size = flags.spool_size_mb.as_ref().or(file.spool_size_mb.as_ref());
        let directory = flags
            .spool_directory
            .clone()
            .or(file_directory)
            .filter(|sourced| sourced.value != Path::new(""));
        let Some(directory) = directory else {
            if let Some(Sourced { source, .. }) = size {
                let text = format!(
                    "{source} has no effect without a spool: set --spool-dir, or Path in the section Spool."
                );
                report.warning(Warning::at(source, text));
            }
            return None;
        };
        Some(Self {
            directory,
            size_mb: size_mb(size, report).unwrap_or(DEFAULT_MB),
        })
    }
}

fn size_mb(size: Option<&Sourced<i64>>, report: &mut Report) -> Option<u64> {
    let Sourced { value, source } = size?;
    match u64::try_from(*value) {
        Ok(size_mb) if (MIN_MB..=MAX_MB).contains(&size_mb) => Some(size_mb),
        Ok(size_mb) if size_mb > MAX_MB => {
            report.problem(format!(
                "{source}: {value} MB is more than {MAX_MB} MB (1 TiB). The value is in MB, not in bytes."
            ));
            None
        }
        _ => {
            report.problem(format!(
                "{source} is {value}: a spool has {MIN_MB} MB or more. Leave it out for {DEFAULT_MB} MB."
            ));
            None
        }
    }
}
