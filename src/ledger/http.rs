//! What the TCP port was asked, and what it refused before it was asked anything.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use super::signal::Signal;

/// What a request is for; the label in metrics, so that clients can't make up new ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Route {
    /// `POST /GetSamplingRules`.
    GetSamplingRules,
    /// `POST /SamplingTargets`.
    SamplingTargets,
    /// `POST /SamplingStatisticSummaries`.
    SamplingStatisticSummaries,
    /// A path that `--proxy-allow` names.
    ProxyAllow,
    /// `POST /TraceSegments`.
    TraceSegments,
    /// `GET /healthz`.
    Healthz,
    /// `GET /readyz`.
    Readyz,
    /// `GET /metrics`.
    Metrics,
    /// The page of `xray dev` and what it asks.
    Page,
    /// Any other call of the API that `xray dev` answers.
    Api,
    /// OTLP of this signal, over HTTP or gRPC; of the latter with the status that HTTP would have had.
    Otlp(Signal),
    /// Any other path.
    Unknown,
}

impl Route {
    /// Every route, in the order of their declaration.
    #[cfg(test)]
    pub(crate) const ALL: [Self; 14] = [
        Self::GetSamplingRules,
        Self::SamplingTargets,
        Self::SamplingStatisticSummaries,
        Self::ProxyAllow,
        Self::TraceSegments,
        Self::Healthz,
        Self::Readyz,
        Self::Metrics,
        Self::Page,
        Self::Api,
        Self::Otlp(Signal::Traces),
        Self::Otlp(Signal::Metrics),
        Self::Otlp(Signal::Logs),
        Self::Unknown,
    ];

    /// The label in metrics.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::GetSamplingRules => "GetSamplingRules",
            Self::SamplingTargets => "SamplingTargets",
            Self::SamplingStatisticSummaries => "SamplingStatisticSummaries",
            Self::ProxyAllow => "proxy_allow",
            Self::TraceSegments => "TraceSegments",
            Self::Healthz => "healthz",
            Self::Readyz => "readyz",
            Self::Metrics => "metrics",
            Self::Page => "page",
            Self::Api => "api",
            Self::Otlp(Signal::Traces) => "otlp_traces",
            Self::Otlp(Signal::Metrics) => "otlp_metrics",
            Self::Otlp(Signal::Logs) => "otlp_logs",
            Self::Unknown => "unknown",
        }
    }
}

/// Why a connection ended that was not simply closed by its client.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Ending {
    /// What came was no HTTP request, or its head was too long.
    BadRequest,
    /// A request's head did not arrive in time.
    HeadTimeout,
    /// A request with its answer took too long.
    ExchangeTimeout,
    /// No request came for long.
    Idle,
    /// It had no request and made room for another one.
    Evicted,
    /// It was one too many.
    TooMany,
    /// The network or the client broke it off in the middle.
    BrokenOff,
    /// Its client took back too many requests before they were answered.
    TakenBack,
}

impl Ending {
    /// Every ending.
    pub const ALL: [Self; 8] = [
        Self::BadRequest,
        Self::HeadTimeout,
        Self::ExchangeTimeout,
        Self::Idle,
        Self::Evicted,
        Self::TooMany,
        Self::BrokenOff,
        Self::TakenBack,
    ];

    const fn index(self) -> usize {
        self as usize
    }

    /// The label in metrics.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::BadRequest => "bad_request",
            Self::HeadTimeout => "head_timeout",
            Self::ExchangeTimeout => "exchange_timeout",
            Self::Idle => "idle",
            Self::Evicted => "evicted",
            Self::TooMany => "too_many",
            Self::BrokenOff => "broken_off",
            Self::TakenBack => "taken_back",
        }
    }
}

/// The counts of one moment.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct HttpCounts {
    /// Requests by route and status.
    pub requests: BTreeMap<(Route, u16), u64>,
    endings: [u64; Ending::ALL.len()],
    /// Connections that are open now.
    pub open_connections: u64,
}

impl HttpCounts {
    /// Connections that ended so.
    #[must_use]
    pub fn ended(&self, ending: Ending) -> u64 {
        self.endings[ending.index()]
    }
}

/// The counters. A mutex: they are touched a few times a second, and never by the receiver.
#[derive(Debug, Default)]
pub struct Http(Mutex<HttpCounts>);

impl Http {
    /// A request was answered.
    pub fn add_request(&self, route: Route, status: u16) {
        self.change(|counts| *counts.requests.entry((route, status)).or_default() += 1);
    }

    /// A connection was opened.
    pub fn add_connection(&self) {
        self.change(|counts| counts.open_connections += 1);
    }

    /// A connection was closed.
    pub fn remove_connection(&self) {
        self.change(|counts| counts.open_connections = counts.open_connections.saturating_sub(1));
    }

    /// A connection did not simply end.
    pub fn add_ending(&self, ending: Ending) {
        self.change(|counts| counts.endings[ending.index()] += 1);
    }

    /// The counts now.
    #[must_use]
    pub fn snapshot(&self) -> HttpCounts {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn change(&self, change: impl FnOnce(&mut HttpCounts)) {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_ending_has_a_counter_and_a_label_of_its_own() {
        let http = Http::default();
        for (n, ending) in (1..).zip(Ending::ALL) {
            (0..n).for_each(|_| http.add_ending(ending));
        }
        let counts = http.snapshot();
        assert_eq!(
            Ending::ALL.map(|ending| counts.ended(ending)),
            [1, 2, 3, 4, 5, 6, 7, 8]
        );
        assert_eq!(
            Ending::ALL.map(Ending::label),
            [
                "bad_request",
                "head_timeout",
                "exchange_timeout",
                "idle",
                "evicted",
                "too_many",
                "broken_off",
                "taken_back",
            ]
        );
    }

    #[test]
    fn each_route_has_a_label_of_its_own() {
        let labels = [
            (Route::GetSamplingRules, "GetSamplingRules"),
            (Route::SamplingTargets, "SamplingTargets"),
            (Route::SamplingStatisticSummaries, "SamplingStatisticSummaries"),
            (Route::ProxyAllow, "proxy_allow"),
            (Route::TraceSegments, "TraceSegments"),
            (Route::Healthz, "healthz"),
            (Route::Readyz, "readyz"),
            (Route::Metrics, "metrics"),
            (Route::Otlp(Signal::Traces), "otlp_traces"),
            (Route::Otlp(Signal::Metrics), "otlp_metrics"),
            (Route::Otlp(Signal::Logs), "otlp_logs"),
            (Route::Unknown, "unknown"),
        ];
        for (route, label) in labels {
            assert_eq!(route.label(), label);
        }
    }

    #[test]
    fn requests_are_counted_by_route_and_status_and_connections_while_they_are_open() {
        let http = Http::default();
        http.add_connection();
        http.add_connection();
        http.add_request(Route::Healthz, 200);
        http.add_request(Route::Healthz, 200);
        http.add_request(Route::Healthz, 503);
        http.add_request(Route::Metrics, 200);
        assert_eq!(http.snapshot().open_connections, 2);
        http.remove_connection();
        let counts = http.snapshot();
        assert_eq!(counts.open_connections, 1);
        assert_eq!(
            counts.requests.into_iter().collect::<Vec<_>>(),
            [
                ((Route::Healthz, 200), 2),
                ((Route::Healthz, 503), 1),
                ((Route::Metrics, 200), 1)
            ]
        );
    }
}
