//! Flags over cfg.yaml over defaults, checked.

use std::io;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::file::{self, FileSettings, default_locations};
use super::{
    Config, ConfigError, DEFAULT_CALL_TIMEOUT, DEFAULT_CONNECT_TIMEOUT, Environment, Files, Flags, LogConfig,
    LogLevel, Report, Sourced, address, tcp, url, waiting,
};
use crate::config::text::{bare, nearest, quoted};

/// Where both ports listen by default, as in the official daemon.
const DEFAULT_ADDRESS: &str = "127.0.0.1:2000";

/// The default of `--shutdown-timeout`: under the 10 s after which Docker kills.
const DEFAULT_SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(8);

/// The least buffer memory, in MB, as in the official daemon.
const MIN_BUFFER_MB: u64 = 3;

/// The most buffer memory, in MB: 1 TiB. Beyond it somebody wrote bytes.
const MAX_BUFFER_MB: u64 = 1024 * 1024;

/// The most calls in flight: each costs a connection, and no account is allowed so many.
const MAX_CONCURRENCY: usize = 1_000;

/// The names of log levels, for messages.
const LEVELS: [&str; 6] = ["dev", "debug", "info", "warn", "error", "prod"];

/// The configuration of a run: flags over the configuration file over defaults.
///
/// The file is the one that `-c` names, or else the first default location that exists; with `-c` the default
/// locations are not looked at, so a broken file there cannot be in the way.
///
/// # Errors
/// Everything that is wrong with the file and with the settings that count.
pub fn load(flags: &Flags, env: &Environment, files: &dyn Files) -> Result<Config, ConfigError> {
    let mut report = Report {
        warnings: flags.warnings.clone(),
        ..Report::default()
    };
    let (config_file, file) = read_file(flags, files, &mut report);
    let config = merge(flags, config_file, file, &mut report);
    for variable in ["XRAY_DAEMON_CPU_PROFILE", "XRAY_DAEMON_MEMORY_PROFILE"] {
        if env.get(variable).is_some() {
            report.warning(format!(
                "{variable} has no effect: there is no profile to switch on."
            ));
        }
    }
    if report.problems.is_empty() {
        let warnings = report.warnings;
        Ok(Config { warnings, ..config })
    } else {
        let problems = report.problems;
        Err(ConfigError::of(problems))
    }
}

fn read_file(flags: &Flags, files: &dyn Files, report: &mut Report) -> (Option<PathBuf>, FileSettings) {
    let named = flags
        .config_file
        .as_ref()
        .map(|sourced| sourced.value.clone())
        .filter(|path| !path.as_os_str().is_empty());
    let strict = named.is_some();
    let candidates = named.map_or_else(|| default_locations().to_vec(), |path| vec![path]);
    for path in candidates {
        let shown = bare(&path.to_string_lossy());
        match files.read(&path) {
            Ok(bytes) => {
                let settings = file::read(&shown, &bytes, strict, report);
                return (Some(path), settings);
            }
            // A default location that is not there is no setting; any other failure hides a file that is.
            Err(error) if !strict && is_missing(&error) => {}
            Err(error) => {
                let reason = reason(&error);
                let remedy = if strict {
                    "Check the path after -c"
                } else {
                    "Make it readable, or name another file with -c"
                };
                report.problem(format!(
                    "Error occur when using config flag: open {shown}: {reason}. {remedy}."
                ));
                return (Some(path), FileSettings::default());
            }
        }
    }
    (None, FileSettings::default())
}

fn is_missing(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
    )
}

/// In the words of the official daemon where it is a usual one.
fn reason(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::NotFound => "no such file or directory".to_owned(),
        io::ErrorKind::IsADirectory => "is a directory".to_owned(),
        io::ErrorKind::PermissionDenied => "permission denied".to_owned(),
        _ => bare(&error.to_string()),
    }
}

