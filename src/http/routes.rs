//! Which request goes where.

use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Instant;

use http::request::Parts;
use http::{Method, Request, StatusCode};
use hyper::body::Incoming;
use serde_json::json;

use super::admin::Admin;
use super::answer::{self, Answer};
use super::body;
use super::guard::Guard;
use super::ingest::Ingest;
use super::sampling::{self, Upstream};
use crate::aws::PutError;
use crate::health::Health;
use crate::ledger::Ledger;
use crate::ledger::http::Route;
use crate::logs::{Tally, sanitize};
use crate::summary::Summary;

/// The paths that are forwarded without being asked for: what SDKs call.
const SAMPLING: [(&str, Route); 3] = [
    ("/GetSamplingRules", Route::GetSamplingRules),
    ("/SamplingTargets", Route::SamplingTargets),
    ("/SamplingStatisticSummaries", Route::SamplingStatisticSummaries),
];

/// The paths that the daemon answers itself.
const OWN: [(&str, Route); 4] = [
    ("/TraceSegments", Route::TraceSegments),
    ("/healthz", Route::Healthz),
    ("/readyz", Route::Readyz),
    ("/metrics", Route::Metrics),
];

/// The longest path that a log line shows, in characters.
const SHOWN_PATH_MAX_CHARS: usize = 100;

/// Everything behind the port.
#[derive(Debug)]
pub struct App<U> {
    guard: Guard,
    proxy_allow: Vec<String>,
    // Known when region and endpoint are; the port is open before.
    upstream: OnceLock<Arc<U>>,
    ledger: Arc<Ledger>,
    ingest: Ingest,
    admin: Admin,
    refused: Mutex<Tally>,
    failed: Mutex<Tally>,
}

impl<U: Upstream> App<U> {
    /// `proxy_allow` are paths as [`proxy_path`](crate::config::tcp::proxy_path) gives them.
    #[must_use]
    pub fn new(guard: Guard, proxy_allow: &[String], summary: Arc<Summary>, health: Arc<Health>) -> Self {
        Self {
            guard,
            proxy_allow: proxy_allow.to_vec(),
            upstream: OnceLock::new(),
            ledger: Arc::clone(&summary.ledger),
            ingest: Ingest::new(Arc::clone(&summary.intake), Arc::clone(&summary.ledger)),
            admin: Admin::new(summary, health),
            refused: Mutex::default(),
            failed: Mutex::default(),
        }
    }

    /// From now on calls can be forwarded.
    pub fn set_upstream(&self, upstream: U) {
        // There is one in the life of a daemon.
        let _: Result<(), Arc<U>> = self.upstream.set(Arc::new(upstream));
    }

    /// The counters.
    #[must_use]
    pub fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    pub(crate) async fn answer(&self, request: Request<Incoming>) -> Answer {
        let (head, body) = request.into_parts();
        let route = self.route(head.uri.path());
        let answer = match self.guard.check(&head) {
            Ok(()) => self.answer_to(route, &head, body).await,
            Err(refusal) => {
                self.say_refused(
                    &head,
                    "web pages must not use this port; --allow-host NAME allows a host name",
                );
                body::discard(&head, body).await;
                answer::error(StatusCode::FORBIDDEN, "Forbidden", &refusal.to_string())
            }
        };
        self.ledger.http.add_request(route, answer.status().as_u16());
        answer
    }

    async fn answer_to(&self, route: Route, head: &Parts, body: Incoming) -> Answer {
        let (allowed, is_allowed) = match route {
            Route::Healthz | Route::Readyz | Route::Metrics => {
                ("GET", matches!(head.method, Method::GET | Method::HEAD))
            }
            Route::Unknown => ("", true),
            _ => ("POST", head.method == Method::POST),
        };
        if !is_allowed {
            body::discard(head, body).await;
            return answer::wrong_method(allowed);
        }
        match route {
            Route::GetSamplingRules
            | Route::SamplingTargets
            | Route::SamplingStatisticSummaries
            | Route::ProxyAllow => {
                if head.uri.query().is_some() {
                    body::discard(head, body).await;
                    return answer::error(
                        StatusCode::BAD_REQUEST,
                        "InvalidRequestException",
                        "Forwarded paths take no query.",
                    );
                }
                let upstream = self.upstream.get().map(Arc::as_ref);
                sampling::forward(upstream, head, body, |error| self.say_failed(head, error)).await
            }
            Route::TraceSegments => self.ingest.put(head, body).await,
            Route::Healthz => self.admin.healthz(),
            Route::Readyz => self.admin.readyz(self.upstream.get()),
            Route::Metrics => self.admin.metrics(),
            Route::Unknown => {
                self.say_refused(
                    head,
                    "this path is not forwarded; --proxy-allow PATH allows one more",
                );
                body::discard(head, body).await;
                self.unknown_path()
            }
        }
    }

    fn route(&self, path: &str) -> Route {
        let known = SAMPLING.iter().chain(&OWN).find(|(known, _)| *known == path);
        match known {
            Some((_, route)) => *route,
            None if self.proxy_allow.iter().any(|allowed| allowed == path) => Route::ProxyAllow,
            None => Route::Unknown,
        }
    }

    fn unknown_path(&self) -> Answer {
        let forwarded = SAMPLING.iter().map(|(path, _)| *path);
        let allowed: Vec<&str> = forwarded
            .chain(self.proxy_allow.iter().map(String::as_str))
            .chain(OWN.iter().map(|(path, _)| *path))
            .collect();
        answer::json(
            StatusCode::NOT_FOUND,
            &json!({
                "__type": "UnknownPath",
                "message": format!(
                    "This port takes these paths only: {}. The daemon's option --proxy-allow PATH adds one that is \
                     forwarded to X-Ray.",
                    allowed.join(", ")
                ),
                "allowed": allowed,
            }),
        )
    }

    /// One line a second at the most: every SDK in reach asks.
    fn say_failed(&self, head: &Parts, error: &PutError) {
        if let Some(requests) = add_one(&self.failed) {
            tracing::warn!(
                requests,
                "Forwarding POST {} failed with: {}{}",
                head.uri.path(),
                error.message,
                and_more(requests)
            );
        }
    }

    /// One line a second at the most, since anybody can cause them.
    fn say_refused(&self, head: &Parts, why: &str) {
        let Some(requests) = add_one(&self.refused) else {
            return;
        };
        let path = sanitize(head.uri.path().as_bytes(), SHOWN_PATH_MAX_CHARS);
        let method = sanitize(head.method.as_str().as_bytes(), 20);
        let host = head
            .headers
            .get(http::header::HOST)
            .map_or(&b"none"[..], |host| host.as_bytes());
        let host = sanitize(host, SHOWN_PATH_MAX_CHARS);
        let more = and_more(requests);
        tracing::warn!(
            requests,
            "Refused {method} {path} on the TCP port, Host {host}: {why}{more}"
        );
    }
}

/// Counts one more; the number to say now, if it is time.
fn add_one(tally: &Mutex<Tally>) -> Option<u64> {
    let mut tally = tally.lock().unwrap_or_else(PoisonError::into_inner);
    tally.add(1, Instant::now())
}

fn and_more(requests: u64) -> String {
    match requests {
        1 => String::new(),
        _ => format!(" (and {} more such requests)", requests - 1),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_configuration_knows_the_paths_that_are_never_forwarded() {
        assert_eq!(OWN.map(|(path, _)| path), crate::config::tcp::OWN_PATHS);
    }
}
