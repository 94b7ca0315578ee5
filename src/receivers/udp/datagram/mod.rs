//! The header check: a datagram is `{"format":"json","version":1}`, a newline, and a body that is nobody's business here.
//!
//! The rules are those of the official daemon, seen from outside: the header ends at the first newline, is a JSON
//! object whose `format` equals `json` without regard to case and whose `version` is the integer 1; keys match
//! without regard to case, later duplicates win, a value of the wrong type is as good as absent, further keys are
//! ignored. The body is everything after that newline, JSON or not; it must not be empty.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

use crate::ledger::RejectReason;
use crate::logs;

/// The headers that the SDKs send, byte for byte with their newline; anything else takes the slow way.
const USUAL_HEADERS: [&[u8]; 2] = [
    b"{\"format\":\"json\",\"version\":1}\n",
    b"{\"format\": \"json\", \"version\": 1}\n",
];

/// How deep a header may nest before it is refused, as with Go's decoder.
const MAX_DEPTH: usize = 10_000;

/// How much of a refused header is shown in the log, in bytes.
const SHOWN_HEADER_BYTES: usize = 64;

/// A refused datagram.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reject<'a> {
    /// What is counted.
    pub reason: RejectReason,
    header: &'a [u8],
    datagram_bytes: usize,
}

/// The document in a datagram: the bytes after its header line.
///
/// # Errors
/// [`Reject`] when the header is missing or wrong, or nothing follows it.
pub fn document(datagram: &[u8]) -> Result<&[u8], Reject<'_>> {
    for header in USUAL_HEADERS {
        if let Some(body) = datagram.strip_prefix(header)
            && !body.is_empty()
        {
            return Ok(body);
        }
    }
    uncommon(datagram)
}

fn uncommon(datagram: &[u8]) -> Result<&[u8], Reject<'_>> {
    let reject = |reason, header| Reject {
        reason,
        header,
        datagram_bytes: datagram.len(),
    };
    let Some(newline) = datagram.iter().position(|&byte| byte == b'\n') else {
        return Err(reject(RejectReason::MissingHeader, &[][..]));
    };
    let (header, body) = (&datagram[..newline], &datagram[newline + 1..]);
    if body.is_empty() {
        return Err(reject(RejectReason::MissingSegment, header));
    }
    if is_valid_header(header) {
        Ok(body)
    } else {
        Err(reject(RejectReason::InvalidHeader, header))
    }
}

fn is_valid_header(header: &[u8]) -> bool {
    // serde_json skips values without recursion, so depth costs no stack; the bound is kept for conformance.
    if header
        .iter()
        .filter(|&&byte| byte == b'[' || byte == b'{')
        .count()
        > MAX_DEPTH
    {
        return false;
    }
    let text = String::from_utf8_lossy(header);
    serde_json::from_str::<Header>(&text).is_ok_and(|header| header.format_is_json && header.version == 1)
}

#[derive(Default)]
struct Header {
    format_is_json: bool,
    version: i64,
}

impl<'de> Deserialize<'de> for Header {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(HeaderVisitor)
    }
}

struct HeaderVisitor;

impl<'de> Visitor<'de> for HeaderVisitor {
    type Value = Header;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object with format and version")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Header, A::Error> {
        let mut header = Header::default();
        while let Some(key) = map.next_key::<Cow<'de, str>>()? {
            if folds_to(&key, "format") {
                if let Field::Text(is_json) = map.next_value()? {
                    header.format_is_json = is_json;
                }
            } else if folds_to(&key, "version") {
                if let Field::Integer(version) = map.next_value()? {
                    header.version = version;
                }
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(header)
    }
}

/// The value of a field we look at; `Text` says whether it is `json`.
enum Field {
    Text(bool),
    Integer(i64),
    Other,
}

impl<'de> Deserialize<'de> for Field {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(FieldVisitor)
    }
}

struct FieldVisitor;

impl<'de> Visitor<'de> for FieldVisitor {
    type Value = Field;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any JSON value")
    }

    fn visit_str<E>(self, text: &str) -> Result<Field, E> {
        Ok(Field::Text(folds_to(text, "json")))
    }

    fn visit_u64<E>(self, number: u64) -> Result<Field, E> {
        Ok(i64::try_from(number).map_or(Field::Other, Field::Integer))
    }

    fn visit_i64<E>(self, number: i64) -> Result<Field, E> {
        Ok(Field::Integer(number))
    }

    fn visit_f64<E>(self, _: f64) -> Result<Field, E> {
        Ok(Field::Other)
    }

    fn visit_bool<E>(self, _: bool) -> Result<Field, E> {
        Ok(Field::Other)
    }

    fn visit_unit<E>(self) -> Result<Field, E> {
        Ok(Field::Other)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Field, A::Error> {
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Field::Other)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Field, A::Error> {
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Field::Other)
    }
}

/// Unicode simple folding against a lower-case ASCII word: beside A-Z, only two letters fold into ASCII, the long s
/// and the Kelvin sign.
fn folds_to(text: &str, word: &str) -> bool {
    let mut letters = word.chars();
    text.chars().all(|c| {
        let folded = match c {
            'ſ' => 's',
            '\u{212A}' => 'k',
            other => other.to_ascii_lowercase(),
        };
        letters.next() == Some(folded)
    }) && letters.next().is_none()
}

impl fmt::Display for Reject<'_> {
    /// One line for the log, beginning with the official daemon's words. Never the content of a segment: a datagram
    /// without header line is not shown at all, and a header only as far as it is one.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bytes = self.datagram_bytes;
        match self.reason {
            RejectReason::MissingHeader => write!(
                f,
                "Missing header or segment: no newline in a datagram of {bytes} bytes; a datagram is \
                 {{\"format\":\"json\",\"version\":1}}, a newline and the segment document"
            ),
            RejectReason::MissingSegment => {
                write!(
                    f,
                    "Missing header or segment: nothing after the header line in a datagram of {bytes} bytes"
                )
            }
            RejectReason::InvalidHeader => {
                write!(f, "Invalid header: ")?;
                if looks_like_a_segment(self.header) {
                    write!(
                        f,
                        "the first line has neither format nor version (a segment without header line?)"
                    )?;
                } else {
                    write!(f, "{}", logs::sanitize(self.header, SHOWN_HEADER_BYTES))?;
                }
                write!(
                    f,
                    " in a datagram of {bytes} bytes; expected {{\"format\":\"json\",\"version\":1}}"
                )
            }
        }
    }
}

/// Whether a refused header line may be (the beginning of) a JSON document rather than a header.
fn looks_like_a_segment(header: &[u8]) -> bool {
    let start = &header[..header.len().min(SHOWN_HEADER_BYTES)];
    let trimmed = start.trim_ascii_start();
    let braced = trimmed.starts_with(b"{") || trimmed.starts_with(b"[") || trimmed.starts_with(b"\"");
    braced && !start.to_ascii_lowercase().windows(6).any(|six| six == b"format") && header.len() > 4
}

#[cfg(test)]
mod tests;
