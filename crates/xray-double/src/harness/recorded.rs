//! What clients have sent once, in `tests/recorded`: a file of JSON lines for each, a message a line, byte for byte but for the
//! places of the machine.
//!
//! A test with the real client compares what it sends now with the recording by its *forms*: each path of keys with the type that
//! is there. `RECORD=1` makes the recording anew in place of comparing it.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;

use serde_json::{Value, json};

use super::install::repository;

/// Where a message went.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Way {
    /// To the daemon's UDP port: a datagram.
    Udp,
    /// To the daemon's TCP port: an HTTP request.
    Tcp,
    /// To the API of `xray dev`: an HTTP request.
    Api,
    /// To a port for OTLP: an HTTP request, whose body may be protobuf.
    Otlp,
}

impl Way {
    const ALL: [Self; 4] = [Self::Udp, Self::Tcp, Self::Api, Self::Otlp];

    fn name(self) -> &'static str {
        match self {
            Self::Udp => "udp",
            Self::Tcp => "tcp",
            Self::Api => "api",
            Self::Otlp => "otlp",
        }
    }
}

/// One datagram, or one request with its head.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// Where it went.
    pub way: Way,
    /// The datagram, or head and body.
    pub bytes: Vec<u8>,
}

impl Message {
    /// The datagrams of a tap.
    #[must_use]
    pub fn datagrams(datagrams: &[Vec<u8>]) -> Vec<Self> {
        let message = |bytes: &Vec<u8>| Self {
            way: Way::Udp,
            bytes: bytes.clone(),
        };
        datagrams.iter().map(message).collect()
    }

    /// The whole requests that clients have said over connections.
    ///
    /// # Panics
    /// When they are not HTTP/1.1.
    #[must_use]
    pub fn requests(way: Way, said: &[Vec<u8>]) -> Vec<Self> {
        let mut messages = Vec::new();
        for said in said {
            let mut rest = &said[..];
            while let Some(length) = request_bytes(rest) {
                let (request, after) = rest.split_at(length);
                messages.push(Self {
                    way,
                    bytes: request.to_vec(),
                });
                rest = after;
            }
        }
        messages
    }

    /// For people.
    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.bytes).into_owned()
    }

    /// Of a request, its method and path: `POST /GetSamplingRules`.
    #[must_use]
    pub fn target(&self) -> String {
        let text = self.text();
        let line = text.lines().next().unwrap_or_default();
        line.strip_suffix(" HTTP/1.1").unwrap_or(line).to_owned()
    }

    /// Of a request, what the header `name` says.
    ///
    /// # Panics
    /// When its head is not UTF-8.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<String> {
        let (head, _) = parted(&self.bytes)?;
        header(head, name).map(str::to_owned)
    }

    /// The document of a datagram, or the body of a request without chunks around it.
    ///
    /// # Panics
    /// When the head of a request is not UTF-8.
    #[must_use]
    pub fn body(&self) -> Vec<u8> {
        if self.way == Way::Udp {
            let newline = self.bytes.iter().position(|byte| *byte == b'\n');
            return self.bytes[newline.map_or(0, |at| at + 1)..].to_vec();
        }
        match parted(&self.bytes) {
            Some((head, body)) if is_chunked(head) => unchunked(body),
            Some((_, body)) => body.to_vec(),
            None => Vec::new(),
        }
    }

    /// What it is made of. The version of the SDK counts as a form: a recording is of one version.
    #[must_use]
    pub fn forms(&self) -> BTreeSet<String> {
        let start = match self.way {
            Way::Udp => "udp".to_owned(),
            Way::Tcp | Way::Api => self.target(),
            Way::Otlp => {
                let kind = self.header("content-type").unwrap_or_default();
                format!("{} {kind}", self.target())
            }
        };
        let mut forms = BTreeSet::from([start.clone()]);
        if let Ok(value) = serde_json::from_slice(&self.body()) {
            add_forms(&value, &start, &mut forms);
        }
        forms
    }
}

