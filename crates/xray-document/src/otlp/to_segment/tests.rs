use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::otlp::attributes::of_json;
use crate::otlp::message::{Event, Link, Request, ResourceSpans, ScopeSpans, Status, flags, kind};
use crate::segment::{MAX_DOCUMENT_BYTES, check};

fn span(kind: i32, attributes: Value) -> Span {
    Span {
        trace_id: hex::decode("581cf771a006649127e371903a2de979").unwrap(),
        span_id: vec![1; 8],
        parent_span_id: vec![2; 8],
        name: "GET /cart?".to_owned(),
        kind,
        start_time_unix_nano: 1_795_227_595_123_456_789,
        end_time_unix_nano: 1_795_227_596_000_000_001,
        attributes: of_json(attributes.as_object().unwrap().clone()),
        ..Span::default()
    }
}

fn root(kind: i32, attributes: Value) -> Span {
    Span {
        parent_span_id: Vec::new(),
        ..span(kind, attributes)
    }
}

fn request(resource: Value, spans: Vec<Span>) -> Vec<u8> {
    let request = Request {
        resource_spans: vec![ResourceSpans {
            resource: Some(Resource {
                attributes: of_json(resource.as_object().unwrap().clone()),
                ..Resource::default()
            }),
            scope_spans: vec![ScopeSpans {
                spans,
                ..ScopeSpans::default()
            }],
            ..ResourceSpans::default()
        }],
    };
    request.encode_to_vec()
}

fn made(request: &[u8], options: &Options<'_>) -> Vec<Result<String, String>> {
    let mut found = Vec::new();
    let counted = segments_of(request, options, |one| {
        let one = one.map(|segment| {
            assert!(check(&segment.document).is_ok(), "{}", segment.document);
            segment.document
        });
        found.push(one.map_err(|refused| refused.to_string()));
    });
    assert_eq!(counted.unwrap().items, found.len() as u64);
    found
}

fn document_text(resource: Value, span: Span) -> String {
    made(&request(resource, vec![span]), &Options::default())
        .remove(0)
        .unwrap()
}

fn document(span: Span) -> Value {
    serde_json::from_str(&document_text(json!({"service.name": "shop!"}), span)).unwrap()
}

#[test]
fn who_is_a_segment_is_decided_by_parent_flags_and_kind() {
    let is_segment = |span: Span| document(span).get("type").is_none();
    let remote = |kind: i32| Span {
        flags: flags::REMOTE_KNOWN | flags::REMOTE,
        ..span(kind, json!({}))
    };
    for kind in [kind::SERVER, kind::CONSUMER] {
        assert!(is_segment(span(kind, json!({}))));
    }
    for kind in [0, kind::INTERNAL, kind::CLIENT, kind::PRODUCER] {
        assert!(!is_segment(span(kind, json!({}))));
        assert!(is_segment(root(kind, json!({}))));
        assert!(is_segment(remote(kind)));
    }
    // Whether the parent is remote is not known.
    assert!(!is_segment(Span {
        flags: flags::REMOTE,
        ..span(kind::INTERNAL, json!({}))
    }));
    let subsegment = document(span(kind::INTERNAL, json!({})));
    assert_eq!(
        (&subsegment["type"], &subsegment["parent_id"]),
        (&json!("subsegment"), &json!("0202020202020202"))
    );
    assert_eq!(
        (&subsegment["name"], subsegment.get("namespace")),
        (&json!("GET /cart_"), None)
    );
    let segment = document(span(kind::SERVER, json!({})));
    assert_eq!(
        (&segment["name"], &segment["parent_id"]),
        (&json!("shop_"), &json!("0202020202020202"))
    );
    assert_eq!(segment["metadata"]["otlp"]["span"], "GET /cart?");
}

#[test]
fn a_call_without_a_parent_is_a_segment_of_its_service_with_the_call_in_it() {
    let call = || {
        root(
            kind::CLIENT,
            json!({"peer.service": "pay", "http.response.status_code": 503}),
        )
    };
    let document = document(call());
    assert_eq!(
        (&document["name"], &document["id"]),
        (&json!("shop_"), &json!("a4a4a4a4a4a4a4a4"))
    );
    assert_eq!(document["fault"], true);
    let inner = &document["subsegments"][0];
    assert_eq!(
        (&inner["name"], &inner["id"], &inner["namespace"]),
        (&json!("pay"), &json!("0101010101010101"), &json!("remote"))
    );
    assert_eq!(inner["http"]["response"]["status"], 503);
    // The same whenever it is tried again.
    assert_eq!(document, self::document(call()));
    let odd = Span {
        span_id: vec![0xa5; 8],
        ..call()
    };
    assert_eq!(self::document(odd)["id"], "5a5a5a5a5a5a5a5a");
}

