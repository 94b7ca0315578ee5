//! The TCP port: sampling calls passed on, documents taken, health and metrics.
//!
//! # Paths
//!
//! | request | answer |
//! |---|---|
//! | `POST /GetSamplingRules`, `/SamplingTargets`, `/SamplingStatisticSummaries` | forwarded: a new request, signed with the daemon's credentials; the answer comes back as it is |
//! | `POST` of a path given with `--proxy-allow` | the same |
//! | `POST /TraceSegments` | what PutTraceSegments takes, put into the same batches as what comes over UDP; 503 when the buffer memory is full |
//! | `GET /healthz` | 200 while the process serves |
//! | `GET /readyz` | 200, or 503 with the reasons; ARNs in them for this machine only |
//! | `GET /metrics` | see [`metrics`] |
//! | anything else | 404, 405 or, for browsers, 403 (see [`guard`](crate::net::server::guard)) |
//!
//! Errors are JSON with `__type` and `message`, as SDKs of AWS read them. When X-Ray can't be asked: 502
//! (`UpstreamUnreachable`), 503 (`NoCredentials`, `RegionNotKnown`; `NoXRay` where nothing goes there) or 504 (`UpstreamTimeout`), within 2 s.
//!
//! # What it must not do
//!
//! Stop or slow the receiver of UDP, which runs on a thread of its own and shares with this port only the short lock
//! on the open batch. Every stage is limited in bytes, in time and in number; the limits and their reasons are in
//! [`limits`].

mod admin;
mod discretion;
pub mod doctor;
pub mod health;
pub mod healthcheck;
pub mod limits;
pub mod metrics;
mod routes;
mod sampling;
pub mod summary;
#[cfg(test)]
mod tests;
mod totals;

pub use routes::{App, serve};
pub use sampling::Upstream;
