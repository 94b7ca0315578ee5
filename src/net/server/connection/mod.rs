//! One connection: HTTP/1.1 by hyper, with a clock on each stage that a client could hold on to; or HTTP/2, where the port
//! takes it.

mod ahead;
mod alarm;
pub(crate) mod first;
mod http2;
mod request_body;
mod streams;

use std::convert::Infallible;
use std::future::poll_fn;
use std::io;
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{Method, Request, StatusCode};
use hyper::body::{Body as _, Frame, Incoming, SizeHint};
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::{Notify, watch};

use self::ahead::Ahead;
use self::alarm::Alarm;
pub(crate) use self::request_body::{BodyError, RequestBody};
use self::streams::Streams;
use super::answer::{self, Answer, Body};
use super::limits::Limits;
use crate::ledger::http::Ending;
use crate::logs::sanitize;

/// How long nothing must have moved on a connection that waits for its client (the rest of a body, an answer that is not
/// read) before it may be closed for another one. The pieces of a body that is being sent follow each other within a
/// round trip.
pub(crate) const STALLED: Duration = Duration::from_millis(200);

/// How long an exchange must have lasted before it may be closed for another one while something moves now and then:
/// nobody holds a place by sending a byte at a time. The calls that matter most are smaller than a packet.
pub(crate) const SLOW: Duration = Duration::from_secs(1);

/// How long one that is closed for another has to read why.
const LEAVE: Duration = Duration::from_secs(1);

/// The most of a wrong Content-Length that is shown, in characters.
const LENGTH_MAX_CHARS: usize = 40;

