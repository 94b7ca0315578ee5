//! Credentials that come late, run out, or are where nobody looked: no call waits for what it does not need.

use std::net::{IpAddr, Ipv4Addr, UdpSocket};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use xray_double::harness::account::Account;
use xray_double::harness::daemon::{Daemon, Setup, arrived, double, line};
use xray_double::harness::process::{PATIENCE, Process};
use xray_double::harness::{ACCESS_KEY_ID, SECRET_ACCESS_KEY};

use crate::XRAY;
use crate::support::{NO_CREDENTIALS, Reply, Source, ask, double_for_keys, keys, no_credentials, tcp};

/// A daemon whose credentials come from `source`, as those of a container.
fn with(endpoint: &str, source: &Source) -> Setup {
    Setup::new(XRAY, endpoint)
        .env("AWS_ACCESS_KEY_ID", "")
        .env("AWS_CONTAINER_CREDENTIALS_FULL_URI", &source.url())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_source_that_hangs_while_the_keys_are_still_good_holds_up_nothing() {
    let double = double_for_keys().await;
    let source = Source::start(|_, number| match number {
        0 => Reply::Now(200, keys(Duration::from_secs(200))),
        _ => Reply::Never,
    });
    let daemon = with(&double.url(), &source)
        .args(&["--call-timeout", "5s"])
        .start();
    let port = tcp(&daemon);
    daemon.send_segments(50);
    arrived(&double, 50).await;
    // A tenth of what they are good for.
    source.wait_until_asked(2);
    let hanging_since = Instant::now();
    let mut sent = 50;
    // Longer than a call may take, and so longer than one that waits for the source lasts.
    while hanging_since.elapsed() < Duration::from_secs(6) {
        let asked = Instant::now();
        let answer = ask(port, "POST /GetSamplingRules");
        assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
        daemon.send_segments(50);
        sent += 50;
        arrived(&double, sent).await;
        assert!(asked.elapsed() < Duration::from_secs(3), "{:?}", asked.elapsed());
    }
    let stopped = Instant::now();
    let (status, lines) = daemon.stop();
    assert_eq!(status.code(), Some(0));
    assert!(
        stopped.elapsed() < Duration::from_secs(5),
        "{:?}",
        stopped.elapsed()
    );
    let account = Account::of(&lines);
    assert_eq!(
        (account.get("received"), account.get("sent")),
        (sent as u64, sent as u64)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_source_that_is_slower_than_a_call_may_take_gives_keys_all_the_same() {
    let double = double().await;
    let setup = Setup::new(XRAY, &double.url()).env("AWS_ACCESS_KEY_ID", "");
    let (keys, runs, profile) = (setup.path("keys"), setup.path("runs"), setup.path("config"));
    let text = format!(
        "{{\"Version\":1,\"AccessKeyId\":\"{ACCESS_KEY_ID}\",\"SecretAccessKey\":\"{SECRET_ACCESS_KEY}\"}}"
    );
    std::fs::write(&keys, text).unwrap();
    // Slower than anything that waits for it.
    let process = format!("echo x >> {}; sleep 11; cat {}", runs.display(), keys.display());
    std::fs::write(&profile, format!("[default]\ncredential_process = {process}\n")).unwrap();
    let daemon = setup
        .env("PATH", "/usr/bin:/bin")
        .env("AWS_CONFIG_FILE", profile.to_str().unwrap())
        .args(&["--call-timeout", "1s"])
        .start();
    let port = tcp(&daemon);
    daemon.send_segments(100);
    daemon.process.wait_for("a call without keys", |line| {
        line.contains("no AWS credentials within 1 s").then_some(())
    });
    let asked = Instant::now();
    let answer = ask(port, "POST /GetSamplingRules");
    assert!(answer.contains("no AWS credentials within 1.8 s"), "{answer}");
    assert!(asked.elapsed() < Duration::from_secs(3), "{:?}", asked.elapsed());
    arrived(&double, 100).await;
    assert!(ask(port, "POST /GetSamplingRules").starts_with("HTTP/1.1 200 "));
    assert_eq!(
        std::fs::read_to_string(runs).unwrap(),
        "x\n",
        "one search for all"
    );
    let (_, lines) = daemon.stop();
    line(
        &lines,
        "No AWS credentials yet: the sources of AWS credentials have not answered within 10 s",
    );
    line(
        &lines,
        "Using credentials from the AWS profile \"default\" (a credential process)",
    );
    line(&lines, "Shutdown finished: received 100, sent 100,");
}

/// A daemon whose profile has this process.
fn with_process(endpoint: &str, process: &str) -> Setup {
    let setup = Setup::new(XRAY, endpoint).env("AWS_ACCESS_KEY_ID", "");
    let profile = setup.path("config");
    std::fs::write(&profile, format!("[default]\ncredential_process = {process}\n")).unwrap();
    setup
        .env("PATH", "/usr/bin:/bin")
        .env("AWS_CONFIG_FILE", profile.to_str().unwrap())
}

/// Waits until the process with the number in `file` has ended.
fn ended(file: &Path) {
    let number = std::fs::read_to_string(file).unwrap();
    let stat = format!("/proc/{}/stat", number.trim());
    let deadline = Instant::now() + PATIENCE;
    // Where nobody asks how it went it stays as a zombie.
    while std::fs::read_to_string(&stat).is_ok_and(|stat| !stat.contains(") Z ")) {
        assert!(Instant::now() < deadline, "{number} still runs");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Its line about missing credentials.
fn missing(daemon: &Daemon) -> String {
    let warning = no_credentials(&daemon.process);
    let (_, reason) = warning.split_once(NO_CREDENTIALS).expect("a reason");
    let (reason, _) = reason.split_once(". Segments wait in memory").expect("its end");
    reason.to_owned()
}

#[test]
fn a_credential_process_that_prints_without_end_is_ended_with_its_children() {
    for (prints, said) in [
        ("yes", "printed more than 65536 bytes and was ended"),
        ("yes >&2", "said on stderr more than 1048576 bytes and was ended"),
    ] {
        let directory = tempfile::tempdir().unwrap();
        let child = directory.path().join("child");
        let process = format!("sleep 1000 & echo $! > {}; {prints}", child.display());
        let daemon = with_process("http://127.0.0.1:9", &process)
            .args(&["--shutdown-timeout", "0s"])
            .start();
        assert_eq!(
            missing(&daemon),
            format!(
                "cannot load AWS credentials: the credential process of the AWS profile \"default\" {said}"
            )
        );
        ended(&child);
        assert_eq!(daemon.stop().0.code(), Some(0));
    }
}

#[test]
fn why_a_credential_process_has_no_keys_is_said_without_what_it_printed_and_without_its_command() {
    for (process, said) in [
        (
            "echo secret; echo 'log in  first' >&2; exit 3",
            "failed with exit status: 3: log in  first",
        ),
        (
            "echo secret",
            "printed no JSON object: expected value at line 1 column 1",
        ),
        (
            "true secret",
            "printed no JSON object: EOF while parsing a value at line 1 column 0",
        ),
        (
            "echo '{\"Version\":1,\"AccessKeyId\":\"secret\"}'",
            "printed no SecretAccessKey",
        ),
    ] {
        let daemon = with_process("http://127.0.0.1:9", process)
            .args(&["--shutdown-timeout", "0s"])
            .start();
        assert_eq!(
            missing(&daemon),
            format!(
                "cannot load AWS credentials: the credential process of the AWS profile \"default\" {said}"
            )
        );
        let (_, lines) = daemon.stop();
        assert!(!lines.iter().any(|line| line.contains("secret")), "{lines:?}");
    }
}

#[test]
fn a_credential_process_that_hangs_ends_with_the_daemon() {
    let directory = tempfile::tempdir().unwrap();
    let child = directory.path().join("child");
    // Written at once, so that what is read is whole.
    let process = format!(
        "sleep 1000 & echo $! > {0}.new; mv {0}.new {0}; sleep 1000",
        child.display()
    );
    let daemon = with_process("http://127.0.0.1:9", &process)
        .args(&["--shutdown-timeout", "0s"])
        .start();
    let deadline = Instant::now() + PATIENCE;
    while !child.exists() {
        assert!(Instant::now() < deadline, "it was not run");
        std::thread::sleep(Duration::from_millis(10));
    }
    assert_eq!(daemon.stop().0.code(), Some(0));
    ended(&child);
}

#[test]
fn an_answer_without_an_end_is_cut_off_wherever_credentials_are_asked_for() {
    for variable in [
        "AWS_CONTAINER_CREDENTIALS_FULL_URI",
        "AWS_EC2_METADATA_SERVICE_ENDPOINT",
    ] {
        let source = Source::start(|_, _| Reply::Endless);
        let daemon = Setup::new(XRAY, "http://127.0.0.1:9")
            .env("AWS_ACCESS_KEY_ID", "")
            .env("AWS_EC2_METADATA_DISABLED", "false")
            .env(variable, &source.url())
            .args(&["--shutdown-timeout", "0s"])
            .start();
        let said = missing(&daemon);
        assert!(said.contains("length limit exceeded"), "{variable}: {said}");
        let status = std::fs::read_to_string(format!("/proc/{}/status", daemon.process.id())).unwrap();
        let peak = status
            .lines()
            .find_map(|line| line.strip_prefix("VmHWM:"))
            .unwrap();
        let peak_kib: u64 = peak.trim().trim_end_matches(" kB").parse().unwrap();
        assert!(peak_kib < 100 << 10, "{variable}: {peak_kib} KiB");
        assert_eq!(daemon.stop().0.code(), Some(0));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_does_not_wait_for_a_source_that_hangs() {
    let double = double_for_keys().await;
    let source = Source::start(|_, _| Reply::Never);
    let daemon = with(&double.url(), &source)
        .args(&["--shutdown-timeout", "1s"])
        .start();
    daemon.send_segments(10);
    source.wait_until_asked(1);
    let stopped = Instant::now();
    let (status, lines) = daemon.stop();
    assert!(
        stopped.elapsed() < Duration::from_secs(4),
        "{:?}",
        stopped.elapsed()
    );
    assert_eq!(status.code(), Some(0));
    line(&lines, "Shutdown finished: received 10, sent 0,");
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_under_the_names_that_the_official_daemon_also_reads_are_used() {
    let double = double().await;
    let daemon = Setup::new(XRAY, &double.url())
        .env("AWS_ACCESS_KEY_ID", "")
        .env("AWS_SECRET_ACCESS_KEY", "")
        .env("AWS_ACCESS_KEY", ACCESS_KEY_ID)
        .env("AWS_SECRET_KEY", SECRET_ACCESS_KEY)
        .start();
    daemon.send_segments(1);
    arrived(&double, 1).await;
    let (_, lines) = daemon.stop();
    line(
        &lines,
        "Using credentials from the environment variables AWS_ACCESS_KEY and AWS_SECRET_KEY",
    );
}

/// EC2 metadata of version 1: no tokens, and a refusal for who has one.
fn version_1(head: &str, _: usize) -> Reply {
    let path = head.split_whitespace().nth(1).unwrap_or_default();
    match path {
        _ if head.starts_with("put ") => Reply::Now(405, String::new()),
        _ if head.contains("x-aws-ec2-metadata-token") => Reply::Now(400, String::new()),
        "/latest/meta-data/placement/region" => Reply::Now(200, "us-east-1".to_owned()),
        "/latest/meta-data/iam/security-credentials/" => Reply::Now(200, "xray-role".to_owned()),
        "/latest/meta-data/iam/security-credentials/xray-role" => {
            Reply::Now(200, keys(Duration::from_secs(3600)))
        }
        _ => Reply::Now(404, String::new()),
    }
}

fn at_metadata(endpoint: &str, metadata: &Source) -> Setup {
    Setup::new(XRAY, endpoint)
        .env("AWS_REGION", "")
        .env("AWS_ACCESS_KEY_ID", "")
        .env("AWS_EC2_METADATA_DISABLED", "false")
        .env("AWS_EC2_METADATA_SERVICE_ENDPOINT", &metadata.url())
}

#[tokio::test(flavor = "multi_thread")]
async fn metadata_of_version_1_gives_region_and_keys() {
    let double = double_for_keys().await;
    let metadata = Source::start(version_1);
    let daemon = at_metadata(&double.url(), &metadata).start();
    daemon.send_segments(1);
    arrived(&double, 1).await;
    let (_, lines) = daemon.stop();
    line(&lines, "Using region: us-east-1 (from EC2 instance metadata)");
    line(&lines, "Using credentials from EC2 instance metadata");
}

#[test]
fn metadata_of_version_1_is_not_asked_where_that_is_switched_off() {
    let metadata = Source::start(version_1);
    let (code, lines) = at_metadata("http://127.0.0.1:9", &metadata)
        .env("AWS_EC2_METADATA_V1_DISABLED", "true")
        .args(&["--shutdown-timeout", "0s"])
        .fail();
    assert_eq!(code, Some(1));
    line(&lines, "Cannot fetch region");
    let asked = metadata.asked();
    assert!(asked.iter().all(|line| line.starts_with("put ")), "{asked:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn metadata_whose_token_never_arrives_is_asked_without_one() {
    let double = double_for_keys().await;
    let metadata = Source::start(|head, number| match version_1(head, number) {
        Reply::Now(405, _) => Reply::Never,
        other => other,
    });
    let daemon = at_metadata(&double.url(), &metadata).start();
    daemon.send_segments(1);
    arrived(&double, 1).await;
}

/// Runs `command` as somebody who may not read everything.
fn as_nobody(command: &mut Command) -> (&mut Command, u32) {
    use std::os::unix::fs::MetadataExt as _;
    use std::os::unix::process::CommandExt as _;
    let own = std::fs::metadata("/proc/self").unwrap().uid();
    if own == 0 {
        (command.uid(65534), 65534)
    } else {
        (command, own)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn credentials_files_that_can_not_be_read_are_named_with_user_and_reason() {
    use std::os::unix::fs::PermissionsExt as _;
    let setup = Setup::new(XRAY, "http://127.0.0.1:9").env("AWS_ACCESS_KEY_ID", "");
    let home = setup.path("");
    std::fs::create_dir(setup.path(".aws")).unwrap();
    let file = setup.path(".aws/credentials");
    std::fs::write(&file, "[default]\n").unwrap();
    let open_to = |path: &Path, mode| {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
    };
    open_to(&file, 0o000);
    open_to(&home, 0o755);
    let mut command = setup.command();
    let (command, user) = as_nobody(&mut command);
    let process = Process::start("xray", command);
    let warning = no_credentials(&process);
    let words = format!("{} cannot be read by user {user}", file.display());
    assert!(
        warning.contains(&words) && warning.contains("permission denied"),
        "{warning}"
    );
    let port = process.wait_for("its TCP address", |line| {
        let rest = line.split_once("Starting proxy http server on ")?.1;
        rest.trim().parse().ok()
    });
    let answer = ask(port, "GET /readyz");
    assert!(answer.contains(&words), "{answer}");
    assert_eq!(process.terminate().0.code(), Some(0));
}

/// An address of this machine that is not of its loopback interface, if it has one.
fn other_address() -> Option<IpAddr> {
    // Sends nothing: it only asks which way packets would go.
    let socket = UdpSocket::bind("0.0.0.0:0").unwrap();
    socket.connect("192.0.2.1:9").ok()?;
    let address = socket.local_addr().unwrap().ip();
    (!address.is_loopback() && !address.is_unspecified()).then_some(address)
}

#[test]
fn strangers_are_not_told_the_roles_that_can_not_be_assumed() {
    let role = "arn:aws:iam::123456789012:role/xray";
    let sts = Source::start(move |_, _| {
        let error = format!(
            "<ErrorResponse><Error><Type>Sender</Type><Code>AccessDenied</Code><Message>not authorized to perform: \
             sts:AssumeRole on resource: {role}</Message></Error><RequestId>1</RequestId></ErrorResponse>"
        );
        Reply::Now(403, error)
    });
    for (level, strangers_are_told) in [("info", false), ("debug", true)] {
        let daemon = Setup::new(XRAY, "http://127.0.0.1:9")
            .env("AWS_ENDPOINT_URL_STS", &sts.url())
            .args(&["-r", role, "-t", "0.0.0.0:0", "-l", level])
            .start();
        let port = tcp(&daemon).port();
        daemon.process.wait_for("that the role can't be assumed", |line| {
            (line.contains("[Warn] No AWS credentials yet: ") && line.contains(role)).then_some(())
        });
        for question in ["GET /readyz", "POST /GetSamplingRules"] {
            let own = ask((Ipv4Addr::LOCALHOST, port).into(), question);
            assert!(own.contains(role) && own.contains("AccessDenied"), "{own}");
            let Some(address) = other_address() else { continue };
            let strangers = ask((address, port).into(), question);
            assert!(strangers.contains("AccessDenied"), "{strangers}");
            assert_eq!(strangers.contains("arn:"), strangers_are_told, "{strangers}");
        }
    }
}
