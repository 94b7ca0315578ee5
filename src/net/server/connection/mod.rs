//! One connection: HTTP/1.1 by hyper, with a clock on each stage that a client could hold on to; or HTTP/2, where the port
//! takes it.
//!
//! | part | its one job |
//! |---|---|
//! | `first` | tells the two by the first bytes |
//! | `http1`, `http2` | serve a connection of either, by hyper |
//! | `progress` | what a connection is at, and for how long it may be |
//! | `clocked` | what the server knows of it, and how readily it goes for another one |
//! | `alarm` | the clock, which is set with each stage and rings seldom |
//! | `ahead` | what has been read of HTTP/1.1 and belongs to no request yet |
//! | `streams` | the requests of a connection of HTTP/2 |
//! | `request_body`, `sent` | a body on its way in, an answer on its way out |
//! | `refusal` | what is said to what is no request |

mod ahead;
mod alarm;
mod clocked;
pub(crate) mod first;
mod http1;
mod http2;
mod progress;
mod refusal;
mod request_body;
mod sent;
mod streams;

pub(crate) use self::clocked::{Clocked, Readiness};
#[cfg(test)]
pub(crate) use self::clocked::{NEW, STALLED};
pub(crate) use self::http1::http1;
pub(crate) use self::request_body::{BodyError, RequestBody};

#[cfg(test)]
mod tests;
