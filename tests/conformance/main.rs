//! The conformance table: what the official daemon was seen to do with a command line, a configuration file or a datagram, and
//! what this one does, one row a case. A row that differs names its entry in `differences`, which docs/differences.md lists.

#![allow(
    clippy::unwrap_used,
    reason = "a test that panics has failed, also in a helper"
)]

mod command_line;
mod config_file;
mod datagrams;
mod differences;
mod otlp;
mod properties;
mod seeds;
mod spans;
mod support;
