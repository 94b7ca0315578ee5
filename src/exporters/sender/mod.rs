//! Takes batches, keeps the right number of calls in flight, and settles every document in the ledger.
//!
//! It knows no destination: a call is an [`Exporter`]'s, an answer says what became of the documents. In log lines a
//! document is a segment, as the official daemon says it.

use std::collections::HashMap;
use std::num::NonZeroUsize;
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::watch;
use tokio::task::{self, JoinError, JoinSet};

use crate::exporters::Exporter;
use crate::exporters::answer::{Answer, Unprocessed};
use crate::exporters::error::PutError;
use crate::exporters::pacer::{DEFAULT_MAX_CONCURRENCY, Outage, Pacer, Start};
use crate::ledger::calls::{Ended, Failure};
use crate::ledger::{DropReason, Ledger};
use crate::logs;
use crate::logs::{LineBudget, Reminder};
use crate::pipeline::batch::Batch;
use crate::pipeline::batch::encoding::{Description, Encoding as _};
use crate::pipeline::lane::Lane;
use crate::pipeline::queue::{Flight, Next};

/// An outage that comes sooner after the last line is said once it has lasted this long: an endpoint that fails every
/// tenth call would fill the log otherwise.
const OUTAGE_CERTAIN: Duration = Duration::from_secs(5);

/// How often an unprocessed segment is sent again when the service says that it was not the segment's fault.
const MAX_REDELIVERIES: u32 = 3;

/// Most batches that are split without an accepted call in between: enough to find one bad document in each of a
/// dozen batches, and an end to it where everything is refused.
const MAX_SPLITS: usize = 100;

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
    outage_reminder: Reminder,
    outage_said: bool,
    splits_left: usize,
    refused_lines: LineBudget,
    unprocessed_lines: LineBudget,
}

