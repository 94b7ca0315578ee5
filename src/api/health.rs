//! Whether the daemon can do its work, and if not, why: for `GET /readyz` and `xray healthcheck --ready`.

use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use crate::ledger::calls::Calls;
use crate::ledger::destination::Destination;
use crate::pipeline::batch::encoding::Encoding;
use crate::pipeline::fanout::Fanout;

/// How long calls must fail, without a success in between, until the daemon counts as not ready. A restart of a load
/// balancer or a second of throttling is shorter; the segments of that time wait in memory.
pub const FAILING_MIN_TIME: Duration = Duration::from_secs(30);

/// How many calls must have failed in that time: one that took long to fail shows little.
pub const FAILING_MIN_CALLS: u64 = 3;

/// What is known of the credentials.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Credentials {
    /// Not looked for yet.
    #[default]
    Unknown,
    /// There were some.
    Seen,
    /// There were none, for this reason.
    Missing(String),
}

/// What the parts of the daemon know of themselves, put together for whoever asks.
#[derive(Debug, Default)]
pub struct Health {
    region: OnceLock<String>,
    credentials: Mutex<Credentials>,
    receiving_ended: OnceLock<()>,
}

/// A condition that is not met.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unmet {
    /// A short name: `udp`, `region`, `credentials`, `calls`, `otlp_calls`.
    pub check: &'static str,
    /// Why, for people.
    pub reason: String,
}

impl Health {
    /// The region is known.
    pub fn set_region(&self, region: &str) {
        // There is one region in the life of a daemon.
        let _: Result<(), String> = self.region.set(region.to_owned());
    }

    /// The region, once it is known.
    #[must_use]
    pub fn region(&self) -> Option<&str> {
        self.region.get().map(String::as_str)
    }

    /// What a search for credentials gave. Once seen, they stay so: that they work or not shows in the calls.
    pub fn set_credentials(&self, found: Result<(), String>) {
        let mut credentials = self.lock();
        match found {
            Ok(()) => *credentials = Credentials::Seen,
            Err(_) if *credentials == Credentials::Seen => {}
            Err(reason) => *credentials = Credentials::Missing(reason),
        }
    }

    /// What is known of the credentials.
    #[must_use]
    pub fn credentials(&self) -> Credentials {
        self.lock().clone()
    }

    /// Nothing is received any more.
    pub fn set_receiving_ended(&self) {
        let _: Result<(), ()> = self.receiving_ended.set(());
    }

    /// What keeps the daemon from its work at `now`, by the calls to each of its destinations; nothing: it is ready.
    #[must_use]
    pub fn unmet_of(&self, calls: &[(Destination, Calls)], now: Instant) -> Vec<Unmet> {
        let udp = self.receiving_ended.get().map(|()| Unmet {
            check: "udp",
            reason: "the UDP socket is closed".to_owned(),
        });
        let of_lanes = calls.iter().flat_map(|(destination, calls)| match destination {
            Destination::XRay => self.unmet_by_xray(calls, now),
            Destination::Otlp => failing("otlp_calls", " to OTLP", calls, now)
                .into_iter()
                .collect(),
        });
        udp.into_iter().chain(of_lanes).collect()
    }