/// What a connection is at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stage {
    /// No request.
    Idle,
    /// The head of one has begun.
    Head,
    /// The head is there; the rest of the body is awaited.
    Body,
    /// The request is there; work and answer follow.
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
            Stage::Body | Stage::Exchange | Stage::Answering => limits.exchange,
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

    fn overdue(self) -> Ending {
        match self.stage {
            Stage::Idle => Ending::Idle,
            Stage::Head => Ending::HeadTimeout,
            Stage::Body | Stage::Exchange | Stage::Answering | Stage::Streaming => Ending::ExchangeTimeout,
        }
    }

    /// The stage after `event`; `None`: as before.
    fn after(self, event: Event, now: Instant) -> Option<Self> {
        // The clock of the exchange runs from the end of the head.
        let goes_on = |stage| {
            Some(Self {
                stage,
                since: self.since,
            })
        };
        let stage = match (self.stage, event) {
            (Stage::Idle, Event::Bytes) => Stage::Head,
            // The next head may have come together with the last one's body.
            (Stage::Idle | Stage::Head | Stage::Answering, Event::Request { has_body }) => {
                if has_body {
                    Stage::Body
                } else {
                    Stage::Exchange
                }
            }
            (Stage::Body, Event::BodyEnd) => return goes_on(Stage::Exchange),
            (Stage::Body | Stage::Exchange, Event::Answer) => return goes_on(Stage::Answering),
            (Stage::Body | Stage::Exchange, Event::Stream) => Stage::Streaming,
            // What is left of it is limited like any answer.
            (Stage::Streaming, Event::StreamEnd) => Stage::Answering,
            (Stage::Answering, Event::Flushed { next_has_begun: true }) => Stage::Head,
            (Stage::Answering, Event::Flushed { .. }) => Stage::Idle,
            _ => return None,
        };
        Some(Self { stage, since: now })
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Event {
    Bytes,
    Request { has_body: bool },
    BodyEnd,
    Answer,
    Stream,
    StreamEnd,
    Flushed { next_has_begun: bool },
}

/// What the server knows of an open connection.
#[derive(Debug)]
pub(crate) struct Clocked {
    state: Mutex<State>,
    evict: Notify,
}

#[derive(Debug)]
struct State {
    progress: Progress,
    /// When bytes last went in one direction or the other.
    moved: Instant,
    /// The last request is one that only asks (GET, HEAD).
    only_asks: bool,
    ahead: Ahead,
    /// What it is at when it speaks HTTP/2; then `progress` and `only_asks` follow from it.
    streams: Option<Streams>,
    gives_way: bool,
    /// Its request is not worked on; only its sender is listened to, so that it reads why.
    turned_away: bool,
}

impl Clocked {
    pub(crate) fn new(now: Instant) -> Self {
        Self {
            state: Mutex::new(State {
                progress: Progress {
                    stage: Stage::Idle,
                    since: now,
                },
                moved: now,
                only_asks: false,
                ahead: Ahead::default(),
                streams: None,
                gives_way: false,
                turned_away: false,
            }),
            evict: Notify::new(),
        }
    }

    pub(crate) fn progress(&self) -> Progress {
        self.lock().progress
    }

    /// Since when its client has been waited for, when it has begun something (a body whose rest does not come, an answer
    /// that is not read) and is late with it.
    pub(crate) fn late_since(&self, now: Instant) -> Option<Instant> {
        let state = self.lock();
        state.is_late(now).then_some(state.moved)
    }

    /// Whether it is at a request that does more than ask.
    pub(crate) fn is_at_work(&self) -> bool {
        let state = self.lock();
        let is_at_request = matches!(
            state.progress.stage,
            Stage::Body | Stage::Exchange | Stage::Answering
        );
        is_at_request && !state.only_asks && !state.turned_away
    }

    /// How many requests it is at that do more than ask.
    pub(crate) fn requests_at_work(&self) -> usize {
        let streams = self.lock().streams.as_ref().map(Streams::working);
        streams.unwrap_or_else(|| usize::from(self.is_at_work()))
    }

    /// Its request is not worked on; it may be closed at any time, unless it has others.
    pub(super) fn turn_away(&self) {
        let mut state = self.lock();
        state.turned_away = state.streams.is_none();
    }

    /// It speaks HTTP/2.
    fn becomes_http2(&self) {
        self.lock().streams = Some(Streams::new(now()));
        self.streams(|_, _| {});
    }

    /// Looks at the requests of a connection that speaks HTTP/2, or changes them.
    fn streams<T>(&self, change: impl FnOnce(&mut Streams, Instant) -> T) -> T {
        let now = now();
        let mut state = self.lock();
        let streams = state.streams.get_or_insert_with(|| Streams::new(now));
        let result = change(streams, now);
        let (progress, only_asks) = (streams.progress(), streams.only_ask());
        (state.progress, state.only_asks) = (progress, only_asks);
        result
    }

    /// Asks the connection to go, if it is still without a request, late, or streams, when it hears of it.
    pub(crate) fn evict(&self) {
        self.evict.notify_one();
    }

    /// Whether the rest of its body is not awaited any more.
    fn gives_way(&self) -> bool {
        self.lock().gives_way
    }

    /// What it does when it is asked to go.
    fn asked_to_go(&self) -> Going {
        let mut state = self.lock();
        match state.progress.stage {
            _ if state.turned_away => Going::AtOnce,
            Stage::Idle | Stage::Head | Stage::Streaming => Going::AtOnce,
            // All of its requests wait for their client.
            Stage::Body | Stage::Answering if state.streams.is_some() && state.is_late(now()) => {
                Going::AtOnce
            }
            Stage::Body if state.streams.is_some() => Going::No,
            Stage::Body => {
                state.gives_way = true;
                Going::WithAnAnswer
            }
            // Its answer has waited for its client.
            Stage::Answering if state.is_late(now()) => Going::AtOnce,
            Stage::Exchange | Stage::Answering => Going::No,
        }
    }

    #[cfg(test)]
    pub(crate) async fn is_asked_to_go(&self) -> bool {
        let asked = tokio::time::timeout(Duration::from_millis(1), self.evict.notified());
        asked.await.is_ok()
    }

    /// As if a request had come, with its body (`None`: the body is awaited).
    #[cfg(test)]
    pub(crate) fn pretend_request(&self, method: &Method, has_body: bool) {
        self.request(method, if has_body { Some(1) } else { Some(0) });
    }

    /// As if it spoke HTTP/2 and so many requests had come, whose bodies are awaited.
    #[cfg(test)]
    pub(crate) fn pretend_requests(&self, requests: usize) {
        for _ in 0..requests {
            self.streams(|streams, now| streams.begin(false, true, now));
        }
    }

    #[cfg(test)]
    pub(crate) fn pretend_stream(&self) {
        self.pretend_request(&Method::GET, false);
        self.note(Event::Stream);
    }

    /// Bytes have come. Returns how many of them hyper is to have.
    fn came(&self, bytes: &[u8]) -> usize {
        let mut state = self.lock();
        state.moved = now();
        state.note(Event::Bytes);
        state.ahead.came(bytes)
    }

    /// Bytes have gone, or come where it is not known what they mean.
    fn moved(&self) {
        self.lock().moved = now();
    }

    /// A head has been made a request of.
    fn request(&self, method: &Method, body_bytes: Option<u64>) {
        let mut state = self.lock();
        state.only_asks = matches!(*method, Method::GET | Method::HEAD);
        state.ahead.request(body_bytes);
        state.note(Event::Request {
            has_body: body_bytes != Some(0),
        });
    }

    /// The answer is out.
    fn flushed(&self) {
        let mut state = self.lock();
        let next_has_begun = state.ahead.has_begun();
        state.note(Event::Flushed { next_has_begun });
    }

    fn note(&self, event: Event) {
        self.lock().note(event);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn is_late(&self, now: Instant) -> bool {
        let since = |then| now.saturating_duration_since(then);
        let waits = matches!(self.progress.stage, Stage::Body | Stage::Answering);
        self.turned_away || waits && (since(self.moved) >= STALLED || since(self.progress.since) >= SLOW)
    }

    fn note(&mut self, event: Event) {
        if event == Event::BodyEnd {
            self.ahead.chunks_ended();
        }
        if let Some(next) = self.progress.after(event, now()) {
            self.progress = next;
        }
    }
}

/// What a connection does that is asked to go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Going {
    AtOnce,
    WithAnAnswer,
    /// It has come to be at something since.
    No,
}

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
        shared.request(request.method(), body_bytes);
        let answering = handler(request.map(|body| RequestBody::new(body, Arc::clone(&shared))));
        let shared = &shared;
        async move {
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
            let was_streaming = shared.progress().is_streaming();
            if let Poll::Ready(result) = http.as_mut().poll(cx) {
                // Only its reader can end a stream, and never does so politely.
                let error = result.err().filter(|_| !was_streaming);
                let ending = error.map(|error| ending(&error));
                return Poll::Ready(leaves_at.map_or(ending, |_| Some(Ending::Evicted)));
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
            () = shared.evict.notified() => match shared.asked_to_go() {
                Going::AtOnce => return Some(Ending::Evicted),
                Going::WithAnAnswer => leaves_at = Some(now() + LEAVE),
                Going::No => {}
            },
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

/// The body of an answer on its way, and what is dropped with it: then it is over.
struct Sent<T> {
    body: Body,
    _until: T,
}

impl<T: Unpin> hyper::body::Body for Sent<T> {
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
                self.shared.lock().ahead.head(),
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

/// What is said to this start of a connection, which is no request.
fn refusal(head: &[u8], is_too_large: bool, head_max_bytes: usize) -> Vec<u8> {
    if head.starts_with(b"PRI * HTTP/2") {
        return answer::raw_error(
            StatusCode::HTTP_VERSION_NOT_SUPPORTED,
            "HttpVersionNotSupported",
            "This port speaks HTTP/1.1, and this connection began with HTTP/2. Set the client to HTTP/1.1; there is no \
             gRPC here.",
        );
    }
    if let Some(length) = wrong_length(head) {
        return answer::raw_error(
            StatusCode::BAD_REQUEST,
            "InvalidContentLength",
            &format!(
                "The Content-Length \"{}\" is not one number of bytes that a body can have.",
                sanitize(length, LENGTH_MAX_CHARS)
            ),
        );
    }
    if is_too_large {
        return answer::raw_error(
            StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
            "RequestHeaderTooLarge",
            &format!(
                "The head of the request is longer than {head_max_bytes} bytes or has over 100 headers."
            ),
        );
    }
    answer::raw_error(
        StatusCode::BAD_REQUEST,
        "BadRequest",
        "This is not an HTTP/1.1 request. This port speaks plain HTTP, without TLS.",
    )
}

/// The Content-Length of a head that is no number, one that is too large for any body, or another one than before.
fn wrong_length(head: &[u8]) -> Option<&[u8]> {
    let mut before = None;
    let lines = head.split(|byte| *byte == b'\n').skip(1);
    for line in lines.take_while(|line| !line.trim_ascii().is_empty()) {
        let Some(colon) = line.iter().position(|byte| *byte == b':') else {
            continue;
        };
        let (name, value) = (&line[..colon], line[colon + 1..].trim_ascii());
        if !name.eq_ignore_ascii_case(b"content-length") {
            continue;
        }
        let digits = std::str::from_utf8(value)
            .ok()
            .filter(|value| !value.starts_with('+'));
        match digits.and_then(|digits| digits.parse::<u64>().ok()) {
            // The last two mean something else to hyper.
            Some(length) if length < u64::MAX - 1 && before.is_none_or(|before| before == length) => {
                before = Some(length);
            }
            _ => return Some(value),
        }
    }
    None
}

#[cfg(test)]
mod tests;
