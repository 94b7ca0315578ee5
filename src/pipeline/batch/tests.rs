use proptest::prelude::*;

use super::*;

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
fn it_is_sealed_a_second_after_its_first_document_and_not_before() {
    let mut open = OpenBatch::new(MAX_BODY_BYTES);
    let start = Instant::now();
    assert!(open.seal_if_due(start + MAX_AGE * 9).is_none());
    assert!(open.push(b"{}", start).sealed.is_none());
    assert!(open.push(b"{}", start + MAX_AGE / 2).sealed.is_none());
    assert_eq!(open.deadline(), Some(start + MAX_AGE));
    assert!(
        open.seal_if_due(start + MAX_AGE - Duration::from_nanos(1))
            .is_none()
    );
    let batch = open.seal_if_due(start + MAX_AGE).unwrap();
    assert_eq!((batch.documents, batch.opened_at), (2, start));
}

#[test]
fn a_document_that_does_not_fit_seals_what_was_there_and_opens_the_next() {
    let mut open = OpenBatch::new(200);
    let now = Instant::now();
    assert!(open.push(&[b'a'; 100], now).sealed.is_none());
    let first = open.push(&[b'b'; 100], now).sealed.unwrap();
    assert_eq!(documents_of(&first), ["a".repeat(100)]);
    assert_eq!(documents_of(&open.seal().unwrap()), ["b".repeat(100)]);
}

#[test]
fn a_document_larger_than_the_bound_goes_alone() {
    let mut open = OpenBatch::new(200);
    let now = Instant::now();
    assert!(open.push(b"small", now).sealed.is_none());
    assert_eq!(open.push(&[b'x'; 65_507], now).sealed.unwrap().documents, 1);
    let large = open.push(b"next", now).sealed.unwrap();
    assert_eq!(documents_of(&large), ["x".repeat(65_507)]);
    assert_eq!(documents_of(&open.seal().unwrap()), ["next"]);
}

#[test]
fn a_batch_costs_no_more_than_a_quarter_above_its_length() {
    let mut open = OpenBatch::new(MAX_BODY_BYTES);
    let now = Instant::now();
    for size in [60_000, 10, 20_000, 1] {
        assert!(open.push(&vec![b'x'; size], now).sealed.is_none());
        let batch = open.seal().unwrap();
        let length = batch.body.len();
        assert!(batch.cost_bytes() >= length);
        assert!(
            batch.cost_bytes() <= length + length / 4 + size_of::<Batch>(),
            "{size}"
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
            prop_assert!(batch.documents >= 1 && batch.documents <= MAX_DOCUMENTS);
            prop_assert_eq!(documents_of(batch).len(), batch.documents);
            prop_assert!(batch.cost_bytes() >= batch.body.len());
        }
    }
}

#[test]
fn it_says_what_is_in_it() {
    let mut open = OpenBatch::new(MAX_BODY_BYTES);
    let start = Instant::now();
    assert_eq!((open.documents(), open.bytes(), open.opened_at()), (0, 0, None));
    for n in 0..3 {
        assert!(open.push(b"{}", start + n * MAX_AGE / 9).sealed.is_none());
    }
    assert_eq!((open.documents(), open.opened_at()), (3, Some(start)));
    assert_eq!(open.bytes(), HEAD.len() + "\"{}\",\"{}\",\"{}\"".len());
    let _ = open.seal();
    assert_eq!((open.documents(), open.bytes(), open.opened_at()), (0, 0, None));
}

#[test]
fn a_document_that_just_fits_goes_with_the_others() {
    let now = Instant::now();
    let (first, second) = ([b'a'; 40], [b'b'; 30]);
    let whole = HEAD.len() + first.len() + 2 + 1 + second.len() + 2 + TAIL.len();
    for (max_body_bytes, together) in [(whole, true), (whole - 1, false)] {
        let mut open = OpenBatch::new(max_body_bytes);
        assert!(open.push(&first, now).sealed.is_none());
        assert_eq!(
            open.push(&second, now).sealed.is_none(),
            together,
            "{max_body_bytes}"
        );
        assert_eq!(open.seal().unwrap().documents, if together { 2 } else { 1 });
    }
}

#[test]
fn one_document_alone_holds_no_more_than_a_quarter_beyond_its_length() {
    let now = Instant::now();
    let document = [b'x'; 4000];
    let batch = OpenBatch::of_one(&document, now).unwrap();
    assert_eq!(documents_of(&batch), ["x".repeat(4000)]);
    assert_eq!((batch.documents, batch.opened_at), (1, now));
    assert_eq!(
        batch.cost_bytes(),
        5000 + size_of::<Batch>(),
        "it did not have to grow"
    );
}

#[test]
fn the_next_body_starts_with_a_little_more_than_the_last_one_took() {
    let mut open = OpenBatch::new(MAX_BODY_BYTES);
    assert!(open.push(&[b'x'; 10_000], Instant::now()).sealed.is_none());
    let bytes = open.seal().unwrap().body.len();
    assert_eq!(bytes, 10_000 + 2 + HEAD.len() + TAIL.len());
    assert_eq!(open.next_capacity_bytes, bytes + 626 + 1032);
}

#[test]
fn memory_of_a_quarter_beyond_the_body_is_kept_and_more_is_given_back() {
    let bytes = 2000;
    let document = vec![b'x'; bytes - 2 - HEAD.len() - TAIL.len()];
    for (capacity_bytes, held_bytes) in [(2499, 2499), (2500, 2500), (2501, 2000)] {
        let mut open = OpenBatch::new(MAX_BODY_BYTES);
        open.next_capacity_bytes = capacity_bytes;
        assert!(open.push(&document, Instant::now()).sealed.is_none());
        let batch = open.seal().unwrap();
        assert_eq!(batch.body.len(), bytes);
        assert_eq!(
            batch.cost_bytes(),
            held_bytes + size_of::<Batch>(),
            "{capacity_bytes}"
        );
    }
}
