//! The counters in the text format of Prometheus, version 0.0.4. Names and labels are an interface: dashboards and
//! alerts are made of them.
//!
//! docs/metrics.md lists them, with the values of their labels; tests compare it with what is shown.

mod observed;
mod page;
mod source;

use std::time::{Duration, UNIX_EPOCH};

use self::page::{Label, Page, float, unix_seconds, with};
use crate::api::summary::Totals;
use crate::ledger::RejectReason;
use crate::ledger::calls::{Calls, Operation};
use crate::ledger::destination::Destination;
use crate::ledger::http::{Ending, HttpCounts};
use crate::ledger::outcome::ErrorClass;
use crate::ledger::signal::Content;
use crate::pipeline::lane::depth::{Amount, Depth, SpoolDepth};

pub use observed::{BridgeObserved, LaneObserved, Observed};
pub use source::Source;

/// The page.
#[must_use]
pub fn render(observed: &Observed) -> String {
    let mut page = Page(String::with_capacity(8 << 10));
    process(&mut page, observed);
    receipts(&mut page, observed);
    segments(&mut page, observed);
    system(&mut page, &observed.totals);
    buffer(&mut page, observed);
    spool(&mut page, observed);
    calls(&mut page, observed);
    http(&mut page, &observed.http);
    page.0
}

fn process(page: &mut Page, observed: &Observed) {
    page.family("xray_build_info", "gauge", "The version of the daemon.");
    page.sample("xray_build_info", &[("version", env!("CARGO_PKG_VERSION"))], 1.0);
    page.single(
        "process_start_time_seconds",
        "gauge",
        "When the daemon started, in Unix time.",
        unix_seconds(observed.started_at),
    );
    page.single(
        "xray_ready",
        "gauge",
        "1 when the daemon can do its work, as GET /readyz says.",
        f64::from(u8::from(observed.is_ready)),
    );
}

fn receipts(page: &mut Page, observed: &Observed) {
    const RECEIVED: &str = "xray_segments_received_total";
    const REJECTED: &str = "xray_segments_rejected_total";
    page.family(
        RECEIVED,
        "counter",
        "Datagrams and documents that came in, accepted or not.",
    );
    let counts = &observed.totals.counts;
    match &observed.bridge {
        None => page.sample(RECEIVED, &[], float(counts.received)),
        Some(bridge) => {
            for (receiver, content, count) in &bridge.received {
                let labels = [("receiver", receiver.label()), ("signal", content.label())];
                page.sample(RECEIVED, &labels, float(*count));
            }
        }
    }
    page.family(REJECTED, "counter", "What came in and is no segment, by reason.");
    match &observed.bridge {
        None => {
            for reason in RejectReason::ALL {
                page.sample(
                    REJECTED,
                    &[("reason", reason.label())],
                    float(counts.rejected(reason)),
                );
            }
        }
        Some(bridge) => {
            for (receiver, content, reason, count) in &bridge.rejected {
                let labels = [
                    ("receiver", receiver.label()),
                    ("signal", content.label()),
                    ("reason", reason),
                ];
                page.sample(REJECTED, &labels, float(*count));
            }
        }
    }
}

