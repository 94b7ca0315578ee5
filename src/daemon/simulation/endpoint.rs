//! The endpoint: what it does with each call by the plan of faults, what it has taken, and what it has said of it.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use bytes::Bytes;
use fastrand::Rng;

use super::documents::{self, Document, Kind};
use super::plan::{EndpointFault, Failure, Throttle, Window};
use super::trace::Trace;
use super::{moment, wire};
use crate::exporters::Exporter;
use crate::exporters::answer::Answer;
use crate::exporters::bodies::Bodies;
use crate::exporters::error::PutError;
use crate::pipeline::batch;

/// After so long a call ends without an answer.
const TIME_OUT: Duration = Duration::from_secs(15);

/// Calls that may start at once after a pause, where they are throttled.
const BURST: f64 = 2.0;

/// The endpoint; clones are the same one.
#[derive(Debug, Clone)]
pub(super) struct Endpoint(Arc<Mutex<Service>>);

/// What it knows.
#[derive(Debug)]
pub(super) struct Service {
    start: Instant,
    windows: Vec<Window<EndpointFault>>,
    latency: Duration,
    rng: Rng,
    tokens: f64,
    filled_at: Instant,
    in_flight: usize,
    /// What became of each document, by its number.
    fates: Vec<Fate>,
    pub(super) seen: Seen,
    /// In this process.
    pub(super) told: Told,
    pub(super) trace: Trace,
}

/// What became of a document.
#[derive(Debug, Clone, Copy, Default)]
struct Fate {
    is_taken: bool,
    /// The process that runs was told that it is taken, or refused for good: it must not come again.
    is_settled: bool,
    /// It waits in so many more files than one.
    more_copies: u8,
}

impl Fate {
    fn settle(&mut self) {
        match self.more_copies.checked_sub(1) {
            Some(left) => self.more_copies = left,
            None => self.is_settled = true,
        }
    }
}

/// What was seen in the whole run.
#[derive(Debug, Clone, Default)]
pub(super) struct Seen {
    pub(super) calls: u64,
    pub(super) faults: u64,
    pub(super) most_in_flight: usize,
    /// Calls whose documents were taken and whose answer did not arrive.
    pub(super) unheard: u64,
    /// Numbers of documents that came again after they were settled.
    pub(super) again: Vec<usize>,
}

/// What the process that runs was told, in documents.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Told {
    pub(super) taken: u64,
    /// Those of the calls that ended last, and when.
    pub(super) taken_last: u64,
    pub(super) last_at: Option<Instant>,
    /// Refused alone.
    pub(super) refused: u64,
}

/// What a call will come to.
struct Decision {
    after: Duration,
    /// What to say; without it, nothing arrives.
    reply: Result<http::Response<Bytes>, PutError>,
    taken: Vec<usize>,
    /// The documents are taken as soon as they are there, and not only when it is said.
    at_once: bool,
}

impl Endpoint {
    pub(super) fn new(
        start: Instant,
        windows: &[Window<EndpointFault>],
        latency: Duration,
        rng: Rng,
    ) -> Self {
        Self(Arc::new(Mutex::new(Service {
            start,
            windows: windows.to_vec(),
            latency,
            rng,
            tokens: BURST,
            filled_at: start,
            in_flight: 0,
            fates: Vec::new(),
            seen: Seen::default(),
            told: Told::default(),
            trace: Trace::default(),
        })))
    }

    pub(super) fn service(&self) -> MutexGuard<'_, Service> {
        self.0.lock().unwrap()
    }
}

impl Exporter for Endpoint {
    type Encoding = Bodies;

    async fn put(&self, _: batch::kind::Kind, body: Bytes) -> Result<Answer, PutError> {
        let documents = documents::of_body(&body);
        let call = Call::begin(self, &documents, body.len());
        tokio::time::sleep(call.decision.after).await;
        call.end(&documents)
    }
}

/// A call that runs. Dropped, it ends unheard.
struct Call {
    endpoint: Endpoint,
    decision: Decision,
    is_taken: bool,
    is_heard: bool,
}

