//! Segments that are made up.

use proptest::prelude::*;
use serde_json::{Map, Value, json};

use crate::compare::assert_comes_back;

/// Any JSON that is not deep, with numbers that come out of text as they went in.
fn any_json() -> impl Strategy<Value = Value> {
    let scalar = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        (-4000_i32..4000).prop_map(|quarters| json!(f64::from(quarters) / 4.0)),
        "\\PC{0,8}".prop_map(Value::from),
        "null|\\[1\\]|\\{\\}|\"x\"|\\{|\\[".prop_map(Value::from),
    ];
    scalar.prop_recursive(2, 12, 3, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..3).prop_map(Value::from),
            proptest::collection::btree_map("[a-z.]{0,4}", inner, 0..3)
                .prop_map(|fields| Value::Object(fields.into_iter().collect())),
        ]
    })
}

/// Something that is no `null`, which says nothing where it stands for a whole field.
fn something() -> impl Strategy<Value = Value> {
    any_json().prop_filter("something", |value| {
        !value.is_null() && !value.as_object().is_some_and(Map::is_empty)
    })
}

fn text() -> impl Strategy<Value = Value> {
    prop_oneof![
        "\\PC{1,12}".prop_map(Value::from),
        "[A-Za-z /:.-]{1,12}".prop_map(Value::from)
    ]
}

