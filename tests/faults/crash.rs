//! A process that writes to a spool is killed at any moment: every whole batch comes back, and nothing else.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;
use xray::exporters::xray::encoding::Segments;
use xray::pipeline::batch::{Batch, OpenBatch};
use xray::pipeline::spool::disk::Directory;
use xray::pipeline::spool::name::FileName;
use xray::pipeline::spool::store::{Moment, Store, Taken};
use xray_double::harness::account::Account;
use xray_double::harness::daemon::{HEADER, Setup, documents_of, double};
use xray_double::harness::process::PATIENCE;

use crate::XRAY;
use crate::spool::large;

/// Set for the child, which is this test program again: the directory to write to.
const DIRECTORY: &str = "SPOOL_CRASH_TEST_DIRECTORY";

const LIMIT_BYTES: u64 = 1 << 30;

/// A batch that its number alone decides; large enough that a write can be cut.
fn batch(number: usize) -> Batch {
    let mut open = OpenBatch::<Segments>::new(1 << 20);
    for document in 0..=number % 40 {
        let text = format!(
            "{{\"batch\":{number},\"document\":{document},\"pad\":\"{}\"}}",
            "x".repeat(3000)
        );
        assert!(open.push(text.as_bytes(), Instant::now()).sealed.is_none());
    }
    open.seal().unwrap()
}

/// What the child does until it is killed: groups of batches into the spool, and a line for each group that is safe.
#[test]
fn child_that_writes_until_it_is_killed() {
    let Ok(directory) = std::env::var(DIRECTORY) else {
        return;
    };
    let (mut store, _) =
        Store::<_, Segments>::open(Directory::new(Path::new(&directory)), LIMIT_BYTES).unwrap();
    let mut stdout = std::io::stdout();
    for group in (0_usize..).step_by(5) {
        let written = store.write((group..group + 5).map(batch).collect(), Moment::now());
        assert_eq!(written.stored.len(), 5);
        writeln!(stdout, "safe {}", group + 5).unwrap();
        stdout.flush().unwrap();
    }
}

/// Runs the child and kills it after `life` from its first word. How many batches it said were safe.
fn run_and_kill(directory: &Path, life: Duration) -> usize {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args([
            "--exact",
            "crash::child_that_writes_until_it_is_killed",
            "--nocapture",
        ])
        .env(DIRECTORY, directory)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let safe = |line: &str| {
        line.rsplit_once("safe ")
            .and_then(|(_, count)| count.parse::<usize>().ok())
    };
    // The harness of the child writes words of its own.
    let first = lines.by_ref().find_map(|line| safe(&line.unwrap())).unwrap();
    std::thread::sleep(life);
    child.kill().unwrap();
    child.wait().unwrap();
    lines
        .filter_map(|line| safe(&line.unwrap_or_default()))
        .last()
        .unwrap_or(first)
}

#[test]
fn after_a_kill_at_any_moment_every_whole_batch_comes_back_and_nothing_else() {
    // The same moments in each run, spread over some groups.
    let mut random = 1_u64;
    let (mut unfinished, mut beyond) = (0, 0);
    for round in 0..40 {
        random = random
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        let directory = TempDir::new().unwrap();
        let safe = run_and_kill(directory.path(), Duration::from_micros((random >> 32) % 60_000));
        let left = std::fs::read_dir(directory.path())
            .unwrap()
            .filter(|entry| {
                entry
                    .as_ref()
                    .unwrap()
                    .path()
                    .extension()
                    .is_some_and(|end| end == "tmp")
            })
            .count();
        unfinished += usize::from(left > 0);

        let (mut store, found) =
            Store::<_, Segments>::open(Directory::new(directory.path()), LIMIT_BYTES).unwrap();
        assert_eq!(
            found.damaged.len(),
            0,
            "round {round}: a file under its name is whole"
        );
        let mut back = BTreeSet::new();
        loop {
            match store.take(Moment::now()) {
                Taken::Batch(batch) => assert!(back.insert(batch.body), "round {round}: none twice"),
                Taken::Nothing => break,
                other => panic!("round {round}: {other:?}"),
            }
        }
        let expected: BTreeMap<_, _> = (0..safe + 5).map(|number| (batch(number).body, number)).collect();
        let numbers: BTreeSet<usize> = back
            .iter()
            .map(|body| *expected.get(body).expect("nothing that was not written"))
            .collect();
        // Those said to be safe, and of the group that was being written what had its name already.
        assert!(
            (0..safe).all(|number| numbers.contains(&number)),
            "round {round}: {safe} were safe"
        );
        beyond += usize::from(numbers.len() > safe);
        let left = std::fs::read_dir(directory.path()).unwrap();
        assert!(
            left.filter_map(|entry| entry.unwrap().file_name().into_string().ok())
                .all(|name| name == ".lock" || FileName::parse::<Segments>(&name).is_some()),
            "round {round}: what was unfinished is removed"
        );
    }
    assert!(
        unfinished > 3,
        "some kills come in the middle of a write: {unfinished} of 40, {beyond} between"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_daemon_that_is_killed_while_it_spools_loses_what_was_in_memory_only() {
    let spool = TempDir::new().unwrap();
    let arguments = ["-m", "3", "--spool-dir", spool.path().to_str().unwrap()];
    let mut expected: BTreeSet<String> = BTreeSet::new();
    for round in 0..4 {
        let daemon = Setup::new(XRAY, "http://127.0.0.1:9").args(&arguments).start();
        let socket = std::net::UdpSocket::bind(("127.0.0.1", 0)).unwrap();
        for number in 0..400 + 40 * round {
            socket
                .send_to(
                    &[HEADER, large(10_000 * round + number).as_bytes()].concat(),
                    daemon.udp,
                )
                .unwrap();
            if number % 10 == 0 {
                std::thread::sleep(Duration::from_millis(2));
            }
        }
        daemon.process.signal("KILL");
        daemon.process.end();
        // What is there under its name is what must come back.
        for entry in std::fs::read_dir(spool.path()).unwrap() {
            let entry = entry.unwrap();
            let Some(name) = entry.file_name().to_str().and_then(FileName::parse::<Segments>) else {
                continue;
            };
            let body = std::fs::read(entry.path()).unwrap();
            assert!(name.fits::<Segments>(&body), "whole: {name}");
            expected.extend(documents_of(&body));
        }
    }
    assert!(expected.len() > 100, "{}", expected.len());
    let double = double().await;
    let daemon = Setup::new(XRAY, &double.url()).args(&arguments).start();
    if let Err(late) = double.wait_for_documents(expected.len() as u64, PATIENCE).await {
        panic!("{late}");
    }
    let (_, lines) = daemon.stop();
    let account = Account::of(&lines);
    account.assert_balance();
    assert_eq!(account.get("recovered"), expected.len() as u64);
    assert_eq!(account.get("sent"), expected.len() as u64);
    let arrived: Vec<String> = double.documents();
    assert_eq!(arrived.len(), expected.len(), "none twice");
    assert_eq!(arrived.into_iter().collect::<BTreeSet<_>>(), expected);
}
