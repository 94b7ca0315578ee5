//! One destination's lane, where documents come in and batches go out: the open batch and the queue under one short lock,
//! a share of the budget, and a spool if there is one. Lanes know nothing of each other.
//!
//! The receiver adds, the sender takes; neither holds the lock over I/O. What the budget pushes out goes to the spool;
//! without one it is counted here, and said in the log at most once a second.

pub mod depth;
mod others;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::Notify;

use self::others::{HeldOpen, Others};
use crate::ledger::amounts::Amounts;
use crate::ledger::destination::Destination;
use crate::ledger::signal::Content;
use crate::ledger::{DropReason, Ledger};
use crate::logs::Tally;
use crate::pipeline::batch::encoding::Encoding;
use crate::pipeline::batch::{Batch, OpenBatch};
use crate::pipeline::budget::Budget;
use crate::pipeline::intake::{Intake, Room};
use crate::pipeline::queue::{Evicted, Next, Queue, Ticket};
use crate::pipeline::spool::{Spool, TakesBack};

/// The largest document that the receiver adds under the lock: what a datagram can carry.
const DATAGRAM_MAX_BYTES: usize = 1 << 16;

/// The meeting point of receiver and sender, for bodies of `E`.
#[derive(Debug)]
pub struct Lane<E> {
    // A std mutex: it is held for microseconds and never across an await.
    state: Mutex<State<E>>,
    sealed: Notify,
    /// A batch was opened by somebody else than the receiver, whose timer seals it.
    opened: Notify,
    budget: Budget,
    ledger: Arc<Ledger>,
    spool: Option<Spool<E>>,
    destination: Destination,
    /// `None` in a lane that takes nothing but segments.
    others: Option<Mutex<Others<E>>>,
    /// The lane that each sealed batch of segments goes into as well.
    follower: Option<Arc<Self>>,
}

#[derive(Debug)]
struct State<E> {
    open: OpenBatch<E>,
    queue: Queue,
    spilled: Tally,
    abandoned: bool,
}

impl<E: Encoding> TakesBack for Lane<E> {
    fn take_back(&self, batch: Batch) -> bool {
        let taken = {
            let mut state = self.lock();
            !state.abandoned && state.queue.take_back(batch)
        };
        if taken {
            self.sealed.notify_one();
        }
        taken
    }

    fn wake(&self) {
        self.sealed.notify_one();
    }
}

