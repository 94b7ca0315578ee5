//! Files that are none: a pipe that nobody writes to, a device without an end, a directory, 100 MB.

use std::fs::File;
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::Command;

use xray_double::harness::daemon::{Setup, arrived, double, line};

use crate::XRAY;
use crate::support::no_credentials;

/// What can be in the place of a file, with what is said of it.
const KINDS: [(&str, &str); 4] = [
    ("pipe", "is a pipe, not a file"),
    ("device", "is a device, not a file"),
    ("directory", "is a directory"),
    ("100 MB", "larger than "),
];

/// Makes one in the daemon's directory.
fn made(setup: &Setup, kind: &str) -> String {
    let path: PathBuf = match kind {
        "device" => "/dev/zero".into(),
        other => setup.path(&other.replace(' ', "-")),
    };
    match kind {
        "pipe" => assert!(Command::new("mkfifo").arg(&path).status().unwrap().success()),
        "directory" => std::fs::create_dir(&path).unwrap(),
        "100 MB" => File::create(&path).unwrap().set_len(100 << 20).unwrap(),
        _ => {}
    }
    path.to_str().unwrap().to_owned()
}

fn has(lines: &[String], words: &[&str]) -> bool {
    lines
        .iter()
        .any(|line| words.iter().all(|words| line.contains(words)))
}

#[test]
fn as_a_bundle_of_certificates_they_end_the_start_with_a_reason() {
    for (kind, said) in KINDS {
        let setup = Setup::new(XRAY, "http://127.0.0.1:9");
        let path = made(&setup, kind);
        let (code, lines) = setup.env("AWS_CA_BUNDLE", &path).fail();
        assert_eq!(code, Some(1), "{kind}");
        let error = line(&lines, "AWS_CA_BUNDLE: cannot use the CA certificates of ");
        assert!(error.contains(&path) && error.contains(said), "{error}");
        // What came meanwhile would be lost.
        assert!(!has(&lines, &["Listening on UDP"]), "{lines:?}");
    }
}

#[test]
fn as_the_configuration_file_they_end_the_start_with_a_reason() {
    for (kind, said) in [
        ("pipe", "is a pipe that nobody writes to"),
        KINDS[1],
        KINDS[2],
        KINDS[3],
    ] {
        let setup = Setup::new(XRAY, "http://127.0.0.1:9");
        let path = made(&setup, kind);
        // The last one counts.
        let (code, lines) = setup.args(&["-c", &path]).fail();
        assert_eq!(code, Some(1), "{kind}");
        assert!(
            has(&lines, &["[Error]", &path, said, "Check the path after -c"]),
            "{lines:?}"
        );
    }
}

#[test]
fn as_the_log_file_a_pipe_that_nobody_reads_and_a_directory_end_the_start_with_a_reason() {
    for (kind, said) in [
        ("pipe", "a pipe that nobody reads"),
        ("directory", "Is a directory"),
    ] {
        let setup = Setup::new(XRAY, "http://127.0.0.1:9");
        let path = made(&setup, kind);
        let (code, lines) = setup.args(&["-f", &path]).fail();
        assert_eq!(code, Some(1), "{kind}");
        assert!(
            has(&lines, &["[Error] cannot write the log file", &path, said]),
            "{lines:?}"
        );
    }
}

#[test]
fn what_is_wrong_with_the_configuration_is_said_also_when_the_log_file_is_a_pipe_that_nobody_reads() {
    let setup = Setup::new(XRAY, "http://127.0.0.1:9").config("Concurrency: much");
    let path = made(&setup, "pipe");
    let (code, lines) = setup.args(&["-f", &path]).fail();
    assert_eq!(code, Some(1));
    assert!(has(&lines, &["[Error]", "Concurrency"]), "{lines:?}");
    assert!(has(&lines, &["Cannot write to the log file", &path]), "{lines:?}");
}

#[test]
fn a_pipe_as_the_log_file_is_fine_while_somebody_reads_it() {
    let setup = Setup::new(XRAY, "http://127.0.0.1:9").env("AWS_REGION", "");
    let path = made(&setup, "pipe");
    let reader = std::thread::spawn({
        let path = path.clone();
        move || std::fs::read_to_string(path).unwrap()
    });
    // It ends by itself, without a region. The reader may open the pipe later than the daemon does.
    let setup = setup.args(&["-o", "-f", &path]);
    let mut code = None;
    for _ in 0..100 {
        let (ended, lines) = setup.start_silently().end();
        code = ended.code();
        if !has(&lines, &["a pipe that nobody reads"]) {
            break;
        }
    }
    assert_eq!(code, Some(1));
    let log = reader.join().unwrap();
    assert!(log.contains("[Info] Shutdown finished: "), "{log}");
}

