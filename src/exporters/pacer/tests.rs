use proptest::prelude::*;

use super::*;

const MS: fn(u64) -> Duration = Duration::from_millis;
const S: fn(u64) -> Duration = Duration::from_secs;

const FAILED: Outcome = Outcome::Failed { retry_after: None };
const THROTTLED: Outcome = Outcome::Throttled {
    retry_after: None,
    taken: 0,
};

/// Starts a call and ends it after `took`.
fn call(pacer: &mut Pacer, at: Instant, took: Duration, outcome: Outcome) -> Option<Outage> {
    let id = pacer.started(50, at, 1.0);
    pacer.ended(id, at + took, outcome, 1.0)
}

/// A pacer that knows its endpoint well: a thousand calls were answered, one each 50 ms. And the time then.
fn settled() -> (Pacer, Instant) {
    let mut now = Instant::now();
    let mut pacer = Pacer::new(64);
    for _ in 0..1000 {
        assert_eq!(call(&mut pacer, now, MS(10), Outcome::Answered), None);
        now += MS(50);
    }
    (pacer, now)
}

/// Fails calls, one each 100 ms, until nothing is known to succeed. How many it took, and the time then.
fn fail_until_down(pacer: &mut Pacer, mut now: Instant) -> (u32, Instant) {
    for failures in 1.. {
        assert_eq!(call(pacer, now, MS(1), FAILED), None);
        now += MS(100);
        if pacer.outage().is_some() {
            return (failures, now - MS(99));
        }
    }
    unreachable!("it is down some time")
}

#[test]
fn while_nothing_fails_eight_calls_may_be_in_flight() {
    let now = Instant::now();
    let mut pacer = Pacer::new(DEFAULT_MAX_CONCURRENCY);
    for _ in 0..8 {
        assert_eq!(pacer.may_start(now), Start::Now);
        pacer.started(50, now, 0.5);
    }
    assert_eq!(pacer.may_start(now), Start::WhenOneEnds(Some(now + S(1))));
}

#[test]
fn concurrency_is_a_cap() {
    let now = Instant::now();
    let mut pacer = Pacer::new(2);
    for _ in 0..9 {
        let both = [pacer.started(50, now, 0.5), pacer.started(50, now, 0.5)];
        assert_eq!(pacer.may_start(now), Start::WhenOneEnds(None));
        for id in both {
            assert_eq!(pacer.ended(id, now, Outcome::Answered, 0.5), None);
        }
    }
    assert_eq!(pacer.limit(), 2);
}

#[test]
fn a_limit_that_is_reached_grows_with_each_success_up_to_the_most() {
    let now = Instant::now();
    let mut pacer = Pacer::new(64);
    call(&mut pacer, now, MS(1), Outcome::Answered);
    assert_eq!(pacer.limit(), 8, "one call at a time does not reach it");
    let mut in_flight = std::collections::VecDeque::new();
    for limit in 9..=64 {
        while pacer.may_start(now) == Start::Now {
            in_flight.push_back(pacer.started(50, now, 0.5));
        }
        let first = in_flight.pop_front().unwrap();
        assert_eq!(pacer.ended(first, now, Outcome::Answered, 0.5), None);
        assert_eq!(pacer.limit(), limit);
    }
    assert_eq!(in_flight.len(), 62);
}

#[test]
fn failures_beside_successes_close_nothing_and_lower_no_limit() {
    let (mut pacer, mut now) = settled();
    for n in 0..1000 {
        let outcome = if n % 2 == 0 { FAILED } else { Outcome::Answered };
        assert_eq!(call(&mut pacer, now, MS(10), outcome), None);
        now += MS(10);
        assert_eq!(pacer.may_start(now), Start::Now, "{n}");
    }
    assert_eq!((pacer.outage(), pacer.limit()), (None, 8));
    assert!(
        (0.4..0.5).contains(&pacer.failing_share()),
        "{}",
        pacer.failing_share()
    );
}

