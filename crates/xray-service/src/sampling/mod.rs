//! Central sampling: the rules that SDKs fetch, the quotas they are given, and the statistics they report.
//!
//! Field names and limits are those of botocore's model. How the service divides a reservoir is not published; here it
//! is divided evenly among the clients that reported lately, which is what makes an SDK's quota real. No clock: `now`
//! is passed in.

mod change;
mod file;

pub use file::rules_of_file;

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::request::ARN;

/// What clients are told as the time between reports; 10 s is what the SDKs use anyhow.
const INTERVAL: Duration = Duration::from_secs(10);

/// How long a quota holds, and how long a silent client keeps its share: two intervals, so that one late report costs
/// nobody a quota.
const QUOTA_TTL: Duration = Duration::from_secs(20);

/// The most statistics documents in one call, by the model.
const MAX_STATISTICS: usize = 25;

/// The length of a client id, by the model.
const CLIENT_ID_CHARS: usize = 24;

/// Clients that are remembered for dividing reservoirs; beyond it the longest silent one is forgotten.
const MAX_CLIENTS: usize = 1_000;

/// Reported statistics that are remembered; the oldest are forgotten.
const MAX_SUMMARIES: usize = 1_000;

/// The name of the rule that is always there.
const DEFAULT: &str = "Default";

/// One sampling rule, in the API's JSON. Absent matchers mean "any".
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub struct SamplingRule {
    /// At most 32 characters.
    pub rule_name: String,
    /// Filled in when absent.
    #[serde(rename = "RuleARN", default)]
    pub rule_arn: Option<String>,
    /// The SDKs use only rules with `*`.
    #[serde(rename = "ResourceARN", default = "any")]
    pub resource_arn: String,
    /// 1 to 9999, lowest first; the default rule has 10000.
    pub priority: u32,
    /// Share sampled beyond the reservoir, 0 to 1.
    pub fixed_rate: f64,
    /// Requests a second that are sampled before the rate counts.
    pub reservoir_size: u32,
    /// Matches the segment's name.
    #[serde(default = "any")]
    pub service_name: String,
    /// Matches the segment's origin.
    #[serde(default = "any")]
    pub service_type: String,
    /// Matches the Host header.
    #[serde(default = "any")]
    pub host: String,
    /// Matches the method.
    #[serde(rename = "HTTPMethod", default = "any")]
    pub http_method: String,
    /// Matches the path.
    #[serde(rename = "URLPath", default = "any")]
    pub url_path: String,
    /// 1; the SDKs use no other.
    #[serde(default = "one")]
    pub version: u32,
    /// Segment attributes to match; the SDKs use only rules without.
    #[serde(default)]
    pub attributes: BTreeMap<String, String>,
    /// Passed on as it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sampling_rate_boost: Option<SamplingRateBoost>,
}

/// By how much a rule's rate may rise on its own, by the model.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct SamplingRateBoost {
    /// 0 to 1.
    pub max_rate: f64,
    /// Minutes until it may rise again.
    pub cooldown_window_minutes: u32,
}

fn any() -> String {
    "*".to_owned()
}

const fn one() -> u32 {
    1
}

impl SamplingRule {
    /// A rule that matches every request.
    #[must_use]
    pub fn new(rule_name: &str, priority: u32, reservoir_size: u32, fixed_rate: f64) -> Self {
        Self {
            rule_name: rule_name.to_owned(),
            rule_arn: None,
            resource_arn: any(),
            priority,
            fixed_rate,
            reservoir_size,
            service_name: any(),
            service_type: any(),
            host: any(),
            http_method: any(),
            url_path: any(),
            version: one(),
            attributes: BTreeMap::new(),
            sampling_rate_boost: None,
        }
    }

    /// AWS's default rule: one request a second and 5 % of the rest.
    #[must_use]
    pub fn default_rule() -> Self {
        Self::new(DEFAULT, 10_000, 1, 0.05)
    }

    /// A default rule that samples every request, for whoever wants to see each.
    #[must_use]
    pub fn default_of_all() -> Self {
        Self::new(DEFAULT, 10_000, 1, 1.0)
    }

    /// Whether it is the rule for what no other matches.
    #[must_use]
    pub fn is_default(&self) -> bool {
        self.rule_name == DEFAULT
    }
}

