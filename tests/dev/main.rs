//! `xray dev` as a user starts it: the binary on free ports, read by the AWS CLI and SDKs, beside moto, under real SDKs, and in an
//! environment in which everything points elsewhere.
//!
//! The tests that need Python or Node.js install what they need as `tests/clients` does, and share it.

mod ask;
mod aws_cli;
mod aws_sdks;
mod boto;
mod bounds;
mod compose;
#[cfg(target_os = "linux")]
mod crowd;
mod files;
mod hostile;
mod http;
mod logs;
mod otlp;
mod sdks;
mod server;
mod store;
mod terminal;

/// What the tests install is beside this directory.
const TMP: &str = env!("CARGO_TARGET_TMPDIR");

/// The program under test.
const XRAY: &str = env!("CARGO_BIN_EXE_xray");