impl<E: Encoding> Intake for Lane<E> {
    /// The lock is taken once for all of it.
    fn add<'a>(&self, documents: impl Iterator<Item = &'a [u8]>, now: Instant) {
        let mut sealed = false;
        let mut evicted = Evicted::default();
        let mut handed_on = Vec::new();
        let mut replaced = 0;
        {
            let mut state = self.lock();
            for document in documents {
                let pushed = state.open.push(document, now);
                replaced += u64::from(pushed.replaced_utf8);
                if let Some(batch) = pushed.sealed {
                    handed_on.extend(self.copy_for_follower(&batch));
                    evicted.0.append(&mut state.queue.push(batch).0);
                    sealed = true;
                }
            }
        }
        self.ledger.add_replaced_utf8(replaced);
        self.hand_on(handed_on, now);
        self.spill(evicted, now);
        if sealed {
            self.sealed.notify_one();
        }
    }

    /// One that is larger than a datagram goes in a batch of its own, which is made before the lock is taken: the
    /// receiver must not wait while it is encoded.
    fn add_from_elsewhere(&self, document: &[u8], now: Instant) {
        if document.len() <= DATAGRAM_MAX_BYTES {
            self.add(std::iter::once(document), now);
        } else if let Some(batch) = OpenBatch::<E>::of_one(document, now) {
            let mut handed_on = Vec::new();
            let evicted = {
                let mut state = self.lock();
                // What is in the open batch came before.
                let mut evicted = match state.open.seal() {
                    Some(older) => {
                        handed_on.extend(self.copy_for_follower(&older));
                        state.queue.push(older)
                    }
                    None => Evicted::default(),
                };
                handed_on.extend(self.copy_for_follower(&batch));
                evicted.0.append(&mut state.queue.push(batch).0);
                evicted
            };
            self.hand_on(handed_on, now);
            self.spill(evicted, now);
            self.sealed.notify_one();
        }
        self.opened.notify_one();
    }

    async fn opened(&self) {
        self.opened.notified().await;
    }

    /// `None` while no batch is open and nothing is left to be said.
    fn next_tick(&self) -> Option<Instant> {
        let others_at = self.lock_others().and_then(|others| others.deadline());
        let state = self.lock();
        [state.open.deadline(), state.spilled.due(), others_at]
            .into_iter()
            .flatten()
            .min()
    }

    fn tick(&self, now: Instant) {
        let others = self.lock_others().map(|mut others| others.seal_if_due(now));
        self.push_all(others.unwrap_or_default(), now);
        let (handed_on, sealed, evicted, said) = {
            let mut state = self.lock();
            let batch = state.open.seal_if_due(now);
            let handed_on = batch.as_ref().and_then(|batch| self.copy_for_follower(batch));
            let sealed = batch.is_some();
            let evicted = batch.map_or_else(Evicted::default, |batch| state.queue.push(batch));
            (handed_on, sealed, evicted, state.spilled.add(0, now))
        };
        self.hand_on(handed_on, now);
        self.spill(evicted, now);
        self.say_spilled(said);
        if sealed {
            self.sealed.notify_one();
        }
    }

    fn seal(&self, now: Instant) {
        let others = self.lock_others().map(|mut others| others.seal());
        self.push_all(others.unwrap_or_default(), now);
        let (handed_on, evicted) = {
            let mut state = self.lock();
            let batch = state.open.seal();
            let handed_on = batch.as_ref().and_then(|batch| self.copy_for_follower(batch));
            let evicted = batch.map_or_else(Evicted::default, |batch| state.queue.push(batch));
            (handed_on, evicted)
        };
        self.hand_on(handed_on, now);
        self.spill(evicted, now);
        let said = self.lock().spilled.flush(0, now);
        self.say_spilled(said);
        self.sealed.notify_one();
    }

    fn room_for(&self, bytes: usize) -> Room {
        if cost(bytes) > self.budget.sealed_bytes {
            return Room::TooLong;
        }
        let others_bytes = self.held_in_others().bytes;
        let fits = {
            let state = self.lock();
            // What is open now will be sealed too.
            cost(state.open.bytes() + others_bytes + bytes) + state.queue.bytes() <= self.budget.sealed_bytes
        };
        // Whole batches are pushed out: as much as is sealed, and up to one more.
        let pushed_out = cost(bytes.saturating_add(2 * self.budget.open_batch_bytes));
        let spool = self.spool();
        if fits || spool.is_some_and(|spool| spool.has_room(pushed_out)) {
            Room::Free
        } else {
            Room::Full
        }
    }

    fn longest_bytes(&self) -> usize {
        // The last one whose cost, a quarter rounded down with it, is not more.
        let above = self.budget.sealed_bytes.saturating_add(1);
        above.saturating_mul(4).div_ceil(5) - 1
    }
}

/// What a sealed body may cost, which is a quarter more than its length (`OpenBatch::seal`).
fn cost(bytes: usize) -> usize {
    bytes.saturating_add(bytes / 4)
}

/// What a lane holds.
#[cfg(test)]
pub(crate) struct Held {
    pub(crate) documents: usize,
    pub(crate) sealed_bytes: usize,
}

impl<E: Encoding> Lane<E> {
    /// An empty lane that keeps within `budget` and counts in `ledger`.
    #[must_use]
    pub fn new(budget: Budget, ledger: Arc<Ledger>) -> Self {
        Self::with_spool(budget, ledger, None)
    }

    /// As [`Lane::new`]; what has no room goes to `spool`.
    #[must_use]
    pub fn with_spool(budget: Budget, ledger: Arc<Ledger>, spool: Option<Spool<E>>) -> Self {
        Self {
            state: Mutex::new(State {
                open: OpenBatch::new(budget.open_batch_bytes),
                queue: Queue::new(budget.sealed_bytes),
                spilled: Tally::default(),
                abandoned: false,
            }),
            sealed: Notify::new(),
            opened: Notify::new(),
            budget,
            ledger,
            spool,
            destination: Destination::XRay,
            others: None,
            follower: None,
        }
    }

