//! The X-Ray API: one request and the time in, one answer out. No I/O, no clock, no signatures, no faults.
//!
//! Answers follow botocore's model (2016-04-12) and what public reports show. What nobody has published is marked
//! **believed**:
//! - the text of a malformed request's error, and its code `SerializationException`;
//! - 200 for an empty list of documents;
//! - 404 `UnknownOperationException` for every path and method outside the API.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::SystemTime;

use serde_json::{Value, json};
use xray_document::outline;
use xray_document::segment;

use crate::answer::Answer;
use crate::filter::{Filter, FilterError};
use crate::groups::Groups;
use crate::insights;
use crate::logs::{Line, Logs};
use crate::policies::Policies;
use crate::request::first_page_of;
use crate::retrieval::Retrievals;
use crate::sampling::{Reported, Sampling, SamplingError, SamplingRule};
use crate::settings::Settings;
use crate::tags::{self, Tags};
use crate::telemetry::TelemetryReport;
use crate::traces::{Incoming, Limits, Traces};
use crate::work::Work;

use self::put::Checked;
pub use self::put::{MAX_DOCUMENTS, count_documents};
pub use self::view::View;
pub use crate::operation::Operation;
pub use crate::refused::Refused;
pub use xray_document::segment::Refusal;

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

/// The service's whole state.
#[derive(Debug)]
pub struct Service {
    traces: Traces,
    refused: Arc<VecDeque<Refused>>,
    refused_count: u64,
    sampling: Sampling,
    groups: Arc<Groups>,
    tags: Tags,
    policies: Policies,
    settings: Settings,
    retrievals: Arc<Retrievals>,
    tells_causes: bool,
    logs: Logs,
}

impl Service {
    /// Empty, with the default sampling rule.
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        Self {
            traces: Traces::new(limits),
            refused: Arc::default(),
            refused_count: 0,
            sampling: Sampling::new(),
            groups: Arc::new(Groups::new()),
            tags: Tags::default(),
            policies: Policies::default(),
            settings: Settings::new(),
            retrievals: Arc::default(),
            tells_causes: false,
            logs: Logs::new(limits.max_bytes),
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
            refused: Arc::clone(&self.refused),
        }
    }

    /// Reads a filter expression in which groups may be named.
    ///
    /// # Errors
    /// As [`Filter::parse_with`].
    pub fn filter(&self, text: &str) -> Result<Filter, FilterError> {
        self.groups.filter(text)
    }

    /// Reads what a person asks for ([`Filter::parse_question`]).
    ///
    /// # Errors
    /// As there.
    pub fn question(&self, text: &str) -> Result<Filter, FilterError> {
        self.groups.question(text)
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
            self.traces.restore(key, Incoming::new(outline, text, otlp), at);
        }
    }

    /// Takes a document out of a file ([`crate::import`]).
    pub fn import(&mut self, incoming: Incoming, now: SystemTime) {
        self.traces.insert(incoming, now);
    }

    /// Keeps a line of a log beside its trace; who looks at that is told.
    pub fn log(&mut self, trace_id: &str, line: Line) {
        self.logs.insert(trace_id, line);
        self.traces.touch(trace_id);
    }

    /// Puts a text behind the last line of a trace that came from `source`.
    pub fn log_goes_on(&mut self, trace_id: &str, source: &str, text: &str) {
        self.logs.go_on(trace_id, source, text);
    }

    /// Lines of logs.
    #[must_use]
    pub const fn logs(&self) -> &Logs {
        &self.logs
    }

    /// Replaces the sampling rules; the default rule stays unless `rules` has one of that name.
    pub fn set_sampling_rules(&mut self, rules: Vec<SamplingRule>, now: SystemTime) {
        self.sampling.set_rules(rules, now);
    }

    fn put_trace_segments(&mut self, body: &[u8], overseer: &mut dyn Overseer, now: SystemTime) -> Answer {
        put::answer(body, |position, document| {
            let checked = match overseer.refuse(position, &document) {
                Some((code, message)) => Checked::refused(document, code, message),
                None => Checked::of(document, self.tells_causes),
            };
            overseer.taken(self.put(checked, now)?);
            Ok(())
        })
    }

    /// Whether a refusal says what is wrong ([`Service::tell_causes`]).
    #[must_use]
    pub fn tells_causes(&self) -> bool {
        self.tells_causes
    }

    /// Puts a checked document into its trace, the spans of an OTLP document into theirs, and gives back its text.
    ///
    /// # Errors
    /// Why it was refused, which is remembered.
    pub fn put(&mut self, checked: Checked, now: SystemTime) -> Result<String, Refusal> {
        let Checked { document, found } = checked;
        match found {
            Ok(all) => {
                for one in all {
                    self.traces.insert(one, now);
                }
                Ok(document)
            }
            Err(refusal) => {
                self.remember(refusal.clone(), &document, now);
                Err(refusal)
            }
        }
    }

    fn remember(&mut self, refusal: Refusal, document: &str, at: SystemTime) {
        let name = segment::name_of(document);
        let trace_id = segment::trace_id_of(document);
        self.add_refused(
            1,
            Refused {
                at,
                refusal,
                name,
                trace_id,
            },
        );
    }

    /// Notes that so many datagrams were refused before any was a document, the latest of them for the reason
    /// `message`.
    pub fn note_refused_datagrams(&mut self, datagrams: u64, message: &str, at: SystemTime) {
        let refusal = Refusal {
            id: None,
            code: "Datagram".to_owned(),
            message: message.to_owned(),
        };
        self.add_refused(
            datagrams,
            Refused {
                at,
                refusal,
                name: None,
                trace_id: None,
            },
        );
    }

    fn add_refused(&mut self, number: u64, latest: Refused) {
        self.refused_count += number;
        let refused = Arc::make_mut(&mut self.refused);
        if refused.len() == MAX_REFUSED {
            refused.pop_front();
        }
        let Refused {
            at,
            refusal,
            name,
            trace_id,
        } = latest;
        refused.push_back(Refused {
            at,
            refusal: Refusal {
                id: refusal.id.map(shown),
                message: shown(refusal.message),
                ..refusal
            },
            name: name.map(shown),
            trace_id: trace_id.map(shown),
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

pub mod put;
#[cfg(test)]
mod tests;
mod view;
