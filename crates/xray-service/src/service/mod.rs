//! The X-Ray API: one request and the time in, one answer out. No I/O, no clock, no signatures, no faults.
//!
//! Answers follow botocore's model (2016-04-12) and what public reports show. What nobody has published is marked
//! **believed**:
//! - the text of a malformed request's error, and its code `SerializationException`;
//! - 200 for an empty list of documents;
//! - 404 `UnknownOperationException` for every path and method outside the API.

use std::collections::VecDeque;
use std::fmt;
use std::marker::PhantomData;
use std::time::SystemTime;

use serde::de::{IgnoredAny, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::{Value, json};
use xray_document::segment::{self, Refusal};
use xray_document::{otlp, outline};

use crate::answer::Answer;
use crate::api;
use crate::sampling::{Sampling, SamplingError, SamplingRule};
use crate::telemetry::TelemetryReport;
use crate::traces::{Limits, Snapshot, Traces};
use crate::work::Work;

/// The most documents in one `PutTraceSegments` call; enforced by the service, not part of the model.
pub const MAX_DOCUMENTS: usize = 50;

/// The operations that are served, each `POST` on its own path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Operation {
    /// `/TraceSegments`
    PutTraceSegments,
    /// `/TelemetryRecords`
    PutTelemetryRecords,
    /// `/GetSamplingRules`
    GetSamplingRules,
    /// `/SamplingTargets`
    GetSamplingTargets,
    /// `/SamplingStatisticSummaries`
    GetSamplingStatisticSummaries,
    /// `/CreateSamplingRule`
    CreateSamplingRule,
    /// `/UpdateSamplingRule`
    UpdateSamplingRule,
    /// `/DeleteSamplingRule`
    DeleteSamplingRule,
    /// `/Traces`
    BatchGetTraces,
    /// `/TraceSummaries`
    GetTraceSummaries,
    /// `/ServiceGraph`
    GetServiceGraph,
    /// `/TraceGraph`
    GetTraceGraph,
}

impl Operation {
    /// Whether it only asks about traces, which can take long: it is answered of a snapshot ([`read`]).
    #[must_use]
    pub const fn reads_traces(self) -> bool {
        matches!(
            self,
            Self::BatchGetTraces | Self::GetTraceSummaries | Self::GetServiceGraph | Self::GetTraceGraph
        )
    }

    /// All of them.
    pub const ALL: [Self; 12] = [
        Self::PutTraceSegments,
        Self::PutTelemetryRecords,
        Self::GetSamplingRules,
        Self::GetSamplingTargets,
        Self::GetSamplingStatisticSummaries,
        Self::CreateSamplingRule,
        Self::UpdateSamplingRule,
        Self::DeleteSamplingRule,
        Self::BatchGetTraces,
        Self::GetTraceSummaries,
        Self::GetServiceGraph,
        Self::GetTraceGraph,
    ];

    /// The path it is posted to.
    #[must_use]
    pub const fn path(self) -> &'static str {
        match self {
            Self::PutTraceSegments => "/TraceSegments",
            Self::PutTelemetryRecords => "/TelemetryRecords",
            Self::GetSamplingRules => "/GetSamplingRules",
            Self::GetSamplingTargets => "/SamplingTargets",
            Self::GetSamplingStatisticSummaries => "/SamplingStatisticSummaries",
            Self::CreateSamplingRule => "/CreateSamplingRule",
            Self::UpdateSamplingRule => "/UpdateSamplingRule",
            Self::DeleteSamplingRule => "/DeleteSamplingRule",
            Self::BatchGetTraces => "/Traces",
            Self::GetTraceSummaries => "/TraceSummaries",
            Self::GetServiceGraph => "/ServiceGraph",
            Self::GetTraceGraph => "/TraceGraph",
        }
    }

    /// The operation of a request, if it is one.
    #[must_use]
    pub fn of(method: &str, path: &str) -> Option<Self> {
        if method != "POST" {
            return None;
        }
        Self::ALL.into_iter().find(|operation| operation.path() == path)
    }
}

/// Whoever has a say about the documents of a call, besides the service, and sees which it takes.
pub trait Overseer {
    /// Whether the document at this place in the call is to be refused, whatever the service thinks of it: code and
    /// message.
    fn refuse(&mut self, position: usize, document: &str) -> Option<(String, String)>;

    /// The document was taken, as it was sent.
    fn taken(&mut self, document: String);

    /// A daemon's report about itself was taken. The service keeps none: nobody asks for them.
    fn reported(&mut self, _report: TelemetryReport) {}
}

/// Nobody.
struct Unseen;

impl Overseer for Unseen {
    fn refuse(&mut self, _: usize, _: &str) -> Option<(String, String)> {
        None
    }

    fn taken(&mut self, _: String) {}
}

/// Refusals that are remembered for people to look at; the oldest are forgotten.
const MAX_REFUSED: usize = 100;

