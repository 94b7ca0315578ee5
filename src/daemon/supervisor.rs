//! What a service manager is told: that the daemon receives, that it ends, that it lives.
//!
//! systemd's protocol, sd_notify(3). It asks for it by variables of the environment: NOTIFY_SOCKET (a service of
//! `Type=notify`) and WATCHDOG_USEC (`WatchdogSec=`). Without them nothing here has an effect, and nothing wakes up.

use std::io;
use std::time::Duration;

use sd_notify::NotifyState;
use tokio::sync::watch;
use tokio::time::{MissedTickBehavior, interval};

use super::signals::Stop;

/// What the end may take beyond the shutdown timeout: what is read at a stop that was too short, and the last lines of a log
/// whose reader is stuck.
const BEYOND_TIMEOUT: Duration = Duration::from_secs(2);

/// Says that the daemon receives: who is started after it finds it there.
pub(super) fn ready() {
    tell(&[NotifyState::Ready], "that this daemon is ready");
}

/// Says at each half of the watchdog's time that the runtime of this task still turns, and, once `stop` says so, that the
/// end has begun and may take `shutdown_timeout`, however short the manager's patience is set. Never ends by itself.
pub(super) async fn keep_told(mut stop: watch::Receiver<Stop>, shutdown_timeout: Duration) {
    let ending = async {
        if stop.wait_for(|stop| *stop != Stop::Run).await.is_ok() {
            let us = (shutdown_timeout + BEYOND_TIMEOUT).as_micros();
            let extended = NotifyState::ExtendTimeoutUsec(u32::try_from(us).unwrap_or(u32::MAX));
            tell(&[NotifyState::Stopping, extended], "that this daemon ends");
        }
        std::future::pending::<()>().await;
    };
    tokio::join!(ending, watchdog(sd_notify::watchdog_enabled()));
}

async fn watchdog(within: Option<Duration>) {
    let Some(within) = within.filter(|within| !within.is_zero()) else {
        return;
    };
    let mut ticks = interval((within / 2).max(Duration::from_millis(1)));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        tell(&[NotifyState::Watchdog], "that this daemon lives");
    }
}

fn tell(states: &[NotifyState<'_>], what: &str) {
    match sd_notify::notify(states) {
        Ok(()) => {}
        // It reads slowly, and has many of these already.
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
        Err(error) => tracing::warn!(
            error = %error,
            what,
            "The service manager can't be told {what}: {error}. It may end the daemon for that; check NOTIFY_SOCKET, or \
             start without Type=notify"
        ),
    }
}
