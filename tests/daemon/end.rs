//! Signals, deadlines, and what is left at the end.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use xray::daemon::signals::SECOND_ORDER_AFTER;
use xray::logs::SHUTDOWN_BOUND;
use xray_double::faults::Fault;
use xray_double::harness::daemon::{HEADER, Setup, arrived, double, line, segment};
use xray_double::harness::process::{PATIENCE, Process};

use crate::XRAY;

#[tokio::test(flavor = "multi_thread")]
async fn every_signal_that_ends_it_sends_what_is_there_first() {
    for (signal, name) in [
        ("TERM", "terminated"),
        ("INT", "interrupt"),
        ("QUIT", "quit"),
        ("HUP", "hangup"),
    ] {
        // The daemon takes over what this process ignores: SIGINT and SIGQUIT behind a script's `&`, SIGHUP under nohup.
        if ignored_here(signal) {
            eprintln!("skipped: SIG{signal} is ignored by the one who started the tests");
            continue;
        }
        let double = double().await;
        let daemon = Setup::new(XRAY, &double.url()).start();
        daemon.send_segments(7);
        daemon.process.signal(signal);
        let (status, lines) = daemon.process.end();
        assert_eq!(status.code(), Some(0), "{signal}");
        assert_eq!(
            line(&lines, "Got shutdown signal"),
            format!("Got shutdown signal: {name}")
        );
        let mut got = arrived(&double, 7).await;
        got.sort();
        assert_eq!(got, (0..7).map(segment).collect::<Vec<_>>(), "{signal}");
        assert!(
            line(&lines, "Shutdown finished:").contains("received 7, sent 7,"),
            "{signal}"
        );
    }
}

/// Whether a process that is started here begins with this signal ignored.
fn ignored_here(signal: &str) -> bool {
    let number = match signal {
        "HUP" => 1,
        "INT" => 2,
        "QUIT" => 3,
        _ => 15,
    };
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    mask.is_some_and(|mask| mask & (1 << (number - 1)) != 0)
}

