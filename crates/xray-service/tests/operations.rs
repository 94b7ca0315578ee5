//! The operations beside sampling and reading single traces, as a client calls them.

use std::time::{Duration, SystemTime};

use serde_json::{Value, json};
use xray_service::service::{Operation, Service};
use xray_service::traces::Limits;

const NOW: u64 = 1_795_227_600;

fn now() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(NOW)
}

fn service() -> Service {
    Service::new(Limits::default())
}

fn id(trace: u32) -> String {
    format!("1-581cf771-{trace:024x}")
}

/// Puts a trace of one second that starts so many seconds before now.
fn put(service: &mut Service, trace: u32, ago: u64, more: &Value) {
    let start = NOW - ago;
    let mut document = json!({
        "trace_id": id(trace), "id": "0000000000000001", "name": "shop", "start_time": start, "end_time": start + 1
    });
    document
        .as_object_mut()
        .expect("as the model says")
        .extend(more.as_object().expect("as the model says").clone());
    let body = json!({"TraceSegmentDocuments": [document.to_string()]});
    assert_eq!(
        call(service, "/TraceSegments", &body),
        json!({"UnprocessedTraceSegments": []})
    );
}

fn call(service: &mut Service, path: &str, body: &Value) -> Value {
    let answer = service.handle("POST", path, body.to_string().as_bytes(), now());
    assert_eq!(answer.status, 200, "{path} {body}: {}", answer.body);
    serde_json::from_str(&answer.body).expect("as the model says")
}

/// Status, code and message.
fn refused(service: &mut Service, path: &str, body: &Value) -> (u16, String, String) {
    let answer = service.handle("POST", path, body.to_string().as_bytes(), now());
    let text: Value = serde_json::from_str(&answer.body).expect("as the model says");
    (
        answer.status,
        answer.error_type.unwrap_or_default().to_owned(),
        text["message"].as_str().unwrap_or_default().to_owned(),
    )
}

fn invalid(message: &str) -> (u16, String, String) {
    (400, "InvalidRequestException".to_owned(), message.to_owned())
}

fn range(ago: u64) -> Value {
    json!({"StartTime": NOW - ago, "EndTime": NOW})
}

fn with(mut body: Value, field: &str, value: impl Into<Value>) -> Value {
    body[field] = value.into();
    body
}

fn found(service: &mut Service, body: &Value) -> usize {
    let answer = call(service, "/TraceSummaries", body);
    answer["TraceSummaries"]
        .as_array()
        .expect("as the model says")
        .len()
}

#[test]
fn a_group_is_made_found_changed_and_deleted() {
    let mut service = service();
    let default = json!({
        "GroupName": "Default", "GroupARN": "arn:aws:xray:us-east-1:000000000000:group/Default",
        "InsightsConfiguration": {"InsightsEnabled": false, "NotificationsEnabled": false}
    });
    assert_eq!(
        call(&mut service, "/Groups", &json!({})),
        json!({ "Groups": [default] })
    );

    let made = call(
        &mut service,
        "/CreateGroup",
        &json!({"GroupName": "slow", "FilterExpression": "responsetime > 2", "Tags": [{"Key": "team", "Value": "a"}]}),
    );
    let arn = made["Group"]["GroupARN"].as_str().unwrap().to_owned();
    assert!(
        arn.starts_with("arn:aws:xray:us-east-1:000000000000:group/slow/"),
        "{arn}"
    );
    assert_eq!(made["Group"]["FilterExpression"], "responsetime > 2");
    for by in [
        json!({"GroupName": "slow"}),
        json!({"GroupARN": arn}),
        json!({"GroupName": "slow", "GroupARN": arn}),
    ] {
        assert_eq!(call(&mut service, "/GetGroup", &by), made);
    }
    let tags = call(
        &mut service,
        "/ListTagsForResource",
        &json!({ "ResourceARN": arn }),
    );
    assert_eq!(tags, json!({"Tags": [{"Key": "team", "Value": "a"}]}));

    let changed = call(
        &mut service,
        "/UpdateGroup",
        &json!({"GroupName": "slow", "FilterExpression": "responsetime > 3",
                "InsightsConfiguration": {"InsightsEnabled": true}}),
    );
    assert_eq!(changed["Group"]["GroupARN"], arn);
    assert_eq!(
        changed["Group"]["InsightsConfiguration"],
        json!({"InsightsEnabled": true, "NotificationsEnabled": false})
    );

    assert_eq!(
        call(&mut service, "/DeleteGroup", &json!({"GroupName": "slow"})),
        json!({})
    );
    let (status, code, _) = refused(
        &mut service,
        "/ListTagsForResource",
        &json!({ "ResourceARN": arn }),
    );
    assert_eq!((status, code.as_str()), (404, "ResourceNotFoundException"));
    let again = call(&mut service, "/CreateGroup", &json!({"GroupName": "slow"}));
    assert_ne!(again["Group"]["GroupARN"], arn, "another group");
}