/// A call that runs.
#[derive(Debug)]
struct Started {
    flight: Flight,
    at: Instant,
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
            outage_reminder: Reminder::default(),
            outage_said: false,
            splits_left: MAX_SPLITS,
            refused_lines: LineBudget::default(),
            unprocessed_lines: LineBudget::default(),
        }
    }

    /// Runs until `phase` is [`Phase::Draining`] and nothing is left.
    pub async fn run(mut self, mut phase: watch::Receiver<Phase>) {
        let mut draining = *phase.borrow_and_update() == Phase::Draining;
        let mut timer = pin!(tokio::time::sleep(Duration::ZERO));
        loop {
            let wait = self.start_calls(now());
            if !draining {
                self.ask_spool();
            }
            if draining && self.calls.is_empty() && matches!(wait, Wait::ForBatches) {
                return;
            }
            if let Wait::Until(at) = wait {
                timer.as_mut().reset(at.into());
            }
            tokio::select! {
                Some(ended) = self.calls.join_next_with_id() => self.settle(ended),
                () = &mut timer, if matches!(wait, Wait::Until(_)) => {}
                () = self.lane.sealed(), if !draining => {}
                changed = phase.changed(), if !draining => {
                    // A dropped other end means the same: nobody will give us more.
                    draining = changed.is_err() || *phase.borrow_and_update() == Phase::Draining;
                    if draining {
                        // Whatever was held back gets its chance before the end.
                        self.pacer.hurry(now());
                        self.lane.release();
                    }
                }
            }
        }
    }

    /// Starts as many calls as may be, and says what to wait for.
    fn start_calls(&mut self, now: Instant) -> Wait {
        loop {
            match self.pacer.may_start(now, self.calls.len()) {
                Start::WhenOneEnds => return Wait::ForCalls,
                Start::At(at) if self.lane.waiting_documents() > 0 => return Wait::Until(at),
                Start::At(_) => return Wait::ForBatches,
                Start::Now => {}
            }
            match self.lane.take(now) {
                Next::Ready(flight) => self.start(flight, now),
                Next::NotBefore(at) => return Wait::Until(at),
                Next::Empty => return Wait::ForBatches,
            }
        }
    }

    /// Asks the spool for batches if there are any, and room for them beside the live traffic: while no call fails, half of
    /// the calls and half of the memory at most. So they go as fast as the endpoint and the disk bear.
    fn ask_spool(&self) {
        let Some(spool) = self.lane.spool() else { return };
        let may_ask = || {
            // During an outage nothing but a probe, when memory has none.
            let answers = self.pacer.outage().is_none()
                || (self.calls.is_empty() && self.lane.waiting_documents() == 0 && spool.out() == 0);
            answers
                && spool.ready() > spool.reading()
                && spool.out() < (self.pacer.limit() / 2).max(1)
                && self.lane.has_room_beside(spool.reading())
        };
        while may_ask() && spool.ask() {}
    }

    fn start(&mut self, flight: Flight, at: Instant) {
        let exporter = self.exporter.clone();
        let body = flight.body.clone();
        self.ledger
            .call_started(flight.documents, flight.attempts > 0 || flight.redeliveries > 0);
        let call = self.calls.spawn(async move { exporter.put(body).await });
        self.flights.insert(call.id(), Started { flight, at });
    }

    fn settle(&mut self, ended: Result<(task::Id, Result<Answer, PutError>), JoinError>) {
        let in_flight = self.calls.len() + 1;
        let (id, result) = match ended {
            Ok((id, result)) => (id, Ok(result)),
            Err(error) => (error.id(), Err(error)),
        };
        // Each call that was started is there, once.
        let Some(Started { flight, at: started }) = self.flights.remove(&id) else {
            return;
        };
        let result = match result {
            Ok(result) => result,
            Err(error) => return self.lost(&flight, started, &error),
        };
        let at = now();
        self.ledger.call_ended(Ended {
            at,
            duration: at.saturating_duration_since(started),
            body_bytes: flight.body.len(),
            failure: result.as_ref().err().map(|error| Failure {
                class: error.class,
                status: error.status,
                message: &error.message,
            }),
        });
        match result {
            Ok(answer) => {
                if let Some(outage) = self.pacer.succeeded(in_flight) {
                    self.say_over(&outage);
                }
                self.account_for(&flight, started, &answer);
            }
            Err(error) if error.class.is_retriable() => self.try_again(&flight, started, &error),
            Err(error) => {
                // The endpoint answers; it is this body that it does not want.
                if let Some(outage) = self.pacer.succeeded(in_flight) {
                    self.say_over(&outage);
                }
                self.refused(&flight, &error);
            }
        }
    }

    /// A call panicked: nobody knows what became of its documents, so they are sent again.
    fn lost(&mut self, flight: &Flight, started: Instant, error: &JoinError) {
        self.ledger.call_lost();
        tracing::error!("A call ended in a way that it should not: {error}");
        self.put_back(flight, started, None, now());
    }

    /// A batch is refused for good: the fault is in one of its documents, so it is halved until that one is alone.
    ///
    /// A batch of n documents costs at most 2(n-1) extra calls, when all are bad; and after [`MAX_SPLITS`] splits
    /// without an accepted call in between the fault is not in single documents, and whole batches are dropped.
    fn refused(&mut self, flight: &Flight, error: &PutError) {
        if self.splits_left > 0
            && let Some(halves) = Batch::halves::<X::Encoding>(&flight.body, flight.opened_at)
        {
            self.splits_left -= 1;
            tracing::debug!(
                segments = flight.documents,
                "Sending segment batch failed with: {}; trying its {} segments in two halves",
                error.message,
                flight.documents
            );
            self.lane.replace(flight.ticket, halves, now());
            return;
        }
        let segments = flight.documents;
        if self.lane.settle(flight.ticket) {
            self.ledger.add_dropped(DropReason::Refused, segments as u64);
        }
        let Some(left_out) = self.refused_lines.allow(now()) else {
            return;
        };
        let what = match X::Encoding::describe(&flight.body).as_slice() {
            [only] => format!("segment {only}"),
            _ => format!("its {segments} segments"),
        };
        tracing::error!(
            segments,
            "Sending segment batch failed with: {}; {what} dropped, since the service refuses it for good{}",
            error.message,
            more(left_out)
        );
    }

    /// Settles the documents of an answered call; those that may yet be processed go back to the queue.
    fn account_for(&mut self, flight: &Flight, started: Instant, answer: &Answer) {
        let segments = flight.documents;
        let seconds = now().duration_since(started).as_secs_f64();
        self.splits_left = MAX_SPLITS;
        if answer.unprocessed.is_empty() {
            if self.lane.settle(flight.ticket) {
                self.ledger.add_sent(segments as u64);
            }
            tracing::info!(
                segments,
                seconds,
                "Successfully sent batch of {segments} segments ({seconds:.3} seconds)"
            );
            return;
        }
        // The service can't have left more undone than it was given.
        let unprocessed = answer.unprocessed.len().min(segments);
        tracing::info!(
            segments,
            unprocessed,
            seconds,
            "Sent batch of {segments} segments but had {unprocessed} Unprocessed segments ({seconds:.3} seconds)"
        );
        let described = X::Encoding::describe(&flight.body);
        let raw = X::Encoding::documents(&flight.body).unwrap_or_default();
        let mut named = vec![false; described.len()];
        let (mut again, mut given_up) = (Vec::new(), Vec::new());
        for left in answer.unprocessed.iter().take(segments) {
            let place = left.id.as_ref().and_then(|id| {
                (0..described.len()).find(|&place| !named[place] && described[place].id.as_ref() == Some(id))
            });
            if let Some(place) = place {
                named[place] = true;
            }
            let code = left.error_code.as_deref();
            let retried = flight.redeliveries < MAX_REDELIVERIES && left.class.is_retriable();
            let document = place.and_then(|place| raw.get(place)).filter(|_| retried);
            match document {
                Some(document) => again.push(*document),
                None => given_up.push(code),
            }
            if let Some(left_out) = self.unprocessed_lines.allow(now()) {
                let segment = place.map(|place| &described[place]);
                say_unprocessed(left, segment, document.is_some(), left_out);
            }
        }
        let landed = match Batch::of_documents::<X::Encoding>(&again, flight.opened_at) {
            Some(mut part) => {
                part.redeliveries = flight.redeliveries + 1;
                part.not_before = Some(Pacer::hold_back(now(), part.redeliveries, fastrand::f64()));
                self.lane.replace(flight.ticket, [part], now())
            }
            None => self.lane.settle(flight.ticket),
        };
        if landed {
            self.ledger.add_sent((segments - unprocessed) as u64);
            for code in given_up {
                self.ledger.add_unprocessed(code);
            }
        }
    }

    /// A call failed in a way that may pass: its batch goes back, to be sent again after a while.
    fn put_back(&mut self, flight: &Flight, started: Instant, retry_after: Option<Duration>, now: Instant) {
        self.pacer.failed(now, started, retry_after, fastrand::f64());
        let not_before = Pacer::hold_back(now, flight.attempts.saturating_add(1), fastrand::f64());
        self.lane.put_back(flight.ticket, Some(not_before), now);
    }

    fn try_again(&mut self, flight: &Flight, started: Instant, error: &PutError) {
        let now = now();
        self.put_back(flight, started, error.retry_after, now);
        let Some(outage) = self.pacer.outage() else { return };
        let lasts = now.duration_since(outage.since);
        let said_lately = self.outage_reminder.was_said_lately(now);
        if said_lately && (self.outage_said || lasts < OUTAGE_CERTAIN) {
            tracing::debug!("Sending segment batch failed with: {}", error.message);
            return;
        }
        self.outage_reminder = Reminder::said(now);
        self.outage_said = true;
        let counts = self.ledger.snapshot();
        let (waiting, spooled) = (counts.pending(), counts.spooled);
        let failing_s = lasts.as_secs_f64();
        let on_disk = match spooled {
            0 => String::new(),
            _ => format!(" and {spooled} in the spool"),
        };
        tracing::error!(
            waiting,
            spooled,
            failing_s,
            failures = outage.failures,
            "Sending segment batch failed with: {}; {waiting} segments wait in memory{on_disk} and are sent when calls \
             succeed again (failing for {failing_s:.1} s)",
            error.message
        );
    }

    fn say_over(&mut self, outage: &Outage) {
        if !std::mem::take(&mut self.outage_said) {
            return;
        }
        let failing_s = now().duration_since(outage.since).as_secs_f64();
        let counts = self.ledger.snapshot();
        let waiting = counts.pending() + counts.spooled;
        tracing::info!(
            waiting,
            failing_s,
            failures = outage.failures,
            "Calls succeed again after {failing_s:.1} s; {waiting} segments wait and are sent now"
        );
    }
}

/// How many lines of its kind were left out before one.
fn more(left_out: u64) -> String {
    match left_out {
        0 => String::new(),
        _ => format!(" ({left_out} more lines of this kind were left out before)"),
    }
}

/// One line about a segment that the service did not process; `again` when it goes out once more.
fn say_unprocessed(left: &Unprocessed, segment: Option<&Description>, again: bool, left_out: u64) {
    let shown = |text: &Option<String>| logs::sanitize(text.as_deref().unwrap_or("none").as_bytes(), 200);
    let segment = segment.map_or_else(|| format!("id {}", shown(&left.id)), Description::to_string);
    let ending = if again { "; it is sent again" } else { "" };
    tracing::error!(
        error_code = left.error_code.as_deref().unwrap_or_default(),
        "Unprocessed segment: {segment}, error code {}, message: {}{ending}{}",
        shown(&left.error_code),
        shown(&left.message),
        more(left_out),
    );
}

/// What a sender with nothing to start waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wait {
    ForBatches,
    ForCalls,
    Until(Instant),
}

/// The runtime's clock, which tests can pause.
fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}

#[cfg(test)]
mod tests;
