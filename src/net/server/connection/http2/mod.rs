//! One connection that speaks HTTP/2, by hyper: several requests at a time, under the same clocks.
//!
//! What one client can cost: its windows' bytes that nobody has read yet, a head and a task for each of its streams, and
//! one small answer each. Bodies take their room where they are read, as those of HTTP/1 do. Floods of pings, settings,
//! header pieces and empty frames are the h2 crate's, which ends the connection.

use std::convert::Infallible;
use std::error::Error as _;
use std::future::poll_fn;
use std::io;
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::task::{Context, Poll, ready};

use http::{Method, Request};
use hyper::body::{Body as _, Incoming};
use hyper::rt::Executor;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::alarm::Alarm;
use super::clocked::Clocked;
use super::progress::Stage;
use super::request_body::RequestBody;
use super::sent::Sent;
use crate::ledger::http::Ending;
use crate::net::server::answer::Answer;
use crate::net::server::limits::{Http2, Limits};

/// How many bytes of bodies a client may send before they are read, on one stream and on the whole connection: what HTTP/2
/// begins with, and cannot be less for a connection. More would be memory that no limit of bodies knows of, for each
/// connection. A network with a round trip of 1 ms carries 64 MB/s with it.
const WINDOW_BYTES: u32 = 65_535;

/// The largest frame, in bytes: the least that HTTP/2 lets a server set.
const FRAME_MAX_BYTES: u32 = 16 << 10;

/// How many bytes of an answer wait in the connection; answers here have some 100.
const SEND_BUFFER_BYTES: usize = 16 << 10;

/// With more streams than this that a client has reset before they could even be looked at, the connection ends. A client
/// that works has none.
const RESETS_MAX: usize = 20;

/// The same for streams that this side resets for what is wrong with them. A client may begin with a hundred before it has
/// read how many it may have at a time, and those beyond are refused so.
const REFUSED_MAX: usize = 256;

/// Serves requests until the client, a time limit, an eviction or `stop` ends it. `None`: the client closed it, or it was
/// not at anything when `stop` came.
pub(super) async fn serve<S, H, F>(
    stream: S,
    shared: Arc<Clocked>,
    limits: Limits,
    bounds: Http2,
    mut stop: watch::Receiver<bool>,
    handler: H,
) -> Option<Ending>
where
    S: AsyncRead + AsyncWrite + Unpin,
    H: Fn(Request<RequestBody>) -> F,
    F: Future<Output = Answer> + Send + 'static,
{
    shared.becomes_http2();
    let service = service_fn(|request: Request<Incoming>| {
        let only_asks = matches!(*request.method(), Method::GET | Method::HEAD);
        let open = Open::begin(&shared, only_asks, !request.body().is_end_stream());
        let number = open.number;
        let request = request.map(|body| RequestBody::of_stream(body, Arc::clone(&shared), number));
        let answering = handler(request);
        async move {
            let answer = answering.await;
            open.shared.streams(|streams, _| streams.answered(open.number));
            Ok::<_, Infallible>(answer.map(|body| Sent { body, _until: open }))
        }
    });
    // Dropped with this connection, whatever they are at.
    let tasks = Arc::new(Mutex::new(JoinSet::new()));
    let io = TokioIo::new(Moving {
        stream,
        shared: Arc::clone(&shared),
    });
    let mut http = pin!(
        hyper::server::conn::http2::Builder::new(Tasks(Arc::downgrade(&tasks)))
            .max_concurrent_streams(bounds.streams)
            .max_header_list_size(u32::try_from(limits.head_max_bytes).unwrap_or(u32::MAX))
            .initial_stream_window_size(WINDOW_BYTES)
            .initial_connection_window_size(WINDOW_BYTES)
            .max_frame_size(FRAME_MAX_BYTES)
            .max_send_buf_size(SEND_BUFFER_BYTES)
            .max_pending_accept_reset_streams(RESETS_MAX)
            .max_local_error_reset_streams(REFUSED_MAX)
            .serve_connection(io, service)
    );
    let mut alarm = Alarm::default();
    let mut stopping = false;
    loop {
        let ended = poll_fn(|cx| {
            if shared.going().is_some() {
                return Poll::Ready(Some(Ending::Evicted));
            }
            if let Poll::Ready(result) = http.as_mut().poll(cx) {
                return Poll::Ready(result.err().map(|error| ending(&error)));
            }
            // One that is over keeps its memory until somebody asks how it went.
            let mut running = tasks.lock().unwrap_or_else(PoisonError::into_inner);
            while let Poll::Ready(Some(_)) = running.poll_join_next(cx) {}
            drop(running);
            if shared.streams(|streams, _| streams.taken_back()) > bounds.taken_back {
                return Poll::Ready(Some(Ending::TakenBack));
            }
            let progress = shared.progress();
            if stopping && progress.stage == Stage::Idle {
                return Poll::Ready(None);
            }
            // Every stage that this connection can be at has a limit.
            let Some(deadline) = progress.deadline(&limits) else {
                return Poll::Pending;
            };
            ready!(alarm.poll(deadline, cx));
            Poll::Ready(Some(progress.overdue()))
        });
        let ending = tokio::select! {
            biased;
            ending = ended => ending,
            () = shared.evict.notified() => continue,
            _ = stop.wait_for(|stop| *stop), if !stopping => {
                stopping = true;
                // What is being sent is answered; what comes from now on is told to go elsewhere.
                http.as_mut().graceful_shutdown();
                continue;
            }
        };
        if matches!(ending, Some(Ending::Idle | Ending::Evicted)) {
            // A client that is just beginning hears of it, if it takes bytes at all.
            http.as_mut().graceful_shutdown();
            poll_fn(|cx| {
                let _: Poll<hyper::Result<()>> = http.as_mut().poll(cx);
                Poll::Ready(())
            })
            .await;
        }
        return ending;
    }
}

fn ending(error: &hyper::Error) -> Ending {
    if error.source().is_some_and(|source| source.is::<io::Error>()) {
        Ending::BrokenOff
    } else {
        Ending::BadRequest
    }
}

/// Runs what belongs to a connection, as long as that is there.
#[derive(Debug, Clone)]
struct Tasks(Weak<Mutex<JoinSet<()>>>);

impl<F: Future<Output = ()> + Send + 'static> Executor<F> for Tasks {
    fn execute(&self, task: F) {
        if let Some(tasks) = self.0.upgrade() {
            tasks.lock().unwrap_or_else(PoisonError::into_inner).spawn(task);
        }
    }
}

/// A request that the connection is at, until it is dropped.
#[derive(Debug)]
struct Open {
    shared: Arc<Clocked>,
    number: u64,
}

impl Open {
    fn begin(shared: &Arc<Clocked>, only_asks: bool, has_body: bool) -> Self {
        Self {
            number: shared.streams(|streams, now| streams.begin(only_asks, has_body, now)),
            shared: Arc::clone(shared),
        }
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.shared.streams(|streams, now| streams.end(self.number, now));
    }
}

/// The stream, watched for whether anything moves on it.
struct Moving<S> {
    stream: S,
    shared: Arc<Clocked>,
}

impl<S: AsyncRead + Unpin> AsyncRead for Moving<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        ready!(Pin::new(&mut self.stream).poll_read(cx, buf))?;
        self.shared.moved();
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Moving<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let written = ready!(Pin::new(&mut self.stream).poll_write(cx, buf))?;
        self.shared.moved();
        Poll::Ready(Ok(written))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests;
