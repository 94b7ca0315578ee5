use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::pipeline::batch::testing::Strings;

type OpenBatch = crate::pipeline::batch::OpenBatch<Strings>;

/// A batch of `documents` documents, opened at `at`.
fn batch(documents: usize, at: Instant) -> Batch {
    let mut open = OpenBatch::new(1 << 20);
    for _ in 0..documents {
        assert!(open.push(&[b'x'; 100], at).sealed.is_none());
    }
    open.seal().unwrap()
}

fn ready(next: Next) -> Flight {
    match next {
        Next::Ready(flight) => flight,
        other => panic!("no batch: {other:?}"),
    }
}

#[test]
fn batches_come_out_in_the_order_they_came_in() {
    let now = Instant::now();
    let mut queue = Queue::new(usize::MAX);
    for n in 1..4 {
        assert!(
            queue
                .push(batch(n, now + Duration::from_millis(n as u64)))
                .0
                .is_empty()
        );
    }
    assert_eq!(queue.waiting_documents(), 6);
    for n in 1..4 {
        assert_eq!(ready(queue.take(now)).documents, n);
    }
    assert!(matches!(queue.take(now), Next::Empty));
}

#[test]
fn five_into_room_for_three_pushes_out_the_two_oldest() {
    let now = Instant::now();
    let cost = batch(10, now).cost_bytes();
    let mut queue = Queue::new(3 * cost);
    let mut evicted = Vec::new();
    for n in 0..5 {
        evicted.extend(queue.push(batch(10, now + Duration::from_millis(n))).0);
    }
    let ages: Vec<Instant> = evicted.iter().map(|batch| batch.opened_at).collect();
    assert_eq!(ages, [now, now + Duration::from_millis(1)]);
    assert_eq!((queue.waiting_documents(), queue.bytes()), (30, 3 * cost));
}

#[test]
fn what_is_in_flight_counts_against_the_budget_and_is_never_pushed_out() {
    let now = Instant::now();
    let cost = batch(10, now).cost_bytes();
    let mut queue = Queue::new(2 * cost);
    assert!(queue.push(batch(10, now)).0.is_empty());
    let flying = ready(queue.take(now));
    assert!(queue.push(batch(10, now)).0.is_empty());
    assert_eq!(queue.push(batch(10, now)).documents(), 10);
    assert!(queue.settle(flying.ticket).is_some());
    assert_eq!(queue.bytes(), cost);
    assert!(queue.push(batch(10, now)).0.is_empty());
}

#[test]
fn a_batch_put_back_goes_to_its_place_by_age() {
    let now = Instant::now();
    let mut queue = Queue::new(usize::MAX);
    for n in 0..3 {
        assert!(queue.push(batch(1, now + Duration::from_millis(n))).0.is_empty());
    }
    let oldest = ready(queue.take(now));
    let second = ready(queue.take(now));
    assert!(queue.put_back(second.ticket, None).0.is_empty());
    assert!(queue.put_back(oldest.ticket, None).0.is_empty());
    let order: Vec<Instant> = (0..3).map(|_| ready(queue.take(now)).opened_at).collect();
    assert_eq!(order, [0, 1, 2].map(|n| now + Duration::from_millis(n)));
}

#[test]
fn a_batch_held_back_lets_the_others_pass() {
    let now = Instant::now();
    let later = now + Duration::from_secs(5);
    let mut queue = Queue::new(usize::MAX);
    assert!(queue.push(batch(1, now)).0.is_empty());
    for _ in 0..3 {
        let held = ready(queue.take(later));
        assert!(queue.put_back(held.ticket, Some(later)).0.is_empty());
    }
    assert!(matches!(queue.take(now), Next::NotBefore(at) if at == later));
    assert!(queue.push(batch(2, now + Duration::from_millis(1))).0.is_empty());
    assert_eq!(ready(queue.take(now)).documents, 2);
    assert_eq!(ready(queue.take(later)).attempts, 3);
}

#[test]
fn released_batches_go_at_once() {
    let now = Instant::now();
    let mut queue = Queue::new(usize::MAX);
    let mut held = batch(1, now);
    held.not_before = Some(now + Duration::from_secs(5));
    assert!(queue.push(held).0.is_empty());
    queue.release();
    assert_eq!(ready(queue.take(now)).attempts, 0);
}

