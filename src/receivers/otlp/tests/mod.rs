//! The receiver on a port of its own, with somebody behind it who keeps what it hands on.

mod attacks;
mod grpc;
mod http;

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Mutex;
use std::sync::atomic::AtomicUsize;
use std::thread::{self, ThreadId};
use std::time::Duration;

use ::http::{Response, StatusCode};
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;

use super::*;
use crate::pipeline::intake::{NoRoom, NotTaken, Request, Room};

/// Long enough for any machine, and the end of a test that hangs.
const PATIENCE: Duration = Duration::from_secs(30);

/// What is behind the receiver.
#[derive(Debug)]
struct Kept {
    requests: Mutex<Vec<Request>>,
    refused: Mutex<Vec<(Signal, Receiver)>>,
    wanted: Vec<Signal>,
    /// What the next questions for room are answered; then there is room.
    room: Mutex<VecDeque<Room>>,
    not_taken: Mutex<Option<NotTaken>>,
    /// What becomes of the next request has no room.
    no_room: Mutex<Option<NoRoom>>,
    converted: bool,
    threads: Mutex<Vec<ThreadId>>,
    asked: AtomicUsize,
}

impl Requests for Kept {
    fn wants(&self, signal: Signal) -> bool {
        self.wanted.contains(&signal)
    }

    fn room_for(&self, _: Signal, _: usize) -> Room {
        self.asked.fetch_add(1, Relaxed);
        self.room.lock().unwrap().pop_front().unwrap_or(Room::Free)
    }

    fn add(&self, request: Request, _: std::time::Instant) -> Result<Option<NotTaken>, NoRoom> {
        self.threads.lock().unwrap().push(thread::current().id());
        if let Some(no_room) = self.no_room.lock().unwrap().take() {
            return Err(no_room);
        }
        self.requests.lock().unwrap().push(request);
        Ok(self.not_taken.lock().unwrap().clone())
    }

    fn add_refused(&self, signal: Signal, receiver: Receiver) {
        self.refused.lock().unwrap().push((signal, receiver));
    }

    fn is_converted(&self, _: Signal) -> bool {
        self.converted
    }
}

/// A receiver on a free port.
struct Port {
    address: SocketAddr,
    kept: Arc<Kept>,
    ledger: Arc<Ledger>,
    stop: oneshot::Sender<()>,
    serving: JoinHandle<io::Result<()>>,
}

const LIMITS: BodyLimits = BodyLimits {
    max_bytes: 1 << 20,
    all_max_bytes: 8 << 20,
    time: Duration::from_secs(10),
};

impl Port {
    fn open() -> Self {
        Self::open_with(&Signal::ALL, LIMITS, limits::CONNECTIONS)
    }

    fn open_with(wanted: &[Signal], bodies: BodyLimits, connections: Limits) -> Self {
        Self::open_before(wanted, bodies, connections, false)
    }

    /// One before something that converts what it is given, or does not.
    fn open_before(wanted: &[Signal], bodies: BodyLimits, connections: Limits, converted: bool) -> Self {
        let kept = Arc::new(Kept {
            requests: Mutex::default(),
            refused: Mutex::default(),
            wanted: wanted.to_vec(),
            room: Mutex::default(),
            not_taken: Mutex::default(),
            no_room: Mutex::default(),
            converted,
            threads: Mutex::default(),
            asked: AtomicUsize::default(),
        });
        let ledger = Arc::new(Ledger::default());
        let origins = Origins::new(&["https://app.example.com".to_owned()]);
        let otlp = Otlp::new(
            Arc::clone(&kept),
            Arc::clone(&ledger),
            Guard::default(),
            origins,
            bodies,
        );
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, stopped) = oneshot::channel();
        let serving = tokio::spawn(serve(listener, Arc::new(otlp), connections, stopped));
        Self {
            address,
            kept,
            ledger,
            stop,
            serving,
        }
    }

    /// The requests that were handed on, each once.
    fn requests(&self) -> Vec<Request> {
        std::mem::take(&mut *self.kept.requests.lock().unwrap())
    }

    /// What is sent on a connection of its own is answered so, up to its end.
    async fn ask(&self, bytes: &[u8]) -> Raw {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        // A server that has its answer may close before all of this is read.
        let _: io::Result<()> = stream.write_all(bytes).await;
        let mut answer = Vec::new();
        tokio::time::timeout(PATIENCE, stream.read_to_end(&mut answer))
            .await
            .expect("an answer in time")
            .unwrap();
        Raw::of(&answer)
    }

    /// A POST with these headers, each with its line end.
    async fn post(&self, path: &str, headers: &str, body: &[u8]) -> Raw {
        let length = body.len();
        let head = format!(
            "POST {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n{headers}content-length: {length}\r\n\r\n"
        );
        self.ask(&[head.as_bytes(), body].concat()).await
    }

    /// The statuses of requests for this route.
    fn statuses(&self, route: Route) -> Vec<(u16, u64)> {
        let counts = self.ledger.http.snapshot();
        let of_route = counts.requests.into_iter().filter(|((of, _), _)| *of == route);
        of_route.map(|((_, status), times)| (status, times)).collect()
    }

    async fn close(self) {
        self.stop.send(()).unwrap();
        tokio::time::timeout(PATIENCE, self.serving)
            .await
            .expect("an end in time")
            .unwrap()
            .unwrap();
        let counts = self.ledger.http.snapshot();
        assert_eq!(counts.open_connections, 0);
    }
}

