use http_body_util::BodyExt as _;
use proptest::prelude::*;
use serde_json::Value;

use super::*;
use crate::logs::testing::cases;
use crate::pipeline::batch::encoding::Encoding as _;
use crate::pipeline::batch::testing::Strings;
use crate::pipeline::budget::Budget;
use crate::pipeline::lane::Lane;
use crate::pipeline::queue::Next;

#[test]
fn a_document_too_large_for_a_datagram_goes_behind_those_that_came_before_it() {
    let ledger = Arc::new(Ledger::default());
    let intake = Arc::new(Lane::<Strings>::new(Budget::of_mb(64), Arc::clone(&ledger)));
    let ingest = Ingest::new(
        Arc::clone(&intake),
        ledger,
        BodyLimits {
            max_bytes: 1 << 20,
            all_max_bytes: 1 << 20,
            time: std::time::Duration::from_secs(10),
        },
    );
    let large = format!("\"{}\"", "x".repeat(70_000));
    let came = ["1".to_owned(), "2".to_owned(), large, "4".to_owned()];
    let body = json!({"TraceSegmentDocuments": came}).to_string();
    ingest.take(body.as_bytes(), 4);
    let now = Instant::now().into_std();
    intake.seal(now);
    let mut goes = Vec::new();
    while let Next::Ready(batch) = intake.take(now) {
        for document in Strings::documents(&batch.body).unwrap() {
            goes.push(serde_json::from_slice::<String>(document).unwrap());
        }
    }
    assert_eq!(goes, came);
}

#[test]
fn what_the_intake_could_never_take_is_above_the_limit_of_a_body() {
    let intake = Lane::<Strings>::new(Budget::of_mb(3), Arc::default());
    for (max_bytes, narrower) in [(5 << 20, 2_202_010), (1 << 20, 1 << 20)] {
        let limits = BodyLimits {
            max_bytes,
            all_max_bytes: 2 * max_bytes,
            time: std::time::Duration::from_secs(10),
        };
        assert_eq!(
            within(&intake, limits),
            BodyLimits {
                max_bytes: narrower,
                ..limits
            }
        );
    }
}

/// The documents of a body, all at once.
fn documents(body: &[u8]) -> Result<Vec<String>, Box<Answer>> {
    let mut documents = Vec::new();
    let count = read(body, &mut |document| documents.push(document.to_owned()))?;
    assert_eq!(count, documents.len() as u64);
    Ok(documents)
}

#[test]
fn documents_are_read_as_far_as_the_first_that_is_too_much() {
    let body = |documents: usize, end: &str| {
        format!(
            "{{\"TraceSegmentDocuments\":[{}{end}",
            vec!["\"\""; documents].join(",")
        )
    };
    let said = |body: String| {
        let answer = documents(body.as_bytes()).unwrap_err();
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let bytes = runtime.block_on(answer.into_body().collect()).unwrap().to_bytes();
        let answer: Value = serde_json::from_slice(&bytes).unwrap();
        answer["message"].as_str().unwrap().to_owned()
    };
    assert_eq!(documents(body(50, "]}").as_bytes()).unwrap().len(), 50);
    for end in ["]}", "", ",5]}", ",nonsense"] {
        assert_eq!(said(body(51, end)), TOO_MANY, "{end}");
    }
    assert_eq!(
        TOO_MANY,
        format!("Exceeding maximum segment count: {MAX_DOCUMENTS}")
    );
    assert!(said(body(1, ",5]}")).contains("invalid type: integer `5`, expected a string"));
}

/// Pieces that come near to a request body.
const PIECES: &[&str] = &[
    "{\"TraceSegmentDocuments\":[",
    "]}",
    "\"TraceSegmentDocuments\"",
    "\"{\\\"id\\\":1}\"",
    "\"\"",
    "\"\\ud800\"",
    "\"\\u0000\"",
    "{}",
    "[",
    "null",
    "1e999",
    ":",
    ",",
    "\u{feff}",
    " ",
];

fn body() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        8 => prop::sample::select(PIECES).prop_map(|piece| piece.as_bytes().to_vec()),
        1 => prop::collection::vec(any::<u8>(), 0..8),
    ];
    prop_oneof![
        1 => prop::collection::vec(any::<u8>(), 0..200),
        3 => prop::collection::vec(piece, 0..12).prop_map(|pieces| pieces.concat()),
        2 => prop::collection::vec("\\PC{0,20}", 0..60)
            .prop_map(|documents| json!({"Other": [1], "TraceSegmentDocuments": documents}).to_string().into_bytes()),
    ]
}

/// What the body says, read in another way. `None`: it is no such body.
fn reference(body: &[u8]) -> Option<Vec<String>> {
    let value: Value = serde_json::from_slice(body).ok()?;
    let documents = value.as_object()?.get("TraceSegmentDocuments")?.as_array()?;
    documents
        .iter()
        .map(|document| Some(document.as_str()?.to_owned()))
        .collect()
}

proptest! {
    #![proptest_config(cases(2_000))]

    #[test]
    fn any_body_is_the_documents_in_it_or_refused_with_a_reason_in_one_line(body in body()) {
        match documents(&body) {
            Ok(documents) => {
                prop_assert!(documents.len() as u64 <= MAX_DOCUMENTS);
                prop_assert_eq!(Some(documents), reference(&body));
            }
            Err(answer) => {
                // A name twice in one object is refused; other readers take the last.
                let twice = body.windows(23).filter(|word| word == b"\"TraceSegmentDocuments\"").count() > 1;
                let refused = reference(&body).is_none_or(|documents| documents.len() as u64 > MAX_DOCUMENTS);
                prop_assert!(twice || refused);
                prop_assert_eq!(answer.status(), StatusCode::BAD_REQUEST);
                let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
                let bytes = runtime.block_on(answer.into_body().collect()).unwrap().to_bytes();
                let answer: Value = serde_json::from_slice(&bytes).unwrap();
                let message = answer["message"].as_str().unwrap();
                prop_assert!(message.len() < 2_000 && !message.contains(char::is_control), "{message:?}");
            }
        }
    }
}