/// Rules, clients and statistics.
#[derive(Debug, Clone)]
pub(super) struct Sampling {
    rules: Vec<Record>,
    modified_at: SystemTime,
    clients: BTreeMap<(String, String), SystemTime>,
    summaries: VecDeque<Summary>,
    /// By rule: of the rules that there are, and of no others.
    reported: BTreeMap<String, Reported>,
    /// Reports that were taken.
    reports: u64,
}

/// A rule and its times.
#[derive(Debug, Clone)]
struct Record {
    rule: SamplingRule,
    created_at: SystemTime,
    modified_at: SystemTime,
}

impl Record {
    const fn new(rule: SamplingRule, now: SystemTime) -> Self {
        Self {
            rule,
            created_at: now,
            modified_at: now,
        }
    }

    fn answer(&self) -> Value {
        let mut rule = self.rule.clone();
        rule.rule_arn.get_or_insert_with(|| arn(&self.rule.rule_name));
        json!({
            "SamplingRule": rule,
            "CreatedAt": epoch_seconds(self.created_at),
            "ModifiedAt": epoch_seconds(self.modified_at),
        })
    }
}

/// What one client reported about one rule.
#[derive(Debug, Clone, PartialEq)]
struct Summary {
    rule_name: String,
    timestamp: f64,
    requests: u64,
    borrowed: u64,
    sampled: u64,
}

/// What SDKs have reported about one rule since the start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Reported {
    /// Requests that the rule matched.
    pub requests: u64,
    /// Those of them that were traced.
    pub sampled: u64,
}

/// The statistics documents are looked at one by one, so that an odd one costs itself alone.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct TargetsRequest {
    sampling_statistics_documents: Vec<Value>,
}

/// One statistics document.
struct Statistics {
    rule_name: String,
    client_id: String,
    timestamp: f64,
    request_count: u64,
    sampled_count: u64,
    borrow_count: u64,
}

impl Statistics {
    /// Fields that nobody knows are left out, and a whole number may be written `3.0`. A time that is no number of
    /// seconds (some samplers write a text) becomes `now`: nothing depends on it. `SampledCount` may be called
    /// `SampleCount`, as the sampler of AWS's OpenTelemetry distribution for Python does.
    ///
    /// # Errors
    /// The field that is missing or odd, in words.
    fn of(document: &Value, now: SystemTime) -> Result<Self, String> {
        let text = |name: &str| {
            let value = document.get(name).and_then(Value::as_str);
            value
                .map(str::to_owned)
                .ok_or_else(|| format!("{name} is missing or no string"))
        };
        let client_id = text("ClientID")?;
        let chars = client_id.chars().count();
        if chars != CLIENT_ID_CHARS {
            return Err(format!("ClientID has {chars} characters, not {CLIENT_ID_CHARS}"));
        }
        Ok(Self {
            rule_name: text("RuleName")?,
            client_id,
            timestamp: document
                .get("Timestamp")
                .and_then(Value::as_f64)
                .unwrap_or_else(|| epoch_seconds(now)),
            request_count: count(document, "RequestCount")?
                .ok_or_else(|| "RequestCount is missing".to_owned())?,
            sampled_count: count(document, "SampledCount")?
                .or(count(document, "SampleCount")?)
                .ok_or_else(|| "SampledCount is missing".to_owned())?,
            borrow_count: count(document, "BorrowCount")?.unwrap_or_default(),
        })
    }
}

/// A count up to 2^31 - 1, the most that the model's integers hold.
fn count(document: &Value, name: &str) -> Result<Option<u64>, String> {
    let value = match document.get(name) {
        None | Some(Value::Null) => return Ok(None),
        Some(value) => value,
    };
    match value.as_f64() {
        Some(number) if number.fract() == 0.0 && (0.0..=f64::from(i32::MAX)).contains(&number) => {
            Ok(Some(number as u64))
        }
        _ => Err(format!("{name} is no count")),
    }
}

/// Why a sampling call is refused; both are 400.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum SamplingError {
    /// Not the JSON that the model describes.
    Serialization(String),
    /// A limit of the model is broken.
    Invalid(String),
    /// There are as many rules as there may be.
    TooMany(String),
}

