//! The settings of a run as a table: each by the name of its flag or of its key, its value, and the place it comes from.

use std::fmt::Write as _;
use std::path::Path;
use std::time::Duration;

use super::file::FileSettings;
use super::text::bare;
use super::{Config, Environment, Flags, LogFormat, LogLevel, Sourced, log, url};

/// The source of what nobody set.
const DEFAULT: &str = "default";

/// The AWS SDKs' variables of a region, in the order in which they count.
const REGION_VARIABLES: [&str; 2] = ["AWS_REGION", "AWS_DEFAULT_REGION"];

/// The AWS SDKs' variables of an endpoint, in the order in which they count.
const ENDPOINT_VARIABLES: [&str; 2] = ["AWS_ENDPOINT_URL_XRAY", "AWS_ENDPOINT_URL"];

/// A line of the table.
pub(crate) struct Line {
    name: &'static str,
    value: String,
    source: String,
}

/// The table of `config`, which `flags` and `file` made, without passwords. Ends in a newline.
///
/// Region and endpoint may come from the AWS SDKs' variables, `env`; `default_memory_mb` is the buffer memory of a run
/// that is given none.
pub(super) fn table(
    flags: &Flags,
    file: &FileSettings,
    config: &Config,
    env: &Environment,
    default_memory_mb: u64,
) -> String {
    aligned(lines(flags, file, config, env, default_memory_mb))
}

/// Lines with their parts one below the other. Ends in a newline.
pub(crate) fn aligned(lines: Vec<Line>) -> String {
    let name_width = lines.iter().map(|line| line.name.len()).max().unwrap_or_default();
    let value_width = lines
        .iter()
        .map(|line| line.value.chars().count())
        .max()
        .unwrap_or_default();
    let mut table = String::new();
    for Line { name, value, source } in lines {
        // Writing to a String does not fail.
        let _: std::fmt::Result = writeln!(table, "{name:name_width$}  {value:value_width$}  {source}");
    }
    table
}

fn lines(
    flags: &Flags,
    file: &FileSettings,
    config: &Config,
    env: &Environment,
    default_memory_mb: u64,
) -> Vec<Line> {
    let (xray, tcp, log) = (&config.xray, &config.tcp, &config.log);
    let spool = config.spool.as_ref();
    let proxy = xray.proxy_address.as_ref();
    let path =
        |path: Option<&Path>, none: &str| path.map_or(none.to_owned(), |path| path.display().to_string());
    vec![
        line(
            "bind",
            &config.udp.address.value,
            [Some(&config.udp.address.source), None],
        ),
        line("bind-tcp", &tcp.address.value, [Some(&tcp.address.source), None]),
        line("no-tcp", tcp.closed, [from(&flags.no_tcp), from(&file.no_tcp)]),
        list(
            "proxy-allow",
            &tcp.proxy_allow,
            &flags.proxy_allow,
            &file.proxy_allow,
        ),
        list("allow-host", &tcp.allow_host, &flags.allow_host, &file.allow_host),
        line(
            "buffer-memory",
            format!("{} MB", config.buffer.memory_mb.unwrap_or(default_memory_mb)),
            [from(&flags.buffer_memory_mb), from(&file.buffer_memory_mb)],
        ),
        line(
            "Concurrency",
            xray.concurrency
                .map_or("decided by the calls".to_owned(), |calls| calls.to_string()),
            [from(&flags.concurrency), from(&file.concurrency)],
        ),
        sdk_line(
            "region",
            &xray.region,
            [from(&flags.region), from(&file.region)],
            env,
            &REGION_VARIABLES,
            "looked for at the start",
        ),
        line(
            "local-mode",
            xray.local_mode,
            [from(&flags.local_mode), from(&file.local_mode)],
        ),
        sdk_line(
            "Endpoint",
            &xray.endpoint,
            [from(&flags.endpoint), from(&file.endpoint)],
            env,
            endpoint_variables(env),
            "that of the region",
        ),
        line(
            "role-arn",
            text(&xray.role_arn, "none"),
            [from(&flags.role_arn), from(&file.role_arn)],
        ),
        line(
            "resource-arn",
            xray.resource_arn.as_deref().unwrap_or("none"),
            [from(&flags.resource_arn), from(&file.resource_arn)],
        ),
        line(
            "proxy-address",
            proxy.map_or("none".to_owned(), |proxy| url::without_password(&proxy.value)),
            [from(&flags.proxy_address), from(&file.proxy_address)],
        ),
        line(
            "NoVerifySSL",
            xray.no_verify_ssl,
            [from(&flags.no_verify_ssl), from(&file.no_verify_ssl)],
        ),
        line(
            "connect-timeout",
            seconds(xray.connect_timeout),
            [from(&flags.connect_timeout), from(&file.connect_timeout_s)],
        ),
        line(
            "call-timeout",
            seconds(xray.call_timeout),
            [from(&flags.call_timeout), from(&file.call_timeout_s)],
        ),
        line(
            "spool-dir",
            path(spool.map(|spool| spool.directory.value.as_path()), "none"),
            [from(&flags.spool_directory), from(&file.spool_path)],
        ),
        line(
            "spool-size",
            spool.map_or("none".to_owned(), |spool| format!("{} MB", spool.size_mb)),
            [from(&flags.spool_size_mb), from(&file.spool_size_mb)],
        ),
        line(
            "shutdown-timeout",
            seconds(config.shutdown_timeout),
            [from(&flags.shutdown_timeout), None],
        ),
        line("log-level", level(log.level), log::sources(flags, file)),
        line("log-format", format(log.format), [from(&flags.log_format), None]),
        line(
            "log-file",
            path(log.file.as_deref(), "stdout"),
            [from(&flags.log_file), from(&file.log_path)],
        ),
        line(
            "Logging.LogRotation",
            log.rotation,
            [from(&flags.log_rotation), from(&file.log_rotation)],
        ),
        line(
            "no-telemetry",
            xray.no_telemetry,
            [from(&flags.no_telemetry), from(&file.no_telemetry)],
        ),
        line(
            "config",
            path(config.config_file.as_deref(), "none"),
            [from(&flags.config_file), None],
        ),
    ]
}