    /// What keeps it from sending to X-Ray.
    fn unmet_by_xray(&self, calls: &Calls, now: Instant) -> Vec<Unmet> {
        let unmet = |check, reason: String| Some(Unmet { check, reason });
        let region = match self.region.get() {
            Some(_) => None,
            None => unmet("region", "the AWS region is still being found".to_owned()),
        };
        let credentials = match self.credentials() {
            // A call that was answered was signed.
            _ if calls.last_success.is_some() => None,
            Credentials::Seen => None,
            Credentials::Unknown => unmet("credentials", "credentials are still being looked for".to_owned()),
            Credentials::Missing(reason) => unmet("credentials", reason),
        };
        [region, credentials, failing("calls", "", calls, now)]
            .into_iter()
            .flatten()
            .collect()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Credentials> {
        self.credentials.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The calls that readiness goes by, of each lane.
#[must_use]
pub fn calls_of<E: Encoding>(fanout: &Fanout<E>) -> Vec<(Destination, Calls)> {
    let lanes = fanout.lanes().all();
    lanes
        .map(|lane| (lane.destination(), lane.ledger().calls()))
        .collect()
}

fn failing(check: &'static str, to: &str, calls: &Calls, now: Instant) -> Option<Unmet> {
    let failing = calls.failing.as_ref()?;
    let time = now.saturating_duration_since(failing.since);
    if time < FAILING_MIN_TIME || failing.calls < FAILING_MIN_CALLS {
        return None;
    }
    Some(Unmet {
        check,
        reason: format!(
            "all {} calls{to} of the last {} s failed, the last one with: {}",
            failing.calls,
            time.as_secs(),
            failing.message
        ),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::Ledger;
    use crate::ledger::calls::{Ended, Failure};
    use crate::ledger::outcome::ErrorClass;

    fn call(ledger: &Ledger, at: Instant, fails: bool) {
        let failure = Failure {
            class: ErrorClass::ServerError,
            status: Some(500),
            message: "status 500",
        };
        ended(ledger, at, fails.then_some(failure));
    }

    fn refused(ledger: &Ledger, at: Instant) {
        let failure = Failure {
            class: ErrorClass::Refused,
            status: Some(400),
            message: "status 400 InvalidRequestException",
        };
        ended(ledger, at, Some(failure));
    }

    fn ended(ledger: &Ledger, at: Instant, failure: Option<Failure<'_>>) {
        ledger.call_ended(Ended {
            at,
            duration: Duration::from_millis(10),
            body_bytes: 100,
            failure,
        });
    }

    fn unmet(health: &Health, ledger: &Ledger, now: Instant) -> Vec<Unmet> {
        health.unmet_of(&[(Destination::XRay, ledger.calls())], now)
    }

    #[test]
    fn where_nothing_goes_to_x_ray_no_region_is_needed_and_each_destination_fails_by_itself() {
        let (health, xray, otlp) = (Health::default(), Ledger::default(), Ledger::default());
        let (start, later) = (Instant::now(), Instant::now() + FAILING_MIN_TIME);
        let of_both = || {
            [
                (Destination::XRay, xray.calls()),
                (Destination::Otlp, otlp.calls()),
            ]
        };
        assert!(health.unmet_of(&of_both()[1..], later).is_empty());
        for _ in 0..3 {
            call(&otlp, start, true);
        }
        assert_eq!(
            health.unmet_of(&of_both()[1..], later),
            [Unmet {
                check: "otlp_calls",
                reason: "all 3 calls to OTLP of the last 30 s failed, the last one with: status 500"
                    .to_owned()
            }]
        );
        let checks = health.unmet_of(&of_both(), later);
        assert_eq!(
            checks.iter().map(|unmet| unmet.check).collect::<Vec<_>>(),
            ["region", "credentials", "otlp_calls"]
        );
    }

    fn checks(health: &Health, ledger: &Ledger, now: Instant) -> Vec<&'static str> {
        let unmet = unmet(health, ledger, now);
        unmet.into_iter().map(|unmet| unmet.check).collect()
    }

    #[test]
    fn readiness_comes_with_region_and_credentials_and_needs_no_call() {
        let (health, ledger, now) = (Health::default(), Ledger::default(), Instant::now());
        assert_eq!(checks(&health, &ledger, now), ["region", "credentials"]);
        health.set_region("us-east-1");
        assert_eq!(checks(&health, &ledger, now), ["credentials"]);
        health.set_credentials(Err("no AWS credentials".to_owned()));
        assert_eq!(
            unmet(&health, &ledger, now),
            [Unmet {
                check: "credentials",
                reason: "no AWS credentials".to_owned()
            }]
        );
        health.set_credentials(Ok(()));
        health.set_credentials(Err("a short outage of their source".to_owned()));
        assert!(checks(&health, &ledger, now).is_empty());
        health.set_receiving_ended();
        assert_eq!(checks(&health, &ledger, now), ["udp"]);
    }

    #[test]
    fn credentials_that_came_later_show_in_the_first_call_that_succeeds() {
        let (health, ledger, now) = (Health::default(), Ledger::default(), Instant::now());
        health.set_region("us-east-1");
        health.set_credentials(Err("none".to_owned()));
        call(&ledger, now, false);
        assert!(checks(&health, &ledger, now).is_empty());
    }

    #[test]
    fn half_a_minute_of_nothing_but_failures_is_not_ready_until_a_success() {
        let (health, ledger, start) = (Health::default(), Ledger::default(), Instant::now());
        health.set_region("us-east-1");
        health.set_credentials(Ok(()));
        let at = |seconds| start + Duration::from_secs(seconds);
        call(&ledger, at(0), true);
        call(&ledger, at(1), true);
        assert!(
            checks(&health, &ledger, at(100)).is_empty(),
            "two calls show little"
        );
        call(&ledger, at(2), true);
        assert!(checks(&health, &ledger, at(29)).is_empty());
        let unmet = unmet(&health, &ledger, at(30));
        assert_eq!(
            unmet[0].reason,
            "all 3 calls of the last 30 s failed, the last one with: status 500"
        );
        call(&ledger, at(31), false);
        assert!(checks(&health, &ledger, at(31)).is_empty());
    }
    #[test]
    fn an_endpoint_that_refuses_documents_answers_so_the_daemon_is_ready() {
        let (health, ledger, start) = (Health::default(), Ledger::default(), Instant::now());
        health.set_region("us-east-1");
        health.set_credentials(Ok(()));
        let at = |seconds| start + Duration::from_secs(seconds);
        for second in 0..3 {
            refused(&ledger, at(second));
        }
        assert!(checks(&health, &ledger, at(3600)).is_empty(), "nothing more came");
        for second in 0..3 {
            call(&ledger, at(4000 + second), true);
        }
        assert_eq!(checks(&health, &ledger, at(4030)), ["calls"]);
        refused(&ledger, at(4031));
        assert!(checks(&health, &ledger, at(4100)).is_empty(), "it answers again");
    }
}
