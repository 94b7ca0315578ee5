//! Every limit of the OTLP ports, with its reason. Clients are SDKs and Collectors, which keep a connection and send a
//! request every few seconds.

use std::time::Duration;

use crate::config::Config;
use crate::net::server::limits::{BodyLimits, Http2, Limits};

/// The most bytes of a request's head; longer ones are answered 431, over HTTP/2 too. SDKs send some 300 bytes, and what
/// people add to them are keys.
pub const HEAD_MAX_BYTES: usize = 16 << 10;

/// The most bytes of a request, over HTTP and gRPC, decompressed as well as as it comes; longer ones are answered 413
/// (`RESOURCE_EXHAUSTED`). It is what a Collector takes over HTTP by default. SDKs send 512 spans or records at a time, some
/// 500 KB, and Collectors 8,192, some 8 MB.
pub const BODY_MAX_BYTES: usize = 20 << 20;

/// The most bytes of such bodies in memory at one time, over all connections of all ports: two of the largest, and what is
/// needed to decompress. What has no room waits for it.
pub const BODIES_MAX_BYTES: usize = 2 * BODY_MAX_BYTES;

/// The part of the memory that the process may use that bodies may have, when that is less.
const PART_OF_MEMORY: u64 = 10;

/// And the least that they have: four usual requests.
const BODIES_LEAST_BYTES: usize = 2 << 20;

/// From the end of the head to the end of the body. SDKs give up after 10 s themselves.
pub const BODY_TIMEOUT: Duration = Duration::from_secs(10);

/// The most bytes of a request in JSON, or of spans that become segments, that the thread which serves all connections looks
/// at itself; longer ones are handed to another thread, one at a time. It takes some 20 µs a KB for segments, and three times as
/// much where spans are as short as they can be, so that nothing else waits for more than some five milliseconds.
pub const AT_ONCE_MAX_BYTES: usize = 64 << 10;

/// The most connections of a port: three of each process (traces, metrics, logs), for some 40 processes, and one that does
/// nothing goes for another. An idle one takes some 20 KB; one that does all that it may over HTTP/2 (a full window, all
/// its streams at once) takes ten times as much for as long as it does.
pub const MAX_CONNECTIONS: usize = 128;

/// The bounds of a port's connections.
pub const CONNECTIONS: Limits = Limits {
    head_max_bytes: HEAD_MAX_BYTES,
    // A head fits into a few packets.
    head: Duration::from_secs(10),
    // SDKs send metrics once a minute.
    idle: Duration::from_secs(75),
    // Body, work, and a client that reads slowly.
    exchange: Duration::from_secs(20),
    connections: MAX_CONNECTIONS,
    // Every answer is whole.
    streams: 0,
    http2: Some(Http2 {
        // A Collector sends ten requests at a time for each signal. All connections together have no more requests than
        // connections, so that this is no way to more of either.
        streams: 16,
        // A client takes a request back when its own time is over, which is rare; a hundred times it is an attack, or a
        // connection that has been there for very long, and opens another one.
        taken_back: 100,
    }),
};

/// The bounds of the connections of each of so many `ports` in a process that may have `open_files` open: half of them are
/// for the rest of the daemon.
#[must_use]
pub fn connections(open_files: Option<u64>, ports: usize) -> Limits {
    let ports = u64::try_from(ports.max(1)).unwrap_or(u64::MAX);
    CONNECTIONS.within(open_files.map(|files| files / 2 / ports), 0)
}

/// The bounds of bodies in a process that may use `memory_bytes`: a body can't have more than three quarters of what there is
/// for all of them, so that one can be decompressed, and another one be there too.
#[must_use]
pub fn bodies(memory_bytes: u64) -> BodyLimits {
    let part = usize::try_from(memory_bytes / PART_OF_MEMORY).unwrap_or(usize::MAX);
    let all_max_bytes = part.clamp(BODIES_LEAST_BYTES, BODIES_MAX_BYTES);
    BodyLimits {
        max_bytes: BODY_MAX_BYTES.min(all_max_bytes / 4 * 3),
        all_max_bytes,
        time: BODY_TIMEOUT,
    }
}

/// The most bytes that bodies may take of the memory of a process that is set up so and may use `memory_bytes`.
#[must_use]
pub fn bodies_bytes(config: &Config, memory_bytes: u64) -> u64 {
    match &config.otlp {
        Some(otlp) if !otlp.listen.is_empty() => bodies(memory_bytes).all_max_bytes as u64,
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bodies_have_a_tenth_of_the_memory_at_most_and_one_has_three_quarters_of_that() {
        const MIB: usize = 1 << 20;
        for (memory_mib, max_bytes, all_max_bytes) in [
            (4096, 20 * MIB, 40 * MIB),
            (400, 20 * MIB, 40 * MIB),
            (200, 15 * MIB, 20 * MIB),
            (40, 3 * MIB, 4 * MIB),
            (10, 3 * MIB / 2, 2 * MIB),
        ] {
            let limits = bodies(memory_mib << 20);
            assert_eq!(
                (limits.max_bytes, limits.all_max_bytes),
                (max_bytes, all_max_bytes),
                "{memory_mib} MiB"
            );
        }
    }

    #[test]
    fn ports_share_half_of_the_files() {
        for (open_files, ports, places) in [
            (None, 2, 128),
            (Some(1024), 1, 128),
            (Some(1024), 8, 56),
            (Some(64), 2, 14),
            (Some(10), 2, 8),
        ] {
            assert_eq!(
                connections(open_files, ports).connections,
                places,
                "{open_files:?} {ports}"
            );
        }
    }
}
