//! What became of the calls to X-Ray: for metrics, readiness and telemetry records.

use std::time::{Duration, Instant};

use super::histogram::Histogram;
use crate::ledger::destination::Destination;
use crate::ledger::outcome::ErrorClass;
use crate::ledger::signal::Content;

/// Seconds that a call takes: from an endpoint in the same region to the limit of 15 s.
const DURATION_BOUNDS_S: [f64; 11] = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];

/// Segments in a batch, up to the service's limit of 50.
const BATCH_BOUNDS: [f64; 6] = [1.0, 5.0, 10.0, 20.0, 35.0, 50.0];

/// A call that the daemon makes on its own account.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Operation {
    /// `PutTraceSegments`.
    Segments,
    /// `PutTelemetryRecords`.
    Telemetry,
    /// An OTLP request, of what was taken as this.
    Export(Content),
}

impl Operation {
    /// Those of X-Ray.
    pub const XRAY: [Self; 2] = [Self::Segments, Self::Telemetry];

    /// Every operation, in the order of their counters.
    const ALL: [Self; 2 + Content::ALL.len()] = [
        Self::Segments,
        Self::Telemetry,
        Self::Export(Content::Segments),
        Self::Export(Content::Traces),
        Self::Export(Content::Metrics),
        Self::Export(Content::Logs),
    ];

    /// The one that sends `content` to `destination`.
    #[must_use]
    pub const fn of(destination: Destination, content: Content) -> Self {
        match (destination, content) {
            (Destination::XRay, Content::Segments) => Self::Segments,
            _ => Self::Export(content),
        }
    }

    /// What it sends; nothing of what came in, for telemetry.
    #[must_use]
    pub const fn content(self) -> Option<Content> {
        match self {
            Self::Segments => Some(Content::Segments),
            Self::Telemetry => None,
            Self::Export(content) => Some(content),
        }
    }

    const fn index(self) -> usize {
        match self {
            Self::Segments => 0,
            Self::Telemetry => 1,
            Self::Export(content) => 2 + content.index(),
        }
    }

    /// The label in metrics.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Export(_) => "Export",
            Self::Segments => "PutTraceSegments",
            Self::Telemetry => "PutTelemetryRecords",
        }
    }
}

/// The fields of a telemetry record for calls that failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum BackendError {
    /// No answer in time.
    Timeout,
    /// Nobody listened.
    ConnectionRefused,
    /// Answered 4xx.
    Http4xx,
    /// Answered 5xx.
    Http5xx,
    /// The name had no address.
    UnknownHost,
    /// Anything else: resets, TLS, no credentials, something that is not X-Ray.
    Other,
}

impl BackendError {
    /// Every field.
    pub const ALL: [Self; 6] = [
        Self::Timeout,
        Self::ConnectionRefused,
        Self::Http4xx,
        Self::Http5xx,
        Self::UnknownHost,
        Self::Other,
    ];

    const fn index(self) -> usize {
        self as usize
    }

    /// The field for a call that failed so: what was answered, or else what kept an answer from coming.
    #[must_use]
    pub const fn of(class: ErrorClass, status: Option<u16>) -> Self {
        match (status, class) {
            (Some(400..=499), _) => Self::Http4xx,
            (Some(500..=599), _) => Self::Http5xx,
            (None, ErrorClass::Timeout) => Self::Timeout,
            (None, ErrorClass::ConnectionRefused) => Self::ConnectionRefused,
            (None, ErrorClass::UnknownHost) => Self::UnknownHost,
            _ => Self::Other,
        }
    }
}

/// A call with a batch that is over.
#[derive(Debug, Clone, Copy)]
pub struct Ended<'m> {
    /// When.
    pub at: Instant,
    /// How long it took.
    pub duration: Duration,
    /// How long its body was.
    pub body_bytes: usize,
    /// How it failed, if it did.
    pub failure: Option<Failure<'m>>,
}

/// How a call failed.
#[derive(Debug, Clone, Copy)]
pub struct Failure<'m> {
    /// The kind.
    pub class: ErrorClass,
    /// The status, when it was answered.
    pub status: Option<u16>,
    /// One line for people, without control characters.
    pub message: &'m str,
}

/// A run of failed calls that goes on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failing {
    /// When the first of them ended.
    pub since: Instant,
    /// How many there were.
    pub calls: u64,
    /// What the last one failed with.
    pub last: ErrorClass,
    /// The same for people.
    pub message: String,
}

