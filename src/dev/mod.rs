//! The built-in X-Ray service: what the daemon forwards to when there is no AWS, and the double that all tests use.
//!
//! | module | its one job |
//! |---|---|
//! | [`service`] | the API: request and time in, answer out; no I/O, no clock |
//! | [`segment`] | whether the real service would take a document |
//! | [`store`] | accepted documents, verbatim, inside a budget |
//! | [`traces`] | the same as traces, inside a budget of bytes and traces |
//! | [`model`], [`merge`], `otlp` | documents to a tree, whatever their order; together again; OTLP spans as documents |
//! | [`digest`] | what of a trace filters, summaries and the service map need |
//! | [`filter`] | filter expressions |
//! | [`graph`] | the service map and its statistics |
//! | `api`, `console` | the API's reading calls; what the page asks |
//! | [`sampling`] | sampling rules, quotas, statistics |
//! | [`telemetry`] | what daemons report about themselves |
//! | [`sigv4`] | whether AWS would have taken a signature |
//! | [`faults`] | what goes wrong, and for which requests; for tests only |
//! | [`state`] | what a test may look at afterwards |
//! | [`server`] | HTTP/1.1 on any stream: signatures, faults, records; for tests only |
//! | [`double`] | all of it on a loopback port; for tests only |
//! | `web`, [`page`] | the TCP port of `xray dev`, and the page's files |
//! | [`finished`], [`lines`], [`screen`] | when a trace is finished, and how a terminal shows it |
//! | [`disk`] | traces in a file |
//! | [`run`] | `xray dev`: the daemon and all of this in one process |
//!
//! ```no_run
//! use std::time::Duration;
//! use xray::dev::double::{Double, DoubleConfig};
//! use xray::dev::faults::Fault;
//!
//! # async fn test() -> Result<(), Box<dyn std::error::Error>> {
//! let double = Double::start(DoubleConfig::default()).await?;
//! double.faults().times(2, Fault::throttled());
//! // … a daemon whose endpoint is double.url(), signing as sigv4::Key::example(), is sent a segment …
//! let documents = double.wait_for_documents(1, Duration::from_secs(5)).await?;
//! assert_eq!(double.requests().len(), 3);
//! # Ok(())
//! # }
//! ```

mod api;
mod console;
pub mod digest;
pub mod disk;
pub mod double;
pub mod faults;
pub mod filter;
pub mod finished;
pub mod graph;
pub mod lines;
pub mod merge;
pub mod model;
pub(crate) mod otlp;
pub mod page;
pub mod run;
pub mod sampling;
pub mod screen;
pub mod segment;
pub mod server;
pub mod service;
pub mod settings;
pub mod sigv4;
pub mod state;
pub mod store;
pub mod telemetry;
pub mod traces;
mod web;
