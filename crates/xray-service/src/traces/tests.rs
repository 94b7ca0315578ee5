use std::time::Duration;

use proptest::prelude::*;
use serde_json::json;
use xray_document::outline::outline;

use super::*;

const NOW: SystemTime = SystemTime::UNIX_EPOCH;

fn trace_id(trace: u32) -> String {
    format!("1-{trace:08x}-000000000000000000000000")
}

fn document(trace: u32, segment: u32, start: f64, done: bool) -> String {
    let end = if done { json!(start + 1.0) } else { json!(null) };
    json!({
        "trace_id": trace_id(trace), "id": format!("{segment:016x}"), "name": "n", "start_time": start,
        "end_time": end, "in_progress": !done
    })
    .to_string()
}

fn incoming(text: &str, otlp: bool) -> Incoming {
    Incoming::new(outline(text).unwrap(), text, otlp)
}

fn put(traces: &mut Traces, trace: u32, segment: u32, start: f64, done: bool) {
    let text = document(trace, segment, start, done);
    traces.insert(incoming(&text, false), NOW);
}

fn ids(traces: &Traces) -> Vec<String> {
    traces.newest_first(None).map(|trace| trace.id.clone()).collect()
}

fn of_at_most(max_traces: usize) -> Traces {
    Traces::new(Limits {
        max_traces,
        ..Limits::default()
    })
}

#[test]
fn the_trace_that_came_first_goes_first_whenever_it_started() {
    let mut traces = of_at_most(2);
    put(&mut traces, 1, 1, 30.0, true);
    put(&mut traces, 2, 1, 10.0, true);
    put(&mut traces, 3, 1, 20.0, true);
    assert_eq!(ids(&traces), [trace_id(3), trace_id(2)]);
    assert_eq!((traces.evicted(), traces.documents()), (1, 2));
}

#[test]
fn bytes_are_bounded_and_one_trace_gets_a_quarter_of_them() {
    // A trace of two documents costs some more than one of one, and less than two.
    let cost = {
        let mut traces = of_at_most(1);
        put(&mut traces, 1, 1, 1.0, true);
        traces.bytes()
    };
    let mut traces = Traces::new(Limits {
        max_bytes: cost * 8,
        max_traces: 100,
    });
    for segment in 0..5 {
        put(&mut traces, 1, segment, 1.0, true);
    }
    let trace = traces.get(&trace_id(1)).unwrap();
    assert_eq!((trace.documents.len(), trace.limit_exceeded), (2, true));
    for trace in 2..20 {
        put(&mut traces, trace, 1, 1.0, true);
    }
    assert_eq!((traces.len(), traces.bytes()), (8, cost * 8));
}

#[test]
fn what_the_process_was_seen_to_hold_counts_beside_the_charges() {
    let cost = {
        let mut traces = of_at_most(1);
        put(&mut traces, 1, 1, 1.0, true);
        traces.bytes()
    };
    let mut traces = Traces::new(Limits {
        max_bytes: cost * 16,
        max_traces: 100,
    });
    for trace in 1..=16 {
        put(&mut traces, trace, 1, 1.0, true);
    }
    // Two traces' worth beyond the charges; while work is done, that may be the work's.
    assert!(!traces.correct(cost * 18, cost * 2));
    assert_eq!((traces.len(), traces.bytes()), (16, cost * 16));
    assert!(traces.correct(cost * 18, cost));
    assert_eq!((traces.len(), traces.bytes()), (15, cost * 16));
    assert!(traces.correct(cost * 18, 0));
    assert_eq!((traces.len(), traces.bytes()), (13, cost * 16));
    // Less than was thought: there is room for more.
    assert!(!traces.correct(cost * 10, 0));
    for trace in 21..=23 {
        put(&mut traces, trace, 1, 1.0, true);
    }
    assert_eq!((traces.len(), traces.bytes()), (16, cost * 13));
    // Whatever is seen, an eighth is left for traces.
    assert!(traces.correct(cost * 1_000, 0));
    assert_eq!((traces.len(), traces.bytes()), (2, cost * 16));
}

