//! What happens until it sends.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::net::{Ipv4Addr, TcpListener, UdpSocket};
use std::path::Path;
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::{Duration, UNIX_EPOCH};

use tokio::sync::watch;
use xray::cli::{self, Invocation};
use xray::config::{self, Environment, Files, LogFormat, LogLevel};
use xray::daemon::Daemon;
use xray::daemon::signals::Stop;
use xray::logs;
use xray_double::harness::daemon::{HEADER, Setup, arrived, double, line};

use crate::XRAY;
use crate::support::no_credentials;

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_lost_while_a_metadata_address_accepts_and_never_answers() {
    let double = double().await;
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let daemon = Setup::new(XRAY, &double.url())
        .env("AWS_REGION", "")
        .env("AWS_EC2_METADATA_DISABLED", "false")
        .env(
            "AWS_EC2_METADATA_SERVICE_ENDPOINT",
            &format!("http://{}", silent.local_addr().unwrap()),
        )
        .args(&["--shutdown-timeout", "1s"])
        .start();
    daemon.send_segments(2000);
    // No region anywhere: it ends within seconds, having read everything meanwhile.
    let (status, lines) = daemon.process.end();
    assert_eq!(status.code(), Some(1));
    assert!(
        line(&lines, "Shutdown finished:").contains("received 2000, sent 0"),
        "{lines:?}"
    );
    let error = line(&lines, "Cannot fetch region");
    assert!(
        error.contains("EC2 instance metadata (http://127.0.0.1:"),
        "{error}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn segments_that_come_before_the_region_is_known_are_sent() {
    let double = double().await;
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    // The region is known, the credentials come from an address that never answers: they are missing for now.
    let daemon = Setup::new(XRAY, &double.url())
        .env("AWS_ACCESS_KEY_ID", "")
        .env("AWS_EC2_METADATA_DISABLED", "false")
        .env(
            "AWS_EC2_METADATA_SERVICE_ENDPOINT",
            &format!("http://{}", silent.local_addr().unwrap()),
        )
        .args(&["--shutdown-timeout", "0s"])
        .start();
    daemon.send_segments(2000);
    no_credentials(&daemon.process);
    let (status, lines) = daemon.stop();
    assert_eq!(status.code(), Some(0));
    assert!(
        line(&lines, "Shutdown finished:").starts_with(
            "Shutdown finished: received 2000, sent 0, unprocessed 0, rejected 0, dropped 2000 (shutdown 2000)"
        ),
        "{lines:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_lines_of_the_start_are_those_that_people_search_for() {
    let double = double().await;
    let daemon = Setup::new(XRAY, &double.url()).args(&["-m", "24"]).start();
    daemon.process.wait_for("its credentials", |line| {
        line.contains("Using credentials from").then_some(())
    });
    let (_, lines) = daemon.stop();
    let version = env!("CARGO_PKG_VERSION");
    assert!(
        lines[0].ends_with(&format!("Z [Info] Initializing AWS X-Ray daemon {version}")),
        "{lines:?}"
    );
    assert_eq!(
        line(&lines, "Using buffer memory limit"),
        "Using buffer memory limit of 24 MB"
    );
    assert!(
        line(&lines, "Using region: us-east-1").contains("AWS_REGION"),
        "{lines:?}"
    );
    assert_eq!(
        line(&lines, "Got shutdown signal"),
        "Got shutdown signal: terminated"
    );
    assert!(
        lines.iter().all(|line| !line.contains("wJalr")),
        "no secret in the log"
    );
}

/// The system's limit, or all that was asked for where this process may go past it; Linux counts twice either.
#[cfg(target_os = "linux")]
#[test]
fn what_the_kernel_keeps_for_the_receiver_is_said_at_the_start() {
    use nix::sys::socket::{setsockopt, sockopt};

    let asked_bytes = 8 << 20;
    let probe = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let limit = std::fs::read_to_string("/proc/sys/net/core/rmem_max").unwrap();
    let limit_bytes: usize = limit.trim().parse().unwrap();
    let may_go_past = setsockopt(&probe, sockopt::RcvBufForce, &asked_bytes).is_ok();
    let granted_kib = 2 * if may_go_past {
        asked_bytes
    } else {
        asked_bytes.min(limit_bytes)
    } / 1024;
    let daemon = Setup::new(XRAY, "http://127.0.0.1:9").start();
    daemon.process.wait_for("its credentials", |line| {
        line.contains("Using credentials from").then_some(())
    });
    let (_, lines) = daemon.stop();
    let said = line(&lines, "UDP receive buffer");
    let expected = if 1024 * granted_kib >= asked_bytes {
        format!("UDP receive buffer: {granted_kib} KiB")
    } else {
        format!("UDP receive buffer has {granted_kib} KiB, capped by the system")
    };
    assert!(said.contains(&expected), "{said}");
}

#[test]
fn what_is_sent_in_clear_unchecked_or_through_a_proxy_is_said_once_and_without_a_password() {
    // The proxy is of this machine and the other one is never asked, since nothing is sent.
    let daemon = Setup::new(XRAY, "http://192.0.2.1:9")
        .config("NoVerifySSL: true")
        .args(&["-p", "http://me:secret@127.0.0.1:9"])
        .start();
    daemon.process.wait_for("its credentials", |line| {
        line.contains("Using credentials from").then_some(())
    });
    let (_, lines) = daemon.stop();
    assert_eq!(
        line(&lines, "Using proxy: "),
        "Using proxy: http://***@127.0.0.1:9 (from flag -p)"
    );
    for words in ["NOT checked", "plain http:// endpoint on another machine"] {
        let said = lines.iter().filter(|line| line.contains(words)).count();
        assert_eq!(said, 1, "{words}: {lines:?}");
    }
    assert!(lines.iter().all(|line| !line.contains("secret")), "{lines:?}");
}

#[test]
fn in_json_the_proxy_its_source_and_an_endpoint_in_clear_are_fields() {
    let daemon = Setup::new(XRAY, "http://192.0.2.1:9")
        .args(&["-p", "http://me:secret@127.0.0.1:9", "--log-format", "json"])
        .start();
    daemon.process.wait_for("its credentials", |line| {
        line.contains("Using credentials from").then_some(())
    });
    let (_, lines) = daemon.stop();
    let fields = |words: &str| -> serde_json::Value {
        let found = lines.iter().find(|line| line.contains(words));
        serde_json::from_str(found.unwrap_or_else(|| panic!("{words}: {lines:?}"))).unwrap()
    };
    let proxy = fields("Using proxy: ");
    assert_eq!(proxy["proxy"], "http://***@127.0.0.1:9");
    assert_eq!(proxy["source"], "flag -p");
    assert_eq!(fields("plain http:// endpoint")["value"], "http://192.0.2.1:9");
}

#[test]
fn the_line_that_a_copied_compose_file_makes_starts_and_says_what_it_ignored() {
    let setup = Setup::new(XRAY, "http://127.0.0.1:9").args(&["xray -o -b xray-daemon:2000"]);
    let daemon = setup.start();
    let (status, lines) = daemon.stop();
    assert_eq!(status.code(), Some(0));
    let warning = lines
        .iter()
        .find(|line| line.contains("[Warn]") && line.contains("xray -o -b xray-daemon:2000"));
    assert!(
        warning.is_some_and(|warning| warning.contains("Ignored")),
        "{lines:?}"
    );
}

#[test]
fn a_port_that_is_in_use_is_an_error_that_says_what_to_do() {
    let taken = UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let (code, lines) = Setup::new(XRAY, "http://127.0.0.1:9")
        .args(&["-b", &address])
        .fail();
    assert_eq!(code, Some(1));
    let error = line(&lines, "Cannot listen on UDP");
    assert!(
        error.starts_with(&format!(
            "Cannot listen on UDP {address} (flag -b): Address already in use"
        )),
        "{error}"
    );
    assert!(
        error.contains(&format!(
            "ss -lunp 'sport = :{}'",
            taken.local_addr().unwrap().port()
        )),
        "{error}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_default_tcp_port_in_use_is_said_and_segments_are_sent_all_the_same() {
    let double = double().await;
    // Whoever has the port, this test or something else on the machine.
    let _taken = TcpListener::bind("127.0.0.1:2000");
    // Empty counts as not given.
    let daemon = Setup::new(XRAY, &double.url()).args(&["-t", ""]).start();
    daemon.send_segments(1);
    assert_eq!(arrived(&double, 1).await.len(), 1);
    let (status, lines) = daemon.stop();
    assert_eq!(status.code(), Some(0), "{lines:?}");
    let said = |words: &str| lines.iter().any(|line| line.contains(words));
    assert!(
        said("[Error] Cannot listen on TCP 127.0.0.1:2000 (default): Address already in use")
            && said("going on without a TCP port"),
        "{lines:?}"
    );
    assert!(!said("Starting proxy http server"), "{lines:?}");
}

#[test]
fn a_flag_that_goes_over_an_address_of_the_file_is_said() {
    let daemon = Setup::new(XRAY, "http://127.0.0.1:9")
        .config("Socket:\n  TCPAddress: \"0.0.0.0:2000\"")
        .start();
    let (status, lines) = daemon.stop();
    assert_eq!(status.code(), Some(0), "{lines:?}");
    let warning = line(&lines, "flag -t goes over ");
    assert!(
        warning.ends_with(
            r#"lab.yaml line 4 (Socket.TCPAddress): listening on "127.0.0.1:0", not on "0.0.0.0:2000"."#
        ),
        "{warning}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn settings_come_from_variables_too_below_flags_and_above_the_file() {
    let double = double().await;
    let daemon = Setup::new(XRAY, &double.url())
        .config("TotalBufferSizeMB: 9\nRegion: eu-west-1")
        .args(&["-m", "24"])
        .env("AWS_REGION", "")
        .env("XRAY_BUFFER_MEMORY", "12")
        .env("XRAY_REGION", "us-east-1")
        .env("XRAY_REGOIN", "us-east-1")
        .start();
    daemon.send_segments(1);
    assert_eq!(arrived(&double, 1).await.len(), 1);
    let (_, lines) = daemon.stop();
    line(&lines, "Using buffer memory limit of 24 MB");
    line(&lines, "Using region: us-east-1 (from XRAY_REGION)");
    line(
        &lines,
        "XRAY_REGOIN is no setting of this daemon. Did you mean XRAY_REGION?",
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_has_no_flag_has_a_variable_too() {
    let double = double().await;
    let daemon = Setup::new(XRAY, "http://127.0.0.1:1")
        .env("XRAY_ENDPOINT", &double.url())
        .env("XRAY_BIND", "127.0.0.1:1")
        .start();
    daemon.send_segments(1);
    assert_eq!(arrived(&double, 1).await.len(), 1);
    let (_, lines) = daemon.stop();
    // The harness gives it the address by a flag, as the entry point of an image does.
    line(
        &lines,
        "flag -b goes over XRAY_BIND: listening on \"127.0.0.1:0\", not on \"127.0.0.1:1\".",
    );
}

#[test]
fn xray_dev_reads_the_variables_of_its_flags() {
    let output = Command::new(XRAY)
        .args(["dev", "--sampling", "aws"])
        .env_clear()
        .envs([("XRAY_MAX_TRACES", "0"), ("XRAY_SAMPLING", "all")])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(
        said.ends_with("[Error] XRAY_MAX_TRACES: 0 is not between 1 and 10000000.\n"),
        "{said}"
    );
}

#[test]
fn the_settings_are_printed_with_their_sources_and_without_passwords() {
    let output = Setup::bare(XRAY)
        .config("LocalMode: true\nProxyAddress: \"http://u:secret@proxy:3128\"\nConcurrency: 4")
        .args(&["-n", "eu-west-1", "--print-config"])
        .env("XRAY_CALL_TIMEOUT", "1m30s")
        .command()
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert!(output.stderr.is_empty(), "{output:?}");
    let table = String::from_utf8(output.stdout).unwrap();
    let shown = |name: &str| -> Vec<&str> {
        let line = table
            .lines()
            .find(|line| line.split(' ').next() == Some(name))
            .unwrap_or_else(|| panic!("no {name}:\n{table}"));
        line.split("  ")
            .map(str::trim)
            .filter(|part| !part.is_empty())
            .collect()
    };
    assert_eq!(shown("bind"), ["bind", "127.0.0.1:0", "flag -b"]);
    assert_eq!(shown("region"), ["region", "eu-west-1", "flag -n"]);
    assert_eq!(
        shown("call-timeout"),
        ["call-timeout", "90 s", "XRAY_CALL_TIMEOUT"]
    );
    assert_eq!(shown("shutdown-timeout"), ["shutdown-timeout", "8 s", "default"]);
    let ends = |name: &str, value: &str, source: &str| {
        let shown = shown(name);
        assert!(shown[1] == value && shown[2].ends_with(source), "{shown:?}");
    };
    let megabytes = shown("buffer-memory")[1].strip_suffix(" MB").unwrap();
    assert!(megabytes.parse::<u64>().unwrap() >= 3, "{megabytes}");
    assert_eq!(shown("buffer-memory")[2], "default");
    ends("local-mode", "true", "lab.yaml line 2 (LocalMode)");
    ends("Concurrency", "4", "lab.yaml line 4 (Concurrency)");
    ends(
        "proxy-address",
        "http://***@proxy:3128",
        "lab.yaml line 3 (ProxyAddress)",
    );
    assert!(!table.contains("secret"), "{table}");
    // Each flag that sets something has a line.
    let help = Setup::bare(XRAY).command().arg("--help").output().unwrap();
    let help = String::from_utf8(help.stdout).unwrap();
    let flags: Vec<&str> = help
        .lines()
        .filter_map(|line| line.trim_start().strip_prefix('-'))
        .filter_map(|line| {
            line.split_once("--")
                .map_or(line.strip_prefix('-'), |(_, long)| Some(long))
        })
        .filter_map(|long| long.split([' ', '[', '=']).next())
        .filter(|long| !["help", "version", "print-config"].contains(long))
        .collect();
    assert!(flags.len() > 20, "{flags:?}");
    for flag in flags {
        shown(flag);
    }
}

#[test]
fn region_and_endpoint_are_printed_where_the_sdks_variables_give_them() {
    let output = Setup::bare(XRAY)
        .args(&["--print-config"])
        .env("AWS_REGION", " ")
        .env("AWS_DEFAULT_REGION", "eu-west-3")
        .env("AWS_ENDPOINT_URL", "http://me:secret@127.0.0.1:9")
        .command()
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let table = String::from_utf8(output.stdout).unwrap();
    let shown = |name: &str| -> Vec<&str> {
        let line = table.lines().find(|line| line.split(' ').next() == Some(name));
        line.unwrap().split_whitespace().collect()
    };
    assert_eq!(shown("region"), ["region", "eu-west-3", "AWS_DEFAULT_REGION"]);
    assert_eq!(
        shown("Endpoint"),
        ["Endpoint", "http://***@127.0.0.1:9", "AWS_ENDPOINT_URL"]
    );
}

#[test]
fn localhost_is_listened_on_by_ipv4_where_sdks_send() {
    let daemon = Setup::new(XRAY, "http://127.0.0.1:9")
        .args(&["-b", "localhost:0", "-t", "localhost:0"])
        .start();
    assert_eq!(daemon.udp.ip(), Ipv4Addr::LOCALHOST);
    let (_, lines) = daemon.stop();
    let tcp = line(&lines, "Starting proxy http server on ");
    assert!(tcp.contains(" 127.0.0.1:"), "{tcp}");
}

#[test]
fn a_port_by_its_name_is_listened_on_by_its_number() {
    let setup = Setup::new(XRAY, "http://127.0.0.1:9").args(&["-t", "127.0.0.1:http"]);
    let process = setup.start_silently();
    // Only some may have that port.
    process.wait_for("what became of port 80", |line| {
        let had = line.contains("Starting proxy http server on 127.0.0.1:80");
        (had || line.contains("Cannot listen on TCP 127.0.0.1:80 (flag -t)")).then_some(())
    });
}

#[test]
fn an_address_that_this_host_does_not_have_is_an_error() {
    let (code, lines) = Setup::new(XRAY, "http://127.0.0.1:9")
        .args(&["-b", "192.0.2.1:2000"])
        .fail();
    assert_eq!(code, Some(1));
    let error = line(&lines, "Cannot listen on UDP 192.0.2.1:2000 (flag -b)");
    assert!(error.contains("-b 0.0.0.0:2000 listens on all"), "{error}");
}

#[test]
fn an_unknown_host_name_is_an_error() {
    let (code, lines) = Setup::new(XRAY, "http://127.0.0.1:9")
        .args(&["-b", "no-such-host.invalid:2000"])
        .fail();
    assert_eq!(code, Some(1));
    line(&lines, "Cannot listen on UDP no-such-host.invalid:2000 (flag -b)");
}

#[test]
fn without_a_region_it_ends_with_one_error_that_names_every_source() {
    let (code, lines) = Setup::bare(XRAY).args(&["-o"]).fail();
    assert_eq!(code, Some(1));
    let error = line(
        &lines,
        "Cannot fetch region variable from config file, environment variables",
    );
    for source in ["AWS_REGION", "AWS_DEFAULT_REGION", "profile"] {
        assert!(error.contains(source), "{source}: {error}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_thousand_bad_datagrams_end_nothing() {
    let double = double().await;
    let daemon = Setup::new(XRAY, &double.url()).start();
    let socket = UdpSocket::bind(("127.0.0.1", 0)).unwrap();
    for number in 0..10_000_u32 {
        let bytes: Vec<u8> = number
            .to_le_bytes()
            .iter()
            .cycle()
            .take(number as usize % 200)
            .copied()
            .collect();
        socket.send_to(&bytes, daemon.udp).unwrap();
    }
    daemon.send(&[HEADER, b"still here"].concat());
    assert_eq!(arrived(&double, 1).await, ["still here"]);
}

/// There are no files.
struct NoFiles;

impl Files for NoFiles {
    fn read(&self, _: &Path) -> io::Result<Vec<u8>> {
        Err(io::ErrorKind::NotFound.into())
    }
}

/// A log that the test reads.
#[derive(Clone, Default)]
struct Written(Arc<Mutex<Vec<u8>>>);

impl Write for Written {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0
            .lock()
            .expect("no writer panicked")
            .extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A whole daemon in this process, in which the time that nothing happens passes at once.
#[tokio::test(start_paused = true)]
async fn a_daemon_that_hears_nothing_says_once_where_it_listens() {
    let arguments = [
        "-o",
        "-b",
        "127.0.0.1:0",
        "-t",
        "127.0.0.1:0",
        "-n",
        "us-east-1",
        "-l",
        "info",
    ];
    let Ok(Invocation::Run(flags)) = cli::parse(arguments.map(Into::into)) else {
        panic!("these flags run")
    };
    let variables = [
        ("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE"),
        ("AWS_SECRET_ACCESS_KEY", "secret"),
        ("AWS_EC2_METADATA_DISABLED", "true"),
        ("AWS_CONFIG_FILE", "/dev/null"),
        ("AWS_SHARED_CREDENTIALS_FILE", "/dev/null"),
    ];
    let environment = Environment(BTreeMap::from(
        variables.map(|(name, value)| (name.to_owned(), value.to_owned())),
    ));
    let config = config::load(&flags, &environment, &NoFiles).unwrap();
    let written = Written::default();
    let (log, handle) =
        logs::to_writer(LogLevel::Info, LogFormat::Text, || UNIX_EPOCH, written.clone()).unwrap();
    let _installed = tracing::dispatcher::set_default(&log);

    let daemon = Daemon::bind(config, environment).unwrap();
    let (udp, tcp) = (daemon.udp_address(), daemon.tcp_address().unwrap());
    let (stop, stopped) = watch::channel(Stop::Run);
    let an_hour = async {
        tokio::time::sleep(Duration::from_secs(3600)).await;
        stop.send_replace(Stop::Drain);
    };
    let (ended, ()) = tokio::join!(daemon.run(stopped), an_hour);
    ended.unwrap();
    assert!(handle.flush(Duration::from_secs(20)));
    let text = String::from_utf8(written.0.lock().unwrap().clone()).unwrap();
    let said: Vec<&str> = text
        .lines()
        .filter(|line| line.contains("received yet"))
        .collect();
    assert_eq!(
        said,
        [format!(
            "1970-01-01T00:00:00Z [Info] Nothing received yet on UDP {udp} and TCP {tcp}; SDKs send to \
             AWS_XRAY_DAEMON_ADDRESS, without it to 127.0.0.1:2000"
        )]
    );
}
