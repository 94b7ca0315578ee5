//! A test for each outage.

use std::future::Future;

use tokio::sync::Semaphore;
use xray_double::double::Double;
use xray_double::harness::daemon::double;
use xray_double::harness::outages::{self, Outage};

/// Outages that are tried at once by all tests together: those of one, since they mostly wait. With those of all tests the
/// processes would start and end beside each other, and keep each other from what has a deadline.
static PLACES: Semaphore = Semaphore::const_new(20);

/// Tries each outage on a thread and a runtime of its own, and names those in which the test failed.
pub(crate) fn each<F: Future<Output = ()>>(test: impl Fn(Double, Outage) -> F + Copy + Send + Sync) {
    let failed: Vec<&str> = std::thread::scope(|scope| {
        let threads: Vec<_> = outages::all()
            .into_iter()
            .map(|(name, outage)| {
                let thread = scope.spawn(move || {
                    // The test waits for the process on this thread; the double answers on the other one.
                    let runtime = tokio::runtime::Builder::new_multi_thread()
                        .worker_threads(1)
                        .enable_all()
                        .build()
                        .unwrap();
                    runtime.block_on(async {
                        let _place = PLACES.acquire().await.unwrap();
                        let double = double().await;
                        test(double, outage).await;
                    });
                });
                (name, thread)
            })
            .collect();
        threads
            .into_iter()
            .filter_map(|(name, thread)| thread.join().is_err().then_some(name))
            .collect()
    });
    assert!(failed.is_empty(), "failed for: {}", failed.join(", "));
}
