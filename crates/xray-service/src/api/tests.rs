use std::time::Duration;

use serde_json::{Value, json};

use super::*;
use crate::answer::Answer;
use crate::service::Service;
use crate::traces::Limits;

fn now() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(1_795_227_595)
}

fn post(service: &mut Service, path: &str, body: &Value) -> Answer {
    service.handle("POST", path, body.to_string().as_bytes(), now())
}

fn ask(service: &mut Service, path: &str, body: &Value) -> Value {
    let answer = post(service, path, body);
    assert_eq!(answer.status, 200, "{}", answer.body);
    serde_json::from_str(&answer.body).unwrap()
}

fn id(trace: u32) -> String {
    format!("1-581cf771-{trace:024x}")
}

fn put(service: &mut Service, documents: &[Value]) {
    let documents: Vec<String> = documents.iter().map(ToString::to_string).collect();
    let answer = ask(
        service,
        "/TraceSegments",
        &json!({ "TraceSegmentDocuments": documents }),
    );
    assert_eq!(answer, json!({"UnprocessedTraceSegments": []}));
}

fn service() -> Service {
    Service::new(Limits::default())
}

fn segment(trace: u32, start: f64) -> Value {
    json!({
        "trace_id": id(trace), "id": "0000000000000001", "name": "shop", "start_time": start, "end_time": start + 0.5,
        "http": {"request": {"method": "GET", "url": "http://shop/"}, "response": {"status": 200}},
        "annotations": {"tenant": "blue", "size": 2, "beta": true}, "user": "ada",
        "subsegments": [{"id": "0000000000000002", "name": "DynamoDB", "namespace": "aws",
                         "start_time": start + 0.1, "end_time": start + 0.3, "throttle": true, "error": true}]
    })
}

#[test]
fn a_summary_has_what_the_model_says() {
    let mut service = service();
    put(&mut service, &[segment(1, 100.25)]);
    let answer = ask(
        &mut service,
        "/TraceSummaries",
        &json!({"StartTime": 100, "EndTime": 100}),
    );
    assert_eq!(
        answer,
        json!({
            "TraceSummaries": [{
                "Id": id(1), "StartTime": 100.25, "Duration": 0.5, "ResponseTime": 0.5,
                "HasFault": false, "HasError": false, "HasThrottle": false, "IsPartial": false,
                "Http": {"HttpURL": "http://shop/", "HttpMethod": "GET", "HttpStatus": 200},
                "Annotations": {
                    "tenant": [{"AnnotationValue": {"StringValue": "blue"},
                                "ServiceIds": [{"Name": "shop", "Names": ["shop"]}]}],
                    "size": [{"AnnotationValue": {"NumberValue": 2.0},
                              "ServiceIds": [{"Name": "shop", "Names": ["shop"]}]}],
                    "beta": [{"AnnotationValue": {"BooleanValue": true},
                              "ServiceIds": [{"Name": "shop", "Names": ["shop"]}]}],
                },
                "Users": [{"UserName": "ada", "ServiceIds": [{"Name": "shop", "Names": ["shop"]}]}],
                "ServiceIds": [
                    {"Name": "shop", "Names": ["shop"]},
                    {"Name": "Clients", "Names": ["Clients"], "Type": "client"},
                    {"Name": "DynamoDB", "Names": ["DynamoDB"], "Type": "AWS::DynamoDB"},
                ],
                "ResourceARNs": [], "InstanceIds": [], "AvailabilityZones": [],
                "EntryPoint": {"Name": "shop", "Names": ["shop"]}, "Revision": 1
            }],
            "ApproximateTime": 1_795_227_595.0,
            "TracesProcessedCount": 1
        })
    );
}

#[test]
fn pages_follow_each_other_without_gap_or_repeat() {
    let mut service = service();
    for trace in 0..250 {
        put(&mut service, &[segment(trace, 1_000.0 + f64::from(trace % 50))]);
    }
    let (mut seen, mut token, mut pages) = (Vec::new(), Value::Null, 0);
    loop {
        let answer = ask(
            &mut service,
            "/TraceSummaries",
            &json!({"StartTime": 0, "EndTime": 5000, "NextToken": token}),
        );
        let page = answer["TraceSummaries"].as_array().unwrap();
        seen.extend(
            page.iter()
                .map(|summary| summary["Id"].as_str().unwrap().to_owned()),
        );
        pages += 1;
        token = answer["NextToken"].clone();
        if token.is_null() {
            break;
        }
    }
    assert_eq!((seen.len(), pages), (250, 3));
    seen.sort();
    seen.dedup();
    assert_eq!(seen.len(), 250);
}

