//! Which of the idle connections is used next, and which have been idle for too long: without a clock and without I/O.

use std::time::Duration;

use tokio::time::Instant;

/// How long an unused connection is kept. Load balancers close theirs after 60 s or more; closing first means that
/// no request meets a connection that is just being closed.
pub(super) const IDLE_MAX: Duration = Duration::from_secs(50);

/// What is idle, the newest last.
#[derive(Debug)]
pub(super) struct IdleList<T>(Vec<Idle<T>>);

#[derive(Debug)]
struct Idle<T> {
    item: T,
    since: Instant,
}

impl<T> Default for IdleList<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T> IdleList<T> {
    /// `item` is idle from `now` on, which is not before any earlier `now`.
    pub(super) fn put(&mut self, item: T, now: Instant) {
        self.0.push(Idle { item, since: now });
    }

    /// Takes the newest that `is_open` and has not been idle for [`IDLE_MAX`] at `now`, so that under little load one stays
    /// warm and the others grow old. Those that are newer and not open are dropped, and all if the newest is too old: a process
    /// that was stopped and goes on finds them here before their time has been looked at.
    pub(super) fn take(&mut self, now: Instant, mut is_open: impl FnMut(&T) -> bool) -> Option<T> {
        while let Some(Idle { item, since }) = self.0.pop() {
            if since + IDLE_MAX > now && is_open(&item) {
                return Some(item);
            }
        }
        None
    }

    /// Takes those that have been idle for [`IDLE_MAX`] at `now`.
    pub(super) fn expire(&mut self, now: Instant) -> Vec<T> {
        let expired = self.0.partition_point(|idle| idle.since + IDLE_MAX <= now);
        self.0.drain(..expired).map(|idle| idle.item).collect()
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// When the oldest will have been idle for [`IDLE_MAX`]; `None` when there are none.
    pub(super) fn next_expiry(&self) -> Option<Instant> {
        self.0.first().map(|oldest| oldest.since + IDLE_MAX)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_newest_open_one_is_taken_and_newer_closed_ones_are_dropped() {
        let now = Instant::now();
        let mut list = IdleList::default();
        for item in 1..=4 {
            list.put(item, now);
        }
        assert_eq!(list.take(now, |&item| item < 3), Some(2));
        assert_eq!(list.take(now, |_| true), Some(1));
        assert_eq!(list.take(now, |_| true), None);
    }

    #[test]
    fn one_is_kept_for_just_less_than_fifty_seconds() {
        let now = Instant::now();
        let mut list = IdleList::default();
        assert_eq!(list.next_expiry(), None);
        list.put('a', now);
        list.put('b', now + Duration::from_millis(1));
        let end = now + Duration::from_secs(50);
        assert_eq!(list.next_expiry(), Some(end));
        assert!(list.expire(end - Duration::from_nanos(1)).is_empty());
        assert_eq!(list.expire(end), ['a']);
        assert_eq!(list.next_expiry(), Some(end + Duration::from_millis(1)));
        assert_eq!(list.take(end, |_| true), Some('b'));
        assert_eq!(list.next_expiry(), None);
    }

    #[test]
    fn one_that_is_too_old_is_not_taken_though_nobody_has_looked_at_its_time() {
        let now = Instant::now();
        let mut list = IdleList::default();
        list.put('a', now);
        list.put('b', now + Duration::from_secs(1));
        assert_eq!(list.take(now + Duration::from_secs(600), |_| true), None);
        assert_eq!(list.next_expiry(), None);
    }

    #[derive(Debug, Clone)]
    enum Step {
        Put,
        Take,
        Wait(u64),
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            Just(Step::Put),
            Just(Step::Take),
            (0..40_000u64).prop_map(Step::Wait)
        ]
    }

    proptest! {
        /// Against a plain list of what was put when.
        #[test]
        fn each_is_taken_once_newest_first_or_expires_at_its_time(steps in prop::collection::vec(step(), 0..60)) {
            let mut now = Instant::now();
            let mut list = IdleList::default();
            let mut model: Vec<(usize, Instant)> = Vec::new();
            for (number, step) in steps.into_iter().enumerate() {
                match step {
                    Step::Put => {
                        list.put(number, now);
                        model.push((number, now));
                    }
                    Step::Take => prop_assert_eq!(list.take(now, |_| true), model.pop().map(|(item, _)| item)),
                    Step::Wait(millis) => {
                        now += Duration::from_millis(millis);
                        let (old, young): (Vec<_>, Vec<_>) =
                            model.into_iter().partition(|&(_, since)| now - since >= IDLE_MAX);
                        model = young;
                        let old: Vec<_> = old.into_iter().map(|(item, _)| item).collect();
                        prop_assert_eq!(list.expire(now), old);
                    }
                }
                prop_assert_eq!(list.next_expiry(), model.first().map(|&(_, since)| since + IDLE_MAX));
            }
        }
    }
}