#[test]
fn a_complete_document_replaces_the_one_in_progress_and_not_the_reverse() {
    let mut traces = of_at_most(2);
    put(&mut traces, 1, 1, 5.0, false);
    put(&mut traces, 1, 1, 5.0, true);
    put(&mut traces, 1, 1, 5.0, false);
    let trace = traces.get(&trace_id(1)).unwrap();
    assert_eq!(trace.documents.len(), 1);
    assert!(!trace.digest().in_progress);
}

#[test]
fn a_document_that_starts_earlier_moves_its_trace_in_the_order() {
    let mut traces = of_at_most(9);
    put(&mut traces, 1, 1, 30.0, true);
    put(&mut traces, 2, 1, 20.0, true);
    assert_eq!(ids(&traces), [trace_id(1), trace_id(2)]);
    put(&mut traces, 1, 2, 10.0, true);
    assert_eq!(ids(&traces), [trace_id(2), trace_id(1)]);
    let cursor = traces.get(&trace_id(2)).unwrap().cursor();
    assert_eq!(Cursor::of_text(&cursor.to_text()), Some(cursor.clone()));
    let after: Vec<&str> = traces
        .newest_first(Some(&cursor))
        .map(|trace| &*trace.id)
        .collect();
    assert_eq!(after, [trace_id(1)]);
}

#[test]
fn who_looks_again_hears_of_each_change_once() {
    let mut traces = of_at_most(2);
    put(&mut traces, 1, 1, 1.0, true);
    put(&mut traces, 2, 1, 1.0, true);
    put(&mut traces, 1, 2, 1.0, true);
    let first = traces.changes_since(0, 9);
    assert_eq!(first.changed, [trace_id(2), trace_id(1)]);
    assert_eq!(
        traces.changes_since(first.revision, 9).changed,
        Vec::<String>::new()
    );
    put(&mut traces, 3, 1, 1.0, true);
    let second = traces.changes_since(first.revision, 9);
    assert_eq!(
        (second.changed, second.gone),
        (vec![trace_id(3)], vec![trace_id(1)])
    );
    traces.clear();
    assert!(traces.changes_since(second.revision, 9).reset);
    assert!(traces.is_empty() && traces.documents() == 0);
    traces.forget_cleared();
    assert_eq!(traces.bytes(), 0);
}

#[test]
fn what_was_cleared_can_be_brought_back_beside_what_came_since() {
    let mut traces = of_at_most(9);
    for trace in 1..=3 {
        put(&mut traces, trace, 1, 1.0, true);
    }
    let (bytes, text_bytes, seen) = (traces.bytes(), traces.text_bytes(), traces.revision());
    traces.clear();
    assert_eq!(
        (traces.len(), traces.bytes()),
        (0, bytes),
        "charged until it is gone"
    );
    put(&mut traces, 2, 2, 5.0, true);
    put(&mut traces, 4, 1, 2.0, true);
    assert_eq!(traces.bring_back(), 3);
    let order: Vec<_> = traces.newest_first(None).map(|trace| trace.id.clone()).collect();
    assert_eq!(order, [trace_id(4), trace_id(3), trace_id(2), trace_id(1)]);
    assert_eq!(
        traces.get(&trace_id(2)).map(|trace| trace.documents.len()),
        Some(2)
    );
    assert_eq!((traces.documents(), traces.text_bytes() > text_bytes), (5, true));
    let changes = traces.changes_since(seen, 9);
    assert!(changes.reset);
    // Who prints what changes has printed the two that are as they were.
    assert_eq!(changes.changed, [trace_id(4), trace_id(2)]);
    assert_eq!(traces.bring_back(), 0, "once");

    let before = traces.bytes();
    traces.clear();
    traces.clear();
    assert_eq!(traces.bytes(), 0, "clearing again forgets what was cleared");
    assert!(before > 0);
    assert_eq!(traces.bring_back(), 0);
}

#[test]
fn what_was_cleared_is_written_again_when_it_is_brought_back() {
    let mut traces = of_at_most(9);
    traces.start_saving();
    put(&mut traces, 1, 1, 1.0, true);
    let written = traces.take_unsaved().put;
    traces.clear();
    assert_eq!(traces.take_unsaved().delete, [written[0].key]);
    traces.bring_back();
    let again = traces.take_unsaved();
    assert_eq!((again.put[0].key, again.delete), (written[0].key, vec![]));
}

