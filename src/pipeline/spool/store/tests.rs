use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;
use crate::logs::testing::cases;
use crate::pipeline::batch::testing::Strings;
use crate::pipeline::spool::index::BLOCK_BYTES;
use crate::pipeline::spool::tests::fake::FakeDisk;

type OpenBatch = crate::pipeline::batch::OpenBatch<Strings>;

fn moment() -> Moment {
    Moment {
        instant: Instant::now() + Duration::from_secs(3600),
        unix_ms: 1_795_227_595_034,
    }
}

/// A batch of `documents` documents that no other call makes, opened `age_ms` before `at`.
fn batch(number: usize, documents: usize, age_ms: u64, at: Moment) -> Batch {
    let opened_at = at.instant - Duration::from_millis(age_ms);
    let mut open = OpenBatch::new(1 << 20);
    for document in 0..documents {
        let text = format!("{{\"batch\":{number},\"document\":{document}}}");
        assert!(open.push(text.as_bytes(), opened_at).sealed.is_none());
    }
    open.seal().unwrap()
}

fn open(disk: &FakeDisk, limit_bytes: u64) -> (Store<FakeDisk, Strings>, Found) {
    Store::open(disk.clone(), limit_bytes).unwrap()
}

fn stored(store: &mut Store<FakeDisk, Strings>, batches: Vec<Batch>, at: Moment) {
    let count = batches.len();
    let written = store.write(batches, at);
    assert_eq!(written.stored.len(), count, "{written:?}");
    assert!(written.names_unsafe.is_none());
}

fn taken(store: &mut Store<FakeDisk, Strings>, at: Moment) -> Batch {
    match store.take(at) {
        Taken::Batch(batch) => batch,
        other => panic!("no batch: {other:?}"),
    }
}

fn whole_names(disk: &FakeDisk) -> Vec<String> {
    disk.names()
        .into_iter()
        .filter(|name| name.ends_with(".json"))
        .collect()
}

const MB: u64 = 1 << 20;

#[test]
fn a_batch_comes_back_at_the_next_start_as_it_was() {
    let at = moment();
    let disk = FakeDisk::default();
    let (mut store, found) = open(&disk, MB);
    assert_eq!((found.files, found.documents.total()), (0, 0));
    let mut first = batch(1, 3, 700, at);
    first.redeliveries = 2;
    stored(&mut store, vec![first.clone(), batch(2, 4, 200, at)], at);

    let later = Moment {
        instant: at.instant + Duration::from_secs(60),
        unix_ms: at.unix_ms + 60_000,
    };
    let (mut store, found) = open(&disk.after_power_failure(0, 1), MB);
    assert_eq!((found.files, found.documents.total(), found.foreign), (2, 7, 0));
    let back = taken(&mut store, later);
    assert_eq!(back.body, first.body);
    assert_eq!((back.documents, back.redeliveries, back.attempts), (3, 2, 0));
    assert_eq!(back.opened_at, first.opened_at);
    assert_eq!(taken(&mut store, later).documents, 4);
    assert!(matches!(store.take(later), Taken::Nothing));
}

#[test]
fn the_file_is_the_very_request_body() {
    let at = moment();
    let disk = FakeDisk::default();
    let (mut store, _) = open(&disk, MB);
    let one = batch(1, 1, 34, at);
    stored(&mut store, vec![one.clone()], at);
    assert_eq!(
        disk.names(),
        [format!(
            "1795227595000-00000000-1-0-{}-{:08x}.json",
            one.body.len(),
            crc32fast::hash(&one.body)
        )]
    );
    assert_eq!(disk.read(&disk.names()[0], MB).unwrap(), one.body);
}

#[test]
fn a_file_goes_only_when_its_documents_are_settled() {
    let at = moment();
    let disk = FakeDisk::default();
    let (mut store, _) = open(&disk, MB);
    stored(&mut store, vec![batch(1, 1, 0, at)], at);
    let id = taken(&mut store, at).origin.unwrap().file();
    assert_eq!(whole_names(&disk).len(), 1);
    store.settle(id).unwrap();
    assert_eq!(disk.names().len(), 0);
}

