//! A trace in a few words, as lists have it: in the page, in a terminal, and on the wire between the two and the store.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::api::seconds;
use crate::digest::Digest;
use crate::model::{Marks, Scalar};

/// The most services and annotations of one trace in a list.
const MAX_SHOWN: usize = 100;

/// One trace in a list.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Row {
    /// The trace id.
    pub id: String,
    /// The earliest start, in seconds since 1970.
    pub start: f64,
    /// From there to the latest end, in seconds.
    pub duration_s: f64,
    /// How long the first service took, in seconds; `None` while it works.
    pub response_time_s: Option<f64>,
    /// The name of the first service, or of what stands for it.
    pub name: String,
    /// Of its request.
    pub method: Option<String>,
    /// As sent.
    pub url: Option<String>,
    /// Of its response.
    pub status: Option<i64>,
    /// Those that sent segments, each once; of very many the first, and how many more there are.
    pub services: Vec<String>,
    /// The work of services.
    pub segments: usize,
    /// Parts of segments, nested or sent on their own.
    pub subsegments: usize,
    /// Of any segment or subsegment.
    pub fault: bool,
    /// Of any.
    pub error: bool,
    /// Of any.
    pub throttle: bool,
    /// Something in it has no end yet.
    pub in_progress: bool,
    /// The first service has not ended, or where there is none, something has not.
    pub open: bool,
    /// Every named parent is there, and nothing is in progress.
    pub whole: bool,
    /// The first segment names a parent that has not come.
    pub headless: bool,
    /// What is odd about its times.
    pub note: Option<String>,
    /// The first that is named.
    pub user: Option<String>,
    /// By their keys.
    pub annotations: Map<String, Value>,
    /// Where it failed, if it did.
    pub failure: Option<Failed>,
}

/// Where a trace failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failed {
    /// The name of the segment or subsegment.
    #[serde(rename = "in")]
    pub place: String,
    /// The service whose work that is.
    pub service: String,
    /// The class of its exception.
    #[serde(rename = "type")]
    pub kind: Option<String>,
    /// What that says, its beginning.
    pub message: Option<String>,
    /// The status of the response.
    pub status: Option<i64>,
    /// All of it in one line.
    pub text: String,
}

impl Row {
    /// Of what is known about a trace.
    #[must_use]
    pub fn of(digest: &Digest) -> Self {
        let entry = digest.entry_part();
        let http = entry.map(|entry| &entry.http);
        let more = digest.services.len().saturating_sub(MAX_SHOWN);
        let services = digest.services.iter().take(MAX_SHOWN).cloned();
        let more = (more > 0).then(|| format!("{more} more"));
        Self {
            id: digest.id.clone(),
            start: digest.start,
            duration_s: seconds(digest.duration()),
            response_time_s: digest.response_time().map(seconds),
            name: digest.name.clone(),
            method: http.and_then(|http| http.method.clone()),
            url: http.and_then(|http| http.url.clone()),
            status: http.and_then(|http| http.status),
            services: services.chain(more).collect(),
            segments: digest.segments,
            subsegments: digest.subsegments,
            fault: digest.marks.fault,
            error: digest.marks.error,
            throttle: digest.marks.throttle,
            in_progress: digest.in_progress,
            open: entry.map_or(digest.in_progress, |entry| entry.in_progress),
            whole: digest.whole,
            headless: digest.headless,
            note: digest.note(),
            user: digest.parts.iter().find_map(|part| part.user.clone()),
            annotations: digest
                .annotations()
                .take(MAX_SHOWN)
                .map(|(key, value)| (key.clone(), value_of(value)))
                .collect(),
            failure: digest.failure.as_deref().map(|failure| Failed {
                place: failure.name.clone(),
                service: failure.inside.clone().unwrap_or_else(|| failure.name.clone()),
                kind: failure.said.as_ref().and_then(|said| said.kind.clone()),
                message: failure.said.as_ref().and_then(|said| said.message.clone()),
                status: failure.status,
                text: failure.text(),
            }),
        }
    }

    /// fault, error, throttle.
    #[must_use]
    pub const fn marks(&self) -> Marks {
        Marks {
            fault: self.fault,
            error: self.error,
            throttle: self.throttle,
        }
    }
}

fn value_of(value: &Scalar) -> Value {
    match value {
        Scalar::Text(text) => json!(text),
        Scalar::Number(number) => json!(number),
        Scalar::Bool(flag) => json!(flag),
    }
}
