//! What a refused datagram looks like, to be said in place of bytes of it: those may be a customer's data.
//!
//! A guess from the first bytes, for whoever wants to know what it is that sends to this port. It decides nothing.

use std::fmt;

/// How much of a datagram is looked at, in bytes.
const LOOKED_AT_BYTES: usize = 1024;

/// Keys that stand in segment documents and hardly anywhere else, in the form that all SDKs write.
const SEGMENT_KEYS: [&[u8]; 5] = [
    b"\"trace_id\"",
    b"\"parent_id\"",
    b"\"start_time\"",
    b"\"end_time\"",
    b"\"subsegments\"",
];

/// The methods of HTTP and of what is like it.
const HTTP_METHODS: [&[u8]; 12] = [
    b"GET",
    b"HEAD",
    b"POST",
    b"PUT",
    b"DELETE",
    b"OPTIONS",
    b"PATCH",
    b"CONNECT",
    b"TRACE",
    b"PRI",
    b"NOTIFY",
    b"M-SEARCH",
];

/// What a refused datagram looks like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A header with nothing after it.
    HeaderAlone,
    /// A header of another format or version.
    OtherHeader,
    /// Something invisible stands before the header.
    HiddenStart,
    /// Header and segment are there, on one line.
    OneLine,
    /// A segment without its header line.
    BareSegment,
    /// A segment with something before it, or the second half of one.
    JsonPart,
    /// A JSON document of another kind.
    Json,
    /// HTTP, a request or an answer.
    Http,
    /// The beginning of TLS or of its form for datagrams.
    Tls,
    /// QUIC, which carries HTTP/3.
    Quic,
    /// A question or answer of the domain name system.
    Dns,
    /// A metric for statsd.
    Statsd,
    /// A line for syslog.
    Syslog,
    /// Spans for the agent of Jaeger.
    Jaeger,
    /// Compressed.
    Gzip,
    /// White space or NULs alone.
    Blank,
    /// Any other text.
    Text,
    /// Anything else.
    Binary,
}

impl Kind {
    /// The kind of `datagram`, which is not empty and was refused. `is_header` says whether a line is a good header.
    pub(super) fn of(datagram: &[u8], is_header: impl Fn(&[u8]) -> bool) -> Self {
        let seen = &datagram[..datagram.len().min(LOOKED_AT_BYTES)];
        if let Some(kind) = protocol(seen) {
            return kind;
        }
        let text = visible(seen);
        let hidden = seen.len() - text.len();
        let Some(first) = text.first() else {
            return Self::Blank;
        };
        let line = first_line(text);
        let segment_at = SEGMENT_KEYS.iter().filter_map(|key| find(text, key)).min();
        let header_at = [&b"\"format\""[..], b"\"version\""]
            .iter()
            .filter_map(|key| find_any_case(line, key))
            .min();
        match first {
            b'{' => match (header_at, segment_at) {
                (Some(header), Some(segment)) if header < segment && segment < line.len() => Self::OneLine,
                (Some(_), segment) if segment.is_none_or(|at| at >= line.len()) => {
                    // The whole first line, which may be longer than what is looked at.
                    let rest = &datagram[hidden..];
                    match (hidden, is_header(first_line(rest))) {
                        (0, true) => Self::HeaderAlone,
                        (_, true) => Self::HiddenStart,
                        (_, false) => Self::OtherHeader,
                    }
                }
                (_, Some(_)) => Self::BareSegment,
                (_, None) => Self::Json,
            },
            b'[' if segment_at.is_some() => Self::BareSegment,
            b'[' => Self::Json,
            _ if is_http(line) => Self::Http,
            _ if is_statsd(line) => Self::Statsd,
            _ if is_syslog(line) => Self::Syslog,
            _ if segment_at.is_some() || is_end_of_json(text, datagram) => Self::JsonPart,
            _ if is_text(text) => Self::Text,
            _ => Self::Binary,
        }
    }

