//! Which request goes where.

use std::io;
use std::net::TcpListener;
use std::sync::{Arc, OnceLock};

use http::request::Parts;
use http::{Method, Request, StatusCode};
use serde_json::json;
use tokio::sync::oneshot;

use super::admin::Admin;
use super::limits;
use super::sampling::{self, Upstream};
use crate::api::health::Health;
use crate::api::summary::Summary;
use crate::exporters::bodies::Bodies;
use crate::exporters::error::PutError;
use crate::ledger::Ledger;
use crate::ledger::http::Route;
use crate::net::server::answer::{self, Answer};
use crate::net::server::body::{self, Reader};
use crate::net::server::connection::RequestBody;
use crate::net::server::guard::Guard;
use crate::net::server::limits::{BodyLimits, Limits};
use crate::net::server::refusals::{Bounded, and_more};
use crate::net::server::{self, Counted, Function};
use crate::pipeline::fanout::Fanout;
use crate::receivers::http::Ingest;

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

/// Everything behind the port.
#[derive(Debug)]
pub struct App<U> {
    guard: Guard,
    proxy_allow: Vec<String>,
    // Known when region and endpoint are; the port is open before.
    upstream: OnceLock<Arc<U>>,
    /// Anything goes to X-Ray, so there will be an upstream.
    has_xray: bool,
    ledger: Arc<Ledger>,
    /// Reads calls that are forwarded.
    calls: Reader,
    ingest: Ingest<Fanout<Bodies>>,
    admin: Admin,
    refused: Bounded,
    failed: Bounded,
}

impl<U: Upstream> App<U> {
    /// `proxy_allow` are paths as [`proxy_path`](crate::config::tcp::proxy_path) gives them, `ingest` the bounds of
    /// documents over TCP.
    #[must_use]
    pub fn new(
        guard: Guard,
        proxy_allow: &[String],
        ingest: BodyLimits,
        summary: Arc<Summary>,
        health: Arc<Health>,
    ) -> Self {
        Self {
            guard,
            proxy_allow: proxy_allow.to_vec(),
            upstream: OnceLock::new(),
            has_xray: summary.fanout.routes().to_xray(),
            ledger: Arc::clone(summary.ledger()),
            calls: Reader::new(limits::FORWARD),
            ingest: Ingest::new(Arc::clone(&summary.fanout), Arc::clone(summary.ledger()), ingest),
            admin: Admin::new(summary, health),
            refused: Bounded::default(),
            failed: Bounded::default(),
        }
    }

    /// From now on calls can be forwarded.
    pub fn set_upstream(&self, upstream: U) {
        // There is one in the life of a daemon.
        let _: Result<(), Arc<U>> = self.upstream.set(Arc::new(upstream));
    }

    pub(crate) async fn answer(&self, request: Request<RequestBody>) -> Answer {
        let (head, body) = request.into_parts();
        let route = self.route(head.uri.path());
        let answer = match self.guard.check(&head) {
            Ok(()) => self.answer_to(route, &head, body).await,
            Err(refusal) => {
                self.refused.say_refused(
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

    async fn answer_to(&self, route: Route, head: &Parts, body: RequestBody) -> Answer {
        let (allowed, is_allowed) = match route {
            Route::Healthz | Route::Readyz | Route::Metrics => {
                ("GET", matches!(head.method, Method::GET | Method::HEAD))
            }
            Route::Page | Route::Api | Route::Otlp(_) | Route::Unknown => ("", true),
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
                if !self.has_xray {
                    body::discard(head, body).await;
                    return sampling::nowhere();
                }
                let upstream = self.upstream.get().map(Arc::as_ref);
                sampling::forward(upstream, &self.calls, head, body, |error| {
                    self.say_failed(head, error);
                })
                .await
            }
            Route::TraceSegments => self.ingest.put(head, body).await,
            Route::Healthz => self.admin.healthz(),
            Route::Readyz => self.admin.readyz(self.upstream.get(), head),
            Route::Metrics => self.admin.metrics(),
            // The first two are there in `xray dev` only, OTLP has ports of its own.
            Route::Page | Route::Api | Route::Otlp(_) | Route::Unknown => {
                self.refused.say_refused(
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
        if let Some(requests) = self.failed.add() {
            tracing::warn!(
                requests,
                path = head.uri.path(),
                error = error.message,
                "Forwarding POST {} failed with: {}{}",
                head.uri.path(),
                error.message,
                and_more(requests)
            );
        }
    }
}

/// Serves `app` on `listener`, which must be non-blocking, within `limits`, until `stop` resolves and all
/// requests are over; dropping the future cuts those that are left.
///
/// # Errors
/// When the listener can't be used at all.
pub async fn serve<U: Upstream>(
    listener: TcpListener,
    app: Arc<App<U>>,
    limits: Limits,
    stop: oneshot::Receiver<()>,
) -> io::Result<()> {
    let listener = tokio::net::TcpListener::from_std(listener)?;
    let watch = Counted(Arc::clone(&app.ledger));
    let handler = Function(move |request| {
        let app = Arc::clone(&app);
        async move { Ok(app.answer(request).await) }
    });
    server::serve(listener, limits, watch, stop, handler).await;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_configuration_knows_the_paths_that_are_never_forwarded() {
        assert_eq!(OWN.map(|(path, _)| path), crate::config::tcp::OWN_PATHS);
    }
}