#[test]
fn a_settled_file_that_cannot_be_removed_is_not_sent_again_and_goes_when_it_can() {
    let at = moment();
    let disk = FakeDisk::default();
    let (mut store, _) = open(&disk, MB);
    stored(&mut store, vec![batch(1, 1, 0, at)], at);
    let id = taken(&mut store, at).origin.unwrap().file();
    disk.set_fault(Some(io::ErrorKind::ReadOnlyFilesystem));
    assert!(store.settle(id).is_err());
    assert!(store.sweep().is_err());
    assert!(matches!(store.take(at), Taken::Nothing));
    disk.set_fault(None);
    store.sweep().unwrap();
    assert_eq!(disk.names().len(), 0);
}

#[test]
fn a_disk_that_refuses_leaves_nothing_behind() {
    let at = moment();
    let disk = FakeDisk::default();
    let (mut store, _) = open(&disk, MB);
    disk.set_fault(Some(io::ErrorKind::StorageFull));
    let written = store.write(vec![batch(1, 1, 0, at), batch(2, 1, 0, at)], at);
    assert_eq!((written.stored.len(), written.unwritten.len()), (0, 2));
    assert_eq!(written.error.unwrap().kind(), io::ErrorKind::StorageFull);
    assert_eq!(store.index().bytes(), 0);
    disk.set_fault(None);
    stored(&mut store, vec![batch(3, 1, 0, at)], at);
    assert_eq!(disk.names().len(), 1);
}

#[test]
fn a_full_spool_loses_its_oldest() {
    let at = moment();
    let disk = FakeDisk::default();
    let (mut store, _) = open(&disk, 3 * BLOCK_BYTES);
    stored(
        &mut store,
        (0..3).map(|n| batch(n, n + 1, 90 - n as u64, at)).collect(),
        at,
    );
    let written = store.write(vec![batch(3, 4, 0, at), batch(4, 5, 900, at)], at);
    assert_eq!((written.stored.len(), written.full.len()), (2, 0));
    assert_eq!(
        written
            .evicted
            .iter()
            .map(|name| name.documents)
            .collect::<Vec<_>>(),
        [1, 2]
    );
    assert_eq!(whole_names(&disk).len(), 3);
    let (_, found) = open(&disk.after_kill(), 2 * BLOCK_BYTES);
    assert_eq!(
        (found.documents.total(), found.evicted[0].documents),
        (12, 3),
        "with a smaller limit"
    );
}

#[test]
fn a_changed_file_is_set_aside_and_the_next_one_comes() {
    let at = moment();
    let disk = FakeDisk::default();
    let (mut store, _) = open(&disk, MB);
    stored(&mut store, vec![batch(1, 2, 10, at), batch(2, 3, 0, at)], at);
    let name = whole_names(&disk).remove(0);
    disk.edit(&name, |content| content[40] ^= 1);
    assert!(matches!(store.take(at), Taken::Damaged(name) if name.documents == 2));
    assert_eq!(taken(&mut store, at).documents, 3);
    assert!(disk.names().contains(&format!("{name}.damaged")));
    // It stays aside after a start.
    let (mut store, found) = open(&disk.after_kill(), MB);
    assert_eq!((found.files, found.damaged.len()), (1, 0));
    assert_eq!(taken(&mut store, at).documents, 3);
}

