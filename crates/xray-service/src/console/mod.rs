//! What the page asks: `/-/traces`, `/-/trace/ID`, `/-/latency`, `/-/graph`, `/-/operations`, `/-/stats`, `/-/events`.
//!
//! The answers are JSON with durations in seconds (`…_s`) and times in seconds since 1970. They are made for the page
//! that ships in the same binary, and may change with it; programs use the API.

mod selection;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::SystemTime;

use serde::Serialize;
use serde_json::{Map, Value, json};

use super::api::MAX_ANSWER_BYTES;
use super::digest::Digest;
use super::filter::{self, FilterError};
use super::graph::{Graph, Statistics};
use super::logs::Line;
use super::operations::Operations;
use super::row::Row;
use super::service::{Service, View};
use super::traces::{Changes, Cursor, Trace};
use super::work::{Ended, Work};
use selection::order;

pub use selection::Selection;

/// Traces in one answer when the page does not say.
const DEFAULT_LIMIT: usize = 100;

/// The most traces in one answer.
const MAX_LIMIT: usize = 1_000;

/// Refused documents in one answer.
const LATEST_REFUSED: usize = 20;

/// Changed traces that are looked at in one go, so that a burst does not hold the store for long.
pub const EVENTS_AT_ONCE: usize = 200;

/// Decoded parameters of a query.
pub type Query = HashMap<String, String>;

/// A request that cannot be answered.
#[derive(Debug, Clone, PartialEq)]
pub enum Wrong {
    /// 400, with the place in the filter where there is one.
    Request {
        /// What is wrong with it.
        message: String,
        /// Where in the filter, in characters from 0.
        position: Option<usize>,
    },
    /// 404.
    Missing,
}

impl From<Ended> for Wrong {
    fn from(ended: Ended) -> Self {
        Self::Request {
            message: ended.to_string(),
            position: None,
        }
    }
}

impl From<FilterError> for Wrong {
    fn from(error: FilterError) -> Self {
        Self::Request {
            message: error.message,
            position: Some(error.position),
        }
    }
}

/// `application/x-www-form-urlencoded`, as browsers write queries.
#[must_use]
pub fn query(text: &str) -> Query {
    text.split('&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            (decoded(name), decoded(value))
        })
        .collect()
}

