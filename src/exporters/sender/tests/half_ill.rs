//! An endpoint that is neither up nor down.

use fastrand::Rng;

use super::*;

/// Twenty batches a second for `seconds`.
async fn traffic(bench: &Bench, seconds: usize) {
    for _ in 0..20 * seconds {
        bench.add(1);
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// The same chances in each run.
fn chances(share: f64) -> impl Fn() -> bool + Send + Sync {
    let rng = Mutex::new(Rng::with_seed(7));
    move || rng.lock().unwrap().f64() < share
}

fn throttled() -> Result<Answer, PutError> {
    failure(ErrorClass::Throttled)
}

#[tokio::test(start_paused = true)]
async fn of_an_endpoint_that_fails_half_of_the_calls_nothing_is_lost_or_left_waiting() {
    let fails = chances(0.5);
    let bench = Bench::start(None, move |_, _| {
        let result = if fails() {
            failure(ErrorClass::ServerError)
        } else {
            ok()
        };
        (Duration::from_millis(50), result)
    });
    traffic(&bench, 60).await;
    let counts = bench.ledger.snapshot();
    assert_eq!((counts.received, counts.dropped_total()), (60_000, 0));
    assert!(counts.pending() < 3_000, "{counts:?}");
    let calls = bench.endpoint.seen.lock().unwrap().calls;
    assert!((2_300..2_700).contains(&calls), "{calls} for 1200 batches");
    let (counts, seen) = bench.drain().await;
    assert_eq!(counts.sent, 60_000);
    assert!(seen.delivered.values().sum::<usize>() == 1200, "none twice");
}

#[tokio::test(start_paused = true)]
async fn calls_that_hang_do_not_stop_the_others() {
    let hangs = chances(0.33);
    let bench = Bench::start(None, move |_, _| {
        if hangs() {
            (Duration::from_secs(15), failure(ErrorClass::Timeout))
        } else {
            (Duration::from_millis(20), ok())
        }
    });
    traffic(&bench, 60).await;
    let counts = bench.ledger.snapshot();
    assert_eq!((counts.received, counts.dropped_total()), (60_000, 0));
    assert!(counts.pending() < 3_000, "{counts:?}");
    bench.sender.abort();
}

#[tokio::test(start_paused = true)]
async fn where_calls_hang_a_stop_does_not_wait_for_the_last_ones_either_although_none_shows_that_they_do() {
    use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
    let hang_next = Arc::new(AtomicUsize::new(0));
    let bench = Bench::start(None, {
        let hang_next = Arc::clone(&hang_next);
        move |call, _| {
            if hang_next
                .fetch_update(SeqCst, SeqCst, |left| left.checked_sub(1))
                .is_ok()
            {
                (Duration::from_secs(3600), ok())
            } else if call % 3 == 0 {
                (Duration::from_secs(15), failure(ErrorClass::Timeout))
            } else {
                (Duration::from_millis(20), ok())
            }
        }
    });
    traffic(&bench, 20).await;
    while bench.ledger.snapshot().pending() > 0 {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    hang_next.store(3, SeqCst);
    bench.add(3);
    let asked = now();
    let (counts, _) = bench.drain().await;
    assert_eq!((counts.sent, counts.pending()), (20_150, 0));
    assert!(now() - asked < Duration::from_secs(5), "{:?}", now() - asked);
}

#[tokio::test(start_paused = true)]
async fn a_stop_during_a_hanging_call_and_a_failed_one_sends_everything_at_once() {
    let bench = Bench::start(None, |call, _| match call {
        0 => (Duration::from_secs(3600), ok()),
        1 => (AT_ONCE, failure(ErrorClass::ServerError)),
        _ => (Duration::from_millis(20), ok()),
    });
    bench.add(30);
    let asked = now();
    let (counts, seen) = bench.drain().await;
    assert_eq!((counts.sent, counts.pending()), (1500, 0));
    assert_eq!(
        seen.calls, 32,
        "the one that hung was given up, the one that failed repeated"
    );
    assert!(
        now() - asked < Duration::from_millis(1_500),
        "{:?}",
        now() - asked
    );
}

#[tokio::test(start_paused = true)]
async fn a_stop_gives_the_last_call_up_when_it_hangs_though_no_later_one_was_answered() {
    let bench = Bench::start(None, |call, _| match call {
        20 => (Duration::from_secs(3600), ok()),
        _ => (Duration::from_millis(20), ok()),
    });
    bench.add(20);
    tokio::time::sleep(Duration::from_secs(1)).await;
    bench.add(1);
    let asked = now();
    let (counts, seen) = bench.drain().await;
    assert_eq!((counts.sent, counts.pending(), seen.calls), (1050, 0, 22));
    assert!(
        now() - asked < Duration::from_millis(1_500),
        "{:?}",
        now() - asked
    );
}

/// A batch has bad luck ten times in a row now and then. What it waits between its chances must not take the time that there
/// is: with back-offs as before, and half a second for a call that hangs, one stop in twenty lost a batch, or all that waited.
#[test]
fn a_stop_while_a_third_of_the_calls_hangs_and_half_of_the_rest_fails_sends_everything_before_its_deadline() {
    for seed in 0..100 {
        fastrand::seed(seed);
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .unwrap();
        runtime.block_on(async {
            let bench = Bench::start(None, |call, _| {
                if call % 3 == 2 {
                    (Duration::from_secs(15), failure(ErrorClass::Timeout))
                } else if fastrand::bool() {
                    (Duration::from_millis(50), failure(ErrorClass::ServerError))
                } else {
                    (Duration::from_millis(50), ok())
                }
            });
            traffic(&bench, 5).await;
            let stopped = tokio::time::timeout(Duration::from_secs(8), bench.drain()).await;
            let (counts, _) = stopped.unwrap_or_else(|_| panic!("seed {seed}: not in time"));
            assert_eq!((counts.sent, counts.pending()), (5000, 0), "seed {seed}");
        });
    }
}

#[tokio::test(start_paused = true)]
async fn where_few_segments_are_taken_a_second_they_go_in_small_calls() {
    // A quota of three segments a second, which this daemon has for itself: calls that are too much are refused whole.
    let quota = Mutex::new((now(), 0.0_f64));
    let bench = Bench::start(None, move |_, body| {
        let (at, left) = &mut *quota.lock().unwrap();
        *left = (*left + 3.0 * (now() - *at).as_secs_f64()).min(10.0);
        *at = now();
        let segments = body.matches("document ").count() as f64;
        if segments > *left {
            return (Duration::from_millis(20), throttled());
        }
        *left -= segments;
        (Duration::from_millis(20), ok())
    });
    bench.add(20);
    tokio::time::sleep(Duration::from_secs(60)).await;
    let sent_before = bench.ledger.snapshot().sent;
    tokio::time::sleep(Duration::from_secs(120)).await;
    let sent = bench.ledger.snapshot().sent - sent_before;
    assert!((300..=370).contains(&sent), "{sent} in two minutes");
    bench.sender.abort();
}

#[tokio::test(start_paused = true)]
async fn a_success_does_not_lift_what_a_throttle_asks_for() {
    // 40 calls a second are taken; 60 come.
    let quota = Mutex::new((now(), 10.0_f64));
    let bench = Bench::start(None, move |_, _| {
        let (at, left) = &mut *quota.lock().unwrap();
        *left = (*left + (now() - *at).as_secs_f64() * 40.0).min(10.0);
        *at = now();
        let is_over = *left < 1.0;
        if !is_over {
            *left -= 1.0;
        }
        (
            Duration::from_millis(20),
            if is_over { throttled() } else { ok() },
        )
    });
    for _ in 0..60 * 20 {
        bench.add(3);
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let calls = bench.ledger.calls();
    let throttles = calls.outcome(Operation::Segments, Some(ErrorClass::Throttled));
    let taken = calls.outcome(Operation::Segments, None);
    assert!(taken >= 60 * 40 * 8 / 10, "{taken}");
    assert!(4 * throttles < taken, "{throttles} beside {taken}");
    bench.sender.abort();
}

#[tokio::test(start_paused = true)]
async fn segments_that_the_service_throttles_inside_of_an_answer_wait_and_slow_the_calls_down() {
    let start = now();
    let bench = Bench::start(None, move |_, body| {
        let unprocessed = if now() < start + Duration::from_secs(30) {
            Segments::describe(body.as_bytes())
                .into_iter()
                .map(|document| left(&document.id.unwrap(), "ThrottledException"))
                .collect()
        } else {
            Vec::new()
        };
        let answer = Answer {
            unprocessed,
            request_id: None,
            ..Answer::default()
        };
        (Duration::from_millis(20), Ok(answer))
    });
    for batch in 0..600 {
        let documents: Vec<String> = (0..5).map(|n| format!("{{\"id\":\"{batch}-{n}\"}}")).collect();
        bench.ledger.add_received(5);
        bench.lane.add(documents.iter().map(String::as_bytes), now());
        bench.lane.seal(now());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let calls = bench.endpoint.seen.lock().unwrap().calls;
    assert!(calls < 120, "{calls} calls, of which none was of use");
    let (counts, _) = bench.drain().await;
    assert_eq!(
        (counts.sent, counts.unprocessed, counts.dropped_total()),
        (3_000, 0, 0)
    );
}

#[tokio::test(start_paused = true)]
async fn the_share_of_failing_calls_is_said_when_it_shows_once_a_minute_and_when_it_is_over() {
    let log = LogLines::collect();
    let start = now();
    let bench = Bench::start(None, move |call, _| {
        let fails = call % 2 == 0 && now() < start + Duration::from_secs(100);
        let result = if fails {
            failure(ErrorClass::ServerError)
        } else {
            ok()
        };
        (Duration::from_millis(10), result)
    });
    let mut lines = Vec::new();
    for _ in 0..20 {
        traffic(&bench, 10).await;
        let said = log.take().into_iter();
        lines.extend(said.filter(|line| !line.contains("Successfully sent")));
    }
    let is = |start: &str| lines.iter().filter(|line| line.starts_with(start)).count();
    assert_eq!(
        is("[Error] Sending segment batch failed with: ServerError; "),
        1,
        "{lines:#?}"
    );
    assert_eq!(is("[Info] Calls succeed again after 0."), 1, "{lines:#?}");
    // Which of two calls ends first is chance: the half may be one call less.
    let half = is("[Warn] 50 % of the calls fail: ") + is("[Warn] 49 % of the calls fail: ");
    assert_eq!(half, 2, "{lines:#?}");
    assert_eq!(is("[Info] Most calls succeed again: 0 of "), 1, "{lines:#?}");
    assert!(lines.len() <= 6, "{lines:#?}");
    bench.sender.abort();
}
