//! Every limit of the TCP port of `xray dev`, with its reason. Its clients are a browser, the SDKs of what is being
//! written, and the daemon in this very process, which must get through whatever the others do.

use std::time::Duration;

use crate::net::server::limits::{BodyLimits, Limits};

/// The bounds of the port's connections.
pub(super) const CONNECTIONS: Limits = Limits {
    // Heads of browsers are larger than those of SDKs, with the cookies of everything else on this host.
    head_max_bytes: 64 << 10,
    // A head fits into a few packets, and they come from this machine or the next one.
    head: Duration::from_secs(10),
    // The daemon here asks for sampling rules every 10 s, SDKs too.
    idle: Duration::from_secs(75),
    // The slowest answer is one about all traces of a full store; a browser on a bad network reads it within this.
    exchange: Duration::from_secs(20),
    // A browser holds 6 for a host, an SDK a few; at about 10 KB each.
    connections: 256,
    // One for each tab that shows the page. Not more than a quarter of all places: each of them holds on to its own for as
    // long as it is open, and a page whose stream is closed asks for it again.
    streams: 64,
    // Browsers speak it over TLS only.
    http2: None,
};

/// The files that the process needs beside them: the daemon's own, its calls to this very port, which are on both sides of a
/// connection, the store's.
pub(super) const OWN_FILES: usize = 48;

/// The bounds of calls of the API. A call of PutTraceSegments carries 50 documents of 64 KiB, and their quotes are escaped
/// once more in it: 3.3 MB and some 40 %. Eight at one time are more than the daemon here sends at once.
pub(super) const CALLS: BodyLimits = BodyLimits {
    max_bytes: 5 << 20,
    all_max_bytes: 8 * (5 << 20),
    time: Duration::from_secs(10),
};

/// The bounds of files that the page sends: a trace of X-Ray has 500 KB at most, and a file some dozens of them. Read one
/// at a time; a larger one is opened from the command line.
pub(super) const FILES: BodyLimits = BodyLimits {
    max_bytes: 32 << 20,
    all_max_bytes: 32 << 20,
    time: Duration::from_secs(30),
};

/// Questions that are answered at once: so many processors they may take.
pub(super) const QUESTIONS_AT_ONCE: usize = 2;

/// Calls of up to so many bytes do not wait for the room that large ones need: those for sampling are below 10 KB. All
/// connections together can have one. Longer ones are read away from the thread that receives them.
pub(super) const SMALL_CALLS: BodyLimits = BodyLimits {
    max_bytes: 64 << 10,
    all_max_bytes: CONNECTIONS.connections * (64 << 10),
    time: CALLS.time,
};
