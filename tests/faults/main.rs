//! Everything that an endpoint can do to a daemon: segments wait and arrive when it ends, and the end of the process
//! comes in time meanwhile; with the real binary, against the project's own X-Ray.

#![allow(
    clippy::unwrap_used,
    reason = "a test may panic, also outside of its function"
)]

#[path = "../support/account.rs"]
mod account;
mod crash;
mod end;
#[expect(dead_code, reason = "shared with tests that use more of it")]
#[path = "../daemon/harness.rs"]
mod harness;
mod outages;
#[path = "../support/process.rs"]
mod process;
mod recovery;
mod spool;
