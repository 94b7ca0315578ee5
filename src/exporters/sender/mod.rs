//! Takes batches, keeps the right number of calls in flight, and settles every document in the ledger.
//!
//! It knows no destination: a call is an [`Exporter`]'s, an answer says what became of the documents. In log lines a
//! document is a segment, as the official daemon says it.

mod splits;
mod trouble;

use std::collections::{HashMap, HashSet};
use std::num::NonZeroUsize;
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::watch;
use tokio::task::{self, AbortHandle, JoinError, JoinSet};

use self::splits::Splits;
use self::trouble::{HalfIll, Row, Trouble};

use crate::exporters::Exporter;
use crate::exporters::answer::{Answer, Unprocessed};
use crate::exporters::error::PutError;
use crate::exporters::pacer::{self, CallId, DEFAULT_MAX_CONCURRENCY, Outcome, Pacer, Start};
use crate::ledger::calls::{Ended, Failure};
use crate::ledger::outcome::ErrorClass;
use crate::ledger::{DropReason, Ledger};
use crate::logs;
use crate::logs::{LineBudget, Reminder};
use crate::pipeline::batch::Batch;
use crate::pipeline::batch::encoding::{Description, Encoding as _};
use crate::pipeline::lane::Lane;
use crate::pipeline::queue::{Flight, Next};

/// How often an unprocessed segment is sent again when the service says that it failed over it. With the back-off between
/// them that is about a minute, in which the service answers for others: what fails then is this segment. That the service
/// throttles does not count.
const MAX_FAULTS: u32 = 16;

/// For how long batches stay below a length that was refused. A proxy's limit does not change often, and finding it again
/// costs a few calls.
const BOUND_BODIES_FOR: Duration = Duration::from_secs(600);

/// Bodies are not bounded below this, whatever was refused: with fewer bytes than one document has, each call would carry
/// one.
const BOUND_BODIES_MIN_BYTES: usize = 16 << 10;

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
}

/// A call that runs.
#[derive(Debug)]
struct Started {
    flight: Flight,
    at: Instant,
    call: CallId,
    abort: AbortHandle,
}

/// What a body that was refused for its length has taught.
#[derive(Debug, Clone, Copy)]
struct BodiesBound {
    bytes: usize,
    until: Instant,
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
                Some(ended) = self.calls.join_next_with_id() => self.settle(ended),
                () = &mut timer, if matches!(wait, Wait::Until(_)) => {}
                () = self.lane.sealed(), if !draining => {}
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
            match self.lane.take(now) {
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
        let message = "given up without an answer, since later calls are answered";
        self.ledger.call_ended(Ended {
            at: now,
            duration: now.saturating_duration_since(at),
            body_bytes: flight.body.len(),
            failure: Some(Failure {
                class: ErrorClass::Timeout,
                status: None,
                message,
            }),
        });
        tracing::debug!(
            segments = flight.documents,
            "Sending segment batch failed with: {message}"
        );
        self.pacer.given_up(call, now, fastrand::f64());
        self.put_back(&flight, now);
    }

