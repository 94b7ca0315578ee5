//! What the server knows of an open connection, and what tells whether it goes when another one needs its place.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use http::Method;
use tokio::sync::Notify;

use super::ahead::Ahead;
use super::progress::{Event, Progress, Stage};
use super::streams::Streams;

/// How long nothing must have moved on a connection that waits for its client (the rest of a body, an answer that is not
/// read) before it may be closed for another one. The pieces of a body that is being sent follow each other within a
/// round trip.
pub(crate) const STALLED: Duration = Duration::from_millis(200);

/// How long an exchange must have lasted before it may be closed for another one while something moves now and then:
/// nobody holds a place by sending a byte at a time. The calls that matter most are smaller than a packet.
pub(crate) const SLOW: Duration = Duration::from_secs(1);

/// What the server knows of an open connection.
#[derive(Debug)]
pub(crate) struct Clocked {
    state: Mutex<State>,
    pub(super) evict: Notify,
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
    pub(crate) fn turn_away(&self) {
        let mut state = self.lock();
        state.turned_away = state.streams.is_none();
    }

    /// It speaks HTTP/2.
    pub(super) fn becomes_http2(&self) {
        self.lock().streams = Some(Streams::new(now()));
        self.streams(|_, _| {});
    }

    /// Looks at the requests of a connection that speaks HTTP/2, or changes them.
    pub(super) fn streams<T>(&self, change: impl FnOnce(&mut Streams, Instant) -> T) -> T {
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
    pub(super) fn gives_way(&self) -> bool {
        self.lock().gives_way
    }

    /// What it does when it is asked to go.
    pub(super) fn asked_to_go(&self) -> Going {
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
    pub(super) fn came(&self, bytes: &[u8]) -> usize {
        let mut state = self.lock();
        state.moved = now();
        state.note(Event::Bytes);
        state.ahead.came(bytes)
    }

    /// Bytes have gone, or come where it is not known what they mean.
    pub(super) fn moved(&self) {
        self.lock().moved = now();
    }

    /// A head has been made a request of.
    pub(super) fn request(&self, method: &Method, body_bytes: Option<u64>) {
        let mut state = self.lock();
        state.only_asks = matches!(*method, Method::GET | Method::HEAD);
        state.ahead.request(body_bytes);
        state.note(Event::Request {
            has_body: body_bytes != Some(0),
        });
    }

    /// What has come of a head.
    pub(super) fn head_begun(&self) -> Vec<u8> {
        self.lock().ahead.head().to_vec()
    }

    /// The answer is out.
    pub(super) fn flushed(&self) {
        let mut state = self.lock();
        let next_has_begun = state.ahead.has_begun();
        state.note(Event::Flushed { next_has_begun });
    }

    pub(super) fn note(&self, event: Event) {
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
pub(super) enum Going {
    AtOnce,
    WithAnAnswer,
    /// It has come to be at something since.
    No,
}

/// The runtime's clock, which tests can pause.
#[expect(
    clippy::disallowed_methods,
    reason = "each stage of a connection has a deadline"
)]
pub(super) fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}
