//! CreateSamplingRule, UpdateSamplingRule and DeleteSamplingRule.
//!
//! The limits are the model's. Which rule is refused when there are too many, that a name may be given once, and that
//! the default rule keeps all but its rate and reservoir, is what the guide says; the texts are **believed**.

use std::collections::BTreeMap;
use std::time::SystemTime;

use serde::Deserialize;
use serde_json::{Value, json};

use super::{DEFAULT, Record, Sampling, SamplingError, SamplingRateBoost, SamplingRule, arn};

/// The most rules besides the default one, by the service's quotas.
const MAX_RULES: usize = 25;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Create {
    sampling_rule: SamplingRule,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Update {
    sampling_rule_update: RuleUpdate,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct RuleUpdate {
    rule_name: Option<String>,
    #[serde(rename = "RuleARN")]
    rule_arn: Option<String>,
    #[serde(rename = "ResourceARN")]
    resource_arn: Option<String>,
    priority: Option<u32>,
    fixed_rate: Option<f64>,
    reservoir_size: Option<u32>,
    host: Option<String>,
    service_name: Option<String>,
    service_type: Option<String>,
    #[serde(rename = "HTTPMethod")]
    http_method: Option<String>,
    #[serde(rename = "URLPath")]
    url_path: Option<String>,
    attributes: Option<BTreeMap<String, String>>,
    sampling_rate_boost: Option<SamplingRateBoost>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Delete {
    rule_name: Option<String>,
    #[serde(rename = "RuleARN")]
    rule_arn: Option<String>,
}

impl SamplingRule {
    /// The first limit of the model that is broken, in words.
    pub(crate) fn broken_limit(&self) -> Option<String> {
        let too_long = |name: &str, value: &str, most: usize| {
            let chars = value.chars().count();
            (chars > most).then(|| format!("{name} has {chars} characters, more than {most}"))
        };
        if self.rule_name.is_empty() {
            return Some("RuleName is empty".to_owned());
        }
        if !(0.0..=1.0).contains(&self.fixed_rate) {
            return Some(format!("FixedRate {} is not between 0 and 1", self.fixed_rate));
        }
        if self.rule_name != DEFAULT && !(1..=9_999).contains(&self.priority) {
            return Some(format!("Priority {} is not between 1 and 9999", self.priority));
        }
        if self.version != 1 {
            return Some(format!("Version {} is not 1", self.version));
        }
        if self.attributes.len() > 5 {
            return Some(format!("{} Attributes are more than 5", self.attributes.len()));
        }
        let attributes = self.attributes.iter().flat_map(|(key, value)| [key, value]);
        too_long("RuleName", &self.rule_name, 32)
            .or_else(|| too_long("ResourceARN", &self.resource_arn, 500))
            .or_else(|| too_long("ServiceName", &self.service_name, 64))
            .or_else(|| too_long("ServiceType", &self.service_type, 64))
            .or_else(|| too_long("Host", &self.host, 64))
            .or_else(|| too_long("HTTPMethod", &self.http_method, 10))
            .or_else(|| too_long("URLPath", &self.url_path, 128))
            .or_else(|| {
                attributes
                    .into_iter()
                    .find_map(|text| too_long("An attribute", text, 32))
            })
    }

    fn checked(self) -> Result<Self, SamplingError> {
        match self.broken_limit() {
            Some(broken) => Err(SamplingError::Invalid(broken)),
            None => Ok(self),
        }
    }
}

impl Sampling {
    /// The answer of `CreateSamplingRule`.
    pub(crate) fn create(&mut self, body: &[u8], now: SystemTime) -> Result<Value, SamplingError> {
        let Create { sampling_rule: rule } = read(body)?;
        let mut rule = rule.checked()?;
        if self
            .rules
            .iter()
            .any(|record| record.rule.rule_name == rule.rule_name)
        {
            return Err(invalid(&format!(
                "A sampling rule named {} exists",
                rule.rule_name
            )));
        }
        if self.rules.len() > MAX_RULES {
            return Err(SamplingError::TooMany(format!(
                "There are {MAX_RULES} sampling rules, and no more are allowed"
            )));
        }
        rule.rule_arn = None;
        let record = Record::new(rule, now);
        let answer = record.answer();
        self.rules.push(record);
        self.changed(now);
        Ok(json!({ "SamplingRuleRecord": answer }))
    }

    /// The answer of `UpdateSamplingRule`.
    pub(crate) fn update(&mut self, body: &[u8], now: SystemTime) -> Result<Value, SamplingError> {
        let Update {
            sampling_rule_update: update,
        } = read(body)?;
        let place = self.place(update.rule_name.as_deref(), update.rule_arn.as_deref())?;
        let old = &self.rules[place].rule;
        let is_more_than_rates = update.priority.is_some()
            || update.attributes.is_some()
            || [
                &update.resource_arn,
                &update.host,
                &update.service_name,
                &update.service_type,
                &update.http_method,
                &update.url_path,
            ]
            .iter()
            .any(|setting| setting.is_some());
        if old.rule_name == DEFAULT && is_more_than_rates {
            return Err(invalid(
                "Of the default rule only FixedRate and ReservoirSize can be changed",
            ));
        }
        let old = old.clone();
        let rule = SamplingRule {
            resource_arn: update.resource_arn.unwrap_or(old.resource_arn),
            priority: update.priority.unwrap_or(old.priority),
            fixed_rate: update.fixed_rate.unwrap_or(old.fixed_rate),
            reservoir_size: update.reservoir_size.unwrap_or(old.reservoir_size),
            host: update.host.unwrap_or(old.host),
            service_name: update.service_name.unwrap_or(old.service_name),
            service_type: update.service_type.unwrap_or(old.service_type),
            http_method: update.http_method.unwrap_or(old.http_method),
            url_path: update.url_path.unwrap_or(old.url_path),
            attributes: update.attributes.unwrap_or(old.attributes),
            sampling_rate_boost: update.sampling_rate_boost.or(old.sampling_rate_boost),
            ..old
        }
        .checked()?;
        let record = &mut self.rules[place];
        record.rule = rule;
        record.modified_at = now;
        let answer = record.answer();
        self.changed(now);
        Ok(json!({ "SamplingRuleRecord": answer }))
    }

    /// The answer of `DeleteSamplingRule`.
    pub(crate) fn delete(&mut self, body: &[u8], now: SystemTime) -> Result<Value, SamplingError> {
        let delete: Delete = read(body)?;
        let place = self.place(delete.rule_name.as_deref(), delete.rule_arn.as_deref())?;
        if self.rules[place].rule.rule_name == DEFAULT {
            return Err(invalid("The default rule can't be deleted"));
        }
        let record = self.rules.remove(place);
        self.reported.remove(&record.rule.rule_name);
        self.changed(now);
        Ok(json!({ "SamplingRuleRecord": record.answer() }))
    }

    /// In the order in which SDKs try them.
    fn changed(&mut self, now: SystemTime) {
        self.rules.sort_by_key(|record| record.rule.priority);
        self.modified_at = now;
    }

    /// The rule that is meant, by its name or its ARN, and not by both.
    fn place(&self, name: Option<&str>, wanted_arn: Option<&str>) -> Result<usize, SamplingError> {
        let found = match (name, wanted_arn) {
            (Some(name), None) => self.rules.iter().position(|record| record.rule.rule_name == name),
            (None, Some(wanted)) => self.rules.iter().position(|record| {
                let own = record.rule.rule_arn.clone();
                own.unwrap_or_else(|| arn(&record.rule.rule_name)) == wanted
            }),
            _ => return Err(invalid("Give either RuleName or RuleARN")),
        };
        found.ok_or_else(|| invalid("There is no such sampling rule"))
    }
}

fn invalid(message: &str) -> SamplingError {
    SamplingError::Invalid(message.to_owned())
}

fn read<'a, T: Deserialize<'a>>(body: &'a [u8]) -> Result<T, SamplingError> {
    serde_json::from_slice(body).map_err(|error| SamplingError::Serialization(error.to_string()))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn at(seconds: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
    }

    fn rule(name: &str, priority: u32) -> Value {
        json!({
            "RuleName": name, "ResourceARN": "*", "Priority": priority, "FixedRate": 0.5, "ReservoirSize": 2,
            "ServiceName": "*", "ServiceType": "*", "Host": "*", "HTTPMethod": "*", "URLPath": "/api/*", "Version": 1
        })
    }

    fn create(sampling: &mut Sampling, rule: &Value, now: u64) -> Result<Value, SamplingError> {
        let body = json!({ "SamplingRule": rule }).to_string();
        sampling.create(body.as_bytes(), at(now))
    }

    fn names(sampling: &Sampling) -> Vec<String> {
        sampling
            .rules
            .iter()
            .map(|record| record.rule.rule_name.clone())
            .collect()
    }

    #[test]
    fn a_rule_is_created_changed_and_deleted() {
        let mut sampling = Sampling::new();
        create(&mut sampling, &rule("late", 20), 100).unwrap();
        let made = create(&mut sampling, &rule("early", 10), 110).unwrap();
        assert_eq!(made["SamplingRuleRecord"]["CreatedAt"], json!(110.0));
        assert_eq!(names(&sampling), ["early", "late", "Default"]);

        let body = json!({"SamplingRuleUpdate": {"RuleName": "early", "FixedRate": 1.0}}).to_string();
        let changed = sampling.update(body.as_bytes(), at(120)).unwrap();
        let record = &changed["SamplingRuleRecord"];
        assert_eq!(record["SamplingRule"]["FixedRate"], json!(1.0));
        assert_eq!(record["SamplingRule"]["URLPath"], json!("/api/*"));
        assert_eq!(
            (&record["CreatedAt"], &record["ModifiedAt"]),
            (&json!(110.0), &json!(120.0))
        );
        let targets = sampling
            .targets_answer(br#"{"SamplingStatisticsDocuments":[]}"#, at(120))
            .unwrap();
        assert_eq!(
            targets["LastRuleModification"],
            json!(120.0),
            "SDKs fetch the rules anew"
        );

        let body = json!({ "RuleARN": record["SamplingRule"]["RuleARN"] }).to_string();
        sampling.delete(body.as_bytes(), at(130)).unwrap();
        assert_eq!(names(&sampling), ["late", "Default"]);
    }

    #[test]
    fn what_the_service_would_not_take_is_refused() {
        let mut sampling = Sampling::new();
        create(&mut sampling, &rule("one", 1), 100).unwrap();
        let with = |field: &str, value: Value| {
            let mut rule = rule("two", 2);
            rule[field] = value;
            rule
        };
        for bad in [
            rule("one", 2),
            rule("", 2),
            rule("two", 0),
            rule("two", 10_000),
            with("FixedRate", json!(1.5)),
            with("Version", json!(2)),
            with("Host", json!("h".repeat(65))),
        ] {
            let refused = create(&mut sampling, &bad, 100).unwrap_err();
            assert!(matches!(refused, SamplingError::Invalid(_)), "{bad}: {refused:?}");
        }
        for bad in [
            json!({"RuleName": "gone"}),
            json!({}),
            json!({"RuleName": "one", "RuleARN": "x"}),
            json!({"RuleName": "Default"}),
        ] {
            assert!(
                sampling.delete(bad.to_string().as_bytes(), at(1)).is_err(),
                "{bad}"
            );
        }
        let update = json!({"SamplingRuleUpdate": {"RuleName": "Default", "Priority": 5}}).to_string();
        assert!(sampling.update(update.as_bytes(), at(1)).is_err());
        let update = json!({"SamplingRuleUpdate": {"RuleName": "Default", "FixedRate": 1}}).to_string();
        assert!(sampling.update(update.as_bytes(), at(1)).is_ok());
    }

    #[test]
    fn there_are_25_rules_besides_the_default_one_at_most() {
        let mut sampling = Sampling::new();
        for n in 1..=25 {
            create(&mut sampling, &rule(&format!("r{n}"), n), 100).unwrap();
        }
        let refused = create(&mut sampling, &rule("r26", 26), 100).unwrap_err();
        assert!(matches!(refused, SamplingError::TooMany(_)));
    }
}
