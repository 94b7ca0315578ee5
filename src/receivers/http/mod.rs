//! `POST /TraceSegments`: what PutTraceSegments takes, into the same batches as what comes over UDP.

use std::fmt;
use std::sync::Arc;

use http::StatusCode;
use http::request::Parts;
use hyper::body::Body as _;
use serde::de::{
    Deserialize, DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor,
};
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
const MAX_DOCUMENTS: u64 = 50;

/// Takes documents over TCP.
#[derive(Debug)]
pub(crate) struct Ingest<I> {
    intake: Arc<I>,
    ledger: Arc<Ledger>,
    bodies: Reader,
}

/// The only member of a body that is read.
const MEMBER: &str = "TraceSegmentDocuments";

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
        match read(&body, &mut |_| {}) {
            Ok(documents) => self.take(&body, documents),
            Err(answer) => *answer,
        }
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

    /// Takes what is in a body that has been read to its end, with so many documents.
    #[expect(clippy::disallowed_methods, reason = "documents are as old as their arrival")]
    fn take(&self, body: &[u8], documents: u64) -> Answer {
        let now = Instant::now().into_std();
        let mut unprocessed = Vec::new();
        self.ledger.add_received_over_tcp(documents);
        // It is read once more, since nothing may be taken of a body that is ill, and the documents of a large one are not
        // to be kept beside it.
        let taken = read(body, &mut |document| {
            if document.is_empty() {
                self.ledger.add_rejected_over_tcp(RejectReason::MissingSegment);
                // As the service names what is no segment: without an id.
                unprocessed.push(json!({
                    "ErrorCode": "ParseError",
                    "Message": "Invalid segment. ErrorCode: ParseError"
                }));
            } else {
                // One at a time, so that the receiver never waits for more than one.
                self.intake.add_from_elsewhere(document.as_bytes(), now);
            }
        });
        match taken {
            Ok(_) => answer::json(StatusCode::OK, &json!({"UnprocessedTraceSegments": unprocessed})),
            Err(answer) => *answer,
        }
    }
}

/// `limits` with no longer bodies than `intake` could ever take.
fn within(intake: &impl Intake, limits: BodyLimits) -> BodyLimits {
    BodyLimits {
        max_bytes: limits.max_bytes.min(intake.longest_bytes()),
        ..limits
    }
}

/// Hands each document of a request body to `each`, and counts them. It stops at the first that is too much: a body of the
/// greatest length could have a million and a half of empty ones.
fn read(body: &[u8], each: &mut dyn FnMut(&str)) -> Result<u64, Box<Answer>> {
    let mut json = serde_json::Deserializer::from_slice(body);
    let read = Body(each).deserialize(&mut json);
    read.and_then(|documents| json.end().map(|()| documents))
        .map_err(|error| {
            let reason = error.to_string();
            let message = if reason.starts_with(TOO_MANY) {
                TOO_MANY.to_owned()
            } else {
                // It may quote what was there.
                let reason = sanitize(reason, REASON_MAX_CHARS);
                format!("The body must be {{\"{MEMBER}\": [\"...\", ...]}}, each document a string: {reason}")
            };
            Box::new(answer::error(
                StatusCode::BAD_REQUEST,
                "InvalidRequestException",
                &message,
            ))
        })
}

/// Reads a whole body.
struct Body<'e>(&'e mut dyn FnMut(&str));

impl<'de> DeserializeSeed<'de> for Body<'_> {
    type Value = u64;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<u64, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Body<'_> {
    type Value = u64;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "an object with {MEMBER}")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<u64, A::Error> {
        let mut documents = None;
        while let Some(IsMember(is_member)) = members.next_key()? {
            if !is_member {
                members.next_value::<IgnoredAny>()?;
            } else if documents.is_some() {
                return Err(Error::duplicate_field(MEMBER));
            } else {
                documents = Some(members.next_value_seed(Documents(&mut *self.0))?);
            }
        }
        documents.ok_or_else(|| Error::missing_field(MEMBER))
    }
}

/// Whether the name of a member is the one.
struct IsMember(bool);

impl<'de> Deserialize<'de> for IsMember {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut is_member = false;
        Document(&mut |name| is_member = name == MEMBER).deserialize(deserializer)?;
        Ok(Self(is_member))
    }
}

/// Reads the array of documents, and counts them.
struct Documents<'e>(&'e mut dyn FnMut(&str));

impl<'de> DeserializeSeed<'de> for Documents<'_> {
    type Value = u64;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<u64, D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for Documents<'_> {
    type Value = u64;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a sequence")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<u64, A::Error> {
        for documents in 0..MAX_DOCUMENTS {
            if items.next_element_seed(Document(&mut *self.0))?.is_none() {
                return Ok(documents);
            }
        }
        match items.next_element::<IgnoredAny>()? {
            None => Ok(MAX_DOCUMENTS),
            Some(_) => Err(Error::custom(TOO_MANY)),
        }
    }
}

/// Reads a string, and keeps nothing of it.
struct Document<'e>(&'e mut dyn FnMut(&str));

impl<'de> DeserializeSeed<'de> for Document<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for Document<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string")
    }

    fn visit_str<E: Error>(self, document: &str) -> Result<(), E> {
        (self.0)(document);
        Ok(())
    }
}

#[cfg(test)]
mod tests;
