//! What the process is told by signals.
//!
//! | signal | what it does | the official daemon |
//! |---|---|---|
//! | SIGTERM, SIGINT | drain and end; a second one ends at once | drain and end; a second one changes nothing |
//! | SIGQUIT | as SIGTERM | ends with a stack dump, losing what it holds |
//! | SIGHUP | with a log file: open it anew; else as SIGTERM | ends at once, losing what it holds |

use std::future::Future;
use std::io;

use tokio::sync::watch;

/// What stops a daemon.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Stop {
    /// Nothing yet.
    #[default]
    Run,
    /// Take what the kernel holds, send what there is within the shutdown timeout, end.
    Drain,
    /// End at once.
    Now,
}

/// Listens from the moment of the call; the future passes signals on to `stop` for ever.
///
/// # Errors
/// When the system refuses a handler.
#[cfg(unix)]
pub fn listen(
    stop: watch::Sender<Stop>,
    reopen_log: Option<Box<dyn Fn() + Send>>,
) -> io::Result<impl Future<Output = ()> + Send + 'static> {
    use tokio::signal::unix::{SignalKind, signal};

    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut quit = signal(SignalKind::quit())?;
    let mut hangup = signal(SignalKind::hangup())?;
    Ok(async move {
        loop {
            let name = tokio::select! {
                _ = terminate.recv() => "terminated",
                _ = interrupt.recv() => "interrupt",
                _ = quit.recv() => "quit",
                _ = hangup.recv() => match &reopen_log {
                    Some(reopen) => {
                        reopen();
                        tracing::info!("Got hangup signal: log file opened anew");
                        continue;
                    }
                    None => "hangup",
                },
            };
            stop_further(&stop, name);
        }
    })
}

/// Listens for Ctrl-C, the only signal that every platform has.
///
/// # Errors
/// None on this platform.
#[cfg(not(unix))]
pub fn listen(
    stop: watch::Sender<Stop>,
    reopen_log: Option<Box<dyn Fn() + Send>>,
) -> io::Result<impl Future<Output = ()> + Send + 'static> {
    drop(reopen_log);
    Ok(async move {
        while tokio::signal::ctrl_c().await.is_ok() {
            stop_further(&stop, "interrupt");
        }
    })
}

fn stop_further(stop: &watch::Sender<Stop>, name: &str) {
    stop.send_modify(|stop| {
        if *stop == Stop::Run {
            tracing::info!("Got shutdown signal: {name}");
            *stop = Stop::Drain;
        } else {
            tracing::warn!("Got a second shutdown signal: {name}; ending at once");
            *stop = Stop::Now;
        }
    });
}
