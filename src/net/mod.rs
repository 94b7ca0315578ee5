//! The wire, both ways: addresses to listen on, and the client side of calls.

pub mod client;
pub mod listen;
pub mod server;
