//! boto3 works unchanged, and sees what it would see at moto for the calls moto has.

use serde_json::json;
use xray_double::harness::install;
use xray_double::harness::moto::Moto;

use crate::TMP;
use crate::server::{Dev, python};

#[test]
fn boto3_does_everything_that_the_api_offers() {
    let Some(interpreter) = install::python(TMP) else {
        return;
    };
    let dev = Dev::start(&[]);
    let told = python(&interpreter, "api.py", &[&dev.url()], None);
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
}

#[test]
fn the_calls_that_moto_has_are_answered_as_moto_answers_them() {
    let Some(interpreter) = install::python(TMP) else {
        return;
    };
    let (dev, moto) = (Dev::start(&[]), Moto::start(&interpreter));
    let told = python(&interpreter, "compare.py", &[&dev.url(), &moto.url()], None);
    assert_eq!(told[0]["summaries"].as_array().map(Vec::len), Some(3));
    assert_eq!(told[0], told[1]);
}
