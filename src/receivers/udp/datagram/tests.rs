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
                let line = reject.to_string();
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