fn segments(page: &mut Page, observed: &Observed) {
    let by_content = observed.by_content();
    let of = |lane: &LaneObserved, content: Content| lane.totals.counts[content.index()];
    page.each(
        "xray_segments_sent_total",
        "counter",
        "Documents that X-Ray took.",
        by_content
            .iter()
            .map(|(labels, lane, content)| (labels.clone(), float(of(lane, *content).sent))),
    );
    page.each(
        "xray_segments_dropped_total",
        "counter",
        "Accepted documents that were lost, by reason.",
        by_content.iter().flat_map(|(labels, lane, content)| {
            let counts = of(lane, *content);
            observed.drop_reasons().iter().map(move |reason| {
                (
                    with(labels, ("reason", reason.label())),
                    float(counts.dropped(*reason)),
                )
            })
        }),
    );
    page.each(
        "xray_segments_unprocessed_total",
        "counter",
        "Documents that X-Ray named as unprocessed and that are not sent again, by its error code.",
        by_content.iter().flat_map(|(labels, lane, content)| {
            let of_content = lane.unprocessed.iter().filter(move |((of, _), _)| of == content);
            of_content.map(move |((_, code), count)| (with(labels, ("error_code", code)), float(*count)))
        }),
    );
    let replaced: u64 = observed.totals.counts.replaced_utf8;
    page.count(
        "xray_segments_replaced_utf8_total",
        "Documents in which bytes that are not UTF-8 were replaced.",
        replaced,
    );
    page.each(
        "xray_segments_pending",
        "gauge",
        "Documents in memory, accepted and not settled yet.",
        by_content
            .iter()
            .map(|(labels, lane, content)| (labels.clone(), float(lane.totals.pending.of(*content)))),
    );
    page.each(
        "xray_segments_recovered_total",
        "counter",
        "Documents that an earlier process left in the spool.",
        by_content
            .iter()
            .map(|(labels, lane, content)| (labels.clone(), float(of(lane, *content).recovered))),
    );
    page.each(
        "xray_segments_spooled",
        "gauge",
        "Documents that wait on disk.",
        by_content
            .iter()
            .map(|(labels, lane, content)| (labels.clone(), float(of(lane, *content).spooled))),
    );
}

fn system(page: &mut Page, totals: &Totals) {
    if let Some(drops) = totals.kernel_dropped {
        page.count(
            "xray_udp_kernel_drops_total",
            "Datagrams that the kernel dropped because its receive buffer was full.",
            drops,
        );
    }
    if let Some(lost) = totals.lost_in_fragments {
        page.count(
            "xray_network_lost_in_fragments_total",
            "Datagrams, whoever they were for, that this network namespace could not put together from their fragments.",
            lost,
        );
    }
}

fn buffer(page: &mut Page, observed: &Observed) {
    let states = |depth: &Depth| {
        [
            ("open", depth.open),
            ("waiting", depth.waiting),
            ("in_flight", depth.in_flight),
        ]
    };
    let by_state = |amount: fn(Amount) -> usize| {
        observed.lanes.iter().flat_map(move |lane| {
            let labels = observed.labels(lane);
            states(&lane.depth).map(|(state, held)| (with(&labels, ("state", state)), amount(held) as f64))
        })
    };
    page.each(
        "xray_buffer_segments",
        "gauge",
        "Documents in memory, by what they wait for.",
        by_state(|held| held.documents),
    );
    page.each(
        "xray_buffer_bytes",
        "gauge",
        "Bytes of the request bodies in memory, by what they wait for.",
        by_state(|held| held.bytes),
    );
    page.each(
        "xray_buffer_limit_bytes",
        "gauge",
        "The most bytes that may be in memory.",
        observed
            .lanes
            .iter()
            .map(|lane| (observed.labels(lane), lane.depth.budget_bytes as f64)),
    );
}

/// A number of a spool.
type OfSpool = fn(&SpoolDepth) -> f64;

fn spool(page: &mut Page, observed: &Observed) {
    let spools: Vec<(Vec<Label<'_>>, SpoolDepth)> = observed
        .lanes
        .iter()
        .filter_map(|lane| Some((observed.labels(lane), lane.depth.spool?)))
        .collect();
    if spools.is_empty() {
        return;
    }
    let values: [(&str, &str, OfSpool); 4] = [
        ("xray_spool_files", "Files that wait in the spool.", |depth| {
            depth.files as f64
        }),
        (
            "xray_spool_bytes",
            "What all files of the spool take up.",
            |depth| float(depth.file_bytes),
        ),
        (
            "xray_spool_limit_bytes",
            "The most that the files of the spool may take up.",
            |depth| float(depth.limit_bytes),
        ),
        (
            "xray_spool_to_write_bytes",
            "Memory of what waits to be written to the spool.",
            |depth| depth.to_write_bytes as f64,
        ),
    ];
    for (name, help, value) in values {
        let samples = spools
            .iter()
            .map(|(labels, depth)| (labels.clone(), value(depth)));
        page.each(name, "gauge", help, samples);
    }
}

/// The operations of a lane, with the labels that tell them apart.
fn operations<'l>(observed: &Observed, lane: &LaneObserved) -> Vec<(Vec<Label<'l>>, Operation)> {
    let mut operations: Vec<Operation> = match (&observed.bridge, lane.destination) {
        (_, Destination::XRay) => Operation::XRAY.to_vec(),
        (_, Destination::Otlp) => Vec::new(),
    };
    let sends = lane
        .contents
        .iter()
        .map(|content| Operation::of(lane.destination, *content));
    operations.extend(sends.filter(|operation| matches!(operation, Operation::Export(_))));
    operations
        .into_iter()
        .map(|operation| {
            let mut labels = observed.labels(lane);
            if let (Some(_), Some(content)) = (&observed.bridge, operation.content()) {
                labels.push(("signal", content.label()));
            }
            labels.push(("operation", operation.label()));
            (labels, operation)
        })
        .collect()
}

