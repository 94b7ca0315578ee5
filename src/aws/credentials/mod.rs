//! The daemon's credentials: found by the SDK's default chain, kept here, shared by every call.
//!
//! The SDK's own cache is not used, because a daemon outlives what it assumes: it would hold keys without an expiry
//! for ever and never read a profile file again, while people rotate those files under running programs. So each
//! load runs the whole chain anew, and one happens
//!
//! - when there are no credentials, or they are about to expire, but not within a pause after the last attempt, so
//!   that eight senders without credentials do not ask the metadata service eight times a second;
//! - ahead of the expiry, while the old ones still serve, so that no call waits and a short outage of STS or of the
//!   metadata service goes unnoticed;
//! - after the service said that the keys are no good (see [`CachedCredentials::replace`]).
//!
//! Loads belong to a task of their own and to no call ([`keeper`]): a call with usable keys never waits for one, a call
//! without waits as long as its own time allows, and when it gives up the load goes on, for the next.

mod keeper;
mod process;
pub(crate) mod reason;
mod source;
mod state;

use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

use aws_credential_types::Credentials;
use aws_credential_types::provider::error::CredentialsError;
use aws_credential_types::provider::{ProvideCredentials, future};
use aws_smithy_runtime_api::client::identity::Identity;
use tokio::time::{Instant, timeout};

use self::keeper::{Keeper, Shared};
pub(crate) use self::source::CredentialsSource;
use self::state::Plan;

/// Why there are no credentials: one line, without secrets.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(crate) struct CredentialsFailure(pub(crate) String);

/// Credentials and the words for where they come from. Cheap to clone: each call has its own.
#[derive(Debug, Clone)]
pub(crate) struct Found(Arc<Parts>);

/// Of [`Found`].
#[derive(Debug)]
pub(crate) struct Parts {
    pub(crate) credentials: Credentials,
    /// The same, as what signs wants them.
    pub(crate) identity: Identity,
    pub(crate) description: Arc<str>,
}

impl Found {
    pub(crate) fn new(credentials: Credentials, description: impl Into<Arc<str>>) -> Self {
        Self(Arc::new(Parts {
            identity: Identity::from(credentials.clone()),
            credentials,
            description: description.into(),
        }))
    }
}

impl Deref for Found {
    type Target = Parts;

    fn deref(&self) -> &Parts {
        &self.0
    }
}

/// The shared credentials. Cheap to clone; the task that loads them ends with the last clone.
#[derive(Clone)]
pub(crate) struct CachedCredentials {
    shared: Arc<Shared>,
    keeper: Arc<Keeper>,
}

impl CachedCredentials {
    /// Starts the task that loads them, on this runtime. It loads nothing before it is asked to.
    pub(crate) fn new(source: CredentialsSource) -> Self {
        let shared = Arc::new(Shared::new(source));
        Self {
            keeper: Arc::new(Keeper::start(Arc::clone(&shared))),
            shared,
        }
    }

    /// Credentials that are good now, if there are any.
    pub(crate) fn at_hand(&self) -> Option<Found> {
        match self.shared.plan() {
            Plan::Use(found) => Some(found),
            Plan::UseAndRefresh(found) => {
                self.shared.want();
                Some(found)
            }
            Plan::Fail(_) | Plan::Load => None,
        }
    }

    /// Credentials that are good now: at once if there are any, else after a load, however long that takes. Dropping the
    /// future leaves the load running.
    ///
    /// # Errors
    /// Why there are none. Asked again within a short pause, the answer is the same without asking the sources.
    pub(crate) async fn get(&self) -> Result<Found, CredentialsFailure> {
        let mut loads = self.keeper.loads.clone();
        loop {
            // Before the plan, so that no end is missed.
            loads.mark_unchanged();
            match self.shared.plan() {
                Plan::Use(found) => return Ok(found),
                Plan::UseAndRefresh(found) => {
                    self.shared.want();
                    return Ok(found);
                }
                Plan::Fail(failure) => return Err(failure),
                Plan::Load => self.shared.want(),
            }
            if loads.changed().await.is_err() {
                return Err(CredentialsFailure(
                    "the task that loads AWS credentials has ended".to_owned(),
                ));
            }
            // Also when it gave what is about to expire by this machine's clock: that may be wrong, and there is nothing
            // else.
            if let Some(result) = self.shared.state().last_result() {
                return result;
            }
        }
    }

    /// As [`CachedCredentials::get`], for whoever has no time limit of its own: waits as long as a person would.
    ///
    /// # Errors
    /// Why there are none, or that the search still goes on.
    pub(crate) async fn get_patiently(&self) -> Result<Found, CredentialsFailure> {
        let patience = self.shared.source.limits.credentials_patience;
        timeout(patience, self.get()).await.unwrap_or_else(|_| {
            Err(CredentialsFailure(format!(
                "the sources of AWS credentials have not answered within {} s, and are still being asked",
                patience.as_secs_f32()
            )))
        })
    }

    /// Waits until some have been found, without looking for any.
    pub(crate) async fn arrival(&self) -> Found {
        let mut loads = self.keeper.loads.clone();
        loop {
            loads.mark_unchanged();
            if let Some(found) = self.shared.state().found() {
                return found.clone();
            }
            if loads.changed().await.is_err() {
                // The end of the runtime.
                std::future::pending::<()>().await;
            }
        }
    }

    /// The service does not take these keys (expired, unknown): read the sources again at the next call, unless they
    /// were read within the pause.
    #[expect(clippy::disallowed_methods, reason = "credentials expire")]
    pub(crate) fn replace(&self) {
        let pause = self.shared.source.limits.credentials_pause;
        self.shared.state().doubt(Instant::now(), pause);
    }
}

impl fmt::Debug for CachedCredentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CachedCredentials")
    }
}

impl ProvideCredentials for CachedCredentials {
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        future::ProvideCredentials::new(async {
            match self.get().await {
                Ok(found) => Ok(found.credentials.clone()),
                Err(failure) => Err(CredentialsError::provider_error(failure)),
            }
        })
    }
}
