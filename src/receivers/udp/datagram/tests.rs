use std::net::{IpAddr, Ipv4Addr};

use proptest::prelude::*;

use super::*;
use crate::logs::testing::cases;

/// Pieces that come near to a header.
const PIECES: &[&str] = &[
    "{",
    "}",
    "[",
    "]",
    "\"format\"",
    "\"FORMAT\"",
    "\"version\"",
    "\"json\"",
    "\"Jſon\"",
    "1",
    "1.0",
    "-1",
    "99999999999999999999",
    "null",
    "true",
    ":",
    ",",
    "\n",
    "\r\n",
    " ",
    "\u{feff}",
    "\\u0000",
    "\"",
    "{\"format\":\"json\",\"version\":1}\n",
    "{\"format\": \"json\", \"version\": 1}\n",
    "{\"id\":\"0123456789abcdef\"}",
];

fn datagram() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        2 => prop::collection::vec(any::<u8>(), 0..200),
        3 => prop::collection::vec(
            prop_oneof![
                6 => prop::sample::select(PIECES).prop_map(|piece| piece.as_bytes().to_vec()),
                1 => prop::collection::vec(any::<u8>(), 0..5),
            ],
            0..20,
        )
        .prop_map(|pieces| pieces.concat()),
    ]
}

/// A key, its value, and what the value says: that the format is JSON, and which version it is.
#[derive(Debug, Clone)]
struct Entry {
    text: String,
    format: Option<bool>,
    version: Option<bool>,
}

fn entry() -> impl Strategy<Value = Entry> {
    let format_key =
        prop::sample::select(&["\"format\"", "\"Format\"", "\"fORMAT\"", "\"form\\u0061t\""][..]);
    let format = prop::sample::select(
        &[
            ("\"json\"", Some(true)),
            ("\"JSON\"", Some(true)),
            ("\"j\\u0073on\"", Some(true)),
            ("\"xml\"", Some(false)),
            ("\"\"", Some(false)),
            // As good as absent.
            ("1", None),
            ("null", None),
            ("[{\"format\":\"json\"}]", None),
        ][..],
    );
    let version_key = prop::sample::select(&["\"version\"", "\"VERSION\"", "\"verſion\""][..]);
    let version = prop::sample::select(
        &[
            ("1", Some(true)),
            ("2", Some(false)),
            ("-1", Some(false)),
            ("1.0", None),
            ("1e0", None),
            ("\"1\"", None),
            ("{\"version\":1}", None),
        ][..],
    );
    let other = prop::sample::select(
        &[
            "\"x\":[1,{\"format\":\"json\"}]",
            "\"formats\":\"json\"",
            "\"\":1",
        ][..],
    );
    prop_oneof![
        (format_key, format).prop_map(|(key, (value, says))| Entry {
            text: format!("{key}:{value}"),
            format: says,
            version: None
        }),
        (version_key, version).prop_map(|(key, (value, says))| Entry {
            text: format!("{key} : {value}"),
            format: None,
            version: says
        }),
        other.prop_map(|text| Entry {
            text: text.to_owned(),
            format: None,
            version: None
        }),
    ]
}

proptest! {
    #![proptest_config(cases(2_000))]

    #[test]
    fn whatever_comes_the_document_is_what_follows_the_first_newline_or_the_datagram_is_refused_in_one_line(
        datagram in datagram(),
    ) {
        let newline = datagram.iter().position(|&byte| byte == b'\n');
        match document(&datagram) {
            Ok(body) => {
                prop_assert_eq!(body, &datagram[newline.unwrap() + 1..]);
                prop_assert!(!body.is_empty());
            }
            Err(reject) => {
                let line = reject.line(SENDER);
                prop_assert!(line.len() < 1_000 && !line.contains(char::is_control), "{line:?}");
                prop_assert_eq!(reject.reason == RejectReason::MissingHeader, newline.is_none());
                prop_assert_eq!(
                    reject.reason == RejectReason::MissingSegment,
                    newline == datagram.len().checked_sub(1) && newline.is_some()
                );
            }
        }
    }

    #[test]
    fn a_header_is_valid_when_the_last_format_is_json_and_the_last_version_is_one(
        entries in prop::collection::vec(entry(), 0..6),
        space in "[ \t\r]{0,3}",
        body in prop::collection::vec(any::<u8>(), 1..50),
    ) {
        let texts: Vec<&str> = entries.iter().map(|entry| entry.text.as_str()).collect();
        let header = format!("{space}{{{}}}{space}\n", texts.join(&format!("{space},{space}")));
        let datagram = [header.as_bytes(), &body].concat();
        let last = |says: fn(&Entry) -> Option<bool>| entries.iter().rev().find_map(says).unwrap_or(false);
        let valid = last(|entry| entry.format) && last(|entry| entry.version);
        match document(&datagram) {
            Ok(document) => {
                prop_assert!(valid, "{header}");
                prop_assert_eq!(document, &body[..]);
            }
            Err(reject) => {
                prop_assert!(!valid, "{header}");
                prop_assert_eq!(reject.reason, RejectReason::InvalidHeader);
            }
        }
    }
}

