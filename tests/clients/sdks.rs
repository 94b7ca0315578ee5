//! The X-Ray SDKs in their example apps, through the daemon, to moto and back by boto3.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::Path;

use serde_json::Value;
use xray_double::harness::apps::App;
use xray_double::harness::compiled;
use xray_double::harness::install;
use xray_double::harness::moto::{Moto, Summary};
use xray_double::harness::routes::{routes, trace_id};
use xray_double::harness::web;

use crate::TMP;
use crate::daemon::Daemon;
use crate::endpoint::Endpoint;

#[test]
fn every_request_to_the_flask_app_reads_back_as_a_trace() {
    let Some(python) = install::python(TMP) else {
        return;
    };
    every_request_reads_back_as_a_trace(&python, |daemon| App::flask(&python, daemon));
}

#[test]
fn every_request_to_the_express_app_reads_back_as_a_trace() {
    let (Some(python), Some(node_modules)) = (install::python(TMP), install::node_modules(TMP)) else {
        return;
    };
    every_request_reads_back_as_a_trace(&python, |daemon| App::express(&node_modules, daemon));
}

#[test]
fn every_request_to_the_java_app_reads_back_as_a_trace() {
    let (Some(python), Some(java)) = (install::python(TMP), compiled::java(TMP)) else {
        return;
    };
    every_request_reads_back_as_a_trace(&python, |daemon| App::java(&java, daemon));
}

#[test]
fn every_request_to_the_go_app_reads_back_as_a_trace() {
    let (Some(python), Some(program)) = (install::python(TMP), compiled::go(TMP)) else {
        return;
    };
    every_request_reads_back_as_a_trace(&python, |daemon| App::go(&program, daemon));
}

#[test]
fn subsegments_that_the_java_sdk_sends_on_their_own_arrive_once_each() {
    let Some(java) = compiled::java(TMP) else {
        return;
    };
    many_subsegments_arrive_once_each(|daemon| App::java(&java, daemon));
}

#[test]
fn subsegments_that_the_go_sdk_sends_on_their_own_arrive_once_each() {
    let Some(program) = compiled::go(TMP) else {
        return;
    };
    many_subsegments_arrive_once_each(|daemon| App::go(&program, daemon));
}

/// A segment with more subsegments than the SDK keeps in it.
fn many_subsegments_arrive_once_each(start: impl FnOnce(SocketAddr) -> App) {
    const SUBSEGMENTS: usize = 120;
    let endpoint = Endpoint::start();
    let daemon = Daemon::start(&endpoint.url());
    let app = start(daemon.udp);
    let trace_id = trace_id(0);
    let header = format!("Root={trace_id};Sampled=1");
    let answer = web::get(app.address, "/api/activities/many", Some(&header));
    assert_eq!(answer.status, 200, "{}", answer.body);

    // The segment goes last.
    let documents = endpoint.wait_for("the segment", |documents| {
        let documents: Vec<Value> = documents
            .iter()
            .map(|document| serde_json::from_str(document).expect("an SDK's document is JSON"))
            .collect();
        let is_segment = |document: &Value| document["name"] == app.name;
        documents.iter().any(is_segment).then_some(documents)
    });
    let (segments, alone): (Vec<_>, Vec<_>) = documents
        .iter()
        .partition(|document| document["name"] == app.name);
    let [segment] = segments[..] else {
        panic!("segments: {segments:?}");
    };
    assert!(!alone.is_empty());
    for document in &alone {
        assert_eq!(document["type"], "subsegment", "{document}");
        assert_eq!(document["trace_id"], trace_id.as_str(), "{document}");
        assert_eq!(document["parent_id"], segment["id"], "{document}");
    }
    let inside = segment["subsegments"].as_array().map_or(&[][..], Vec::as_slice);
    let ids: BTreeSet<_> = alone
        .iter()
        .copied()
        .chain(inside)
        .filter_map(|subsegment| subsegment["id"].as_str())
        .collect();
    assert_eq!(ids.len(), SUBSEGMENTS, "{documents:#?}");
    app.stop();
    daemon.stop_after(documents.len() as u64);
}

fn every_request_reads_back_as_a_trace(python: &Path, start: impl FnOnce(SocketAddr) -> App) {
    let moto = Moto::start(python);
    let daemon = Daemon::start(&moto.url());
    let app = start(daemon.udp);

    let requests: Vec<_> = routes()
        .into_iter()
        .enumerate()
        .map(|(n, route)| (trace_id(n), route))
        .collect();
    for (trace_id, route) in &requests {
        route.get(app.address, trace_id);
    }
    daemon.wait_for_sent(requests.len() as u64);

    let ids: Vec<_> = requests.iter().map(|(trace_id, _)| trace_id.clone()).collect();
    let mut traces = moto.read(python, &ids);
    traces.summaries.sort();
    let mut expected: Vec<_> = requests
        .iter()
        .map(|(trace_id, route)| Summary {
            id: trace_id.clone(),
            has_fault: route.is_fault(),
            has_error: route.is_error(),
        })
        .collect();
    expected.sort();
    assert_eq!(traces.summaries, expected, "get_trace_summaries");
    assert_eq!(traces.unknown, [""; 0], "ids that batch_get_traces does not know");

    let documents = traces.documents();
    assert_eq!(documents.len(), requests.len(), "one document for each request");
    for (trace_id, route) in &requests {
        let found = documents.iter().find(|(id, _)| id == trace_id);
        let (_, document) = found.unwrap_or_else(|| panic!("no trace {trace_id} of {}", route.path));
        route.check(&app, trace_id, document);
    }
    app.stop();
    daemon.stop_after(requests.len() as u64);
}
