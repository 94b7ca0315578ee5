//! X-Ray in memory: what the daemon forwards to where there is no AWS. Request and time in, answer out; no I/O and no clock.
//!
//! | module | its one job |
//! |---|---|
//! | [`service`] | the API: which request gets which answer |
//! | [`answer`] | an answer |
//! | [`traces`] | accepted documents as traces, inside a budget of bytes and traces |
//! | [`model`], [`merge`] | documents to a tree, whatever their order; together again |
//! | [`digest`] | what of a trace filters, summaries and the service map need |
//! | [`filter`] | filter expressions |
//! | [`graph`] | the service map and its statistics |
//! | `api` | the API's reading calls |
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
pub mod merge;
pub mod model;
pub mod sampling;
pub mod service;
pub mod telemetry;
pub mod traces;
pub mod work;
