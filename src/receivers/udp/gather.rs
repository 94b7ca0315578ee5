//! When to let datagrams wait in the kernel for a moment.

use std::time::{Duration, Instant};

/// The most that loopback was seen to carry, in bytes of kernel memory a second: 400,000 datagrams of 1 KB, each of
/// which takes 2.3 KB there.
const BURST_BYTES_PER_S: f64 = (1 << 30) as f64;

/// Longest pause between two receives while datagrams keep coming; what waits there waits again, up to a second, in the
/// open batch.
const MAX_PAUSE: Duration = Duration::from_millis(8);

/// Below that a pause is mostly its own overhead: the kernel makes each some 50 µs longer than it was to be.
const MIN_PAUSE: Duration = Duration::from_micros(90);

/// The part of the receive buffer that may fill during a pause at the rate of the last moments. The rest is for the time
/// until the system runs the receiver again, milliseconds where the processors are busy.
const PART_OF_BUFFER: f64 = 1.0 / 16.0;

/// For so long as it takes to fill this part there may be a pause of [`SHORT_PAUSE`]. It matters in the 416 KiB that ordinary
/// hosts grant, which a burst fills in less than a millisecond: without a pause the receiver wakes up for each few datagrams,
/// for twice the CPU, and lost a third of a burst that is lost by a thirtieth with it.
const SHORT_PART_OF_BUFFER: f64 = 1.0 / 4.0;

const SHORT_PAUSE: Duration = Duration::from_micros(500);

/// Lets datagrams gather in the kernel while they keep coming: waking up for each one costs more than all that is then
/// done with it.
///
/// A pause is so short that a burst that begins with it fills no more than half of the receive buffer (a tiny buffer
/// means no pause at all), that what comes anyway fills no more than a small part, and it is made only when the last
/// receive was not long ago, so that a lone datagram costs no second wake-up. The thread is to sleep, not the task: the
/// runtime would be woken by each datagram that comes.
#[derive(Debug)]
pub(super) struct Gather {
    granted_bytes: f64,
    longest: Duration,
    /// When the last pause began, or would have.
    since: Option<Instant>,
    /// When it was to end.
    until: Option<Instant>,
    /// Received since it began, in bytes of kernel memory.
    bytes: usize,
}

impl Gather {
    /// For a receive buffer of `granted_bytes`, as the kernel counts.
    pub(super) fn new(granted_bytes: usize) -> Self {
        let granted_bytes = granted_bytes as f64;
        let longest = Duration::from_secs_f64(granted_bytes / 2.0 / BURST_BYTES_PER_S).min(MAX_PAUSE);
        Self {
            granted_bytes,
            longest: if longest < 2 * MIN_PAUSE {
                Duration::ZERO
            } else {
                longest
            },
            since: None,
            until: None,
            bytes: 0,
        }
    }

    /// Counts a receive of `datagrams` of `bytes` together, which filled `all_room` there was for them or not. Returns
    /// how long to pause before there is more to be had; `None` when all is received that was there, and the kernel is
    /// to say when more comes.
    pub(super) fn after(
        &mut self,
        datagrams: usize,
        bytes: usize,
        all_room: bool,
        now: Instant,
    ) -> Option<Duration> {
        self.received(datagrams, bytes);
        if all_room {
            return Some(Duration::ZERO);
        }
        let pause = self.pause(now);
        (!pause.is_zero()).then_some(pause)
    }

    /// Counts what was received: `datagrams` of `bytes` together. The kernel's own book-keeping and rounding is no more
    /// than their size again and a KiB for each.
    fn received(&mut self, datagrams: usize, bytes: usize) {
        self.bytes += 2 * bytes + 1024 * datagrams;
    }

