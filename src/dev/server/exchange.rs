//! What all connections of a double share: state, faults, settings.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use tokio::sync::watch;

use crate::dev::faults::Faults;
use crate::dev::sigv4::Verifier;
use crate::dev::state::State;

/// The time of day, as the double sees it.
pub type Clock = Arc<dyn Fn() -> SystemTime + Send + Sync>;

/// What is done about signatures.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SignatureCheck {
    /// A request that AWS would refuse is refused.
    Enforced,
    /// It is recorded as refused, and answered.
    Noted,
    /// Nothing is checked: for load.
    Off,
}

/// What all connections share.
pub(in crate::dev) struct Exchange {
    state: Mutex<State>,
    changed: watch::Sender<u64>,
    frozen: watch::Sender<bool>,
    pub(in crate::dev) faults: Faults,
    pub(in crate::dev) settings: Settings,
}

/// What does not change while the double lives.
pub(in crate::dev) struct Settings {
    pub(in crate::dev) verifier: Verifier,
    pub(in crate::dev) signatures: SignatureCheck,
    pub(in crate::dev) base_path: String,
    pub(in crate::dev) max_body_bytes: usize,
    pub(in crate::dev) clock: Clock,
}

impl Exchange {
    pub(in crate::dev) fn new(state: State, settings: Settings) -> Self {
        Self {
            state: Mutex::new(state),
            changed: watch::Sender::new(0),
            frozen: watch::Sender::new(false),
            faults: Faults::new(),
            settings,
        }
    }

    pub(in crate::dev) fn look<R>(&self, at: impl FnOnce(&State) -> R) -> R {
        at(&self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Changes the state and wakes who waits for a change.
    pub(in crate::dev) fn change<R>(&self, with: impl FnOnce(&mut State) -> R) -> R {
        let result = with(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner));
        self.changed.send_modify(|changes| *changes += 1);
        result
    }

    pub(in crate::dev) fn changes(&self) -> watch::Receiver<u64> {
        self.changed.subscribe()
    }

    pub(in crate::dev) fn set_frozen(&self, frozen: bool) {
        self.frozen.send_replace(frozen);
    }

    pub(in crate::dev) fn now(&self) -> SystemTime {
        (self.settings.clock)()
    }

    /// Returns when no freeze is on.
    pub(super) async fn thawed(&self) {
        let mut frozen = self.frozen.subscribe();
        // An error would mean that the sender, which we hold, is gone.
        let _thawed = frozen.wait_for(|frozen| !*frozen).await;
    }
}
