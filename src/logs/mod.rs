//! The log: the official daemon's line form, JSON lines, files with rotation, rate-limited repeats.
//!
//! # Line forms
//!
//! Text, to stdout or to the file of `-f`; UTC, whole seconds, levels `Trace Debug Info Warn Error`:
//!
//! ```text
//! 2026-11-21T01:02:03Z [Info] Successfully sent batch of 50 segments (0.123 seconds)
//! ```
//!
//! JSON (`--log-format json`), one object a line:
//!
//! | member | value |
//! |---|---|
//! | `timestamp` | RFC 3339 in UTC with milliseconds, `2026-11-21T01:02:03.004Z` |
//! | `level` | `trace`, `debug`, `info`, `warn` or `error` |
//! | `dependency` | the crate that speaks, only when it is not this one |
//! | `message` | the text of the text form |
//! | others | the event's fields, by their names at the call site, numbers as numbers |
//!
//! Where systemd's journal reads stdout, each line begins with its severity as `<6>`; the journal takes that off.
//!
//! A message says everything by itself, so the text form leaves the fields out (save for messages of dependencies).
//!
//! # What never gets into a log
//!
//! Control characters, line separators, bidirectional marks: they are escaped in both forms, so one event is one
//! line and no datagram can forge another. Segments and credentials: of dependencies only errors are
//! written, from `debug` on warnings, and never more, since below that the AWS SDK logs requests and answers.
//!
//! # Who writes
//!
//! Those who log render the line and put it into a queue bounded in bytes; a thread writes it. So a reader of the
//! log that is stuck, or a disk that is slow, never holds up the receiver: lines that do not fit are dropped, counted
//! and told (`7 log lines were dropped here: …`), and so are lines that could not be written. The thread sleeps while
//! there is nothing to write.
//!
//! A closed stdout does not end the daemon: the runtime ignores SIGPIPE, and the failed write is counted.

mod file;
mod format;
mod layer;
mod queue;
mod repeats;
mod sanitize;
mod sink;
#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;

pub use file::open_for_appending;
pub use repeats::{LineBudget, Reminder, Tally, more};
pub use sanitize::{sanitize, sanitize_lines};

use crate::config::{LogConfig, LogFormat, LogLevel};
use file::{LogFile, ROTATE_BYTES};
use format::{Form, Record};
use layer::LineLayer;
use queue::Queue;
use sink::{Sink, Target};
use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::{Duration, SystemTime};
use tracing::{Dispatch, Level};
use tracing_subscriber::layer::SubscriberExt as _;

/// How much may wait for the writer: some 5,000 lines, ten seconds of a daemon under full load.
const QUEUE_BYTES: usize = 512 * 1024;

/// How long [`LogHandle`] waits at its end for a reader that does not read.
pub const SHUTDOWN_BOUND: Duration = Duration::from_millis(500);

/// Why logging could not start.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// The file of `-f` cannot be made or opened.
    #[error(
        "cannot write the log file {} (flag -f, --log-file or Logging.LogPath in the configuration file): {cause}. Give \
         a file in a directory that this user may write to, or leave it out to log to stdout.",
        sink::shown(path)
    )]
    File {
        /// The file.
        path: PathBuf,
        /// What the file system says.
        #[source]
        cause: io::Error,
    },
    /// stdout cannot be used.
    #[error("cannot log to stdout: {0}. Give a log file with -f.")]
    Stdout(#[source] io::Error),
    /// The writer's thread cannot be started.
    #[error(
        "cannot start the thread that writes the log: {0}; allow more threads (--pids-limit of a container, TasksMax of a \
         service, ulimit -u)"
    )]
    Thread(#[source] io::Error),
    /// A logger was installed before in this process.
    #[error("a logger is installed already in this process")]
    Installed,
}

/// The running log. Keep it to the end of the run: dropping it writes what waits, for [`SHUTDOWN_BOUND`] at most, and
/// nothing is written afterwards.
#[derive(Debug)]
#[must_use = "dropping the handle ends the log"]
pub struct LogHandle {
    queue: Arc<Queue>,
    failed: Arc<AtomicU64>,
    level: LogLevel,
    form: Form,
    clock: layer::Clock,
    ended: AtomicBool,
}

impl LogHandle {
    /// Opens the log file anew, behind the lines that were logged before: for SIGHUP, after another program moved the
    /// file away. Does not wait. Only when that went well, the first line of the new file is `said`, at Info; a failure
    /// becomes a line in the file opened before. Nothing to do for stdout.
    pub fn reopen(&self, said: Option<&str>) {
        let said = said.filter(|_| self.level <= LogLevel::Info).map(|said| {
            let record = Record {
                message: said.to_owned(),
                ..Record::default()
            };
            format::line(self.form, (self.clock)(), Level::INFO, &record)
        });
        self.queue.push_reopen(said);
    }

    /// Waits until everything logged so far is written, `bound` at most; `false` when it was not.
    ///
    /// Blocks the thread: not for use on a runtime that has other work.
    pub fn flush(&self, bound: Duration) -> bool {
        self.queue.flush(bound)
    }

