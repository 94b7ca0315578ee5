//! How batches go out: calls in flight, back-off, halving, and settling every document in the ledger.
//!
//! | module | its one job |
//! |---|---|
//! | [`sender`] | takes batches, calls, settles every document in the ledger |
//! | [`pacer`] | back-off, how many calls may be in flight |
//! | [`xray`] | X-Ray as a destination |

pub mod error;
pub mod pacer;
pub mod sender;
pub mod xray;
