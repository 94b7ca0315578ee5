//! One HTTP front, of HTTP/1.1 and where a port wants it HTTP/2, for every port of this daemon: it is given a listener, [`Limits`], who is told what happens
//! (`Watch`) and what answers, a tower service. It knows no route.
//!
//! | part | its one job |
//! |---|---|
//! | `serve` | accepts within limits, makes room, ends in order |
//! | `connection` | one connection: a clock on each stage, refusals that can be read |
//! | [`limits`] | the values that a port gives |
//! | `body` | bodies of requests, read within bounds; bodies of answers, whole or streaming |
//! | `answer` | answers in JSON, and errors as SDKs of AWS read them |
//! | [`guard`] | keeps browsers out |
//! | [`origins`] | lets pages in whose origins are named |
//! | `refusals` | bounded log lines about who was refused |
//!
//! What answers has the shape of a tower service, [`tower_service::Service`], so that a stack that brings its own (gRPC)
//! can be mounted as it is.

pub(crate) mod answer;
pub(crate) mod body;
pub(crate) mod connection;
pub mod guard;
pub mod limits;
pub mod origins;
mod places;
pub(crate) mod refusals;

use std::convert::Infallible;
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use http::header::TRANSFER_ENCODING;
use http::{HeaderMap, Method, Request, StatusCode};
use socket2::SockRef;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{oneshot, watch};
use tokio::task::JoinSet;
use tower_service::Service;

use self::answer::Answer;
use self::connection::RequestBody;
use self::limits::Limits;
use self::places::{Peer, Place, Places, Room};
use crate::ledger::Ledger;
use crate::ledger::http::Ending;
use crate::logs::Tally;

/// The pause after an accept that failed for a reason of the system's (no descriptors left): it will not pass at once.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// After so many new connections the open ones have their turn, when one goes for each. With fewer, many that come wait long
/// for those.
const LOOK_AROUND: u64 = 64;

/// The code of the answer to who finds no place, and what it says.
const TOO_MANY: &str = "TooManyConnections";
const ALL_IN_USE: &str = "All connections of this port are in use.";

/// Is told what becomes of connections.
pub(crate) trait Watch: Send + Sync + 'static {
    /// One has begun.
    fn opened(&self);

    /// One that had begun is over; `None`: its client closed it, or the port does.
    fn ended(&self, why: Option<Ending>);

    /// One was answered 503, since all places that it could have are in the middle of a request; it is closed.
    fn refused(&self);
}

/// Counts connections in the ledger.
pub(crate) struct Counted(pub(crate) Arc<Ledger>);

impl Watch for Counted {
    fn opened(&self) {
        self.0.http.add_connection();
    }

    fn ended(&self, why: Option<Ending>) {
        self.0.http.remove_connection();
        if let Some(ending) = why {
            self.0.http.add_ending(ending);
        }
    }

    fn refused(&self) {
        self.0.http.add_ending(Ending::TooMany);
    }
}

/// What answers requests.
pub(crate) trait Handler:
    Service<Request<RequestBody>, Response = Answer, Error = Infallible, Future: Send + 'static>
    + Clone
    + Send
    + Sync
    + 'static
{
}

impl<H> Handler for H where
    H: Service<Request<RequestBody>, Response = Answer, Error = Infallible, Future: Send + 'static>
        + Clone
        + Send
        + Sync
        + 'static
{
}

/// A function as a [`Handler`].
#[derive(Debug, Clone)]
pub(crate) struct Function<F>(pub(crate) F);

impl<F, A> Service<Request<RequestBody>> for Function<F>
where
    F: Fn(Request<RequestBody>) -> A,
    A: Future<Output = Result<Answer, Infallible>>,
{
    type Response = Answer;
    type Error = Infallible;
    type Future = A;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<RequestBody>) -> A {
        (self.0)(request)
    }
}

/// Any [`Handler`]. What serves a connection is large, HTTP/2 most of all, and would be in the program once for each type of
/// handler. A request has one allocation for it.
type Answers =
    Arc<dyn Fn(Request<RequestBody>) -> Pin<Box<dyn Future<Output = Answer> + Send>> + Send + Sync>;

fn any(handler: impl Handler) -> Answers {
    Arc::new(move |request| {
        let mut handler = handler.clone();
        Box::pin(async move {
            let Ok(()) = poll_fn(|cx| handler.poll_ready(cx)).await;
            let Ok(answer) = handler.call(request).await;
            answer
        })
    })
}

/// Who sent a request; an extension of each.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Caller {
    /// It came over the loopback interface.
    pub(crate) is_this_machine: bool,
}

impl Caller {
    fn of(stream: &TcpStream) -> Self {
        let address = stream.peer_addr();
        Self {
            is_this_machine: address.is_ok_and(|address| address.ip().to_canonical().is_loopback()),
        }
    }
}

/// Takes connections until `stop` resolves; then the port is closed, connections without a request and those with a
/// stream are closed, and those with another request are told to close after their answer. Returns when all have
/// ended; dropping the future cuts those that are left.
pub(crate) async fn serve(
    listener: TcpListener,
    limits: Limits,
    watch: impl Watch,
    stop: oneshot::Receiver<()>,
    handler: impl Handler,
) {
    serve_any(listener, limits, Arc::new(watch), stop, any(handler)).await;
}

