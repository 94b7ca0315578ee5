//! Where documents wait: no network, and no clock but in the spool's worker.
//!
//! | module | its one job |
//! |---|---|
//! | [`batch`] | documents, escaped once into an open request body, whose memory is used again |
//! | [`queue`] | sealed batches inside a byte budget, oldest out first |
//! | [`intake`] | the open batch and the queue under one short lock |
//! | [`budget`] | how many bytes may wait in memory |
//! | [`spool`] | sealed bodies as files when memory is not enough |

pub mod batch;
pub mod budget;
pub mod intake;
pub mod queue;
pub mod spool;
