use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::BodyExt as _;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio::time::Instant as TokioInstant;

use super::clocked::now;
use super::progress::Stage;
use super::*;
use crate::ledger::http::Ending;
use crate::net::server::answer::{self, Body};
use crate::net::server::limits::Limits;

const IDLE_TIMEOUT: Duration = Duration::from_secs(75);
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);
const EXCHANGE_TIMEOUT: Duration = Duration::from_secs(20);
const HEAD_MAX_BYTES: usize = 16 << 10;

const LIMITS: Limits = Limits {
    head_max_bytes: HEAD_MAX_BYTES,
    head: HEAD_TIMEOUT,
    idle: IDLE_TIMEOUT,
    exchange: EXCHANGE_TIMEOUT,
    connections: 1,
    streams: 0,
    http2: None,
};

const REQUEST: &[u8] = b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 2\r\n\r\nhi";

struct Bench {
    client: DuplexStream,
    shared: Arc<Clocked>,
    stop: watch::Sender<bool>,
    served: Arc<AtomicUsize>,
    server: JoinHandle<Option<Ending>>,
    started: TokioInstant,
}

impl Bench {
    /// Serves a connection with room for `room_bytes` on its way; requests take `work` and are answered with
    /// `answer_bytes`.
    fn start(room_bytes: usize, work: Duration, answer_bytes: usize) -> Self {
        let (client, stream) = tokio::io::duplex(room_bytes);
        let shared = Arc::new(Clocked::new(now()));
        let (stop, stopped) = watch::channel(false);
        let served = Arc::new(AtomicUsize::new(0));
        let server = tokio::spawn({
            let (shared, served) = (Arc::clone(&shared), Arc::clone(&served));
            async move {
                let handler = |request: Request<RequestBody>| async {
                    let _body = request.into_body().collect().await;
                    tokio::time::sleep(work).await;
                    served.fetch_add(1, SeqCst);
                    Response::new(Body::from(vec![b'a'; answer_bytes]))
                };
                http1(stream, shared, LIMITS, stopped, handler).await
            }
        });
        Self {
            client,
            shared,
            stop,
            served,
            server,
            started: TokioInstant::now(),
        }
    }

    async fn ending(self) -> (Option<Ending>, Duration) {
        let ending = self.server.await.unwrap();
        (ending, self.started.elapsed())
    }

    /// Everything until the server closes.
    async fn read_to_end(&mut self) -> String {
        let mut text = String::new();
        self.client.read_to_string(&mut text).await.unwrap();
        text
    }

    /// One answer with a body of `body_bytes`.
    async fn read_answer(&mut self, body_bytes: usize) -> String {
        let mut answer = Vec::new();
        loop {
            answer.push(self.client.read_u8().await.unwrap());
            if let Some(head) = answer.windows(4).position(|window| window == b"\r\n\r\n")
                && answer.len() == head + 4 + body_bytes
            {
                return String::from_utf8(answer).unwrap();
            }
        }
    }
}

const AT_ONCE: Duration = Duration::ZERO;

fn readiness(bench: &Bench) -> Option<Readiness> {
    bench.shared.readiness(now()).map(|(readiness, _)| readiness)
}

#[tokio::test(start_paused = true)]
async fn a_client_that_says_nothing_is_closed_as_idle() {
    let bench = Bench::start(1000, AT_ONCE, 2);
    assert_eq!(bench.ending().await, (Some(Ending::Idle), IDLE_TIMEOUT));
}