#[test]
fn an_endpoint_that_never_failed_is_down_after_ten_failures_and_one_that_often_does_after_many_more() {
    let (mut pacer, now) = settled();
    let (failures, at) = fail_until_down(&mut pacer, now);
    // The 90 that were taken for granted at first are forgotten but for a seventh of them.
    assert_eq!(failures, 11);
    let outage = pacer.outage().unwrap();
    assert_eq!((outage.since, outage.failures), (now, 11));
    assert_eq!(at, now + MS(1001));
    // Nothing is known of this one: it may always fail nine of ten calls.
    let mut unknown = Pacer::new(64);
    assert_eq!(fail_until_down(&mut unknown, now).0, 91);
}

#[test]
fn ten_failures_of_one_moment_are_no_outage() {
    let (mut pacer, now) = settled();
    for _ in 0..100 {
        call(&mut pacer, now, MS(1), FAILED);
    }
    assert_eq!(pacer.outage(), None);
    call(&mut pacer, now + MS(500), MS(0), FAILED);
    assert_eq!(pacer.outage().unwrap().failures, 101);
}

#[test]
fn where_nine_of_ten_fail_nothing_must_succeed_for_some_seconds_to_be_an_outage() {
    let (mut pacer, mut now) = settled();
    for number in 0..3000 {
        let outcome = if number % 10 == 0 {
            Outcome::Answered
        } else {
            FAILED
        };
        assert_eq!(call(&mut pacer, now, MS(1), outcome), None);
        now += MS(5);
    }
    let since = now - MS(45);
    let seconds = loop {
        assert_eq!(call(&mut pacer, now, MS(0), FAILED), None);
        if pacer.outage().is_some() {
            break (now - since).as_secs_f64();
        }
        now += MS(5);
    };
    assert!((4.0..4.6).contains(&seconds), "{seconds}");
}

#[test]
fn during_an_outage_the_back_off_between_probes_doubles_up_to_ten_seconds() {
    let (mut pacer, now) = settled();
    let (_, mut now) = fail_until_down(&mut pacer, now);
    for pause in [200, 400, 800, 1600, 3200, 6400, 10_000, 10_000] {
        assert_eq!(pacer.may_start(now), Start::At(now + MS(pause)));
        now += MS(pause);
        assert_eq!(pacer.may_start(now), Start::Now);
        call(&mut pacer, now, MS(0), FAILED);
    }
}

#[test]
fn a_probe_that_hangs_does_not_keep_the_next_one_from_going() {
    let (mut pacer, now) = settled();
    let (_, now) = fail_until_down(&mut pacer, now);
    let now = now + MS(200);
    pacer.started(50, now, 1.0);
    assert_eq!(pacer.may_start(now), Start::At(now + MS(400)));
    assert_eq!(pacer.may_start(now + MS(400)), Start::Now);
}

#[test]
fn a_success_ends_the_outage_and_the_calls_come_back_at_the_usual_rate() {
    let (mut pacer, now) = settled();
    let (_, at) = fail_until_down(&mut pacer, now);
    let mut now = at + S(60);
    let outage = call(&mut pacer, now, MS(0), Outcome::Answered).unwrap();
    assert_eq!((outage.since, outage.failures), (at - MS(1001), 11));
    assert_eq!(pacer.outage(), None);
    // Some 20 a second before it; in the first second after it a quarter more at most, for whatever has piled up.
    let end = now + S(1);
    let mut calls = 0;
    loop {
        match pacer.may_start(now) {
            Start::Now => {
                calls += 1;
                call(&mut pacer, now, MS(0), Outcome::Answered);
            }
            Start::At(at) if at < end => now = at,
            Start::At(_) => break,
            other => panic!("{other:?}"),
        }
    }
    assert!((18..=26).contains(&calls), "{calls}");
}

