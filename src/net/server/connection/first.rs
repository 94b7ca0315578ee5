//! HTTP/1.1 or HTTP/2: told by the first bytes of a connection, where a port takes both.
//!
//! A client of HTTP/2 without TLS knows beforehand that the server speaks it (*prior knowledge*), and begins with a
//! preface that no request of HTTP/1 can be. Nobody is asked to upgrade.

use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};

use http::Request;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, ReadBuf};
use tokio::sync::watch;

use super::clocked::Clocked;
use super::http1::http1;
use super::http2;
use super::progress::Event;
use super::request_body::RequestBody;
use crate::ledger::http::Ending;
use crate::net::server::answer::Answer;
use crate::net::server::limits::Limits;

/// How a client begins that speaks HTTP/2 (RFC 9113, 3.4).
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Serves requests of either protocol, or of HTTP/1.1 only where `limits` have nothing for the other, until the client, a
/// time limit, an eviction or `stop` ends it; returns what [`http1`] does.
pub(crate) async fn serve<S, H, F>(
    stream: S,
    shared: Arc<Clocked>,
    limits: Limits,
    stop: watch::Receiver<bool>,
    handler: H,
) -> Option<Ending>
where
    S: AsyncRead + AsyncWrite + Unpin,
    H: Fn(Request<RequestBody>) -> F,
    F: Future<Output = Answer> + Send + 'static,
{
    let Some(bounds) = limits.http2 else {
        return http1(stream, shared, limits, stop, handler).await;
    };
    let mut stream = Begun::new(stream);
    match is_http2(&mut stream, &shared, &limits, stop.clone()).await {
        Ok(false) => http1(stream, shared, limits, stop, handler).await,
        Ok(true) => http2::serve(stream, shared, limits, bounds, stop, handler).await,
        Err(ending) => ending,
    }
}

/// Whether `stream` begins with the preface.
///
/// # Errors
/// How it ended before that could be told.
async fn is_http2<S: AsyncRead + Unpin>(
    stream: &mut Begun<S>,
    shared: &Clocked,
    limits: &Limits,
    mut stop: watch::Receiver<bool>,
) -> Result<bool, Option<Ending>> {
    loop {
        let progress = shared.progress();
        // Both stages that it can be at have a limit.
        let deadline = progress.deadline(limits).unwrap_or(progress.since);
        let read = tokio::select! {
            biased;
            read = stream.read_ahead() => read,
            () = shared.evict.notified() => return Err(Some(Ending::Evicted)),
            _ = stop.wait_for(|stop| *stop) => return Err(None),
            () = tokio::time::sleep_until(deadline.into()) => return Err(Some(progress.overdue())),
        };
        match read {
            Err(_) => return Err(Some(Ending::BrokenOff)),
            // What has come, if anything has, is HTTP/1's to refuse.
            Ok(0) => return Ok(false),
            Ok(_) => {
                shared.note(Event::Bytes);
                let begun = stream.begun();
                if begun == PREFACE {
                    return Ok(true);
                }
                if !PREFACE.starts_with(begun) {
                    return Ok(false);
                }
            }
        }
    }
}

/// A stream of which the first bytes have been looked at.
struct Begun<S> {
    stream: S,
    first: [u8; PREFACE.len()],
    /// How many of them have come.
    come: usize,
    /// How many of them have been read.
    read: usize,
}

impl<S> Begun<S> {
    fn new(stream: S) -> Self {
        Self {
            stream,
            first: [0; PREFACE.len()],
            come: 0,
            read: 0,
        }
    }

    fn begun(&self) -> &[u8] {
        &self.first[..self.come]
    }
}

impl<S: AsyncRead + Unpin> Begun<S> {
    /// Looks at some more; 0: no more comes. Nothing is lost when it is dropped.
    async fn read_ahead(&mut self) -> io::Result<usize> {
        let more = pin!(self.stream.read(&mut self.first[self.come..])).await?;
        self.come += more;
        Ok(more)
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Begun<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.read == self.come {
            return Pin::new(&mut self.stream).poll_read(cx, buf);
        }
        let bytes = (self.come - self.read).min(buf.remaining());
        buf.put_slice(&self.first[self.read..self.read + bytes]);
        self.read += bytes;
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Begun<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
