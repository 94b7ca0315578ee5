//! The X-Ray remote samplers of OpenTelemetry's SDKs: they fetch the rules through the daemon, report what they did with them,
//! and follow what they are told.

use std::process::Command;

use xray_double::harness::apps::clean;
use xray_double::harness::compiled;
use xray_double::harness::install::{self, repository};
use xray_double::harness::process::Process;
use xray_double::harness::recorded::{Message, Way, check};
use xray_double::harness::tap::StreamTap;
use xray_service::sampling::SamplingRule;
use xray_service::service::Operation;

use crate::TMP;
use crate::daemon::Daemon;
use crate::endpoint::Endpoint;

#[test]
fn the_python_sampler_follows_the_rules_that_it_gets_through_the_daemon() {
    let list = "tests/clients/samplers/requirements.txt";
    let Some(python) = install::python_packages(TMP, "samplers-python", &[list]) else {
        return;
    };
    let mut command = Command::new(python);
    clean(&mut command)
        .arg(repository().join("tests/clients/samplers/sample.py"))
        .env("PYTHONDONTWRITEBYTECODE", "1");
    follows_the_rules("otel-python", command);
}

#[test]
fn the_node_sampler_follows_the_rules_that_it_gets_through_the_daemon() {
    let of = repository().join("tests/clients/samplers");
    let Some(node_modules) = install::node_packages(TMP, "samplers-node", &of) else {
        return;
    };
    let mut command = Command::new("node");
    clean(&mut command)
        .arg(of.join("sample.mjs"))
        .env("NODE_PATH", node_modules);
    follows_the_rules("otel-node", command);
}

#[test]
fn the_java_sampler_follows_the_rules_that_it_gets_through_the_daemon() {
    let Some(java) = compiled::java(TMP) else {
        return;
    };
    let mut command = java.command("Sampler");
    clean(&mut command);
    follows_the_rules("otel-java", command);
}

/// Of every 500 spans a sampler takes some 26 while it has no rules, none by a rate of 0 and all by a rate of 1.
fn follows_the_rules(recording: &str, mut command: Command) {
    let rule = |rate| vec![SamplingRule::new("checkout", 1, 0, rate)];
    let endpoint = Endpoint::start();
    endpoint.set_sampling_rules(rule(0.0));
    let daemon = Daemon::start(&endpoint.url());
    let tap = StreamTap::start(daemon.tcp);
    let sampler = Process::start("a sampler", command.arg(format!("http://{}", tap.address)));
    let samples = |spans: &str| {
        let said = format!("sampled {spans} of 500");
        sampler.wait_for(&said, |line| (line == said).then_some(()));
    };

    samples("0");
    endpoint.set_sampling_rules(rule(1.0));
    samples("500");

    assert!(!endpoint.calls(Operation::GetSamplingRules).is_empty());
    let reports = endpoint.calls(Operation::GetSamplingTargets);
    let first = reports.first().expect("a report, whose answer has the new rate");
    let report: serde_json::Value = serde_json::from_slice(&first.body).expect("a report in JSON");
    let statistics = &report["SamplingStatisticsDocuments"][0];
    assert_eq!(statistics["RuleName"], "checkout", "{report}");
    assert!(statistics["RequestCount"].as_u64() > Some(499), "{report}");
    // The second is Python's word for it.
    let sampled = statistics.get("SampledCount").or(statistics.get("SampleCount"));
    assert_eq!(sampled, Some(&0.into()), "{report}");
    sampler.terminate();
    check(recording, &Message::requests(Way::Tcp, &tap.said()));
}