    /// The same, for `destination`.
    #[must_use]
    pub fn to(self, destination: Destination) -> Self {
        Self { destination, ..self }
    }

    /// The same, which takes OTLP requests too, and documents that were made of them.
    #[must_use]
    pub fn with_others(self) -> Self {
        let others = Others::new(self.budget.open_batch_bytes);
        Self {
            others: Some(Mutex::new(others)),
            ..self
        }
    }

    /// The same, whose batches of segments go into `follower` too, as they are: their memory is there once. It has its own
    /// budget and account, and this lane never waits for it.
    #[must_use]
    pub fn followed_by(self, follower: Arc<Self>) -> Self {
        Self {
            follower: Some(follower),
            ..self
        }
    }

    /// Where its batches go.
    #[must_use]
    pub fn destination(&self) -> Destination {
        self.destination
    }

    /// What it and whoever sends for it count in.
    #[must_use]
    pub fn ledger(&self) -> &Arc<Ledger> {
        &self.ledger
    }

    /// The spool, if there is one.
    #[must_use]
    pub fn spool(&self) -> Option<&Spool<E>> {
        self.spool.as_ref()
    }

    /// The next batch for the sender.
    pub fn take(&self, now: Instant) -> Next {
        self.take_at_most(now, None)
    }

    /// The same with no more than `most_documents`, if there is such a bound; the rest of a larger one waits in its place.
    pub fn take_at_most(&self, now: Instant, most_documents: Option<usize>) -> Next {
        let (next, evicted) = {
            let mut state = self.lock();
            let max_body_bytes = state.open.bound_bytes();
            state.queue.join_next::<E>(now, max_body_bytes, most_documents);
            let evicted = most_documents.map(|most| state.queue.split_next::<E>(now, most));
            (state.queue.take(now), evicted)
        };
        self.spill(evicted.unwrap_or_default(), now);
        next
    }

    /// A batch that was taken has come to its end. False when that is not news: it was abandoned meanwhile, and what
    /// became of its documents is counted elsewhere.
    pub fn settle(&self, ticket: Ticket) -> bool {
        let landed = self.lock().queue.settle(ticket);
        if let Some(batch) = &landed {
            self.ended(batch);
        }
        landed.is_some()
    }

    /// A batch that was taken was sent without success and is to be sent again, not before `not_before` (`None`: at once).
    pub fn put_back(&self, ticket: Ticket, not_before: Option<Instant>, now: Instant) {
        let evicted = self.lock().queue.put_back(ticket, not_before);
        self.spill(evicted, now);
    }

    /// A batch that was taken has ended, and these are to be sent in its place. False as in [`Lane::settle`].
    pub fn replace(&self, ticket: Ticket, parts: impl IntoIterator<Item = Batch>, now: Instant) -> bool {
        let landed = self.lock().queue.replace(ticket, parts);
        let Some((batch, evicted)) = landed else {
            return false;
        };
        // After its parts are there: the file that they came from must not go yet.
        self.ended(&batch);
        self.spill(evicted, now);
        true
    }

    /// Whether there is room for a batch from the spool beside what comes in, and beside `others` that are being read.
    #[must_use]
    pub fn has_room_beside(&self, others: usize) -> bool {
        let others_bytes = others.saturating_mul(self.budget.open_batch_bytes);
        self.lock().queue.is_half_empty_beside(others_bytes)
    }

    /// How long it takes to give the spool everything that is here, by what its disk has shown; nothing without one.
    #[must_use]
    pub fn time_to_keep(&self) -> Duration {
        let Some(spool) = &self.spool else {
            return Duration::ZERO;
        };
        let others = self.held_in_others();
        let (batches, documents, bytes) = {
            let state = self.lock();
            let (queue, open) = (&state.queue, &state.open);
            (
                queue.batches() + 1 + others.batches,
                open.documents() + queue.waiting_documents() + queue.in_flight_documents() + others.items(),
                open.bytes() + queue.bytes() + others.bytes,
            )
        };
        spool.time_to_keep(batches, documents, bytes)
    }