/// An object with some of these fields, each of its form or, seldom, of another one; and one that nobody knows.
fn object(fields: Vec<(&'static str, BoxedStrategy<Value>)>) -> BoxedStrategy<Value> {
    let fields: Vec<_> = fields
        .into_iter()
        .map(|(field, value)| {
            let value =
                prop_oneof![6 => Just(None), 5 => value.prop_map(Some), 1 => something().prop_map(Some)];
            value.prop_map(move |value| value.map(|value| (field.to_owned(), value)))
        })
        .collect();
    let unknown = proptest::option::weighted(0.2, ("x[a-z_]{0,4}|x\\.y|x\\.|more|Dummy", something()));
    (fields, unknown)
        .prop_map(|(fields, unknown)| Value::Object(fields.into_iter().flatten().chain(unknown).collect()))
        .boxed()
}

fn texts(fields: &[&'static str]) -> Vec<(&'static str, BoxedStrategy<Value>)> {
    fields.iter().map(|field| (*field, text().boxed())).collect()
}

fn http() -> BoxedStrategy<Value> {
    let url = "https?://[a-z]{1,5}(:[0-9]{1,4})?(/[a-z]{0,4})?(\\?[a-z=]{0,4})?|/[a-z]{0,4}|\\PC{1,9}";
    let mut request = texts(&["method", "user_agent", "client_ip"]);
    request.push(("url", url.prop_map(Value::from).boxed()));
    request.push(("x_forwarded_for", any::<bool>().prop_map(Value::from).boxed()));
    request.push(("traced", any::<bool>().prop_map(Value::from).boxed()));
    let number = prop_oneof![
        (100_i64..600).prop_map(Value::from),
        (100_i64..600).prop_map(|status| json!(status.to_string()))
    ];
    let length = (-1_i64..9_999).prop_map(Value::from);
    object(vec![
        ("request", object(request)),
        (
            "response",
            object(vec![
                ("status", number.boxed()),
                ("content_length", length.boxed()),
            ]),
        ),
    ])
}

fn aws() -> BoxedStrategy<Value> {
    let mut fields = texts(&[
        "operation",
        "region",
        "request_id",
        "id_2",
        "account_id",
        "queue_url",
        "table_name",
    ]);
    let tables = proptest::collection::vec("[a-z]{1,4}", 1..3).prop_map(|tables| json!(tables));
    fields.push(("table_names", tables.boxed()));
    fields.push(("retries", (0_i64..9).prop_map(Value::from).boxed()));
    fields.push((
        "ec2",
        object(texts(&[
            "instance_id",
            "instance_type",
            "instance_size",
            "ami_id",
            "availability_zone",
        ])),
    ));
    let mut ecs = texts(&[
        "container",
        "container_id",
        "container_arn",
        "task_arn",
        "task_family",
        "cluster_arn",
        "availability_zone",
    ]);
    ecs.push((
        "launch_type",
        "EC2|FARGATE|fargate|Odd".prop_map(Value::from).boxed(),
    ));
    fields.push(("ecs", object(ecs)));
    fields.push(("eks", object(texts(&["cluster_name", "pod", "container_id"]))));
    let mut beanstalk = texts(&["environment_name", "environment", "version_label"]);
    beanstalk.push(("deployment_id", (0_i64..99).prop_map(Value::from).boxed()));
    fields.push(("elastic_beanstalk", object(beanstalk)));
    let groups = proptest::collection::vec(object(texts(&["log_group", "arn"])), 1..3).prop_map(Value::from);
    fields.push(("cloudwatch_logs", groups.boxed()));
    let mut sdk = texts(&["sdk_version", "package", "rule_name", "sampling_rule_name"]);
    sdk.push((
        "sdk",
        "X-Ray for (Node.js|Python|Go)".prop_map(Value::from).boxed(),
    ));
    fields.push(("xray", object(sdk)));
    object(fields)
}

fn cause() -> BoxedStrategy<Value> {
    let frame = object(vec![
        ("path", "[a-zA-Z/._ ()]{1,9}".prop_map(Value::from).boxed()),
        ("line", (0_u32..999).prop_map(Value::from).boxed()),
        ("label", "[a-zA-Z<>. ()]{1,9}".prop_map(Value::from).boxed()),
    ]);
    let mut exception = texts(&["type", "message", "cause"]);
    exception.push(("id", "[0-9a-f]{16}".prop_map(Value::from).boxed()));
    exception.push(("remote", any::<bool>().prop_map(Value::from).boxed()));
    exception.push(("truncated", (0_i64..9).prop_map(Value::from).boxed()));
    exception.push((
        "stack",
        proptest::collection::vec(frame, 1..4)
            .prop_map(Value::from)
            .boxed(),
    ));
    let exceptions = proptest::collection::vec(object(exception), 1..3).prop_map(Value::from);
    let mut whole = texts(&["working_directory"]);
    whole.push(("exceptions", exceptions.boxed()));
    whole.push((
        "paths",
        proptest::collection::vec("/[a-z]{0,4}", 0..3)
            .prop_map(|paths| json!(paths))
            .boxed(),
    ));
    let id = "[0-9a-f]{16}";
    prop_oneof![
        object(whole),
        id.prop_map(Value::from),
        id.prop_map(|id| json!({"id": id, "exceptions": []})),
    ]
    .boxed()
}

/// All that an entity can have beside ids, times and name.
fn fields() -> BoxedStrategy<Value> {
    let keys = "[a-zA-Z_]{1,6}|http\\.request\\.method|aws\\.xray\\.fault|annotation\\.x|x\\.y";
    let scalar = prop_oneof![
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        "\\PC{0,9}".prop_map(Value::from)
    ];
    let annotations = proptest::collection::btree_map(keys, prop_oneof![9 => scalar, 1 => something()], 1..4);
    let annotations = annotations.prop_map(|found| Value::Object(found.into_iter().collect()));
    let metadata = proptest::collection::btree_map("[a-z.]{0,6}", any_json(), 1..3);
    let metadata = metadata.prop_map(|found| Value::Object(found.into_iter().collect()));
    let link = prop_oneof![
        3 => ("1-[0-9a-f]{8}-[0-9a-f]{23}1", "[0-9a-f]{15}1", proptest::option::of(any_json()))
            .prop_map(|(trace_id, id, value)| match value {
                Some(value) => json!({"trace_id": trace_id, "id": id, "attributes": {"k": value}}),
                None => json!({"trace_id": trace_id, "id": id}),
            }),
        1 => something(),
    ];
    // Links that are links come first: the others have another place.
    let links = proptest::collection::vec(link, 1..4).prop_map(|mut links| {
        links.sort_by_key(|link| link.get("trace_id").is_none());
        Value::from(links)
    });
    let flag = || any::<bool>().prop_map(Value::from).boxed();
    let mut fields = texts(&["user", "resource_arn"]);
    fields.extend([
        ("http", http()),
        ("aws", aws()),
        ("cause", cause()),
        (
            "sql",
            object(texts(&[
                "url",
                "connection_string",
                "sanitized_query",
                "database_type",
                "user",
                "preparation",
            ])),
        ),
        (
            "service",
            object(texts(&["version", "runtime", "runtime_version", "compiler"])),
        ),
        ("annotations", annotations.boxed()),
        ("metadata", metadata.boxed()),
        ("links", links.boxed()),
        ("namespace", "aws|remote|local|mars".prop_map(Value::from).boxed()),
        (
            "origin",
            "AWS::(ECS::Container|ECS::Fargate|EC2::Instance|Mars)"
                .prop_map(Value::from)
                .boxed(),
        ),
        ("error", flag()),
        ("throttle", flag()),
        ("fault", flag()),
        ("traced", flag()),
        (
            "precursor_ids",
            proptest::collection::vec("[0-9a-f]{16}", 1..3)
                .prop_map(|ids| json!(ids))
                .boxed(),
        ),
        ("retries", any_json().boxed()),
        ("annotation", any_json().boxed()),
        ("x_forwarded_for", any_json().boxed()),
    ]);
    object(fields)
}

/// A segment with subsegments inside each other. Ids are given by the order.
fn segment() -> impl Strategy<Value = Value> {
    let name = "[a-zA-Z0-9é ._:/%&#=+@-]{1,12}".prop_filter("a name", |name| !name.trim().is_empty());
    let times = (
        1_400_000_000_000_000_u64..1_900_000_000_000_000,
        0_u64..10_000_000,
    );
    let entity = (name, times, fields()).prop_map(|(name, (start, length), mut fields)| {
        fields["name"] = json!(name);
        fields["start_time"] = json!(start as f64 / 1e6);
        fields["end_time"] = json!((start + length) as f64 / 1e6);
        fields
    });
    let nested = entity.clone().prop_recursive(3, 6, 3, move |inner| {
        (entity.clone(), proptest::collection::vec(inner, 1..3)).prop_map(|(mut entity, children)| {
            entity["subsegments"] = Value::from(children);
            entity
        })
    });
    (
        nested,
        "[0-9a-f]{8}",
        proptest::option::of("[0-9a-fA-F]{15}1"),
        any::<bool>(),
    )
        .prop_map(|(mut segment, trace, parent, is_subsegment)| {
            number(&mut segment, &mut 0);
            segment["trace_id"] = json!(format!("1-{trace}-000000000000000000000001"));
            if let Some(parent) = parent {
                segment["parent_id"] = json!(parent);
                if is_subsegment {
                    segment["type"] = json!("subsegment");
                }
            }
            segment
        })
}

fn number(entity: &mut Value, last: &mut u64) {
    *last += 1;
    entity["id"] = json!(format!("{last:016X}"));
    for child in entity
        .get_mut("subsegments")
        .and_then(Value::as_array_mut)
        .into_iter()
        .flatten()
    {
        number(child, last);
    }
}

proptest! {
    #[test]
    fn segments_come_back(segment in segment()) {
        assert_comes_back(&segment.to_string());
    }
}
