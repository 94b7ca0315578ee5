//! Sampling rules in a file, in the API's JSON.

use serde_json::Value;

use super::SamplingRule;

/// The rules of a file: a list of rules, one rule, or an answer of GetSamplingRules (`aws xray get-sampling-rules >
/// rules.json`), with the rules in `SamplingRuleRecords` or `SamplingRules`, each plain or in `SamplingRule`.
///
/// # Errors
/// What is wrong, naming the rule by its place, counted from 1.
pub fn rules_of_file(text: &str) -> Result<Vec<SamplingRule>, String> {
    let value: Value = serde_json::from_str(text).map_err(|error| format!("it is not JSON: {error}"))?;
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
