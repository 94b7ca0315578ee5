//! The counters in the text format of Prometheus, version 0.0.4. Names and labels are an interface: dashboards and
//! alerts are made of them.
//!
//! docs/metrics.md lists them, with the values of their labels; tests compare it with what is shown.

mod source;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::api::summary::{LaneTotals, Summary, Totals};
use crate::ledger::calls::{Calls, Operation};
use crate::ledger::destination::Destination;
use crate::ledger::histogram::Histogram;
use crate::ledger::http::{Ending, HttpCounts};
use crate::ledger::outcome::ErrorClass;
use crate::ledger::receipts::OTLP_RECEIVERS;
use crate::ledger::signal::{Content, Receiver, Signal};
use crate::ledger::{DropReason, RejectReason};
use crate::pipeline::lane::depth::{Amount, Depth, SpoolDepth};

pub use source::Source;

/// Everything that is shown, at one moment.
#[derive(Debug, Clone)]
pub struct Observed {
    /// What became of the documents.
    pub totals: Totals,
    /// Each lane; without OTLP there is one.
    pub lanes: Vec<LaneObserved>,
    /// What came in, by receiver and signal; `None` in a daemon that has nothing to do with OTLP, whose samples have no
    /// labels for it.
    pub bridge: Option<BridgeObserved>,
    /// What the TCP port was asked.
    pub http: HttpCounts,
    /// Whether the daemon can do its work.
    pub is_ready: bool,
    /// When it started.
    pub started_at: SystemTime,
    /// The moment, on both clocks.
    pub now: Instant,
    /// See [`Observed::now`].
    pub wall_clock: SystemTime,
}

/// One lane.
#[derive(Debug, Clone)]
pub struct LaneObserved {
    /// Where it sends.
    pub destination: Destination,
    /// What goes there.
    pub contents: Vec<Content>,
    /// What became of it.
    pub totals: LaneTotals,
    /// What was not processed, by the error code of the destination.
    pub unprocessed: BTreeMap<(Content, String), u64>,
    /// What is in memory.
    pub depth: Depth,
    /// What became of the calls.
    pub calls: Calls,
}

/// What came in.
#[derive(Debug, Clone, Default)]
pub struct BridgeObserved {
    /// Items, by receiver and what they are.
    pub received: Vec<(Receiver, Content, u64)>,
    /// What was refused, by receiver, what it was to be, and reason.
    pub rejected: Vec<(Receiver, Content, &'static str, u64)>,
}

/// The reason of OTLP requests that are refused for what they are.
const INVALID_REQUEST: &str = "invalid_request";

impl BridgeObserved {
    /// Of a daemon.
    #[must_use]
    pub fn of(summary: &Summary) -> Self {
        let (ledger, mut observed) = (summary.ledger(), Self::default());
        let over_tcp = ledger.received_over_tcp();
        let datagrams = ledger.received_as_segments().saturating_sub(over_tcp);
        observed.received = vec![
            (Receiver::Udp, Content::Segments, datagrams),
            (Receiver::Http, Content::Segments, over_tcp),
        ];
        let counts = ledger.snapshot_of(Content::Segments);
        for reason in RejectReason::ALL {
            let over_tcp = ledger.rejected_over_tcp(reason);
            let datagrams = counts.rejected(reason).saturating_sub(over_tcp);
            observed
                .rejected
                .push((Receiver::Udp, Content::Segments, reason.label(), datagrams));
            if reason == RejectReason::MissingSegment {
                observed
                    .rejected
                    .push((Receiver::Http, Content::Segments, reason.label(), over_tcp));
            }
        }
        for receiver in OTLP_RECEIVERS {
            for signal in Signal::ALL {
                let receipt = summary.fanout.receipts().of(receiver, signal);
                let content = Content::of(signal);
                observed.received.push((receiver, content, receipt.received));
                observed
                    .rejected
                    .push((receiver, content, INVALID_REQUEST, receipt.rejected));
            }
        }
        observed
    }
}

impl Observed {
    /// The labels of a lane; none where there is nothing else.
    fn labels(&self, lane: &LaneObserved) -> Vec<Label<'static>> {
        match &self.bridge {
            None => Vec::new(),
            Some(_) => vec![("destination", lane.destination.label())],
        }
    }

