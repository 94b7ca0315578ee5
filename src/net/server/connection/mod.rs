//! One connection: HTTP/1.1 by hyper, with a clock on each stage that a client could hold on to.

use std::convert::Infallible;
use std::future::poll_fn;
use std::io;
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{Request, StatusCode};
use hyper::body::{Frame, Incoming, SizeHint};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::{Notify, watch};

use super::answer::{self, Answer, Body};
use super::limits::Limits;
use crate::ledger::http::Ending;

/// What a connection is at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stage {
    /// No request.
    Idle,
    /// The head of one has begun.
    Head,
    /// The head is there; body, work and answer follow.
    Exchange,
    /// The answer is made and on its way.
    Answering,
    /// The answer is on its way, and has no end of its own.
    Streaming,
}

/// The stage and since when.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Progress {
    pub(crate) stage: Stage,
    pub(crate) since: Instant,
}

impl Progress {
    /// When it has been at its stage for too long; `None` for a stage without a limit.
    fn deadline(self, limits: &Limits) -> Option<Instant> {
        let limit = match self.stage {
            Stage::Idle => limits.idle,
            Stage::Head => limits.head,
            Stage::Exchange | Stage::Answering => limits.exchange,
            Stage::Streaming => return None,
        };
        Some(self.since + limit)
    }

    /// Whether closing the connection now takes no request from anybody.
    pub(crate) fn is_without_request(self) -> bool {
        matches!(self.stage, Stage::Idle | Stage::Head)
    }

    /// Whether its answer has no end of its own: it may be closed at any time, and its reader comes back.
    pub(crate) fn is_streaming(self) -> bool {
        self.stage == Stage::Streaming
    }

    fn may_go(self) -> bool {
        self.is_without_request() || self.is_streaming()
    }

    fn overdue(self) -> Ending {
        match self.stage {
            Stage::Idle => Ending::Idle,
            Stage::Head => Ending::HeadTimeout,
            Stage::Exchange | Stage::Answering | Stage::Streaming => Ending::ExchangeTimeout,
        }
    }

