//! The double's HTTP/1.1 server: connections, signatures, faults, and what is recorded about them.

mod body;
mod exchange;

use std::future::pending;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{HeaderValue, Request, Response, StatusCode, header};
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use socket2::{SockRef, Socket};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;
use xray_service::answer::Answer;
use xray_service::service::Operation;

use super::endpoint::Refuse;
use super::faults::{Action, CannedAnswer, Fault, FaultRequest};
use super::sigv4::Received;
use super::state::{Outcome, RecordedRequest, State, Verdict};
use body::AnswerBody;

pub use exchange::{Clock, SignatureCheck};
pub(super) use exchange::{Exchange, Settings};

/// Open connections beyond this wait in the kernel's backlog: more than any test opens, fewer than descriptors.
const MAX_CONNECTIONS: usize = 4_096;

/// Request heads beyond this are refused by hyper with 431; signed heads are well below 8 KB.
const MAX_HEAD_BYTES: usize = 64 * 1024;

/// The pause after an accept that failed (no descriptors left, say): the cause does not go away at once.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Any byte stream that can carry HTTP.
pub trait Io: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Io for T {}

/// Turns an accepted TCP connection into the stream that carries HTTP: a TLS handshake, say.
pub type Acceptor =
    Arc<dyn Fn(TcpStream) -> Pin<Box<dyn Future<Output = io::Result<Box<dyn Io>>> + Send>> + Send + Sync>;

/// Accepts connections until `stop` fires or is dropped; then the listener and all connections are closed.
pub(super) async fn serve(
    listener: TcpListener,
    exchange: Arc<Exchange>,
    acceptor: Option<Acceptor>,
    mut stop: oneshot::Receiver<()>,
) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            biased;
            _ = &mut stop => break,
            Some(_) = connections.join_next(), if !connections.is_empty() => {}
            accepted = listener.accept(), if connections.len() < MAX_CONNECTIONS => match accepted {
                Ok((stream, _peer)) => {
                    connections.spawn(connection(stream, Arc::clone(&exchange), acceptor.clone()));
                }
                Err(_) => tokio::time::sleep(ACCEPT_PAUSE).await,
            },
        }
    }
    drop(listener);
    connections.shutdown().await;
}

/// One TCP connection, through the acceptor if there is one.
async fn connection(stream: TcpStream, exchange: Arc<Exchange>, acceptor: Option<Acceptor>) {
    // Answers are small; without this a slow body's pieces would wait for the client's acknowledgements. Neither
    // failure keeps the connection from working: it is slower, or a reset becomes an orderly close.
    let _ = stream.set_nodelay(true);
    let socket = SockRef::from(&stream).try_clone().ok();
    let Some(acceptor) = acceptor else {
        return serve_connection(stream, exchange, socket).await;
    };
    if let Ok(stream) = acceptor(stream).await {
        serve_connection(stream, exchange, socket).await;
    }
}

/// How a fault ends a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Cut {
    Close,
    Reset,
}

/// Serves requests from one stream until the client closes it or a fault does. `socket` is the TCP socket below, for
/// faults that reset it; without one they close the stream.
pub(super) async fn serve_connection<S: Io>(stream: S, exchange: Arc<Exchange>, socket: Option<Socket>) {
    let connection = Connected::new(Arc::clone(&exchange));
    let number = connection.number;
    let (cut, mut cuts) = mpsc::unbounded_channel();
    let service = service_fn(move |request| {
        let (exchange, cut) = (Arc::clone(&exchange), cut.clone());
        async move { respond(exchange, number, cut, request).await }
    });
    let mut serving = http1::Builder::new()
        .header_read_timeout(None)
        .max_buf_size(MAX_HEAD_BYTES)
        .serve_connection(TokioIo::new(stream), service);
    // Biased so that what hyper still has to write is written before a cut takes effect.
    tokio::select! {
        biased;
        // What a client does wrong on the wire is its own affair; requests that arrived are recorded.
        _ = &mut serving => {}
        Some(cut) = cuts.recv() => {
            if let (Cut::Reset, Some(socket)) = (cut, socket.as_ref()) {
                // Without linger the kernel answers the close with RST. If it refuses, the client sees a FIN.
                let _ = socket.set_linger(Some(Duration::ZERO));
            }
        }
    }
}

