//! How long writing takes, by what this disk has shown: for what is kept for it at a stop.

use std::time::Duration;

/// What is assumed of a disk that has shown nothing, for a file that is made safe among others.
const UNKNOWN_PER_FILE_S: f64 = 0.005;

/// The same for a byte: what the slowest disks that one runs services on write.
const UNKNOWN_PER_BYTE_S: f64 = 1.0 / 20e6;

/// A write of less says nothing of the time that a byte takes.
const TELLING_BYTES: u64 = 256 << 10;

/// How much of what was seen before stays with each faster write. A slower one counts at once: the next may be as slow.
const KEPT: f64 = 0.75;

/// How long a file takes, and a byte. One write of many files is explained by either, so the longer one is expected.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Pace {
    per_file_s: f64,
    per_byte_s: f64,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            per_file_s: UNKNOWN_PER_FILE_S,
            per_byte_s: UNKNOWN_PER_BYTE_S,
        }
    }
}

impl Pace {
    /// So many files of so many bytes in all were written and made safe in `took`.
    pub(super) fn saw(&mut self, files: usize, bytes: u64, took: Duration) {
        if files == 0 {
            return;
        }
        let seen = |before: f64, now: f64| now.max(KEPT * before + (1.0 - KEPT) * now);
        self.per_file_s = seen(self.per_file_s, took.as_secs_f64() / files as f64);
        if bytes >= TELLING_BYTES {
            self.per_byte_s = seen(self.per_byte_s, took.as_secs_f64() / bytes as f64);
        }
    }

    /// How long so many files of so many bytes in all will take.
    pub(super) fn expect(&self, files: usize, bytes: usize) -> Duration {
        let seconds = (files as f64 * self.per_file_s).max(bytes as f64 * self.per_byte_s);
        Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_disk_that_has_shown_nothing_is_taken_for_a_slow_one() {
        let pace = Pace::default();
        assert_eq!(pace.expect(0, 0), Duration::ZERO);
        assert_eq!(pace.expect(100, 1), Duration::from_millis(500), "by files");
        assert_eq!(pace.expect(1, 40_000_000), Duration::from_secs(2), "by bytes");
    }

    #[test]
    fn a_slower_write_counts_at_once_and_faster_ones_by_and_by() {
        let mut pace = Pace::default();
        pace.saw(10, 1000, Duration::from_secs(1));
        assert_eq!(pace.expect(100, 0), Duration::from_secs(10));
        assert_eq!(
            pace.expect(0, 20_000_000),
            Duration::from_secs(1),
            "too little to tell"
        );
        pace.saw(10, 1 << 20, Duration::ZERO);
        assert_eq!(pace.expect(100, 0), Duration::from_millis(7500));
        assert_eq!(pace.expect(0, 20_000_000), Duration::from_millis(750));
        let before = pace;
        pace.saw(0, 1 << 20, Duration::from_secs(9));
        assert_eq!(pace, before, "nothing was written");
    }
    #[test]
    fn of_a_faster_write_a_quarter_counts() {
        let mut pace = Pace::default();
        pace.saw(10, 1000, Duration::from_secs(1));
        pace.saw(10, 1000, Duration::from_millis(200));
        // 0.1 s and 0.02 s.
        assert_eq!(pace.expect(100, 0), Duration::from_secs(8));
        pace.saw(1, 1 << 20, Duration::from_nanos(1000 << 20));
        assert_eq!(pace.expect(0, 3_000_000), Duration::from_secs(3));
    }
}