    /// Each lane with each of its contents, their labels and counts.
    fn by_content(&self) -> Vec<(Vec<Label<'static>>, &LaneObserved, Content)> {
        let lanes = self.lanes.iter();
        lanes
            .flat_map(|lane| {
                lane.contents.iter().map(move |content| {
                    let mut labels = self.labels(lane);
                    if self.bridge.is_some() {
                        labels.push(("signal", content.label()));
                    }
                    (labels, lane, *content)
                })
            })
            .collect()
    }

    /// The reasons that documents can be lost for.
    fn drop_reasons(&self) -> &'static [DropReason] {
        const WITHOUT_OTLP: &[DropReason] = DropReason::ALL.split_at(DropReason::UNCONVERTED).0;
        match &self.bridge {
            None => WITHOUT_OTLP,
            Some(_) => &DropReason::ALL,
        }
    }
}

/// A name and its value.
type Label<'l> = (&'l str, &'l str);

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

/// The labels of a lane and one more.
fn with<'l>(labels: &[Label<'l>], more: Label<'l>) -> Vec<Label<'l>> {
    let mut labels = labels.to_vec();
    labels.push(more);
    labels
}

/// Lines of the format.
struct Page(String);

impl Page {
    fn family(&mut self, name: &str, kind: &str, help: &str) {
        self.line(format_args!("# HELP {name} {help}\n# TYPE {name} {kind}\n"));
    }

    fn sample(&mut self, name: &str, labels: &[(&str, &str)], value: f64) {
        self.0.push_str(name);
        for (at, (label, value)) in labels.iter().enumerate() {
            let before = if at == 0 { '{' } else { ',' };
            // Every value is a word of ours, a number, or a code reduced to letters and digits: nothing to be escaped.
            self.line(format_args!("{before}{label}=\"{value}\""));
        }
        if !labels.is_empty() {
            self.0.push('}');
        }
        self.line(format_args!(" {value}\n"));
    }

    fn single(&mut self, name: &str, kind: &str, help: &str, value: f64) {
        self.family(name, kind, help);
        self.sample(name, &[], value);
    }

    fn count(&mut self, name: &str, help: &str, value: u64) {
        self.single(name, "counter", help, float(value));
    }

    fn counts<'c>(
        &mut self,
        name: &str,
        help: &str,
        label: &str,
        counts: impl IntoIterator<Item = (&'c str, u64)>,
    ) {
        self.family(name, "counter", help);
        for (value, count) in counts {
            self.sample(name, &[(label, value)], float(count));
        }
    }

    /// A family of samples with labels of their own.
    fn each<'l>(
        &mut self,
        name: &str,
        kind: &str,
        help: &str,
        samples: impl IntoIterator<Item = (Vec<Label<'l>>, f64)>,
    ) {
        self.family(name, kind, help);
        for (labels, value) in samples {
            self.sample(name, &labels, value);
        }
    }

    fn histograms<'h, const N: usize>(
        &mut self,
        name: &str,
        help: &str,
        histograms: impl IntoIterator<Item = (Vec<Label<'h>>, &'h Histogram<N>)>,
    ) {
        self.family(name, "histogram", help);
        let bucket = format!("{name}_bucket");
        for (labels, histogram) in histograms {
            for (bound, count) in histogram.cumulative() {
                self.sample(&bucket, &with(&labels, ("le", &bound.to_string())), float(count));
            }
            self.sample(&bucket, &with(&labels, ("le", "+Inf")), float(histogram.count()));
            self.sample(&format!("{name}_sum"), &labels, histogram.sum());
            self.sample(&format!("{name}_count"), &labels, float(histogram.count()));
        }
    }

    fn line(&mut self, text: std::fmt::Arguments<'_>) {
        // Writing to a String does not fail.
        let _: std::fmt::Result = self.0.write_fmt(text);
    }
}

/// The format knows floats only; they are exact up to 2^53.
#[expect(clippy::cast_precision_loss, reason = "2^53 segments take centuries")]
fn float(count: u64) -> f64 {
    count as f64
}

fn unix_seconds(at: SystemTime) -> f64 {
    at.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64()
}

#[cfg(test)]
mod tests;
