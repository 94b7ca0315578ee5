//! What OpenTelemetry sends: signals, and by which receiver anything came.

pub use xray_document::otlp::Signal;

/// What is counted for a destination, by what it is made of: a segment document, or an item of a signal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Content {
    /// Segment documents.
    Segments,
    /// Spans that came as such.
    Traces,
    /// Data points.
    Metrics,
    /// Log records.
    Logs,
}

impl Content {
    /// Every content, in the order of their counters.
    pub const ALL: [Self; 4] = [Self::Segments, Self::Traces, Self::Metrics, Self::Logs];

    /// Of a signal of OpenTelemetry.
    #[must_use]
    pub const fn of(signal: Signal) -> Self {
        match signal {
            Signal::Traces => Self::Traces,
            Signal::Metrics => Self::Metrics,
            Signal::Logs => Self::Logs,
        }
    }

    /// Its place in [`Content::ALL`].
    #[must_use]
    pub const fn index(self) -> usize {
        self as usize
    }

    /// The label `signal` in metrics and JSON logs.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Segments => "segments",
            Self::Traces => Signal::Traces.label(),
            Self::Metrics => Signal::Metrics.label(),
            Self::Logs => Signal::Logs.label(),
        }
    }

    /// What one counts, in the plural.
    #[must_use]
    pub const fn items(self) -> &'static str {
        match self {
            Self::Segments => "segments",
            Self::Traces => Signal::Traces.items(),
            Self::Metrics => Signal::Metrics.items(),
            Self::Logs => Signal::Logs.items(),
        }
    }
}

/// By which way something came in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Receiver {
    /// Datagrams with a segment document each.
    Udp,
    /// `POST /TraceSegments`.
    Http,
    /// OTLP over HTTP/1.1 or HTTP/2, protobuf or JSON.
    OtlpHttp,
    /// OTLP over gRPC.
    OtlpGrpc,
}

impl Receiver {
    /// Every receiver, in the order of their counters.
    pub const ALL: [Self; 4] = [Self::Udp, Self::Http, Self::OtlpHttp, Self::OtlpGrpc];

    /// The label in metrics and JSON logs.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Udp => "udp",
            Self::Http => "http",
            Self::OtlpHttp => "otlp_http",
            Self::OtlpGrpc => "otlp_grpc",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_those_of_the_metrics() {
        assert_eq!(Signal::ALL.map(Signal::label), ["traces", "metrics", "logs"]);
        assert_eq!(
            Signal::ALL.map(Signal::items),
            ["spans", "data points", "log records"]
        );
        assert_eq!(
            Receiver::ALL.map(Receiver::label),
            ["udp", "http", "otlp_http", "otlp_grpc"]
        );
    }
}
