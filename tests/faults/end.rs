//! The end of the process comes in time, whatever the endpoint does, and every segment is accounted for.

use std::time::{Duration, Instant};

use tempfile::TempDir;
use xray_double::harness::account::Account;
use xray_double::harness::daemon::Setup;
use xray_double::harness::outages::Outage;
use xray_double::harness::process::PATIENCE;

use crate::XRAY;
use crate::each::each;

const SEGMENTS: usize = 130;

/// What a process on a busy machine needs beside its deadline.
const GRACE: Duration = Duration::from_secs(5);

/// Of one with a spool. A quarter of it is for the disk: twenty processes write and sync at the same moment here, beside
/// those of the other tests, and half a second is not always enough for all of them.
const SPOOLING_TIMEOUT: Duration = Duration::from_secs(8);

#[test]
fn whatever_the_outage_the_shutdown_timeout_holds_and_the_last_line_adds_up() {
    each(async |double, outage| {
        outage.begin(&double).await;
        let daemon = outage
            .setup(XRAY, &double)
            .args(&["--shutdown-timeout", "700ms"])
            .start();
        daemon.send_segments(SEGMENTS);
        tokio::time::sleep(Duration::from_millis(300)).await;
        let told = Instant::now();
        let (status, lines) = daemon.stop();
        assert!(told.elapsed() < Duration::from_millis(700) + GRACE, "{outage:?}");
        assert_eq!(status.code(), Some(0), "{outage:?}");
        let account = Account::of(&lines);
        account.assert_balance();
        assert_eq!(
            account.get("received"),
            SEGMENTS as u64,
            "{outage:?}: {account:?}"
        );
        assert_eq!(
            account.get("dropped"),
            account.get("shutdown"),
            "only for lack of time: {outage:?}: {account:?}"
        );
    });
}

#[test]
fn whatever_the_outage_a_spool_keeps_what_could_not_be_sent_and_the_next_process_sends_it() {
    each(async |double, outage| {
        outage.begin(&double).await;
        let spool = TempDir::new().unwrap();
        let spooling = ["--spool-dir", spool.path().to_str().unwrap()];
        let daemon = outage
            .setup(XRAY, &double)
            .args(&spooling)
            .args(&["--shutdown-timeout", &format!("{}s", SPOOLING_TIMEOUT.as_secs())])
            .start();
        daemon.send_segments(SEGMENTS);
        tokio::time::sleep(Duration::from_millis(300)).await;
        let told = Instant::now();
        let (status, lines) = daemon.stop();
        assert!(told.elapsed() < SPOOLING_TIMEOUT + GRACE, "{outage:?}");
        assert_eq!(status.code(), Some(0), "{outage:?}");
        let account = Account::of(&lines);
        account.assert_balance();
        assert_eq!(
            (account.get("received"), account.get("dropped")),
            (SEGMENTS as u64, 0),
            "{outage:?}: {account:?}"
        );
        let kept = account.get("spooled");
        if matches!(&outage, Outage::Fault(fault) if fault.to_string().starts_with("delay")) {
            assert_eq!(kept, 0, "slow is not down: {outage:?}");
        } else {
            assert_eq!(kept, SEGMENTS as u64, "{outage:?}: {account:?}");
        }
        let sent = account.get("sent");
        // With half an answer the service had taken them, and takes them again.
        let taken = double.look(|state| state.accepted());

        outage.end(&double, spool.path()).await;
        let daemon = Setup::new(XRAY, &double.url()).args(&spooling).start();
        if let Err(late) = double.wait_for_documents(taken + kept, PATIENCE).await {
            panic!("{outage:?}: {late}");
        }
        if kept > 0 {
            // Calls of the first process may have counted after it had ended.
            daemon.process.wait_for("that the spool is empty", |line| {
                line.contains("[Info] The spool is empty again").then_some(())
            });
        }
        let (status, lines) = daemon.stop();
        assert_eq!(status.code(), Some(0), "{outage:?}: {lines:?}");
        let account = Account::of(&lines);
        account.assert_balance();
        assert_eq!(
            (account.get("recovered"), account.get("sent"), sent + kept),
            (kept, kept, SEGMENTS as u64),
            "{outage:?}: {account:?}"
        );
        let left: Vec<_> = std::fs::read_dir(spool.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name())
            .filter(|name| name != ".lock" && name != ".aws")
            .collect();
        assert!(left.is_empty(), "{outage:?}: {left:?}");
    });
}
