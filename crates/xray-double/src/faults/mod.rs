//! Faults that tests switch on in the double. The product has no option that reaches this module.
//!
//! A [`Fault`] is what happens to one request; [`Faults`] is the handle with which a test says to which requests it
//! happens. The decision is pure: request and time in, fault out.

mod plan;
#[cfg(test)]
mod tests;

pub use plan::FaultRequest;

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use tokio::time::Instant;
use xray_service::service::Operation;

use plan::{Plan, When};

/// What happens to one request.
#[derive(Debug, Clone)]
pub struct Fault {
    pub(super) action: Action,
    pub(super) after_accepting: bool,
}

/// The kinds of faults.
#[derive(Debug, Clone)]
pub(super) enum Action {
    Answer(CannedAnswer),
    Delay(Duration),
    Hang,
    Close,
    Reset,
    HalfAnswer,
    SlowBody { chunk_bytes: usize, pause: Duration },
    Unprocessed(Unprocessed),
}

/// An answer in place of the service's own.
#[derive(Debug, Clone)]
pub(super) struct CannedAnswer {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) body: String,
}

/// Documents that the service names as unprocessed.
#[derive(Debug, Clone)]
pub(super) struct Unprocessed {
    which: Which,
    code: String,
    message: String,
}

impl Unprocessed {
    /// Code and message when this document is meant.
    pub(super) fn refusal(&self, position: usize, document: &str) -> Option<(String, String)> {
        self.which
            .matches(position, document)
            .then(|| (self.code.clone(), self.message.clone()))
    }
}

/// Which documents of a call are meant.
#[derive(Clone)]
pub enum Which {
    /// Every one.
    All,
    /// The one at this position, counted from 0.
    Index(usize),
    /// Every n-th of the call: those at positions n − 1, 2n − 1, …; 0 means none.
    EveryNth(usize),
    /// Those whose text the predicate takes; made by [`Which::matching`].
    Matching(DocumentPredicate),
}

/// A test's own choice among documents.
pub type DocumentPredicate = Arc<dyn Fn(&str) -> bool + Send + Sync>;

impl Which {
    /// Documents that contain this text.
    #[must_use]
    pub fn containing(text: &str) -> Self {
        let text = text.to_owned();
        Self::matching(move |document| document.contains(&text))
    }

    /// Documents that the predicate takes.
    pub fn matching(predicate: impl Fn(&str) -> bool + Send + Sync + 'static) -> Self {
        Self::Matching(Arc::new(predicate))
    }

    fn matches(&self, position: usize, document: &str) -> bool {
        match self {
            Self::All => true,
            Self::Index(index) => position == *index,
            Self::EveryNth(n) => *n > 0 && (position + 1).is_multiple_of(*n),
            Self::Matching(predicate) => predicate(document),
        }
    }
}

impl fmt::Debug for Which {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::All => f.write_str("all"),
            Self::Index(index) => write!(f, "#{index}"),
            Self::EveryNth(n) => write!(f, "every {n}th"),
            Self::Matching(_) => f.write_str("matching"),
        }
    }
}

impl Fault {
    /// A bare status with an empty JSON object, as a load balancer would answer: no error code.
    #[must_use]
    pub fn status(status: u16) -> Self {
        Self::answer(status, "{}").with_header("content-type", "application/json")
    }

    /// A status with an error code in `x-amzn-errortype` and a message in the body, as AWS answers.
    #[must_use]
    pub fn error(status: u16, code: &str, message: &str) -> Self {
        Self::answer(status, &serde_json::json!({ "message": message }).to_string())
            .with_header("content-type", "application/json")
            .with_header("x-amzn-errortype", code)
    }

    /// 429 `ThrottledException`, the throttling that X-Ray's model describes.
    #[must_use]
    pub fn throttled() -> Self {
        Self::error(429, "ThrottledException", "Rate exceeded")
    }

    /// A redirect to `location`, without a body.
    #[must_use]
    pub fn redirect(status: u16, location: &str) -> Self {
        Self::answer(status, "").with_header("location", location)
    }

