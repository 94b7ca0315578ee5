//! Documents into the body of a call and out again. The input is a body, and also documents.

use std::borrow::Cow;
use std::time::Instant;

use crate::subject::body::{Batch, Encoding as _, OpenBatch, Segments, escape};
use crate::{SEPARATOR, assert_is_plain};

/// The most that is said about a document, in bytes: three texts of 64 characters, escaped.
const SHOWN_MAX_BYTES: usize = 1_000;

/// What can be taken apart gives the same again when it is put together, whole or in halves; and what is put in comes
/// out byte for byte, but for U+FFFD in the place of what is not UTF-8.
///
/// # Panics
/// When one of these does not hold.
pub fn check(input: &[u8]) {
    let now = Instant::now();
    apart(input, now);
    apart(&[Segments::HEAD, input, Segments::TAIL].concat(), now);
    together(input, now);
}

fn apart(body: &[u8], now: Instant) {
    let Some(found) = Segments::documents(body) else {
        return;
    };
    assert!(!found.is_empty());
    for document in &found {
        assert!(document.len() >= 2 && document.starts_with(b"\"") && document.ends_with(b"\""));
    }
    let whole = Batch::of_documents::<Segments>(&found, now).expect("there are documents");
    assert_eq!(&whole.body[..], body);
    assert_eq!(whole.documents, found.len());
    match Batch::halves::<Segments>(whole.kind, &whole.body, now) {
        None => assert_eq!(found.len(), 1),
        Some(halves) => {
            let [first, second] = &halves;
            assert_eq!(first.documents + second.documents, found.len());
            let parts = halves
                .iter()
                .map(|half| Segments::documents(&half.body).expect("a body"));
            assert_eq!(parts.collect::<Vec<_>>().concat(), found);
        }
    }
}

fn together(input: &[u8], now: Instant) {
    // Small bodies too, so that documents close them before there are fifty.
    let max_body_bytes = 64 << (input.len() % 12);
    let mut open = OpenBatch::new(max_body_bytes);
    let pieces: Vec<&[u8]> = input.split(|&byte| byte == SEPARATOR).collect();
    let mut sealed = Vec::new();
    for piece in &pieces {
        let pushed = open.push(piece, now);
        assert_eq!(pushed.replaced_utf8, std::str::from_utf8(piece).is_err());
        // One that did not fit in is alone so far, and may be larger than a body.
        let is_alone = pushed.sealed.is_some();
        assert!(open.documents() < Segments::MAX_DOCUMENTS);
        assert!(open.bytes() < max_body_bytes || is_alone);
        sealed.extend(pushed.sealed);
    }
    sealed.extend(open.seal());
    let mut expected = pieces.iter();
    for batch in &sealed {
        let found = Segments::documents(&batch.body).expect("a body of our own");
        assert_eq!(found.len(), batch.documents);
        let described = Segments::describe(&batch.body);
        assert_eq!(described.len(), batch.documents);
        for description in described {
            assert_is_plain(&description.to_string(), SHOWN_MAX_BYTES);
        }
        let mut last = None;
        for (document, piece) in found.into_iter().zip(expected.by_ref()) {
            let text = String::from_utf8_lossy(piece);
            let read: Cow<'_, str> = serde_json::from_slice(document).expect("JSON");
            assert_eq!(read, text);
            // The escapes are those of the usual encoder, to the byte.
            assert_eq!(document, serde_json::to_vec(&text).expect("JSON"));
            let mut escaped = Vec::new();
            escape(text.as_bytes(), &mut escaped);
            assert_eq!(document, escaped);
            last = Some((document.len(), piece.len()));
        }
        // Only what the last one of several grows by when it is escaped may be beyond.
        let (escaped_bytes, bytes) = last.expect("a document at least");
        assert!(batch.documents == 1 || batch.body.len() - escaped_bytes + bytes + 2 <= max_body_bytes);
    }
    assert_eq!(expected.next(), None, "every document is in a batch");
}