#[test]
fn groups_that_cannot_be_are_refused() {
    let mut service = service();
    call(&mut service, "/CreateGroup", &json!({"GroupName": "g"}));
    for (path, body, message) in [
        ("/CreateGroup", json!({}), "GroupName is required"),
        (
            "/CreateGroup",
            json!({"GroupName": "x".repeat(33)}),
            "GroupName has 33 characters, not 1 to 32",
        ),
        (
            "/CreateGroup",
            json!({"GroupName": "g"}),
            "A group named g exists",
        ),
        (
            "/CreateGroup",
            json!({"GroupName": "Default"}),
            "A group named Default exists",
        ),
        (
            "/CreateGroup",
            json!({"GroupName": "h", "FilterExpression": "ok AND"}),
            "Invalid filter expression: a keyword expected, found the end (at character 7)",
        ),
        (
            "/CreateGroup",
            json!({"GroupName": "h", "FilterExpression": "groupname = \"g\""}),
            "Invalid filter expression: groupname is not supported here (at character 1)",
        ),
        (
            "/CreateGroup",
            json!({"GroupName": "h", "InsightsConfiguration": {"NotificationsEnabled": true}}),
            "NotificationsEnabled needs InsightsEnabled to be true",
        ),
        (
            "/UpdateGroup",
            json!({"GroupName": "Default", "FilterExpression": "ok"}),
            "The default group has no filter expression",
        ),
        (
            "/DeleteGroup",
            json!({"GroupName": "Default"}),
            "The default group can't be deleted",
        ),
        ("/GetGroup", json!({}), "GroupName or GroupARN is required"),
        (
            "/GetGroup",
            json!({"GroupName": "gone"}),
            "There is no group \"gone\"",
        ),
        (
            "/Groups",
            json!({"NextToken": "x"}),
            "NextToken is not one that was given out",
        ),
    ] {
        assert_eq!(refused(&mut service, path, &body), invalid(message), "{body}");
    }
    for n in 1..25 {
        call(
            &mut service,
            "/CreateGroup",
            &json!({ "GroupName": format!("g{n}") }),
        );
    }
    let (_, _, message) = refused(&mut service, "/CreateGroup", &json!({"GroupName": "one more"}));
    assert_eq!(message, "There are 25 groups, and no more are allowed");
}

