//! Sends requests of spans on an absolute schedule over one connection, as an SDK's exporter does, and says how late it was.

use std::io::{BufRead as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use xray_double::protobuf::{field, fixed64};
use xray_double::sized::{BEFORE_MARK, DIGITS, MARK};

use super::super::generator::Sent;
use super::super::http::Messages;
use super::super::role::{self, Helper};
use super::super::{Result, say};

/// What to send.
#[derive(Debug, Clone, Copy)]
pub(crate) struct SpansLoad {
    /// In spans a second.
    pub(crate) rate: u64,
    pub(crate) span_bytes: usize,
    /// Of a request.
    pub(crate) spans: u64,
    pub(crate) time: Duration,
}

/// A generator that waits for its start.
#[derive(Debug)]
pub(crate) struct Spans(Helper);

impl Spans {
    pub(crate) fn prepare(to: SocketAddr, load: SpansLoad) -> Result<Self> {
        let arguments = [
            to.to_string(),
            load.rate.to_string(),
            load.span_bytes.to_string(),
            load.spans.to_string(),
            load.time.as_millis().to_string(),
        ];
        let mut helper = Helper::start(role::SPANS, &arguments)?;
        helper.hear()?;
        Ok(Self(helper))
    }

    /// Blocks until all is sent.
    pub(crate) fn run(mut self) -> Result<Sent> {
        Sent::told(&self.0.ask("go")?)
    }
}

/// `__spans ADDRESS RATE BYTES SPANS MILLISECONDS`: starts when a line comes on stdin.
pub(crate) fn main(mut arguments: impl Iterator<Item = String>) -> Result<()> {
    let to: SocketAddr = role::argument(&mut arguments, "address")?;
    let load = SpansLoad {
        rate: role::argument(&mut arguments, "rate")?,
        span_bytes: role::argument(&mut arguments, "bytes")?,
        spans: role::argument(&mut arguments, "spans")?,
        time: Duration::from_millis(role::argument(&mut arguments, "milliseconds")?),
    };
    let mut request = Request::new(load);
    let mut stream = TcpStream::connect(to)?;
    stream.set_nodelay(true)?;
    let head = format!(
        "POST /v1/traces HTTP/1.1\r\nHost: {to}\r\nContent-Type: application/x-protobuf\r\nContent-Length: {}\r\n\r\n",
        request.body.len()
    );
    say("ready=1");
    std::io::stdin().lock().read_line(&mut String::new())?;
    let mut answers = Messages::new();
    let distance = Duration::from_nanos(1_000_000_000 * load.spans / load.rate);
    let mut lags = Vec::new();
    let mut sent = 0;
    let start = Instant::now();
    let mut at = start;
    while at < start + load.time {
        let early = at.saturating_duration_since(Instant::now());
        if !early.is_zero() {
            thread::sleep(early);
        }
        lags.push(at.elapsed());
        request.number_from(sent);
        stream.write_all(head.as_bytes())?;
        stream.write_all(&request.body)?;
        match answers.next(&mut stream)? {
            Some((head, _)) if head.starts_with(b"HTTP/1.1 200 ") => sent += load.spans,
            Some((head, _)) => return Err(format!("refused: {}", String::from_utf8_lossy(head)).into()),
            None => return Err("the connection was closed".into()),
        }
        at += distance;
    }
    Sent::since(start, sent, lags).tell();
    Ok(())
}

/// A request of one resource and one scope, each span with a number.
struct Request {
    body: Vec<u8>,
    numbers_at: Vec<usize>,
}

impl Request {
    fn new(load: SpansLoad) -> Self {
        let spans: Vec<u8> = (0..load.spans).flat_map(|_| span(load.span_bytes)).collect();
        let resource = field(1, &attribute("service.name", "shop-api"));
        let scope = field(1, &field(1, b"opentelemetry.instrumentation.flask"));
        let scope_spans = field(2, &[scope, spans].concat());
        let body = field(1, &[field(1, &resource), scope_spans].concat());
        // A time or an id may have the mark in it by chance.
        let numbers_at = memchr::memchr_iter(MARK, &body)
            .filter(|&at| body[..at].ends_with(BEFORE_MARK))
            .map(|at| at + 1)
            .collect();
        Self { body, numbers_at }
    }

    /// Spans have the numbers from here on.
    fn number_from(&mut self, first: u64) {
        for (number, &at) in (first..).zip(&self.numbers_at) {
            let digits = format!("{number:0DIGITS$x}");
            self.body[at..at + DIGITS].copy_from_slice(&digits.as_bytes()[..DIGITS]);
        }
    }
}

/// What many spans say in the same words.
const ADDED: [(&str, &str); 6] = [
    ("network.protocol.version", "1.1"),
    ("server.address", "orders.internal.shop.example"),
    ("code.function.name", "shop.orders.views.OrderView.get"),
    ("app.feature_flags", "new-checkout,fast-search"),
    ("db.collection.name", "orders"),
    ("messaging.destination.name", "order-events"),
];

/// A span of a web application as field 2 of a scope, of exactly so many bytes without its tag and length: ids by chance, and
/// attributes that are the same for every request or different for each.
fn span(bytes: usize) -> Vec<u8> {
    let id = |bytes: usize| -> Vec<u8> { (0..bytes).map(|_| fastrand::u8(..)).collect() };
    let start = 1_760_000_000_000_000_000 + fastrand::u64(..1_000_000_000);
    let url = [BEFORE_MARK, &[MARK], b"00000000"].concat();
    let mut span = [
        field(1, &id(16)),
        field(2, &id(8)),
        field(4, &id(8)),
        field(5, b"GET /orders/{id}"),
        vec![6 << 3, 2],
        fixed64(7, start),
        fixed64(8, start + fastrand::u64(..400_000_000)),
        field(9, &attribute("http.request.method", "GET")),
        field(9, &attribute_of("url.full", &url)),
        field(9, &attribute("http.route", "/orders/{id}")),
        field(
            9,
            &attribute(
                "client.address",
                &format!("10.0.{}.{}", fastrand::u8(..), fastrand::u8(..)),
            ),
        ),
        field(
            9,
            &attribute(
                "user_agent.original",
                "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36",
            ),
        ),
        field(
            9,
            &attribute(
                "db.query.text",
                "SELECT id, status FROM orders WHERE customer = ? AND status <> 'void'",
            ),
        ),
        field(9, &attribute("thread.id", &fastrand::u32(..).to_string())),
        field(
            9,
            &attribute("enduser.id", &format!("{:016x}", fastrand::u64(..))),
        ),
    ]
    .concat();
    // What an application and its instrumentation add, until the size is reached.
    let mut added = ADDED.iter().cycle();
    loop {
        let room = bytes.saturating_sub(span.len());
        let (key, value) = added.next().copied().unwrap_or_default();
        let next = field(9, &attribute(key, value));
        if next.len() + 24 > room {
            // A text of the length that is left, with its own tags and lengths, of 6 bytes and those of a short key.
            let around = field(9, &attribute("f", "")).len();
            let filler = "x".repeat(room.saturating_sub(around));
            span.extend(field(9, &attribute("f", &filler)));
            break field(2, &span);
        }
        span.extend(next);
    }
}

fn attribute(key: &str, value: &str) -> Vec<u8> {
    attribute_of(key, value.as_bytes())
}

fn attribute_of(key: &str, value: &[u8]) -> Vec<u8> {
    [field(1, key.as_bytes()), field(2, &field(1, value))].concat()
}
