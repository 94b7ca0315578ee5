#![cfg_attr(not(test), warn(clippy::disallowed_methods))]

//! What a document is: the JSON of a segment, or an OTLP request in base64, as `PutTraceSegments` takes it. No I/O and no
//! clock.
//!
//! | module | its one job |
//! |---|---|
//! | [`segment`] | whether X-Ray would take a document |
//! | [`cause`] | what is wrong with one that it would not |
//! | [`outline`] | what a store must know of a document at once |
//! | [`otlp`] | OTLP spans as documents |
//! | [`nesting`] | how deep a document nests |
//! | [`clock`] | times, also in units that are not meant |
//! | [`fields`] | fields that may be missing or of the wrong type |

pub mod cause;
pub mod clock;
pub mod fields;
pub mod nesting;
pub mod otlp;
pub mod outline;
pub mod segment;
