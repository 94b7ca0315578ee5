//! What the writer thread writes to, and what it does when that fails.

use super::file::LogFile;
use super::format::{self, Form, Record};
use super::layer::Clock;
use super::queue::{Item, Queue};
use super::sanitize::sanitize;
use std::io::{self, Write};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;
use tracing::Level;

/// How long to wait before asking again a stream that somebody made non-blocking and that is full.
const FULL_STREAM_PAUSE: Duration = Duration::from_millis(10);

/// Where lines go.
pub(super) enum Target {
    /// stdout, or whatever a test passes. Unbuffered: one line is one write call.
    Stream(Box<dyn Write + Send>),
    /// `-f`.
    File(LogFile),
}

/// The writer thread's state.
pub(super) struct Sink<'a> {
    target: Target,
    form: Form,
    clock: Clock,
    /// Lines that could not be written, since the start; read by the handle.
    failed_total: &'a AtomicU64,
    /// Lines that could not be written since the last one that could.
    failed: u64,
    /// Why, for the notice.
    failure: String,
    /// The last write ended within a line.
    torn: bool,
}

impl<'a> Sink<'a> {
    pub(super) fn new(target: Target, form: Form, clock: Clock, failed_total: &'a AtomicU64) -> Self {
        Self {
            target,
            form,
            clock,
            failed_total,
            failed: 0,
            failure: String::new(),
            torn: false,
        }
    }

    /// Writes until the queue is closed and empty. Nothing that goes wrong with the log ends it.
    pub(super) fn run(mut self, queue: &Queue) {
        while let Some(item) = queue.pop() {
            match item {
                Item::Line(line) => self.line(&line),
                Item::Dropped(lines) => self.notice(dropped_notice(lines)),
                Item::Reopen(said) => self.reopen(said.as_deref()),
            }
        }
    }

    fn line(&mut self, line: &str) {
        if let Target::File(file) = &mut self.target
            && let Err(err) = file.rotate_if_full(line.len())
        {
            let path = shown(file.path());
            self.notice(Record::notice(
                format!("Cannot rotate the log file {path}: {err}; it goes on growing. Make its directory writable."),
                "path",
                path,
            ));
        }
        // While the notice does not get through, no line is tried: it would stand before the count of those lost.
        if let Err(err) = self.tell_failed().and_then(|()| self.write(line)) {
            self.failure = err.to_string();
            self.complain();
            self.failed_one();
        }
    }

    fn tell_failed(&mut self) -> io::Result<()> {
        if self.failed > 0 {
            let line = self.render(&failed_notice(self.failed, &self.failure));
            self.write(&line)?;
            self.failed = 0;
        }
        Ok(())
    }

    fn failed_one(&mut self) {
        self.failed += 1;
        self.failed_total.fetch_add(1, Relaxed);
    }

    /// A line of the log about itself, written at every level: it stands for lines that were asked for.
    fn notice(&mut self, record: Record) {
        let line = self.render(&record);
        // Not through `line`, which may rotate and so come back here.
        if let Err(err) = self.write(&line) {
            self.failure = err.to_string();
            self.failed_one();
        }
    }

    fn render(&self, record: &Record) -> String {
        format::line(self.form, (self.clock)(), Level::WARN, record)
    }

    /// `said` is for the new file: where there is none, it would not be true.
    fn reopen(&mut self, said: Option<&str>) {
        if let Target::File(file) = &mut self.target {
            match file.reopen() {
                Ok(()) => {
                    self.torn = false;
                    if let Some(said) = said {
                        self.line(said);
                    }
                }
                Err(err) => {
                    let path = shown(file.path());
                    self.notice(Record::notice(
                        format!(
                            "Cannot reopen the log file {path}: {err}; the file opened before stays in use."
                        ),
                        "path",
                        path,
                    ));
                }
            }
        }
    }

    /// One line in one write call, unless the system takes it in parts.
    fn write(&mut self, line: &str) -> io::Result<()> {
        let with_break;
        let mut rest = if self.torn {
            with_break = format!("\n{line}");
            with_break.as_bytes()
        } else {
            line.as_bytes()
        };
        let whole = rest.len();
        while !rest.is_empty() {
            let written = match &mut self.target {
                Target::Stream(stream) => stream.write(rest),
                Target::File(file) => file.file.write(rest).inspect(|&n| file.grew(n)),
            };
            match written {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(n) => {
                    rest = &rest[n..];
                    self.torn = !rest.is_empty();
                }
                Err(err) if err.kind() == io::ErrorKind::Interrupted => {}
                // A process that shares the stream made it non-blocking. This thread has nothing else to do.
                Err(err) if err.kind() == io::ErrorKind::WouldBlock => std::thread::sleep(FULL_STREAM_PAUSE),
                Err(err) => {
                    self.torn |= rest.len() < whole;
                    return Err(err);
                }
            }
        }
        match &mut self.target {
            Target::Stream(stream) => stream.flush(),
            Target::File(_) => Ok(()),
        }
    }

    /// Tells stderr once per outage that the log file fails. Not for stdout: there whoever reads stderr is most
    /// likely gone as well.
    fn complain(&self) {
        if let Target::File(file) = &self.target
            && self.failed == 0
        {
            let text = format!(
                "xray: cannot write the log file {}: {}; the daemon goes on and counts the lines that are lost\n",
                shown(file.path()),
                self.failure
            );
            // Nowhere left to report a failure to.
            let _ = io::stderr().write_all(text.as_bytes());
        }
    }
}

/// A path in a message: escaped and bounded.
pub(super) fn shown(path: &Path) -> String {
    sanitize(path.as_os_str().as_encoded_bytes(), 1000)
}

fn dropped_notice(lines: u64) -> Record {
    Record::notice(
        format!(
            "{} dropped here: the reader of the log was too slow",
            lines_were(lines)
        ),
        "dropped_lines",
        lines,
    )
}

fn failed_notice(lines: u64, cause: &str) -> Record {
    Record::notice(
        format!("{} lost here: {cause}", lines_were(lines)),
        "lost_lines",
        lines,
    )
}

fn lines_were(lines: u64) -> String {
    match lines {
        1 => "1 log line was".to_owned(),
        n => format!("{n} log lines were"),
    }
}
