//! How much is in a request, counted without decoding it, and the most that is taken.

use super::wire::{Fields, Malformed};

/// A signal of OpenTelemetry: what a request is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Signal {
    /// `ExportTraceServiceRequest`; its items are spans.
    Traces,
    /// `ExportMetricsServiceRequest`; its items are data points.
    Metrics,
    /// `ExportLogsServiceRequest`; its items are log records.
    Logs,
}

impl Signal {
    /// Every signal, in the order of their counters.
    pub const ALL: [Self; 3] = [Self::Traces, Self::Metrics, Self::Logs];

    /// The label in metrics and JSON logs; also the last part of the path of OTLP over HTTP (`v1/traces`).
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Traces => "traces",
            Self::Metrics => "metrics",
            Self::Logs => "logs",
        }
    }

    /// What its items are called, in the plural.
    #[must_use]
    pub const fn items(self) -> &'static str {
        match self {
            Self::Traces => "spans",
            Self::Metrics => "data points",
            Self::Logs => "log records",
        }
    }

    /// The fields that lead from a request to its items, a level each: resources, scopes, items. Data points are two levels
    /// further down than spans: in metrics, in one of five forms.
    pub(super) const fn levels(self) -> &'static [&'static [u32]] {
        match self {
            Self::Traces | Self::Logs => &[&[1], &[2], &[2]],
            Self::Metrics => &[&[1], &[2], &[2], &[5, 7, 9, 10, 11], &[1]],
        }
    }
}

/// The most spans of a request that is decoded, whatever its length: what X-Ray's own OTLP endpoint takes. A request may have
/// more of [`SPAN_BYTES`].
pub const MAX_SPANS: u64 = 10_000;

/// The most resources and scopes together, whatever the request's length. An empty one is two bytes, and a hundred when it is
/// decoded. A request may have more of [`GROUP_BYTES`].
pub const MAX_GROUPS: u64 = 10_000;

/// Spans of so many bytes and more, on average, are as many as a request has room for: one of the longest kind that a receiver
/// takes has more than [`MAX_SPANS`] of them. Shorter ones are mostly what is said beside them, so that their number, and not
/// their length, is the work.
pub const SPAN_BYTES: usize = 256;

/// The same of resources and scopes, of which each span may have one.
pub const GROUP_BYTES: usize = SPAN_BYTES / 2;

/// The most spans of a request of so many bytes that is decoded.
#[must_use]
pub const fn max_spans(request_bytes: usize) -> u64 {
    most(MAX_SPANS, request_bytes / SPAN_BYTES)
}

/// The most resources and scopes of a request of so many bytes.
#[must_use]
pub const fn max_groups(request_bytes: usize) -> u64 {
    most(MAX_GROUPS, request_bytes / GROUP_BYTES)
}

const fn most(least: u64, by_length: usize) -> u64 {
    let by_length = by_length as u64;
    if by_length > least { by_length } else { least }
}

/// The longest span, resource or scope that is decoded, in bytes: five times what X-Ray's OTLP endpoint takes, and
/// sixteen times what a segment may have. An empty attribute of two bytes takes up fifty, decoded.
pub const MAX_MESSAGE_BYTES: usize = 1 << 20;

/// The most messages inside each other in one span, by the limit of the decoder.
pub const MAX_LEVELS: usize = 100;

/// How much is in a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Count {
    /// `ResourceSpans`, `ResourceMetrics` or `ResourceLogs`.
    pub resources: u64,
    /// The groups of one scope in them.
    pub scopes: u64,
    /// Spans, data points or log records.
    pub items: u64,
}

/// A request that has more than is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TooMuch {
    /// More than [`max_spans`]: so many, and the most.
    #[error("{0} spans in one request; {1} are the most")]
    Spans(u64, u64),
    /// More than [`max_groups`]: so many, and the most.
    #[error("{0} resources and scopes in one request; {1} are the most")]
    Groups(u64, u64),
}

impl Count {
    /// Whether a request for traces of so many bytes with this in it may be decoded.
    ///
    /// # Errors
    /// What there is too much of.
    pub const fn within_limits(self, request_bytes: usize) -> Result<(), TooMuch> {
        let most = max_spans(request_bytes);
        match self.groups_within_limits(request_bytes) {
            Ok(()) if self.items > most => Err(TooMuch::Spans(self.items, most)),
            groups => groups,
        }
    }

    /// Whether a request of so many bytes has no more resources and scopes than anybody has.
    ///
    /// # Errors
    /// It has more.
    pub const fn groups_within_limits(self, request_bytes: usize) -> Result<(), TooMuch> {
        let (groups, most) = (self.resources + self.scopes, max_groups(request_bytes));
        if groups > most {
            return Err(TooMuch::Groups(groups, most));
        }
        Ok(())
    }
}

