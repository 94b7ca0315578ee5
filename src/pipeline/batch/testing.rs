//! An encoding for the tests of what is neutral: it is nobody's request.

use std::time::Instant;

use serde_json::Deserializer;

use super::encoding::{Description, Encoding, Output};
use super::{Batch, OpenBatch};

/// Written at a time, with twice the room: a body grows in small steps, as it does where documents are escaped.
const PIECE_BYTES: usize = 512;

/// A JSON array of strings.
#[derive(Debug)]
pub(crate) enum Strings {}

impl Encoding for Strings {
    const MAX_DOCUMENTS: usize = 50;
    const HEAD: &'static [u8] = b"[";
    const SEPARATOR: &'static [u8] = b",";
    const TAIL: &'static [u8] = b"]";
    const LEAST_GROWTH_BYTES: usize = 3;
    const SLACK_BYTES: usize = 2 * PIECE_BYTES;

    fn append(document: &[u8], body: &mut impl Output) -> bool {
        let text = String::from_utf8_lossy(document);
        let string = serde_json::to_vec(&text).unwrap();
        for piece in string.chunks(PIECE_BYTES) {
            body.append_with(2 * PIECE_BYTES, |room| {
                room[..piece.len()].copy_from_slice(piece);
                piece.len()
            });
        }
        text.as_bytes() != document
    }

    fn documents(body: &[u8]) -> Option<Vec<&[u8]>> {
        let mut rest = body.strip_prefix(b"[")?.strip_suffix(b"]")?;
        let mut documents = Vec::new();
        loop {
            let mut strings = Deserializer::from_slice(rest).into_iter::<String>();
            strings.next()?.ok()?;
            let (document, after) = rest.split_at(strings.byte_offset());
            documents.push(document);
            match after {
                [] => return Some(documents),
                [b',', next @ ..] => rest = next,
                _ => return None,
            }
        }
    }

    /// The id of each is its text.
    fn describe(body: &[u8]) -> Vec<Description> {
        let texts: Vec<String> = serde_json::from_slice(body).unwrap_or_default();
        texts
            .into_iter()
            .map(|text| Description {
                bytes: text.len(),
                id: Some(text),
                ..Description::default()
            })
            .collect()
    }
}

/// What must hold of the halves of a batch in every encoding: the first has half of the documents, rounded down, the second
/// the rest, and both together are the whole, byte for byte. `texts`: 2 to 49 documents.
pub(crate) fn check_halves<E: Encoding>(texts: &[Vec<u8>]) {
    let now = Instant::now();
    let mut open = OpenBatch::<E>::new(1 << 20);
    for text in texts {
        assert!(open.push(text, now).sealed.is_none());
    }
    let batch = open.seal().unwrap();
    let whole = E::documents(&batch.body).unwrap();
    assert_eq!(whole.len(), texts.len());
    let [first, second] = Batch::halves::<E>(&batch.body, now).unwrap();
    assert_eq!(first.documents, texts.len() / 2);
    assert_eq!(first.documents + second.documents, texts.len());
    let mut joined = E::documents(&first.body).unwrap();
    joined.extend(E::documents(&second.body).unwrap());
    assert_eq!(joined, whole);
    assert_eq!(Batch::of_documents::<E>(&joined, now).unwrap().body, batch.body);
}
