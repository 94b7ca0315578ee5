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

mod source;

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use aws_credential_types::Credentials;
use aws_credential_types::provider::error::CredentialsError;
use aws_credential_types::provider::{ProvideCredentials, future};
use tokio::time::Instant;

pub(crate) use self::source::CredentialsSource;

/// How long before their expiry credentials are replaced. EC2 and ECS offer new ones at least this early.
const REFRESH_BEFORE_EXPIRY: Duration = Duration::from_secs(5 * 60);

/// How often that is tried while the old ones serve. The sources may give the same ones again for a while.
const REFRESH_PAUSE: Duration = Duration::from_secs(30);

/// Credentials this close to their expiry are not used: the request could arrive after it.
const UNUSABLE_BEFORE_EXPIRY: Duration = Duration::from_secs(10);

/// Why there are no credentials: one line, without secrets.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(crate) struct CredentialsFailure(pub(crate) String);

/// Credentials and the words for where they come from.
#[derive(Debug, Clone)]
pub(crate) struct Found {
    pub(crate) credentials: Credentials,
    pub(crate) description: String,
}

/// The shared credentials. Cheap to clone.
#[derive(Clone)]
pub(crate) struct CachedCredentials {
    shared: Arc<Cache>,
}

struct Cache {
    source: CredentialsSource,
    state: Mutex<State>,
    /// Held while the chain runs, so that it runs once however many calls wait for it.
    loading: tokio::sync::Mutex<()>,
}

#[derive(Debug, Default)]
struct State {
    found: Option<Found>,
    last_attempt: Option<Instant>,
    last_failure: Option<CredentialsFailure>,
}

/// What to do for a call that needs credentials.
#[derive(Debug)]
enum Plan {
    Use(Found),
    UseAndRefresh(Found),
    Load,
    Fail(CredentialsFailure),
}

impl State {
    fn plan(&self, now: Instant, wall_clock: SystemTime, pause: Duration) -> Plan {
        let since_attempt = self.last_attempt.map(|at| now.saturating_duration_since(at));
        if let Some(found) = &self.found {
            let Some(expiry) = found.credentials.expiry() else {
                return Plan::Use(found.clone());
            };
            // Zero once expired.
            let left = expiry.duration_since(wall_clock).unwrap_or_default();
            if left > REFRESH_BEFORE_EXPIRY {
                return Plan::Use(found.clone());
            }
            if left > UNUSABLE_BEFORE_EXPIRY {
                return match since_attempt {
                    Some(since) if since < REFRESH_PAUSE => Plan::Use(found.clone()),
                    _ => Plan::UseAndRefresh(found.clone()),
                };
            }
        }
        match since_attempt {
            Some(since) if since < pause => Plan::Fail(self.last_failure.clone().unwrap_or_else(|| {
                CredentialsFailure(
                    "the credentials have expired, and their source gives no new ones".to_owned(),
                )
            })),
            _ => Plan::Load,
        }
    }

    fn settle(&mut self, loaded: Result<Found, CredentialsFailure>, now: Instant) {
        self.last_attempt = Some(now);
        match loaded {
            Ok(found) => {
                self.found = Some(found);
                self.last_failure = None;
            }
            // What was found before stays: it may have minutes left.
            Err(failure) => self.last_failure = Some(failure),
        }
    }
}

impl CachedCredentials {
    pub(crate) fn new(source: CredentialsSource) -> Self {
        Self {
            shared: Arc::new(Cache {
                source,
                state: Mutex::default(),
                loading: tokio::sync::Mutex::default(),
            }),
        }
    }

    /// Credentials that are good now; loads them if need be.
    ///
    /// # Errors
    /// Why there are none. Asked again within a short pause, the answer is the same without asking the sources.
    pub(crate) async fn get(&self) -> Result<Found, CredentialsFailure> {
        match self.plan() {
            Plan::Use(found) => Ok(found),
            Plan::UseAndRefresh(old) => match self.shared.loading.try_lock() {
                Ok(_loading) => Ok(self.load().await.unwrap_or(old)),
                // Somebody is at it.
                Err(_) => Ok(old),
            },
            Plan::Fail(failure) => Err(failure),
            Plan::Load => {
                let _loading = self.shared.loading.lock().await;
                // Another call may have loaded, or failed to, while this one waited.
                match self.plan() {
                    Plan::Use(found) | Plan::UseAndRefresh(found) => Ok(found),
                    Plan::Fail(failure) => Err(failure),
                    Plan::Load => self.load().await,
                }
            }
        }
    }