#[test]
fn as_the_metadata_file_of_a_task_they_are_named_and_passed_over() {
    for (kind, said) in KINDS {
        let setup = Setup::new(XRAY, "http://127.0.0.1:9").env("AWS_REGION", "");
        let path = made(&setup, kind);
        let (code, lines) = setup
            .env("ECS_ENABLE_CONTAINER_METADATA", "true")
            .env("ECS_CONTAINER_METADATA_FILE", &path)
            .fail();
        assert_eq!(code, Some(1), "{kind}");
        line(&lines, "Listening on UDP ");
        let error = line(&lines, "Cannot fetch region");
        assert!(error.contains(&path) && error.contains(said), "{error}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn as_profile_files_they_are_left_out() {
    let double = double().await;
    for (kind, said) in KINDS {
        for variable in ["AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"] {
            let setup = Setup::new(XRAY, &double.url());
            let path = made(&setup, kind);
            let daemon = setup
                .env(variable, &path)
                .env("AWS_ACCESS_KEY_ID", "")
                .args(&["--shutdown-timeout", "0s"])
                .start();
            let warning = no_credentials(&daemon.process);
            assert!(warning.contains(&path) && warning.contains(said), "{warning}");
            assert_eq!(daemon.stop().0.code(), Some(0), "{kind} {variable}");
        }
    }
    let setup = Setup::new(XRAY, &double.url());
    let path = made(&setup, "pipe");
    let daemon = setup
        .env("AWS_CONFIG_FILE", &path)
        .env("AWS_SHARED_CREDENTIALS_FILE", &path)
        .start();
    daemon.send_segments(1);
    arrived(&double, 1).await;
}

#[test]
fn as_tokens_they_are_named_and_a_signal_ends_the_daemon_all_the_same() {
    for (kind, said) in KINDS {
        for variable in [
            "AWS_WEB_IDENTITY_TOKEN_FILE",
            "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE",
        ] {
            let setup = Setup::new(XRAY, "http://127.0.0.1:9").env("AWS_ACCESS_KEY_ID", "");
            let path = made(&setup, kind);
            let daemon = setup
                .env(variable, &path)
                .env("AWS_ROLE_ARN", "arn:aws:iam::123456789012:role/pod")
                .env("AWS_CONTAINER_CREDENTIALS_FULL_URI", "http://127.0.0.1:9")
                .args(&["--shutdown-timeout", "0s"])
                .start();
            let warning = no_credentials(&daemon.process);
            assert!(warning.contains(&path) && warning.contains(said), "{warning}");
            assert_eq!(daemon.stop().0.code(), Some(0), "{kind} {variable}");
        }
    }
}

/// Files of the kernel's, which tell no length; who reads the second one waits for what the kernel says next.
#[cfg(target_os = "linux")]
fn of_the_kernel() -> impl Iterator<Item = &'static str> {
    let all = ["/proc/self/status", "/proc/kmsg"];
    // Not every container may open it.
    all.into_iter().filter(|path| File::open(path).is_ok())
}

#[cfg(target_os = "linux")]
#[test]
fn a_file_of_the_kernels_as_a_profile_or_a_token_is_named_and_not_waited_for() {
    for path in of_the_kernel() {
        for variable in [
            "AWS_CONFIG_FILE",
            "AWS_SHARED_CREDENTIALS_FILE",
            "AWS_WEB_IDENTITY_TOKEN_FILE",
            "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE",
        ] {
            let daemon = Setup::new(XRAY, "http://127.0.0.1:9")
                .env("AWS_ACCESS_KEY_ID", "")
                .env(variable, path)
                .env("AWS_ROLE_ARN", "arn:aws:iam::123456789012:role/pod")
                .env("AWS_CONTAINER_CREDENTIALS_FULL_URI", "http://127.0.0.1:9")
                .args(&["--shutdown-timeout", "0s"])
                .start();
            let warning = no_credentials(&daemon.process);
            assert!(
                warning.contains(&format!("{path} is a file of the kernel's")),
                "{variable}: {warning}"
            );
            assert_eq!(daemon.stop().0.code(), Some(0), "{path} {variable}");
        }
    }
}

#[cfg(target_os = "linux")]
#[test]
fn a_file_of_the_kernels_as_the_configuration_or_as_certificates_ends_the_start() {
    for path in of_the_kernel() {
        let (code, lines) = Setup::new(XRAY, "http://127.0.0.1:9").args(&["-c", path]).fail();
        assert_eq!(code, Some(1), "{lines:?}");
        assert!(has(&lines, &["[Error]", path]), "{lines:?}");
        let (code, lines) = Setup::new(XRAY, "http://127.0.0.1:9")
            .env("AWS_CA_BUNDLE", path)
            .fail();
        assert_eq!(code, Some(1), "{lines:?}");
        assert!(has(&lines, &["[Error]", "AWS_CA_BUNDLE", path]), "{lines:?}");
    }
}

#[test]
fn a_pipe_as_the_token_file_of_a_profile_is_named_too() {
    let setup = Setup::new(XRAY, "http://127.0.0.1:9").env("AWS_ACCESS_KEY_ID", "");
    let path = made(&setup, "pipe");
    let profile = setup.path("config");
    let text = format!(
        "[default]\nrole_arn = arn:aws:iam::123456789012:role/pod\nweb_identity_token_file = {path}\n"
    );
    std::fs::write(&profile, text).unwrap();
    let daemon = setup
        .env("AWS_CONFIG_FILE", profile.to_str().unwrap())
        .args(&["--shutdown-timeout", "0s"])
        .start();
    let warning = no_credentials(&daemon.process);
    assert!(
        warning.contains(&format!("{path} is a pipe, not a file")),
        "{warning}"
    );
    assert_eq!(daemon.stop().0.code(), Some(0));
}

#[test]
fn a_pipe_as_the_systems_certificates_is_named_and_a_signal_ends_the_daemon_all_the_same() {
    // A port that takes connections, so that certificates are needed.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let setup = Setup::new(XRAY, &format!("https://{}", silent.local_addr().unwrap()));
    let path = made(&setup, "pipe");
    let daemon = setup
        .env("SSL_CERT_FILE", &path)
        .args(&["--shutdown-timeout", "0s"])
        .start();
    daemon.send_segments(1);
    daemon.process.wait_for("why the call failed", |line| {
        line.contains(&format!("SSL_CERT_FILE: {path}: is a pipe, not a file"))
            .then_some(())
    });
    assert_eq!(daemon.stop().0.code(), Some(0));
}
