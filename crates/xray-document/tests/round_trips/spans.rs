//! Spans that are made up.

use proptest::prelude::*;
use prost::Message as _;
use xray_document::otlp::message::{
    AnyValue, ArrayValue, EntityRef, Event, KeyValue, KeyValueList, Link, Request, Resource, ResourceSpans,
    Scope, ScopeSpans, Span, Status, any_value,
};
use xray_document::otlp::to_segment::{Options, segments_of};
use xray_document::otlp::to_span::{Context, Converted, spans_of};
use xray_document::segment::check;

fn value() -> impl Strategy<Value = AnyValue> {
    let scalar = prop_oneof![
        Just(None),
        "\\PC{0,12}".prop_map(|text| Some(any_value::Value::Text(text))),
        any::<bool>().prop_map(|flag| Some(any_value::Value::Bool(flag))),
        any::<i64>().prop_map(|number| Some(any_value::Value::Int(number))),
        (-4000_i32..4000).prop_map(|quarters| Some(any_value::Value::Double(f64::from(quarters) / 4.0))),
        Just(Some(any_value::Value::Double(f64::INFINITY))),
        proptest::collection::vec(any::<u8>(), 0..6).prop_map(|bytes| Some(any_value::Value::Bytes(bytes))),
    ];
    scalar
        .prop_map(|value| AnyValue { value })
        .prop_recursive(2, 8, 3, |inner| {
            let fields = proptest::collection::btree_map("[a-z]{1,3}", inner.clone(), 0..3);
            prop_oneof![
                proptest::collection::vec(inner, 0..3).prop_map(|values| AnyValue {
                    value: Some(any_value::Value::Array(ArrayValue { values }))
                }),
                fields.prop_map(|fields| AnyValue {
                    value: Some(any_value::Value::List(KeyValueList {
                        values: listed(fields)
                    })),
                }),
            ]
        })
}

fn listed(fields: impl IntoIterator<Item = (String, AnyValue)>) -> Vec<KeyValue> {
    let fields = fields.into_iter();
    fields
        .map(|(key, value)| KeyValue {
            key,
            value: Some(value),
        })
        .collect()
}

/// Attributes of any key, and of the keys that mean something, of any type.
fn attributes() -> impl Strategy<Value = Vec<KeyValue>> {
    let known = prop_oneof![
        Just("aws.xray.annotations"),
        Just("aws.xray.fault"),
        Just("aws.xray.metadata.default"),
        Just("aws.xray.cause"),
        Just("aws.xray.links"),
        Just("aws.xray.name"),
        Just("aws.xray.exception.id"),
        Just("aws.request_id"),
        Just("cloud.platform"),
        Just("cloud.region"),
        Just("db.query.text"),
        Just("db.system.name"),
        Just("exception.message"),
        Just("exception.stacktrace"),
        Just("exception.type"),
        Just("http.request.method"),
        Just("http.response.status_code"),
        Just("peer.service"),
        Just("rpc.method"),
        Just("rpc.service"),
        Just("rpc.system"),
        Just("service.name"),
        Just("telemetry.sdk.name"),
        Just("url.full"),
        Just("url.path"),
    ];
    let key = prop_oneof![
        known.prop_map(str::to_owned),
        "\\PC{0,8}",
        "annotation\\.[a-z]{1,3}"
    ];
    proptest::collection::btree_map(key, value(), 0..6).prop_map(listed)
}

fn id(bytes: usize) -> impl Strategy<Value = Vec<u8>> {
    proptest::collection::vec(any::<u8>(), bytes).prop_filter("an id", |id| id.iter().any(|&byte| byte != 0))
}

fn event() -> impl Strategy<Value = Event> {
    let name = prop_oneof![Just("exception".to_owned()), "\\PC{0,8}"];
    (any::<u64>(), name, attributes(), 0_u32..3).prop_map(
        |(time_unix_nano, name, attributes, dropped_attributes_count)| Event {
            time_unix_nano,
            name,
            attributes,
            dropped_attributes_count,
        },
    )
}

