//! What the benchmarks share.

#![allow(dead_code, reason = "each benchmark uses a part")]

pub(crate) mod segment;