    /// The word for it in JSON logs.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::HeaderAlone => "header_alone",
            Self::OtherHeader => "other_header",
            Self::HiddenStart => "hidden_start",
            Self::OneLine => "one_line",
            Self::BareSegment => "bare_segment",
            Self::JsonPart => "json_part",
            Self::Json => "json",
            Self::Http => "http",
            Self::Tls => "tls",
            Self::Quic => "quic",
            Self::Dns => "dns",
            Self::Statsd => "statsd",
            Self::Syslog => "syslog",
            Self::Jaeger => "jaeger",
            Self::Gzip => "gzip",
            Self::Blank => "blank",
            Self::Text => "text",
            Self::Binary => "binary",
        }
    }
}

impl fmt::Display for Kind {
    /// As the end of `looks like …`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::HeaderAlone => "a header line alone",
            Self::OtherHeader => "a header of another format or version",
            Self::HiddenStart => "a header behind a byte order mark, a NUL or an empty line",
            Self::OneLine => "a header and a segment without a newline between them",
            Self::BareSegment => "a segment without its header line",
            Self::JsonPart => "a part of a JSON document: a split segment, or one with something before it",
            Self::Json => "a JSON document that is no segment",
            Self::Http => "HTTP",
            Self::Tls => "TLS",
            Self::Quic => "QUIC (HTTP/3)",
            Self::Dns => "DNS",
            Self::Statsd => "statsd",
            Self::Syslog => "syslog",
            Self::Jaeger => "Jaeger (Thrift)",
            Self::Gzip => "compressed data (gzip)",
            Self::Blank => "white space or NULs alone",
            Self::Text => "text",
            Self::Binary => "binary data",
        })
    }
}

/// Protocols that are known by their first bytes and are not text.
fn protocol(bytes: &[u8]) -> Option<Kind> {
    match bytes {
        // A record's type and its version; datagrams count theirs down.
        [0x14..=0x17, 0x03, 0x00..=0x04, ..] | [0x14..=0x17, 0xfe, 0xfd | 0xff, ..] => Some(Kind::Tls),
        // A long header of version 1 or 2.
        [0xc0..=0xff, 0, 0, 0, 1, ..] | [0xc0..=0xff, 0x6b, 0x33, 0x43, 0xcf, ..] => Some(Kind::Quic),
        [0x1f, 0x8b, ..] => Some(Kind::Gzip),
        // A message in Thrift's compact or binary protocol: a call, or one without an answer.
        [0x82, 0x21 | 0x81, ..] | [0x80, 0x01, 0x00, 0x01 | 0x04, ..] => Some(Kind::Jaeger),
        _ if is_dns(bytes) => Some(Kind::Dns),
        _ => None,
    }
}

/// One question of a name, a type and a class, behind a header whose unused bits are 0.
fn is_dns(bytes: &[u8]) -> bool {
    let Some((header, question)) = bytes.split_at_checked(12) else {
        return false;
    };
    // Opcode 0, and 1 question.
    if header[2] & 0x78 != 0 || header[3] & 0x40 != 0 || header[4..6] != [0, 1] {
        return false;
    }
    let mut rest = question;
    while let Some((&length, after)) = rest.split_first() {
        if length == 0 {
            // The class, after the type, is the internet, or that of mDNS.
            return matches!(after, [_, _, 0x00 | 0x80, 0x01, ..]);
        }
        let Some((label, after)) = after.split_at_checked(usize::from(length)) else {
            return false;
        };
        if length > 63 || !label.iter().all(u8::is_ascii_graphic) {
            return false;
        }
        rest = after;
    }
    false
}

/// `bytes` without what nobody sees before them: a byte order mark, NULs, white space.
fn visible(bytes: &[u8]) -> &[u8] {
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    let start = bytes
        .iter()
        .position(|&byte| byte != 0 && !byte.is_ascii_whitespace())
        .unwrap_or(bytes.len());
    &bytes[start..]
}

fn first_line(bytes: &[u8]) -> &[u8] {
    let end = bytes.iter().position(|&byte| byte == b'\n');
    &bytes[..end.unwrap_or(bytes.len())]
}

