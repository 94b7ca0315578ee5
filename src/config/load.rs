//! Flags over cfg.yaml over defaults, checked.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use super::file::{self, FileSettings, default_locations};
use super::text::bare;
use super::{
    BufferConfig, Config, ConfigError, Environment, Files, Flags, LogConfig, OtlpConfig, Report, Setting,
    Sourced, SpoolConfig, TcpConfig, UdpConfig, Warning, XRayConfig, address, shown, xray,
};

/// What names a file but a variable.
const CONFIG_FLAG: &str = "flag -c";

/// The default of `--shutdown-timeout`: under the 10 s after which Docker kills.
const DEFAULT_SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(8);

/// The configuration of a run: flags over the configuration file over defaults.
///
/// The file is the one that `-c` names, or else the first default location that exists; with `-c` the default
/// locations are not looked at, so a broken file there cannot be in the way.
///
/// # Errors
/// Everything that is wrong with the file and with the settings that count.
pub fn load(flags: &Flags, env: &Environment, files: &dyn Files) -> Result<Config, ConfigError> {
    read(flags, env, files).map(|(config, _)| config)
}

/// As [`load`], with a table of the settings: of each its value, without passwords, and the place it comes from. A line
/// for each, in words for people. `default_memory_mb` is the buffer memory of a run that is given none.
///
/// # Errors
/// As [`load`].
pub fn load_with_sources(
    flags: &Flags,
    env: &Environment,
    files: &dyn Files,
    default_memory_mb: u64,
) -> Result<(Config, String), ConfigError> {
    let (config, settings) = load_with_settings(flags, env, files, default_memory_mb)?;
    Ok((config, shown::aligned(settings)))
}

/// As [`load_with_sources`], with the settings one by one.
///
/// # Errors
/// As [`load`].
pub fn load_with_settings(
    flags: &Flags,
    env: &Environment,
    files: &dyn Files,
    default_memory_mb: u64,
) -> Result<(Config, Vec<Setting>), ConfigError> {
    let (config, file) = read(flags, env, files)?;
    let settings = shown::lines(flags, &file, &config, env, default_memory_mb);
    Ok((config, settings))
}

fn read(flags: &Flags, env: &Environment, files: &dyn Files) -> Result<(Config, FileSettings), ConfigError> {
    let mut report = Report {
        warnings: flags.warnings.clone(),
        ..Report::default()
    };
    let (config_file, file) = read_file(flags, files, &mut report);
    let config = merge(flags, config_file, &file, env, files, &mut report);
    for variable in ["XRAY_DAEMON_CPU_PROFILE", "XRAY_DAEMON_MEMORY_PROFILE"] {
        if env.get(variable).is_some() {
            let text = format!("{variable} has no effect: there is no profile to switch on.");
            report.warning(Warning::at(variable, text));
        }
    }
    if report.problems.is_empty() {
        let warnings = report.warnings;
        Ok((Config { warnings, ..config }, file))
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
                let remedy = match &flags.config_file {
                    Some(Sourced { source, .. }) if strict && source == CONFIG_FLAG => {
                        "Check the path after -c".to_owned()
                    }
                    Some(Sourced { source, .. }) if strict => format!("Check the path in {source}"),
                    _ => "Make it readable, or name another file with -c".to_owned(),
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

/// The parts in the order in which a user reads what is wrong with them.
fn merge(
    flags: &Flags,
    config_file: Option<PathBuf>,
    file: &FileSettings,
    env: &Environment,
    files: &dyn Files,
    report: &mut Report,
) -> Config {
    xray::warn_of_unchecked_certificates(flags, file, report);
    let udp = UdpConfig::of(flags, file, files, report);
    let tcp_address = address::listen("tcp", &flags.tcp_address, &file.tcp_address, files, report);
    let buffer = BufferConfig::of(flags, file, report);
    let xray = XRayConfig::of(flags, file, report);
    let otlp = OtlpConfig::of(flags, file, env, files, &tcp_address, xray.call_timeout, report);
    Config {
        udp,
        buffer,
        xray,
        otlp,
        spool: SpoolConfig::of(flags, file, report),
        shutdown_timeout: flags
            .shutdown_timeout
            .as_ref()
            .map_or(DEFAULT_SHUTDOWN_TIMEOUT, |sourced| sourced.value),
        log: LogConfig::of(flags, file, report),
        tcp: TcpConfig::of(tcp_address, flags, file, report),
        config_file,
        warnings: Vec::new(),
    }
}