#[test]
fn files_of_one_age_and_sequence_each_come_back() {
    let at = moment();
    let bodies = [1, 2, 3].map(|number| batch(number, 1, 0, at).body);
    for sequence in [0, u64::MAX] {
        let id = FileId {
            opened_ms: at.unix_ms,
            sequence,
        };
        let disk = FakeDisk::default();
        for body in &bodies {
            disk.plant(&FileName::of(id, 1, 0, body).to_string(), body);
        }
        let (mut store, found) = open(&disk, MB);
        assert_eq!(
            (found.files, found.documents.total(), found.evicted.len()),
            (3, 3, 0)
        );
        assert_eq!(store.index().bytes(), 3 * BLOCK_BYTES);
        // So do those that are written after them.
        stored(&mut store, vec![batch(4, 1, 0, at)], at);
        let mut back = BTreeSet::new();
        for _ in 0..4 {
            let batch = taken(&mut store, at);
            assert!(back.insert(batch.body.to_vec()));
            store.settle(batch.origin.unwrap().file()).unwrap();
        }
        assert!(bodies.iter().all(|body| back.contains(&body[..])));
        assert!(disk.names().is_empty());
        assert_eq!((store.index().bytes(), store.index().waiting_files()), (0, 0));
    }
}

#[test]
fn files_set_aside_under_one_age_and_sequence_are_counted_once_each() {
    let id = FileId {
        opened_ms: 1,
        sequence: 1,
    };
    let whole = FileName::of(id, 1, 0, b"what it was");
    let disk = FakeDisk::default();
    disk.plant(&whole.to_string(), b"changed now");
    disk.plant(&whole.damaged(), b"the same before");
    disk.plant(&FileName::of(id, 2, 0, b"of another spool").damaged(), b"x");
    let (mut store, found) = open(&disk, MB);
    assert_eq!(found.files, 1);
    assert!(matches!(store.take(moment()), Taken::Damaged(name) if name == whole));
    assert_eq!(disk.names().len(), 2);
    assert_eq!(store.index().bytes(), 2 * BLOCK_BYTES);
}

#[test]
fn at_the_start_files_of_the_wrong_length_are_set_aside_and_unfinished_ones_removed() {
    let at = moment();
    let disk = FakeDisk::default();
    let (mut store, _) = open(&disk, MB);
    stored(&mut store, vec![batch(1, 2, 10, at)], at);
    let name = whole_names(&disk).remove(0);
    disk.edit(&name, |content| content.truncate(20));
    disk.plant(
        &name
            .replace("00000000-2-", "00000007-2-")
            .replace(".json", ".json.tmp"),
        b"half",
    );
    disk.plant("notes.txt", b"mine");
    disk.plant(".hidden", b"mine");
    let (mut store, found) = open(&disk, MB);
    assert_eq!((found.files, found.damaged.len(), found.foreign), (0, 1, 1));
    assert!(matches!(store.take(at), Taken::Nothing));
    assert_eq!(disk.names(), [".hidden", &format!("{name}.damaged"), "notes.txt"]);
    stored(&mut store, vec![batch(2, 1, 10, at)], at);
    assert!(
        whole_names(&disk)[0].contains("-00000001-1-"),
        "sequences go on behind all that are there"
    );
}

#[test]
fn a_file_that_somebody_removed_is_told() {
    let at = moment();
    let disk = FakeDisk::default();
    let (mut store, _) = open(&disk, MB);
    stored(&mut store, vec![batch(1, 2, 10, at)], at);
    disk.lose(&whole_names(&disk)[0]);
    assert!(matches!(store.take(at), Taken::Missing(name) if name.documents == 2));
    assert_eq!(store.index().bytes(), 0);
}

#[test]
fn a_settled_file_that_somebody_removed_is_gone_too() {
    let at = moment();
    let disk = FakeDisk::default();
    let (mut store, _) = open(&disk, MB);
    stored(&mut store, vec![batch(1, 2, 10, at)], at);
    let id = taken(&mut store, at).origin.unwrap().file();
    disk.lose(&whole_names(&disk)[0]);
    store.settle(id).unwrap();
    assert_eq!(store.index().files(), 0);
}

#[test]
fn a_file_that_cannot_be_read_now_waits_until_it_can() {
    let at = moment();
    let disk = FakeDisk::default();
    let (mut store, _) = open(&disk, MB);
    stored(&mut store, vec![batch(1, 2, 10, at)], at);
    disk.set_read_fault(Some(io::ErrorKind::PermissionDenied));
    assert!(
        matches!(store.take(at), Taken::Failed(_, error) if error.kind() == io::ErrorKind::PermissionDenied)
    );
    assert_eq!(store.index().waiting_files(), 1);
    disk.set_read_fault(None);
    let mut at = at;
    at.instant += RETRY;
    store.wake(at.instant);
    assert_eq!(taken(&mut store, at).documents, 2);
}