    /// How long to pause, now that all is received that was there.
    fn pause(&mut self, now: Instant) -> Duration {
        let keeps_coming = self
            .until
            .is_some_and(|until| now.saturating_duration_since(until) < 2 * self.longest);
        let pause = match self.since {
            Some(since) if keeps_coming => {
                let bytes_per_s = self.bytes as f64 / now.saturating_duration_since(since).as_secs_f64();
                let fill = |part| {
                    let fill_s = self.granted_bytes * part / bytes_per_s;
                    Duration::try_from_secs_f64(fill_s).unwrap_or(self.longest)
                };
                let short = fill(SHORT_PART_OF_BUFFER).min(SHORT_PAUSE);
                let pause = fill(PART_OF_BUFFER).max(short).min(self.longest);
                if pause < MIN_PAUSE { Duration::ZERO } else { pause }
            }
            _ => Duration::ZERO,
        };
        self.bytes = 0;
        self.since = Some(now);
        self.until = Some(now + pause);
        pause
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn a_pause_is_as_long_as_the_receive_buffer_bears_and_with_a_tiny_one_there_is_none() {
        for (granted_bytes, longest_us) in [
            (212_992, 0),
            (386_500, 0),
            (386_548, 180),
            (425_984, 198),
            (2 << 20, 976),
            (8 << 20, 3906),
            (16 << 20, 7812),
            (64 << 20, 8000),
        ] {
            assert_eq!(
                Gather::new(granted_bytes).longest.as_micros(),
                longest_us,
                "{granted_bytes}"
            );
        }
        let mut gather = Gather::new(212_992);
        let now = Instant::now();
        for ms in 0..10 {
            gather.received(1, 1000);
            assert_eq!(gather.pause(now + ms * MS), Duration::ZERO);
        }
    }

    #[test]
    fn a_datagram_after_a_silence_is_not_followed_by_a_pause_but_the_next_one_is() {
        let mut gather = Gather::new(8 << 20);
        let now = Instant::now();
        for (at_ms, pauses) in [
            (0, false),
            (100, false),
            (102, true),
            (107, true),
            (120, false),
            (121, true),
        ] {
            gather.received(1, 1000);
            let pause = gather.pause(now + at_ms * MS);
            assert_eq!(
                pause,
                if pauses { gather.longest } else { Duration::ZERO },
                "{at_ms}"
            );
        }
    }

    #[test]
    fn the_more_comes_the_shorter_is_the_pause() {
        // Datagrams of 1 KB in a millisecond, of 3 KiB each in the kernel. Of the first buffer 512 KiB may gather, and up to 2 MiB
        // in a short pause; of the second, which is that of ordinary hosts, 104 KiB.
        for (granted_bytes, datagrams, pause_us) in [
            (8 << 20, 20, 3906),
            (8 << 20, 40, 3906),
            (8 << 20, 100, 1706),
            (8 << 20, 300, 568),
            (8 << 20, 400, 500),
            (8 << 20, 2000, 341),
            (425_984, 100, 198),
            (425_984, 200, 173),
            (425_984, 385, 90),
            (425_984, 386, 0),
        ] {
            let mut gather = Gather::new(granted_bytes);
            let now = Instant::now();
            // As if the last pause had ended just now.
            gather.pause(now);
            gather.until = Some(now + MS);
            gather.received(datagrams, datagrams * 1024);
            assert_eq!(
                gather.pause(now + MS).as_micros(),
                pause_us,
                "{granted_bytes} {datagrams}"
            );
        }
    }

    #[test]
    fn after_a_pause_or_a_receive_that_filled_all_room_there_is_more_to_be_had() {
        let mut gather = Gather::new(8 << 20);
        let longest = gather.longest;
        let now = Instant::now();
        assert_eq!(gather.after(1, 1000, false, now), None, "the first one");
        assert_eq!(gather.after(1, 1000, false, now + MS), Some(longest));
        assert_eq!(gather.after(1, 1000, true, now + 2 * MS), Some(Duration::ZERO));
        assert_eq!(gather.bytes, 2 * 1000 + 1024, "counted for the next pause");
        assert_eq!(gather.after(0, 0, false, now + 100 * MS), None, "after a silence");
    }

    #[test]
    fn the_last_receive_was_long_ago_from_twice_the_longest_pause_on() {
        let ns = Duration::from_nanos(1);
        let bound = 2 * Gather::new(8 << 20).longest;
        for (silence, pauses) in [(bound - ns, true), (bound, false), (bound + ns, false)] {
            let mut gather = Gather::new(8 << 20);
            let now = Instant::now();
            gather.pause(now);
            gather.received(1, 1000);
            assert_eq!(!gather.pause(now + silence).is_zero(), pauses, "{silence:?}");
        }
    }

    #[test]
    fn a_pause_of_the_least_length_is_made() {
        // Twice a million bytes in a second fill a quarter of the buffer in 90 µs.
        for (bytes, pause) in [(1_000_000, MIN_PAUSE), (1_001_000, Duration::ZERO)] {
            let now = Instant::now();
            let mut gather = Gather {
                granted_bytes: 720.0,
                longest: MAX_PAUSE,
                since: Some(now - Duration::from_secs(1)),
                until: Some(now),
                bytes: 0,
            };
            gather.received(0, bytes);
            assert_eq!(gather.pause(now), pause, "{bytes}");
        }
    }
}
