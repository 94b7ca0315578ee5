//! As much of HTTP/1.1 as the sink and the control need.

use std::io::{self, Read};

/// Bytes read at a time.
const READ_BYTES: usize = 256 << 10;

/// Reads messages with a `Content-Length` off one connection, into a buffer that it keeps.
#[derive(Debug)]
pub(crate) struct Messages {
    buffer: Vec<u8>,
    filled: usize,
    taken: usize,
}

impl Messages {
    pub(crate) fn new() -> Self {
        Self {
            buffer: Vec::new(),
            filled: 0,
            taken: 0,
        }
    }

    /// The next message, head and body; `None` at the end of the connection.
    pub(crate) fn next(&mut self, from: &mut impl Read) -> io::Result<Option<(&[u8], &[u8])>> {
        self.buffer.copy_within(self.taken..self.filled, 0);
        self.filled -= self.taken;
        self.taken = 0;
        let (head, body) = loop {
            if let Some(end) = memchr::memmem::find(&self.buffer[..self.filled], b"\r\n\r\n") {
                let head = end + 4;
                break (head, content_length(&self.buffer[..head])?);
            }
            if !self.read(from, READ_BYTES)? {
                return Ok(None);
            }
        };
        while self.filled < head + body {
            if !self.read(from, head + body - self.filled)? {
                return Ok(None);
            }
        }
        self.taken = head + body;
        Ok(Some(self.buffer[..self.taken].split_at(head)))
    }

    fn read(&mut self, from: &mut impl Read, room: usize) -> io::Result<bool> {
        if self.buffer.len() < self.filled + room {
            self.buffer.resize(self.filled + room, 0);
        }
        let count = from.read(&mut self.buffer[self.filled..])?;
        self.filled += count;
        Ok(count > 0)
    }
}

fn content_length(head: &[u8]) -> io::Result<usize> {
    let head = String::from_utf8_lossy(head);
    let value = head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length")
            .then(|| value.trim().parse().ok())?
    });
    match value {
        Some(length) => Ok(length),
        None if head.starts_with("GET ") => Ok(0),
        None => Err(io::Error::other("a message without a length")),
    }
}
