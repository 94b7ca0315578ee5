use prost::Message as _;
use serde_json::{Value, json};

use super::*;
use crate::otlp::attributes::json_of;
use crate::otlp::message::Event;

fn request(document: &Value) -> Request {
    match spans_of(&document.to_string(), &Context::default()) {
        Ok(Converted::Spans(spans)) => {
            let request = Request::decode(spans.request.as_slice()).unwrap();
            assert_eq!(
                spans.spans as usize,
                request.resource_spans[0].scope_spans[0].spans.len()
            );
            request
        }
        other => panic!("{other:?}"),
    }
}

fn spans(document: &Value) -> Vec<Span> {
    request(document)
        .resource_spans
        .remove(0)
        .scope_spans
        .remove(0)
        .spans
}

fn attributes_of(span: &Span) -> Value {
    Value::Object(json_of(&span.attributes))
}

fn resource(document: &Value) -> Value {
    Value::Object(json_of(
        &request(document).resource_spans[0]
            .resource
            .as_ref()
            .unwrap()
            .attributes,
    ))
}

fn with(more: Value) -> Value {
    let mut document = json!({
        "name": "shop", "id": "70DE5b6f19ff9a0a", "trace_id": "1-581cf771-a006649127e371903A2de979",
        "start_time": 1_478_293_361.271_034_2, "end_time": 1.478293361449E9,
    });
    document
        .as_object_mut()
        .unwrap()
        .extend(more.as_object().unwrap().clone());
    document
}

fn refused(document: &str) -> String {
    spans_of(document, &Context::default()).unwrap_err().to_string()
}

#[test]
fn a_segment_is_a_server_span_of_its_service() {
    let found = spans(&with(json!({})));
    let expected = Span {
        trace_id: hex::decode("581cf771a006649127e371903a2de979").unwrap(),
        span_id: hex::decode("70de5b6f19ff9a0a").unwrap(),
        name: "shop".to_owned(),
        kind: kind::SERVER,
        // The eighth digit is noise of floating numbers.
        start_time_unix_nano: 1_478_293_361_271_034_000,
        end_time_unix_nano: 1_478_293_361_449_000_000,
        flags: 0x101,
        ..Span::default()
    };
    assert_eq!(found, [expected]);
    assert_eq!(resource(&with(json!({}))), json!({"service.name": "shop"}));
}

#[test]
fn what_has_a_parent_elsewhere_says_so_only_when_it_is_a_segment() {
    let parent = json!({"parent_id": "53995c3f42cd8ad8"});
    let segment = &spans(&with(parent.clone()))[0];
    assert_eq!(
        (hex::encode(&segment.parent_span_id).as_str(), segment.flags),
        ("53995c3f42cd8ad8", 0x301)
    );
    let mut streamed = with(parent);
    streamed["type"] = json!("subsegment");
    let subsegment = &spans(&streamed)[0];
    assert_eq!((subsegment.kind, subsegment.flags), (kind::INTERNAL, 0x101));
}

#[test]
fn the_kind_of_a_subsegment_is_that_of_its_namespace_and_an_unknown_one_costs_nothing() {
    let child = |namespace: Value| json!({"name": "c", "id": "53995c3f42cd8ad8", "start_time": 5, "end_time": 6, "namespace": namespace});
    for (namespace, kind, kept) in [
        (json!("aws"), kind::CLIENT, None),
        (json!("remote"), kind::CLIENT, None),
        (json!("local"), kind::INTERNAL, Some(json!("local"))),
        (json!("mars"), kind::INTERNAL, Some(json!("mars"))),
        (json!(7), kind::INTERNAL, Some(json!(7))),
        (json!(null), kind::INTERNAL, None),
    ] {
        let found = spans(&with(json!({"subsegments": [child(namespace)]})));
        assert_eq!(found[1].kind, kind);
        assert_eq!(attributes_of(&found[1]).get("aws.xray.namespace"), kept.as_ref());
        assert_eq!(found[1].parent_span_id, found[0].span_id);
    }
}