impl Call {
    fn begin(endpoint: &Endpoint, documents: &[Document], body_bytes: usize) -> Self {
        let mut service = endpoint.service();
        let now = moment();
        let decision = service.begin(documents, body_bytes, now);
        let mut call = Self {
            endpoint: endpoint.clone(),
            decision,
            is_taken: false,
            is_heard: false,
        };
        if call.decision.at_once {
            call.take(&mut service);
        }
        drop(service);
        call
    }

    fn take(&mut self, service: &mut Service) {
        self.is_taken = !self.decision.taken.is_empty();
        for number in &self.decision.taken {
            service.fates[*number].is_taken = true;
        }
    }

    fn end(mut self, documents: &[Document]) -> Result<Answer, PutError> {
        let endpoint = self.endpoint.clone();
        let mut service = endpoint.service();
        if !self.is_taken {
            self.take(&mut service);
        }
        let result = match &self.decision.reply {
            Ok(response) => wire::meaning(response),
            Err(error) => Err(error.clone()),
        };
        self.is_heard = self.decision.reply.is_ok();
        service.told(documents, &result, moment());
        result
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        // Poisoned while a test fails.
        if let Ok(mut service) = self.endpoint.0.lock() {
            service.in_flight -= 1;
            service.seen.unheard += u64::from(self.is_taken && !self.is_heard);
        }
    }
}

impl Service {
    /// A process starts: nothing was told to it.
    pub(super) fn process_starts(&mut self) {
        self.told = Told::default();
        for fate in &mut self.fates {
            fate.more_copies = 0;
        }
    }

    /// The process finds these documents on disk. They may have been settled before, and come again all the same: where a
    /// crash came before their file was gone, or another process had the directory. After a crash one may be in two files;
    /// `is_again`: found by a process that has lost the directory, one may be in memory too.
    pub(super) fn found_on_disk(&mut self, numbers: &[usize], is_again: bool) {
        for number in numbers {
            let fate = &mut self.fates[*number];
            fate.is_settled = false;
            // And one in memory, where it is found again by a process that runs.
            fate.more_copies = u8::from(is_again);
        }
        let mut seen = BTreeSet::new();
        for number in numbers.iter().filter(|number| !seen.insert(**number)) {
            self.fates[*number].more_copies += 1;
        }
    }

    /// A document is made. Returns its number.
    pub(super) fn next_number(&mut self) -> usize {
        self.fates.push(Fate::default());
        self.fates.len() - 1
    }

    /// How many documents there were.
    pub(super) fn documents(&self) -> usize {
        self.fates.len()
    }

    /// Those that it has taken.
    pub(super) fn taken(&self) -> usize {
        self.fates.iter().filter(|fate| fate.is_taken).count()
    }

    /// Those that are settled for the process that runs.
    pub(super) fn is_settled(&self, number: usize) -> bool {
        self.fates[number].is_settled
    }

    fn begin(&mut self, documents: &[Document], body_bytes: usize, now: Instant) -> Decision {
        self.seen.calls += 1;
        self.in_flight += 1;
        self.seen.most_in_flight = self.seen.most_in_flight.max(self.in_flight);
        for document in documents {
            if self.fates[document.number].is_settled {
                self.seen.again.push(document.number);
            }
        }
        let first = documents.first().map_or(0, |document| document.number);
        self.trace.note(
            now - self.start,
            &[1, first as u64, documents.len() as u64, body_bytes as u64],
        );
        self.decide(documents, body_bytes, now)
    }

