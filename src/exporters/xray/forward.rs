//! Calls on X-Ray whose body somebody else wrote: an SDK's sampling calls, and our telemetry records.
//!
//! The request is made new from path and body, signed, and sent on the same connections, with the same credentials,
//! region and endpoint as the segments. The official proxy signs the client's request as it came, so that headers which
//! are stripped or extended on the way make the signature invalid.

use std::time::{Duration, SystemTime};

use aws_sigv4::http_request::{SignableBody, SignableRequest, SigningSettings, sign};
use aws_sigv4::sign::v4;
use aws_smithy_runtime_api::client::identity::Identity;
use aws_smithy_types::body::SdkBody;
use bytes::Bytes;
use http::header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, USER_AGENT};
use http::{HeaderName, HeaderValue, Request, Response, Uri};
use tokio::time::{Instant, timeout_at};

use super::answer::{self, Raw};
use super::request::unsignable;
use super::signer::SERVICE;
use super::{Connected, XRay};
use crate::aws::credentials::Found;
use crate::exporters::error::PutError;
use crate::exporters::transport;
use crate::ledger::outcome::ErrorClass;
use crate::net::client::pool::Answer;

/// How the body of a request is written.
#[derive(Debug, Clone, Copy)]
pub(super) struct BodyForm {
    pub(super) content_type: &'static str,
    pub(super) content_encoding: Option<&'static str>,
}

const JSON: BodyForm = BodyForm {
    content_type: "application/json",
    content_encoding: None,
};

impl XRay {
    /// Sends `body` to `path`, which begins with a slash and stands below the endpoint's own path, within `limit`.
    ///
    /// The answer is what came, whatever its status, at most 1 MiB.
    ///
    /// # Errors
    /// Why there is no answer. Without credentials nothing is sent.
    #[expect(clippy::disallowed_methods, reason = "a call has a deadline")]
    pub async fn post(&self, path: &str, body: Bytes, limit: Duration) -> Result<Response<Bytes>, PutError> {
        let deadline = Instant::now() + limit;
        let call = async {
            let response = self.call(path, JSON, body, deadline, limit).await?;
            transport::whole(response).await
        };
        let response = timeout_at(deadline, call)
            .await
            .unwrap_or_else(|_| Err(transport::timed_out(limit)))?;
        if !response.status().is_success()
            && let Err(error) = Raw::of(response.clone()).meaning()
            && answer::says_bad_key(&error)
        {
            self.shared.credentials.replace();
        }
        Ok(response)
    }

    /// As [`XRay::post`], up to the head of the answer; credentials are waited for until `deadline`, which is `limit` after
    /// the call's start.
    #[expect(clippy::disallowed_methods, reason = "a signature has a time")]
    pub(super) async fn call(
        &self,
        path: &str,
        form: BodyForm,
        body: Bytes,
        deadline: Instant,
        limit: Duration,
    ) -> Result<Response<Answer>, PutError> {
        let found = self.credentials_before(deadline, limit).await?;
        let request = self
            .shared
            .signed(path, form, body, &found.identity, SystemTime::now())?;
        let response = self.shared.client.send(request).await;
        response.map_err(|error| transport::without_head(&error))
    }

    /// Sends a telemetry report, a finished body of `PutTelemetryRecords`, within `limit`.
    ///
    /// # Errors
    /// Why the service did not take it.
    pub async fn put_telemetry_records(&self, body: Bytes, limit: Duration) -> Result<(), PutError> {
        let response = self.post("/TelemetryRecords", body, limit).await?;
        if response.status().is_success() {
            return Ok(());
        }
        Raw::of(response).meaning().map(drop)
    }

    /// Credentials, if they are there by `deadline`, which is `limit` after the call's start. A search that takes longer goes
    /// on, for the next call.
    ///
    /// # Errors
    /// Why there are none.
    pub(super) async fn credentials_before(
        &self,
        deadline: Instant,
        limit: Duration,
    ) -> Result<Found, PutError> {
        if let Some(found) = self.shared.credentials.at_hand() {
            return Ok(found);
        }
        match timeout_at(deadline, Box::pin(self.shared.credentials.get())).await {
            Ok(Ok(found)) => Ok(found),
            Ok(Err(failure)) => Err(PutError::new(ErrorClass::Credentials, failure.0)),
            Err(_) => Err(PutError::new(
                ErrorClass::Credentials,
                format!("no AWS credentials within {} s", limit.as_secs_f32()),
            )),
        }
    }
}

impl Connected {
    fn signed(
        &self,
        path: &str,
        form: BodyForm,
        body: Bytes,
        identity: &Identity,
        now: SystemTime,
    ) -> Result<Request<SdkBody>, PutError> {
        let uri = format!("{}{path}", self.endpoint.url());
        let params = v4::SigningParams::builder()
            .identity(identity)
            .region(&self.region)
            .name(SERVICE)
            .time(now)
            .settings(SigningSettings::default())
            .build()
            .map_err(|error| unsignable(&error))?
            .into();
        let encoding = form.content_encoding.map(|encoding| (CONTENT_ENCODING, encoding));
        let headers: Vec<(HeaderName, &'static str)> = std::iter::once((CONTENT_TYPE, form.content_type))
            .chain(encoding)
            .collect();
        let signed = headers.iter().map(|(name, value)| (name.as_str(), *value));
        let signable = SignableRequest::new("POST", &uri, signed, SignableBody::Bytes(&body))
            .map_err(|error| unsignable(&error))?;
        let (instructions, _) = sign(signable, &params)
            .map_err(|error| unsignable(&error))?
            .into_parts();

        // Said also when it is 0, which the HTTP client leaves out: some fronts ask for it.
        let content_length = HeaderValue::from(body.len());
        let mut request = Request::new(SdkBody::from(body));
        *request.method_mut() = http::Method::POST;
        *request.uri_mut() = Uri::try_from(uri).map_err(|error| unsignable(&error))?;
        let of_request = request.headers_mut();
        for (name, value) in headers {
            of_request.insert(name, HeaderValue::from_static(value));
        }
        of_request.insert(CONTENT_LENGTH, content_length);
        of_request.insert(USER_AGENT, self.user_agent.clone());
        for (name, value) in instructions.headers() {
            let name = HeaderName::try_from(name).map_err(|error| unsignable(&error))?;
            let mut value = HeaderValue::try_from(value).map_err(|error| unsignable(&error))?;
            value.set_sensitive(true);
            of_request.insert(name, value);
        }
        Ok(request)
    }
}