#[test]
fn nesting_counts_more_than_what_embedded_subsegments_repeat() {
    let child = json!({
        "name": "c", "id": "53995c3f42cd8ad8", "start_time": 5, "end_time": 6, "type": "subsegment",
        "trace_id": "1-00000000-000000000000000000000001", "parent_id": "0000000000000009",
    });
    let found = spans(&with(json!({"subsegments": [child]})));
    assert_eq!(found[1].trace_id, found[0].trace_id);
    assert_eq!(found[1].parent_span_id, found[0].span_id);
    assert_eq!(attributes_of(&found[1]), json!({}));
}

#[test]
fn a_call_to_aws_is_named_by_service_and_operation() {
    let found = spans(&with(json!({"subsegments": [{
        "name": "DynamoDB", "id": "53995c3f42cd8ad8", "start_time": 5, "end_time": 6, "namespace": "aws",
        "aws": {"operation": "Query", "region": "eu-west-1", "request_id": "r", "id_2": "x", "account_id": "123",
                "table_name": "t", "queue_url": "q", "retries": 2, "index_name": "i", "attributes_to_get": ["a"]},
    }]})));
    assert_eq!(found[1].name, "DynamoDB.Query");
    assert_eq!(
        attributes_of(&found[1]),
        json!({
            "rpc.system": "aws-api", "rpc.system.name": "aws-api", "rpc.service": "DynamoDB", "rpc.method": "Query",
            "cloud.region": "eu-west-1", "aws.region": "eu-west-1", "aws.request_id": "r",
            "aws.extended_request_id": "x", "aws.account_id": "123", "aws.dynamodb.table_names": ["t"],
            "aws.sqs.queue.url": "q", "aws.xray.retries": 2, "aws.xray.aws.index_name": "i",
            "aws.xray.aws.attributes_to_get": "[\"a\"]",
        })
    );
}

#[test]
fn http_has_the_stable_names_and_numbers_that_came_as_texts() {
    let found = spans(&with(json!({"http": {
        "request": {"method": "GET", "url": "https://shop.example:8443/cart?n=1", "user_agent": "curl", "client_ip": "::1",
                    "x_forwarded_for": true, "traced": true, "more": {"a": 1}},
        "response": {"status": "404", "content_length": -1},
    }})));
    assert_eq!(
        attributes_of(&found[0]),
        json!({
            "http.request.method": "GET", "url.full": "https://shop.example:8443/cart?n=1", "url.scheme": "https",
            "url.path": "/cart", "url.query": "n=1", "server.address": "shop.example", "server.port": 8443,
            "user_agent.original": "curl", "client.address": "::1", "aws.xray.x_forwarded_for": true,
            "aws.xray.traced": true, "aws.xray.http.request.traced": true, "aws.xray.http.request.more": "{\"a\":1}",
            "http.response.status_code": 404, "aws.xray.http.response.content_length": -1,
        })
    );
    let odd = spans(&with(
        json!({"http": {"request": {"url": "/cart"}, "response": {"content_length": "17"}}}),
    ));
    assert_eq!(
        attributes_of(&odd[0]),
        json!({"url.full": "/cart", "http.response.body.size": 17})
    );
}