fn merge(flags: &Flags, config_file: Option<PathBuf>, file: FileSettings, report: &mut Report) -> Config {
    let flags = flags.clone();
    if let Some(no_verify) = file.no_verify_ssl.as_ref().filter(|sourced| sourced.value) {
        let source = &no_verify.source;
        report.warning(format!(
            "{source}: TLS certificates are NOT checked, so anyone on the way can read the segments and answer for AWS. \
             For a private CA set AWS_CA_BUNDLE instead."
        ));
    }
    Config {
        udp_address: listen_address(flags.udp_address, file.udp_address, report),
        tcp_address: listen_address(flags.tcp_address, file.tcp_address, report),
        buffer_memory_mb: buffer_memory(flags.buffer_memory_mb.or(file.buffer_memory_mb), report),
        concurrency: concurrency(file.concurrency, report),
        // Checked by `crate::aws`, with the regions from other sources.
        region: text_setting(flags.region, file.region),
        endpoint: report.checked(file.endpoint, |text| url::endpoint(text)),
        local_mode: switch(flags.local_mode, file.local_mode),
        resource_arn: text_setting(flags.resource_arn, file.resource_arn).map(|sourced| sourced.value),
        role_arn: role_arn(text_setting(flags.role_arn, file.role_arn), report),
        no_verify_ssl: file.no_verify_ssl.is_some_and(|sourced| sourced.value),
        proxy_address: report.checked(text_setting(flags.proxy_address, file.proxy_address), |text| {
            url::proxy(text)
        }),
        connect_timeout: waiting::timeout(
            flags.connect_timeout,
            file.connect_timeout_s,
            DEFAULT_CONNECT_TIMEOUT,
            report,
        ),
        call_timeout: waiting::timeout(
            flags.call_timeout,
            file.call_timeout_s,
            DEFAULT_CALL_TIMEOUT,
            report,
        ),
        spool: waiting::spool(
            (flags.spool_directory, flags.spool_size_mb),
            (file.spool_path, file.spool_size_mb),
            report,
        ),
        shutdown_timeout: flags.shutdown_timeout.unwrap_or(DEFAULT_SHUTDOWN_TIMEOUT),
        log: LogConfig {
            level: log_level(flags.log_level, file.log_level, report),
            format: flags.log_format.unwrap_or_default(),
            file: flags
                .log_file
                .map(|sourced| sourced.value)
                .or(file.log_path.map(|sourced| PathBuf::from(sourced.value)))
                .filter(|path| path != Path::new("")),
            rotation: file.log_rotation.is_none_or(|sourced| sourced.value),
        },
        no_tcp: switch(flags.no_tcp, file.no_tcp),
        proxy_allow: proxy_allow(flags.proxy_allow, file.proxy_allow, report),
        allow_host: list(flags.allow_host, file.allow_host, report, |name| {
            tcp::allowed_host(name)
        }),
        no_telemetry: switch(flags.no_telemetry, file.no_telemetry),
        config_file,
        warnings: Vec::new(),
    }
}

fn switch(flag: Option<bool>, file: Option<Sourced<bool>>) -> bool {
    flag.or(file.map(|sourced| sourced.value)).unwrap_or_default()
}

/// Those of the flags and those of the file, each once.
fn list(
    flags: Vec<Sourced<String>>,
    file: Vec<Sourced<String>>,
    report: &mut Report,
    check: impl Fn(&str) -> Result<String, String>,
) -> Vec<String> {
    let mut values = Vec::new();
    for setting in flags.into_iter().chain(file) {
        let checked = report.checked(text_setting(Some(setting), None), |text| {
            check(text).map_err(|reason| format!("{} {reason}", quoted(text)))
        });
        values.extend(
            checked
                .map(|sourced| sourced.value)
                .filter(|value| !values.contains(value)),
        );
    }
    values
}

fn proxy_allow(flags: Vec<Sourced<String>>, file: Vec<Sourced<String>>, report: &mut Report) -> Vec<String> {
    let paths = list(flags, file, report, tcp::proxy_path);
    if !paths.is_empty() {
        report.warning(format!(
            "Whoever reaches the TCP port can make calls with this daemon's AWS credentials on: {} (--proxy-allow).",
            paths.join(", ")
        ));
    }
    paths
}