const OUTCOMES: usize = 1 + ErrorClass::ALL.len();

/// The counts of one moment.
#[derive(Debug, Clone, PartialEq)]
pub struct Calls {
    outcomes: [[u64; OUTCOMES]; Operation::ALL.len()],
    backend: [u64; BackendError::ALL.len()],
    /// Calls for a batch that had been sent before without success.
    pub retries: u64,
    /// Bytes of the bodies that the service took.
    pub sent_bytes: u64,
    /// `PutTraceSegments` calls that run now.
    pub in_flight: u64,
    /// Seconds that calls of `PutTraceSegments` took, failed ones too.
    pub duration: Histogram<{ DURATION_BOUNDS_S.len() }>,
    /// Segments in the batches that were sent, each batch once however often it was tried.
    pub batch_segments: Histogram<{ BATCH_BOUNDS.len() }>,
    /// When the last `PutTraceSegments` succeeded.
    pub last_success: Option<Instant>,
    /// The calls of `PutTraceSegments` that have failed since the last one that showed the endpoint to answer: a success,
    /// or a body that it refused. By [`ErrorClass::is_retriable`], as for the sender: what it does not try again must not
    /// stand here as an outage that nothing would end.
    pub failing: Option<Failing>,
}

impl Default for Calls {
    fn default() -> Self {
        Self {
            outcomes: Default::default(),
            backend: Default::default(),
            retries: 0,
            sent_bytes: 0,
            in_flight: 0,
            duration: Histogram::new(&DURATION_BOUNDS_S),
            batch_segments: Histogram::new(&BATCH_BOUNDS),
            last_success: None,
            failing: None,
        }
    }
}

impl Calls {
    /// A call for a batch of `segments` starts; `again`: it was sent before.
    pub(super) fn started(&mut self, segments: usize, again: bool) {
        self.in_flight += 1;
        if again {
            self.retries += 1;
        } else {
            self.batch_segments.observe(segments as f64);
        }
    }

    /// A started call is over and nobody knows how: it panicked.
    pub(super) fn lost(&mut self) {
        self.in_flight = self.in_flight.saturating_sub(1);
    }

    pub(super) fn ended(&mut self, operation: Operation, ended: Ended<'_>) {
        self.in_flight = self.in_flight.saturating_sub(1);
        self.duration.observe(ended.duration.as_secs_f64());
        self.count(operation, ended.failure);
        match ended.failure {
            None => {
                self.sent_bytes += ended.body_bytes as u64;
                self.last_success = Some(ended.at);
                self.failing = None;
            }
            Some(failure) if !failure.class.is_retriable() => self.failing = None,
            Some(failure) => {
                let (since, calls) = match &self.failing {
                    Some(failing) => (failing.since, failing.calls + 1),
                    None => (ended.at, 1),
                };
                self.failing = Some(Failing {
                    since,
                    calls,
                    last: failure.class,
                    message: failure.message.to_owned(),
                });
            }
        }
    }

    /// Counts the outcome of a call.
    pub(super) fn count(&mut self, operation: Operation, failure: Option<Failure<'_>>) {
        let outcome = failure.map_or(0, |failure| 1 + class_index(failure.class));
        self.outcomes[operation.index()][outcome] += 1;
        if let Some(failure) = failure {
            self.backend[BackendError::of(failure.class, failure.status).index()] += 1;
        }
    }

    /// How many calls of `operation` ended so; `None`: with success.
    #[must_use]
    pub fn outcome(&self, operation: Operation, class: Option<ErrorClass>) -> u64 {
        self.outcomes[operation.index()][class.map_or(0, |class| 1 + class_index(class))]
    }

    /// How many calls failed so, of all operations.
    #[must_use]
    pub fn backend(&self, error: BackendError) -> u64 {
        self.backend[error.index()]
    }
}

