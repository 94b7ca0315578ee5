//! X-Ray's OTLP endpoint: spans as they are, signed for `xray`.
//!
//! It takes OTLP over HTTP at `/v1/traces` of the same host as the rest, in protobuf and JSON, compressed by gzip or not, in
//! accounts and regions with Transaction Search. Its limits, from "OTLP Endpoints" in the CloudWatch user guide, cost a
//! whole request each, so that what is over one of them is not sent: a request with too many spans is halved, and a
//! resource that is too long is left out.

use std::time::Duration;

use bytes::Bytes;
use http::Response;
use tokio::time::{Instant, timeout_at};
use xray_document::otlp::json;
use xray_document::otlp::resources::without_longer;

use super::answer::Raw;
use super::forward::BodyForm;
use super::{XRay, answer};
use crate::exporters::answer::Answer;
use crate::exporters::error::PutError;
use crate::exporters::otlp::answer::{Reply, Taken};
use crate::exporters::otlp::{gzip, reply, requests};
use crate::exporters::transport;
use crate::ledger::DropReason;
use crate::ledger::outcome::ErrorClass;
use crate::ledger::signal::Signal;
use crate::pipeline::intake::Form;

const PATH: &str = "/v1/traces";

/// The longest request, uncompressed: "5 MB", taken as the smaller of the two.
const MAX_BYTES: usize = 5_000_000;

/// The most spans in a request.
const MAX_SPANS: u64 = 10_000;

/// The longest resource with its scope: 16 KB.
const MAX_RESOURCE_BYTES: usize = 16 << 10;

/// In the words of a refusal, in lower case: the account keeps its traces in X-Ray, where this endpoint puts none.
const WITHOUT_TRANSACTION_SEARCH: [&str; 2] = ["trace segment destination", "transaction search"];

impl XRay {
    /// Sends the spans of `body`, requests of this form, once.
    ///
    /// # Errors
    /// Why the service did not take them, and by its class what to do about that.
    pub async fn put_spans(&self, form: Form, body: Bytes) -> Result<Answer, PutError> {
        // Before it is judged: a resource that is too long would be in each half, however often it is halved.
        let (form, body, left_out) = self.without_long_resources(form, body);
        let spans = requests::items(Signal::Traces, form, &body);
        if let Some(error) = refused_here(body.len(), spans) {
            return Err(error);
        }
        let mut answer = Answer {
            not_called: body.is_empty(),
            ..Answer::default()
        };
        if !body.is_empty() {
            let limit = self.shared.attempt_timeout;
            answer = self.put_spans_within(limit, form, &body).await?.answer();
        }
        if left_out > 0 {
            answer.left_out.push((DropReason::NotConvertible, left_out));
        }
        Ok(answer)
    }

    /// Sends `body` as it is, once.
    #[expect(clippy::disallowed_methods, reason = "a call has a deadline")]
    pub(super) async fn put_spans_within(
        &self,
        limit: Duration,
        form: Form,
        body: &[u8],
    ) -> Result<Taken, PutError> {
        let deadline = Instant::now() + limit;
        let content_type = match form {
            Form::Protobuf => "application/x-protobuf",
            Form::Json => "application/json",
        };
        let body_form = BodyForm {
            content_type,
            content_encoding: Some("gzip"),
        };
        let body = gzip::compressed(body).into();
        let call = async {
            let response = self.call(PATH, body_form, body, deadline, limit).await?;
            Ok(reply(response, deadline).await)
        };
        let reply = timeout_at(deadline, call)
            .await
            .unwrap_or_else(|_| Err(transport::timed_out(limit)))?;
        let result = meaning(&reply);
        match &result {
            Err(error) if answer::says_bad_key(error) => self.shared.credentials.replace(),
            Ok(Taken {
                remark: Some(remark), ..
            }) => self.say_remark(remark),
            _ => {}
        }
        result
    }