impl Sampling {
    /// With the default rule alone.
    pub(super) fn new() -> Self {
        Self {
            rules: vec![Record::new(SamplingRule::default_rule(), SystemTime::UNIX_EPOCH)],
            // AWS gives the default rule the epoch as its times.
            modified_at: SystemTime::UNIX_EPOCH,
            clients: BTreeMap::new(),
            summaries: VecDeque::new(),
            reported: BTreeMap::new(),
            reports: 0,
        }
    }

    /// What SDKs have reported since the start, by rule.
    pub(super) fn reported(&self) -> &BTreeMap<String, Reported> {
        &self.reported
    }

    /// How many reports were taken, for whoever looks whether there are new ones.
    pub(super) const fn reports(&self) -> u64 {
        self.reports
    }

    /// Whether there is a rule with this ARN.
    pub(super) fn has_arn(&self, wanted: &str) -> bool {
        self.rules.iter().any(|record| {
            let own = record.rule.rule_arn.as_deref();
            own.map_or_else(|| arn(&record.rule.rule_name) == wanted, |own| own == wanted)
        })
    }

    /// Replaces the rules. The default rule is added unless there is a rule named `Default`: AWS always has one.
    pub(super) fn set_rules(&mut self, rules: Vec<SamplingRule>, now: SystemTime) {
        self.rules = rules.into_iter().map(|rule| Record::new(rule, now)).collect();
        if !self.rules.iter().any(|record| record.rule.rule_name == DEFAULT) {
            let rule = SamplingRule::default_rule();
            self.rules.push(Record::new(rule, SystemTime::UNIX_EPOCH));
        }
        self.modified_at = now;
        self.clients.clear();
        self.reported.clear();
    }

    /// The answer of `GetSamplingRules`: all rules in one page.
    pub(super) fn rules_answer(&self) -> Value {
        let records: Vec<Value> = self.rules.iter().map(Record::answer).collect();
        json!({"SamplingRuleRecords": records, "NextToken": null})
    }

    /// The answer of `GetSamplingTargets` (`POST /SamplingTargets`).
    pub(super) fn targets_answer(&mut self, body: &[u8], now: SystemTime) -> Result<Value, SamplingError> {
        let request: TargetsRequest =
            serde_json::from_slice(body).map_err(|error| SamplingError::Serialization(error.to_string()))?;
        let reported = request.sampling_statistics_documents;
        if reported.len() > MAX_STATISTICS {
            return Err(SamplingError::Invalid(format!(
                "{} statistics documents exceed the maximum of {MAX_STATISTICS}",
                reported.len()
            )));
        }
        let (mut targets, mut unprocessed) = (Vec::new(), Vec::new());
        for document in &reported {
            let target = Statistics::of(document, now).and_then(|statistics| {
                let target = self.target(&statistics, now);
                let target = target.ok_or_else(|| "Unknown rule".to_owned())?;
                self.remember(statistics);
                Ok(target)
            });
            match target {
                Ok(target) => targets.push(target),
                // That it is answered like this is believed; code and texts are not published.
                Err(message) => {
                    let rule = document.get("RuleName").and_then(Value::as_str);
                    unprocessed.push(json!({
                        "RuleName": rule.unwrap_or_default(), "ErrorCode": "400", "Message": message
                    }));
                }
            }
        }
        Ok(json!({
            "SamplingTargetDocuments": targets,
            "LastRuleModification": epoch_seconds(self.modified_at),
            "UnprocessedStatistics": unprocessed,
            "UnprocessedBoostStatistics": [],
        }))
    }

    /// The answer of `GetSamplingStatisticSummaries`, in one page.
    pub(super) fn summaries_answer(&self) -> Value {
        let summaries: Vec<Value> = self
            .summaries
            .iter()
            .map(|summary| {
                json!({
                    "RuleName": summary.rule_name,
                    "Timestamp": summary.timestamp,
                    "RequestCount": summary.requests,
                    "BorrowCount": summary.borrowed,
                    "SampledCount": summary.sampled,
                })
            })
            .collect();
        json!({"SamplingStatisticSummaries": summaries, "NextToken": null})
    }