#[test]
fn groups_filter_summaries_the_map_and_statistics() {
    let mut service = service();
    put(
        &mut service,
        1,
        100,
        &json!({"fault": true, "name": "orders", "user": "ada"}),
    );
    put(&mut service, 2, 90, &json!({}));
    let group = json!({"GroupName": "failed", "FilterExpression": "fault"});
    let made = call(&mut service, "/CreateGroup", &group);
    let arn = made["Group"]["GroupARN"].as_str().unwrap();
    for (expression, number) in [
        ("groupname = \"Default\"".to_owned(), 2),
        ("group.name = \"failed\"".to_owned(), 1),
        ("group.name = \"failed\" AND user = \"bob\"".to_owned(), 0),
        (format!("group.arn = \"{arn}\" AND user = \"ada\""), 1),
        ("group.name != \"failed\"".to_owned(), 1),
    ] {
        let body = with(range(200), "FilterExpression", expression.clone());
        assert_eq!(found(&mut service, &body), number, "{expression}");
    }
    let names = |answer: &Value| {
        let services = answer["Services"].as_array().unwrap();
        let names: Vec<String> = services
            .iter()
            .map(|service| service["Name"].as_str().unwrap().to_owned())
            .collect();
        names
    };
    let of = |field: &str, value: &str| with(range(200), field, value);
    let map = call(&mut service, "/ServiceGraph", &range(200));
    assert_eq!(names(&map), ["Clients", "orders", "shop"]);
    for body in [of("GroupName", "failed"), of("GroupARN", arn)] {
        let map = call(&mut service, "/ServiceGraph", &body);
        assert_eq!(names(&map), ["Clients", "orders"]);
        let series = call(&mut service, "/TimeSeriesServiceStatistics", &body);
        let points = series["TimeSeriesServiceStatistics"].as_array().unwrap();
        assert_eq!(points.len(), 1);
        assert_eq!(
            points[0]["EdgeSummaryStatistics"]["FaultStatistics"]["TotalCount"],
            1
        );
    }
    assert_eq!(
        refused(&mut service, "/ServiceGraph", &of("GroupName", "gone")),
        invalid("There is no group \"gone\"")
    );
}

#[test]
fn statistics_over_time_are_of_requests_services_or_calls() {
    let mut service = service();
    // Three requests in one period, one in the next but one.
    for (trace, ago) in [(1, 240), (2, 239), (3, 200), (4, 100)] {
        put(
            &mut service,
            trace,
            ago,
            &json!({"fault": trace == 3, "subsegments": [{
                "id": "0000000000000002", "name": "pay", "namespace": "remote", "start_time": NOW - ago,
                "end_time": NOW as f64 - ago as f64 + 0.5, "throttle": true, "error": true}]}),
        );
    }
    let mut ask = |body: &Value| {
        let answer = call(&mut service, "/TimeSeriesServiceStatistics", body);
        assert_eq!(answer["ContainsOldGroupVersions"], false);
        answer["TimeSeriesServiceStatistics"].clone()
    };
    let statistics = |ok: u64, throttle: u64, fault: u64, seconds: f64| {
        json!({
            "OkCount": ok, "ErrorStatistics": {"ThrottleCount": throttle, "OtherCount": 0, "TotalCount": throttle},
            "FaultStatistics": {"OtherCount": fault, "TotalCount": fault},
            "TotalCount": ok + throttle + fault, "TotalResponseTime": seconds
        })
    };
    let start = NOW - 240;
    assert_eq!(start % 60, 0, "where a period begins");
    assert_eq!(
        ask(&range(300)),
        json!([
            {"Timestamp": start, "EdgeSummaryStatistics": statistics(2, 0, 1, 3.0),
             "ResponseTimeHistogram": [{"Value": 1.0, "Count": 3}]},
            {"Timestamp": start + 120, "EdgeSummaryStatistics": statistics(1, 0, 0, 1.0),
             "ResponseTimeHistogram": [{"Value": 1.0, "Count": 1}]},
        ])
    );
    let body = with(
        range(300),
        "EntitySelectorExpression",
        "service(id(name: \"shop\"))",
    );
    let of_service = ask(&with(body, "Period", 300));
    assert_eq!(
        of_service[0]["ServiceSummaryStatistics"],
        statistics(3, 0, 1, 4.0)
    );
    let body = with(range(300), "EntitySelectorExpression", "edge(\"shop\", \"pay\")");
    let of_calls = ask(&with(body, "Period", 60));
    assert_eq!(of_calls[0]["EdgeSummaryStatistics"], statistics(0, 3, 0, 1.5));
    for (body, message) in [
        (with(range(300), "Period", 0), "Period is not at least 1"),
        (
            with(range(300), "EntitySelectorExpression", ""),
            "EntitySelectorExpression has 0 characters, not 1 to 500",
        ),
        (
            with(range(300), "EntitySelectorExpression", "fault"),
            "Invalid filter expression: one service(…), edge(…, …) or id(…) expected, without braces (at character 1)",
        ),
        (
            with(range(300), "ForecastStatistics", true),
            "ForecastStatistics needs an EntitySelectorExpression",
        ),
        (range(6 * 3_600 + 1), "Time range cannot be longer than 6 hours"),
    ] {
        assert_eq!(
            refused(&mut service, "/TimeSeriesServiceStatistics", &body),
            invalid(message)
        );
    }
}

