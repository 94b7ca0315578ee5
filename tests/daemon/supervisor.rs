//! As a service of systemd: what it is told, and what its journal is given. The manager's end of the socket is the test's.

use std::fs::{self, File};
use std::os::linux::fs::MetadataExt as _;
use std::os::unix::net::UnixDatagram;

use tempfile::TempDir;
use xray_double::harness::daemon::{Setup, double};
use xray_double::harness::process::PATIENCE;

use crate::XRAY;

/// What the manager hears, one message at a time.
struct Manager {
    directory: TempDir,
    socket: UnixDatagram,
}

impl Manager {
    fn new() -> Self {
        let directory = TempDir::new().expect("a directory");
        let socket = UnixDatagram::bind(directory.path().join("notify")).expect("a socket");
        socket.set_read_timeout(Some(PATIENCE)).expect("a bound");
        Self { directory, socket }
    }

    fn address(&self) -> String {
        self.directory
            .path()
            .join("notify")
            .to_str()
            .expect("UTF-8")
            .to_owned()
    }

    fn heard(&self) -> String {
        let mut message = [0; 4096];
        let length = self.socket.recv(&mut message).expect("a message in time");
        String::from_utf8(message[..length].to_vec()).expect("UTF-8")
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn systemd_hears_that_it_is_ready_then_that_it_ends_and_how_long_that_may_take() {
    let double = double().await;
    let manager = Manager::new();
    let daemon = Setup::new(XRAY, &double.url())
        .env("NOTIFY_SOCKET", &manager.address())
        .args(&["--shutdown-timeout", "3s"])
        .start();
    assert_eq!(manager.heard(), "READY=1\n");
    // Without a watchdog nothing is said until the end.
    daemon.send_segments(5);
    daemon.process.signal("TERM");
    assert_eq!(manager.heard(), "STOPPING=1\nEXTEND_TIMEOUT_USEC=5000000\n");
    let (status, _) = daemon.process.end();
    assert_eq!(status.code(), Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_watchdog_is_told_that_it_lives_until_the_end_is_over() {
    let double = double().await;
    let manager = Manager::new();
    let daemon = Setup::new(XRAY, &double.url())
        .env("NOTIFY_SOCKET", &manager.address())
        .env("WATCHDOG_USEC", "20000")
        .start();
    assert_eq!(manager.heard(), "READY=1\n");
    for _ in 0..3 {
        assert_eq!(manager.heard(), "WATCHDOG=1\n");
    }
    daemon.process.signal("TERM");
    while manager.heard() == "WATCHDOG=1\n" {}
    let (status, _) = daemon.process.end();
    assert_eq!(status.code(), Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_manager_that_cannot_be_told_is_said_and_segments_are_sent_all_the_same() {
    let double = double().await;
    let daemon = Setup::new(XRAY, &double.url())
        .env("NOTIFY_SOCKET", "/nowhere/notify")
        .start();
    daemon.send_segments(5);
    let (status, lines) = daemon.stop();
    assert_eq!(status.code(), Some(0));
    let said =
        "[Warn] The service manager can't be told that this daemon is ready: No such file or directory";
    assert!(lines.iter().any(|line| line.contains(said)), "{lines:?}");
    let last = lines.iter().find(|line| line.contains("Shutdown finished:"));
    assert!(last.unwrap().contains("received 5, sent 5"), "{lines:?}");
}

#[test]
fn lines_begin_with_their_severity_only_where_the_journal_reads_stdout() {
    let directory = TempDir::new().unwrap();
    let path = directory.path().join("stdout");
    let stdout = File::create(&path).unwrap();
    let metadata = stdout.metadata().unwrap();
    let (device, inode) = (metadata.st_dev(), metadata.st_ino());
    for (stream, begins) in [
        (format!("{device}:{inode}"), "<6>20"),
        (format!("{device}:{}", inode + 1), "20"),
        ("nothing".to_owned(), "20"),
    ] {
        fs::write(&path, "").unwrap();
        // The file is no directory: it starts, says so, and ends.
        let setup = Setup::bare(XRAY)
            .env("JOURNAL_STREAM", &stream)
            .args(&["--spool-dir", path.to_str().unwrap()]);
        let status = setup.command().stdout(stdout.try_clone().unwrap()).status();
        let status = status.unwrap();
        assert_eq!(status.code(), Some(1));
        let written = fs::read_to_string(&path).unwrap();
        assert!(
            written.trim_start_matches('\0').starts_with(begins),
            "{stream}: {written}"
        );
        if begins.starts_with('<') {
            assert!(written.contains("\n<3>20"), "{written}");
        }
    }
}
