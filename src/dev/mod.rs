//! `xray dev`: the daemon, X-Ray itself in memory, a page and a terminal in one process; and `xray send`.
//!
//! What a document is, and X-Ray itself, are crates of their own: `xray-document` and `xray-service`.
//!
//! | module | its one job |
//! |---|---|
//! | [`run`] | the daemon and all of this in one process |
//! | [`settings`] | flags to its configuration |
//! | `web`, `page` | the TCP port, and the page's files |
//! | `finished`, `lines`, `screen` | when a trace is finished, and how a terminal shows it |
//! | `open` | traces out of a file of `--open` |
//! | `remarks` | what a terminal says beside traces |
//! | `disk` | traces in a file |
//! | `memory` | what the process really holds, for the bound on the store |
//! | [`ask`] | `xray traces`, `xray trace`: a running one is asked |
//! | `tail` | lines of a log beside their traces |
//! | [`send`] | `xray send`: one segment to try with |

pub mod ask;
pub(crate) mod disk;
pub(crate) mod finished;
pub(crate) mod lines;
mod memory;
mod open;
pub(crate) mod page;
pub(crate) mod remarks;
pub mod run;
pub(crate) mod screen;
pub mod send;
pub mod settings;
mod tail;
mod web;

/// The key with which the daemon of this process signs its calls to this process.
const DAEMON_KEY_ID: &str = "AKIDXRAYDEV";
