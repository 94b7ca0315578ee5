//! One validated [`Config`] from flags over cfg.yaml over defaults.
//!
//! Nothing here opens a socket or asks AWS. Files are read through [`Files`] and variables through
//! [`Environment`], both passed in, so that tests need neither a file system nor the process environment.
//!
//! What is wrong is an error that names its flag or its file and line, and says what to do; what the official daemon
//! runs with, but not as its user will expect, is a warning in [`Config::warnings`].

mod address;
mod buffer;
mod environment;
mod file;
pub(crate) mod files;
mod flags;
mod format;
pub(crate) mod golang;
mod load;
mod log;
pub mod otlp;
mod over;
mod report;
mod scalar;
mod sdks;
mod services;
pub(crate) mod shown;
mod spool;
pub mod tcp;
pub(crate) mod text;
mod udp;
pub mod url;
pub(crate) mod user;
mod warning;
mod xray;
mod yaml;

pub(crate) use address::DEFAULT_SOURCE;
pub use buffer::BufferConfig;
pub use environment::Environment;
pub use files::{Files, SystemFiles};
pub use flags::Flags;
pub use format::LogFormat;
pub use load::{load, load_with_settings, load_with_sources};
pub use log::{LogConfig, LogLevel};
pub use otlp::OtlpConfig;
pub use report::ConfigError;
pub use sdks::{DEFAULT_SDK_ADDRESS, SdkAddresses, sdk_addresses};
pub use shown::Setting;
pub use spool::SpoolConfig;
pub use tcp::TcpConfig;
pub use udp::UdpConfig;
pub use warning::Warning;
pub(crate) use warning::in_words;
pub use xray::{DEFAULT_CALL_TIMEOUT, DEFAULT_CONNECT_TIMEOUT, XRayConfig};

use report::Report;

use std::path::PathBuf;
use std::time::Duration;

/// A setting and the place it came from, for error messages and the log (`flag -n`, `cfg.yaml line 4 (Region)`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sourced<T> {
    /// The setting.
    pub value: T,
    /// Where it was set, in words that a person can act on.
    pub source: String,
}

/// Everything a run needs, checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// Where datagrams are received.
    pub udp: UdpConfig,
    /// The TCP port.
    pub tcp: TcpConfig,
    /// How much may wait in memory.
    pub buffer: BufferConfig,
    /// Where segments wait that memory has no room for; `None`: nowhere.
    pub spool: Option<SpoolConfig>,
    /// OTLP, in and out; `None`: nothing of it.
    pub otlp: Option<OtlpConfig>,
    /// X-Ray, and the way to it.
    pub xray: XRayConfig,
    /// The log.
    pub log: LogConfig,
    /// `--shutdown-timeout`: the bound on draining, at most one hour. Default 8 s.
    pub shutdown_timeout: Duration,
    /// The configuration file that was read: `-c`, or the first of the default locations that exists.
    pub config_file: Option<PathBuf>,
    /// What the user should know, to be logged at Warn once logging works.
    pub warnings: Vec<Warning>,
}
