//! What the log says of failing calls: enough to see since when and how many, bounded however often they change.
//!
//! Two states are told apart. Calls that fail *in a row*: said with the first one, once a minute, and when one succeeds
//! again. An endpoint that is *half ill*: some of its calls fail all the time, each row of failures is short, and what
//! counts is their share: said when it shows, once a minute, and when it is over.

use std::time::{Duration, Instant};

use crate::logs::Reminder;

/// Failures in a row that begin sooner after the last line are said once they have lasted this long.
const CERTAIN: Duration = Duration::from_secs(5);

/// Over how long the share is taken before a half-ill endpoint is called so.
const SHOWS_AFTER: Duration = Duration::from_secs(10);

/// And between two lines about it.
const SAID_EVERY: Duration = Duration::from_secs(60);

/// An endpoint of which so many of a hundred calls fail is half ill.
const ILL_MIN_PERCENT: u64 = 5;

/// Fewer calls than this show no share.
const MIN_CALLS: u64 = 20;

/// One row of failures, or two, are no half-ill endpoint however many calls they are: they are said as rows.
const MIN_ROWS: u64 = 3;

/// Calls that have failed since the last one that was answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Row {
    /// When the first of them started.
    pub(super) since: Instant,
    /// How many they are.
    pub(super) failures: u32,
}

/// How many calls failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Share {
    pub(super) calls: u64,
    pub(super) failed: u64,
    /// Over how long.
    pub(super) over: Duration,
}

impl Share {
    /// Of a hundred calls, to the nearest.
    pub(super) fn percent(&self) -> u64 {
        (self.failed * 100 + self.calls / 2)
            .checked_div(self.calls)
            .unwrap_or_default()
    }
}

/// What is to be said of an endpoint that is half ill.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum HalfIll {
    /// It is: for the first time, or still.
    Is(Share),
    /// It is not any more.
    IsOver(Share),
}

#[derive(Debug, Default)]
pub(super) struct Trouble {
    row: Option<Row>,
    reminder: Reminder,
    row_said: bool,
    half_ill: bool,
    counted_since: Option<Instant>,
    calls: u64,
    failed: u64,
    rows: u64,
}

impl Trouble {
    /// A call was answered. Returns the row that it ends, if that was said.
    pub(super) fn answered(&mut self) -> Option<Row> {
        self.calls += 1;
        let row = self.row.take();
        row.filter(|_| std::mem::take(&mut self.row_said))
    }

    /// A call that started at `started` failed. Returns its row if that is to be said now.
    pub(super) fn failed(&mut self, started: Instant, now: Instant) -> Option<Row> {
        self.calls += 1;
        self.failed += 1;
        self.rows += u64::from(self.row.is_none());
        let row = self.row.get_or_insert(Row {
            since: started,
            failures: 0,
        });
        row.failures = row.failures.saturating_add(1);
        let row = *row;
        let uncertain = now.saturating_duration_since(row.since) < CERTAIN;
        if (self.reminder.was_said_lately(now) && (self.row_said || uncertain))
            || (self.half_ill && uncertain)
        {
            return None;
        }
        self.reminder = Reminder::said(now);
        self.row_said = true;
        Some(row)
    }