/// The most characters of a refused document's id, name and reason that are remembered: they may be all of it.
const SHOWN_CHARS: usize = 500;

/// A document that was not taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// When.
    pub at: SystemTime,
    /// What the answer said.
    pub refusal: Refusal,
    /// The document's `name`, when it has one.
    pub name: Option<String>,
}

/// The service's whole state.
#[derive(Debug)]
pub struct Service {
    traces: Traces,
    refused: VecDeque<Refused>,
    refused_count: u64,
    sampling: Sampling,
}

#[derive(Deserialize)]
struct PutTraceSegments<T> {
    #[serde(rename = "TraceSegmentDocuments", default = "Option::default")]
    documents: Option<Documents<T>>,
}

/// The documents of a call. Those beyond [`MAX_DOCUMENTS`] are counted, not kept: nobody reads them.
struct Documents<T> {
    first: Vec<T>,
    count: usize,
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Documents<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Counting<T>(PhantomData<T>);
        impl<'de, T: Deserialize<'de>> Visitor<'de> for Counting<T> {
            type Value = Documents<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list of documents")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Documents<T>, A::Error> {
                let (mut first, mut count) = (Vec::new(), 0);
                while count < MAX_DOCUMENTS {
                    let Some(document) = list.next_element()? else {
                        return Ok(Documents { first, count });
                    };
                    first.push(document);
                    count += 1;
                }
                while list.next_element::<IgnoredAny>()?.is_some() {
                    count += 1;
                }
                Ok(Documents { first, count })
            }
        }
        deserializer.deserialize_seq(Counting(PhantomData))
    }
}

impl Service {
    /// Empty, with the default sampling rule.
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        Self {
            traces: Traces::new(limits),
            refused: VecDeque::new(),
            refused_count: 0,
            sampling: Sampling::new(),
        }
    }

    /// Answers one request. `path` is below the endpoint's own path, without a query.
    pub fn handle(&mut self, method: &str, path: &str, body: &[u8], now: SystemTime) -> Answer {
        self.handle_overseen(method, path, body, &mut Unseen, now)
    }

    /// As [`Service::handle`], with somebody who watches over the documents.
    pub fn handle_overseen(
        &mut self,
        method: &str,
        path: &str,
        body: &[u8],
        overseer: &mut dyn Overseer,
        now: SystemTime,
    ) -> Answer {
        match Operation::of(method, path) {
            Some(Operation::PutTraceSegments) => self.put_trace_segments(body, overseer, now),
            Some(Operation::PutTelemetryRecords) => Self::put_telemetry_records(body, overseer),
            Some(Operation::GetSamplingRules) => Answer::ok(&self.sampling.rules_answer()),
            Some(Operation::GetSamplingTargets) => sampled(self.sampling.targets_answer(body, now)),
            Some(Operation::GetSamplingStatisticSummaries) => Answer::ok(&self.sampling.summaries_answer()),
            Some(Operation::CreateSamplingRule) => sampled(self.sampling.create(body, now)),
            Some(Operation::UpdateSamplingRule) => sampled(self.sampling.update(body, now)),
            Some(Operation::DeleteSamplingRule) => sampled(self.sampling.delete(body, now)),
            Some(
                operation @ (Operation::BatchGetTraces
                | Operation::GetTraceSummaries
                | Operation::GetServiceGraph
                | Operation::GetTraceGraph),
            ) => read(operation, &self.traces.snapshot(), body, now, &Work::new()),
            None => Answer::error(404, "UnknownOperationException", "Unknown operation"),
        }
    }

    /// The traces that are kept.
    #[must_use]
    pub fn traces(&self) -> &Traces {
        &self.traces
    }

    /// The traces, to clear or to save them.
    pub fn traces_mut(&mut self) -> &mut Traces {
        &mut self.traces
    }

    /// How many documents were not taken, and the latest of them, newest first.
    pub fn refused(&self) -> (u64, impl Iterator<Item = &Refused>) {
        (self.refused_count, self.refused.iter().rev())
    }

    /// Takes a document that was kept on disk under `key`; one that cannot be read is left out.
    pub fn restore(&mut self, key: u64, text: &str, otlp: bool, at: SystemTime) {
        if let Some(outline) = outline::outline(text) {
            self.traces.restore(key, outline, text, otlp, at);
        }
    }

    /// Replaces the sampling rules; the default rule stays unless `rules` has one of that name.
    pub fn set_sampling_rules(&mut self, rules: Vec<SamplingRule>, now: SystemTime) {
        self.sampling.set_rules(rules, now);
    }

    fn put_trace_segments(&mut self, body: &[u8], overseer: &mut dyn Overseer, now: SystemTime) -> Answer {
        let documents = match parse_documents::<String>(body) {
            Ok(documents) => documents,
            Err(answer) => return answer,
        };
        let mut unprocessed = Vec::new();
        for (position, document) in documents.into_iter().enumerate() {
            let verdict = match overseer.refuse(position, &document) {
                Some((code, message)) => Err(Refusal {
                    id: segment::id_of(&document),
                    code,
                    message,
                }),
                None => segment::check(&document),
            };
            match verdict.and_then(|_| self.keep(&document, now)) {
                Ok(()) => overseer.taken(document),
                Err(refusal) => {
                    unprocessed.push(entry(&refusal));
                    self.remember(refusal, &document, now);
                }
            }
        }
        Answer::ok(&json!({ "UnprocessedTraceSegments": unprocessed }))
    }

    /// Puts a document that was checked into its trace; the spans of an OTLP document into theirs.
    fn keep(&mut self, document: &str, now: SystemTime) -> Result<(), Refusal> {
        if !otlp::is_otlp(document) {
            if let Some(outline) = outline::outline(document) {
                self.traces.insert(outline, document, false, now);
            }
            return Ok(());
        }
        // Believed, as what the answer to broken base64 is.
        let spans = otlp::documents(document).ok_or_else(|| Refusal {
            id: None,
            code: "ParseError".to_owned(),
            message: "Invalid segment. ErrorCode: ParseError".to_owned(),
        })?;
        for (outline, text) in spans {
            self.traces.insert(outline, &text, true, now);
        }
        Ok(())
    }

    fn remember(&mut self, refusal: Refusal, document: &str, at: SystemTime) {
        self.refused_count += 1;
        if self.refused.len() == MAX_REFUSED {
            self.refused.pop_front();
        }
        let name = segment::name_of(document).map(shown);
        let refusal = Refusal {
            id: refusal.id.map(shown),
            message: shown(refusal.message),
            ..refusal
        };
        self.refused.push_back(Refused { at, refusal, name });
    }

    fn put_telemetry_records(body: &[u8], overseer: &mut dyn Overseer) -> Answer {
        let report: TelemetryReport = match serde_json::from_slice(body) {
            Ok(report) => report,
            Err(error) => return Answer::malformed(&error.to_string()),
        };
        if let Some(broken) = report.broken_limit() {
            return Answer::invalid(&broken);
        }
        overseer.reported(report);
        Answer::ok(&json!({}))
    }
}

