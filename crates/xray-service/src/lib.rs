#![cfg_attr(not(test), warn(clippy::disallowed_methods))]

//! X-Ray in memory: what the daemon forwards to where there is no AWS. Request and time in, answer out; no I/O and no clock.
//!
//! | module | its one job |
//! |---|---|
//! | [`service`], [`operation`] | the API: which request gets which answer |
//! | [`answer`], `request` | an answer; what is wrong with a request |
//! | [`refused`] | documents that were not taken |
//! | [`traces`] | accepted documents as traces, inside a budget of bytes and traces |
//! | [`model`], [`merge`] | documents to a tree, whatever their order; together again |
//! | [`digest`] | what of a trace filters, summaries and the service map need |
//! | [`failure`] | where a trace failed, and what its exceptions say |
//! | [`filter`] | filter expressions |
//! | [`graph`] | the service map and its statistics |
//! | `api` | the API's reading calls |
//! | `retrieval` | its calls that retrieve traces by token |
//! | `groups`, `tags`, `policies`, `settings`, `insights` | the rest of the API |
//! | [`console`] | what the page of `xray dev` asks |
//! | [`hints`] | what probably went wrong in who sent a trace |
//! | [`import`] | traces out of a file |
//! | [`logs`] | lines of logs that name a trace |
//! | [`row`] | a trace in a few words |
//! | [`sampling`] | sampling rules, quotas, statistics |
//! | [`work`] | what one question may cost |
//! | [`telemetry`] | what daemons report about themselves |

pub mod answer;
mod api;
pub mod console;
pub mod digest;
pub mod failure;
pub mod filter;
pub mod graph;
mod groups;
pub mod hints;
pub mod import;
mod insights;
pub mod logs;
pub mod merge;
pub mod model;
pub mod operation;
pub mod operations;
mod policies;
pub mod refused;
mod request;
mod retrieval;
pub mod row;
pub mod sampling;
pub mod service;
mod settings;
mod tags;
pub mod telemetry;
pub mod traces;
pub mod work;
