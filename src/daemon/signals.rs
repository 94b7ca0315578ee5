//! What the process is told by signals.
//!
//! | signal | what it does | the official daemon |
//! |---|---|---|
//! | SIGTERM, SIGINT | drain and end; a second one ends at once | drain and end; a second one changes nothing |
//! | SIGQUIT | as SIGTERM | ends with a stack dump, losing what it holds |
//! | SIGHUP | with a log file: open it anew; else as SIGTERM | ends at once, losing what it holds |
//!
//! Windows has no signals: Ctrl-C, Ctrl-Break, a console that closes, the end of the machine (and `docker stop`, which is told
//! to a container as that) and an order to a service are what SIGTERM is elsewhere. A log file is never opened anew there.
//!
//! A signal that was ignored when the process started stays ignored: that is how `nohup` and a shell's `&` say that it is
//! not meant for this process. Linux alone tells; elsewhere every signal is listened to.
//!
//! A second signal is a second order only [`SECOND_ORDER_AFTER`] the first: a terminal that closes sends SIGHUP twice, and
//! process managers send SIGTERM right behind the terminal's SIGINT. Nobody then means that segments may be lost.

use std::future::Future;
use std::io;
use std::time::{Duration, Instant};

use tokio::sync::watch;

// Who is told by signals can have them ignored.
#[cfg(unix)]
use super::status::Status;

/// The least time from the order to end to the one to end at once.
pub const SECOND_ORDER_AFTER: Duration = Duration::from_secs(1);

/// What is said of a SIGHUP once the log file is open anew.
pub const REOPENED: &str = "Got hangup signal: log file opened anew";

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

/// Listens from the moment of the call; the future passes signals on to `stop` for ever. `reopen_log` opens the log file
/// anew and says so with [`REOPENED`].
///
/// # Errors
/// When the system refuses a handler.
#[cfg(unix)]
#[expect(
    clippy::disallowed_methods,
    reason = "a second order counts from a second after the first"
)]
pub fn listen(
    stop: watch::Sender<Stop>,
    reopen_log: Option<Box<dyn Fn() + Send>>,
) -> io::Result<impl Future<Output = ()> + Send + 'static> {
    use tokio::signal::unix::{Signal, SignalKind, signal};

    use crate::config::SystemFiles;

    /// For ever pending for one that is not listened to.
    async fn next(signal: &mut Option<Signal>) {
        match signal {
            Some(signal) => drop(signal.recv().await),
            None => std::future::pending().await,
        }
    }

    // Before the first handler, which takes its signal out of the mask.
    let ignored = Ignored::at_start(&SystemFiles);
    let unless_ignored = |kind: SignalKind| match ignored.has(kind.as_raw_value()) {
        true => Ok(None),
        false => signal(kind).map(Some),
    };
    let mut terminate = unless_ignored(SignalKind::terminate())?;
    let mut interrupt = unless_ignored(SignalKind::interrupt())?;
    let mut quit = unless_ignored(SignalKind::quit())?;
    let mut hangup = unless_ignored(SignalKind::hangup())?;
    Ok(async move {
        let names: Vec<&str> = [
            ("SIGTERM", &terminate),
            ("SIGINT", &interrupt),
            ("SIGQUIT", &quit),
            ("SIGHUP", &hangup),
        ]
        .into_iter()
        .filter_map(|(name, signal)| signal.is_none().then_some(name))
        .collect();
        if !names.is_empty() {
            let names = names.join(", ");
            tracing::info!(
                signals = names,
                "Ignored at the start, and so ignored for good: {names}"
            );
        }
        let mut orders = Orders::default();
        loop {
            let name = tokio::select! {
                () = next(&mut terminate) => "terminated",
                () = next(&mut interrupt) => "interrupt",
                () = next(&mut quit) => "quit",
                () = next(&mut hangup) => match &reopen_log {
                    Some(reopen) => {
                        reopen();
                        continue;
                    }
                    None => "hangup",
                },
            };
            orders.pass_on(&stop, name, Instant::now());
        }
    })
}

