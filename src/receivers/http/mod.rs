//! `POST /TraceSegments`: what PutTraceSegments takes, into the same batches as what comes over UDP.

use std::sync::Arc;

use http::StatusCode;
use http::request::Parts;
use hyper::body::{Body as _, Incoming};
use serde::Deserialize;
use serde_json::json;
use tokio::time::Instant;

use crate::ledger::{Ledger, RejectReason};
use crate::logs::sanitize;
use crate::net::server::answer::{self, Answer};
use crate::net::server::body::{self, Reader};
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
    #[serde(rename = "TraceSegmentDocuments")]
    documents: Vec<String>,
}

impl<I: Intake> Ingest<I> {
    /// Takes request bodies within `limits`.
    pub(crate) fn new(intake: Arc<I>, ledger: Arc<Ledger>, limits: BodyLimits) -> Self {
        Self {
            intake,
            ledger,
            bodies: Reader::new(limits),
        }
    }

    pub(crate) async fn put(&self, head: &Parts, body: Incoming) -> Answer {
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
        self.take(&documents)
    }

    /// The answer when `bytes` more do not fit.
    fn refusal(&self, bytes: usize) -> Option<Answer> {
        match self.intake.room_for(bytes) {
            Room::Free => None,
            Room::Full => Some(answer::try_again(
                "BufferFull",
                "The buffer memory of the daemon is full of segments that X-Ray has not taken yet.",
            )),
            Room::TooLong if bytes <= self.bodies.limits().max_bytes => Some(answer::last(answer::error(
                StatusCode::PAYLOAD_TOO_LARGE,
                "RequestEntityTooLargeException",
                "The body is longer than the whole buffer memory of the daemon (-m).",
            ))),
            // Said with the limit of the port when it is read.
            Room::TooLong => None,
        }
    }

    #[expect(clippy::disallowed_methods, reason = "documents are as old as their arrival")]
    fn take(&self, documents: &[String]) -> Answer {
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
                // One at a time, so that the receiver never waits for more than one.
                self.intake.add_from_elsewhere(document.as_bytes(), now);
            }
        }
        answer::json(StatusCode::OK, &json!({"UnprocessedTraceSegments": unprocessed}))
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
    let PutTraceSegments { documents } = serde_json::from_slice(body).map_err(|error| {
        // It may quote what was there.
        let reason = sanitize(error.to_string(), REASON_MAX_CHARS);
        refused(format!(
            "The body must be {{\"TraceSegmentDocuments\": [\"...\", ...]}}, each document a string: {reason}"
        ))
    })?;
    // In the service's words.
    if documents.len() > MAX_DOCUMENTS {
        return Err(refused(format!(
            "Exceeding maximum segment count: {MAX_DOCUMENTS}"
        )));
    }
    Ok(documents)
}

#[cfg(test)]
mod tests;
