//! What the system refuses the daemon is said and not deadly: system calls, threads, what the network loses.
//!
//! Python prepares the process, since that takes calls that safe Rust does not have, and becomes the daemon.

use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::process::Command;

use xray_double::harness::daemon::{Setup, arrived, double, line};
use xray_double::harness::install::python;
use xray_double::harness::process::Process;

use crate::TMP;

const XRAY: &str = env!("CARGO_BIN_EXE_xray");

/// A filter as systemd makes it of `SystemCallFilter=~@resources`: `setpriority` ends the process. The first argument
/// is how many processors the process may use.
const FILTER: &str = r#"
import ctypes, os, platform, struct, sys
libc = ctypes.CDLL(None, use_errno=True)
os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:int(sys.argv[1])])
number = {"x86_64": 141, "aarch64": 140}[platform.machine()]
steps = [(0x20, 0, 0, 0), (0x15, 0, 1, number), (0x06, 0, 0, 0x80000000), (0x06, 0, 0, 0x7FFF0000)]
code = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *step) for step in steps))
filter = ctypes.create_string_buffer(struct.pack("HP", len(steps), ctypes.addressof(code)))
assert libc.prctl(38, 1, 0, 0, 0) == 0 and libc.prctl(22, 2, filter, 0, 0) == 0, ctypes.get_errno()
os.execv(sys.argv[2], sys.argv[2:])
"#;

/// At most as many tasks as the first argument says, for a user who has no others.
const FEW_THREADS: &str = r#"
import ctypes, os, resource, sys
if os.getuid() == 0:
    # Nobody else's: the limit counts all threads of a user, and another test has one of its own.
    user = 100000 + os.getpid()
    os.setgroups([])
    os.setgid(user)
    os.setuid(user)
else:
    # In a user namespace of its own a user has only the processes that are in it.
    assert ctypes.CDLL(None).unshare(0x10000000) == 0
resource.setrlimit(resource.RLIMIT_NPROC, (int(sys.argv[1]),) * 2)
os.execv(sys.argv[2], sys.argv[2:])
"#;

/// A network of its own, in which a child sends two last fragments of one datagram as soon as somebody listens on UDP
/// 2000: they can't both be right, so it is given up at once. Raises PermissionError where the machine allows none.
const FRAGMENTS: &str = r#"
import ctypes, fcntl, os, socket, struct, sys, time
if ctypes.CDLL(None).unshare(0x40000000 | (0 if os.getuid() == 0 else 0x10000000)) != 0:
    raise PermissionError
control = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
fcntl.ioctl(control, 0x8914, struct.pack("16sH14x", b"lo", 1))
if os.fork() == 0:
    while ":07D0 " not in open("/proc/net/udp").read() + open("/proc/net/udp6").read():
        time.sleep(0.01)
    raw = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW)
    here = socket.inet_aton("127.0.0.1")
    for offset in (80, 160):
        head = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 28, 7, offset // 8, 64, 17, 0, here, here)
        raw.sendto(head + b"fragment", ("127.0.0.1", 0))
    print("Fragments are sent", flush=True)
    os._exit(0)
os.execv(sys.argv[1], sys.argv[1:])
"#;

