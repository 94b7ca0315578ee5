#![cfg_attr(not(test), warn(clippy::disallowed_methods))]

//! X-Ray in memory: what the daemon forwards to where there is no AWS. Request and time in, answer out; no I/O and no clock.
//!
//! | module | its one job |
//! |---|---|
//! | [`service`], [`operation`] | the API: which request gets which answer |
//! | [`answer`], `request` | an answer; what is wrong with a request |
//! | [`traces`] | accepted documents as traces, inside a budget of bytes and traces |
//! | [`model`], [`merge`] | documents to a tree, whatever their order; together again |
//! | [`digest`] | what of a trace filters, summaries and the service map need |
//! | [`filter`] | filter expressions |
//! | [`graph`] | the service map and its statistics |
//! | `api` | the API's reading calls |
//! | `retrieval` | its calls that retrieve traces by token |
//! | `groups`, `tags`, `policies`, `settings`, `insights` | the rest of the API |
//! | [`console`] | what the page of `xray dev` asks |
//! | [`sampling`] | sampling rules, quotas, statistics |
//! | [`work`] | what one question may cost |
//! | [`telemetry`] | what daemons report about themselves |

pub mod answer;
mod api;
pub mod console;
pub mod digest;
pub mod filter;
pub mod graph;
mod groups;
mod insights;
pub mod merge;
pub mod model;
pub mod operation;
pub mod operations;
mod policies;
mod request;
mod retrieval;
pub mod sampling;
pub mod service;
mod settings;
mod tags;
pub mod telemetry;
pub mod traces;
pub mod work;
