use proptest::prelude::*;

use super::*;
use crate::pipeline::batch::kind::Kind;

fn name(opened_ms: u64, sequence: u64, bytes: u64) -> FileName {
    FileName {
        id: FileId { opened_ms, sequence },
        kind: Kind::Segments,
        documents: 10,
        redeliveries: 0,
        bytes,
        crc32: 0,
    }
}

/// An index with room for `files` files of one block, holding those opened at these times.
fn index(files: u64, opened_ms: &[u64]) -> Index {
    let mut index = Index::new(files * BLOCK_BYTES);
    for (sequence, opened_ms) in opened_ms.iter().enumerate() {
        index.found(name(*opened_ms, sequence as u64, 100));
    }
    index
}

fn put(index: &mut Index, name: FileName) {
    index.reserve(name);
    index.written(name.id);
}

/// What was to be removed is removed.
fn clear(index: &mut Index, room: &Room) {
    for name in &room.evicted {
        index.gone(name.id);
    }
    for name in &room.damaged {
        index.damaged_gone(name);
    }
}

fn ages(names: &[FileName]) -> Vec<u64> {
    names.iter().map(|name| name.id.opened_ms).collect()
}

#[test]
fn a_file_takes_up_whole_blocks() {
    assert_eq!(
        [0, 1, 4096, 4097].map(cost_bytes),
        [BLOCK_BYTES, BLOCK_BYTES, BLOCK_BYTES, 2 * BLOCK_BYTES]
    );
}

#[test]
fn the_first_written_go_out_first_whatever_order_they_were_found_in_and_whatever_the_clock_said() {
    let mut index = Index::new(9 * BLOCK_BYTES);
    for (opened_ms, sequence) in [(10, 3), (30, 0), (20, 2), (10, 1)] {
        index.found(name(opened_ms, sequence, 100));
    }
    assert_eq!(index.waiting_documents(), 40);
    let order: Vec<(u64, u64)> = std::iter::from_fn(|| index.check_out())
        .map(|name| (name.id.opened_ms, name.id.sequence))
        .collect();
    assert_eq!(order, [(30, 0), (10, 1), (20, 2), (10, 3)]);
    assert_eq!((index.waiting_files(), index.waiting_documents()), (0, 0));
}

#[test]
fn a_new_file_pushes_out_the_oldest() {
    let mut index = index(3, &[10, 20, 30]);
    let id = index.next_id(40);
    assert_eq!(id.sequence, 3);
    let room = index.room_for(&name(40, 3, BLOCK_BYTES + 1)).unwrap();
    assert_eq!((ages(&room.evicted), room.damaged.len()), (vec![10, 20], 0));
    clear(&mut index, &room);
    put(&mut index, name(40, 3, BLOCK_BYTES + 1));
    assert_eq!((index.bytes(), index.waiting_files()), (3 * BLOCK_BYTES, 2));
}

#[test]
fn a_clock_that_is_set_back_does_not_make_the_newest_file_the_one_to_go() {
    let mut index = index(3, &[3_610_000, 3_620_000, 3_630_000]);
    let id = index.next_id(40_000);
    let room = index.room_for(&FileName { id, ..name(0, 0, 1) }).unwrap();
    assert_eq!(ages(&room.evicted), [3_610_000]);
}

#[test]
fn one_that_does_not_fit_in_even_alone_pushes_out_none() {
    let index = index(3, &[10, 20, 30]);
    assert_eq!(index.room_for(&name(99, 9, 3 * BLOCK_BYTES + 1)), None);
    assert_eq!(index.waiting_files(), 3);
}

#[test]
fn a_file_that_rests_waits_and_does_not_go_out() {
    let mut index = index(3, &[10, 20]);
    let unreadable = index.check_out().unwrap();
    index.rest(unreadable.id);
    assert_eq!(
        (
            index.waiting_files(),
            index.ready_files(),
            index.waiting_documents()
        ),
        (2, 1, 20)
    );
    assert_eq!(ages(&[index.check_out().unwrap()]), [20]);
    assert!(index.check_out().is_none());
    assert_eq!(index.oldest(1, 9), [unreadable], "it can be pushed out");
    index.wake(unreadable.id);
    index.wake(unreadable.id);
    assert_eq!((index.waiting_files(), index.ready_files()), (1, 1));
    assert_eq!(index.check_out(), Some(unreadable));
}

