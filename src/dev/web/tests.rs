//! The whole port on a real socket, and where time matters on connections in memory.

use std::net::SocketAddr;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, DuplexStream};
use tokio::net::TcpStream;
use tokio::task::{JoinHandle, JoinSet};
use xray_service::traces::Limits;
use xray_service::work::Work;

use super::*;
use crate::api::health::Health;
use crate::api::summary::Summary;
use crate::logs::testing::LogLines;
use crate::net::server::connection;
use crate::pipeline::budget::Budget;
use crate::pipeline::lane::Lane;

fn shared() -> Arc<Site> {
    let lane = Lane::new(Budget::of_mb(16), Arc::default());
    let summary = Arc::new(Summary::of_lane(Arc::new(lane)));
    let about = About {
        started: 0.0,
        udp: String::new(),
        tcp: String::new(),
        store_file: None,
    };
    let service = Arc::new(Mutex::new(Service::new(Limits::default())));
    let metrics = Source::new(summary, Arc::new(Health::default()));
    Arc::new(Site::new(service, Guard::default(), about, metrics).unwrap())
}

/// A port that serves.
struct Port {
    shared: Arc<Site>,
    address: SocketAddr,
    stop: oneshot::Sender<()>,
    serving: JoinHandle<()>,
}

impl Port {
    async fn start() -> Self {
        let shared = shared();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, stopped) = oneshot::channel();
        let serving = tokio::spawn(serve(listener, Arc::clone(&shared), stopped));
        Self {
            shared,
            address,
            stop,
            serving,
        }
    }

    async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.unwrap()
    }

    async fn ask(&self, request: &str) -> Answered {
        ask(self.connect().await, request.as_bytes()).await
    }

    async fn get(&self, path: &str) -> Answered {
        self.ask(&get(path)).await
    }

    fn with_key(&self, path: &str) -> String {
        format!("{path}?key={}", self.shared.key.written_into("{{key}}"))
    }

    /// A reader of events, who has heard that the connection is open.
    async fn reader(&self) -> TcpStream {
        let mut stream = self.connect().await;
        let request = get(&self.with_key("/-/events"));
        stream.write_all(request.as_bytes()).await.unwrap();
        read_until(&mut stream, ": hello\n\n").await;
        stream
    }

    fn ended(&self, ending: Ending) -> u64 {
        self.shared.metrics.ledger().http.snapshot().ended(ending)
    }
}

struct Answered {
    status: u16,
    head: String,
    body: String,
}

impl Answered {
    fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap()
    }
}

fn get(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nhost: localhost\r\n\r\n")
}

