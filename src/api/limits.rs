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

/// The most bytes of such bodies in memory at one time, over all connections: far more than the calls of a thousand
/// processes in the same second.
pub const FORWARD_BODIES_MAX_BYTES: usize = 1 << 20;

/// The most bytes of a `POST /TraceSegments`; longer ones are answered 413. A call of PutTraceSegments carries 50
/// documents of 64 KiB, and their quotes are escaped once more in it: 3.3 MB and some 40 %.
pub const INGEST_BODY_MAX_BYTES: usize = 5 << 20;

/// The most bytes of ingest bodies in memory at one time, over all connections: two of the largest. What has no room waits
/// for it. It bounds what the port adds to the buffer memory: this, and the documents of one body while they are taken out
/// of it.
pub const INGEST_BODIES_MAX_BYTES: usize = 2 * INGEST_BODY_MAX_BYTES;

/// The part of the memory that the process may use that ingest bodies may have, when that is less.
const INGEST_PART_OF_MEMORY: u64 = 10;

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
/// one that does nothing is closed for it, so that none of those locks out a health check.
pub const MAX_CONNECTIONS: usize = 256;

/// The files that the process needs beside the connections of this port: sockets to listen on, the runtime's own, log,
/// spool, name look-ups, a request for credentials, and a dozen calls with segments, which is enough to deliver.
const OWN_FILES: usize = 40;

/// The bounds of the port's connections.
pub const CONNECTIONS: Limits = Limits {
    head_max_bytes: HEAD_MAX_BYTES,
    head: HEAD_TIMEOUT,
    idle: IDLE_TIMEOUT,
    exchange: EXCHANGE_TIMEOUT,
    connections: MAX_CONNECTIONS,
    // Every answer is whole.
    streams: 0,
    // SDKs ask for samples over HTTP/1.1.
    http2: None,
};

/// The bounds of the port's connections in a process that may have `open_files` open. Each may be at a call that is passed
/// on, and then has a connection on the other side too.
#[must_use]
pub fn connections(open_files: Option<u64>) -> Limits {
    CONNECTIONS.within(open_files.map(|files| files / 2), OWN_FILES / 2)
}

/// The bounds of `POST /TraceSegments` in a process that may use `memory_bytes`: a body can't have more than all of them.
#[must_use]
pub fn ingest(memory_bytes: u64) -> BodyLimits {
    let part = usize::try_from(memory_bytes / INGEST_PART_OF_MEMORY).unwrap_or(usize::MAX);
    let all_max_bytes = INGEST.all_max_bytes.min(part);
    BodyLimits {
        max_bytes: INGEST.max_bytes.min(all_max_bytes),
        all_max_bytes,
        ..INGEST
    }
}

/// The bounds of `POST /TraceSegments` where there is memory.
pub const INGEST: BodyLimits = BodyLimits {
    max_bytes: INGEST_BODY_MAX_BYTES,
    all_max_bytes: INGEST_BODIES_MAX_BYTES,
    time: BODY_TIMEOUT,
};

/// The bounds of the calls that are forwarded.
pub const FORWARD: BodyLimits = BodyLimits {
    max_bytes: FORWARD_BODY_MAX_BYTES,
    all_max_bytes: FORWARD_BODIES_MAX_BYTES,
    time: BODY_TIMEOUT,
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bodies_that_come_over_tcp_have_a_tenth_of_the_memory_at_most() {
        const MIB: usize = 1 << 20;
        for (memory_mib, max_bytes, all_max_bytes) in [
            (4096, 5 * MIB, 10 * MIB),
            (100, 5 * MIB, 10 * MIB),
            (70, 5 * MIB, 7 * MIB),
            (30, 3 * MIB, 3 * MIB),
        ] {
            let limits = ingest(memory_mib << 20);
            assert_eq!(
                (limits.max_bytes, limits.all_max_bytes),
                (max_bytes, all_max_bytes),
                "{memory_mib} MiB"
            );
        }
    }

    #[test]
    fn with_few_files_there_are_few_connections_and_half_of_the_files_is_for_the_way_on() {
        for (open_files, places) in [
            (None, 256),
            (Some(1024), 256),
            (Some(128), 39),
            (Some(64), 10),
            (Some(10), 8),
        ] {
            assert_eq!(connections(open_files).connections, places, "{open_files:?}");
        }
    }
}