#[test]
fn a_file_that_cannot_be_read_is_left_alone_longer_each_time_and_the_others_go() {
    let mut at = moment();
    let disk = FakeDisk::default();
    let (mut store, _) = open(&disk, MB);
    stored(&mut store, (1..4).map(|n| batch(n, n, 0, at)).collect(), at);
    disk.set_unreadable(&whole_names(&disk)[0], true);
    assert!(matches!(store.take(at), Taken::Failed(name, _) if name.documents == 1));
    assert_eq!(
        [2, 3],
        [taken(&mut store, at).documents, taken(&mut store, at).documents]
    );
    assert!(matches!(store.take(at), Taken::Nothing));
    let mut pauses_s = Vec::new();
    for _ in 0..8 {
        let due = store.wakes_at().unwrap();
        pauses_s.push((due - at.instant).as_secs());
        store.wake(due - Duration::from_millis(1));
        assert!(matches!(store.take(at), Taken::Nothing), "not before");
        at.instant = due;
        store.wake(due);
        assert!(matches!(store.take(at), Taken::Failed(..)));
    }
    assert_eq!(pauses_s, [10, 20, 40, 80, 160, 320, 600, 600]);
}

#[test]
fn nothing_is_removed_for_a_write_that_fails() {
    let at = moment();
    let disk = FakeDisk::default();
    let (mut store, _) = open(&disk, 2 * BLOCK_BYTES);
    stored(&mut store, vec![batch(1, 1, 9, at), batch(2, 2, 8, at)], at);
    disk.fail_next(1, io::ErrorKind::Other);
    let written = store.write(vec![batch(3, 3, 7, at)], at);
    assert_eq!((written.unwritten.len(), written.evicted.len()), (1, 0));
    assert_eq!(whole_names(&disk).len(), 2);
    let written = store.write(written.unwritten, at);
    assert_eq!((written.stored.len(), written.evicted.len()), (1, 1));
    assert!(written.error.is_none());
    assert_eq!(store.index().bytes(), 2 * BLOCK_BYTES);
}

#[test]
fn on_a_disk_that_is_full_before_the_limit_the_oldest_make_room() {
    for fault in [io::ErrorKind::StorageFull, io::ErrorKind::QuotaExceeded] {
        let at = moment();
        let disk = FakeDisk::default();
        let (mut store, _) = open(&disk, MB);
        stored(&mut store, (0..8).map(|n| batch(n, 1, 0, at)).collect(), at);
        disk.fail_next(1, fault);
        let written = store.write(vec![batch(8, 1, 0, at)], at);
        let evicted: Vec<u64> = written.evicted.iter().map(|name| name.id.sequence).collect();
        assert_eq!(
            (written.stored.len(), evicted, written.error.is_none()),
            (1, vec![0], true)
        );
    }
    let at = moment();
    let disk = FakeDisk::default();
    let (mut store, _) = open(&disk, MB);
    stored(&mut store, (10..20).map(|n| batch(n, 1, 0, at)).collect(), at);
    // All bodies are of one length.
    disk.set_room(10 * batch(10, 1, 0, at).body.len());
    let written = store.write((20..25).map(|n| batch(n, 1, 0, at)).collect(), at);
    assert_eq!((written.stored.len(), written.unwritten.len()), (5, 0));
    assert_eq!((written.evicted.len(), whole_names(&disk).len()), (5, 10));
    assert_eq!(store.index().waiting_documents(), 10);
}