/// The first source there is, else the default.
pub(crate) fn line(name: &'static str, value: impl ToString, sources: [Option<&String>; 2]) -> Line {
    let source = sources.into_iter().flatten().next();
    Line {
        name,
        value: bare(&value.to_string()),
        source: source.map_or(DEFAULT.to_owned(), |source| bare(source)),
    }
}

/// A setting over which stand flags and file, and below which the AWS SDKs' `variables` do; `none` without any of them.
fn sdk_line(
    name: &'static str,
    setting: &Option<Sourced<String>>,
    sources: [Option<&String>; 2],
    env: &Environment,
    variables: &[&str],
    none: &str,
) -> Line {
    let of_variable = || {
        variables.iter().find_map(|variable| {
            let value = env.get(variable)?.trim();
            (!value.is_empty()).then(|| (url::without_password(value), (*variable).to_owned()))
        })
    };
    match (setting, of_variable()) {
        (None, Some((value, source))) => line(name, value, [Some(&source), None]),
        _ => line(name, text(setting, none), sources),
    }
}

/// Where the SDKs look for an endpoint, unless they are told not to.
fn endpoint_variables(env: &Environment) -> &'static [&'static str] {
    match env.get("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS") {
        Some(ignored) if ignored.trim().eq_ignore_ascii_case("true") => &[],
        _ => &ENDPOINT_VARIABLES,
    }
}

/// What may be repeated comes from every place that has some.
pub(crate) fn list(
    name: &'static str,
    values: &[String],
    flags: &[Sourced<String>],
    file: &[Sourced<String>],
) -> Line {
    let mut sources: Vec<&str> = flags
        .iter()
        .chain(file)
        .map(|setting| setting.source.as_str())
        .collect();
    sources.dedup();
    let (value, source) = if values.is_empty() {
        ("none".to_owned(), DEFAULT.to_owned())
    } else {
        (values.join(", "), sources.join(", "))
    };
    line(name, value, [Some(&source), None])
}

/// The source of a setting that was given.
pub(crate) fn from<T>(setting: &Option<Sourced<T>>) -> Option<&String> {
    setting.as_ref().map(|setting| &setting.source)
}

fn text(setting: &Option<Sourced<String>>, none: &str) -> String {
    setting
        .as_ref()
        .map_or(none.to_owned(), |setting| setting.value.clone())
}

/// A duration as the table has it.
pub(crate) fn seconds(duration: Duration) -> String {
    format!("{} s", duration.as_secs_f64())
}

/// The name of a format that its flag takes.
pub(crate) const fn format(format: LogFormat) -> &'static str {
    match format {
        LogFormat::Text => "text",
        LogFormat::Json => "json",
    }
}

/// The name of a level that its flag takes.
pub(crate) const fn level(level: LogLevel) -> &'static str {
    match level {
        LogLevel::Trace => "dev",
        LogLevel::Debug => "debug",
        LogLevel::Info => "info",
        LogLevel::Warn => "warn",
        LogLevel::Error => "error",
    }
}
