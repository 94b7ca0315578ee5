//! `xray doctor` on this machine: ports, the daemon that runs, datagrams, memory, files.

use std::net::{SocketAddr, TcpListener, UdpSocket};

use xray_double::harness::daemon::{Daemon, Setup, double, line};
use xray_double::harness::doctor::{Said, Visit};

use crate::support::tcp;

const XRAY: &str = env!("CARGO_BIN_EXE_xray");

/// A visit to whoever has these addresses; nobody is at the endpoint.
fn visit(udp: SocketAddr, tcp: SocketAddr) -> Visit {
    Visit::new(XRAY, "http://127.0.0.1:1").args(&["-b", &udp.to_string(), "-t", &tcp.to_string()])
}

fn free() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

async fn made(visit: Visit) -> Said {
    tokio::task::spawn_blocking(move || visit.make()).await.unwrap()
}

async fn running(setup: Setup) -> (Daemon, SocketAddr) {
    tokio::task::spawn_blocking(move || {
        let daemon = setup.start();
        let tcp = tcp(&daemon);
        (daemon, tcp)
    })
    .await
    .unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_daemon_that_works_is_well_and_gets_no_segment_of_it() {
    let double = double().await;
    let (daemon, tcp) = running(Setup::new(XRAY, &double.url())).await;
    daemon.process.wait_for("credentials", |line| {
        line.contains("Using credentials from").then_some(())
    });
    let (udp, id) = (daemon.udp, daemon.process.id());
    let visit = Visit::new(XRAY, &double.url())
        .args(&["-b", &udp.to_string(), "-t", &tcp.to_string()])
        .env("AWS_XRAY_DAEMON_ADDRESS", &format!("tcp:{tcp} udp:{udp}"));
    let said = made(visit).await;
    assert_eq!(said.code, Some(0), "{}", said.json);
    let process = format!("a daemon of this kind, process {id} (");
    said.says("udp", "ok", &[&process]);
    said.says("tcp", "ok", &[&process]);
    let version = format!("version {} runs, and is ready", env!("CARGO_PKG_VERSION"));
    said.says("daemon", "ok", &[&version]);
    said.says("datagram", "ok", &["arrived, by the daemon's own count"]);
    said.says("kernel-drops", "ok", &[]);
    said.says(
        "sdks",
        "ok",
        &["where this daemon listens", "the daemon does not"],
    );
    said.says("call", "ok", &[]);
    let (_, lines) = daemon.stop();
    let last = line(&lines, "Shutdown finished");
    assert!(
        last.contains("received 1, sent 0, unprocessed 0, rejected 1 (missing_segment 1)"),
        "{last}"
    );
}

/// Its metrics have more labels then.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_datagram_to_a_daemon_that_takes_otlp_arrives_by_its_count_too() {
    let double = double().await;
    let setup = Setup::new(XRAY, &double.url()).args(&["--otlp-listen", "127.0.0.1:0"]);
    let (daemon, tcp) = running(setup).await;
    let said = made(visit(daemon.udp, tcp)).await;
    said.says("datagram", "ok", &["arrived, by the daemon's own count"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_daemon_without_credentials_runs_and_is_not_ready() {
    let setup = Setup::bare(XRAY)
        .config("Endpoint: \"http://127.0.0.1:1\"")
        .env("AWS_REGION", "us-east-1");
    let (daemon, tcp) = running(setup).await;
    daemon.process.wait_for("no credentials", |line| {
        line.contains("No AWS credentials yet").then_some(())
    });
    let said = made(visit(daemon.udp, tcp)).await;
    assert_eq!(said.code, Some(1));
    said.says("daemon", "fail", &["runs, and is not ready: credentials"]);
}

#[test]
fn without_a_daemon_the_addresses_are_free_and_nothing_can_be_counted() {
    let said = visit(free(), free()).make();
    said.says("udp", "ok", &["is free"]);
    said.says("tcp", "ok", &["is free"]);
    said.says("daemon", "warn", &["no daemon runs at these addresses"]);
    said.says("datagram", "skip", &[]);
    said.says("kernel-drops", "skip", &[]);
}

#[test]
fn another_program_at_the_addresses_is_named_and_what_it_lost_is_counted() {
    let udp = UdpSocket::bind("127.0.0.1:0").unwrap();
    let tcp = TcpListener::bind("127.0.0.1:0").unwrap();
    for _ in 0..2000 {
        udp.send_to(&[0; 8000], udp.local_addr().unwrap()).unwrap();
    }
    let said = visit(udp.local_addr().unwrap(), tcp.local_addr().unwrap()).make();
    assert_eq!(said.code, Some(1));
    let who = format!("in use by another program, process {} (", std::process::id());
    said.says("udp", "fail", &[&who, "choose another address with -b"]);
    said.says("tcp", "fail", &[&who, "choose another address with -t"]);
    said.says("daemon", "warn", &["no daemon of this kind has these addresses"]);
    said.says(
        "kernel-drops",
        "warn",
        &["the kernel dropped ", "net.core.rmem_max"],
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_datagram_that_somebody_else_receives_does_not_arrive() {
    let (_daemon, tcp) = running(Setup::new(XRAY, "http://127.0.0.1:1")).await;
    let other = UdpSocket::bind("127.0.0.1:0").unwrap();
    let said = made(visit(other.local_addr().unwrap(), tcp)).await;
    said.says(
        "datagram",
        "fail",
        &["did not arrive within 2 s", "another process receives there"],
    );
    let said = made(visit(free(), tcp)).await;
    said.says("datagram", "fail", &["was refused"]);
}

#[test]
fn an_address_that_this_machine_does_not_have_is_told_in_the_daemons_own_words() {
    let said = visit("192.0.2.1:2000".parse().unwrap(), free()).make();
    said.says("udp", "fail", &["Cannot listen on UDP 192.0.2.1:2000 (flag -b)"]);
}

#[test]
fn what_is_set_beside_the_daemon_is_looked_at() {
    let visit = visit(free(), free())
        .args(&["-m", "1048576"])
        .env("AWS_ACCESS_KEY_ID", "")
        .env("AWS_XRAY_DAEMON_ADDRESS", "udp:xray:2000");
    // Where a container engine makes a directory for a file that is missing.
    let credentials = visit.path(".aws/credentials");
    std::fs::create_dir_all(&credentials).unwrap();
    let said = visit.make();
    said.says(
        "memory",
        "warn",
        &["1048576 MB for segments that wait (-m)", "a smaller -m"],
    );
    said.says("sdks", "fail", &["that is no address", "HOST:PORT"]);
    let unreadable = format!("{} cannot be read by ", credentials.display());
    said.says(
        "credential-files",
        "fail",
        &[&unreadable, "is a directory", "--user"],
    );
}

#[test]
fn settings_are_told_with_where_they_come_from_and_wrong_ones_fail() {
    let visit_with = |arguments: &[&str]| visit(free(), free()).args(arguments);
    let said = visit_with(&["-n", "eu-west-1"]).make();
    said.says(
        "settings",
        "ok",
        &[
            "region eu-west-1 (flag -n)",
            "Endpoint http://127.0.0.1:1 (XRAY_ENDPOINT)",
        ],
    );
    let settings = said.json["settings"].as_array().unwrap();
    let region = settings
        .iter()
        .find(|setting| setting["name"] == "region")
        .unwrap();
    assert_eq!(region["source"], "flag -n");
    let odd = visit_with(&[]).env("XRAY_REGOIN", "x").make();
    odd.says("settings", "warn", &["Did you mean XRAY_REGION?"]);
    let said = visit_with(&["-m", "2"]).make();
    assert_eq!(said.code, Some(1));
    said.says(
        "settings",
        "fail",
        &["flag -m is 2", "the daemon does not start with it"],
    );
    said.says("call", "skip", &[]);
    let said = visit_with(&["-c", "/nonexistent.yaml"]).make();
    said.says("settings", "fail", &["/nonexistent.yaml"]);
}

#[test]
fn the_lines_say_one_verdict_each_and_the_last_one_counts_them() {
    let visit = visit(free(), free());
    let lines = visit.lines();
    let verdicts = visit.make().json["verdicts"].as_array().unwrap().clone();
    assert_eq!(lines.len(), verdicts.len() + 1, "{lines:#?}");
    for (line, verdict) in lines.iter().zip(&verdicts) {
        let words: Vec<&str> = line.split_whitespace().take(2).collect();
        assert_eq!(
            words,
            [&verdict["verdict"], &verdict["check"]].map(|word| word.as_str().unwrap())
        );
    }
    assert!(lines.last().unwrap().contains(" failed, "), "{lines:#?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_has_an_address_for_otlp_is_named() {
    let double = double().await;
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = listener.local_addr().unwrap().to_string();
    let own = free().to_string();
    let setup = Setup::new(XRAY, &double.url()).args(&["--otlp-listen", &own]);
    let (daemon, tcp) = running(setup).await;
    let process = format!("a daemon of this kind, process {} (", daemon.process.id());
    let said = made(visit(daemon.udp, tcp).args(&["--otlp-listen", &own])).await;
    said.says("otlp-listen", "ok", &[&own, &process]);
    let said = made(visit(daemon.udp, tcp).args(&["--otlp-listen", &own, "--otlp-listen", &taken])).await;
    let other = format!(
        "OTLP {taken} (flag --otlp-listen) is in use by another program, process {} (",
        std::process::id()
    );
    said.says(
        "otlp-listen",
        "fail",
        &[&process, &other, "choose another address with --otlp-listen"],
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_daemon_without_a_tcp_port_is_known_by_its_process() {
    let daemon =
        tokio::task::spawn_blocking(|| Setup::new(XRAY, "http://127.0.0.1:1").args(&["--no-tcp"]).start());
    let daemon = daemon.await.unwrap();
    let said = made(visit(daemon.udp, free()).args(&["--no-tcp"])).await;
    said.says("tcp", "skip", &["--no-tcp"]);
    said.says("daemon", "ok", &["it runs, and has no TCP port"]);
    said.says("datagram", "skip", &["whose counters would tell"]);
    // Asked without that flag.
    let said = made(visit(daemon.udp, free())).await;
    said.says(
        "daemon",
        "warn",
        &["does not answer on TCP", "give the same -t here"],
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_daemon_at_other_addresses_is_told_with_how_to_read_its_flags() {
    let (_daemon, _) = running(Setup::new(XRAY, "http://127.0.0.1:1")).await;
    // That one, or one of another test beside this.
    let said = made(visit(free(), free())).await;
    said.says("daemon", "warn", &["runs with other settings", "/cmdline`"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_daemon_that_hangs_has_its_addresses_and_does_not_answer() {
    let (daemon, tcp) = running(Setup::new(XRAY, "http://127.0.0.1:1")).await;
    daemon.process.signal("STOP");
    let said = made(visit(daemon.udp, tcp)).await;
    daemon.process.signal("CONT");
    assert_eq!(said.code, Some(1));
    said.says(
        "daemon",
        "fail",
        &["has both addresses, and does not answer", "start it anew"],
    );
    said.says("datagram", "skip", &["whose counters would tell"]);
}

/// A pipe that takes no byte more, and that nobody reads while the first end is held.
fn full_pipe() -> (std::io::PipeReader, std::io::PipeWriter) {
    use std::io::Write as _;

    use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};

    let (reader, mut writer) = std::io::pipe().unwrap();
    let flags = fcntl_getfl(&writer).unwrap();
    fcntl_setfl(&writer, flags | OFlags::NONBLOCK).unwrap();
    while writer.write(b"x").is_ok() {}
    fcntl_setfl(&writer, flags).unwrap();
    (reader, writer)
}

#[test]
fn an_answer_that_nobody_reads_is_given_up_and_the_exit_code_is_left() {
    let addresses = ["-b", "127.0.0.1:0", "-t", "127.0.0.1:1"];
    let (_held, full) = full_pipe();
    let ask = |arguments: &[&str]| {
        let mut command = std::process::Command::new(XRAY);
        command
            .args(arguments)
            .env_clear()
            .stdout(full.try_clone().unwrap());
        command.spawn().unwrap()
    };
    let doctor = ask(&[&["doctor", "--no-calls", "-o", "-n", "us-east-1"][..], &addresses].concat());
    let check = ask(&["healthcheck", "-t", "127.0.0.1:1"]);
    for mut asked in [doctor, check] {
        assert_eq!(asked.wait().unwrap().code(), Some(1));
    }
}

#[test]
fn a_machine_that_gives_no_more_files_is_the_failure_and_the_rest_is_skipped() {
    let mut command = std::process::Command::new("sh");
    command
        .args([
            "-c",
            "ulimit -n 20; exec \"$0\" doctor --json --no-calls -o -n x-1 -b 127.0.0.1:0 -t 127.0.0.1:0",
            XRAY,
        ])
        .env_clear()
        .env("HOME", "/nonexistent");
    let output = command.output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let json: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let verdicts = json["verdicts"].as_array().unwrap();
    let daemon = verdicts
        .iter()
        .find(|verdict| verdict["check"] == "daemon")
        .unwrap();
    assert_eq!(daemon["verdict"], "fail");
    let message = daemon["message"].as_str().unwrap();
    assert!(
        message.starts_with("this machine gives no more: Too many open files"),
        "{message}"
    );
    let skipped = verdicts.iter().filter(|verdict| verdict["verdict"] == "skip");
    assert_eq!(
        skipped.count(),
        verdicts.len() - 2,
        "all but that and the settings"
    );
}
