//! Insights: nobody looks for any here, so there are none. GetInsightSummaries, GetInsight, GetInsightEvents,
//! GetInsightImpactGraph.
//!
//! Limits are the model's; the answer for an insight that there is not is **believed**.

use std::time::{Duration, SystemTime};

use serde::Deserialize;
use serde_json::{Value, json};

use crate::answer::Answer;
use crate::groups::Groups;
use crate::request::{first_page, read, required};

/// How long ago an insight may have started.
const MAX_AGE: Duration = Duration::from_secs(30 * 24 * 60 * 60);

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Summaries {
    states: Option<Vec<String>>,
    #[serde(rename = "GroupARN")]
    group_arn: Option<String>,
    group_name: Option<String>,
    start_time: Option<f64>,
    end_time: Option<f64>,
    max_results: Option<u64>,
    next_token: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct One {
    insight_id: Option<String>,
}

/// `GetInsightSummaries`: none.
pub(crate) fn summaries(groups: &Groups, body: &[u8], now: SystemTime) -> Result<Value, Answer> {
    let request: Summaries = read(body)?;
    first_page(request.next_token.as_deref())?;
    groups.named(request.group_name.as_deref(), request.group_arn.as_deref())?;
    let start = required(request.start_time, "StartTime")?;
    let end = required(request.end_time, "EndTime")?;
    if start > end {
        return Err(Answer::invalid("StartTime is after EndTime"));
    }
    let oldest = now
        .checked_sub(MAX_AGE)
        .and_then(|oldest| oldest.duration_since(SystemTime::UNIX_EPOCH).ok())
        .unwrap_or_default();
    if start < oldest.as_secs_f64() {
        return Err(Answer::invalid("StartTime is more than 30 days ago"));
    }
    let states = request.states.unwrap_or_default();
    if states.len() > 1 || states.iter().any(|state| state != "ACTIVE" && state != "CLOSED") {
        return Err(Answer::invalid("States has ACTIVE or CLOSED"));
    }
    if request.max_results.is_some_and(|most| !(1..=100).contains(&most)) {
        return Err(Answer::invalid("MaxResults is not between 1 and 100"));
    }
    Ok(json!({ "InsightSummaries": [] }))
}

/// `GetInsight`, `GetInsightEvents` and `GetInsightImpactGraph`: whatever is asked for is not there.
pub(crate) fn one(body: &[u8]) -> Result<Value, Answer> {
    let request: One = read(body)?;
    let id = required(request.insight_id, "InsightId")?;
    let lengths: Vec<usize> = id.split('-').map(str::len).collect();
    let is_id = lengths == [8, 4, 4, 4, 12] && id.chars().all(|c| c == '-' || c.is_ascii_hexdigit());
    if !is_id {
        return Err(Answer::invalid("InsightId is no UUID"));
    }
    Err(Answer::invalid("There is no such insight"))
}
