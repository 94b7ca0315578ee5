//! What a port is given as its bounds. The values and their reasons are in the room of each port.

use std::time::Duration;

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
    /// The most open connections. When one more comes, the one that has been without a request for longest is closed
    /// for it, else the oldest stream; when all are in the middle of a request, the new one is answered 503.
    pub connections: usize,
    /// The most of them with a streaming answer; when one more begins, the oldest is closed. 0 for a port that has
    /// none: there a client that has sent all it will (a half-closed connection) still gets its answer, while with
    /// streams that is how its leaving is noticed.
    pub streams: usize,
}

/// The bounds of the bodies of one kind of request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BodyLimits {
    /// The most bytes of one; longer ones are answered 413.
    pub max_bytes: usize,
    /// The most bytes of all that are in memory at one time, at least `max_bytes`. Further requests wait for their turn.
    pub all_max_bytes: usize,
    /// From the end of the head to the end of the body, the wait for a turn included.
    pub time: Duration,
}
