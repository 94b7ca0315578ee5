//! A daemon as the process: with a runtime of its own, told by signals, and its threads' priorities.

use std::io;
// For priorities of threads, which Linux alone has one by one.
#[cfg(target_os = "linux")]
use std::num::NonZeroUsize;
use std::time::Duration;

use tokio::sync::watch;

// Each system's manager is told the same by its own protocol; macOS' launchd asks for nothing.
#[cfg(windows)]
use super::service as supervisor;
use super::signals::{self, Stop};
// For filters of system calls, which are Linux' own.
#[cfg(target_os = "linux")]
use super::status::Status;
// systemd is there only.
#[cfg(target_os = "linux")]
use super::supervisor;
use super::{Daemon, StartError, threads};
use crate::config::{Config, Environment, Files, SystemFiles};

/// Runs a daemon as the process: with signals for `stop`, on a runtime of its own.
///
/// # Errors
/// As [`Daemon::bind`] and [`Daemon::run`].
pub fn run(
    config: Config,
    environment: Environment,
    reopen_log: Option<Box<dyn Fn() + Send>>,
) -> Result<Stop, StartError> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .max_blocking_threads(threads::LOOK_UPS_AT_A_TIME)
        .thread_keep_alive(threads::KEPT_FOR)
        .build()
        .map_err(StartError::System)?;
    let result = runtime.block_on(async {
        let (stop, stopped) = watch::channel(Stop::Run);
        let told = stopped.clone();
        // Before the socket: whoever sees it bound may send a signal, which must not kill what was received.
        let signals = signals::listen(stop, reopen_log).map_err(StartError::System)?;
        let signals = tokio::spawn(signals);
        threads::start_the_first(&SystemFiles)
            .await
            .map_err(|error| StartError::Thread("looks names up", error))?;
        // Where there is a manager to tell.
        #[cfg(any(target_os = "linux", windows))]
        let shutdown_timeout = config.shutdown_timeout;
        let daemon = Daemon::bind(config, environment)?;
        give_way_to_the_receiver(&SystemFiles);
        // Where there is a manager to tell.
        #[cfg(any(target_os = "linux", windows))]
        let supervisor = {
            supervisor::ready();
            tokio::spawn(supervisor::keep_told(stopped.clone(), shutdown_timeout))
        };
        // As a task: the future that a runtime blocks on is woken through the operating system, even by its own tasks, and
        // the sender is woken at the end of each call.
        let result = match tokio::spawn(daemon.run(stopped)).await {
            Ok(result) => result,
            Err(error) => Err(StartError::System(io::Error::other(error))),
        };
        signals.abort();
        // Where there is a manager to tell.
        #[cfg(any(target_os = "linux", windows))]
        supervisor.abort();
        result.map(|_| *told.borrow())
    });
    // Name look-ups run on threads that can't be cancelled; they must not hold the process.
    runtime.shutdown_timeout(Duration::ZERO);
    result
}

/// How much lower than the receiver's the priority of the sending thread is, as a nice value: it gets a third of the
/// processor when both want the same one.
#[cfg(target_os = "linux")]
const SENDER_NICE: i32 = 5;

/// Lowers the priority of this thread, which sends and serves, and of those that it starts. What is to be sent can
/// wait in memory; what is to be received waits in the kernel, where it may not fit. Needs no privilege.
///
/// A filter of system calls may answer this one by ending the process: systemd's `SystemCallFilter=~@resources` does,
/// and nothing tells beforehand. So where there is a filter it is made only if both threads must share one processor.
#[cfg(target_os = "linux")]
fn give_way_to_the_receiver(files: &dyn Files) {
    let processors = std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
    if Status::now(files).is_filtered() && processors > 1 {
        tracing::debug!(
            processors,
            "The sending thread keeps its priority: there are {processors} processors, and a filter of system calls \
             that may end the process for lowering it"
        );
        return;
    }
    // No process means the calling thread, on Linux.
    if let Err(error) = rustix::process::setpriority_process(None, SENDER_NICE) {
        tracing::debug!(error = %error, "The sending thread keeps its priority: {error}");
    }
}

/// Elsewhere a priority belongs to the whole process.
#[cfg(not(target_os = "linux"))]
fn give_way_to_the_receiver(_: &dyn Files) {}
