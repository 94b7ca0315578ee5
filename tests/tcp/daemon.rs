//! The daemon's binary, as a user starts it, on free ports.

use std::net::{SocketAddr, UdpSocket};
use std::path::Path;
use std::process::{Command, ExitStatus};

use tempfile::TempDir;
use xray_double::double::{Double, DoubleConfig};
use xray_double::harness::process::Process;
use xray_double::sigv4::Key;

/// The built-in X-Ray, which checks every signature.
pub(crate) async fn double() -> Double {
    Double::start(DoubleConfig::default())
        .await
        .expect("a port for the double")
}

/// The double, and a daemon that can forward to it.
pub(crate) async fn pair() -> (Double, Daemon) {
    let double = double().await;
    let daemon = Start::new(&double.url()).start_whole();
    (double, daemon)
}

/// A running daemon.
pub(crate) struct Daemon {
    udp: SocketAddr,
    pub(crate) tcp: SocketAddr,
    process: Process,
    directory: TempDir,
}

/// How to start one.
pub(crate) struct Start {
    command: Command,
    directory: TempDir,
}

impl Start {
    /// Towards `endpoint`, in local mode, with the credentials that the double knows.
    pub(crate) fn new(endpoint: &str) -> Self {
        let directory = TempDir::new().expect("a temporary directory");
        let mut command = Command::new(env!("CARGO_BIN_EXE_xray"));
        let key = Key::example();
        // What is set on the machine must not decide what is tested.
        command
            .current_dir(&directory)
            .env_clear()
            .env("HOME", directory.path())
            .env("AWS_REGION", "us-east-1")
            .env("AWS_ENDPOINT_URL_XRAY", endpoint)
            .env("AWS_EC2_METADATA_DISABLED", "true")
            .env("AWS_ACCESS_KEY_ID", &key.access_key_id)
            .env("AWS_SECRET_ACCESS_KEY", &key.secret_access_key)
            .args(["-o", "-b", "127.0.0.1:0", "-t", "127.0.0.1:0"]);
        Self { command, directory }
    }

    pub(crate) fn without_credentials(self) -> Self {
        self.without_env("AWS_ACCESS_KEY_ID")
            .without_env("AWS_SECRET_ACCESS_KEY")
    }

    /// Adds arguments; the last one of a name counts.
    pub(crate) fn args(mut self, args: &[&str]) -> Self {
        self.command.args(args);
        self
    }

    pub(crate) fn env(mut self, name: &str, value: &str) -> Self {
        self.command.env(name, value);
        self
    }

    pub(crate) fn without_env(mut self, name: &str) -> Self {
        self.command.env_remove(name);
        self
    }

    /// Where the process may have so many files open.
    pub(crate) fn with_open_files(mut self, files: u32) -> Self {
        let mut command = Command::new("/bin/sh");
        command
            .args(["-c", &format!("ulimit -n {files} && exec \"$0\" \"$@\"")])
            .arg(self.command.get_program())
            .args(self.command.get_args())
            .current_dir(&self.directory)
            .env_clear();
        for (name, value) in self.command.get_envs() {
            if let Some(value) = value {
                command.env(name, value);
            }
        }
        self.command = command;
        self
    }

    /// Starts and waits until it listens.
    pub(crate) fn start(mut self) -> Daemon {
        let process = Process::start("xray", &mut self.command);
        let address_after = |words: &str| -> SocketAddr {
            process.wait_for(words, |line| line.split_once(words)?.1.parse().ok())
        };
        Daemon {
            udp: address_after("Listening on UDP "),
            tcp: address_after("Starting proxy http server on "),
            process,
            directory: self.directory,
        }
    }

    /// Starts and waits until calls can be forwarded.
    pub(crate) fn start_whole(self) -> Daemon {
        let daemon = self.start();
        daemon.wait_for("HTTP Proxy server using X-Ray Endpoint : ");
        daemon
    }

    /// Starts and waits for nothing.
    pub(crate) fn launch(mut self) -> (Process, TempDir) {
        (Process::start("xray", &mut self.command), self.directory)
    }
}

impl Daemon {
    /// Sends documents over UDP.
    pub(crate) fn send(&self, documents: impl IntoIterator<Item = String>) {
        let socket = UdpSocket::bind("127.0.0.1:0").expect("a socket");
        for document in documents {
            let datagram = format!("{{\"format\":\"json\",\"version\":1}}\n{document}");
            socket
                .send_to(datagram.as_bytes(), self.udp)
                .expect("a datagram that can be sent");
        }
    }

    /// The most memory that it has had at one time, in KiB.
    pub(crate) fn peak_kib(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.process.id()))
            .expect("a process that runs, on Linux");
        let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let peak = peak.and_then(|peak| peak.trim().strip_suffix(" kB"));
        peak.and_then(|peak| peak.parse().ok()).expect("a number")
    }

    /// The memory that it holds now beside its files, in KiB.
    pub(crate) fn held_kib(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.process.id()))
            .expect("a process that runs, on Linux");
        let held = status.lines().find_map(|line| line.strip_prefix("RssAnon:"));
        let held = held.and_then(|held| held.trim().strip_suffix(" kB"));
        held.and_then(|held| held.parse().ok()).expect("a number")
    }

    /// Waits for a line that has `words`.
    pub(crate) fn wait_for(&self, words: &str) {
        self.process
            .wait_for(words, |line| line.contains(words).then_some(()));
    }

    /// SIGTERM.
    pub(crate) fn terminate(&self) {
        self.process.signal("TERM");
    }

    /// Waits for the end; exit status and the whole log.
    pub(crate) fn end(self) -> (ExitStatus, String) {
        let (status, lines) = self.process.end();
        (status, lines.join("\n"))
    }

    /// SIGTERM, and the end.
    pub(crate) fn stop(self) -> (ExitStatus, String) {
        self.terminate();
        self.end()
    }

    /// Runs `xray healthcheck` as in this daemon's container: exit code and what it said.
    pub(crate) fn health_check(&self, args: &[&str]) -> (Option<i32>, String) {
        health_check(self.tcp, args, self.directory.path())
    }
}

/// Runs `xray healthcheck` towards `address`.
pub(crate) fn health_check(address: SocketAddr, args: &[&str], directory: &Path) -> (Option<i32>, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_xray"))
        .env_clear()
        .current_dir(directory)
        .arg("healthcheck")
        .args(["-t", &address.to_string()])
        .args(args)
        .output()
        .expect("a program that runs");
    assert!(output.stderr.is_empty(), "{output:?}");
    let said = String::from_utf8(output.stdout).expect("text");
    (output.status.code(), said)
}

/// The segment document with this number.
pub(crate) fn segment(number: usize) -> String {
    format!(
        r#"{{"trace_id":"1-5f84c7a5-{number:024x}","id":"{number:016x}","name":"test","start_time":1.5,"end_time":2.5}}"#
    )
}
