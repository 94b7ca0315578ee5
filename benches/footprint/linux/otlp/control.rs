//! The floor: one thread that reads requests off one connection, answers them, puts them together up to 1 MiB or for 1 s, and
//! sends that on. It looks at nothing, counts nothing, and keeps nothing back.

use std::io::Write;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::{Duration, Instant};

use super::super::control::post_spans;
use super::super::http::Messages;
use super::super::{Result, role};

const MAX_BODY_BYTES: usize = 1 << 20;
const MAX_AGE: Duration = Duration::from_secs(1);

const TAKEN: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Type: application/x-protobuf\r\nContent-Length: 0\r\n\r\n";

/// `__otlp_control ADDRESS ENDPOINT_ADDRESS gzip|none`.
pub(crate) fn main(mut arguments: impl Iterator<Item = String>) -> Result<()> {
    let address: SocketAddr = role::argument(&mut arguments, "address")?;
    let endpoint: SocketAddr = role::argument(&mut arguments, "endpoint address")?;
    let compression: String = role::argument(&mut arguments, "compression")?;
    let listener = TcpListener::bind(address)?;
    let mut out = Out {
        stream: TcpStream::connect(endpoint)?,
        answers: Messages::new(),
        gzip: compression == "gzip",
        body: Vec::new(),
        opened_at: None,
    };
    out.stream.set_nodelay(true)?;
    loop {
        let (stream, _) = listener.accept()?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(MAX_AGE))?;
        serve(stream, &mut out)?;
        out.send()?;
    }
}

fn serve(mut stream: TcpStream, out: &mut Out) -> Result<()> {
    let mut messages = Messages::new();
    // A client that says nothing for a second has sent all: the generator has ended then.
    while let Ok(Some((_, body))) = messages.next(&mut stream) {
        out.add(body)?;
        stream.write_all(TAKEN)?;
    }
    Ok(())
}

struct Out {
    stream: TcpStream,
    answers: Messages,
    gzip: bool,
    body: Vec<u8>,
    opened_at: Option<Instant>,
}

impl Out {
    fn add(&mut self, request: &[u8]) -> Result<()> {
        if self.body.len() + request.len() > MAX_BODY_BYTES {
            self.send()?;
        }
        let opened_at = *self.opened_at.get_or_insert_with(Instant::now);
        self.body.extend_from_slice(request);
        if opened_at.elapsed() >= MAX_AGE {
            self.send()?;
        }
        Ok(())
    }

    fn send(&mut self) -> Result<()> {
        if self.opened_at.take().is_some() {
            post_spans(&mut self.stream, &self.body, self.gzip, &mut self.answers)?;
            self.body.clear();
        }
        Ok(())
    }
}