fn post(path: &str, body: &str) -> String {
    format!(
        "POST {path} HTTP/1.1\r\nhost: localhost\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )
}

/// The head of a request with so long a body.
fn announce(path: &str, body_bytes: usize) -> String {
    format!("POST {path} HTTP/1.1\r\nhost: localhost\r\ncontent-length: {body_bytes}\r\n\r\n")
}

fn put(id: &str) -> String {
    let document = json!({"trace_id": "1-581cf771-a006649127e371903a2de979", "id": id, "name": "shop",
        "start_time": 1.0, "end_time": 2.0});
    json!({"TraceSegmentDocuments": [document.to_string()]}).to_string()
}

async fn read_until(stream: &mut (impl AsyncRead + Unpin), end: &str) -> String {
    let mut text = Vec::new();
    while !text.ends_with(end.as_bytes()) {
        text.push(stream.read_u8().await.unwrap());
    }
    String::from_utf8(text).unwrap()
}

/// One answer with a length.
async fn read_answer(stream: &mut (impl AsyncRead + Unpin)) -> Answered {
    let head = read_until(stream, "\r\n\r\n").await;
    let length = head
        .lines()
        .find_map(|line| line.strip_prefix("content-length: "))
        .map_or(0, |length| length.parse().unwrap());
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await.unwrap();
    Answered {
        status: head[9..12].parse().unwrap(),
        head,
        body: String::from_utf8(body).unwrap(),
    }
}

async fn ask(mut stream: impl AsyncRead + AsyncWrite + Unpin, request: &[u8]) -> Answered {
    stream.write_all(request).await.unwrap();
    read_answer(&mut stream).await
}

#[tokio::test]
async fn more_readers_of_events_than_places_shut_out_neither_sampling_nor_health_nor_segments() {
    let port = Port::start().await;
    let kept = limits::CONNECTIONS.streams;
    let mut readers = Vec::new();
    for _ in 0..limits::CONNECTIONS.connections + 44 {
        readers.push(port.reader().await);
    }
    assert_eq!(port.get("/healthz").await.status, 200);
    assert_eq!(port.ask(&post("/GetSamplingRules", "{}")).await.status, 200);
    let taken = port.ask(&post("/TraceSegments", &put("70de5b6f19ff9a0a"))).await;
    assert_eq!(taken.json(), json!({"UnprocessedTraceSegments": []}));
    assert_eq!(port.ended(Ending::TooMany), 0);
    assert_eq!(port.ended(Ending::Evicted), (readers.len() - kept) as u64);
    // The oldest have been closed, so that a browser asks again; the latest hear of the news.
    let latest = readers.split_off(readers.len() - kept);
    for mut reader in readers {
        let mut rest = Vec::new();
        reader.read_to_end(&mut rest).await.unwrap();
        assert!(!rest.ends_with(b"0\r\n\r\n"), "not as if all had been said");
    }
    for mut reader in latest {
        read_until(&mut reader, "1-581cf771-a006649127e371903a2de979").await;
    }
}

#[tokio::test]
async fn documents_that_are_being_read_hold_up_neither_health_nor_sampling_nor_questions() {
    let port = Port::start().await;
    // Those of somebody else are being read for as long as this takes.
    let (release, released) = std::sync::mpsc::channel::<()>();
    let documents = port.shared.documents.clone();
    let reading = tokio::spawn(async move { documents.run(move |_| released.recv().is_err()).await });
    let mut putting = port.connect().await;
    let request = post("/TraceSegments", &put("70de5b6f19ff9a0a"));
    putting.write_all(request.as_bytes()).await.unwrap();
    for (request, status) in [
        (get("/healthz"), 200),
        (post("/GetSamplingRules", "{}"), 200),
        (get(&port.with_key("/-/traces")), 200),
        (get(&port.with_key("/-/stats")), 200),
    ] {
        assert_eq!(port.ask(&request).await.status, status, "{request}");
    }
    assert_eq!(port.shared.service().traces().documents(), 0);
    drop(release);
    assert_eq!(reading.await.unwrap(), Some(true));
    let answer = read_answer(&mut putting).await;
    assert_eq!(answer.json(), json!({"UnprocessedTraceSegments": []}));
    assert_eq!(port.shared.service().traces().documents(), 1);
}

#[tokio::test]
async fn a_reader_that_leaves_frees_its_place_at_once() {
    let port = Port::start().await;
    let reader = port.reader().await;
    drop(reader);
    while port.shared.changed.receiver_count() > 0 {
        tokio::task::yield_now().await;
    }
    while port.shared.metrics.ledger().http.snapshot().open_connections > 0 {
        tokio::task::yield_now().await;
    }
    assert_eq!(Ending::ALL.map(|ending| port.ended(ending)), [0; 8]);
}

#[tokio::test]
async fn one_more_than_all_places_in_the_middle_of_a_request_reads_why_and_is_in_the_log_once_a_second() {
    let lines = LogLines::collect();
    let port = Port::start().await;
    // What answers questions is busy with others.
    let mut questions = JoinSet::new();
    for _ in 0..2 {
        let shared = Arc::clone(&port.shared);
        questions.spawn(async move {
            let endless = |work: &Work| {
                while work.spend(0).is_ok() {
                    std::thread::sleep(Duration::from_millis(1));
                }
            };
            shared.questions.run(endless).await
        });
    }
    let mut busy = Vec::new();
    for _ in 0..limits::CONNECTIONS.connections {
        let mut stream = port.connect().await;
        stream
            .write_all(get(&port.with_key("/-/traces")).as_bytes())
            .await
            .unwrap();
        busy.push(stream);
    }
    let open = limits::CONNECTIONS.connections as u64;
    while port.shared.metrics.ledger().http.snapshot().open_connections < open {
        tokio::task::yield_now().await;
    }
    // Until the last has its place and has been read from, a newcomer is served in its stead.
    while port.ended(Ending::TooMany) == 0 {
        let mut stream = port.connect().await;
        let mut answer = String::new();
        if tokio::time::timeout(Duration::from_millis(20), stream.read_to_string(&mut answer))
            .await
            .is_ok()
        {
            assert!(answer.starts_with("HTTP/1.1 503 "), "{answer}");
            assert!(answer.contains("\"TooManyConnections\""), "{answer}");
        }
    }
    for _ in 0..50 {
        let answer = read_answer(&mut port.connect().await).await;
        assert_eq!(
            (answer.status, answer.json()["__type"].as_str()),
            (503, Some("TooManyConnections"))
        );
    }
    assert_eq!(
        port.shared.metrics.ledger().http.snapshot().open_connections,
        open
    );
    let said = lines.take();
    assert!(
        (1..=3).contains(&said.len())
            && said[0] == "[Warn] Refused a connection on the TCP port: 256 are in the middle of a request",
        "{said:?}"
    );
}

#[tokio::test]
async fn refused_requests_are_a_line_a_second_and_not_one_each() {
    let lines = LogLines::collect();
    let port = Port::start().await;
    let mut stream = port.connect().await;
    for _ in 0..100 {
        let request = "GET /-/traces HTTP/1.1\r\nhost: evil.example\r\n\r\n";
        stream.write_all(request.as_bytes()).await.unwrap();
        let answer = read_answer(&mut stream).await;
        assert_eq!(
            (answer.status, answer.json()["__type"].as_str()),
            (403, Some("Forbidden"))
        );
    }
    let said = lines.take();
    assert!((1..=3).contains(&said.len()), "{said:?}");
    assert!(
        said[0].starts_with("[Warn] Refused GET /-/traces on the TCP port, Host evil.example: This Host"),
        "{said:?}"
    );
}

#[tokio::test]
async fn metrics_are_those_of_the_daemon_with_this_port_in_them() {
    let port = Port::start().await;
    port.shared.metrics.ledger().add_received(3);
    port.get("/").await;
    port.ask(&post("/TraceSummaries", "{}")).await;
    port.ask(&post("/nowhere", "{}")).await;
    let answer = port.get("/metrics").await;
    assert!(
        answer
            .head
            .contains("content-type: text/plain; version=0.0.4; charset=utf-8\r\n"),
        "{}",
        answer.head
    );
    for line in [
        "xray_segments_received_total 3",
        "xray_http_requests_total{route=\"page\",code=\"200\"} 1",
        "xray_http_requests_total{route=\"api\",code=\"400\"} 1",
        "xray_http_requests_total{route=\"unknown\",code=\"404\"} 1",
    ] {
        assert!(
            answer.body.lines().any(|own| own == line),
            "{line}: {}",
            answer.body
        );
    }
}

#[tokio::test]
async fn a_browser_may_send_heads_of_64_kib() {
    let port = Port::start().await;
    let with_cookie = |bytes: usize| {
        format!(
            "GET / HTTP/1.1\r\nhost: localhost\r\ncookie: {}\r\n\r\n",
            "c".repeat(bytes)
        )
    };
    assert_eq!(port.ask(&with_cookie(60_000)).await.status, 200);
    let refused = port.ask(&with_cookie(140_000)).await;
    assert_eq!(
        (refused.status, refused.json()["__type"].as_str()),
        (431, Some("RequestHeaderTooLarge"))
    );
    assert!(
        refused.json()["message"]
            .as_str()
            .unwrap()
            .contains(" 65536 bytes ")
    );
}

#[tokio::test]
async fn at_the_end_streams_and_idle_connections_close_and_what_is_asked_is_answered() {
    let port = Port::start().await;
    let mut reader = port.reader().await;
    let mut idle = port.connect().await;
    idle.write_all(get("/healthz").as_bytes()).await.unwrap();
    read_answer(&mut idle).await;
    let mut asking = port.connect().await;
    asking
        .write_all(announce("/GetSamplingRules", 2).as_bytes())
        .await
        .unwrap();
    while port.shared.metrics.ledger().http.snapshot().open_connections < 3 {
        tokio::task::yield_now().await;
    }
    // Its head is read with the next turns of this one thread.
    tokio::time::sleep(Duration::from_millis(50)).await;
    drop(port.stop);
    let mut rest = Vec::new();
    reader.read_to_end(&mut rest).await.unwrap();
    idle.read_to_end(&mut rest).await.unwrap();
    assert!(!port.serving.is_finished());
    asking.write_all(b"{}").await.unwrap();
    let answer = read_answer(&mut asking).await;
    assert_eq!(answer.status, 200);
    assert!(answer.head.contains("connection: close\r\n"), "{}", answer.head);
    port.serving.await.unwrap();
}

/// A connection in memory, for tests about time.
fn connection(shared: &Arc<Site>) -> DuplexStream {
    let (client, stream) = tokio::io::duplex(1 << 16);
    let shared = Arc::clone(shared);
    tokio::spawn(async move {
        let own = Arc::new(connection::Clocked::new(tokio::time::Instant::now().into_std()));
        let (_stop, stopped) = watch::channel(false);
        connection::http1(stream, own, limits::CONNECTIONS, stopped, |request| {
            routes::answer(&shared, request)
        })
        .await
    });
    client
}

#[tokio::test(start_paused = true)]
async fn what_was_cleared_can_be_brought_back_for_ten_seconds() {
    let shared = shared();
    let with_key = |method: &str, path: &str| {
        let key = shared.key.written_into("{{key}}");
        format!("{method} {path}?key={key} HTTP/1.1\r\nhost: localhost\r\ncontent-length: 0\r\n\r\n")
    };
    let status = async |request: String| ask(connection(&shared), request.as_bytes()).await.status;
    let clear = || with_key("DELETE", "/-/traces");
    let undo = || with_key("POST", "/-/traces/undo");
    let count = || shared.service().traces().len();
    ask(
        connection(&shared),
        post("/TraceSegments", &put("0000000000000001")).as_bytes(),
    )
    .await;
    assert_eq!((status(undo()).await, count()), (404, 1), "nothing was cleared");
    assert_eq!((status(clear()).await, count()), (204, 0));
    tokio::time::sleep(UNDO_FOR - Duration::from_millis(1)).await;
    assert_eq!((status(undo()).await, count()), (204, 1));
    assert_eq!((status(clear()).await, count()), (204, 0));
    tokio::time::sleep(UNDO_FOR + Duration::from_millis(1)).await;
    assert_eq!((status(undo()).await, count()), (404, 0));
}

#[tokio::test(start_paused = true)]
async fn large_bodies_that_do_not_come_are_in_nobodys_way() {
    let shared = shared();
    let started = tokio::time::Instant::now();
    let mut slow = Vec::new();
    for _ in 0..8 {
        let mut stream = connection(&shared);
        let request = announce("/TraceSegments", limits::CALLS.max_bytes) + "{";
        stream.write_all(request.as_bytes()).await.unwrap();
        slow.push(stream);
    }
    tokio::time::sleep(Duration::from_secs(1)).await;
    let small = ask(connection(&shared), post("/GetSamplingRules", "{}").as_bytes()).await;
    assert_eq!((small.status, started.elapsed()), (200, Duration::from_secs(1)));
    // They have announced as much as there may be, and have sent a byte each.
    let large = post("/TraceSegments", &" ".repeat(limits::CALLS.max_bytes));
    let ninth = ask(connection(&shared), large.as_bytes()).await;
    assert_eq!((ninth.status, started.elapsed()), (400, Duration::from_secs(1)));
    for mut stream in slow {
        assert_eq!(read_answer(&mut stream).await.status, 408);
        assert_eq!(started.elapsed(), Duration::from_secs(10));
    }
}

#[tokio::test(start_paused = true)]
async fn what_a_body_is_refused_for_is_said() {
    let shared = shared();
    let long = announce("/TraceSegments", limits::CALLS.max_bytes + 1);
    for (request, status, code) in [
        (long, 413, "RequestEntityTooLargeException"),
        (
            "POST /TraceSegments HTTP/1.1\r\nhost: x\r\ncontent-encoding: gzip\r\ncontent-length: 2\r\n\r\nhi"
                .to_owned(),
            415,
            "UnsupportedContentEncoding",
        ),
        (post("/nowhere", "{}"), 404, "UnknownOperationException"),
        (
            "PUT /-/traces HTTP/1.1\r\nhost: x\r\ncontent-length: 2\r\n\r\nhi".to_owned(),
            404,
            "UnknownOperationException",
        ),
    ] {
        let answer = ask(connection(&shared), request.as_bytes()).await;
        assert_eq!(
            (answer.status, answer.json()["__type"].as_str()),
            (status, Some(code)),
            "{request}"
        );
    }
}
