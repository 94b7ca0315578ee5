//! How documents come in.
//!
//! | module | its one job |
//! |---|---|
//! | [`udp`] | the socket, the receive loop, the header check |
//! | [`http`] | `POST /TraceSegments` |
//! | [`otlp`] | OpenTelemetry's traces, metrics and logs, over HTTP and gRPC |

pub mod http;
pub mod otlp;
pub mod udp;