/// Percent-decoded, `+` as a space; what is no escape stays.
#[must_use]
pub fn decoded(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let escape = (bytes[at] == b'%')
            .then(|| bytes.get(at + 1..at + 3))
            .flatten()
            .and_then(|digits| hex::decode(digits).ok());
        match escape {
            Some(byte) => {
                out.extend(byte);
                at += 3;
            }
            None => {
                out.push(if bytes[at] == b'+' { b' ' } else { bytes[at] });
                at += 1;
            }
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

fn filter_of(query: &Query) -> &str {
    query.get("filter").map(String::as_str).unwrap_or_default()
}

fn number<T: std::str::FromStr>(query: &Query, name: &str) -> Result<Option<T>, Wrong> {
    let Some(text) = query.get(name).filter(|text| !text.is_empty()) else {
        return Ok(None);
    };
    text.parse().map(Some).map_err(|_| Wrong::Request {
        message: format!("{name} is not a number"),
        position: None,
    })
}

/// `GET /-/traces?filter&start&end&service&operation&sort&offset&limit`, sorted.
fn sorted(view: &View, query: &Query, by: fn(&Digest) -> f64, work: &Work) -> Result<Value, Wrong> {
    let selection = Selection::of_view(view, query)?;
    let limit = limit(query)?;
    let offset = number(query, "offset")?.unwrap_or(0_usize);
    let mut all = Vec::new();
    for trace in view.traces.newest_first(None) {
        work.spend(1)?;
        let digest = trace.digest();
        if selection.judge(&digest, work)? {
            all.push((by(&digest), digest));
        }
    }
    // Stable: of equals the newest comes first.
    all.sort_by(|(a, _), (b, _)| b.total_cmp(a));
    let page = all.iter().skip(offset).take(limit);
    let page: Vec<Row> = page.map(|(_, digest)| Row::of(digest)).collect();
    let reached = offset.saturating_add(page.len());
    let next = (reached < all.len()).then(|| reached.to_string());
    Ok(json!({"traces": page, "next": next, "matched": all.len()}))
}

fn limit(query: &Query) -> Result<usize, Wrong> {
    let limit = number(query, "limit")?.unwrap_or(DEFAULT_LIMIT);
    Ok(limit.clamp(1, MAX_LIMIT))
}

/// `GET /-/operations?filter&start&end`
///
/// # Errors
/// When a parameter or the filter is wrong.
pub fn operations(view: &View, query: &Query, work: &Work) -> Result<Value, Wrong> {
    let selection = Selection::of_view(view, query)?;
    let mut operations = Operations::default();
    for trace in view.traces.newest_first(None) {
        let digest = trace.digest();
        work.spend(digest.size())?;
        if selection.judge(&digest, work)? {
            operations.add(&digest);
        }
    }
    let (busiest, more) = operations.busiest();
    let rows = busiest.iter().map(|(key, statistics)| {
        let mut row = numbers(statistics);
        row.insert("id".to_owned(), json!(key.service.id()));
        row.insert("service".to_owned(), json!(key.service.name));
        row.insert("type".to_owned(), json!(key.service.kind));
        row.insert("operation".to_owned(), json!(key.operation));
        row.insert("total_s".to_owned(), json!(statistics.total_s()));
        Value::Object(row)
    });
    Ok(json!({"operations": rows.collect::<Vec<_>>(), "more": more}))
}

/// `GET /-/traces?filter&start&end&service&operation&limit&before`, newest first; with `sort` and `offset` in place of `before`
/// in another order.
///
/// # Errors
/// When a parameter or the filter is wrong.
pub fn traces(view: &View, query: &Query, work: &Work) -> Result<Value, Wrong> {
    if let Some(by) = order(query)? {
        return sorted(view, query, by, work);
    }
    let selection = Selection::of_view(view, query)?;
    let traces = &view.traces;
    let limit = limit(query)?;
    let before = query.get("before").filter(|text| !text.is_empty());
    let before = before
        .map(|text| {
            Cursor::of_text(text).ok_or(Wrong::Request {
                message: "before is not a place that was given out".to_owned(),
                position: None,
            })
        })
        .transpose()?;
    let (mut page, mut matched, mut last, mut more) = (Vec::new(), 0_usize, None, false);
    for trace in traces.newest_first(None) {
        work.spend(1)?;
        let digest = trace.digest();
        if !selection.judge(&digest, work)? {
            continue;
        }
        matched += 1;
        let cursor = trace.cursor();
        if before.as_ref().is_some_and(|before| cursor >= *before) {
            continue;
        }
        if page.len() < limit {
            page.push(Row::of(&digest));
            last = Some(cursor);
        } else {
            more = true;
        }
    }
    let next = last.filter(|_| more).map(|cursor| cursor.to_text());
    Ok(json!({"traces": page, "next": next, "matched": matched}))
}

/// `GET /-/trace/ID`, as JSON.
///
/// # Errors
/// When there is no such trace.
pub fn trace(
    view: &View,
    id: &str,
    logs: &[Arc<Line>],
    now: SystemTime,
    work: &Work,
) -> Result<String, Wrong> {
    #[derive(Serialize)]
    struct Answer<'a> {
        id: &'a str,
        segments: Vec<Segment<'a>>,
        limit_exceeded: bool,
        hints: Vec<Said<'a>>,
        logs: Vec<Logged<'a>>,
    }
    #[derive(Serialize)]
    struct Logged<'a> {
        time: f64,
        source: &'a str,
        level: Option<&'a str>,
        text: &'a str,
        span: Option<&'a str>,
    }
    #[derive(Serialize)]
    struct Said<'a> {
        code: &'a str,
        text: &'a str,
        segments: &'a [String],
    }
    #[derive(Serialize)]
    struct Segment<'a> {
        id: &'a str,
        document: &'a str,
        otlp: bool,
    }
    // Also as tracing headers and OpenTelemetry write it.
    let id = filter::trace_id(id).ok_or(Wrong::Missing)?;
    let trace = view.traces.get(&id).ok_or(Wrong::Missing)?;
    let hints = view.hints(trace, now, work)?;
    // What is longer, no browser shows in a time that anyone waits.
    let documents = trace.first_documents(MAX_ANSWER_BYTES);
    let answer = Answer {
        id: &trace.id,
        segments: documents
            .iter()
            .map(|document| Segment {
                id: &document.id,
                document: &document.text,
                otlp: document.otlp,
            })
            .collect(),
        limit_exceeded: trace.limit_exceeded || documents.len() < trace.documents.len(),
        hints: hints
            .iter()
            .map(|hint| Said {
                code: &hint.code,
                text: &hint.text,
                segments: &hint.segments,
            })
            .collect(),
        logs: logs
            .iter()
            .map(|line| Logged {
                time: line.time,
                source: &line.source,
                level: line.level.as_deref(),
                text: &line.text,
                span: line.span.as_deref(),
            })
            .collect(),
    };
    serde_json::to_string(&answer).map_err(|error| Wrong::Request {
        message: error.to_string(),
        position: None,
    })
}

