//! What all connections of a double share: state, faults, settings.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use tokio::sync::watch;

use crate::faults::Faults;
use crate::sigv4::Verifier;
use crate::state::State;

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
pub(crate) struct Exchange {
    state: Mutex<State>,
    changed: watch::Sender<u64>,
    frozen: watch::Sender<bool>,
    pub(crate) faults: Faults,
    pub(crate) settings: Settings,
}

/// What does not change while the double lives.
pub(crate) struct Settings {
    pub(crate) verifier: Verifier,
    pub(crate) signatures: SignatureCheck,
    pub(crate) base_path: String,
    pub(crate) max_body_bytes: usize,
    pub(crate) clock: Clock,
}

impl Exchange {
    pub(crate) fn new(state: State, settings: Settings) -> Self {
        Self {
            state: Mutex::new(state),
            changed: watch::Sender::new(0),
            frozen: watch::Sender::new(false),
            faults: Faults::new(),
            settings,
        }
    }

    pub(crate) fn look<R>(&self, at: impl FnOnce(&State) -> R) -> R {
        at(&self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Changes the state and wakes who waits for a change.
    pub(crate) fn change<R>(&self, with: impl FnOnce(&mut State) -> R) -> R {
        let result = with(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner));
        self.changed.send_modify(|changes| *changes += 1);
        result
    }

    pub(crate) fn changes(&self) -> watch::Receiver<u64> {
        self.changed.subscribe()
    }

    pub(crate) fn set_frozen(&self, frozen: bool) {
        self.frozen.send_replace(frozen);
    }

    pub(crate) fn now(&self) -> SystemTime {
        (self.settings.clock)()
    }

    /// Returns when no freeze is on.
    pub(super) async fn thawed(&self) {
        let mut frozen = self.frozen.subscribe();
        // An error would mean that the sender, which we hold, is gone.
        let _thawed = frozen.wait_for(|frozen| !*frozen).await;
    }
}
