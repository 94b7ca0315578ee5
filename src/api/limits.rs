//! Every limit of the TCP port, with its reason. The official daemon has none of them: it keeps half-sent requests for
//! ever and bodies of 50 MB in memory.

use std::time::Duration;

use crate::net::server::limits::{BodyLimits, Limits};

/// The most bytes of a request's head (request line and headers); longer ones are answered 431. Heads of SDKs are
/// below 2 KB; those of clients that sign carry a session token of a few KB.
pub const HEAD_MAX_BYTES: usize = 16 << 10;

/// The most bytes of a body that is forwarded; longer ones are answered 413. The largest sampling call, 25 statistics
/// and 25 boost statistics, has about 10 KB.
pub const FORWARD_BODY_MAX_BYTES: usize = 64 << 10;

/// The most bytes of a `POST /TraceSegments`; longer ones are answered 413. A call of PutTraceSegments carries 50
/// documents of 64 KiB, and their quotes are escaped once more in it: 3.3 MB and some 40 %.
pub const INGEST_BODY_MAX_BYTES: usize = 5 << 20;

/// The most bytes of ingest bodies in memory at one time, over all connections: two of the largest. Further requests
/// wait for their turn. It bounds what the port adds to the buffer memory: twice this, while documents are taken out of
/// their bodies.
pub const INGEST_BODIES_MAX_BYTES: usize = 2 * INGEST_BODY_MAX_BYTES;

/// From a request's first byte to the end of its head. A head fits into a few packets, so a client that needs longer
/// is broken or wants to keep the connection busy.
pub const HEAD_TIMEOUT: Duration = Duration::from_secs(10);

/// From the end of the head to the end of the body: 5 MiB in 10 s are 4 Mbit/s, less than any network that a daemon is
/// asked over.
pub const BODY_TIMEOUT: Duration = Duration::from_secs(10);

/// How long a forwarded call may take, credentials included. The Java SDK waits 2 s for its answer; it shall get one
/// that says what is wrong.
pub const FORWARD_TIMEOUT: Duration = Duration::from_millis(1_800);

/// From the end of the head to the last byte of the answer on its way: body, work, and a client that reads slowly.
pub const EXCHANGE_TIMEOUT: Duration = Duration::from_secs(20);

/// How long a connection may be without a request. SDKs ask every 10 s, Prometheus scrapes once a minute at most.
pub const IDLE_TIMEOUT: Duration = Duration::from_secs(75);

/// The most open connections: dozens of processes with pooled connections, at about 10 KB each. When one more comes,
/// the one that has been without a request for longest is closed for it, so that idle connections never lock out a
/// health check; when all are in the middle of a request, the new one is answered 503.
pub const MAX_CONNECTIONS: usize = 256;

/// The bounds of the port's connections.
pub const CONNECTIONS: Limits = Limits {
    head_max_bytes: HEAD_MAX_BYTES,
    head: HEAD_TIMEOUT,
    idle: IDLE_TIMEOUT,
    exchange: EXCHANGE_TIMEOUT,
    connections: MAX_CONNECTIONS,
    // Every answer is whole.
    streams: 0,
};

/// The bounds of `POST /TraceSegments`.
pub const INGEST: BodyLimits = BodyLimits {
    max_bytes: INGEST_BODY_MAX_BYTES,
    all_max_bytes: INGEST_BODIES_MAX_BYTES,
    time: BODY_TIMEOUT,
};
