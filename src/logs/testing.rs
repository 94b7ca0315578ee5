//! What unit tests of several modules share.

use std::io;
use std::sync::{Arc, LazyLock, Mutex};
use std::time::{Duration, UNIX_EPOCH};

use tracing::dispatcher::{DefaultGuard, Dispatch, set_default};

use crate::config::{LogFormat, LogLevel};
use crate::logs::{self, LogHandle};

/// How many cases a property is tried with: `PROPTEST_CASES` where it is set, for a longer search, and else `usual`.
pub(crate) fn cases(usual: u32) -> proptest::test_runner::Config {
    let asked = std::env::var("PROPTEST_CASES")
        .ok()
        .and_then(|cases| cases.parse().ok());
    proptest::test_runner::Config::with_cases(asked.unwrap_or(usual))
}

/// A second log, which nobody reads, for as long as the process lives. While there is only one, tracing asks whichever
/// thread comes to a line first whether anybody wants it, and remembers the answer for all: a test without a log would
/// take the line away from one that has the log.
static SECOND_LOG: LazyLock<(Dispatch, LogHandle)> =
    LazyLock::new(|| logs::to_writer(LogLevel::Info, LogFormat::Text, || UNIX_EPOCH, io::sink()).unwrap());

/// The log of this thread as it would be written, while the value lives.
pub(crate) struct LogLines {
    written: Written,
    handle: LogHandle,
    _installed: DefaultGuard,
}

#[derive(Clone, Default)]
struct Written(Arc<Mutex<Vec<u8>>>);

impl io::Write for Written {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl LogLines {
    /// From now on, at Info and above.
    pub(crate) fn collect() -> Self {
        Self::collect_from(LogLevel::Info, LogFormat::Text)
    }

    /// From now on, at `level` and above, in this format.
    pub(crate) fn collect_from(level: LogLevel, format: LogFormat) -> Self {
        LazyLock::force(&SECOND_LOG);
        let written = Written::default();
        let (dispatch, handle) = logs::to_writer(level, format, || UNIX_EPOCH, written.clone()).unwrap();
        Self {
            written,
            handle,
            _installed: set_default(&dispatch),
        }
    }

    /// The lines since the last time, each without its time: `[Info] text`.
    pub(crate) fn take(&self) -> Vec<String> {
        self.text()
            .lines()
            .map(|line| line.split_once(' ').unwrap().1.to_owned())
            .collect()
    }

    /// The objects since the last time, of a log in JSON.
    pub(crate) fn take_json(&self) -> Vec<serde_json::Value> {
        self.text()
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }

    fn text(&self) -> String {
        assert!(self.handle.flush(Duration::from_secs(20)));
        let written = std::mem::take(&mut *self.written.0.lock().unwrap());
        String::from_utf8(written).unwrap()
    }
}
