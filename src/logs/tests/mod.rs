//! The whole way of a line: event, layer, queue, thread, writer or file.

mod files;

use super::*;
use std::sync::Mutex;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Instant, UNIX_EPOCH};
use tracing::dispatcher::with_default;

/// Far more than any of these tests needs; reached only when one fails.
const PATIENCE: Duration = Duration::from_secs(20);

fn clock() -> SystemTime {
    UNIX_EPOCH + Duration::from_millis(1_795_222_923_004)
}

/// Collects what is written, call by call.
#[derive(Clone, Default)]
struct Calls(Arc<Mutex<Vec<String>>>);

impl Calls {
    fn take(&self) -> Vec<String> {
        std::mem::take(&mut self.0.lock().unwrap())
    }
}

impl Write for Calls {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0
            .lock()
            .unwrap()
            .push(String::from_utf8(bytes.to_vec()).unwrap());
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn collecting(level: LogLevel, format: LogFormat) -> (Calls, Dispatch, LogHandle) {
    let calls = Calls::default();
    let (dispatch, handle) = to_writer(level, format, clock, calls.clone()).unwrap();
    (calls, dispatch, handle)
}

fn log(dispatch: &Dispatch, handle: &LogHandle, events: impl FnOnce()) {
    with_default(dispatch, events);
    assert!(handle.flush(PATIENCE));
}

fn text(lines: &[&str]) -> String {
    lines
        .iter()
        .map(|line| format!("2026-11-21T01:02:03Z {line}\n"))
        .collect()
}

#[test]
fn each_event_is_one_line_in_one_write_call() {
    let (calls, dispatch, handle) = collecting(LogLevel::Trace, LogFormat::Text);
    log(&dispatch, &handle, || {
        tracing::info!(
            segments = 50,
            "Successfully sent batch of {} segments ({:.3} seconds)",
            50,
            0.1234
        );
        tracing::warn!("Invalid header: {}", sanitize(b"\x1b[31mred\x07\r", 100));
        tracing::error!("two\nlines");
        tracing::debug!("processor: done!");
        tracing::trace!("finest");
    });
    assert_eq!(
        calls.take(),
        [
            "2026-11-21T01:02:03Z [Info] Successfully sent batch of 50 segments (0.123 seconds)\n",
            "2026-11-21T01:02:03Z [Warn] Invalid header: \\x1b[31mred\\x07\\r\n",
            "2026-11-21T01:02:03Z [Error] two\\nlines\n",
            "2026-11-21T01:02:03Z [Debug] processor: done!\n",
            "2026-11-21T01:02:03Z [Trace] finest\n",
        ]
    );
    assert_eq!(handle.lost_lines(), 0);
}

#[test]
fn a_json_line_carries_every_field_with_its_type() {
    let (calls, dispatch, handle) = collecting(LogLevel::Info, LogFormat::Json);
    log(&dispatch, &handle, || {
        let cause = io::Error::other("connection \"refused\"\n");
        tracing::error!(
            segments = 50_u64,
            seconds = 0.25,
            retry = true,
            code = "ThrottlingException",
            error = &cause as &dyn std::error::Error,
            shown = %"x\u{1b}",
            debug = ?Some(-1),
            offset = -3,
            "Sending segment batch failed"
        );
    });
    let lines = calls.take();
    assert_eq!(lines.len(), 1);
    assert_eq!(
        serde_json::from_str::<serde_json::Value>(&lines[0]).unwrap(),
        serde_json::json!({
            "timestamp": "2026-11-21T01:02:03.004Z",
            "level": "error",
            "message": "Sending segment batch failed",
            "segments": 50,
            "seconds": 0.25,
            "retry": true,
            "code": "ThrottlingException",
            "error": "connection \"refused\"\n",
            "shown": "x\u{1b}",
            "debug": "Some(-1)",
            "offset": -3,
        })
    );
}

#[test]
fn each_level_writes_itself_and_what_is_more_severe() {
    for (level, expected) in [
        (LogLevel::Trace, "[Trace] t [Debug] d [Info] i [Warn] w [Error] e"),
        (LogLevel::Debug, "[Debug] d [Info] i [Warn] w [Error] e"),
        (LogLevel::Info, "[Info] i [Warn] w [Error] e"),
        (LogLevel::Warn, "[Warn] w [Error] e"),
        (LogLevel::Error, "[Error] e"),
    ] {
        let (calls, dispatch, handle) = collecting(level, LogFormat::Text);
        log(&dispatch, &handle, || {
            tracing::trace!("t");
            tracing::debug!("d");
            tracing::info!("i");
            tracing::warn!("w");
            tracing::error!("e");
        });
        let written = calls
            .take()
            .concat()
            .replace("2026-11-21T01:02:03Z ", "")
            .replace('\n', " ");
        assert_eq!(written.trim_end(), expected);
    }
}

#[test]
fn dependencies_may_only_warn_and_never_show_the_insides_of_an_error() {
    let say = || {
        tracing::trace!(target: "aws_smithy_runtime::client", "secret request");
        tracing::debug!(target: "aws_sigv4", "secret signature");
        tracing::info!(target: "hyper::proto", "secret body");
        tracing::warn!(target: "aws_config::meta", error = %"no keys: refused (Failure { body: \"secret\" })", "chain");
        tracing::error!(target: "aws_runtime", "broken");
    };
    let (calls, dispatch, handle) = collecting(LogLevel::Trace, LogFormat::Text);
    log(&dispatch, &handle, say);
    assert_eq!(
        calls.take().concat(),
        text(&[
            "[Warn] aws_config: chain error=no keys: refused",
            "[Error] aws_runtime: broken"
        ])
    );
    let (calls, dispatch, handle) = collecting(LogLevel::Error, LogFormat::Text);
    log(&dispatch, &handle, say);
    assert_eq!(calls.take().concat(), text(&["[Error] aws_runtime: broken"]));
}

/// A reader that takes nothing until it is told to go on.
struct Stuck {
    taken: Calls,
    go_on: Receiver<()>,
    free: bool,
}

impl Stuck {
    fn new() -> (Self, Calls, Sender<()>) {
        let (sender, go_on) = channel();
        let taken = Calls::default();
        let stuck = Self {
            taken: taken.clone(),
            go_on,
            free: false,
        };
        (stuck, taken, sender)
    }
}

impl Write for Stuck {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if !self.free {
            self.go_on.recv().unwrap();
            self.free = true;
        }
        self.taken.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_stuck_reader_blocks_nobody_and_is_told_what_it_missed() {
    let (stuck, taken, go_on) = Stuck::new();
    let target = Target::Stream(Box::new(stuck));
    let (dispatch, handle) = start(LogLevel::Info, LogFormat::Text, clock, target, 1000).unwrap();
    // Returns although nobody reads; the count says that most lines had no room.
    with_default(&dispatch, || {
        for _ in 0..10_000 {
            tracing::info!("x");
        }
    });
    assert!(!handle.flush(Duration::from_millis(10)), "the reader is stuck");
    let lost = handle.lost_lines();
    // 30 bytes a line: 33 lines fit into 1000 bytes, and one more may be in the writer's hand.
    assert!((9_966..=9_967).contains(&lost), "{lost}");
    go_on.send(()).unwrap();
    assert!(handle.flush(PATIENCE));
    log(&dispatch, &handle, || tracing::info!("y"));
    let mut lines = taken.take();
    assert_eq!(lines.pop().unwrap(), text(&["[Info] y"]));
    assert_eq!(
        lines.pop().unwrap(),
        text(&[&format!(
            "[Warn] {lost} log lines were dropped here: the reader of the log was too slow"
        )])
    );
    assert_eq!(lines.len() as u64, 10_000 - lost);
    assert!(lines.iter().all(|line| *line == text(&["[Info] x"])));
    assert_eq!(
        handle.lost_lines(),
        lost,
        "no line after the reader woke up was lost"
    );
}

#[test]
fn shutdown_waits_for_the_last_line_but_not_for_a_stuck_reader() {
    let (calls, dispatch, handle) = collecting(LogLevel::Info, LogFormat::Text);
    with_default(&dispatch, || tracing::info!("last"));
    assert!(handle.shutdown());
    assert_eq!(calls.take().concat(), text(&["[Info] last"]));
    with_default(&dispatch, || tracing::info!("too late"));
    assert!(calls.take().is_empty());

    let (stuck, _, _go_on) = Stuck::new();
    let (dispatch, handle) = to_writer(LogLevel::Info, LogFormat::Text, clock, stuck).unwrap();
    with_default(&dispatch, || tracing::info!("never read"));
    assert!(!handle.shutdown());
    let waited = Instant::now();
    assert!(!handle.shutdown());
    drop(handle);
    assert!(waited.elapsed() < SHUTDOWN_BOUND, "once is enough");
}

/// Answers each write call with the next of these; then takes everything.
struct Faults {
    answers: std::vec::IntoIter<io::Result<usize>>,
    taken: Calls,
}

impl Write for Faults {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self.answers.next() {
            Some(Ok(n)) => self.taken.write(&bytes[..n]),
            Some(Err(err)) => Err(err),
            None => self.taken.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn with_faults(answers: Vec<io::Result<usize>>) -> (Calls, Dispatch, LogHandle) {
    let taken = Calls::default();
    let writer = Faults {
        answers: answers.into_iter(),
        taken: taken.clone(),
    };
    let (dispatch, handle) = to_writer(LogLevel::Info, LogFormat::Text, clock, writer).unwrap();
    (taken, dispatch, handle)
}

#[test]
fn lines_that_could_not_be_written_are_counted_and_told_when_writing_works_again() {
    let full = || Err(io::Error::from(io::ErrorKind::StorageFull));
    let (taken, dispatch, handle) = with_faults(vec![full(), full(), full()]);
    log(&dispatch, &handle, || {
        for line in ["a", "b", "c"] {
            tracing::info!("{line}");
        }
    });
    assert_eq!(handle.lost_lines(), 3);
    assert!(taken.take().is_empty());
    log(&dispatch, &handle, || tracing::info!("d"));
    assert_eq!(
        taken.take().concat(),
        text(&["[Warn] 3 log lines were lost here: no storage space", "[Info] d"])
    );
    assert_eq!(handle.lost_lines(), 3);
}

#[test]
fn a_line_torn_by_a_full_disk_does_not_swallow_the_next_one() {
    let answers = vec![Ok(5), Err(io::Error::from(io::ErrorKind::StorageFull))];
    let (taken, dispatch, handle) = with_faults(answers);
    log(&dispatch, &handle, || {
        tracing::info!("a");
        tracing::info!("b");
    });
    let told = text(&["[Warn] 1 log line was lost here: no storage space", "[Info] b"]);
    assert_eq!(taken.take().concat(), format!("2026-\n{told}"));
}

#[test]
fn a_short_or_interrupted_or_full_non_blocking_stream_still_gets_the_whole_line() {
    let (taken, dispatch, handle) = with_faults(vec![
        Ok(3),
        Err(io::Error::from(io::ErrorKind::Interrupted)),
        Err(io::Error::from(io::ErrorKind::WouldBlock)),
        Ok(4),
    ]);
    log(&dispatch, &handle, || tracing::info!("a"));
    assert_eq!(taken.take().concat(), text(&["[Info] a"]));
    assert_eq!(handle.lost_lines(), 0);
}

#[test]
fn a_closed_pipe_ends_nothing() {
    let (reader, writer) = io::pipe().unwrap();
    let (dispatch, handle) = to_writer(LogLevel::Info, LogFormat::Text, clock, writer).unwrap();
    drop(reader);
    log(&dispatch, &handle, || {
        tracing::info!("a");
        tracing::info!("b");
    });
    assert_eq!(handle.lost_lines(), 2);
    assert!(handle.shutdown());
}
