//! What the server knows of an open connection, and what tells whether it goes when another one needs its place.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use http::Method;
use tokio::sync::Notify;

use super::ahead::Ahead;
use super::progress::{Event, Progress, Stage};
use super::streams::Streams;

/// How long nothing must have moved on a connection that waits for its client (the rest of a body, an answer that is not
/// read) before its client is late. The pieces of a body that is being sent follow each other within a round trip.
pub(crate) const STALLED: Duration = Duration::from_millis(200);

/// How long an exchange must have lasted before its client is late while something moves now and then: nobody holds a
/// place by sending a byte at a time. The calls that matter most are smaller than a packet.
pub(crate) const SLOW: Duration = Duration::from_secs(1);

/// After how long without a byte a client that is not late yet goes before those that just sent something: longer than
/// the pieces of one write are apart, in most networks.
const SILENT: Duration = Duration::from_millis(20);

/// How long one that has just come keeps its place in any case. The first bytes of a client follow its connection within
/// a round trip.
pub(crate) const NEW: Duration = Duration::from_millis(10);

/// How readily a connection goes when another one needs its place; the first goes first, and one that is worked for is
/// none of these. All of these cost a client less than another one would lose that finds no place: those that come must
/// always find one, for otherwise who begins often enough and goes on with nothing keeps all others out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Readiness {
    /// It has been without a request for a while.
    Unused,
    /// It streams, and its reader comes back by itself.
    Streams,
    /// Its client is late.
    Late,
    /// Its client has begun something and just sends nothing.
    Silent,
    /// Its client has begun something, and there was hardly time for the rest yet.
    Waits,
    /// It has just come, and its first bytes may be on their way. Last, so that half-sent requests, however many and
    /// however fast they come, take no place from whole ones.
    New,
}

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
    /// A request was made of what came last.
    has_asked: bool,
    ahead: Ahead,
    /// What it is at when it speaks HTTP/2; then `progress` and `only_asks` follow from it.
    streams: Option<Streams>,
    /// It has been sent away.
    going: Option<Going>,
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
                has_asked: false,
                ahead: Ahead::default(),
                streams: None,
                going: None,
                turned_away: false,
            }),
            evict: Notify::new(),
        }
    }

    pub(crate) fn progress(&self) -> Progress {
        self.lock().progress
    }

    /// How readily it goes for another one, and since when it has been so; `None` while it is worked for.
    pub(crate) fn readiness(&self, now: Instant) -> Option<(Readiness, Instant)> {
        self.lock().readiness(now)
    }

    /// Until when it keeps its place because it has just come.
    pub(crate) fn is_new_until(&self, now: Instant) -> Option<Instant> {
        let Progress { stage, since } = self.lock().progress;
        let until = since + NEW;
        (stage == Stage::Idle && now < until).then_some(until)
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

    /// Sends it away, unless it is worked for: one that waits for a body gets to say why, any other goes at once. It is
    /// settled here, whatever comes until the connection hears of it; `false`: it stays.
    pub(crate) fn evict(&self) -> bool {
        let mut state = self.lock();
        if state.readiness(now()).is_none() {
            return false;
        }
        let may_say_why =
            state.progress.stage == Stage::Body && state.streams.is_none() && !state.turned_away;
        state.going = Some(if may_say_why {
            Going::WithAnAnswer
        } else {
            Going::AtOnce
        });
        drop(state);
        self.evict.notify_one();
        true
    }

    /// Has one go at once that has been sent away.
    pub(crate) fn hurry(&self) {
        self.lock().going = Some(Going::AtOnce);
        self.evict.notify_one();
    }

    /// How it goes, once it has been sent away.
    pub(super) fn going(&self) -> Option<Going> {
        self.lock().going
    }

    #[cfg(test)]
    pub(crate) async fn is_asked_to_go(&self) -> bool {
        let asked = tokio::time::timeout(Duration::from_millis(1), self.evict.notified());
        asked.await.is_ok()
    }

    #[cfg(test)]
    pub(crate) fn goes_at_once(&self) -> bool {
        self.going() == Some(Going::AtOnce)
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
    pub(crate) fn came(&self, bytes: &[u8]) -> usize {
        let mut state = self.lock();
        state.moved = now();
        state.has_asked = false;
        state.note(Event::Bytes);
        state.ahead.came(bytes)
    }

    /// Bytes have gone, or come where it is not known what they mean.
    pub(super) fn moved(&self) {
        self.lock().moved = now();
    }

    /// A head has been made a request of. Returns whether it came together with the one before it: then it begins when it
    /// is its turn ([`Clocked::begin`]), and until then the connection goes for another one as before.
    pub(super) fn request(&self, method: &Method, body_bytes: Option<u64>) -> bool {
        let mut state = self.lock();
        let came_with_another = std::mem::replace(&mut state.has_asked, true);
        state.only_asks = matches!(*method, Method::GET | Method::HEAD);
        state.ahead.request(body_bytes);
        if !came_with_another {
            state.note(Event::Request {
                has_body: body_bytes != Some(0),
            });
        }
        came_with_another
    }

    /// The turn of a request has come that came together with another one.
    pub(super) fn begin(&self, body_bytes: Option<u64>) {
        self.note(Event::Request {
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
    fn readiness(&self, now: Instant) -> Option<(Readiness, Instant)> {
        let since = |then| now.saturating_duration_since(then);
        let Progress { stage, since: began } = self.progress;
        match stage {
            _ if self.turned_away => Some((Readiness::Late, self.moved)),
            Stage::Streaming => Some((Readiness::Streams, began)),
            Stage::Idle | Stage::Head if since(began) >= STALLED => Some((Readiness::Unused, began)),
            Stage::Idle if since(began) >= NEW => Some((Readiness::New, began)),
            Stage::Idle => None,
            Stage::Body | Stage::Answering if since(self.moved) >= STALLED || since(began) >= SLOW => {
                Some((Readiness::Late, self.moved))
            }
            Stage::Head | Stage::Body | Stage::Answering if since(self.moved) >= SILENT => {
                Some((Readiness::Silent, self.moved))
            }
            // One that may have several requests on their way goes when it has been silent, and no sooner.
            Stage::Body | Stage::Answering if self.streams.is_some() => None,
            // Sending a byte now and then is no help.
            Stage::Head | Stage::Body | Stage::Answering => Some((Readiness::Waits, began)),
            Stage::Exchange => None,
        }
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

/// How a connection goes that has been sent away.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Going {
    AtOnce,
    WithAnAnswer,
}

/// The runtime's clock, which tests can pause.
#[expect(
    clippy::disallowed_methods,
    reason = "each stage of a connection has a deadline"
)]
pub(super) fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}
