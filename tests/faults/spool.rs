//! The spool of the real binary: more than memory holds, a second daemon, a directory that can't be.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::net::UdpSocket;
use std::ops::Range;
use std::path::Path;
use std::time::{Duration, Instant};

use tempfile::TempDir;
use xray_double::double::Double;
use xray_double::harness::account::Account;
use xray_double::harness::apps::address_after;
use xray_double::harness::daemon::{Daemon, HEADER, Setup, double, line};
use xray_double::harness::process::PATIENCE;
use xray_double::harness::web;

use crate::XRAY;

/// Datagrams on their way at once: what the smallest receive buffer in use has room for.
const AT_ONCE: usize = 10;

/// Numbered documents of 10 KB each, the first that this daemon gets as 0. Only as fast as it receives them and its disk
/// takes what memory has no room for, so that none is lost for lack of time.
fn send_large(daemon: &Daemon, numbers: Range<usize>) {
    send_large_until(daemon, numbers, wait_until_written);
}

/// As [`send_large`], for one whose disk takes nothing.
fn send_large_past_the_disk(daemon: &Daemon, numbers: Range<usize>) {
    send_large_until(daemon, numbers, wait_until_received);
}

fn send_large_until(daemon: &Daemon, numbers: Range<usize>, wait: fn(&Daemon, usize)) {
    let socket = UdpSocket::bind(("127.0.0.1", 0)).unwrap();
    let end = numbers.end;
    for number in numbers {
        socket
            .send_to(&[HEADER, large(number).as_bytes()].concat(), daemon.udp)
            .unwrap();
        if (number + 1) % AT_ONCE == 0 || number + 1 == end {
            wait(daemon, number + 1);
        }
    }
}

pub(crate) fn large(number: usize) -> String {
    format!(
        r#"{{"trace_id":"1-5f84c7a5-0000000000000000{number:08x}","id":"{number:016x}","name":"lab","start_time":1.5,"end_time":2.5,"metadata":{{"default":{{"pad":"{}"}}}}}}"#,
        "x".repeat(10_000)
    )
}

/// Waits until so many documents were received and nothing waits to be written: what memory has no room for is on disk,
/// and the directory is left alone until more comes.
fn wait_until_written(daemon: &Daemon, received: usize) {
    let received = format!("xray_segments_received_total {received}");
    wait_for_metrics(daemon, &[&received, "xray_spool_to_write_bytes 0"]);
}

fn wait_until_received(daemon: &Daemon, received: usize) {
    wait_for_metrics(daemon, &[&format!("xray_segments_received_total {received}")]);
}

fn wait_for_metrics(daemon: &Daemon, wanted: &[&str]) {
    let tcp = daemon.process.wait_for("its TCP address", |line| {
        address_after("Starting proxy http server on ", line)
    });
    let deadline = Instant::now() + PATIENCE;
    loop {
        let page = web::get(tcp, "/metrics", None).body;
        let is_there = |wanted: &&str| page.lines().any(|line| line == *wanted);
        if wanted.iter().all(is_there) {
            return;
        }
        assert!(Instant::now() < deadline, "{wanted:?} in\n{page}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn files(directory: &Path) -> usize {
    names(directory).len()
}

/// The names of batches, in the order in which they were written.
fn names(directory: &Path) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.ends_with(".json"))
        .collect();
    names.sort_by_key(|name| field(name, 1));
    names
}

/// Age, sequence, documents, … of a file, by its name.
fn field(name: &str, place: usize) -> u64 {
    name.split('-').nth(place).unwrap().parse().unwrap()
}

async fn arrive(double: &Double, count: usize) {
    if let Err(late) = double.wait_for_documents(count as u64, PATIENCE).await {
        panic!("{late}");
    }
}

fn spooling(setup: Setup, spool: &TempDir) -> Setup {
    setup.args(&["-m", "3", "--spool-dir", spool.path().to_str().unwrap()])
}

