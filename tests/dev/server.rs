//! A running `xray dev`.

use std::net::{SocketAddr, UdpSocket};
use std::path::Path;
use std::process::Command;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use serde_json::Value;
use xray_double::harness::apps::clean;
use xray_double::harness::install;
use xray_double::harness::process::{PATIENCE, Process};

/// The binary with `dev` on free ports.
pub(crate) struct Dev {
    /// Where segments go.
    pub(crate) udp: SocketAddr,
    /// Where page and API are.
    pub(crate) tcp: SocketAddr,
    pub(crate) process: Process,
    key: OnceLock<String>,
}

impl Dev {
    pub(crate) fn start(arguments: &[&str]) -> Self {
        Self::start_with(arguments, |_| {})
    }

    /// `prepare` may change the command: its environment, say.
    pub(crate) fn start_with(arguments: &[&str], prepare: impl FnOnce(&mut Command)) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_xray"));
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

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.tcp)
    }

    /// One document in one datagram, as an SDK sends it.
    pub(crate) fn send(&self, document: &str) {
        let socket = UdpSocket::bind("127.0.0.1:0").expect("a socket");
        let datagram = format!("{{\"format\":\"json\",\"version\":1}}\n{document}");
        socket
            .send_to(datagram.as_bytes(), self.udp)
            .expect("a datagram is sent");
    }

    /// Waits until the store has so many documents.
    pub(crate) fn wait_for_documents(&self, documents: u64) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let stats = self.get("/-/stats");
            if stats["store"]["documents"].as_u64() >= Some(documents) {
                return;
            }
            assert!(Instant::now() < deadline, "not {documents} documents: {stats}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Waits until so many documents and datagrams were refused.
    pub(crate) fn wait_for_refused(&self, refused: u64) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let stats = self.get("/-/stats");
            if stats["refused"]["count"].as_u64() >= Some(refused) {
                return;
            }
            assert!(Instant::now() < deadline, "not {refused} refused: {stats}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// A path that the page asks, with the key that is in the page.
    pub(crate) fn with_key(&self, path: &str) -> String {
        let key = self.key.get_or_init(|| {
            let page = xray_double::harness::web::get(self.tcp, "/", None).body;
            let written = page.split_once("name=\"xray-key\" content=\"").expect("a key").1;
            written.split('"').next().expect("its end").to_owned()
        });
        let sign = if path.contains('?') { '&' } else { '?' };
        format!("{path}{sign}key={key}")
    }

    /// The JSON at a path that the page asks.
    pub(crate) fn get(&self, path: &str) -> Value {
        let answer = xray_double::harness::web::get(self.tcp, &self.with_key(path), None);
        assert_eq!(answer.status, 200, "{path}: {}", answer.body);
        serde_json::from_str(&answer.body).expect("JSON")
    }
}

fn address_in(text: &str) -> Option<SocketAddr> {
    text.split([' ', '/']).next()?.parse().ok()
}

/// Runs a script of this directory with the environment of `tests/clients`; what it prints, as JSON.
pub(crate) fn python(python: &Path, script: &str, arguments: &[&str], daemon: Option<&str>) -> Value {
    let mut command = Command::new(python);
    clean(&mut command)
        .arg(install::repository().join("tests/dev").join(script))
        .args(arguments)
        .env("AWS_ACCESS_KEY_ID", "anything")
        .env("AWS_SECRET_ACCESS_KEY", "at all")
        .env("AWS_DEFAULT_REGION", "eu-north-1")
        .env("AWS_CONFIG_FILE", "/dev/null")
        .env("AWS_SHARED_CREDENTIALS_FILE", "/dev/null")
        .env("TZ", "UTC")
        .env("PYTHONDONTWRITEBYTECODE", "1");
    if let Some(daemon) = daemon {
        command.env("AWS_XRAY_DAEMON_ADDRESS", daemon);
    }
    let output = command.output().expect("Python starts");
    assert!(
        output.status.success(),
        "{script} failed:\n{}\n{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    serde_json::from_slice(&output.stdout).expect("the script prints JSON")
}
