//! When documents were sent, and when their calls came: moments of one clock that all processes of the machine share.

use std::fs;
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use nix::time::{ClockId, clock_gettime};

use super::Result;

/// What happened to a document.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Event {
    /// The document's.
    pub(crate) number: u32,
    /// Of the call that it came with.
    pub(crate) call: u32,
    /// Since the start of the machine.
    pub(crate) at: Duration,
}

/// Number, call and nanoseconds, least byte first.
const EVENT_BYTES: usize = 4 + 4 + 8;

impl Event {
    pub(crate) fn now(number: u32, call: u32) -> Self {
        Self {
            number,
            call,
            at: now(),
        }
    }
}

/// Since the start of the machine.
pub(crate) fn now() -> Duration {
    clock_gettime(ClockId::CLOCK_MONOTONIC).map_or(Duration::ZERO, Duration::from)
}

/// Seconds since 1970.
pub(crate) fn seconds() -> u32 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u32::try_from(since.as_secs()).unwrap_or(u32::MAX)
}

pub(crate) fn write(file: &Path, events: &[Event]) -> Result<()> {
    let mut bytes = Vec::with_capacity(events.len() * EVENT_BYTES);
    for event in events {
        bytes.extend_from_slice(&event.number.to_le_bytes());
        bytes.extend_from_slice(&event.call.to_le_bytes());
        let nanos = u64::try_from(event.at.as_nanos()).unwrap_or(u64::MAX);
        bytes.extend_from_slice(&nanos.to_le_bytes());
    }
    Ok(fs::write(file, bytes)?)
}

pub(crate) fn read(file: &Path) -> Result<Vec<Event>> {
    let bytes = fs::read(file)?;
    let events = bytes.as_chunks::<EVENT_BYTES>().0.iter().map(|event| {
        let [n0, n1, n2, n3, c0, c1, c2, c3, nanos @ ..] = *event;
        Event {
            number: u32::from_le_bytes([n0, n1, n2, n3]),
            call: u32::from_le_bytes([c0, c1, c2, c3]),
            at: Duration::from_nanos(u64::from_le_bytes(nanos)),
        }
    });
    Ok(events.collect())
}

/// Of the sorted `times` the one that `share` of them do not exceed, 0 to 1.
pub(crate) fn quantile(times: &[Duration], share: f64) -> Duration {
    let rank = (times.len() as f64 * share).ceil() as usize;
    times
        .get(rank.clamp(1, times.len().max(1)) - 1)
        .copied()
        .unwrap_or_default()
}

/// In milliseconds, or in microseconds below one.
pub(crate) fn shown(time: Duration) -> String {
    let us = time.as_secs_f64() * 1e6;
    if us < 1000.0 {
        format!("{us:.0} µs")
    } else {
        format!("{:.1} ms", us / 1000.0)
    }
}
