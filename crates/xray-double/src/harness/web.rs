//! One HTTP request to an app, as a browser or another service would make it.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};

use super::process::PATIENCE;

/// What an app answered.
pub struct Answer {
    /// HTTP status.
    pub status: u16,
    /// As text.
    pub body: String,
}

/// `GET path` with the header `X-Amzn-Trace-Id: trace_header` when there is one.
pub fn get(app: SocketAddr, path: &str, trace_header: Option<&str>) -> Answer {
    let mut stream = TcpStream::connect(app).expect("the app accepts connections");
    stream.set_read_timeout(Some(PATIENCE)).expect("a time limit");
    let trace_header = trace_header.map_or_else(String::new, |value| format!("X-Amzn-Trace-Id: {value}\r\n"));
    // HTTP/1.0: the answer is neither chunked nor followed by another one.
    write!(
        stream,
        "GET {path} HTTP/1.0\r\nHost: {app}\r\nUser-Agent: xray-tests\r\n{trace_header}\r\n"
    )
    .expect("the app takes the request");
    let mut answer = Vec::new();
    stream
        .read_to_end(&mut answer)
        .expect("the app answers and closes");
    let answer = String::from_utf8(answer).expect("the apps answer in UTF-8");
    let (head, body) = answer
        .split_once("\r\n\r\n")
        .expect("an HTTP answer has an empty line");
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
    Answer {
        status: status.unwrap_or_else(|| panic!("no status in {head:?}")),
        body: body.to_owned(),
    }
}
