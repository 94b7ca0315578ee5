//! Minutes of random faults, restarts and loads against one spool, and every ledger adds up. Not in the default run:
//!
//! ```sh
//! SOAK_SECONDS=300 cargo test --release --test soak -- --ignored --nocapture
//! ```
//!
//! `SOAK_SEED` repeats the choices of an earlier run.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "clippy.toml allows it in test functions only, not in what they share"
)]

use std::collections::BTreeSet;
use std::net::UdpSocket;
use std::path::Path;
use std::time::{Duration, Instant};

use fastrand::Rng;
use tempfile::TempDir;
use xray_double::double::{Double, DoubleConfig};
use xray_double::endpoint::Documents;
use xray_double::faults::{Fault, Which};
use xray_double::harness::account::Account;
use xray_double::harness::daemon::{Daemon, HEADER, Setup};
use xray_double::harness::outages::{self, Outage};
use xray_double::state::Recording;

/// The program under test.
const XRAY: &str = env!("CARGO_BIN_EXE_xray");

/// A setting of this test, from the environment.
fn setting(name: &str, usual: u64) -> u64 {
    std::env::var(name)
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(usual)
}

/// What came and went over all processes.
#[derive(Debug, Default)]
struct Totals {
    received: u64,
    kernel_drops: u64,
    sent: u64,
    lost: u64,
    spooled: u64,
}

struct Soak {
    random: Rng,
    double: Double,
    spool: TempDir,
    daemon: Option<Daemon>,
    outage: Option<Outage>,
    datagrams: u64,
    totals: Totals,
}

impl Soak {
    async fn new(seed: u64) -> Self {
        let double = Double::start(DoubleConfig {
            documents: Documents::Keep {
                budget_bytes: 2 << 30,
            },
            recording: Recording::Off,
            ..DoubleConfig::default()
        })
        .await
        .unwrap();
        let soak = Self {
            random: Rng::with_seed(seed),
            double,
            spool: TempDir::new().unwrap(),
            daemon: None,
            outage: None,
            datagrams: 0,
            totals: Totals::default(),
        };
        soak.usual_faults();
        soak
    }

    /// Some segments are bad, whatever else is wrong.
    fn usual_faults(&self) {
        let faults = self.double.faults();
        faults.when_document(
            Which::containing("poison"),
            Fault::error(400, "InvalidRequestException", "no"),
        );
        faults.every_nth(
            7,
            Fault::unprocessed(Which::containing("unlucky"), "ThrottledException", "later"),
        );
    }

    fn start(&mut self) {
        let setup = Setup::new(XRAY, &self.double.url()).args(&[
            "-m",
            "6",
            "--spool-dir",
            self.spool.path().to_str().unwrap(),
            "--connect-timeout",
            "500ms",
            "--call-timeout",
            "3s",
            "--shutdown-timeout",
            "5s",
        ]);
        self.daemon = Some(setup.start());
    }

    fn stop(&mut self) {
        let Some(daemon) = self.daemon.take() else { return };
        let told = Instant::now();
        let (status, lines) = daemon.stop();
        assert_eq!(status.code(), Some(0));
        assert!(told.elapsed() < Duration::from_secs(8), "{:?}", told.elapsed());
        let account = Account::of(&lines);
        account.assert_balance();
        assert_eq!(
            account.get("recovered"),
            self.totals.spooled,
            "what the last process left: {account:?}"
        );
        println!("{account:?}");
        self.totals.received += account.get("received");
        self.totals.kernel_drops += account.get("kernel drops");
        self.totals.sent += account.get("sent");
        self.totals.lost += account.get("dropped") + account.get("unprocessed") + account.get("rejected");
        self.totals.spooled = account.get("spooled");
    }

    fn send(&mut self, count: u64) {
        let Some(daemon) = &self.daemon else { return };
        let socket = UdpSocket::bind(("127.0.0.1", 0)).unwrap();
        for _ in 0..count {
            let number = self.datagrams;
            self.datagrams += 1;
            let word = match self.random.u32(0..1000) {
                0 => "poison",
                1..10 => "unlucky",
                _ => "fine",
            };
            let pad = "x".repeat(self.random.usize(0..2_000));
            let segment = format!(
                r#"{{"trace_id":"1-5f84c7a5-0000000000000000{number:08x}","id":"{number:016x}","name":"{word}","start_time":1.5,"end_time":2.5,"metadata":{{"d":{{"pad":"{pad}"}}}}}}"#
            );
            socket
                .send_to(&[HEADER, segment.as_bytes()].concat(), daemon.udp)
                .unwrap();
        }
    }

    async fn end_outage(&mut self) {
        if let Some(outage) = self.outage.take() {
            outage.end(&self.double, Path::new("/nowhere")).await;
            if matches!(outage, Outage::Fault(_)) {
                self.usual_faults();
            }
        }
    }

    async fn change(&mut self) {
        match self.random.u32(0..10) {
            0..5 => {
                self.end_outage().await;
                let mut all = outages::all();
                let (name, outage) = all.swap_remove(self.random.usize(0..all.len()));
                if !matches!(outage, Outage::NoCredentials) {
                    println!("{name}");
                    outage.begin(&self.double).await;
                    self.outage = Some(outage);
                }
            }
            5..8 => self.end_outage().await,
            8 => {
                println!("restart");
                self.stop();
                self.start();
            }
            _ => self.send(2_000),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "takes minutes; SOAK_SECONDS says how long, 180 where it does not"]
async fn after_minutes_of_random_faults_and_restarts_every_ledger_adds_up() {
    let seed = setting("SOAK_SEED", fastrand::u64(..));
    let end = Instant::now() + Duration::from_secs(setting("SOAK_SECONDS", 180));
    println!("SOAK_SEED={seed}");
    let mut soak = Soak::new(seed).await;
    soak.start();
    let mut change_at = Instant::now();
    while Instant::now() < end {
        let count = soak.random.u64(0..60);
        soak.send(count);
        tokio::time::sleep(Duration::from_millis(50)).await;
        if Instant::now() >= change_at {
            soak.change().await;
            change_at = Instant::now() + Duration::from_millis(soak.random.u64(200..6_000));
        }
    }
    soak.end_outage().await;
    // What is left goes out, in as many processes as it takes.
    for _ in 0..30 {
        tokio::time::sleep(Duration::from_secs(5)).await;
        soak.stop();
        if soak.totals.spooled == 0 {
            break;
        }
        soak.start();
    }
    let Totals {
        received,
        kernel_drops,
        sent,
        lost,
        spooled,
    } = soak.totals;
    println!("{:?} of {} datagrams", soak.totals, soak.datagrams);
    assert_eq!(spooled, 0);
    assert_eq!(received + kernel_drops, soak.datagrams);
    assert_eq!(sent + lost, received);
    let arrived: BTreeSet<String> = soak.double.documents().into_iter().collect();
    // An answer that was lost makes a segment arrive that is counted as lost later on.
    assert!(
        (sent..=received).contains(&(arrived.len() as u64)),
        "{}",
        arrived.len()
    );
    // Bad segments are one in a thousand; nothing else may be lost.
    assert!(lost < soak.datagrams / 100, "{lost} of {}", soak.datagrams);
    let left = std::fs::read_dir(soak.spool.path()).unwrap();
    let left: Vec<_> = left
        .map(|entry| entry.unwrap().file_name())
        .filter(|name| name != ".lock")
        .collect();
    assert!(left.is_empty(), "{left:?}");
}
