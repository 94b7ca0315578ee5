//! The API's operations that read traces: BatchGetTraces, GetTraceSummaries, GetServiceGraph, GetTraceGraph and
//! GetTimeSeriesServiceStatistics.
//!
//! Fields follow botocore's model (2016-04-12) and the guide's examples. HasFault, HasError and HasThrottle speak of the
//! root segment; the model says of HasThrottle alone that any segment counts, which no published example shows, and
//! which would part it from the keyword `throttle`. What is **believed** or our own:
//! - a trace is inside a time range when its first segment starts in it; the time inside an id is not checked by the
//!   service, and W3C ids have none. With the `TimeRangeType` Event and Service, when any of it is in the range, as the
//!   guide says of events;
//! - a range is 24 hours at most for summaries and 6 for maps and statistics;
//! - an end of the range without a fraction means the whole of that second, since SDKs cut the fraction off;
//! - pages of 100; a trace is on the page of its start, newest first;
//! - an answer of BatchGetTraces has no more than 16 MiB of documents: traces beyond are named as unprocessed, and the rest of
//!   a trace that is larger alone is left out, with `LimitExceeded`;
//! - `LimitExceeded` also when subsegments that were sent apart would be more than 63 deep in their segment's document:
//!   they stand beside it then, with the `parent_id` they were sent with;
//! - `Sampling` with the strategy `FixedRate` gives that share of the traces, always the same ones;
//! - a node's `State` is `active` when it sent segments, and `unknown` when it is known from its callers, as in the
//!   guide's example;
//! - without a selector, statistics are those of the requests that came in, each counted once; periods in which nothing
//!   happened are left out.

mod series;

use std::collections::HashSet;
use std::hash::Hash;
use std::time::SystemTime;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

pub(super) use series::series;

use super::answer::Answer;
use super::digest::{Digest, Part, ServiceKey};
use super::graph::{Graph, Statistics};
use super::groups::Groups;
use super::merge;
use super::model::Scalar;
use super::request::{first_page, read, unknown_token};
use super::traces::{Cursor, Snapshot, Trace};
use super::work::{Ended, Work};

/// Traces on one page of summaries.
const PAGE: usize = 100;

/// The most ids in one call, by the API's documentation.
const MAX_IDS: usize = 5;

/// The longest range of summaries.
const MAX_SUMMARIES_HOURS: u32 = 24;

/// The longest range of a map or of statistics.
const MAX_GRAPH_HOURS: u32 = 6;

/// The most text of documents in one answer. AWS's own bound of a trace is 500 KB.
pub(super) const MAX_ANSWER_BYTES: usize = 16 << 20;

