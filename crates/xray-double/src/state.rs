//! What a test may look at: the requests that arrived, and the service's state.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::time::{Instant, SystemTime};

use bytes::Bytes;
use http::HeaderMap;
use xray_service::service::Operation;
use xray_service::telemetry::TelemetryReport;

use super::endpoint::Endpoint;
use super::sigv4::{SignatureError, Verified};

/// What was found out about a request's signature.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// AWS would have taken it.
    Valid(Verified),
    /// AWS would have refused it.
    Refused(SignatureError),
    /// Signatures are not checked.
    Unchecked,
}

impl Verdict {
    /// Whether it was checked and found valid.
    #[must_use]
    pub const fn is_valid(&self) -> bool {
        matches!(self, Self::Valid(_))
    }
}

/// How a request ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// Not yet.
    Waiting,
    /// With this status handed to the connection.
    Answered(u16),
    /// A fault closed or reset the connection.
    Cut,
    /// The client left, or the double was stopped, before there was an answer.
    Abandoned,
}

/// One request, as it arrived.
#[derive(Debug, Clone)]
pub struct RecordedRequest {
    /// Counted from 0 since the double was made.
    pub number: u64,
    /// The connection it came on, counted from 0.
    pub connection: u64,
    /// When its body was complete, by the double's clock.
    pub arrived_at: SystemTime,
    /// The same on the monotonic clock, for the time between two requests.
    pub arrived: Instant,
    /// `POST`.
    pub method: String,
    /// Path and query as in the request line.
    pub path: String,
    /// The operation, unless path or method are outside the API.
    pub operation: Option<Operation>,
    /// All headers.
    pub headers: HeaderMap,
    /// The body; empty when bodies are not recorded or the body was over the limit.
    pub body: Bytes,
    /// The body's length, recorded or not.
    pub body_bytes: usize,
    /// What became of the signature.
    pub signature: Verdict,
    /// The fault it met, in words.
    pub fault: Option<String>,
    /// How it ended.
    pub outcome: Outcome,
}

impl RecordedRequest {
    /// A header's value as text; `None` when it is absent or not ASCII.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }
}

/// One line without header values: they may hold credentials.
impl fmt::Display for RecordedRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "#{} on connection {}: {} {}, {} bytes, ",
            self.number, self.connection, self.method, self.path, self.body_bytes
        )?;
        match &self.signature {
            Verdict::Valid(_) => f.write_str("signature valid"),
            Verdict::Refused(error) => {
                let text = error.to_string();
                let first_line = text.lines().next().unwrap_or_default();
                write!(f, "signature refused: {}: {first_line}", error.code())
            }
            Verdict::Unchecked => f.write_str("signature unchecked"),
        }?;
        if let Some(fault) = &self.fault {
            write!(f, ", fault: {fault}")?;
        }
        match self.outcome {
            Outcome::Waiting => f.write_str(", waiting for its answer"),
            Outcome::Answered(status) => write!(f, ", answered {status}"),
            Outcome::Cut => f.write_str(", cut"),
            Outcome::Abandoned => f.write_str(", abandoned"),
        }
    }
}

/// How many requests are recorded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Recording {
    /// Requests with their bodies, inside this many bytes of bodies and heads, oldest out.
    Whole {
        /// The budget.
        budget_bytes: usize,
    },
    /// Requests without their bodies, inside the same kind of budget.
    WithoutBodies {
        /// The budget.
        budget_bytes: usize,
    },
    /// None; only the counters move.
    Off,
}

/// What one request costs in the budget besides its body: an estimate of its head.
const HEAD_BYTES: usize = 1_024;

/// Everything a test may look at, at one moment.
#[derive(Debug)]
pub struct State {
    pub(super) endpoint: Endpoint,
    recording: Recording,
    requests: VecDeque<RecordedRequest>,
    recorded_bytes: usize,
    request_count: u64,
    by_operation: BTreeMap<Operation, u64>,
    by_status: BTreeMap<u16, u64>,
    in_flight: usize,
    connections_opened: u64,
    connections_open: usize,
}

