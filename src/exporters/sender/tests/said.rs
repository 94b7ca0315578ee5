//! What the log says of single segments and bodies.

use super::*;
use crate::config::{LogFormat, LogLevel};

fn add(bench: &Bench, documents: &[String]) {
    bench.ledger.add_received(documents.len() as u64);
    bench.lane.add(documents.iter().map(String::as_bytes), now());
    bench.lane.seal(now());
}

fn without_successes(log: &LogLines) -> Vec<String> {
    let lines = log.take().into_iter();
    lines.filter(|line| !line.contains("Successfully sent")).collect()
}

#[tokio::test(start_paused = true)]
async fn each_unprocessed_segment_has_a_line_with_what_becomes_of_it() {
    let log = LogLines::collect();
    let bench = Bench::start(None, |call, _| {
        let unprocessed = match call {
            0 => vec![
                left("a", "InternalFailure"),
                left("b", "InvalidName"),
                left("nobody", "InternalFailure"),
                Unprocessed {
                    id: None,
                    error_code: None,
                    message: None,
                    class: ErrorClass::Refused,
                },
            ],
            _ => Vec::new(),
        };
        let answer = Answer {
            unprocessed,
            request_id: None,
            ..Answer::default()
        };
        (AT_ONCE, Ok(answer))
    });
    let documents = ["a", "b", "c", "d", "e"].map(|id| format!("{{\"id\":\"{id}\"}}"));
    add(&bench, &documents);
    bench.drain().await;
    assert_eq!(
        without_successes(&log),
        [
            "[Info] Sent batch of 5 segments but had 4 Unprocessed segments (0.000 seconds)",
            "[Error] Unprocessed segment: id a, trace id unknown, name unknown, 10 bytes, error code InternalFailure, \
             message: why; it is sent again",
            "[Error] Unprocessed segment: id b, trace id unknown, name unknown, 10 bytes, error code InvalidName, \
             message: why",
            "[Error] Unprocessed segment: id nobody, error code InternalFailure, message: why",
            "[Error] Unprocessed segment: id none, error code none, message: none",
        ]
    );
}

