//! HTTP as bytes, so that a test says exactly what goes over the wire.

use std::net::SocketAddr;

use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use xray_double::harness::process::PATIENCE;

/// An answer, taken apart.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    head: String,
    pub(crate) body: String,
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// The code of an error of the port's own.
    pub(crate) fn code(&self) -> String {
        self.json()["__type"].as_str().expect("a code").to_owned()
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let mut lines = self.head.lines();
        lines.find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
    }
}

/// One connection.
pub(crate) struct Client {
    pub(crate) stream: TcpStream,
}

impl Client {
    pub(crate) async fn connect(address: SocketAddr) -> Self {
        Self {
            stream: TcpStream::connect(address).await.expect("a connection"),
        }
    }

    pub(crate) async fn send(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).await.expect("sent");
    }

    /// Reads one answer, whose body has its length announced.
    pub(crate) async fn answer(&mut self) -> Answer {
        tokio::time::timeout(PATIENCE, self.read_answer())
            .await
            .expect("an answer in time")
    }

    async fn read_answer(&mut self) -> Answer {
        let mut bytes = Vec::new();
        loop {
            let text = String::from_utf8_lossy(&bytes);
            if let Some((head, body)) = text.split_once("\r\n\r\n") {
                let length: usize = head
                    .lines()
                    .find_map(|line| line.strip_prefix("content-length: "))
                    .expect("a length")
                    .parse()
                    .expect("a number");
                if body.len() >= length {
                    return Answer {
                        status: head[9..12].parse().expect("a status"),
                        head: head.to_owned(),
                        body: body.to_owned(),
                    };
                }
            }
            let read = self.stream.read_buf(&mut bytes).await.expect("more to read");
            assert!(
                read > 0,
                "closed inside an answer: {}",
                String::from_utf8_lossy(&bytes)
            );
        }
    }

    /// Waits until the server closes; anything that comes before is an error of the test.
    pub(crate) async fn closed(&mut self) {
        let mut rest = Vec::new();
        let read = tokio::time::timeout(PATIENCE, self.stream.read_to_end(&mut rest))
            .await
            .expect("closed in time");
        // A reset is an end as well.
        assert_eq!(read.unwrap_or(0), 0, "{}", String::from_utf8_lossy(&rest));
    }
}

/// One request on a connection of its own.
pub(crate) async fn ask(address: SocketAddr, request: &[u8]) -> Answer {
    let mut client = Client::connect(address).await;
    client.send(request).await;
    client.answer().await
}

/// A POST with these headers, each with its line end.
pub(crate) fn post_with(path: &str, headers: &str, body: &str) -> Vec<u8> {
    let length = body.len();
    format!("POST {path} HTTP/1.1\r\n{headers}content-length: {length}\r\n\r\n{body}").into_bytes()
}

pub(crate) async fn post(address: SocketAddr, path: &str, body: &str) -> Answer {
    ask(address, &post_with(path, &format!("host: {address}\r\n"), body)).await
}

pub(crate) async fn get(address: SocketAddr, path: &str) -> Answer {
    ask(
        address,
        format!("GET {path} HTTP/1.1\r\nhost: {address}\r\n\r\n").as_bytes(),
    )
    .await
}

/// The value of one sample of `GET /metrics`, named as it stands there, with its labels.
pub(crate) async fn metric(address: SocketAddr, sample: &str) -> Option<f64> {
    let page = get(address, "/metrics").await;
    assert_eq!(page.status, 200);
    let mut lines = page.body.lines();
    let value = lines.find_map(|line| line.strip_prefix(sample)?.strip_prefix(' '))?;
    Some(value.parse().expect("a number"))
}