#[test]
fn the_status_is_that_of_the_conventions_and_the_marks_are_kept() {
    let code = |more: Value| spans(&with(more))[0].status.as_ref().map(|status| status.code);
    let error = Some(STATUS_ERROR);
    let answered = |status: u16| json!({"response": {"status": status}});
    assert_eq!(code(json!({"fault": true})), error);
    assert_eq!(code(json!({"error": true})), error);
    assert_eq!(code(json!({"error": true, "http": answered(404)})), None);
    assert_eq!(
        code(json!({"error": true, "throttle": true, "http": answered(429)})),
        None
    );
    assert_eq!(code(json!({"fault": true, "http": answered(404)})), error);
    assert_eq!(code(json!({"http": answered(502)})), error);
    assert_eq!(code(json!({"fault": false, "http": answered(200)})), None);
    assert_eq!(code(json!({"cause": {}})), None);
    let call = |more: Value| {
        let mut child = json!({"name": "c", "id": "53995c3f42cd8ad8", "start_time": 5, "end_time": 6, "namespace": "remote"});
        child
            .as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        spans(&with(json!({"subsegments": [child]})))[1]
            .status
            .as_ref()
            .map(|status| status.code)
    };
    assert_eq!(call(json!({"http": answered(404)})), error);
    assert_eq!(call(json!({"throttle": true})), error);
    let marked = spans(&with(json!({"error": true, "throttle": true, "fault": false})));
    assert_eq!(
        attributes_of(&marked[0]),
        json!({"aws.xray.error": true, "aws.xray.throttle": true, "aws.xray.fault": false})
    );
}

#[test]
fn exceptions_are_events_at_the_end_whatever_sdks_leave_out() {
    let found = spans(&with(json!({
        "fault": true,
        "cause": {"working_directory": "/app", "paths": ["/a", "/b"], "exceptions": [
            {"id": "1111111111111111", "type": "ValueError", "message": "no", "remote": false, "truncated": 3,
             "stack": [{"path": "app.py", "line": 12, "label": "pay"}, {"path": "x", "line": null, "label": "y"}]},
            {"message": null},
            "odd",
        ]},
    })));
    let events: Vec<(u64, Value)> = found[0]
        .events
        .iter()
        .map(
            |Event {
                 time_unix_nano,
                 attributes,
                 ..
             }| (*time_unix_nano, Value::Object(json_of(attributes))),
        )
        .collect();
    let end = 1_478_293_361_449_000_000;
    assert_eq!(
        events[0],
        (
            end,
            json!({
                "exception.type": "ValueError", "exception.message": "no",
                "exception.stacktrace": "ValueError: no\n\tat pay(app.py:12)\n\tat y(x)",
                "aws.xray.exception.id": "1111111111111111", "aws.xray.exception.remote": false, "aws.xray.exception.truncated": 3,
                // A line that is null cannot be told by the text.
                "aws.xray.exception.stack":
                    "[{\"label\":\"pay\",\"line\":12,\"path\":\"app.py\"},{\"label\":\"y\",\"line\":null,\"path\":\"x\"}]",
            })
        )
    );
    assert_eq!(events[1], (end, json!({})));
    assert_eq!(events[2], (end, json!({"aws.xray.exception": "\"odd\""})));
    assert_eq!(found[0].status.as_ref().unwrap().message, "no");
    assert_eq!(
        attributes_of(&found[0]),
        json!({"aws.xray.fault": true, "aws.xray.cause.working_directory": "/app", "aws.xray.cause.paths": "[\"/a\",\"/b\"]"})
    );
}

#[test]
fn a_cause_that_is_an_id_has_the_message_of_that_exception() {
    let inner = json!({"name": "c", "id": "53995c3f42cd8ad8", "start_time": 5, "end_time": 6,
        "cause": {"exceptions": [{"id": "1111111111111111", "message": "gone"}]}});
    for (cause, attributes) in [
        (
            json!("1111111111111111"),
            json!({"aws.xray.cause": "1111111111111111", "aws.xray.fault": true}),
        ),
        (
            json!({"id": "1111111111111111", "exceptions": []}),
            json!({"aws.xray.cause": "1111111111111111", "aws.xray.cause.id": "1111111111111111", "aws.xray.fault": true}),
        ),
    ] {
        let found = spans(&with(
            json!({"fault": true, "cause": cause, "subsegments": [inner]}),
        ));
        assert_eq!(found[0].status.as_ref().unwrap().message, "gone");
        assert_eq!(attributes_of(&found[0]), attributes);
        assert_eq!((found[0].events.len(), found[1].events.len()), (0, 1));
    }
}

