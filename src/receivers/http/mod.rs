//! `POST /TraceSegments`: what PutTraceSegments takes, into the same batches as what comes over UDP.

use std::fmt;
use std::sync::Arc;

use http::StatusCode;
use http::request::Parts;
use hyper::body::Body as _;
use serde::Deserialize;
use serde::de::{Deserializer, Error as _, IgnoredAny, SeqAccess, Visitor};
use serde_json::json;
use tokio::time::Instant;

use crate::ledger::{Ledger, RejectReason};
use crate::logs::sanitize;
use crate::net::server::answer::{self, Answer};
use crate::net::server::body::{self, Reader};
use crate::net::server::connection::RequestBody;
use crate::net::server::limits::BodyLimits;
use crate::pipeline::intake::{Intake, Room};

/// The longest part of a JSON error that is passed on, in characters.
const REASON_MAX_CHARS: usize = 200;

/// Most documents in a body: what the service itself takes in one call. In what batches they go on is another matter.
const MAX_DOCUMENTS: usize = 50;

/// Takes documents over TCP.
#[derive(Debug)]
pub(crate) struct Ingest<I> {
    intake: Arc<I>,
    ledger: Arc<Ledger>,
    bodies: Reader,
}

#[derive(Deserialize)]
struct PutTraceSegments {
    #[serde(rename = "TraceSegmentDocuments", deserialize_with = "not_too_many")]
    documents: Vec<String>,
}

/// What a body with more is refused with, in the service's words.
const TOO_MANY: &str = "Exceeding maximum segment count: 50";

impl<I: Intake> Ingest<I> {
    /// Takes request bodies within `limits`, and none that the intake could never take.
    pub(crate) fn new(intake: Arc<I>, ledger: Arc<Ledger>, limits: BodyLimits) -> Self {
        Self {
            bodies: Reader::new(within(&*intake, limits)),
            intake,
            ledger,
        }
    }

    pub(crate) async fn put(&self, head: &Parts, body: RequestBody) -> Answer {
        let announced = body.size_hint().lower();
        if let Some(refusal) = self.refusal(usize::try_from(announced).unwrap_or(usize::MAX)) {
            body::discard(head, body).await;
            return refusal;
        }
        let busy = || answer::try_again("Busy", "Too many segments are being received over TCP.");
        let body = match self.bodies.read(head, body, busy).await {
            Ok(body) => body,
            Err(answer) => return answer,
        };
        // Much may have come by UDP since.
        if let Some(refusal) = self.refusal(body.len()) {
            return refusal;
        }
        let documents = match documents(&body) {
            Ok(documents) => documents,
            Err(answer) => return *answer,
        };
        drop(body);
        self.take(documents)
    }

    /// The answer when `bytes` more do not fit.
    fn refusal(&self, bytes: usize) -> Option<Answer> {
        match self.intake.room_for(bytes) {
            Room::Free => None,
            Room::Full => Some(answer::try_again(
                "BufferFull",
                "The buffer memory of the daemon is full of segments that X-Ray has not taken yet.",
            )),
            // Said with the limit when the body is read.
            Room::TooLong => None,
        }
    }

    #[expect(clippy::disallowed_methods, reason = "documents are as old as their arrival")]
    fn take(&self, documents: Vec<String>) -> Answer {
        let now = Instant::now().into_std();
        let mut unprocessed = Vec::new();
        self.ledger.add_received(documents.len() as u64);
        for document in documents {
            if document.is_empty() {
                self.ledger.add_rejected(RejectReason::MissingSegment);
                // As the service names what is no segment: without an id.
                unprocessed.push(json!({
                    "ErrorCode": "ParseError",
                    "Message": "Invalid segment. ErrorCode: ParseError"
                }));
            } else {
                // One at a time, so that the receiver never waits for more than one, and none is kept beside its copy.
                self.intake.add_from_elsewhere(document.as_bytes(), now);
            }
        }
        answer::json(StatusCode::OK, &json!({"UnprocessedTraceSegments": unprocessed}))
    }
}

/// `limits` with no longer bodies than `intake` could ever take.
fn within(intake: &impl Intake, limits: BodyLimits) -> BodyLimits {
    BodyLimits {
        max_bytes: limits.max_bytes.min(intake.longest_bytes()),
        ..limits
    }
}

/// The documents of a request body.
fn documents(body: &[u8]) -> Result<Vec<String>, Box<Answer>> {
    let refused = |message: String| {
        Box::new(answer::error(
            StatusCode::BAD_REQUEST,
            "InvalidRequestException",
            &message,
        ))
    };
    match serde_json::from_slice(body) {
        Ok(PutTraceSegments { documents }) => Ok(documents),
        Err(error) => {
            let reason = error.to_string();
            if reason.starts_with(TOO_MANY) {
                return Err(refused(TOO_MANY.to_owned()));
            }
            // It may quote what was there.
            let reason = sanitize(reason, REASON_MAX_CHARS);
            Err(refused(format!(
                "The body must be {{\"TraceSegmentDocuments\": [\"...\", ...]}}, each document a string: {reason}"
            )))
        }
    }
}

/// Reads the documents, and stops at the first that is too much: a body of the greatest length could have a million and a
/// half of empty ones, each of which would take more memory than it has bytes.
fn not_too_many<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    struct Documents;

    impl<'de> Visitor<'de> for Documents {
        type Value = Vec<String>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a sequence")
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Vec<String>, A::Error> {
            let mut documents = Vec::new();
            while documents.len() < MAX_DOCUMENTS {
                match items.next_element()? {
                    Some(document) => documents.push(document),
                    None => return Ok(documents),
                }
            }
            match items.next_element::<IgnoredAny>()? {
                None => Ok(documents),
                Some(_) => Err(A::Error::custom(TOO_MANY)),
            }
        }
    }

    deserializer.deserialize_seq(Documents)
}

#[cfg(test)]
mod tests;