#[test]
fn ranges_and_tokens_that_x_ray_would_not_take_are_refused() {
    let mut service = service();
    let token = "NextToken is not one that was given out";
    for (path, body, message) in [
        (
            "/TraceSummaries",
            range(24 * 3_600 + 1),
            "Time range cannot be longer than 24 hours",
        ),
        (
            "/ServiceGraph",
            range(6 * 3_600 + 1),
            "Time range cannot be longer than 6 hours",
        ),
        ("/ServiceGraph", with(range(60), "NextToken", "x"), token),
        ("/TraceSummaries", with(range(60), "NextToken", "x"), token),
        ("/Traces", json!({"TraceIds": [id(1)], "NextToken": "x"}), token),
        ("/GetSamplingRules", json!({"NextToken": "x"}), token),
        ("/SamplingStatisticSummaries", json!({"NextToken": "x"}), token),
    ] {
        assert_eq!(refused(&mut service, path, &body), invalid(message), "{path}");
    }
    assert_eq!(found(&mut service, &range(24 * 3_600)), 0);
}

#[test]
fn events_are_in_a_range_that_any_of_them_is_in() {
    let mut service = service();
    // From 100 s ago to 40 s ago.
    put(&mut service, 1, 100, &json!({"end_time": NOW - 40}));
    let late = json!({"StartTime": NOW - 60, "EndTime": NOW});
    assert_eq!(found(&mut service, &late), 0);
    let answer = call(
        &mut service,
        "/TraceSummaries",
        &with(late, "TimeRangeType", "Event"),
    );
    assert_eq!(answer["TraceSummaries"][0]["MatchedEventTime"], (NOW - 60) as f64);
    let later = json!({"StartTime": NOW - 30, "EndTime": NOW, "TimeRangeType": "Event"});
    assert_eq!(found(&mut service, &later), 0);
}

#[test]
fn a_share_of_the_traces_is_always_the_same_one() {
    let mut service = service();
    for trace in 0..90 {
        put(&mut service, trace, 100, &json!({}));
    }
    let sampled = |name: &str, value: f64| {
        let body = with(range(200), "Sampling", true);
        with(body, "SamplingStrategy", json!({"Name": name, "Value": value}))
    };
    let half = found(&mut service, &sampled("FixedRate", 0.5));
    assert!((30..=60).contains(&half), "{half}");
    assert_eq!(found(&mut service, &sampled("FixedRate", 0.5)), half);
    for (name, value, number) in [
        ("FixedRate", 1.0, 90),
        ("FixedRate", 0.0, 0),
        ("PartialScan", 0.1, 90),
    ] {
        assert_eq!(
            found(&mut service, &sampled(name, value)),
            number,
            "{name} {value}"
        );
    }
    assert_eq!(
        refused(&mut service, "/TraceSummaries", &sampled("FixedRate", 2.0)),
        invalid("Value is not between 0 and 1")
    );
}

#[test]
fn tags_are_kept_for_groups_and_rules_and_for_nothing_else() {
    let mut service = service();
    let arn = "arn:aws:xray:us-east-1:000000000000:sampling-rule/Default";
    let tag = |tags: Value| json!({"ResourceARN": arn, "Tags": tags});
    call(
        &mut service,
        "/TagResource",
        &tag(json!([{"Key": "a", "Value": "1"}, {"Key": "b", "Value": ""}])),
    );
    call(
        &mut service,
        "/TagResource",
        &tag(json!([{"Key": "a", "Value": "2"}])),
    );
    call(
        &mut service,
        "/UntagResource",
        &json!({"ResourceARN": arn, "TagKeys": ["b", "c"]}),
    );
    assert_eq!(
        call(
            &mut service,
            "/ListTagsForResource",
            &json!({ "ResourceARN": arn })
        ),
        json!({"Tags": [{"Key": "a", "Value": "2"}]})
    );
    let many: Vec<Value> = (0..51)
        .map(|n| json!({"Key": n.to_string(), "Value": ""}))
        .collect();
    let (status, code, _) = refused(&mut service, "/TagResource", &tag(json!(many)));
    assert_eq!((status, code.as_str()), (400, "TooManyTagsException"));
    assert_eq!(
        refused(
            &mut service,
            "/TagResource",
            &tag(json!([{"Key": "AWS:x", "Value": ""}]))
        ),
        invalid("Keys of tags that begin with aws: are AWS's own")
    );
    assert_eq!(
        refused(
            &mut service,
            "/TagResource",
            &json!({"ResourceARN": "arn:x", "Tags": []})
        )
        .0,
        404
    );
}

