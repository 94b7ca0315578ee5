//! Clients over HTTP: each asks, waits for the answer, and asks again.

use std::io::{self, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use super::Result;
use super::http::Messages;

/// One connection.
#[derive(Debug)]
pub(crate) struct Client {
    stream: TcpStream,
    host: SocketAddr,
    answers: Messages,
    /// How long the last answer took.
    took: Duration,
}

/// How long is waited for more events.
const EVENTS_PATIENCE: Duration = Duration::from_millis(100);

/// An answer that does not end.
#[derive(Debug)]
pub(crate) struct Events(TcpStream);

impl Events {
    /// How many bytes have come; 0 when none has for a while.
    pub(crate) fn read_some(&mut self) -> io::Result<u64> {
        let mut buffer = [0; 1 << 16];
        match self.0.read(&mut buffer) {
            Ok(0) => Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(count) => Ok(count as u64),
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => {
                Ok(0)
            }
            Err(error) => Err(error),
        }
    }
}

/// An answer: its status and its body.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) body: Vec<u8>,
}

impl Client {
    pub(crate) fn connect(to: SocketAddr) -> Result<Self> {
        let stream = TcpStream::connect(to)?;
        stream.set_nodelay(true)?;
        Ok(Self {
            stream,
            host: to,
            answers: Messages::new(),
            took: Duration::ZERO,
        })
    }

    pub(crate) fn get(&mut self, path: &str) -> Result<Reply> {
        self.ask("GET", path, &[])
    }

    /// How long the last answer took.
    pub(crate) fn took(&self) -> Duration {
        self.took
    }

    /// Asks for an answer that does not end; what comes is read as it comes.
    pub(crate) fn events(mut self, path: &str) -> Result<Events> {
        let request = format!("GET {path} HTTP/1.1\r\nHost: {}\r\n\r\n", self.host);
        self.stream.write_all(request.as_bytes())?;
        self.stream.set_read_timeout(Some(EVENTS_PATIENCE))?;
        Ok(Events(self.stream))
    }

    pub(crate) fn post(&mut self, path: &str, body: &[u8]) -> Result<Reply> {
        self.ask("POST", path, body)
    }

    fn ask(&mut self, method: &str, path: &str, body: &[u8]) -> Result<Reply> {
        let mut request = format!(
            "{method} {path} HTTP/1.1\r\nHost: {}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
            self.host,
            body.len()
        )
        .into_bytes();
        request.extend_from_slice(body);
        let asked = Instant::now();
        self.stream.write_all(&request)?;
        let (head, body) = self
            .answers
            .next(&mut self.stream)?
            .ok_or_else(|| format!("{} closes the connection", self.host))?;
        self.took = asked.elapsed();
        let status = head
            .split(|&byte| byte == b' ')
            .nth(1)
            .and_then(|status| std::str::from_utf8(status).ok()?.parse().ok());
        Ok(Reply {
            status: status.ok_or("an answer without a status")?,
            body: body.to_vec(),
        })
    }
}

/// What some clients did.
#[derive(Debug, Default)]
pub(crate) struct Asked {
    /// How long each answer took, sorted.
    pub(crate) times: Vec<Duration>,
    pub(crate) seconds: f64,
}

/// Has `clients` ask at `to` side by side for `time`: `each`, with the client's number and that of the question, says
/// whether the answer counts.
pub(crate) fn ask(
    to: SocketAddr,
    clients: u32,
    time: Duration,
    each: impl Fn(&mut Client, u32, u32) -> Result<bool> + Sync,
) -> Result<Asked> {
    let start = Instant::now();
    let one = |number| -> Result<Vec<Duration>> {
        let mut client = Client::connect(to)?;
        let (mut times, mut question) = (Vec::new(), 0);
        while start.elapsed() < time {
            if each(&mut client, number, question)? {
                times.push(client.took);
                question += 1;
            }
        }
        Ok(times)
    };
    let one = &one;
    let answered: Vec<Result<Vec<Duration>>> = thread::scope(|scope| {
        let started: Vec<_> = (0..clients)
            .map(|number| scope.spawn(move || one(number)))
            .collect();
        let ended = started
            .into_iter()
            .map(|client| client.join().unwrap_or_else(|_| Err("a client panicked".into())));
        ended.collect()
    });
    let seconds = start.elapsed().as_secs_f64();
    let mut times = Vec::new();
    for answered in answered {
        times.extend(answered?);
    }
    times.sort_unstable();
    Ok(Asked { times, seconds })
}
