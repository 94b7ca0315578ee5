#![doc = include_str!("../docs/architecture.md")]
#![cfg_attr(not(test), warn(clippy::disallowed_methods))]

pub mod api;
pub mod aws;
pub mod cli;
pub mod config;
pub mod daemon;
#[allow(
    clippy::disallowed_methods,
    reason = "serves people at a terminal and a page; what can be told the time is in crates/xray-service"
)]
pub mod dev;
pub mod exporters;
pub mod ledger;
pub mod logs;
pub mod net;
pub mod pipeline;
pub mod receivers;
