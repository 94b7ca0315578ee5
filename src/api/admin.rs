//! `GET /healthz`, `/readyz` and `/metrics`: for container platforms and operators.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Instant;

use http::StatusCode;
use http::request::Parts;
use serde_json::json;

use super::discretion::told;
use super::metrics::Source;
use super::sampling::Upstream;
use crate::api::health::{Credentials, Health, calls_of};
use crate::api::summary::Summary;
use crate::net::server::answer::{self, Answer};

/// Answers about the daemon itself.
#[derive(Debug)]
pub(super) struct Admin {
    summary: Arc<Summary>,
    health: Arc<Health>,
    metrics: Source,
    looking_for_credentials: Arc<AtomicBool>,
}

impl Admin {
    pub(super) fn new(summary: Arc<Summary>, health: Arc<Health>) -> Self {
        Self {
            metrics: Source::new(Arc::clone(&summary), Arc::clone(&health)),
            summary,
            health,
            looking_for_credentials: Arc::default(),
        }
    }

    /// It answers, so it serves.
    pub(super) fn healthz(&self) -> Answer {
        answer::json(StatusCode::OK, &json!({"status": "ok"}))
    }

    #[expect(clippy::disallowed_methods, reason = "readiness is a matter of now")]
    pub(super) fn readyz<U: Upstream>(&self, upstream: Option<&Arc<U>>, head: &Parts) -> Answer {
        let unmet = self
            .health
            .unmet_of(&calls_of(&self.summary.fanout), Instant::now());
        if unmet.is_empty() {
            return answer::json(StatusCode::OK, &json!({"status": "ready"}));
        }
        if let (Some(upstream), Credentials::Missing(_)) = (upstream, self.health.credentials()) {
            self.look_for_credentials(upstream);
        }
        let reasons: Vec<_> = unmet
            .iter()
            .map(|unmet| json!({"check": unmet.check, "reason": told(&unmet.reason, head)}))
            .collect();
        answer::json(
            StatusCode::SERVICE_UNAVAILABLE,
            &json!({"status": "not ready", "reasons": reasons}),
        )
    }

    /// They may have come since the start, with no segment to be sent that would show it. The answer is there for the
    /// next one who asks; a probe must not wait for metadata.
    fn look_for_credentials<U: Upstream>(&self, upstream: &Arc<U>) {
        if self.looking_for_credentials.swap(true, Relaxed) {
            return;
        }
        let (upstream, health) = (Arc::clone(upstream), Arc::clone(&self.health));
        let looking = Arc::clone(&self.looking_for_credentials);
        tokio::spawn(async move {
            health.set_credentials(upstream.credentials().await.map(drop));
            looking.store(false, Relaxed);
        });
    }

    pub(super) fn metrics(&self) -> Answer {
        self.metrics.answer()
    }
}
