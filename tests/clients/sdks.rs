//! The X-Ray SDKs in their example apps, through the daemon, to moto and back by boto3.

use std::net::SocketAddr;
use std::path::Path;

use xray_double::harness::apps::App;
use xray_double::harness::install;
use xray_double::harness::moto::{Moto, Summary};
use xray_double::harness::routes::{routes, trace_id};

use crate::TMP;
use crate::daemon::Daemon;

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