/// Listens from the moment of the call; the future passes what Windows has for signals on to `stop` for ever.
///
/// # Errors
/// When the system refuses a handler.
#[cfg(windows)]
#[expect(
    clippy::disallowed_methods,
    reason = "a second order counts from a second after the first"
)]
pub fn listen(
    stop: watch::Sender<Stop>,
    reopen_log: Option<Box<dyn Fn() + Send>>,
) -> io::Result<impl Future<Output = ()> + Send + 'static> {
    use std::sync::atomic::Ordering;

    use tokio::signal::windows::{ctrl_break, ctrl_c, ctrl_close, ctrl_shutdown};

    // Nobody could ask for it.
    drop(reopen_log);
    // The end of the machine is told to a service twice, by the manager seconds later: that is no second order.
    let is_console = !of_service::IS_ONE.load(Ordering::SeqCst);
    let (mut interrupt, mut terminate) = (ctrl_c()?, ctrl_break()?);
    // A user who logs off is told to services too, and ends none.
    let (mut close, mut shutdown) = (ctrl_close()?, ctrl_shutdown()?);
    Ok(async move {
        let mut orders = Orders::default();
        loop {
            let name = tokio::select! {
                _ = interrupt.recv() => "interrupt",
                _ = terminate.recv() => "break",
                _ = close.recv() => "close",
                _ = shutdown.recv(), if is_console => "shutdown",
                () = of_service::ORDER.notified() => "service stop",
            };
            orders.pass_on(&stop, name, Instant::now());
        }
    })
}

/// What the manager of services has to say; set by [`super::service`], on the manager's own threads.
#[cfg(windows)]
pub(super) mod of_service {
    use std::sync::atomic::AtomicBool;

    use tokio::sync::Notify;

    /// Whether this process is a service.
    pub(in crate::daemon) static IS_ONE: AtomicBool = AtomicBool::new(false);

    /// Woken by the order to stop.
    pub(in crate::daemon) static ORDER: Notify = Notify::const_new();
}

/// The signals that the process was started with as ignored.
#[cfg(unix)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Ignored(u64);

// Windows has no signals.
#[cfg(unix)]
impl Ignored {
    /// As Linux tells; none where the system does not.
    fn at_start(files: &dyn crate::config::Files) -> Self {
        Self(Self::mask(&Status::now(files)).unwrap_or(0))
    }

    /// A hexadecimal number, its lowest bit for signal 1.
    fn mask(status: &Status) -> Option<u64> {
        u64::from_str_radix(status.value("SigIgn")?, 16).ok()
    }

    /// `signal` counts from 1.
    fn has(self, signal: i32) -> bool {
        (1..=64).contains(&signal) && self.0 & (1 << (signal - 1)) != 0
    }
}

/// What was ordered so far.
#[derive(Debug, Default)]
struct Orders {
    first_at: Option<Instant>,
}

impl Orders {
    /// A signal came at `now`.
    fn pass_on(&mut self, stop: &watch::Sender<Stop>, name: &str, now: Instant) {
        match self.first_at {
            None => {
                tracing::info!(signal = name, "Got shutdown signal: {name}");
                self.first_at = Some(now);
                stop.send_replace(Stop::Drain);
            }
            Some(first_at) if now.saturating_duration_since(first_at) < SECOND_ORDER_AFTER => {
                tracing::info!(
                    signal = name,
                    "Got shutdown signal: {name}, less than 1 s after the first, so no second order"
                );
            }
            Some(_) => {
                tracing::warn!(
                    signal = name,
                    "Got a second shutdown signal: {name}; ending at once"
                );
                stop.send_replace(Stop::Now);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_signal_is_a_second_order_from_one_second_on() {
        let (stop, stopped) = watch::channel(Stop::Run);
        let mut orders = Orders::default();
        let start = Instant::now();
        for (at_ms, expected) in [
            (0, Stop::Drain),
            (0, Stop::Drain),
            (3, Stop::Drain),
            (999, Stop::Drain),
            (1000, Stop::Now),
            (1001, Stop::Now),
        ] {
            orders.pass_on(&stop, "hangup", start + Duration::from_millis(at_ms));
            assert_eq!(*stopped.borrow(), expected, "{at_ms} ms");
        }
    }

    // Windows has no signals.
    #[cfg(unix)]
    #[test]
    fn the_ignored_signals_are_those_of_the_mask() {
        let status = b"Name:\tx\xff\nSigBlk:\t0000000000000000\nSigIgn:\t8000000000001001\nSigCgt:\tffff\n";
        let ignored = Ignored(Ignored::mask(&Status::of(status)).unwrap());
        let all: Vec<i32> = (-1..=100).filter(|&signal| ignored.has(signal)).collect();
        assert_eq!(all, [1, 13, 64]);
        for nothing in [&b""[..], b"SigIgn:", b"SigIgn:\tx\n", b"Name:\tSigIgn:\t1\n"] {
            assert_eq!(Ignored::mask(&Status::of(nothing)), None);
        }
    }

    // Windows has no signals.
    #[cfg(unix)]
    #[test]
    fn where_the_system_does_not_tell_no_signal_counts_as_ignored() {
        struct NoFiles;
        impl crate::config::Files for NoFiles {
            fn read(&self, _: &std::path::Path) -> io::Result<Vec<u8>> {
                Err(io::ErrorKind::NotFound.into())
            }
        }
        assert_eq!(Ignored::at_start(&NoFiles), Ignored(0));
    }
}
