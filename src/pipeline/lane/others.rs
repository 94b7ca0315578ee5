//! What a lane takes beside the documents of receivers: OTLP requests, and documents made of them.
//!
//! Neither is under the lane's lock, which receivers share: putting a request into a batch takes longer than they may wait.
//! Nor does it go to the follower, which is given what came as segments.

use std::time::Instant;

use bytes::Bytes;

use super::Lane;
use crate::ledger::amounts::Amounts;
use crate::ledger::signal::Content;
use crate::pipeline::batch::encoding::Encoding;
use crate::pipeline::batch::kind::Kind;
use crate::pipeline::batch::requests::{self, OpenRequests};
use crate::pipeline::batch::{Batch, MAX_AGE, OpenBatch};
use crate::pipeline::intake::Intake as _;
use crate::pipeline::queue::Evicted;

/// The open batches of those.
#[derive(Debug)]
pub(super) struct Others<E> {
    requests: OpenRequests,
    documents: OpenBatch<E>,
}

impl<E: Encoding> Others<E> {
    pub(super) fn new(max_body_bytes: usize) -> Self {
        Self {
            requests: OpenRequests::new(max_body_bytes),
            documents: OpenBatch::new(max_body_bytes),
        }
    }

    pub(super) fn bound(&mut self, max_bytes: Option<usize>) {
        self.requests.bound(max_bytes);
        self.documents.bound(max_bytes);
    }

    pub(super) fn seal_if_due(&mut self, now: Instant) -> Vec<Batch> {
        let mut batches = self.requests.seal_if_due(now);
        batches.extend(self.documents.seal_if_due(now));
        batches
    }

    pub(super) fn seal(&mut self) -> Vec<Batch> {
        let mut batches = self.requests.seal();
        batches.extend(self.documents.seal());
        batches
    }

    /// When the oldest came; `None` while all are empty.
    pub(super) fn opened_at(&self) -> Option<Instant> {
        let both = [self.requests.opened_at(), self.documents.opened_at()];
        both.into_iter().flatten().min()
    }

    /// When the first must be sealed.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.opened_at().map(|at| at + MAX_AGE)
    }

    /// What is in them.
    pub(super) fn held(&self) -> HeldOpen {
        let mut held = HeldOpen {
            bytes: self.requests.bytes() + self.documents.bytes(),
            ..HeldOpen::default()
        };
        let requests = self.requests.items();
        let documents = (Kind::Segments, self.documents.documents());
        for (kind, items) in requests.chain([documents]).filter(|(_, items)| *items > 0) {
            held.batches += 1;
            held.amounts.add(kind.content(), items as u64);
        }
        held
    }
}

/// What open batches hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct HeldOpen {
    pub(super) batches: usize,
    pub(super) amounts: Amounts,
    pub(super) bytes: usize,
}

impl HeldOpen {
    /// Documents and items.
    pub(super) fn items(&self) -> usize {
        usize::try_from(self.amounts.total()).unwrap_or(usize::MAX)
    }
}

impl<E: Encoding> Lane<E> {
    /// Takes an OTLP request of `kind` with `items` items, 1 and up. Those in protobuf are put together to batches; those in
    /// JSON, and those that are longer than a batch, go in their own.
    pub fn add_requests(&self, kind: Kind, body: &Bytes, items: u64, now: Instant) {
        self.ledger.add_accepted(kind.content(), items);
        let items = usize::try_from(items).unwrap_or(usize::MAX);
        let (closed, bound_bytes) = match self.lock_others() {
            None => (None, self.budget.open_batch_bytes),
            Some(mut others) => {
                let bound_bytes = others.requests.bound_bytes();
                let fits = kind.concatenates() && body.len() <= bound_bytes;
                let closed = fits.then(|| others.requests.push(kind, body, items, now));
                (closed.flatten(), bound_bytes)
            }
        };
        match closed {
            Some(closed) => self.push_all(closed, now),
            None => {
                let alone = requests::batches_of::<E>(kind, body.clone(), items, bound_bytes, now);
                self.push_all(alone, now);
            }
        }
        self.tell_receiver();
    }