#[expect(
    clippy::disallowed_methods,
    reason = "one line a second of what the system refuses"
)]
async fn serve_any(
    listener: TcpListener,
    limits: Limits,
    watch: Arc<dyn Watch>,
    mut stop: oneshot::Receiver<()>,
    answers: Answers,
) {
    let (stopping, stopped) = watch::channel(false);
    let places = Arc::new(Places::default());
    let mut connections = JoinSet::new();
    let mut faults = Tally::default();
    let mut taken = 0_u64;
    loop {
        let accepted = tokio::select! {
            biased;
            _ = &mut stop => break,
            Some(_) = connections.join_next(), if !connections.is_empty() => continue,
            accepted = listener.accept() => accepted,
        };
        taken += 1;
        if connections.len() >= limits.connections && taken.is_multiple_of(LOOK_AROUND) {
            // What has come on open connections is read before one of them is closed as unused.
            tokio::task::yield_now().await;
        }
        let has_room = accepted.is_ok() && find_room(&places, &limits, &mut connections).await;
        match accepted {
            Ok((stream, address)) if has_room => {
                // Those that are to go at once are gone the next time that they are looked at, and their files with them.
                while connections.len() >= limits.connections + limits.leaving() {
                    connections.join_next().await;
                }
                let (watch, answers) = (Arc::clone(&watch), Arc::clone(&answers));
                connections.spawn(one(
                    stream,
                    limits,
                    watch,
                    places.take(Peer::of(address.ip())),
                    stopped.clone(),
                    answers,
                ));
            }
            Ok((stream, _)) => {
                watch.refused();
                refuse(&stream);
            }
            Err(error) => {
                if let Some(times) = faults.add(1, std::time::Instant::now()) {
                    tracing::error!(times, error = %error, "Accepting on TCP failed: {error}");
                }
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
    drop(listener);
    stopping.send_replace(true);
    while connections.join_next().await.is_some() {}
}

/// Whether there is a place for one more. Waits for one of those that have just come and are about to have had their time.
async fn find_room(places: &Places, limits: &Limits, connections: &mut JoinSet<()>) -> bool {
    loop {
        match places.room(limits) {
            Room::Free => return true,
            Room::None => return false,
            Room::Soon(at) => tokio::select! {
                () = tokio::time::sleep_until(at.into()) => {}
                Some(_) = connections.join_next() => {}
            },
        }
    }
}

async fn one(
    stream: TcpStream,
    limits: Limits,
    watch: Arc<dyn Watch>,
    place: Place,
    stop: watch::Receiver<bool>,
    answers: Answers,
) {
    // Answers are written whole. A failure makes them slower, not wrong.
    let _: io::Result<()> = stream.set_nodelay(true);
    if limits.streams > 0 {
        // Finds out about readers of a stream that are gone without a word. Without it they go when there is news.
        let _: io::Result<()> = SockRef::from(&stream).set_keepalive(true);
    }
    watch.opened();
    let caller = Caller::of(&stream);
    let place = Arc::new(place);
    let answer = |mut request: Request<RequestBody>| {
        request.extensions_mut().insert(caller);
        let answers = Arc::clone(&answers);
        let (place, watch) = (Arc::clone(&place), Arc::clone(&watch));
        async move {
            if has_unknown_coding(request.headers()) {
                let (head, body) = request.into_parts();
                body::discard(&head, body).await;
                return answer::last(answer::error(
                    StatusCode::NOT_IMPLEMENTED,
                    "UnsupportedTransferEncoding",
                    "Bodies are taken without Transfer-Encoding, or with chunked alone.",
                ));
            }
            let only_asks = matches!(*request.method(), Method::GET | Method::HEAD);
            if !only_asks && !place.may_work(&limits) {
                watch.refused();
                let (head, body) = request.into_parts();
                body::discard(&head, body).await;
                return answer::last(answer::try_again(TOO_MANY, ALL_IN_USE));
            }
            let answer = answers(request).await;
            if answer.body().is_stream() {
                place.make_room_for_stream(&limits);
            }
            answer
        }
    };
    let ending = connection::first::serve(stream, place.shared(), limits, stop, answer).await;
    watch.ended(ending);
    if let Some(ending) = ending {
        tracing::debug!(
            reason = ending.label(),
            "A TCP connection ended: {}",
            ending.label()
        );
    }
    drop(place);
}

/// Whether a body comes in other codings than [RFC 9112](https://www.rfc-editor.org/rfc/rfc9112#section-6.1) makes everybody
/// understand: what takes the chunks apart looks at the last one only, and would hand over what the others made as it is.
fn has_unknown_coding(headers: &HeaderMap) -> bool {
    let mut codings = headers.get_all(TRANSFER_ENCODING).iter();
    let first_is_chunked = codings
        .next()
        .is_none_or(|coding| coding.as_bytes().trim_ascii().eq_ignore_ascii_case(b"chunked"));
    !first_is_chunked || codings.next().is_some()
}

/// Says that there are too many, as far as the kernel takes it at once, and closes.
fn refuse(stream: &TcpStream) {
    let answer = answer::raw_error(StatusCode::SERVICE_UNAVAILABLE, TOO_MANY, ALL_IN_USE);
    // Who does not get it sees the connection closed, which says as much.
    let _: io::Result<usize> = stream.try_write(&answer);
}

#[cfg(test)]
mod tests;
