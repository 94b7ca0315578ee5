//! How text that a user wrote is shown back: escaped, shortened, and without passwords.
//!
//! Every message that names a flag's value, an argument or a line of cfg.yaml goes through here, so that control
//! characters cannot forge log lines, a pasted file cannot fill the log, and a proxy's password never reaches it.

use std::fmt::Write as _;

/// Characters of a value that a message shows; enough for any ARN or address, too little to flood a log.
const SHOWN_CHARS: usize = 160;

/// `text` in double quotes, escaped as Go's `%q` does, which the official daemon's messages use.
pub(crate) fn quoted(text: &str) -> String {
    let mut out = String::from("\"");
    for c in shortened(&redacted(text)).chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            _ => push_escaped(&mut out, c),
        }
    }
    out.push('"');
    out
}

/// `text` without quotes: for the places where the official message shows it bare.
pub(crate) fn bare(text: &str) -> String {
    let mut out = String::new();
    for c in shortened(&redacted(text)).chars() {
        push_escaped(&mut out, c);
    }
    out
}

/// `text` with every `user:password@` replaced by `***@`.
///
/// A word (white space ends it) that has a colon before its last `@` is taken for an address with credentials; what
/// stands before them (`http://`, `-p=`) stays.
pub(crate) fn redacted(text: &str) -> String {
    text.split_inclusive(char::is_whitespace)
        .map(|word| {
            let Some(at) = word.rfind('@') else {
                return word.to_owned();
            };
            let credentials = &word[..at];
            if !credentials.contains(':') {
                return word.to_owned();
            }
            let start = match (
                credentials.find("://"),
                credentials.find('='),
                credentials.find(':'),
            ) {
                (Some(scheme), _, _) => scheme + "://".len(),
                (None, Some(equals), Some(colon)) if equals < colon => equals + 1,
                _ => 0,
            };
            format!("{}***{}", &word[..start], &word[at..])
        })
        .collect()
}

fn shortened(text: &str) -> String {
    match text.char_indices().nth(SHOWN_CHARS) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

/// Go's strconv escapes: short forms, `\xNN` for other ASCII controls, `\u` and `\U` for what does not print.
fn push_escaped(out: &mut String, c: char) {
    match c {
        '\x07' => out.push_str("\\a"),
        '\x08' => out.push_str("\\b"),
        '\x0c' => out.push_str("\\f"),
        '\n' => out.push_str("\\n"),
        '\r' => out.push_str("\\r"),
        '\t' => out.push_str("\\t"),
        '\x0b' => out.push_str("\\v"),
        _ => {
            let code = u32::from(c);
            // Writing to a String cannot fail.
            let _ = if code < 0x20 || code == 0x7f {
                write!(out, "\\x{code:02x}")
            } else if !prints(c) && code <= 0xffff {
                write!(out, "\\u{code:04x}")
            } else if !prints(c) {
                write!(out, "\\U{code:08x}")
            } else {
                write!(out, "{c}")
            };
        }
    }
}

/// The standard library's own idea of what prints, read off its debug form.
fn prints(c: char) -> bool {
    !matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
        && !c.escape_debug().to_string().starts_with("\\u")
}

/// The candidate that `word` was probably meant to be: the same but for case, or a few typing errors away.
pub(crate) fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let word = word.to_lowercase();
    // A third of the letters may be wrong: more than that is a different word.
    let bound = (word.chars().count() / 3).min(3);
    candidates
        .into_iter()
        .map(|candidate| {
            let lower = candidate.to_lowercase();
            (strsim::damerau_levenshtein(&word, &lower), candidate)
        })
        .filter(|(distance, _)| *distance <= bound)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quoted_text_is_escaped_as_go_does() {
        for (text, shown) in [
            ("abc", r#""abc""#),
            ("", r#""""#),
            ("a\"b\\c", r#""a\"b\\c""#),
            ("\x1b[31m\0\n\r\t\x07\x7f", r#""\x1b[31m\x00\n\r\t\a\x7f""#),
            ("é日'", r#""é日'""#),
            ("\u{85}\u{202e}\u{feff}", r#""\u0085\u202e\ufeff""#),
        ] {
            assert_eq!(quoted(text), shown);
        }
    }

    #[test]
    fn long_text_is_shortened() {
        let shown = quoted(&"x".repeat(10_000));
        assert_eq!(shown.chars().count(), SHOWN_CHARS + 3);
        assert!(shown.ends_with("x…\""));
    }

    #[test]
    fn a_password_is_never_shown_even_where_the_text_is_cut() {
        for (text, shown) in [
            ("http://user:secret@proxy:3128", "http://***@proxy:3128"),
            ("user:secret@proxy:3128", "***@proxy:3128"),
            ("xray -p http://u:s@p:1 -o", "xray -p http://***@p:1 -o"),
            ("-p=u:s=1@p:1", "-p=***@p:1"),
            ("http://u:p/a@ss@proxy", "http://***@proxy"),
            ("me@example.com", "me@example.com"),
            ("arn:aws:iam::1:role/x", "arn:aws:iam::1:role/x"),
        ] {
            assert_eq!(redacted(text), shown);
        }
        let long = format!("http://u:{}secret@p", "x".repeat(SHOWN_CHARS));
        assert_eq!(bare(&long), "http://***@p");
    }

    #[test]
    fn the_nearest_name_is_found_and_a_different_word_is_not() {
        let names = ["Region", "Endpoint", "LogLevel", "LogPath"];
        assert_eq!(nearest("region", names), Some("Region"));
        assert_eq!(nearest("Regoin", names), Some("Region"));
        assert_eq!(nearest("Loglvel", names), Some("LogLevel"));
        assert_eq!(nearest("Foo", names), None);
        assert_eq!(nearest("", names), None);
    }
}