#[test]
fn calls_that_started_before_an_outage_say_nothing_of_it() {
    let (mut pacer, now) = settled();
    let before = pacer.started(50, now, 1.0);
    let late = pacer.started(50, now, 1.0);
    let (_, now) = fail_until_down(&mut pacer, now + MS(1));
    assert_eq!(pacer.ended(before, now, Outcome::Answered, 1.0), None);
    let outage = pacer.outage().unwrap();
    assert_eq!(pacer.ended(late, now + S(10), FAILED, 1.0), None);
    assert_eq!(pacer.outage(), Some(outage), "nor does its failure count");
}

#[test]
fn a_call_that_hangs_does_not_count_and_gives_way_when_places_run_out() {
    let (mut pacer, now) = settled();
    let hanging: Vec<CallId> = (0..8).map(|_| pacer.started(50, now, 0.5)).collect();
    assert_eq!(
        pacer.may_start(now + MS(999)),
        Start::WhenOneEnds(Some(now + S(1))),
        "nothing shows that they hang"
    );
    let mut pacer = Pacer { max: 9, ..pacer };
    // Seven of them hang as soon as one that started later has succeeded.
    let id = pacer.started(50, now + MS(1), 0.5);
    assert_eq!(pacer.ended(id, now + MS(11), Outcome::Answered, 0.5), None);
    assert_eq!(
        pacer.may_start(now + MS(11)),
        Start::Now,
        "the limit was reached, and grew"
    );
    pacer.started(50, now + MS(11), 0.5);
    assert_eq!(
        pacer.may_start(now + MS(12)),
        Start::WhenOneEnds(Some(now + S(1)))
    );
    assert_eq!(
        (pacer.hangs(now + MS(999)), pacer.hangs_at(now + MS(999))),
        (None, Some(now + S(1)))
    );
    assert_eq!(pacer.may_start(now + S(1)), Start::InPlaceOf(hanging[0]));
    assert_eq!(pacer.hangs(now + S(1)), Some(hanging[0]));
    pacer.given_up(hanging[0], now + S(1), 0.5);
    assert_eq!((pacer.in_flight(), pacer.may_start(now + S(1))), (8, Start::Now));
    assert_eq!(
        pacer.ended(hanging[0], now + S(1), Outcome::Answered, 0.5),
        None,
        "it is over"
    );
}

#[test]
fn calls_that_all_hang_do_not_keep_one_more_from_going_each_second() {
    let (mut pacer, mut now) = settled();
    for _ in 0..8 {
        pacer.started(50, now, 0.5);
    }
    for in_flight in 9..=64 {
        assert_eq!(pacer.may_start(now), Start::WhenOneEnds(Some(now + S(1))));
        now += S(1);
        assert_eq!(pacer.may_start(now), Start::Now);
        pacer.started(50, now, 0.5);
        assert_eq!(pacer.in_flight(), in_flight);
    }
    assert_eq!(
        (pacer.may_start(now + S(9)), pacer.hangs(now + S(9))),
        (Start::WhenOneEnds(None), None)
    );
    // Once one has been answered the ones before it hang.
    let latest = *pacer.in_flight.last_key_value().unwrap().0;
    assert_eq!(pacer.ended(latest, now + MS(10), Outcome::Answered, 0.5), None);
    assert!(matches!(pacer.may_start(now + MS(10)), Start::InPlaceOf(_)));
}