    /// Rate and quota of the rule for this client; `None` when there is no such rule.
    fn target(&mut self, statistics: &Statistics, now: SystemTime) -> Option<Value> {
        let Record { rule, .. } = self
            .rules
            .iter()
            .find(|record| record.rule.rule_name == statistics.rule_name)?;
        let (fixed_rate, size) = (rule.fixed_rate, rule.reservoir_size);
        let client = (statistics.rule_name.clone(), statistics.client_id.clone());
        self.clients.insert(client, now);
        self.forget_silent_clients(now);
        let sharing: Vec<&str> = self
            .clients
            .keys()
            .filter(|(rule, _)| *rule == statistics.rule_name)
            .map(|(_, client)| client.as_str())
            .collect();
        // Among n clients each gets size / n, and the first few in the order of their ids one more.
        let position = sharing
            .iter()
            .position(|client| *client == statistics.client_id)
            .unwrap_or_default() as u64;
        let (size, n) = (u64::from(size), sharing.len().max(1) as u64);
        let quota = size / n + u64::from(position < size % n);
        Some(json!({
            "RuleName": statistics.rule_name,
            "FixedRate": fixed_rate,
            "ReservoirQuota": quota,
            "ReservoirQuotaTTL": epoch_seconds(now + QUOTA_TTL),
            "Interval": INTERVAL.as_secs(),
        }))
    }

    fn forget_silent_clients(&mut self, now: SystemTime) {
        self.clients
            .retain(|_, seen| now.duration_since(*seen).is_ok_and(|silent| silent <= QUOTA_TTL));
        while self.clients.len() > MAX_CLIENTS {
            let longest_silent = self
                .clients
                .iter()
                .min_by_key(|(_, seen)| **seen)
                .map(|(client, _)| client.clone());
            let Some(client) = longest_silent else { break };
            self.clients.remove(&client);
        }
    }

    fn remember(&mut self, statistics: Statistics) {
        self.reports += 1;
        let reported = self.reported.entry(statistics.rule_name.clone()).or_default();
        reported.requests += statistics.request_count;
        // Nobody traces more than comes; a report that says so would make the difference meaningless.
        reported.sampled += statistics.sampled_count.min(statistics.request_count);
        if self.summaries.len() == MAX_SUMMARIES {
            self.summaries.pop_front();
        }
        self.summaries.push_back(Summary {
            rule_name: statistics.rule_name,
            timestamp: statistics.timestamp,
            requests: statistics.request_count,
            borrowed: statistics.borrow_count,
            sampled: statistics.sampled_count,
        });
    }
}

fn arn(rule_name: &str) -> String {
    format!("{ARN}:sampling-rule/{rule_name}")
}