    /// After each call: what there is to be said of the share of those that fail.
    pub(super) fn share(&mut self, now: Instant) -> Option<HalfIll> {
        if let Some(row) = self.row
            && now.saturating_duration_since(row.since) >= CERTAIN
        {
            // An outage says nothing of the time before and after it.
            self.counted_since = None;
            (self.calls, self.failed, self.rows) = (0, 0, 0);
            return None;
        }
        let since = *self.counted_since.get_or_insert(now);
        let over = now.saturating_duration_since(since);
        if over < if self.half_ill { SAID_EVERY } else { SHOWS_AFTER } {
            return None;
        }
        let share = Share {
            calls: self.calls,
            failed: self.failed,
            over,
        };
        self.counted_since = Some(now);
        let rows = self.rows;
        (self.calls, self.failed, self.rows) = (0, 0, 0);
        let was_ill = self.half_ill;
        self.half_ill = share.calls >= MIN_CALLS
            && rows >= MIN_ROWS
            && share.failed * 100 >= ILL_MIN_PERCENT * share.calls;
        match (was_ill, self.half_ill) {
            (_, true) => Some(HalfIll::Is(share)),
            (true, false) => Some(HalfIll::IsOver(share)),
            (false, false) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: fn(u64) -> Duration = Duration::from_secs;

    #[test]
    fn failures_in_a_row_are_said_at_once_then_once_a_minute_and_when_one_is_answered() {
        let start = Instant::now();
        let mut trouble = Trouble::default();
        assert_eq!(trouble.answered(), None);
        let said: Vec<u64> = (0..150)
            .filter(|&second| trouble.failed(start, start + S(second)).is_some())
            .collect();
        assert_eq!(said, [0, 60, 120]);
        let row = Row {
            since: start,
            failures: 150,
        };
        assert_eq!(trouble.answered(), Some(row));
        assert_eq!(trouble.answered(), None);
    }

    #[test]
    fn a_row_soon_after_another_is_said_when_it_has_lasted_five_seconds() {
        let start = Instant::now();
        let mut trouble = Trouble::default();
        assert!(trouble.failed(start, start).is_some());
        assert!(trouble.answered().is_some());
        let again = start + S(1);
        assert_eq!(trouble.failed(again, again), None);
        assert_eq!(trouble.failed(again, again + S(4)), None);
        assert_eq!(trouble.failed(again, again + S(5)).unwrap().failures, 3);
        assert_eq!(trouble.failed(again, again + S(6)), None);
        assert!(trouble.answered().is_some());
    }

    /// Ten calls a second from `from` on for `seconds`, of which so many fail; each line with its second.
    fn ten_a_second(
        trouble: &mut Trouble,
        start: Instant,
        from: u64,
        seconds: u64,
        failing: u64,
    ) -> Vec<(u64, HalfIll)> {
        let mut said = Vec::new();
        for second in from..from + seconds {
            let at = start + S(second);
            for call in 0..10 {
                if call < failing {
                    let _ = trouble.failed(at, at);
                } else {
                    let _ = trouble.answered();
                }
                said.extend(trouble.share(at).map(|what| (second, what)));
            }
        }
        said
    }

    #[test]
    fn an_endpoint_that_is_half_ill_is_said_when_it_shows_once_a_minute_and_when_it_is_over() {
        let start = Instant::now();
        let mut trouble = Trouble::default();
        assert_eq!(ten_a_second(&mut trouble, start, 0, 20, 0), []);
        let said = ten_a_second(&mut trouble, start, 20, 140, 5);
        let seconds: Vec<u64> = said.iter().map(|(second, _)| *second).collect();
        assert_eq!(seconds, [30, 90, 150]);
        assert!(matches!(said[1].1, HalfIll::Is(share) if share.calls == 600 && share.percent() == 50));
        let said = ten_a_second(&mut trouble, start, 160, 130, 0);
        let seconds: Vec<u64> = said.iter().map(|(second, _)| *second).collect();
        assert_eq!(seconds, [210, 270]);
        assert!(matches!(said[1].1, HalfIll::IsOver(share) if share.failed == 0 && share.over == S(60)));
    }

    #[test]
    fn an_outage_is_not_half_ill_and_neither_is_what_fails_now_and_then() {
        let start = Instant::now();
        assert_eq!(ten_a_second(&mut Trouble::default(), start, 0, 100, 10), []);
        let mut trouble = Trouble::default();
        for call in 0..1000_u64 {
            let at = start + Duration::from_millis(100 * call);
            if call % 25 == 0 {
                let _ = trouble.failed(at, at);
            } else {
                let _ = trouble.answered();
            }
            assert_eq!(trouble.share(at), None);
        }
    }
}
