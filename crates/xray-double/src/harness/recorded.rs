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
}

impl Way {
    const ALL: [Self; 3] = [Self::Udp, Self::Tcp, Self::Api];

    fn name(self) -> &'static str {
        match self {
            Self::Udp => "udp",
            Self::Tcp => "tcp",
            Self::Api => "api",
        }
    }
}

/// One datagram, or one request with its head.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// Where it went.
    pub way: Way,
    /// The datagram, or head and body.
    pub text: String,
}

impl Message {
    /// The datagrams of a tap.
    ///
    /// # Panics
    /// When one is not UTF-8.
    #[must_use]
    pub fn datagrams(datagrams: &[Vec<u8>]) -> Vec<Self> {
        let message = |bytes: &Vec<u8>| Self {
            way: Way::Udp,
            text: String::from_utf8(bytes.clone()).expect("SDKs send UTF-8"),
        };
        datagrams.iter().map(message).collect()
    }

    /// The whole requests that clients have said over connections.
    ///
    /// # Panics
    /// When they are not HTTP/1.1 with UTF-8.
    #[must_use]
    pub fn requests(way: Way, said: &[Vec<u8>]) -> Vec<Self> {
        let mut messages = Vec::new();
        for said in said {
            let mut rest = std::str::from_utf8(said).expect("clients send UTF-8");
            while let Some(length) = request_bytes(rest) {
                let (request, after) = rest.split_at(length);
                messages.push(Self {
                    way,
                    text: request.to_owned(),
                });
                rest = after;
            }
        }
        messages
    }

    /// Of a request, its method and path: `POST /GetSamplingRules`.
    #[must_use]
    pub fn target(&self) -> &str {
        let line = self.text.lines().next().unwrap_or_default();
        line.strip_suffix(" HTTP/1.1").unwrap_or(line)
    }

    /// The document of a datagram, or the body of a request without chunks around it.
    #[must_use]
    pub fn body(&self) -> String {
        match self.way {
            Way::Udp => self
                .text
                .split_once('\n')
                .map_or("", |(_, document)| document)
                .to_owned(),
            Way::Tcp | Way::Api => match self.text.split_once("\r\n\r\n") {
                Some((head, body)) if is_chunked(head) => unchunked(body),
                Some((_, body)) => body.to_owned(),
                None => String::new(),
            },
        }
    }

    /// What it is made of. The version of the SDK counts as a form: a recording is of one version.
    #[must_use]
    pub fn forms(&self) -> BTreeSet<String> {
        let start = match self.way {
            Way::Udp => "udp".to_owned(),
            Way::Tcp | Way::Api => self.target().to_owned(),
        };
        let mut forms = BTreeSet::from([start.clone()]);
        if let Ok(value) = serde_json::from_str(&self.body()) {
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

/// The length of the first request in `text`, or `None` if it is not there whole.
fn request_bytes(text: &str) -> Option<usize> {
    let (head, body) = text.split_once("\r\n\r\n")?;
    let body_bytes = if is_chunked(head) {
        body.find("\r\n0\r\n\r\n").map(|at| at + 7)?
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

fn unchunked(mut body: &str) -> String {
    let mut text = String::new();
    while let Some((length, rest)) = body.split_once("\r\n") {
        let length = usize::from_str_radix(length, 16).expect("the length of a chunk");
        text.push_str(&rest[..length]);
        body = rest[length..].trim_start_matches("\r\n");
    }
    text
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
    Message {
        way: way.expect("a way"),
        text: line["text"].as_str().expect("a text").to_owned(),
    }
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
            let text = match message.way {
                Way::Udp => of_no_machine(&message.text),
                Way::Tcp | Way::Api => message.text.clone(),
            };
            lines.push_str(&json!({"way": message.way.name(), "text": text}).to_string());
            lines.push('\n');
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
            .map(|request| (request.target(), request.body()))
            .collect();
        assert_eq!(
            told,
            [
                ("POST /a", "{}\n".to_owned()),
                ("GET /b", String::new()),
                ("POST /c", "{\"a\":1}".to_owned())
            ]
        );
        let texts: Vec<_> = requests.iter().map(|request| request.text.as_str()).collect();
        let said = std::str::from_utf8(said).expect("UTF-8");
        assert_eq!(
            texts.concat() + "POST /d HTTP/1.1\r\ncontent-length: 9\r\n\r\n{",
            said
        );
    }

    #[test]
    fn forms_are_paths_with_types_and_the_version_of_the_sdk() {
        let document =
            r#"{"id":"a","aws":{"xray":{"sdk_version":"1.2"}},"subsegments":[{"id":"b"},{"end":1}]}"#;
        let message = Message {
            way: Way::Udp,
            text: format!("{{\"format\":\"json\"}}\n{document}"),
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
