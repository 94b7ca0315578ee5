//! The AWS SDKs for JavaScript and for Rust, for which `xray dev` is X-Ray. boto3 and the AWS CLI have modules of their own.

use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use aws_credential_types::Credentials;
use aws_sdk_xray::Client;
use aws_sdk_xray::config::{BehaviorVersion, Region};
use aws_sdk_xray::error::ProvideErrorMetadata as _;
use aws_smithy_runtime_api::client::http::{
    HttpConnector, HttpConnectorFuture, SharedHttpConnector, http_client_fn,
};
use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_types::DateTime;
use aws_smithy_types::body::SdkBody;
use hyper_util::client::legacy;
use hyper_util::client::legacy::connect::HttpConnector as Tcp;
use hyper_util::rt::TokioExecutor;
use serde_json::{Value, json};
use xray_double::harness::apps::clean;
use xray_double::harness::dev::Dev;
use xray_double::harness::install;
use xray_double::harness::recorded::{Message, Way, check};
use xray_double::harness::routes::trace_id;
use xray_double::harness::tap::StreamTap;

use crate::TMP;
use crate::XRAY;

#[test]
fn the_javascript_sdk_sends_segments_and_reads_them_back() {
    let of = install::repository().join("tests/dev/aws_js");
    let Some(node_modules) = install::node_packages(TMP, "aws-js", &of) else {
        return;
    };
    let dev = Dev::start(XRAY, &[]);
    let tap = StreamTap::start(dev.tcp);
    let output = clean(&mut Command::new("node"))
        .arg(of.join("calls.mjs"))
        .arg(format!("http://{}", tap.address))
        .env("NODE_PATH", node_modules)
        .env("AWS_ACCESS_KEY_ID", "anybody")
        .env("AWS_SECRET_ACCESS_KEY", "anything")
        .env("AWS_REGION", "eu-north-1")
        .env("AWS_CONFIG_FILE", "/dev/null")
        .env("AWS_SHARED_CREDENTIALS_FILE", "/dev/null")
        .env("AWS_EC2_METADATA_DISABLED", "true")
        .output()
        .expect("Node.js starts");
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let told: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(
        told,
        json!({
            "unprocessed": ["MissingId"],
            "faults": [true],
            "users": ["Zoë"],
            "unknown": [true],
            "services": ["Clients", "shop"],
            "refused": "InvalidRequestException",
            "made": "tried",
            "is_new": true,
            "rules": ["tried", "Default"],
            "rates": [0.5]
        })
    );
    check("aws-js", &Message::requests(Way::Api, &tap.said()));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_rust_sdk_sends_segments_and_reads_them_back() {
    let dev = Dev::start(XRAY, &[]);
    let tap = StreamTap::start(dev.tcp);
    let client = client(&format!("http://{}", tap.address));
    let now = SystemTime::now();
    let (from, to) = (now - Duration::from_secs(3600), now + Duration::from_secs(3600));
    let seconds = DateTime::from(now).as_secs_f64();
    let segment = |number: usize, more: &str| {
        let id = trace_id(number);
        format!(
            r#"{{"trace_id":"{id}","id":"{number:016x}","name":"shop","start_time":{seconds},"end_time":{seconds}{more}}}"#
        )
    };

    let put = client
        .put_trace_segments()
        .trace_segment_documents(segment(1, r#","user":"Zoë""#))
        .trace_segment_documents(segment(2, r#","fault":true"#))
        .trace_segment_documents("{}")
        .send()
        .await
        .expect("an answer");
    let unprocessed: Vec<_> = put
        .unprocessed_trace_segments()
        .iter()
        .map(|refused| refused.error_code())
        .collect();
    assert_eq!(unprocessed, [Some("MissingId")]);

    let summaries = client
        .get_trace_summaries()
        .start_time(from.into())
        .end_time(to.into())
        .filter_expression("fault")
        .into_paginator()
        .items()
        .send()
        .collect::<Result<Vec<_>, _>>()
        .await
        .expect("summaries");
    let faults: Vec<_> = summaries
        .iter()
        .map(|summary| (summary.id(), summary.has_fault()))
        .collect();
    let of_fault = put_id(2, &summaries[0]);
    assert_eq!(faults, [(Some(of_fault.as_str()), Some(true))]);

    let traces = client
        .batch_get_traces()
        .trace_ids(&of_fault)
        .trace_ids("1-00000001-000000000000000000000000")
        .send()
        .await
        .expect("traces");
    let document = traces.traces()[0].segments()[0].document().expect("a document");
    let document: Value = serde_json::from_str(document).expect("JSON");
    assert_eq!(document["fault"], true);
    assert_eq!(
        traces.unprocessed_trace_ids(),
        ["1-00000001-000000000000000000000000"]
    );

    let refused = client
        .get_trace_summaries()
        .start_time(from.into())
        .end_time(to.into())
        .filter_expression("fault AND")
        .send()
        .await
        .expect_err("half an expression");
    assert_eq!(refused.code(), Some("InvalidRequestException"));
    let rules = client.get_sampling_rules().send().await.expect("sampling rules");
    let names: Vec<_> = rules
        .sampling_rule_records()
        .iter()
        .filter_map(|record| record.sampling_rule()?.rule_name())
        .collect();
    assert_eq!(names, ["Default"]);
    check("aws-rust", &Message::requests(Way::Api, &tap.said()));
}

/// The trace of the document with this number, which is told by its last digits.
fn put_id(number: usize, summary: &aws_sdk_xray::types::TraceSummary) -> String {
    let id = summary.id().expect("an id");
    assert!(id.ends_with(&format!("-{number:024x}")), "{id}");
    id.to_owned()
}

/// The SDK as it comes, but for the way to the wire: the one that it brings is not among the packages of this project.
fn client(endpoint: &str) -> Client {
    let connector = SharedHttpConnector::new(Wire(Arc::new(
        legacy::Client::builder(TokioExecutor::new()).build(Tcp::new()),
    )));
    let config = aws_sdk_xray::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new("eu-north-1"))
        .endpoint_url(endpoint)
        .credentials_provider(Credentials::new("anybody", "anything", None, None, "a test"))
        .http_client(http_client_fn(move |_, _| connector.clone()))
        .build();
    Client::from_conf(config)
}

#[derive(Debug)]
struct Wire(Arc<legacy::Client<Tcp, SdkBody>>);

impl HttpConnector for Wire {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let client = Arc::clone(&self.0);
        HttpConnectorFuture::new(async move {
            let request = request
                .try_into_http1x()
                .map_err(|error| ConnectorError::user(error.into()))?;
            let answer = client
                .request(request)
                .await
                .map_err(|error| ConnectorError::io(error.into()))?;
            answer
                .map(SdkBody::from_body_1_x)
                .try_into()
                .map_err(|error| ConnectorError::other(Box::new(error), None))
        })
    }
}
