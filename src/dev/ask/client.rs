//! One request over HTTP, and a stream of events. The page of `xray dev` is asked for the key of the run first.

use std::time::Duration;

use bytes::Bytes;
use http::header::{ACCEPT, HOST};
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Empty, Limited};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Deserialize;
use tokio::net::TcpStream;
use xray_service::row::Row;

use super::AskError;
use crate::logs::sanitize;

/// The time to connect: it is this machine or the next one.
const CONNECT: Duration = Duration::from_secs(3);

/// The time for an answer: as long as the other side takes over one.
const ANSWER: Duration = Duration::from_secs(30);

/// The most bytes of an answer: it has 16 MiB of documents at most, whose quotes are escaped.
const ANSWER_MAX_BYTES: usize = 64 << 20;

/// The most bytes of one event.
const EVENT_MAX_BYTES: usize = 4 << 20;

/// What is not written as it is in a query: all but the unreserved characters of RFC 3986.
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'_')
    .remove(b'.')
    .remove(b'~');

/// What stands before the key in the page.
const BEFORE_KEY: &str = "name=\"xray-key\" content=\"";

/// An answer as a whole.
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) body: Bytes,
}

/// The page of a running `xray dev`.
pub(super) struct Client {
    /// As it was given, with a host.
    address: String,
    key: String,
}

impl Client {
    /// Asks for the page.
    ///
    /// # Errors
    /// When nobody answers, or somebody else does.
    pub(super) async fn connect(from: &str) -> Result<Self, AskError> {
        let mut client = Self {
            address: reached(from),
            key: String::new(),
        };
        let page = client.get("/", &[]).await?;
        if page.status != 200 {
            return Err(client.refused(page.status, &page.body));
        }
        let text = String::from_utf8_lossy(&page.body);
        let key = text
            .split_once(BEFORE_KEY)
            .and_then(|(_, rest)| rest.split('"').next());
        match key {
            Some(key) if !key.is_empty() && key.bytes().all(|byte| byte.is_ascii_hexdigit()) => {
                client.key = key.to_owned();
                Ok(client)
            }
            _ => Err(client.other("its page has no key".to_owned())),
        }
    }

    /// The address of the page, with a slash at its end.
    pub(super) fn page(&self) -> String {
        format!("http://{}/", self.address)
    }

    pub(super) async fn get(&self, path: &str, query: &[(&str, &str)]) -> Result<Answer, AskError> {
        let asked = async {
            let response = self.send(path, query, "application/json").await?;
            self.whole(response).await
        };
        let Ok(answer) = tokio::time::timeout(ANSWER, asked).await else {
            return Err(self.gone(format!("nothing within {} s", ANSWER.as_secs())));
        };
        answer
    }

    /// The traces that match, as they change.
    pub(super) async fn events(&self, filter: &str) -> Result<Events, AskError> {
        let query = [("filter", filter)];
        let asked = self.send("/-/events", &query, "text/event-stream");
        let Ok(response) = tokio::time::timeout(ANSWER, asked).await else {
            return Err(self.gone(format!("nothing within {} s", ANSWER.as_secs())));
        };
        let response = response?;
        if response.status() != StatusCode::OK {
            let Answer { status, body } = self.whole(response).await?;
            return Err(self.refused(status, &body));
        }
        Ok(Events {
            body: response.into_body(),
            read: Vec::new(),
        })
    }

    async fn whole(&self, response: Response<Incoming>) -> Result<Answer, AskError> {
        let status = response.status().as_u16();
        let body = Limited::new(response.into_body(), ANSWER_MAX_BYTES)
            .collect()
            .await;
        let body = body.map_err(|error| self.gone(error.to_string()))?.to_bytes();
        Ok(Answer { status, body })
    }

    async fn send(
        &self,
        path: &str,
        query: &[(&str, &str)],
        accept: &str,
    ) -> Result<Response<Incoming>, AskError> {
        let stream = match tokio::time::timeout(CONNECT, TcpStream::connect(&self.address)).await {
            Ok(stream) => stream.map_err(|error| self.gone(error.to_string()))?,
            Err(_) => return Err(self.gone(format!("no connection within {} s", CONNECT.as_secs()))),
        };
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream))
            .await
            .map_err(|error| self.gone(error.to_string()))?;
        tokio::spawn(connection);
        let request = Request::get(self.target(path, query))
            .header(HOST, &self.address)
            .header(ACCEPT, accept)
            .body(Empty::<Bytes>::new())
            .map_err(|error| self.other(error.to_string()))?;
        let answered = sender.send_request(request).await;
        answered.map_err(|error| self.gone(error.to_string()))
    }

    fn target(&self, path: &str, query: &[(&str, &str)]) -> String {
        let mut target = path.to_owned();
        let key = [("key", self.key.as_str())];
        let all = query.iter().chain(key.iter().filter(|(_, key)| !key.is_empty()));
        for (at, (name, value)) in all.enumerate() {
            target.push(if at == 0 { '?' } else { '&' });
            target.push_str(name);
            target.push('=');
            target.extend(utf8_percent_encode(value, ENCODED));
        }
        target
    }

    pub(super) fn gone(&self, reason: String) -> AskError {
        AskError::Nobody {
            address: self.address.clone(),
            reason,
        }
    }

    pub(super) fn other(&self, reason: String) -> AskError {
        AskError::Other {
            address: self.address.clone(),
            reason: sanitize(reason, 300),
        }
    }
}

