//! OTLP: requests read as far as is needed, spans made of segments and segments of spans. Pure functions; every amount of
//! work is bounded by the length of what is read.
//!
//! | module | its one job |
//! |---|---|
//! | [`to_span`] | a segment document as spans |
//! | [`to_segment`] | the spans of a request as segment documents |
//! | [`shown`] | the spans of a `T1S` document as `xray dev` shows them |
//! | [`json`] | requests in JSON: as protobuf, counted, halved |
//! | [`count`] | how much is in a request in protobuf, and the most that is taken |
//! | [`split`] | a request in protobuf as its two halves |
//! | [`resources`] | a request in protobuf without resources that are too long |
//! | [`logs`] | log records that name a trace |
//! | [`message`] | the messages of a request for traces |
//! | [`response`] | what a server says of a request that it has taken |
//! | `attributes` | attributes, and JSON in them |
//! | `keys`, `tables` | what both conversions go by: keys, and fields as attributes |
//! | `resource` | what a resource tells of segments |
//! | `stack` | frames out of the text of a language |
//! | `wire` | protobuf without a schema |
//!
//! An export request is one repeated field, so the bytes of two requests one after the other are one request with what is
//! in both. What [`to_span::spans_of`] returns is such a request.
//!
//! What becomes what is on the page `docs/otlp-mapping.md`.

mod attributes;
pub mod count;
pub mod json;
mod keys;
pub mod logs;
pub mod message;
mod resource;
pub mod resources;
pub mod response;
pub mod shown;
pub mod split;
mod stack;
mod tables;
pub mod to_segment;
pub mod to_span;
mod wire;

pub use count::{Count, Signal, TooMuch};
pub use shown::{documents, is_otlp};
pub use wire::Malformed;
