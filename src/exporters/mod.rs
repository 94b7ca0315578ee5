//! How batches go out: calls in flight, back-off, halving, and settling every document in the ledger.
//!
//! | module | its one job |
//! |---|---|
//! | [`answer`], [`error`] | what a call came to, for every destination |
//! | [`bodies`] | what the bodies in the lanes are made of |
//! | [`either`] | both destinations as one type |
//! | [`sender`] | takes batches, calls, settles every document in the ledger |
//! | [`pacer`] | back-off, how many calls may be in flight |
//! | [`xray`] | X-Ray as a destination |
//! | [`otlp`] | an OTLP endpoint as a destination |
//! | `alarm` | one timer under the time limits of all calls |
//! | `transport` | the errors of calls without an answer |
//! | `retry_after` | how long an answer asks to wait |

mod alarm;
pub mod answer;
pub mod bodies;
pub mod either;
pub mod error;
pub mod otlp;
pub mod pacer;
mod retry_after;
#[allow(
    clippy::disallowed_methods,
    reason = "decides now what goes out and when; the pacer is told the time"
)]
pub mod sender;
mod transport;
pub mod xray;

use bytes::Bytes;

use self::answer::Answer;
use self::error::PutError;
use crate::pipeline::batch::encoding::Encoding;
use crate::pipeline::batch::kind::Kind;

/// A destination: what puts a body there, and says what the answer means. Clones are the same one.
///
/// The sender does the rest for all of them: how many calls run, when a failed one is repeated, what is halved and what
/// is sent once more.
pub trait Exporter: Clone + Send + Sync + 'static {
    /// How the bodies are written that it puts.
    type Encoding: Encoding;

    /// Sends `body` of `kind`, finished and not to be copied, once. Dropping the future ends the call.
    ///
    /// # Errors
    /// Why the destination did not take it, and by its class what to do about that: a body that is refused for good
    /// ([`Refused`](crate::ledger::outcome::ErrorClass::Refused)) is halved, for every other class it is sent again.
    fn put(&self, kind: Kind, body: Bytes) -> impl Future<Output = Result<Answer, PutError>> + Send;
}
