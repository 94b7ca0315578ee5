//! Questions that change nothing: whether there is a way to the endpoint, what time it is there, whether it takes a call.

use std::time::{Duration, SystemTime};

use aws_smithy_types::DateTime;
use aws_smithy_types::body::SdkBody;
use aws_smithy_types::date_time::Format;
use bytes::Bytes;
use http::header::{DATE, USER_AGENT};
use http::{HeaderMap, Request, Uri};
use tokio::time::timeout;

use super::XRay;
use super::answer::Raw;
use crate::exporters::answer::Answer;
use crate::exporters::error::PutError;
use crate::exporters::transport;
use crate::ledger::outcome::ErrorClass;
use crate::net::client::connector::ConnectError;
use crate::pipeline::intake::Form;

/// A call without any segment.
const NO_SEGMENTS: &[u8] = b"{\"TraceSegmentDocuments\":[]}";

/// What an empty call came to.
#[derive(Debug)]
pub struct Probed {
    /// What the answer, or none, means.
    pub outcome: Result<Answer, PutError>,
    /// When the other side says that it answered.
    pub date: Option<SystemTime>,
}

impl XRay {
    /// Makes a connection as calls do, and closes it.
    pub(crate) async fn connect_once(&self) -> Result<(), ConnectError> {
        match self.shared.endpoint.url().parse::<Uri>() {
            Ok(endpoint) => self.shared.client.connect(endpoint).await,
            // It was parsed when it was checked.
            Err(_) => Ok(()),
        }
    }

    /// Asks the endpoint for nothing in particular, unsigned, for the time that it says; `None` when it says none.
    ///
    /// # Errors
    /// Why there is no answer within `limit`.
    pub async fn ask_time(&self, limit: Duration) -> Result<Option<SystemTime>, PutError> {
        let mut request = Request::new(SdkBody::empty());
        *request.uri_mut() = format!("{}/", self.shared.endpoint.url())
            .parse()
            .map_err(|_| PutError::new(ErrorClass::Other, "the endpoint is no URL"))?;
        let user_agent = self.shared.user_agent.clone();
        request.headers_mut().insert(USER_AGENT, user_agent);
        match timeout(limit, self.shared.client.send(request)).await {
            Ok(Ok(response)) => Ok(date(response.headers())),
            Ok(Err(error)) => Err(transport::without_head(&error)),
            Err(_) => Err(transport::timed_out(limit)),
        }
    }

    /// A signed `PutTraceSegments` with no segment in it, within `limit`.
    pub async fn put_nothing(&self, limit: Duration) -> Probed {
        match self
            .post("/TraceSegments", Bytes::from_static(NO_SEGMENTS), limit)
            .await
        {
            Ok(response) => Probed {
                date: date(response.headers()),
                outcome: Raw::of(response).meaning(),
            },
            Err(error) => Probed {
                outcome: Err(error),
                date: None,
            },
        }
    }

    /// A signed export of no spans to X-Ray's OTLP endpoint, in protobuf, within `limit`; gives what it remarks on it.
    ///
    /// # Errors
    /// Why it was not taken.
    pub async fn put_no_spans(&self, limit: Duration) -> Result<Option<String>, PutError> {
        let taken = self.put_spans_within(limit, Form::Protobuf, &[]).await?;
        Ok(taken.remark)
    }
}

fn date(headers: &HeaderMap) -> Option<SystemTime> {
    let text = headers.get(DATE)?.to_str().ok()?;
    DateTime::from_str(text, Format::HttpDate).ok()?.try_into().ok()
}
