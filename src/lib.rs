//! `xray`: a drop-in replacement for the AWS X-Ray daemon.
//!
//! It runs beside a backend container, takes segment documents from any X-Ray SDK on UDP 2000, buffers them in
//! memory and forwards them in batches with `PutTraceSegments`.
//!
//! # The way of the data
//!
//! ```text
//!                                                   spool
//!                                                     ↕
//! UDP 2000 ──> receivers::udp ──> pipeline: batch ──> queue ──> exporters: sender ──> xray ──> PutTraceSegments
//!                      │                 ↑              │                  │
//!                      └─────────────────┼──────────────┴──────────────────┴──> ledger ──> logs, metrics, telemetry
//! TCP 2000 ──> api ──┬─> receivers::http ┘
//!                    ├─> exporters::xray ──> GetSamplingRules, SamplingTargets
//!                    └─> health, metrics
//! ```
//!
//! One direction, no step back. Each stage knows the next one only; [`daemon`] alone knows them all: it binds,
//! wires, spawns, waits and drains.
//!
//! | room | its one job |
//! |---|---|
//! | [`cli`] | the official daemon's flags in Go's spellings; subcommands; no I/O |
//! | [`config`] | one checked [`config::Config`] from flags over cfg.yaml over defaults |
//! | [`daemon`] | start order, wiring, signals, drain order |
//! | [`dev`] | the built-in X-Ray: `xray dev`, `xray send` |
//! | [`api`] | what TCP 2000 answers: sampling calls passed on, health, metrics; `xray healthcheck` |
//! | [`receivers`] | how documents come in: UDP, `POST /TraceSegments` |
//! | [`pipeline`] | where they wait: batch, queue, budget, spool; no network, and no clock but in the spool's worker |
//! | [`exporters`] | how they go out: sender, pacer, X-Ray |
//! | [`aws`] | who and where this daemon is: region, credentials, endpoint |
//! | [`net`] | the wire both ways: server, client, addresses to listen on |
//! | [`ledger`] | what became of every document, by closed reason enums; no I/O |
//! | [`logs`] | the official line format, JSON, files with rotation, rate-limited repeats |

pub mod api;
pub mod aws;
pub mod cli;
pub mod config;
pub mod daemon;
pub mod dev;
pub mod exporters;
pub mod ledger;
pub mod logs;
pub mod net;
pub mod pipeline;
pub mod receivers;

/// What the targets in `fuzz/` reach beyond the public interface. Only there when they are built.
#[cfg(fuzzing)]
pub mod fuzzing {
    use std::sync::Arc;

    use tokio::io::{AsyncRead, AsyncWrite};
    use tokio::sync::watch;
    use tokio::time::Instant;

    use crate::api::limits::CONNECTIONS;
    use crate::api::{App, Upstream};
    use crate::net::server::connection::{self, Shared};

    /// Serves one connection of the TCP port, as its server does, until the client or a time limit ends it.
    pub async fn serve_http<S, U>(stream: S, app: &App<U>)
    where
        S: AsyncRead + AsyncWrite + Unpin,
        U: Upstream,
    {
        let shared = Arc::new(Shared::new(Instant::now().into_std()));
        let (_stop, stopped) = watch::channel(false);
        let answer = |request| app.answer(request);
        let _ending = connection::serve(stream, shared, CONNECTIONS, stopped, answer).await;
    }
}