    /// The stage after `event`; `None`: as before.
    fn after(self, event: Event, now: Instant) -> Option<Self> {
        let stage = match (self.stage, event) {
            (Stage::Idle, Event::Bytes) => Stage::Head,
            // The next head may have come together with the last one's body.
            (Stage::Idle | Stage::Head, Event::Request) => Stage::Exchange,
            // The clock of the exchange goes on.
            (Stage::Exchange, Event::Answer) => {
                return Some(Self {
                    stage: Stage::Answering,
                    ..self
                });
            }
            (Stage::Exchange, Event::Stream) => Stage::Streaming,
            // What is left of it is limited like any answer.
            (Stage::Streaming, Event::StreamEnd) => Stage::Answering,
            (Stage::Answering, Event::Flushed) => Stage::Idle,
            (Stage::Answering, Event::Request) => Stage::Exchange,
            _ => return None,
        };
        Some(Self { stage, since: now })
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Event {
    Bytes,
    Request,
    Answer,
    Stream,
    StreamEnd,
    Flushed,
}

/// What the server knows of an open connection.
#[derive(Debug)]
pub(crate) struct Clocked {
    progress: Mutex<Progress>,
    evict: Notify,
}

impl Clocked {
    pub(crate) fn new(now: Instant) -> Self {
        Self {
            progress: Mutex::new(Progress {
                stage: Stage::Idle,
                since: now,
            }),
            evict: Notify::new(),
        }
    }

    pub(crate) fn progress(&self) -> Progress {
        *self.progress.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Asks the connection to go, if it is still without a request, or streams, when it hears of it.
    pub(crate) fn evict(&self) {
        self.evict.notify_one();
    }

    #[cfg(test)]
    pub(crate) async fn is_asked_to_go(&self) -> bool {
        let asked = tokio::time::timeout(Duration::from_millis(1), self.evict.notified());
        asked.await.is_ok()
    }

    #[cfg(test)]
    pub(crate) fn pretend_request(&self) {
        self.note(Event::Request);
    }

    #[cfg(test)]
    pub(crate) fn pretend_stream(&self) {
        self.note(Event::Request);
        self.note(Event::Stream);
    }

    fn note(&self, event: Event) {
        let mut progress = self.progress.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(next) = progress.after(event, now()) {
            *progress = next;
        }
    }
}

/// Serves requests until the client, a time limit, an eviction or `stop` ends it. `None`: the client closed it, or it was
/// not at anything when `stop` came.
pub(crate) async fn serve<S, H, F>(
    stream: S,
    shared: Arc<Clocked>,
    limits: Limits,
    mut stop: watch::Receiver<bool>,
    handler: H,
) -> Option<Ending>
where
    S: AsyncRead + AsyncWrite + Unpin,
    H: Fn(Request<Incoming>) -> F,
    F: Future<Output = Answer>,
{
    let service = service_fn(|request| {
        shared.note(Event::Request);
        let answering = handler(request);
        let shared = &shared;
        async move {
            let answer = answering.await;
            let is_stream = answer.body().is_stream();
            shared.note(if is_stream { Event::Stream } else { Event::Answer });
            let answer = answer.map(|body| Sent {
                body,
                stream_of: is_stream.then(|| Arc::clone(shared)),
            });
            Ok::<_, Infallible>(answer)
        }
    });
    let io = Watched {
        stream,
        shared: Arc::clone(&shared),
        head_max_bytes: limits.head_max_bytes,
    };
    let mut http = pin!(
        http1::Builder::new()
            // The clock below also tells a slow head from a connection that is merely kept.
            .header_read_timeout(None)
            .max_buf_size(limits.head_max_bytes)
            // A client that has sent all it will may still want its answer, unless that is how readers of streams leave.
            .half_close(limits.streams == 0)
            .serve_connection(TokioIo::new(io), service)
    );
    let mut timer = pin!(tokio::time::sleep(Duration::ZERO));
    let mut armed = None;
    let mut stopping = false;
    loop {
        let ended = poll_fn(|cx| {
            let was_streaming = shared.progress().is_streaming();
            if let Poll::Ready(result) = http.as_mut().poll(cx) {
                // Only its reader can end a stream, and never does so politely.
                let error = result.err().filter(|_| !was_streaming);
                return Poll::Ready(error.map(|error| ending(&error)));
            }
            let progress = shared.progress();
            if stopping && progress.is_streaming() {
                return Poll::Ready(None);
            }
            let Some(deadline) = progress.deadline(&limits) else {
                return Poll::Pending;
            };
            if armed != Some(progress) {
                timer.as_mut().reset(deadline.into());
                armed = Some(progress);
            }
            ready!(timer.as_mut().poll(cx));
            Poll::Ready(Some(progress.overdue()))
        });
        tokio::select! {
            biased;
            ending = ended => return ending,
            () = shared.evict.notified() => {
                if shared.progress().may_go() {
                    return Some(Ending::Evicted);
                }
            }
            _ = stop.wait_for(|stop| *stop), if !stopping => {
                if shared.progress().may_go() {
                    return None;
                }
                stopping = true;
                http.as_mut().graceful_shutdown();
            }
        }
    }
}

fn ending(error: &hyper::Error) -> Ending {
    if error.is_parse() {
        Ending::BadRequest
    } else {
        Ending::BrokenOff
    }
}

/// The runtime's clock, which tests can pause.
#[expect(
    clippy::disallowed_methods,
    reason = "each stage of a connection has a deadline"
)]
fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}

/// The stream, watched for what its bytes mean to [`Progress`].
struct Watched<S> {
    stream: S,
    shared: Arc<Clocked>,
    head_max_bytes: usize,
}

/// The body of an answer on its way; tells when a stream is over.
struct Sent {
    body: Body,
    stream_of: Option<Arc<Clocked>>,
}

impl hyper::body::Body for Sent {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl Drop for Sent {
    fn drop(&mut self) {
        if let Some(shared) = &self.stream_of {
            shared.note(Event::StreamEnd);
        }
    }
}

/// What hyper answers by itself to what is no request, without a body that would say so.
const BARE_REFUSAL: &[u8] = b"HTTP/1.1 4";

impl<S: AsyncRead + Unpin> AsyncRead for Watched<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(cx, buf))?;
        if buf.filled().len() > before {
            self.shared.note(Event::Bytes);
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Watched<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        if self.shared.progress().is_without_request()
            && buf.starts_with(BARE_REFUSAL)
            && buf.ends_with(b"\r\n\r\n")
        {
            let answer = if buf.starts_with(b"HTTP/1.1 431") {
                answer::raw_error(
                    StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
                    "RequestHeaderTooLarge",
                    &format!(
                        "The head of the request is longer than {} bytes or has over 100 headers.",
                        self.head_max_bytes
                    ),
                )
            } else {
                answer::raw_error(
                    StatusCode::BAD_REQUEST,
                    "BadRequest",
                    "This is not an HTTP/1.1 request. This port speaks plain HTTP, without TLS.",
                )
            };
            // It is the first thing on a fresh connection or follows answers that are flushed, so there is room for it
            // whole; and it is the last, so what is written is all of it.
            let written = ready!(Pin::new(&mut self.stream).poll_write(cx, &answer))?;
            return Poll::Ready(Ok(if written == 0 { 0 } else { buf.len() }));
        }
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(Pin::new(&mut self.stream).poll_flush(cx))?;
        self.shared.note(Event::Flushed);
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests;
