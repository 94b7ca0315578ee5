//! `xray dev` as a user starts it: the binary on free ports, read by boto3, beside moto, under real SDKs, and in an
//! environment in which everything points elsewhere.
//!
//! The tests that need Python or Node.js install what they need as `tests/clients` does, and share it.

#[allow(
    dead_code,
    reason = "the helpers of tests/clients, of which these tests need a part"
)]
#[path = "../clients/apps.rs"]
mod apps;
#[allow(dead_code, reason = "as above")]
#[path = "../clients/install.rs"]
mod install;
#[allow(dead_code, reason = "as above")]
#[path = "../clients/moto.rs"]
mod moto;
#[path = "../support/process.rs"]
#[allow(dead_code, reason = "as above")]
mod process;
#[allow(dead_code, reason = "as above")]
#[path = "../clients/routes.rs"]
mod routes;
#[allow(dead_code, reason = "as above")]
#[path = "../clients/web.rs"]
mod web;

mod boto;
mod compose;
mod hostile;
mod http;
mod otlp;
mod sdks;
mod server;
mod store;
mod terminal;

/// As the helpers of `tests/clients` have them.
const ACCESS_KEY_ID: &str = "AKIDEXAMPLE";
/// See [`ACCESS_KEY_ID`].
const SECRET_ACCESS_KEY: &str = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";
/// See [`ACCESS_KEY_ID`].
const REGION: &str = "us-east-1";
