//! One connection of HTTP/1.1, by hyper.

use std::convert::Infallible;
use std::future::poll_fn;
use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use http::Request;
use hyper::body::{Body as _, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::watch;

use super::alarm::Alarm;
use super::clocked::{Clocked, Going, now};
use super::progress::Event;
use super::refusal::refusal;
use super::request_body::RequestBody;
use super::sent::Sent;
use crate::ledger::http::Ending;
use crate::net::server::answer::Answer;
use crate::net::server::limits::Limits;

/// How long one that is closed for another has to read why.
const LEAVE: Duration = Duration::from_secs(1);

/// Serves requests of HTTP/1.1 until the client, a time limit, an eviction or `stop` ends it. `None`: the client closed it,
/// or it was not at anything when `stop` came.
pub(crate) async fn http1<S, H, F>(
    stream: S,
    shared: Arc<Clocked>,
    limits: Limits,
    mut stop: watch::Receiver<bool>,
    handler: H,
) -> Option<Ending>
where
    S: AsyncRead + AsyncWrite + Unpin,
    H: Fn(Request<RequestBody>) -> F,
    F: Future<Output = Answer>,
{
    let service = service_fn(|request: Request<Incoming>| {
        let body_bytes = if request.body().is_end_stream() {
            Some(0)
        } else {
            request.body().size_hint().exact()
        };
        let came_with_another = shared.request(request.method(), body_bytes);
        let answering = handler(request.map(|body| RequestBody::new(body, Arc::clone(&shared))));
        let shared = &shared;
        async move {
            if came_with_another {
                // Each connection has its turn: a packet has hundreds of short ones.
                tokio::task::yield_now().await;
                shared.begin(body_bytes);
            }
            let answer = answering.await;
            let is_stream = answer.body().is_stream();
            shared.note(if is_stream { Event::Stream } else { Event::Answer });
            let answer = answer.map(|body| Sent {
                body,
                _until: is_stream.then(|| Streaming(Arc::clone(shared))),
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
        hyper::server::conn::http1::Builder::new()
            // The clock below also tells a slow head from a connection that is merely kept.
            .header_read_timeout(None)
            .max_buf_size(limits.head_max_bytes)
            // A client that has sent all it will may still want its answer, unless that is how readers of streams leave.
            .half_close(limits.streams == 0)
            .serve_connection(TokioIo::new(io), service)
    );
    let mut alarm = Alarm::default();
    let mut stopping = false;
    // Once it is to give way: when it is closed whether it has read its answer or not.
    let mut leaves_at = None;
    loop {
        let ended = poll_fn(|cx| {
            if shared.going() == Some(Going::AtOnce) {
                return Poll::Ready(Some(Ending::Evicted));
            }
            let was_streaming = shared.progress().is_streaming();
            if let Poll::Ready(result) = http.as_mut().poll(cx) {
                // Only its reader can end a stream, and never does so politely.
                let error = result.err().filter(|_| !was_streaming);
                let ending = error.map(|error| ending(&error));
                return Poll::Ready(shared.going().map_or(ending, |_| Some(Ending::Evicted)));
            }
            let progress = shared.progress();
            if stopping && progress.is_streaming() {
                return Poll::Ready(None);
            }
            let Some(deadline) = leaves_at.or_else(|| progress.deadline(&limits)) else {
                return Poll::Pending;
            };
            ready!(alarm.poll(deadline, cx));
            Poll::Ready(Some(leaves_at.map_or(progress.overdue(), |_| Ending::Evicted)))
        });
        tokio::select! {
            biased;
            ending = ended => return ending,
            () = shared.evict.notified() => leaves_at = Some(now() + LEAVE),
            _ = stop.wait_for(|stop| *stop), if !stopping => {
                let progress = shared.progress();
                if progress.is_without_request() || progress.is_streaming() {
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

/// The stream, watched for what its bytes mean to [`Progress`].
struct Watched<S> {
    stream: S,
    shared: Arc<Clocked>,
    head_max_bytes: usize,
}

/// A stream of events; tells when it is over.
struct Streaming(Arc<Clocked>);

impl Drop for Streaming {
    fn drop(&mut self) {
        self.0.note(Event::StreamEnd);
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
        let new = &buf.filled()[before..];
        if !new.is_empty() {
            let handed_on = self.shared.came(new);
            buf.set_filled(before + handed_on);
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
            let answer = refusal(
                &self.shared.head_begun(),
                buf.starts_with(b"HTTP/1.1 431"),
                self.head_max_bytes,
            );
            // It is the first thing on a fresh connection or follows answers that are flushed, so there is room for it
            // whole; and it is the last, so what is written is all of it.
            let written = ready!(Pin::new(&mut self.stream).poll_write(cx, &answer))?;
            return Poll::Ready(Ok(if written == 0 { 0 } else { buf.len() }));
        }
        let written = ready!(Pin::new(&mut self.stream).poll_write(cx, buf))?;
        self.shared.moved();
        Poll::Ready(Ok(written))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(Pin::new(&mut self.stream).poll_flush(cx))?;
        self.shared.flushed();
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
