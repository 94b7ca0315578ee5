//! Untrusted text in log lines: nothing in it may end the line, move the cursor or reorder what is read.

use std::borrow::Cow;
use std::fmt::Write as _;

/// Escapes and shortens untrusted text for a log line.
///
/// The result never holds a control, line-separating, text-reordering or invisible formatting character:
///
/// | input | output |
/// |---|---|
/// | newline, carriage return, tab, backslash | `\n` `\r` `\t` `\\` |
/// | other ASCII control characters | `\x1b` |
/// | other characters of the kinds above | `\u{202e}` |
/// | bytes that are not UTF-8 | `\xff` |
/// | anything else | itself |
///
/// At most `max_chars` characters of escaped text are given, no escape cut in half. When that is not all, the size
/// of the whole input follows: `… (3162 bytes)`. The work done is bounded by `max_chars`, not by the input.
///
/// The only input that gives an empty string is an empty one.
#[must_use]
pub fn sanitize(text: impl AsRef<[u8]>, max_chars: usize) -> String {
    let bytes = text.as_ref();
    // Nearly all of what is said, an id of each call among it, needs none of that.
    if let Some(text) = plain(bytes, max_chars, |byte| matches!(byte, b' '..=b'~')) {
        return text.to_owned();
    }
    let mut out = Shortened::new(max_chars);
    'input: for chunk in bytes.utf8_chunks() {
        for c in chunk.valid().chars() {
            if !out.push(c, true) {
                break 'input;
            }
        }
        for byte in chunk.invalid() {
            if !out.push_escaped(format_args!("\\x{byte:02x}"), 4) {
                break 'input;
            }
        }
    }
    out.finish(bytes.len())
}

/// As [`sanitize`], with runs of white space as one space each: for texts that may be a whole HTML page, such as what a
/// server or a proxy says. To be used once on each text: a second time would escape the escapes.
#[must_use]
pub fn sanitize_lines(text: &str, max_chars: usize) -> String {
    if let Some(word) = plain(text.as_bytes(), max_chars, |byte| matches!(byte, b'!'..=b'~')) {
        return word.to_owned();
    }
    let words = text.split_whitespace().collect::<Vec<_>>().join(" ");
    sanitize(words, max_chars)
}

/// `bytes` as they are, where they fit, and each is one of ASCII that `keeps` as itself and no backslash.
fn plain(bytes: &[u8], max_chars: usize, keeps: impl Fn(u8) -> bool) -> Option<&str> {
    let is_plain = bytes.len() <= max_chars && bytes.iter().all(|&byte| keeps(byte) && byte != b'\\');
    is_plain.then(|| std::str::from_utf8(bytes).ok()).flatten()
}

/// As [`sanitize`], for a text of our own that may quote untrusted parts: backslashes stay single, since the parts
/// that needed escaping have been through [`sanitize`] already.
pub(super) fn sanitize_message(text: &str, max_chars: usize) -> Cow<'_, str> {
    // Nearly all of our texts, a line for each batch among them, are of that kind.
    if text.len() <= max_chars && text.bytes().all(|byte| matches!(byte, b' '..=b'~')) {
        return text.into();
    }
    let mut out = Shortened::new(max_chars);
    for c in text.chars() {
        if !out.push(c, false) {
            break;
        }
    }
    out.finish(text.len()).into()
}

