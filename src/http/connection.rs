//! One connection: HTTP/1.1 by hyper, with a clock on each stage that a client could hold on to.

use std::future::poll_fn;
use std::io;
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use http::{Request, StatusCode};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::{Notify, watch};

use super::answer::{self, Answer};
use super::limits::{EXCHANGE_TIMEOUT, HEAD_MAX_BYTES, HEAD_TIMEOUT, IDLE_TIMEOUT};
use crate::ledger::http::Ending;

/// What a connection is at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    /// No request.
    Idle,
    /// The head of one has begun.
    Head,
    /// The head is there; body, work and answer follow.
    Exchange,
    /// The answer is made and on its way.
    Answering,
}

/// The stage and since when.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Progress {
    pub(super) stage: Stage,
    pub(super) since: Instant,
}

impl Progress {
    fn deadline(self) -> Instant {
        self.since
            + match self.stage {
                Stage::Idle => IDLE_TIMEOUT,
                Stage::Head => HEAD_TIMEOUT,
                Stage::Exchange | Stage::Answering => EXCHANGE_TIMEOUT,
            }
    }

    /// Whether closing the connection now takes no request from anybody.
    pub(super) fn is_without_request(self) -> bool {
        matches!(self.stage, Stage::Idle | Stage::Head)
    }

    fn overdue(self) -> Ending {
        match self.stage {
            Stage::Idle => Ending::Idle,
            Stage::Head => Ending::HeadTimeout,
            Stage::Exchange | Stage::Answering => Ending::ExchangeTimeout,
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
    Flushed,
}

/// What the server knows of an open connection.
#[derive(Debug)]
pub(crate) struct Shared {
    progress: Mutex<Progress>,
    evict: Notify,
}

impl Shared {
    pub(crate) fn new(now: Instant) -> Self {
        Self {
            progress: Mutex::new(Progress {
                stage: Stage::Idle,
                since: now,
            }),
            evict: Notify::new(),
        }
    }

    pub(super) fn progress(&self) -> Progress {
        *self.progress.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Asks the connection to go, if it is still without a request when it hears of it.
    pub(super) fn evict(&self) {
        self.evict.notify_one();
    }

    #[cfg(test)]
    pub(super) async fn is_asked_to_go(&self) -> bool {
        let asked = tokio::time::timeout(Duration::from_millis(1), self.evict.notified());
        asked.await.is_ok()
    }

    #[cfg(test)]
    pub(super) fn pretend_request(&self) {
        self.note(Event::Request);
    }

    fn note(&self, event: Event) {
        let mut progress = self.progress.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(next) = progress.after(event, now()) {
            *progress = next;
        }
    }
}

/// Serves requests until the client, a time limit, an eviction or `stop` ends it. `None`: the client closed it.
pub(crate) async fn serve<S, H, F>(
    stream: S,
    shared: Arc<Shared>,
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
            shared.note(Event::Answer);
            Ok::<_, std::convert::Infallible>(answer)
        }
    });
    let io = Watched {
        stream,
        shared: Arc::clone(&shared),
    };
    let mut http = pin!(
        http1::Builder::new()
            // The clock below also tells a slow head from a connection that is merely kept.
            .header_read_timeout(None)
            .max_buf_size(HEAD_MAX_BYTES)
            // A client that has sent all it will may still want its answer.
            .half_close(true)
            .serve_connection(TokioIo::new(io), service)
    );
    let mut timer = pin!(tokio::time::sleep(Duration::ZERO));
    let mut armed = None;
    let mut stopping = false;
    loop {
        let ended = poll_fn(|cx| {
            if let Poll::Ready(result) = http.as_mut().poll(cx) {
                return Poll::Ready(result.err().map(|error| ending(&error)));
            }
            let progress = shared.progress();
            if armed != Some(progress) {
                timer.as_mut().reset(progress.deadline().into());
                armed = Some(progress);
            }
            ready!(timer.as_mut().poll(cx));
            Poll::Ready(Some(progress.overdue()))
        });
        tokio::select! {
            biased;
            ending = ended => return ending,
            () = shared.evict.notified() => {
                if shared.progress().is_without_request() {
                    return Some(Ending::Evicted);
                }
            }
            _ = stop.wait_for(|stop| *stop), if !stopping => {
                if shared.progress().is_without_request() {
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
fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}

/// The stream, watched for what its bytes mean to [`Progress`].
struct Watched<S> {
    stream: S,
    shared: Arc<Shared>,
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
                        "The head of the request is longer than {HEAD_MAX_BYTES} bytes or has over 100 headers."
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
