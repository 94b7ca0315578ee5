//! Datagrams: from the parser to the body of a call, and as spans and back.

use std::time::Instant;

use serde_json::Value;
use xray::exporters::xray::encoding::Segments;
use xray::pipeline::batch::OpenBatch;
use xray::receivers::udp::datagram;
use xray_document::otlp::to_segment::{Options, segments_of};
use xray_document::otlp::to_span::{Context, Converted, spans_of};
use xray_document::outline::outline;
use xray_document::segment;
use xray_double::harness::recorded::{Message, Recording, Way};

/// All datagrams, with their client.
fn datagrams() -> Vec<(String, Message)> {
    let recordings = Recording::all().into_iter().flat_map(|recording| {
        let client = recording.client;
        let messages = recording.messages.into_iter();
        messages.map(move |message| (client.clone(), message))
    });
    let datagrams: Vec<_> = recordings
        .filter(|(_, message)| message.way == Way::Udp)
        .collect();
    assert!(datagrams.len() > 20, "{}", datagrams.len());
    datagrams
}

fn document(datagram: &Message) -> String {
    String::from_utf8(datagram.body()).expect("SDKs send UTF-8")
}

#[test]
fn the_parser_takes_each_datagram_and_gives_what_follows_its_header() {
    for (client, datagram) in datagrams() {
        let document = datagram::document(&datagram.bytes);
        let document = document.unwrap_or_else(|reject| panic!("{client}: {:?}", reject.reason));
        assert_eq!(document, datagram.body(), "{client}");
        serde_json::from_slice::<Value>(document).expect("JSON");
    }
}

#[test]
fn a_batch_has_each_document_byte_for_byte() {
    let now = Instant::now();
    let mut open = OpenBatch::<Segments>::new(256 * 1024);
    let documents: Vec<_> = datagrams()
        .iter()
        .map(|(_, datagram)| document(datagram))
        .collect();
    let mut sealed = Vec::new();
    for document in &documents {
        let pushed = open.push(document.as_bytes(), now);
        assert!(!pushed.replaced_utf8, "{document}");
        sealed.extend(pushed.sealed);
    }
    sealed.extend(open.seal());
    let sent: Vec<String> = sealed
        .iter()
        .flat_map(|batch| {
            let body: Value = serde_json::from_slice(&batch.body).expect("a JSON body");
            let documents = body["TraceSegmentDocuments"]
                .as_array()
                .expect("documents")
                .clone();
            documents
                .into_iter()
                .map(|document| document.as_str().expect("a string").to_owned())
        })
        .collect();
    assert_eq!(sent, documents);
}

#[test]
fn each_document_is_one_that_the_service_takes_and_whose_fields_a_store_knows() {
    for (client, datagram) in datagrams() {
        let document = document(&datagram);
        if let Err(refusal) = segment::check(&document) {
            panic!("{client}: {refusal:?}: {document}");
        }
        let value: Value = serde_json::from_str(&document).expect("JSON");
        let outline = outline(&document).expect("a segment");
        assert_eq!(value["trace_id"], outline.trace_id, "{client}");
        assert_eq!(value["id"], outline.id, "{client}");
    }
}

#[test]
fn each_document_becomes_spans_and_these_become_a_segment_of_the_same_name_and_times() {
    let mut with_subsegments = 0;
    for (client, datagram) in datagrams() {
        let text = document(&datagram);
        let document: Value = serde_json::from_str(&text).expect("JSON");
        let spans = match spans_of(&text, &Context::default()) {
            Ok(Converted::Spans(spans)) => spans,
            other => panic!("{client}: {other:?}: {document}"),
        };
        assert_eq!(spans.spans, 1 + subsegments(&document), "{client}: {document}");
        with_subsegments += usize::from(spans.spans > 1);

        let mut back = Vec::new();
        let counted = segments_of(&spans.request, &Options::default(), |made| {
            let made = made.unwrap_or_else(|refused| panic!("{client}: {refused}: {document}"));
            segment::check(&made.document)
                .unwrap_or_else(|refusal| panic!("{client}: {refusal:?}: {}", made.document));
            back.push(serde_json::from_str::<Value>(&made.document).expect("JSON"));
        });
        assert_eq!(counted.expect("a request").items, spans.spans, "{client}");
        let whole = back.iter().find(|made| made["id"] == document["id"]);
        let whole = whole.unwrap_or_else(|| panic!("{client}: {document} in {back:#?}"));
        for field in ["name", "trace_id"] {
            assert_eq!(whole[field], document[field], "{client}, {field}");
        }
        for field in ["start_time", "end_time"] {
            let (before, after) = (&document[field], &whole[field]);
            let apart = before.as_f64().expect("a time") - after.as_f64().expect("a time");
            assert!(apart.abs() < 1e-6, "{client}, {field}: {before} and {after}");
        }
    }
    assert!(with_subsegments > 0);
}

/// How many are below `entity`.
fn subsegments(entity: &Value) -> u64 {
    let below = entity["subsegments"].as_array().map_or(&[][..], Vec::as_slice);
    below.iter().map(|subsegment| 1 + subsegments(subsegment)).sum()
}