/// Counts what is in a request in protobuf. The work is one step a message above the items; nothing is copied.
///
/// # Errors
/// The request, a resource or a scope (of metrics, also a metric) is no protobuf. What is in a span or a record is not
/// looked at.
pub fn count(signal: Signal, request: &[u8]) -> Result<Count, Malformed> {
    let mut counts = [0; 5];
    walk(signal.levels(), request, &mut counts)?;
    Ok(Count {
        resources: counts[0],
        scopes: counts[1],
        items: counts[signal.levels().len() - 1],
    })
}

/// As deep as there are levels.
fn walk(levels: &[&[u32]], message: &[u8], counts: &mut [u64]) -> Result<(), Malformed> {
    let (Some((numbers, below)), Some((count, counts))) = (levels.split_first(), counts.split_first_mut())
    else {
        return Ok(());
    };
    for field in Fields::of(message) {
        let field = field?;
        if let Some(content) = field.content.filter(|_| numbers.contains(&field.number)) {
            *count += 1;
            walk(below, content, counts)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::wire::message;
    use super::*;

    #[test]
    fn spans_and_records_are_counted_below_every_scope_of_every_resource() {
        let scope = message(&[(1, b""), (2, b"span"), (2, b""), (3, b"url")]);
        let resource = message(&[(1, b""), (2, &scope), (2, &scope), (2, b"")]);
        let request = message(&[(1, &resource), (1, b""), (1, &resource), (9, b"unknown")]);
        for signal in [Signal::Traces, Signal::Logs] {
            assert_eq!(
                count(signal, &request),
                Ok(Count {
                    resources: 3,
                    scopes: 6,
                    items: 8
                })
            );
        }
        assert_eq!(count(Signal::Traces, b""), Ok(Count::default()));
        assert!(count(Signal::Traces, b"{}").is_err());
    }

    #[test]
    fn of_metrics_the_data_points_are_counted_in_every_form() {
        let points = message(&[(1, b""), (1, b""), (2, b"")]);
        let metrics: Vec<Vec<u8>> = [5, 7, 9, 10, 11]
            .iter()
            .map(|form| message(&[(1, b"name"), (*form, &points)]))
            .collect();
        let metrics: Vec<(u32, &[u8])> = metrics.iter().map(|metric| (2, metric.as_slice())).collect();
        let request = message(&[(1, &message(&[(2, &message(&metrics))]))]);
        assert_eq!(
            count(Signal::Metrics, &request),
            Ok(Count {
                resources: 1,
                scopes: 1,
                items: 10
            })
        );
    }

    #[test]
    fn a_million_empty_resources_are_too_many_and_so_are_ten_thousand_and_one_tiny_spans() {
        let million = [1 << 3 | 2, 0].repeat(1_000_000);
        let counted = count(Signal::Traces, &million).unwrap();
        let too_much = Err(TooMuch::Groups(1_000_000, 15_625));
        assert_eq!(counted.within_limits(million.len()), too_much);
        assert_eq!(counted.groups_within_limits(million.len()), too_much);
        let spans = |spans: usize| {
            let scope = [2 << 3 | 2, 0].repeat(spans);
            let request = message(&[(1, &message(&[(2, &scope)]))]);
            let counted = count(Signal::Traces, &request).unwrap();
            assert_eq!(counted.groups_within_limits(request.len()), Ok(()));
            counted.within_limits(request.len())
        };
        assert_eq!(spans(10_000), Ok(()));
        assert_eq!(spans(10_001), Err(TooMuch::Spans(10_001, 10_000)));
    }

    #[test]
    fn a_long_request_may_have_more_of_a_usual_length() {
        let counted = |groups: u64, items: u64| Count {
            resources: groups / 2,
            scopes: groups - groups / 2,
            items,
        };
        for (bytes, groups, spans) in [
            (0, 10_000, 10_000),
            (128 * 10_001, 10_001, 10_000),
            (256 * 10_001, 20_002, 10_001),
            (20 << 20, 163_840, 81_920),
        ] {
            assert_eq!(counted(groups, spans).within_limits(bytes), Ok(()));
            let too_much = counted(groups, spans + 1).within_limits(bytes);
            assert_eq!(too_much, Err(TooMuch::Spans(spans + 1, spans)));
            let too_much = counted(groups + 1, spans).within_limits(bytes);
            assert_eq!(too_much, Err(TooMuch::Groups(groups + 1, groups)));
        }
    }
}