#[test]
fn the_limit_grows_with_failures_too_once_a_success_after_them_shows_that_they_are_a_share() {
    let (mut pacer, now) = settled();
    let calls: Vec<CallId> = (0..8).map(|_| pacer.started(50, now, 0.5)).collect();
    for failing in &calls[..5] {
        assert_eq!(pacer.ended(*failing, now + MS(50), FAILED, 0.5), None);
        pacer.started(50, now + MS(50), 0.5);
        assert_eq!(pacer.limit(), 8);
    }
    assert_eq!(pacer.ended(calls[5], now + MS(50), Outcome::Answered, 0.5), None);
    assert_eq!(pacer.limit(), 14, "six calls have ended");
    // The failures of an outage are no share.
    let ids: Vec<CallId> = (0..14).map(|_| pacer.started(50, now + MS(50), 0.5)).collect();
    for id in ids {
        assert_eq!(pacer.ended(id, now + S(2), FAILED, 0.5), None);
    }
    assert!(pacer.outage().is_some());
    assert!(call(&mut pacer, now + S(3), MS(1), Outcome::Answered).is_some());
    assert!(pacer.limit() <= 15, "{}", pacer.limit());
}

#[test]
fn where_more_than_sixteen_calls_hang_the_oldest_gives_way_although_there_are_places() {
    let (mut pacer, now) = settled();
    pacer.limit = 64.0;
    let hanging: Vec<CallId> = (0..17).map(|_| pacer.started(50, now, 0.5)).collect();
    let now = now + S(1);
    assert_eq!(call(&mut pacer, now, MS(10), Outcome::Answered), None);
    assert_eq!(pacer.may_start(now), Start::InPlaceOf(hanging[0]));
    pacer.given_up(hanging[0], now, 0.5);
    assert_eq!((pacer.in_flight(), pacer.may_start(now)), (16, Start::Now));
}

#[test]
fn near_the_end_a_call_hangs_that_takes_long_and_after_two_of_them_the_next_ones_get_twice_the_time() {
    let (mut pacer, now) = settled();
    let first = pacer.started(50, now, 0.5);
    assert_eq!((pacer.hangs(now + S(9)), pacer.hangs_at(now)), (None, None));
    pacer.hurry(now + S(9));
    assert_eq!(
        (pacer.hangs(now + MS(199)), pacer.hangs_at(now)),
        (None, Some(now + MS(200)))
    );
    assert_eq!(pacer.hangs(now + MS(200)), Some(first));
    let mut started = now;
    let mut hanging = first;
    let mut next = |pacer: &mut Pacer, after_ms| {
        started += MS(after_ms);
        pacer.given_up(hanging, started, 0.5);
        hanging = pacer.started(50, started, 0.5);
        (hanging, (pacer.hangs_at(started).unwrap() - started).as_millis())
    };
    assert_eq!(next(&mut pacer, 200).1, 200);
    assert_eq!(next(&mut pacer, 200).1, 400);
    assert_eq!(next(&mut pacer, 400).1, 400);
    let (fifth, age_ms) = next(&mut pacer, 400);
    assert_eq!(age_ms, 800);
    // One that fails by itself shows that not all take long.
    let at = now + MS(1200);
    call(&mut pacer, at, MS(1), FAILED);
    assert_eq!(pacer.hangs_at(at), Some(at + MS(400)));
    assert_eq!(pacer.ended(fifth, now + S(6), Outcome::Answered, 0.5), None);
    // Slow answers of late count, and after a success the time is the first one again.
    pacer.started(50, now + S(6), 0.5);
    let lately = Duration::from_secs_f64(pacer.lately_s.unwrap());
    assert!(lately > MS(100), "{lately:?}");
    assert_eq!(pacer.hangs_at(now + S(6)), Some(now + S(6) + 2 * lately));
}

#[test]
fn near_the_end_nothing_hangs_where_nothing_was_ever_answered() {
    let now = Instant::now();
    let mut pacer = Pacer::new(64);
    pacer.started(50, now, 0.5);
    pacer.hurry(now);
    assert_eq!((pacer.hangs(now + S(99)), pacer.hangs_at(now)), (None, None));
}

