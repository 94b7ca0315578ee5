//! The daemon's binary between real clients and X-Ray services: the example apps with the X-Ray SDKs for Python and
//! Node.js on one side, moto and the project's own X-Ray on the other.
//!
//! The tests install what they need into `target/clients` (see [`install`]). On a machine without Python or Node.js
//! the tests that need them say so on stderr and pass; where the variable `CI` is set they fail instead.
//!
//! No port is fixed and nothing waits for a time: everything waits for what it needs to see, at most [`process::PATIENCE`].

#[path = "../support/process.rs"]
mod process;

mod apps;
mod daemon;
mod endpoint;
mod forwarded;
mod install;
mod moto;
mod operators;
mod routes;
mod sampling;
mod sdks;
mod shipped;
mod tap;
mod web;

/// The credentials everybody is given; the built-in X-Ray checks signatures against the secret.
const ACCESS_KEY_ID: &str = "AKIDEXAMPLE";
/// See [`ACCESS_KEY_ID`].
const SECRET_ACCESS_KEY: &str = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";
/// The region everybody is given.
const REGION: &str = "us-east-1";
