//! The floor: one thread that receives, escapes, hashes, writes over one kept-alive connection and reads the answer.
//!
//! It makes the same batches as the daemon (50 documents, or 1 s), and does nothing else: no budget, no retry, no
//! second call in flight, no log, a signature in form only (the HMAC of a call is some 2 µs in 50 documents). For an OTLP
//! endpoint it makes the documents into spans and compresses them, with the libraries that the daemon has.

use std::fmt::Write as _;
use std::io::{self, IoSlice, IoSliceMut, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::fd::AsRawFd;
use std::path::PathBuf;
use std::thread;
use std::time::{Duration, Instant};

use flate2::Compression;
use flate2::write::GzEncoder;
use nix::errno::Errno;
use nix::sys::socket::{MsgFlags, MultiHeaders, SockaddrIn, recvmmsg};
use rustls::{ClientConnection, StreamOwned};
use rustls_pki_types::ServerName;
use serde::Deserialize;
use sha2::{Digest, Sha256};
use socket2::{Domain, Socket, Type};

use xray::exporters::xray::encoding::Segments;
use xray::exporters::xray::encoding::escape::escape;
use xray::pipeline::batch::MAX_AGE;
use xray::pipeline::batch::encoding::Encoding as _;
use xray_document::otlp::to_span::{Context, Converted, spans_of};

use super::destinations::Destinations;
use super::http::Messages;
use super::{Result, role, tls};

/// Datagrams taken from the kernel at a time.
const RECEIVES: usize = 32;
const DATAGRAM_BYTES: usize = 1 << 16;
/// As much as the daemon asks for.
const RECEIVE_BUFFER_BYTES: usize = 8 << 20;

const MAX_BODY_BYTES: usize = 1 << 20;

/// `__control UDP_ADDRESS ENDPOINT_ADDRESS DESTINATION [CA_FILE]`, the destination `xray`, `otlp` or `both`.
pub(crate) fn main(mut arguments: impl Iterator<Item = String>) -> Result<()> {
    let udp: SocketAddr = role::argument(&mut arguments, "UDP address")?;
    let endpoint: SocketAddr = role::argument(&mut arguments, "endpoint address")?;
    let to: Destinations = role::argument(&mut arguments, "destination")?;
    let socket = Socket::new(Domain::for_address(udp), Type::DGRAM, None)?;
    socket.set_recv_buffer_size(RECEIVE_BUFFER_BYTES)?;
    socket.bind(&udp.into())?;
    let stream = TcpStream::connect(endpoint)?;
    stream.set_nodelay(true)?;
    match arguments.next() {
        None => forward(&socket, stream, to),
        Some(ca_file) => {
            let name = ServerName::IpAddress(endpoint.ip().into());
            let tls = ClientConnection::new(tls::client(&PathBuf::from(ca_file))?, name)?;
            forward(&socket, StreamOwned::new(tls, stream), to)
        }
    }
}

/// `__control-over-tcp ADDRESS ENDPOINT_ADDRESS`: the same for documents that come over HTTP, a thread for each client. The UDP
/// socket is there only to show that it has started.
pub(crate) fn main_over_tcp(mut arguments: impl Iterator<Item = String>) -> Result<()> {
    let address: SocketAddr = role::argument(&mut arguments, "address")?;
    let endpoint: SocketAddr = role::argument(&mut arguments, "endpoint address")?;
    let listener = TcpListener::bind(address)?;
    let _started = UdpSocket::bind(address)?;
    for client in listener.incoming() {
        let client = client?;
        thread::spawn(move || {
            // A client that leaves ends it.
            let _: Result<()> = forward_requests(client, endpoint);
        });
    }
    Ok(())
}

/// Takes each request's documents as a batch, and answers when the endpoint has.
fn forward_requests(mut client: TcpStream, endpoint: SocketAddr) -> Result<()> {
    let mut stream = TcpStream::connect(endpoint)?;
    client.set_nodelay(true)?;
    stream.set_nodelay(true)?;
    let (mut requests, mut batch) = (Messages::new(), Batch::to(Destinations::XRAY));
    while let Some((_, body)) = requests.next(&mut client)? {
        let request: Request = serde_json::from_slice(body)?;
        for document in &request.documents {
            batch.add(document.as_bytes());
        }
        batch.send(&mut stream)?;
        client.write_all(TAKEN)?;
    }
    Ok(())
}

const TAKEN: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 31\r\n\r\n\
{\"UnprocessedTraceSegments\":[]}";

#[derive(Deserialize)]
struct Request {
    #[serde(rename = "TraceSegmentDocuments")]
    documents: Vec<String>,
}

fn forward(socket: &Socket, mut stream: impl Read + Write, to: Destinations) -> Result<()> {
    let mut room = vec![0; RECEIVES * DATAGRAM_BYTES];
    let mut headers = MultiHeaders::<SockaddrIn>::preallocate(RECEIVES, None);
    let mut batch = Batch::to(to);
    let mut wait = None;
    loop {
        receive(socket, &mut room, &mut headers, |document| {
            batch.opened_at.get_or_insert_with(Instant::now);
            batch.add(document);
            if batch.documents == Segments::MAX_DOCUMENTS || batch.body.len() >= MAX_BODY_BYTES {
                batch.send(&mut stream)?;
            }
            Ok(())
        })?;
        let mut left = batch.left();
        if left.is_some_and(|left| left.is_zero()) {
            batch.send(&mut stream)?;
            left = None;
        }
        if must_change(wait, left) {
            socket.set_read_timeout(left)?;
            wait = left;
        }
    }
}

/// Each receive waits anew for as long as is set, so that it is shortened while the end of the batch comes nearer: by halves, for
/// a system call after each datagram would be no floor.
fn must_change(wait: Option<Duration>, left: Option<Duration>) -> bool {
    match (wait, left) {
        (Some(wait), Some(left)) => left < wait / 2 || left > wait,
        (wait, left) => wait != left,
    }
}

/// Blocks for the first datagram and takes what else is there.
fn receive(
    socket: &Socket,
    room: &mut [u8],
    headers: &mut MultiHeaders<SockaddrIn>,
    mut each: impl FnMut(&[u8]) -> Result<()>,
) -> Result<()> {
    let mut rooms = room.chunks_mut(DATAGRAM_BYTES);
    let mut slices: [[IoSliceMut<'_>; 1]; RECEIVES] =
        std::array::from_fn(|_| [IoSliceMut::new(rooms.next().unwrap_or_default())]);
    let received = recvmmsg(
        socket.as_raw_fd(),
        headers,
        &mut slices,
        MsgFlags::MSG_WAITFORONE,
        None,
    );
    let received = match received {
        Ok(received) => received,
        Err(Errno::EAGAIN | Errno::EINTR) => return Ok(()),
        Err(errno) => return Err(io::Error::from(errno).into()),
    };
    for message in received {
        for datagram in message.iovs() {
            if let Some(newline) = memchr::memchr(b'\n', datagram) {
                each(&datagram[newline + 1..])?;
            }
        }
    }
    Ok(())
}

struct Batch {
    to: Destinations,
    body: Vec<u8>,
    documents: usize,
    /// For the OTLP endpoint: the documents one after the other, and where each ends.
    raw: Vec<u8>,
    ends: Vec<usize>,
    opened_at: Option<Instant>,
    head: String,
    answers: Messages,
}

impl Batch {
    fn to(to: Destinations) -> Self {
        Self {
            to,
            body: Vec::new(),
            documents: 0,
            raw: Vec::new(),
            ends: Vec::new(),
            opened_at: None,
            head: String::new(),
            answers: Messages::new(),
        }
    }

    /// How long until it is due; `None` while nothing is in it.
    fn left(&self) -> Option<Duration> {
        self.opened_at.map(|at| MAX_AGE.saturating_sub(at.elapsed()))
    }

    fn add(&mut self, document: &[u8]) {
        if self.documents == 0 {
            self.body.clear();
            self.raw.clear();
            self.ends.clear();
        }
        if self.to.xray {
            self.body.extend_from_slice(match self.documents {
                0 => b"{\"TraceSegmentDocuments\":[",
                _ => b",",
            });
            escape(document, &mut self.body);
        }
        if self.to.otlp {
            self.raw.extend_from_slice(document);
            self.ends.push(self.raw.len());
        }
        self.documents += 1;
    }

    fn send(&mut self, stream: &mut (impl Read + Write)) -> Result<()> {
        self.documents = 0;
        self.opened_at = None;
        if self.to.xray {
            self.send_segments(stream)?;
        }
        if self.to.otlp {
            self.send_spans(stream)?;
        }
        Ok(())
    }

    fn send_segments(&mut self, stream: &mut (impl Read + Write)) -> Result<()> {
        self.body.extend_from_slice(b"]}");
        let hash = Sha256::digest(&self.body);
        self.head.clear();
        write!(
            self.head,
            "POST /TraceSegments HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n\
             X-Amz-Date: 20261121T021308Z\r\nX-Amz-Content-Sha256: "
        )?;
        for byte in hash {
            write!(self.head, "{byte:02x}")?;
        }
        write!(
            self.head,
            "\r\nAuthorization: AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20261121/us-east-1/xray/aws4_request, \
             SignedHeaders=content-type;host;x-amz-date, Signature={:064}\r\nContent-Length: {}\r\n\r\n",
            0,
            self.body.len()
        )?;
        write_both(stream, self.head.as_bytes(), &self.body)?;
        must_be_taken(&mut self.answers, stream)
    }

    fn send_spans(&mut self, stream: &mut (impl Read + Write)) -> Result<()> {
        let mut spans = Vec::new();
        let mut start = 0;
        for &end in &self.ends {
            let document = std::str::from_utf8(&self.raw[start..end])?;
            if let Converted::Spans(of_document) = spans_of(document, &Context::default())? {
                spans.extend_from_slice(&of_document.request);
            }
            start = end;
        }
        post_spans(stream, &spans, true, &mut self.answers)
    }
}

/// Sends a request of spans, compressed or not, and reads the answer.
pub(crate) fn post_spans(
    stream: &mut (impl Read + Write),
    spans: &[u8],
    gzip: bool,
    answers: &mut Messages,
) -> Result<()> {
    let mut compressed = Vec::new();
    let (body, encoding) = if gzip {
        let mut encoder = GzEncoder::new(compressed, Compression::fast());
        encoder.write_all(spans)?;
        compressed = encoder.finish()?;
        (compressed.as_slice(), "Content-Encoding: gzip\r\n")
    } else {
        (spans, "")
    };
    let head = format!(
        "POST /v1/traces HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/x-protobuf\r\n{encoding}\
         Content-Length: {}\r\n\r\n",
        body.len()
    );
    write_both(stream, head.as_bytes(), body)?;
    must_be_taken(answers, stream)
}

fn must_be_taken(answers: &mut Messages, stream: &mut impl Read) -> Result<()> {
    match answers.next(stream)? {
        Some((head, _)) if head.starts_with(b"HTTP/1.1 200 ") => Ok(()),
        Some((head, _)) => Err(format!("the sink answers {}", String::from_utf8_lossy(head)).into()),
        None => Err("the sink closed the connection".into()),
    }
}

/// Head and body with one system call when the kernel takes them.
fn write_both(stream: &mut impl Write, mut head: &[u8], mut body: &[u8]) -> io::Result<()> {
    while !head.is_empty() {
        let written = stream.write_vectored(&[IoSlice::new(head), IoSlice::new(body)])?;
        if written == 0 {
            return Err(io::ErrorKind::WriteZero.into());
        }
        let of_head = written.min(head.len());
        head = &head[of_head..];
        body = &body[written - of_head..];
    }
    stream.write_all(body)?;
    stream.flush()
}