#[test]
fn times_have_nine_decimals() {
    let text = document_text(json!({}), span(kind::SERVER, json!({})));
    assert!(
        text.contains(r#""start_time":1795227595.123456789,"end_time":1795227596.000000001,"#),
        "{text}"
    );
    let late = Span {
        end_time_unix_nano: 5,
        ..span(kind::SERVER, json!({}))
    };
    assert!(document_text(json!({}), late).contains(r#""end_time":1795227595.123456789,"#));
    let open = Span {
        end_time_unix_nano: 0,
        ..span(kind::SERVER, json!({}))
    };
    assert!(document_text(json!({}), open).contains(r#""in_progress":true"#));
}

#[test]
fn calls_are_named_by_what_they_call_of_old_names_and_new() {
    for (attributes, name, namespace) in [
        (
            json!({"rpc.system": "aws-api", "rpc.service": "AWS::S3"}),
            "S3",
            "aws",
        ),
        (
            json!({"rpc.system.name": "aws-api", "rpc.method": "DynamoDB/Query"}),
            "DynamoDB",
            "aws",
        ),
        (
            json!({"aws.remote.service": "AWS.SDK.SQS", "peer.service": "x"}),
            "AWS.SDK.SQS",
            "remote",
        ),
        (
            json!({"db.namespace": "orders", "server.address": "h"}),
            "orders",
            "remote",
        ),
        (json!({"db.system.name": "redis"}), "redis", "remote"),
        (
            json!({"messaging.destination.name": "q", "server.address": "h"}),
            "q",
            "remote",
        ),
        (json!({"net.peer.name": "h"}), "h", "remote"),
        (
            json!({"url.full": "https://u:p@h.example:1/x"}),
            "h.example:1",
            "remote",
        ),
        (json!({}), "GET /cart_", "remote"),
    ] {
        let found = document(span(kind::CLIENT, attributes));
        assert_eq!(
            (&found["name"], &found["namespace"]),
            (&json!(name), &json!(namespace))
        );
    }
}

#[test]
fn http_is_put_together_of_old_names_and_new() {
    let http = |attributes: Value| document(span(kind::SERVER, attributes))["http"].clone();
    assert_eq!(
        http(json!({
            "http.request.method": "GET", "url.scheme": "https", "server.address": "shop.example", "server.port": 8443,
            "url.path": "/cart", "url.query": "n=1", "client.address": "::1", "user_agent.original": "curl",
            "http.response.status_code": 200, "http.response.body.size": 17,
        })),
        json!({
            "request": {"method": "GET", "url": "https://shop.example:8443/cart?n=1", "client_ip": "::1", "user_agent": "curl"},
            "response": {"status": 200, "content_length": 17},
        })
    );
    assert_eq!(
        http(
            json!({"http.method": "GET", "http.scheme": "http", "http.host": "h:81", "http.target": "/a?b", "http.status_code": "404"})
        ),
        json!({"request": {"method": "GET", "url": "http://h:81/a?b"}, "response": {"status": 404}})
    );
    let ipv6 = json!({"http.request.method": "GET", "server.address": "::1", "server.port": 81});
    assert_eq!(http(ipv6)["request"]["url"], "http://[::1]:81");
    assert_eq!(http(json!({"server.address": "db"})), Value::Null);
}

#[test]
fn the_other_end_of_a_servers_connection_is_its_client_if_nothing_else_tells() {
    let client =
        |kind, attributes: Value| document(span(kind, attributes))["http"]["request"]["client_ip"].clone();
    for key in ["network.peer.address", "net.sock.peer.addr", "net.peer.ip"] {
        let mut attributes = json!({"http.request.method": "GET"});
        attributes[key] = json!("203.0.113.9");
        assert_eq!(client(kind::SERVER, attributes.clone()), "203.0.113.9", "{key}");
        assert_eq!(client(kind::CLIENT, attributes.clone()), Value::Null, "{key}");
        attributes["client.address"] = json!("::1");
        assert_eq!(client(kind::SERVER, attributes), "::1", "{key}");
    }
    let other_protocol = json!({"rpc.system": "grpc", "network.peer.address": "203.0.113.9"});
    assert_eq!(document(span(kind::SERVER, other_protocol)).get("http"), None);
}

#[test]
fn marks_follow_the_response_then_the_status_and_those_of_x_ray_count_more() {
    let marks = |attributes: Value, code: i32| {
        let status = Some(Status {
            code,
            message: String::new(),
        });
        let found = document(Span {
            status,
            ..span(kind::SERVER, attributes)
        });
        ["error", "throttle", "fault"].map(|mark| found.get(mark) == Some(&json!(true)))
    };
    let answered = |code: u16| json!({ "http.response.status_code": code });
    assert_eq!(marks(answered(404), 0), [true, false, false]);
    assert_eq!(marks(answered(429), 2), [true, true, false]);
    assert_eq!(marks(answered(500), 0), [false, false, true]);
    assert_eq!(marks(json!({}), 2), [false, false, true]);
    assert_eq!(marks(json!({}), 1), [false, false, false]);
    assert_eq!(
        marks(
            json!({"aws.xray.error": true, "http.response.status_code": 500}),
            2
        ),
        [true, false, false]
    );
}

#[test]
fn calls_to_aws_keep_what_they_are_wherever_they_run() {
    let attributes = json!({
        "rpc.system": "aws-api", "rpc.service": "DynamoDB", "rpc.method": "Query", "cloud.region": "eu-west-1",
        "aws.request_id": "r", "aws.dynamodb.table_names": ["t"], "db.system": "dynamodb",
    });
    let text = document_text(json!({"cloud.provider": "gcp"}), span(kind::CLIENT, attributes));
    let found: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(
        found["aws"],
        json!({"operation": "Query", "region": "eu-west-1", "request_id": "r", "table_name": "t"})
    );
    assert_eq!(found.get("sql"), None);
    let sql = document(span(
        kind::CLIENT,
        json!({"db.system.name": "postgresql", "db.query.text": "SELECT 1"}),
    ));
    assert_eq!(
        sql["sql"],
        json!({"database_type": "postgresql", "sanitized_query": "SELECT 1"})
    );
    let older = document(span(
        kind::CLIENT,
        json!({"db.system": "mysql", "db.user": "app", "db.connection_string": "Server=db"}),
    ));
    assert_eq!(
        older["sql"],
        json!({"database_type": "mysql", "user": "app", "connection_string": "Server=db"})
    );
}

#[test]
fn a_call_to_aws_is_one_also_as_the_receiver_of_the_collector_says_it() {
    let call = document(span(
        kind::CLIENT,
        json!({"aws.service": "dynamodb", "aws.operation": "Query", "aws.table_name": "orders"}),
    ));
    assert_eq!(
        (&call["name"], &call["namespace"]),
        (&json!("dynamodb"), &json!("aws"))
    );
    assert_eq!(call["aws"], json!({"operation": "Query", "table_name": "orders"}));
}

#[test]
fn a_segment_tells_where_it_ran() {
    let resource = json!({
        "service.name": "shop", "service.version": "7", "cloud.platform": "aws_ecs", "aws.ecs.launchtype": "fargate",
        "container.id": "c", "aws.ecs.task.arn": "t", "cloud.account.id": "1", "aws.log.group.names": ["g"],
        "telemetry.sdk.name": "opentelemetry", "telemetry.sdk.language": "python", "telemetry.sdk.version": "1.45",
    });
    let segment: Value =
        serde_json::from_str(&document_text(resource.clone(), span(kind::SERVER, json!({})))).unwrap();
    assert_eq!(segment["origin"], "AWS::ECS::Fargate");
    assert_eq!(segment["service"], json!({"version": "7"}));
    assert_eq!(
        segment["aws"],
        json!({
            "account_id": "1", "ecs": {"container_id": "c", "task_arn": "t", "launch_type": "FARGATE"},
            "cloudwatch_logs": [{"log_group": "g"}], "xray": {"sdk": "opentelemetry for python", "sdk_version": "1.45"},
        })
    );
    assert_eq!(segment["metadata"]["otlp"]["resource"], resource);
    let inside: Value =
        serde_json::from_str(&document_text(resource.clone(), span(kind::INTERNAL, json!({})))).unwrap();
    assert_eq!((inside.get("aws"), inside.get("origin")), (None, None));
    assert_eq!(inside["metadata"]["otlp"]["resource"], resource);
}

#[test]
fn events_links_and_all_else_are_in_the_metadata() {
    let link = |n: u8| Link {
        trace_id: vec![n + 1; 16],
        span_id: vec![n + 1; 8],
        ..Link::default()
    };
    let mut links: Vec<Link> = (0..25).map(link).collect();
    links.push(Link {
        span_id: vec![1; 3],
        ..link(1)
    });
    let found = document(Span {
        events: vec![Event {
            name: "retry".to_owned(),
            time_unix_nano: 7,
            ..Event::default()
        }],
        links,
        trace_state: "a=b".to_owned(),
        dropped_events_count: 3,
        status: Some(Status {
            code: 2,
            message: "why".to_owned(),
        }),
        ..span(
            kind::SERVER,
            json!({"order.id": "o", "bytes": {"bytesValue": "AA=="}}),
        )
    });
    assert_eq!(found["links"].as_array().unwrap().len(), 20);
    let otlp = &found["metadata"]["otlp"];
    assert_eq!(otlp["links"].as_array().unwrap().len(), 26);
    assert_eq!(otlp["events"], json!([{"name": "retry", "time_unix_nano": "7"}]));
    assert_eq!(
        (&otlp["trace_state"], &otlp["dropped"], &otlp["kind"]),
        (&json!("a=b"), &json!({"events": 3}), &json!("server"))
    );
    assert_eq!(
        otlp["attributes"],
        json!({"order.id": "o", "bytes": {"bytesValue": "AA=="}})
    );
    assert_eq!(otlp["status"], json!({"code": 2, "message": "why"}));
    assert_eq!(found["cause"]["exceptions"][0]["message"], "why");
    assert_eq!(found["cause"]["exceptions"][0]["id"].as_str().unwrap().len(), 16);
}

#[test]
fn annotations_are_those_that_are_listed_or_configured_within_x_rays_limits() {
    let attributes = json!({
        "aws.xray.annotations": ["a b", "list"], "a b": "x".repeat(2_000), "list": [1], "tenant": 7, "annotation.n": 1.5, "other": 1,
    });
    let configured = ["tenant".to_owned(), "region".to_owned()];
    let options = Options {
        annotations: &configured,
    };
    let request = request(json!({"region": "eu"}), vec![span(kind::INTERNAL, attributes)]);
    let found: Value = serde_json::from_str(made(&request, &options)[0].as_ref().unwrap()).unwrap();
    assert_eq!(
        found["annotations"],
        json!({"a_b": "x".repeat(1_000), "tenant": 7, "region": "eu", "n": 1.5})
    );
    let many: Map<String, Value> = (0..80).map(|n| (format!("annotation.k{n}"), json!(n))).collect();
    let found = document(span(kind::INTERNAL, Value::Object(many)));
    assert_eq!(found["annotations"].as_object().unwrap().len(), 50);
}

#[test]
fn what_is_too_long_is_shed_largest_first_and_said() {
    let long = "x".repeat(70_000);
    let found = document(span(
        kind::SERVER,
        json!({"large": long, "small": "kept", "url.full": "http://h/"}),
    ));
    assert_eq!(
        found["metadata"]["otlp"]["attributes"],
        json!({"small": "kept", "url.full": "http://h/"})
    );
    assert_eq!(
        found["metadata"]["otlp"]["left_out"],
        json!({"metadata.otlp.attributes.large": 70_011})
    );
    // More than the metadata: the fields go as well.
    let found = document(span(kind::SERVER, json!({"db.query.text": long})));
    assert_eq!(found["metadata"]["otlp"]["left_out"]["sql"], 70_029);
    let call = document(root(kind::CLIENT, json!({"large": long, "peer.service": "pay"})));
    assert_eq!(
        call["subsegments"][0]["metadata"]["otlp"]["left_out"]["metadata.otlp.attributes.large"],
        70_011
    );
    let resource = json!({"service.name": "shop", "host.id": long, "container.id": long});
    assert!(document_text(resource, root(kind::CLIENT, json!({}))).len() <= MAX_DOCUMENT_BYTES);
    let keys: Map<String, Value> = (0..9_000).map(|n| (format!("key-{n}"), json!("value"))).collect();
    assert!(
        document(span(kind::SERVER, Value::Object(keys)))
            .to_string()
            .len()
            > 50_000
    );
}

#[test]
fn spans_that_are_none_are_refused_one_by_one() {
    let good = || span(kind::SERVER, json!({}));
    let long = Span {
        name: "x".repeat(MAX_MESSAGE_BYTES),
        ..good()
    };
    let deep = (0..200).fold(json!(1), |inner, _| json!([inner]));
    let spans = vec![
        Span {
            trace_id: vec![1; 15],
            ..good()
        },
        Span {
            trace_id: vec![0; 16],
            ..good()
        },
        Span {
            span_id: vec![1; 9],
            ..good()
        },
        Span {
            parent_span_id: vec![1; 7],
            ..good()
        },
        Span {
            start_time_unix_nano: 0,
            ..good()
        },
        long,
        span(kind::SERVER, json!({ "deep": deep })),
        Span {
            parent_span_id: vec![0; 8],
            name: "\u{1b}[31m".to_owned(),
            ..good()
        },
    ];
    let found = made(&request(json!({}), spans), &Options::default());
    let why: Vec<&str> = found
        .iter()
        .map(|one| one.as_ref().err().map_or("", String::as_str))
        .collect();
    assert_eq!(
        why,
        [
            "span 1 of the request (\"GET /cart?\"): its trace id has 15 bytes, not 16",
            "span 2 of the request (\"GET /cart?\"): its trace id is all zeros",
            "span 3 of the request (\"GET /cart?\"): its id has 9 bytes, not 8",
            "span 4 of the request (\"GET /cart?\"): its parent's id has 7 bytes, not 8",
            "span 5 of the request (\"GET /cart?\"): it has no start time",
            "span 6 of the request (\"\"): it has 1048638 bytes; 1048576 are the most",
            "span 7 of the request (\"\"): it is not protobuf, not UTF-8, or nests deeper than 100 levels",
            "",
        ]
    );
    let wide = request(json!({"k": "x".repeat(MAX_MESSAGE_BYTES)}), vec![good()]);
    assert!(
        made(&wide, &Options::default())[0]
            .as_ref()
            .unwrap_err()
            .contains("its resource or scope has 10485")
    );
}

#[test]
fn a_request_with_too_much_is_not_read_at_all() {
    let mut take = |_| unreachable!("it is not read");
    let million = [1 << 3 | 2, 0].repeat(1_000_000);
    assert_eq!(
        segments_of(&million, &Options::default(), &mut take)
            .unwrap_err()
            .to_string(),
        "1000000 resources and scopes in one request; 15625 are the most"
    );
    assert!(matches!(
        segments_of(b"{}", &Options::default(), &mut take),
        Err(Unreadable::Malformed(_))
    ));
}

#[test]
fn spans_of_a_usual_length_are_as_many_as_a_request_has_and_tiny_ones_are_not() {
    let count = usize::try_from(super::super::count::MAX_SPANS).unwrap() + 1;
    let of_bytes = |bytes: usize| {
        let text = "x".repeat(bytes);
        let spans = (0..count).map(|_| span(kind::SERVER, json!({"k": text})));
        request(json!({}), spans.collect())
    };
    let usual = of_bytes(super::super::count::SPAN_BYTES);
    let mut made = 0;
    let counted = segments_of(&usual, &Options::default(), |_| made += 1).unwrap();
    assert_eq!((made, counted.items), (count, count as u64));
    let refused = segments_of(&of_bytes(1), &Options::default(), |_| {});
    assert_eq!(
        refused,
        Err(Unreadable::TooMuch(TooMuch::Spans(
            count as u64,
            count as u64 - 1
        )))
    );
}

#[test]
fn who_breaks_off_gets_no_more() {
    let spans = (0..10).map(|_| span(kind::SERVER, json!({}))).collect();
    let mut left = 3;
    let counted = segments_while(&request(json!({}), spans), &Options::default(), |_| {
        left -= 1;
        if left == 0 {
            ControlFlow::Break(())
        } else {
            ControlFlow::Continue(())
        }
    });
    assert_eq!((left, counted.unwrap().items), (0, 10));
}

#[test]
fn a_resource_that_many_spans_share_is_copied_within_bounds_and_what_is_left_out_is_said() {
    let spans = (0..2_000).map(|_| span(kind::SERVER, json!({}))).collect();
    let long = "x".repeat(50_000);
    let request = request(json!({"service.name": "shop", "k": long, "host.id": long}), spans);
    let found = made(&request, &Options::default());
    let bytes: usize = found.iter().map(|one| one.as_ref().unwrap().len()).sum();
    assert!(bytes < 8 * request.len(), "{bytes} of {}", request.len());
    assert!(
        found[1_999]
            .as_ref()
            .unwrap()
            .contains("the same in too many documents of one request")
    );
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _made = segments_of(&bytes, &Options::default(), |_| {});
    }
}