#[test]
fn insights_are_none_and_asked_for_as_the_model_says() {
    let mut service = service();
    let path = "/InsightSummaries";
    for body in [
        range(60),
        with(range(60), "GroupName", "Default"),
        with(range(60), "States", json!(["ACTIVE"])),
    ] {
        assert_eq!(call(&mut service, path, &body), json!({"InsightSummaries": []}));
    }
    for (body, message) in [
        (json!({}), "StartTime is required"),
        (range(31 * 24 * 3_600), "StartTime is more than 30 days ago"),
        (
            with(range(60), "States", json!(["OPEN"])),
            "States has ACTIVE or CLOSED",
        ),
        (
            with(range(60), "MaxResults", 101),
            "MaxResults is not between 1 and 100",
        ),
        (with(range(60), "GroupName", "gone"), "There is no group \"gone\""),
    ] {
        assert_eq!(refused(&mut service, path, &body), invalid(message));
    }
    let id = "0a1b2c3d-0a1b-4a1b-8a1b-0a1b2c3d4e5f";
    for path in ["/Insight", "/InsightEvents", "/InsightImpactGraph"] {
        assert_eq!(
            refused(&mut service, path, &json!({ "InsightId": id })),
            invalid("There is no such insight")
        );
        assert_eq!(
            refused(&mut service, path, &json!({"InsightId": "x"})),
            invalid("InsightId is no UUID")
        );
    }
}

#[test]
fn settings_are_what_they_are_here() {
    let mut service = service();
    let none = json!({"EncryptionConfig": {"Status": "ACTIVE", "Type": "NONE"}});
    assert_eq!(call(&mut service, "/EncryptionConfig", &json!({})), none);
    assert_eq!(
        call(&mut service, "/PutEncryptionConfig", &json!({"Type": "NONE"})),
        none
    );
    let kms = json!({"Type": "KMS", "KeyId": "alias/x"});
    assert!(
        refused(&mut service, "/PutEncryptionConfig", &kms)
            .2
            .contains("no KMS here")
    );
    let here = json!({"Destination": "XRay", "Status": "ACTIVE"});
    assert_eq!(
        call(&mut service, "/GetTraceSegmentDestination", &json!({})),
        here
    );
    let logs = json!({"Destination": "CloudWatchLogs"});
    assert!(
        refused(&mut service, "/UpdateTraceSegmentDestination", &logs)
            .2
            .contains("no CloudWatch Logs")
    );
    let rule = |desired: f64, at: f64| {
        json!({"Name": "Default", "ModifiedAt": at, "Rule": {"Probabilistic": {
            "DesiredSamplingPercentage": desired, "ActualSamplingPercentage": 100.0}}})
    };
    assert_eq!(
        call(&mut service, "/GetIndexingRules", &json!({})),
        json!({"IndexingRules": [rule(1.0, 0.0)]})
    );
    let update = |name: &str, percent: f64| json!({"Name": name, "Rule": {"Probabilistic": {"DesiredSamplingPercentage": percent}}});
    assert_eq!(
        call(&mut service, "/UpdateIndexingRule", &update("Default", 5.0)),
        json!({"IndexingRule": rule(5.0, NOW as f64)})
    );
    assert_eq!(
        refused(&mut service, "/UpdateIndexingRule", &update("x", 5.0)).0,
        404
    );
    assert_eq!(
        refused(&mut service, "/UpdateIndexingRule", &update("Default", 101.0)).0,
        400
    );
}