#[test]
fn what_an_otlp_endpoint_did_not_get_at_the_end_is_dropped_and_not_pending_as_well() {
    // Nobody listens there.
    let daemon = Setup::new(XRAY, "http://127.0.0.1:1")
        .args(&[
            "--otlp-endpoint",
            "http://127.0.0.1:1",
            "--segments-to",
            "xray,otlp",
        ])
        .args(&["--shutdown-timeout", "0s"])
        .start();
    daemon.send_segments(7);
    let (status, lines) = daemon.stop();
    assert_eq!(status.code(), Some(0));
    let each = "sent 0, unprocessed 0, dropped 7 (shutdown 7)";
    let last = line(&lines, "Shutdown finished:");
    assert!(
        last.ends_with(&format!("to X-Ray: {each}; to OTLP: {each}")),
        "{last}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_kernel_still_holds_is_taken_at_the_end() {
    let double = double().await;
    let daemon = Setup::new(XRAY, &double.url()).start();
    // A stopped process reads nothing: all of it is with the kernel when the signal comes.
    daemon.process.signal("STOP");
    daemon.send_segments(150);
    daemon.process.signal("TERM");
    daemon.process.signal("CONT");
    let (_, lines) = daemon.process.end();
    assert_eq!(arrived(&double, 150).await.len(), 150);
    assert!(
        line(&lines, "Shutdown finished:").contains("received 150, sent 150,"),
        "{lines:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_shutdown_timeout_holds_and_what_is_left_is_counted() {
    let double = double().await;
    double.faults().always(Fault::hang());
    let daemon = Setup::new(XRAY, &double.url())
        .args(&["--shutdown-timeout", "300ms"])
        .start();
    daemon.send_segments(60);
    let (status, lines) = daemon.stop();
    assert_eq!(status.code(), Some(0));
    assert!(
        line(&lines, "Shutdown finished:").starts_with(
            "Shutdown finished: received 60, sent 0, unprocessed 0, rejected 0, dropped 60 (shutdown 60)"
        ),
        "{lines:?}"
    );
    line(
        &lines,
        "Dropping 60 segments that could not be sent before the end (--shutdown-timeout is 0.3 s)",
    );
}

#[cfg(target_os = "linux")]
#[tokio::test(flavor = "multi_thread")]
async fn what_is_lost_at_a_stop_is_said_at_every_level_and_the_exit_code_is_that_of_a_stop() {
    let double = double().await;
    double.faults().always(Fault::hang());
    // At this level it does not say where it listens. A free port could be somebody else's by then; on Linux all addresses
    // that begin with 127 are this machine's, and one of them is this process' alone.
    let host = std::net::Ipv4Addr::from(0x7f53_0000 | (std::process::id() & 0xffff));
    let to = SocketAddr::from((host, 2000));
    let address = to.to_string();
    let setup = Setup::new(XRAY, &double.url())
        .args(&["--shutdown-timeout", "300ms", "-l", "error"])
        .args(&["-b", &address, "-t", &address]);
    let process = setup.start_silently();
    // The TCP port is opened after the UDP one.
    let deadline = Instant::now() + PATIENCE;
    while TcpStream::connect(to).is_err() {
        assert!(Instant::now() < deadline, "it does not listen");
        std::thread::sleep(Duration::from_millis(5));
    }
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    for number in 0..3 {
        let datagram = [HEADER, segment(number).as_bytes()].concat();
        socket.send_to(&datagram, to).unwrap();
    }
    let (status, lines) = process.terminate();
    assert_eq!(status.code(), Some(0));
    assert_eq!(
        line(&lines, "Dropping"),
        "Dropping 3 segments that could not be sent before the end (--shutdown-timeout is 0.3 s)"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_signal_ends_it_at_once() {
    let double = double().await;
    double.faults().always(Fault::hang());
    let daemon = Setup::new(XRAY, &double.url())
        .args(&["--shutdown-timeout", "60m"])
        .start();
    daemon.send_segments(3);
    daemon.process.signal("TERM");
    daemon.process.wait_for("the first signal", |line| {
        line.contains("Got shutdown signal").then_some(())
    });
    // Sooner it would not be a second order.
    std::thread::sleep(SECOND_ORDER_AFTER);
    daemon.process.signal("TERM");
    let (status, lines) = daemon.process.end();
    assert_eq!(status.code(), Some(1));
    line(&lines, "Got a second shutdown signal: terminated; ending at once");
    assert!(
        line(&lines, "Shutdown finished:").contains("dropped 3 (shutdown 3)"),
        "{lines:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn two_signals_at_once_are_one_order_and_what_waits_is_sent() {
    let double = double().await;
    double.faults().always(Fault::delay(Duration::from_millis(300)));
    let daemon = Setup::new(XRAY, &double.url()).start();
    daemon.send_segments(3);
    // As a terminal that closes, and a process manager behind it.
    for signal in ["HUP", "TERM"] {
        daemon.process.signal(signal);
        daemon.process.wait_for("that it got the signal", |line| {
            line.contains(if signal == "HUP" {
                ": hangup"
            } else {
                ": terminated"
            })
            .then_some(())
        });
    }
    let (status, lines) = daemon.process.end();
    assert_eq!(status.code(), Some(0), "{lines:?}");
    assert_eq!(arrived(&double, 3).await.len(), 3);
    assert!(
        line(&lines, "Shutdown finished:").contains("received 3, sent 3,"),
        "{lines:?}"
    );
}

#[cfg(target_os = "linux")]
#[tokio::test(flavor = "multi_thread")]
async fn a_signal_that_was_ignored_at_the_start_as_by_nohup_stays_ignored() {
    let double = double().await;
    let setup = Setup::new(XRAY, &double.url());
    let command = setup.command();
    let mut ignoring = Command::new("/bin/sh");
    ignoring
        .args(["-c", r#"trap "" HUP QUIT; exec "$0" "$@""#])
        .arg(command.get_program())
        .args(command.get_args())
        .env_clear()
        .envs(
            command
                .get_envs()
                .filter_map(|(name, value)| Some((name, value?))),
        )
        .current_dir(command.get_current_dir().unwrap());
    let process = Process::start("xray", &mut ignoring);
    let udp: SocketAddr = process.wait_for("its UDP address", |line| {
        line.split_once("Listening on UDP ")?.1.parse().ok()
    });
    process.signal("HUP");
    process.signal("QUIT");
    let socket = UdpSocket::bind(("127.0.0.1", 0)).unwrap();
    socket
        .send_to(&[HEADER, segment(0).as_bytes()].concat(), udp)
        .unwrap();
    assert_eq!(arrived(&double, 1).await, [segment(0)]);
    let (status, lines) = process.terminate();
    assert_eq!(status.code(), Some(0));
    assert_eq!(
        line(&lines, "Ignored at the start"),
        "Ignored at the start, and so ignored for good: SIGQUIT, SIGHUP"
    );
    assert_eq!(
        line(&lines, "Got shutdown signal"),
        "Got shutdown signal: terminated"
    );
}

#[cfg(target_os = "linux")]
#[tokio::test(flavor = "multi_thread")]
async fn at_a_stop_too_short_to_send_what_the_kernel_holds_it_is_counted() {
    const SENT: usize = 2000;
    let double = double().await;
    double.faults().always(Fault::hang());
    let daemon = Setup::new(XRAY, &double.url())
        .args(&["--shutdown-timeout", "1ms"])
        .start();
    daemon.process.signal("STOP");
    daemon.send_segments(SENT);
    daemon.process.signal("TERM");
    daemon.process.signal("CONT");
    let (status, lines) = daemon.process.end();
    assert_eq!(status.code(), Some(0));
    let last = line(&lines, "Shutdown finished:");
    let number = |name: &str| -> usize {
        let (_, rest) = last.split_once(&format!("{name} ")).unwrap();
        rest.split(|c: char| !c.is_ascii_digit())
            .next()
            .unwrap()
            .parse()
            .unwrap()
    };
    assert_eq!(number("received") + number("kernel drops"), SENT, "{last}");
    assert_eq!(number("received"), number("dropped"), "{last}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_of_the_log_that_is_stuck_holds_a_stop_up_once() {
    let double = double().await;
    // A busy machine may be late once, not each time.
    let mut waited = Vec::new();
    for _ in 0..3 {
        let free = || {
            std::net::TcpListener::bind("127.0.0.1:0")
                .unwrap()
                .local_addr()
                .unwrap()
        };
        let tcp = free();
        let setup = Setup::new(XRAY, &double.url()).args(&["-t", &tcp.to_string()]);
        let (reader, mut stuck) = std::io::pipe().unwrap();
        let stdout = stuck.try_clone().unwrap();
        // Full before the first line comes or soon after, and never read.
        let filling = std::thread::spawn(move || while stuck.write_all(&[b'\n'; 4096]).is_ok() {});
        let mut child = setup.command().stdout(stdout).spawn().unwrap();
        let deadline = Instant::now() + PATIENCE;
        while TcpStream::connect(tcp).is_err() {
            assert!(Instant::now() < deadline, "it does not listen");
            std::thread::sleep(Duration::from_millis(5));
        }
        let told = Instant::now();
        let kill = format!("kill -TERM {}", child.id());
        assert!(Command::new("sh").args(["-c", &kill]).status().unwrap().success());
        assert_eq!(child.wait().unwrap().code(), Some(0));
        waited.push(told.elapsed());
        drop(reader);
        filling.join().unwrap();
        if waited.last().is_some_and(|waited| *waited < 2 * SHUTDOWN_BOUND) {
            return;
        }
    }
    panic!("{waited:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn hangup_opens_a_log_file_anew() {
    let double = double().await;
    let setup = Setup::new(XRAY, &double.url());
    let (log, moved) = (setup.path("logs/deep/xray.log"), setup.path("moved.log"));
    // The daemon says its address in the file, so it gets one that is known.
    let free = UdpSocket::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .to_string();
    let setup = setup.args(&["-b", &free, "-f", log.to_str().unwrap()]);
    let process = setup.start_silently();
    let waited = wait_for_file(&log, "Using region");
    assert!(
        waited.contains("[Info] Initializing AWS X-Ray daemon"),
        "{waited}"
    );
    std::fs::rename(&log, &moved).unwrap();
    process.signal("HUP");
    wait_for_file(&log, "Got hangup signal");
    let socket = UdpSocket::bind(("127.0.0.1", 0)).unwrap();
    socket
        .send_to(&[HEADER, segment(0).as_bytes()].concat(), &free)
        .unwrap();
    assert_eq!(arrived(&double, 1).await, [segment(0)]);
    process.signal("TERM");
    let (status, lines) = process.end();
    assert_eq!(
        (status.code(), lines),
        (Some(0), Vec::new()),
        "all of it went to the file"
    );
    assert!(
        std::fs::read_to_string(&log)
            .unwrap()
            .contains("Shutdown finished: received 1, sent 1,")
    );
    drop(setup);
}

/// The text of `path` once it contains `words`.
fn wait_for_file(path: &std::path::Path, words: &str) -> String {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let text = std::fs::read_to_string(path).unwrap_or_default();
        if text.contains(words) {
            return text;
        }
        assert!(
            Instant::now() < deadline,
            "{} lacks {words:?}: {text}",
            path.display()
        );
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_closed_stdout_never_ends_it() {
    let double = double().await;
    let setup = Setup::new(XRAY, &double.url());
    let free = UdpSocket::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .to_string();
    let setup = setup.args(&["-b", &free]);
    let mut child = Command::stdout(&mut setup.command(), Stdio::piped())
        .spawn()
        .unwrap();
    // Until it listens; then nobody reads any more.
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    assert!(lines.any(|line| line.unwrap().contains("Listening on UDP")));
    drop(lines);
    let socket = UdpSocket::bind(("127.0.0.1", 0)).unwrap();
    for number in 0..3_usize {
        // Each batch writes a line to the closed pipe.
        socket
            .send_to(&[HEADER, segment(number).as_bytes()].concat(), &free)
            .unwrap();
        assert_eq!(arrived(&double, number + 1).await[number], segment(number));
    }
    assert!(child.try_wait().unwrap().is_none(), "it still runs");
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn a_log_file_that_cannot_be_written_is_an_error_at_the_start() {
    let setup = Setup::new(XRAY, "http://127.0.0.1:9");
    let directory = setup.path("a-directory");
    std::fs::create_dir(&directory).unwrap();
    let (code, lines) = setup.args(&["-f", directory.to_str().unwrap()]).fail();
    assert_eq!(code, Some(1));
    assert!(
        lines
            .iter()
            .any(|line| line.contains("a-directory") && line.contains("directory")),
        "{lines:?}"
    );
}
