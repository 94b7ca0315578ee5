//! Filter expressions. The input is an expression.

use std::sync::LazyLock;

use serde_json::json;

use crate::assert_is_plain;
use crate::subject::filter::{Filter, MAX_CHARS};
use crate::subject::trace::{Digest, Tree};

/// Levels inside each other that an expression may have, of which each term is one.
const MAX_DEPTH: usize = 50;

/// The longest message: a string of the expression's length, each character escaped.
const MESSAGE_MAX_BYTES: usize = 12 * MAX_CHARS;

/// A trace with two services, a call, and every kind of annotation.
static DIGEST: LazyLock<Digest> = LazyLock::new(|| {
    let documents = [
        json!({
            "trace_id": "t", "id": "0000000000000001", "name": "shop", "start_time": 10.0, "end_time": 11.5,
            "user": "ada", "origin": "AWS::ECS::Container", "fault": true,
            "http": {"request": {"method": "GET", "url": "http://shop/carts?id=1", "user_agent": "curl"},
                     "response": {"status": 500}},
            "annotations": {"tenant": "blue", "size": 3, "beta": true, "a.b": "dot"},
            "aws": {"ec2": {"instance_id": "i-1", "availability_zone": "eu-west-1a"}},
            "subsegments": [{
                "id": "0000000000000002", "name": "pay", "namespace": "remote", "start_time": 10.5, "end_time": 11.0,
                "throttle": true, "error": true
            }]
        }),
        json!({"trace_id": "t", "id": "0000000000000003", "name": "late", "parent_id": "0000000000000001",
               "start_time": 11.0}),
    ]
    .map(|document| document.to_string());
    Digest::of("t", &Tree::build(documents.iter().map(String::as_str)))
});

/// Reading ends and stays within its depth; a refusal has a place and is plain text; an expression that is read is
/// judged, the same with white space around it, and the other way round after `NOT`.
///
/// # Panics
/// When one of these does not hold.
pub fn check(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else {
        return;
    };
    let filter = match Filter::parse(text) {
        Ok(filter) => filter,
        Err(error) => {
            assert!(error.position <= text.chars().count());
            assert_is_plain(&error.to_string(), MESSAGE_MAX_BYTES);
            return;
        }
    };
    let matches = filter.matches(&DIGEST);
    if text.chars().count() + 2 * MAX_DEPTH > MAX_CHARS {
        return;
    }
    assert_eq!(Filter::parse(&format!(" {text}\n")), Ok(filter));
    if text.trim().is_empty() {
        assert!(matches);
        return;
    }
    let nested = |levels: usize| format!("{}{text}{}", "(".repeat(levels), ")".repeat(levels));
    assert!(Filter::parse(&nested(MAX_DEPTH)).is_err(), "too deep");
    // One that is not as deep as can be already.
    if let Ok(negated) = Filter::parse(&format!("NOT {}", nested(1))) {
        assert_eq!(negated.matches(&DIGEST), !matches);
    }
}