    /// Takes documents that were made of OTLP requests, and that the follower is not given.
    pub fn add_made<'a>(&self, documents: impl Iterator<Item = &'a [u8]>, now: Instant) {
        let mut count = 0;
        let counted = documents.inspect(|_| count += 1);
        let batches: Vec<Batch> = match self.lock_others() {
            None => {
                // Without a follower there is no difference.
                self.add(counted, now);
                Vec::new()
            }
            Some(mut others) => counted
                .filter_map(|document| others.documents.push(document, now).sealed)
                .collect(),
        };
        // Before they can be settled; for an instant, what is open is counted in the lane and not here.
        self.ledger.add_accepted(Content::Segments, count);
        self.push_all(batches, now);
        self.tell_receiver();
    }

    /// Sealed batches, behind all others.
    pub(super) fn push_all(&self, batches: impl IntoIterator<Item = Batch>, now: Instant) {
        let mut batches = batches.into_iter().peekable();
        if batches.peek().is_none() {
            return;
        }
        let mut evicted = Evicted::default();
        {
            let mut state = self.lock();
            for batch in batches {
                evicted.0.append(&mut state.queue.push(batch).0);
            }
        }
        self.spill(evicted, now);
        self.sealed.notify_one();
    }

    /// What the follower is given of a batch that was sealed; `None` without one.
    pub(super) fn copy_for_follower(&self, batch: &Batch) -> Option<Batch> {
        self.follower.as_ref().map(|_| batch.clone())
    }

    /// Gives the follower its copies. Not under the lock: neither lane's lock is held while another one's is taken.
    pub(super) fn hand_on(&self, batches: impl IntoIterator<Item = Batch>, now: Instant) {
        let Some(follower) = &self.follower else { return };
        let counted = batches.into_iter().inspect(|batch| {
            let (content, count) = batch.amount();
            follower.ledger.add_accepted(content, count);
        });
        follower.push_all(counted, now);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::ledger::Ledger;
    use crate::ledger::destination::Destination;
    use crate::ledger::signal::Signal;
    use crate::pipeline::batch::testing::Strings;
    use crate::pipeline::budget::Budget;
    use crate::pipeline::intake::{Form, Room};
    use crate::pipeline::queue::{Flight, Next};

    const SPANS: Kind = Kind::Requests(Signal::Traces, Form::Protobuf);
    const LOGS: Kind = Kind::Requests(Signal::Logs, Form::Protobuf);

    fn lane(destination: Destination) -> Lane<Strings> {
        Lane::new(Budget::of_mb(3), Arc::new(Ledger::default()))
            .to(destination)
            .with_others()
    }

    /// X-Ray's lane, and the one that follows it.
    fn two_lanes() -> (Lane<Strings>, Arc<Lane<Strings>>) {
        let otlp = Arc::new(lane(Destination::Otlp));
        (lane(Destination::XRay).followed_by(Arc::clone(&otlp)), otlp)
    }

    fn taken(lane: &Lane<Strings>, now: Instant) -> Vec<Flight> {
        let next = || match lane.take(now) {
            Next::Ready(flight) => Some(flight),
            _ => None,
        };
        std::iter::from_fn(next).collect()
    }

    fn amounts(counts: &[(Content, u64)]) -> Amounts {
        counts.iter().copied().collect()
    }

    #[test]
    fn requests_wait_by_signal_and_count_by_what_they_are() {
        let (lane, now) = (lane(Destination::Otlp), Instant::now());
        lane.add_requests(SPANS, &Bytes::from_static(b"aa"), 2, now);
        lane.add_requests(LOGS, &Bytes::from_static(b"xxx"), 3, now);
        lane.add_requests(SPANS, &Bytes::from_static(b"b"), 1, now);
        let held = amounts(&[(Content::Traces, 3), (Content::Logs, 3)]);
        assert_eq!((lane.pending_amounts(), lane.pending_documents()), (held, 6));
        assert_eq!(lane.next_tick(), Some(now + MAX_AGE));
        assert_eq!(lane.oldest(), Some(now));
        lane.tick(now + MAX_AGE);
        let flights = taken(&lane, now + MAX_AGE);
        let bodies: Vec<(Kind, &[u8])> = flights
            .iter()
            .map(|flight| (flight.kind, &flight.body[..]))
            .collect();
        assert_eq!(bodies, [(SPANS, &b"aab"[..]), (LOGS, b"xxx")]);
        assert_eq!(lane.pending_amounts(), held, "in flight");
        let counts = lane.ledger().snapshot_of(Content::Traces);
        assert_eq!((counts.received, counts.pending()), (3, 3));
        assert_eq!(lane.ledger().snapshot_of(Content::Segments).received, 0);
    }

    #[test]
    fn a_request_in_json_goes_alone_and_as_it_is() {
        let (lane, now) = (lane(Destination::Otlp), Instant::now());
        let json = Kind::Requests(Signal::Metrics, Form::Json);
        for body in [&b"{1}"[..], b"{2}"] {
            lane.add_requests(json, &Bytes::from_static(body), 1, now);
        }
        let bodies: Vec<Bytes> = taken(&lane, now).into_iter().map(|flight| flight.body).collect();
        assert_eq!(bodies, [&b"{1}"[..], b"{2}"]);
    }

    #[test]
    fn the_follower_is_given_each_batch_of_segments_in_the_same_memory_and_counts_for_itself() {
        let (xray, otlp) = two_lanes();
        let now = Instant::now();
        xray.add([&b"one"[..]; 60].into_iter(), now);
        assert_eq!(otlp.ledger().snapshot().received, 50, "what was sealed");
        xray.add_from_elsewhere(&[b'x'; 70_000], now);
        xray.add(std::iter::once(&b"late"[..]), now);
        xray.tick(now + MAX_AGE);
        xray.add(std::iter::once(&b"last"[..]), now);
        xray.seal(now);
        let of_each = [&xray, &*otlp].map(|lane| taken(lane, now + MAX_AGE));
        let [first, second] = of_each.map(|flights| {
            let places = flights
                .into_iter()
                .map(|flight| (flight.body.as_ptr(), flight.documents));
            places.collect::<Vec<_>>()
        });
        // Small ones are joined by each lane for itself; these stand alone in their memory.
        assert_eq!(first[..2], second[..2]);
        let documents =
            |flights: &[(*const u8, usize)]| flights.iter().map(|(_, count)| count).sum::<usize>();
        assert_eq!((documents(&first), documents(&second)), (63, 63));
        assert_eq!(otlp.ledger().snapshot().received, 63);
        assert_eq!(xray.ledger().snapshot().received, 0, "its receiver counts that");
    }

    #[test]
    fn documents_made_of_spans_stay_in_their_lane() {
        let (xray, otlp) = two_lanes();
        let now = Instant::now();
        xray.add_made([&b"made"[..]; 120].into_iter(), now);
        xray.seal(now);
        let documents: usize = taken(&xray, now).iter().map(|flight| flight.documents).sum();
        assert_eq!((documents, xray.ledger().snapshot().received), (120, 120));
        assert_eq!(
            (otlp.pending_documents(), otlp.ledger().snapshot().received),
            (0, 0)
        );
    }

    #[test]
    fn a_lane_that_is_full_drops_its_oldest_and_the_other_one_none() {
        let (xray, otlp) = two_lanes();
        let now = Instant::now();
        let document = vec![b'x'; 60_000];
        for _ in 0..100 {
            xray.add_from_elsewhere(&document, now);
            // Somebody sends for OTLP, and nobody for X-Ray.
            for flight in taken(&otlp, now) {
                assert!(otlp.settle(flight.ticket));
                otlp.ledger().add_sent(flight.documents as u64);
            }
        }
        let (of_xray, of_otlp) = (xray.ledger().snapshot(), otlp.ledger().snapshot());
        assert!(of_xray.dropped(crate::ledger::DropReason::BufferFull) > 40);
        assert_eq!((of_otlp.dropped_total(), of_otlp.pending()), (0, 0));
        assert_eq!(
            (xray.room_for(60_000), otlp.room_for(60_000)),
            (Room::Full, Room::Free)
        );
    }

    #[test]
    fn at_the_end_all_that_is_open_comes_out() {
        let (lane, now) = (lane(Destination::Otlp), Instant::now());
        lane.add_requests(SPANS, &Bytes::from_static(b"aa"), 2, now);
        lane.add(std::iter::once(&b"x"[..]), now);
        lane.add_made(std::iter::once(&b"y"[..]), now);
        let left = lane.abandon();
        let mut kinds: Vec<(Kind, usize)> = left.iter().map(|batch| (batch.kind, batch.documents)).collect();
        kinds.sort_unstable();
        assert_eq!(kinds, [(Kind::Segments, 1), (Kind::Segments, 1), (SPANS, 2)]);
    }
}
