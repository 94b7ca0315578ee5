//! How much more memory the daemon has than the segments that wait in it, while it runs.

use std::net::SocketAddr;
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use super::Result;
use super::metrics::Metrics;
use super::process::Process;

/// From here on, in segments a second, it is watched. Below, next to nothing waits, and the questions would show in the
/// CPU time.
const LEAST_RATE: u64 = 20_000;

/// Between two questions.
const LOOK: Duration = Duration::from_millis(200);

/// A watch that goes on until it is ended.
#[derive(Debug)]
pub(crate) struct Watch {
    stop: Sender<()>,
    thread: JoinHandle<Result<u64>>,
}

impl Watch {
    /// Whether a run at `rate` (0: as fast as possible) is to be watched.
    pub(crate) fn wants(rate: u64) -> bool {
        rate == 0 || rate >= LEAST_RATE
    }

    /// Watches `process`, whose metrics are at `address`.
    pub(crate) fn start(process: Process, address: SocketAddr) -> Result<Self> {
        let mut metrics = Metrics::connect(address)?;
        let (stop, stopped) = mpsc::channel();
        let thread = thread::spawn(move || {
            let mut most_kib = 0;
            loop {
                let waiting_kib = metrics.page()?.sum("xray_buffer_bytes")? / 1024;
                most_kib = most_kib.max(process.memory()?.now_kib.saturating_sub(waiting_kib));
                if stopped.recv_timeout(LOOK) != Err(RecvTimeoutError::Timeout) {
                    return Ok(most_kib);
                }
            }
        });
        Ok(Self { stop, thread })
    }

    /// The most that resident memory was above what waited, in KiB.
    pub(crate) fn end(self) -> Result<u64> {
        drop(self.stop);
        self.thread.join().map_err(|_| "the watch has ended too early")?
    }
}
