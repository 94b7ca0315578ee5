//! HTTP/2 as bytes, by hand where a client does what no library does.

use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::time::Duration;

use bytes::Bytes;
use http::{Response, StatusCode};
use http_body_util::{BodyExt as _, Empty, Full};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream};
use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::super::{NEW, Readiness, clocked, first};
use super::*;
use crate::net::server::answer::Body;

const LIMITS: Limits = Limits {
    head_max_bytes: 16 << 10,
    head: Duration::from_secs(10),
    idle: Duration::from_secs(75),
    exchange: Duration::from_secs(20),
    connections: 1,
    streams: 0,
    http2: Some(Http2 {
        streams: 8,
        taken_back: 100,
    }),
};

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const GO_AWAY: u8 = 7;
const CONTINUATION: u8 = 9;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// The head of a request, each field written out.
fn head(method: &str) -> Vec<u8> {
    let fields = [
        (":method", method),
        (":scheme", "http"),
        (":path", "/"),
        (":authority", "x"),
    ];
    let mut block = Vec::new();
    for (name, value) in fields {
        block.push(0);
        for text in [name, value] {
            block.push(u8::try_from(text.len()).unwrap());
            block.extend_from_slice(text.as_bytes());
        }
    }
    block
}

/// A server with one connection, in memory, whose requests take `work` after their body has come.
struct Bench {
    client: DuplexStream,
    shared: Arc<Clocked>,
    stop: watch::Sender<bool>,
    served: Arc<AtomicUsize>,
    server: JoinHandle<Option<Ending>>,
    started: Instant,
}

impl Bench {
    fn start(work: Duration) -> Self {
        let (client, stream) = tokio::io::duplex(1 << 20);
        let shared = Arc::new(Clocked::new(clocked::now()));
        let (stop, stopped) = watch::channel(false);
        let served = Arc::new(AtomicUsize::new(0));
        let handler = {
            let served = Arc::clone(&served);
            move |request: Request<RequestBody>| {
                let served = Arc::clone(&served);
                async move {
                    let body = request.into_body().collect().await;
                    tokio::time::sleep(work).await;
                    served.fetch_add(1, SeqCst);
                    Response::new(Body::from(body.map(|body| body.to_bytes()).unwrap_or_default()))
                }
            }
        };
        let server = tokio::spawn(first::serve(
            stream,
            Arc::clone(&shared),
            LIMITS,
            stopped,
            handler,
        ));
        Self {
            client,
            shared,
            stop,
            served,
            server,
            started: Instant::now(),
        }
    }

    /// With a client that has begun with the preface and these settings, and `frames` behind them.
    async fn begun(work: Duration, settings: &[u8], frames: &[u8]) -> Self {
        let mut bench = Self::start(work);
        let start = [PREFACE, &frame(SETTINGS, 0, 0, settings), frames].concat();
        bench.client.write_all(&start).await.unwrap();
        bench
    }

    async fn send(&mut self, bytes: &[u8]) {
        self.client.write_all(bytes).await.unwrap();
        // The server's turn.
        tokio::time::sleep(Duration::from_millis(1)).await;
    }

    /// How it ended, when, and which kinds of frames the client was sent by then.
    async fn ending(mut self) -> (Option<Ending>, Duration, Vec<u8>) {
        let ending = self.server.await.unwrap();
        let elapsed = self.started.elapsed();
        let mut bytes = Vec::new();
        self.client.read_to_end(&mut bytes).await.unwrap();
        let mut kinds = Vec::new();
        let mut rest = &bytes[..];
        while rest.len() >= 9 {
            let length = u32::from_be_bytes([0, rest[0], rest[1], rest[2]]) as usize;
            kinds.push(rest[3]);
            rest = &rest[9 + length..];
        }
        (ending, elapsed, kinds)
    }
}

#[tokio::test(start_paused = true)]
async fn a_client_that_asks_nothing_is_told_to_go_when_it_has_been_idle() {
    let (ending, after, kinds) = Bench::begun(Duration::ZERO, b"", b"").await.ending().await;
    assert_eq!((ending, after), (Some(Ending::Idle), LIMITS.idle));
    assert!(kinds.contains(&GO_AWAY), "{kinds:?}");
}

#[tokio::test(start_paused = true)]
async fn half_a_preface_is_half_a_head() {
    let mut bench = Bench::start(Duration::ZERO);
    tokio::time::sleep(Duration::from_secs(5)).await;
    bench.send(&PREFACE[..10]).await;
    let (ending, after, _) = bench.ending().await;
    assert_eq!(
        (ending, after),
        (Some(Ending::HeadTimeout), Duration::from_secs(5) + LIMITS.head)
    );
}

