//! The endpoint, X-Ray's and one of OTLP at one address: counts every document once, by its number, and can be ill, silent or
//! down.

mod counts;
mod faults;

use std::collections::HashMap;
use std::io::{self, BufRead, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;

use flate2::read::GzDecoder;
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use socket2::{Domain, Socket, Type};

use self::counts::Counts;
pub(crate) use self::faults::Faults;
use self::faults::{Fate, Judge};
use super::http::Messages;
use super::{Result, role, say, times, tls};

const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 31\r\n\r\n\
{\"UnprocessedTraceSegments\":[]}";
const OTHER_ANSWER: &[u8] =
    b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}";

/// Of OTLP in protobuf: a success has an empty body.
const TAKEN_SPANS: &[u8] =
    b"HTTP/1.1 200 OK\r\nContent-Type: application/x-protobuf\r\nContent-Length: 0\r\n\r\n";

const FAILED: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\nContent-Type: text/plain\r\nContent-Length: 12\r\n\r\nunavailable\n";
const THROTTLED: &[u8] =
    b"HTTP/1.1 429 Too Many Requests\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}";

/// Whether calls are answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    /// As the judge says.
    Up,
    /// Not until another mode is set.
    Held,
    /// Connections are closed and refused.
    Down,
}

#[derive(Debug)]
struct Shared {
    mode: Mutex<Mode>,
    mode_changed: Condvar,
    judge: Mutex<Judge>,
    counts: Mutex<Counts>,
    spans: Mutex<Counts>,
    connections: AtomicU64,
    open: Mutex<HashMap<u64, TcpStream>>,
    tls: Option<Arc<ServerConfig>>,
}

/// `__sink [DIR]`: with a directory, TLS with the certificate there.
pub(crate) fn main(mut arguments: impl Iterator<Item = String>) -> Result<()> {
    let tls = arguments
        .next()
        .map(|dir| tls::server(&PathBuf::from(dir)))
        .transpose()?;
    let shared = Arc::new(Shared {
        mode: Mutex::new(Mode::Up),
        mode_changed: Condvar::new(),
        judge: Mutex::new(Judge::new(Faults::default())),
        counts: Mutex::default(),
        spans: Mutex::default(),
        connections: AtomicU64::new(0),
        open: Mutex::default(),
        tls,
    });
    let mut door = Some(listen(SocketAddr::from(([127, 0, 0, 1], 0)), &shared)?);
    let address = door
        .as_ref()
        .map_or_else(|| Err("no door".into()), Door::address)?;
    say(&format!("port={}", address.port()));
    // Holds the port while the endpoint is down, so that nobody else gets it and calls are refused.
    let mut holder: Option<Socket> = None;
    for line in io::stdin().lock().lines() {
        let line = line?;
        let words: Vec<&str> = line.split_whitespace().collect();
        match words[..] {
            [role::COUNT] => {}
            [role::RESET] => {
                *lock(&shared.counts) = Counts::default();
                *lock(&shared.spans) = Counts::default();
            }
            [role::APART, from] => lock(&shared.counts).count_apart(from.parse()?),
            [role::RECORD] => lock(&shared.counts).record(),
            [role::WRITE, file] => times::write(Path::new(file), &lock(&shared.counts).recorded())?,
            [role::UP] => {
                *lock(&shared.judge) = Judge::new(Faults::default());
                lock(&shared.counts).up();
                shared.set(Mode::Up);
                drop(holder.take());
                if door.is_none() {
                    door = Some(listen(address, &shared)?);
                }
            }
            [role::FAULTS, ref words @ ..] => *lock(&shared.judge) = Judge::new(Faults::parse(words)?),
            [role::HOLD] => shared.set(Mode::Held),
            [role::DOWN] => {
                shared.set(Mode::Down);
                if let Some(door) = door.take() {
                    door.close()?;
                }
                holder = Some(bound(address)?);
                for (_, stream) in lock(&shared.open).drain() {
                    let _: io::Result<()> = stream.shutdown(Shutdown::Both);
                }
            }
            _ => return Err(format!("the sink does not know {line:?}").into()),
        }
        say(&format!(
            "{} {}",
            lock(&shared.counts).line(),
            lock(&shared.spans).line_of_spans()
        ));
    }
    Ok(())
}

