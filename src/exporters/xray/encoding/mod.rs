//! The body of `PutTraceSegments`: `{"TraceSegmentDocuments":["…",…]}`, each segment document a JSON string.

mod describe;
pub mod escape;

use crate::pipeline::batch::encoding::{Description, Encoding, Output};

/// Segment documents in a body of `PutTraceSegments`.
#[derive(Debug, Clone, Copy)]
pub enum Segments {}

impl Encoding for Segments {
    /// What the service takes in one call, and enforces.
    const MAX_DOCUMENTS: usize = 50;

    const HEAD: &'static [u8] = b"{\"TraceSegmentDocuments\":[";

    const SEPARATOR: &'static [u8] = b",";

    const TAIL: &'static [u8] = b"]}";

    /// Its two quotes and a comma.
    const LEAST_GROWTH_BYTES: usize = 3;

    const SLACK_BYTES: usize = escape::SLACK_BYTES;

    /// Escapes it; bytes that are not UTF-8 become U+FFFD.
    fn append(document: &[u8], body: &mut impl Output) -> bool {
        match std::str::from_utf8(document) {
            Ok(_) => {
                escape::escape(document, body);
                false
            }
            Err(_) => {
                escape::escape(String::from_utf8_lossy(document).as_bytes(), body);
                true
            }
        }
    }

    /// As the JSON strings that they are, quotes included.
    fn documents(body: &[u8]) -> Option<Vec<&[u8]>> {
        let mut rest = body.strip_prefix(Self::HEAD)?.strip_suffix(Self::TAIL)?;
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

    fn describe(body: &[u8]) -> Vec<Description> {
        describe::describe(body)
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

#[cfg(test)]
mod tests;