#[test]
fn resource_policies_have_revisions_that_must_match() {
    let mut service = service();
    let put = |revision: Option<&str>| {
        let body = json!({"PolicyName": "p", "PolicyDocument": "{\"Version\":\"2012-10-17\"}"});
        match revision {
            Some(revision) => with(body, "PolicyRevisionId", revision),
            None => body,
        }
    };
    let made = call(&mut service, "/PutResourcePolicy", &put(None));
    assert_eq!(
        made,
        json!({"ResourcePolicy": {
            "PolicyName": "p", "PolicyDocument": "{\"Version\":\"2012-10-17\"}", "PolicyRevisionId": "1",
            "LastUpdatedTime": NOW as f64
        }})
    );
    let changed = call(&mut service, "/PutResourcePolicy", &put(Some("1")));
    assert_eq!(changed["ResourcePolicy"]["PolicyRevisionId"], "2");
    let (_, code, _) = refused(&mut service, "/PutResourcePolicy", &put(Some("1")));
    assert_eq!(code, "InvalidPolicyRevisionIdException");
    let listed = call(&mut service, "/ListResourcePolicies", &json!({}));
    assert_eq!(listed["ResourcePolicies"][0], changed["ResourcePolicy"]);
    for (document, code) in [
        ("no json", "MalformedPolicyDocumentException"),
        (&*"x".repeat(5_121), "PolicySizeLimitExceededException"),
    ] {
        let body = json!({"PolicyName": "q", "PolicyDocument": document});
        assert_eq!(refused(&mut service, "/PutResourcePolicy", &body).1, code);
    }
    for n in 1..5 {
        let body = json!({"PolicyName": format!("p{n}"), "PolicyDocument": "{}"});
        call(&mut service, "/PutResourcePolicy", &body);
    }
    let body = json!({"PolicyName": "p5", "PolicyDocument": "{}"});
    assert_eq!(
        refused(&mut service, "/PutResourcePolicy", &body).1,
        "PolicyCountLimitExceededException"
    );
    assert_eq!(
        call(
            &mut service,
            "/DeleteResourcePolicy",
            &json!({"PolicyName": "p", "PolicyRevisionId": "2"})
        ),
        json!({})
    );
    assert_eq!(
        refused(&mut service, "/DeleteResourcePolicy", &json!({"PolicyName": "p"})).0,
        400
    );
}

#[test]
fn retrieved_traces_come_in_pages_of_five() {
    let mut service = service();
    for trace in 0..7 {
        put(&mut service, trace, 100, &json!({}));
    }
    put(&mut service, 7, 500, &json!({}));
    let ids: Vec<String> = (0..9).map(id).collect();
    let start = with(range(200), "TraceIds", json!(ids));
    let token = call(&mut service, "/StartTraceRetrieval", &start)["RetrievalToken"].clone();
    let body = json!({ "RetrievalToken": token });
    let first = call(&mut service, "/ListRetrievedTraces", &body);
    assert_eq!(
        (&first["RetrievalStatus"], &first["TraceFormat"]),
        (&json!("COMPLETE"), &json!("XRAY"))
    );
    assert_eq!(first["Traces"].as_array().unwrap().len(), 5);
    assert_eq!(
        (&first["Traces"][0]["Id"], &first["Traces"][0]["Duration"]),
        (&json!(id(0)), &json!(1.0))
    );
    let span = &first["Traces"][0]["Spans"][0];
    assert_eq!(span["Id"], "0000000000000001");
    let document: Value = serde_json::from_str(span["Document"].as_str().unwrap()).unwrap();
    assert_eq!(document["name"], "shop");
    let next = with(body.clone(), "NextToken", first["NextToken"].clone());
    let second = call(&mut service, "/ListRetrievedTraces", &next);
    assert_eq!(second["Traces"].as_array().unwrap().len(), 2, "of the range only");
    assert_eq!(second["NextToken"], Value::Null);

    let graph = call(&mut service, "/GetRetrievedTracesGraph", &body);
    let shop = &graph["Services"][1];
    assert_eq!(
        (
            &shop["Service"]["Name"],
            &shop["Service"]["SummaryStatistics"]["TotalCount"],
            &shop["Links"]
        ),
        (&json!("shop"), &json!(7), &json!([]))
    );

    assert_eq!(call(&mut service, "/CancelTraceRetrieval", &body), json!({}));
    assert_eq!(
        call(&mut service, "/ListRetrievedTraces", &body),
        json!({"RetrievalStatus": "CANCELLED", "TraceFormat": "XRAY", "Traces": []})
    );
}