/// Counts a connection as open while it lives.
struct Connected {
    exchange: Arc<Exchange>,
    number: u64,
}

impl Connected {
    fn new(exchange: Arc<Exchange>) -> Self {
        let number = exchange.change(State::connected);
        Self { exchange, number }
    }
}

impl Drop for Connected {
    fn drop(&mut self) {
        self.exchange.change(State::disconnected);
    }
}

/// A request that waits for its answer. Dropped without one, it was abandoned.
struct Waiting {
    exchange: Arc<Exchange>,
    number: u64,
    outcome: Outcome,
}

impl Waiting {
    fn end(mut self, outcome: Outcome) {
        self.outcome = outcome;
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.exchange
            .change(|state| state.ended(self.number, self.outcome));
    }
}

/// A request that arrived whole, or was too big to.
struct Arrived {
    operation: Option<Operation>,
    method: String,
    /// Below the endpoint's own path.
    path: String,
    body: Bytes,
    too_big: bool,
    signature: Verdict,
}

/// The client broke off while it sent its body: there is nobody to answer.
#[derive(Debug, thiserror::Error)]
#[error("the request's body ended early")]
struct BrokenOff;

/// One request: record it, wait out a freeze, meet its fault, be answered.
async fn respond(
    exchange: Arc<Exchange>,
    connection: u64,
    cut: mpsc::UnboundedSender<Cut>,
    request: Request<Incoming>,
) -> Result<Response<AnswerBody>, BrokenOff> {
    let (arrived, waiting) = receive(&exchange, connection, request).await?;
    exchange.thawed().await;
    let in_flight = exchange.look(State::in_flight);
    let fault = exchange.faults.next(&FaultRequest {
        operation: arrived.operation,
        path: &arrived.path,
        body: &arrived.body,
        in_flight,
    });
    let request_id = waiting.number;
    let Some(fault) = fault else {
        let answer = work(&exchange, &arrived, &|_, _| None);
        waiting.end(Outcome::Answered(answer.status));
        return Ok(whole(answer, request_id));
    };
    exchange.change(|state| state.met_fault(waiting.number, fault.to_string()));
    Ok(spoil(&exchange, &arrived, waiting, fault, cut).await)
}

/// Reads the body and records the request.
async fn receive(
    exchange: &Arc<Exchange>,
    connection: u64,
    request: Request<Incoming>,
) -> Result<(Arrived, Waiting), BrokenOff> {
    let (head, body) = request.into_parts();
    let limit = exchange.settings.max_body_bytes;
    let (body, too_big) = match Limited::new(body, limit).collect().await {
        Ok(body) => (body.to_bytes(), false),
        Err(error) if error.is::<LengthLimitError>() => (Bytes::new(), true),
        Err(_) => return Err(BrokenOff),
    };
    let now = exchange.now();
    let settings = &exchange.settings;
    let path = head
        .uri
        .path()
        .strip_prefix(settings.base_path.as_str())
        .unwrap_or_default()
        .to_owned();
    let operation = Operation::of(head.method.as_str(), &path);
    let signature = if settings.signatures == SignatureCheck::Off || too_big {
        Verdict::Unchecked
    } else {
        let received = Received {
            method: head.method.as_str(),
            path: head.uri.path(),
            query: head.uri.query(),
            headers: &head.headers,
            body: &body,
        };
        match settings.verifier.verify(&received, now) {
            Ok(verified) => Verdict::Valid(verified),
            Err(error) => Verdict::Refused(error),
        }
    };
    let method = head.method.as_str().to_owned();
    let record = RecordedRequest {
        number: 0,
        connection,
        arrived_at: now,
        arrived: Instant::now(),
        method: method.clone(),
        path: head
            .uri
            .path_and_query()
            .map_or_else(String::new, ToString::to_string),
        operation,
        headers: head.headers,
        body: body.clone(),
        body_bytes: body.len(),
        signature: signature.clone(),
        fault: None,
        outcome: Outcome::Waiting,
    };
    let number = exchange.change(|state| state.arrived(record));
    let waiting = Waiting {
        exchange: Arc::clone(exchange),
        number,
        outcome: Outcome::Abandoned,
    };
    let arrived = Arrived {
        operation,
        method,
        path,
        body,
        too_big,
        signature,
    };
    Ok((arrived, waiting))
}