/// The place of `class` in [`ErrorClass::ALL`], which has the classes in the order of their declaration: a test asserts it.
fn class_index(class: ErrorClass) -> usize {
    class as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failure(class: ErrorClass, status: Option<u16>) -> Option<Failure<'static>> {
        Some(Failure {
            class,
            status,
            message: "why",
        })
    }

    fn ended(at: Instant, failure: Option<Failure<'_>>) -> Ended<'_> {
        Ended {
            at,
            duration: Duration::from_millis(30),
            body_bytes: 1000,
            failure,
        }
    }

    #[test]
    fn each_failure_lands_in_its_field_of_the_telemetry_record() {
        use BackendError as Field;
        use ErrorClass as Class;
        for (class, status, field) in [
            (Class::Timeout, None, Field::Timeout),
            (Class::ConnectionRefused, None, Field::ConnectionRefused),
            (Class::UnknownHost, None, Field::UnknownHost),
            (Class::Connection, None, Field::Other),
            (Class::Credentials, None, Field::Other),
            (Class::Other, None, Field::Other),
            (Class::Throttled, Some(429), Field::Http4xx),
            (Class::Credentials, Some(403), Field::Http4xx),
            (Class::Refused, Some(400), Field::Http4xx),
            (Class::Timeout, Some(408), Field::Http4xx),
            (Class::NotAnAnswer, Some(404), Field::Http4xx),
            (Class::ServerError, Some(503), Field::Http5xx),
            (Class::Throttled, Some(503), Field::Http5xx),
            (Class::NotAnAnswer, Some(302), Field::Other),
            (Class::NotAnAnswer, Some(200), Field::Other),
        ] {
            assert_eq!(Field::of(class, status), field, "{class:?} {status:?}");
        }
    }

    #[test]
    fn failures_of_all_operations_are_counted_in_their_field() {
        let mut calls = Calls::default();
        for (n, class) in (1..).zip([
            ErrorClass::Timeout,
            ErrorClass::ConnectionRefused,
            ErrorClass::UnknownHost,
            ErrorClass::Other,
        ]) {
            for _ in 0..n {
                calls.count(Operation::Telemetry, failure(class, None));
                calls.count(Operation::Segments, failure(class, None));
            }
            assert_eq!(calls.outcome(Operation::Telemetry, Some(class)), n);
        }
        calls.count(Operation::Segments, failure(ErrorClass::ServerError, Some(500)));
        calls.count(Operation::Segments, None);
        assert_eq!(
            BackendError::ALL.map(|error| calls.backend(error)),
            [2, 4, 0, 1, 6, 8]
        );
        assert_eq!(
            Operation::XRAY.map(|operation| calls.outcome(operation, None)),
            [1, 0]
        );
        assert_eq!(
            Operation::XRAY.map(Operation::label),
            ["PutTraceSegments", "PutTelemetryRecords"]
        );
        for (place, operation) in Operation::ALL.into_iter().enumerate() {
            assert_eq!(operation.index(), place);
        }
    }

    #[test]
    fn a_run_of_failures_lasts_until_a_success() {
        let start = Instant::now();
        let mut calls = Calls::default();
        for second in 0..3 {
            calls.started(50, second > 0);
            calls.ended(
                Operation::Segments,
                ended(
                    start + Duration::from_secs(second),
                    failure(ErrorClass::ServerError, Some(500)),
                ),
            );
        }
        let failing = calls.failing.clone().unwrap();
        assert_eq!((failing.since, failing.calls), (start, 3));
        assert_eq!((calls.retries, calls.batch_segments.count()), (2, 1));
        calls.started(7, true);
        assert_eq!(calls.in_flight, 1);
        calls.ended(Operation::Segments, ended(start, None));
        assert_eq!((calls.failing.clone(), calls.last_success), (None, Some(start)));
        assert_eq!((calls.in_flight, calls.sent_bytes), (0, 1000));
        assert_eq!(
            calls.outcome(Operation::Segments, Some(ErrorClass::ServerError)),
            3
        );
        assert_eq!(calls.outcome(Operation::Segments, None), 1);
        assert_eq!(calls.outcome(Operation::Telemetry, None), 0);
        assert_eq!(calls.duration.count(), 4);
    }

    #[test]
    fn a_refusal_of_the_body_ends_a_run_of_failures_since_the_service_is_there() {
        let start = Instant::now();
        let mut calls = Calls::default();
        calls.ended(
            Operation::Segments,
            ended(start, failure(ErrorClass::ServerError, Some(500))),
        );
        assert_eq!(calls.failing.as_ref().map(|failing| failing.calls), Some(1));
        calls.ended(
            Operation::Segments,
            ended(start, failure(ErrorClass::Refused, Some(400))),
        );
        assert_eq!((calls.failing, calls.last_success), (None, None));
    }

    #[test]
    fn every_class_has_a_place_of_its_own() {
        for (place, class) in ErrorClass::ALL.into_iter().enumerate() {
            assert_eq!(class_index(class), place);
        }
        assert_eq!(ErrorClass::ALL.last(), Some(&ErrorClass::Other));
    }
}
