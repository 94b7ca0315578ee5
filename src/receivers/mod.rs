//! How documents come in.
//!
//! | module | its one job |
//! |---|---|
//! | [`udp`] | the socket, the receive loop, the header check |
//! | [`http`] | `POST /TraceSegments` |

pub mod http;
pub mod udp;
