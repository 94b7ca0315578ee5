//! Sources of credentials on loopback that answer or never do; and questions over the TCP port.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::{Duration, SystemTime};

use aws_smithy_types::date_time::{DateTime, Format};
use xray_double::double::{Double, DoubleConfig};
use xray_double::harness::daemon::Daemon;
use xray_double::harness::process::{PATIENCE, Process};
use xray_double::harness::{ACCESS_KEY_ID, SECRET_ACCESS_KEY};
use xray_double::sigv4::Key;

/// What stands before the reason.
pub(crate) const NO_CREDENTIALS: &str = "[Warn] No AWS credentials yet: ";

/// The line of a daemon that says why it has no credentials.
pub(crate) fn no_credentials(process: &Process) -> String {
    process.wait_for("that credentials are missing", |line| {
        line.contains(NO_CREDENTIALS).then(|| line.to_owned())
    })
}

/// What a source does with a question.
pub(crate) enum Reply {
    /// A status and a body.
    Now(u16, String),
    /// Nothing; the connection stays.
    Never,
    /// A body without an end.
    Endless,
}

/// A source of credentials.
pub(crate) struct Source {
    address: SocketAddr,
    asked: Arc<(Mutex<Vec<String>>, Condvar)>,
}

impl Source {
    /// One that answers a question, its head and which one it is, by a function. Each has a connection of its own.
    pub(crate) fn start(reply: impl Fn(&str, usize) -> Reply + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let source = Self {
            address: listener.local_addr().unwrap(),
            asked: Arc::default(),
        };
        let asked = Arc::clone(&source.asked);
        thread::spawn(move || {
            let mut kept = Vec::new();
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                let head = head(&stream);
                let number = {
                    let mut asked_so_far = asked.0.lock().unwrap();
                    asked_so_far.push(head.clone());
                    asked_so_far.len() - 1
                };
                asked.1.notify_all();
                match reply(&head, number) {
                    Reply::Now(status, body) => answer(&mut stream, status, &body),
                    Reply::Never => kept.push(stream),
                    Reply::Endless => endless(&mut stream),
                }
            }
        });
        source
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The first lines of the questions so far.
    pub(crate) fn asked(&self) -> Vec<String> {
        let asked = self.asked.0.lock().unwrap();
        asked.iter().map(|head| first_line(head)).collect()
    }

    /// Waits until it was asked so many times.
    pub(crate) fn wait_until_asked(&self, times: usize) {
        let (asked, changed) = &*self.asked;
        let (asked, waited) = changed
            .wait_timeout_while(asked.lock().unwrap(), PATIENCE, |asked| asked.len() < times)
            .unwrap();
        assert!(!waited.timed_out(), "asked {} times, not {times}", asked.len());
    }
}

fn first_line(head: &str) -> String {
    head.lines().next().unwrap_or_default().to_owned()
}

fn head(stream: &TcpStream) -> String {
    let mut head = String::new();
    let mut reader = BufReader::new(stream);
    while !head.ends_with("\r\n\r\n") && reader.read_line(&mut head).is_ok_and(|read| read > 0) {}
    head.to_ascii_lowercase()
}

fn answer(stream: &mut TcpStream, status: u16, body: &str) {
    let length = body.len();
    let answer =
        format!("HTTP/1.1 {status} X\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n{body}");
    // Who asked may have gone.
    let _: std::io::Result<()> = stream.write_all(answer.as_bytes());
}

fn endless(stream: &mut TcpStream) {
    let piece = vec![b' '; 64 << 10];
    let mut sent = stream.write_all(b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n");
    // Until who reads it has enough.
    while sent.is_ok() {
        sent = stream.write_all(&piece);
    }
}

/// The double's keys as a metadata address gives them, good for so long.
pub(crate) fn keys(good_for: Duration) -> String {
    let expiry = DateTime::from(SystemTime::now() + good_for)
        .fmt(Format::DateTime)
        .unwrap();
    format!(
        "{{\"Code\":\"Success\",\"Type\":\"AWS-HMAC\",\"AccessKeyId\":\"{ACCESS_KEY_ID}\",\
         \"SecretAccessKey\":\"{SECRET_ACCESS_KEY}\",\"Token\":\"token\",\"Expiration\":\"{expiry}\",\
         \"LastUpdated\":\"2026-01-01T00:00:00Z\"}}"
    )
}

/// The double, for who signs with [`keys`].
pub(crate) async fn double_for_keys() -> Double {
    let key = Key::example().with_session_token("token");
    let config = DoubleConfig {
        keys: vec![key],
        ..DoubleConfig::default()
    };
    Double::start(config).await.unwrap()
}

/// Where the daemon's TCP port is.
pub(crate) fn tcp(daemon: &Daemon) -> SocketAddr {
    daemon.process.wait_for("its TCP address", |line| {
        let rest = line.split_once("Starting proxy http server on ")?.1;
        // In JSON the text ends with a quotation mark.
        rest.split(['"', ' ']).next()?.parse().ok()
    })
}

/// One question over TCP; the whole answer.
pub(crate) fn ask(address: SocketAddr, start: &str) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let request =
        format!("{start} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\ncontent-length: 0\r\n\r\n");
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}
