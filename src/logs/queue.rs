//! The bounded queue between those who log and the thread that writes.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// How long the writer lets lines gather while they keep coming: waking it up costs more than what it then does with a
/// line, and a busy daemon has one for each batch.
const GATHER: Duration = Duration::from_millis(200);

/// What the writer has to do next.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Item {
    /// Write this line.
    Line(String),
    /// Say that this many lines were dropped here.
    Dropped(u64),
    /// Open the log file anew, and if that goes well, write this line.
    Reopen(Option<String>),
}

/// Lines that wait for the writer, bounded in bytes.
///
/// `push` never waits for the writer: when a reader of the log is stuck, lines are dropped and counted, and the
/// daemon goes on. The standard library's channel has no bound in bytes, no count of what did not fit, and no way to
/// wait until all is written; the `non_blocking` writer of tracing-appender is bounded in lines, says its count
/// nowhere by itself, and cannot keep a reopened file in order with the lines.
#[derive(Debug)]
pub(super) struct Queue {
    limit_bytes: usize,
    // A std mutex: held for a few instructions, never over I/O and never across an await.
    state: Mutex<State>,
    /// The writer waits here for work.
    arrived: Condvar,
    /// The writer waits here for more work.
    hurried: Condvar,
    /// [`Queue::flush`] waits here for the writer to be done.
    settled: Condvar,
}

#[derive(Debug, Default)]
struct State {
    items: VecDeque<Item>,
    queued_bytes: usize,
    /// Dropped and not yet told.
    dropped: u64,
    /// Dropped since the start.
    dropped_total: u64,
    /// From the first line that did not fit until half the room is free again: one notice for many lines instead of
    /// one notice a line at the edge.
    dropping: bool,
    /// The writer is busy with an item it took.
    writing: bool,
    /// The writer has nothing to do until it is notified.
    idle: bool,
    /// How many wait in [`Queue::flush`].
    flushing: usize,
    /// When the writer had work the last time after a pause.
    woken_at: Option<Instant>,
    /// No more work will come.
    closed: bool,
}