#[test]
fn as_long_as_it_helps_twice_as_many_make_room_each_time() {
    let at = moment();
    let disk = FakeDisk::default();
    let (mut store, _) = open(&disk, MB);
    stored(&mut store, (100..164).map(|n| batch(n, 1, 0, at)).collect(), at);
    disk.set_room(64 * batch(100, 1, 0, at).body.len());
    let before = disk.operations();
    let written = store.write((200..264).map(|n| batch(n, 1, 0, at)).collect(), at);
    assert_eq!((written.stored.len(), written.evicted.len()), (64, 64));
    // Each is made, made safe, named, and has one removed for it; the directory is made safe once. Beside that seven
    // tries fail, before 1, 2, 4, 8, 16, 32 and 1 have gone, each with what it has begun removed.
    assert_eq!(disk.operations() - before, 4 * 64 + 1 + 2 * 7);
}

#[test]
fn on_a_disk_that_others_fill_no_more_goes_than_helps() {
    let at = moment();
    let disk = FakeDisk::default();
    let (mut store, _) = open(&disk, MB);
    stored(&mut store, (10..30).map(|n| batch(n, 1, 0, at)).collect(), at);
    disk.set_room(0);
    let written = store.write((30..40).map(|n| batch(n, 1, 0, at)).collect(), at);
    assert_eq!((written.stored.len(), written.unwritten.len()), (0, 10));
    assert_eq!(written.evicted.len(), 1, "one try, for one batch");
    let places: Vec<Vec<u8>> = (30..40).map(|n| batch(n, 1, 0, at).body.to_vec()).collect();
    let order: Vec<Vec<u8>> = written
        .unwritten
        .iter()
        .map(|batch| batch.body.to_vec())
        .collect();
    assert_eq!(order, places, "in the order in which they came");
}

#[test]
fn what_is_foreign_is_counted_but_for_hidden_files_and_so_is_a_directory_that_others_may_write_to() {
    let disk = FakeDisk::default();
    for name in [".hidden", "a.txt", "b.txt", "c.txt"] {
        disk.plant(name, b"mine");
    }
    let (_, found) = open(&disk, MB);
    assert_eq!((found.foreign, found.open_to_others), (3, false));
    disk.open_to_others();
    let (_, found) = open(&disk, MB);
    assert!(found.open_to_others);
}

#[test]
fn times_that_cannot_be_are_taken_for_now() {
    let at = moment();
    assert_eq!(at.instant_of(at.unix_ms + 1), at.instant);
    assert_eq!(at.unix_ms_of(at.instant + Duration::from_secs(1)), at.unix_ms);
}

#[derive(Debug, Clone)]
enum Step {
    Write {
        batches: usize,
        documents: usize,
        age_ms: u64,
    },
    Take,
    Settle,
    GiveBack,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        3 => (1_usize..6, 1_usize..50, 0_u64..1000)
            .prop_map(|(batches, documents, age_ms)| Step::Write { batches, documents, age_ms }),
        2 => Just(Step::Take),
        2 => Just(Step::Settle),
        1 => Just(Step::GiveBack),
    ]
}

