//! What the OpenTelemetry distributions of AWS send over UDP is shown in the same trace as segments, and streamed
//! subsegments and in-progress documents find their places.

use serde_json::{Value, json};
use xray_double::harness::dev::Dev;
use xray_double::protobuf::{field, fixed64};

use crate::XRAY;

/// An OTLP request with one client span below `parent`.
fn otlp(trace_id: [u8; 16], parent: [u8; 8]) -> String {
    let text = |key: &str, value: &str| {
        field(
            9,
            &[field(1, key.as_bytes()), field(2, &field(1, value.as_bytes()))].concat(),
        )
    };
    let span = [
        field(1, &trace_id),
        field(2, &[7; 8]),
        field(4, &parent),
        field(5, b"GET"),
        vec![6 << 3, 3],
        fixed64(7, 1_795_227_595_200_000_000),
        fixed64(8, 1_795_227_595_300_000_000),
        text("server.address", "stock.example"),
    ]
    .concat();
    let request = field(1, &field(2, &field(2, &span)));
    format!("T1S{}", aws_smithy_types::base64::encode(request))
}

#[test]
fn documents_of_every_kind_and_order_become_one_trace() {
    let dev = Dev::start(XRAY, &[]);
    let trace_id = "1-581cf771-a006649127e371903a2de979";
    let segment = |id: &str, more: Value| {
        let mut segment = json!({"trace_id": trace_id, "id": id, "start_time": 1_795_227_595.0});
        segment
            .as_object_mut()
            .expect("an object")
            .extend(more.as_object().expect("an object").clone());
        segment.to_string()
    };
    let mut id = [0; 16];
    hex::decode_to_slice("581cf771a006649127e371903a2de979", &mut id).expect("hex");
    dev.send(&segment(
        "0000000000000002",
        json!({"name": "inner", "type": "subsegment", "parent_id": "0000000000000001", "end_time": 1_795_227_595.4}),
    ));
    dev.send(&otlp(id, [0, 0, 0, 0, 0, 0, 0, 2]));
    dev.send(&segment(
        "0000000000000001",
        json!({"name": "shop", "in_progress": true}),
    ));
    dev.wait_for_documents(3);
    assert_eq!(dev.get("/-/traces")["traces"][0]["in_progress"], json!(true));

    dev.send(&segment(
        "0000000000000001",
        json!({"name": "shop", "end_time": 1_795_227_595.5}),
    ));
    dev.process.wait_for("the finished trace", |line| {
        line.contains("1 seg + 2 sub").then_some(())
    });
    let row = &dev.get("/-/traces")["traces"][0];
    assert_eq!(
        (&row["in_progress"], &row["duration_s"]),
        (&json!(false), &json!(0.5))
    );
    let body = json!({ "TraceIds": [trace_id] }).to_string();
    let (_, answer) = crate::http::post(dev.tcp, "/Traces", &[], &body);
    let (_, answer) = answer.split_once("\r\n\r\n").expect("a body");
    let answer: Value = serde_json::from_str(answer).expect("JSON");
    let segments = answer["Traces"][0]["Segments"].as_array().expect("segments");
    assert_eq!(segments.len(), 1);
    let shop: Value = serde_json::from_str(segments[0]["Document"].as_str().expect("text")).expect("JSON");
    assert_eq!(shop["subsegments"][0]["name"], "inner");
    assert_eq!(shop["subsegments"][0]["subsegments"][0]["name"], "stock.example");
    let graph = dev.get("/-/graph");
    let nodes = graph["nodes"].as_array().expect("nodes");
    assert!(
        nodes.iter().any(|node| node["id"] == "stock.example~remote"),
        "{graph}"
    );
}
