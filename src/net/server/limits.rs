//! What a port is given as its bounds. The values and their reasons are in the room of each port.

use std::time::Duration;

/// How many files this process may have open (RLIMIT_NOFILE's soft limit); `None`: as many as it likes.
#[cfg(unix)]
#[must_use]
pub fn open_files() -> Option<u64> {
    rustix::process::getrlimit(rustix::process::Resource::Nofile).current
}

/// The same on Windows, where memory alone bounds the handles of a process.
#[cfg(not(unix))]
#[must_use]
pub fn open_files() -> Option<u64> {
    None
}

/// The bounds of one port.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// The most bytes of a request's head (request line and headers), from 8 KiB on; longer ones are answered 431.
    pub head_max_bytes: usize,
    /// From a request's first byte to the end of its head.
    pub head: Duration,
    /// How long a connection may be without a request.
    pub idle: Duration,
    /// From the end of the head to the last byte of the answer on its way. A streaming answer is under it only until
    /// its head is made: it has no end of its own.
    pub exchange: Duration,
    /// The most open connections, at least 8, and the most requests at one time on all of them. When one more comes, the one
    /// that has been without a request for longest is closed for it, else the oldest stream, else the one whose client has
    /// been waited for longest (for the rest of a body, to read an answer). Only when all others are being worked on is the
    /// new one answered 503.
    pub connections: usize,
    /// The most of them with a streaming answer; when one more begins, the oldest is closed. 0 for a port that has
    /// none: there a client that has sent all it will (a half-closed connection) still gets its answer, while with
    /// streams that is how its leaving is noticed.
    pub streams: usize,
    /// What a connection that speaks HTTP/2 may do; `None`: the port takes HTTP/1.1 only.
    pub http2: Option<Http2>,
}

/// The bounds of one connection that speaks HTTP/2. Its requests are under the clocks of [`Limits`] too.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Http2 {
    /// The most requests at one time; a client with more waits with them.
    pub streams: u32,
    /// The most requests that may be taken back before they are answered, over the life of the connection; with one more it
    /// is closed. Each costs the work that it was not waited for.
    pub taken_back: u32,
}

impl Limits {
    /// Requests that only ask (GET, HEAD) always find so many places: others are answered 503 rather than take these.
    pub(super) fn kept_for_asking(&self) -> usize {
        self.connections / 8
    }

    /// So many connections beside the open ones may have been closed for others and not be gone yet.
    pub(super) fn leaving(&self) -> usize {
        self.connections / 8
    }

    /// So many more are kept for addresses that are at fewer than [`Limits::own_share`] requests.
    pub(super) fn kept_for_few(&self) -> usize {
        self.connections / 8
    }

    /// How many requests an address may always be at, as long as it is one of few that need places kept.
    pub(super) fn own_share(&self) -> usize {
        (self.connections / 64).max(1)
    }

    /// The same with places for as many connections as a process may have open that is allowed `open_files` of them
    /// (RLIMIT_NOFILE; `None`: no limit) and needs `own` for itself, those that are leaving among them; 8 at least.
    #[must_use]
    pub fn within(self, open_files: Option<u64>, own: usize) -> Self {
        let left = open_files.map_or(usize::MAX, |files| {
            usize::try_from(files).unwrap_or(usize::MAX).saturating_sub(own)
        });
        // With an eighth of them leaving.
        let connections = self.connections.min(left - left.div_ceil(9)).max(8);
        Self {
            connections,
            streams: self.streams.min(connections / 4),
            ..self
        }
    }
}

/// The bounds of the bodies of one kind of request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BodyLimits {
    /// The most bytes of one; longer ones are answered 413.
    pub max_bytes: usize,
    /// The most bytes of all that are in memory at one time, at least `max_bytes`. What has no room waits for it; of those
    /// that wait for each other, and for clients that have gone silent, one is answered 503.
    pub all_max_bytes: usize,
    /// From the end of the head to the end of the body, the wait for room included.
    pub time: Duration,
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: Limits = Limits {
        head_max_bytes: 8 << 10,
        head: Duration::from_secs(1),
        idle: Duration::from_secs(1),
        exchange: Duration::from_secs(1),
        connections: 256,
        streams: 64,
        http2: None,
    };

    #[test]
    fn connections_leave_the_process_the_files_that_it_needs_itself() {
        for (open_files, connections, streams) in [
            (None, 256, 64),
            (Some(1024), 256, 64),
            (Some(328), 256, 64),
            (Some(327), 255, 63),
            (Some(64), 21, 5),
            (Some(40), 8, 2),
            (Some(0), 8, 2),
        ] {
            let limits = LIMITS.within(open_files, 40);
            assert_eq!(
                (limits.connections, limits.streams),
                (connections, streams),
                "{open_files:?}"
            );
        }
    }
}