#[test]
fn what_was_cleared_goes_before_what_is_kept() {
    let mut probe = of_at_most(9);
    put(&mut probe, 1, 1, 1.0, true);
    let one = probe.bytes();
    let mut traces = Traces::new(Limits {
        max_bytes: one * 13 / 2,
        max_traces: 99,
    });
    for trace in 1..=6 {
        put(&mut traces, trace, 1, 1.0, true);
    }
    traces.clear();
    put(&mut traces, 7, 1, 1.0, true);
    assert_eq!((traces.len(), traces.evicted()), (1, 0));
    assert_eq!(traces.bring_back(), 0);
}

#[test]
fn who_asks_for_a_few_changes_at_a_time_hears_of_all() {
    let mut traces = of_at_most(9);
    for trace in 1..=5 {
        put(&mut traces, trace, 1, 1.0, true);
    }
    let (mut seen, mut revision) = (Vec::new(), 0);
    for expected in [2, 2, 1, 0] {
        let changes = traces.changes_since(revision, 2);
        assert_eq!(changes.changed.len(), expected);
        seen.extend(changes.changed);
        revision = changes.revision;
    }
    assert_eq!(seen, (1..=5).map(trace_id).collect::<Vec<String>>());
}

#[test]
fn what_is_to_be_written_is_told_once_and_what_went_meanwhile_is_not() {
    let mut traces = of_at_most(2);
    traces.start_saving();
    put(&mut traces, 1, 1, 1.0, false);
    put(&mut traces, 1, 1, 1.0, true);
    let unsaved = traces.take_unsaved();
    assert_eq!((unsaved.put.len(), unsaved.delete.len()), (1, 0));
    put(&mut traces, 2, 1, 1.0, true);
    put(&mut traces, 3, 1, 1.0, true);
    let next = traces.take_unsaved();
    assert_eq!(next.put.len(), 2);
    assert_eq!(next.delete, [unsaved.put[0].key]);
    assert_eq!(traces.take_unsaved().put.len(), 0);
}

proptest! {
    #[test]
    fn whatever_comes_the_limits_hold_and_the_counts_are_right(
        puts in proptest::collection::vec((0_u32..6, 0_u32..4, 0_u32..50, any::<bool>()), 0..60),
    ) {
        let mut traces = Traces::new(Limits { max_bytes: 30_000, max_traces: 4 });
        traces.start_saving();
        let mut saved = BTreeSet::new();
        // Those who still ask about what was.
        let mut held: Vec<Snapshot> = Vec::new();
        for (n, (trace, segment, start, done)) in puts.into_iter().enumerate() {
            put(&mut traces, trace, segment, f64::from(start), done);
            prop_assert!(traces.len() <= 4 && traces.bytes() <= 30_000);
            let all: Vec<&Trace> = traces.newest_first(None).collect();
            prop_assert_eq!(all.len(), traces.len());
            prop_assert!(all.is_sorted_by_key(|trace| -trace.start_us));
            prop_assert_eq!(all.iter().map(|t| t.documents.len()).sum::<usize>(), traces.documents());
            prop_assert_eq!(all.iter().map(|t| t.bytes()).sum::<usize>(), traces.bytes());
            let snapshot = traces.snapshot();
            let same: Vec<&str> = snapshot.newest_first(None).map(|trace| trace.id.as_str()).collect();
            prop_assert_eq!(same, all.iter().map(|trace| trace.id.as_str()).collect::<Vec<&str>>());
            if let Some(middle) = all.get(1) {
                let after = |trace: &Trace| trace.id.clone();
                let cursor = middle.cursor();
                prop_assert_eq!(
                    snapshot.newest_first(Some(&cursor)).map(after).collect::<Vec<String>>(),
                    traces.newest_first(Some(&cursor)).map(after).collect::<Vec<String>>()
                );
            }
            held.truncate(2);
            held.insert(0, snapshot);
            if n % 5 == 0 {
                let unsaved = traces.take_unsaved();
                saved.extend(unsaved.put.iter().map(|document| document.key));
                for key in unsaved.delete {
                    prop_assert!(saved.remove(&key), "only what was written is removed");
                }
                prop_assert_eq!(&saved, &traces.keys().collect::<BTreeSet<u64>>());
            }
        }
    }
}

