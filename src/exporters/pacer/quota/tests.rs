//! What the service takes, and what one sends of it.

use super::*;

const MS: fn(u64) -> Duration = Duration::from_millis;
const S: fn(u64) -> Duration = Duration::from_secs;

/// A service that took so many documents in each second, and throttles now.
fn throttled(per_s: usize) -> (Quota, Instant) {
    let mut now = Instant::now();
    let mut quota = Quota::default();
    for _ in 0..100 {
        quota.started(per_s, now);
        quota.taken(per_s, now);
        now += S(1);
    }
    assert_eq!((quota.next_at(now), quota.most_documents(now)), (None, None));
    quota.throttled(now, now, None);
    (quota, now)
}

fn per_s(quota: &Quota, at: Instant) -> f64 {
    quota.bound.unwrap().per_s(at)
}

/// Sends what it may for so long: calls and documents.
fn send(quota: &mut Quota, from: Instant, length: Duration) -> (u32, usize) {
    let (mut now, mut calls, mut documents) = (from, 0, 0);
    while now < from + length {
        match quota.next_at(now) {
            Some(at) => now = at,
            None => {
                let count = quota.most_documents(now).unwrap().min(50);
                quota.started(count, now);
                calls += 1;
                documents += count;
            }
        }
    }
    (calls, documents)
}

#[test]
fn few_documents_a_second_go_in_small_calls_and_many_in_full_ones() {
    let (mut quota, now) = throttled(4);
    // Some three a second.
    let (calls, documents) = send(&mut quota, now, S(5));
    assert!((4..=7).contains(&calls), "{calls}");
    assert!((11..=22).contains(&documents), "{documents}");
    let (mut quota, now) = throttled(1000);
    // 700 a second, and nearly 1000 at the end.
    let (calls, documents) = send(&mut quota, now, S(10));
    assert_eq!(documents, 50 * calls as usize);
    assert!((8_500..9_900).contains(&documents), "{documents}");
}

#[test]
fn a_throttle_takes_a_share_of_the_rate_and_the_way_up_is_as_long_each_time() {
    let (quota, now) = throttled(100);
    let after = |seconds| per_s(&quota, now + S(seconds)).round();
    // 20 s to where it was, and a third of it more in the next 40; then much more.
    assert_eq!(
        [0, 10, 20, 40, 60, 80, 120].map(after),
        [91.0, 95.0, 100.0, 110.0, 129.0, 169.0, 603.0]
    );
}

#[test]
fn the_more_throttles_there_were_the_smaller_are_the_steps_down_and_up() {
    let (mut quota, mut now) = throttled(100);
    let steps: Vec<f64> = (0..30)
        .map(|_| {
            now += S(2);
            quota.taken(200, now);
            let before = per_s(&quota, now);
            quota.throttled(now, now, None);
            (1000.0 * per_s(&quota, now) / before).round()
        })
        .collect();
    assert_eq!(
        [steps[0], steps[1], steps[9], steps[19], steps[29]],
        [920.0, 925.0, 950.0, 965.0, 970.0]
    );
    let up = per_s(&quota, now + S(20)) / per_s(&quota, now);
    assert_eq!((1000.0 * up).round(), 1040.0);
}

#[test]
fn four_throttles_in_a_row_and_one_at_twice_the_rate_make_the_steps_large_again() {
    let (mut quota, mut now) = throttled(100);
    let mut next = |quota: &mut Quota, after: Duration| {
        now += after;
        let before = per_s(quota, now);
        quota.throttled(now, now, None);
        (100.0 * per_s(quota, now) / before).round()
    };
    let in_a_row: Vec<f64> = (0..6).map(|_| next(&mut quota, S(1))).collect();
    assert_eq!(in_a_row, [92.0, 93.0, 93.0, 70.0, 70.0, 70.0]);
    let (mut quota, from) = throttled(100);
    let now = from + S(90);
    quota.taken(50, now);
    let before = per_s(&quota, now);
    assert!(before > 2.0 * per_s(&quota, from), "{before}");
    quota.throttled(now, now, None);
    assert!((per_s(&quota, now) - 0.7 * before).abs() < 1e-9);
}

#[test]
fn of_two_that_are_throttled_together_the_one_with_less_gains_on_the_other() {
    let [(small, from), (large, _)] = [throttled(10), throttled(100)];
    let gain = |quota: &Quota| per_s(quota, from + S(20)) / per_s(quota, from);
    assert!(
        gain(&small) > 1.09 * gain(&large),
        "{} and {}",
        gain(&small),
        gain(&large)
    );
}

