//! X-Ray for tests: the service of `xray-service` on a loopback port, with signatures checked, faults on demand and
//! records of all that came; and what the tests of the daemon share. Only ever a dev-dependency.
//!
//! It keeps a server of its own: one that must reset, cut, dawdle and lie shares no code with the one under test.
//!
//! | module | its one job |
//! |---|---|
//! | [`double`] | all of it on a loopback port |
//! | [`server`] | HTTP/1.1 on any stream: signatures, faults, records |
//! | [`endpoint`] | the service, and what it took |
//! | [`store`] | accepted documents, verbatim, inside a budget |
//! | [`faults`] | what goes wrong, and for which requests |
//! | [`state`] | what a test may look at afterwards |
//! | [`sigv4`] | whether AWS would have taken a signature |
//! | `port` | a port that stays its own while it is down |
//! | [`harness`] | the programs that tests start, and what they send and read |
//! | [`protobuf`] | fields of what a test sends over OTLP |
//! | [`sized`] | segments of an exact size, for benchmarks |
//!
//! ```no_run
//! use std::time::Duration;
//! use xray_double::double::{Double, DoubleConfig};
//! use xray_double::faults::Fault;
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

pub mod double;
pub mod endpoint;
pub mod faults;
pub mod harness;
mod port;
pub mod protobuf;
pub mod server;
pub mod sigv4;
pub mod sized;
pub mod state;
pub mod store;
