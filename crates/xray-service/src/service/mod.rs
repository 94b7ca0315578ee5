//! The X-Ray API: one request and the time in, one answer out. No I/O, no clock, no signatures, no faults.
//!
//! Answers follow botocore's model (2016-04-12) and what public reports show. What nobody has published is marked
//! **believed**:
//! - the text of a malformed request's error, and its code `SerializationException`;
//! - 200 for an empty list of documents;
//! - 404 `UnknownOperationException` for every path and method outside the API.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;
use std::time::SystemTime;

use serde::de::{IgnoredAny, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::{Value, json};
use xray_document::cause::cause;
use xray_document::segment;
use xray_document::{otlp, outline};

use crate::answer::Answer;
use crate::filter::{Filter, FilterError};
use crate::groups::Groups;
use crate::insights;
use crate::policies::Policies;
use crate::request::first_page_of;
use crate::retrieval::Retrievals;
use crate::sampling::{Reported, Sampling, SamplingError, SamplingRule};
use crate::settings::Settings;
use crate::tags::{self, Tags};
use crate::telemetry::TelemetryReport;
use crate::traces::{Limits, Traces};
use crate::work::Work;

pub use self::view::View;
pub use crate::operation::Operation;
pub use xray_document::segment::Refusal;

/// The most documents in one `PutTraceSegments` call; enforced by the service, not part of the model.
pub const MAX_DOCUMENTS: usize = 50;

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
    groups: Arc<Groups>,
    tags: Tags,
    policies: Policies,
    settings: Settings,
    retrievals: Arc<Retrievals>,
    tells_causes: bool,
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
            groups: Arc::new(Groups::new()),
            tags: Tags::default(),
            policies: Policies::default(),
            settings: Settings::new(),
            retrievals: Arc::default(),
            tells_causes: false,
        }
    }

    /// From now on a refusal says what is wrong with the document and where, in the `Cause` of its message, which
    /// X-Ray leaves out or gives as `null`.
    pub fn tell_causes(&mut self) {
        self.tells_causes = true;
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
        let Some(operation) = Operation::of(method, path) else {
            return Answer::unknown_operation();
        };
        if operation.reads_traces() {
            return self.view().read(operation, body, now, &Work::new());
        }
        let answer = match operation {
            Operation::PutTraceSegments => return self.put_trace_segments(body, overseer, now),
            Operation::PutTelemetryRecords => return Self::put_telemetry_records(body, overseer),
            Operation::GetSamplingRules => first_page_of(body).map(|()| self.sampling.rules_answer()),
            Operation::GetSamplingTargets => self.sampling.targets_answer(body, now).map_err(Answer::from),
            Operation::GetSamplingStatisticSummaries => {
                first_page_of(body).map(|()| self.sampling.summaries_answer())
            }
            Operation::CreateSamplingRule => self.create_sampling_rule(body, now),
            Operation::UpdateSamplingRule => self.sampling.update(body, now).map_err(Answer::from),
            Operation::DeleteSamplingRule => self.delete_sampling_rule(body, now),
            Operation::GetGroups => self.groups.all(body),
            Operation::GetGroup => self.groups.get(body),
            Operation::CreateGroup => self.create_group(body),
            Operation::UpdateGroup => Arc::make_mut(&mut self.groups).update(body),
            Operation::DeleteGroup => self.delete_group(body),
            Operation::GetInsightSummaries => insights::summaries(&self.groups, body, now),
            Operation::GetInsight | Operation::GetInsightEvents | Operation::GetInsightImpactGraph => {
                insights::one(body)
            }
            Operation::GetEncryptionConfig => Ok(Settings::encryption()),
            Operation::PutEncryptionConfig => Settings::put_encryption(body),
            Operation::GetTraceSegmentDestination => Ok(Settings::destination()),
            Operation::UpdateTraceSegmentDestination => Settings::update_destination(body),
            Operation::GetIndexingRules => self.settings.indexing_rules(body),
            Operation::UpdateIndexingRule => self.settings.update_indexing(body, now),
            Operation::ListResourcePolicies => self.policies.list(body),
            Operation::PutResourcePolicy => self.policies.put(body, now),
            Operation::DeleteResourcePolicy => self.policies.delete(body),
            Operation::ListTagsForResource => self.tags.list(body, exists(&self.groups, &self.sampling)),
            Operation::TagResource => self.tags.tag(body, exists(&self.groups, &self.sampling)),
            Operation::UntagResource => self.tags.untag(body, exists(&self.groups, &self.sampling)),
            Operation::StartTraceRetrieval => Arc::make_mut(&mut self.retrievals).start(body),
            Operation::CancelTraceRetrieval => Arc::make_mut(&mut self.retrievals).cancel(body),
            Operation::BatchGetTraces
            | Operation::GetTraceSummaries
            | Operation::GetServiceGraph
            | Operation::GetTraceGraph
            | Operation::GetTimeSeriesServiceStatistics
            | Operation::ListRetrievedTraces
            | Operation::GetRetrievedTracesGraph => Err(Answer::unknown_operation()),
        };
        answer.map_or_else(|refusal| refusal, |answer| Answer::ok(&answer))
    }

    /// What questions are asked of, as it is at this moment. Takes time with the number of traces, not with their size.
    #[must_use]
    pub fn view(&self) -> View {
        View {
            traces: self.traces.snapshot(),
            groups: Arc::clone(&self.groups),
            retrievals: Arc::clone(&self.retrievals),
        }
    }

    /// Reads a filter expression in which groups may be named.
    ///
    /// # Errors
    /// As [`Filter::parse_with`].
    pub fn filter(&self, text: &str) -> Result<Filter, FilterError> {
        self.groups.filter(text)
    }

    /// What SDKs have reported about their requests since the start, by sampling rule.
    #[must_use]
    pub fn reported(&self) -> &BTreeMap<String, Reported> {
        self.sampling.reported()
    }

    /// Goes up with every report, document and refusal, so that it tells whether there is anything new to show.
    #[must_use]
    pub fn news(&self) -> u64 {
        self.traces.revision() + self.sampling.reports() + self.refused_count
    }

    fn create_group(&mut self, body: &[u8]) -> Result<Value, Answer> {
        let tags = tags::of_new(body)?;
        let (answer, arn) = Arc::make_mut(&mut self.groups).create(body)?;
        self.tags.set(arn, tags);
        Ok(answer)
    }

    fn delete_group(&mut self, body: &[u8]) -> Result<Value, Answer> {
        let (answer, arn) = Arc::make_mut(&mut self.groups).delete(body)?;
        self.tags.forget(&arn);
        Ok(answer)
    }

    fn create_sampling_rule(&mut self, body: &[u8], now: SystemTime) -> Result<Value, Answer> {
        let tags = tags::of_new(body)?;
        let answer = self.sampling.create(body, now)?;
        self.tags.set(rule_arn(&answer), tags);
        Ok(answer)
    }

    fn delete_sampling_rule(&mut self, body: &[u8], now: SystemTime) -> Result<Value, Answer> {
        let answer = self.sampling.delete(body, now)?;
        self.tags.forget(&rule_arn(&answer));
        Ok(answer)
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
                Err(mut refusal) => {
                    if self.tells_causes {
                        add_cause(&mut refusal, &document);
                    }
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
        let name = segment::name_of(document);
        self.add_refused(1, Refused { at, refusal, name });
    }

    /// Notes that so many datagrams were refused before any was a document, the latest of them for the reason
    /// `message`.
    pub fn note_refused_datagrams(&mut self, datagrams: u64, message: &str, at: SystemTime) {
        let refusal = Refusal {
            id: None,
            code: "Datagram".to_owned(),
            message: message.to_owned(),
        };
        let name = None;
        self.add_refused(datagrams, Refused { at, refusal, name });
    }

    fn add_refused(&mut self, number: u64, latest: Refused) {
        self.refused_count += number;
        if self.refused.len() == MAX_REFUSED {
            self.refused.pop_front();
        }
        let Refused { at, refusal, name } = latest;
        self.refused.push_back(Refused {
            at,
            refusal: Refusal {
                id: refusal.id.map(shown),
                message: shown(refusal.message),
                ..refusal
            },
            name: name.map(shown),
        });
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

/// Puts what is wrong with a document into the message of its refusal.
fn add_cause(refusal: &mut Refusal, document: &str) {
    if let Some(cause) = cause(document) {
        let said = refusal.message.trim_end_matches(", Cause: null");
        refusal.message = format!("{said}, Cause: {cause}");
    }
}

/// Whether there is a group or a sampling rule with an ARN.
fn exists<'a>(groups: &'a Groups, sampling: &'a Sampling) -> impl Fn(&str) -> bool + 'a {
    move |arn| groups.has_arn(arn) || sampling.has_arn(arn)
}

/// The ARN in an answer about a sampling rule.
fn rule_arn(answer: &Value) -> String {
    let arn = &answer["SamplingRuleRecord"]["SamplingRule"]["RuleARN"];
    arn.as_str().unwrap_or_default().to_owned()
}

impl From<SamplingError> for Answer {
    fn from(error: SamplingError) -> Self {
        match error {
            SamplingError::Serialization(message) => Self::malformed(&message),
            SamplingError::Invalid(message) => Self::invalid(&message),
            SamplingError::TooMany(message) => Self::error(400, "RuleLimitExceededException", &message),
        }
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
mod view;
