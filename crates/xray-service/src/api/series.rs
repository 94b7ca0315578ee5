//! GetTimeSeriesServiceStatistics: how often, how well and how fast, over time.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Value, json};

use super::{MAX_GRAPH_HOURS, Range, histogram, statistics};
use crate::answer::Answer;
use crate::digest::Digest;
use crate::filter::EntitySelector;
use crate::graph::Statistics;
use crate::groups::Groups;
use crate::model::Marks;
use crate::request::{bounded, first_page, read};
use crate::traces::{Snapshot, Trace};
use crate::work::Work;

/// The length of a period when the request has none, in seconds.
const PERIOD_S: u32 = 60;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Request {
    #[serde(flatten)]
    range: Range,
    entity_selector_expression: Option<String>,
    period: Option<u32>,
    forecast_statistics: Option<bool>,
}

/// One piece of work that is counted.
struct Piece {
    start: f64,
    end: f64,
    in_progress: bool,
    marks: Marks,
}

/// `POST /TimeSeriesServiceStatistics`.
pub(crate) fn series(traces: &Snapshot, groups: &Groups, body: &[u8], work: &Work) -> Result<Value, Answer> {
    let request: Request = read(body)?;
    let range = &request.range;
    first_page(range.next_token.as_deref())?;
    let (start, end) = range.times(MAX_GRAPH_HOURS)?;
    let group = groups.named(range.group_name.as_deref(), range.group_arn.as_deref())?;
    let period_s = request.period.unwrap_or(PERIOD_S);
    if period_s == 0 {
        return Err(Answer::invalid("Period is not at least 1"));
    }
    let selector = match &request.entity_selector_expression {
        None => None,
        Some(text) => {
            bounded(text, "EntitySelectorExpression", 1, 500)?;
            let selector =
                EntitySelector::parse(text).map_err(|error| Answer::invalid(&error.to_string()))?;
            Some(selector)
        }
    };
    if request.forecast_statistics == Some(true) && selector.is_none() {
        return Err(Answer::invalid(
            "ForecastStatistics needs an EntitySelectorExpression",
        ));
    }
    let mut periods: BTreeMap<i64, Statistics> = BTreeMap::new();
    for digest in traces.newest_first(None).map(Trace::digest) {
        work.spend(digest.size())?;
        if digest.start > end || digest.end < start || !group.judge(&digest, work)? {
            continue;
        }
        for piece in selected(&digest, selector.as_ref()) {
            if (start..=end).contains(&piece.start) {
                let period = (piece.start / f64::from(period_s)).floor() as i64;
                periods.entry(period).or_default().add(
                    piece.start,
                    piece.end,
                    piece.in_progress,
                    piece.marks,
                );
            }
        }
    }
    let summary = match selector {
        Some(EntitySelector::Service(_)) => "ServiceSummaryStatistics",
        None | Some(EntitySelector::Edge(..)) => "EdgeSummaryStatistics",
    };
    let points: Vec<Value> = periods
        .iter()
        .map(|(period, counted)| {
            json!({
                "Timestamp": period * i64::from(period_s),
                summary: statistics(counted),
                "ResponseTimeHistogram": histogram(counted),
            })
        })
        .collect();
    Ok(json!({"TimeSeriesServiceStatistics": points, "ContainsOldGroupVersions": false}))
}

fn selected(digest: &Digest, selector: Option<&EntitySelector>) -> Vec<Piece> {
    if let Some(EntitySelector::Service(service)) = selector {
        let parts = digest.parts.iter().filter(|part| service.takes(&part.service));
        let work = parts.map(|part| Piece {
            start: part.start,
            end: part.end,
            in_progress: part.in_progress,
            marks: part.marks,
        });
        return work.collect();
    }
    let calls = digest.calls.iter().filter(|call| {
        let (from, to) = (&digest.parts[call.from].service, &digest.parts[call.to].service);
        match selector {
            Some(EntitySelector::Edge(caller, called)) => caller.takes(from) && called.takes(to),
            _ => from.kind == "client",
        }
    });
    let work = calls.map(|call| Piece {
        start: call.start,
        end: call.end,
        in_progress: call.in_progress,
        marks: call.marks,
    });
    work.collect()
}