fn add_forms(value: &Value, path: &str, forms: &mut BTreeSet<String>) {
    match value {
        Value::Null => drop(forms.insert(format!("{path}: null"))),
        Value::Bool(_) => drop(forms.insert(format!("{path}: boolean"))),
        Value::Number(_) => drop(forms.insert(format!("{path}: number"))),
        Value::String(text) if path.ends_with(".xray.sdk_version") => {
            forms.insert(format!("{path}: {text}"));
        }
        Value::String(_) => drop(forms.insert(format!("{path}: string"))),
        Value::Array(values) => {
            forms.insert(format!("{path}: array"));
            for value in values {
                add_forms(value, &format!("{path}[]"), forms);
            }
        }
        Value::Object(fields) => {
            forms.insert(format!("{path}: object"));
            for (key, value) in fields {
                add_forms(value, &format!("{path}.{key}"), forms);
            }
        }
    }
}

/// Head and body of a request, or `None` if the head is not there whole.
fn parted(request: &[u8]) -> Option<(&str, &[u8])> {
    let at = find(request, b"\r\n\r\n")?;
    let head = std::str::from_utf8(&request[..at]).expect("clients send heads in UTF-8");
    Some((head, &request[at + 4..]))
}

fn find(bytes: &[u8], what: &[u8]) -> Option<usize> {
    bytes.windows(what.len()).position(|there| there == what)
}

/// The length of the first request in `said`, or `None` if it is not there whole.
fn request_bytes(said: &[u8]) -> Option<usize> {
    let (head, body) = parted(said)?;
    let body_bytes = if is_chunked(head) {
        find(body, b"\r\n0\r\n\r\n").map(|at| at + 7)?
    } else {
        header(head, "content-length").map_or(0, |length| length.parse().expect("a length"))
    };
    (body.len() >= body_bytes).then_some(head.len() + 4 + body_bytes)
}

fn header<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    head.lines().find_map(|line| {
        let (key, value) = line.split_once(':')?;
        key.eq_ignore_ascii_case(name).then_some(value.trim())
    })
}

fn is_chunked(head: &str) -> bool {
    header(head, "transfer-encoding").is_some_and(|value| value.eq_ignore_ascii_case("chunked"))
}

fn unchunked(mut body: &[u8]) -> Vec<u8> {
    let mut whole = Vec::new();
    while let Some(at) = find(body, b"\r\n") {
        let length = std::str::from_utf8(&body[..at]).ok();
        let length = length.and_then(|length| usize::from_str_radix(length, 16).ok());
        let length = length.expect("the length of a chunk");
        let chunk = &body[at + 2..];
        if length == 0 {
            break;
        }
        whole.extend_from_slice(&chunk[..length]);
        body = &chunk[length + 2..];
    }
    whole
}

/// What a client has sent once.
#[derive(Debug, Clone)]
pub struct Recording {
    /// The name of its file.
    pub client: String,
    /// In the order it was sent.
    pub messages: Vec<Message>,
}

fn directory() -> PathBuf {
    repository().join("tests/recorded/sent")
}

impl Recording {
    /// All that there are, by their names.
    ///
    /// # Panics
    /// When a file cannot be read, or is not as [`check`] writes it.
    #[must_use]
    pub fn all() -> Vec<Self> {
        let mut recordings: Vec<_> = fs::read_dir(directory())
            .expect("recordings")
            .map(|entry| {
                let path = entry.expect("a file").path();
                let text = fs::read_to_string(&path).expect("a recording");
                Self {
                    client: path
                        .file_stem()
                        .and_then(|name| name.to_str())
                        .expect("a name")
                        .to_owned(),
                    messages: text.lines().map(message).collect(),
                }
            })
            .collect();
        recordings.sort_by(|one, other| one.client.cmp(&other.client));
        recordings
    }
}

fn message(line: &str) -> Message {
    let line: Value = serde_json::from_str(line).expect("a message in JSON");
    let way = Way::ALL.into_iter().find(|way| line["way"] == way.name());
    let bytes = match (line["text"].as_str(), line["hex"].as_str()) {
        (Some(text), _) => text.as_bytes().to_vec(),
        (None, Some(digits)) => hex::decode(digits).expect("bytes in hexadecimal"),
        (None, None) => panic!("neither text nor bytes"),
    };
    Message {
        way: way.expect("a way"),
        bytes,
    }
}

/// The line that [`message`] reads.
fn line(message: &Message) -> String {
    let way = message.way.name();
    let line = match std::str::from_utf8(&message.bytes) {
        Ok(text) if message.way == Way::Udp => json!({"way": way, "text": of_no_machine(text)}),
        Ok(text) => json!({"way": way, "text": text}),
        Err(_) => json!({"way": way, "hex": hex::encode(&message.bytes)}),
    };
    format!("{line}\n")
}

