use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::*;
use crate::api::summary::{LaneTotals, Summary};
use crate::ledger::amounts::Amounts;
use crate::ledger::calls::{Ended, Failure};
use crate::ledger::http::Route;
use crate::ledger::{DropReason, Ledger};
use crate::pipeline::budget::Budget;
use crate::pipeline::lane::Lane;

/// One with something of everything.
fn observed() -> Observed {
    let ledger = Ledger::default();
    ledger.add_received(12);
    ledger.add_sent(5);
    ledger.add_rejected(RejectReason::InvalidHeader);
    ledger.add_dropped(DropReason::BufferFull, 2);
    ledger.add_unprocessed(Some("ParseError"));
    ledger.add_unprocessed(Some("a\"b\\c\nd}"));
    ledger.http.add_request(Route::Metrics, 200);
    ledger.http.add_request(Route::Unknown, 404);
    ledger.http.add_ending(Ending::Idle);
    let now = Instant::now();
    for (segments, failure) in [(5, None), (50, Some(ErrorClass::Timeout))] {
        ledger.call_started(segments, false);
        ledger.call_ended(Ended {
            at: now,
            duration: Duration::from_millis(30),
            body_bytes: 1234,
            failure: failure.map(|class| Failure {
                class,
                status: None,
                message: "",
            }),
        });
    }
    let lane = LaneObserved {
        destination: Destination::XRay,
        contents: vec![Content::Segments],
        totals: LaneTotals {
            counts: Content::ALL.map(|content| ledger.snapshot_of(content)),
            pending: Amounts::from_iter([(Content::Segments, ledger.snapshot().pending())]),
        },
        unprocessed: ledger.unprocessed_by_code(),
        depth: Depth {
            spool: Some(SpoolDepth::default()),
            ..Depth::default()
        },
        calls: ledger.calls(),
    };
    Observed {
        totals: Totals {
            counts: ledger.snapshot(),
            pending: ledger.snapshot().pending(),
            kernel_dropped: Some(3),
            lost_in_fragments: Some(4),
            bridge: None,
        },
        lanes: vec![lane],
        bridge: None,
        http: ledger.http.snapshot(),
        is_ready: true,
        started_at: UNIX_EPOCH + Duration::from_millis(1_600_000_000_250),
        now: now + Duration::from_millis(1500),
        wall_clock: UNIX_EPOCH + Duration::from_secs(1_600_000_100),
    }
}

/// A bridge that sends all to OTLP, and to X-Ray what can go there, with something of everything too.
fn bridged() -> Observed {
    let xray = observed().lanes.remove(0);
    let ledger = Ledger::default();
    for content in Content::ALL {
        ledger.add_accepted(content, 10);
        ledger.of(content).add_sent(7);
        ledger.of(content).add_dropped(DropReason::InProgress, 1);
        ledger.add_unprocessed_of(content, Some("PartialSuccess"), 2);
    }
    ledger.call_started(5, false);
    let at = xray.calls.last_success.unwrap();
    ledger.call_ended_of(
        Operation::Export(Content::Logs),
        Ended {
            at,
            duration: Duration::from_millis(30),
            body_bytes: 10,
            failure: None,
        },
    );
    let otlp = LaneObserved {
        destination: Destination::Otlp,
        contents: Content::ALL.to_vec(),
        totals: LaneTotals {
            counts: Content::ALL.map(|content| ledger.snapshot_of(content)),
            pending: Amounts::default(),
        },
        unprocessed: ledger.unprocessed_by_code(),
        calls: ledger.calls(),
        ..xray.clone()
    };
    let lane = Arc::new(Lane::new(Budget::of_mb(3), Arc::default()));
    lane.ledger().add_received(3);
    lane.ledger().add_received_over_tcp(2);
    lane.ledger().add_rejected_over_tcp(RejectReason::MissingSegment);
    Observed {
        lanes: vec![xray, otlp],
        bridge: Some(BridgeObserved::of(&Summary::of_lane(lane))),
        ..observed()
    }
}

