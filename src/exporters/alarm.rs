//! One timer under the time limits of all calls.
//!
//! Tokio's runtime is told through the operating system of a timer that is due before all others, even by its own thread: a
//! system call, and a wake-up for nothing. The limit of a call was such a timer whenever no other call ran, which is nearly
//! each time at low rates. A timer that is left where it is until its time has come is due before the limits of all calls
//! that start meanwhile.

use std::fmt;
use std::pin::Pin;
use std::sync::{Mutex, PoisonError};
use std::task::{Context, Waker};

use tokio::time::{Instant, Sleep, sleep_until};

/// A timer of which nobody is told. It ends one sleep of the runtime, at most once in the time limit of a call.
#[derive(Default)]
pub(crate) struct Alarm {
    set: Mutex<Option<Pin<Box<Sleep>>>>,
}

impl Alarm {
    /// Sets it for `at`, unless it is set for something that is still to come. To be called before a timer for `at` is.
    pub(crate) fn set(&self, at: Instant) {
        let mut set = self.set.lock().unwrap_or_else(PoisonError::into_inner);
        if set.as_ref().is_some_and(|sleep| !sleep.is_elapsed()) {
            return;
        }
        let mut sleep = Box::pin(sleep_until(at));
        // A timer runs from its first poll on.
        let _ = sleep.as_mut().poll(&mut Context::from_waker(Waker::noop()));
        *set = Some(sleep);
    }
}

impl fmt::Debug for Alarm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Alarm").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn set_for(alarm: &Alarm) -> Option<Instant> {
        let set = alarm.set.lock().unwrap();
        set.as_ref()
            .filter(|sleep| !sleep.is_elapsed())
            .map(|sleep| sleep.deadline())
    }

    #[tokio::test(start_paused = true)]
    async fn it_stays_where_it_is_until_it_is_due_and_is_not_set_again_by_itself() {
        let alarm = Alarm::default();
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        alarm.set(at(12));
        sleep_until(at(6)).await;
        alarm.set(at(18));
        assert_eq!(set_for(&alarm), Some(at(12)));
        sleep_until(at(13)).await;
        assert_eq!(set_for(&alarm), None);
        alarm.set(at(25));
        assert_eq!(set_for(&alarm), Some(at(25)));
    }
}
