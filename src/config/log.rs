//! The log.

use std::path::{Path, PathBuf};

use super::file::FileSettings;
use super::text::{nearest, quoted};
use super::{Flags, LogFormat, Report, Sourced, Warning};

/// The names of log levels, for messages.
const LEVELS: [&str; 6] = ["dev", "debug", "info", "warn", "error", "prod"];

/// Least severity that is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum LogLevel {
    /// `dev`.
    Trace,
    /// `debug`.
    Debug,
    /// `info` and `prod`, the default.
    #[default]
    Info,
    /// `warn`.
    Warn,
    /// `error`.
    Error,
}

/// Where and how to log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogConfig {
    /// `-l`, `Logging.LogLevel`.
    pub level: LogLevel,
    /// `--log-format`.
    pub format: LogFormat,
    /// `-f`, `Logging.LogPath`: a file in place of stdout.
    pub file: Option<PathBuf>,
    /// `Logging.LogRotation`: rotate the file at 50 MB, one old file kept. Default true.
    pub rotation: bool,
}

impl LogConfig {
    pub(super) fn of(flags: &Flags, file: &FileSettings, report: &mut Report) -> Self {
        let flag = flags.log_file.as_ref().map(|sourced| sourced.value.clone());
        let path = file
            .log_path
            .as_ref()
            .map(|sourced| PathBuf::from(&sourced.value));
        Self {
            level: level(flags, file, report),
            format: flags
                .log_format
                .as_ref()
                .map(|sourced| sourced.value)
                .unwrap_or_default(),
            file: flag.or(path).filter(|path| path != Path::new("")),
            rotation: flags
                .log_rotation
                .as_ref()
                .or(file.log_rotation.as_ref())
                .is_none_or(|sourced| sourced.value),
        }
    }
}

fn level_of(name: &str) -> Option<LogLevel> {
    match name.to_ascii_lowercase().as_str() {
        "dev" => Some(LogLevel::Trace),
        "debug" => Some(LogLevel::Debug),
        "info" | "prod" => Some(LogLevel::Info),
        "warn" => Some(LogLevel::Warn),
        "error" => Some(LogLevel::Error),
        _ => None,
    }
}

/// Where the level comes from: the first place with one that there is.
pub(super) fn sources<'s>(flags: &'s Flags, file: &'s FileSettings) -> [Option<&'s String>; 2] {
    [&flags.log_level, &file.log_level].map(|setting| {
        let setting = setting
            .as_ref()
            .filter(|setting| level_of(&setting.value).is_some());
        setting.map(|setting| &setting.source)
    })
}

/// The flag, else the file, else the default; a level that there is not, or an empty one, is passed over.
fn level(flags: &Flags, file: &FileSettings, report: &mut Report) -> LogLevel {
    let mut unknown = Vec::new();
    let mut found = None;
    for setting in [&flags.log_level, &file.log_level].into_iter().flatten() {
        if setting.value.is_empty() {
            continue;
        }
        if let Some(level) = level_of(&setting.value) {
            found = Some((level, setting.value.to_ascii_lowercase()));
            break;
        }
        unknown.push(setting);
    }
    let (level, name) = found.unwrap_or((LogLevel::default(), "prod".to_owned()));
    for Sourced { value, source } in unknown {
        let meant = nearest(value, LEVELS).map_or_else(String::new, |near| format!(" Did you mean {near}?"));
        let text = format!(
            "{source}: {} is no log level; using {name}. The levels are {}.{meant}",
            quoted(value),
            LEVELS.join(", ")
        );
        report.warning(Warning::at(source, text).value(value).used(&name));
    }
    level
}
