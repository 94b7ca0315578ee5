//! Why a daemon does not start.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;

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