#[tokio::test(flavor = "multi_thread")]
async fn what_memory_cannot_hold_waits_on_disk_and_arrives_when_the_outage_ends() {
    let double = double().await;
    double.stop().await;
    let spool = TempDir::new().unwrap();
    let daemon = spooling(Setup::new(XRAY, &double.url()), &spool).start();
    // Some 10 MB into 3, half of which is the disk's.
    send_large(&daemon, 0..1000);
    assert!(files(spool.path()) > 5, "{}", files(spool.path()));
    double.start_again().await.unwrap();
    if let Err(late) = double.wait_for_documents(1000, PATIENCE).await {
        panic!("{late}\n{}", daemon.stop().1.join("\n"));
    }
    daemon.process.wait_for("that the spool is empty", |line| {
        line.contains("[Info] The spool is empty again").then_some(())
    });
    assert_eq!(files(spool.path()), 0);
    let (_, lines) = daemon.stop();
    let account = Account::of(&lines);
    account.assert_balance();
    assert_eq!(
        (account.get("received"), account.get("sent")),
        (1000, 1000),
        "{account:?}"
    );
    line(
        &lines,
        "The buffer memory limit is reached: the oldest segments wait in the spool",
    );
    let arrived: BTreeSet<String> = double.documents().into_iter().collect();
    assert_eq!(arrived.len(), 1000);
    assert_eq!(double.documents().len(), 1000, "none twice");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_daemon_on_the_same_directory_takes_over_when_the_first_is_gone() {
    let double = double().await;
    double.stop().await;
    let spool = TempDir::new().unwrap();
    let first = spooling(Setup::new(XRAY, &double.url()), &spool)
        .args(&["--shutdown-timeout", "1s"])
        .start();
    first.send_segments(70);
    let second = spooling(Setup::new(XRAY, &double.url()), &spool).start();
    second.process.wait_for("that the directory is taken", |line| {
        line.contains(" is in use by another daemon; ").then_some(())
    });
    let (_, lines) = first.stop();
    assert_eq!(Account::of(&lines).get("spooled"), 70);
    double.start_again().await.unwrap();
    arrive(&double, 70).await;
    let (_, lines) = second.stop();
    let account = Account::of(&lines);
    account.assert_balance();
    assert_eq!(account.get("recovered"), 70);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_daemon_whose_directory_is_another_ones_by_now_leaves_it_alone_and_says_so() {
    let double = double().await;
    double.stop().await;
    let parent = TempDir::new().unwrap();
    let spool = parent.path().join("spool");
    let spooling = || {
        let path = spool.to_str().unwrap().to_owned();
        Setup::new(XRAY, &double.url()).args(&["-m", "3", "--spool-dir", &path, "--shutdown-timeout", "1s"])
    };
    let first = spooling().start();
    send_large(&first, 0..500);
    assert!(files(&spool) > 0);
    fs::remove_dir_all(&spool).unwrap();
    let second = spooling().start();
    second.process.wait_for("that it has the directory", |line| {
        line.contains("Using spool").then_some(())
    });
    send_large_past_the_disk(&first, 500..800);
    first.process.wait_for("that it has lost the directory", |line| {
        line.contains(" is in use by another daemon; ").then_some(())
    });
    assert_eq!(files(&spool), 0, "it is the second one's");
    let (_, lines) = first.stop();
    let account = Account::of(&lines);
    account.assert_balance();
    assert_eq!((account.get("received"), account.get("spooled")), (800, 0));
    second.send_segments(7);
    let (_, lines) = second.stop();
    let account = Account::of(&lines);
    account.assert_balance();
    assert_eq!((account.get("received"), account.get("spooled")), (7, 7));
}

#[test]
fn a_spool_that_can_never_be_is_an_error_at_the_start() {
    let setup = Setup::new(XRAY, "http://127.0.0.1:9");
    let file = setup.path("a-file");
    fs::write(&file, "").unwrap();
    let path = file.to_str().unwrap().to_owned();
    let (code, lines) = setup.args(&["--spool-dir", &path]).fail();
    assert_eq!(code, Some(1));
    assert!(
        line(&lines, "Cannot use the spool ").starts_with(&format!(
            "Cannot use the spool {path} (flag --spool-dir): File exists (os error 17); give a directory"
        )),
        "{lines:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn when_the_start_fails_what_came_meanwhile_is_kept() {
    let double = double().await;
    let spool = TempDir::new().unwrap();
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let daemon = spooling(Setup::new(XRAY, &double.url()), &spool)
        .env("AWS_REGION", "")
        .env("AWS_EC2_METADATA_DISABLED", "false")
        .env(
            "AWS_EC2_METADATA_SERVICE_ENDPOINT",
            &format!("http://{}", silent.local_addr().unwrap()),
        )
        .start();
    daemon.send_segments(70);
    let (status, lines) = daemon.process.end();
    assert_eq!(status.code(), Some(1));
    let account = Account::of(&lines);
    account.assert_balance();
    assert_eq!((account.get("spooled"), account.get("dropped")), (70, 0));
    let daemon = spooling(Setup::new(XRAY, &double.url()), &spool).start();
    arrive(&double, 70).await;
    daemon.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lock_that_an_older_daemon_holds_five_seconds_more_loses_nothing() {
    let double = double().await;
    double.stop().await;
    let spool = TempDir::new().unwrap();
    let lock = File::create(spool.path().join(".lock")).unwrap();
    lock.lock().unwrap();
    let daemon = spooling(Setup::new(XRAY, &double.url()), &spool).start();
    daemon.process.wait_for("that the directory is taken", |line| {
        line.contains(" is in use by another daemon; ").then_some(())
    });
    // Some 1.8 MB, of which the half of 3 that is not the disk's holds 1.1.
    send_large_past_the_disk(&daemon, 0..170);
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert_eq!(files(spool.path()), 0);
    drop(lock);
    daemon.process.wait_for("that it has the directory", |line| {
        line.contains("Using spool").then_some(())
    });
    double.start_again().await.unwrap();
    arrive(&double, 170).await;
    let (_, lines) = daemon.stop();
    let account = Account::of(&lines);
    account.assert_balance();
    assert_eq!(
        (account.get("sent"), account.get("dropped")),
        (170, 0),
        "{account:?}"
    );
    line(
        &lines,
        "The buffer memory limit is reached: the oldest segments wait in the spool",
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_directory_that_is_removed_is_made_again_when_it_is_needed_and_nothing_is_lost() {
    let double = double().await;
    double.stop().await;
    let parent = TempDir::new().unwrap();
    let path = parent.path().join("spool");
    let daemon = Setup::new(XRAY, &double.url())
        .args(&["-m", "3", "--spool-dir", path.to_str().unwrap()])
        .start();
    daemon
        .process
        .wait_for("the directory", |line| line.contains("Using spool").then_some(()));
    fs::remove_dir_all(&path).unwrap();
    send_large(&daemon, 0..500);
    assert!(files(&path) > 5);
    double.start_again().await.unwrap();
    arrive(&double, 500).await;
    let (_, lines) = daemon.stop();
    let account = Account::of(&lines);
    account.assert_balance();
    assert_eq!(
        (account.get("sent"), account.get("dropped")),
        (500, 0),
        "{account:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_cannot_be_read_holds_no_other_one_up() {
    let double = double().await;
    double.stop().await;
    let spool = TempDir::new().unwrap();
    let daemon = spooling(Setup::new(XRAY, &double.url()), &spool).start();
    send_large(&daemon, 0..700);
    daemon.process.wait_for("files", |line| {
        line.contains("the oldest segments wait in the spool")
            .then_some(())
    });
    let oldest = names(spool.path()).remove(0);
    let documents = field(&oldest, 2);
    // Root reads every file, but nobody reads a directory as one.
    fs::remove_file(spool.path().join(&oldest)).unwrap();
    fs::create_dir(spool.path().join(&oldest)).unwrap();
    double.start_again().await.unwrap();
    arrive(&double, 700 - documents as usize).await;
    let (_, lines) = daemon.stop();
    let account = Account::of(&lines);
    account.assert_balance();
    assert_eq!(
        (
            account.get("sent"),
            account.get("spooled"),
            account.get("dropped")
        ),
        (700 - documents, documents, 0),
        "{account:?}"
    );
    assert_eq!(names(spool.path()), [oldest]);
    let said = line(&lines, "Spool file ");
    assert!(
        said.contains(" can't be read: not a regular file; its "),
        "{said}"
    );
}

/// How often the threads of a process gave up their turn by themselves, which they do when they wait.
#[cfg(target_os = "linux")]
fn waits(process: u32) -> u64 {
    let status = |task: std::path::PathBuf| fs::read_to_string(task.join("status")).unwrap_or_default();
    fs::read_dir(format!("/proc/{process}/task"))
        .unwrap()
        .map(|task| {
            let status = status(task.unwrap().path());
            let count = status
                .lines()
                .find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"));
            count.unwrap_or("0").trim().parse::<u64>().unwrap()
        })
        .sum()
}

#[cfg(target_os = "linux")]
#[tokio::test(flavor = "multi_thread")]
async fn two_files_of_one_time_and_sequence_are_both_sent_and_an_idle_daemon_sleeps() {
    let double = double().await;
    double.stop().await;
    let spool = TempDir::new().unwrap();
    let first = spooling(Setup::new(XRAY, &double.url()), &spool)
        .args(&["--shutdown-timeout", "3s"])
        .start();
    first.send_segments(7);
    first.stop();
    let name = names(spool.path()).remove(0);
    // The same body, as if it had been sent again twice.
    let mut fields: Vec<&str> = name.split('-').collect();
    fields[3] = "2";
    fs::copy(spool.path().join(&name), spool.path().join(fields.join("-"))).unwrap();
    double.start_again().await.unwrap();
    let daemon = spooling(Setup::new(XRAY, &double.url()), &spool).start();
    arrive(&double, 14).await;
    daemon.process.wait_for("that the spool is empty", |line| {
        line.contains("[Info] The spool is empty again").then_some(())
    });
    assert_eq!(files(spool.path()), 0);
    let before = waits(daemon.process.id());
    tokio::time::sleep(Duration::from_secs(1)).await;
    let woken = waits(daemon.process.id()) - before;
    // A connection that is closed, or the first report of telemetry; it was 156.
    assert!(woken < 20, "{woken} times in a second");
    let (_, lines) = daemon.stop();
    let account = Account::of(&lines);
    account.assert_balance();
    assert_eq!((account.get("recovered"), account.get("sent")), (14, 14));
}
