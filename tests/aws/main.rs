//! The AWS side against servers on loopback: what is sent, where to, with whose credentials, and what is made of the
//! answers.

#![allow(
    clippy::unwrap_used,
    reason = "clippy.toml allows it in test functions only, not in what they share"
)]

mod answers;
mod credentials;
mod doctor;
mod doctor_otlp;
mod endpoints;
mod failures;
mod forward;
mod proxies;
mod requests;
mod support;
mod tls;