    /// Asks the spool for batches if there are any, and room for them beside the live traffic: while calls succeed, half of
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
        let started = Started {
            flight,
            at,
            call: self.pacer.started(at, fastrand::f64()),
            abort: call.clone(),
        };
        self.flights.insert(call.id(), started);
    }

    fn settle(&mut self, ended: Result<(task::Id, Result<Answer, PutError>), JoinError>) {
        let (id, result) = match ended {
            Ok((id, result)) => (id, Ok(result)),
            Err(error) => (error.id(), Err(error)),
        };
        // Each call that was started is there, once; but for those that were given up.
        let Some(Started {
            flight,
            at: started,
            call,
            ..
        }) = self.flights.remove(&id)
        else {
            return;
        };
        let result = match result {
            Ok(result) => result,
            Err(error) => return self.lost(call, &flight, started, &error),
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
        // The outage that it may end is the pacer's; what the log calls one begins with the first failure.
        let _ = self
            .pacer
            .ended(call, at, outcome(&result, flight.documents), fastrand::f64());
        match result {
            Ok(answer) => {
                self.answered(at);
                self.account_for(&flight, started, &answer);
            }
            Err(error) if error.class.is_retriable() => {
                self.put_back(&flight, at);
                self.failed(started, at, &error.message);
            }
            Err(error) => {
                // The endpoint answers; it is this body that it does not want.
                self.answered(at);
                self.refused(&flight, &error);
            }
        }
    }

    /// A call panicked: nobody knows what became of its documents, so they are sent again.
    fn lost(&mut self, call: CallId, flight: &Flight, started: Instant, error: &JoinError) {
        let now = now();
        self.ledger.call_lost();
        tracing::error!("A call ended in a way that it should not: {error}");
        let outcome = Outcome::Failed { retry_after: None };
        let _ = self.pacer.ended(call, now, outcome, fastrand::f64());
        let _ = self.trouble.failed(started, now);
        self.put_back(flight, now);
    }

    /// No batch is longer than what was refused: one that is, from before or from the spool, is halved without being sent.
    /// True when it was.
    fn split_too_long(&mut self, flight: &Flight, now: Instant) -> bool {
        self.bodies_bound
            .is_some_and(|bound| flight.body.len() > bound.bytes)
            && self.halve(flight, None, now)
    }

    /// Puts the halves of a batch in its place, to be sent not before `not_before`; false for a single document.
    fn halve(&self, flight: &Flight, not_before: Option<Instant>, now: Instant) -> bool {
        let Some(mut halves) = Batch::halves::<X::Encoding>(&flight.body, flight.opened_at) else {
            return false;
        };
        for half in &mut halves {
            half.not_before = not_before;
            half.redeliveries = flight.redeliveries;
            half.faults = flight.faults;
        }
        self.lane.replace(flight.ticket, halves, now);
        true
    }

    fn learn_bodies_bound(&mut self, flight: &Flight, now: Instant) {
        let refused_bytes = flight.body.len();
        // Its halves are to be tried as they are.
        let halves = Batch::halves::<X::Encoding>(&flight.body, flight.opened_at);
        let bytes = halves.map_or(refused_bytes - 1, |[first, second]| {
            first.body.len().max(second.body.len())
        });
        let known = self.bodies_bound.map_or(usize::MAX, |bound| bound.bytes);
        let bytes = bytes.max(BOUND_BODIES_MIN_BYTES).min(known);
        self.bodies_bound = Some(BodiesBound {
            bytes,
            until: now + BOUND_BODIES_FOR,
        });
        self.lane.bound_bodies(Some(bytes));
        if bytes < known {
            tracing::warn!(
                bytes,
                "A body of {refused_bytes} bytes is too long for whoever answers at the endpoint; bodies stay below {bytes} \
                 bytes for {} minutes",
                BOUND_BODIES_FOR.as_secs() / 60
            );
        }
    }

    fn forget_bodies_bound(&mut self, now: Instant) {
        if self.bodies_bound.is_some_and(|bound| bound.until <= now) {
            self.bodies_bound = None;
            self.lane.bound_bodies(None);
        }
    }

    /// A batch is refused for good: the fault is in one of its documents, so it is halved until that one is alone. What
    /// that may cost is bounded ([`splits`]); nothing good is lost by it.
    fn refused(&mut self, flight: &Flight, error: &PutError) {
        let now = now();
        if error.is_too_long() {
            self.learn_bodies_bound(flight, now);
        }
        // A body that is too long has no bad document: how often it is halved is bounded by its length.
        let is_search = flight.documents > 1 && !error.is_too_long();
        let not_before = if is_search { self.splits.split(now) } else { None };
        if self.halve(flight, not_before, now) {
            tracing::debug!(
                segments = flight.documents,
                "Sending segment batch failed with: {}; trying its {} segments in two halves",
                error.message,
                flight.documents
            );
            if not_before.is_some() && self.splits_reminder.is_due(now) {
                tracing::warn!(
                    "So many batches hold segments that the service refuses that the search for them is slowed down; those \
                     batches wait. The lines about refused segments say whose they are"
                );
            }
            return;
        }
        let segments = flight.documents;
        if self.lane.settle(flight.ticket) {
            self.ledger.add_dropped(DropReason::Refused, segments as u64);
        }
        let Some(left_out) = self.refused_lines.allow(now) else {
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
        let places = Places::of(&described, &answer.unprocessed);
        let mut named: HashSet<usize> = HashSet::new();
        // Of several documents with one id, nobody knows which was meant: each goes again, alone.
        let (mut again, mut alone, mut given_up) = (Vec::new(), Vec::new(), Vec::new());
        let mut faults = flight.faults;
        for left in answer.unprocessed.iter().take(segments) {
            let code = left.error_code.as_deref();
            let passes = left.class == ErrorClass::Throttled
                || (left.class.is_retriable() && flight.faults < MAX_FAULTS);
            let found: Vec<usize> = places.of_id(left.id.as_deref());
            let is_shared = places.is_shared(left.id.as_deref());
            let new: Vec<usize> = found
                .into_iter()
                .filter(|place| raw.get(*place).is_some() && !named.contains(place))
                // One entry stands for one document, unless it could be any of several.
                .take(if is_shared { usize::MAX } else { 1 })
                .collect();
            let place = new.first().copied();
            named.extend(&new);
            let goes_again = !new.is_empty() && (passes || is_shared);
            if goes_again && is_shared {
                alone.extend(new.iter().map(|place| raw[*place]));
            } else if goes_again {
                again.extend(new.iter().map(|place| raw[*place]));
            } else if !(is_shared && new.is_empty()) {
                given_up.push(code);
            }
            if goes_again && left.class != ErrorClass::Throttled {
                faults = flight.faults.saturating_add(1);
            }
            if let Some(left_out) = self.unprocessed_lines.allow(now()) {
                let segment = place.map(|place| &described[place]);
                say_unprocessed(left, segment, goes_again, left_out);
            }
        }
        let now = now();
        let redeliveries = flight.redeliveries.saturating_add(1);
        let not_before = pacer::hold_back_unprocessed(now, redeliveries, fastrand::f64());
        let unsettled = again.len() + alone.len() + given_up.len();
        let parts: Vec<Batch> = std::iter::once(again.as_slice())
            .chain(alone.chunks(1))
            .filter_map(|documents| Batch::of_documents::<X::Encoding>(documents, flight.opened_at))
            .map(|mut part| {
                part.redeliveries = redeliveries;
                part.faults = faults;
                part.not_before = Some(not_before);
                part
            })
            .collect();
        let landed = if parts.is_empty() {
            self.lane.settle(flight.ticket)
        } else {
            self.lane.replace(flight.ticket, parts, now)
        };
        if landed {
            self.ledger.add_sent(segments.saturating_sub(unsettled) as u64);
            for code in given_up {
                self.ledger.add_unprocessed(code);
            }
        }
    }

    /// A call failed in a way that may pass: its batch goes back, to be sent again after a while.
    fn put_back(&mut self, flight: &Flight, now: Instant) {
        let attempts = flight.attempts.saturating_add(1);
        let not_before = self.pacer.hold_back(now, attempts, fastrand::f64());
        self.lane.put_back(flight.ticket, Some(not_before), now);
    }

    /// A call failed: what there is to be said of it.
    fn failed(&mut self, started: Instant, now: Instant, message: &str) {
        let row = self.trouble.failed(started, now);
        match row {
            Some(row) => self.say_failing(&row, now, message),
            None => tracing::debug!("Sending segment batch failed with: {message}"),
        }
        self.say_share(now, Some(message));
    }

    /// A call was answered: what there is to be said of those before it.
    fn answered(&mut self, now: Instant) {
        if let Some(row) = self.trouble.answered() {
            self.say_over(&row, now);
        }
        self.say_share(now, None);
    }

    fn say_failing(&self, row: &Row, now: Instant, message: &str) {
        let (waiting, spooled) = (self.lane.pending_documents(), self.ledger.snapshot().spooled);
        let failing_s = now.saturating_duration_since(row.since).as_secs_f64();
        let on_disk = match spooled {
            0 => String::new(),
            _ => format!(" and {spooled} in the spool"),
        };
        tracing::error!(
            waiting,
            spooled,
            failing_s,
            failures = row.failures,
            "Sending segment batch failed with: {message}; {waiting} segments wait in memory{on_disk} and are sent when calls \
             succeed again (failing for {failing_s:.1} s)"
        );
    }

    fn say_over(&self, row: &Row, now: Instant) {
        let failing_s = now.saturating_duration_since(row.since).as_secs_f64();
        let waiting = self.lane.pending_documents() + self.ledger.snapshot().spooled;
        tracing::info!(
            waiting,
            failing_s,
            failures = row.failures,
            "Calls succeed again after {failing_s:.1} s; {waiting} segments wait and are sent now"
        );
    }

    /// Of an endpoint that is half ill. `message`: what this call failed with.
    fn say_share(&mut self, now: Instant, message: Option<&str>) {
        match self.trouble.share(now) {
            None => {}
            Some(HalfIll::Is(share)) => {
                let waiting = self.lane.pending_documents();
                let with = message
                    .map(|message| format!(", this one with: {message}"))
                    .unwrap_or_default();
                tracing::warn!(
                    calls = share.calls,
                    failed = share.failed,
                    waiting,
                    "{} % of the calls fail: {} of {} in the last {:.0} s{with}; they are repeated, and {waiting} segments wait",
                    share.percent(),
                    share.failed,
                    share.calls,
                    share.over.as_secs_f64()
                );
            }
            Some(HalfIll::IsOver(share)) => tracing::info!(
                calls = share.calls,
                failed = share.failed,
                "Most calls succeed again: {} of {} failed in the last {:.0} s",
                share.failed,
                share.calls,
                share.over.as_secs_f64()
            ),
        }
    }
}

/// What a call that ended says of the endpoint.
fn outcome(result: &Result<Answer, PutError>, documents: usize) -> Outcome {
    match result {
        Ok(answer) => {
            let is_throttled = |left: &Unprocessed| left.class == ErrorClass::Throttled;
            if answer.unprocessed.iter().any(is_throttled) {
                Outcome::Throttled {
                    retry_after: None,
                    some_taken: answer.unprocessed.len() < documents,
                }
            } else {
                Outcome::Answered
            }
        }
        Err(error) if error.class == ErrorClass::Throttled => Outcome::Throttled {
            retry_after: error.retry_after,
            some_taken: false,
        },
        Err(error) if error.class.is_retriable() => Outcome::Failed {
            retry_after: error.retry_after,
        },
        Err(_) => Outcome::Answered,
    }
}

/// Where the documents stand that an answer names.
struct Places<'a> {
    /// Of each id the documents that have it, in order, and how many entries name it.
    by_id: HashMap<&'a str, (Vec<usize>, usize)>,
}

impl<'a> Places<'a> {
    fn of(described: &'a [Description], unprocessed: &'a [Unprocessed]) -> Self {
        let mut by_id: HashMap<&str, (Vec<usize>, usize)> = HashMap::new();
        for id in unprocessed.iter().filter_map(|left| left.id.as_deref()) {
            by_id.entry(id).or_default().1 += 1;
        }
        for (place, document) in described.iter().enumerate() {
            if let Some((places, _)) = document.id.as_deref().and_then(|id| by_id.get_mut(id)) {
                places.push(place);
            }
        }
        Self { by_id }
    }

    fn of_id(&self, id: Option<&str>) -> Vec<usize> {
        let found = id.and_then(|id| self.by_id.get(id));
        found.map(|(places, _)| places.clone()).unwrap_or_default()
    }

    /// Whether more documents have this id than entries name it: an in-progress segment and its final form, say.
    fn is_shared(&self, id: Option<&str>) -> bool {
        let found = id.and_then(|id| self.by_id.get(id));
        found.is_some_and(|(places, entries)| places.len() > *entries)
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