/// Times are numbers of seconds since 1970 in the API, never strings; whole ones, as in AWS's examples.
fn epoch_seconds(time: SystemTime) -> f64 {
    time.duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or_default()
        .as_secs() as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: u64 = 1_795_227_595;

    fn at(seconds: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
    }

    fn report(rule: &str, client: char) -> Value {
        json!({
            "RuleName": rule, "ClientID": client.to_string().repeat(24), "Timestamp": NOW,
            "RequestCount": 7, "SampledCount": 3, "BorrowCount": 1
        })
    }

    fn ask(sampling: &mut Sampling, reports: &[Value], now: u64) -> Value {
        let body = json!({"SamplingStatisticsDocuments": reports}).to_string();
        sampling.targets_answer(body.as_bytes(), at(now)).unwrap()
    }

    fn quota(answer: &Value) -> u64 {
        answer["SamplingTargetDocuments"][0]["ReservoirQuota"]
            .as_u64()
            .unwrap()
    }

    fn with_rule(reservoir: u32) -> Sampling {
        let mut sampling = Sampling::new();
        sampling.set_rules(vec![SamplingRule::new("home", 1, reservoir, 0.5)], at(NOW));
        sampling
    }

    #[test]
    fn the_default_rule_has_the_form_that_sdks_use() {
        assert_eq!(
            Sampling::new().rules_answer(),
            json!({
                "SamplingRuleRecords": [{
                    "SamplingRule": {
                        "RuleName": "Default",
                        "RuleARN": "arn:aws:xray:us-east-1:000000000000:sampling-rule/Default",
                        "ResourceARN": "*", "Priority": 10000, "FixedRate": 0.05, "ReservoirSize": 1,
                        "ServiceName": "*", "ServiceType": "*", "Host": "*", "HTTPMethod": "*", "URLPath": "*",
                        "Version": 1, "Attributes": {}
                    },
                    "CreatedAt": 0.0, "ModifiedAt": 0.0
                }],
                "NextToken": null
            })
        );
    }

    #[test]
    fn rules_that_are_set_come_before_the_default_rule() {
        let answer = with_rule(1).rules_answer();
        let records = answer["SamplingRuleRecords"].as_array().unwrap();
        let names: Vec<&Value> = records.iter().map(|r| &r["SamplingRule"]["RuleName"]).collect();
        assert_eq!(names, ["home", "Default"]);
        assert_eq!(records[0]["ModifiedAt"], json!(NOW as f64));

        let mut sampling = Sampling::new();
        sampling.set_rules(vec![SamplingRule::new("Default", 10_000, 0, 1.0)], at(NOW));
        assert_eq!(
            sampling.rules_answer()["SamplingRuleRecords"]
                .as_array()
                .unwrap()
                .len(),
            1
        );
    }

    #[test]
    fn a_report_is_answered_with_rate_quota_and_interval() {
        let answer = ask(&mut with_rule(10), &[report("home", 'a')], NOW);
        assert_eq!(
            answer,
            json!({
                "SamplingTargetDocuments": [{
                    "RuleName": "home", "FixedRate": 0.5, "ReservoirQuota": 10,
                    "ReservoirQuotaTTL": (NOW + 20) as f64, "Interval": 10
                }],
                "LastRuleModification": NOW as f64,
                "UnprocessedStatistics": [],
                "UnprocessedBoostStatistics": []
            })
        );
    }

    #[test]
    fn a_reservoir_of_10_is_divided_4_3_3_among_three_clients() {
        let mut sampling = with_rule(10);
        for client in ['a', 'b', 'c'] {
            ask(&mut sampling, &[report("home", client)], NOW);
        }
        let quotas: Vec<u64> = ['a', 'b', 'c']
            .map(|client| quota(&ask(&mut sampling, &[report("home", client)], NOW + 10)))
            .into();
        assert_eq!(quotas, [4, 3, 3]);
    }

    #[test]
    fn a_client_silent_for_more_than_two_intervals_loses_its_share() {
        let mut sampling = with_rule(10);
        ask(&mut sampling, &[report("home", 'a')], NOW);
        assert_eq!(quota(&ask(&mut sampling, &[report("home", 'b')], NOW + 20)), 5);
        assert_eq!(quota(&ask(&mut sampling, &[report("home", 'b')], NOW + 21)), 10);
    }

    #[test]
    fn an_unknown_rule_is_named_and_the_others_are_answered() {
        let answer = ask(
            &mut with_rule(1),
            &[report("gone", 'a'), report("home", 'a')],
            NOW,
        );
        assert_eq!(answer["SamplingTargetDocuments"].as_array().unwrap().len(), 1);
        assert_eq!(answer["UnprocessedStatistics"][0]["RuleName"], "gone");
    }

    #[test]
    fn statistics_are_summarised_as_reported() {
        let mut sampling = with_rule(1);
        ask(&mut sampling, &[report("home", 'a')], NOW);
        assert_eq!(
            sampling.summaries_answer(),
            json!({
                "SamplingStatisticSummaries": [{
                    "RuleName": "home", "Timestamp": NOW as f64,
                    "RequestCount": 7, "BorrowCount": 1, "SampledCount": 3
                }],
                "NextToken": null
            })
        );
    }

    #[test]
    fn the_models_limits_hold() {
        let mut sampling = with_rule(1);
        let mut ask = |body: Value| sampling.targets_answer(body.to_string().as_bytes(), at(NOW));
        let documents = |n: usize| json!({"SamplingStatisticsDocuments": vec![report("home", 'a'); n]});
        assert!(ask(documents(25)).is_ok());
        assert!(matches!(ask(documents(26)), Err(SamplingError::Invalid(text)) if text.contains("26")));
        for broken in [json!({}), json!([1]), json!({"SamplingStatisticsDocuments": {}})] {
            assert!(matches!(ask(broken), Err(SamplingError::Serialization(_))));
        }
    }

    #[test]
    fn an_odd_statistics_document_costs_itself_and_is_named() {
        let with = |field: &str, value: Value| {
            let mut document = report("home", 'a');
            document[field] = value;
            document
        };
        let without = |field: &str| {
            let mut document = report("home", 'a');
            document.as_object_mut().unwrap().remove(field);
            document
        };
        for (odd, message) in [
            (without("SampledCount"), "SampledCount is missing"),
            (with("SampleCount", json!("3")), "SampleCount is no count"),
            (without("RequestCount"), "RequestCount is missing"),
            (with("RequestCount", json!("7")), "RequestCount is no count"),
            (with("RequestCount", json!(-1)), "RequestCount is no count"),
            (with("BorrowCount", json!(0.5)), "BorrowCount is no count"),
            (
                with("ClientID", json!("abc")),
                "ClientID has 3 characters, not 24",
            ),
            (without("ClientID"), "ClientID is missing or no string"),
        ] {
            let answer = ask(&mut with_rule(1), &[odd, report("home", 'b')], NOW);
            assert_eq!(
                answer["UnprocessedStatistics"],
                json!([{"RuleName": "home", "ErrorCode": "400", "Message": message}])
            );
            assert_eq!(
                answer["SamplingTargetDocuments"].as_array().unwrap().len(),
                1,
                "{message}"
            );
        }
        let answer = ask(&mut with_rule(1), &[json!(5), json!({})], NOW);
        assert_eq!(answer["UnprocessedStatistics"][1]["RuleName"], "");
    }

    #[test]
    fn what_real_samplers_write_besides_the_model_is_taken() {
        for sampled_count in ["SampledCount", "SampleCount"] {
            let mut sampling = with_rule(1);
            let mut document = report("home", 'a');
            document.as_object_mut().unwrap().remove("SampledCount");
            document[sampled_count] = json!(3.0);
            document["RequestCount"] = json!(7.0);
            document["BorrowCount"] = Value::Null;
            document["Timestamp"] = json!("2026-11-21T01:02:03Z");
            document["TotalCount"] = json!(7);
            let answer = ask(&mut sampling, &[document], NOW);
            assert_eq!(answer["UnprocessedStatistics"], json!([]));
            let summary = &sampling.summaries_answer()["SamplingStatisticSummaries"][0];
            assert_eq!(
                (
                    &summary["RequestCount"],
                    &summary["SampledCount"],
                    &summary["Timestamp"]
                ),
                (&json!(7), &json!(3), &json!(NOW as f64)),
                "{sampled_count}"
            );
        }
    }

    #[test]
    fn what_sdks_saw_and_sent_is_summed_by_rule() {
        let mut sampling = with_rule(1);
        ask(
            &mut sampling,
            &[report("home", 'a'), report("home", 'b'), report("Default", 'a')],
            NOW,
        );
        let reported: Vec<(&str, u64, u64)> = sampling
            .reported()
            .iter()
            .map(|(rule, reported)| (rule.as_str(), reported.requests, reported.sampled))
            .collect();
        assert_eq!(reported, [("Default", 7, 3), ("home", 14, 6)]);
    }

    #[test]
    fn memory_is_bounded_however_many_clients_report() {
        let mut sampling = with_rule(1);
        for i in 0..(MAX_CLIENTS + 200) {
            let mut document = report("home", 'a');
            document["ClientID"] = json!(format!("{i:024}"));
            ask(&mut sampling, &[document], NOW);
        }
        assert_eq!(sampling.clients.len(), MAX_CLIENTS);
        assert_eq!(sampling.summaries.len(), MAX_SUMMARIES);
    }

    #[test]
    fn a_rule_in_the_apis_json_may_leave_matchers_out() {
        let rule: SamplingRule = serde_json::from_value(json!({
            "RuleName": "home", "Priority": 1, "FixedRate": 0.5, "ReservoirSize": 10, "URLPath": "/api/*"
        }))
        .unwrap();
        let mut expected = SamplingRule::new("home", 1, 10, 0.5);
        expected.url_path = "/api/*".into();
        assert_eq!(rule, expected);
        let misspelt =
            json!({"RuleName": "x", "Priority": 1, "FixedRate": 1, "ReservoirSize": 1, "UrlPath": "/"});
        assert!(serde_json::from_value::<SamplingRule>(misspelt).is_err());
    }
}
