//! Log lines about requests that a port refuses: anybody can cause them, so they are bounded.

use std::fmt::Display;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use http::header::HOST;
use http::request::Parts;

use crate::logs::{Tally, sanitize};

/// The longest path or host that a log line shows, in characters.
const SHOWN_MAX_CHARS: usize = 100;

/// The longest method that a log line shows, in characters.
const SHOWN_METHOD_MAX_CHARS: usize = 20;

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
        let path = sanitize(head.uri.path().as_bytes(), SHOWN_MAX_CHARS);
        let method = sanitize(head.method.as_str().as_bytes(), SHOWN_METHOD_MAX_CHARS);
        let host = head
            .headers
            .get(HOST)
            .map_or(&b"none"[..], |host| host.as_bytes());
        let host = sanitize(host, SHOWN_MAX_CHARS);
        let more = and_more(requests);
        tracing::warn!(
            requests,
            "Refused {method} {path} on the TCP port, Host {host}: {why}{more}"
        );
    }
}

/// ` (and 4 more such requests)` for five; nothing for one.
pub(crate) fn and_more(requests: u64) -> String {
    match requests {
        1 => String::new(),
        _ => format!(" (and {} more such requests)", requests - 1),
    }
}