#[test]
fn the_oldest_of_so_many_bytes_are_those_written_before() {
    let index = index(9, &[10, 20, 30]);
    assert_eq!(ages(&index.oldest(BLOCK_BYTES, 9)), [10]);
    assert_eq!(ages(&index.oldest(BLOCK_BYTES + 1, 9)), [10, 20]);
    assert_eq!(ages(&index.oldest(100 * BLOCK_BYTES, 2)), [10, 20]);
    assert_eq!(index.oldest(0, 9), []);
}

#[test]
fn what_is_on_its_way_out_is_not_pushed_out() {
    let mut index = index(2, &[10, 20]);
    let out = index.check_out().unwrap();
    let room = index.room_for(&name(30, 9, 1)).unwrap();
    assert_eq!(ages(&room.evicted), [20]);
    clear(&mut index, &room);
    put(&mut index, name(30, 9, 1));
    assert!(index.give_back(out.id).is_some());
    assert!(index.give_back(out.id).is_none());
    assert_eq!(index.check_out().unwrap().id, out.id);
}

#[test]
fn what_is_being_written_has_its_room_and_is_not_there_yet() {
    let mut index = index(2, &[10]);
    index.reserve(name(5, 9, 1));
    assert_eq!((index.bytes(), index.waiting_files()), (2 * BLOCK_BYTES, 1));
    let room = index.room_for(&name(30, 10, 1)).unwrap();
    assert_eq!(ages(&room.evicted), [10]);
    clear(&mut index, &room);
    assert!(index.check_out().is_none());
    index.written(name(5, 9, 1).id);
    assert_eq!(ages(&[index.check_out().unwrap()]), [5]);
}

#[test]
fn a_settled_file_never_goes_out_again_although_it_is_still_there() {
    let mut index = index(2, &[10, 20]);
    let out = index.check_out().unwrap();
    assert_eq!(index.settle(out.id), Some(out));
    assert_eq!(index.settle(out.id), None);
    assert_eq!(index.give_back(out.id), None);
    assert_eq!(index.settled().collect::<Vec<_>>(), [out]);
    assert_eq!(ages(&[index.check_out().unwrap()]), [20]);
    assert!(index.check_out().is_none());
    assert_eq!(index.bytes(), 2 * BLOCK_BYTES);
    index.gone(out.id);
    assert_eq!((index.bytes(), index.settled().count()), (BLOCK_BYTES, 0));
}

#[test]
fn of_the_files_set_aside_the_last_sixteen_are_kept_and_go_first() {
    let mut index = index(
        20,
        &[
            10, 20, 30, 40, 50, 60, 70, 80, 90, 100, 110, 120, 130, 140, 150, 160, 170,
        ],
    );
    for _ in 0..16 {
        let name = index.check_out().unwrap();
        assert_eq!(index.set_aside(name.id), []);
    }
    let name_of_last = index.check_out().unwrap();
    let surplus = index.set_aside(name_of_last.id);
    assert_eq!(ages(&surplus), [10]);
    assert_eq!(ages(&index.surplus().damaged), [10], "until it is gone");
    index.damaged_gone(&surplus[0]);
    assert_eq!(index.bytes(), 16 * BLOCK_BYTES);
    put(&mut index, name(1, 90, 1));
    let room = index.room_for(&name(200, 99, 5 * BLOCK_BYTES)).unwrap();
    assert_eq!((ages(&room.damaged), room.evicted.len()), (vec![20, 30], 0));
}

#[test]
fn with_a_smaller_limit_the_oldest_are_too_many() {
    let mut index = index(2, &[10, 20, 30]);
    let surplus = index.surplus();
    assert_eq!(ages(&surplus.evicted), [10]);
    clear(&mut index, &surplus);
    assert_eq!(index.surplus(), Room::default());
}

#[derive(Debug, Clone)]
enum Step {
    Write { opened_ms: u64, bytes: u64 },
    CheckOut,
    GiveBack,
    Settle,
    SetAside,
    Remove,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (0_u64..100, 0_u64..20_000).prop_map(|(opened_ms, bytes)| Step::Write { opened_ms, bytes }),
        3 => Just(Step::CheckOut),
        1 => Just(Step::GiveBack),
        2 => Just(Step::Settle),
        1 => Just(Step::SetAside),
        1 => Just(Step::Remove),
    ]
}

