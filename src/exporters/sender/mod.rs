//! Takes batches, keeps the right number of calls in flight, and settles every document in the ledger.
//!
//! It knows no destination: a call is an [`Exporter`]'s, an answer says what became of the documents. In log lines a
//! document is a segment, as the official daemon says it.

mod account;
mod ended;
mod length;
mod say;
mod settled;
mod splits;
mod trouble;

use std::collections::HashMap;
use std::num::NonZeroUsize;
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::watch;
use tokio::task::{self, AbortHandle, JoinSet};

use self::length::BodiesBound;
use self::say::CallLines;
use self::splits::Splits;
use self::trouble::Trouble;

use crate::exporters::Exporter;
use crate::exporters::answer::Answer;
use crate::exporters::error::PutError;
use crate::exporters::pacer::{CallId, DEFAULT_MAX_CONCURRENCY, Pacer, Start};
use crate::ledger::Ledger;
use crate::ledger::calls::{Ended, Failure, Operation};
use crate::ledger::outcome::ErrorClass;
use crate::logs::{LineBudget, Reminder};
use crate::pipeline::lane::Lane;
use crate::pipeline::queue::{Flight, Next};

/// What the sender is to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// Send as batches come.
    Running,
    /// Nothing more comes: send what is there, then end.
    Draining,
}

/// Sends what a lane holds until it is drained. Dropping the future abandons what is left; the caller accounts for it.
#[derive(Debug)]
pub struct Sender<X: Exporter> {
    exporter: X,
    lane: Arc<Lane<X::Encoding>>,
    ledger: Arc<Ledger>,
    pacer: Pacer,
    calls: JoinSet<Result<Answer, PutError>>,
    /// What each of them is for. Not in the call, so that one that panics takes nothing with it.
    flights: HashMap<task::Id, Started>,
    trouble: Trouble,
    splits: Splits,
    splits_reminder: Reminder,
    bodies_bound: Option<BodiesBound>,
    refused_lines: LineBudget,
    unprocessed_lines: LineBudget,
    call_lines: CallLines,
}

/// A call that runs.
#[derive(Debug)]
struct Started {
    flight: Flight,
    at: Instant,
    call: CallId,
    abort: AbortHandle,
}

impl<X: Exporter> Sender<X> {
    /// Sends what `lane` holds to `exporter`, at most `concurrency` calls in flight; without it, as many as the endpoint
    /// bears up to [`DEFAULT_MAX_CONCURRENCY`].
    #[must_use]
    pub fn new(
        exporter: X,
        lane: Arc<Lane<X::Encoding>>,
        ledger: Arc<Ledger>,
        concurrency: Option<NonZeroUsize>,
    ) -> Self {
        let max = concurrency.map_or(DEFAULT_MAX_CONCURRENCY, NonZeroUsize::get);
        Self {
            exporter,
            lane,
            ledger,
            pacer: Pacer::new(max),
            calls: JoinSet::new(),
            flights: HashMap::new(),
            trouble: Trouble::default(),
            splits: Splits::default(),
            splits_reminder: Reminder::default(),
            bodies_bound: None,
            refused_lines: LineBudget::default(),
            unprocessed_lines: LineBudget::default(),
            call_lines: CallLines::default(),
        }
    }

    /// Runs until `phase` is [`Phase::Draining`] and nothing is left.
    pub async fn run(mut self, mut phase: watch::Receiver<Phase>) {
        let mut draining = *phase.borrow_and_update() == Phase::Draining;
        let mut timer = pin!(tokio::time::sleep(Duration::ZERO));
        loop {
            if draining {
                self.give_up_hanging(now());
            }
            let mut wait = self.start_calls(now());
            if draining && let Some(at) = self.pacer.hangs_at(now()) {
                wait = wait.or_at(at);
            }
            if !draining {
                self.ask_spool();
            }
            if draining && self.flights.is_empty() && matches!(wait, Wait::ForBatches) {
                return;
            }
            if let Wait::Until(at) = wait {
                timer.as_mut().reset(at.into());
            }
            tokio::select! {
                // In an order, so that a simulation of it can be repeated. Nobody waits for ever: there are only so many
                // calls, and what the last two wake it for is done after each of them.
                biased;
                changed = phase.changed(), if !draining => {
                    // A dropped other end means the same: nobody will give us more.
                    draining = changed.is_err() || *phase.borrow_and_update() == Phase::Draining;
                    if draining {
                        // Whatever was held back gets its chance before the end.
                        self.pacer.hurry(now());
                        self.splits.hurry();
                        self.lane.release();
                    }
                }
                Some(ended) = self.calls.join_next_with_id() => self.settle(ended),
                () = &mut timer, if matches!(wait, Wait::Until(_)) => {}
                () = self.lane.sealed(), if !draining => {}
            }
        }
    }

