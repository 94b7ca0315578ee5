//! Passes sampling calls on: a new, signed request upstream, and its answer back.

use std::time::Duration;

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::request::Parts;
use http::{HeaderName, Response, StatusCode};
use hyper::body::Incoming;

use super::discretion::told;
use super::limits::{BODY_TIMEOUT, FORWARD_BODY_MAX_BYTES, FORWARD_TIMEOUT};
use crate::exporters::error::PutError;
use crate::exporters::xray::XRay;
use crate::ledger::outcome::ErrorClass;
use crate::net::server::answer::{self, Answer, Body};
use crate::net::server::body;

/// What of an answer's headers goes back: what SDKs read.
const PASSED_BACK: [HeaderName; 3] = [
    CONTENT_TYPE,
    HeaderName::from_static("x-amzn-requestid"),
    HeaderName::from_static("x-amzn-errortype"),
];

/// The service behind the port.
pub trait Upstream: Send + Sync + 'static {
    /// Sends `body` to `path`, signed; the answer is what came, whatever its status.
    fn forward(
        &self,
        path: &str,
        body: Bytes,
        limit: Duration,
    ) -> impl Future<Output = Result<Response<Bytes>, PutError>> + Send;

    /// Where the credentials come from; looks for them if need be.
    fn credentials(&self) -> impl Future<Output = Result<String, String>> + Send;
}

impl Upstream for XRay {
    async fn forward(&self, path: &str, body: Bytes, limit: Duration) -> Result<Response<Bytes>, PutError> {
        self.post(path, body, limit).await
    }

    async fn credentials(&self) -> Result<String, String> {
        self.credentials_description().await
    }
}

/// Forwards one request; `upstream` is `None` while it is not known yet where to.
/// `failed` hears why there is no answer.
pub(super) async fn forward<U: Upstream>(
    upstream: Option<&U>,
    head: &Parts,
    body: Incoming,
    failed: impl FnOnce(&PutError),
) -> Answer {
    let body = match body::read(head, body, FORWARD_BODY_MAX_BYTES, BODY_TIMEOUT).await {
        Ok(body) => body,
        Err(answer) => return answer,
    };
    let Some(upstream) = upstream else {
        return answer::try_again(
            "RegionNotKnown",
            "The daemon has just started and is still finding its AWS region.",
        );
    };
    match upstream.forward(head.uri.path(), body, FORWARD_TIMEOUT).await {
        Ok(response) => passed_back(response),
        Err(error) => {
            failed(&error);
            answer_without_one(&error, head)
        }
    }
}

fn passed_back(response: Response<Bytes>) -> Answer {
    let (upstream, body) = response.into_parts();
    let mut answer = Response::new(Body::from(body));
    *answer.status_mut() = upstream.status;
    for name in PASSED_BACK {
        if let Some(value) = upstream.headers.get(&name) {
            answer.headers_mut().insert(name, value.clone());
        }
    }
    answer
}

/// The answer when X-Ray gives none.
fn answer_without_one(error: &PutError, head: &Parts) -> Answer {
    let message = |what: &str| format!("{what}: {}", told(&error.message, head));
    match error.class {
        ErrorClass::Credentials => {
            answer::try_again("NoCredentials", &message("The daemon has no AWS credentials"))
        }
        ErrorClass::Timeout => answer::error(
            StatusCode::GATEWAY_TIMEOUT,
            "UpstreamTimeout",
            &message("X-Ray did not answer in time"),
        ),
        _ => answer::error(
            StatusCode::BAD_GATEWAY,
            "UpstreamUnreachable",
            &message("X-Ray could not be asked"),
        ),
    }
}
