use proptest::prelude::*;

use std::time::Instant;

use super::*;
use crate::pipeline::batch::testing::check_halves;
use crate::pipeline::batch::{Batch, MAX_BODY_BYTES};

type OpenBatch = crate::pipeline::batch::OpenBatch<Segments>;

fn documents_of(batch: &Batch) -> Vec<String> {
    let value: serde_json::Value = serde_json::from_slice(&batch.body).unwrap();
    let fields = value.as_object().unwrap();
    assert_eq!(fields.len(), 1);
    let documents = fields["TraceSegmentDocuments"].as_array().unwrap();
    documents
        .iter()
        .map(|document| document.as_str().unwrap().to_owned())
        .collect()
}

#[test]
fn the_body_is_the_request_that_put_trace_segments_takes() {
    let mut open = OpenBatch::new(MAX_BODY_BYTES);
    let now = Instant::now();
    assert!(open.push(br#"{"id":"1"}"#, now).sealed.is_none());
    assert!(open.push(b"T1Sabc=", now).sealed.is_none());
    let batch = open.seal().unwrap();
    assert_eq!(
        &batch.body[..],
        br#"{"TraceSegmentDocuments":["{\"id\":\"1\"}","T1Sabc="]}"#
    );
    assert_eq!(batch.documents, 2);
    assert!(open.seal().is_none());
}

#[test]
fn the_escapes_are_those_of_the_official_daemon() {
    let mut open = OpenBatch::new(MAX_BODY_BYTES);
    let document = b"\x00\x01\x08\x0c\x1f\ttab\r\n\"\\/\x7f<>&\xe2\x80\xa8\xf0\x9f\x98\x80";
    let pushed = open.push(document, Instant::now());
    assert!(!pushed.replaced_utf8);
    let batch = open.seal().unwrap();
    assert_eq!(
        &batch.body[..],
        b"{\"TraceSegmentDocuments\":[\"\\u0000\\u0001\\b\\f\\u001f\\ttab\\r\\n\\\"\\\\/\x7f<>&\xe2\x80\xa8\xf0\x9f\x98\x80\"]}"
    );
}

#[test]
fn bytes_that_are_not_utf8_are_replaced_and_said_so() {
    let mut open = OpenBatch::new(MAX_BODY_BYTES);
    let pushed = open.push(b"{\"a\":\"\xff\xfe\xc3(\xed\xa0\x80\"}", Instant::now());
    assert!(pushed.replaced_utf8);
    let batch = open.seal().unwrap();
    assert_eq!(
        documents_of(&batch),
        ["{\"a\":\"\u{FFFD}\u{FFFD}\u{FFFD}(\u{FFFD}\u{FFFD}\u{FFFD}\"}"]
    );
}

#[test]
fn the_fiftieth_document_seals_it() {
    let mut open = OpenBatch::new(MAX_BODY_BYTES);
    let now = Instant::now();
    for _ in 0..49 {
        assert!(open.push(b"{}", now).sealed.is_none());
    }
    let batch = open.push(b"{}", now).sealed.unwrap();
    assert_eq!(batch.documents, 50);
    assert_eq!(open.deadline(), None);
}

#[test]
fn what_is_not_such_a_body_has_no_documents() {
    for body in [
        &b""[..],
        b"{}",
        b"{\"TraceSegmentDocuments\":[]}",
        b"{\"TraceSegmentDocuments\":[\"a]}",
        b"{\"TraceSegmentDocuments\":[\"a\\\"]}",
        b"{\"TraceSegmentDocuments\":[\"a\"\"b\"]}",
        b"{\"TraceSegmentDocuments\":[\"a\",]}",
        b"{\"TraceSegmentDocuments\":[5]}",
    ] {
        assert_eq!(
            Segments::documents(body),
            None,
            "{}",
            String::from_utf8_lossy(body)
        );
    }
}

proptest! {
    #[test]
    fn whatever_comes_in_goes_out_in_order_and_whole(
        documents in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..300), 1..200),
        max_body_bytes in 30_usize..4000,
    ) {
        let mut open = OpenBatch::new(max_body_bytes);
        let now = Instant::now();
        let mut batches = Vec::new();
        let mut replaced = 0;
        for document in &documents {
            let pushed = open.push(document, now);
            replaced += usize::from(pushed.replaced_utf8);
            batches.extend(pushed.sealed);
        }
        batches.extend(open.seal());

        let expected: Vec<String> =
            documents.iter().map(|document| String::from_utf8_lossy(document).into_owned()).collect();
        let got: Vec<String> = batches.iter().flat_map(documents_of).collect();
        prop_assert_eq!(got, expected);
        let invalid = documents.iter().filter(|document| std::str::from_utf8(document).is_err()).count();
        prop_assert_eq!(replaced, invalid);
        for batch in &batches {
            prop_assert!(batch.documents >= 1 && batch.documents <= Segments::MAX_DOCUMENTS);
            prop_assert_eq!(documents_of(batch).len(), batch.documents);
            prop_assert!(batch.cost_bytes() >= batch.body.len());
        }
    }

    #[test]
    fn halves_make_the_whole(
        texts in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..60), 2..50),
    ) {
        check_halves::<Segments>(&texts);
    }
}

#[test]
fn a_body_of_ours_is_described_document_by_document() {
    let body = br#"{"TraceSegmentDocuments":["{\"id\":\"aa\"}","5"]}"#;
    let ids: Vec<_> = Segments::describe(body)
        .into_iter()
        .map(|description| description.id)
        .collect();
    assert_eq!(ids, [Some("aa".to_owned()), None]);
}