fn find(bytes: &[u8], what: &[u8]) -> Option<usize> {
    bytes.windows(what.len()).position(|window| window == what)
}

fn find_any_case(bytes: &[u8], what: &[u8]) -> Option<usize> {
    bytes
        .windows(what.len())
        .position(|window| window.eq_ignore_ascii_case(what))
}

/// Whether it has a value of a key, and ends as an object or array does.
fn is_end_of_json(text: &[u8], datagram: &[u8]) -> bool {
    let ends = matches!(datagram.trim_ascii_end().last(), Some(b'}' | b']'));
    ends && [&b"\":"[..], b"\" :"]
        .iter()
        .any(|sign| find(text, sign).is_some())
}

fn is_http(line: &[u8]) -> bool {
    let (word, rest) = match line.iter().position(|&byte| byte == b' ') {
        Some(at) => line.split_at(at),
        None => return false,
    };
    word.starts_with(b"HTTP/") || (HTTP_METHODS.contains(&word) && find(rest, b" HTTP/").is_some())
}

/// `name:1.5|c`, with whatever follows.
fn is_statsd(line: &[u8]) -> bool {
    let Some((name, rest)) = split_once(line, b':') else {
        return false;
    };
    let Some((value, kind)) = split_once(rest, b'|') else {
        return false;
    };
    let kind = kind.split(|byte| matches!(byte, b'|' | b'\r')).next();
    !name.is_empty()
        && name.iter().all(u8::is_ascii_graphic)
        && !value.is_empty()
        && value
            .iter()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.' | b':'))
        && kind.is_some_and(|kind| matches!(kind, b"c" | b"g" | b"ms" | b"h" | b"s" | b"d"))
}

/// `<34>` and more.
fn is_syslog(line: &[u8]) -> bool {
    let Some((priority, _)) = line.strip_prefix(b"<").and_then(|rest| split_once(rest, b'>')) else {
        return false;
    };
    (1..=3).contains(&priority.len()) && priority.iter().all(u8::is_ascii_digit)
}

fn split_once(bytes: &[u8], at: u8) -> Option<(&[u8], &[u8])> {
    let place = bytes.iter().position(|&byte| byte == at)?;
    Some((&bytes[..place], &bytes[place + 1..]))
}

