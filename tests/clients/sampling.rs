//! Centralized sampling: the SDKs fetch their rules through the daemon, report what they did with them, and follow when
//! the rules change.

use std::thread::sleep;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use xray_double::harness::apps::App;
use xray_double::harness::compiled;
use xray_double::harness::install;
use xray_double::harness::process::PATIENCE;
use xray_double::harness::recorded::{Message, Way, check};
use xray_double::harness::routes::{routes, trace_id};
use xray_double::harness::tap::{StreamTap, Tap};
use xray_double::harness::web;
use xray_double::state::{Outcome, RecordedRequest};
use xray_service::sampling::SamplingRule;
use xray_service::service::Operation;

use crate::TMP;
use crate::daemon::Daemon;
use crate::endpoint::Endpoint;

/// Between two requests to an app, while the SDK's pollers are waited for. They run every ten seconds.
const PAUSE: Duration = Duration::from_millis(50);

#[test]
fn the_python_sdk_follows_the_rules_that_it_gets_through_the_daemon() {
    let Some(python) = install::python(TMP) else {
        return;
    };
    follows_the_rules("python", |daemon| App::flask(&python, daemon));
}

#[test]
fn the_node_sdk_follows_the_rules_that_it_gets_through_the_daemon() {
    let Some(node_modules) = install::node_modules(TMP) else {
        return;
    };
    follows_the_rules("node", |daemon| App::express(&node_modules, daemon));
}

#[test]
fn the_java_sdk_follows_the_rules_that_it_gets_through_the_daemon() {
    let Some(java) = compiled::java(TMP) else {
        return;
    };
    follows_the_rules("java", |daemon| App::java(&java, daemon));
}

#[test]
fn the_go_sdk_follows_the_rules_that_it_gets_through_the_daemon() {
    let Some(program) = compiled::go(TMP) else {
        return;
    };
    follows_the_rules("go", |daemon| App::go(&program, daemon));
}

/// A rule before all others, that takes this share of all requests and nothing besides.
fn rule(rate: f64) -> SamplingRule {
    SamplingRule::new("checkout", 1, 0, rate)
}

/// What the SDK sends meanwhile is compared with its recording, the segments of all routes too.
fn follows_the_rules(recording: &str, start: impl FnOnce(String) -> App) {
    let endpoint = Endpoint::start();
    endpoint.set_sampling_rules(vec![rule(0.0)]);
    let daemon = Daemon::start(&endpoint.url());
    let (udp, tcp) = (Tap::start(daemon.udp), StreamTap::start(daemon.tcp));
    let app = start(format!("tcp:{} udp:{}", tcp.address, udp.address));
    let get = || assert_eq!(web::get(app.address, "/api/activities/home", None).status, 200);
    let sampled_by_the_rule = || {
        let documents = endpoint.documents();
        let is_by = |document: &String| {
            let document: Value = serde_json::from_str(document).expect("an SDK's document is JSON");
            let xray = &document["aws"]["xray"];
            // The second is Node.js' word for it.
            xray["sampling_rule_name"] == "checkout" || xray["rule_name"] == "checkout"
        };
        documents.iter().filter(|document| is_by(document)).count()
    };

    // The SDK asks for rules with its first request, and samples by its own until they are there.
    until(&get, "rules are fetched", || {
        let calls = endpoint.calls(Operation::GetSamplingRules);
        calls
            .into_iter()
            .find(|call| call.outcome == Outcome::Answered(200))
    });
    // From its first report on it knows the new rate: from the answer, or because that says that the rules have changed.
    endpoint.set_sampling_rules(vec![rule(1.0)]);
    let reported = until(&get, "targets are reported", || {
        let calls = endpoint.calls(Operation::GetSamplingTargets);
        calls.into_iter().next()
    });
    let statistics = statistics(&reported);
    assert!(statistics["RequestCount"].as_u64() > Some(10), "{statistics}");
    assert_eq!(statistics["SampledCount"], json!(0), "{statistics}");
    until(&get, "the new rate is followed", || {
        (sampled_by_the_rule() > 0).then_some(())
    });

    for route in routes() {
        route.get(app.address, &trace_id(0));
    }
    if ["java", "go"].contains(&recording) {
        // More subsegments than the SDK keeps in their segment.
        web::get(app.address, "/api/activities/many", None);
    }
    app.stop();
    let mut sent = Message::datagrams(&udp.datagrams());
    sent.extend(Message::requests(Way::Tcp, &tcp.said()));
    check(recording, &sent);
}

/// What a report says of the rule.
fn statistics(reported: &RecordedRequest) -> Value {
    let report: Value = serde_json::from_slice(&reported.body).expect("a report in JSON");
    let statistics = report["SamplingStatisticsDocuments"].as_array();
    let mut statistics = statistics.expect("a list of statistics").iter();
    let of_rule = statistics.find(|document| document["RuleName"] == "checkout");
    of_rule
        .unwrap_or_else(|| panic!("nothing about the rule: {report}"))
        .clone()
}

/// Calls `again` until `find` finds something.
fn until<T>(again: &dyn Fn(), what: &str, find: impl Fn() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        again();
        if let Some(found) = find() {
            return found;
        }
        assert!(Instant::now() < deadline, "waited in vain until {what}");
        sleep(PAUSE);
    }
}