/// What the service says, once limits and signature are in order.
fn work(exchange: &Exchange, arrived: &Arrived, refuse: Refuse<'_>) -> Answer {
    if arrived.too_big {
        let limit = exchange.settings.max_body_bytes;
        // That AWS would answer so is believed; no report of a request too big for X-Ray is known.
        return Answer::error(
            413,
            "RequestEntityTooLargeException",
            &format!("the body is longer than {limit} bytes"),
        );
    }
    match &arrived.signature {
        Verdict::Refused(error) if exchange.settings.signatures == SignatureCheck::Enforced => {
            Answer::error(403, error.code(), &error.to_string())
        }
        _ => {
            let now = exchange.now();
            exchange.change(|state| {
                state
                    .endpoint
                    .handle(&arrived.method, &arrived.path, &arrived.body, refuse, now)
            })
        }
    }
}

/// Lets the fault happen.
async fn spoil(
    exchange: &Exchange,
    arrived: &Arrived,
    waiting: Waiting,
    fault: Fault,
    cut: mpsc::UnboundedSender<Cut>,
) -> Response<AnswerBody> {
    let number = waiting.number;
    let work = |refuse: Refuse<'_>| work(exchange, arrived, refuse);
    let right_answer = || work(&|_, _| None);
    let early = fault.after_accepting.then(right_answer);
    match fault.action {
        Action::Answer(canned) => {
            waiting.end(Outcome::Answered(canned.status.as_u16()));
            can(canned)
        }
        Action::Delay(delay) => {
            tokio::time::sleep(delay).await;
            let answer = early.unwrap_or_else(right_answer);
            waiting.end(Outcome::Answered(answer.status));
            whole(answer, number)
        }
        Action::Hang => pending().await,
        Action::Close => end_connection(waiting, &cut, Cut::Close).await,
        Action::Reset => end_connection(waiting, &cut, Cut::Reset).await,
        Action::HalfAnswer => {
            let answer = early.unwrap_or_else(right_answer);
            waiting.end(Outcome::Cut);
            let cut = move || {
                // It fails only when the connection has ended already.
                let _ = cut.send(Cut::Close);
            };
            whole(answer, number).map(|body| body.half(cut))
        }
        Action::SlowBody { chunk_bytes, pause } => {
            let answer = early.unwrap_or_else(right_answer);
            waiting.end(Outcome::Answered(answer.status));
            whole(answer, number).map(|body| body.slow(chunk_bytes, pause))
        }
        Action::Unprocessed(unprocessed) => {
            let answer = work(&|position, document| unprocessed.refusal(position, document));
            waiting.end(Outcome::Answered(answer.status));
            whole(answer, number)
        }
    }
}

/// Tells the connection to end; the request is never answered.
async fn end_connection<T>(waiting: Waiting, cut: &mpsc::UnboundedSender<Cut>, how: Cut) -> T {
    waiting.end(Outcome::Cut);
    // It fails only when the connection has ended already, which drops this future too.
    let _ = cut.send(how);
    pending().await
}

/// A service's answer with the headers AWS sends.
fn whole(answer: Answer, number: u64) -> Response<AnswerBody> {
    let mut response = Response::new(AnswerBody::whole(answer.body));
    *response.status_mut() = StatusCode::from_u16(answer.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    if let Ok(request_id) = HeaderValue::try_from(format!("00000000-0000-4000-8000-{number:012x}")) {
        headers.insert("x-amzn-requestid", request_id);
    }
    if let Some(error_type) = answer.error_type {
        headers.insert("x-amzn-errortype", HeaderValue::from_static(error_type));
    }
    response
}

/// A fault's answer: its own headers and nothing else.
fn can(canned: CannedAnswer) -> Response<AnswerBody> {
    let mut response = Response::new(AnswerBody::whole(canned.body));
    *response.status_mut() = canned.status;
    *response.headers_mut() = canned.headers;
    response
}

#[cfg(test)]
mod tests;