#[test]
fn the_time_range_and_the_filter_both_count() {
    let mut service = service();
    for trace in 0..10 {
        put(&mut service, &[segment(trace, 1_000.0 + f64::from(trace))]);
    }
    let mut count = |start: f64, end: f64, filter: &str| {
        let body = json!({"StartTime": start, "EndTime": end, "FilterExpression": filter});
        let answer = ask(&mut service, "/TraceSummaries", &body);
        (
            answer["TraceSummaries"].as_array().unwrap().len(),
            answer["TracesProcessedCount"].as_u64().unwrap(),
        )
    };
    assert_eq!(count(1_002.0, 1_004.5, ""), (3, 3));
    assert_eq!(count(0.0, 2_000.0, "fault"), (0, 10));
    assert_eq!(
        count(0.0, 2_000.0, "edge(\"shop\", \"DynamoDB\") { throttle }"),
        (10, 10)
    );
}

#[test]
fn what_cannot_be_asked_is_refused_with_its_reason() {
    let mut service = service();
    for (path, body, message) in [
        (
            "/TraceSummaries",
            json!({"StartTime": 1}),
            "StartTime and EndTime are required",
        ),
        (
            "/TraceSummaries",
            json!({"StartTime": 2, "EndTime": 1}),
            "StartTime is after EndTime",
        ),
        (
            "/TraceSummaries",
            json!({"StartTime": 1, "EndTime": 2, "FilterExpression": "ok AND colour = 1"}),
            "Invalid filter expression: unknown keyword colour (at character 8)",
        ),
        (
            "/TraceSummaries",
            json!({"StartTime": 1, "EndTime": 2, "NextToken": "x"}),
            "NextToken is not one that was given out",
        ),
        (
            "/TraceSummaries",
            json!({"StartTime": 1, "EndTime": 2, "TimeRangeType": "x"}),
            "TimeRangeType is TraceId, Event or Service",
        ),
        ("/Traces", json!({}), "TraceIds is required"),
        (
            "/Traces",
            json!({"TraceIds": ["a", "b", "c", "d", "e", "f"]}),
            "6 trace ids exceed the maximum of 5",
        ),
        (
            "/ServiceGraph",
            json!({"StartTime": 1, "EndTime": 2, "GroupName": "g"}),
            "There is no group \"g\"",
        ),
    ] {
        let answer = post(&mut service, path, &body);
        assert_eq!(
            (answer.status, answer.error_type),
            (400, Some("InvalidRequestException"))
        );
        assert_eq!(
            serde_json::from_str::<Value>(&answer.body).unwrap(),
            json!({ "message": message })
        );
    }
    let answer = post(&mut service, "/Traces", &json!([]));
    assert_eq!(answer.error_type, Some("SerializationException"));
}

#[test]
fn whole_traces_are_given_with_what_was_sent_apart() {
    let mut service = service();
    put(
        &mut service,
        &[
            json!({"trace_id": id(1), "id": "0000000000000003", "parent_id": "0000000000000002", "type": "subsegment",
                   "name": "late", "start_time": 100.2, "end_time": 100.25}),
            segment(1, 100.0),
        ],
    );
    let answer = ask(&mut service, "/Traces", &json!({"TraceIds": [id(1), id(9)]}));
    assert_eq!(answer["UnprocessedTraceIds"], json!([id(9)]));
    let trace = &answer["Traces"][0];
    assert_eq!(
        (&trace["Id"], &trace["Duration"], &trace["LimitExceeded"]),
        (&json!(id(1)), &json!(0.5), &json!(false))
    );
    assert_eq!(trace["Segments"].as_array().unwrap().len(), 1);
    let document: Value = serde_json::from_str(trace["Segments"][0]["Document"].as_str().unwrap()).unwrap();
    assert_eq!(
        document["subsegments"][0]["subsegments"][0]["name"],
        json!("late")
    );
}

#[test]
fn the_service_graph_has_services_edges_and_statistics() {
    let mut service = service();
    put(&mut service, &[segment(1, 100.0), segment(2, 101.0)]);
    let answer = ask(
        &mut service,
        "/ServiceGraph",
        &json!({"StartTime": 100, "EndTime": 101}),
    );
    let services = answer["Services"].as_array().unwrap();
    let names: Vec<&Value> = services.iter().map(|service| &service["Name"]).collect();
    assert_eq!(names, ["Clients", "DynamoDB", "shop"]);
    assert_eq!(services[0]["Edges"][0]["ReferenceId"], json!(2));
    assert_eq!(services[2]["Root"], json!(true));
    assert_eq!(
        services[2]["Edges"][0],
        json!({
            "ReferenceId": 1, "StartTime": 100.1, "EndTime": 101.3, "Aliases": [],
            "SummaryStatistics": {
                "OkCount": 0, "ErrorStatistics": {"ThrottleCount": 2, "OtherCount": 0, "TotalCount": 2},
                "FaultStatistics": {"OtherCount": 0, "TotalCount": 0}, "TotalCount": 2, "TotalResponseTime": 0.4
            },
            "ResponseTimeHistogram": [{"Value": 0.2, "Count": 2}]
        })
    );
    let one = ask(
        &mut service,
        "/TraceGraph",
        &json!({"TraceIds": [id(1), id(1), id(7)]}),
    );
    assert_eq!(one["Services"][2]["SummaryStatistics"]["TotalCount"], json!(1));
}
