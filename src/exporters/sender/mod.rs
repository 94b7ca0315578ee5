//! Takes batches, keeps the right number of calls in flight, and settles every document in the ledger.
//!
//! It knows no HTTP: a call is a [`PutSegments`], an answer says what became of the documents.

use std::future::Future;
use std::num::NonZeroUsize;
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::exporters::error::PutError;
use crate::exporters::pacer::{DEFAULT_MAX_CONCURRENCY, Outage, Pacer, Start, code_may_pass};
use crate::exporters::xray::documents::{self, Description};
use crate::exporters::xray::{PutAnswer, Unprocessed, XRay};
use crate::ledger::calls::{Ended, Failure};
use crate::ledger::{DropReason, Ledger};
use crate::logs;
use crate::logs::LineBudget;
use crate::pipeline::batch::{Batch, body};
use crate::pipeline::intake::Intake;
use crate::pipeline::queue::Next;
use crate::pipeline::spool::DRAIN_INTERVAL;

/// The least time between two lines about failing calls.
const OUTAGE_REMINDER: Duration = Duration::from_secs(60);

/// An outage that comes sooner after the last line is said once it has lasted this long: an endpoint that fails every
/// tenth call would fill the log otherwise.
const OUTAGE_CERTAIN: Duration = Duration::from_secs(5);

/// How often an unprocessed segment is sent again when the service says that it was not the segment's fault.
const MAX_REDELIVERIES: u32 = 3;

/// Most batches that are split without an accepted call in between: enough to find one bad document in each of a
/// dozen batches, and an end to it where everything is refused.
const MAX_SPLITS: usize = 100;

/// One PutTraceSegments call.
pub trait PutSegments: Clone + Send + Sync + 'static {
    /// Sends `body`, a finished request body, once.
    fn put(&self, body: Bytes) -> impl Future<Output = Result<PutAnswer, PutError>> + Send;
}

impl PutSegments for XRay {
    async fn put(&self, body: Bytes) -> Result<PutAnswer, PutError> {
        self.put_trace_segments(body).await
    }
}

/// What the sender is to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// Send as batches come.
    Running,
    /// Nothing more comes: send what is there, then end.
    Draining,
}

/// Sends what `intake` holds until it is drained. Dropping the future abandons what is left; the caller accounts for it.
#[derive(Debug)]
pub struct Sender<C> {
    client: C,
    intake: Arc<Intake>,
    ledger: Arc<Ledger>,
    pacer: Pacer,
    calls: JoinSet<Call>,
    outage_said_at: Option<Instant>,
    outage_said: bool,
    splits_left: usize,
    refused_lines: LineBudget,
    unprocessed_lines: LineBudget,
    /// The spool is not asked for a batch before.
    ask_spool_at: Option<Instant>,
}

/// A call that has ended.
#[derive(Debug)]
struct Call {
    batch: Batch,
    started: Instant,
    result: Result<PutAnswer, PutError>,
}

impl<C: PutSegments> Sender<C> {
    /// At most `concurrency` calls in flight; without it, as many as the endpoint bears up to
    /// [`DEFAULT_MAX_CONCURRENCY`].
    #[must_use]
    pub fn new(
        client: C,
        intake: Arc<Intake>,
        ledger: Arc<Ledger>,
        concurrency: Option<NonZeroUsize>,
    ) -> Self {
        let max = concurrency.map_or(DEFAULT_MAX_CONCURRENCY, NonZeroUsize::get);
        Self {
            client,
            intake,
            ledger,
            pacer: Pacer::new(max),
            calls: JoinSet::new(),
            outage_said_at: None,
            outage_said: false,
            splits_left: MAX_SPLITS,
            refused_lines: LineBudget::default(),
            unprocessed_lines: LineBudget::default(),
            ask_spool_at: None,
        }
    }

