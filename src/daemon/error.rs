//! Why a daemon does not start.

use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use crate::aws::region::RegionError;
use crate::config::Sourced;
use crate::config::text::quoted;
use crate::logs;
use crate::net::client::SettingError;
use crate::net::listen::BindError;

/// Most characters of a path in an error.
const SHOWN_PATH_CHARS: usize = 500;

/// Threads of a daemon without a spool: one each that sends, that receives, that writes the log and that looks names up.
const THREADS: usize = 4;

/// Why the daemon did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// An address can't be listened on.
    #[error(transparent)]
    Bind(BindError),
    /// The system refuses a thread, of which this says what it does.
    #[error(
        "The system refuses the thread that {0}: {1}. The daemon needs {THREADS} threads, and one more with a spool: \
         allow it more (--pids-limit of a container, TasksMax of a service, ulimit -u)"
    )]
    Thread(&'static str, io::Error),
    /// The system refuses a socket or a runtime.
    #[error("The system refuses what the daemon needs to run: {0}")]
    System(io::Error),
    /// No region was found.
    #[error(transparent)]
    Region(RegionError),
    /// What goes to the OTLP endpoint would come back, for ever.
    #[error(
        "{}: {} is this daemon itself, which listens on {listener}. Write the address of the program that is to get the data",
        .endpoint.source,
        quoted(&.endpoint.value)
    )]
    Loop {
        /// The endpoint.
        endpoint: Sourced<String>,
        /// The port that it leads to.
        listener: SocketAddr,
    },
    /// Endpoint, proxy or certificates can't be used.
    #[error(transparent)]
    Aws(SettingError),
    /// The spool's directory can't be used.
    #[error(
        "Cannot use the spool {} ({}): {}; give a directory that this user may write to, or leave it out",
        logs::sanitize(.0.value.to_string_lossy().as_bytes(), SHOWN_PATH_CHARS),
        .0.source,
        .1
    )]
    Spool(Sourced<PathBuf>, io::Error),
}

impl StartError {
    /// Says it in the log, with what it names.
    pub fn say(&self) {
        let shown = |path: &Path| logs::sanitize(path.to_string_lossy().as_bytes(), SHOWN_PATH_CHARS);
        let ca_bundle = "AWS_CA_BUNDLE".to_owned();
        let (mut address, mut path, mut source, mut value) = (None, None, None, None);
        let reason = match self {
            Self::Bind(error) => {
                address = Some(&error.address().value);
                source = Some(&error.address().source);
                error.reason().to_string()
            }
            Self::Thread(_, error) | Self::System(error) => error.to_string(),
            Self::Region(RegionError::Invalid {
                value: region,
                source: set_at,
            }) => {
                (value, source) = (Some(region), Some(set_at));
                "not a region".to_owned()
            }
            Self::Region(error @ RegionError::NotFound { .. }) => error.to_string(),
            Self::Loop { endpoint, listener } => {
                (value, source) = (Some(&endpoint.value), Some(&endpoint.source));
                format!("this daemon itself, which listens on {listener}")
            }
            Self::Aws(
                SettingError::Endpoint {
                    source: set_at,
                    reason,
                }
                | SettingError::Proxy {
                    source: set_at,
                    reason,
                },
            ) => {
                source = Some(set_at);
                reason.clone()
            }
            Self::Aws(SettingError::CaBundle { path: file, reason }) => {
                (path, source) = (Some(shown(file)), Some(&ca_bundle));
                reason.clone()
            }
            Self::Aws(SettingError::CertificateFile {
                source: set_at,
                path: file,
                reason,
            }) => {
                (path, source) = (Some(shown(file)), Some(set_at));
                reason.clone()
            }
            Self::Spool(directory, error) => {
                (path, source) = (Some(shown(&directory.value)), Some(&directory.source));
                error.to_string()
            }
        };
        let path = path.as_deref();
        tracing::error!(address, path, source, value, error = reason, "{self}");
    }
}