    /// Any status and body; the headers are those added with [`Fault::with_header`] and the body's length.
    ///
    /// # Panics
    /// When `status` is not a status (100 to 999): a mistake in the test.
    #[must_use]
    pub fn answer(status: u16, body: &str) -> Self {
        Self::of(Action::Answer(CannedAnswer {
            status: StatusCode::from_u16(status).expect("a fault needs an HTTP status"),
            headers: HeaderMap::new(),
            body: body.to_owned(),
        }))
    }

    /// 200 with nothing in it.
    #[must_use]
    pub fn empty_ok() -> Self {
        Self::answer(200, "")
    }

    /// 200 with a page, as a captive portal or a wrong endpoint answers.
    #[must_use]
    pub fn html_ok() -> Self {
        Self::answer(200, "<!DOCTYPE html><html><body>It works!</body></html>")
            .with_header("content-type", "text/html")
    }

    /// 200 with this JSON in place of the operation's.
    #[must_use]
    pub fn json_ok(json: &str) -> Self {
        Self::answer(200, json).with_header("content-type", "application/json")
    }

    /// The right answer, this much later.
    #[must_use]
    pub fn delay(delay: Duration) -> Self {
        Self::of(Action::Delay(delay))
    }

    /// No answer, ever; the connection stays open.
    #[must_use]
    pub fn hang() -> Self {
        Self::of(Action::Hang)
    }

    /// The connection is closed in order (FIN) in place of an answer.
    #[must_use]
    pub fn close() -> Self {
        Self::of(Action::Close)
    }

    /// The connection is reset (RST) in place of an answer.
    #[must_use]
    pub fn reset() -> Self {
        Self::of(Action::Reset)
    }

    /// The head of the right answer and half of its body, then the connection is closed.
    #[must_use]
    pub fn half_answer() -> Self {
        Self::of(Action::HalfAnswer)
    }

    /// The right answer, its body in pieces of `chunk_bytes` (at least 1) with a pause before each.
    #[must_use]
    pub fn slow_body(chunk_bytes: usize, pause: Duration) -> Self {
        Self::of(Action::SlowBody {
            chunk_bytes: chunk_bytes.max(1),
            pause,
        })
    }

    /// The call is answered with 200 and these documents in `UnprocessedTraceSegments`.
    #[must_use]
    pub fn unprocessed(which: Which, code: &str, message: &str) -> Self {
        Self::of(Action::Unprocessed(Unprocessed {
            which,
            code: code.to_owned(),
            message: message.to_owned(),
        }))
    }

    /// Adds a header to a canned answer, `retry-after` say; other faults stay as they are.
    ///
    /// # Panics
    /// When name or value cannot stand in a header: a mistake in the test.
    #[must_use]
    pub fn with_header(mut self, name: &str, value: &str) -> Self {
        if let Action::Answer(answer) = &mut self.action {
            answer.headers.append(
                HeaderName::try_from(name).expect("a fault needs a valid header name"),
                HeaderValue::try_from(value).expect("a fault needs a valid header value"),
            );
        }
        self
    }

    /// The service does its work first, and then the fault spoils the answer: the client cannot know that its
    /// documents were taken. Without this, canned answers, [`Fault::hang`], [`Fault::close`] and [`Fault::reset`] come
    /// in place of the work, and [`Fault::delay`] comes before it. (The faults that need the right answer do the work
    /// first in any case.)
    #[must_use]
    pub fn after_accepting(mut self) -> Self {
        self.after_accepting = true;
        self
    }

    fn of(action: Action) -> Self {
        Self {
            action,
            after_accepting: false,
        }
    }
}