/// The trace of a path that asks for one, whose lines of logs are to be given to [`answer`].
#[must_use]
pub fn trace_of(path: &str) -> Option<String> {
    filter::trace_id(&decoded(path.strip_prefix("/-/trace/")?))
}

/// The answer to a question of the page about traces: `path` as in the request, without its query; `None` when there is
/// no such question.
pub fn answer(
    path: &str,
    query: &Query,
    view: &View,
    logs: &[Arc<Line>],
    now: SystemTime,
    work: &Work,
) -> Option<Result<String, Wrong>> {
    let answer = match path {
        "/-/traces" => traces(view, query, work),
        "/-/latency" => latency(view, query, work),
        "/-/graph" => graph(view, query, work),
        "/-/operations" => operations(view, query, work),
        _ => {
            let id = decoded(path.strip_prefix("/-/trace/")?);
            return Some(trace(view, &id, logs, now, work));
        }
    };
    Some(answer.map(|answer| answer.to_string()))
}

/// `GET /-/latency?filter&start&end&service&operation`
///
/// # Errors
/// When a parameter or the filter is wrong.
pub fn latency(view: &View, query: &Query, work: &Work) -> Result<Value, Wrong> {
    let selection = Selection::of_view(view, query)?;
    let traces = &view.traces;
    let mut all = Statistics::default();
    let (mut matched, mut flags) = (0_u64, [0_u64; 4]);
    for trace in traces.newest_first(None) {
        work.spend(1)?;
        let digest = trace.digest();
        if !selection.judge(&digest, work)? {
            continue;
        }
        matched += 1;
        let marks = digest.marks;
        // Counted as the keywords of these names find them.
        let root = digest.root_marks();
        let own = [root.fault, root.error, root.throttle, digest.in_progress];
        for (count, is) in flags.iter_mut().zip(own) {
            *count += u64::from(is);
        }
        if let Some(response_time) = digest.response_time() {
            all.add(0.0, response_time, false, marks);
        }
    }
    let [fault, error, throttle, in_progress] = flags;
    let mut answer = with_percentiles(&all);
    answer.insert("matched".to_owned(), json!(matched));
    answer.insert(
        "flags".to_owned(),
        json!({"fault": fault, "error": error, "throttle": throttle, "in_progress": in_progress}),
    );
    Ok(Value::Object(answer))
}