#[test]
fn answers_that_become_slow_shrink_a_limit_that_is_reached_but_not_below_where_it_began() {
    let (mut pacer, mut now) = settled();
    pacer.limit = 64.0;
    let mut round = |pacer: &mut Pacer, took: Duration| {
        let ids: Vec<CallId> = (0..pacer.limit()).map(|_| pacer.started(50, now, 0.5)).collect();
        now += took;
        for id in ids {
            assert_eq!(pacer.ended(id, now, Outcome::Answered, 0.5), None);
        }
    };
    round(&mut pacer, MS(15));
    assert_eq!(pacer.limit(), 64, "half more is not slow");
    for _ in 0..300 {
        round(&mut pacer, MS(900));
        if pacer.limit() < 64 {
            break;
        }
    }
    assert!((8..64).contains(&pacer.limit()), "{}", pacer.limit());
}

#[test]
fn answers_that_are_slow_with_the_first_eight_calls_too_are_usual_and_the_limit_grows() {
    let (mut pacer, mut now) = settled();
    // Ten times as long as usual.
    for answers in 1.. {
        while pacer.may_start(now) == Start::Now {
            pacer.started(50, now, 0.5);
        }
        let (oldest, started) = pacer
            .in_flight
            .first_key_value()
            .map(|(id, call)| (*id, call.started))
            .unwrap();
        now = started + MS(100);
        assert_eq!(pacer.ended(oldest, now, Outcome::Answered, 0.5), None);
        if pacer.limit() == 64 {
            assert!(answers < 100, "{answers}");
            break;
        }
    }
}

#[test]
fn a_throttle_lowers_the_rate_although_neighbours_succeed() {
    let (mut pacer, now) = settled();
    assert_eq!(call(&mut pacer, now, MS(0), THROTTLED), None);
    // 20 were taken a second: 18 may be now, so the first in an eighteenth of a second.
    let Start::At(at) = pacer.may_start(now) else {
        panic!("{:?}", pacer.may_start(now));
    };
    assert_eq!((at - now).as_millis(), 54);
    let id = pacer.started(50, at, 0.5);
    assert_eq!(pacer.ended(id, at, Outcome::Answered, 0.5), None);
    assert!(
        matches!(pacer.may_start(at), Start::At(_)),
        "a success does not lift it"
    );
    assert!(pacer.outage().is_none());
    // The way up is slow near the rate of the throttle.
    let per_s = |pacer: &Pacer, at: Instant| match pacer.may_start(at) {
        Start::At(next) => 1.0 / (next - at).as_secs_f64(),
        _ => f64::INFINITY,
    };
    assert!((18.0..19.0).contains(&per_s(&pacer, at)), "{}", per_s(&pacer, at));
}

#[test]
fn calls_that_were_under_way_when_it_throttled_do_not_lower_the_rate_again() {
    let (mut pacer, now) = settled();
    let under_way: Vec<CallId> = (0..5).map(|_| pacer.started(50, now - MS(1), 0.5)).collect();
    call(&mut pacer, now, MS(0), THROTTLED);
    let once = pacer.may_start(now);
    for id in under_way {
        assert_eq!(pacer.ended(id, now, THROTTLED, 0.5), None);
    }
    assert_eq!(pacer.may_start(now), once);
}

#[test]
fn retry_after_is_obeyed_within_a_minute_and_spread_by_half_of_it() {
    let now = Instant::now();
    for (asked_s, jitter, pause) in [(4, 0.0, S(4)), (4, 1.0, S(6)), (3600, 0.0, S(60))] {
        let retry_after = Some(S(asked_s));
        for outcome in [
            Outcome::Failed { retry_after },
            Outcome::Throttled {
                retry_after,
                taken: 25,
            },
        ] {
            let mut pacer = Pacer::new(64);
            let id = pacer.started(50, now, 0.0);
            assert_eq!(pacer.ended(id, now, outcome, jitter), None);
            assert_eq!(pacer.may_start(now), Start::At(now + pause));
        }
    }
}

