//! The daemon as a process, against the project's own X-Ray: the way of the data, the start, the end.

#![allow(
    clippy::unwrap_used,
    reason = "clippy.toml allows it in test functions only, not in what they share"
)]

mod credentials;
mod doctor;
mod end;
mod fields;
mod files;
mod start;
#[cfg(target_os = "linux")]
mod supervisor;
mod support;
mod way;

/// The program under test.
const XRAY: &str = env!("CARGO_BIN_EXE_xray");
