//! The flags of a command line, and the variables in their place, as far as they are settings.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use super::address::{hidden_address, hidden_listeners};
use super::{LogFormat, Sourced, Warning};

/// The flags that were given; `None`: not given. An empty text is kept: it goes over the file's value, as in the
/// official daemon. The sources read `flag -n`, or `XRAY_REGION` for a variable.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Flags {
    /// `-a`, `--resource-arn`.
    pub resource_arn: Option<Sourced<String>>,
    /// `-o`, `--local-mode`; `Some(false)` for `-o=false`, which goes over the file.
    pub local_mode: Option<Sourced<bool>>,
    /// `-m`, `--buffer-memory`, in MB as written: zero and below mean the default.
    pub buffer_memory_mb: Option<Sourced<i64>>,
    /// `-n`, `--region`.
    pub region: Option<Sourced<String>>,
    /// `-b`, `--bind`: the UDP address.
    pub udp_address: Option<Sourced<String>>,
    /// `-t`, `--bind-tcp`: the TCP address.
    pub tcp_address: Option<Sourced<String>>,
    /// `-r`, `--role-arn`.
    pub role_arn: Option<Sourced<String>>,
    /// `-c`, `--config`.
    pub config_file: Option<Sourced<PathBuf>>,
    /// `-f`, `--log-file`.
    pub log_file: Option<Sourced<PathBuf>>,
    /// `-l`, `--log-level`, as written.
    pub log_level: Option<Sourced<String>>,
    /// `-p`, `--proxy-address`. May hold a password.
    pub proxy_address: Option<Sourced<String>>,
    /// `--log-format`.
    pub log_format: Option<Sourced<LogFormat>>,
    /// `--connect-timeout`, at most one hour.
    pub connect_timeout: Option<Sourced<Duration>>,
    /// `--call-timeout`, at most one hour.
    pub call_timeout: Option<Sourced<Duration>>,
    /// `--spool-dir`.
    pub spool_directory: Option<Sourced<PathBuf>>,
    /// `--spool-size`, in MB as written.
    pub spool_size_mb: Option<Sourced<i64>>,
    /// `--shutdown-timeout`, at most one hour.
    pub shutdown_timeout: Option<Sourced<Duration>>,
    /// `--no-tcp`.
    pub no_tcp: Option<Sourced<bool>>,
    /// `--proxy-allow`, each time it was given.
    pub proxy_allow: Vec<Sourced<String>>,
    /// `--allow-host`, each time it was given.
    pub allow_host: Vec<Sourced<String>>,
    /// `--no-telemetry`.
    pub no_telemetry: Option<Sourced<bool>>,
    /// `--otlp-listen`, each time it was given.
    pub otlp_listen: Vec<Sourced<String>>,
    /// `--otlp-allow-origin`, each time it was given.
    pub otlp_allow_origin: Vec<Sourced<String>>,
    /// `--otlp-endpoint`.
    pub otlp_endpoint: Option<Sourced<String>>,
    /// `--segments-to`, as written.
    pub segments_to: Option<Sourced<String>>,
    /// `--spans-to`, as written.
    pub spans_to: Option<Sourced<String>>,
    /// Variable `XRAY_OTLP_COMPRESSION`, as written; there is no flag.
    pub otlp_compression: Option<Sourced<String>>,
    /// Variable `XRAY_OTLP_SERVICE_NAME`; there is no flag.
    pub otlp_service_name: Option<Sourced<String>>,
    /// Variable `XRAY_OTLP_XRAY`, as written; there is no flag.
    pub otlp_xray: Option<Sourced<String>>,
    /// Variable `XRAY_ENDPOINT`; there is no flag, as in the official daemon.
    pub endpoint: Option<Sourced<String>>,
    /// Variable `XRAY_CONCURRENCY`, as written; there is no flag.
    pub concurrency: Option<Sourced<i64>>,
    /// Variable `XRAY_NO_VERIFY_SSL`; there is no flag.
    pub no_verify_ssl: Option<Sourced<bool>>,
    /// Variable `XRAY_LOG_ROTATION`; there is no flag.
    pub log_rotation: Option<Sourced<bool>>,
    /// The arguments that nobody read, as they were.
    pub ignored: Vec<OsString>,
    /// What the user should know about the command line, to be logged at Warn.
    pub warnings: Vec<Warning>,
}