#[test]
fn a_change_makes_the_digest_anew() {
    let mut traces = of_at_most(2);
    put(&mut traces, 1, 1, 1.0, true);
    assert_eq!(traces.get(&trace_id(1)).unwrap().digest().segments, 1);
    let text = document(1, 2, 3.0, true);
    let later = NOW + Duration::from_secs(1);
    traces.insert(incoming(&text, true), later);
    let trace = traces.get(&trace_id(1)).unwrap();
    assert_eq!((trace.digest().segments, trace.changed_at), (2, later));
}

#[test]
fn a_snapshot_stays_as_it_was() {
    let mut traces = of_at_most(2);
    put(&mut traces, 1, 1, 1.0, true);
    let before = traces.snapshot();
    put(&mut traces, 1, 2, 5.0, true);
    put(&mut traces, 2, 1, 9.0, true);
    put(&mut traces, 3, 1, 9.0, true);
    assert_eq!(before.get(&trace_id(1)).unwrap().digest().segments, 1);
    assert_eq!(traces.get(&trace_id(1)).map(|_| ()), None);
    assert_eq!(traces.snapshot().newest_first(None).count(), 2);
}

/// Of thirteen traces with such times ten were listed, and always first.
#[test]
fn times_in_other_units_are_listed_where_they_belong() {
    let mut traces = of_at_most(99);
    let start = 1_795_227_595.0;
    for (trace, factor) in [1.0, 1e3, 1e6, 1e9].into_iter().enumerate() {
        // The later the trace, the earlier it starts.
        put(
            &mut traces,
            trace as u32,
            1,
            (start - trace as f64) * factor,
            true,
        );
    }
    put(&mut traces, 9, 1, 1.8e19, true);
    assert_eq!(ids(&traces), [9, 0, 1, 2, 3].map(trace_id));
    assert_eq!(traces.snapshot().newest_first(None).count(), traces.len());
    let note = |trace| traces.get(&trace_id(trace)).unwrap().digest().note();
    assert_eq!(note(0), None);
    assert_eq!(note(1).as_deref(), Some("start_time looks like milliseconds"));
    assert_eq!(note(3).as_deref(), Some("start_time looks like nanoseconds"));
}

#[test]
fn one_trace_has_no_more_segments_than_its_tree_may_take() {
    let mut traces = Traces::new(Limits {
        max_bytes: 16 << 20,
        max_traces: 9,
    });
    let most = (1 << 20) / size_of::<Entity>();
    let subsegments = |count: usize| {
        let one = |n: usize| json!({"id": format!("{n:016x}"), "name": "f", "start_time": 1, "end_time": 2});
        json!({
            "trace_id": trace_id(1), "id": "ffffffffffffffff", "name": "n", "start_time": 1, "end_time": 2,
            "subsegments": (0..count).map(one).collect::<Vec<_>>()
        })
        .to_string()
    };
    let text = subsegments(most);
    traces.insert(incoming(&text, false), NOW);
    assert_eq!(traces.len(), 0, "itself is one more");
    let text = subsegments(most - 1);
    traces.insert(incoming(&text, false), NOW);
    put(&mut traces, 1, 1, 1.0, true);
    let trace = traces.get(&trace_id(1)).unwrap();
    assert_eq!((trace.documents.len(), trace.limit_exceeded), (1, true));
}

#[test]
fn when_what_began_first_is_replaced_the_trace_begins_later() {
    let mut traces = of_at_most(9);
    put(&mut traces, 1, 1, 5.0, false);
    put(&mut traces, 1, 2, 9.0, true);
    put(&mut traces, 2, 1, 7.0, true);
    put(&mut traces, 1, 1, 8.0, true);
    assert_eq!(ids(&traces), [trace_id(1), trace_id(2)]);
}
