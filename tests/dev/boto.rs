//! boto3 works unchanged, and sees what it would see at moto for the calls moto has.

use serde_json::json;
use xray_double::harness::dev::Dev;
use xray_double::harness::install;
use xray_double::harness::moto::Moto;
use xray_double::harness::recorded::{Message, Way, check};
use xray_double::harness::tap::StreamTap;

use crate::TMP;
use crate::XRAY;
use crate::server::python;

#[test]
fn boto3_does_everything_that_the_api_offers() {
    let Some(interpreter) = install::python(TMP) else {
        return;
    };
    let dev = Dev::start(XRAY, &[]);
    let tap = StreamTap::start(dev.tcp);
    let told = python(
        &interpreter,
        "api.py",
        &[&format!("http://{}", tap.address)],
        None,
    );
    assert_eq!(
        told,
        json!({
            "refused": [[null, "MissingId"], [null, "ParseError"]],
            "found": {
                "": [1, 2, 3], "fault": [2], "ok": [1, 3], "http.status = 200": [1], "user = \"ada\"": [3],
                "annotation.n >= 2": [2, 3], "service(\"stock\")": [2], "edge(\"shop\", \"stock\")": [2],
                "responsetime > 1": [], "fault OR annotation[n] = 1": [1, 2]
            },
            "filter_error": ["InvalidRequestException",
                             "Invalid filter expression: a keyword expected, found the end (at character 10)"],
            "document": true,
            "unprocessed": true,
            "services": [["Clients", "client", 1], ["shop", null, 1], ["stock", "remote", 0]],
            "trace_graph": ["Clients", "shop", "stock"],
            "created": "arn:aws:xray:us-east-1:000000000000:sampling-rule/tried",
            "rate": 1.0,
            "rules": ["tried", "Default"],
            "target": {"RuleName": "tried", "FixedRate": 1.0, "ReservoirQuota": 10, "Interval": 10},
            "statistics": [7],
            "deleted": "tried",
            "twice": ["InvalidRequestException", "There is no such sampling rule"]
        })
    );
    check("boto3", &Message::requests(Way::Api, &tap.said()));
}

#[test]
fn each_operation_of_the_model_answers_in_the_models_form() {
    let Some(interpreter) = install::python(TMP) else {
        return;
    };
    let dev = Dev::start(XRAY, &[]);
    let told = python(&interpreter, "operations.py", &[&dev.url()], None);
    assert_eq!(
        told,
        json!({
            "not_called": [],
            "operations": 38,
            "refused": "Invalid segment. ErrorCode: InvalidName, Cause: name \"a?\" has '?' at character 2, which names \
                        may not have",
            "throttled": [false, false],
            "groups": ["Default", "slow"],
            "of_group": 0,
            "services": [["Clients", "client", "unknown", null],
                         ["carts", "AWS::DynamoDB::Table", "unknown", null],
                         ["shop", "AWS::EC2::Instance", "active", true]],
            "services_of_group": 0,
            "series": [1],
            "insights": [],
            "no_insight": ["InvalidRequestException", "InvalidRequestException", "InvalidRequestException"],
            "rule_tags": [{"Key": "team", "Value": "a"}],
            "policies": ["p"],
            "retrieved": ["COMPLETE", [true]],
            "gone": "ResourceNotFoundException"
        })
    );
}

#[test]
fn grafanas_data_source_finds_what_it_asks_for() {
    let Some(interpreter) = install::python(TMP) else {
        return;
    };
    let dev = Dev::start(XRAY, &[]);
    let told = python(&interpreter, "grafana.py", &[&dev.url()], None);
    assert_eq!(
        told,
        json!({
            "groups": ["Default"],
            "searched": [4],
            "rows": [["GET", 500, "http://shop/", "192.0.2.1", 0.5, 1]],
            "trace": [true, true],
            "trace_services": ["Clients", "pay", "shop"],
            "edges": [["Clients", "shop", 4], ["shop", "pay", 4]],
            "accounts": [],
            "every": [4, 1, 2.0],
            "of_service": [4, 0, 1.0],
            "analysed": true,
            "insights": [[], []]
        })
    );
}

#[test]
fn the_calls_that_moto_has_are_answered_as_moto_answers_them() {
    let Some(interpreter) = install::python(TMP) else {
        return;
    };
    let (dev, moto) = (Dev::start(XRAY, &[]), Moto::start(&interpreter));
    let told = python(&interpreter, "compare.py", &[&dev.url(), &moto.url()], None);
    assert_eq!(told[0]["summaries"].as_array().map(Vec::len), Some(3));
    assert_eq!(told[0], told[1]);
}