    /// The service does not take these keys (expired, unknown): read the sources again at the next call, unless they
    /// were read within the pause.
    #[expect(clippy::disallowed_methods, reason = "credentials expire")]
    pub(crate) fn replace(&self) {
        let pause = self.shared.source.limits.credentials_pause;
        let mut state = self.state();
        if state.last_attempt.is_none_or(|at| at.elapsed() >= pause) {
            state.found = None;
        }
    }

    #[expect(clippy::disallowed_methods, reason = "credentials expire")]
    fn plan(&self) -> Plan {
        let pause = self.shared.source.limits.credentials_pause;
        self.state().plan(Instant::now(), SystemTime::now(), pause)
    }

    /// Runs the chain; the caller holds `loading`.
    #[expect(clippy::disallowed_methods, reason = "credentials expire")]
    async fn load(&self) -> Result<Found, CredentialsFailure> {
        let limit = self.shared.source.limits.credentials_timeout;
        let loaded = tokio::time::timeout(limit, Box::pin(self.shared.source.load()))
            .await
            .unwrap_or_else(|_| {
                Err(CredentialsFailure(format!(
                    "the sources of AWS credentials did not answer within {} s",
                    limit.as_secs_f32()
                )))
            });
        self.state().settle(loaded.clone(), Instant::now());
        loaded
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.shared.state.lock().unwrap_or_else(PoisonError::into_inner)
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
                Ok(found) => Ok(found.credentials),
                Err(failure) => Err(CredentialsError::provider_error(failure)),
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAUSE: Duration = Duration::from_secs(5);

    fn found(expires_in: Option<u64>, wall_clock: SystemTime) -> Found {
        let expiry = expires_in.map(|seconds| wall_clock + Duration::from_secs(seconds));
        Found {
            credentials: Credentials::new("AKID", "secret", None, expiry, "test"),
            description: "test".to_owned(),
        }
    }

    fn plan_for(expires_in: Option<u64>, seconds_since_attempt: u64) -> Plan {
        let wall_clock = SystemTime::now();
        let start = Instant::now();
        let mut state = State::default();
        state.settle(Ok(found(expires_in, wall_clock)), start);
        state.plan(
            start + Duration::from_secs(seconds_since_attempt),
            wall_clock,
            PAUSE,
        )
    }

    #[test]
    fn credentials_without_expiry_are_kept() {
        assert!(matches!(plan_for(None, 1_000_000), Plan::Use(_)));
    }

    #[test]
    fn credentials_are_refreshed_five_minutes_ahead_and_every_thirty_seconds_at_most() {
        assert!(matches!(plan_for(Some(301), 1000), Plan::Use(_)));
        assert!(matches!(plan_for(Some(300), 30), Plan::UseAndRefresh(_)));
        assert!(matches!(plan_for(Some(300), 29), Plan::Use(_)));
        assert!(matches!(plan_for(Some(11), 30), Plan::UseAndRefresh(_)));
    }

    #[test]
    fn expired_credentials_are_loaded_again_after_the_pause() {
        assert!(matches!(plan_for(Some(10), 5), Plan::Load));
        assert!(matches!(plan_for(Some(0), 5), Plan::Load));
        match plan_for(Some(0), 4) {
            Plan::Fail(failure) => assert!(failure.0.contains("expired"), "{failure}"),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_failure_is_repeated_within_the_pause_and_then_tried_again() {
        let start = Instant::now();
        let mut state = State::default();
        assert!(matches!(state.plan(start, SystemTime::now(), PAUSE), Plan::Load));
        state.settle(Err(CredentialsFailure("none".to_owned())), start);
        match state.plan(start + Duration::from_millis(4_999), SystemTime::now(), PAUSE) {
            Plan::Fail(failure) => assert_eq!(failure.0, "none"),
            other => panic!("{other:?}"),
        }
        assert!(matches!(
            state.plan(start + PAUSE, SystemTime::now(), PAUSE),
            Plan::Load
        ));
    }

    #[test]
    fn a_failed_refresh_leaves_the_old_credentials_in_use() {
        let wall_clock = SystemTime::now();
        let start = Instant::now();
        let mut state = State::default();
        state.settle(Ok(found(Some(200), wall_clock)), start);
        state.settle(Err(CredentialsFailure("STS is down".to_owned())), start);
        assert!(matches!(state.plan(start, wall_clock, PAUSE), Plan::Use(_)));
        let later = start + REFRESH_PAUSE;
        assert!(matches!(
            state.plan(later, wall_clock, PAUSE),
            Plan::UseAndRefresh(_)
        ));
    }
}
