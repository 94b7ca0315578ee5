//! What has been read of a connection and belongs to no request yet: hyper keeps it, and does not tell.
//!
//! It is known from the bytes that pass: the end of a head ends a request without a body, a length says where a body
//! ends, and a body in chunks ends with the empty one. It decides clocks and texts only, never what a request is.

/// The first line of HTTP/2, with the empty one after it, which an HTTP/1 parser takes for a head.
const HTTP2_START: &[u8] = b"PRI * HTTP/2.0\r\n\r\n";

/// The last chunk of a body, without trailers.
const LAST_CHUNK: &[u8] = b"0\r\n\r\n";

/// Bytes behind the last request.
#[derive(Debug, Default)]
pub(super) struct Ahead {
    /// What has come of the next head; within a body in chunks, the bytes that came last.
    bytes: Vec<u8>,
    body: Rest,
}

/// What is left of the body of the request that is being read.
#[derive(Debug, Default, PartialEq, Eq)]
enum Rest {
    /// None: a head comes next.
    #[default]
    Nothing,
    /// So many bytes.
    Bytes(u64),
    /// Chunks, until somebody sees that they have ended.
    Chunks,
}

impl Ahead {
    /// Takes in what was read. Returns how many of these bytes hyper is to have: all, but for HTTP/2, which it answers
    /// only as long as it does not recognise it.
    pub(super) fn came(&mut self, mut bytes: &[u8]) -> usize {
        let all = bytes.len();
        match &mut self.body {
            Rest::Nothing => {}
            Rest::Bytes(left) => {
                let of_body = usize::try_from(*left).unwrap_or(usize::MAX).min(bytes.len());
                *left -= of_body as u64;
                bytes = &bytes[of_body..];
                if *left == 0 {
                    self.body = Rest::Nothing;
                }
            }
            Rest::Chunks => self.bytes.clear(),
        }
        self.bytes.extend_from_slice(bytes);
        if self.is_http2() {
            let beyond = self.bytes.len() - HTTP2_START.len();
            // None at all would mean the end of the stream.
            return (all - beyond.min(all)).max(1);
        }
        all
    }

    /// A head has been made a request of, whose body has this length; `None`: it comes in chunks.
    pub(super) fn request(&mut self, body_bytes: Option<u64>) {
        self.drop_front(end_of_head(&self.bytes));
        self.body = Rest::Chunks;
        if let Some(bytes) = body_bytes {
            let here = usize::try_from(bytes).unwrap_or(usize::MAX).min(self.bytes.len());
            self.drop_front(here);
            self.body = match bytes - here as u64 {
                0 => Rest::Nothing,
                left => Rest::Bytes(left),
            };
        }
    }

    /// The last chunk of the body has been seen.
    pub(super) fn chunks_ended(&mut self) {
        if self.body != Rest::Chunks {
            return;
        }
        let last = self.bytes.windows(LAST_CHUNK.len());
        let end = last.rev().position(|window| window == LAST_CHUNK);
        // It came in pieces: then nothing is known of what is behind it.
        self.drop_front(self.bytes.len() - end.unwrap_or(0));
        self.body = Rest::Nothing;
    }

    /// Whether a head has begun. Empty lines before it are none of it.
    pub(super) fn has_begun(&self) -> bool {
        self.body == Rest::Nothing && !trimmed(&self.bytes).is_empty()
    }

    /// What has come of a head.
    pub(super) fn head(&self) -> &[u8] {
        trimmed(&self.bytes)
    }

    /// Whether it is the start of HTTP/2.
    pub(super) fn is_http2(&self) -> bool {
        self.body == Rest::Nothing && self.bytes.starts_with(HTTP2_START)
    }

    fn drop_front(&mut self, bytes: usize) {
        if bytes == self.bytes.len() {
            // A connection that is merely kept holds no memory.
            self.bytes = Vec::new();
        } else {
            self.bytes.drain(..bytes);
        }
    }
}

fn trimmed(bytes: &[u8]) -> &[u8] {
    let start = bytes.iter().position(|byte| !matches!(byte, b'\r' | b'\n'));
    &bytes[start.unwrap_or(bytes.len())..]
}

/// Where the head at the front ends, behind its empty line.
fn end_of_head(bytes: &[u8]) -> usize {
    let mut at = bytes.len() - trimmed(bytes).len();
    let mut line_start = at;
    while at < bytes.len() {
        at += 1;
        if bytes[at - 1] == b'\n' {
            if matches!(&bytes[line_start..at], b"\n" | b"\r\n") {
                return at;
            }
            line_start = at;
        }
    }
    at
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is ahead after these reads of a request with such a body, which is seen to end after the last.
    fn ahead(body_bytes: Option<u64>, reads: &[&str]) -> String {
        let mut ahead = Ahead::default();
        for (number, bytes) in reads.iter().enumerate() {
            assert_eq!(ahead.came(bytes.as_bytes()), bytes.len());
            if number == 0 {
                assert!(ahead.has_begun());
                ahead.request(body_bytes);
            }
        }
        ahead.chunks_ended();
        assert_eq!(ahead.has_begun(), !ahead.head().is_empty());
        String::from_utf8(ahead.head().to_vec()).unwrap()
    }

    #[test]
    fn what_follows_a_request_is_told_from_it_however_its_body_is_framed() {
        let get = "GET / HTTP/1.1\r\nhost: x\r\n\r\n";
        let post = "POST / HTTP/1.1\r\n\r\n";
        let unix = "GET / HTTP/1.1\nhost: x\n\n";
        for (body, reads, left) in [
            (Some(0), vec![get], ""),
            (Some(0), vec![&format!("\r\n\r\n{get}"), "\r\n"], ""),
            (Some(0), vec![&format!("{get}G")], "G"),
            (Some(0), vec![&format!("{unix}GET")], "GET"),
            (Some(0), vec![get, "GE", "T /"], "GET /"),
            (Some(4), vec![&format!("{post}body")], ""),
            (Some(4), vec![&format!("{post}bo"), "dy"], ""),
            (Some(4), vec![&format!("{post}bo"), "d", "y\r\nGET"], "GET"),
            (Some(4), vec![&format!("{post}bodyGET")], "GET"),
            (None, vec![&format!("{post}1\r\na\r\n0\r\n\r\n")], ""),
            (None, vec![&format!("{post}1\r\na\r\n"), "0\r\n\r\n"], ""),
            (None, vec![post, "1\r\na\r\n0\r\n\r\nGET /"], "GET /"),
        ] {
            let reads: Vec<&str> = reads.iter().map(AsRef::as_ref).collect();
            assert_eq!(ahead(body, &reads), left, "{reads:?}");
        }
    }

    #[test]
    fn of_http2_hyper_gets_the_first_line_only_which_it_answers() {
        let preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0";
        let mut ahead = Ahead::default();
        assert_eq!(ahead.came(preface), HTTP2_START.len());
        assert!(ahead.is_http2());
        let mut ahead = Ahead::default();
        assert_eq!(ahead.came(&preface[..10]), 10);
        assert!(!ahead.is_http2());
        assert_eq!(ahead.came(&preface[10..]), HTTP2_START.len() - 10);
        assert!(ahead.is_http2());
        assert_eq!(ahead.came(b"abc"), 1);
    }
}
