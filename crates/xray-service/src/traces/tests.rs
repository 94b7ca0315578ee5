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

fn put(traces: &mut Traces, trace: u32, segment: u32, start: f64, done: bool) {
    let text = document(trace, segment, start, done);
    traces.insert(outline(&text).unwrap(), &text, false, NOW);
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
    let cost = document(1, 1, 1.0, true).len() + DOCUMENT_OVERHEAD_BYTES;
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
    let cursor = Cursor::of(&traces.get(&trace_id(2)).unwrap().digest());
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
    assert!(traces.is_empty() && traces.bytes() == 0 && traces.documents() == 0);
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
        let mut traces = Traces::new(Limits { max_bytes: 6_000, max_traces: 4 });
        traces.start_saving();
        let mut saved = BTreeSet::new();
        for (n, (trace, segment, start, done)) in puts.into_iter().enumerate() {
            put(&mut traces, trace, segment, f64::from(start), done);
            prop_assert!(traces.len() <= 4 && traces.bytes() <= 6_000);
            let all: Vec<&Trace> = traces.newest_first(None).collect();
            prop_assert_eq!(all.len(), traces.len());
            prop_assert!(all.is_sorted_by_key(|trace| -trace.start_us));
            prop_assert_eq!(all.iter().map(|t| t.documents.len()).sum::<usize>(), traces.documents());
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
    traces.insert(outline(&text).unwrap(), &text, true, later);
    let trace = traces.get(&trace_id(1)).unwrap();
    assert_eq!((trace.digest().segments, trace.changed_at), (2, later));
}
