//! Where documents wait: no network, and no clock but in the spool's worker. It knows no destination: what a request body
//! of one is made of is an [`Encoding`](batch::encoding::Encoding).
//!
//! | module | its one job |
//! |---|---|
//! | [`intake`] | what receivers speak to: one lane, or something that becomes many |
//! | [`fanout`] | the lanes of a daemon, and what goes into which |
//! | [`lane`] | one destination's open batch, queue, share of the budget and spool, under one short lock |
//! | [`batch`] | documents, encoded once into an open request body, whose memory is used again |
//! | [`queue`] | sealed batches inside a byte budget, oldest out first |
//! | [`budget`] | how many bytes may wait in memory |
//! | [`spool`] | sealed bodies as files when memory is not enough |

pub mod batch;
pub mod budget;
pub mod fanout;
pub mod intake;
pub mod lane;
pub mod queue;
pub mod spool;
