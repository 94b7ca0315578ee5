//! How much more memory the daemon has than the segments that wait in it, while it runs.

use std::io::Write;
use std::net::{SocketAddr, TcpStream};
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use super::Result;
use super::http::Messages;
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
        let mut stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        let (stop, stopped) = mpsc::channel();
        let thread = thread::spawn(move || {
            let mut answers = Messages::new();
            let mut most_kib = 0;
            loop {
                stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")?;
                let (_, page) = answers
                    .next(&mut stream)?
                    .ok_or("the daemon closes the connection")?;
                let waiting_kib = waiting_bytes(&String::from_utf8_lossy(page))? / 1024;
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

/// Bytes of all documents in memory.
fn waiting_bytes(page: &str) -> Result<u64> {
    let values: Vec<f64> = page
        .lines()
        .filter_map(|line| {
            line.strip_prefix("xray_buffer_bytes{")?
                .split_once("} ")?
                .1
                .parse()
                .ok()
        })
        .collect();
    if values.is_empty() {
        return Err("the daemon's metrics lack xray_buffer_bytes".into());
    }
    Ok(values.iter().sum::<f64>() as u64)
}
