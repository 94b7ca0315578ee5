//! The header check: a datagram is `{"format":"json","version":1}`, a newline, and a body that is nobody's business here.
//!
//! The rules are those of the official daemon, seen from outside: the header ends at the first newline, is a JSON
//! object whose `format` equals `json` without regard to case and whose `version` is the integer 1; keys match
//! without regard to case, later duplicates win, a value of the wrong type is as good as absent, further keys are
//! ignored. The body is everything after that newline, JSON or not; it must not be empty.

mod kind;

use std::borrow::Cow;
use std::fmt;
use std::net::SocketAddr;

use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

use crate::ledger::RejectReason;
use crate::logs;
pub use kind::Kind;

/// The headers that the SDKs send, byte for byte with their newline; anything else takes the slow way.
const USUAL_HEADERS: [&[u8]; 2] = [
    b"{\"format\":\"json\",\"version\":1}\n",
    b"{\"format\": \"json\", \"version\": 1}\n",
];

/// How deep a header may nest before it is refused, as with Go's decoder.
const MAX_DEPTH: usize = 10_000;

/// How much of a refused datagram is shown to whoever may see it, in characters.
const SHOWN_CHARS: usize = 64;

/// A refused datagram.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reject<'a> {
    /// What is counted.
    pub reason: RejectReason,
    datagram: &'a [u8],
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
    let reject = |reason| Reject { reason, datagram };
    let Some(newline) = datagram.iter().position(|&byte| byte == b'\n') else {
        return Err(reject(RejectReason::MissingHeader));
    };
    let (header, body) = (&datagram[..newline], &datagram[newline + 1..]);
    if body.is_empty() {
        return Err(reject(RejectReason::MissingSegment));
    }
    if is_valid_header(header) {
        Ok(body)
    } else {
        Err(reject(RejectReason::InvalidHeader))
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

impl Reject<'_> {
    /// What it looks like.
    #[must_use]
    pub fn kind(&self) -> Kind {
        Kind::of(self.datagram, is_valid_header)
    }

    /// Its size.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.datagram.len()
    }

    /// Its first bytes, escaped: content, for whoever may see it.
    #[must_use]
    pub fn beginning(&self) -> String {
        logs::sanitize(self.datagram, SHOWN_CHARS)
    }

    /// One line for the log, beginning with the official daemon's words. No byte of the datagram is in it: what is no
    /// segment by its form may be one by what it holds.
    #[must_use]
    pub fn line(&self, sender: SocketAddr) -> String {
        let (bytes, kind) = (self.bytes(), self.kind());
        let who = format!("a datagram of {bytes} bytes from {sender}, which looks like {kind}");
        match self.reason {
            RejectReason::MissingHeader => format!(
                "Missing header or segment: no newline in {who}; a datagram is {{\"format\":\"json\",\"version\":1}}, a \
                 newline and the segment document"
            ),
            RejectReason::MissingSegment => {
                format!("Missing header or segment: nothing after the header line in {who}")
            }
            RejectReason::InvalidHeader => {
                format!("Invalid header: no {{\"format\":\"json\",\"version\":1}} in the first line of {who}")
            }
        }
    }
}

#[cfg(test)]
mod tests;
