//! The flags of a command line, as far as they are settings.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use super::{LogFormat, Sourced};

/// The flags that were given; `None`: not given. An empty text is kept: it goes over the file's value, as in the
/// official daemon. The sources read `flag -n`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Flags {
    /// `-a`, `--resource-arn`.
    pub resource_arn: Option<Sourced<String>>,
    /// `-o`, `--local-mode`; `Some(false)` for `-o=false`, which goes over the file.
    pub local_mode: Option<bool>,
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
    pub log_format: Option<LogFormat>,
    /// `--connect-timeout`, at most one hour.
    pub connect_timeout: Option<Sourced<Duration>>,
    /// `--call-timeout`, at most one hour.
    pub call_timeout: Option<Sourced<Duration>>,
    /// `--spool-dir`.
    pub spool_directory: Option<Sourced<PathBuf>>,
    /// `--spool-size`, in MB as written.
    pub spool_size_mb: Option<Sourced<i64>>,
    /// `--shutdown-timeout`, at most one hour.
    pub shutdown_timeout: Option<Duration>,
    /// `--no-tcp`.
    pub no_tcp: Option<bool>,
    /// `--proxy-allow`, each time it was given.
    pub proxy_allow: Vec<Sourced<String>>,
    /// `--allow-host`, each time it was given.
    pub allow_host: Vec<Sourced<String>>,
    /// `--no-telemetry`.
    pub no_telemetry: Option<bool>,
    /// The arguments that nobody read, as they were.
    pub ignored: Vec<OsString>,
    /// What the user should know about the command line, to be logged at Warn.
    pub warnings: Vec<String>,
}

impl Flags {
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