#[test]
fn a_call_may_start_at_the_very_moment_that_was_asked_for() {
    let now = Instant::now();
    let mut pacer = Pacer::new(64);
    let id = pacer.started(50, now, 0.0);
    let retry_after = Some(S(4));
    assert_eq!(pacer.ended(id, now, Outcome::Failed { retry_after }, 0.0), None);
    assert_eq!(
        pacer.may_start(now + S(4) - Duration::from_nanos(1)),
        Start::At(now + S(4))
    );
    assert_eq!(pacer.may_start(now + S(4)), Start::Now);
}

#[test]
fn probes_that_hang_are_never_more_than_the_most_calls() {
    let (pacer, now) = settled();
    let mut pacer = Pacer { max: 2, ..pacer };
    let (_, now) = fail_until_down(&mut pacer, now);
    let first = pacer.started(50, now + S(1), 1.0);
    assert_eq!(pacer.may_start(now + S(60)), Start::Now);
    pacer.started(50, now + S(60), 1.0);
    assert_eq!(pacer.may_start(now + S(120)), Start::WhenOneEnds(None));
    assert_eq!(pacer.ended(first, now + S(120), FAILED, 1.0), None);
    assert_eq!(pacer.may_start(now + S(120)), Start::Now);
}

#[test]
fn calls_that_hang_do_not_make_a_limit_one_that_was_reached() {
    let (mut pacer, now) = settled();
    let hanging: Vec<CallId> = (0..4).map(|_| pacer.started(50, now, 0.5)).collect();
    call(&mut pacer, now + MS(1), MS(10), Outcome::Answered);
    let at = now + S(2);
    assert_eq!(pacer.hangs(at), Some(hanging[0]));
    let others: Vec<CallId> = (0..5).map(|_| pacer.started(50, at, 0.5)).collect();
    assert_eq!(pacer.ended(others[0], at, Outcome::Answered, 0.5), None);
    assert_eq!((pacer.in_flight(), pacer.limit()), (8, 8));
}

#[test]
fn where_answers_take_long_a_call_hangs_after_four_times_as_long() {
    let now = Instant::now();
    let mut pacer = Pacer {
        usual_s: Some(2.0),
        ..Pacer::new(64)
    };
    let first = pacer.started(50, now, 0.5);
    call(&mut pacer, now + MS(1), S(2), Outcome::Answered);
    assert_eq!(pacer.hangs(now + MS(7999)), None);
    assert_eq!(pacer.hangs_at(now + MS(7999)), Some(now + S(8)));
    assert_eq!(pacer.hangs(now + S(8)), Some(first));
}

#[test]
fn retry_after_holds_although_a_call_that_was_under_way_succeeds() {
    let now = Instant::now();
    let mut pacer = Pacer::new(64);
    let under_way = pacer.started(50, now, 0.0);
    let id = pacer.started(50, now, 0.0);
    let retry_after = Some(S(3));
    assert_eq!(pacer.ended(id, now, Outcome::Failed { retry_after }, 0.0), None);
    assert_eq!(pacer.ended(under_way, now, Outcome::Answered, 0.0), None);
    assert_eq!(pacer.may_start(now + MS(100)), Start::At(now + S(3)));
    pacer.hurry(now);
    assert_eq!(pacer.may_start(now + MS(100)), Start::Now);
}

#[test]
fn before_the_end_the_back_off_starts_anew_and_only_a_throttle_slows_down() {
    let (mut pacer, now) = settled();
    let (_, mut now) = fail_until_down(&mut pacer, now);
    for _ in 0..9 {
        now += S(10);
        call(&mut pacer, now, MS(0), FAILED);
    }
    pacer.hurry(now);
    assert_eq!(pacer.may_start(now), Start::Now);
    call(&mut pacer, now, MS(0), FAILED);
    assert_eq!(pacer.may_start(now), Start::At(now + MS(250)), "it stays short");
    now += MS(250);
    assert!(call(&mut pacer, now, MS(0), Outcome::Answered).is_some());
    assert_eq!(pacer.may_start(now), Start::Now, "no ramp");
    call(&mut pacer, now, MS(0), THROTTLED);
    assert!(matches!(pacer.may_start(now), Start::At(_)));
}