#[test]
fn annotations_keep_their_types_and_never_take_the_place_of_something_else() {
    let found = spans(&with(json!({"annotations": {
        "n": 5, "f": 5.0, "b": true, "s": "[x]", "http.request.method": "mine", "aws.xray.fault": "y", "bad": [1],
    }})));
    assert_eq!(
        attributes_of(&found[0]),
        json!({
            "n": 5, "f": 5.0, "b": true, "s": "[x]", "aws.xray.annotations": ["b", "f", "n", "s"],
            "aws.xray.annotation.http.request.method": "mine", "aws.xray.annotation.aws.xray.fault": "y",
            "aws.xray.annotation.bad": "[1]",
        })
    );
}

#[test]
fn metadata_is_json_text_and_what_nobody_maps_arrives_under_its_name() {
    let found = spans(&with(json!({
        "metadata": {"default": {"a": [1]}, "text": "t"}, "Dummy": false, "precursor_ids": ["1"], "a.b": 1, "retries": 2,
        "annotations2": {"x": null}, "user": "u", "in_progress": false, "nothing": null, "http": "text", "aws": {"a.b": 1},
    })));
    assert_eq!(
        attributes_of(&found[0]),
        json!({
            "aws.xray.metadata.default": "{\"a\":[1]}", "aws.xray.metadata.text": "\"t\"", "aws.xray.Dummy": false,
            "aws.xray.precursor_ids": "[\"1\"]", "aws.xray.annotations2": "{\"x\":null}", "enduser.id": "u",
            "aws.xray.http": "text", "aws.xray.more": "{\"a.b\":1,\"aws\":{\"a.b\":1},\"retries\":2}",
        })
    );
}

#[test]
fn sql_is_told_in_the_conventions_words_and_whole() {
    let found = spans(&with(json!({"subsegments": [{
        "name": "shop@db", "id": "53995c3f42cd8ad8", "start_time": 5, "end_time": 6, "namespace": "remote",
        "sql": {"url": "jdbc:postgresql://db.example:5432/shop?ssl=1", "sanitized_query": "SELECT ?", "database_type": "PostgreSQL",
                "user": "u", "preparation": "call", "driver_version": "1"},
    }]})));
    assert_eq!(
        attributes_of(&found[1]),
        json!({
            "peer.service": "shop@db", "db.query.text": "SELECT ?", "db.system.name": "postgresql", "db.namespace": "shop",
            "server.address": "db.example", "server.port": 5432, "aws.xray.sql.database_type": "PostgreSQL",
            "aws.xray.sql.url": "jdbc:postgresql://db.example:5432/shop?ssl=1", "aws.xray.sql.user": "u",
            "aws.xray.sql.preparation": "call", "aws.xray.sql.driver_version": "1",
        })
    );
}

