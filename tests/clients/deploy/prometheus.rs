//! What Prometheus and Grafana ask with: every expression is one.

use std::process::Stdio;

use saphyr::{LoadableYamlNode, Yaml};
use serde_json::Value;

use super::{checker, passes, read};

/// Ends well if each line is an expression of Prometheus; else it names those that are none.
const PARSE: &str = "
import sys, promql_parser
for line in sys.argv[1:]:
    try:
        promql_parser.parse(line)
    except Exception as error:
        sys.exit(f'{line}: {error}')
";

fn expressions_of_alerts() -> Vec<String> {
    let text = read("deploy/prometheus/alerts.yaml");
    let documents = Yaml::load_from_str(&text).expect("YAML");
    let groups = documents[0]["groups"].as_vec().expect("groups");
    let known = ["alert", "expr", "for", "labels", "annotations"];
    let mut expressions = Vec::new();
    for rule in groups
        .iter()
        .flat_map(|group| group["rules"].as_vec().expect("rules"))
    {
        for key in rule.as_mapping().expect("a rule").keys() {
            let key = key.as_str().expect("a key");
            assert!(known.contains(&key), "{key}");
        }
        let annotations = rule["annotations"].as_mapping().expect("annotations");
        assert_eq!(annotations.len(), 2, "{rule:?}");
        expressions.push(rule["expr"].as_str().expect("an expression").to_owned());
    }
    expressions
}

/// Those of the dashboard, with what Grafana puts in for its variables.
fn expressions_of_the_dashboard() -> Vec<String> {
    let dashboard: Value = serde_json::from_str(&read("deploy/grafana/dashboard.json")).expect("JSON");
    let panels = dashboard["panels"].as_array().expect("panels");
    let targets = panels
        .iter()
        .filter_map(|panel| panel["targets"].as_array())
        .flatten();
    targets
        .map(|target| {
            let expression = target["expr"].as_str().expect("an expression");
            expression
                .replace("$__rate_interval", "5m")
                .replace("$__interval", "1m")
                .replace("$__range", "1h")
        })
        .collect()
}

#[test]
fn prometheus_takes_the_expressions_of_alerts_and_dashboard() {
    let (alerts, dashboard) = (expressions_of_alerts(), expressions_of_the_dashboard());
    assert_eq!(alerts.len(), 4);
    assert!(dashboard.len() >= 4, "{dashboard:?}");
    let Some(mut python) = checker("python") else {
        return;
    };
    passes(python.args(["-c", PARSE]).args(&alerts).args(&dashboard));
    let Some(mut python) = checker("python") else {
        return;
    };
    let wrong = python
        .args(["-c", PARSE, "rate(xray_ready[5m]"])
        .stderr(Stdio::null())
        .status()
        .expect("python");
    assert!(!wrong.success(), "what is no expression is found");
}
