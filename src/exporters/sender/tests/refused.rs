//! What the service does not want: it alone is lost, and what the search for it costs is bounded.

use super::*;

fn json(id: &str, pad_bytes: usize) -> String {
    let pad = "x".repeat(pad_bytes);
    format!("{{\"id\":\"{id}\",\"name\":\"orders\",\"trace_id\":\"1-2-3\",\"pad\":\"{pad}\"}}")
}

fn add(bench: &Bench, documents: &[String]) {
    bench.ledger.add_received(documents.len() as u64);
    bench.lane.add(documents.iter().map(String::as_bytes), now());
    bench.lane.seal(now());
}

fn too_long() -> Result<Answer, PutError> {
    Err(PutError {
        status: Some(413),
        ..PutError::new(ErrorClass::Refused, "status 413")
    })
}

#[tokio::test(start_paused = true)]
async fn with_two_bad_segments_in_each_of_77_batches_no_good_one_is_lost() {
    let bench = Bench::start(None, |_, body| {
        let refused = body.contains("document 7\"") || body.contains("document 31\"");
        let result = if refused {
            failure(ErrorClass::Refused)
        } else {
            ok()
        };
        (Duration::from_millis(50), result)
    });
    bench.add(77);
    let (counts, seen) = bench.drain().await;
    assert_eq!(
        (counts.sent, counts.dropped(DropReason::Refused)),
        (77 * 48, 77 * 2)
    );
    assert_eq!((counts.dropped_total(), counts.pending()), (77 * 2, 0));
    // Each bad one is found with some twice six halves.
    assert!(seen.calls <= 77 * 24, "{}", seen.calls);
}

#[tokio::test(start_paused = true)]
async fn a_batch_that_is_refused_whatever_is_in_it_is_dropped_with_one_line_and_not_halved() {
    let log = LogLines::collect();
    let bench = Bench::start(None, |_, _| {
        let error = PutError {
            whole: true,
            ..PutError::new(ErrorClass::Refused, "status 404")
        };
        (AT_ONCE, Err(error))
    });
    bench.add(2);
    let (counts, seen) = bench.drain().await;
    assert_eq!((counts.dropped(DropReason::Refused), seen.calls), (100, 2));
    let line = "[Error] Sending segment batch failed with: status 404; its 50 segments dropped, since the service refuses it \
                for good";
    assert_eq!(log.take(), [line, line]);
}

#[tokio::test(start_paused = true)]
async fn a_sender_whose_every_second_segment_is_bad_costs_a_rate_and_the_log_names_it() {
    let log = LogLines::collect();
    let bench = Bench::start(None, |_, body| {
        let result = if body.contains("bad") {
            failure(ErrorClass::Refused)
        } else {
            ok()
        };
        (Duration::from_millis(5), result)
    });
    let mut lines = Vec::new();
    for batch in 0..60 {
        let documents: Vec<String> = (0..50)
            .map(|n| {
                json(
                    &format!("{}{batch}-{n}", if n % 2 == 0 { "bad" } else { "good" }),
                    10,
                )
            })
            .collect();
        add(&bench, &documents);
        tokio::time::sleep(Duration::from_secs(1)).await;
        lines.extend(log.take());
    }
    let calls = bench.endpoint.seen.lock().unwrap().calls;
    // 60 batches, the halves of 640 splits, and of 20 a second.
    assert!(calls <= 60 + 2 * (640 + 60 * 20), "{calls}");
    assert_eq!(
        bench.ledger.snapshot().dropped(DropReason::BufferFull),
        0,
        "the rest waits"
    );
    let slowed_down = lines
        .iter()
        .filter(|line| line.contains("that the search for them is slowed down"));
    assert_eq!(slowed_down.count(), 1);
    let named = "segment id bad0-0, trace id 1-2-3, name orders, ";
    assert!(
        lines.iter().any(|line| line.contains(named)),
        "{:#?}",
        &lines[..5]
    );
    let (counts, _) = bench.drain().await;
    assert_eq!((counts.sent, counts.dropped(DropReason::Refused)), (1500, 1500));
}

#[tokio::test(start_paused = true)]
async fn a_length_that_was_refused_bounds_later_bodies_for_ten_minutes() {
    let bench = Bench::start(None, |_, body| {
        let result = if body.len() > 30_000 { too_long() } else { ok() };
        (Duration::from_millis(5), result)
    });
    let documents =
        |batch: usize| -> Vec<String> { (0..50).map(|n| json(&format!("{batch}-{n}"), 1000)).collect() };
    let calls = |bench: &Bench| bench.endpoint.seen.lock().unwrap().calls;
    add(&bench, &documents(0));
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(calls(&bench), 3, "one that is too long, and its halves");
    // One that is sealed as it was, as from the spool, is halved before it is sent; new ones are shorter from the start.
    let long = Batch::of_documents::<Segments>(
        &documents(1)
            .iter()
            .map(|document| serde_json::to_vec(document).unwrap())
            .collect::<Vec<_>>()
            .iter()
            .map(Vec::as_slice)
            .collect::<Vec<_>>(),
        now(),
    )
    .unwrap();
    bench.ledger.add_received(50);
    assert!(crate::pipeline::spool::TakesBack::take_back(&*bench.lane, long));
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(calls(&bench), 5);
    add(&bench, &documents(2));
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(calls(&bench), 7, "27,000 bytes at most, of 54,000");
    tokio::time::sleep(BOUND_BODIES_FOR).await;
    add(&bench, &documents(3));
    tokio::time::sleep(Duration::from_secs(1)).await;
    // These were added, in two, before the sender had a turn; they join again.
    assert_eq!(calls(&bench), 10, "it is tried anew");
    add(&bench, &documents(4));
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(calls(&bench), 12, "with the same result");
    let (counts, _) = bench.drain().await;
    assert_eq!((counts.sent, counts.dropped_total()), (250, 0));
}

#[tokio::test(start_paused = true)]
async fn of_segments_that_share_an_unprocessed_id_none_counts_as_sent_and_each_goes_again_alone() {
    let bodies = Arc::new(Mutex::new(Vec::new()));
    let bench = Bench::start(None, {
        let bodies = Arc::clone(&bodies);
        move |call, body| {
            bodies.lock().unwrap().push(body.to_owned());
            let unprocessed = if call == 0 {
                vec![left("b", "InternalFailure"), left("c", "InvalidName")]
            } else if body.contains("final c") {
                vec![left("c", "InvalidName")]
            } else {
                Vec::new()
            };
            let answer = Answer {
                unprocessed,
                request_id: None,
                ..Answer::default()
            };
            (AT_ONCE, Ok(answer))
        }
    });
    let document = |id: &str, form: &str| format!("{{\"id\":\"{id}\",\"form\":\"{form} {id}\"}}");
    let documents = ["a", "b", "c"]
        .map(|id| [document(id, "open"), document(id, "final")])
        .concat();
    add(&bench, &documents);
    tokio::time::sleep(Duration::from_millis(1)).await;
    assert_eq!(bench.ledger.snapshot().sent, 2, "both of a");
    let (counts, seen) = bench.drain().await;
    assert_eq!((counts.sent, counts.unprocessed, counts.pending()), (5, 1, 0));
    assert_eq!(seen.calls, 5);
    let again: Vec<usize> = bodies.lock().unwrap()[1..]
        .iter()
        .map(|body| Segments::describe(body.as_bytes()).len())
        .collect();
    assert_eq!(again, [1, 1, 1, 1]);
}