#[test]
fn a_batch_is_held_back_shortly_as_long_as_the_endpoint_explains_its_failures() {
    let (mut pacer, now) = settled();
    let held_back = |pacer: &Pacer, attempts| pacer.hold_back(now, attempts, 1.0) - now;
    // It never failed: four tries are chance, the fifth is the batch's own fault.
    assert_eq!(
        [1, 4, 5, 6, 7].map(|attempts| held_back(&pacer, attempts).as_millis()),
        [50, 50, 400, 800, 1600]
    );
    assert_eq!(held_back(&pacer, u32::MAX), CAP);
    for _ in 0..1000 {
        call(&mut pacer, now, MS(1), FAILED);
        call(&mut pacer, now, MS(1), Outcome::Answered);
    }
    assert_eq!(
        [7, 8].map(|attempts| held_back(&pacer, attempts).as_millis()),
        [50, 400]
    );
    // Where nine of ten fail, forty failures are chance, and a back-off doubles with ten more.
    for call_number in 0..3000 {
        let outcome = if call_number % 10 == 0 {
            Outcome::Answered
        } else {
            FAILED
        };
        call(&mut pacer, now, MS(1), outcome);
    }
    let explained = pacer.health.explained_failures();
    assert!((36..=40).contains(&explained), "{explained}");
    let per_doubling = pacer.health.failures_per_doubling();
    assert!((9..=10).contains(&per_doubling), "{per_doubling}");
    let held_back = [0, 1, per_doubling, per_doubling + 1, 2 * per_doubling + 1]
        .map(|more| held_back(&pacer, explained + more).as_millis());
    assert_eq!(held_back, [50, 400, 400, 800, 1600]);
    let unprocessed = |pacer: &Pacer, failed| {
        [1, 2, 3, 60].map(|times| (pacer.hold_back_unprocessed(now, times, failed, 1.0) - now).as_millis())
    };
    assert_eq!(unprocessed(&pacer, false), [200, 400, 800, 10_000]);
    assert_eq!(unprocessed(&pacer, true), [200, 400, 800, 10_000]);
    // Near the end each has many more chances, but for those that have so many only.
    pacer.hurry(now);
    assert_eq!(unprocessed(&pacer, false), [200, 250, 250, 250]);
    assert_eq!(unprocessed(&pacer, true), [200, 400, 800, 10_000]);
    assert_eq!((pacer.hold_back(now, 10_000, 1.0) - now).as_millis(), 250);
}

proptest! {
    #[test]
    fn a_batch_is_held_back_within_the_bounds(attempts in 1_u32.., jitter in 0.0..1.0_f64) {
        let now = Instant::now();
        let pacer = Pacer::new(64);
        for at in [pacer.hold_back(now, attempts, jitter), pacer.hold_back_unprocessed(now, attempts, true, jitter)] {
            prop_assert!(at - now >= FLOOR && at - now <= CAP);
        }
    }

    #[test]
    fn whatever_happens_something_may_start_some_time(
        events in prop::collection::vec((0..4, 0_u64..20_000, 0.0..1.0_f64), 0..300),
    ) {
        let mut now = Instant::now();
        let mut pacer = Pacer::new(64);
        for (outcome, elapsed_ms, jitter) in events {
            let id = pacer.started(50, now, jitter);
            now += MS(elapsed_ms);
            let outcome = match outcome {
                0 => Outcome::Answered,
                1 => FAILED,
                2 => THROTTLED,
                _ => Outcome::Throttled { retry_after: Some(MS(elapsed_ms)), taken: 25 },
            };
            let _ = pacer.ended(id, now, outcome, jitter);
            prop_assert!((1..=64).contains(&pacer.limit()));
        }
        prop_assert_eq!(pacer.may_start(now + MAX_RETRY_AFTER * 2), Start::Now);
    }
}
