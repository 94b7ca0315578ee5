//! The daemon's binary, as a user starts it.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;

use tempfile::TempDir;
use xray_double::harness::apps::{address_after, clean};
use xray_double::harness::process::Process;
use xray_double::harness::{ACCESS_KEY_ID, REGION, SECRET_ACCESS_KEY};

/// Free ports, said in the log.
const ADDRESSES: [&str; 4] = ["-b", "127.0.0.1:0", "-t", "127.0.0.1:0"];

/// A running daemon on free ports.
pub(crate) struct Daemon {
    /// Where it receives segments.
    pub(crate) udp: SocketAddr,
    /// Where it answers HTTP.
    pub(crate) tcp: SocketAddr,
    process: Process,
    /// Its configuration file and home.
    _directory: TempDir,
}

impl Daemon {
    /// Starts the daemon with a cfg.yaml that names `endpoint`.
    pub(crate) fn start(endpoint: &str) -> Self {
        Self::start_line(endpoint, &[], &[])
    }

    /// As [`Daemon::start`], with arguments before and after the test's own. Of a flag given twice the last one counts.
    pub(crate) fn start_line(endpoint: &str, before: &[String], after: &[String]) -> Self {
        let directory = TempDir::new().expect("a temporary directory");
        let file = directory.path().join("cfg.yaml");
        let settings =
            format!("Version: 2\nRegion: \"{REGION}\"\nEndpoint: \"{endpoint}\"\nLocalMode: true\n");
        std::fs::write(&file, settings).expect("a file in it");
        let mut command = Command::new(env!("CARGO_BIN_EXE_xray"));
        clean(&mut command)
            .args(before)
            .arg("-c")
            .arg(&file)
            .args(ADDRESSES)
            .args(after);
        Self::launch(command, directory)
    }

    /// Starts the daemon with this configuration file, and with region and endpoint from the environment.
    pub(crate) fn start_with_file(endpoint: &str, file: &Path) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_xray"));
        clean(&mut command)
            .arg("-c")
            .arg(file)
            .args(ADDRESSES)
            .env("AWS_REGION", REGION)
            .env("AWS_ENDPOINT_URL_XRAY", endpoint);
        Self::launch(command, TempDir::new().expect("a temporary directory"))
    }

    /// As [`Daemon::start`] with these variables, and with an address for OTLP.
    pub(crate) fn start_bridge(endpoint: &str, variables: &[(&str, &str)]) -> Self {
        Self::start_bridge_with(endpoint, &[], variables)
    }

    /// As [`Daemon::start_bridge`] with these arguments besides.
    pub(crate) fn start_bridge_with(endpoint: &str, arguments: &[&str], variables: &[(&str, &str)]) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_xray"));
        clean(&mut command)
            .args(ADDRESSES)
            .args(["-o", "--otlp-listen", "127.0.0.1:0"])
            .args(arguments)
            .env("AWS_REGION", REGION)
            .env("XRAY_ENDPOINT", endpoint)
            .envs(variables.iter().copied());
        Self::launch(command, TempDir::new().expect("a temporary directory"))
    }

    /// Where it takes OTLP.
    pub(crate) fn otlp(&self) -> SocketAddr {
        self.process.wait_for("its OTLP address", |line| {
            address_after("Listening for OTLP over HTTP and gRPC on ", line)
        })
    }

    /// Ends the daemon as Docker does; its last line.
    pub(crate) fn stop(self) -> String {
        let (status, mut log) = self.process.terminate();
        assert_eq!(status.code(), Some(0), "exit code");
        log.pop().expect("the daemon logs")
    }

    fn launch(mut command: Command, directory: TempDir) -> Self {
        command
            .current_dir(&directory)
            .env("HOME", directory.path())
            .env("AWS_ACCESS_KEY_ID", ACCESS_KEY_ID)
            .env("AWS_SECRET_ACCESS_KEY", SECRET_ACCESS_KEY)
            .env("AWS_EC2_METADATA_DISABLED", "true");
        let process = Process::start("xray", &mut command);
        let udp = process.wait_for("its UDP address", |line| address_after("Listening on UDP ", line));
        let tcp = process.wait_for("its TCP address", |line| {
            address_after("Starting proxy http server on ", line)
        });
        Self {
            udp,
            tcp,
            process,
            _directory: directory,
        }
    }

    /// Waits until the log says that so many segments were sent.
    pub(crate) fn wait_for_sent(&self, segments: u64) {
        self.process
            .wait_until(&format!("that {segments} segments were sent"), |lines| {
                (lines.iter().filter_map(|line| sent_in(line)).sum::<u64>() >= segments).then_some(())
            });
    }

    /// Ends the daemon as Docker does and asserts that it ends well, having received so many documents and sent them
    /// all; its log.
    pub(crate) fn stop_after(self, documents: u64) -> Vec<String> {
        let (status, log) = self.process.terminate();
        let last = log.last().expect("the daemon logs");
        let counts = format!("received {documents}, sent {documents}, unprocessed 0, rejected 0, dropped 0");
        assert!(last.contains(&counts), "the last line of:\n{}", log.join("\n"));
        assert_eq!(status.code(), Some(0), "exit code");
        log
    }
}

/// The number in `Successfully sent batch of 50 segments (0.123 seconds)`.
fn sent_in(line: &str) -> Option<u64> {
    let rest = line.split_once("Successfully sent batch of ")?.1;
    rest.split(' ').next()?.parse().ok()
}