#[tokio::test(start_paused = true)]
async fn a_head_that_comes_byte_by_byte_is_cut_off() {
    let Bench {
        mut client,
        server,
        started,
        stop: _stop,
        ..
    } = Bench::start(1000, AT_ONCE, 2);
    tokio::spawn(async move {
        tokio::time::sleep(Duration::from_secs(5)).await;
        for byte in &REQUEST[..40] {
            client.write_all(&[*byte]).await.unwrap();
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    });
    assert_eq!(server.await.unwrap(), Some(Ending::HeadTimeout));
    // The clock begins with the first byte.
    assert_eq!(started.elapsed(), Duration::from_secs(5) + HEAD_TIMEOUT);
}

#[tokio::test(start_paused = true)]
async fn the_idle_clock_begins_anew_after_each_answer() {
    let mut bench = Bench::start(1000, Duration::from_secs(1), 2);
    for _ in 0..3 {
        tokio::time::sleep(IDLE_TIMEOUT - Duration::from_secs(1)).await;
        bench.client.write_all(REQUEST).await.unwrap();
        bench.read_answer(2).await;
    }
    assert_eq!(bench.served.load(SeqCst), 3);
    assert_eq!(bench.ending().await, (Some(Ending::Idle), IDLE_TIMEOUT * 4));
}

#[tokio::test(start_paused = true)]
async fn a_client_that_does_not_read_its_answer_is_cut_off() {
    let mut bench = Bench::start(1000, AT_ONCE, 100_000);
    bench.client.write_all(REQUEST).await.unwrap();
    let Bench { client, server, .. } = bench;
    let ending = server.await.unwrap();
    assert_eq!(
        (ending, bench.started.elapsed()),
        (Some(Ending::ExchangeTimeout), EXCHANGE_TIMEOUT)
    );
    drop(client);
}

#[tokio::test(start_paused = true)]
async fn an_exchange_is_limited_as_a_whole() {
    let mut bench = Bench::start(1000, Duration::from_secs(3600), 2);
    bench.client.write_all(REQUEST).await.unwrap();
    assert_eq!(
        bench.ending().await,
        (Some(Ending::ExchangeTimeout), EXCHANGE_TIMEOUT)
    );
}

#[tokio::test(start_paused = true)]
async fn pipelined_requests_are_answered_in_turn() {
    let mut bench = Bench::start(1000, Duration::from_millis(10), 2);
    bench.client.write_all(&REQUEST.repeat(3)).await.unwrap();
    for _ in 0..3 {
        bench.read_answer(2).await;
    }
    assert_eq!(bench.shared.progress().stage, Stage::Idle);
}

#[tokio::test(start_paused = true)]
async fn a_client_that_has_closed_its_side_gets_its_answer() {
    let mut bench = Bench::start(1000, Duration::from_secs(1), 2);
    bench.client.write_all(REQUEST).await.unwrap();
    bench.client.shutdown().await.unwrap();
    let answer = bench.read_to_end().await;
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    assert_eq!(bench.ending().await.0, None);
}

#[tokio::test(start_paused = true)]
async fn what_is_no_request_is_answered_with_json() {
    let long = format!("GET / HTTP/1.1\r\nx: {}\r\n\r\n", "x".repeat(HEAD_MAX_BYTES));
    let many = format!("GET / HTTP/1.1\r\n{}\r\n", "x: y\r\n".repeat(101));
    for (request, status, code) in [
        ("hello\r\n\r\n", "400 Bad Request", "BadRequest"),
        ("\u{16}\u{3}\u{1}\u{2}\0\u{1}\0", "400 Bad Request", "BadRequest"),
        (
            &long,
            "431 Request Header Fields Too Large",
            "RequestHeaderTooLarge",
        ),
        (
            &many,
            "431 Request Header Fields Too Large",
            "RequestHeaderTooLarge",
        ),
        (
            "POST / HTTP/1.1\r\ncontent-length: many\r\n\r\n",
            "400 Bad Request",
            "InvalidContentLength",
        ),
        (
            "POST / HTTP/1.1\r\nContent-Length: 99999999999999999999\r\n\r\n",
            "400 Bad Request",
            "InvalidContentLength",
        ),
        (
            // One that can be told from no other is taken for what it is.
            "POST / HTTP/1.1\r\ncontent-length: 18446744073709551614\r\n\r\n",
            "400 Bad Request",
            "InvalidContentLength",
        ),
        (
            "POST / HTTP/1.1\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
            "400 Bad Request",
            "InvalidContentLength",
        ),
        (
            "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\u{4}\0\0\0\0\0",
            "505 HTTP Version Not Supported",
            "HttpVersionNotSupported",
        ),
    ] {
        let mut bench = Bench::start(100_000, AT_ONCE, 2);
        bench.client.write_all(request.as_bytes()).await.unwrap();
        let answer = bench.read_to_end().await;
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        assert!(head.starts_with(&format!("HTTP/1.1 {status}\r\n")), "{answer}");
        assert!(head.contains("connection: close"), "{answer}");
        assert!(
            head.contains(&format!("content-length: {}", body.len())),
            "{answer}"
        );
        let body: serde_json::Value = serde_json::from_str(body).unwrap();
        assert_eq!(body["__type"], code);
        assert_eq!(bench.served.load(SeqCst), 0);
        assert_eq!(bench.ending().await.0, Some(Ending::BadRequest));
    }
}

#[tokio::test(start_paused = true)]
async fn a_content_length_that_is_none_is_told_from_a_head_that_is_too_long() {
    for (length, said) in [
        (
            "-1",
            "The Content-Length \"-1\" is not one number of bytes that a body can have.",
        ),
        (
            "+5",
            "The Content-Length \"+5\" is not one number of bytes that a body can have.",
        ),
        (
            "",
            "The Content-Length \"\" is not one number of bytes that a body can have.",
        ),
    ] {
        let mut bench = Bench::start(100_000, AT_ONCE, 2);
        let request = format!("POST / HTTP/1.1\r\nhost: x\r\ncontent-length: {length}\r\n\r\nhello");
        bench.client.write_all(request.as_bytes()).await.unwrap();
        let answer = bench.read_to_end().await;
        let body: serde_json::Value = serde_json::from_str(answer.split_once("\r\n\r\n").unwrap().1).unwrap();
        assert_eq!(body["message"], said);
    }
}

#[tokio::test(start_paused = true)]
async fn a_part_of_a_head_that_came_with_the_request_before_it_is_under_the_clock_of_heads() {
    let get = b"GET / HTTP/1.1\r\nhost: x\r\n\r\n";
    let chunked = b"POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n";
    for whole in [get.as_slice(), REQUEST, chunked] {
        let mut bench = Bench::start(1000, AT_ONCE, 2);
        bench.client.write_all(&[whole, b"GET /"].concat()).await.unwrap();
        bench.read_answer(2).await;
        let (client, server, started) = (bench.client, bench.server, bench.started);
        assert_eq!(server.await.unwrap(), Some(Ending::HeadTimeout));
        assert_eq!(started.elapsed(), HEAD_TIMEOUT);
        drop(client);
    }
    // While the one before it is worked on.
    let work = Duration::from_secs(3);
    let mut bench = Bench::start(1000, work, 2);
    bench.client.write_all(get).await.unwrap();
    tokio::time::sleep(Duration::from_secs(1)).await;
    bench.client.write_all(b"GET /").await.unwrap();
    bench.read_answer(2).await;
    assert_eq!(bench.server.await.unwrap(), Some(Ending::HeadTimeout));
    assert_eq!(bench.started.elapsed(), work + HEAD_TIMEOUT);
}

#[tokio::test(start_paused = true)]
async fn the_stage_of_a_body_lasts_until_its_last_byte() {
    let mut bench = Bench::start(1000, Duration::from_secs(1), 2);
    bench
        .client
        .write_all(&REQUEST[..REQUEST.len() - 1])
        .await
        .unwrap();
    tokio::time::sleep(STALLED).await;
    assert_eq!(bench.shared.progress().stage, Stage::Body);
    assert_eq!(readiness(&bench), Some(Readiness::Late));
    assert!(bench.shared.is_at_work());
    bench
        .client
        .write_all(&REQUEST[REQUEST.len() - 1..])
        .await
        .unwrap();
    tokio::time::sleep(STALLED).await;
    assert_eq!(bench.shared.progress().stage, Stage::Exchange);
    assert_eq!(readiness(&bench), None);
    assert!(bench.shared.is_at_work());
}

#[tokio::test(start_paused = true)]
async fn a_byte_at_a_time_makes_a_client_late_after_a_second() {
    let mut bench = Bench::start(1000, AT_ONCE, 2);
    let head = b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 100\r\n\r\n";
    bench.client.write_all(head).await.unwrap();
    for tenth in 1..=9 {
        tokio::time::sleep(Duration::from_millis(100)).await;
        bench.client.write_all(b"x").await.unwrap();
        tokio::task::yield_now().await;
        assert_eq!(readiness(&bench), Some(Readiness::Waits), "{tenth}");
    }
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!(readiness(&bench), Some(Readiness::Late));
}

#[tokio::test(start_paused = true)]
async fn who_gives_way_while_its_body_is_awaited_ends_with_an_error_that_can_be_answered() {
    let (mut client, stream) = tokio::io::duplex(1000);
    let shared = Arc::new(Clocked::new(now()));
    let (_stop, stopped) = watch::channel(false);
    let started = TokioInstant::now();
    let server = tokio::spawn({
        let shared = Arc::clone(&shared);
        async move {
            let handler = |request: Request<RequestBody>| async {
                match request.into_body().collect().await {
                    Ok(_) => Response::new(Body::from("whole")),
                    Err(error) => answer::last(Response::new(Body::from(error.to_string()))),
                }
            };
            http1(stream, shared, LIMITS, stopped, handler).await
        }
    });
    client.write_all(&REQUEST[..REQUEST.len() - 1]).await.unwrap();
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert!(shared.evict());
    // What comes from here on does not change that.
    client.write_all(&REQUEST[REQUEST.len() - 1..]).await.unwrap();
    let mut answer = String::new();
    client.read_to_string(&mut answer).await.unwrap();
    assert!(
        answer.ends_with("\r\n\r\nthe connection gave way to another one while its body was awaited"),
        "{answer}"
    );
    assert_eq!(server.await.unwrap(), Some(Ending::Evicted));
    assert_eq!(started.elapsed(), Duration::from_secs(1));
}

#[tokio::test(start_paused = true)]
async fn a_client_that_breaks_off_inside_its_body_ends_alone() {
    let mut bench = Bench::start(1000, AT_ONCE, 2);
    bench
        .client
        .write_all(&REQUEST[..REQUEST.len() - 1])
        .await
        .unwrap();
    drop(bench.client);
    assert_eq!(bench.server.await.unwrap(), Some(Ending::BrokenOff));
}

#[tokio::test(start_paused = true)]
async fn at_the_end_idle_connections_close_at_once_and_requests_are_finished() {
    let bench = Bench::start(1000, Duration::from_secs(2), 2);
    tokio::time::sleep(Duration::from_secs(1)).await;
    bench.stop.send_replace(true);
    assert_eq!(bench.ending().await, (None, Duration::from_secs(1)));

    let mut bench = Bench::start(1000, Duration::from_secs(2), 2);
    bench.client.write_all(REQUEST).await.unwrap();
    tokio::time::sleep(Duration::from_secs(1)).await;
    bench.stop.send_replace(true);
    let answer = bench.read_to_end().await;
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    assert!(answer.contains("connection: close\r\n"), "{answer}");
    assert_eq!(bench.ending().await, (None, Duration::from_secs(2)));
}

#[tokio::test(start_paused = true)]
async fn a_connection_goes_for_another_only_while_it_has_no_request() {
    let mut bench = Bench::start(1000, Duration::from_secs(2), 2);
    bench.client.write_all(REQUEST).await.unwrap();
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert!(!bench.shared.evict());
    bench.read_answer(2).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert!(bench.shared.evict());
    // It is settled, also for a request that comes now.
    bench.client.write_all(REQUEST).await.unwrap();
    assert_eq!(
        bench.ending().await,
        (Some(Ending::Evicted), Duration::from_secs(3))
    );
}

/// A connection whose answers are what comes out of `pieces`.
fn streaming(pieces: mpsc::Receiver<Bytes>) -> Bench {
    let (client, stream) = tokio::io::duplex(1000);
    let shared = Arc::new(Clocked::new(now()));
    let (stop, stopped) = watch::channel(false);
    let server = tokio::spawn({
        let shared = Arc::clone(&shared);
        let pieces = Mutex::new(Some(pieces));
        async move {
            let handler = |request: Request<RequestBody>| {
                let pieces = pieces.lock().unwrap().take();
                async move {
                    let _body = request.into_body().collect().await;
                    Response::new(pieces.map_or_else(|| Body::from("ok"), Body::Stream))
                }
            };
            let limits = Limits { streams: 1, ..LIMITS };
            http1(stream, shared, limits, stopped, handler).await
        }
    });
    Bench {
        client,
        shared,
        stop,
        served: Arc::default(),
        server,
        started: TokioInstant::now(),
    }
}

#[tokio::test(start_paused = true)]
async fn a_stream_lasts_as_long_as_both_sides_want_and_the_connection_is_idle_afterwards() {
    let (news, pieces) = mpsc::channel(1);
    let mut bench = streaming(pieces);
    bench.client.write_all(REQUEST).await.unwrap();
    tokio::time::sleep(EXCHANGE_TIMEOUT * 10).await;
    assert_eq!(bench.shared.progress().stage, Stage::Streaming);
    news.send(Bytes::from_static(b"hello")).await.unwrap();
    drop(news);
    let mut answer = String::new();
    while !answer.ends_with("hello\r\n0\r\n\r\n") {
        answer.push(char::from(bench.client.read_u8().await.unwrap()));
    }
    bench.client.write_all(REQUEST).await.unwrap();
    let answer = bench.read_answer(2).await;
    assert!(answer.ends_with("\r\n\r\nok"), "{answer}");
    assert_eq!(
        bench.ending().await,
        (Some(Ending::Idle), EXCHANGE_TIMEOUT * 10 + IDLE_TIMEOUT)
    );
}

#[tokio::test(start_paused = true)]
async fn a_stream_goes_when_its_place_is_wanted_and_at_the_end() {
    for is_end in [false, true] {
        let (news, pieces) = mpsc::channel(1);
        let mut bench = streaming(pieces);
        bench.client.write_all(REQUEST).await.unwrap();
        tokio::time::sleep(Duration::from_secs(1)).await;
        if is_end {
            bench.stop.send_replace(true);
        } else {
            assert!(bench.shared.evict());
        }
        let expected = (!is_end).then_some(Ending::Evicted);
        assert_eq!(bench.ending().await, (expected, Duration::from_secs(1)));
        assert!(news.is_closed(), "who makes it hears of it");
    }
}

#[tokio::test(start_paused = true)]
async fn a_reader_that_leaves_its_stream_is_noticed_without_news_and_is_no_failure() {
    let (news, pieces) = mpsc::channel(1);
    let mut bench = streaming(pieces);
    bench.client.write_all(REQUEST).await.unwrap();
    tokio::time::sleep(Duration::from_secs(1)).await;
    bench.client.shutdown().await.unwrap();
    news.closed().await;
    assert_eq!(bench.ending().await, (None, Duration::from_secs(1)));
}
