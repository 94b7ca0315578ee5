//! Everything that an endpoint can do to a daemon: segments wait and arrive when it ends, and the end of the process
//! comes in time meanwhile; with the real binary, against the project's own X-Ray.

#![allow(
    clippy::unwrap_used,
    reason = "a test may panic, also outside of its function"
)]

mod crash;
mod each;
mod end;
mod half_ill;
mod recovery;
mod spool;

/// The program under test.
const XRAY: &str = env!("CARGO_BIN_EXE_xray");
