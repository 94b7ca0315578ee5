use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

fn counted(signal: Signal, request: &Value) -> (u64, u64, u64) {
    let counted = count(signal, request.to_string().as_bytes()).unwrap();
    (counted.resources, counted.scopes, counted.items)
}

fn halved(signal: Signal, request: &Value) -> Option<[Value; 2]> {
    let halves = halves(signal, request.to_string().as_bytes()).unwrap()?;
    Some(halves.map(|half| serde_json::from_slice(&half).unwrap()))
}

#[test]
fn every_signal_is_counted() {
    let scope = json!({"spans": [{"spans": [1, 2]}, {}], "logRecords": [{}], "more": {"spans": [1]}});
    let traces =
        json!({"resourceSpans": [{"scopeSpans": [scope, {}]}, {"scopeSpans": null}, {}], "spans": [1]});
    assert_eq!(counted(Signal::Traces, &traces), (3, 2, 2));
    let logs = json!({"resourceLogs": [{"scopeLogs": [scope]}]});
    assert_eq!(counted(Signal::Logs, &logs), (1, 1, 1));
    let metrics = json!({"resourceMetrics": [{"scopeMetrics": [{"metrics": [
        {"name": "a", "gauge": {"dataPoints": [{}, {}]}}, {"sum": {"dataPoints": [{}], "isMonotonic": true}},
        {"histogram": {"dataPoints": [{}]}}, {"exponentialHistogram": {"dataPoints": [{}]}}, {"summary": {"dataPoints": [{}]}},
    ]}]}]});
    assert_eq!(counted(Signal::Metrics, &metrics), (1, 1, 6));
    assert_eq!(counted(Signal::Traces, &json!({})), (0, 0, 0));
    for broken in [
        "",
        "[]",
        r#"{"resourceSpans":5}"#,
        r#"{"resourceSpans":[[]]}"#,
        "{} {}",
    ] {
        assert!(count(Signal::Traces, broken.as_bytes()).is_err(), "{broken}");
    }
}

#[test]
fn a_request_is_halved_at_resources_then_scopes_then_items_and_the_rest_is_in_both() {
    let request = json!({"a": 1, "resourceSpans": [{"resource": {"x": 1}, "scopeSpans": [{"spans": [1, 2, 3], "scope": "s"}]}]});
    let half = |spans: Value| json!({"a": 1, "resourceSpans": [{"resource": {"x": 1}, "scopeSpans": [{"spans": spans, "scope": "s"}]}]});
    assert_eq!(
        halved(Signal::Traces, &request),
        Some([half(json!([1, 2])), half(json!([3]))])
    );
    assert_eq!(halved(Signal::Traces, &half(json!([3]))), None);
    assert_eq!(halved(Signal::Traces, &json!({})), None);
    let resources = json!({"resourceLogs": [{"n": 1}, {"n": 2}]});
    assert_eq!(
        halved(Signal::Logs, &resources),
        Some([
            json!({"resourceLogs": [{"n": 1}]}),
            json!({"resourceLogs": [{"n": 2}]})
        ])
    );
    let points = |points: Value| json!({"resourceMetrics": [{"scopeMetrics": [{"metrics": [{"name": "m", "sum": {"dataPoints": points}}]}]}]});
    assert_eq!(
        halved(Signal::Metrics, &points(json!([1, 2]))),
        Some([points(json!([1])), points(json!([2]))])
    );
    assert!(halves(Signal::Traces, b"\xff").is_err());
    assert!(halves(Signal::Traces, b"{").is_err());
}

#[test]
fn what_stands_in_items_goes_on_byte_for_byte() {
    let request = r#"{ "resourceSpans" : [ {"n":1.50,"s":"\u0041"} , {"n": 1e3} ] }"#;
    let [first, second] = halves(Signal::Traces, request.as_bytes()).unwrap().unwrap();
    assert_eq!(first, br#"{"resourceSpans":[{"n":1.50,"s":"\u0041"}]}"#);
    assert_eq!(second, br#"{"resourceSpans":[{"n": 1e3}]}"#);
}

proptest! {
    #[test]
    fn halves_have_all_that_was_in_the_whole(
        resources in proptest::collection::vec(proptest::collection::vec(0_u8..4, 0..3), 0..4),
    ) {
        let mut number = 0;
        let resources: Vec<Value> = resources.iter().map(|scopes| {
            let scopes: Vec<Value> = scopes.iter().map(|items| {
                let items: Vec<u32> = (0..*items).map(|_| { number += 1; number }).collect();
                json!({"spans": items, "scope": number})
            }).collect();
            json!({"scopeSpans": scopes})
        }).collect();
        let mut left = vec![json!({ "resourceSpans": resources })];
        let mut items = Vec::new();
        while let Some(one) = left.pop() {
            match halved(Signal::Traces, &one) {
                Some([first, second]) => left.extend([second, first]),
                None => {
                    prop_assert!(counted(Signal::Traces, &one).2 <= 1);
                    let spans = &one["resourceSpans"][0]["scopeSpans"][0]["spans"][0];
                    items.extend(spans.as_u64());
                }
            }
        }
        prop_assert_eq!(items, (1..=number.into()).collect::<Vec<u64>>());
    }
}