/// The flag over the file; an empty flag takes the file's value back, as in the official daemon.
fn text_setting(flag: Option<Sourced<String>>, file: Option<Sourced<String>>) -> Option<Sourced<String>> {
    flag.or(file).filter(|sourced| !sourced.value.is_empty())
}

/// An empty `-b` or `-t` (an unset variable in a script) counts as not given: Go would listen on a random port, or on
/// port 80, where no SDK sends.
fn listen_address(
    flag: Option<Sourced<String>>,
    file: Option<Sourced<String>>,
    report: &mut Report,
) -> Sourced<String> {
    let default = || Sourced {
        value: DEFAULT_ADDRESS.to_owned(),
        source: "default".to_owned(),
    };
    let empty_flag = flag
        .as_ref()
        .filter(|sourced| sourced.value.is_empty())
        .map(|sourced| sourced.source.clone());
    let setting = flag
        .filter(|sourced| !sourced.value.is_empty())
        .or(file)
        .unwrap_or_else(default);
    if let Some(source) = empty_flag {
        let used = quoted(&setting.value);
        report.warning(format!(
            "{source} is empty and counts as not given: using {used}."
        ));
    }
    report
        .checked(Some(setting), |address| {
            address::check_listen(address).map(|()| address.clone())
        })
        .unwrap_or_else(default)
}

/// Zero and below mean the default, as in the official daemon.
fn buffer_memory(setting: Option<Sourced<i64>>, report: &mut Report) -> Option<u64> {
    let setting = setting.filter(|sourced| sourced.value > 0)?;
    let Sourced { value, source } = &setting;
    let value = value.unsigned_abs();
    if value < MIN_BUFFER_MB {
        report.problem(format!(
            "Not enough Buffers Memory Allocated. Min Buffers Memory required: 3 MB. {source} is {value}: write 3 or \
             more, or leave it out for the default."
        ));
        return None;
    }
    if value > MAX_BUFFER_MB {
        report.problem(format!(
            "{source}: {value} MB is more than {MAX_BUFFER_MB} MB (1 TiB). The value is in MB, not in bytes."
        ));
        return None;
    }
    Some(value)
}

fn concurrency(setting: Option<Sourced<i64>>, report: &mut Report) -> Option<NonZeroUsize> {
    let Sourced { value, source } = setting?;
    if value < 0 {
        report.problem(format!(
            "{source}: {value} calls at a time send nothing. Write 1 or more, or 0 for the default."
        ));
        return None;
    }
    let wanted = usize::try_from(value).unwrap_or(usize::MAX);
    if wanted > MAX_CONCURRENCY {
        report.warning(format!(
            "{source}: {value} calls at a time are too many; using {MAX_CONCURRENCY}."
        ));
    }
    NonZeroUsize::new(wanted.min(MAX_CONCURRENCY))
}

fn role_arn(setting: Option<Sourced<String>>, report: &mut Report) -> Option<Sourced<String>> {
    let setting = setting?;
    let Sourced { value, source } = &setting;
    if !(value.starts_with("arn:") && value.contains(":role/")) {
        report.warning(format!(
            "{source}: {} does not look like the ARN of a role (arn:aws:iam::123456789012:role/name).",
            quoted(value)
        ));
    }
    Some(setting)
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

/// The flag, else the file, else the default; a level that there is not, or an empty one, is passed over.
fn log_level(flag: Option<Sourced<String>>, file: Option<Sourced<String>>, report: &mut Report) -> LogLevel {
    let mut unknown = Vec::new();
    let mut found = None;
    for setting in [flag, file].into_iter().flatten() {
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
        let meant = nearest(&value, LEVELS).map_or_else(String::new, |near| format!(" Did you mean {near}?"));
        report.warning(format!(
            "{source}: {} is no log level; using {name}. The levels are {}.{meant}",
            quoted(&value),
            LEVELS.join(", ")
        ));
    }
    level
}