    /// Ends the log, as dropping the handle does; `false` when some of it could not be written in time. A reader that is
    /// stuck is waited for once: nothing is left to be done for whoever calls this again, or drops the handle.
    pub fn shutdown(&self) -> bool {
        if self.ended.swap(true, Relaxed) {
            return self.flush(Duration::ZERO);
        }
        let written = self.flush(SHUTDOWN_BOUND);
        // The thread is not waited for: it may be stuck in a write, and all is written if it is not.
        self.queue.close();
        written
    }

    /// Lines that were not written, since the start: no room in the queue, or the write failed.
    #[must_use]
    pub fn lost_lines(&self) -> u64 {
        self.queue.dropped_total() + self.failed.load(Relaxed)
    }
}

impl Drop for LogHandle {
    fn drop(&mut self) {
        self.shutdown();
    }
}

/// Starts the log of the process: every `tracing` event goes through it from now on. Also makes a panic one Error
/// line with its place and writes out what waits, before the message goes to stderr as usual.
///
/// `journal_stream` is the variable JOURNAL_STREAM: where it names stdout, systemd's journal reads it, and each line there
/// begins with its severity, by which `journalctl -p` finds it.
///
/// # Errors
/// The file cannot be opened, stdout or a thread is not to be had, or a logger is installed already.
#[expect(clippy::disallowed_methods, reason = "a line says when it was written")]
pub fn init(config: &LogConfig, journal_stream: Option<&str>) -> Result<LogHandle, LogError> {
    let mut with_priority = false;
    let target = match &config.file {
        Some(path) => LogFile::open(path, config.rotation.then_some(ROTATE_BYTES))
            .map(Target::File)
            .map_err(|cause| LogError::File {
                path: path.clone(),
                cause,
            })?,
        None => {
            with_priority = journal_stream.is_some_and(is_stdout);
            Target::Stream(stdout().map_err(LogError::Stdout)?)
        }
    };
    let form = Form {
        format: config.format,
        with_priority,
    };
    let (dispatch, handle) = start(config.level, form, SystemTime::now, target, QUEUE_BYTES)?;
    tracing::dispatcher::set_global_default(dispatch).map_err(|_| LogError::Installed)?;
    log_panics(Arc::clone(&handle.queue));
    Ok(handle)
}

/// The same log into any writer, not installed: for tests, with [`tracing::dispatcher::set_default`]. `clock` gives
/// the time of each line.
///
/// # Errors
/// The thread is not to be had.
pub fn to_writer(
    level: LogLevel,
    format: LogFormat,
    clock: fn() -> SystemTime,
    writer: impl Write + Send + 'static,
) -> Result<(Dispatch, LogHandle), LogError> {
    start(
        level,
        format,
        clock,
        Target::Stream(Box::new(writer)),
        QUEUE_BYTES,
    )
}

fn start(
    level: LogLevel,
    form: impl Into<Form>,
    clock: layer::Clock,
    target: Target,
    queue_bytes: usize,
) -> Result<(Dispatch, LogHandle), LogError> {
    let form = form.into();
    let queue = Arc::new(Queue::new(queue_bytes));
    let failed = Arc::new(AtomicU64::new(0));
    let handle = LogHandle {
        queue: Arc::clone(&queue),
        failed: Arc::clone(&failed),
        level,
        form,
        clock,
        ended: AtomicBool::new(false),
    };
    let layer = LineLayer {
        level,
        form,
        clock,
        queue: Arc::clone(&queue),
    };
    std::thread::Builder::new()
        .name("log".to_owned())
        .spawn(move || Sink::new(target, form, clock, &failed).run(&queue))
        .map_err(LogError::Thread)?;
    Ok((Dispatch::new(tracing_subscriber::registry().with(layer)), handle))
}

/// stdout without the buffer of [`std::io::stdout`], which would hide how much of a line a failed write has taken.
fn stdout() -> io::Result<Box<dyn Write + Send>> {
    // On Windows a console takes text, which the standard library makes of bytes.
    #[cfg(unix)]
    {
        use std::os::fd::AsFd as _;
        let own = io::stdout().as_fd().try_clone_to_owned()?;
        Ok(Box::new(std::fs::File::from(own)))
    }
    // As above.
    #[cfg(not(unix))]
    {
        Ok(Box::new(io::stdout()))
    }
}

/// Whether stdout is what `DEVICE:INODE` names. A shell that the service starts may have sent it elsewhere.
fn is_stdout(journal_stream: &str) -> bool {
    // systemd's journal is there only.
    #[cfg(target_os = "linux")]
    {
        use std::os::fd::AsFd as _;
        use std::os::linux::fs::MetadataExt as _;
        let named = journal_stream.split_once(':');
        let named = named.and_then(|(device, inode)| Some((device.parse().ok()?, inode.parse().ok()?)));
        let own = io::stdout().as_fd().try_clone_to_owned();
        let own = own.and_then(|own| std::fs::File::from(own).metadata()).ok();
        named.is_some() && named == own.map(|own| (own.st_dev(), own.st_ino()))
    }
    // As above.
    #[cfg(not(target_os = "linux"))]
    {
        let _ = journal_stream;
        false
    }
}

/// The place only: a panic's message may quote what was being worked on.
fn log_panics(queue: Arc<Queue>) {
    let before = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        let place = panic.location().map(ToString::to_string).unwrap_or_default();
        tracing::error!(
            place,
            "Internal error at {place}; the message is on stderr. This is a bug."
        );
        queue.flush(SHUTDOWN_BOUND);
        before(panic);
    }));
}
