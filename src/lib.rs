//! `xray`: a drop-in replacement for the AWS X-Ray daemon.
//!
//! It runs beside a backend container, takes segment documents from any X-Ray SDK on UDP 2000, buffers them in
//! memory and forwards them in batches with `PutTraceSegments`.
//!
//! # The way of the data
//!
//! ```text
//!                                               spool
//!                                                 ↕
//! UDP 2000 ──> udp ──> datagram ──> batch ──> queue ──> sender ──> aws::put ──> PutTraceSegments
//!               │          │           │         │          │
//!               └──────────┴───────────┴─────────┴──────────┴──> ledger ──> logs, metrics, telemetry
//! TCP 2000 ──> http ──┬─> sampling ──> aws ──> GetSamplingRules, SamplingTargets
//!                     ├─> ingest ──> batch
//!                     └─> health, metrics
//! ```
//!
//! One direction, no step back. Each stage knows the next one only; [`daemon`] alone knows them all: it binds,
//! wires, spawns, waits and drains.
//!
//! | module | its one job |
//! |---|---|
//! | [`cli`] | the official daemon's flags in Go's spellings; subcommands |
//! | [`config`] | one validated [`config::Config`] from flags over cfg.yaml over defaults |
//! | [`daemon`] | start order, wiring, signals, drain order |
//! | [`listen`] | addresses to listen on, and why one can't be had |
//! | [`udp`] | socket set-up and the receive loop |
//! | [`datagram`] | the header check; the body is opaque bytes |
//! | [`batch`] | documents, escaped once into an open request body, whose memory is used again |
//! | [`queue`] | sealed batches inside a byte budget, oldest out first |
//! | [`intake`] | the open batch and the queue under one short lock |
//! | [`budget`] | how many bytes may wait in memory |
//! | [`retry`] | error classes, back-off, how many calls may be in flight |
//! | [`spool`] | sealed bodies as files when memory is not enough |
//! | [`sender`] | takes batches, calls, settles every document in the ledger |
//! | [`documents`] | what the documents of a batch are, for log lines about those that were refused |
//! | [`aws`] | region, credentials, endpoint, TLS, proxies; the `PutTraceSegments` call and other signed ones |
//! | [`http`] | the TCP port: who may use it, limits, sampling, documents, health, metrics |
//! | [`health`] | whether the daemon can do its work, and why not |
//! | [`healthcheck`] | asks a running daemon: the subcommand |
//! | [`telemetry`] | what the daemon tells X-Ray about itself |
//! | [`ledger`] | what became of every document, by closed reason enums |
//! | [`summary`] | the ledger in words, once a minute and at the end |
//! | [`signals`] | what the process is told |
//! | [`logs`] | the official line format, JSON, files with rotation, rate-limited repeats |
//! | [`dev`] | the built-in X-Ray service: `xray dev`, and the tests' double |
//! | [`send`] | `xray send`: one segment to try with |
//!
//! [`datagram`], [`batch`], [`queue`], [`retry`] and [`spool::index`] do no I/O and read no clock: tests drive them with
//! bytes and times and assert exact results.

pub mod aws;
pub mod batch;
pub mod budget;
pub mod cli;
pub mod config;
pub mod daemon;
pub mod datagram;
pub mod dev;
pub mod documents;
pub mod health;
pub mod healthcheck;
pub mod http;
pub mod intake;
pub mod ledger;
pub mod listen;
pub mod logs;
pub mod queue;
pub mod retry;
pub mod send;
pub mod sender;
pub mod signals;
pub mod spool;
pub mod summary;
pub mod telemetry;
#[cfg(test)]
mod testing;
mod text;
pub mod udp;

/// What the targets in `fuzz/` reach beyond the public interface. Only there when they are built.
#[cfg(fuzzing)]
pub mod fuzzing {
    use std::sync::Arc;

    use tokio::io::{AsyncRead, AsyncWrite};
    use tokio::sync::watch;
    use tokio::time::Instant;

    use crate::http::connection::{self, Shared};
    use crate::http::{App, Upstream};

    /// Serves one connection of the TCP port, as its server does, until the client or a time limit ends it.
    pub async fn serve_http<S, U>(stream: S, app: &App<U>)
    where
        S: AsyncRead + AsyncWrite + Unpin,
        U: Upstream,
    {
        let shared = Arc::new(Shared::new(Instant::now().into_std()));
        let (_stop, stopped) = watch::channel(false);
        let _ending = connection::serve(stream, shared, stopped, |request| app.answer(request)).await;
    }

    /// The documents that an OTLP document (`T1S…`) stands for; `None` when it can't be read.
    #[must_use]
    pub fn otlp_documents(document: &str) -> Option<Vec<String>> {
        let documents = crate::dev::otlp::documents(document)?;
        Some(documents.into_iter().map(|(_, text)| text).collect())
    }
}