/// The command of `setup`, started by `script` with these arguments before it.
fn prepared(setup: &Setup, python: &Path, script: &str, arguments: &[&str]) -> Command {
    // For a user whom the directory does not belong to.
    std::fs::set_permissions(setup.path(""), std::fs::Permissions::from_mode(0o755)).expect("a directory");
    let daemon = setup.command();
    let mut command = Command::new(python);
    command
        .arg("-c")
        .arg(script)
        .args(arguments)
        .arg(daemon.get_program())
        .args(daemon.get_args());
    command
        .env_clear()
        .envs(daemon.get_envs().filter_map(|(name, value)| Some((name, value?))));
    command.current_dir(setup.path(""));
    command
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_filter_that_ends_who_lowers_a_priority_is_not_provoked_where_there_are_two_processors() {
    let Some(python) = python(TMP) else { return };
    if std::thread::available_parallelism().map_or(1, usize::from) < 2 {
        eprintln!("left out: one processor");
        return;
    }
    let double = double().await;
    let start = |processors: &str| {
        let setup = Setup::new(XRAY, &double.url());
        let process = Process::start("xray", &mut prepared(&setup, &python, FILTER, &[processors]));
        (process, setup)
    };
    let (process, _directory) = start("2");
    process.wait_for("its credentials", |line| {
        line.contains("Using credentials from").then_some(())
    });
    let (status, lines) = process.terminate();
    assert_eq!(status.code(), Some(0), "{lines:?}");
    // With one, which sender and receiver must share, the call is made: that the filter is one shows here.
    let (process, _directory) = start("1");
    let (status, lines) = process.end();
    assert_eq!(status.signal(), Some(31), "SIGSYS: {lines:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn too_few_threads_are_an_error_at_the_start_and_just_enough_deliver() {
    let Some(python) = python(TMP) else { return };
    let double = double().await;
    // By a name, so that one is looked up.
    let endpoint = double.url().replace("127.0.0.1", "localhost");
    let start = |tasks: &str| {
        let setup = Setup::new(XRAY, &endpoint);
        let process = Process::start("xray", &mut prepared(&setup, &python, FEW_THREADS, &[tasks]));
        (process, setup)
    };
    for (tasks, words) in [
        ("1", "cannot start the thread that writes the log: "),
        ("2", "The system refuses the thread that looks names up: "),
        ("3", "The system refuses the thread that receives: "),
    ] {
        let (process, _directory) = start(tasks);
        let (status, lines) = process.end();
        assert_eq!(status.code(), Some(1), "{tasks}: {lines:?}");
        let error = line(&lines, words);
        assert!(error.contains("--pids-limit"), "{error}");
        assert!(!lines.iter().any(|line| line.contains("panicked")), "{lines:?}");
    }
    let (process, _directory) = start("4");
    let udp: std::net::SocketAddr = process.wait_for("its UDP address", |line| {
        line.split_once("Listening on UDP ")?.1.parse().ok()
    });
    let datagram = [xray_double::harness::daemon::HEADER, br#"{"trace_id":"1-5f84c7a5-000000000000000000000001","id":"0000000000000001","name":"few","start_time":1.5,"end_time":2.5}"#].concat();
    let socket = std::net::UdpSocket::bind("127.0.0.1:0").expect("a socket");
    socket
        .send_to(&datagram, udp)
        .expect("a datagram that can be sent");
    assert_eq!(arrived(&double, 1).await.len(), 1);
    let (status, lines) = process.terminate();
    assert_eq!(status.code(), Some(0), "{lines:?}");
    assert!(line(&lines, "Shutdown finished:").contains("received 1, sent 1"));
}

#[test]
fn too_few_threads_are_an_error_for_xray_dev_too_and_never_a_panic() {
    let Some(python) = python(TMP) else { return };
    let dev = ["dev", "-b", "127.0.0.1:0", "-t", "127.0.0.1:0"];
    for (tasks, words) in [
        ("1", "cannot start the thread that writes the log: "),
        ("2", "The system refuses a thread: "),
        ("3", "The system refuses the thread that receives: "),
    ] {
        let directory = tempfile::tempdir().expect("a directory");
        std::fs::set_permissions(&directory, std::fs::Permissions::from_mode(0o755)).expect("a directory");
        let mut command = Command::new(&python);
        command.args(["-c", FEW_THREADS, tasks, XRAY]).args(dev);
        command.env_clear().current_dir(&directory);
        let (status, lines) = Process::start("xray dev", &mut command).end();
        assert_eq!(status.code(), Some(1), "{tasks}: {lines:?}");
        assert!(line(&lines, words).contains("--pids-limit"), "{lines:?}");
        assert!(!lines.iter().any(|line| line.contains("panicked")), "{lines:?}");
    }
}

#[test]
fn datagrams_that_the_network_lost_in_fragments_are_counted() {
    let Some(python) = python(TMP) else { return };
    let setup = Setup::new(XRAY, "http://127.0.0.1:9").args(&["-b", "127.0.0.1:2000"]);
    let process = Process::start("xray", &mut prepared(&setup, &python, FRAGMENTS, &[]));
    let sent = process.wait_until("that fragments are sent, or can't be", |lines| {
        let said = |words: &str| lines.iter().any(|line| line.contains(words));
        (said("Fragments are sent") || said("PermissionError")).then(|| said("Fragments are sent"))
    });
    if !sent {
        eprintln!("left out: this machine allows no network of a process's own");
        return;
    }
    let (status, lines) = process.terminate();
    assert_eq!(status.code(), Some(0), "{lines:?}");
    assert!(
        line(&lines, "Shutdown finished:").ends_with("kernel drops 0, lost in fragments 1"),
        "{lines:?}"
    );
}