    /// Documents that are here and not settled: in the open batch, in sealed ones that wait, in flight, on their way to the
    /// spool. Counted, not inferred: at any quiet moment it is what the ledger's counts leave. (For an instant, a batch that
    /// the budget has just pushed out is in neither place.)
    #[must_use]
    pub fn pending_documents(&self) -> u64 {
        let others = self.held_in_others().items();
        let state = self.lock();
        let held =
            state.open.documents() + state.queue.waiting_documents() + state.queue.in_flight_documents();
        let on_the_way = self.spool().map_or(0, Spool::pending_documents);
        (held + others + on_the_way) as u64
    }

    /// The same by what they are: documents, and items of requests. Looks at every batch.
    #[must_use]
    pub fn pending_amounts(&self) -> Amounts {
        let open = self.held_in_others().amounts;
        let state = self.lock();
        let mut pending = state.queue.amounts().plus(open);
        pending.add(Content::Segments, state.open.documents() as u64);
        pending.plus(self.spool().map_or_else(Amounts::default, Spool::pending_amounts))
    }

    /// Gives the spool everything that is still here, for the end; how many documents it has taken. What it can't take
    /// stays, and so does all without a spool. Nothing comes back from it any more.
    pub fn keep_in_spool(&self) -> usize {
        let Some(spool) = &self.spool else { return 0 };
        let left = self.abandon();
        let count = |batches: &[Batch]| batches.iter().map(|batch| batch.documents).sum::<usize>();
        let given = count(&left);
        let refused = spool.keep_at_end(left);
        let kept = given - count(&refused);
        self.lock().queue.hold(refused);
        kept
    }

    /// Everything that waits or is being sent, for the end: whoever sends it must have been stopped. Late answers to
    /// calls change nothing any more.
    #[must_use = "these batches must be counted or kept elsewhere"]
    pub fn abandon(&self) -> Vec<Batch> {
        let others = self.lock_others().map(|mut others| others.seal());
        let mut state = self.lock();
        state.abandoned = true;
        let mut batches = state.queue.abandon();
        batches.extend(state.open.seal());
        batches.extend(others.unwrap_or_default());
        batches
    }

    /// What is in memory here, counted anew.
    #[cfg(test)]
    pub(crate) fn held(&self) -> Held {
        let state = self.lock();
        Held {
            documents: state.open.documents() + state.queue.documents(),
            sealed_bytes: state.queue.bytes(),
        }
    }

    /// Keeps the bodies of batches to come within `max_bytes`, as far as single documents let it; `None`: within the budget's
    /// bound only. Those that are sealed stay as they are.
    pub fn bound_bodies(&self, max_bytes: Option<usize>) {
        if let Some(mut others) = self.lock_others() {
            others.bound(max_bytes);
        }
        self.lock().open.bound(max_bytes);
    }

    /// Lets every batch that is held back go at once.
    pub fn release(&self) {
        self.lock().queue.release();
    }

    /// Sealed batches, waiting or in flight.
    #[must_use]
    pub fn batches(&self) -> usize {
        self.lock().queue.batches()
    }

    /// Documents that wait in sealed batches.
    #[must_use]
    pub fn waiting_documents(&self) -> usize {
        self.lock().queue.waiting_documents()
    }

    /// When the oldest document that waits came; those in flight are not looked at.
    #[must_use]
    pub fn oldest(&self) -> Option<Instant> {
        let others = self.lock_others().and_then(|others| others.opened_at());
        let state = self.lock();
        [others, state.open.opened_at(), state.queue.oldest()]
            .into_iter()
            .flatten()
            .min()
    }

    /// Returns once a batch was sealed since the last time.
    pub async fn sealed(&self) {
        self.sealed.notified().await;
    }

