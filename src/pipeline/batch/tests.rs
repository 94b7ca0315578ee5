use proptest::prelude::*;

use super::testing::{Strings, check_halves};
use super::*;

type OpenBatch = super::OpenBatch<Strings>;

fn documents_of(batch: &Batch) -> Vec<String> {
    serde_json::from_slice(&batch.body).unwrap()
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

#[test]
fn a_batch_that_is_made_of_documents_holds_little_more_than_its_body() {
    let document = format!("\"{}\"", "x".repeat(1000));
    let batch = Batch::of_documents::<Strings>(&[document.as_bytes(); 50], Instant::now()).unwrap();
    // The first document has no separator before it.
    assert_eq!(batch.cost_bytes(), batch.body.len() + 1 + size_of::<Batch>());
}

#[test]
fn a_single_document_has_no_halves() {
    let batch = Batch::of_documents::<Strings>(&[b"\"a\""], Instant::now()).unwrap();
    assert!(Batch::halves::<Strings>(batch.kind, &batch.body, Instant::now()).is_none());
    assert!(Batch::of_documents::<Strings>(&[], Instant::now()).is_none());
}

proptest! {
    #[test]
    fn halves_make_the_whole(
        texts in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..60), 2..50),
    ) {
        check_halves::<Strings>(&texts);
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
    assert_eq!(open.bytes(), Strings::HEAD.len() + "\"{}\",\"{}\",\"{}\"".len());
    let _ = open.seal();
    assert_eq!((open.documents(), open.bytes(), open.opened_at()), (0, 0, None));
}

#[test]
fn a_document_that_just_fits_goes_with_the_others() {
    let now = Instant::now();
    let (first, second) = ([b'a'; 40], [b'b'; 30]);
    let whole = Strings::HEAD.len() + first.len() + 2 + 1 + second.len() + 2 + Strings::TAIL.len();
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
fn the_first_body_starts_with_room_for_a_few_small_documents_and_not_for_the_largest_body() {
    let open = OpenBatch::new(MAX_BODY_BYTES);
    assert_eq!(open.next_capacity_bytes, 4096);
}

#[test]
fn the_next_body_starts_with_a_little_more_than_the_last_one_took() {
    let mut open = OpenBatch::new(MAX_BODY_BYTES);
    assert!(open.push(&[b'x'; 10_000], Instant::now()).sealed.is_none());
    let bytes = open.seal().unwrap().body.len();
    assert_eq!(bytes, 10_000 + 2 + Strings::HEAD.len() + Strings::TAIL.len());
    assert_eq!(open.next_capacity_bytes, bytes + 625 + Strings::SLACK_BYTES);
}

#[test]
fn memory_of_a_quarter_beyond_the_body_is_kept_and_more_is_given_back() {
    let bytes = 4000;
    let document = vec![b'x'; bytes - 2 - Strings::HEAD.len() - Strings::TAIL.len()];
    for (capacity_bytes, held_bytes) in [(4999, 4999), (5000, 5000), (5001, 4000)] {
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

#[test]
fn a_body_is_never_longer_than_its_bound_however_much_documents_grow_in_it() {
    let now = Instant::now();
    for max_body_bytes in [100, 1000, 5000] {
        let mut open = OpenBatch::new(max_body_bytes);
        let mut sealed = Vec::new();
        for n in 0..200 {
            // A quote takes two bytes, a control character six.
            let document = "\"\u{1}x".repeat(n % 8 + 1);
            sealed.extend(open.push(document.as_bytes(), now).sealed);
        }
        sealed.extend(open.seal());
        assert!(
            sealed.iter().all(|batch| batch.body.len() <= max_body_bytes),
            "{max_body_bytes}"
        );
        assert!(
            sealed
                .iter()
                .all(|batch| batch.documents == documents_of(batch).len())
        );
        let documents: Vec<String> = sealed.iter().flat_map(documents_of).collect();
        let expected: Vec<String> = (0..200).map(|n| "\"\u{1}x".repeat(n % 8 + 1)).collect();
        assert_eq!(documents, expected, "in order, each once");
    }
}

#[test]
fn a_document_that_just_fits_once_it_is_encoded_goes_with_the_others() {
    let now = Instant::now();
    // A quote takes two bytes. With frame, quotes and comma: 1 + 12 + 1 + 22 + 1.
    for (max_body_bytes, together) in [(38, 2), (37, 2), (36, 1), (35, 1), (34, 1)] {
        let mut open = OpenBatch::new(max_body_bytes);
        assert!(open.push(&[b'a'; 10], now).sealed.is_none());
        let mut sealed: Vec<Batch> = open.push(&[b'"'; 10], now).sealed.into_iter().collect();
        sealed.extend(open.seal());
        assert_eq!(sealed[0].documents, together, "{max_body_bytes}");
        assert!(sealed.iter().all(|batch| batch.body.len() <= max_body_bytes));
    }
}

#[test]
fn a_bound_from_the_destination_holds_until_it_is_taken_away() {
    let now = Instant::now();
    let mut open = OpenBatch::new(1000);
    let lengths = |open: &mut OpenBatch| -> Vec<usize> {
        let mut sealed: Vec<Batch> = (0..20)
            .filter_map(|_| open.push(&[b'x'; 90], now).sealed)
            .collect();
        sealed.extend(open.seal());
        sealed.iter().map(|batch| batch.documents).collect()
    };
    assert_eq!(lengths(&mut open), [10, 10]);
    assert_eq!(open.bound_bytes(), 1000);
    open.bound(Some(300));
    assert_eq!(open.bound_bytes(), 300);
    assert_eq!(lengths(&mut open), [3, 3, 3, 3, 3, 3, 2]);
    open.bound(Some(5000));
    assert_eq!(open.bound_bytes(), 1000);
    assert_eq!(lengths(&mut open), [10, 10]);
    open.bound(Some(300));
    open.bound(None);
    assert_eq!(lengths(&mut open), [10, 10]);
}