impl Queue {
    pub(super) fn new(limit_bytes: usize) -> Self {
        Self {
            limit_bytes,
            state: Mutex::default(),
            arrived: Condvar::new(),
            hurried: Condvar::new(),
            settled: Condvar::new(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing leaves the state half changed, and a log that panics because another thread did helps nobody.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Queues a line, or counts it as dropped when there is no room.
    pub(super) fn push(&self, line: String) {
        let mut state = self.lock();
        if state.dropping && state.queued_bytes <= self.limit_bytes / 2 {
            state.dropping = false;
        }
        if state.dropping || state.closed || state.queued_bytes + line.len() > self.limit_bytes {
            state.dropping = true;
            state.dropped += 1;
            state.dropped_total += 1;
            return;
        }
        if state.dropped > 0 {
            let dropped = std::mem::take(&mut state.dropped);
            state.items.push_back(Item::Dropped(dropped));
        }
        let pressed = self.presses(&state);
        state.queued_bytes += line.len();
        state.items.push_back(Item::Line(line));
        if !pressed && self.presses(&state) {
            self.hurried.notify_one();
        }
        self.wake(state);
    }

    /// Whether so much of the room is taken that the writer may not wait for more.
    fn presses(&self, state: &State) -> bool {
        state.queued_bytes > self.limit_bytes / 2
    }

    fn wake(&self, state: MutexGuard<'_, State>) {
        let idle = state.idle;
        drop(state);
        // A notification is a system call even if nobody waits for it.
        if idle {
            self.arrived.notify_one();
        }
    }

    /// Queues the order to open the file anew, behind the lines that wait. `said` takes none of their room: of orders
    /// that follow each other only one is kept.
    pub(super) fn push_reopen(&self, said: Option<String>) {
        let mut state = self.lock();
        if !matches!(state.items.back(), Some(Item::Reopen(_))) {
            state.items.push_back(Item::Reopen(said));
        }
        self.wake(state);
    }

    /// For the writer: waits for the next item, having finished the one before. `None` once closed and empty.
    pub(super) fn pop(&self) -> Option<Item> {
        let mut state = self.lock();
        state.writing = false;
        loop {
            let item = state.items.pop_front().or_else(|| {
                // Nothing follows that the notice could stand before.
                let dropped = std::mem::take(&mut state.dropped);
                (dropped > 0).then_some(Item::Dropped(dropped))
            });
            if let Some(item) = item {
                if let Item::Line(line) = &item {
                    state.queued_bytes -= line.len();
                }
                state.writing = true;
                return Some(item);
            }
            if state.flushing > 0 {
                self.settled.notify_all();
            }
            if state.closed {
                return None;
            }
            state = self.work(state);
        }
    }

    /// Waits for work; for more of it if there was some just before.
    #[expect(clippy::disallowed_methods, reason = "gathers lines while they come quickly")]
    fn work<'a>(&'a self, mut state: MutexGuard<'a, State>) -> MutexGuard<'a, State> {
        state.idle = true;
        state = self
            .arrived
            .wait_while(state, |state| state.is_settled() && !state.closed)
            .unwrap_or_else(PoisonError::into_inner);
        state.idle = false;
        if state.woken_at.is_some_and(|at| at.elapsed() < 2 * GATHER) {
            (state, _) = self
                .hurried
                .wait_timeout_while(state, GATHER, |state| {
                    state.flushing == 0 && !self.presses(state) && !state.closed
                })
                .unwrap_or_else(PoisonError::into_inner);
        }
        state.woken_at = Some(Instant::now());
        state
    }

    /// Waits until all that was queued is written, `bound` at most. `false`: it was not.
    pub(super) fn flush(&self, bound: Duration) -> bool {
        let mut state = self.lock();
        state.flushing += 1;
        self.hurried.notify_one();
        (state, _) = self
            .settled
            .wait_timeout_while(state, bound, |state| !state.is_settled())
            .unwrap_or_else(PoisonError::into_inner);
        state.flushing -= 1;
        state.is_settled()
    }

    /// No more lines; the writer ends once it has written what is queued.
    pub(super) fn close(&self) {
        self.lock().closed = true;
        self.arrived.notify_one();
        self.hurried.notify_one();
    }

    /// Lines dropped since the start.
    pub(super) fn dropped_total(&self) -> u64 {
        self.lock().dropped_total
    }
}

impl State {
    fn is_settled(&self) -> bool {
        self.items.is_empty() && self.dropped == 0 && !self.writing
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(text: &str) -> Item {
        Item::Line(text.to_owned())
    }

    #[test]
    fn lines_beyond_the_bound_are_dropped_and_told_where_they_are_missing() {
        let queue = Queue::new(8);
        for text in ["aaaa", "bbbb", "c", "d"] {
            queue.push(text.to_owned());
        }
        assert_eq!(queue.pop(), Some(line("aaaa")));
        queue.push("eeee".to_owned());
        queue.push("ffff".to_owned());
        assert_eq!(queue.pop(), Some(line("bbbb")));
        assert_eq!(queue.pop(), Some(Item::Dropped(2)));
        assert_eq!(queue.pop(), Some(line("eeee")));
        assert_eq!(queue.pop(), Some(Item::Dropped(1)), "without a line to follow");
        assert_eq!(queue.dropped_total(), 3);
    }

    #[test]
    fn once_full_it_drops_until_half_the_room_is_free_so_that_notices_are_few() {
        let queue = Queue::new(8);
        for _ in 0..5 {
            queue.push("xx".to_owned());
        }
        assert_eq!(queue.pop(), Some(line("xx")));
        queue.push("yy".to_owned());
        assert_eq!(queue.dropped_total(), 2, "room for one, but still above the half");
        assert_eq!(queue.pop(), Some(line("xx")));
        queue.push("zz".to_owned());
        assert_eq!(queue.dropped_total(), 2);
        let rest: Vec<_> = std::iter::from_fn(|| {
            queue.close();
            queue.pop()
        })
        .collect();
        assert_eq!(rest, [line("xx"), line("xx"), Item::Dropped(2), line("zz")]);
    }

    #[test]
    fn the_order_to_reopen_stays_between_the_lines_and_is_not_repeated() {
        let queue = Queue::new(2);
        queue.push("a".to_owned());
        queue.push_reopen(Some("opened".to_owned()));
        queue.push_reopen(Some("opened again".to_owned()));
        queue.push("b".to_owned());
        queue.push_reopen(None);
        queue.close();
        let items: Vec<_> = std::iter::from_fn(|| queue.pop()).collect();
        let opened = Item::Reopen(Some("opened".to_owned()));
        assert_eq!(items, [line("a"), opened, line("b"), Item::Reopen(None)]);
    }

    #[test]
    fn a_line_after_others_waits_for_more_but_not_when_somebody_waits_for_it() {
        let queue = Queue::new(8);
        std::thread::scope(|scope| {
            let writer = scope.spawn(|| std::iter::from_fn(|| queue.pop()).collect::<Vec<_>>());
            for text in ["a", "b", "c"] {
                queue.push(text.to_owned());
                assert!(queue.flush(Duration::MAX));
            }
            queue.push("d".to_owned());
            queue.close();
            assert_eq!(
                writer.join().unwrap(),
                [line("a"), line("b"), line("c"), line("d")]
            );
        });
        assert_eq!(queue.dropped_total(), 0);
    }

    #[test]
    fn flush_waits_for_the_item_that_is_being_written() {
        let queue = Queue::new(8);
        assert!(queue.flush(Duration::ZERO), "nothing to write");
        queue.push("a".to_owned());
        assert!(!queue.flush(Duration::ZERO));
        assert_eq!(queue.pop(), Some(line("a")));
        assert!(!queue.flush(Duration::ZERO), "taken, but not known to be written");
        queue.close();
        assert_eq!(queue.pop(), None);
        assert!(queue.flush(Duration::ZERO));
    }
}
