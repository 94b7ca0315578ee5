//! The canonical request: the one spelling of a request that both sides hash.

use std::borrow::Cow;

use super::Received;

/// The header whose value is masked where a canonical request is shown.
const TOKEN: &str = "x-amz-security-token";

/// The canonical request over the `signed` headers, as bytes since header values need not be UTF-8.
pub(super) fn request(request: &Received<'_>, signed: &[&str], body_hash: &str) -> Vec<u8> {
    build(request, signed, body_hash, false)
}

/// The same for an error text: a session token masked, bytes that are not UTF-8 replaced.
pub(super) fn shown(request: &Received<'_>, signed: &[&str], body_hash: &str) -> String {
    String::from_utf8_lossy(&build(request, signed, body_hash, true)).into_owned()
}

fn build(request: &Received<'_>, signed: &[&str], body_hash: &str, mask_token: bool) -> Vec<u8> {
    let mut out = Vec::with_capacity(512);
    out.extend_from_slice(request.method.as_bytes());
    out.push(b'\n');
    out.extend_from_slice(path(request.path).as_bytes());
    out.push(b'\n');
    out.extend_from_slice(query(request.query.unwrap_or_default()).as_bytes());
    out.push(b'\n');
    for name in signed {
        out.extend_from_slice(name.as_bytes());
        out.push(b':');
        if mask_token && *name == TOKEN {
            out.extend_from_slice(b"(masked)");
        } else {
            for (i, value) in request.headers.get_all(*name).iter().enumerate() {
                if i > 0 {
                    out.push(b',');
                }
                push_value(&mut out, value.as_bytes());
            }
        }
        out.push(b'\n');
    }
    out.push(b'\n');
    out.extend_from_slice(signed.join(";").as_bytes());
    out.push(b'\n');
    out.extend_from_slice(body_hash.as_bytes());
    out
}

/// A header value without spaces at its ends and with runs of spaces inside made one.
fn push_value(out: &mut Vec<u8>, value: &[u8]) {
    let words = value.split(|byte| *byte == b' ').filter(|word| !word.is_empty());
    for (i, word) in words.enumerate() {
        if i > 0 {
            out.push(b' ');
        }
        out.extend_from_slice(word);
    }
}

/// The path with empty, `.` and `..` segments resolved, each segment percent-encoded once more: what arrived is
/// encoded once already, and all services but S3 want it twice.
fn path(raw: &str) -> String {
    let mut segments: Vec<&str> = Vec::new();
    for segment in raw.split('/') {
        match segment {
            "" | "." => {}
            ".." => {
                segments.pop();
            }
            other => segments.push(other),
        }
    }
    let mut out = String::with_capacity(raw.len() + 1);
    for segment in &segments {
        out.push('/');
        encode(&mut out, segment.as_bytes());
    }
    let ends_open = raw.ends_with('/') || raw.ends_with("/.") || raw.ends_with("/..");
    if segments.is_empty() || ends_open {
        out.push('/');
    }
    out
}

/// The query's pairs, each half decoded and encoded in AWS's way, sorted. A `+` is a plus, not a space.
fn query(raw: &str) -> String {
    let mut pairs: Vec<(String, String)> = raw
        .split('&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            (recode(name), recode(value))
        })
        .collect();
    pairs.sort_unstable();
    let texts: Vec<String> = pairs
        .iter()
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    texts.join("&")
}

fn recode(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    encode(&mut out, &decode(text.as_bytes()));
    out
}

/// Percent-decodes; a `%` that no two hex digits follow stays as it is.
fn decode(text: &[u8]) -> Cow<'_, [u8]> {
    if !text.contains(&b'%') {
        return Cow::Borrowed(text);
    }
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((&byte, tail)) = rest.split_first() {
        let mut escaped = [0];
        match tail.get(..2) {
            Some(digits) if byte == b'%' && hex::decode_to_slice(digits, &mut escaped).is_ok() => {
                out.push(escaped[0]);
                rest = &tail[2..];
            }
            _ => {
                out.push(byte);
                rest = tail;
            }
        }
    }
    Cow::Owned(out)
}

/// Percent-encodes all but the unreserved characters of RFC 3986, with upper-case hex.
fn encode(out: &mut String, bytes: &[u8]) {
    for &byte in bytes {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push('%');
            out.push(HEX[usize::from(byte >> 4)]);
            out.push(HEX[usize::from(byte & 15)]);
        }
    }
}

const HEX: [char; 16] = [
    '0', '1', '2', '3', '4', '5', '6', '7', '8', '9', 'A', 'B', 'C', 'D', 'E', 'F',
];