impl Flags {
    /// What is given here, else there; of what may be repeated, both. An empty address counts as not given, and one that
    /// hides another is told: whoever sets a variable may not see the flags of an image's entry point.
    #[must_use]
    pub(crate) fn over(self, lower: Self) -> Self {
        let mut warnings = self.warnings;
        let mut address = |own: Option<Sourced<String>>, lower: Option<Sourced<String>>| match (own, lower) {
            (Some(own), Some(lower)) if own.value.is_empty() => Some(lower),
            (Some(own), Some(lower)) => {
                warnings.extend(hidden_address(&own, &lower));
                Some(own)
            }
            (own, lower) => own.or(lower),
        };
        let udp_address = address(self.udp_address, lower.udp_address);
        let tcp_address = address(self.tcp_address, lower.tcp_address);
        let listens = self.otlp_listen.iter().any(|given| !given.value.is_empty());
        if let (true, Some(own), Some(hidden)) =
            (listens, self.otlp_listen.first(), lower.otlp_listen.first())
        {
            warnings.push(hidden_listeners(own, hidden));
        }
        Self {
            resource_arn: self.resource_arn.or(lower.resource_arn),
            local_mode: self.local_mode.or(lower.local_mode),
            buffer_memory_mb: self.buffer_memory_mb.or(lower.buffer_memory_mb),
            region: self.region.or(lower.region),
            udp_address,
            tcp_address,
            role_arn: self.role_arn.or(lower.role_arn),
            config_file: self.config_file.or(lower.config_file),
            log_file: self.log_file.or(lower.log_file),
            log_level: self.log_level.or(lower.log_level),
            proxy_address: self.proxy_address.or(lower.proxy_address),
            log_format: self.log_format.or(lower.log_format),
            connect_timeout: self.connect_timeout.or(lower.connect_timeout),
            call_timeout: self.call_timeout.or(lower.call_timeout),
            spool_directory: self.spool_directory.or(lower.spool_directory),
            spool_size_mb: self.spool_size_mb.or(lower.spool_size_mb),
            shutdown_timeout: self.shutdown_timeout.or(lower.shutdown_timeout),
            no_tcp: self.no_tcp.or(lower.no_tcp),
            proxy_allow: [self.proxy_allow, lower.proxy_allow].concat(),
            allow_host: [self.allow_host, lower.allow_host].concat(),
            no_telemetry: self.no_telemetry.or(lower.no_telemetry),
            // As one address goes over another, and not beside it.
            otlp_listen: if listens {
                self.otlp_listen
            } else {
                lower.otlp_listen
            },
            otlp_allow_origin: [self.otlp_allow_origin, lower.otlp_allow_origin].concat(),
            otlp_endpoint: self.otlp_endpoint.or(lower.otlp_endpoint),
            segments_to: self.segments_to.or(lower.segments_to),
            spans_to: self.spans_to.or(lower.spans_to),
            otlp_compression: self.otlp_compression.or(lower.otlp_compression),
            otlp_service_name: self.otlp_service_name.or(lower.otlp_service_name),
            otlp_xray: self.otlp_xray.or(lower.otlp_xray),
            endpoint: self.endpoint.or(lower.endpoint),
            concurrency: self.concurrency.or(lower.concurrency),
            no_verify_ssl: self.no_verify_ssl.or(lower.no_verify_ssl),
            log_rotation: self.log_rotation.or(lower.log_rotation),
            ignored: self.ignored,
            warnings,
        }
    }

    /// Whether no setting was given, whatever else was on the command line.
    #[must_use]
    pub fn are_none(&self) -> bool {
        let without_remarks = Self {
            ignored: Vec::new(),
            warnings: Vec::new(),
            ..self.clone()
        };
        without_remarks == Self::default()
    }
}
