use proptest::prelude::*;

use super::*;

const MS: fn(u64) -> Duration = Duration::from_millis;

#[test]
fn while_nothing_fails_eight_calls_may_be_in_flight() {
    let now = Instant::now();
    let pacer = Pacer::new(DEFAULT_MAX_CONCURRENCY);
    assert_eq!(pacer.may_start(now, 7), Start::Now);
    assert_eq!(pacer.may_start(now, 8), Start::WhenOneEnds);
}

#[test]
fn concurrency_is_a_cap() {
    let now = Instant::now();
    let mut pacer = Pacer::new(2);
    for _ in 0..9 {
        assert_eq!(pacer.succeeded(2), None);
    }
    assert_eq!(pacer.may_start(now, 1), Start::Now);
    assert_eq!(pacer.may_start(now, 2), Start::WhenOneEnds);
}

#[test]
fn a_limit_that_is_reached_grows_with_each_success_up_to_the_most() {
    let mut pacer = Pacer::new(64);
    assert_eq!(pacer.succeeded(7), None);
    assert_eq!(pacer.limit(), 8);
    for limit in 9..=64 {
        assert_eq!(pacer.succeeded(64), None);
        assert_eq!(pacer.limit(), limit);
    }
    assert_eq!(pacer.succeeded(64), None);
    assert_eq!(pacer.limit(), 64);
}

#[test]
fn after_a_failure_one_probe_goes_at_a_time_after_the_back_off() {
    let now = Instant::now();
    let mut pacer = Pacer::new(64);
    pacer.failed(now, now, None, 0.5);
    assert_eq!(pacer.may_start(now, 0), Start::At(now + MS(100)));
    assert_eq!(pacer.may_start(now + MS(100), 1), Start::WhenOneEnds);
    assert_eq!(pacer.may_start(now + MS(100), 0), Start::Now);
}

#[test]
fn the_back_off_doubles_up_to_ten_seconds() {
    let mut now = Instant::now();
    let mut pacer = Pacer::new(64);
    for pause in [200, 400, 800, 1600, 3200, 6400, 10_000, 10_000] {
        pacer.failed(now, now, None, 1.0);
        assert_eq!(pacer.may_start(now, 0), Start::At(now + MS(pause)));
        now += MS(pause);
    }
    assert_eq!(pacer.outage().unwrap().failures, 8);
}

#[test]
fn calls_that_fail_together_count_as_one_failure() {
    let start = Instant::now();
    let now = start + MS(50);
    let mut pacer = Pacer::new(64);
    for _ in 0..8 {
        pacer.failed(now, start, None, 1.0);
    }
    assert_eq!(pacer.outage().unwrap().failures, 1);
    assert_eq!(pacer.limit(), 4);
    assert_eq!(pacer.may_start(now, 0), Start::At(now + MS(200)));
}

#[test]
fn retry_after_is_obeyed_within_a_minute() {
    let now = Instant::now();
    for (asked_s, pause_s) in [(3, 3), (3600, 60)] {
        let mut pacer = Pacer::new(64);
        pacer.failed(now, now, Some(Duration::from_secs(asked_s)), 0.0);
        assert_eq!(
            pacer.may_start(now, 0),
            Start::At(now + Duration::from_secs(pause_s))
        );
    }
}

#[test]
fn retry_after_holds_although_a_call_that_was_under_way_succeeds() {
    let now = Instant::now();
    let mut pacer = Pacer::new(64);
    pacer.failed(now, now, Some(Duration::from_secs(3)), 0.0);
    assert!(pacer.succeeded(7).is_some());
    assert_eq!(
        pacer.may_start(now + MS(100), 6),
        Start::At(now + Duration::from_secs(3))
    );
    pacer.hurry(now);
    assert_eq!(pacer.may_start(now + MS(100), 0), Start::Now);
}

#[test]
fn a_success_ends_the_outage_and_says_since_when_it_was() {
    let start = Instant::now();
    let mut pacer = Pacer::new(64);
    pacer.failed(start + MS(10), start, None, 0.0);
    pacer.failed(start + MS(500), start + MS(400), None, 0.0);
    let outage = pacer.succeeded(1).unwrap();
    assert_eq!((outage.since, outage.failures), (start, 2));
    assert_eq!(pacer.outage(), None);
    // Halved twice; it grows again from here, so that the endpoint is not stampeded.
    assert_eq!(pacer.limit(), 2);
    assert_eq!(pacer.may_start(start + MS(500), 1), Start::Now);
    assert_eq!(pacer.may_start(start + MS(500), 2), Start::WhenOneEnds);
}

#[test]
fn before_the_end_the_back_off_starts_anew() {
    let now = Instant::now();
    let mut pacer = Pacer::new(64);
    for _ in 0..9 {
        pacer.failed(now, now, None, 1.0);
    }
    pacer.hurry(now);
    assert_eq!(pacer.may_start(now, 0), Start::Now);
    pacer.failed(now, now, None, 1.0);
    assert_eq!(pacer.may_start(now, 0), Start::At(now + MS(200)));
}

proptest! {
    #[test]
    fn a_batch_is_held_back_within_the_bounds(attempts in 1_u32.., jitter in 0.0..1.0_f64) {
        let now = Instant::now();
        let pause = Pacer::hold_back(now, attempts, jitter) - now;
        prop_assert!(pause >= FLOOR && pause <= CAP);
    }

    #[test]
    fn whatever_happens_something_may_start_some_time(
        events in prop::collection::vec((any::<bool>(), 0_u64..20_000, 0.0..1.0_f64), 0..100),
    ) {
        let mut now = Instant::now();
        let mut pacer = Pacer::new(64);
        for (ok, elapsed_ms, jitter) in events {
            let started = now;
            now += MS(elapsed_ms);
            if ok {
                pacer.succeeded(1);
            } else {
                pacer.failed(now, started, None, jitter);
            }
            prop_assert!((1..=64).contains(&pacer.limit()));
        }
        prop_assert_eq!(pacer.may_start(now + CAP, 0), Start::Now);
    }
}