/// Whether it is UTF-8 as far as it was looked at, without control characters.
fn is_text(bytes: &[u8]) -> bool {
    let text = match str::from_utf8(bytes) {
        Ok(text) => text,
        // The last character may be cut in half.
        Err(error) if error.error_len().is_none() => {
            str::from_utf8(&bytes[..error.valid_up_to()]).unwrap_or_default()
        }
        Err(_) => return false,
    };
    !text
        .chars()
        .any(|c| c.is_control() && !matches!(c, '\t' | '\r' | '\n'))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the daemon makes of a header is none of this module's business.
    fn of(datagram: &[u8]) -> Kind {
        Kind::of(datagram, |line| line == b"{\"format\":\"json\",\"version\":1}")
    }

    const HEADER: &str = "{\"format\":\"json\",\"version\":1}";
    const SEGMENT: &str = "{\"trace_id\":\"1-5f84c7a5-0\",\"id\":\"0\",\"service\":{\"version\":\"1\"}}";

    #[test]
    fn what_is_nearly_a_segment_is_told_by_what_it_lacks() {
        let part = &SEGMENT[30..];
        for (datagram, kind) in [
            (HEADER.to_owned(), Kind::HeaderAlone),
            (format!("{HEADER}\n"), Kind::HeaderAlone),
            (format!("{{\"format\":\"xml\"}}\n{SEGMENT}"), Kind::OtherHeader),
            (format!("{{\"VERSION\":2}}\n{SEGMENT}"), Kind::OtherHeader),
            (
                format!("{{\"format\":\"json\",\n\"version\":1}}\n{SEGMENT}"),
                Kind::OtherHeader,
            ),
            (format!("\u{feff}{HEADER}\n{SEGMENT}"), Kind::HiddenStart),
            (format!("\0{HEADER}\n{SEGMENT}"), Kind::HiddenStart),
            (format!("\n{HEADER}\n{SEGMENT}"), Kind::HiddenStart),
            (
                format!("\u{feff}{{\"format\":\"xml\"}}\n{SEGMENT}"),
                Kind::OtherHeader,
            ),
            (format!("{HEADER}{SEGMENT}"), Kind::OneLine),
            (format!("{HEADER}{SEGMENT}\n"), Kind::OneLine),
            (SEGMENT.to_owned(), Kind::BareSegment),
            (format!("{SEGMENT}\n"), Kind::BareSegment),
            (format!("\0{SEGMENT}"), Kind::BareSegment),
            (format!("[{SEGMENT}]"), Kind::BareSegment),
            ("{\n  \"start_time\": 1\n}".to_owned(), Kind::BareSegment),
            (format!("x{SEGMENT}"), Kind::JsonPart),
            (format!("jane@example.com{SEGMENT}\n{{}}"), Kind::JsonPart),
            (part.to_owned(), Kind::JsonPart),
            ("e.com\",\"x\":[1]}]} \n".to_owned(), Kind::JsonPart),
            ("{\"user\":\"jane@example.com\"}".to_owned(), Kind::Json),
            ("[1,2]".to_owned(), Kind::Json),
            ("{".to_owned(), Kind::Json),
        ] {
            assert_eq!(of(datagram.as_bytes()), kind, "{datagram:?}");
        }
    }

    #[test]
    fn other_protocols_are_told_by_their_beginnings() {
        let dns = b"\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x07example\x03com\x00\x00\x01\x00\x01";
        for (datagram, kind) in [
            (&b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"[..], Kind::Http),
            (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", Kind::Http),
            (b"HTTP/1.1 400 Bad Request\r\n", Kind::Http),
            (b"GET me that", Kind::Text),
            (b"\x16\x03\x01\x02\x00\x01\x00", Kind::Tls),
            (b"\x16\xfe\xfd\x00\x00", Kind::Tls),
            (b"\x16\x03\x05", Kind::Binary),
            (b"\xc3\x00\x00\x00\x01\x08", Kind::Quic),
            (b"\x1f\x8b\x08\x00", Kind::Gzip),
            (b"\x82\x81\x01\x09emitBatch", Kind::Jaeger),
            (b"\x80\x01\x00\x04\x00\x00\x00\x09emitBatch", Kind::Jaeger),
            (dns, Kind::Dns),
            (&dns[..dns.len() - 1], Kind::Binary),
            (b"users.online:1|c|@0.1", Kind::Statsd),
            (b"load:-1.5|g\nrequests:7|ms\n", Kind::Statsd),
            (b"a:1|c\r", Kind::Statsd),
            (b"jane:secret|x", Kind::Text),
            (b":1|c", Kind::Text),
            (b"<34>Oct 11 22:14:15 host su: x", Kind::Syslog),
            (b"<b>x", Kind::Text),
            (b"<1234>x", Kind::Text),
        ] {
            assert_eq!(of(datagram), kind, "{datagram:?}");
        }
    }

    #[test]
    fn the_rest_is_text_binary_or_nothing_to_see() {
        let long = "é".repeat(LOOKED_AT_BYTES);
        let cut = format!("x{long}");
        for (datagram, kind) in [
            (&b"hello"[..], Kind::Text),
            (b"two\r\n\tlines", Kind::Text),
            (cut.as_bytes(), Kind::Text),
            (b"\x1b[31mred", Kind::Binary),
            (b"\xff\xfe{\x00", Kind::Binary),
            (b"\0", Kind::Blank),
            (b"\n\n", Kind::Blank),
            (b"\xef\xbb\xbf \0", Kind::Blank),
        ] {
            assert_eq!(of(datagram), kind, "{datagram:?}");
        }
    }
}
