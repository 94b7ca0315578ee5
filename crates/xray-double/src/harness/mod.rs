//! What the tests of the daemon share: the programs they start, what they send, and what they read.
//!
//! Only a test target knows where Cargo has put the program under test and where things may be left
//! (`CARGO_BIN_EXE_xray`, `CARGO_TARGET_TMPDIR`): it passes them in.
//!
//! | module | its one job |
//! |---|---|
//! | [`process`] | child processes whose output can be waited for |
//! | [`daemon`] | the daemon against the double |
//! | [`dev`] | `xray dev` on free ports |
//! | [`doctor`] | `xray doctor`, and what it says |
//! | [`account`] | the account in the last line of a run |
//! | [`outages`] | all that an endpoint can do to a daemon |
//! | [`datagrams`] | what the official daemon was seen to do with datagrams |
//! | [`install`] | Python and Node.js packages |
//! | [`compiled`] | the clients in Java and in Go |
//! | [`apps`], [`routes`], [`web`] | the example apps, their routes, and requests to them |
//! | [`tap`], [`recorded`] | what a client sends, and what it has sent once |
//! | [`moto`] | moto's X-Ray |

pub mod account;
pub mod apps;
pub mod compiled;
pub mod daemon;
pub mod datagrams;
pub mod dev;
pub mod doctor;
pub mod install;
pub mod moto;
pub mod outages;
pub mod process;
pub mod recorded;
pub mod routes;
pub mod tap;
pub mod web;

/// The credentials everybody is given; the double checks signatures against the secret.
pub const ACCESS_KEY_ID: &str = "AKIDEXAMPLE";
/// See [`ACCESS_KEY_ID`].
pub const SECRET_ACCESS_KEY: &str = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";
/// The region everybody is given.
pub const REGION: &str = "us-east-1";
