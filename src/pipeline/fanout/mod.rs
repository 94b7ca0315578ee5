//! What receivers speak to in a daemon: each document and each request goes to the lanes that are to have it.
//!
//! With one lane, a call is a call of that lane. With two, documents are written once, in the first lane that takes segments,
//! and each batch that it seals goes into the other one as well, as it is. Requests of OTLP go to each lane that is to have
//! their signal; where spans go to X-Ray as segments, they are made into documents here. No lane ever waits for the other.

mod segments;

use std::sync::Arc;
use std::time::Instant;

use crate::config::otlp::{Routes, SpansForXRay, Targets};
use crate::ledger::Ledger;
use crate::ledger::destination::Destination;
use crate::ledger::receipts::Receipts;
use crate::ledger::signal::{Content, Receiver, Signal};
use crate::logs::LineBudget;
use crate::pipeline::batch::encoding::Encoding;
use crate::pipeline::batch::kind::Kind;
use crate::pipeline::intake::{Intake, NoRoom, NotTaken, Request, Requests, Room};
use crate::pipeline::lane::Lane;

/// The lanes of a daemon, and what goes where.
#[derive(Debug)]
pub struct Fanout<E> {
    lanes: Lanes<E>,
    routes: Routes,
    receipts: Receipts,
    refused: std::sync::Mutex<LineBudget>,
}

/// One lane for each destination that anything goes to.
#[derive(Debug)]
pub enum Lanes<E> {
    /// One.
    One(Arc<Lane<E>>),
    /// Both.
    Two {
        /// That of X-Ray.
        xray: Arc<Lane<E>>,
        /// That of OTLP.
        otlp: Arc<Lane<E>>,
    },
}

impl<E: Encoding> Lanes<E> {
    /// That of a destination.
    #[must_use]
    pub fn to(&self, destination: Destination) -> Option<&Arc<Lane<E>>> {
        self.all().find(|lane| lane.destination() == destination)
    }

    /// All of them, that of X-Ray first.
    pub fn all(&self) -> impl Iterator<Item = &Arc<Lane<E>>> {
        let (first, second) = match self {
            Self::One(lane) => (lane, None),
            Self::Two { xray, otlp } => (xray, Some(otlp)),
        };
        std::iter::once(first).chain(second)
    }
}

impl<E: Encoding> Fanout<E> {
    /// Puts things into `lanes` as `routes` say. Where segments go to both lanes, that of OTLP follows that of X-Ray
    /// ([`Lane::followed_by`]).
    #[must_use]
    pub fn new(lanes: Lanes<E>, routes: Routes) -> Self {
        Self {
            lanes,
            routes,
            receipts: Receipts::default(),
            refused: std::sync::Mutex::default(),
        }
    }

    /// Of a lane that takes segments and nothing else.
    #[must_use]
    pub fn of_segments(lane: Arc<Lane<E>>) -> Self {
        Self::new(Lanes::One(lane), Routes::WITHOUT_OTLP)
    }

    /// The lanes.
    #[must_use]
    pub fn lanes(&self) -> &Lanes<E> {
        &self.lanes
    }

    /// What goes where.
    #[must_use]
    pub fn routes(&self) -> &Routes {
        &self.routes
    }

    /// What came as OTLP.
    #[must_use]
    pub fn receipts(&self) -> &Receipts {
        &self.receipts
    }

    /// What goes to a destination, by these routes.
    #[must_use]
    pub fn contents_to(&self, destination: Destination) -> Vec<Content> {
        let goes = |targets| is_among(targets, destination);
        let makes_segments = self.routes.spans.xray && self.makes_segments(destination);
        Content::ALL
            .into_iter()
            .filter(|content| match content {
                Content::Segments => goes(self.routes.segments) || makes_segments,
                Content::Traces => goes(self.routes.spans),
                Content::Metrics => goes(self.routes.metrics),
                Content::Logs => goes(self.routes.logs),
            })
            .collect()
    }

    /// The account that receivers of segments count in.
    #[must_use]
    pub fn ledger(&self) -> &Arc<Ledger> {
        self.documents().ledger()
    }

    /// The lane that documents are written in.
    fn documents(&self) -> &Lane<E> {
        match &self.lanes {
            Lanes::One(lane) => lane,
            Lanes::Two { xray, .. } if self.routes.segments.xray => xray,
            Lanes::Two { otlp, .. } => otlp,
        }
    }

    /// The other one, if there is one.
    fn other(&self) -> Option<&Lane<E>> {
        match &self.lanes {
            Lanes::One(_) => None,
            Lanes::Two { otlp, .. } if self.routes.segments.xray => Some(otlp),
            Lanes::Two { xray, .. } => Some(xray),
        }
    }