#[test]
fn what_is_abandoned_comes_out_whole_and_late_answers_change_nothing() {
    let now = Instant::now();
    let mut queue = Queue::new(usize::MAX);
    for n in 0..3 {
        assert!(
            queue
                .push(batch(n + 1, now + Duration::from_millis(n as u64)))
                .0
                .is_empty()
        );
    }
    let answered = ready(queue.take(now));
    let failed = ready(queue.take(now));
    let abandoned: Vec<usize> = queue.abandon().iter().map(|batch| batch.documents).collect();
    assert_eq!(abandoned, [1, 2, 3]);
    assert!(queue.settle(answered.ticket).is_none());
    assert!(queue.put_back(failed.ticket, None).0.is_empty());
    assert!(queue.replace(failed.ticket, [batch(1, now)]).is_none());
    assert_eq!((queue.bytes(), queue.waiting_documents()), (0, 0));
    assert!(matches!(queue.take(now), Next::Empty));
}

#[test]
fn what_waits_and_what_is_in_flight_are_counted_apart() {
    let now = Instant::now();
    let mut queue = Queue::new(usize::MAX);
    assert_eq!(queue.oldest(), None);
    let (first, second) = (batch(2, now), batch(30, now + Duration::from_millis(1)));
    let (first_cost, second_cost) = (first.cost_bytes(), second.cost_bytes());
    assert!(queue.push(first).0.is_empty());
    assert!(queue.push(second).0.is_empty());
    assert_eq!((queue.waiting_documents(), queue.in_flight_documents()), (32, 0));
    assert_eq!(
        (queue.waiting_bytes(), queue.in_flight_bytes()),
        (first_cost + second_cost, 0)
    );
    assert_eq!(queue.oldest(), Some(now));
    let _in_flight = ready(queue.take(now));
    assert_eq!((queue.waiting_documents(), queue.in_flight_documents()), (30, 2));
    assert_eq!(
        (queue.waiting_bytes(), queue.in_flight_bytes()),
        (second_cost, first_cost)
    );
    assert_eq!(queue.bytes(), first_cost + second_cost);
    assert_eq!(queue.oldest(), Some(now + Duration::from_millis(1)));
}

#[test]
fn the_parts_of_a_batch_stand_in_its_place_by_age() {
    let now = Instant::now();
    let mut queue = Queue::new(usize::MAX);
    assert!(queue.push(batch(9, now)).0.is_empty());
    let whole = ready(queue.take(now));
    assert!(queue.push(batch(3, now + Duration::from_millis(1))).0.is_empty());
    let (_, evicted) = queue
        .replace(whole.ticket, [batch(4, now), batch(5, now)])
        .unwrap();
    assert!(evicted.0.is_empty());
    assert_eq!((queue.waiting_documents(), queue.in_flight_documents()), (12, 0));
    let order: Vec<usize> = (0..3).map(|_| ready(queue.take(now)).documents).collect();
    assert_eq!(order, [4, 5, 3]);
    // It came to its end above: its parts are not taken twice.
    assert!(queue.replace(whole.ticket, [batch(9, now)]).is_none());
    assert!(matches!(queue.take(now), Next::Empty));
}

#[test]
fn parts_that_hold_more_than_the_whole_push_out_the_oldest() {
    let now = Instant::now();
    let cost = batch(10, now).cost_bytes();
    let mut queue = Queue::new(cost);
    assert!(queue.push(batch(10, now)).0.is_empty());
    let whole = ready(queue.take(now));
    let later = now + Duration::from_millis(1);
    assert_eq!(
        queue
            .replace(whole.ticket, [batch(10, now), batch(10, later)])
            .unwrap()
            .1
            .documents(),
        10
    );
    assert_eq!(queue.oldest(), Some(later));
}