const BODY: &[u8] = b"{\"id\":\"0123456789abcdef\"}";

/// A header that is valid but for what `value` says.
fn with_value(value: &str) -> Vec<u8> {
    let header = format!("{{\"format\":\"json\",\"version\":1,\"x\":{value}}}\n");
    [header.as_bytes(), BODY].concat()
}

#[test]
fn a_header_nests_as_deep_as_the_bound_says_and_no_deeper() {
    // The header's own brace is one of them.
    for (open, close) in [("[", "]"), ("{\"y\":", "}")] {
        for (depth, taken) in [(MAX_DEPTH - 1, true), (MAX_DEPTH, false), (MAX_DEPTH + 1, false)] {
            let datagram = with_value(&format!("{}1{}", open.repeat(depth), close.repeat(depth)));
            assert_eq!(document(&datagram).is_ok(), taken, "{depth} of {open}");
        }
    }
}

#[test]
fn a_header_may_be_longer_than_it_may_be_deep() {
    let datagram = with_value(&format!("\"{}\"", "]".repeat(2 * MAX_DEPTH)));
    assert_eq!(document(&datagram), Ok(BODY));
}

const SENDER: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 5);

/// The line in the log about `datagram`, which must be refused.
fn line(datagram: &[u8]) -> String {
    document(datagram).unwrap_err().line(SENDER)
}

#[test]
fn the_line_says_what_it_looks_like_how_long_it_is_and_who_sent_it() {
    assert_eq!(
        line(b"{\"trace_id\":\"secret\"}"),
        "Missing header or segment: no newline in a datagram of 21 bytes from 127.0.0.1:5, which looks like a segment \
         without its header line; a datagram is {\"format\":\"json\",\"version\":1}, a newline and the segment document"
    );
    assert_eq!(
        line(b"{\"format\":\"json\",\"version\":1}\n"),
        "Missing header or segment: nothing after the header line in a datagram of 30 bytes from 127.0.0.1:5, which \
         looks like a header line alone"
    );
    assert_eq!(
        line(b"GET / HTTP/1.1\r\n\r\n"),
        "Invalid header: no {\"format\":\"json\",\"version\":1} in the first line of a datagram of 18 bytes from \
         127.0.0.1:5, which looks like HTTP"
    );
}

#[test]
fn no_byte_of_a_refused_datagram_is_in_the_line_wherever_it_stands() {
    let segment = "{\"trace_id\":\"1-5f84c7a5-0\",\"user\":\"jane@example.com\"}";
    let header = "{\"format\":\"json\",\"version\":1}";
    for datagram in [
        segment.to_owned(),
        format!("\u{feff}{segment}\n{{}}"),
        format!("\0{segment}\n{{}}"),
        format!("x{segment}\n{{}}"),
        format!("{}\n{{}}", &segment[20..]),
        format!("jane@example.com\n{segment}"),
        format!("{{\"format\":\"jane@example.com\"}}\n{segment}"),
        format!("\u{feff}{header}\n{segment}"),
        format!("{header}{segment}"),
        format!("{segment}\n"),
        format!("GET /jane@example.com HTTP/1.1\r\n{segment}"),
    ] {
        let line = line(datagram.as_bytes());
        assert!(
            !line.contains("jane") && !line.contains("5f84c7a5"),
            "{datagram}: {line}"
        );
    }
}

#[test]
fn the_beginning_is_escaped_and_short() {
    let datagram = [b"\x1b[31m".to_vec(), vec![b'x'; 100]].concat();
    let beginning = document(&datagram).unwrap_err().beginning();
    assert_eq!(beginning, format!("\\x1b[31m{}… (105 bytes)", "x".repeat(56)));
}

#[test]
fn what_a_good_header_is_decides_whether_one_is_hidden_or_another() {
    let kind = |datagram: &str| document(datagram.as_bytes()).unwrap_err().kind();
    // In another order and spelling than that of SDKs.
    let good = "{ \"VERSION\" : 1, \"format\":\"JSON\" }";
    assert_eq!(kind(&format!("\0{good}\n{{}}")), Kind::HiddenStart);
    assert_eq!(kind(&format!("{good}\n")), Kind::HeaderAlone);
    assert_eq!(kind("{\"version\":1}\n{}"), Kind::OtherHeader);
}