#[test]
fn what_was_under_way_when_it_throttled_changes_nothing_and_a_later_throttle_takes_more() {
    let (mut quota, now) = throttled(100);
    let at = quota.next_at(now).unwrap();
    assert_eq!((at - now).as_millis(), 546, "fifty, of 91 a second");
    let now = now + S(1);
    let before = per_s(&quota, now);
    quota.throttled(now - MS(1), now, None);
    assert_eq!(per_s(&quota, now), before);
    quota.throttled(now, now, None);
    assert!(per_s(&quota, now) < before);
}

#[test]
fn without_a_throttle_for_minutes_there_is_no_bound_any_more() {
    let (mut quota, now) = throttled(100);
    quota.started(50, now + S(120));
    assert!(quota.bound.is_some());
    quota.started(50, now + S(170));
    assert_eq!(quota.next_at(now + S(170)), None);
}

#[test]
fn what_a_wait_that_was_asked_for_has_cost_is_made_up_for_soon_with_few_documents_and_slowly_with_many() {
    let sent = |taken_per_s: usize, wait: Duration| {
        let (mut quota, now) = throttled(taken_per_s);
        let now = now + S(2);
        quota.started(2 * taken_per_s, now);
        // Each of the calls that were under way asks for it.
        for _ in 0..3 {
            quota.throttled(now, now, Some(now + wait));
        }
        let (calls, documents) = send(&mut quota, now + wait, S(30));
        let per_s = per_s(&quota, now + wait);
        assert!(
            (documents as f64 / f64::from(calls)) < 1.3 * per_s.min(50.0),
            "they are no larger"
        );
        // In seconds of the rate.
        (documents as f64 / per_s).round()
    };
    // Five seconds of it, and what it grows by.
    assert_eq!(sent(4, S(5)), 35.0);
    assert_eq!(sent(1000, S(5)), 36.0);
    // No more than thirty seconds, of which in thirty are made up for: three fifths, or one.
    assert_eq!(sent(4, S(60)), 46.0);
    assert_eq!(sent(1000, S(60)), 36.0);
}

#[test]
fn where_each_throttle_means_a_wait_the_way_up_is_longer_and_before_the_end_nobody_waits() {
    let (mut quota, now) = throttled(100);
    let now = now + S(1);
    let until = now + S(4);
    quota.started(150, now);
    quota.taken(150, now);
    quota.throttled(now, now, Some(until));
    assert_eq!(
        per_s(&quota, now),
        per_s(&quota, until),
        "it does not grow meanwhile"
    );
    // 20 s for a step, and 18 for each that is to be waited.
    let gain = per_s(&quota, until + S(20 + 4 * 18)) / per_s(&quota, until);
    assert_eq!((1000.0 * gain).round(), 1084.0);
    assert!(quota.next_at(now + S(3)).is_some());
    quota.hurry(now);
    assert_eq!(quota.next_at(now + S(3)), None, "it fills at once");
}

/// With 100 documents a second before an outage that took so long.
fn after_outage(took: Duration) -> (Quota, Instant) {
    let (mut quota, now) = throttled(100);
    quota.outage();
    quota.recovers(took, now);
    (quota, now)
}

#[test]
fn after_an_outage_the_rate_stays_at_half_more_than_usual_for_as_long_as_it_took_then_it_doubles() {
    for took_s in [10, 600] {
        let (quota, now) = after_outage(S(took_s));
        let after = |seconds| per_s(&quota, now + S(seconds)).round();
        assert_eq!([0, 1, took_s].map(after), [100.0, 150.0, 150.0]);
        assert_eq!([took_s + 10, took_s + 20].map(after), [300.0, 600.0]);
    }
    let (quota, now) = after_outage(S(1));
    assert_eq!(per_s(&quota, now + S(10)).round(), 150.0, "until all are back");
}

#[test]
fn when_all_are_back_each_call_adds_a_thousandth_and_after_six_hundred_it_doubles_with_two_hundred_more() {
    let (mut quota, now) = after_outage(S(600));
    for _ in 0..100 {
        quota.started(1, now + S(9));
    }
    let at = now + S(10);
    assert_eq!(per_s(&quota, at).round(), 150.0, "some may still be away");
    for (calls, expected) in [
        (100, 160.0),
        (400, 200.0),
        (100, 200.0),
        (200, 400.0),
        (200, 800.0),
    ] {
        for _ in 0..calls {
            quota.started(1, at);
        }
        assert_eq!(per_s(&quota, at).round(), expected, "{calls} more");
    }
}