    /// Starts as many calls as may be, and says what to wait for.
    fn start_calls(&mut self, now: Instant) -> Wait {
        self.forget_bodies_bound(now);
        loop {
            let hanging = match self.pacer.may_start(now) {
                Start::Now => None,
                Start::InPlaceOf(call) => Some(call),
                Start::At(at) | Start::WhenOneEnds(Some(at)) if self.lane.waiting_documents() > 0 => {
                    return Wait::Until(at);
                }
                Start::At(_) => return Wait::ForBatches,
                Start::WhenOneEnds(_) => return Wait::ForCalls,
            };
            match self.lane.take_at_most(now, self.pacer.most_documents(now)) {
                Next::Ready(flight) => {
                    if self.split_too_long(&flight, now) {
                        continue;
                    }
                    if let Some(call) = hanging {
                        self.give_up(call, now);
                    }
                    self.start(flight, now);
                }
                Next::NotBefore(at) => return Wait::Until(at),
                Next::Empty => return Wait::ForBatches,
            }
        }
    }

    /// At the end nobody waits for a call that hangs while others succeed: its batch has a better chance in another one.
    fn give_up_hanging(&mut self, now: Instant) {
        while let Some(call) = self.pacer.hangs(now) {
            self.give_up(call, now);
        }
    }

    /// Ends a call that hangs, and puts its batch back.
    fn give_up(&mut self, call: CallId, now: Instant) {
        // Its answer may have come meanwhile, as may those of others.
        while let Some(ended) = self.calls.try_join_next_with_id() {
            self.settle(ended);
        }
        let task = self.flights.iter().find(|(_, started)| started.call == call);
        let Some(Started {
            flight, at, abort, ..
        }) = task.map(|(id, _)| *id).and_then(|id| self.flights.remove(&id))
        else {
            return;
        };
        abort.abort();
        let message = "given up without an answer, which usually comes sooner";
        self.ledger.call_ended_of(
            self.operation(&flight),
            Ended {
                at: now,
                duration: now.saturating_duration_since(at),
                body_bytes: flight.body.len(),
                failure: Some(Failure {
                    class: ErrorClass::Timeout,
                    status: None,
                    message,
                }),
            },
        );
        self.say_failed(Some(flight.documents), ErrorClass::Timeout, message, now);
        self.pacer.given_up(call, now, fastrand::f64());
        self.put_back(&flight, now);
    }

    /// What a call with this batch is counted as.
    fn operation(&self, flight: &Flight) -> Operation {
        Operation::of(self.lane.destination(), flight.kind.content())
    }

    /// Asks the spool for batches if there are any, and room for them beside the live traffic: half of the calls and half of
    /// the memory, and while calls succeed those calls too that live traffic leaves. With one more that waits for its turn,
    /// so that the limit is reached and grows: they go as fast as the endpoint and the disk bear.
    fn ask_spool(&self) {
        let Some(spool) = self.lane.spool() else { return };
        let may_ask = || {
            // During an outage nothing but a probe, when memory has none.
            let answers = self.pacer.outage().is_none()
                || (self.calls.is_empty() && self.lane.waiting_documents() == 0 && spool.out() == 0);
            let limit = self.pacer.limit();
            let has_place = spool.out() < (limit / 2).max(1)
                || (self.pacer.is_answered() && self.lane.batches() + spool.reading() <= limit);
            answers
                && spool.ready() > spool.reading()
                && has_place
                && self.lane.has_room_beside(spool.reading())
        };
        while may_ask() && spool.ask() {}
    }

    fn start(&mut self, flight: Flight, at: Instant) {
        let exporter = self.exporter.clone();
        let (kind, body) = (flight.kind, flight.body.clone());
        self.ledger
            .call_started(flight.documents, flight.attempts > 0 || flight.redeliveries > 0);
        let call = self.pacer.started(flight.documents, at, fastrand::f64());
        let abort = self.calls.spawn(async move { exporter.put(kind, body).await });
        let task = abort.id();
        let started = Started {
            flight,
            at,
            call,
            abort,
        };
        self.flights.insert(task, started);
    }
}

/// What a sender with nothing to start waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wait {
    ForBatches,
    ForCalls,
    Until(Instant),
}

impl Wait {
    /// As this one, and at the latest until `at`.
    fn or_at(self, at: Instant) -> Self {
        match self {
            Self::Until(other) => Self::Until(other.min(at)),
            Self::ForBatches | Self::ForCalls => Self::Until(at),
        }
    }
}

/// The runtime's clock, which tests can pause.
fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}

#[cfg(test)]
mod tests;