impl State {
    pub(super) fn new(endpoint: Endpoint, recording: Recording) -> Self {
        Self {
            endpoint,
            recording,
            requests: VecDeque::new(),
            recorded_bytes: 0,
            request_count: 0,
            by_operation: BTreeMap::new(),
            by_status: BTreeMap::new(),
            in_flight: 0,
            connections_opened: 0,
            connections_open: 0,
        }
    }

    /// The documents that were accepted and are still kept, in the order they were accepted.
    pub fn documents(&self) -> impl ExactSizeIterator<Item = &str> {
        self.endpoint.store.iter().map(|stored| stored.document.as_str())
    }

    /// Documents accepted since the start, kept or not.
    #[must_use]
    pub fn accepted(&self) -> u64 {
        self.endpoint.store.accepted()
    }

    /// The telemetry reports that were accepted.
    pub fn telemetry(&self) -> impl ExactSizeIterator<Item = &TelemetryReport> {
        self.endpoint.telemetry.iter()
    }

    /// The requests that are recorded, in the order they arrived.
    pub fn requests(&self) -> impl ExactSizeIterator<Item = &RecordedRequest> {
        self.requests.iter()
    }

    /// Requests that arrived since the start, recorded or not.
    #[must_use]
    pub fn request_count(&self) -> u64 {
        self.request_count
    }

    /// Calls of one operation that arrived since the start, whatever became of them.
    #[must_use]
    pub fn calls(&self, operation: Operation) -> u64 {
        self.by_operation.get(&operation).copied().unwrap_or_default()
    }

    /// Requests that were answered with `status` since the start.
    #[must_use]
    pub fn answered(&self, status: u16) -> u64 {
        self.by_status.get(&status).copied().unwrap_or_default()
    }

    /// Requests that arrived and have no answer yet.
    #[must_use]
    pub fn in_flight(&self) -> usize {
        self.in_flight
    }

    /// Connections opened since the start.
    #[must_use]
    pub fn connections_opened(&self) -> u64 {
        self.connections_opened
    }

    /// Connections that are open.
    #[must_use]
    pub fn connections_open(&self) -> usize {
        self.connections_open
    }

    /// Counts a new connection and numbers it.
    pub(super) fn connected(&mut self) -> u64 {
        self.connections_open += 1;
        self.connections_opened += 1;
        self.connections_opened - 1
    }

    pub(super) fn disconnected(&mut self) {
        self.connections_open = self.connections_open.saturating_sub(1);
    }

    /// Counts and records a request; its number is filled in and returned.
    pub(super) fn arrived(&mut self, mut request: RecordedRequest) -> u64 {
        let number = self.request_count;
        self.request_count += 1;
        self.in_flight += 1;
        if let Some(operation) = request.operation {
            *self.by_operation.entry(operation).or_default() += 1;
        }
        let budget_bytes = match self.recording {
            Recording::Whole { budget_bytes } => budget_bytes,
            Recording::WithoutBodies { budget_bytes } => {
                request.body = Bytes::new();
                budget_bytes
            }
            Recording::Off => return number,
        };
        request.number = number;
        self.recorded_bytes += HEAD_BYTES + request.body.len();
        self.requests.push_back(request);
        while self.recorded_bytes > budget_bytes {
            let Some(oldest) = self.requests.pop_front() else {
                break;
            };
            self.recorded_bytes -= HEAD_BYTES + oldest.body.len();
        }
        number
    }

    pub(super) fn met_fault(&mut self, number: u64, fault: String) {
        if let Some(request) = self.recorded_mut(number) {
            request.fault = Some(fault);
        }
    }

    pub(super) fn ended(&mut self, number: u64, outcome: Outcome) {
        self.in_flight = self.in_flight.saturating_sub(1);
        if let Outcome::Answered(status) = outcome {
            *self.by_status.entry(status).or_default() += 1;
        }
        if let Some(request) = self.recorded_mut(number) {
            request.outcome = outcome;
        }
    }

    fn recorded_mut(&mut self, number: u64) -> Option<&mut RecordedRequest> {
        let first = self.requests.front()?.number;
        let position = usize::try_from(number.checked_sub(first)?).ok()?;
        self.requests.get_mut(position)
    }
}