#[test]
fn where_a_segment_ran_is_its_resource_and_the_sdk_its_scope() {
    let document = with(json!({
        "origin": "AWS::ECS::Container",
        "service": {"version": "7", "runtime": "CPython", "runtime_version": "3.12", "compiler": "gcc"},
        "aws": {
            "account_id": "123",
            "ecs": {"container": "c", "container_id": "id", "task_arn": "t", "launch_type": "FARGATE", "availability_zone": "z"},
            "ec2": {"instance_id": "i", "instance_size": "big", "ami_id": "a", "availability_zone": "other"},
            "elastic_beanstalk": {"environment": "env", "version_label": "7", "deployment_id": 3},
            "cloudwatch_logs": [{"log_group": "g", "arn": "a"}],
            "xray": {"sdk": "X-Ray for Node.js", "sdk_version": "3", "rule_name": "r", "package": "p"},
        },
    }));
    let found = request(&document);
    assert_eq!(
        resource(&document),
        json!({
            "service.name": "shop", "service.version": "7", "service.namespace": "env", "service.instance.id": "3",
            "process.runtime.name": "CPython", "process.runtime.version": "3.12",
            "cloud.provider": "aws", "cloud.platform": "aws_ecs", "cloud.account.id": "123", "cloud.availability_zone": "z",
            "container.name": "c", "container.id": "id", "aws.ecs.task.arn": "t", "aws.ecs.launchtype": "fargate",
            "host.id": "i", "host.type": "big", "host.image.id": "a",
            "aws.log.group.names": ["g"], "aws.log.group.arns": ["a"],
            "telemetry.sdk.name": "X-Ray for Node.js", "telemetry.sdk.version": "3", "telemetry.sdk.language": "nodejs",
        })
    );
    let scope_spans = &found.resource_spans[0].scope_spans[0];
    let scope = scope_spans.scope.as_ref().unwrap();
    assert_eq!(
        (scope.name.as_str(), scope.version.as_str()),
        ("X-Ray for Node.js", "3")
    );
    assert_eq!(
        attributes_of(&scope_spans.spans[0]),
        json!({
            "aws.xray.origin": "AWS::ECS::Container", "aws.xray.service.compiler": "gcc",
            "aws.xray.aws.ec2.instance_size": "big", "aws.xray.aws.ec2.availability_zone": "other",
            "aws.xray.aws.elastic_beanstalk.environment": "env",
            "aws.xray.aws.elastic_beanstalk.version_label": "7",
            "aws.xray.aws.elastic_beanstalk.deployment_id": 3, "aws.xray.sampling_rule": "r",
            "aws.xray.aws.xray.rule_name": "r", "aws.xray.aws.xray.package": "p",
        })
    );
    assert_eq!(
        resource(&with(json!({"aws": {"account_id": "1"}}))).get("cloud.provider"),
        None
    );
}

#[test]
fn a_subsegment_on_its_own_is_of_the_service_that_the_context_knows() {
    let mut document = with(json!({"type": "subsegment", "parent_id": "53995c3f42cd8ad8"}));
    document["name"] = json!("DynamoDB");
    let service = |context: &Context<'_>| match spans_of(&document.to_string(), context) {
        Ok(Converted::Spans(Spans {
            request,
            segment_name: None,
            ..
        })) => {
            let request = Request::decode(request.as_slice()).unwrap();
            json_of(&request.resource_spans[0].resource.as_ref().unwrap().attributes)["service.name"].clone()
        }
        other => panic!("{other:?}"),
    };
    assert_eq!(
        service(&Context {
            service_name: Some("shop")
        }),
        "shop"
    );
    assert_eq!(service(&Context::default()), "unknown_service");
}

#[test]
fn links_become_links_and_a_bad_one_costs_only_itself() {
    let good = json!({"trace_id": "1-581cf771-a006649127e371903a2de970", "id": "53995c3f42cd8ad8", "attributes": {"k": 1, "o": {}}});
    let bad = json!({"trace_id": "1-2-3", "id": "53995c3f42cd8ad8"});
    let found = spans(&with(json!({"links": [good, bad]})));
    assert_eq!(found[0].links.len(), 1);
    assert_eq!(
        hex::encode(&found[0].links[0].trace_id),
        "581cf771a006649127e371903a2de970"
    );
    assert_eq!(
        Value::Object(json_of(&found[0].links[0].attributes)),
        json!({"k": 1, "o": "{}"})
    );
    assert_eq!(
        attributes_of(&found[0]),
        json!({"aws.xray.links": json!([bad]).to_string()})
    );
}

#[test]
fn what_has_not_ended_is_no_span_but_inside_of_what_has() {
    let mut document = with(json!({"in_progress": true}));
    document["end_time"] = json!(null);
    assert_eq!(
        spans_of(&document.to_string(), &Context::default()),
        Ok(Converted::InProgress)
    );
    for field in ["trace_id", "id", "name", "start_time"] {
        let mut incomplete = document.clone();
        incomplete.as_object_mut().unwrap().remove(field);
        let why = spans_of(&incomplete.to_string(), &Context::default()).unwrap_err();
        assert!(matches!(why, Unconvertible::Wrong(_)), "{field}: {why}");
    }
    let child = json!({"name": "c", "id": "53995c3f42cd8ad8", "start_time": 5, "in_progress": true});
    let found = spans(&with(json!({"subsegments": [child]})));
    assert_eq!(found[1].end_time_unix_nano, found[0].end_time_unix_nano);
    assert_eq!(attributes_of(&found[1]), json!({"aws.xray.in_progress": true}));
}