/// Kind and samples.
type Family<'p> = (&'p str, Vec<(&'p str, f64)>);

/// The page by families: kind and samples, in the order of the page. As strict as the format asks for.
fn families(page: &str) -> BTreeMap<&str, Family<'_>> {
    let mut families: BTreeMap<&str, Family<'_>> = BTreeMap::new();
    let mut helped = "";
    let mut current = "";
    assert!(page.ends_with('\n'));
    for line in page.lines() {
        if let Some(rest) = line.strip_prefix("# HELP ") {
            let (name, help) = rest.split_once(' ').unwrap();
            assert!(!help.is_empty() && !families.contains_key(name), "{line}");
            helped = name;
        } else if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (name, kind) = rest.split_once(' ').unwrap();
            assert_eq!(name, helped, "{line}");
            families.insert(name, (kind, Vec::new()));
            current = name;
        } else {
            let (series, value) = line.rsplit_once(' ').unwrap();
            let name = series.split('{').next().unwrap();
            let (kind, samples) = families.get_mut(current).unwrap();
            let suffix = name.strip_prefix(current).unwrap();
            match *kind {
                "histogram" => assert!(matches!(suffix, "_bucket" | "_sum" | "_count"), "{line}"),
                "counter" => assert!(suffix.is_empty() && name.ends_with("_total"), "{line}"),
                "gauge" => assert!(suffix.is_empty() && !name.ends_with("_total"), "{line}"),
                other => panic!("{other}"),
            }
            if let Some(labels) = series.strip_prefix(name).filter(|labels| !labels.is_empty()) {
                let labels = labels.strip_prefix('{').unwrap().strip_suffix('}').unwrap();
                for label in labels.split(',') {
                    let (name, value) = label.split_once('=').unwrap();
                    let value = value.strip_prefix('"').unwrap().strip_suffix('"').unwrap();
                    assert!(!name.is_empty() && !value.is_empty(), "{line}");
                    assert!(!value.contains(['"', '\\', '\n', '{', '}']), "{line}");
                }
            }
            assert!(samples.iter().all(|(other, _)| *other != series), "twice: {line}");
            samples.push((series, value.parse().unwrap()));
        }
    }
    families
}

#[test]
fn the_page_is_well_formed_and_holds_the_counts() {
    let page = render(&observed());
    let families = families(&page);
    let value = |series: &str| {
        let mut samples = families.values().flat_map(|(_, samples)| samples);
        samples
            .find(|(other, _)| *other == series)
            .map(|(_, value)| *value)
    };
    for (series, expected) in [
        ("process_start_time_seconds", 1_600_000_000.25),
        ("xray_ready", 1.0),
        ("xray_segments_received_total", 12.0),
        ("xray_segments_sent_total", 5.0),
        ("xray_segments_rejected_total{reason=\"invalid_header\"}", 1.0),
        ("xray_segments_rejected_total{reason=\"missing_header\"}", 0.0),
        ("xray_segments_dropped_total{reason=\"buffer_full\"}", 2.0),
        ("xray_segments_unprocessed_total{error_code=\"ParseError\"}", 1.0),
        ("xray_segments_unprocessed_total{error_code=\"abcd\"}", 1.0),
        ("xray_segments_pending", 2.0),
        ("xray_udp_kernel_drops_total", 3.0),
        ("xray_network_lost_in_fragments_total", 4.0),
        (
            "xray_calls_total{operation=\"PutTraceSegments\",outcome=\"success\"}",
            1.0,
        ),
        (
            "xray_calls_total{operation=\"PutTraceSegments\",outcome=\"timeout\"}",
            1.0,
        ),
        ("xray_call_duration_seconds_bucket{le=\"0.025\"}", 0.0),
        ("xray_call_duration_seconds_bucket{le=\"0.05\"}", 2.0),
        ("xray_call_duration_seconds_bucket{le=\"+Inf\"}", 2.0),
        ("xray_call_duration_seconds_sum", 0.06),
        ("xray_batch_segments_bucket{le=\"5\"}", 1.0),
        ("xray_batch_segments_count", 2.0),
        ("xray_sent_bytes_total", 1234.0),
        ("xray_last_success_timestamp_seconds", 1_600_000_098.5),
        ("xray_seconds_since_last_success", 1.5),
        ("xray_http_requests_total{route=\"unknown\",code=\"404\"}", 1.0),
        ("xray_http_connections_ended_total{reason=\"idle\"}", 1.0),
    ] {
        assert_eq!(value(series), Some(expected), "{series}");
    }
}