/// An answer of HTTP/1.1.
#[derive(Debug)]
struct Raw {
    status: u16,
    head: String,
    body: Vec<u8>,
}

impl Raw {
    fn of(answer: &[u8]) -> Self {
        let end = answer
            .windows(4)
            .position(|window| window == b"\r\n\r\n")
            .unwrap_or_else(|| panic!("no answer: {:?}", String::from_utf8_lossy(answer)));
        let head = String::from_utf8(answer[..end].to_vec()).unwrap();
        Self {
            status: head[9..12].parse().unwrap(),
            head,
            body: answer[end + 4..].to_vec(),
        }
    }

    fn header(&self, name: &str) -> Option<&str> {
        self.head
            .lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
    }

    fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }
}

/// A connection of HTTP/2.
struct Http2Client(hyper::client::conn::http2::SendRequest<Full<Bytes>>);

impl Http2Client {
    async fn connect(port: &Port) -> Self {
        let stream = TcpStream::connect(port.address).await.unwrap();
        let (sender, connection) =
            hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream))
                .await
                .unwrap();
        tokio::spawn(connection);
        Self(sender)
    }

    async fn post(&mut self, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Response<Incoming> {
        let mut request = ::http::Request::post(format!("http://localhost{path}"));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(Full::new(Bytes::copy_from_slice(body))).unwrap();
        tokio::time::timeout(PATIENCE, self.0.send_request(request))
            .await
            .expect("an answer in time")
            .unwrap()
    }
}

/// Some requests in protobuf, with the number of their items: two spans, two data points, one record.
fn protobuf(signal: Signal) -> (Vec<u8>, u64) {
    use xray_double::protobuf::field;

    let (items, count) = match signal {
        Signal::Traces => ([field(2, &field(5, b"one")), field(2, b"")].concat(), 2),
        Signal::Metrics => {
            let points = [field(1, b""), field(1, b"")].concat();
            (field(2, &[field(1, b"name"), field(5, &points)].concat()), 2)
        }
        Signal::Logs => (field(2, &field(5, &field(1, b"text"))), 1),
    };
    let scope = [field(1, &field(1, b"scope")), items].concat();
    (field(1, &field(2, &scope)), count)
}

/// The same in JSON.
fn json(signal: Signal) -> (Vec<u8>, u64) {
    let (text, count) = match signal {
        Signal::Traces => (
            r#"{"resourceSpans":[{"scopeSpans":[{"spans":[{"name":"one"},{}]}]}]}"#,
            2,
        ),
        Signal::Metrics => (
            r#"{"resourceMetrics":[{"scopeMetrics":[{"metrics":[{"gauge":{"dataPoints":[{},{}]}}]}]}]}"#,
            2,
        ),
        Signal::Logs => (r#"{"resourceLogs":[{"scopeLogs":[{"logRecords":[{}]}]}]}"#, 1),
    };
    (text.as_bytes().to_vec(), count)
}

fn path(signal: Signal) -> String {
    format!("/v1/{}", signal.label())
}

fn method(signal: Signal) -> &'static str {
    match signal {
        Signal::Traces => "/opentelemetry.proto.collector.trace.v1.TraceService/Export",
        Signal::Metrics => "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export",
        Signal::Logs => "/opentelemetry.proto.collector.logs.v1.LogsService/Export",
    }
}