fn calls(page: &mut Page, observed: &Observed) {
    page.each(
        "xray_calls_total",
        "counter",
        "Calls to X-Ray that ended, by operation and outcome.",
        observed.lanes.iter().flat_map(|lane| {
            let operations = operations(observed, lane);
            operations.into_iter().flat_map(move |(labels, operation)| {
                let classes = ErrorClass::ALL.map(Some);
                std::iter::once(None).chain(classes).map(move |class| {
                    let outcome = class.map_or("success", ErrorClass::label);
                    let count = lane.calls.outcome(operation, class);
                    (with(&labels, ("outcome", outcome)), float(count))
                })
            })
        }),
    );
    let each = |value: fn(&Calls) -> u64| {
        let lanes = observed.lanes.iter();
        lanes.map(move |lane| (observed.labels(lane), float(value(&lane.calls))))
    };
    page.each(
        "xray_calls_in_flight",
        "gauge",
        "PutTraceSegments calls that run now.",
        each(|calls| calls.in_flight),
    );
    page.each(
        "xray_call_retries_total",
        "counter",
        "PutTraceSegments calls for a batch that had been sent before.",
        each(|calls| calls.retries),
    );
    page.histograms(
        "xray_call_duration_seconds",
        "How long PutTraceSegments calls took, failed ones included.",
        observed
            .lanes
            .iter()
            .map(|lane| (observed.labels(lane), &lane.calls.duration)),
    );
    page.histograms(
        "xray_batch_segments",
        "Documents in the batches that were sent.",
        observed
            .lanes
            .iter()
            .map(|lane| (observed.labels(lane), &lane.calls.batch_segments)),
    );
    page.each(
        "xray_sent_bytes_total",
        "counter",
        "Bytes of the request bodies that X-Ray took.",
        each(|calls| calls.sent_bytes),
    );
    let ages: Vec<(Vec<Label<'_>>, Duration)> = observed
        .lanes
        .iter()
        .filter_map(|lane| {
            let age = observed.now.saturating_duration_since(lane.calls.last_success?);
            Some((observed.labels(lane), age))
        })
        .collect();
    if ages.is_empty() {
        return;
    }
    page.each(
        "xray_last_success_timestamp_seconds",
        "gauge",
        "When PutTraceSegments last succeeded, in Unix time.",
        ages.iter().map(|(labels, age)| {
            let at = observed.wall_clock.checked_sub(*age).unwrap_or(UNIX_EPOCH);
            (labels.clone(), unix_seconds(at))
        }),
    );
    page.each(
        "xray_seconds_since_last_success",
        "gauge",
        "How long ago PutTraceSegments last succeeded.",
        ages.iter()
            .map(|(labels, age)| (labels.clone(), age.as_secs_f64())),
    );
}

fn http(page: &mut Page, http: &HttpCounts) {
    page.family(
        "xray_http_requests_total",
        "counter",
        "Requests on the TCP port, by route and status.",
    );
    for ((route, status), count) in &http.requests {
        let code = status.to_string();
        let labels = [("route", route.label()), ("code", code.as_str())];
        page.sample("xray_http_requests_total", &labels, float(*count));
    }
    page.single(
        "xray_http_connections",
        "gauge",
        "Open connections on the TCP port.",
        float(http.open_connections),
    );
    page.counts(
        "xray_http_connections_ended_total",
        "Connections on the TCP port that did not end by their client's will, by reason.",
        "reason",
        Ending::ALL.map(|ending| (ending.label(), http.ended(ending))),
    );
}

#[cfg(test)]
mod tests;