#[test]
fn a_probe_carries_no_more_documents_than_a_usual_call_but_before_the_end_as_many_as_there_are() {
    let probes = |usual: usize| {
        let (mut quota, now) = throttled(usual);
        quota.bound = None;
        quota.outage();
        quota.most_documents(now)
    };
    assert_eq!(
        [1, 4, 40, 1000].map(probes),
        [Some(1), Some(5), Some(50), Some(50)]
    );
    let (mut unknown, now) = (Quota::default(), Instant::now());
    unknown.outage();
    assert_eq!(unknown.most_documents(now), None);
    let ends: [fn(&mut Quota, Instant); 2] = [
        |quota, now| {
            quota.outage();
            quota.hurry(now);
        },
        |quota, now| {
            quota.hurry(now);
            quota.outage();
        },
    ];
    for end in ends {
        let (mut quota, now) = throttled(4);
        quota.bound = None;
        end(&mut quota, now);
        assert_eq!(quota.most_documents(now), None);
    }
}

#[test]
fn what_a_wait_at_the_end_of_an_outage_keeps_back_comes_after_it() {
    let (mut quota, now) = throttled(100);
    quota.outage();
    let until = now + S(5);
    quota.recovers(S(60), until);
    assert_eq!(
        (per_s(&quota, until), per_s(&quota, until + S(1))),
        (100.0, 150.0)
    );
    assert!(quota.next_at(until).is_some(), "nothing is saved up meanwhile");
}

/// It had taken nothing before, so that its rate is a guess: with many documents waiting, ten seconds at a guess are lost.
#[test]
fn after_an_outage_that_was_there_from_the_start_the_rate_doubles_from_the_first_second_on() {
    let (mut quota, now) = (Quota::default(), Instant::now());
    quota.outage();
    quota.recovers(S(60), now);
    let after = |seconds| per_s(&quota, now + S(seconds)).round();
    assert_eq!([0, 1, 2, 3, 4].map(after), [400.0, 600.0, 1200.0, 2400.0, 4800.0]);
}

#[test]
fn the_first_throttle_after_an_outage_leaves_what_is_taken_or_with_few_half_more_than_usual() {
    let first = |usual: usize, lately: usize| {
        let (mut quota, mut now) = throttled(usual);
        quota.outage();
        quota.recovers(S(60), now);
        for _ in 0..20 {
            quota.taken(lately, now);
            now += S(1);
        }
        quota.throttled(now, now, None);
        per_s(&quota, now).round()
    };
    // Less the step.
    assert_eq!(first(100, 80), 73.0);
    assert_eq!(first(10, 4), 14.0);
}

#[test]
fn where_nothing_at_all_is_taken_a_twentieth_of_what_was_usual_goes_then_less_until_something_is() {
    let (mut quota, mut now) = throttled(1000);
    let mut seen = Vec::new();
    for _ in 0..60 {
        now += S(1);
        quota.throttled(now, now, None);
        seen.push(per_s(&quota, now).round());
    }
    assert!(seen.contains(&50.0), "{seen:?}");
    assert_eq!(
        seen[50..],
        [1.0; 10],
        "fewer fit into a call of what may be left: {seen:?}"
    );
    assert_eq!(per_s(&quota, now + S(600)), 1.0);
    quota.taken(1, now);
    assert_eq!(per_s(&quota, now + S(4)).round(), 16.0);
}

#[test]
fn one_that_is_throttled_in_its_first_second_searches_for_what_it_may_have() {
    let mut now = Instant::now();
    let mut quota = Quota::default();
    quota.taken(50, now);
    now += MS(500);
    quota.throttled(now, now, None);
    assert_eq!(per_s(&quota, now).round(), 70.0);
    assert_eq!(per_s(&quota, now + S(2)).round(), 280.0);
    // Nothing is known at all.
    let mut quota = Quota::default();
    quota.throttled(now, now, None);
    assert_eq!(per_s(&quota, now).round(), 280.0);
}

#[test]
fn after_an_outage_documents_come_back_at_their_usual_rate_and_before_the_end_at_once() {
    let (mut quota, mut now) = throttled(100);
    quota.outage();
    now += S(600);
    quota.recovers(S(60), now);
    let (_, documents) = send(&mut quota, now, S(1));
    assert!((100..=150).contains(&documents), "{documents}");
    quota.hurry(now);
    assert_eq!(quota.next_at(now), None);
    quota.recovers(S(60), now);
    assert_eq!(quota.next_at(now), None);
    let (mut quota, now) = throttled(100);
    quota.hurry(now);
    assert!(quota.next_at(now).is_some(), "a throttle still counts");
}
