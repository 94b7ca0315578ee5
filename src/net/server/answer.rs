//! Answers of the port's own: JSON, and errors in the form that AWS SDKs read; their bodies, whole or streaming.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::header::{ALLOW, CONNECTION, CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderMap, HeaderValue, Response, StatusCode};
use hyper::body::{Frame, SizeHint};
use serde_json::{Value, json};
use tokio::sync::mpsc;

/// What a client that is told to come back later is told to wait, in seconds: what is in the way (a batch, a body of
/// somebody else's) is mostly gone by then.
const RETRY_AFTER_SECONDS: &str = "1";

/// The body of an answer.
#[derive(Debug)]
pub(crate) enum Body {
    /// In one piece.
    Whole(Bytes),
    /// As pieces come; ends when the sender is dropped. The sender's other end is gone when the client is.
    Stream(mpsc::Receiver<Bytes>),
    /// In one piece, with trailers after it: gRPC says in those how a call ended. HTTP/2 only.
    Trailed {
        /// The piece; empty once it is on its way.
        data: Bytes,
        /// `None` once they are on their way.
        trailers: Option<Box<HeaderMap>>,
    },
}

impl Body {
    /// Whether it has no end of its own.
    pub(crate) fn is_stream(&self) -> bool {
        matches!(self, Self::Stream(_))
    }
}

impl<B: Into<Bytes>> From<B> for Body {
    fn from(bytes: B) -> Self {
        Self::Whole(bytes.into())
    }
}

impl hyper::body::Body for Body {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        match &mut *self {
            Self::Whole(bytes) if bytes.is_empty() => Poll::Ready(None),
            Self::Whole(bytes) => Poll::Ready(Some(Ok(Frame::data(std::mem::take(bytes))))),
            Self::Stream(pieces) => pieces
                .poll_recv(cx)
                .map(|piece| piece.map(|piece| Ok(Frame::data(piece)))),
            Self::Trailed { data, .. } if !data.is_empty() => {
                Poll::Ready(Some(Ok(Frame::data(std::mem::take(data)))))
            }
            Self::Trailed { trailers, .. } => {
                Poll::Ready(trailers.take().map(|trailers| Ok(Frame::trailers(*trailers))))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        matches!(self, Self::Whole(bytes) if bytes.is_empty())
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Whole(bytes) => SizeHint::with_exact(bytes.len() as u64),
            // Calls of gRPC announce no length.
            Self::Stream(_) | Self::Trailed { .. } => SizeHint::default(),
        }
    }
}

/// An answer.
pub(crate) type Answer = Response<Body>;

/// `body` with `status`.
#[must_use]
pub(crate) fn json(status: StatusCode, body: &Value) -> Answer {
    json_text(status, body.to_string())
}

/// `body`, which is JSON, with `status`.
#[must_use]
pub(crate) fn json_text(status: StatusCode, body: String) -> Answer {
    let mut answer = of_type("application/json", body);
    *answer.status_mut() = status;
    answer
}

/// 200 with a body of this type.
#[must_use]
pub(crate) fn of_type(content_type: &'static str, body: impl Into<Body>) -> Answer {
    let mut answer = Response::new(body.into());
    answer
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    answer
}

/// An error as SDKs of AWS read it: a code in `__type` and a sentence in `message`.
#[must_use]
pub(crate) fn error(status: StatusCode, code: &str, message: &str) -> Answer {
    json(status, &json!({"__type": code, "message": message}))
}

/// The same, to be tried again soon.
#[must_use]
pub(crate) fn try_again(code: &str, message: &str) -> Answer {
    let mut answer = error(StatusCode::SERVICE_UNAVAILABLE, code, message);
    answer
        .headers_mut()
        .insert(RETRY_AFTER, HeaderValue::from_static(RETRY_AFTER_SECONDS));
    answer
}

/// A path that is there for other methods only.
#[must_use]
pub(crate) fn wrong_method(allowed: &'static str) -> Answer {
    let message = format!("This path takes {allowed} only.");
    let mut answer = error(StatusCode::METHOD_NOT_ALLOWED, "MethodNotAllowed", &message);
    answer
        .headers_mut()
        .insert(ALLOW, HeaderValue::from_static(allowed));
    answer
}

/// The last one on its connection.
#[must_use]
pub(crate) fn last(mut answer: Answer) -> Answer {
    answer
        .headers_mut()
        .insert(CONNECTION, HeaderValue::from_static("close"));
    answer
}

/// An error as bytes on the wire, for connections that HTTP does not get hold of; the last on its connection.
#[must_use]
pub(crate) fn raw_error(status: StatusCode, code: &str, message: &str) -> Vec<u8> {
    let body = json!({"__type": code, "message": message}).to_string();
    let reason = status.canonical_reason().unwrap_or_default();
    let status = status.as_u16();
    let retry = match status {
        503 => format!("retry-after: {RETRY_AFTER_SECONDS}\r\n"),
        _ => String::new(),
    };
    format!(
        "HTTP/1.1 {status} {reason}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n{retry}connection: \
         close\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}
