//! The built-in X-Ray service: what the daemon forwards to when there is no AWS, and the double that all tests use.
//!
//! | module | its one job |
//! |---|---|
//! | [`service`] | the API: request and time in, answer out; no I/O, no clock |
//! | [`segment`] | whether the real service would take a document |
//! | [`store`] | accepted documents, verbatim, inside a budget |
//! | [`sampling`] | sampling rules, quotas, statistics |
//! | [`telemetry`] | what daemons report about themselves |
//! | [`sigv4`] | whether AWS would have taken a signature |
//! | [`faults`] | what goes wrong, and for which requests; for tests only |
//! | [`state`] | what a test may look at afterwards |
//! | [`server`] | HTTP/1.1 on any stream: signatures, faults, records |
//! | [`double`] | all of it on a loopback port |
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
pub mod model;
mod otlp;
pub mod sampling;
pub mod segment;
pub mod server;
pub mod service;
pub mod sigv4;
pub mod state;
pub mod store;
pub mod telemetry;
pub mod traces;