#[test]
fn retrievals_that_cannot_be_are_refused() {
    let mut service = service();
    let start = with(range(200), "TraceIds", json!([id(1)]));
    let token = call(&mut service, "/StartTraceRetrieval", &start)["RetrievalToken"].clone();
    let body = json!({ "RetrievalToken": token });
    assert_eq!(
        refused(
            &mut service,
            "/ListRetrievedTraces",
            &with(body.clone(), "TraceFormat", "OTEL")
        ),
        invalid("TraceFormat OTEL is not supported here")
    );
    for bad in ["x", "5"] {
        assert_eq!(
            refused(
                &mut service,
                "/ListRetrievedTraces",
                &with(body.clone(), "NextToken", bad)
            ),
            invalid("NextToken is not one that was given out")
        );
    }
    let many: Vec<String> = (0..101).map(id).collect();
    assert_eq!(
        refused(
            &mut service,
            "/StartTraceRetrieval",
            &with(range(200), "TraceIds", json!(many))
        ),
        invalid("101 trace ids exceed the maximum of 100")
    );
    for path in [
        "/ListRetrievedTraces",
        "/GetRetrievedTracesGraph",
        "/CancelTraceRetrieval",
    ] {
        let (status, code, _) = refused(&mut service, path, &json!({"RetrievalToken": "gone"}));
        assert_eq!(
            (status, code.as_str()),
            (404, "ResourceNotFoundException"),
            "{path}"
        );
    }
    // The oldest is forgotten.
    for _ in 0..100 {
        call(&mut service, "/StartTraceRetrieval", &start);
    }
    assert_eq!(refused(&mut service, "/ListRetrievedTraces", &body).0, 404);
}

#[test]
fn numbers_come_back_as_they_were_sent_and_subsegments_under_their_parents() {
    let mut service = service();
    put(
        &mut service,
        1,
        100,
        &json!({"id": "0000000000000002", "parent_id": "0000000000000001", "type": "subsegment",
                "name": "handler"}),
    );
    let inner = format!(
        r#"{{"trace_id":"{}","id":"0000000000000003","parent_id":"0000000000000002","type":"subsegment","name":"db",
            "start_time":{NOW},"end_time":{NOW},"metadata":{{"n":12345678901234567890123,"x":1.10}}}}"#,
        id(1)
    );
    call(
        &mut service,
        "/TraceSegments",
        &json!({ "TraceSegmentDocuments": [inner] }),
    );
    let answer = call(&mut service, "/Traces", &json!({"TraceIds": [id(1)]}));
    let segments = answer["Traces"][0]["Segments"].as_array().unwrap();
    assert_eq!(
        segments.len(),
        1,
        "the parent never came, and still they are one tree"
    );
    let document = segments[0]["Document"].as_str().unwrap();
    assert!(
        document.contains("12345678901234567890123") && document.contains("1.10"),
        "{document}"
    );
    let parsed: Value = serde_json::from_str(document).unwrap();
    assert_eq!(parsed["subsegments"][0]["name"], "db");
    let summary = &call(&mut service, "/TraceSummaries", &range(200))["TraceSummaries"][0];
    assert_eq!(
        (&summary["IsPartial"], &summary["EntryPoint"]["Name"]),
        (&json!(false), &json!("handler"))
    );
}

#[test]
fn there_are_the_38_operations_of_the_model() {
    let mut paths: Vec<&str> = Operation::ALL.iter().map(|operation| operation.path()).collect();
    paths.sort_unstable();
    paths.dedup();
    assert_eq!(paths.len(), 38);
}