    /// What the budget pushed out: to the spool, or lost.
    fn spill(&self, evicted: Evicted, now: Instant) {
        if evicted.0.is_empty() {
            return;
        }
        let Some(spool) = &self.spool else {
            self.lose(
                evicted.0.iter().map(Batch::amount).collect(),
                DropReason::BufferFull,
                now,
            );
            return;
        };
        for batch in evicted.0 {
            if let Some(batch) = spool.keep(batch) {
                self.lose(batch.amount_alone(), spool.drop_reason(), now);
                spool.ended(&batch);
            }
        }
    }

    fn lose(&self, lost: Amounts, reason: DropReason, now: Instant) {
        self.ledger.add_all_dropped(reason, lost);
        let documents = usize::try_from(lost.total()).unwrap_or(usize::MAX);
        let said = self.lock().spilled.add(documents, now);
        self.say_spilled(said);
    }

    fn say_spilled(&self, said: Option<u64>) {
        let Some(segments) = said else { return };
        // The other lane may hold anything.
        let (items, what) = match self.destination {
            Destination::XRay => ("segments", String::new()),
            other => ("items", format!(" of the lane{}", other.to_other())),
        };
        let destination = self.destination.other_label();
        match &self.spool {
            None => tracing::warn!(
                destination,
                segments,
                "Spilling over {segments} {items}: the buffer memory limit{what} is reached, the oldest are dropped; \
                 -m raises it"
            ),
            Some(_) => tracing::warn!(
                destination,
                segments,
                "Spilling over {segments} {items}: the buffer memory limit{what} is reached and the spool's disk does not \
                 keep up, the oldest are dropped; -m raises the limit"
            ),
        }
    }

    fn ended(&self, batch: &Batch) {
        if let Some(spool) = &self.spool {
            spool.ended(batch);
        }
    }