impl Shared {
    fn set(&self, mode: Mode) {
        *lock(&self.mode) = mode;
        self.mode_changed.notify_all();
    }

    /// Waits as long as the mode says; false when the endpoint went down meanwhile.
    fn may_answer(&self) -> bool {
        let mut mode = lock(&self.mode);
        while *mode == Mode::Held {
            mode = self
                .mode_changed
                .wait(mode)
                .unwrap_or_else(PoisonError::into_inner);
        }
        *mode != Mode::Down
    }
}

/// A listener and the thread that accepts.
#[derive(Debug)]
struct Door {
    listener: TcpListener,
    accepting: thread::JoinHandle<()>,
}

impl Door {
    fn address(&self) -> Result<SocketAddr> {
        Ok(self.listener.local_addr()?)
    }

    fn close(self) -> Result<()> {
        // Wakes the thread out of accept; the port is free once both handles are gone.
        Socket::from(self.listener).shutdown(Shutdown::Both)?;
        self.accepting
            .join()
            .map_err(|_| "the sink's listener panicked".into())
    }
}

fn bound(address: SocketAddr) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
    socket.set_reuse_address(true)?;
    socket.bind(&address.into())?;
    Ok(socket)
}

fn listen(address: SocketAddr, shared: &Arc<Shared>) -> Result<Door> {
    let socket = bound(address)?;
    socket.listen(1024)?;
    let listener = TcpListener::from(socket);
    let accepted = listener.try_clone()?;
    let shared = Arc::clone(shared);
    let accepting = thread::spawn(move || {
        while let Ok((stream, _)) = accepted.accept() {
            let shared = Arc::clone(&shared);
            thread::spawn(move || {
                // The other side may go at any moment; what it did not get an answer to is not counted.
                let _: Result<()> = connection(stream, &shared);
            });
        }
    });
    Ok(Door { listener, accepting })
}

fn connection(stream: TcpStream, shared: &Shared) -> Result<()> {
    stream.set_nodelay(true)?;
    let number = shared.connections.fetch_add(1, Relaxed) + 1;
    lock(&shared.open).insert(number, stream.try_clone()?);
    let result = match &shared.tls {
        Some(config) => {
            let tls = ServerConnection::new(Arc::clone(config))?;
            serve(StreamOwned::new(tls, stream), number, shared)
        }
        None => serve(stream, number, shared),
    };
    lock(&shared.open).remove(&number);
    result
}

fn serve(mut stream: impl Read + Write, number: u64, shared: &Shared) -> Result<()> {
    let mut messages = Messages::new();
    let mut spans = Vec::new();
    while let Some((head, body)) = messages.next(&mut stream)? {
        if head.starts_with(b"POST /v1/traces ") {
            lock(&shared.spans).take_spans(decompressed(head, body, &mut spans)?);
            stream.write_all(TAKEN_SPANS)?;
            stream.flush()?;
            continue;
        }
        if !head.starts_with(b"POST /TraceSegments ") {
            stream.write_all(OTHER_ANSWER)?;
            continue;
        }
        let came_at = times::now();
        let (fate, after) = lock(&shared.judge).decide(number);
        lock(&shared.counts).came(fate);
        thread::sleep(after);
        let answer = match fate {
            Fate::Hangs => {
                // Until the client has had enough of it.
                while messages.next(&mut stream)?.is_some() {}
                break;
            }
            Fate::Fails => FAILED,
            Fate::Throttled => THROTTLED,
            Fate::Taken => ANSWER,
        };
        if !shared.may_answer() {
            break;
        }
        if fate == Fate::Taken {
            lock(&shared.counts).take(body, came_at);
        }
        stream.write_all(answer)?;
        stream.flush()?;
    }
    Ok(())
}

/// The body as it was before a head that says so had it compressed, in `room` then.
fn decompressed<'a>(head: &[u8], body: &'a [u8], room: &'a mut Vec<u8>) -> io::Result<&'a [u8]> {
    let head = String::from_utf8_lossy(head).to_ascii_lowercase();
    if !head.contains("\r\ncontent-encoding: gzip\r\n") {
        return Ok(body);
    }
    room.clear();
    GzDecoder::new(body).read_to_end(room)?;
    Ok(room)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