fn link() -> impl Strategy<Value = Link> {
    (id(16), id(8), "[a-z=]{0,4}", attributes(), 0_u32..3, any::<u32>()).prop_map(
        |(trace_id, span_id, trace_state, attributes, dropped_attributes_count, flags)| Link {
            trace_id,
            span_id,
            trace_state,
            attributes,
            dropped_attributes_count,
            flags,
        },
    )
}

fn span() -> impl Strategy<Value = Span> {
    let parent = prop_oneof![Just(Vec::new()), id(8)];
    let times = (1_000_u64..u64::MAX / 2, 1_000_u64..u64::MAX / 2);
    let status =
        proptest::option::of((0_i32..3, "\\PC{0,8}").prop_map(|(code, message)| Status { message, code }));
    let flags = prop_oneof![Just(0x101), Just(0x301), any::<u32>()];
    let ids = (id(16), id(8), parent, "[a-z=,]{0,6}");
    let lists = (
        attributes(),
        proptest::collection::vec(event(), 0..3),
        proptest::collection::vec(link(), 0..3),
    );
    (
        ids,
        "\\PC{0,12}",
        0_i32..7,
        times,
        lists,
        (0_u32..3, 0_u32..3, 0_u32..3),
        status,
        flags,
    )
        .prop_map(|(ids, name, kind, times, lists, dropped, status, flags)| Span {
            trace_id: ids.0,
            span_id: ids.1,
            parent_span_id: ids.2,
            trace_state: ids.3,
            name,
            kind,
            start_time_unix_nano: times.0,
            end_time_unix_nano: times.1,
            attributes: lists.0,
            events: lists.1,
            links: lists.2,
            dropped_attributes_count: dropped.0,
            dropped_events_count: dropped.1,
            dropped_links_count: dropped.2,
            status,
            flags,
        })
}

fn request() -> impl Strategy<Value = Request> {
    let entity = (
        "[a-z]{0,3}",
        "[a-z]{0,3}",
        proptest::collection::vec("[a-z.]{0,4}", 0..2),
    )
        .prop_map(|(schema_url, kind, id_keys)| EntityRef {
            schema_url,
            kind,
            description_keys: id_keys.clone(),
            id_keys,
        });
    let resource = (attributes(), 0_u32..3, proptest::collection::vec(entity, 0..2)).prop_map(
        |(attributes, dropped_attributes_count, entity_refs)| Resource {
            attributes,
            dropped_attributes_count,
            entity_refs,
        },
    );
    let scope = ("[a-z]{0,4}", "[0-9.]{0,4}", attributes(), 0_u32..3).prop_map(
        |(name, version, attributes, dropped_attributes_count)| Scope {
            name,
            version,
            attributes,
            dropped_attributes_count,
        },
    );
    (resource, "[a-z:/]{0,6}", scope, "[a-z:/]{0,6}", span()).prop_map(
        |(resource, resource_url, scope, scope_url, span)| Request {
            resource_spans: vec![ResourceSpans {
                resource: Some(resource),
                schema_url: resource_url,
                scope_spans: vec![ScopeSpans {
                    scope: Some(scope),
                    schema_url: scope_url,
                    spans: vec![span],
                }],
            }],
        },
    )
}

proptest! {
    #[test]
    fn spans_come_back(request in request()) {
        let mut documents = Vec::new();
        let counted = segments_of(&request.encode_to_vec(), &Options::default(), |made| documents.push(made));
        prop_assert_eq!(counted.map(|counted| counted.items), Ok(1));
        let document = documents.remove(0).expect("a document").document;
        prop_assert!(check(&document).is_ok(), "{:?} {}", check(&document), document);
        match spans_of(&document, &Context::default()) {
            Ok(Converted::Spans(spans)) => {
                let back = Request::decode(spans.request.as_slice()).expect("a request");
                prop_assert_eq!(back, request, "{}", document);
            }
            other => prop_assert!(false, "{:?} {}", other, document),
        }
    }
}
