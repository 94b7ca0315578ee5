//! Heads of HTTP requests, through the whole TCP port: the connection with its clock, the guard, the paths. The input is
//! what a client sends before it stops sending.

use std::cell::RefCell;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use bytes::Bytes;
use http::Response;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::runtime::Runtime;
use tokio::time::Instant;

use crate::assert_is_plain;
use crate::subject::http::{
    App, Budget, EXCHANGE_TIMEOUT, Fanout, Guard, HEAD_TIMEOUT, Health, INGEST, Lane, Ledger, PutError,
    Summary, Upstream, serve_http,
};

thread_local! {
    /// Its clock stands still and jumps to the next timer when there is nothing else to do, so time limits cost no time.
    static RUNTIME: RefCell<Option<Runtime>> = const { RefCell::new(None) };
}

/// The port answers or closes within its own time limits; what it says are whole HTTP answers, its own errors are JSON;
/// it forwards no more than there are requests; and what is answered well is refused when it comes from a web page or
/// under a name that could be an attacker's.
///
/// # Panics
/// When one of these does not hold.
pub fn check(input: &[u8]) {
    let answers = exchange(input);
    if !answers.first().is_some_and(|answer| is_good(answer.status)) {
        return;
    }
    let lines = input
        .iter()
        .position(|byte| !b"\r\n".contains(byte))
        .unwrap_or_default();
    let Some(newline) = input[lines..].iter().position(|&byte| byte == b'\n') else {
        return;
    };
    let (line, rest) = input.split_at(lines + newline + 1);
    // Not in front of the rest of a line that was begun before.
    if rest.starts_with(b" ") || rest.starts_with(b"\t") {
        return;
    }
    for header in [
        &b"Origin: http://evil.example\r\n"[..],
        b"Sec-Fetch-Site: cross-site\r\n",
        b"Host: evil.example.com\r\n",
    ] {
        let answers = exchange(&[line, header, rest].concat());
        let refused = answers
            .first()
            .is_some_and(|answer| matches!(answer.status, 400 | 403 | 431));
        assert!(
            refused,
            "{} is let in: {:?}",
            String::from_utf8_lossy(header),
            answers.first()
        );
    }
}

fn is_good(status: u16) -> bool {
    (200..300).contains(&status)
}

#[derive(Debug)]
struct Answer {
    status: u16,
}

/// What the port answers to a client that sends this and stops sending.
fn exchange(input: &[u8]) -> Vec<Answer> {
    let forwarded = Arc::new(AtomicUsize::new(0));
    let answered = RUNTIME.with_borrow_mut(|runtime| {
        let runtime = runtime.get_or_insert_with(|| {
            tokio::runtime::Builder::new_current_thread()
                .enable_time()
                .start_paused(true)
                .build()
                .expect("a runtime")
        });
        runtime.block_on(talk(input, &forwarded))
    });
    let answers = taken_apart(&answered);
    // A request has a first line and an empty one.
    let most = input.iter().filter(|&&byte| byte == b'\n').count() / 2 + 1;
    let final_answers = answers.iter().filter(|answer| answer.status >= 200).count();
    assert!(
        final_answers <= most,
        "{final_answers} answers to {most} requests"
    );
    assert!(forwarded.load(Relaxed) <= final_answers);
    answers
}

async fn talk(input: &[u8], forwarded: &Arc<AtomicUsize>) -> Vec<u8> {
    let app = app(forwarded);
    // Room for every answer to a longest input: where a client sends what is no HTTP before it has read what it asked for,
    // hyper ends the connection with what waits for room unsent.
    let (mut client, stream) = tokio::io::duplex(4 << 20);
    let asking = async {
        // The answer may come before all is sent.
        let _: std::io::Result<()> = client.write_all(input).await;
        let _: std::io::Result<()> = client.shutdown().await;
        let mut answered = Vec::new();
        client
            .read_to_end(&mut answered)
            .await
            .expect("a stream in memory");
        answered
    };
    let started = Instant::now();
    // Moved in, so that the stream is closed when it ends.
    let serving = async move { serve_http(stream, &app, started.into_std()).await };
    let (answered, ()) = tokio::join!(asking, serving);
    // Nobody sends anything any more, so no stage can begin anew but once.
    let limit = HEAD_TIMEOUT + EXCHANGE_TIMEOUT;
    assert!(started.elapsed() <= limit, "{:?}", started.elapsed());
    answered
}

fn app(forwarded: &Arc<AtomicUsize>) -> App<Silent> {
    let ledger = Arc::new(Ledger::default());
    let summary = Arc::new(Summary {
        fanout: Arc::new(Fanout::of_segments(Arc::new(Lane::new(Budget::of_mb(3), ledger)))),
        kernel_drops: None,
        lost_in_fragments: None,
    });
    let guard = Guard::new(&["xray.example.com".to_owned()], false);
    let app = App::new(
        guard,
        &["/TraceSummaries".to_owned()],
        INGEST,
        summary,
        Arc::new(Health::default()),
    );
    app.set_upstream(Silent(Arc::clone(forwarded)));
    app
}

/// X-Ray, which answers everything with nothing.
struct Silent(Arc<AtomicUsize>);

impl Upstream for Silent {
    async fn forward(&self, path: &str, _: Bytes, _: Duration) -> Result<Response<Bytes>, PutError> {
        assert!(path.starts_with('/') && !path.contains(['?', '#']));
        self.0.fetch_add(1, Relaxed);
        Ok(Response::new(Bytes::from_static(b"{}")))
    }

    async fn credentials(&self) -> Result<String, String> {
        Ok("for the test".to_owned())
    }
}

/// Every answer, each of which must be whole.
fn taken_apart(mut answered: &[u8]) -> Vec<Answer> {
    let mut answers = Vec::new();
    while !answered.is_empty() {
        let end = answered
            .windows(4)
            .position(|four| four == b"\r\n\r\n")
            .expect("a whole head");
        let head = std::str::from_utf8(&answered[..end]).expect("a head of plain text");
        answered = &answered[end + 4..];
        let mut lines = head.split("\r\n");
        let line = lines.next().expect("a first line");
        let status = line
            .strip_prefix("HTTP/1.1 ")
            .or_else(|| line.strip_prefix("HTTP/1.0 "));
        let status: u16 = status
            .and_then(|rest| rest.get(..3))
            .and_then(|code| code.parse().ok())
            .expect("a status");
        let mut bytes = None;
        for header in lines {
            assert_is_plain(header, 1_000);
            let (name, value) = header.split_once(": ").expect("a header");
            if name == "content-length" {
                bytes = Some(value.parse::<usize>().expect("a length"));
            }
        }
        // What follows the head of an answer to HEAD, one that is only on its way, or without a length, is no body of
        // it; only the last of these can't be, since bodies are made whole.
        let body = match bytes {
            Some(bytes) if answered.len() >= bytes && !answered.starts_with(b"HTTP/1.") => {
                let (body, rest) = answered.split_at(bytes);
                answered = rest;
                body
            }
            Some(_) | None => &[],
        };
        if status >= 400 && !body.is_empty() {
            let error: serde_json::Value = serde_json::from_slice(body).expect("JSON");
            assert!(error["__type"].is_string() || error["status"].is_string() || error.is_object());
        }
        answers.push(Answer { status });
    }
    answers
}