/// `GET /-/graph?filter&start&end&trace`
///
/// # Errors
/// When a parameter or the filter is wrong, or there is no such trace.
pub fn graph(view: &View, query: &Query, work: &Work) -> Result<Value, Wrong> {
    let selection = Selection::of_view(view, query)?;
    let traces = &view.traces;
    let only = query.get("trace").filter(|id| !id.is_empty());
    let asked: Vec<&Trace> = match only {
        Some(id) => traces.get(id).into_iter().collect(),
        None => traces.newest_first(None).collect(),
    };
    let mut digests = Vec::new();
    for trace in asked {
        let digest = trace.digest();
        work.spend(digest.size())?;
        if selection.judge(&digest, work)? {
            digests.push(digest);
        }
    }
    let graph = Graph::of(digests.iter().map(AsRef::as_ref));
    let nodes: Vec<Value> = graph
        .nodes
        .iter()
        .map(|node| {
            let mut value = with_percentiles(&node.statistics);
            value.insert("id".to_owned(), json!(node.service.id()));
            value.insert("name".to_owned(), json!(node.service.name));
            value.insert("type".to_owned(), json!(node.service.kind));
            Value::Object(value)
        })
        .collect();
    let edges: Vec<Value> = graph
        .edges
        .iter()
        .map(|edge| {
            let mut value = counts(&edge.statistics);
            value.insert("source".to_owned(), json!(graph.nodes[edge.from].service.id()));
            value.insert("target".to_owned(), json!(graph.nodes[edge.to].service.id()));
            Value::Object(value)
        })
        .collect();
    Ok(json!({"nodes": nodes, "edges": edges}))
}

fn counts(statistics: &Statistics) -> Map<String, Value> {
    let value = json!({
        "count": statistics.count(),
        "ok": statistics.ok,
        "error": statistics.error,
        "throttle": statistics.throttle,
        "fault": statistics.fault,
        "avg_s": statistics.average_s(),
    });
    match value {
        Value::Object(map) => map,
        _ => Map::new(),
    }
}

/// Counts and percentiles.
fn numbers(statistics: &Statistics) -> Map<String, Value> {
    let mut value = counts(statistics);
    let [p50, p95, p99, max] = statistics.percentiles_s([0.5, 0.95, 0.99, 1.0]);
    for (name, seconds) in [("p50_s", p50), ("p95_s", p95), ("p99_s", p99), ("max_s", max)] {
        value.insert(name.to_owned(), json!(seconds));
    }
    value
}

fn with_percentiles(statistics: &Statistics) -> Map<String, Value> {
    let mut value = numbers(statistics);
    let buckets: Vec<Value> = statistics
        .buckets()
        .into_iter()
        .map(|bucket| {
            json!({
                "from_s": bucket.from_s, "to_s": bucket.to_s, "ok": bucket.ok, "error": bucket.error,
                "throttle": bucket.throttle, "fault": bucket.fault
            })
        })
        .collect();
    value.insert("buckets".to_owned(), json!(buckets));
    value
}

/// What does not change while the process runs.
#[derive(Debug, Clone, Default)]
pub struct About {
    /// When it started, in seconds since 1970.
    pub started: f64,
    /// Where segments come in.
    pub udp: String,
    /// Where page and API are.
    pub tcp: String,
    /// Where traces are kept over restarts.
    pub store_file: Option<String>,
}

/// `GET /-/stats`
#[must_use]
pub fn stats(service: &Service, about: &About) -> Value {
    let traces = service.traces();
    let limits = traces.limits();
    let (count, latest) = service.refused();
    let latest: Vec<Value> = latest
        .take(LATEST_REFUSED)
        .map(|refused| {
            json!({
                "time": refused.at.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs_f64(),
                "id": refused.refusal.id,
                "name": refused.name,
                "code": refused.refusal.code,
                "message": refused.refusal.message,
            })
        })
        .collect();
    json!({
        "version": env!("CARGO_PKG_VERSION"),
        "started": about.started,
        "receiving": {"udp": about.udp, "tcp": about.tcp},
        "store": {
            "traces": traces.len(),
            "max_traces": limits.max_traces,
            "documents": traces.documents(),
            "bytes": traces.bytes(),
            "max_bytes": limits.max_bytes,
            "evicted_traces": traces.evicted(),
            "file": about.store_file,
        },
        "logs": {"lines": service.logs().lines(), "bytes": service.logs().bytes(), "dropped": service.logs().dropped()},
        "refused": {"count": count, "latest": latest},
        "sampling": service.reported().iter().map(|(rule, reported)| {
            json!({"rule": rule, "requests": reported.requests, "sampled": reported.sampled})
        }).collect::<Vec<Value>>(),
    })
}

/// What happened since somebody last looked, with the traces that changed.
#[derive(Debug)]
pub struct News {
    changes: Changes,
    traces: Vec<Arc<Trace>>,
}