/// Short, for records and error texts: `503`, `delay 1s`, `reset`.
impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.action {
            Action::Answer(answer) => write!(f, "answer {}", answer.status.as_u16()),
            Action::Delay(delay) => write!(f, "delay {delay:?}"),
            Action::Hang => f.write_str("hang"),
            Action::Close => f.write_str("close"),
            Action::Reset => f.write_str("reset"),
            Action::HalfAnswer => f.write_str("half answer"),
            Action::SlowBody { .. } => f.write_str("slow body"),
            Action::Unprocessed(unprocessed) => {
                write!(f, "unprocessed {:?} {}", unprocessed.which, unprocessed.code)
            }
        }?;
        if self.after_accepting {
            f.write_str(" after accepting")?;
        }
        Ok(())
    }
}

/// The handle on a fault plan. Clones share the plan.
///
/// Rules are asked in the order they were added, and the first that takes a request decides; a rule that is used up
/// is gone. So `times(2, a)` and then `always(b)` give a, a, b, b, …
#[derive(Debug, Clone, Default)]
pub struct Faults {
    plan: Arc<Mutex<Plan>>,
    scope: Option<Operation>,
}

impl Faults {
    /// An empty plan.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The same plan; rules added through the returned handle are for this operation only.
    #[must_use]
    pub fn on(&self, operation: Operation) -> Self {
        Self {
            plan: Arc::clone(&self.plan),
            scope: Some(operation),
        }
    }

    /// Every request from now on.
    pub fn always(&self, fault: Fault) {
        self.add(When::Always, fault);
    }

    /// The next `n` requests.
    pub fn times(&self, n: u64, fault: Fault) {
        self.add(When::Times(n), fault);
    }

    /// Every request that arrives within `duration` from now (tokio's clock).
    pub fn for_next(&self, duration: Duration, fault: Fault) {
        self.add(When::Until(Instant::now() + duration), fault);
    }

    /// Requests n, 2n, 3n, … counted from now; 0 means none.
    pub fn every_nth(&self, n: u64, fault: Fault) {
        self.add(When::EveryNth { n, seen: 0 }, fault);
    }

    /// This share of all requests (0 to 1), drawn from a generator with this seed: the same seed, the same pattern.
    pub fn share(&self, share: f64, seed: u64, fault: Fault) {
        self.add(When::Share { share, state: seed }, fault);
    }

    /// Requests beyond `per_second`, by a token bucket that holds one second's worth and is full now.
    pub fn above_rate(&self, per_second: f64, fault: Fault) {
        self.add(
            When::AboveRate {
                per_second,
                tokens: per_second,
                filled_at: Instant::now(),
            },
            fault,
        );
    }

    /// Requests that arrive while more than `n`, themselves included, wait for their answers.
    pub fn above_in_flight(&self, n: usize, fault: Fault) {
        self.add(When::AboveInFlight(n), fault);
    }

    /// Requests that the predicate takes. It must not call this plan: the plan is locked meanwhile.
    pub fn when(&self, predicate: impl Fn(&FaultRequest<'_>) -> bool + Send + Sync + 'static, fault: Fault) {
        self.add(When::Matching(Arc::new(predicate)), fault);
    }

    /// `PutTraceSegments` calls in which at least one document is meant: the poisoned batch.
    pub fn when_document(&self, which: Which, fault: Fault) {
        self.when(
            move |request| {
                let documents = request.documents();
                documents
                    .iter()
                    .enumerate()
                    .any(|(position, document)| which.matches(position, document))
            },
            fault,
        );
    }

    /// Removes the rules of this handle's operation; on a handle without one, all rules. What a fault already holds
    /// (a hanging request, a delay) it keeps.
    pub fn clear(&self) {
        self.plan().clear(self.scope);
    }

    /// How many requests met a fault so far.
    #[must_use]
    pub fn fired(&self) -> u64 {
        self.plan().fired()
    }

    /// The fault for a request that arrives now.
    pub(super) fn next(&self, request: &FaultRequest<'_>) -> Option<Fault> {
        self.plan().next(request, Instant::now())
    }

    fn add(&self, when: When, fault: Fault) {
        self.plan().add(self.scope, when, fault);
    }

    fn plan(&self) -> MutexGuard<'_, Plan> {
        self.plan.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
