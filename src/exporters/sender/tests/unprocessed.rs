//! Segments that an answered call left undone: which of them go again, how, and how often.

use super::*;

/// What the endpoint leaves undone in its call of this number: ids and codes.
type Undone = Vec<(&'static str, &'static str)>;

/// The ids of the documents of each call's body, one line each, and what became of all of them in the end.
async fn calls(
    documents: &[&str],
    undone: impl Fn(usize, &[String]) -> Undone + Send + Sync + 'static,
) -> (Vec<Vec<String>>, Snapshot) {
    let bodies = Arc::new(Mutex::new(Vec::new()));
    let bench = Bench::start(None, {
        let bodies = Arc::clone(&bodies);
        move |call, body| {
            let ids: Vec<String> = Segments::describe(body.as_bytes())
                .into_iter()
                .map(|document| document.id.unwrap())
                .collect();
            let unprocessed = undone(call, &ids)
                .into_iter()
                .map(|(id, code)| left(id, code))
                .collect();
            bodies.lock().unwrap().push(ids);
            let answer = Answer {
                unprocessed,
                request_id: None,
                ..Answer::default()
            };
            (AT_ONCE, Ok(answer))
        }
    });
    bench.ledger.add_received(documents.len() as u64);
    let documents: Vec<String> = documents
        .iter()
        .map(|id| format!("{{\"id\":\"{id}\"}}"))
        .collect();
    bench.lane.add(documents.iter().map(String::as_bytes), now());
    bench.lane.seal(now());
    let (counts, _) = bench.drain().await;
    let bodies = std::mem::take(&mut *bodies.lock().unwrap());
    (bodies, counts)
}

#[tokio::test(start_paused = true)]
async fn those_that_may_go_again_go_together_and_the_others_are_given_up() {
    let (bodies, counts) = calls(&["a", "b", "c", "d"], |call, _| match call {
        0 => vec![
            ("c", "InternalFailure"),
            ("b", "InvalidName"),
            ("a", "ThrottledException"),
        ],
        _ => Vec::new(),
    })
    .await;
    assert_eq!(bodies[1..], [["c", "a"]]);
    assert_eq!((counts.sent, counts.unprocessed, counts.pending()), (3, 1, 0));
}

#[tokio::test(start_paused = true)]
async fn an_id_that_no_document_has_is_one_that_was_not_sent() {
    let (bodies, counts) = calls(&["a", "b", "c"], |_, _| {
        vec![("nobody", "InternalFailure"), ("b", "InvalidName")]
    })
    .await;
    assert_eq!(bodies.len(), 1);
    assert_eq!((counts.sent, counts.unprocessed, counts.pending()), (1, 2, 0));
}

#[tokio::test(start_paused = true)]
async fn a_document_that_is_named_twice_goes_again_once() {
    let (bodies, counts) = calls(&["a", "b", "c"], |call, _| match call {
        0 => vec![("b", "InternalFailure"), ("b", "InternalFailure")],
        _ => Vec::new(),
    })
    .await;
    assert_eq!(bodies[1..], [["b"]]);
    assert_eq!((counts.sent, counts.unprocessed, counts.pending()), (2, 1, 0));
}

#[tokio::test(start_paused = true)]
async fn of_three_with_one_id_that_is_named_twice_each_goes_again_alone() {
    let (mut bodies, counts) = calls(&["a", "b", "a", "a"], |call, _| match call {
        0 => vec![("a", "InvalidName"), ("a", "InvalidName")],
        _ => Vec::new(),
    })
    .await;
    assert_eq!(bodies.split_off(1), [["a"], ["a"], ["a"]]);
    assert_eq!((counts.sent, counts.unprocessed, counts.pending()), (4, 0, 0));
}

#[tokio::test(start_paused = true)]
async fn of_two_with_one_id_that_is_named_twice_both_are_meant() {
    let (bodies, counts) = calls(&["a", "b", "a"], |_, _| {
        vec![("a", "InvalidName"), ("a", "InvalidName")]
    })
    .await;
    assert_eq!(bodies.len(), 1);
    assert_eq!((counts.sent, counts.unprocessed, counts.pending()), (1, 2, 0));
}

#[tokio::test(start_paused = true)]
async fn more_entries_than_documents_are_as_many_as_documents() {
    let (bodies, counts) = calls(&["a"], |_, _| vec![("a", "InvalidName"), ("x", "InvalidName")]).await;
    assert_eq!(bodies.len(), 1);
    assert_eq!((counts.sent, counts.unprocessed, counts.pending()), (0, 1, 0));
}

#[tokio::test(start_paused = true)]
async fn that_the_service_throttles_is_no_fault_of_the_segment_however_often() {
    let (bodies, counts) = calls(&["a"], |call, _| match call {
        0..20 => vec![("a", "ThrottledException")],
        20 => vec![("a", "InternalFailure")],
        _ => Vec::new(),
    })
    .await;
    assert_eq!((bodies.len(), counts.sent, counts.unprocessed), (22, 1, 0));
}

#[tokio::test(start_paused = true)]
async fn a_segment_with_all_its_faults_goes_again_when_the_service_throttles_it() {
    let (bodies, counts) = calls(&["a"], |call, _| match call {
        0..16 => vec![("a", "InternalFailure")],
        16 => vec![("a", "ThrottledException")],
        _ => Vec::new(),
    })
    .await;
    assert_eq!((bodies.len(), counts.sent, counts.unprocessed), (18, 1, 0));
}

#[tokio::test(start_paused = true)]
async fn what_the_service_does_not_want_of_others_is_no_fault_of_this_segment() {
    let (bodies, counts) = calls(&["a", "b"], |call, _| match call {
        0 => vec![("a", "ThrottledException"), ("b", "InvalidName")],
        _ => vec![("a", "InternalFailure")],
    })
    .await;
    assert_eq!((bodies.len(), counts.sent, counts.unprocessed), (18, 0, 2));
}
