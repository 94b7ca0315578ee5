//! The one task that loads credentials, for everybody and on nobody's time.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use tokio::sync::{Notify, watch};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout};

use super::state::{Plan, State};
use super::{CredentialsFailure, CredentialsSource, Found};

/// What the task and those who need credentials share.
pub(super) struct Shared {
    pub(super) source: CredentialsSource,
    state: Mutex<State>,
    /// Somebody needs new ones.
    wanted: Notify,
}

impl Shared {
    pub(super) fn new(source: CredentialsSource) -> Self {
        Self {
            source,
            state: Mutex::default(),
            wanted: Notify::new(),
        }
    }

    /// What to do for whoever needs credentials now.
    #[expect(clippy::disallowed_methods, reason = "credentials expire")]
    pub(super) fn plan(&self) -> Plan {
        let pause = self.source.limits.credentials_pause;
        self.state().plan(Instant::now(), SystemTime::now(), pause)
    }

    /// Has the task load, unless it does already.
    pub(super) fn want(&self) {
        self.wanted.notify_one();
    }

    pub(super) fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Runs the chain.
    #[expect(clippy::disallowed_methods, reason = "credentials expire")]
    async fn load(&self) {
        let limit = self.source.limits.credentials_timeout;
        let loaded: Result<Found, _> =
            timeout(limit, Box::pin(self.source.load()))
                .await
                .unwrap_or_else(|_| {
                    Err(CredentialsFailure(format!(
                        "the sources of AWS credentials did not answer within {} s",
                        limit.as_secs_f32()
                    )))
                });
        if let Err(failure) = &loaded {
            tracing::debug!(error = %failure, "Loading AWS credentials failed with: {failure}");
        }
        self.state().settle(loaded, Instant::now());
    }

    /// Waits until a load may be due: for somebody, or ahead of the expiry.
    #[expect(clippy::disallowed_methods, reason = "credentials expire")]
    async fn due(&self) {
        let refresh_in = self.state().refresh_in(Instant::now(), SystemTime::now());
        let ahead = async {
            match refresh_in {
                Some(time) => sleep(time).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = self.wanted.notified() => {}
            () = ahead => {}
        }
    }
}

/// The task; it ends with this.
pub(super) struct Keeper {
    task: JoinHandle<()>,
    /// Changes with the end of each load.
    pub(super) loads: watch::Receiver<()>,
}

impl Keeper {
    /// Starts the task on this runtime.
    pub(super) fn start(shared: Arc<Shared>) -> Self {
        let (ended, loads) = watch::channel(());
        let task = tokio::spawn(async move {
            loop {
                shared.due().await;
                if let Plan::Load | Plan::UseAndRefresh(_) = shared.plan() {
                    shared.load().await;
                    ended.send_replace(());
                }
            }
        });
        Self { task, loads }
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        self.task.abort();
    }
}
