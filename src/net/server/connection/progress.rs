//! What a connection is at, and for how long it may be.

use std::time::Instant;

use crate::ledger::http::Ending;
use crate::net::server::limits::Limits;

/// What a connection is at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stage {
    /// No request.
    Idle,
    /// The head of one has begun.
    Head,
    /// The head is there; the rest of the body is awaited.
    Body,
    /// The request is there; work and answer follow.
    Exchange,
    /// The answer is made and on its way.
    Answering,
    /// The answer is on its way, and has no end of its own.
    Streaming,
}

/// The stage and since when.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Progress {
    pub(crate) stage: Stage,
    pub(crate) since: Instant,
}

impl Progress {
    /// When it has been at its stage for too long; `None` for a stage without a limit.
    pub(super) fn deadline(self, limits: &Limits) -> Option<Instant> {
        let limit = match self.stage {
            Stage::Idle => limits.idle,
            Stage::Head => limits.head,
            Stage::Body | Stage::Exchange | Stage::Answering => limits.exchange,
            Stage::Streaming => return None,
        };
        Some(self.since + limit)
    }

    /// Whether closing the connection now takes no request from anybody.
    pub(crate) fn is_without_request(self) -> bool {
        matches!(self.stage, Stage::Idle | Stage::Head)
    }

    /// Whether its answer has no end of its own: it may be closed at any time, and its reader comes back.
    pub(crate) fn is_streaming(self) -> bool {
        self.stage == Stage::Streaming
    }

    pub(super) fn overdue(self) -> Ending {
        match self.stage {
            Stage::Idle => Ending::Idle,
            Stage::Head => Ending::HeadTimeout,
            Stage::Body | Stage::Exchange | Stage::Answering | Stage::Streaming => Ending::ExchangeTimeout,
        }
    }

    /// The stage after `event`; `None`: as before.
    pub(super) fn after(self, event: Event, now: Instant) -> Option<Self> {
        // The clock of the exchange runs from the end of the head.
        let goes_on = |stage| {
            Some(Self {
                stage,
                since: self.since,
            })
        };
        let stage = match (self.stage, event) {
            (Stage::Idle, Event::Bytes) => Stage::Head,
            // The next head may have come together with the last one's body.
            (Stage::Idle | Stage::Head | Stage::Answering, Event::Request { has_body }) => {
                if has_body {
                    Stage::Body
                } else {
                    Stage::Exchange
                }
            }
            (Stage::Body, Event::BodyEnd) => return goes_on(Stage::Exchange),
            (Stage::Body | Stage::Exchange, Event::Answer) => return goes_on(Stage::Answering),
            (Stage::Body | Stage::Exchange, Event::Stream) => Stage::Streaming,
            // What is left of it is limited like any answer.
            (Stage::Streaming, Event::StreamEnd) => Stage::Answering,
            (Stage::Answering, Event::Flushed { next_has_begun: true }) => Stage::Head,
            (Stage::Answering, Event::Flushed { .. }) => Stage::Idle,
            _ => return None,
        };
        Some(Self { stage, since: now })
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Event {
    Bytes,
    Request { has_body: bool },
    BodyEnd,
    Answer,
    Stream,
    StreamEnd,
    Flushed { next_has_begun: bool },
}
