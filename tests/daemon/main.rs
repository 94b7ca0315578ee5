//! The daemon as a process, against the project's own X-Ray: the way of the data, the start, the end.

mod end;
mod start;
#[cfg(target_os = "linux")]
mod supervisor;
mod way;

/// The program under test.
const XRAY: &str = env!("CARGO_BIN_EXE_xray");