/// Where a page that listens there is reached: on this machine, where it listens on every address or names no host.
fn reached(from: &str) -> String {
    let from = from.strip_prefix("http://").unwrap_or(from).trim_end_matches('/');
    let from = from.strip_prefix("tcp:").unwrap_or(from);
    match from.rsplit_once(':') {
        Some(("" | "0.0.0.0" | "[::]", port)) => format!("127.0.0.1:{port}"),
        Some((host, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) && !port.is_empty() => {
            format!("{host}:{port}")
        }
        _ => format!("{from}:2000"),
    }
}

/// What happens in the store.
pub(super) enum Event {
    /// A trace that matches is new, or has changed.
    Trace(Box<Row>),
    /// Traces were pushed out.
    Gone(Vec<String>),
    /// All were forgotten.
    Reset,
}

/// A stream of events.
pub(super) struct Events {
    body: Incoming,
    read: Vec<u8>,
}

impl Events {
    /// The next one. May be dropped and called again: what was read is kept.
    ///
    /// # Errors
    /// Why there are no more.
    pub(super) async fn next(&mut self) -> Result<Event, String> {
        loop {
            if let Some(end) = self.read.windows(2).position(|two| two == b"\n\n") {
                let event: Vec<u8> = self.read.drain(..end + 2).collect();
                match event_of(&String::from_utf8_lossy(&event)) {
                    Some(event) => return Ok(event),
                    None => continue,
                }
            }
            if self.read.len() > EVENT_MAX_BYTES {
                return Err(format!("an event has more than {EVENT_MAX_BYTES} bytes"));
            }
            match self.body.frame().await {
                None => return Err("it has ended".to_owned()),
                Some(Err(error)) => return Err(error.to_string()),
                Some(Ok(frame)) => {
                    if let Ok(data) = frame.into_data() {
                        self.read.extend_from_slice(&data);
                    }
                }
            }
        }
    }
}

/// `None`: a remark, or what a later version tells.
fn event_of(text: &str) -> Option<Event> {
    #[derive(Deserialize)]
    struct Gone {
        ids: Vec<String>,
    }
    let field = |name: &str| text.lines().find_map(|line| line.strip_prefix(name));
    let data = field("data: ")?;
    match field("event: ")? {
        "trace" => Some(Event::Trace(serde_json::from_str(data).ok()?)),
        "gone" => Some(Event::Gone(serde_json::from_str::<Gone>(data).ok()?.ids)),
        "reset" => Some(Event::Reset),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_is_reached_where_it_says_that_it_listens() {
        for (from, reached_at) in [
            ("127.0.0.1:2000", "127.0.0.1:2000"),
            ("0.0.0.0:3", "127.0.0.1:3"),
            ("[::]:3", "127.0.0.1:3"),
            (":3", "127.0.0.1:3"),
            ("[::1]:3", "[::1]:3"),
            ("xray", "xray:2000"),
            ("http://localhost:5/", "localhost:5"),
            ("tcp:h:5", "h:5"),
        ] {
            assert_eq!(reached(from), reached_at, "{from}");
        }
    }

    #[test]
    fn a_filter_reaches_the_other_side_as_it_was_typed() {
        let text = "a = \"é&b\" +%\n";
        let query = xray_service::console::query(&format!("filter={}", utf8_percent_encode(text, ENCODED)));
        assert_eq!(query["filter"], text);
    }

    #[test]
    fn events_are_read_and_what_is_none_is_left_out() {
        assert!(matches!(
            event_of("event: reset\ndata: {}\n\n"),
            Some(Event::Reset)
        ));
        assert!(
            matches!(event_of("event: gone\ndata: {\"ids\":[\"a\"]}\n\n"), Some(Event::Gone(ids)) if ids == ["a"])
        );
        for text in [
            ": hello\n\n",
            "event: trace\ndata: {}\n\n",
            "event: other\ndata: 1\n\n",
            "data: x\n\n",
            "\n\n",
        ] {
            assert!(event_of(text).is_none(), "{text:?}");
        }
    }
}