impl News {
    /// Since `revision`; with `only`, of one trace. Takes little time: the store may be locked meanwhile.
    #[must_use]
    pub fn since(service: &Service, revision: u64, only: Option<&str>) -> Self {
        let changes = service.traces().changes_since(revision, EVENTS_AT_ONCE);
        let changed = changes.changed.iter();
        let wanted = changed.filter(|id| only.is_none_or(|only| only == *id));
        Self {
            traces: wanted.filter_map(|id| service.traces().share(id)).collect(),
            changes,
        }
    }

    /// Where the next look begins.
    #[must_use]
    pub fn revision(&self) -> u64 {
        self.changes.revision
    }

    /// As server-sent events, of what the filter takes.
    ///
    /// # Errors
    /// When the budget is spent, or nobody waits.
    pub fn events(&self, selection: &Selection, work: &Work) -> Result<String, Ended> {
        let mut text = String::new();
        let mut say = |event: &str, data: &Value| {
            text.push_str("event: ");
            text.push_str(event);
            // JSON on one line: its strings have no bare newlines.
            text.push_str("\ndata: ");
            text.push_str(&data.to_string());
            text.push_str("\n\n");
        };
        if self.changes.reset {
            say("reset", &json!({}));
        }
        if !self.changes.gone.is_empty() {
            say("gone", &json!({ "ids": self.changes.gone }));
        }
        for trace in &self.traces {
            let digest = trace.digest();
            if selection.judge(&digest, work)? {
                say("trace", &json!(Row::of(&digest)));
            }
        }
        Ok(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::traces::Limits;

    fn service(traces: u32) -> Service {
        let mut service = Service::new(Limits::default());
        for trace in 0..traces {
            let document = json!({
                "trace_id": format!("1-581cf771-{trace:024x}"), "id": "0000000000000001", "name": "shop",
                "start_time": 100 + trace, "end_time": 101 + trace, "fault": trace % 2 == 1, "user": "<b>ada</b>"
            });
            let body = json!({"TraceSegmentDocuments": [document.to_string()]}).to_string();
            service.handle("POST", "/TraceSegments", body.as_bytes(), SystemTime::UNIX_EPOCH);
        }
        service
    }

    fn view(traces: u32) -> View {
        service(traces).view()
    }

    fn events(service: &Service, revision: u64, asked: &str, only: Option<&str>) -> (String, u64) {
        let news = News::since(service, revision, only);
        let selection = Selection::of_service(service, &query(asked)).unwrap();
        (news.events(&selection, &Work::new()).unwrap(), news.revision())
    }

    #[test]
    fn the_list_is_paged_and_counts_all_that_match() {
        let service = service(5);
        let first = traces(
            &service.view(),
            &query("limit=2&filter=%20responsetime+%3D+1"),
            &Work::new(),
        )
        .unwrap();
        assert_eq!(
            (&first["matched"], first["traces"].as_array().unwrap().len()),
            (&json!(5), 2)
        );
        let next = first["next"].as_str().unwrap();
        let rest = traces(
            &service.view(),
            &query(&format!("limit=9&before={next}")),
            &Work::new(),
        )
        .unwrap();
        assert_eq!(
            (rest["traces"].as_array().unwrap().len(), &rest["next"]),
            (3, &Value::Null)
        );
        assert_eq!(rest["traces"][0]["start"], json!(102.0));
    }

    #[test]
    fn a_wrong_filter_is_refused_with_its_place() {
        let wrong = traces(&view(0), &query("filter=ok+AND"), &Work::new()).unwrap_err();
        assert_eq!(
            wrong,
            Wrong::Request {
                message: "a keyword expected, found the end".to_owned(),
                position: Some(6)
            }
        );
        assert!(latency(&view(0), &query("filter=x+%3D"), &Work::new()).is_err());
        assert!(graph(&view(0), &query("start=x"), &Work::new()).is_err());
    }

    #[test]
    fn latencies_and_flags_are_counted() {
        let answer = latency(&view(4), &query(""), &Work::new()).unwrap();
        assert_eq!(
            (&answer["matched"], &answer["fault"], &answer["p50_s"]),
            (&json!(4), &json!(2), &json!(1.0))
        );
        assert_eq!(answer["flags"]["fault"], json!(2));
        assert_eq!(
            latency(&view(4), &query("filter=fault"), &Work::new()).unwrap()["matched"],
            json!(2)
        );
    }

    #[test]
    fn a_graph_can_be_of_one_trace() {
        let service = service(4);
        let all = graph(&service.view(), &query(""), &Work::new()).unwrap();
        assert_eq!(all["edges"][0]["count"], json!(4));
        let one = graph(
            &service.view(),
            &query("trace=1-581cf771-000000000000000000000001"),
            &Work::new(),
        )
        .unwrap();
        assert_eq!(
            (&one["edges"][0]["count"], &one["edges"][0]["source"]),
            (&json!(1), &json!("Clients~client"))
        );
        assert_eq!(
            graph(&service.view(), &query("end=50"), &Work::new()).unwrap()["nodes"],
            json!([])
        );
    }

    #[test]
    fn events_are_of_what_matches_and_end_where_the_next_look_begins() {
        let service = service(3);
        let (text, revision) = events(&service, 0, "filter=fault", None);
        assert_eq!(text.matches("event: trace\n").count(), 1);
        assert!(text.ends_with("\n\n"));
        assert_eq!(
            events(&service, revision, "filter=fault", None),
            (String::new(), revision)
        );
        assert!(events(&service, 0, "", Some("gone")).0.is_empty());
        let (text, _) = events(&service, 0, "start=101.5&service=shop~", None);
        assert_eq!(text.matches("event: trace\n").count(), 1);
        let (text, _) = events(&service, 0, "service=shop~&operation=GET+%2F", None);
        assert_eq!(text, "");
    }

    #[test]
    fn a_list_can_be_sorted_and_of_a_span_of_time() {
        let mut service = service(3);
        let slow = json!({
            "trace_id": "1-581cf771-00000000000000000000000f", "id": "0000000000000001", "name": "shop", "start_time": 50,
            "end_time": 60, "subsegments": [{"id": "0000000000000002", "name": "a", "start_time": 50, "end_time": 51}]
        });
        let body = json!({"TraceSegmentDocuments": [slow.to_string()]}).to_string();
        service.handle("POST", "/TraceSegments", body.as_bytes(), SystemTime::UNIX_EPOCH);
        let starts = |asked: &str| {
            let answer = traces(&service.view(), &query(asked), &Work::new()).unwrap();
            let rows = answer["traces"].as_array().unwrap();
            let starts: Vec<f64> = rows.iter().map(|row| row["start"].as_f64().unwrap()).collect();
            (starts, answer["next"].clone(), answer["matched"].clone())
        };
        let all = json!(4);
        assert_eq!(
            starts("sort=duration&limit=2"),
            (vec![50.0, 102.0], json!("2"), all.clone())
        );
        assert_eq!(
            starts("sort=duration&offset=2&limit=2"),
            (vec![101.0, 100.0], Value::Null, all.clone())
        );
        assert_eq!(
            starts("sort=start"),
            (vec![102.0, 101.0, 100.0, 50.0], Value::Null, all)
        );
        assert_eq!(
            starts("start=100.5&end=101.5"),
            (vec![101.0], Value::Null, json!(1))
        );
        assert!(traces(&service.view(), &query("sort=name"), &Work::new()).is_err());
    }

    #[test]
    fn operations_are_counted_over_the_traces_that_are_asked_for() {
        let answer = operations(&view(4), &query("filter=fault"), &Work::new()).unwrap();
        let row = &answer["operations"][0];
        assert_eq!(
            (
                &row["service"],
                &row["operation"],
                &row["count"],
                &row["fault"],
                &row["p99_s"],
                &answer["more"]
            ),
            (
                &json!("shop"),
                &json!(""),
                &json!(2),
                &json!(2),
                &json!(1.0),
                &json!(0)
            )
        );
    }

    #[test]
    fn queries_are_decoded_as_browsers_write_them() {
        assert_eq!(decoded("a%20b+c%C3%A9%zz%2"), "a b cé%zz%2");
        assert_eq!(
            query("a=1&&b"),
            Query::from([("a".into(), "1".into()), ("b".into(), String::new())])
        );
    }
}
