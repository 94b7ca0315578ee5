//! What is seen, and what is said of it.

use std::time::SystemTime;

use serde_json::{Value, json};

use super::*;
use crate::service::Service;
use crate::traces::Limits;

const T: &str = "1-581cf771-a006649127e371903a2de979";
const START: f64 = 1_795_227_595.0;

fn now() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(1_795_227_600)
}

fn put(service: &mut Service, documents: &[Value]) {
    let texts: Vec<String> = documents.iter().map(ToString::to_string).collect();
    let body = json!({ "TraceSegmentDocuments": texts }).to_string();
    let answer = service.handle("POST", "/TraceSegments", body.as_bytes(), now());
    assert_eq!(answer.status, 200, "{}", answer.body);
}

fn segment(id: u32, more: Value) -> Value {
    let mut segment = json!({"trace_id": T, "id": format!("{id:016x}"), "name": format!("part-{id}"),
        "start_time": START, "end_time": START + 1.0});
    segment
        .as_object_mut()
        .unwrap()
        .extend(more.as_object().unwrap().clone());
    segment
}

/// The hints of the trace, so long after its last document.
fn hints_after(documents: &[Value], quiet_s: u64) -> Vec<Hint> {
    let mut service = Service::new(Limits::default());
    service.tell_causes();
    put(&mut service, documents);
    let view = service.view();
    let trace = view.traces.get(T).unwrap();
    view.hints(trace, now() + Duration::from_secs(quiet_s), &Work::new())
        .unwrap()
}

fn codes(hints: &[Hint]) -> Vec<&str> {
    hints.iter().map(|hint| &*hint.code).collect()
}

#[test]
fn a_trace_in_which_nothing_is_wrong_has_no_hint() {
    let documents = [
        segment(
            1,
            json!({"http": {"request": {"method": "GET", "url": "http://h/"}}}),
        ),
        segment(2, json!({"parent_id": "0000000000000001", "type": "subsegment"})),
    ];
    assert_eq!(hints_after(&documents, 600), []);
}

#[test]
fn what_waits_for_a_parent_says_for_which_and_why_it_may_not_come() {
    let documents = [
        segment(2, json!({"parent_id": "0000000000000009", "type": "subsegment"})),
        segment(3, json!({"parent_id": "0000000000000009", "type": "subsegment"})),
    ];
    let hints = hints_after(&documents, 0);
    assert_eq!(codes(&hints), ["waits_for_parent"]);
    let text = &hints[0].text;
    assert!(
        text.starts_with("\"part-2\", \"part-3\" wait for \"0000000000000009\", which has not come.")
            && text.contains("Message too long"),
        "{text}"
    );
    assert_eq!(hints[0].segments, ["0000000000000002", "0000000000000003"]);
}

#[test]
fn a_segment_that_was_begun_in_a_request_is_told_from_one_that_was_called() {
    let own = segment(2, json!({"parent_id": "0000000000000009", "name": "work"}));
    let hints = hints_after(&[own], 0);
    assert_eq!(codes(&hints), ["own_segment"]);
    assert!(
        hints[0].text.contains("Begin a subsegment there"),
        "{}",
        hints[0].text
    );
    let called = segment(
        2,
        json!({"parent_id": "0000000000000009", "http": {"request": {"method": "GET", "url": "http://h/"}}}),
    );
    assert_eq!(codes(&hints_after(&[called], 0)), ["waits_for_parent"]);
}

#[test]
fn what_has_no_end_is_called_never_ended_after_minutes_and_by_its_outermost_part() {
    let open = json!({"trace_id": T, "id": "0000000000000001", "name": "shop", "start_time": START, "in_progress": true,
        "subsegments": [{"id": "0000000000000002", "name": "inner", "start_time": START, "in_progress": true}]});
    assert_eq!(hints_after(std::slice::from_ref(&open), 119), []);
    let hints = hints_after(&[open], 120);
    assert_eq!(codes(&hints), ["never_ended"]);
    assert!(
        hints[0]
            .text
            .starts_with("\"shop\" has no end, and nothing came for 2 minutes."),
        "{}",
        hints[0].text
    );
    assert_eq!(hints[0].segments, ["0000000000000001"]);
}

#[test]
fn times_in_another_unit_say_by_what_to_divide() {
    let hints = hints_after(
        &[segment(
            1,
            json!({"start_time": START * 1e3, "end_time": START * 1e3 + 5.0}),
        )],
        0,
    );
    assert_eq!(codes(&hints), ["wrong_unit"]);
    assert!(
        hints[0].text.starts_with("start_time looks like milliseconds.")
            && hints[0].text.ends_with("divide by 1000."),
        "{}",
        hints[0].text
    );
}

