//! Endpoints that are neither up nor down.

use std::time::{Duration, Instant};

use xray_double::double::Double;
use xray_double::faults::Fault;
use xray_double::harness::account::Account;
use xray_double::harness::daemon::{Daemon, Setup, double, segment};

use crate::XRAY;

/// Sends a thousand segments a second for `seconds`, and says how many.
fn send(daemon: &Daemon, seconds: usize) -> u64 {
    let start = Instant::now();
    let count = 1_000 * seconds;
    for number in 0..count {
        if number % 10 == 0 {
            let due = start + Duration::from_millis(number as u64);
            std::thread::sleep(due.saturating_duration_since(Instant::now()));
        }
        let datagram = format!("{{\"format\":\"json\",\"version\":1}}\n{}", segment(number));
        daemon.send(datagram.as_bytes());
    }
    count as u64
}

/// Lets the endpoint be so while a thousand segments a second come for three seconds, then stops. The account of the daemon.
async fn run(be_ill: impl FnOnce(&Double)) -> (Account, Double) {
    let double = double().await;
    be_ill(&double);
    let daemon = Setup::new(XRAY, &double.url()).args(&["-m", "16"]).start();
    let sent = tokio::task::block_in_place(|| send(&daemon, 3));
    let (_, lines) = tokio::task::block_in_place(|| daemon.stop());
    let account = Account::of(&lines);
    account.assert_balance();
    assert_eq!(account.get("received"), sent, "{account:?}");
    (account, double)
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_share_of_the_calls_fails_everything_arrives() {
    for share in [0.1, 0.5, 0.7] {
        let (account, _) = run(|double| double.faults().share(share, 7, Fault::status(503))).await;
        assert_eq!(account.get("sent"), 3_000, "{share}: {account:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_third_of_the_calls_that_hangs_holds_nothing_back_and_at_a_stop_goes_another_way() {
    let began = Instant::now();
    let (account, _) = run(|double| double.faults().share(0.33, 7, Fault::hang())).await;
    assert_eq!(account.get("sent"), 3_000, "{account:?}");
    assert!(
        began.elapsed() < Duration::from_secs(3 + 8),
        "{:?}",
        began.elapsed()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn where_a_third_of_the_calls_hangs_and_half_of_the_rest_fails_a_stop_sends_everything_in_its_time() {
    let (account, _) = run(|double| {
        double.faults().every_nth(3, Fault::hang());
        double.faults().share(0.5, 7, Fault::status(503));
    })
    .await;
    assert_eq!(account.get("sent"), 3_000, "{account:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_during_a_hanging_call_and_a_503_sends_all_that_waits() {
    let (account, _) = run(|double| {
        double.faults().times(1, Fault::hang());
        double.faults().times(1, Fault::status(503));
    })
    .await;
    assert_eq!(account.get("sent"), 3_000, "{account:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_throttled_inside_of_an_answer_is_sent_again_and_nothing_of_it_is_lost() {
    let (account, double) = run(|double| {
        let throttled = Fault::unprocessed(
            xray_double::faults::Which::EveryNth(5),
            "ThrottlingException",
            "Rate exceeded",
        );
        double.faults().for_next(Duration::from_secs(2), throttled);
    })
    .await;
    assert_eq!(
        (account.get("sent"), account.get("unprocessed")),
        (3_000, 0),
        "{account:?}"
    );
    assert!(double.faults().fired() > 1);
}