#[test]
fn otlp_documents_pass_as_they_are_and_unsampled_ones_do_not() {
    let request = request(&with(json!({}))).encode_to_vec();
    let base64 = aws_smithy_types::base64::encode(&request);
    assert_eq!(
        spans_of(&format!("T1S{base64}"), &Context::default()),
        Ok(Converted::Spans(Spans {
            request,
            spans: 1,
            segment_name: None
        }))
    );
    assert_eq!(
        spans_of(&format!("T1U{base64}"), &Context::default()),
        Ok(Converted::Unsampled)
    );
    assert_eq!(refused("T1S!"), "what follows T1S is not base64");
    assert_eq!(
        refused("T1SCgA="),
        "what follows T1S is an OTLP request without spans"
    );
    assert_eq!(
        refused("T1SCgk="),
        "what follows T1S is not an OTLP request: not protobuf: it ends inside of a field"
    );
}

#[test]
fn what_is_no_span_is_refused_in_few_words() {
    assert_eq!(refused("x"), "the document is not JSON");
    assert_eq!(refused("[]"), "the document is not a JSON object");
    assert_eq!(
        refused(&" ".repeat(MAX_BYTES + 1)),
        "1048577 bytes; 1048576 are the most"
    );
    assert_eq!(
        refused(&format!("{}{}", "[".repeat(10_000), "]".repeat(10_000))),
        "objects and lists are 10000 deep inside each other; 127 are the most"
    );
    let change = |field: &str, value: Value| {
        let mut document = with(json!({}));
        document[field] = value;
        refused(&document.to_string())
    };
    assert_eq!(change("id", json!("1")), "an id is not 16 hex digits");
    assert_eq!(
        change("id", json!("0000000000000000")),
        "an id is not 16 hex digits"
    );
    assert_eq!(
        change("trace_id", json!("x")),
        "trace_id is missing, or not 1-<8 hex digits>-<24 hex digits>"
    );
    assert_eq!(change("name", json!("")), "a name is missing, or not a text");
    assert_eq!(change("parent_id", json!("x")), "parent_id is not 16 hex digits");
    assert_eq!(
        change("start_time", json!(-1)),
        "a start_time is missing, or not a time in seconds since 1970"
    );
    assert_eq!(
        change("end_time", json!("now")),
        "an end_time is not a time in seconds since 1970"
    );
    assert_eq!(change("subsegments", json!([5])), "a subsegment is not an object");
    assert_eq!(
        change("subsegments", json!([{"name": "x"}])),
        "an id is not 16 hex digits"
    );
}

#[test]
fn a_trace_id_in_the_form_of_w3c_and_times_in_another_unit_are_read() {
    let mut document = with(json!({}));
    document["trace_id"] = json!("581CF771a006649127e371903a2de979");
    document["start_time"] = json!(1_478_293_361_271_u64);
    let found = spans(&document);
    assert_eq!(
        hex::encode(&found[0].trace_id),
        "581cf771a006649127e371903a2de979"
    );
    assert_eq!(found[0].start_time_unix_nano, 1_478_293_361_271_000_000);
}

/// In nanoseconds it would not fit into 64 bits.
#[test]
fn a_time_beyond_the_year_2554_is_none() {
    let document = r#"{"trace_id":"1-581cf771-a006649127e371903a2de979","id":"70de5b6f19ff9a0a","name":"x","start_time":1e30,"end_time":1e31}"#;
    assert!(spans_of(document, &Context::default()).is_err());
}
