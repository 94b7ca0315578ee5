//! HTTP/1.1 for ports of this daemon: connections within limits, who may use them, bodies and answers.

pub(crate) mod answer;
pub(crate) mod body;
pub(crate) mod connection;
pub mod guard;
pub mod limits;
