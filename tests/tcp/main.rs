//! The TCP port of the daemon's binary, against the built-in X-Ray, which checks every signature.
//!
//! No port is fixed, and nothing waits for a time but for what it needs to see, at most [`xray_double::harness::process::PATIENCE`].

mod client;
mod daemon;
mod forwarding;
mod health;
mod held;
mod ingest;
mod shutdown;
mod telemetry;
mod undisturbed;
