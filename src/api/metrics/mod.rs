//! The counters in the text format of Prometheus, version 0.0.4. Names and labels are an interface: dashboards and
//! alerts are made of them.
//!
//! docs/metrics.md lists them, with the values of their labels; tests compare it with what is shown.

mod source;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use crate::api::summary::Totals;
use crate::ledger::calls::{Calls, Operation};
use crate::ledger::histogram::Histogram;
use crate::ledger::http::{Ending, HttpCounts};
use crate::ledger::outcome::ErrorClass;
use crate::ledger::{DropReason, RejectReason};
use crate::pipeline::lane::depth::{Depth, SpoolDepth};

pub use source::Source;

/// Everything that is shown, at one moment.
#[derive(Debug, Clone)]
pub struct Observed {
    /// What became of the documents.
    pub totals: Totals,
    /// What X-Ray did not process, by its error code.
    pub unprocessed: BTreeMap<String, u64>,
    /// What is in memory.
    pub depth: Depth,
    /// What became of the calls.
    pub calls: Calls,
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

/// The page.
#[must_use]
pub fn render(observed: &Observed) -> String {
    let mut page = Page(String::with_capacity(8 << 10));
    process(&mut page, observed);
    segments(&mut page, observed);
    buffer(&mut page, &observed.depth);
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

fn segments(page: &mut Page, observed: &Observed) {
    let counts = &observed.totals.counts;
    page.count(
        "xray_segments_received_total",
        "Datagrams and documents that came in, accepted or not.",
        counts.received,
    );
    page.count(
        "xray_segments_sent_total",
        "Documents that X-Ray took.",
        counts.sent,
    );
    page.counts(
        "xray_segments_rejected_total",
        "What came in and is no segment, by reason.",
        "reason",
        RejectReason::ALL.map(|reason| (reason.label(), counts.rejected(reason))),
    );
    page.counts(
        "xray_segments_dropped_total",
        "Accepted documents that were lost, by reason.",
        "reason",
        DropReason::ALL.map(|reason| (reason.label(), counts.dropped(reason))),
    );
    page.counts(
        "xray_segments_unprocessed_total",
        "Documents that X-Ray named as unprocessed and that are not sent again, by its error code.",
        "error_code",
        observed
            .unprocessed
            .iter()
            .map(|(code, count)| (code.as_str(), *count)),
    );
    page.count(
        "xray_segments_replaced_utf8_total",
        "Documents in which bytes that are not UTF-8 were replaced.",
        counts.replaced_utf8,
    );
    page.single(
        "xray_segments_pending",
        "gauge",
        "Documents in memory, accepted and not settled yet.",
        float(observed.totals.pending),
    );
    page.count(
        "xray_segments_recovered_total",
        "Documents that an earlier process left in the spool.",
        counts.recovered,
    );
    page.single(
        "xray_segments_spooled",
        "gauge",
        "Documents that wait on disk.",
        float(counts.spooled),
    );
    if let Some(drops) = observed.totals.kernel_dropped {
        page.count(
            "xray_udp_kernel_drops_total",
            "Datagrams that the kernel dropped because its receive buffer was full.",
            drops,
        );
    }
    if let Some(lost) = observed.totals.lost_in_fragments {
        page.count(
            "xray_network_lost_in_fragments_total",
            "Datagrams, whoever they were for, that this network namespace could not put together from their fragments.",
            lost,
        );
    }
}

fn buffer(page: &mut Page, depth: &Depth) {
    let states = [
        ("open", depth.open),
        ("waiting", depth.waiting),
        ("in_flight", depth.in_flight),
    ];
    page.family(
        "xray_buffer_segments",
        "gauge",
        "Documents in memory, by what they wait for.",
    );
    for (state, held) in states {
        page.sample("xray_buffer_segments", &[("state", state)], held.documents as f64);
    }
    page.family(
        "xray_buffer_bytes",
        "gauge",
        "Bytes of the request bodies in memory, by what they wait for.",
    );
    for (state, held) in states {
        page.sample("xray_buffer_bytes", &[("state", state)], held.bytes as f64);
    }
    page.single(
        "xray_buffer_limit_bytes",
        "gauge",
        "The most bytes that may be in memory.",
        depth.budget_bytes as f64,
    );
    if let Some(depth) = &depth.spool {
        spool(page, depth);
    }
}

fn spool(page: &mut Page, depth: &SpoolDepth) {
    for (name, help, value) in [
        (
            "xray_spool_files",
            "Files that wait in the spool.",
            depth.files as f64,
        ),
        (
            "xray_spool_bytes",
            "What all files of the spool take up.",
            float(depth.file_bytes),
        ),
        (
            "xray_spool_limit_bytes",
            "The most that the files of the spool may take up.",
            float(depth.limit_bytes),
        ),
        (
            "xray_spool_to_write_bytes",
            "Memory of what waits to be written to the spool.",
            depth.to_write_bytes as f64,
        ),
    ] {
        page.single(name, "gauge", help, value);
    }
}

fn calls(page: &mut Page, observed: &Observed) {
    let calls = &observed.calls;
    page.family(
        "xray_calls_total",
        "counter",
        "Calls to X-Ray that ended, by operation and outcome.",
    );
    for operation in Operation::ALL {
        let classes = ErrorClass::ALL.map(Some);
        for class in std::iter::once(None).chain(classes) {
            let outcome = class.map_or("success", ErrorClass::label);
            let labels = [("operation", operation.label()), ("outcome", outcome)];
            page.sample(
                "xray_calls_total",
                &labels,
                float(calls.outcome(operation, class)),
            );
        }
    }
    page.single(
        "xray_calls_in_flight",
        "gauge",
        "PutTraceSegments calls that run now.",
        float(calls.in_flight),
    );
    page.count(
        "xray_call_retries_total",
        "PutTraceSegments calls for a batch that had been sent before.",
        calls.retries,
    );
    page.histogram(
        "xray_call_duration_seconds",
        "How long PutTraceSegments calls took, failed ones included.",
        &calls.duration,
    );
    page.histogram(
        "xray_batch_segments",
        "Documents in the batches that were sent.",
        &calls.batch_segments,
    );
    page.count(
        "xray_sent_bytes_total",
        "Bytes of the request bodies that X-Ray took.",
        calls.sent_bytes,
    );
    if let Some(last) = calls.last_success {
        let age = observed.now.saturating_duration_since(last);
        let at = observed.wall_clock.checked_sub(age).unwrap_or(UNIX_EPOCH);
        page.single(
            "xray_last_success_timestamp_seconds",
            "gauge",
            "When PutTraceSegments last succeeded, in Unix time.",
            unix_seconds(at),
        );
        page.single(
            "xray_seconds_since_last_success",
            "gauge",
            "How long ago PutTraceSegments last succeeded.",
            age.as_secs_f64(),
        );
    }
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

    fn histogram<const N: usize>(&mut self, name: &str, help: &str, histogram: &Histogram<N>) {
        self.family(name, "histogram", help);
        let bucket = format!("{name}_bucket");
        for (bound, count) in histogram.cumulative() {
            self.sample(&bucket, &[("le", &bound.to_string())], float(count));
        }
        self.sample(&bucket, &[("le", "+Inf")], float(histogram.count()));
        self.sample(&format!("{name}_sum"), &[], histogram.sum());
        self.sample(&format!("{name}_count"), &[], float(histogram.count()));
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
