//! The daemon's binary between real clients and X-Ray services: the example apps with the X-Ray SDKs for Python and
//! Node.js on one side, moto and the project's own X-Ray on the other.
//!
//! The tests install what they need into `target/clients` (see [`xray_double::harness::install`]). On a machine without Python or Node.js
//! the tests that need them say so on stderr and pass; where the variable `CI` is set they fail instead.
//!
//! No port is fixed and nothing waits for a time: everything waits for what it needs to see, at most [`xray_double::harness::process::PATIENCE`].

mod adot;
mod again;
mod bridge;
mod daemon;
mod deploy;
mod endpoint;
mod forwarded;
mod operators;
mod otlp;
mod packages;
mod receiver;
#[cfg(target_os = "linux")]
mod refused;
mod sampling;
mod sdks;
mod shipped;
mod tap;

/// What the tests install is beside this directory.
const TMP: &str = env!("CARGO_TARGET_TMPDIR");