    /// `None` in a lane that takes nothing but segments.
    fn lock_others(&self) -> Option<MutexGuard<'_, Others<E>>> {
        let others = self.others.as_ref()?;
        Some(others.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn held_in_others(&self) -> HeldOpen {
        self.lock_others()
            .map_or_else(HeldOpen::default, |others| others.held())
    }

    fn lock(&self) -> MutexGuard<'_, State<E>> {
        // No code panics under this lock in a way that leaves the state torn; going on beats taking every task down.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::depth::Depth;
    use super::*;
    use crate::logs::testing::LogLines;
    use crate::pipeline::batch::MAX_AGE;
    use crate::pipeline::batch::testing::Strings;
    use crate::pipeline::spool::tests::fake::FakeDisk;
    use crate::pipeline::spool::worker::Worker;

    fn intake() -> Lane<Strings> {
        Lane::new(Budget::of_mb(3), Arc::default())
    }

    fn segments(count: u64) -> Amounts {
        Amounts::from_iter([(Content::Segments, count)])
    }

    fn add(intake: &Lane<Strings>, document: &[u8], now: Instant) {
        intake.add(std::iter::once(document), now);
    }

    /// Whether `future` is done the first time it is asked.
    async fn is_ready(future: impl Future<Output = ()>) -> bool {
        tokio::select! {
            biased;
            () = future => true,
            () = std::future::ready(()) => false,
        }
    }

    #[test]
    fn documents_with_replaced_bytes_are_counted_over_a_whole_receive() {
        let intake = intake();
        let documents = [&b"\xff"[..], b"x", b"\xfe"];
        intake.add(documents.into_iter(), Instant::now());
        assert_eq!(intake.ledger.snapshot().replaced_utf8, 2);
    }

    #[test]
    fn a_document_that_is_larger_than_a_datagram_goes_in_a_batch_of_its_own_behind_what_came_before() {
        for (bytes, batches, waiting) in [(DATAGRAM_MAX_BYTES, 1, 0), (DATAGRAM_MAX_BYTES + 1, 2, 2)] {
            let (intake, now) = (intake(), Instant::now());
            add(&intake, b"small", now);
            intake.add_from_elsewhere(&vec![b'x'; bytes], now);
            assert_eq!(intake.waiting_documents(), waiting, "{bytes}");
            intake.seal(now);
            let taken = std::iter::from_fn(|| match intake.take(now) {
                Next::Ready(batch) => Some(batch.documents),
                _ => None,
            });
            assert_eq!(taken.count(), batches, "{bytes}");
        }
    }

    #[tokio::test]
    async fn the_receiver_is_told_of_a_batch_that_it_did_not_open() {
        let (intake, now) = (intake(), Instant::now());
        add(&intake, b"x", now);
        assert!(!is_ready(intake.opened()).await);
        intake.add_from_elsewhere(b"x", now);
        assert!(is_ready(intake.opened()).await);
        assert!(!is_ready(intake.opened()).await);
    }

    #[tokio::test]
    async fn the_sender_is_told_of_every_sealed_batch_and_of_nothing_else() {
        let (intake, now) = (intake(), Instant::now());
        add(&intake, b"x", now);
        intake.tick(now);
        assert!(!is_ready(intake.sealed()).await, "it is still open");
        intake.tick(now + MAX_AGE);
        assert!(is_ready(intake.sealed()).await, "by its age");
        intake.add([&b"x"[..]; 50].into_iter(), now);
        assert!(is_ready(intake.sealed()).await, "by its documents");
        intake.add_from_elsewhere(&[b'x'; DATAGRAM_MAX_BYTES + 1], now);
        assert!(is_ready(intake.sealed()).await, "by its length");
        assert!(intake.take_back(Batch::of_body(Vec::new(), 1, now)));
        assert!(is_ready(intake.sealed()).await, "from the spool");
        intake.wake();
        assert!(is_ready(intake.sealed()).await, "woken");
        add(&intake, b"x", now);
        assert!(!is_ready(intake.sealed()).await);
    }

    #[test]
    fn the_next_tick_is_when_the_open_batch_must_go_or_a_line_may_be_said() {
        let (intake, now) = (intake(), Instant::now());
        assert_eq!(intake.next_tick(), None);
        add(&intake, b"x", now);
        assert_eq!(intake.next_tick(), Some(now + MAX_AGE));
        intake.tick(now + MAX_AGE);
        assert_eq!(intake.next_tick(), None);
        // The first is said at once, the second has to wait.
        intake.lose(segments(1), DropReason::BufferFull, now);
        assert_eq!(intake.next_tick(), None);
        intake.lose(segments(1), DropReason::BufferFull, now);
        let due = now + Duration::from_secs(1);
        assert_eq!(intake.next_tick(), Some(due));
        intake.tick(due);
        assert_eq!(intake.next_tick(), None);
    }

    #[test]
    fn the_oldest_document_is_the_oldest_of_those_that_wait_sealed_or_not() {
        let (intake, now) = (intake(), Instant::now());
        assert_eq!((intake.oldest(), intake.held().sealed_bytes), (None, 0));
        let second = now + Duration::from_secs(1);
        add(&intake, b"x", now);
        assert_eq!(
            (intake.oldest(), intake.held().sealed_bytes),
            (Some(now), 0),
            "only what is sealed is counted"
        );
        intake.seal(now);
        add(&intake, b"x", second);
        assert_eq!(intake.oldest(), Some(now));
        let sealed_bytes = intake.held().sealed_bytes;
        assert!(matches!(intake.take(now), Next::Ready(_)), "it was sealed");
        assert_eq!(
            (intake.oldest(), intake.held().sealed_bytes),
            (Some(second), sealed_bytes)
        );
    }

    #[test]
    fn what_was_pushed_out_is_said_once_a_second_and_at_the_end() {
        let log = LogLines::collect();
        let (intake, now) = (intake(), Instant::now());
        for documents in [1, 20, 300] {
            intake.lose(segments(documents), DropReason::BufferFull, now);
        }
        intake.tick(now + Duration::from_millis(999));
        let spilled = |segments: usize| {
            format!(
                "[Warn] Spilling over {segments} segments: the buffer memory limit is reached, the oldest are dropped; \
                 -m raises it"
            )
        };
        assert_eq!(log.take(), [spilled(1)]);
        intake.tick(now + Duration::from_secs(1));
        assert_eq!(log.take(), [spilled(320)]);
        intake.lose(
            segments(4000),
            DropReason::BufferFull,
            now + Duration::from_secs(1),
        );
        intake.seal(now + Duration::from_secs(1));
        assert_eq!(log.take(), [spilled(4000)]);
        assert_eq!(intake.ledger.snapshot().dropped(DropReason::BufferFull), 4321);
    }

    #[test]
    fn once_abandoned_nothing_comes_in_and_nothing_more_ends() {
        let (intake, now) = (intake(), Instant::now());
        add(&intake, b"x", now);
        intake.seal(now);
        let Next::Ready(in_flight) = intake.take(now) else {
            panic!("it was sealed");
        };
        add(&intake, b"y", now);
        let mut left = intake.abandon();
        assert_eq!(left.len(), 2, "in flight and open");
        let batch = left.remove(0);
        assert!(!intake.settle(in_flight.ticket));
        assert!(!intake.replace(in_flight.ticket, [batch.clone()], now));
        assert!(!intake.take_back(batch));
        assert_eq!((intake.held().documents, intake.held().sealed_bytes), (0, 0));
    }
    /// A lane of 3 MB over a spool on a disk that has shown nothing, and its worker, which nobody runs.
    fn over_a_spool() -> (Lane<Strings>, Worker<FakeDisk, Strings>) {
        let (ledger, budget) = (Arc::default(), Budget::of_mb(3).with_spool());
        let (spool, worker) = Spool::on_fake(&FakeDisk::default(), 1 << 30, budget.to_spool_bytes, &ledger);
        (Lane::with_spool(budget, ledger, Some(spool)), worker)
    }

    /// Seals a batch of so many documents of so many bytes.
    fn seal(intake: &Lane<Strings>, documents: usize, bytes: usize, now: Instant) {
        let document = vec![b'x'; bytes];
        intake.add(std::iter::repeat_n(&document[..], documents), now);
        intake.seal(now);
    }

    #[test]
    fn the_time_that_keeping_takes_counts_what_is_open_what_waits_and_what_is_in_flight() {
        let now = Instant::now();
        let took_ms = |lane: &Lane<Strings>| (lane.time_to_keep().as_secs_f64() * 1000.0).round() as u64;
        assert_eq!(took_ms(&intake()), 0, "there is no spool");
        // 5 ms a file. Fifty documents in all: up to three files.
        let (lane, _worker) = over_a_spool();
        seal(&lane, 10, 1, now);
        assert!(matches!(lane.take(now), Next::Ready(_)), "in flight");
        for _ in 0..5 {
            seal(&lane, 4, 1, now);
        }
        lane.add([&b"x"[..]; 20].into_iter(), now);
        assert_eq!(took_ms(&lane), 15);
        // No more files than batches: two, and the open one.
        let (lane, _worker) = over_a_spool();
        for _ in 0..2 {
            seal(&lane, 49, 1, now);
        }
        lane.add([&b"x"[..]; 40].into_iter(), now);
        assert_eq!(took_ms(&lane), 15);
        // 50 ns a byte.
        let (lane, _worker) = over_a_spool();
        seal(&lane, 1, 60_000, now);
        lane.add([&[b'x'; 60_000][..]; 5].into_iter(), now);
        let Depth { open, waiting, .. } = lane.depth();
        assert!(open.bytes > 300_000 && waiting.bytes > 60_000);
        let took = lane.time_to_keep().as_nanos();
        assert!(
            took.abs_diff((open.bytes + waiting.bytes) as u128 * 50) < 1000,
            "{took}"
        );
    }

    #[test]
    fn bodies_to_come_keep_within_a_bound_until_it_is_taken_away() {
        let now = Instant::now();
        let intake = intake();
        let batches = |intake: &Lane<Strings>| {
            seal(intake, 20, 98, now);
            let batches = intake.abandon();
            batches.iter().map(|batch| batch.documents).collect::<Vec<_>>()
        };
        assert_eq!(batches(&intake), [20]);
        intake.bound_bodies(Some(1011));
        assert_eq!(batches(&intake), [10, 10]);
        intake.bound_bodies(None);
        assert_eq!(batches(&intake), [20]);
    }

    #[test]
    fn what_is_held_back_goes_at_once_when_it_is_released() {
        let now = Instant::now();
        let (intake, later) = (intake(), now + Duration::from_secs(9));
        seal(&intake, 1, 1, now);
        let Next::Ready(flight) = intake.take(now) else {
            panic!("it was sealed");
        };
        intake.put_back(flight.ticket, Some(later), now);
        assert!(matches!(intake.take(now), Next::NotBefore(at) if at == later));
        intake.release();
        assert!(matches!(intake.take(now), Next::Ready(_)));
    }

    #[test]
    fn each_batch_in_flight_ends_once() {
        let now = Instant::now();
        let intake = intake();
        let take = || match intake.take(now) {
            Next::Ready(flight) => flight,
            other => panic!("no batch: {other:?}"),
        };
        seal(&intake, 3, 1, now);
        let whole = take();
        let halves = || Batch::halves::<Strings>(whole.kind, &whole.body, now).unwrap();
        assert!(intake.replace(whole.ticket, halves(), now));
        assert!(!intake.replace(whole.ticket, halves(), now));
        assert_eq!(intake.waiting_documents(), 3);
        let half = take();
        assert!(intake.settle(half.ticket));
        assert!(!intake.settle(half.ticket));
        assert_eq!((intake.waiting_documents(), intake.held().documents), (2, 2));
    }

    #[test]
    fn there_is_room_beside_what_comes_in_while_less_than_half_is_used() {
        let (intake, now) = (intake(), Instant::now());
        // 2,752,512 bytes for what is sealed, 393,216 for each that is being read.
        assert!(intake.has_room_beside(3));
        assert!(!intake.has_room_beside(4));
        seal(&intake, 4, 60_000, now);
        assert!(intake.has_room_beside(2));
        assert!(!intake.has_room_beside(3));
    }

    #[test]
    fn what_the_spool_has_taken_at_the_end_is_told_and_what_it_refused_stays() {
        let now = Instant::now();
        let with_three = || {
            let (lane, worker) = over_a_spool();
            seal(&lane, 3, 1, now);
            (lane, worker)
        };
        let (lane, _worker) = with_three();
        assert_eq!((lane.keep_in_spool(), lane.held().documents), (3, 0));
        assert_eq!(lane.pending_documents(), 3, "on their way");
        let (lane, worker) = with_three();
        drop(worker);
        assert_eq!((lane.keep_in_spool(), lane.held().documents), (0, 3));
        assert_eq!(lane.pending_documents(), 3);
        let alone = intake();
        seal(&alone, 3, 1, now);
        assert_eq!((alone.keep_in_spool(), alone.held().documents), (0, 3));
    }

    #[test]
    fn what_is_pending_is_open_waits_is_in_flight_or_on_its_way_to_the_spool() {
        let now = Instant::now();
        let (lane, _worker) = over_a_spool();
        let spool = lane.spool().unwrap();
        let batch =
            |documents: usize| Batch::of_documents::<Strings>(&vec![&b"\"x\""[..]; documents], now).unwrap();
        assert!(spool.keep(batch(5)).is_none());
        seal(&lane, 7, 1, now);
        assert!(matches!(lane.take(now), Next::Ready(_)), "in flight");
        seal(&lane, 11, 1, now);
        lane.add([&b"x"[..]; 13].into_iter(), now);
        assert_eq!(lane.pending_documents(), 5 + 7 + 11 + 13);
        assert_eq!(lane.waiting_documents(), 11);
    }

    #[test]
    fn what_has_no_room_on_its_way_to_the_spool_is_lost_and_counted() {
        let log = LogLines::collect();
        let (lane, _worker) = over_a_spool();
        // 1.5 MiB less an open batch of 384 KiB for what waits, 1.5 MiB for what is on its way.
        for _ in 0..60 {
            seal(&lane, 1, 60_000, Instant::now());
        }
        let dropped = lane.ledger.snapshot().dropped(DropReason::SpoolSlow);
        assert_eq!(dropped + lane.pending_documents(), 60);
        assert!(dropped > 0);
        assert!(log.take()[0].contains("and the spool's disk does not keep up"));
    }
}
