use super::codes::{MAX_CODES, code_label};
use super::outcome::ErrorClass;
use super::*;

/// Whether `future` is done the first time it is asked.
async fn is_ready(future: impl Future<Output = ()>) -> bool {
    tokio::select! {
        biased;
        () = future => true,
        () = std::future::ready(()) => false,
    }
}

#[tokio::test]
async fn activity_is_told_once_for_all_that_came_since_the_last_time() {
    let ledger = Ledger::default();
    assert!(!is_ready(ledger.activity()).await);
    assert!(!is_ready(ledger.first_received()).await);
    for _ in 0..2 {
        ledger.add_received(1);
        ledger.add_received(1);
        assert!(is_ready(ledger.activity()).await);
        assert!(!is_ready(ledger.activity()).await);
        assert!(is_ready(ledger.first_received()).await, "from then on at once");
    }
}

#[test]
fn every_document_is_somewhere() {
    let ledger = Ledger::default();
    ledger.add_received(100);
    ledger.add_recovered(10);
    assert_eq!(ledger.snapshot().spooled, 10);
    ledger.add_spooled(20);
    ledger.sub_spooled(5);
    ledger.add_sent(30);
    ledger.add_rejected(RejectReason::InvalidHeader);
    ledger.add_rejected(RejectReason::MissingHeader);
    ledger.add_unprocessed(Some("ThrottledException"));
    ledger.add_dropped(DropReason::Shutdown, 7);
    let counts = ledger.snapshot();
    assert_eq!((counts.received, counts.recovered, counts.spooled), (100, 10, 25));
    assert_eq!((counts.sent, counts.unprocessed), (30, 1));
    assert_eq!((counts.rejected_total(), counts.dropped_total()), (2, 7));
    assert_eq!(counts.pending(), 110 - 25 - 30 - 2 - 1 - 7);
    assert_eq!(
        counts.since(&counts),
        Snapshot {
            spooled: 25,
            ..Snapshot::default()
        }
    );
    let more = 200;
    ledger.add_received(more);
    assert_eq!(ledger.snapshot().since(&counts).received, more);
    ledger.add_sent(1000);
    assert_eq!(ledger.snapshot().pending(), 0, "not below nothing");
}

#[test]
fn each_reason_has_a_counter_and_a_label_of_its_own() {
    let ledger = Ledger::default();
    for (n, reason) in (1..).zip(DropReason::ALL) {
        ledger.add_dropped(reason, n);
    }
    for (n, reason) in (1..).zip(RejectReason::ALL) {
        (0..n).for_each(|_| ledger.add_rejected(reason));
    }
    let counts = ledger.snapshot();
    assert_eq!(
        DropReason::ALL.map(|reason| counts.dropped(reason)),
        [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]
    );
    assert_eq!(RejectReason::ALL.map(|reason| counts.rejected(reason)), [1, 2, 3]);
    assert_eq!(
        DropReason::ALL.map(DropReason::label),
        [
            "buffer_full",
            "refused",
            "shutdown",
            "spool_full",
            "spool_failed",
            "spool_slow",
            "spool_damaged",
            "not_convertible",
            "in_progress",
            "unsampled",
        ]
    );
    assert_eq!(
        RejectReason::ALL.map(RejectReason::label),
        ["missing_header", "missing_segment", "invalid_header"]
    );
}

#[test]
fn replaced_bytes_are_counted() {
    let ledger = Ledger::default();
    for documents in [0, 1, 50] {
        ledger.add_replaced_utf8(documents);
    }
    assert_eq!(ledger.snapshot().replaced_utf8, 51);
}

#[test]
fn codes_beyond_the_most_that_are_kept_are_counted_as_other() {
    let ledger = Ledger::default();
    for n in 0..MAX_CODES + 3 {
        ledger.add_unprocessed(Some(&format!("Code{n}")));
    }
    // One that is known already.
    ledger.add_unprocessed(Some("Code7"));
    let codes = ledger.unprocessed_by_code();
    assert_eq!(codes.len(), MAX_CODES + 1);
    let count = |code: &str| codes[&(Content::Segments, code.to_owned())];
    assert_eq!((count("Code31"), count("Code7"), count("Other")), (1, 2, 3));
    assert_eq!(ledger.snapshot().unprocessed, 36);
}

#[test]
fn a_code_is_a_word_of_letters_and_digits() {
    let long = "x".repeat(100);
    for (code, label) in [
        (Some("ParseError"), "ParseError"),
        (Some("a-b c\n1"), "abc1"),
        (Some("{}"), "None"),
        (None, "None"),
        (Some(&long), &long[..64]),
    ] {
        assert_eq!(code_label(code), label, "{code:?}");
    }
}

#[test]
fn calls_that_are_over_are_counted_by_operation() {
    let ledger = Ledger::default();
    ledger.call_started(50, false);
    ledger.call_ended(Ended {
        at: std::time::Instant::now(),
        duration: std::time::Duration::from_millis(5),
        body_bytes: 1000,
        failure: None,
    });
    ledger.telemetry_call_ended(Some(Failure {
        class: ErrorClass::Timeout,
        status: None,
        message: "late",
    }));
    let calls = ledger.calls();
    assert_eq!((calls.in_flight, calls.sent_bytes), (0, 1000));
    assert_eq!(calls.outcome(Operation::Segments, None), 1);
    assert_eq!(calls.outcome(Operation::Telemetry, Some(ErrorClass::Timeout)), 1);
}

#[test]
fn a_call_that_panicked_is_not_in_flight_any_more() {
    let ledger = Ledger::default();
    ledger.call_started(50, false);
    ledger.call_started(50, false);
    ledger.call_lost();
    assert_eq!(ledger.calls().in_flight, 1);
}

#[test]
fn refused_datagrams_add_up_and_the_latest_is_the_example() {
    let ledger = Ledger::default();
    let mut hears = ledger.refused_datagrams();
    assert!(!hears.has_changed().unwrap());
    ledger.tell_refused(3, "first", "a");
    ledger.tell_refused(4, "second", "b");
    assert!(hears.has_changed().unwrap());
    let expected = RefusedDatagrams {
        datagrams: 7,
        example: "second".to_owned(),
        beginning: "b".to_owned(),
    };
    assert_eq!(*hears.borrow_and_update(), expected);
}
