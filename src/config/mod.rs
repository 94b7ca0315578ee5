//! One validated [`Config`] from flags over cfg.yaml over defaults.
//!
//! Nothing here opens a socket or asks AWS. Files are read through [`Files`] and variables through
//! [`Environment`], both passed in, so that tests need neither a file system nor the process environment.
//!
//! What is wrong is an error that names its flag or its file and line, and says what to do; what the official daemon
//! runs with, but not as its user will expect, is a warning in [`Config::warnings`].

mod address;
mod disk;
mod file;
mod flags;
pub(crate) mod golang;
mod load;
mod report;
mod scalar;
pub mod tcp;
pub(crate) mod text;
pub mod url;
pub mod waiting;
mod yaml;

pub use disk::Disk;
pub use flags::Flags;
pub use load::load;
pub use report::ConfigError;

use report::Report;

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The environment variables a run sees; passed in, never read from the process by the library.
#[derive(Debug, Clone, Default)]
pub struct Environment(pub BTreeMap<String, String>);

impl Environment {
    /// The variables of this process. Values that are not UTF-8 are replaced lossily.
    #[must_use]
    pub fn of_process() -> Self {
        Self(
            std::env::vars_os()
                .map(|(name, value)| {
                    (
                        name.to_string_lossy().into_owned(),
                        value.to_string_lossy().into_owned(),
                    )
                })
                .collect(),
        )
    }

    /// The value of `name`; an empty value counts as unset, as the AWS SDKs treat it.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0
            .get(name)
            .map(String::as_str)
            .filter(|value| !value.is_empty())
    }
}

/// Reads configuration files; a trait so that tests pass texts.
pub trait Files {
    /// The bytes of the file at `path`.
    ///
    /// # Errors
    /// What the file system says.
    fn read(&self, path: &Path) -> std::io::Result<Vec<u8>>;
}

/// A setting and the place it came from, for error messages and the log (`flag -n`, `cfg.yaml line 4 (Region)`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sourced<T> {
    /// The setting.
    pub value: T,
    /// Where it was set, in words that a person can act on.
    pub source: String,
}

/// How log lines are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LogFormat {
    /// The official daemon's lines: `2026-11-21T01:02:03Z [Info] text`.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

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

/// The spool.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SpoolConfig {
    /// `--spool-dir`, `Spool.Path`: the directory, made when it is not there.
    pub directory: Sourced<PathBuf>,
    /// `--spool-size`, `Spool.SizeMB`: what its files may take up, in MB (2^20 bytes), from
    /// [`waiting::MIN_SPOOL_MB`] to 1,048,576. Default [`waiting::DEFAULT_SPOOL_MB`].
    pub size_mb: u64,
}

/// The default of `--connect-timeout`: a connection within a region takes milliseconds; a lost packet costs one second,
/// two in a row three.
pub const DEFAULT_CONNECT_TIMEOUT: Duration = Duration::from_secs(3);

/// The default of `--call-timeout`: an endpoint that takes 10 s is slow, not down, and cutting it off would send the same
/// segments again. (The official daemon cuts after 2 s.)
pub const DEFAULT_CALL_TIMEOUT: Duration = Duration::from_secs(15);

/// Everything a run needs, checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// `-b`, `Socket.UDPAddress`; `host:port` as written: a name, an IPv4 address, an IPv6 address in brackets or
    /// nothing (every address), and a port, where 0 or nothing lets the system choose. Default `127.0.0.1:2000`.
    pub udp_address: Sourced<String>,
    /// `-t`, `Socket.TCPAddress`; in the same forms. Default `127.0.0.1:2000`.
    pub tcp_address: Sourced<String>,
    /// `-m`, `TotalBufferSizeMB` in MB (2^20 bytes), from 3 to 1,048,576; `None`: decided by [`crate::pipeline::budget`].
    pub buffer_memory_mb: Option<u64>,
    /// `Concurrency`: the most calls in flight, at most 1,000; `None`: the sender decides.
    pub concurrency: Option<NonZeroUsize>,
    /// `-n`, `Region`, as written: [`crate::aws`] checks it, and finds one where there is none.
    pub region: Option<Sourced<String>>,
    /// `Endpoint`: absolute `http://` or `https://` URL, path kept, no trailing slash, as [`url::endpoint`] writes it.
    pub endpoint: Option<Sourced<String>>,
    /// `-o`, `LocalMode`: no EC2 or ECS metadata for the region.
    pub local_mode: bool,
    /// `-a`, `ResourceARN`: for telemetry records.
    pub resource_arn: Option<String>,
    /// `-r`, `RoleARN`: assumed over the default credentials.
    pub role_arn: Option<Sourced<String>>,
    /// `NoVerifySSL`: TLS certificates are not checked.
    pub no_verify_ssl: bool,
    /// `-p`, `ProxyAddress`: URL of an HTTP proxy, over HTTPS_PROXY, as [`url::proxy`] writes it. May hold a password:
    /// show it with [`url::without_password`].
    pub proxy_address: Option<Sourced<String>>,
    /// `--connect-timeout`, `ConnectTimeoutSeconds`: the bound on a connection to the service, at most one hour.
    /// Default [`DEFAULT_CONNECT_TIMEOUT`].
    pub connect_timeout: Duration,
    /// `--call-timeout`, `CallTimeoutSeconds`: the bound on one call from credentials to the end of the answer, at most
    /// one hour. Default [`DEFAULT_CALL_TIMEOUT`].
    pub call_timeout: Duration,
    /// `--spool-dir`, `Spool.Path`: where segments wait that memory has no room for; `None`: nowhere.
    pub spool: Option<SpoolConfig>,
    /// `--shutdown-timeout`: the bound on draining, at most one hour. Default 8 s.
    pub shutdown_timeout: Duration,
    /// `--no-tcp`, `NoTCP`: the TCP port stays closed: no sampling, no health, no metrics.
    pub no_tcp: bool,
    /// `--proxy-allow`, `ProxyAllow`: paths of the X-Ray API that are forwarded besides those of sampling, as
    /// [`tcp::proxy_path`] writes them.
    pub proxy_allow: Vec<String>,
    /// `--allow-host`, `AllowHost`: names by which the TCP port may be called besides those that are safe anyway, as
    /// [`tcp::allowed_host`] writes them.
    pub allow_host: Vec<String>,
    /// `--no-telemetry`, `NoTelemetry`: no PutTelemetryRecords.
    pub no_telemetry: bool,
    /// The log.
    pub log: LogConfig,
    /// The configuration file that was read: `-c`, or the first of the default locations that exists.
    pub config_file: Option<PathBuf>,
    /// What the user should know, to be logged at Warn once logging works.
    pub warnings: Vec<String>,
}
