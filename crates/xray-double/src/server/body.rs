//! Answer bodies: whole, in slow pieces, or only half of what the head promised.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};
use tokio::time::Sleep;

/// A body whose length is announced in the head.
pub(super) struct AnswerBody {
    rest: Bytes,
    pace: Pace,
}

enum Pace {
    /// In one piece.
    Whole,
    /// A pause, and then at most so many bytes; again and again.
    Slow {
        chunk_bytes: usize,
        pause: Duration,
        sleep: Pin<Box<Sleep>>,
    },
    /// `left` bytes of `rest`, and then the connection is cut.
    Half {
        left: usize,
        cut: Option<Box<dyn FnOnce() + Send>>,
    },
}

impl AnswerBody {
    pub(super) fn whole(text: String) -> Self {
        Self {
            rest: Bytes::from(text),
            pace: Pace::Whole,
        }
    }

    /// The same bytes with a pause before each piece.
    pub(super) fn slow(self, chunk_bytes: usize, pause: Duration) -> Self {
        Self {
            rest: self.rest,
            pace: Pace::Slow {
                chunk_bytes,
                pause,
                sleep: Box::pin(tokio::time::sleep(pause)),
            },
        }
    }

    /// Half of the bytes (rounded down) while the head announces all; `cut` is called once they are handed over.
    pub(super) fn half(self, cut: impl FnOnce() + Send + 'static) -> Self {
        Self {
            pace: Pace::Half {
                left: self.rest.len() / 2,
                cut: Some(Box::new(cut)),
            },
            rest: self.rest,
        }
    }
}

impl Body for AnswerBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let this = &mut *self;
        let piece = match &mut this.pace {
            _ if this.rest.is_empty() => return Poll::Ready(None),
            Pace::Whole => this.rest.split_off(0),
            Pace::Slow {
                chunk_bytes,
                pause,
                sleep,
            } => {
                std::task::ready!(sleep.as_mut().poll(cx));
                sleep.set(tokio::time::sleep(*pause));
                let end = this.rest.len().min(*chunk_bytes);
                this.rest.split_to(end)
            }
            Pace::Half { left: 0, cut } => {
                // Pending makes hyper flush what it has; the cut takes effect after that, in the same turn.
                if let Some(cut) = cut.take() {
                    cut();
                }
                return Poll::Pending;
            }
            Pace::Half { left, .. } => {
                let piece = this.rest.split_to(*left);
                *left = 0;
                piece
            }
        };
        Poll::Ready(Some(Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.rest.len() as u64)
    }
}
