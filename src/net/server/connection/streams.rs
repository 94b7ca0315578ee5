//! The requests of a connection that can have several at a time (HTTP/2), and what they make of the connection as a whole.

use std::collections::BTreeMap;
use std::time::Instant;

use super::progress::{Progress, Stage};

/// The requests that a connection is at.
#[derive(Debug)]
pub(super) struct Streams {
    next: u64,
    /// By age.
    open: BTreeMap<u64, Open>,
    /// When there last was none any more.
    idle_since: Instant,
    /// How many were taken back before they were answered.
    taken_back: u32,
}

#[derive(Debug)]
struct Open {
    since: Instant,
    stage: Stage,
    only_asks: bool,
    /// Its client has reset it before all of it had come.
    is_broken: bool,
}

impl Streams {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            next: 0,
            open: BTreeMap::new(),
            idle_since: now,
            taken_back: 0,
        }
    }

    /// One has begun. Returns its number.
    pub(super) fn begin(&mut self, only_asks: bool, has_body: bool, now: Instant) -> u64 {
        let number = self.next;
        self.next += 1;
        let stage = if has_body { Stage::Body } else { Stage::Exchange };
        let open = Open {
            since: now,
            stage,
            only_asks,
            is_broken: false,
        };
        self.open.insert(number, open);
        number
    }

    /// The body of one is there, or nobody waits for the rest of it.
    pub(super) fn body_ended(&mut self, number: u64) {
        if let Some(open) = self.open.get_mut(&number)
            && open.stage == Stage::Body
        {
            open.stage = Stage::Exchange;
        }
    }

    /// No more of the body of one comes, and it is not whole.
    pub(super) fn body_broke(&mut self, number: u64) {
        if let Some(open) = self.open.get_mut(&number) {
            open.is_broken = true;
        }
    }

    /// The answer of one is made.
    pub(super) fn answered(&mut self, number: u64) {
        if let Some(open) = self.open.get_mut(&number) {
            open.stage = Stage::Answering;
        }
    }

    /// One is over: answered, or taken back.
    pub(super) fn end(&mut self, number: u64, now: Instant) {
        let Some(ended) = self.open.remove(&number) else {
            return;
        };
        if ended.is_broken || ended.stage != Stage::Answering {
            self.taken_back += 1;
        }
        if self.open.is_empty() {
            self.idle_since = now;
        }
    }

    /// How many were taken back before they were answered.
    pub(super) fn taken_back(&self) -> u32 {
        self.taken_back
    }

    /// How many do more than ask.
    pub(super) fn working(&self) -> usize {
        self.open.values().filter(|open| !open.only_asks).count()
    }

    /// Whether all that it is at only ask.
    pub(super) fn only_ask(&self) -> bool {
        self.open.values().all(|open| open.only_asks)
    }

    /// What the connection is at: its oldest request has been there for longest, and it is worked for as long as any is. Only
    /// when none is worked on is its client waited for.
    pub(super) fn progress(&self) -> Progress {
        let Some(oldest) = self.open.values().next() else {
            return Progress {
                stage: Stage::Idle,
                since: self.idle_since,
            };
        };
        let is_at = |stage| self.open.values().any(|open| open.stage == stage);
        let stage = [Stage::Exchange, Stage::Body]
            .into_iter()
            .find(|stage| is_at(*stage));
        Progress {
            stage: stage.unwrap_or(Stage::Answering),
            since: oldest.since,
        }
    }
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "any time will do")]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_connection_is_as_old_as_its_oldest_request_and_at_work_while_any_is() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut streams = Streams::new(at(0));
        let told = |streams: &Streams| {
            let progress = streams.progress();
            (progress.stage, (progress.since - start).as_secs())
        };
        assert_eq!(told(&streams), (Stage::Idle, 0));
        let waits = streams.begin(false, true, at(1));
        assert_eq!(told(&streams), (Stage::Body, 1));
        let asks = streams.begin(true, false, at(2));
        assert_eq!(told(&streams), (Stage::Exchange, 1));
        assert_eq!(streams.working(), 1);
        streams.answered(asks);
        assert_eq!(told(&streams), (Stage::Body, 1));
        streams.body_ended(waits);
        assert_eq!(told(&streams), (Stage::Exchange, 1));
        streams.answered(waits);
        // What nobody waits for any more changes nothing.
        streams.body_ended(waits);
        assert_eq!(told(&streams), (Stage::Answering, 1));
        streams.end(waits, at(3));
        assert_eq!(told(&streams), (Stage::Answering, 2));
        streams.end(asks, at(4));
        assert_eq!(told(&streams), (Stage::Idle, 4));
        assert_eq!(streams.taken_back(), 0);
    }

    #[test]
    fn what_ends_before_it_is_answered_was_taken_back() {
        let start = Instant::now();
        let mut streams = Streams::new(start);
        for has_body in [true, false] {
            let number = streams.begin(false, has_body, start);
            streams.end(number, start);
            // Once.
            streams.end(number, start);
        }
        let number = streams.begin(true, false, start);
        assert!(streams.only_ask());
        streams.answered(number);
        streams.begin(false, false, start);
        assert!(!streams.only_ask());
        streams.end(number, start);
        assert_eq!(streams.taken_back(), 2);
        // What it is answered is read by nobody.
        let number = streams.begin(false, true, start);
        streams.body_broke(number);
        streams.answered(number);
        streams.end(number, start);
        assert_eq!(streams.taken_back(), 3);
    }
}