#[tokio::test(start_paused = true)]
async fn http_1_is_told_from_it_however_it_is_cut() {
    for cut in [1, 2, 3, 20] {
        let mut bench = Bench::start(Duration::ZERO);
        let request = b"PUT / HTTP/1.1\r\nhost: x\r\ncontent-length: 2\r\nconnection: close\r\n\r\nhi";
        bench.send(&request[..cut]).await;
        bench.send(&request[cut..]).await;
        let mut answer = String::new();
        bench.client.read_to_string(&mut answer).await.unwrap();
        assert!(
            answer.starts_with("HTTP/1.1 200 OK\r\n") && answer.ends_with("hi"),
            "{cut}: {answer}"
        );
        assert_eq!(bench.server.await.unwrap(), None);
    }
}

#[tokio::test(start_paused = true)]
async fn a_preface_that_is_none_is_refused_as_http_1() {
    let mut bench = Bench::start(Duration::ZERO);
    bench.send(b"PRI * HTTP/2.0\r\n\r\nNO\r\n\r\n").await;
    assert_eq!(bench.server.await.unwrap(), Some(Ending::BadRequest));
}

#[tokio::test(start_paused = true)]
async fn a_body_that_never_ends_is_cut_off_with_its_connection() {
    let frames = frame(HEADERS, END_HEADERS, 1, &head("POST"));
    let (ending, after, _) = Bench::begun(Duration::ZERO, b"", &frames).await.ending().await;
    assert_eq!((ending, after), (Some(Ending::ExchangeTimeout), LIMITS.exchange));
}

#[tokio::test(start_paused = true)]
async fn a_client_that_opens_no_window_for_its_answer_is_cut_off() {
    let no_window = [0, 4, 0, 0, 0, 0];
    let body = frame(0, END_STREAM, 1, b"back");
    let frames = [frame(HEADERS, END_HEADERS, 1, &head("POST")), body].concat();
    let bench = Bench::begun(Duration::ZERO, &no_window, &frames).await;
    let served = Arc::clone(&bench.served);
    let (ending, after, _) = bench.ending().await;
    assert_eq!((ending, after), (Some(Ending::ExchangeTimeout), LIMITS.exchange));
    assert_eq!(served.load(SeqCst), 1);
}

#[tokio::test(start_paused = true)]
async fn requests_that_are_taken_back_again_and_again_end_the_connection() {
    let mut bench = Bench::begun(Duration::from_secs(5), b"", b"").await;
    let mut taken_back = 0;
    let mut streams = (1..).step_by(2);
    while !bench.server.is_finished() {
        let stream = streams.next().unwrap();
        let asks = frame(HEADERS, END_HEADERS | END_STREAM, stream, &head("GET"));
        bench.send(&asks).await;
        let takes_back = frame(RST_STREAM, 0, stream, &8_u32.to_be_bytes());
        bench.send(&takes_back).await;
        taken_back += 1;
    }
    assert_eq!(taken_back, 101);
    assert_eq!(bench.served.load(SeqCst), 0);
    assert_eq!(bench.ending().await.0, Some(Ending::TakenBack));
}

#[tokio::test(start_paused = true)]
async fn so_do_those_that_are_taken_back_in_their_middle() {
    let mut bench = Bench::begun(Duration::ZERO, b"", b"").await;
    let mut streams = (1..).step_by(2);
    while !bench.server.is_finished() {
        let stream = streams.next().unwrap();
        let begins = [
            frame(HEADERS, END_HEADERS, stream, &head("POST")),
            frame(0, 0, stream, b"half"),
        ];
        bench.send(&begins.concat()).await;
        bench
            .send(&frame(RST_STREAM, 0, stream, &8_u32.to_be_bytes()))
            .await;
    }
    // The 102nd is there when the 101st is counted.
    assert!(matches!(streams.next(), Some(203 | 205)));
    assert_eq!(bench.ending().await.0, Some(Ending::TakenBack));
}

#[tokio::test(start_paused = true)]
async fn a_client_that_does_not_know_yet_how_many_it_may_have_is_refused_those_beyond_and_no_more() {
    let mut frames = Vec::new();
    for stream in (1..201).step_by(2) {
        frames.extend(frame(HEADERS, END_HEADERS | END_STREAM, stream, &head("GET")));
    }
    let bench = Bench::begun(Duration::from_secs(1), b"", &frames).await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(bench.served.load(SeqCst), 8);
    let (ending, after, kinds) = bench.ending().await;
    assert_eq!((ending, after), (Some(Ending::Idle), Duration::from_secs(76)));
    assert_eq!(kinds.iter().filter(|kind| **kind == RST_STREAM).count(), 92);
}

#[tokio::test(start_paused = true)]
async fn resets_in_the_packet_of_their_request_end_the_connection_sooner() {
    let mut frames = Vec::new();
    for stream in (1..2001).step_by(2) {
        frames.extend(frame(HEADERS, END_HEADERS | END_STREAM, stream, &head("GET")));
        frames.extend(frame(RST_STREAM, 0, stream, &8_u32.to_be_bytes()));
    }
    let bench = Bench::begun(Duration::ZERO, b"", &frames).await;
    let served = Arc::clone(&bench.served);
    let (ending, after, kinds) = bench.ending().await;
    assert_eq!((ending, after), (Some(Ending::BadRequest), Duration::ZERO));
    assert!(kinds.contains(&GO_AWAY), "{kinds:?}");
    assert!(served.load(SeqCst) <= RESETS_MAX, "{served:?}");
}

