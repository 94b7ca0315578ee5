//! The built-in X-Ray service: what the daemon forwards to when there is no AWS, and the double that all tests use.

pub mod faults;
pub mod sampling;
pub mod segment;
pub mod service;
pub mod sigv4;
pub mod store;
pub mod telemetry;
