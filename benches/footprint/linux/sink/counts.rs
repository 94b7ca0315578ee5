//! What came to the endpoint.

use std::time::{Duration, Instant};

use xray_double::sized::{BEFORE_MARK, DIGITS, MARK};

use super::super::times::Event;
use super::faults::Fate;

/// How long the calls after the return of the endpoint are counted, from the first of them.
const FIRST: Duration = Duration::from_secs(1);

#[derive(Debug, Default)]
pub(super) struct Counts {
    seen: Vec<u64>,
    distinct: u64,
    /// Documents with this number and above are counted apart as well.
    apart_from: Option<usize>,
    distinct_apart: u64,
    duplicates: u64,
    calls: u64,
    taken: u32,
    throttled: u64,
    back: Back,
    first_second: u64,
    /// When each document came, if somebody wants to know.
    times: Option<Vec<Event>>,
}

/// Whether calls are counted that come after an outage.
#[derive(Debug, Clone, Copy, Default)]
enum Back {
    #[default]
    No,
    /// None has come yet.
    Waits,
    Since(Instant),
}

impl Counts {
    /// From now on documents with this number and above are counted apart as well.
    pub(super) fn count_apart(&mut self, from: usize) {
        self.apart_from = Some(from);
    }

    /// From now on it is kept when each document comes.
    pub(super) fn record(&mut self) {
        self.times = Some(Vec::new());
    }

    /// What was kept, and is no longer.
    pub(super) fn recorded(&mut self) -> Vec<Event> {
        self.times.take().unwrap_or_default()
    }

    /// The endpoint is up again.
    pub(super) fn up(&mut self) {
        self.back = Back::Waits;
        self.first_second = 0;
    }

    /// A call has come, and what is to become of it is known.
    pub(super) fn came(&mut self, fate: Fate) {
        self.calls += 1;
        self.throttled += u64::from(fate == Fate::Throttled);
        if matches!(self.back, Back::Waits) {
            self.back = Back::Since(Instant::now());
        }
        if matches!(self.back, Back::Since(first) if first.elapsed() < FIRST) {
            self.first_second += 1;
        }
    }

    /// Counts the documents of a body that is taken by their numbers, which came at `at`; a number that comes again is a
    /// duplicate.
    pub(super) fn take(&mut self, body: &[u8], at: Duration) {
        self.taken += 1;
        for place in memchr::memchr_iter(MARK, body) {
            let Some(number) = self.take_number(&body[place + 1..]) else {
                continue;
            };
            if let Some(times) = &mut self.times {
                times.push(Event {
                    number: u32::try_from(number).unwrap_or(u32::MAX),
                    call: self.taken,
                    at,
                });
            }
        }
    }

    /// The same for a request of spans. A span has the path of its URL once more, so the number counts only where it stands in
    /// the URL.
    pub(super) fn take_spans(&mut self, request: &[u8]) {
        for at in memchr::memchr_iter(MARK, request) {
            if request[..at].ends_with(BEFORE_MARK) {
                let _: Option<usize> = self.take_number(&request[at + 1..]);
            }
        }
    }

    /// The number that begins `text`, counted.
    fn take_number(&mut self, text: &[u8]) -> Option<usize> {
        let digits = std::str::from_utf8(text.get(..DIGITS)?).ok()?;
        let number = usize::from_str_radix(digits, 16).ok()?;
        let (word, bit) = (number / 64, 1 << (number % 64));
        if self.seen.len() <= word {
            self.seen.resize(word + 1, 0);
        }
        if self.seen[word] & bit == 0 {
            self.seen[word] |= bit;
            self.distinct += 1;
            self.distinct_apart += u64::from(self.apart_from.is_some_and(|from| number >= from));
        } else {
            self.duplicates += 1;
        }
        Some(number)
    }

    /// As pairs of a line.
    pub(super) fn line(&self) -> String {
        format!(
            "distinct={} apart={} duplicates={} calls={} throttled={} first_second={}",
            self.distinct,
            self.distinct_apart,
            self.duplicates,
            self.calls,
            self.throttled,
            self.first_second
        )
    }

    /// As pairs of a line, under names of their own.
    pub(super) fn line_of_spans(&self) -> String {
        format!("spans={} spans_twice={}", self.distinct, self.duplicates)
    }
}