#[test]
fn a_refused_document_is_told_in_the_trace_that_it_would_have_been_in() {
    let refused = segment(2, json!({"name": "SELECT ?"}));
    let elsewhere = json!({"trace_id": "1-581cf771-000000000000000000000000", "id": "0000000000000003", "name": "?",
        "start_time": START, "end_time": START});
    let hints = hints_after(&[segment(1, json!({})), refused, elsewhere], 0);
    assert_eq!(codes(&hints), ["refused"]);
    assert!(
        hints[0].text.contains("\"SELECT ?\"") && hints[0].text.contains("has '?' at character 8"),
        "{}",
        hints[0].text
    );
}

#[test]
fn a_document_near_the_limit_says_what_comes_of_a_longer_one() {
    let of_bytes = |bytes: usize| segment(1, json!({"metadata": {"default": {"text": "x".repeat(bytes)}}}));
    assert_eq!(hints_after(&[of_bytes(LARGE_BYTES - 300)], 0), []);
    let hints = hints_after(&[of_bytes(LARGE_BYTES)], 0);
    assert_eq!(codes(&hints), ["large_document"]);
    assert!(
        hints[0].text.contains("A longer one never arrives."),
        "{}",
        hints[0].text
    );
}

#[test]
fn a_traced_call_that_nobody_took_up_was_left_out_by_who_was_called() {
    let call = json!({"id": "0000000000000002", "name": "pay", "namespace": "remote", "start_time": START,
        "end_time": START + 0.5, "http": {"request": {"method": "GET", "url": "http://pay/", "traced": true}}});
    let shop = segment(1, json!({ "subsegments": [call] }));
    assert_eq!(codes(&hints_after(std::slice::from_ref(&shop), 0)), ["left_out"]);
    let answer = segment(3, json!({"parent_id": "0000000000000002"}));
    assert_eq!(hints_after(&[shop, answer], 0), []);
}

/// A server span with a method and a path, in OTLP.
fn span(trace_id: u8, path: &str, start: f64, end: f64) -> Value {
    use prost::Message as _;
    use xray_document::otlp::message::{
        AnyValue, KeyValue, Request, ResourceSpans, ScopeSpans, Span, any_value,
    };
    let text = |key: &str, text: &str| KeyValue {
        key: key.to_owned(),
        value: Some(AnyValue {
            value: Some(any_value::Value::Text(text.to_owned())),
        }),
    };
    let span = Span {
        trace_id: vec![trace_id; 16],
        span_id: vec![7; 8],
        name: "GET".to_owned(),
        kind: 2,
        start_time_unix_nano: (start * 1e9) as u64,
        end_time_unix_nano: (end * 1e9) as u64,
        attributes: vec![
            text("http.request.method", "GET"),
            text("url.full", &format!("http://h{path}?x=1")),
        ],
        ..Span::default()
    };
    let request = Request {
        resource_spans: vec![ResourceSpans {
            scope_spans: vec![ScopeSpans {
                spans: vec![span],
                ..ScopeSpans::default()
            }],
            ..ResourceSpans::default()
        }],
    };
    let bytes = request.encode_to_vec();
    json!(format!("T1S{}", aws_smithy_types::base64::encode(bytes)))
}

#[test]
fn two_sdks_in_one_process_are_seen_by_one_request_in_two_traces() {
    let hints = |other: Value| {
        let mut service = Service::new(Limits::default());
        put(
            &mut service,
            &[segment(
                1,
                json!({"http": {"request": {"method": "GET", "url": "http://h/carts"}}}),
            )],
        );
        let body = json!({ "TraceSegmentDocuments": [other] }).to_string();
        service.handle("POST", "/TraceSegments", body.as_bytes(), now());
        let view = service.view();
        assert_eq!(view.traces.newest_first(None).count(), 2);
        view.hints(view.traces.get(T).unwrap(), now(), &Work::new())
            .unwrap()
    };
    let same = hints(span(0xab, "/carts", START + 0.01, START + 0.9));
    assert_eq!(codes(&same), ["two_traces"]);
    assert!(
        same[0].text.contains("1-abababab-abababababababababababab")
            && same[0].text.contains("OTEL_PROPAGATORS=xray"),
        "{}",
        same[0].text
    );
    assert_eq!(hints(span(0xab, "/other", START + 0.01, START + 0.9)), []);
    assert_eq!(hints(span(0xab, "/carts", START + 0.5, START + 0.9)), []);
}

#[test]
fn names_of_others_are_cut_and_as_many_hints_as_there_may_be_are_bounded() {
    let documents: Vec<Value> = (1..40)
        .map(|id| {
            let parent = format!("{:016x}", 1000 + id);
            segment(
                id,
                json!({"parent_id": parent, "type": "subsegment", "name": "n".repeat(200)}),
            )
        })
        .collect();
    let hints = hints_after(&documents, 600);
    assert_eq!(codes(&hints), ["waits_for_parent"; MAX_OF_A_CODE]);
    assert!(hints[0].text.chars().count() < 500);
}
