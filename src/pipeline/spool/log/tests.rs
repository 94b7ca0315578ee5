use std::time::Duration;

use super::*;
use crate::logs::testing::LogLines;
use crate::pipeline::batch::origin::FileId;

const S: fn(u64) -> Duration = Duration::from_secs;

fn log() -> SpoolLog {
    SpoolLog::new(WorkerConfig {
        shown: "/spool".to_owned(),
        limit_bytes: 10 * MB,
        write_limit_bytes: 0,
        max_joined_bytes: 1,
    })
}

fn name(sequence: u64, documents: usize) -> FileName {
    let id = FileId {
        opened_ms: 1_795_227_595_034,
        sequence,
    };
    FileName::of(id, documents, 0, b"")
}

const USING: &str = "[Info] Using spool /spool, at most 10 MB";

#[test]
fn of_an_empty_directory_nothing_is_said_but_that_it_is_used() {
    let (lines, now) = (LogLines::collect(), Instant::now());
    let mut log = log();
    log.opened(&Found::default(), now);
    log.holds(0, now);
    assert_eq!(lines.take(), [USING]);
}

#[test]
fn all_that_was_found_is_said_once_and_when_it_is_gone() {
    let (lines, now) = (LogLines::collect(), Instant::now());
    let mut log = log();
    let found = Found {
        files: 3,
        documents: 70,
        evicted: vec![name(1, 4), name(2, 5)],
        damaged: vec![name(3, 6)],
        foreign: 2,
        open_to_others: true,
    };
    log.opened(&found, now);
    log.holds(3, now);
    log.holds(0, now + S(1));
    log.holds(0, now + S(2));
    assert_eq!(
        lines.take(),
        [
            USING,
            "[Info] Found 70 segments in 3 files in the spool; they are sent beside new ones",
            "[Warn] 2 files in /spool are not of the spool and are left alone",
            "[Warn] Other users may write to the spool /spool, and so remove segments or add some: give it to this \
             user alone",
            "[Error] Spool file 1795227595034-00000003-6-0-0-00000000.json is damaged and set aside as *.damaged; its \
             6 segments are lost",
            "[Warn] Dropping 9 segments: the spool's 10 MB are full, the oldest go; --spool-size raises the limit",
            "[Info] The spool is empty again",
        ]
    );
}

#[test]
fn a_directory_that_cannot_be_used_is_said_once_until_it_was_used() {
    let (lines, now) = (LogLines::collect(), Instant::now());
    let mut log = log();
    log.cannot_open(&io::ErrorKind::PermissionDenied.into());
    log.cannot_open(&io::ErrorKind::WouldBlock.into());
    log.opened(&Found::default(), now);
    log.cannot_open(&io::ErrorKind::WouldBlock.into());
    let rest = "segments wait in memory until it can be used, and are dropped when that has no room for more (tried \
                every second)";
    assert_eq!(
        lines.take(),
        [
            &format!("[Error] The spool /spool can't be used: permission denied; {rest}"),
            USING,
            &format!("[Error] The spool /spool is in use by another daemon; {rest}"),
        ]
    );
}

#[test]
fn what_is_lost_with_the_directory_is_said_if_anything_is() {
    let (lines, now) = (LogLines::collect(), Instant::now());
    for (documents, expected) in [(0, 1), (1, 2)] {
        let mut log = log();
        log.holds(1, now);
        drop(lines.take());
        log.taken_over(&io::ErrorKind::WouldBlock.into(), documents);
        log.holds(0, now);
        let said = lines.take();
        assert_eq!(said.len(), expected, "{said:#?}");
        assert!(said[0].starts_with("[Error] The spool /spool is in use by another daemon; "));
    }
}

#[test]
fn that_segments_wait_on_disk_is_said_once_a_minute_at_most_and_so_is_the_end_of_it() {
    let (lines, now) = (LogLines::collect(), Instant::now());
    let mut log = log();
    let mut said = |files, second| {
        log.holds(files, now + S(second));
        lines.take()
    };
    let waits = "[Info] The buffer memory limit is reached: the oldest segments wait in the spool /spool (at most 10 \
                 MB) until they can be sent";
    let nothing: [&str; 0] = [];
    assert_eq!(said(0, 0), nothing);
    assert_eq!(said(1, 1), [waits]);
    assert_eq!(said(2, 2), nothing);
    assert_eq!(said(2, 90), nothing, "it goes on");
    assert_eq!(said(0, 91), ["[Info] The spool is empty again"]);
    assert_eq!(said(1, 92), [waits], "more than a minute after the first line");
    assert_eq!(said(0, 93), ["[Info] The spool is empty again"]);
    assert_eq!(said(1, 151), nothing);
    assert_eq!(said(0, 151), nothing, "what was not said is not taken back");
    assert_eq!(said(1, 152), [waits]);
}