/// Whether `c` must not reach a log as it is.
pub(super) fn is_unsafe(c: char) -> bool {
    c.is_control()
        || matches!(c,
            // Line and paragraph separators: a line's end to some readers.
            '\u{2028}' | '\u{2029}'
            // Marks, embeddings, overrides and isolates that reorder what a person reads.
            | '\u{061c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}'
            // Invisible: hidden text, or the byte order mark that makes a good header invalid. The joiners
            // U+200C and U+200D stay, since many scripts need them.
            | '\u{180e}' | '\u{200b}' | '\u{2060}'..='\u{2065}' | '\u{206a}'..='\u{206f}' | '\u{feff}'
            | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

/// Collects escaped text up to a bound.
struct Shortened {
    text: String,
    room_chars: usize,
    cut: bool,
}

impl Shortened {
    fn new(max_chars: usize) -> Self {
        Self {
            text: String::new(),
            room_chars: max_chars,
            cut: false,
        }
    }

    /// Adds one character; `false` when it did not fit.
    fn push(&mut self, c: char, escape_backslash: bool) -> bool {
        match c {
            '\n' => self.push_escaped(format_args!("\\n"), 2),
            '\r' => self.push_escaped(format_args!("\\r"), 2),
            '\t' => self.push_escaped(format_args!("\\t"), 2),
            '\\' if escape_backslash => self.push_escaped(format_args!("\\\\"), 2),
            c if c.is_ascii_control() => self.push_escaped(format_args!("\\x{:02x}", u32::from(c)), 4),
            c if is_unsafe(c) => {
                let code = u32::from(c);
                let digits = (code.ilog2() / 4 + 1) as usize;
                self.push_escaped(format_args!("\\u{{{code:x}}}"), digits + 4)
            }
            c => self.push_escaped(format_args!("{c}"), 1),
        }
    }

    fn push_escaped(&mut self, text: std::fmt::Arguments<'_>, chars: usize) -> bool {
        if chars > self.room_chars {
            self.cut = true;
            return false;
        }
        self.room_chars -= chars;
        // Writing to a String cannot fail.
        let _ = self.text.write_fmt(text);
        true
    }

    fn finish(mut self, whole_bytes: usize) -> String {
        if self.cut {
            let _ = write!(self.text, "… ({whole_bytes} bytes)");
        }
        self.text
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_text_of_many_lines_becomes_one_without_control_characters() {
        assert_eq!(
            sanitize_lines("  first\r\n\tsecond\u{1b}[31m \0 \u{202e}x  ", 100),
            "first second\\x1b[31m \\x00 \\u{202e}x"
        );
    }

    #[test]
    fn a_long_text_of_many_lines_is_cut_and_says_so() {
        assert_eq!(sanitize_lines("abcdef", 6), "abcdef");
        assert_eq!(sanitize_lines("abcdefg", 6), "abcdef… (7 bytes)");
        assert_eq!(sanitize_lines("ab\\cd", 6), "ab\\\\cd");
    }

    #[test]
    fn every_kind_of_unsafe_input_is_escaped_as_documented() {
        for (input, expected) in [
            (&b""[..], ""),
            (b"hello", "hello"),
            (b"{\"format\":\"json\"}", "{\"format\":\"json\"}"),
            (b"a\nb\r\n\tc", "a\\nb\\r\\n\\tc"),
            (b"\x1b[31mred\x07", "\\x1b[31mred\\x07"),
            (b"\0", "\\x00"),
            (b"\x7f", "\\x7f"),
            (b"\xff\xfe ok \xc3(", "\\xff\\xfe ok \\xc3("),
            (b"\\x1b is not an escape", "\\\\x1b is not an escape"),
            ("caf\u{e9} \u{1f600}".as_bytes(), "caf\u{e9} \u{1f600}"),
            (
                "\u{9b}31m\u{85}\u{2028}\u{2029}".as_bytes(),
                "\\u{9b}31m\\u{85}\\u{2028}\\u{2029}",
            ),
            ("\u{202e}gpj.exe".as_bytes(), "\\u{202e}gpj.exe"),
            ("\u{feff}{}".as_bytes(), "\\u{feff}{}"),
            ("\u{e0041}".as_bytes(), "\\u{e0041}"),
            (b"%s%d%n", "%s%d%n"),
        ] {
            assert_eq!(sanitize(input, 100), expected, "{input:?}");
        }
    }

    #[test]
    fn what_does_not_fit_is_cut_before_an_escape_and_the_whole_size_is_told() {
        assert_eq!(sanitize([b'B'; 3162], 5), "BBBBB… (3162 bytes)");
        assert_eq!(sanitize(b"abc\x1bd", 6), "abc… (5 bytes)");
        assert_eq!(sanitize(b"abc\x1bd", 7), "abc\\x1b… (5 bytes)");
        assert_eq!(sanitize(b"abc\x1bd", 8), "abc\\x1bd");
        assert_eq!(sanitize(b"x", 0), "… (1 bytes)");
        assert_eq!(sanitize("\u{2028}".as_bytes(), 7), "… (3 bytes)");
        assert_eq!(sanitize("\u{2028}".as_bytes(), 8), "\\u{2028}");
    }

    #[test]
    fn a_message_keeps_the_backslashes_of_parts_that_were_escaped_before() {
        assert_eq!(
            sanitize_message("Invalid header: \\x1b\n\u{202e}", 100),
            "Invalid header: \\x1b\\n\\u{202e}"
        );
        assert_eq!(sanitize_message("abcdef", 3), "abc… (6 bytes)");
    }

    proptest! {
        #[test]
        fn no_bytes_give_an_unsafe_character_or_a_long_line(
            bytes in proptest::collection::vec(any::<u8>(), 0..300),
            max_chars in 0_usize..100,
        ) {
            let text = sanitize(&bytes, max_chars);
            prop_assert!(!text.chars().any(is_unsafe));
            prop_assert!(text.chars().count() <= max_chars + "… (300 bytes)".chars().count());
            prop_assert_eq!(text.is_empty(), bytes.is_empty());
        }

        #[test]
        fn no_text_gives_an_unsafe_character_or_a_long_line(
            input in proptest::collection::vec(any::<char>(), 0..100),
            max_chars in 0_usize..100,
        ) {
            let input: String = input.into_iter().collect();
            for text in [sanitize(input.as_bytes(), max_chars), sanitize_message(&input, max_chars).into_owned()] {
                prop_assert!(!text.chars().any(is_unsafe));
                prop_assert!(text.chars().count() <= max_chars + "… (400 bytes)".chars().count());
            }
        }

        #[test]
        fn different_inputs_that_fit_give_different_lines(
            a in proptest::collection::vec(any::<u8>(), 0..6),
            b in proptest::collection::vec(any::<u8>(), 0..6),
        ) {
            prop_assert_eq!(sanitize(&a, 1000) == sanitize(&b, 1000), a == b);
        }
    }
}