    /// The first fault that applies decides; without one, the documents do.
    fn decide(&mut self, documents: &[Document], body_bytes: usize, now: Instant) -> Decision {
        let passed = now - self.start;
        let open: Vec<EndpointFault> = self
            .windows
            .iter()
            .filter(|window| window.is_open(passed))
            .map(|window| window.fault)
            .collect();
        let mut after = self.latency.mul_f64(0.7 + 0.6 * self.rng.f64());
        for fault in &open {
            if let EndpointFault::Slow { factor } = fault {
                after = after.mul_f64(*factor);
                self.seen.faults += 1;
            }
        }
        let decision = |after, reply| Decision {
            after,
            reply,
            taken: Vec::new(),
            at_once: false,
        };
        let mut fails_over = 0.0;
        let mut throttled = false;
        for fault in open {
            match fault {
                EndpointFault::Fails { share, how } if self.rng.f64() < share => {
                    self.seen.faults += 1;
                    return decision(after, wire::failure(how));
                }
                EndpointFault::Hangs { share } if self.rng.f64() < share => {
                    self.seen.faults += 1;
                    let mut decision = decision(TIME_OUT, Err(wire::timed_out(TIME_OUT)));
                    if self.rng.bool() && !is_refused(documents) {
                        decision.taken = takeable(documents);
                        decision.at_once = true;
                    }
                    return decision;
                }
                EndpointFault::LosesAnswers { share } if self.rng.f64() < share && !is_refused(documents) => {
                    self.seen.faults += 1;
                    let lost =
                        wire::failure(Failure::Transport(crate::ledger::outcome::ErrorClass::Connection));
                    return Decision {
                        taken: takeable(documents),
                        at_once: self.rng.bool(),
                        ..decision(after, lost)
                    };
                }
                EndpointFault::Throttles {
                    per_s,
                    how,
                    retry_after_s,
                } if self.is_too_much(per_s, now) => {
                    self.seen.faults += 1;
                    if how != Throttle::Documents {
                        return decision(after, Ok(wire::throttled(how, retry_after_s)));
                    }
                    throttled = true;
                }
                EndpointFault::TakesOnly { bytes } if body_bytes > bytes => {
                    self.seen.faults += 1;
                    return decision(after, Ok(wire::page(413)));
                }
                EndpointFault::FailsOver { share } => {
                    self.seen.faults += 1;
                    fails_over = share;
                }
                _ => {}
            }
        }
        if is_refused(documents) {
            self.seen.faults += 1;
            return decision(after, Ok(wire::refused()));
        }
        let mut named: Vec<(String, &str)> = Vec::new();
        let mut taken = Vec::new();
        let throttled_share = if throttled { self.rng.f64() * 1.3 } else { 0.0 };
        for document in documents {
            let code = if document.kind == Kind::Bad {
                "InvalidSegment"
            } else if document.kind == Kind::Twin && self.rng.u8(0..8) == 0 {
                "InternalFailure"
            } else if throttled && self.rng.f64() < throttled_share {
                "ThrottledException"
            } else if fails_over > 0.0 && self.rng.f64() < fails_over {
                "InternalFailure"
            } else {
                taken.push(document.number);
                continue;
            };
            named.push((document.id(), code));
        }
        Decision {
            after,
            reply: Ok(wire::answered(&named)),
            taken,
            at_once: self.rng.bool(),
        }
    }

    fn is_too_much(&mut self, per_s: f64, now: Instant) -> bool {
        let passed = (now - self.filled_at).as_secs_f64();
        self.filled_at = now;
        self.tokens = (self.tokens + passed * per_s).min(BURST);
        let is_too_much = self.tokens < 1.0;
        if !is_too_much {
            self.tokens -= 1.0;
        }
        is_too_much
    }

    /// The sender hears `result`.
    fn told(&mut self, documents: &[Document], result: &Result<Answer, PutError>, now: Instant) {
        if self.told.last_at != Some(now) {
            self.told.last_at = Some(now);
            self.told.taken_last = 0;
        }
        let mut taken = 0;
        match result {
            Ok(answer) => {
                let named: BTreeSet<&str> = answer
                    .unprocessed
                    .iter()
                    .filter_map(|left| left.id.as_deref())
                    .collect();
                for document in documents {
                    let is_named = !named.is_empty() && named.contains(document.id().as_str());
                    if !is_named {
                        taken += 1;
                    }
                    // A bad one is given up.
                    if !is_named || document.kind == Kind::Bad {
                        self.fates[document.number].settle();
                    }
                }
            }
            Err(error) if !error.class.is_retriable() => {
                if let [only] = documents {
                    self.fates[only.number].settle();
                    self.told.refused += 1;
                }
            }
            Err(_) => {}
        }
        self.told.taken += taken;
        self.told.taken_last += taken;
        self.trace
            .note(now - self.start, &[2, taken, u64::from(result.is_ok())]);
    }
}

fn is_refused(documents: &[Document]) -> bool {
    documents.iter().any(|document| document.kind == Kind::Poison)
}

fn takeable(documents: &[Document]) -> Vec<usize> {
    documents
        .iter()
        .filter(|document| document.kind != Kind::Bad)
        .map(|document| document.number)
        .collect()
}
