//! A running `xray dev`.

use std::net::{SocketAddr, UdpSocket};
use std::process::Command;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::apps::clean;
use super::daemon::HEADER;
use super::process::{PATIENCE, Process};
use super::web;

/// The binary with `dev` on free ports.
pub struct Dev {
    /// Where segments go.
    pub udp: SocketAddr,
    /// Where page and API are.
    pub tcp: SocketAddr,
    /// The process.
    pub process: Process,
    key: OnceLock<String>,
}

impl Dev {
    /// Starts `program` with `dev` and these arguments, and waits until it listens.
    #[must_use]
    pub fn start(program: &str, arguments: &[&str]) -> Self {
        Self::start_with(program, arguments, |_| {})
    }

    /// The same; `prepare` may change the command: its environment, say.
    pub fn start_with(program: &str, arguments: &[&str], prepare: impl FnOnce(&mut Command)) -> Self {
        let mut command = Command::new(program);
        clean(&mut command)
            .args(["dev", "-b", "127.0.0.1:0", "-t", "127.0.0.1:0"])
            .args(["--otlp-listen", "127.0.0.1:0"])
            .args(arguments);
        prepare(&mut command);
        let process = Process::start("xray dev", &mut command);
        let udp = process.wait_for("where segments go", |line| {
            address_in(line.split_once("Segments  UDP ")?.1)
        });
        let tcp = process.wait_for("where the page is", |line| {
            address_in(line.split_once("Traces    http://")?.1)
        });
        Self {
            udp,
            tcp,
            process,
            key: OnceLock::new(),
        }
    }

    /// Where page and API are, as a base URL.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.tcp)
    }

    /// One document in one datagram, as an SDK sends it.
    pub fn send(&self, document: &str) {
        let socket = UdpSocket::bind("127.0.0.1:0").expect("a socket");
        let datagram = [HEADER, document.as_bytes()].concat();
        socket.send_to(&datagram, self.udp).expect("a datagram is sent");
    }

    /// Waits until the store has so many documents.
    pub fn wait_for_documents(&self, documents: u64) {
        self.wait_for("/store/documents", documents);
    }

    /// Waits until so many documents and datagrams were refused.
    pub fn wait_for_refused(&self, refused: u64) {
        self.wait_for("/refused/count", refused);
    }

    /// Waits until a number of the page's statistics, by its JSON pointer, is as high.
    fn wait_for(&self, pointer: &str, count: u64) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let stats = self.get("/-/stats");
            if stats.pointer(pointer).and_then(Value::as_u64) >= Some(count) {
                return;
            }
            assert!(Instant::now() < deadline, "{pointer} is not {count}: {stats}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// A path that the page asks, with the key that is in the page.
    #[must_use]
    pub fn with_key(&self, path: &str) -> String {
        let key = self.key.get_or_init(|| {
            let page = web::get(self.tcp, "/", None).body;
            let written = page.split_once("name=\"xray-key\" content=\"").expect("a key").1;
            written.split('"').next().expect("its end").to_owned()
        });
        let sign = if path.contains('?') { '&' } else { '?' };
        format!("{path}{sign}key={key}")
    }

    /// The JSON at a path that the page asks.
    pub fn get(&self, path: &str) -> Value {
        let answer = web::get(self.tcp, &self.with_key(path), None);
        assert_eq!(answer.status, 200, "{path}: {}", answer.body);
        serde_json::from_str(&answer.body).expect("JSON")
    }
}

fn address_in(text: &str) -> Option<SocketAddr> {
    text.split([' ', '/']).next()?.parse().ok()
}