/// The segment's name is its sender's, code and message are whoever's answered.
#[tokio::test(start_paused = true)]
async fn hostile_texts_of_an_answer_and_of_a_segment_are_escaped_once() {
    let log = LogLines::collect();
    let bench = Bench::start(None, |_, _| {
        let unprocessed = vec![Unprocessed {
            id: Some("a".to_owned()),
            error_code: Some("In\nvalid".to_owned()),
            message: Some("\u{1b}[31m \\ red".to_owned()),
            class: ErrorClass::Refused,
        }];
        let answer = Answer {
            unprocessed,
            request_id: None,
            ..Answer::default()
        };
        (AT_ONCE, Ok(answer))
    });
    add(&bench, &[r#"{"id":"a","name":"\u001b[2J"}"#.to_owned()]);
    bench.drain().await;
    assert_eq!(
        without_successes(&log)[1..],
        [
            r"[Error] Unprocessed segment: id a, trace id unknown, name \x1b[2J, 29 bytes, error code In\nvalid, message: \x1b[31m \\ red"
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn of_twenty_five_lines_in_a_second_twenty_are_written_and_the_next_one_says_so() {
    let log = LogLines::collect();
    let bench = Bench::start(None, |_, body| {
        if body.contains("refused") {
            return (AT_ONCE, failure(ErrorClass::Refused));
        }
        let unprocessed = Segments::describe(body.as_bytes())
            .into_iter()
            .map(|document| left(&document.id.unwrap(), "InvalidName"))
            .collect();
        let answer = Answer {
            unprocessed,
            request_id: None,
            ..Answer::default()
        };
        (AT_ONCE, Ok(answer))
    });
    for kind in ["unprocessed", "refused"] {
        let documents: Vec<String> = (0..25).map(|n| format!("{{\"id\":\"{kind}{n}\"}}")).collect();
        add(&bench, &documents);
        tokio::time::sleep(Duration::from_millis(500)).await;
        let is_line = |line: &String| line.contains("Unprocessed segment: id") || line.contains("dropped");
        let lines: Vec<String> = log.take().into_iter().filter(is_line).collect();
        assert_eq!(lines.len(), 20, "{lines:#?}");
        assert!(lines.iter().all(|line| !line.contains("more lines of this kind")));
        tokio::time::sleep(Duration::from_millis(500)).await;
        add(&bench, &documents[..1]);
        tokio::time::sleep(Duration::from_millis(500)).await;
        let lines: Vec<String> = log.take().into_iter().filter(is_line).collect();
        assert_eq!(lines.len(), 1, "{lines:#?}");
        assert!(
            lines[0].ends_with(" (5 more lines of this kind were left out before)"),
            "{lines:#?}"
        );
    }
    bench.drain().await;
}

#[tokio::test(start_paused = true)]
async fn a_search_that_is_not_slowed_down_says_nothing_but_what_it_has_found() {
    let log = LogLines::collect();
    let bench = Bench::start(None, |_, body| {
        let result = if body.contains("bad") {
            failure(ErrorClass::Refused)
        } else {
            ok()
        };
        (AT_ONCE, result)
    });
    let documents: Vec<String> = (0..8)
        .map(|n| format!("{{\"id\":\"{}{n}\"}}", if n == 5 { "bad" } else { "good" }))
        .collect();
    add(&bench, &documents);
    bench.drain().await;
    assert_eq!(
        without_successes(&log),
        [
            "[Error] Sending segment batch failed with: Refused; segment id bad5, trace id unknown, name unknown, 13 bytes \
             dropped, since the service refuses it for good"
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn how_long_bodies_may_be_is_said_once_and_is_not_less_than_sixteen_kib() {
    let log = LogLines::collect();
    let bench = Bench::start(None, |_, body| {
        let result = if body.contains("bad") {
            Err(PutError {
                status: Some(413),
                ..PutError::new(ErrorClass::Refused, "status 413")
            })
        } else {
            ok()
        };
        (AT_ONCE, result)
    });
    let calls = |bench: &Bench| bench.endpoint.seen.lock().unwrap().calls;
    let bad = |bytes: usize| {
        format!(
            "bad{}",
            "x".repeat(bytes - 3 - "{\"TraceSegmentDocuments\":[\"\"]}".len())
        )
    };
    let second = Duration::from_secs(1);
    let line = |refused: usize, bytes: usize| {
        format!(
            "[Warn] A body of {refused} bytes is too long for whoever answers at the endpoint; bodies stay below {bytes} bytes \
             for 10 minutes"
        )
    };
    for (refused, bound) in [(20_000, 19_999), (19_999, 19_998), (100, 16_384)] {
        add(&bench, &[bad(refused)]);
        tokio::time::sleep(second).await;
        add(&bench, &[bad(if bound == 16_384 { 200 } else { bound + 1 })]);
        tokio::time::sleep(second).await;
        let lines = log.take();
        let bounds: Vec<&String> = lines.iter().filter(|line| line.contains("is too long")).collect();
        assert_eq!(bounds, [&line(refused, bound)]);
    }
    // Halves are made of what is longer, and of nothing else.
    let before = calls(&bench);
    let good = "x".repeat(8_000);
    add(&bench, &[good.clone(), good.clone()]);
    tokio::time::sleep(second).await;
    assert_eq!(calls(&bench), before + 1);
    let (counts, _) = bench.drain().await;
    assert_eq!((counts.sent, counts.dropped(DropReason::Refused)), (2, 6));
}

/// Whoever looks for a fault with `-l debug` wants to see what fails, and not the same words for each of a hundred calls.
#[tokio::test(start_paused = true)]
async fn of_calls_that_fail_in_the_same_way_one_line_a_second_shows_it_and_how_many_there_were() {
    let log = LogLines::collect_from(LogLevel::Debug, LogFormat::Text);
    let bench = Bench::start(None, |call, _| {
        let error = match call % 2 {
            0 => PutError::new(ErrorClass::ConnectionRefused, "nobody listens"),
            _ => PutError::new(ErrorClass::Timeout, "no answer"),
        };
        (Duration::from_millis(10), Err(error))
    });
    for _ in 0..40 {
        add(&bench, &[format!("{{\"id\":\"{}\"}}", "x".repeat(60_000))]);
    }
    tokio::time::sleep(Duration::from_millis(900)).await;
    let calls = bench.endpoint.seen.lock().unwrap().calls;
    let lines = log.take();
    let debug: Vec<&String> = lines.iter().filter(|line| line.starts_with("[Debug]")).collect();
    assert!(calls > 20, "{calls}");
    assert_eq!(
        debug,
        [
            "[Debug] Sending segment batch failed with: no answer",
            "[Debug] Sending segment batch failed with: nobody listens",
        ]
    );
    tokio::time::sleep(Duration::from_secs(1)).await;
    let lines = log.take();
    let debug: Vec<&String> = lines.iter().filter(|line| line.starts_with("[Debug]")).collect();
    assert!(debug.len() <= 2 * 2, "{debug:?}");
    assert!(
        debug[0].ends_with(" more lines of this kind were left out before)"),
        "{debug:?}"
    );
}
