//! Takes a sealed body apart again, without unescaping: for splitting a refused batch and for sending some of its
//! documents once more. Off the hot path.

use std::time::Instant;

use super::{Batch, HEAD, TAIL};

/// The documents of `body` as the JSON strings that they are, quotes included, in order. `None` when it is not the
/// form that [`super::OpenBatch`] writes.
#[must_use]
pub fn documents(body: &[u8]) -> Option<Vec<&[u8]>> {
    let mut rest = body.strip_prefix(HEAD)?.strip_suffix(TAIL)?;
    let mut documents = Vec::new();
    loop {
        let (document, after) = rest.split_at_checked(string_end(rest)?)?;
        documents.push(document);
        match after {
            [] => return Some(documents),
            [b',', next @ ..] => rest = next,
            _ => return None,
        }
    }
}

/// Where the JSON string at the start of `text` ends.
fn string_end(text: &[u8]) -> Option<usize> {
    if text.first() != Some(&b'"') {
        return None;
    }
    let mut at = 1;
    loop {
        match text.get(at)? {
            b'"' => return Some(at + 1),
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
}

impl Batch {
    /// A batch of these documents (see [`documents`]), not sent before; `None` without any.
    #[must_use]
    pub fn of_documents(documents: &[&[u8]], opened_at: Instant) -> Option<Self> {
        let (first, others) = documents.split_first()?;
        let length: usize = documents.iter().map(|document| document.len() + 1).sum();
        let mut body = Vec::with_capacity(HEAD.len() + length + TAIL.len());
        body.extend_from_slice(HEAD);
        body.extend_from_slice(first);
        for document in others {
            body.push(b',');
            body.extend_from_slice(document);
        }
        body.extend_from_slice(TAIL);
        Some(Self::of_body(body, documents.len(), opened_at))
    }

    /// Two batches with half of the documents each; `None` for a single document.
    #[must_use]
    pub fn halves(&self) -> Option<[Self; 2]> {
        let documents = documents(&self.body)?;
        let (first, second) = documents.split_at(documents.len() / 2);
        Some([
            Self::of_documents(first, self.opened_at)?,
            Self::of_documents(second, self.opened_at)?,
        ])
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::pipeline::batch::OpenBatch;

    #[test]
    fn what_is_not_such_a_body_has_no_documents() {
        for body in [
            &b""[..],
            b"{}",
            b"{\"TraceSegmentDocuments\":[]}",
            b"{\"TraceSegmentDocuments\":[\"a]}",
            b"{\"TraceSegmentDocuments\":[\"a\\\"]}",
            b"{\"TraceSegmentDocuments\":[\"a\"\"b\"]}",
            b"{\"TraceSegmentDocuments\":[\"a\",]}",
            b"{\"TraceSegmentDocuments\":[5]}",
        ] {
            assert_eq!(documents(body), None, "{}", String::from_utf8_lossy(body));
        }
    }

    #[test]
    fn a_batch_that_is_made_of_documents_holds_little_more_than_its_body() {
        let document = format!("\"{}\"", "x".repeat(1000));
        let batch = Batch::of_documents(&[document.as_bytes(); 50], Instant::now()).unwrap();
        // The first document has no comma before it.
        assert_eq!(batch.cost_bytes(), batch.body.len() + 1 + size_of::<Batch>());
    }

    #[test]
    fn a_single_document_has_no_halves() {
        let batch = Batch::of_documents(&[b"\"a\""], Instant::now()).unwrap();
        assert!(batch.halves().is_none());
        assert!(Batch::of_documents(&[], Instant::now()).is_none());
    }

    proptest! {
        #[test]
        fn halves_make_the_whole(
            texts in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..60), 2..50),
        ) {
            let now = Instant::now();
            let mut open = OpenBatch::new(1 << 20);
            for text in &texts {
                prop_assert!(open.push(text, now).sealed.is_none());
            }
            let batch = open.seal().unwrap();
            let whole = documents(&batch.body).unwrap();
            prop_assert_eq!(whole.len(), texts.len());
            let [first, second] = batch.halves().unwrap();
            prop_assert_eq!(first.documents, texts.len() / 2);
            prop_assert_eq!(first.documents + second.documents, texts.len());
            let mut joined = documents(&first.body).unwrap();
            joined.extend(documents(&second.body).unwrap());
            prop_assert_eq!(&joined, &whole);
            prop_assert_eq!(Batch::of_documents(&joined, now).unwrap().body, batch.body);
        }
    }
}
