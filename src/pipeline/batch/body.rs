//! Takes a sealed body apart and puts documents together again, without decoding them: for splitting a refused batch and
//! for sending some of its documents once more. Off the hot path.

use std::time::Instant;

use super::Batch;
use super::encoding::Encoding;
use super::kind::Kind;

impl Batch {
    /// A batch of these documents (as [`Encoding::documents`] gives them), not sent before; `None` without any.
    #[must_use]
    pub fn of_documents<E: Encoding>(documents: &[&[u8]], opened_at: Instant) -> Option<Self> {
        let (first, others) = documents.split_first()?;
        let length: usize = documents
            .iter()
            .map(|document| document.len() + E::SEPARATOR.len())
            .sum();
        let mut body = Vec::with_capacity(E::HEAD.len() + length + E::TAIL.len());
        body.extend_from_slice(E::HEAD);
        body.extend_from_slice(first);
        for document in others {
            body.extend_from_slice(E::SEPARATOR);
            body.extend_from_slice(document);
        }
        body.extend_from_slice(E::TAIL);
        Some(Self::of_body(body, documents.len(), opened_at))
    }

    /// Two batches in place of this one, of the first `count` documents and of the others, which are in all else what this
    /// one is; `None` when it has no more than `count`. This one is over with it. Requests are halved, as far as they can
    /// be: the first may still have more.
    #[must_use]
    pub(crate) fn split_at<E: Encoding>(&self, count: usize) -> Option<[Self; 2]> {
        if self.documents <= count {
            return None;
        }
        let parts = match self.kind {
            Kind::Segments => {
                let documents = E::documents(&self.body)?;
                let (first, second) = documents.split_at_checked(count)?;
                [
                    Self::of_documents::<E>(first, self.opened_at)?,
                    Self::of_documents::<E>(second, self.opened_at)?,
                ]
            }
            Kind::Requests(..) => Self::halves::<E>(self.kind, &self.body, self.opened_at)?,
        };
        let mut parts = parts.map(|part| Self {
            attempts: self.attempts,
            redeliveries: self.redeliveries,
            faults: self.faults,
            not_before: self.not_before,
            joins: self.joins,
            ..part
        });
        if let Some(origin) = &self.origin {
            for part in &mut parts {
                part.origin = Some(origin.part());
            }
            // Not the last one: the two are there.
            let _: bool = origin.end();
        }
        Some(parts)
    }

    /// Two batches with half of the documents of `body` each, or some half of its requests; `None` for a single document,
    /// and for requests that can't be divided.
    #[must_use]
    pub fn halves<E: Encoding>(kind: Kind, body: &[u8], opened_at: Instant) -> Option<[Self; 2]> {
        if let Kind::Requests(..) = kind {
            let halves = E::halves(kind, body)?;
            return Some(halves.map(|half| Self::of_requests(kind, half.body, half.items, opened_at)));
        }
        let documents = E::documents(body)?;
        let (first, second) = documents.split_at(documents.len() / 2);
        Some([
            Self::of_documents::<E>(first, opened_at)?,
            Self::of_documents::<E>(second, opened_at)?,
        ])
    }
}