/// Asserts that `sent` has no form that the recording of `client` does not have; with `RECORD` set, writes the recording: of all
/// messages those that have a form which those before have not.
///
/// # Panics
/// When there is such a form, or no recording.
pub fn check(client: &str, sent: &[Message]) {
    let path = directory().join(format!("{client}.jsonl"));
    if std::env::var_os("RECORD").is_some() {
        let mut known = BTreeSet::new();
        let mut lines = String::new();
        for message in sent {
            let forms = message.forms();
            if forms.is_subset(&known) {
                continue;
            }
            known.extend(forms);
            lines.push_str(&line(message));
        }
        fs::create_dir_all(directory()).expect("a directory for recordings");
        fs::write(path, lines).expect("a recording");
        return;
    }
    let recordings = Recording::all();
    let recorded = recordings.iter().find(|recording| recording.client == client);
    let recorded =
        recorded.unwrap_or_else(|| panic!("no recording of {client}: run this test with RECORD=1"));
    let known: BTreeSet<_> = recorded.messages.iter().flat_map(Message::forms).collect();
    let forms: BTreeSet<_> = sent.iter().flat_map(Message::forms).collect();
    let new: Vec<_> = forms.difference(&known).collect();
    assert!(
        new.is_empty(),
        "{client} sends what it did not when it was recorded; run this test with RECORD=1: {new:#?}"
    );
}

/// Where things lie on this machine is nobody's business; in a stack trace one place is as good as another.
fn of_no_machine(text: &str) -> String {
    let repository = repository().to_str().expect("UTF-8");
    let text = text.replace(repository, "/srv/app");
    match std::env::var("HOME") {
        Ok(home) if home.len() > 1 => text.replace(&home, "/home/app"),
        _ => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_told_apart_by_their_lengths_and_their_chunks() {
        let said = b"POST /a HTTP/1.1\r\nContent-Length: 3\r\n\r\n{}\nGET /b HTTP/1.1\r\n\r\n\
            POST /c HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n4\r\n{\"a\"\r\n3\r\n:1}\r\n0\r\n\r\n\
            POST /d HTTP/1.1\r\ncontent-length: 9\r\n\r\n{";
        let requests = Message::requests(Way::Tcp, &[said.to_vec()]);
        let told: Vec<_> = requests
            .iter()
            .map(|request| {
                (
                    request.target(),
                    String::from_utf8(request.body()).expect("UTF-8"),
                )
            })
            .collect();
        let told: Vec<_> = told
            .iter()
            .map(|(target, body)| (target.as_str(), body.as_str()))
            .collect();
        assert_eq!(
            told,
            [("POST /a", "{}\n"), ("GET /b", ""), ("POST /c", "{\"a\":1}")]
        );
        let bytes: Vec<_> = requests.iter().map(|request| &request.bytes[..]).collect();
        let rest = &b"POST /d HTTP/1.1\r\ncontent-length: 9\r\n\r\n{"[..];
        assert_eq!([&bytes.concat(), rest].concat(), said);
    }

    #[test]
    fn a_message_is_read_as_it_was_written_whatever_its_bytes_are() {
        for (way, bytes) in [
            (Way::Udp, &b"{}\n{\"a\":\"\xc3\xab\"}"[..]),
            (Way::Otlp, b"POST / HTTP/1.1\r\n\r\n\x0a\xff\x00"),
        ] {
            let bytes = bytes.to_vec();
            let written = Message { way, bytes };
            assert_eq!(message(line(&written).trim_end()), written);
        }
    }

    #[test]
    fn forms_are_paths_with_types_and_the_version_of_the_sdk() {
        let document =
            r#"{"id":"a","aws":{"xray":{"sdk_version":"1.2"}},"subsegments":[{"id":"b"},{"end":1}]}"#;
        let message = Message {
            way: Way::Udp,
            bytes: format!("{{\"format\":\"json\"}}\n{document}").into_bytes(),
        };
        let forms: Vec<_> = message.forms().into_iter().collect();
        assert_eq!(
            forms,
            [
                "udp",
                "udp.aws.xray.sdk_version: 1.2",
                "udp.aws.xray: object",
                "udp.aws: object",
                "udp.id: string",
                "udp.subsegments: array",
                "udp.subsegments[].end: number",
                "udp.subsegments[].id: string",
                "udp.subsegments[]: object",
                "udp: object"
            ]
        );
    }
}
