//! For simulations: what the sender is told of an answer, without a network.

use std::time::Duration;

use bytes::Bytes;

use super::answer::Raw;
use crate::exporters::answer::Answer;
use crate::exporters::error::PutError;
use crate::exporters::transport;

/// What `response` means.
pub(crate) fn meaning(response: &http::Response<Bytes>) -> Result<Answer, PutError> {
    Raw::of(response.clone()).meaning()
}

/// What no answer within `limit` means.
pub(crate) fn timed_out(limit: Duration) -> PutError {
    transport::timed_out(limit)
}