#[test]
fn what_a_full_spool_loses_is_said_once_a_second_and_at_the_end() {
    let (lines, now) = (LogLines::collect(), Instant::now());
    let mut log = log();
    let line = |segments: u64| {
        format!(
            "[Warn] Dropping {segments} segments: the spool's 10 MB are full, the oldest go; --spool-size raises the \
             limit"
        )
    };
    for documents in [1, 20, 300] {
        log.full(documents, now);
    }
    assert_eq!(lines.take(), [line(1)]);
    assert_eq!(log.due(), Some(now + S(1)));
    log.speak(now + S(1));
    assert_eq!((lines.take(), log.due()), (vec![line(320)], None));
    log.full(4, now + S(1));
    log.flush(now + S(1));
    assert_eq!(lines.take(), [line(4)]);
}

#[test]
fn lost_files_are_said_once_a_second_with_the_first_of_them_and_how_many_more() {
    let (lines, now) = (LogLines::collect(), Instant::now());
    let mut log = log();
    let line = |sequence: u64, what: &str| {
        format!("[Error] Spool file 1795227595034-0000000{sequence}-2-0-0-00000000.json {what}")
    };
    log.damaged(&name(1, 2), now);
    log.missing(&name(2, 2), now);
    log.damaged(&name(3, 2), now);
    assert_eq!(
        lines.take(),
        [line(
            1,
            "is damaged and set aside as *.damaged; its 2 segments are lost"
        )]
    );
    assert_eq!(log.due(), Some(now + S(1)));
    log.speak(now + S(1));
    assert_eq!(
        lines.take(),
        [line(
            2,
            "was removed by somebody; its 2 segments are lost (and 1 more such files)"
        )]
    );
    log.missing(&name(4, 2), now + S(1));
    log.flush(now + S(1));
    assert_eq!(
        lines.take(),
        [line(4, "was removed by somebody; its 2 segments are lost")]
    );
}

#[test]
fn a_disk_that_refuses_is_said_at_once_and_every_minute_until_it_takes_something() {
    let (lines, now) = (LogLines::collect(), Instant::now());
    let mut log = log();
    let error = || io::ErrorKind::StorageFull.into();
    log.writes_again();
    for second in [0, 59, 60, 61] {
        log.failed(&error(), now + S(second));
    }
    log.writes_again();
    log.writes_again();
    log.failed(&error(), now + S(62));
    let refuses = "[Error] The spool /spool can't be written to: no storage space; segments wait in memory until it \
                   can be, and are dropped when that has no room for more (tried every second)";
    assert_eq!(
        lines.take(),
        [
            refuses,
            "[Error] The spool /spool still can't be written to: no storage space",
            "[Info] The spool can be written to again",
            refuses,
        ]
    );
}

#[test]
fn names_that_are_not_safe_are_said_once() {
    let lines = LogLines::collect();
    let mut log = log();
    for _ in 0..2 {
        log.names_unsafe(&io::Error::other("a\nb"));
    }
    assert_eq!(
        lines.take(),
        [
            "[Warn] The directory of the spool can't be made safe (a\\nb): after a loss of power, files may be missing"
        ]
    );
}

#[test]
fn files_that_cannot_be_read_or_removed_are_said_once_a_minute() {
    let (lines, now) = (LogLines::collect(), Instant::now());
    let mut log = log();
    let error = || io::ErrorKind::PermissionDenied.into();
    for second in [0, 59, 60] {
        log.unreadable(&name(second, 2), &error(), now + S(second));
    }
    let line = |sequence: &str| {
        format!(
            "[Error] Spool file 1795227595034-000000{sequence}-2-0-0-00000000.json can't be read: permission denied; \
             its 2 segments wait, and it is tried again later; other files go on"
        )
    };
    assert_eq!(lines.take(), [line("00"), line("60")]);
    for second in [0, 59, 60] {
        log.not_removed(&error(), now + S(second));
    }
    let line = "[Error] Files in the spool /spool whose segments were sent can't be removed: permission denied; after \
                a restart they would be sent again";
    assert_eq!(lines.take(), [line; 2]);
}