proptest! {
    #![proptest_config(cases(512))]

    /// Whenever the power fails or the process is killed: what was said to be stored and has not gone for a reason comes
    /// back whole, once, and nothing else does but what was handed over.
    #[test]
    fn after_a_crash_at_any_point_every_whole_batch_comes_back_and_nothing_else(
        steps in prop::collection::vec(step(), 1..40),
        power_left in 0_usize..200,
        killed: bool,
        kept in 0_usize..50,
        cut in 0_usize..4000,
        limit_blocks in 3_u64..60,
    ) {
        let at = moment();
        let disk = FakeDisk::default();
        let (mut store, _) = open(&disk, limit_blocks * BLOCK_BYTES);
        disk.fail_power_after(power_left);
        let mut number = 0;
        // By body.
        let mut offered: BTreeSet<Vec<u8>> = BTreeSet::new();
        let mut must_come: BTreeSet<Vec<u8>> = BTreeSet::new();
        let mut out: Vec<Batch> = Vec::new();
        for step in steps {
            match step {
                Step::Write { batches, documents, age_ms } => {
                    let batches: Vec<Batch> = (0..batches).map(|_| {
                        number += 1;
                        batch(number, documents, age_ms, at)
                    }).collect();
                    offered.extend(batches.iter().map(|batch| batch.body.to_vec()));
                    let count = batches.len();
                    let written = store.write(batches, at);
                    prop_assert_eq!(count, written.stored.len() + written.full.len() + written.unwritten.len());
                    if written.names_unsafe.is_none() {
                        must_come.extend(written.stored.iter().map(|batch| batch.body.to_vec()));
                    }
                    // The test does not follow which ones: those that are evicted need not come.
                    if !written.evicted.is_empty() {
                        let names: BTreeSet<u32> = written.evicted.iter().map(|name| name.crc32).collect();
                        must_come.retain(|body| !names.contains(&crc32fast::hash(body)));
                    }
                }
                Step::Take => if let Taken::Batch(batch) = store.take(at) {
                    out.push(batch);
                },
                Step::Settle => if let Some(batch) = out.pop() {
                    must_come.remove(&batch.body.to_vec());
                    drop(store.settle(batch.origin.unwrap().file()));
                },
                Step::GiveBack => if let Some(batch) = out.pop() {
                    prop_assert!(store.give_back(batch.origin.unwrap().file()).is_some());
                },
            }
            // Without power nothing can be removed for what was just written.
            prop_assert!(store.index().bytes() <= limit_blocks * BLOCK_BYTES || !disk.has_power());
        }
        let after = if killed { disk.after_kill() } else { disk.after_power_failure(kept, cut) };
        let (mut store, found) = open(&after, u64::MAX);
        prop_assert_eq!(found.foreign, 0);
        let mut documents = 0;
        let mut back: BTreeSet<Vec<u8>> = BTreeSet::new();
        loop {
            match store.take(at) {
                Taken::Batch(batch) => {
                    documents += batch.documents as u64;
                    prop_assert!(back.insert(batch.body.to_vec()), "the same batch twice");
                }
                Taken::Nothing => break,
                other => prop_assert!(false, "{:?}", other),
            }
        }
        prop_assert_eq!(documents, found.documents.total());
        prop_assert!(back.is_superset(&must_come), "{} of {} are missing", must_come.difference(&back).count(), must_come.len());
        prop_assert!(offered.is_superset(&back));
        prop_assert!(after.names().iter().all(|name| name.ends_with(".json")), "{:?}", after.names());
    }

    /// The reader of the spool meets any file under any name.
    #[test]
    fn nothing_that_is_planted_in_the_directory_is_sent_unless_it_is_a_batch(
        content in prop::collection::vec(any::<u8>(), 0..200),
        in_frame: bool,
        opened_ms: u64, sequence: u64, documents in 0_u64..60, redeliveries: u32,
        right_length: bool, right_sum: bool, bytes: u64, crc32: u32,
        suffix in "(\\.json|\\.json\\.tmp|\\.json\\.damaged|)",
    ) {
        let content = if in_frame {
            [Strings::HEAD, &content[..], Strings::TAIL].concat()
        } else {
            content
        };
        let bytes = if right_length { content.len() as u64 } else { bytes };
        let crc32 = if right_sum { crc32fast::hash(&content) } else { crc32 };
        let disk = FakeDisk::default();
        disk.plant(
            &format!("{opened_ms:013}-{sequence:08}-{documents}-{redeliveries}-{bytes}-{crc32:08x}{suffix}"),
            &content,
        );
        let (mut store, found) = open(&disk, MB);
        match store.take(moment()) {
            Taken::Batch(batch) => {
                prop_assert_eq!(&batch.body[..], &content[..]);
                let whole = Strings::documents(&content).unwrap();
                prop_assert_eq!(whole.len() as u64, documents);
            }
            Taken::Nothing => prop_assert_eq!(found.files, 0),
            Taken::Damaged(_) => prop_assert_eq!(store.index().waiting_files(), 0),
            other => prop_assert!(false, "{:?}", other),
        }
    }
}
