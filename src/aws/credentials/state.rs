//! What is known of the credentials, and what that means for whoever needs some: a function of times.

use std::time::{Duration, SystemTime};

use tokio::time::Instant;

use super::{CredentialsFailure, Found};

/// How long before their expiry credentials are replaced. EC2 and ECS offer new ones at least this early.
const REFRESH_BEFORE_EXPIRY: Duration = Duration::from_secs(5 * 60);

/// How often that is tried while the old ones serve: each time a tenth of what they have left has gone by, which is every
/// 30 s at first. The sources may give the same ones again for a while, and keys that are good for a minute only must not
/// run out between two attempts.
const REFRESH_SHARE: u32 = 10;

/// Credentials this close to their expiry are not used: the request could arrive after it.
const UNUSABLE_BEFORE_EXPIRY: Duration = Duration::from_secs(10);

/// What the loads gave so far.
#[derive(Debug, Default)]
pub(super) struct State {
    found: Option<Found>,
    last_attempt: Option<Instant>,
    last_failure: Option<CredentialsFailure>,
}

/// What to do for whoever needs credentials.
#[derive(Debug)]
pub(super) enum Plan {
    Use(Found),
    UseAndRefresh(Found),
    Load,
    Fail(CredentialsFailure),
}

impl State {
    /// `pause`: how long after a load that gave nothing no other is begun.
    pub(super) fn plan(&self, now: Instant, wall_clock: SystemTime, pause: Duration) -> Plan {
        let since_attempt = self.since_attempt(now);
        if let Some(found) = &self.found {
            let Some(left) = time_left(found, wall_clock) else {
                return Plan::Use(found.clone());
            };
            if left > REFRESH_BEFORE_EXPIRY {
                return Plan::Use(found.clone());
            }
            if left > UNUSABLE_BEFORE_EXPIRY {
                return match since_attempt {
                    Some(since) if since < left / REFRESH_SHARE => Plan::Use(found.clone()),
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

    /// When a refresh is due although nobody asks for credentials; `None`: not before somebody does, since there are none,
    /// they do not expire, or they are beyond use.
    pub(super) fn refresh_in(&self, now: Instant, wall_clock: SystemTime) -> Option<Duration> {
        let left = time_left(self.found.as_ref()?, wall_clock)?;
        if left > REFRESH_BEFORE_EXPIRY {
            return Some(left - REFRESH_BEFORE_EXPIRY);
        }
        let since_attempt = self.since_attempt(now).unwrap_or(Duration::MAX);
        (left > UNUSABLE_BEFORE_EXPIRY).then(|| (left / REFRESH_SHARE).saturating_sub(since_attempt))
    }

    /// A load is over.
    pub(super) fn settle(&mut self, loaded: Result<Found, CredentialsFailure>, now: Instant) {
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

    /// What the last load gave; `None`: there was none, or what it gave is no good any more.
    pub(super) fn last_result(&self) -> Option<Result<Found, CredentialsFailure>> {
        match (&self.last_failure, &self.found) {
            (Some(failure), _) => Some(Err(failure.clone())),
            (None, found) => found.clone().map(Ok),
        }
    }

    /// What was found last, good or not.
    pub(super) fn found(&self) -> Option<&Found> {
        self.found.as_ref()
    }

    /// What was found is no good, unless it is younger than `pause`.
    pub(super) fn doubt(&mut self, now: Instant, pause: Duration) {
        if self.since_attempt(now).is_none_or(|since| since >= pause) {
            self.found = None;
        }
    }

    fn since_attempt(&self, now: Instant) -> Option<Duration> {
        self.last_attempt.map(|at| now.saturating_duration_since(at))
    }
}

/// Zero once expired; `None`: for ever.
fn time_left(found: &Found, wall_clock: SystemTime) -> Option<Duration> {
    let expiry = found.credentials.expiry()?;
    Some(expiry.duration_since(wall_clock).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use aws_credential_types::Credentials;

    use super::*;

    const PAUSE: Duration = Duration::from_secs(5);

    fn found(expires_in: Option<u64>, wall_clock: SystemTime) -> Found {
        let expiry = expires_in.map(|seconds| wall_clock + Duration::from_secs(seconds));
        Found::new(Credentials::new("AKID", "secret", None, expiry, "test"), "test")
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
    fn the_shorter_credentials_last_the_sooner_a_refresh_is_tried_again() {
        assert!(matches!(plan_for(Some(200), 19), Plan::Use(_)));
        assert!(matches!(plan_for(Some(200), 20), Plan::UseAndRefresh(_)));
        assert!(matches!(plan_for(Some(20), 1), Plan::Use(_)));
        assert!(matches!(plan_for(Some(20), 2), Plan::UseAndRefresh(_)));
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
        let later = start + Duration::from_secs(30);
        assert!(matches!(
            state.plan(later, wall_clock, PAUSE),
            Plan::UseAndRefresh(_)
        ));
    }

    #[test]
    fn a_refresh_is_due_ahead_of_the_expiry_and_none_when_nobody_could_use_it() {
        let wall_clock = SystemTime::now();
        let start = Instant::now();
        let refresh_in = |expires_in, seconds| {
            let mut state = State::default();
            state.settle(Ok(found(expires_in, wall_clock)), start);
            let due = state.refresh_in(start + Duration::from_secs(seconds), wall_clock);
            due.map(|due| due.as_secs())
        };
        assert_eq!(State::default().refresh_in(start, wall_clock), None);
        assert_eq!(refresh_in(None, 0), None);
        assert_eq!(refresh_in(Some(3600), 0), Some(3300));
        assert_eq!(refresh_in(Some(300), 0), Some(30));
        assert_eq!(refresh_in(Some(200), 5), Some(15));
        assert_eq!(refresh_in(Some(200), 25), Some(0));
        assert_eq!(refresh_in(Some(10), 0), None);
    }
}
