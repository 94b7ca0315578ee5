//! Passes sampling calls on: a new, signed request upstream, and its answer back.

use std::time::Duration;

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::request::Parts;
use http::{HeaderName, Response, StatusCode};

use super::discretion::told;
use super::limits::FORWARD_TIMEOUT;
use crate::exporters::error::PutError;
use crate::exporters::xray::XRay;
use crate::ledger::outcome::ErrorClass;
use crate::net::server::answer::{self, Answer, Body};
use crate::net::server::body::Reader;
use crate::net::server::connection::RequestBody;

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

/// The answer where no region was looked for, since nothing goes to X-Ray. SDKs sample by their own rule then.
pub(super) fn nowhere() -> Answer {
    answer::error(
        StatusCode::SERVICE_UNAVAILABLE,
        "NoXRay",
        "Nothing goes to X-Ray from this daemon (--segments-to, --spans-to), so it forwards no calls.",
    )
}

/// Forwards one request; `upstream` is `None` while it is not known yet where to.
/// `failed` hears why there is no answer.
pub(super) async fn forward<U: Upstream>(
    upstream: Option<&U>,
    bodies: &Reader,
    head: &Parts,
    body: RequestBody,
    failed: impl FnOnce(&PutError),
) -> Answer {
    let busy = || answer::try_again("Busy", "Too many calls are being received.");
    let body = match bodies.read(head, body, busy).await {
        Ok(body) => body,
        Err(answer) => return answer,
    };
    let Some(upstream) = upstream else {
        return answer::try_again(
            "RegionNotKnown",
            "The daemon has just started and is still finding its AWS region.",
        );
    };
    match upstream
        .forward(head.uri.path(), body.bytes(), FORWARD_TIMEOUT)
        .await
    {
        Ok(response) if is_answer(response.status()) => passed_back(response),
        Ok(response) => {
            let error = PutError::new(
                ErrorClass::NotAnAnswer,
                format!(
                    "what answers at its address did so with status {}, as a proxy or a web server does",
                    response.status().as_u16()
                ),
            );
            failed(&error);
            answer_without_one(&error, head)
        }
        Err(error) => {
            failed(&error);
            answer_without_one(&error, head)
        }
    }
}

/// Whether a status can be X-Ray's. It sends nobody elsewhere and changes no protocol; an SDK that is told so follows a
/// redirect with its request, or waits for ever.
fn is_answer(status: StatusCode) -> bool {
    !status.is_informational() && !status.is_redirection()
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