    /// Runs until `phase` is [`Phase::Draining`] and nothing is left.
    pub async fn run(mut self, mut phase: watch::Receiver<Phase>) {
        let mut draining = *phase.borrow_and_update() == Phase::Draining;
        let mut timer = pin!(tokio::time::sleep(Duration::ZERO));
        loop {
            let mut wait = self.start_calls(now());
            if !draining && let Some(at) = self.ask_spool(now()) {
                wait = wait.or_at(at);
            }
            if draining && self.calls.is_empty() && matches!(wait, Wait::ForBatches) {
                return;
            }
            if let Wait::Until(at) = wait {
                timer.as_mut().reset(at.into());
            }
            tokio::select! {
                Some(ended) = self.calls.join_next() => self.settle(ended),
                () = &mut timer, if matches!(wait, Wait::Until(_)) => {}
                () = self.intake.sealed(), if !draining => {}
                changed = phase.changed(), if !draining => {
                    // A dropped other end means the same: nobody will give us more.
                    draining = changed.is_err() || *phase.borrow_and_update() == Phase::Draining;
                    if draining {
                        // Whatever was held back gets its chance before the end.
                        self.pacer.hurry(now());
                        self.intake.release();
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
                Start::At(at) if self.intake.waiting_documents() > 0 => return Wait::Until(at),
                Start::At(_) => return Wait::ForBatches,
                Start::Now => {}
            }
            match self.intake.take(now) {
                Next::Ready(batch) => self.start(batch, now),
                Next::NotBefore(at) => return Wait::Until(at),
                Next::Empty => return Wait::ForBatches,
            }
        }
    }

    /// Asks the spool for a batch if there is one, and room for it beside the live traffic: while no call fails, half of
    /// the calls and half of the memory at most. Says when to try again, if time alone is what it takes.
    fn ask_spool(&mut self, now: Instant) -> Option<Instant> {
        let spool = self.intake.spool()?;
        // During an outage nothing but a probe, when memory has none.
        let answers = self.pacer.outage().is_none()
            || (self.calls.is_empty() && self.intake.waiting_documents() == 0 && spool.out() == 0);
        let may_ask = answers
            && spool.waiting_files() > 0
            && spool.out() < (self.pacer.limit() / 2).max(1)
            && self.intake.has_room();
        if !may_ask {
            return None;
        }
        if let Some(at) = self.ask_spool_at.filter(|at| *at > now) {
            return Some(at);
        }
        self.ask_spool_at = Some(now + DRAIN_INTERVAL);
        spool.ask();
        self.ask_spool_at
    }

    fn start(&mut self, batch: Batch, started: Instant) {
        let client = self.client.clone();
        self.ledger
            .call_started(batch.documents, batch.attempts > 0 || batch.redeliveries > 0);
        self.calls.spawn(async move {
            let result = client.put(batch.body.clone()).await;
            Call {
                batch,
                started,
                result,
            }
        });
    }

    fn settle(&mut self, ended: Result<Call, tokio::task::JoinError>) {
        let in_flight = self.calls.len() + 1;
        let Ok(Call {
            batch,
            started,
            result,
        }) = ended.inspect_err(|error| {
            // Only a panic in the call itself leads here; its documents stay pending and show in the last line.
            self.ledger.call_lost();
            tracing::error!("A call ended in a way that it should not: {error}");
        })
        else {
            return;
        };
        let at = now();
        self.ledger.call_ended(Ended {
            at,
            duration: at.saturating_duration_since(started),
            body_bytes: batch.body.len(),
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
                self.account_for(&batch, started, &answer);
            }
            Err(error) if error.class.is_retriable() => self.try_again(batch, started, &error),
            Err(error) => {
                // The endpoint answers; it is this body that it does not want.
                if let Some(outage) = self.pacer.succeeded(in_flight) {
                    self.say_over(&outage);
                }
                self.refused(&batch, &error);
            }
        }
    }

    /// A batch is refused for good: the fault is in one of its documents, so it is halved until that one is alone.
    ///
    /// A batch of n documents costs at most 2(n-1) extra calls, when all are bad; and after [`MAX_SPLITS`] splits
    /// without an accepted call in between the fault is not in single documents, and whole batches are dropped.
    fn refused(&mut self, batch: &Batch, error: &PutError) {
        if self.splits_left > 0
            && let Some(halves) = batch.halves()
        {
            self.splits_left -= 1;
            tracing::debug!(
                segments = batch.documents,
                "Sending segment batch failed with: {}; trying its {} segments in two halves",
                error.message,
                batch.documents
            );
            self.intake.replace(batch, halves, now());
            return;
        }
        let segments = batch.documents;
        self.ledger.add_dropped(DropReason::Refused, segments as u64);
        self.intake.settle(batch);
        let Some(left_out) = self.refused_lines.allow(now()) else {
            return;
        };
        let what = match documents::describe(&batch.body).as_slice() {
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
    fn account_for(&mut self, batch: &Batch, started: Instant, answer: &PutAnswer) {
        let segments = batch.documents;
        let seconds = now().duration_since(started).as_secs_f64();
        self.splits_left = MAX_SPLITS;
        if answer.unprocessed.is_empty() {
            self.ledger.add_sent(segments as u64);
            self.intake.settle(batch);
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
        let described = documents::describe(&batch.body);
        let raw = body::documents(&batch.body).unwrap_or_default();
        let mut named = vec![false; described.len()];
        let mut again = Vec::new();
        for left in answer.unprocessed.iter().take(segments) {
            let place = left.id.as_ref().and_then(|id| {
                (0..described.len()).find(|&place| !named[place] && described[place].id.as_ref() == Some(id))
            });
            if let Some(place) = place {
                named[place] = true;
            }
            let code = left.error_code.as_deref();
            let retried = batch.redeliveries < MAX_REDELIVERIES && code.is_some_and(code_may_pass);
            let document = place.and_then(|place| raw.get(place)).filter(|_| retried);
            match document {
                Some(document) => again.push(*document),
                None => self.ledger.add_unprocessed(code),
            }
            if let Some(left_out) = self.unprocessed_lines.allow(now()) {
                let segment = place.map(|place| &described[place]);
                say_unprocessed(left, segment, document.is_some(), left_out);
            }
        }
        self.ledger.add_sent((segments - unprocessed) as u64);
        match Batch::of_documents(&again, batch.opened_at) {
            Some(mut part) => {
                part.redeliveries = batch.redeliveries + 1;
                part.not_before = Some(Pacer::hold_back(now(), part.redeliveries, fastrand::f64()));
                self.intake.replace(batch, [part], now());
            }
            None => self.intake.settle(batch),
        }
    }

    fn try_again(&mut self, mut batch: Batch, started: Instant, error: &PutError) {
        let now = now();
        self.pacer
            .failed(now, started, error.retry_after, fastrand::f64());
        batch.attempts += 1;
        batch.not_before = Some(Pacer::hold_back(now, batch.attempts, fastrand::f64()));
        self.intake.put_back(batch, now);
        let Some(outage) = self.pacer.outage() else { return };
        let lasts = now.duration_since(outage.since);
        let said_lately = self.outage_said_at.is_some_and(|at| now < at + OUTAGE_REMINDER);
        if said_lately && (self.outage_said || lasts < OUTAGE_CERTAIN) {
            tracing::debug!("Sending segment batch failed with: {}", error.message);
            return;
        }
        self.outage_said_at = Some(now);
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
