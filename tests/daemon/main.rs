//! The daemon as a process, against the project's own X-Ray: the way of the data, the start, the end.

mod end;
mod harness;
#[path = "../support/process.rs"]
mod process;
mod start;
mod way;