/// The most names of one sort that a summary has; of services, that there are more is one of them.
const MAX_NAMES: usize = 1_000;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Ids {
    trace_ids: Option<Vec<String>>,
    next_token: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Range {
    start_time: Option<f64>,
    end_time: Option<f64>,
    time_range_type: Option<String>,
    filter_expression: Option<String>,
    sampling: Option<bool>,
    sampling_strategy: Option<Strategy>,
    next_token: Option<String>,
    group_name: Option<String>,
    #[serde(rename = "GroupARN")]
    group_arn: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Strategy {
    name: Option<String>,
    value: Option<f64>,
}

/// `POST /Traces`.
pub(super) fn batch_get_traces(traces: &Snapshot, body: &[u8], work: &Work) -> Answer {
    let ids = match ids(body) {
        Ok(ids) => ids,
        Err(answer) => return answer,
    };
    let (mut found, mut unprocessed, mut room) = (Vec::new(), Vec::new(), MAX_ANSWER_BYTES);
    for id in ids {
        if let Err(ended) = work.spend(1) {
            return Answer::invalid(&ended.to_string());
        }
        match traces.get(&id) {
            // The first one is answered as far as there is room; the others whole, or in a call of their own.
            Some(trace) if found.is_empty() || trace.text_bytes() <= room => {
                room = room.saturating_sub(trace.text_bytes());
                found.push(whole_trace(trace));
            }
            _ => unprocessed.push(id),
        }
    }
    Answer::ok(&BatchAnswer {
        traces: found,
        unprocessed_trace_ids: unprocessed,
    })
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct BatchAnswer<'a> {
    traces: Vec<WholeTrace<'a>>,
    unprocessed_trace_ids: Vec<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct WholeTrace<'a> {
    id: &'a str,
    duration: f64,
    limit_exceeded: bool,
    segments: Vec<Segment>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Segment {
    pub(super) id: String,
    pub(super) document: String,
}

fn whole_trace(trace: &Trace) -> WholeTrace<'_> {
    let (segments, is_cut) = segments(trace);
    WholeTrace {
        id: &trace.id,
        duration: seconds(trace.digest().duration()),
        limit_exceeded: trace.limit_exceeded || is_cut,
        segments,
    }
}

/// The segments of a trace, and whether they are not all of it, or not all where they belong.
pub(super) fn segments(trace: &Trace) -> (Vec<Segment>, bool) {
    let documents = trace.first_documents(MAX_ANSWER_BYTES);
    let texts: Vec<&str> = documents.iter().map(|document| &*document.text).collect();
    let merged = merge::merged(&texts);
    let segments = merged.segments.into_iter();
    (
        segments.map(|(id, document)| Segment { id, document }).collect(),
        merged.too_deep || documents.len() < trace.documents.len(),
    )
}

/// `POST /TraceSummaries`.
pub(super) fn get_trace_summaries(
    traces: &Snapshot,
    groups: &Groups,
    body: &[u8],
    now: SystemTime,
    work: &Work,
) -> Answer {
    let range: Range = match read(body) {
        Ok(range) => range,
        Err(answer) => return answer,
    };
    let (start, end) = match range.times(MAX_SUMMARIES_HOURS) {
        Ok(times) => times,
        Err(answer) => return answer,
    };
    let by_event = match range.time_range_type.as_deref() {
        None | Some("TraceId") => false,
        Some("Event" | "Service") => true,
        Some(_) => return Answer::invalid("TimeRangeType is TraceId, Event or Service"),
    };
    let share = match range.share() {
        Ok(share) => share,
        Err(answer) => return answer,
    };
    let filter = match groups.filter(range.filter_expression.as_deref().unwrap_or_default()) {
        Ok(filter) => filter,
        Err(error) => return Answer::invalid(&error.to_string()),
    };
    let before = match range.next_token.as_deref().map(Cursor::of_text) {
        None => None,
        Some(Some(cursor)) => Some(cursor),
        Some(None) => return unknown_token(),
    };
    let (mut page, mut examined, mut next) = (Vec::new(), 0, None);
    for trace in traces.newest_first(before.as_ref()) {
        if let Err(ended) = work.spend(1) {
            return Answer::invalid(&ended.to_string());
        }
        let digest = trace.digest();
        if digest.start < start && !by_event {
            break;
        }
        if digest.start > end || digest.end < start || !is_in_share(&digest.id, share) {
            continue;
        }
        if page.len() == PAGE {
            next = page.last().map(|(cursor, _): &(Cursor, Value)| cursor.to_text());
            break;
        }
        examined += 1;
        match filter.judge(&digest, work) {
            Ok(true) => {
                let mut summary = summary(trace, &digest);
                if by_event {
                    summary["MatchedEventTime"] = json!(digest.start.max(start));
                }
                page.push((trace.cursor(), summary));
            }
            Ok(false) => {}
            Err(ended) => return Answer::invalid(&ended.to_string()),
        }
    }
    let page: Vec<Value> = page.into_iter().map(|(_, summary)| summary).collect();
    let now = now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let mut answer = json!({
        "TraceSummaries": page,
        "ApproximateTime": now.as_secs_f64(),
        "TracesProcessedCount": examined,
    });
    if let Some(next) = next {
        answer["NextToken"] = json!(next);
    }
    Answer::ok(&answer)
}

fn summary(trace: &Trace, digest: &Digest) -> Value {
    let mut services = distinct(digest.parts.iter().map(|part| &part.service));
    let more = ServiceKey::more(services.len().saturating_sub(MAX_NAMES));
    if services.len() > MAX_NAMES {
        services.truncate(MAX_NAMES);
        services.push(&more);
    }
    let root = digest.root_marks();
    let mut summary = json!({
        "Id": digest.id,
        "StartTime": digest.start,
        "Duration": seconds(digest.duration()),
        "HasFault": root.fault,
        "HasError": root.error,
        "HasThrottle": root.throttle,
        "IsPartial": digest.in_progress,
        "Http": http(digest),
        "Annotations": annotations(digest),
        "Users": users(digest),
        "ServiceIds": services.iter().map(|service| service_id(service)).collect::<Vec<Value>>(),
        "ResourceARNs": each(digest, "ARN", |part| part.resource_arn.as_deref()),
        "InstanceIds": each(digest, "Id", |part| part.instance_id.as_deref()),
        "AvailabilityZones": each(digest, "Name", |part| part.availability_zone.as_deref()),
        "Revision": i32::try_from(trace.revision()).unwrap_or(i32::MAX),
    });
    if let Some(response_time) = digest.response_time() {
        summary["ResponseTime"] = json!(seconds(response_time));
    }
    if let Some(entry) = digest.entry_part() {
        summary["EntryPoint"] = service_id(&entry.service);
    }
    summary
}

fn http(digest: &Digest) -> Value {
    let mut http = Map::new();
    if let Some(entry) = digest.entry_part() {
        let own = &entry.http;
        let texts = [
            ("HttpURL", &own.url),
            ("HttpMethod", &own.method),
            ("UserAgent", &own.user_agent),
            ("ClientIp", &own.client_ip),
        ];
        for (name, text) in texts {
            if let Some(text) = text {
                http.insert(name.to_owned(), json!(text));
            }
        }
        if let Some(status) = own.status.and_then(|status| i32::try_from(status).ok()) {
            http.insert("HttpStatus".to_owned(), json!(status));
        }
    }
    Value::Object(http)
}

fn annotations(digest: &Digest) -> Value {
    let mut all: Map<String, Value> = Map::new();
    let mut left = MAX_NAMES;
    for part in &digest.parts {
        for (key, scalar) in part.annotations.iter().take(left) {
            left -= 1;
            let value = match scalar {
                Scalar::Text(text) => json!({ "StringValue": text }),
                Scalar::Number(number) => json!({ "NumberValue": number }),
                Scalar::Bool(flag) => json!({ "BooleanValue": flag }),
            };
            let entry = json!({"AnnotationValue": value, "ServiceIds": [service_id(&part.service)]});
            if let Value::Array(values) = all.entry(key.clone()).or_insert_with(|| json!([])) {
                values.push(entry);
            }
        }
    }
    Value::Object(all)
}

fn users(digest: &Digest) -> Vec<Value> {
    let users = digest.parts.iter().filter_map(|part| {
        let user = part.user.as_ref()?;
        Some(json!({"UserName": user, "ServiceIds": [service_id(&part.service)]}))
    });
    users.take(MAX_NAMES).collect()
}

fn each(digest: &Digest, field: &str, of: impl Fn(&Part) -> Option<&str>) -> Vec<Value> {
    distinct(digest.parts.iter().filter_map(of))
        .into_iter()
        .take(MAX_NAMES)
        .map(|text| json!({ field: text }))
        .collect()
}

/// Each once, in the order of the first of its kind.
fn distinct<T: Eq + Hash + Copy>(all: impl Iterator<Item = T>) -> Vec<T> {
    let mut seen = HashSet::new();
    all.filter(|one| seen.insert(*one)).collect()
}

fn service_id(service: &ServiceKey) -> Value {
    let mut id = json!({"Name": service.name, "Names": [service.name]});
    if !service.kind.is_empty() {
        id["Type"] = json!(service.kind);
    }
    id
}

/// `POST /ServiceGraph`.
pub(super) fn get_service_graph(traces: &Snapshot, groups: &Groups, body: &[u8], work: &Work) -> Answer {
    let range: Range = match read(body) {
        Ok(range) => range,
        Err(answer) => return answer,
    };
    let checked = first_page(range.next_token.as_deref()).and_then(|()| range.times(MAX_GRAPH_HOURS));
    let (start, end) = match checked {
        Ok(times) => times,
        Err(answer) => return answer,
    };
    let filter = match groups.named(range.group_name.as_deref(), range.group_arn.as_deref()) {
        Ok(filter) => filter,
        Err(answer) => return answer,
    };
    let mut digests = Vec::new();
    for digest in traces.newest_first(None).map(Trace::digest) {
        if let Err(ended) = work.spend(digest.size()) {
            return Answer::invalid(&ended.to_string());
        }
        if !(start..=end).contains(&digest.start) {
            continue;
        }
        match filter.judge(&digest, work) {
            Ok(true) => digests.push(digest),
            Ok(false) => {}
            Err(ended) => return Answer::invalid(&ended.to_string()),
        }
    }
    let graph = Graph::of(digests.iter().map(AsRef::as_ref));
    Answer::ok(&json!({
        "StartTime": range.start_time,
        "EndTime": range.end_time,
        "Services": services(&graph),
        "ContainsOldGroupVersions": false,
    }))
}

/// `POST /TraceGraph`.
pub(super) fn get_trace_graph(traces: &Snapshot, body: &[u8], work: &Work) -> Answer {
    let ids = match ids(body) {
        Ok(ids) => ids,
        Err(answer) => return answer,
    };
    let found = distinct(ids.iter()).into_iter().filter_map(|id| traces.get(id));
    match services_of(found, work) {
        Ok(services) => Answer::ok(&json!({ "Services": services })),
        Err(ended) => Answer::invalid(&ended.to_string()),
    }
}

/// The nodes of the map of these traces.
pub(super) fn services_of<'a>(
    traces: impl Iterator<Item = &'a Trace>,
    work: &Work,
) -> Result<Vec<Value>, Ended> {
    let digests: Vec<_> = traces.map(Trace::digest).collect();
    work.spend(digests.iter().map(|digest| digest.size()).sum())?;
    Ok(services(&Graph::of(digests.iter().map(AsRef::as_ref))))
}

fn services(graph: &Graph) -> Vec<Value> {
    let services = graph.nodes.iter().enumerate().map(|(at, node)| {
        let edges: Vec<Value> = graph
            .edges_of(at)
            .map(|edge| {
                json!({
                    "ReferenceId": edge.to,
                    "StartTime": edge.statistics.start,
                    "EndTime": edge.statistics.end,
                    "SummaryStatistics": statistics(&edge.statistics),
                    "ResponseTimeHistogram": histogram(&edge.statistics),
                    "Aliases": [],
                })
            })
            .collect();
        let mut service = service_id(&node.service);
        service["ReferenceId"] = json!(at);
        service["StartTime"] = json!(node.statistics.start);
        service["EndTime"] = json!(node.statistics.end);
        service["Edges"] = json!(edges);
        if node.service.kind == "client" {
            service["State"] = json!("unknown");
            return service;
        }
        if node.root {
            service["Root"] = json!(true);
        }
        service["State"] = json!(if node.active { "active" } else { "unknown" });
        service["SummaryStatistics"] = statistics(&node.statistics);
        service["DurationHistogram"] = json!(histogram(&node.statistics));
        service["ResponseTimeHistogram"] = json!(histogram(&node.statistics));
        service
    });
    services.collect()
}

fn statistics(statistics: &Statistics) -> Value {
    json!({
        "OkCount": statistics.ok,
        "ErrorStatistics": {
            "ThrottleCount": statistics.throttle,
            "OtherCount": statistics.error,
            "TotalCount": statistics.throttle + statistics.error,
        },
        "FaultStatistics": {"OtherCount": statistics.fault, "TotalCount": statistics.fault},
        "TotalCount": statistics.count(),
        "TotalResponseTime": seconds(statistics.total_s()),
    })
}

fn histogram(statistics: &Statistics) -> Vec<Value> {
    let entries = statistics.rounded().into_iter();
    entries
        .map(|(value, count)| json!({"Value": value, "Count": count}))
        .collect()
}

impl Range {
    /// Both ends in seconds since 1970, inclusive.
    fn times(&self, max_hours: u32) -> Result<(f64, f64), Answer> {
        let (Some(start), Some(end)) = (self.start_time, self.end_time) else {
            return Err(Answer::invalid("StartTime and EndTime are required"));
        };
        if start > end {
            return Err(Answer::invalid("StartTime is after EndTime"));
        }
        if end - start > f64::from(max_hours * 3_600) {
            return Err(Answer::invalid(&format!(
                "Time range cannot be longer than {max_hours} hours"
            )));
        }
        Ok((start, if end.fract() == 0.0 { end + 1.0 } else { end }))
    }

    /// Which share of the traces is asked for.
    fn share(&self) -> Result<f64, Answer> {
        let strategy = self
            .sampling_strategy
            .as_ref()
            .filter(|_| self.sampling == Some(true));
        let Some(strategy) = strategy else { return Ok(1.0) };
        match (strategy.name.as_deref(), strategy.value) {
            (None | Some("PartialScan"), _) | (Some("FixedRate"), None) => Ok(1.0),
            (Some("FixedRate"), Some(share)) if (0.0..=1.0).contains(&share) => Ok(share),
            (Some("FixedRate"), Some(_)) => Err(Answer::invalid("Value is not between 0 and 1")),
            _ => Err(Answer::invalid("SamplingStrategy is PartialScan or FixedRate")),
        }
    }
}

/// Whether a trace is in this share of all, by its id (FNV-1a), so that it is on every page or on none.
fn is_in_share(id: &str, share: f64) -> bool {
    let step = |hash: u32, byte: u8| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193);
    share >= 1.0 || f64::from(id.bytes().fold(0x811c_9dc5, step)) < share * f64::from(u32::MAX)
}

fn ids(body: &[u8]) -> Result<Vec<String>, Answer> {
    let Ids {
        trace_ids,
        next_token,
    } = read(body)?;
    first_page(next_token.as_deref())?;
    let ids = trace_ids.ok_or_else(|| Answer::invalid("TraceIds is required"))?;
    if ids.len() > MAX_IDS {
        return Err(Answer::invalid(&format!(
            "{} trace ids exceed the maximum of {MAX_IDS}",
            ids.len()
        )));
    }
    Ok(ids)
}

/// Whole microseconds, so that differences of times do not show the noise of binary fractions.
pub(super) fn seconds(seconds: f64) -> f64 {
    (seconds * 1e6).round() / 1e6
}

#[cfg(test)]
mod tests;