    /// The body without resources that are too long, and the number of spans that go with them. JSON that has such a one goes on
    /// as protobuf.
    #[expect(
        clippy::disallowed_methods,
        reason = "what happens always is said once a minute"
    )]
    fn without_long_resources(&self, form: Form, body: Bytes) -> (Form, Bytes, u64) {
        let shortened = match form {
            _ if body.len() <= MAX_RESOURCE_BYTES => None,
            Form::Protobuf => without_longer(Signal::Traces, &body, MAX_RESOURCE_BYTES).ok(),
            Form::Json => json::to_protobuf(&body)
                .ok()
                .and_then(|body| without_longer(Signal::Traces, &body, MAX_RESOURCE_BYTES).ok()),
        };
        // What is no request, X-Ray is to say.
        let Some(shortened) = shortened.flatten() else {
            return (form, body, 0);
        };
        let (spans, bytes) = (shortened.items, shortened.longest_bytes);
        if self
            .shared
            .remarks()
            .long_resources
            .is_due(Instant::now().into_std())
        {
            tracing::error!(
                spans,
                bytes,
                max_bytes = MAX_RESOURCE_BYTES,
                "{spans} spans do not go to X-Ray: their resource with its scope has {bytes} bytes, and X-Ray's OTLP endpoint \
                 refuses a whole request for one of more than {MAX_RESOURCE_BYTES}. Give the resource fewer attributes, or set XRay: \
                 segments in the section OTLP"
            );
        }
        (Form::Protobuf, shortened.request.into(), spans)
    }

    #[expect(
        clippy::disallowed_methods,
        reason = "what happens always is said once a minute"
    )]
    fn say_remark(&self, remark: &str) {
        if self.shared.remarks().of_service.is_due(Instant::now().into_std()) {
            tracing::warn!(
                remark,
                "X-Ray's OTLP endpoint took what was sent, and says: {remark}"
            );
        }
    }
}

/// What would be refused for its size.
fn refused_here(bytes: usize, spans: Option<u64>) -> Option<PutError> {
    let what = if bytes > MAX_BYTES {
        format!("{bytes} bytes in one request; X-Ray's OTLP endpoint takes {MAX_BYTES}")
    } else {
        let spans = spans.filter(|spans| *spans > MAX_SPANS)?;
        format!("{spans} spans in one request; X-Ray's OTLP endpoint takes {MAX_SPANS}")
    };
    Some(PutError::new(ErrorClass::Refused, what))
}

/// What X-Ray's OTLP endpoint says: a success as any OTLP endpoint does, a failure as X-Ray does elsewhere, or as OTLP.
fn meaning(reply: &Reply) -> Result<Taken, PutError> {
    if (200..300).contains(&reply.status) {
        return reply.meaning(Signal::Traces);
    }
    let mut response = Response::new(reply.body.clone());
    *response.headers_mut() = reply.headers.clone();
    *response.status_mut() = http::StatusCode::from_u16(reply.status).unwrap_or_default();
    let Err(as_xray) = Raw::of(response).meaning() else {
        return Ok(Taken::default());
    };
    let error = match (reply.meaning(Signal::Traces), as_xray.class) {
        // A 400 that has no code of X-Ray's, but the form of OTLP's.
        (Err(as_otlp), ErrorClass::NotAnAnswer)
            if as_xray.code.is_none() && as_otlp.class == ErrorClass::Refused && !as_otlp.whole =>
        {
            as_otlp
        }
        _ => as_xray,
    };
    Err(explained(error))
}

/// With what the user can do about it.
fn explained(mut error: PutError) -> PutError {
    let said = error.message.to_lowercase();
    let code = error.code.as_deref().unwrap_or_default();
    if WITHOUT_TRANSACTION_SEARCH
        .iter()
        .any(|words| said.contains(words))
    {
        // It is not about these spans: with Transaction Search they will be taken.
        error.class = ErrorClass::Other;
        error.message.push_str(
            "; X-Ray's OTLP endpoint needs Transaction Search: switch it on in this account and region, or set XRay: segments \
             in the section OTLP",
        );
    } else if code.starts_with("AccessDenied") || error.status == Some(403) && code.is_empty() {
        error.message.push_str(
            "; X-Ray's OTLP endpoint needs Transaction Search and xray:PutSpans with xray:PutSpansForIndexing, which the policy \
             AWSXRayDaemonWriteAccess does not have",
        );
    }
    error
}

#[cfg(test)]
mod tests;