/// What was there, for the error of a test that waited in vain: totals and the last few requests.
impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const LAST: usize = 5;
        write!(
            f,
            "{} documents accepted ({} kept), {} requests, {} in flight, {} connections opened, {} open; answers:",
            self.accepted(),
            self.documents().len(),
            self.request_count,
            self.in_flight,
            self.connections_opened,
            self.connections_open
        )?;
        if self.by_status.is_empty() {
            f.write_str(" none")?;
        }
        for (status, count) in &self.by_status {
            write!(f, " {count} x {status}")?;
        }
        let skipped = self.requests.len().saturating_sub(LAST);
        for request in self.requests.iter().skip(skipped) {
            write!(f, "\n  {request}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::endpoint::Documents;

    fn request(body: &'static [u8]) -> RecordedRequest {
        RecordedRequest {
            number: 0,
            connection: 3,
            arrived_at: SystemTime::UNIX_EPOCH,
            arrived: Instant::now(),
            method: "POST".into(),
            path: "/TraceSegments".into(),
            operation: Some(Operation::PutTraceSegments),
            headers: HeaderMap::new(),
            body: Bytes::from_static(body),
            body_bytes: body.len(),
            signature: Verdict::Unchecked,
            fault: None,
            outcome: Outcome::Waiting,
        }
    }

    fn state(recording: Recording) -> State {
        State::new(Endpoint::new(Documents::Count), recording)
    }

    fn numbers(state: &State) -> Vec<u64> {
        state.requests().map(|request| request.number).collect()
    }

    #[test]
    fn five_requests_into_room_for_three_leave_the_last_three() {
        let budget_bytes = 3 * (HEAD_BYTES + 4);
        let mut state = state(Recording::Whole { budget_bytes });
        for _ in 0..5 {
            state.arrived(request(b"body"));
        }
        assert_eq!(numbers(&state), [2, 3, 4]);
        assert_eq!(state.request_count(), 5);
        assert_eq!(state.calls(Operation::PutTraceSegments), 5);
        assert_eq!(state.calls(Operation::GetSamplingRules), 0);
    }

    #[test]
    fn outcomes_reach_the_right_request_and_none_that_is_gone() {
        let mut state = state(Recording::Whole {
            budget_bytes: 2 * HEAD_BYTES,
        });
        for _ in 0..3 {
            state.arrived(request(b""));
        }
        assert_eq!(state.in_flight(), 3);
        state.ended(0, Outcome::Answered(200));
        state.met_fault(2, "close".into());
        state.ended(2, Outcome::Cut);
        let seen: Vec<(u64, Outcome)> = state.requests().map(|r| (r.number, r.outcome)).collect();
        assert_eq!(seen, [(1, Outcome::Waiting), (2, Outcome::Cut)]);
        assert_eq!(
            (state.in_flight(), state.answered(200), state.answered(500)),
            (1, 1, 0)
        );
    }

    #[test]
    fn bodies_or_whole_requests_can_be_left_out() {
        let mut bodiless = state(Recording::WithoutBodies {
            budget_bytes: 1 << 20,
        });
        bodiless.arrived(request(b"body"));
        let recorded = bodiless.requests().next().unwrap();
        assert_eq!((recorded.body.len(), recorded.body_bytes), (0, 4));

        let mut off = state(Recording::Off);
        assert_eq!([off.arrived(request(b"")), off.arrived(request(b""))], [0, 1]);
        off.ended(0, Outcome::Answered(200));
        assert_eq!(
            (numbers(&off).len(), off.request_count(), off.answered(200)),
            (0, 2, 1)
        );
    }

    #[test]
    fn the_summary_tells_totals_and_the_last_requests() {
        let mut state = state(Recording::Whole {
            budget_bytes: 1 << 20,
        });
        let connection = state.connected();
        assert_eq!(connection, 0);
        state.arrived(request(b"body"));
        state.met_fault(0, "answer 503".into());
        state.ended(0, Outcome::Answered(503));
        assert_eq!(
            state.to_string(),
            "0 documents accepted (0 kept), 1 requests, 0 in flight, 1 connections opened, 1 open; answers: 1 x 503\n  \
             #0 on connection 3: POST /TraceSegments, 4 bytes, signature unchecked, fault: answer 503, answered 503"
        );
        state.disconnected();
        assert_eq!(state.connections_open(), 0);
    }
}