#[test]
fn a_bridge_tells_receivers_destinations_and_signals_apart() {
    let page = render(&bridged());
    let families = families(&page);
    let value = |series: &str| {
        let all = families.values().flat_map(|(_, samples)| samples);
        let found = all.into_iter().find(|(name, _)| *name == series);
        found.map(|(_, value)| *value)
    };
    let of = |name: &str, labels: &str| value(&format!("{name}{{{labels}}}"));
    let received = "xray_segments_received_total";
    assert_eq!(of(received, "receiver=\"udp\",signal=\"segments\""), Some(3.0));
    assert_eq!(of(received, "receiver=\"http\",signal=\"segments\""), Some(2.0));
    assert_eq!(of(received, "receiver=\"otlp_grpc\",signal=\"logs\""), Some(0.0));
    let rejected = "xray_segments_rejected_total";
    let missing = |receiver: &str| {
        let labels = format!("receiver=\"{receiver}\",signal=\"segments\",reason=\"missing_segment\"");
        of(rejected, &labels)
    };
    assert_eq!((missing("udp"), missing("http")), (Some(0.0), Some(1.0)));
    let sent = "xray_segments_sent_total";
    assert_eq!(of(sent, "destination=\"xray\",signal=\"segments\""), Some(5.0));
    assert_eq!(of(sent, "destination=\"xray\",signal=\"logs\""), None);
    assert_eq!(of(sent, "destination=\"otlp\",signal=\"logs\""), Some(7.0));
    let dropped = "destination=\"otlp\",signal=\"segments\",reason=\"in_progress\"";
    assert_eq!(of("xray_segments_dropped_total", dropped), Some(1.0));
    let export = "destination=\"otlp\",signal=\"logs\",operation=\"Export\",outcome=\"success\"";
    assert_eq!(of("xray_calls_total", export), Some(1.0));
}

#[test]
fn what_is_not_known_is_left_out_and_not_0() {
    let mut observed = observed();
    observed.totals.kernel_dropped = None;
    observed.totals.lost_in_fragments = None;
    observed.lanes[0].depth.spool = None;
    observed.lanes[0].calls = Calls::default();
    let page = render(&observed);
    let families = families(&page);
    for name in [
        "xray_udp_kernel_drops_total",
        "xray_network_lost_in_fragments_total",
        "xray_spool_bytes",
        "xray_last_success_timestamp_seconds",
        "xray_seconds_since_last_success",
    ] {
        assert!(!families.contains_key(name), "{name}");
    }
}

/// The rows of the table of docs/metrics.md whose head begins with `head`, as cells.
fn documented(head: &str) -> Vec<Vec<&'static str>> {
    let page = include_str!("../../../docs/metrics.md");
    let table = page.lines().skip_while(|line| !line.starts_with(head));
    let rows = table.skip(2).take_while(|line| line.starts_with('|'));
    rows.map(|row| row.trim_matches('|').split('|').map(str::trim).collect())
        .collect()
}

/// What stands in code spans in `cell`.
fn code_spans(cell: &str) -> BTreeSet<&str> {
    cell.split('`').skip(1).step_by(2).collect()
}

#[test]
fn the_list_in_the_documentation_is_the_page() {
    let rows = documented("| Metric | Kind |");
    let documented: BTreeMap<&str, &str> = rows
        .iter()
        .map(|row| {
            let name = row[0].trim_matches('`');
            (name.split('{').next().unwrap(), row[1])
        })
        .collect();
    let page = render(&observed());
    let kinds: BTreeMap<&str, &str> = families(&page)
        .into_iter()
        .map(|(name, (kind, _))| (name, kind))
        .collect();
    assert_eq!(kinds, documented);
}

#[test]
fn the_documentation_has_every_label_and_every_value_that_is_a_word_of_the_programs() {
    let mut labels: BTreeMap<(&str, &str), BTreeSet<&str>> = BTreeMap::new();
    let rows = documented("| Label | Of | Values |");
    for row in &rows {
        for metric in code_spans(row[1]) {
            labels.insert((row[0].trim_matches('`'), metric), code_spans(row[2]));
        }
    }
    let page = [render(&observed()), render(&bridged())].concat();
    let mut shown: BTreeMap<(&str, &str), BTreeSet<&str>> = BTreeMap::new();
    for line in page.lines().filter(|line| !line.starts_with('#')) {
        let Some((metric, rest)) = line.split_once('{') else {
            continue;
        };
        let (series, _) = rest.split_once('}').unwrap();
        for pair in series.split(',') {
            let (label, value) = pair.split_once('=').unwrap();
            let values = shown.entry((label, metric)).or_default();
            values.insert(value.trim_matches('"'));
        }
    }
    assert_eq!(
        labels.keys().collect::<Vec<_>>(),
        shown.keys().collect::<Vec<_>>(),
        "labels"
    );
    // Those are not words of ours but numbers, or X-Ray's.
    let open = ["version", "error_code", "code", "le"];
    for ((label, metric), values) in shown.into_iter().filter(|((label, _), _)| !open.contains(label)) {
        let documented = &labels[&(label, metric)];
        if label == "route" {
            assert_eq!(*documented, Route::ALL.map(Route::label).into_iter().collect());
        } else {
            assert_eq!(*documented, values, "{label} of {metric}");
        }
    }
}
