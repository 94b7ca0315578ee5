//! What answers the calls, outside of what is measured.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread;
use std::time::Duration;

use super::Result;

/// How long an answer takes: longer than the caller needs until it waits, so that it does the same each time.
const ANSWER_AFTER: Duration = Duration::from_millis(2);

/// How long a call may take to come, with a processor that is another program's half of the time.
const PATIENCE: Duration = Duration::from_secs(60);

/// As X-Ray answers.
const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\n\
    Date: Thu, 26 Nov 2026 04:00:00 GMT\r\n\
    Content-Type: application/json\r\n\
    Content-Length: 31\r\n\
    Connection: keep-alive\r\n\
    x-amzn-RequestId: 0f3f8d4e-5d0c-4f0e-9b43-6a1fbc0d2c11\r\n\
    \r\n\
    {\"UnprocessedTraceSegments\":[]}";

const LENGTH: &[u8] = b"content-length: ";

/// Threads of this process, one for each connection.
#[derive(Debug)]
pub(crate) struct Endpoint {
    address: SocketAddr,
    answered: Receiver<()>,
}

impl Endpoint {
    pub(crate) fn start() -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let address = listener.local_addr()?;
        let (answers, answered) = mpsc::channel();
        thread::spawn(move || {
            for connection in listener.incoming().flatten() {
                let answers = answers.clone();
                thread::spawn(move || serve(connection, &answers));
            }
        });
        Ok(Self { address, answered })
    }

    /// Waits until one more call has been answered.
    pub(crate) fn answer(&self) -> Result<()> {
        self.answered
            .recv_timeout(PATIENCE)
            .map_err(|_| "no call comes".into())
    }

    /// Forgets the calls so far.
    pub(crate) fn forget(&self) {
        while self.answered.try_recv().is_ok() {}
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }
}

/// Answers each request on a connection until it ends.
fn serve(mut connection: TcpStream, answers: &Sender<()>) -> io::Result<()> {
    connection.set_nodelay(true)?;
    let (mut buffer, mut filled) = (vec![0; 1 << 20], 0);
    loop {
        let request = loop {
            if let Some(length) = length(&buffer[..filled])
                && length <= filled
            {
                break length;
            }
            match connection.read(&mut buffer[filled..])? {
                0 => return Ok(()),
                count => filled += count,
            }
        };
        buffer.copy_within(request..filled, 0);
        filled -= request;
        thread::sleep(ANSWER_AFTER);
        connection.write_all(ANSWER)?;
        if answers.send(()).is_err() {
            return Ok(());
        }
    }
}

/// The length of the request that begins `bytes`, once its head is there.
fn length(bytes: &[u8]) -> Option<usize> {
    let head = memchr::memmem::find(bytes, b"\r\n\r\n")? + 4;
    let value = &bytes[memchr::memmem::find(&bytes[..head], LENGTH)? + LENGTH.len()..head];
    let end = value.iter().position(|byte| *byte == b'\r')?;
    let body: usize = std::str::from_utf8(&value[..end]).ok()?.parse().ok()?;
    Some(head + body)
}
