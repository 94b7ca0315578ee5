//! The wire, both ways: addresses to listen on and those that are our own, and the client side of calls.

pub mod client;
pub mod listen;
pub mod own;
pub mod server;
