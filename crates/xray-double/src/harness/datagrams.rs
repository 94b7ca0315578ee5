//! What datagrams the daemon takes: one row a case of what the official daemon was seen to do.

/// What becomes of a datagram.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Becomes {
    /// The document after the first newline is forwarded.
    Document,
    /// It is refused and counted.
    Rejected(Flaw),
}

/// Why a datagram is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flaw {
    /// There is no newline.
    MissingHeader,
    /// The line before the newline is not the header.
    InvalidHeader,
    /// Nothing comes after the newline.
    MissingSegment,
}

const DOCUMENT: Becomes = Becomes::Document;
const INVALID: Becomes = Becomes::Rejected(Flaw::InvalidHeader);
const NO_HEADER: Becomes = Becomes::Rejected(Flaw::MissingHeader);
const NO_SEGMENT: Becomes = Becomes::Rejected(Flaw::MissingSegment);

const SEGMENT: &str = r#"{"trace_id":"1-5f84c7a5-000000000000000000000002","id":"0000000000000002","name":"lab","start_time":1602537381.1,"end_time":1602537381.2}"#;

/// A header line before [`SEGMENT`].
const HEADERS: &[(&str, &str, Becomes)] = &[
    ("std", r#"{"format": "json", "version": 1}"#, DOCUMENT),
    ("compact", r#"{"format":"json","version":1}"#, DOCUMENT),
    ("order", r#"{"version":1,"format":"json"}"#, DOCUMENT),
    ("format_upper", r#"{"format":"JSON","version":1}"#, DOCUMENT),
    ("format_title", r#"{"format":"Json","version":1}"#, DOCUMENT),
    ("format_long_s", r#"{"format":"jſon","version":1}"#, DOCUMENT),
    ("key_upper", r#"{"FORMAT":"json","VERSION":1}"#, DOCUMENT),
    ("key_title", r#"{"Format":"json","Version":1}"#, DOCUMENT),
    ("key_long_s", r#"{"format":"json","verſion":1}"#, DOCUMENT),
    (
        "extra_keys",
        r#"{"format":"json","version":1,"x":[1,{"y":2}],"z":null}"#,
        DOCUMENT,
    ),
    (
        "space_before",
        "  \t{\"format\":\"json\",\"version\":1}",
        DOCUMENT,
    ),
    ("space_after", r#"{"format":"json","version":1}  "#, DOCUMENT),
    (
        "space_inside",
        "{ \"format\" : \"json\" ,\t\"version\" : 1 }",
        DOCUMENT,
    ),
    ("crlf", "{\"format\": \"json\", \"version\": 1}\r", DOCUMENT),
    (
        "escaped_names",
        r#"{"form\u0061t":"js\u006fn","version":1}"#,
        DOCUMENT,
    ),
    (
        "duplicates_last_good",
        r#"{"format":"xml","format":"json","version":2,"version":1}"#,
        DOCUMENT,
    ),
    (
        "duplicates_last_bad",
        r#"{"format":"json","version":1,"version":2}"#,
        INVALID,
    ),
    (
        "duplicate_of_wrong_type",
        r#"{"format":"json","version":1,"format":5}"#,
        DOCUMENT,
    ),
    (
        "duplicate_null",
        r#"{"format":"json","version":1,"format":null}"#,
        DOCUMENT,
    ),
    (
        "duplicate_object",
        r#"{"format":"json","version":1,"format":{"a":[1]},"version":[2]}"#,
        DOCUMENT,
    ),
    ("version_text", r#"{"format":"json","version":"1"}"#, INVALID),
    ("version_float", r#"{"format":"json","version":1.0}"#, INVALID),
    ("version_exponent", r#"{"format":"json","version":1e0}"#, INVALID),
    ("version_2", r#"{"format":"json","version":2}"#, INVALID),
    ("version_0", r#"{"format":"json","version":0}"#, INVALID),
    ("version_negative", r#"{"format":"json","version":-1}"#, INVALID),
    ("version_missing", r#"{"format":"json"}"#, INVALID),
    ("version_null", r#"{"format":"json","version":null}"#, INVALID),
    ("version_true", r#"{"format":"json","version":true}"#, INVALID),
    ("version_01", r#"{"format":"json","version":01}"#, INVALID),
    (
        "version_beyond_64_bits",
        r#"{"format":"json","version":18446744073709551617}"#,
        INVALID,
    ),
    ("format_missing", r#"{"version":1}"#, INVALID),
    ("format_xml", r#"{"format":"xml","version":1}"#, INVALID),
    ("format_with_space", r#"{"format":"json ","version":1}"#, INVALID),
    ("null", "null", INVALID),
    ("array", "[]", INVALID),
    ("text", "json", INVALID),
    ("broken", r#"{"format":"json","version":1"#, INVALID),
    ("garbage_after", r#"{"format":"json","version":1}x"#, INVALID),
    ("two_objects", r#"{"format":"json","version":1}{}"#, INVALID),
    ("trailing_comma", r#"{"format":"json","version":1,}"#, INVALID),
    ("single_quotes", "{'format':'json','version':1}", INVALID),
    (
        "byte_order_mark",
        "\u{FEFF}{\"format\": \"json\", \"version\": 1}",
        INVALID,
    ),
    ("empty_line", "", INVALID),
    (
        "leading_newline",
        "\n{\"format\": \"json\", \"version\": 1}",
        INVALID,
    ),
    ("several_lines", "{\"format\":\"json\",\n\"version\":1}", INVALID),
    ("nul", "{\"format\":\"json\",\"version\":1}\0", INVALID),
    ("control_characters", "\x1b[31mred\x07\r", INVALID),
    ("percent", "%s%d%n", INVALID),
];

/// A body after the usual header.
const BODIES: &[(&str, &[u8])] = &[
    ("spaces", b"   "),
    ("newline", b"\n"),
    ("newline_first", b"\n{}"),
    ("not_json", b"hello world"),
    ("invalid_utf8", b"{\"a\":\"\xff\xfe\xc3(\"}"),
    ("surrogate_bytes", b"{\"a\":\"\xed\xa0\x80\"}"),
    ("control_characters", b"{\"a\":\"\x00\x01\x08\x0c\x1f\ttab\"}"),
    ("escapes", br#"{"a":"q\"b\\s\/ \u00e9 <>&'"}"#),
    ("utf8", "{\"a\":\"é日本\u{2028}\u{2029}😀\u{7f}\"}".as_bytes()),
    (
        "array",
        br#"[{"id":"0000000000000001"},{"id":"0000000000000002"}]"#,
    ),
    ("number", b"42"),
    ("null", b"null"),
    ("trailing_newline", b"{\"id\":\"0000000000000001\"}\n"),
    ("trailing_space", b"{\"id\":\"0000000000000001\"} \t\r\n"),
    (
        "spaced",
        br#"{ "trace_id" : "1-5f84c7a5-000000000000000000000001" , "id" : "0000000000000001" }"#,
    ),
    ("pretty", b"{\n  \"id\": \"x\",\n  \"name\": \"y\"\n}"),
    ("two_lines", b"{\"id\":\"1\"}\n{\"id\":\"2\"}"),
    (
        "header_and_segment_again",
        b"{\"id\":\"1\"}\n{\"format\": \"json\", \"version\": 1}\n{\"id\":\"2\"}",
    ),
    ("cut", br#"{"trace_id":"1-5f84c7a5-0000000000000000"#),
    ("otlp", b"T1SCgYKBAoCCAESEgoQ"),
    ("otlp_unsampled", b"T1UCgYKBAoCCAESEgoQ"),
];

/// Datagrams without a header line or without a segment.
const WHOLE: &[(&str, &[u8], Becomes)] = &[
    ("no_header", SEGMENT.as_bytes(), NO_HEADER),
    ("header_only", br#"{"format": "json", "version": 1}"#, NO_HEADER),
    (
        "carriage_return_only",
        b"{\"format\": \"json\", \"version\": 1}\r{}",
        NO_HEADER,
    ),
    (
        "header_and_newline",
        b"{\"format\": \"json\", \"version\": 1}\n",
        NO_SEGMENT,
    ),
    ("newline_only", b"\n", NO_SEGMENT),
    ("two_newlines_only", b"\n\n", INVALID),
    ("one_nul", b"\0", NO_HEADER),
    ("text", b"hello", NO_HEADER),
    ("percent_text", b"%s %d hello", NO_HEADER),
];

/// A row's name, its datagram, and the document that it carries or why it carries none.
pub type Row = (String, Vec<u8>, Result<Vec<u8>, Flaw>);

/// Every datagram of the table.
#[must_use]
pub fn rows() -> Vec<Row> {
    let mut rows = Vec::new();
    let mut row = |name: &str, datagram: Vec<u8>, becomes: Becomes, body: &[u8]| {
        let expected = match becomes {
            Becomes::Document => Ok(body.to_vec()),
            Becomes::Rejected(reason) => Err(reason),
        };
        rows.push((name.to_owned(), datagram, expected));
    };
    let joined = |header: &[u8], body: &[u8]| [header, b"\n", body].concat();
    for (name, header, becomes) in HEADERS {
        row(
            name,
            joined(header.as_bytes(), SEGMENT.as_bytes()),
            *becomes,
            SEGMENT.as_bytes(),
        );
    }
    for (name, body) in BODIES {
        row(
            name,
            joined(br#"{"format": "json", "version": 1}"#, body),
            DOCUMENT,
            body,
        );
    }
    for (name, datagram, becomes) in WHOLE {
        row(name, datagram.to_vec(), *becomes, b"");
    }
    let with = |extra: &[u8]| [br#"{"format":"json","version":1,"x":"#, extra, b"}"].concat();
    let segment = SEGMENT.as_bytes();
    row(
        "invalid_utf8_in_extra_key",
        joined(&with(b"\"\xff\""), segment),
        DOCUMENT,
        segment,
    );
    row(
        "huge_extra_key",
        joined(&with(&[&b"\""[..], &[b'a'; 30_000], b"\""].concat()), segment),
        DOCUMENT,
        segment,
    );
    let nested = |depth: usize| [vec![b'['; depth], vec![b']'; depth]].concat();
    row(
        "nesting_of_5000",
        joined(&with(&nested(5_000)), segment),
        DOCUMENT,
        segment,
    );
    row(
        "nesting_of_11000",
        joined(&with(&nested(11_000)), segment),
        INVALID,
        b"",
    );
    row("long_bad_header", joined(&[b'B'; 3_000], segment), INVALID, b"");
    for (name, size) in [("bytes_65000", 65_000), ("bytes_65507", 65_507)] {
        let header = b"{\"format\": \"json\", \"version\": 1}\n";
        let body = [
            &br#"{"id":"0000000000000001","p":""#[..],
            &vec![b'x'; size - header.len() - 32],
            b"\"}",
        ]
        .concat();
        let datagram = [&header[..], &body].concat();
        assert_eq!(datagram.len(), size, "{name}");
        row(name, datagram, DOCUMENT, &body);
    }
    let binary: Vec<u8> = (0..58_000_u32).map(|n| (n % 256) as u8).collect();
    row(
        "binary",
        joined(br#"{"format": "json", "version": 1}"#, &binary),
        DOCUMENT,
        &binary,
    );
    rows
}