proptest! {
    #[test]
    fn the_limit_holds_and_no_file_is_forgotten(
        steps in prop::collection::vec(step(), 0..200),
        limit_bytes in 0_u64..100_000,
    ) {
        let mut index = Index::new(limit_bytes);
        let mut out: Vec<FileName> = Vec::new();
        let (mut waiting, mut settled, mut aside) = (Vec::new(), Vec::new(), Vec::new());
        for step in steps {
            match step {
                Step::Write { opened_ms, bytes } => {
                    let name = FileName { id: index.next_id(opened_ms), ..name(0, 0, bytes) };
                    if let Some(room) = index.room_for(&name) {
                        for evicted in &room.evicted {
                            prop_assert!(evicted.id < name.id);
                            prop_assert!(waiting.iter().all(|other: &FileName| evicted.id <= other.id));
                            waiting.retain(|other| other != evicted);
                        }
                        aside.retain(|name| !room.damaged.contains(name));
                        clear(&mut index, &room);
                        put(&mut index, name);
                        waiting.push(name);
                    }
                }
                Step::CheckOut => match index.check_out() {
                    Some(name) => {
                        prop_assert_eq!(waiting.iter().map(|other| other.id).min(), Some(name.id));
                        waiting.retain(|other| *other != name);
                        out.push(name);
                    }
                    None => prop_assert!(waiting.is_empty()),
                },
                Step::GiveBack => if let Some(name) = out.pop() {
                    prop_assert_eq!(index.give_back(name.id), Some(name));
                    waiting.push(name);
                },
                Step::Settle => if let Some(name) = out.pop() {
                    prop_assert_eq!(index.settle(name.id), Some(name));
                    settled.push(name);
                },
                Step::SetAside => if let Some(name) = out.pop() {
                    aside.push(name);
                    let surplus = index.set_aside(name.id);
                    aside.retain(|name| !surplus.contains(name));
                    for name in surplus {
                        index.damaged_gone(&name);
                    }
                },
                Step::Remove => if let Some(name) = settled.pop() {
                    index.gone(name.id);
                },
            }
            let all: u64 = [&waiting, &out, &settled, &aside]
                .into_iter()
                .flatten()
                .map(|name| cost_bytes(name.bytes))
                .sum();
            prop_assert_eq!(index.bytes(), all);
            prop_assert!(index.bytes() <= limit_bytes);
            prop_assert!(aside.len() <= MAX_DAMAGED);
            prop_assert_eq!(index.waiting_files(), waiting.len());
            prop_assert_eq!(index.waiting_documents(), 10 * waiting.len() as u64);
        }
    }
}

#[test]
fn a_damaged_file_takes_up_its_room_until_it_is_gone() {
    let mut index = index(9, &[10]);
    index.found_damaged(name(20, 1, 2 * BLOCK_BYTES));
    index.found_damaged(name(30, 2, 1));
    assert_eq!((index.bytes(), index.files()), (4 * BLOCK_BYTES, 1));
    index.damaged_gone(&name(20, 1, 2 * BLOCK_BYTES));
    assert_eq!(index.bytes(), 2 * BLOCK_BYTES);
    assert_eq!(index.next_id(40).sequence, 3);
}

#[test]
fn a_file_that_is_set_aside_does_not_wait_any_more() {
    let mut index = index(9, &[10, 20]);
    // One that waits, and one that does not.
    assert_eq!(index.set_aside(name(20, 1, 0).id), []);
    assert_eq!((index.waiting_files(), index.waiting_documents()), (1, 10));
    let out = index.check_out().unwrap();
    assert_eq!(index.set_aside(out.id), []);
    assert_eq!((index.waiting_files(), index.files()), (0, 0));
    assert_eq!(index.bytes(), 2 * BLOCK_BYTES);
}

#[test]
fn a_file_does_not_push_out_itself() {
    let index = index(1, &[10]);
    assert_eq!(index.room_for(&name(10, 0, 1)), None);
    assert!(index.room_for(&name(10, 1, 1)).is_some());
}
