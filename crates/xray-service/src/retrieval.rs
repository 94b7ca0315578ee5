//! Trace retrieval: StartTraceRetrieval, ListRetrievedTraces, GetRetrievedTracesGraph, CancelTraceRetrieval.
//!
//! At X-Ray they read what was stored beyond indexing, in time; here a retrieval is complete as soon as it is asked for.
//! Fields and limits are the model's. That a trace of more than 100 spans goes on under the same id is **believed**.

use std::collections::VecDeque;

use serde::Deserialize;
use serde_json::{Value, json};

use crate::answer::Answer;
use crate::api;
use crate::request::{bounded, missing, read, required, unknown_token};
use crate::traces::{Snapshot, Trace};
use crate::work::Work;

/// Retrievals that are remembered; the oldest are forgotten.
const MAX_RETRIEVALS: usize = 100;

/// The most traces of one retrieval.
const MAX_IDS: usize = 100;

/// The most traces on one page.
const PAGE: usize = 5;

/// The most spans of a trace on one page.
const SPANS: usize = 100;

/// What was asked for, by token.
#[derive(Debug, Clone, Default)]
pub(crate) struct Retrievals {
    retrievals: VecDeque<Retrieval>,
    made: u64,
}

#[derive(Debug, Clone)]
struct Retrieval {
    token: String,
    ids: Vec<String>,
    /// Seconds since 1970, both ends inclusive.
    start: f64,
    end: f64,
    cancelled: bool,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Start {
    trace_ids: Option<Vec<String>>,
    start_time: Option<f64>,
    end_time: Option<f64>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Retrieved {
    retrieval_token: Option<String>,
    trace_format: Option<String>,
    next_token: Option<String>,
}

impl Retrieval {
    const fn status(&self) -> &'static str {
        if self.cancelled { "CANCELLED" } else { "COMPLETE" }
    }

    fn traces<'a>(&'a self, traces: &'a Snapshot) -> impl Iterator<Item = &'a Trace> {
        let ids = self.ids.iter().filter(|_| !self.cancelled);
        ids.filter_map(|id| traces.get(id)).filter(|trace| {
            let digest = trace.digest();
            digest.start <= self.end && digest.end >= self.start
        })
    }
}

impl Retrievals {
    /// `StartTraceRetrieval`.
    pub(crate) fn start(&mut self, body: &[u8]) -> Result<Value, Answer> {
        let request: Start = read(body)?;
        let mut ids = required(request.trace_ids, "TraceIds")?;
        if ids.len() > MAX_IDS {
            return Err(Answer::invalid(&format!(
                "{} trace ids exceed the maximum of {MAX_IDS}",
                ids.len()
            )));
        }
        for id in &ids {
            bounded(id, "A trace id", 1, 35)?;
        }
        ids.sort();
        ids.dedup();
        let start = required(request.start_time, "StartTime")?;
        let end = required(request.end_time, "EndTime")?;
        if start > end {
            return Err(Answer::invalid("StartTime is after EndTime"));
        }
        if self.retrievals.len() == MAX_RETRIEVALS {
            self.retrievals.pop_front();
        }
        self.made += 1;
        let token = format!("retrieval-{}", self.made);
        self.retrievals.push_back(Retrieval {
            token: token.clone(),
            ids,
            start,
            // SDKs cut the fraction off.
            end: if end.fract() == 0.0 { end + 1.0 } else { end },
            cancelled: false,
        });
        Ok(json!({ "RetrievalToken": token }))
    }

    /// `ListRetrievedTraces`.
    pub(crate) fn list(&self, traces: &Snapshot, body: &[u8], work: &Work) -> Result<Value, Answer> {
        let request: Retrieved = read(body)?;
        let retrieval = self.find(&request)?;
        match request.trace_format.as_deref() {
            None | Some("XRAY") => {}
            Some("OTEL") => return Err(Answer::invalid("TraceFormat OTEL is not supported here")),
            Some(_) => return Err(Answer::invalid("TraceFormat is XRAY or OTEL")),
        }
        let from: usize = match request.next_token.as_deref() {
            None | Some("") => 0,
            Some(token) => token.parse().map_err(|_| unknown_token())?,
        };
        let (mut page, mut number, mut room, mut more) = (Vec::new(), 0, api::MAX_ANSWER_BYTES, false);
        for trace in retrieval.traces(traces) {
            work.spend(trace.documents.len() as u64)?;
            for (piece, bytes) in pieces(trace) {
                number += 1;
                if number <= from {
                    continue;
                }
                // The first one has as much room as there is anywhere.
                more = page.len() == PAGE || (!page.is_empty() && bytes > room);
                if more {
                    break;
                }
                room = room.saturating_sub(bytes);
                page.push(piece);
            }
            if more {
                break;
            }
        }
        if from > 0 && page.is_empty() {
            return Err(unknown_token());
        }
        let next = from + page.len();
        let mut answer = json!({
            "RetrievalStatus": retrieval.status(),
            "TraceFormat": "XRAY",
            "Traces": page,
        });
        if more {
            answer["NextToken"] = json!(next.to_string());
        }
        Ok(answer)
    }

    /// `GetRetrievedTracesGraph`, on one page.
    pub(crate) fn graph(&self, traces: &Snapshot, body: &[u8], work: &Work) -> Result<Value, Answer> {
        let request: Retrieved = read(body)?;
        let retrieval = self.find(&request)?;
        crate::request::first_page(request.next_token.as_deref())?;
        let services: Vec<Value> = api::services_of(retrieval.traces(traces), work)?
            .into_iter()
            .map(|service| json!({"Service": service, "Links": []}))
            .collect();
        Ok(json!({"RetrievalStatus": retrieval.status(), "Services": services}))
    }

    /// `CancelTraceRetrieval`.
    pub(crate) fn cancel(&mut self, body: &[u8]) -> Result<Value, Answer> {
        let request: Retrieved = read(body)?;
        let token = self.find(&request)?.token.clone();
        for retrieval in &mut self.retrievals {
            retrieval.cancelled |= retrieval.token == token;
        }
        Ok(json!({}))
    }

    fn find(&self, request: &Retrieved) -> Result<&Retrieval, Answer> {
        let token = required(request.retrieval_token.as_deref(), "RetrievalToken")?;
        let mut retrievals = self.retrievals.iter();
        let found = retrievals.find(|retrieval| retrieval.token == token);
        found.ok_or_else(|| missing("There is no such retrieval"))
    }
}

/// A trace in pieces of as many spans as a page takes, each with the length of its documents.
fn pieces(trace: &Trace) -> Vec<(Value, usize)> {
    let duration = api::seconds(trace.digest().duration());
    let (segments, _) = api::segments(trace);
    segments
        .chunks(SPANS)
        .map(|spans| {
            let bytes = spans.iter().map(|span| span.document.len()).sum();
            (
                json!({"Id": trace.id, "Duration": duration, "Spans": spans}),
                bytes,
            )
        })
        .collect()
}
