//! The binary and the X-Ray double, started for one test.

use std::net::{SocketAddr, UdpSocket};
use std::path::PathBuf;
use std::process::{Command, ExitStatus};

use tempfile::TempDir;
use xray_service::service::Operation;

use super::process::{PATIENCE, Process};
use super::{ACCESS_KEY_ID, REGION, SECRET_ACCESS_KEY};
use crate::double::{Double, DoubleConfig};
use crate::state::{Outcome, State};

/// The header that the SDKs put before a segment.
pub const HEADER: &[u8] = b"{\"format\":\"json\",\"version\":1}\n";

/// A daemon that is not started yet.
#[must_use]
pub struct Setup {
    program: PathBuf,
    directory: TempDir,
    config: String,
    arguments: Vec<String>,
    environment: Vec<(String, String)>,
}

/// A running daemon.
pub struct Daemon {
    /// Where it receives segments.
    pub udp: SocketAddr,
    /// For its log and its end.
    pub process: Process,
    /// Its configuration file and working directory.
    _directory: TempDir,
}

impl Setup {
    /// One of `program` that sends to `endpoint` with the double's keys, on free ports, and asks no metadata.
    pub fn new(program: impl Into<PathBuf>, endpoint: &str) -> Self {
        let setup = Self::bare(program).config(&format!("Endpoint: \"{endpoint}\""));
        setup
            .env("AWS_REGION", REGION)
            .env("AWS_ACCESS_KEY_ID", ACCESS_KEY_ID)
            .env("AWS_SECRET_ACCESS_KEY", SECRET_ACCESS_KEY)
    }

    /// One without endpoint, region and keys.
    pub fn bare(program: impl Into<PathBuf>) -> Self {
        let setup = Self {
            program: program.into(),
            directory: TempDir::new().expect("a temporary directory"),
            config: "Version: 2\n".to_owned(),
            arguments: Vec::new(),
            environment: Vec::new(),
        };
        setup
            .args(&["-b", "127.0.0.1:0", "-t", "127.0.0.1:0"])
            .env("AWS_EC2_METADATA_DISABLED", "true")
    }

    /// Adds lines to cfg.yaml.
    pub fn config(mut self, lines: &str) -> Self {
        self.config.push_str(lines);
        self.config.push('\n');
        self
    }

    /// Adds arguments.
    pub fn args(mut self, arguments: &[&str]) -> Self {
        self.arguments
            .extend(arguments.iter().map(|&argument| argument.to_owned()));
        self
    }

    /// Sets a variable; the last setting counts.
    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.environment.push((name.to_owned(), value.to_owned()));
        self
    }

    /// A path in the daemon's working directory.
    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// The command that starts it.
    pub fn command(&self) -> Command {
        let file = self.path("lab.yaml");
        std::fs::write(&file, &self.config).expect("a file in the temporary directory");
        let mut command = Command::new(&self.program);
        // What is set on the machine must not decide what is tested.
        command
            .env_clear()
            .env("HOME", self.directory.path())
            .envs(self.environment.iter().cloned());
        command
            .arg("-c")
            .arg(file)
            .args(&self.arguments)
            .current_dir(&self.directory);
        command
    }

    /// Starts it, and waits until it listens.
    pub fn start(self) -> Daemon {
        let process = Process::start("xray", &mut self.command());
        let udp = process.wait_for("its UDP address", |line| {
            let rest = line.split_once("Listening on UDP ")?.1;
            // In JSON the text ends with a quotation mark.
            let end = |c: char| c.is_whitespace() || c == '"';
            rest.split(end).next()?.parse().ok()
        });
        Daemon {
            udp,
            process,
            _directory: self.directory,
        }
    }

    /// Starts it without waiting for anything it says.
    pub fn start_silently(&self) -> Process {
        Process::start("xray", &mut self.command())
    }

    /// Starts one that is expected to end by itself; its exit code and all it wrote.
    pub fn fail(self) -> (Option<i32>, Vec<String>) {
        let (status, lines) = Process::start("xray", &mut self.command()).end();
        (status.code(), lines)
    }
}

impl Daemon {
    /// Sends one datagram.
    pub fn send(&self, datagram: &[u8]) {
        let socket = UdpSocket::bind(("127.0.0.1", 0)).expect("a socket");
        socket
            .send_to(datagram, self.udp)
            .expect("a datagram that can be sent");
    }

    /// Sends `count` numbered segments.
    pub fn send_segments(&self, count: usize) {
        let socket = UdpSocket::bind(("127.0.0.1", 0)).expect("a socket");
        for number in 0..count {
            let datagram = [HEADER, segment(number).as_bytes()].concat();
            socket
                .send_to(&datagram, self.udp)
                .expect("a datagram that can be sent");
        }
    }

    /// Ends it with SIGTERM; its exit status and all it wrote.
    pub fn stop(self) -> (ExitStatus, Vec<String>) {
        self.process.terminate()
    }
}

/// The numbered segment.
pub fn segment(number: usize) -> String {
    format!(
        r#"{{"trace_id":"1-5f84c7a5-0000000000000000{number:08x}","id":"{number:016x}","name":"lab","start_time":1.5,"end_time":2.5}}"#
    )
}

/// The project's own X-Ray; it checks every signature.
pub async fn double() -> Double {
    Double::start(DoubleConfig::default())
        .await
        .expect("a port for the double")
}

/// Waits until the double was sent `count` documents, and returns them in order, those that it did not take included.
pub async fn arrived(double: &Double, count: usize) -> Vec<String> {
    let documents = |state: &State| -> Vec<String> {
        let bodies = state
            .requests()
            .filter(|request| request.operation == Some(Operation::PutTraceSegments))
            .filter(|request| request.outcome == Outcome::Answered(200));
        bodies.flat_map(|request| documents_of(&request.body)).collect()
    };
    if let Err(late) = double
        .wait_for(|state| documents(state).len() >= count, PATIENCE)
        .await
    {
        panic!("{late}");
    }
    double.look(documents)
}

/// The documents of a PutTraceSegments body.
pub fn documents_of(body: &[u8]) -> Vec<String> {
    let body: serde_json::Value = serde_json::from_slice(body).expect("a body that is JSON");
    let documents = body["TraceSegmentDocuments"]
        .as_array()
        .expect("a list of documents");
    documents
        .iter()
        .map(|document| document.as_str().expect("documents that are strings").to_owned())
        .collect()
}

/// The last line of a log that begins, after time and level, with `words`.
pub fn line<'a>(lines: &'a [String], words: &str) -> &'a str {
    let found = lines
        .iter()
        .rev()
        .find_map(|line| line.split_once("] ").filter(|(_, text)| text.starts_with(words)));
    found
        .map(|(_, text)| text)
        .unwrap_or_else(|| panic!("no line begins with {words:?}:\n{}", lines.join("\n")))
}
