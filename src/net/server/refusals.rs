//! Log lines about requests that a port refuses: anybody can cause them, so they are bounded.

use std::fmt::Display;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use http::HeaderValue;
use http::header::HOST;
use http::request::Parts;

use crate::logs::{Tally, sanitize};

/// The longest path or host that a log line shows, in characters.
const SHOWN_MAX_CHARS: usize = 64;

/// The longest method that a log line shows, in characters.
const SHOWN_METHOD_MAX_CHARS: usize = 20;

/// The longest path or host that is shown at `debug` though it is no plain name, in characters.
const SHOWN_AT_DEBUG_MAX_CHARS: usize = 200;

/// Something that happens to requests, said in one line a second at the most, with the number since the last.
#[derive(Debug, Default)]
pub(crate) struct Bounded(Mutex<Tally>);

impl Bounded {
    /// Counts one more; if it is time, the number to say now.
    #[expect(clippy::disallowed_methods, reason = "one line a second")]
    pub(crate) fn add(&self) -> Option<u64> {
        let mut tally = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        tally.add(1, Instant::now())
    }

    /// Says that a request with this head was refused, and `why`.
    pub(crate) fn say_refused(&self, head: &Parts, why: impl Display) {
        let Some(requests) = self.add() else {
            return;
        };
        let raw_path = head.uri.path();
        // HTTP/2 has it in the URI.
        let authority = head
            .uri
            .authority()
            .map(|authority| authority.as_str().as_bytes());
        let raw_host = head.headers.get(HOST).map(HeaderValue::as_bytes).or(authority);
        let path = plain(raw_path.as_bytes(), "/", SHOWN_MAX_CHARS);
        let method = plain(head.method.as_str().as_bytes(), "", SHOWN_METHOD_MAX_CHARS);
        let host = raw_host.map_or_else(|| "none".to_owned(), |host| plain(host, ":[]", SHOWN_MAX_CHARS));
        let more = and_more(requests);
        tracing::warn!(
            requests,
            method,
            path,
            host,
            reason = %why,
            "Refused {method} {path} on the TCP port, Host {host}: {why}{more}"
        );
        // Content, for whoever has asked for it.
        tracing::debug!(
            path = raw_path,
            host = sanitize(raw_host.unwrap_or_default(), SHOWN_AT_DEBUG_MAX_CHARS),
            "The refused request asked for {} of Host {}",
            sanitize(raw_path, SHOWN_AT_DEBUG_MAX_CHARS),
            sanitize(raw_host.unwrap_or_default(), SHOWN_AT_DEBUG_MAX_CHARS)
        );
    }
}

/// `text` if it is a name of the kind that is set up somewhere: letters, digits, `-`, `_`, `.`, and those of `also`, no
/// longer than `max_chars`. Anything else may carry what is nobody's business here, so only its length is told.
fn plain(text: &[u8], also: &str, max_chars: usize) -> String {
    let is_plain = |byte: &u8| {
        byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.') || also.as_bytes().contains(byte)
    };
    if text.len() <= max_chars && text.iter().all(is_plain) {
        String::from_utf8_lossy(text).into_owned()
    } else {
        format!("({} bytes)", text.len())
    }
}

/// ` (and 4 more such requests)` for five; nothing for one.
pub(crate) fn and_more(requests: u64) -> String {
    match requests {
        1 => String::new(),
        _ => format!(" (and {} more such requests)", requests - 1),
    }
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;
    use crate::config::{LogFormat, LogLevel};
    use crate::logs::testing::LogLines;

    #[test]
    fn names_are_shown_and_anything_else_is_told_by_its_length() {
        for (path, host, shown_path, shown_host) in [
            (
                "/TraceSummaries",
                "evil.example:2000",
                "/TraceSummaries",
                "evil.example:2000",
            ),
            ("/v1/traces", "[fd00::1]:80", "/v1/traces", "[fd00::1]:80"),
            (
                "/jane@example.com",
                "jane@example.com",
                "(17 bytes)",
                "(16 bytes)",
            ),
            ("/a%20b", "x/y", "(6 bytes)", "(3 bytes)"),
        ] {
            let log = LogLines::collect();
            let request = Request::get(path).header("host", host).body(()).unwrap();
            Bounded::default().say_refused(&request.into_parts().0, "no");
            assert_eq!(
                log.take(),
                [format!(
                    "[Warn] Refused GET {shown_path} on the TCP port, Host {shown_host}: no"
                )]
            );
        }
        assert_eq!(plain(&[b'x'; 64], "", SHOWN_MAX_CHARS), "x".repeat(64));
        assert_eq!(plain(&[b'x'; 65], "", SHOWN_MAX_CHARS), "(65 bytes)");
    }

    #[test]
    fn at_debug_the_rest_is_there_too() {
        let log = LogLines::collect_from(LogLevel::Debug, LogFormat::Text);
        let request = Request::get("/jane@example.com").body(()).unwrap();
        Bounded::default().say_refused(&request.into_parts().0, "no");
        assert_eq!(
            log.take(),
            [
                "[Warn] Refused GET (17 bytes) on the TCP port, Host none: no",
                "[Debug] The refused request asked for /jane@example.com of Host "
            ]
        );
    }
}
