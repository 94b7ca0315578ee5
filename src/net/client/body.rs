//! The body of a request on its way to a connection.

use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use aws_smithy_types::body::{self, SdkBody};
use bytes::Bytes;
use http_body_util::Full;
use hyper::body::{Body, Frame, SizeHint};

/// A body of a request. A request is moved more than once on its way, and the SDK's own type for a body is five times as
/// large as what is in it.
#[derive(Debug)]
pub(crate) enum RequestBody {
    /// Is in memory, as nearly all are.
    Whole(Full<Bytes>),
    /// Is made while it is sent.
    Streamed(Box<SdkBody>),
}

impl From<Bytes> for RequestBody {
    fn from(bytes: Bytes) -> Self {
        Self::Whole(Full::new(bytes))
    }
}

impl From<SdkBody> for RequestBody {
    fn from(mut body: SdkBody) -> Self {
        if body.bytes().is_none() {
            return Self::Streamed(Box::new(body));
        }
        // What is in memory is there at once, whole, and not copied.
        let frame = Pin::new(&mut body).poll_frame(&mut Context::from_waker(Waker::noop()));
        let bytes = match frame {
            Poll::Ready(Some(Ok(frame))) => frame.into_data().unwrap_or_default(),
            _ => Bytes::new(),
        };
        Self::from(bytes)
    }
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = body::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, body::Error>>> {
        match self.get_mut() {
            Self::Whole(body) => Pin::new(body).poll_frame(context).map_err(|never| match never {}),
            Self::Streamed(body) => Pin::new(body.as_mut()).poll_frame(context),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Whole(body) => body.is_end_stream(),
            Self::Streamed(body) => Body::is_end_stream(body.as_ref()),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Whole(body) => body.size_hint(),
            Self::Streamed(body) => Body::size_hint(body.as_ref()),
        }
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt as _;

    use super::*;

    async fn read(body: RequestBody) -> Bytes {
        body.collect().await.unwrap().to_bytes()
    }

    #[tokio::test]
    async fn a_body_in_memory_is_the_same_bytes_and_of_known_length() {
        let bytes = Bytes::from(vec![b'x'; 100]);
        let body = RequestBody::from(SdkBody::from(bytes.clone()));
        assert_eq!(body.size_hint().exact(), Some(100));
        let sent = read(body).await;
        assert_eq!((sent.as_ptr(), sent.len()), (bytes.as_ptr(), 100));
        let empty = RequestBody::from(SdkBody::empty());
        assert!(empty.is_end_stream());
        assert_eq!(read(empty).await, "");
    }

    #[tokio::test]
    async fn a_body_that_is_made_while_it_is_sent_stays_one() {
        let made = Full::new(Bytes::from_static(b"made")).map_err(|never| match never {});
        let body = RequestBody::from(SdkBody::from_body_1_x(made));
        assert!(matches!(body, RequestBody::Streamed(_)));
        assert!(!body.is_end_stream());
        assert_eq!(read(body).await, "made");
    }
}
