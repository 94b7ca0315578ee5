//! The daemon's binary between real clients and X-Ray services: the X-Ray SDKs for Python, Node.js, Java and Go and the
//! samplers of OpenTelemetry's SDKs on one side, moto and the project's own X-Ray on the other.
//!
//! The tests install what they need into `target/clients` (see [`xray_double::harness::install`] and
//! [`xray_double::harness::compiled`]). On a machine without Python, Node.js, Java or Go the tests that need them say so on
//! stderr and pass; where the variable `CI` is set they fail instead.
//!
//! What each SDK sends is compared with `tests/recorded` (see [`xray_double::harness::recorded`]).
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
mod samplers;
mod sampling;
mod sdks;
mod shipped;

/// What the tests install is beside this directory.
const TMP: &str = env!("CARGO_TARGET_TMPDIR");
