//! The body of a request as it comes, seen by the connection that it comes on.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use hyper::body::{Body, Frame, Incoming, SizeHint};

use super::clocked::Clocked;
use super::progress::Event;

/// Why no more of a body comes.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BodyError {
    /// Its connection gives way to another one.
    #[error("the connection gave way to another one while its body was awaited")]
    GaveWay,
    /// It ended early, or is not in its announced form.
    #[error(transparent)]
    Broken(hyper::Error),
}

/// The body of a request. While it is not whole, the connection may be asked to go, and then it ends with an error, so
/// that its sender can be answered.
#[derive(Debug)]
pub(crate) struct RequestBody {
    incoming: Incoming,
    shared: Arc<Clocked>,
    /// Which of several requests it belongs to, on a connection that can have them.
    stream: Option<u64>,
}

impl RequestBody {
    pub(super) fn new(incoming: Incoming, shared: Arc<Clocked>) -> Self {
        Self {
            incoming,
            shared,
            stream: None,
        }
    }

    pub(super) fn of_stream(incoming: Incoming, shared: Arc<Clocked>, stream: u64) -> Self {
        Self {
            incoming,
            shared,
            stream: Some(stream),
        }
    }

    /// It is whole, or nobody waits for the rest of it.
    fn ended(&self) {
        match self.stream {
            None => self.shared.note(Event::BodyEnd),
            Some(stream) => self.shared.streams(|streams, _| streams.body_ended(stream)),
        }
    }
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        if self.shared.going().is_some() {
            return Poll::Ready(Some(Err(BodyError::GaveWay)));
        }
        let frame = ready!(Pin::new(&mut self.incoming).poll_frame(cx));
        if let (Some(Err(_)), Some(stream)) = (&frame, self.stream) {
            self.shared.streams(|streams, _| streams.body_broke(stream));
        }
        if frame.is_none() || self.incoming.is_end_stream() {
            self.ended();
        }
        Poll::Ready(frame.map(|frame| frame.map_err(BodyError::Broken)))
    }

    fn is_end_stream(&self) -> bool {
        self.incoming.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.incoming.size_hint()
    }
}

impl Drop for RequestBody {
    /// Nobody waits for the rest of it.
    fn drop(&mut self) {
        self.ended();
    }
}
