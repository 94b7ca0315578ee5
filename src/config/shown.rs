//! The settings of a run as a table: each by the name of its flag or of its key, its value, and the place it comes from.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::file::FileSettings;
use super::otlp::{OtlpConfig, OtlpEndpoint, RequestForm, SpansForXRay, Targets};
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
    let (spool, otlp) = (config.spool.as_ref(), config.otlp.as_ref());
    let proxy = xray.proxy_address.as_ref();
    let path =
        |path: Option<&Path>, none: &str| path.map_or(none.to_owned(), |path| path.display().to_string());
    let mut lines = vec![
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
    ];
    lines.extend(otlp_lines(flags, file, otlp));
    lines
}

/// The settings of OTLP; those of its endpoint only when there is one.
fn otlp_lines(flags: &Flags, file: &FileSettings, otlp: Option<&OtlpConfig>) -> Vec<Line> {
    let listen: Vec<String> = otlp
        .map(|otlp| otlp.listen.iter().map(|address| address.value.clone()).collect())
        .unwrap_or_default();
    // Those of flags and variables stand over those of the file, and not beside them.
    let listen_sources = if flags.otlp_listen.iter().any(|given| !given.value.is_empty()) {
        flags.otlp_listen.as_slice()
    } else {
        file.otlp_listen.as_slice()
    };
    let endpoint = otlp.and_then(|otlp| otlp.endpoint.as_ref());
    let origins = otlp.map(|otlp| otlp.allow_origin.as_slice()).unwrap_or_default();
    let first = |list: &'_ [Sourced<String>]| list.first().map(|setting| setting.source.clone());
    let targets = |targets: Option<Targets>| targets.unwrap_or(Targets::XRAY).to_string();
    let mut lines = vec![
        list("otlp-listen", &listen, listen_sources, &[]),
        list(
            "otlp-allow-origin",
            origins,
            &flags.otlp_allow_origin,
            &file.otlp_allow_origin,
        ),
        line(
            "otlp-endpoint",
            endpoint.map_or("none", |endpoint| endpoint.base.value.as_str()),
            [from(&flags.otlp_endpoint), from(&file.otlp_endpoint)],
        ),
        line(
            "segments-to",
            targets(otlp.map(OtlpConfig::segments_to)),
            [from(&flags.segments_to), first(&file.segments_to).as_ref()],
        ),
        line(
            "spans-to",
            targets(otlp.map(OtlpConfig::spans_to)),
            [from(&flags.spans_to), first(&file.spans_to).as_ref()],
        ),
        line(
            "OTLP.XRay",
            match otlp.map(OtlpConfig::spans_for_xray).unwrap_or_default() {
                SpansForXRay::Segments => "segments",
                SpansForXRay::Otlp => "otlp",
            },
            [from(&flags.otlp_xray), from(&file.otlp_xray)],
        ),
    ];
    let Some(endpoint) = endpoint else { return lines };
    let path = |path: &Option<Sourced<PathBuf>>| {
        let text = path.as_ref().map(|path| path.value.display().to_string());
        (text.unwrap_or_else(|| "none".to_owned()), from(path).cloned())
    };
    lines.extend([
        by_signal("OTLP.Headers", endpoint, |form| {
            let names = form.headers.names();
            let value = if names.is_empty() {
                "none".to_owned()
            } else {
                format!("{} (values hidden)", names.join(", "))
            };
            (value, form.headers_source.clone())
        }),
        by_signal("OTLP.Compression", endpoint, |form| {
            let compression = &form.compression;
            (
                compression.value.label().to_owned(),
                Some(compression.source.clone()),
            )
        }),
        line(
            "OTLP.ServiceName",
            text(&endpoint.service_name, "none"),
            [from(&endpoint.service_name), None],
        ),
        by_signal("OTEL_EXPORTER_OTLP_TIMEOUT", endpoint, |form| {
            (seconds(form.timeout.value), Some(form.timeout.source.clone()))
        }),
        by_signal("OTEL_EXPORTER_OTLP_CERTIFICATE", endpoint, |form| {
            path(&form.certificate)
        }),
        by_signal("OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE", endpoint, |form| {
            path(&form.client.as_ref().map(|client| client.certificate.clone()))
        }),
        by_signal("OTEL_EXPORTER_OTLP_CLIENT_KEY", endpoint, |form| {
            path(&form.client.as_ref().map(|client| client.key.clone()))
        }),
    ]);
    lines
}

/// A setting that each signal may have in another way: once where they agree.
fn by_signal(
    name: &'static str,
    endpoint: &OtlpEndpoint,
    of: impl Fn(&RequestForm) -> (String, Option<String>),
) -> Line {
    let [traces, metrics, logs] = endpoint.forms().map(of);
    let mut sources: Vec<String> = [&traces, &metrics, &logs]
        .into_iter()
        .filter_map(|(_, source)| source.clone())
        .collect();
    sources.dedup();
    let value = if traces.0 == metrics.0 && traces.0 == logs.0 {
        traces.0
    } else {
        format!("traces {}; metrics {}; logs {}", traces.0, metrics.0, logs.0)
    };
    let source = (!sources.is_empty()).then(|| sources.join(", "));
    line(name, value, [source.as_ref(), None])
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
