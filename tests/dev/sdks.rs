//! The example apps and the SDK's central sampling against `xray dev`.

use std::path::Path;
use std::process::Command;

use serde_json::Value;
use xray_double::harness::apps::{App, clean};
use xray_double::harness::dev::Dev;
use xray_double::harness::install;
use xray_double::harness::routes::{routes, trace_id};

use crate::TMP;
use crate::XRAY;
use crate::server::python;

#[test]
fn every_request_to_the_flask_app_reads_back_as_a_trace() {
    let Some(interpreter) = install::python(TMP) else {
        return;
    };
    let dev = Dev::start(XRAY, &[]);
    let app = App::flask(&interpreter, dev.udp);
    reads_back(&interpreter, &dev, app);
}

#[test]
fn every_request_to_the_express_app_reads_back_as_a_trace() {
    let (Some(interpreter), Some(node_modules)) = (install::python(TMP), install::node_modules(TMP)) else {
        return;
    };
    let dev = Dev::start(XRAY, &[]);
    let app = App::express(&node_modules, dev.udp);
    reads_back(&interpreter, &dev, app);
}

fn reads_back(interpreter: &Path, dev: &Dev, app: App) {
    let requests: Vec<_> = routes()
        .into_iter()
        .enumerate()
        .map(|(n, route)| (trace_id(n), route))
        .collect();
    for (trace_id, route) in &requests {
        route.get(app.address, trace_id);
    }
    dev.wait_for_documents(requests.len() as u64);
    let output = clean(&mut Command::new(interpreter))
        .arg(install::repository().join("tests/clients/read_traces.py"))
        .arg(dev.url())
        .args(requests.iter().map(|(trace_id, _)| trace_id))
        .env("AWS_ACCESS_KEY_ID", "anything")
        .env("AWS_SECRET_ACCESS_KEY", "at all")
        .env("AWS_DEFAULT_REGION", "us-east-1")
        .output()
        .expect("Python starts");
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let read: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    for (trace_id, route) in &requests {
        let of = |list: &str| {
            let all = read[list].as_array().expect("a list");
            let found = all.iter().find(|entry| entry["Id"] == trace_id.as_str());
            found.unwrap_or_else(|| panic!("no {trace_id} in {list}")).clone()
        };
        let summary = of("summaries");
        assert_eq!(summary["HasFault"], route.is_fault(), "{}", route.path);
        assert_eq!(summary["HasError"], route.is_error(), "{}", route.path);
        assert_eq!(summary["Http"]["HttpStatus"], route.status, "{}", route.path);
        let segments = of("traces");
        let document = segments["Segments"][0]["Document"].as_str().expect("a document");
        let document: Value = serde_json::from_str(document).expect("JSON");
        route.check(&app, trace_id, &document);
    }
    app.stop();
}

#[test]
fn rules_of_a_file_and_rules_that_are_created_decide_what_the_sdk_samples() {
    let Some(interpreter) = install::python(TMP) else {
        return;
    };
    let directory = tempfile::tempdir().expect("a temporary directory");
    let file = directory.path().join("rules.json");
    let rules = r#"[{"RuleName": "all", "Priority": 1, "FixedRate": 1, "ReservoirSize": 0, "URLPath": "/all/*"},
                    {"RuleName": "Default", "Priority": 10000, "FixedRate": 0, "ReservoirSize": 0}]"#;
    std::fs::write(&file, rules).expect("a file");
    let dev = Dev::start(XRAY, &["--sampling-rules", file.to_str().expect("UTF-8")]);
    let daemon = format!("tcp:{} udp:{}", dev.tcp, dev.udp);
    let sampled = |path: &str| python(&interpreter, "sampled.py", &[path], Some(&daemon));

    let told = sampled("/all/x");
    assert_eq!(
        (&told["sampled"], &told["rules"]),
        (&20.into(), &serde_json::json!(["all", "Default"]))
    );
    assert_eq!(sampled("/none")["sampled"], 0);

    let rule = r#"{"SamplingRule": {"RuleName": "more", "ResourceARN": "*", "Priority": 2, "FixedRate": 1,
        "ReservoirSize": 0, "ServiceName": "*", "ServiceType": "*", "Host": "*", "HTTPMethod": "*", "URLPath": "/none",
        "Version": 1}}"#;
    let (status, answer) = crate::http::post(dev.tcp, "/CreateSamplingRule", &[], rule);
    assert_eq!(status, 200, "{answer}");
    assert_eq!(sampled("/none")["sampled"], 20);
}