#[tokio::test(start_paused = true)]
async fn a_head_that_never_ends_ends_the_connection() {
    let mut frames = frame(HEADERS, 0, 1, &head("GET"));
    for _ in 0..10_000 {
        frames.extend(frame(CONTINUATION, 0, 1, b"\0\x01x\x01y"));
    }
    let bench = Bench::begun(Duration::ZERO, b"", &frames).await;
    let (ending, after, _) = bench.ending().await;
    assert_eq!((ending, after), (Some(Ending::BadRequest), Duration::ZERO));
}

#[tokio::test(start_paused = true)]
async fn frames_that_lie_about_their_length_end_the_connection() {
    let bench = Bench::begun(Duration::ZERO, b"", &[0xff, 0xff, 0xff, 0, 0, 0, 0, 0, 1]).await;
    assert_eq!(bench.ending().await.0, Some(Ending::BadRequest));
}

#[tokio::test(start_paused = true)]
async fn who_is_at_nothing_is_closed_at_once_by_a_stop_or_for_another_connection() {
    let bench = Bench::begun(Duration::ZERO, b"", b"").await;
    tokio::time::sleep(Duration::from_millis(1)).await;
    bench.stop.send_replace(true);
    let (ending, _, kinds) = bench.ending().await;
    assert_eq!(ending, None);
    assert!(kinds.contains(&GO_AWAY), "{kinds:?}");

    let bench = Bench::begun(Duration::ZERO, b"", b"").await;
    tokio::time::sleep(NEW).await;
    assert!(bench.shared.evict());
    let (ending, _, kinds) = bench.ending().await;
    assert_eq!(ending, Some(Ending::Evicted));
    assert!(kinds.contains(&GO_AWAY), "{kinds:?}");
}

#[tokio::test(start_paused = true)]
async fn who_is_worked_for_does_not_go_for_another_and_who_is_late_does() {
    let mut bench = Bench::begun(Duration::from_secs(1), b"", b"").await;
    let asks = frame(HEADERS, END_HEADERS | END_STREAM, 1, &head("GET"));
    let waits = frame(HEADERS, END_HEADERS, 3, &head("POST"));
    bench.send(&[asks, waits].concat()).await;
    assert!(bench.shared.is_at_work());
    assert!(!bench.shared.evict());
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert!(!bench.server.is_finished());
    assert_eq!(bench.served.load(SeqCst), 1);
    // Only the one whose body does not come is left, and for more than a second.
    let readiness = bench.shared.readiness(clocked::now());
    assert_eq!(readiness.map(|(readiness, _)| readiness), Some(Readiness::Late));
    assert!(bench.shared.evict());
    assert_eq!(bench.ending().await.0, Some(Ending::Evicted));
}

#[tokio::test(start_paused = true)]
async fn requests_at_one_time_are_answered_each_and_a_stop_waits_for_them() {
    let Bench {
        client, stop, server, ..
    } = Bench::start(Duration::from_secs(3));
    let (mut sender, connection) =
        hyper::client::conn::http2::handshake(hyper_util::rt::TokioExecutor::new(), TokioIo::new(client))
            .await
            .unwrap();
    let connection = tokio::spawn(connection);
    let mut calls = JoinSet::new();
    // More than there may be at one time: the rest waits.
    for number in 0..20_u8 {
        let request = Request::post("http://x/").body(Full::new(Bytes::from(vec![number; 3])));
        let answer = sender.send_request(request.unwrap());
        calls.spawn(async move {
            let answer = answer.await.unwrap();
            assert_eq!(answer.status(), StatusCode::OK);
            assert_eq!(
                answer.into_body().collect().await.unwrap().to_bytes(),
                vec![number; 3]
            );
        });
    }
    let started = Instant::now();
    while let Some(call) = calls.join_next().await {
        call.unwrap();
    }
    assert_eq!(started.elapsed(), Duration::from_secs(9));

    let last = sender.send_request(Request::post("http://x/").body(Full::new(Bytes::new())).unwrap());
    tokio::time::sleep(Duration::from_secs(1)).await;
    stop.send_replace(true);
    assert_eq!(last.await.unwrap().status(), StatusCode::OK);
    assert_eq!(server.await.unwrap(), None);
    drop(connection);
}

#[tokio::test(start_paused = true)]
async fn a_client_that_leaves_is_no_fault() {
    let Bench {
        client,
        server,
        stop: _stop,
        ..
    } = Bench::start(Duration::ZERO);
    let (mut sender, connection) =
        hyper::client::conn::http2::handshake(hyper_util::rt::TokioExecutor::new(), TokioIo::new(client))
            .await
            .unwrap();
    tokio::spawn(connection);
    let answer = sender.send_request(Request::get("http://x/").body(Empty::<Bytes>::new()).unwrap());
    assert_eq!(answer.await.unwrap().status(), StatusCode::OK);
    drop(sender);
    assert_eq!(server.await.unwrap(), None);
}