#[test]
fn what_was_on_disk_is_taken_back_only_where_there_is_room() {
    let now = Instant::now();
    let cost = batch(10, now).cost_bytes();
    let mut queue = Queue::new(3 * cost);
    let (second, first) = (now + Duration::from_millis(1), now);
    assert!(queue.take_back(batch(10, second)));
    assert!(queue.take_back(batch(10, first)));
    assert_eq!(queue.oldest(), Some(first), "at its place by age");
    assert!(queue.take_back(batch(10, now)), "exactly the budget");
    assert!(!queue.take_back(batch(1, now)));
    assert_eq!(queue.waiting_documents(), 30);

    let mut queue = Queue::new(3 * cost - 1);
    assert!(queue.take_back(batch(10, now)) && queue.take_back(batch(10, now)));
    assert!(!queue.take_back(batch(10, now)), "a byte too much");

    let mut queue = Queue::new(cost - 1);
    assert!(
        queue.take_back(batch(10, now)),
        "larger than the budget, with nothing beside it"
    );
    assert!(!queue.take_back(batch(10, now)));
}

#[test]
fn half_of_the_budget_is_not_less_than_half() {
    let now = Instant::now();
    let cost = batch(10, now).cost_bytes();
    for (budget_bytes, is_half_empty) in [(2 * cost, false), (2 * cost + 1, false), (2 * cost + 2, true)] {
        let mut queue = Queue::new(budget_bytes);
        assert!(queue.is_half_empty_beside(0));
        assert!(queue.push(batch(10, now)).0.is_empty());
        assert_eq!(queue.is_half_empty_beside(0), is_half_empty, "{budget_bytes}");
        let _in_flight = ready(queue.take(now));
        assert_eq!(
            queue.is_half_empty_beside(0),
            is_half_empty,
            "in flight it counts too"
        );
    }
}

#[derive(Debug, Clone)]
enum Step {
    Push(usize),
    Take,
    Settle,
    PutBack,
    /// In its place, two of half of its documents each.
    Halve,
    /// An end is told once more.
    TellAgain,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        (1_usize..50).prop_map(Step::Push),
        Just(Step::Take),
        Just(Step::Settle),
        Just(Step::PutBack),
        Just(Step::Halve),
        Just(Step::TellAgain),
    ]
}

proptest! {
    #[test]
    fn every_document_is_somewhere_and_the_budget_holds(
        steps in prop::collection::vec(step(), 1..200),
        budget_bytes in 0_usize..40_000,
    ) {
        let start = Instant::now();
        let mut queue = Queue::new(budget_bytes);
        let mut flying: Vec<(Ticket, usize, usize)> = Vec::new();
        // Tickets that are over.
        let mut landed: Vec<Ticket> = Vec::new();
        let (mut pushed, mut evicted, mut settled) = (0, 0, 0);
        for (n, step) in steps.into_iter().enumerate() {
            let now = start + Duration::from_millis(n as u64);
            match step {
                Step::Push(documents) => {
                    pushed += documents;
                    evicted += queue.push(batch(documents, now)).documents();
                }
                Step::Take => if let Next::Ready(flight) = queue.take(now) {
                    prop_assert!(!landed.contains(&flight.ticket));
                    flying.push((flight.ticket, flight.documents, flight.body.len()));
                },
                Step::Settle => if let Some((ticket, documents, _)) = flying.pop() {
                    settled += documents;
                    landed.push(ticket);
                    prop_assert_eq!(queue.settle(ticket).unwrap().documents, documents);
                },
                Step::PutBack => if let Some((ticket, ..)) = flying.pop() {
                    landed.push(ticket);
                    evicted += queue.put_back(ticket, None).documents();
                },
                Step::Halve => if let Some((ticket, documents, _)) = flying.pop() {
                    landed.push(ticket);
                    let parts = [documents / 2, documents - documents / 2]
                        .into_iter()
                        .filter(|part| *part > 0)
                        .map(|part| batch(part, now));
                    let (whole, pushed_out) = queue.replace(ticket, parts).unwrap();
                    prop_assert_eq!(whole.documents, documents);
                    evicted += pushed_out.documents();
                },
                Step::TellAgain => if let Some(ticket) = landed.pop() {
                    prop_assert!(queue.settle(ticket).is_none());
                    prop_assert!(queue.replace(ticket, [batch(1, now)]).is_none());
                    prop_assert!(queue.put_back(ticket, None).0.is_empty());
                },
            }
            let in_flight: usize = flying.iter().map(|(_, documents, _)| documents).sum();
            prop_assert_eq!(queue.in_flight_documents(), in_flight);
            prop_assert_eq!(pushed, evicted + settled + in_flight + queue.waiting_documents());
            let flying_bytes = queue.in_flight_bytes();
            prop_assert!(flying_bytes >= flying.iter().map(|(.., bytes)| bytes).sum());
            prop_assert_eq!(queue.documents(), in_flight + queue.waiting_documents());
            prop_assert!(queue.bytes() <= budget_bytes.max(flying_bytes));
        }
    }
}