    fn targets(&self, signal: Signal) -> Targets {
        match signal {
            Signal::Traces => self.routes.spans,
            Signal::Metrics => self.routes.metrics,
            Signal::Logs => self.routes.logs,
        }
    }

    fn lanes_of(&self, targets: Targets) -> impl Iterator<Item = &Arc<Lane<E>>> {
        self.lanes
            .all()
            .filter(move |lane| is_among(targets, lane.destination()))
    }

    /// Whether spans become segments on the way to a destination.
    fn makes_segments(&self, destination: Destination) -> bool {
        destination == Destination::XRay && self.routes.spans_for_xray == SpansForXRay::Segments
    }

    /// Whether requests of this signal become something else on their way into `lane`.
    fn converts(&self, signal: Signal, lane: &Lane<E>) -> bool {
        signal == Signal::Traces && self.makes_segments(lane.destination())
    }
}

impl<E: Encoding> Intake for Fanout<E> {
    fn add<'a>(&self, documents: impl Iterator<Item = &'a [u8]>, now: Instant) {
        self.documents().add(documents, now);
    }

    fn add_from_elsewhere(&self, document: &[u8], now: Instant) {
        self.documents().add_from_elsewhere(document, now);
    }

    async fn opened(&self) {
        match self.other() {
            None => self.documents().opened().await,
            Some(other) => tokio::select! {
                () = self.documents().opened() => {}
                () = other.opened() => {}
            },
        }
    }

    fn next_tick(&self) -> Option<Instant> {
        let other = self.other().and_then(Lane::next_tick);
        [self.documents().next_tick(), other].into_iter().flatten().min()
    }

    fn tick(&self, now: Instant) {
        self.documents().tick(now);
        if let Some(other) = self.other() {
            other.tick(now);
        }
    }

    fn seal(&self, now: Instant) {
        // In this order: the other one is given what this one seals.
        self.documents().seal(now);
        if let Some(other) = self.other() {
            other.seal(now);
        }
    }

    /// One lane that has room is enough: the other one drops its oldest, in its own account.
    fn room_for(&self, bytes: usize) -> Room {
        let lanes = self.lanes_of(self.routes.segments);
        most_room(lanes.map(|lane| lane.room_for(bytes)))
    }

    fn longest_bytes(&self) -> usize {
        let lanes = self.lanes_of(self.routes.segments);
        lanes.map(|lane| lane.longest_bytes()).max().unwrap_or_default()
    }
}

impl<E: Encoding> Requests for Fanout<E> {
    fn wants(&self, signal: Signal) -> bool {
        self.targets(signal).any()
    }

    fn room_for(&self, signal: Signal, bytes: usize) -> Room {
        let lanes = self.lanes_of(self.targets(signal));
        most_room(lanes.map(|lane| {
            if self.converts(signal, lane) {
                segments::room_for(lane, bytes)
            } else {
                lane.room_for(bytes)
            }
        }))
    }

    fn add(&self, request: Request, now: Instant) -> Result<Option<NotTaken>, NoRoom> {
        let Request {
            signal,
            form,
            receiver,
            items,
            ..
        } = request;
        let (made, as_it_is): (Vec<_>, Vec<_>) = self
            .lanes_of(self.targets(signal))
            .partition(|lane| self.converts(signal, lane));
        // What one destination takes is not to be sent again for the sake of the other, all of it or a part.
        let is_whole = as_it_is.is_empty();
        let mut not_taken = None;
        for lane in made {
            not_taken = self.add_as_segments(lane, &request, is_whole, now)?;
        }
        self.receipts.add_received(receiver, signal, items);
        for lane in as_it_is {
            lane.add_requests(Kind::Requests(signal, form), &request.body, items, now);
        }
        Ok(not_taken.filter(|_| is_whole))
    }

    fn add_refused(&self, signal: Signal, receiver: Receiver) {
        self.receipts.add_rejected(receiver, signal);
    }

    fn is_converted(&self, signal: Signal) -> bool {
        self.lanes_of(self.targets(signal))
            .any(|lane| self.converts(signal, lane))
    }
}

const fn is_among(targets: Targets, destination: Destination) -> bool {
    match destination {
        Destination::XRay => targets.xray,
        Destination::Otlp => targets.otlp,
    }
}

/// The best of what lanes say; without any there is no room, and never will be.
fn most_room(rooms: impl Iterator<Item = Room>) -> Room {
    rooms.fold(Room::TooLong, |best, room| match (best, room) {
        (Room::Free, _) | (_, Room::Free) => Room::Free,
        (Room::Full, _) | (_, Room::Full) => Room::Full,
        (Room::TooLong, Room::TooLong) => Room::TooLong,
    })
}

#[cfg(test)]
mod tests;
