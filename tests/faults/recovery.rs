//! What waited during an outage arrives when it ends.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use xray_double::harness::account::Account;
use xray_double::harness::daemon::segment;
use xray_double::harness::outages::Outage;
use xray_double::harness::process::PATIENCE;

use crate::XRAY;
use crate::each::each;

const SEGMENTS: usize = 130;

#[test]
fn whatever_the_outage_the_segments_arrive_when_it_ends() {
    each(async |double, outage| {
        outage.begin(&double).await;
        let setup = outage.setup(XRAY, &double);
        let home = setup.path("");
        // The double has a document before the daemon has its answer: what is under way at the stop gets its time.
        let daemon = setup.args(&["--shutdown-timeout", "20s"]).start();
        daemon.send_segments(SEGMENTS);
        if !matches!(&outage, Outage::Fault(fault) if fault.to_string().starts_with("delay")) {
            daemon.process.wait_for("that it fails", |line| {
                line.contains("[Error] Sending segment batch failed with: ")
                    .then_some(())
            });
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
        outage.end(&double, &home).await;
        let ended = Instant::now();
        if let Err(late) = double.wait_for_documents(SEGMENTS as u64, PATIENCE).await {
            panic!("{outage:?}: {late}");
        }
        // Back-off, the daemon's pause between two looks for credentials, and a call that still hangs.
        assert!(ended.elapsed() < Duration::from_secs(15), "{outage:?}");
        let (status, lines) = daemon.stop();
        assert_eq!(status.code(), Some(0), "{outage:?}");
        let account = Account::of(&lines);
        account.assert_balance();
        assert_eq!(
            (
                account.get("received"),
                account.get("sent"),
                account.get("dropped")
            ),
            (SEGMENTS as u64, SEGMENTS as u64, 0),
            "{outage:?}: {account:?}"
        );
        let arrived: BTreeSet<String> = double.documents().into_iter().collect();
        assert_eq!(arrived, (0..SEGMENTS).map(segment).collect(), "{outage:?}");
        let failures = lines
            .iter()
            .filter(|line| line.contains("Sending segment batch failed"))
            .count();
        assert!(
            failures <= 1,
            "one line for the outage: {outage:?}\n{}",
            lines.join("\n")
        );
    });
}