#[test]
fn forty_small_batches_that_wait_make_one_call() {
    let now = Instant::now();
    let mut queue = Queue::new(1 << 20);
    for number in 0..40_u64 {
        let text = serde_json::to_vec(&number.to_string()).unwrap();
        let opened_at = now + Duration::from_millis(number);
        let batch = Batch::of_documents::<Strings>(&[&text], opened_at).unwrap();
        assert_eq!(queue.push(batch).0.len(), 0);
    }
    queue.join_next::<Strings>(now, 1 << 17, None);
    assert_eq!(
        (queue.batches(), queue.waiting_documents(), queue.documents()),
        (1, 40, 40)
    );
    let Next::Ready(flight) = queue.take(now) else {
        panic!("it may go");
    };
    let texts: Vec<String> = (0..40).map(|number| number.to_string()).collect();
    assert_eq!(flight.body, serde_json::to_vec(&texts).unwrap());
    assert_eq!((flight.documents, flight.opened_at), (40, now));
    assert!(queue.settle(flight.ticket).is_some());
    assert_eq!((queue.bytes(), queue.batches()), (0, 0));
}

#[test]
fn what_is_held_back_and_the_halves_of_a_refused_batch_do_not_join() {
    let now = Instant::now();
    let later = now + Duration::from_secs(1);
    let one = |text: &[u8]| Batch::of_documents::<Strings>(&[text], now).unwrap();
    let mut queue = Queue::new(1 << 20);
    let mut held = one(br#""held""#);
    held.not_before = Some(later);
    for batch in [one(br#""a""#), held, one(br#""b""#)] {
        assert_eq!(queue.push(batch).0.len(), 0);
    }
    queue.join_next::<Strings>(now, 1 << 17, None);
    assert_eq!(queue.batches(), 3);
    queue.join_next::<Strings>(later, 1 << 17, None);
    assert_eq!((queue.batches(), queue.waiting_documents()), (1, 3));
    let Next::Ready(flight) = queue.take(later) else {
        panic!("it may go");
    };
    let halves = Batch::halves::<Strings>(flight.kind, &flight.body, now).unwrap();
    assert!(queue.replace(flight.ticket, halves).is_some());
    queue.join_next::<Strings>(later, 1 << 17, None);
    assert_eq!((queue.batches(), queue.waiting_documents()), (2, 3));
}

/// A batch of these documents.
fn of(texts: &[&str], at: Instant) -> Batch {
    let texts: Vec<Vec<u8>> = texts
        .iter()
        .map(|text| serde_json::to_vec(text).unwrap())
        .collect();
    let texts: Vec<&[u8]> = texts.iter().map(Vec::as_slice).collect();
    Batch::of_documents::<Strings>(&texts, at).unwrap()
}

#[test]
fn of_a_batch_that_is_too_large_the_first_documents_go_and_the_rest_waits_in_its_place() {
    let now = Instant::now();
    let mut queue = Queue::new(1 << 20);
    let mut sent_before = of(&["a", "b", "c", "d", "e"], now);
    (sent_before.attempts, sent_before.redeliveries, sent_before.faults) = (3, 2, 1);
    for batch in [sent_before, of(&["f"], now)] {
        assert_eq!(queue.push(batch).documents(), 0);
    }
    assert_eq!(queue.split_next::<Strings>(now, 5).documents(), 0);
    assert_eq!(queue.batches(), 2, "it is no larger");
    assert_eq!(queue.split_next::<Strings>(now, 2).documents(), 0);
    assert_eq!(
        (queue.batches(), queue.waiting_documents(), queue.documents()),
        (3, 6, 6)
    );
    for (body, attempts) in [(r#"["a","b"]"#, 3), (r#"["c","d","e"]"#, 3), (r#"["f"]"#, 0)] {
        let flight = ready(queue.take(now));
        assert_eq!((&flight.body[..], flight.attempts), (body.as_bytes(), attempts));
        assert_eq!(
            (flight.redeliveries, flight.faults),
            if attempts == 3 { (2, 1) } else { (0, 0) }
        );
        assert!(queue.settle(flight.ticket).is_some());
    }
    assert_eq!((queue.bytes(), queue.batches()), (0, 0));
}

#[test]
fn nothing_is_split_that_is_held_back_and_nothing_joined_that_has_enough() {
    let now = Instant::now();
    let later = now + Duration::from_secs(1);
    let mut queue = Queue::new(1 << 20);
    let mut held = of(&["a", "b"], now);
    held.not_before = Some(later);
    for batch in [held, of(&["c", "d"], now), of(&["e"], now)] {
        assert_eq!(queue.push(batch).documents(), 0);
    }
    queue.join_next::<Strings>(now, 1 << 17, Some(2));
    assert_eq!(queue.batches(), 3);
    assert_eq!(queue.split_next::<Strings>(now, 1).documents(), 0);
    assert_eq!(&ready(queue.take(now)).body[..], br#"["c"]"#);
    queue.join_next::<Strings>(now, 1 << 17, Some(2));
    assert_eq!(&ready(queue.take(now)).body[..], br#"["d","e"]"#);
}

#[test]
fn a_file_goes_with_the_last_part_of_its_batch() {
    let now = Instant::now();
    let mut queue = Queue::new(1 << 20);
    let mut batch = of(&["a", "b", "c"], now);
    let file = crate::pipeline::batch::origin::FileId {
        sequence: 1,
        opened_ms: 2,
    };
    batch.origin = Some(Origin::new(file));
    assert!(queue.take_back(batch));
    assert_eq!(queue.split_next::<Strings>(now, 1).documents(), 0);
    let mut last = Vec::new();
    while let Next::Ready(flight) = queue.take(now) {
        let origin = queue.settle(flight.ticket).unwrap().origin.unwrap();
        assert!(!origin.is_whole());
        last.push(origin.end());
    }
    assert_eq!(last, [false, true]);
}

#[test]
fn those_behind_one_that_is_held_back_join_in_their_place() {
    let now = Instant::now();
    let later = now + Duration::from_secs(1);
    let at = |ms: u64| now + Duration::from_millis(ms);
    let one = |ms| Batch::of_documents::<Strings>(&[b"\"x\""], at(ms)).unwrap();
    let mut queue = Queue::new(1 << 20);
    for ms in 0..5 {
        let mut batch = one(ms);
        batch.not_before = (ms == 0 || ms == 3).then_some(later);
        assert_eq!(queue.push(batch).0.len(), 0);
    }
    queue.join_next::<Strings>(now, 1 << 17, None);
    let taken: Vec<(usize, Instant)> = (0..2)
        .map(|_| {
            let flight = ready(queue.take(now));
            (flight.documents, flight.opened_at)
        })
        .collect();
    assert_eq!(taken, [(2, at(1)), (1, at(4))]);
    assert_eq!((queue.batches(), queue.waiting_documents()), (4, 2));
}

#[test]
fn a_batch_may_go_at_the_very_moment_until_which_it_is_held_back() {
    let now = Instant::now();
    let mut queue = Queue::new(usize::MAX);
    for (documents, ms) in [(1, 5), (2, 3), (3, 4)] {
        let mut held = batch(documents, now);
        held.not_before = Some(now + Duration::from_millis(ms));
        assert!(queue.push(held).0.is_empty());
    }
    let at = |ms| now + Duration::from_millis(ms);
    assert!(matches!(queue.take(now), Next::NotBefore(first) if first == at(3)));
    assert_eq!(ready(queue.take(at(3))).documents, 2);
    assert!(matches!(queue.take(at(3)), Next::NotBefore(first) if first == at(4)));
}

#[test]
fn what_has_no_other_place_to_go_is_held_whatever_the_budget_says() {
    let now = Instant::now();
    let mut queue = Queue::new(1);
    queue.hold([batch(2, now + Duration::from_millis(1)), batch(1, now)]);
    assert_eq!((queue.batches(), queue.waiting_documents()), (2, 3));
    assert_eq!(ready(queue.take(now)).documents, 1, "oldest first");
}
