//! Sampling rules in a file: in the API's JSON, or as the SDKs read them (`version`, `rules`, `default`).

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

use super::{DEFAULT, SamplingRule};

/// An SDK's local rules, as its guide describes them. Versions 1 and 2 differ in the name of one matcher: version 1
/// calls `service_name` what version 2 calls `host`, and means the host in both.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct LocalRules {
    version: Value,
    #[serde(default)]
    rules: Vec<Value>,
    default: Value,
}

/// Whether it can only be meant as local rules: none of these keys is one of the API's.
fn is_local(value: &Value) -> bool {
    ["version", "rules", "default"]
        .iter()
        .any(|key| value.get(key).is_some())
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct LocalRule {
    #[serde(default, rename = "description")]
    _description: Option<String>,
    #[serde(default)]
    service_name: Option<String>,
    #[serde(default)]
    host: Option<String>,
    #[serde(default)]
    http_method: Option<String>,
    #[serde(default)]
    url_path: Option<String>,
    fixed_target: u32,
    rate: f64,
}

impl LocalRule {
    fn rule(self, name: &str, priority: u32, version: u64) -> Result<SamplingRule, String> {
        let host = match (version, self.host, self.service_name) {
            (1, None, host) | (2, host, None) => host,
            (1, ..) => return Err("version 1 has service_name, and no host".to_owned()),
            _ => return Err("version 2 has host, and no service_name".to_owned()),
        };
        let any = |matcher: Option<String>| matcher.unwrap_or_else(|| "*".to_owned());
        let rule = SamplingRule {
            host: any(host),
            http_method: any(self.http_method),
            url_path: any(self.url_path),
            attributes: BTreeMap::new(),
            ..SamplingRule::new(name, priority, self.fixed_target, self.rate)
        };
        match rule.broken_limit() {
            Some(broken) => Err(broken),
            None => Ok(rule),
        }
    }
}

/// The rules of an SDK's local file, named `local-1` and so on in their order, and its default as `Default`.
fn local_rules(value: Value) -> Result<Vec<SamplingRule>, String> {
    let local: LocalRules = serde_json::from_value(value).map_err(|error| error.to_string())?;
    let version = local.version.as_u64().filter(|version| [1, 2].contains(version));
    let version = version.ok_or_else(|| format!("version {} is neither 1 nor 2", local.version))?;
    let mut rules = Vec::with_capacity(local.rules.len() + 1);
    for (priority, entry) in (1..).zip(local.rules) {
        let rule = serde_json::from_value::<LocalRule>(entry)
            .map_err(|error| error.to_string())
            .and_then(|rule| rule.rule(&format!("local-{priority}"), priority, version))
            .map_err(|reason| format!("rule {priority}: {reason}"))?;
        rules.push(rule);
    }
    let default = serde_json::from_value::<LocalRule>(local.default)
        .map_err(|error| error.to_string())
        .and_then(|rule| rule.rule(DEFAULT, 10_000, version))
        .map_err(|reason| format!("default: {reason}"))?;
    rules.push(default);
    Ok(rules)
}

/// The rules of a file: a list of rules, one rule, or an answer of GetSamplingRules (`aws xray get-sampling-rules >
/// rules.json`), with the rules in `SamplingRuleRecords` or `SamplingRules`, each plain or in `SamplingRule`; or an
/// SDK's local rules.
///
/// # Errors
/// What is wrong, naming the rule by its place, counted from 1.
pub fn rules_of_file(text: &str) -> Result<Vec<SamplingRule>, String> {
    let value: Value = serde_json::from_str(text).map_err(|error| format!("it is not JSON: {error}"))?;
    if is_local(&value) {
        return local_rules(value).map_err(|reason| format!("local rules of an SDK: {reason}"));
    }
    let entries = match value {
        Value::Array(entries) => entries,
        Value::Object(mut object) => {
            let listed = ["SamplingRuleRecords", "SamplingRules"]
                .iter()
                .find_map(|name| object.remove(*name));
            match listed {
                Some(Value::Array(entries)) => entries,
                Some(_) => return Err("the rules are not a list".to_owned()),
                None => vec![Value::Object(object)],
            }
        }
        _ => return Err("it holds neither a list of rules nor a rule".to_owned()),
    };
    let mut rules: Vec<SamplingRule> = Vec::with_capacity(entries.len());
    for (at, mut entry) in entries.into_iter().enumerate() {
        let wrapped = entry
            .as_object_mut()
            .and_then(|entry| entry.remove("SamplingRule"));
        let number = at + 1;
        let rule: SamplingRule = serde_json::from_value(wrapped.unwrap_or(entry))
            .map_err(|error| format!("rule {number}: {error}"))?;
        if let Some(broken) = rule.broken_limit() {
            return Err(format!("rule {number}: {broken}"));
        }
        if rules.iter().any(|other| other.rule_name == rule.rule_name) {
            return Err(format!(
                "rule {number}: there is another one named {:?}",
                rule.rule_name
            ));
        }
        rules.push(rule);
    }
    rules.sort_by_key(|rule| rule.priority);
    Ok(rules)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(text: &str) -> Vec<String> {
        let rules = rules_of_file(text).unwrap();
        rules.into_iter().map(|rule| rule.rule_name).collect()
    }

    const ONE: &str = r#"{"RuleName":"a","Priority":9,"FixedRate":1,"ReservoirSize":0,"URLPath":"/x"}"#;

    #[test]
    fn every_form_in_which_people_have_rules_is_read() {
        let other = ONE.replace("\"a\"", "\"b\"").replace('9', "1");
        assert_eq!(names(ONE), ["a"]);
        assert_eq!(names(&format!("[{ONE},{other}]")), ["b", "a"]);
        assert_eq!(names(&format!(r#"{{"SamplingRule":{ONE}}}"#)), ["a"]);
        let answer = format!(
            r#"{{"SamplingRuleRecords":[{{"SamplingRule":{ONE},"CreatedAt":0.0,"ModifiedAt":1}}],"NextToken":null}}"#
        );
        assert_eq!(names(&answer), ["a"]);
        assert_eq!(names("[]"), Vec::<String>::new());
    }

    /// The example of the guide, in both versions.
    fn local(version: u32, matcher: &str) -> String {
        format!(
            r#"{{"version": {version}, "rules": [{{"description": "Player moves.", "{matcher}": "*", "http_method": "*",
                "url_path": "/api/move/*", "fixed_target": 0, "rate": 0.05}}],
                "default": {{"fixed_target": 1, "rate": 0.1}}}}"#
        )
    }

    #[test]
    fn the_local_rules_of_sdks_are_read_in_both_versions() {
        for text in [local(1, "service_name"), local(2, "host")] {
            let rules = rules_of_file(&text).unwrap();
            let mut moves = SamplingRule::new("local-1", 1, 0, 0.05);
            moves.url_path = "/api/move/*".to_owned();
            assert_eq!(rules, [moves, SamplingRule::new("Default", 10_000, 1, 0.1)]);
        }
        let plain = r#"{"version":2,"default":{"fixed_target":1,"rate":1}}"#;
        assert_eq!(names(plain), ["Default"]);
    }

    #[test]
    fn what_is_wrong_with_local_rules_is_named() {
        for (text, message) in [
            (local(3, "host"), "version 3 is neither 1 nor 2"),
            (
                local(1, "host"),
                "rule 1: version 1 has service_name, and no host",
            ),
            (
                local(2, "service_name"),
                "rule 1: version 2 has host, and no service_name",
            ),
            (
                local(2, "host").replace("0.1}", "7}"),
                "default: FixedRate 7 is not between 0 and 1",
            ),
        ] {
            let whole = format!("local rules of an SDK: {message}");
            assert_eq!(rules_of_file(&text).unwrap_err(), whole);
        }
        for (text, missing) in [
            (r#"{"version": 2, "rules": []}"#, "default"),
            (
                r#"{"rules": [], "default": {"fixed_target": 1, "rate": 0.1}}"#,
                "version",
            ),
        ] {
            let whole = format!("local rules of an SDK: missing field `{missing}`");
            assert_eq!(rules_of_file(text).unwrap_err(), whole);
        }
        let without_rate = local(2, "host").replace(", \"rate\": 0.05", "");
        let error = rules_of_file(&without_rate).unwrap_err();
        assert!(
            error.starts_with("local rules of an SDK: rule 1: missing field `rate`"),
            "{error}"
        );
    }

    #[test]
    fn what_is_wrong_is_named_with_its_rule() {
        for (text, begins) in [
            ("x", "it is not JSON"),
            ("5", "it holds neither"),
            (r#"{"SamplingRules":5}"#, "the rules are not a list"),
            (r#"[{"RuleName":"a"}]"#, "rule 1: missing field `Priority`"),
            (
                &format!("[{ONE},{ONE}]"),
                "rule 2: there is another one named \"a\"",
            ),
            (
                &ONE.replace("\"FixedRate\":1", "\"FixedRate\":7"),
                "rule 1: FixedRate 7",
            ),
            (
                &ONE.replace("URLPath", "UrlPath"),
                "rule 1: unknown field `UrlPath`",
            ),
        ] {
            let error = rules_of_file(text).unwrap_err();
            assert!(error.starts_with(begins), "{text}: {error}");
        }
    }
}