/// Answers an operation that only asks about traces ([`Operation::reads_traces`]); `now` is the answer's time.
#[must_use]
pub fn read(operation: Operation, traces: &Snapshot, body: &[u8], now: SystemTime, work: &Work) -> Answer {
    match operation {
        Operation::BatchGetTraces => api::batch_get_traces(traces, body, work),
        Operation::GetTraceSummaries => api::get_trace_summaries(traces, body, now, work),
        Operation::GetServiceGraph => api::get_service_graph(traces, body, work),
        Operation::GetTraceGraph => api::get_trace_graph(traces, body, work),
        _ => Answer::error(404, "UnknownOperationException", "Unknown operation"),
    }
}

fn sampled(answer: Result<Value, SamplingError>) -> Answer {
    match answer {
        Ok(answer) => Answer::ok(&answer),
        Err(SamplingError::Serialization(message)) => Answer::malformed(&message),
        Err(SamplingError::Invalid(message)) => Answer::invalid(&message),
        Err(SamplingError::TooMany(message)) => Answer::error(400, "RuleLimitExceededException", &message),
    }
}

/// As much of a text as is remembered.
fn shown(mut text: String) -> String {
    if let Some((end, _)) = text.char_indices().nth(SHOWN_CHARS) {
        text.truncate(end);
        text.push('…');
        text.shrink_to_fit();
    }
    text
}

/// How many documents are in a body of `PutTraceSegments`; they are not looked at.
///
/// # Errors
/// The answer to a body that is not the model's JSON, or has more than [`MAX_DOCUMENTS`].
pub fn count_documents(body: &[u8]) -> Result<usize, Answer> {
    parse_documents::<IgnoredAny>(body).map(|documents| documents.len())
}

/// The documents of a `PutTraceSegments` body, or the answer to a bad one.
fn parse_documents<'a, T: Deserialize<'a>>(body: &'a [u8]) -> Result<Vec<T>, Answer> {
    let call: PutTraceSegments<T> =
        serde_json::from_slice(body).map_err(|error| Answer::malformed(&error.to_string()))?;
    let documents = call
        .documents
        .ok_or_else(|| Answer::invalid("TraceSegmentDocuments is required"))?;
    if documents.count > MAX_DOCUMENTS {
        return Err(Answer::invalid(&format!(
            "Exceeding maximum segment count: {MAX_DOCUMENTS}"
        )));
    }
    Ok(documents.first)
}

/// One entry of `UnprocessedTraceSegments`; without `Id` when the document shows none.
fn entry(refusal: &Refusal) -> Value {
    let mut entry = json!({"ErrorCode": refusal.code, "Message": refusal.message});
    if let Some(id) = &refusal.id {
        entry["Id"] = json!(id);
    }
    entry
}

#[cfg(test)]
mod tests;
