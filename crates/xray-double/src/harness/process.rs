//! Child processes whose output can be waited for and which never outlive the test.

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

/// How long a condition may take to come true. It bounds a failing test; a passing one never waits for it.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// A running child process; killed when dropped.
pub struct Process {
    name: &'static str,
    child: Child,
    output: Arc<Output>,
}

/// What a process wrote to stdout and stderr so far, by lines in the order they were read.
#[derive(Default)]
struct Output {
    written: Mutex<Written>,
    changed: Condvar,
}

#[derive(Default)]
struct Written {
    lines: Vec<String>,
    /// Of the two streams.
    ended: usize,
}

impl Process {
    /// Starts `command` with nothing to read.
    pub fn start(name: &'static str, command: &mut Command) -> Self {
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("{name} does not start ({command:?}): {error}"));
        let output = Arc::new(Output::default());
        follow(child.stdout.take().expect("stdout is piped"), &output);
        follow(child.stderr.take().expect("stderr is piped"), &output);
        Self { name, child, output }
    }

    /// The first line that `find` makes something of; waits for it.
    ///
    /// # Panics
    /// With all that was written, when the process ends or [`PATIENCE`] passes before such a line.
    pub fn wait_for<T>(&self, what: &str, find: impl Fn(&str) -> Option<T>) -> T {
        self.wait_until(what, |lines| lines.iter().find_map(|line| find(line)))
    }

    /// What `find` makes of all lines written so far, as soon as that is something.
    ///
    /// # Panics
    /// As [`Process::wait_for`].
    pub fn wait_until<T>(&self, what: &str, find: impl Fn(&[String]) -> Option<T>) -> T {
        let deadline = Instant::now() + PATIENCE;
        let mut written = self.output.written.lock().expect("no reader panicked");
        loop {
            if let Some(found) = find(&written.lines) {
                return found;
            }
            let left = deadline.saturating_duration_since(Instant::now());
            assert!(
                !left.is_zero() && written.ended < 2,
                "{} did not say {what}; it wrote:\n{}",
                self.name,
                written.lines.join("\n")
            );
            written = self
                .output
                .changed
                .wait_timeout(written, left)
                .expect("no reader panicked")
                .0;
        }
    }

    /// Its number in the system.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Sends the signal of that name, such as `TERM`.
    pub fn signal(&self, name: &str) {
        // The shell's own `kill`: the program of that name is not part of a minimal system.
        let kill = Command::new("sh")
            .args(["-c", &format!("kill -{name} {}", self.child.id())])
            .status()
            .expect("a shell");
        assert!(kill.success(), "{} cannot be signalled", self.name);
    }

    /// Asks the process to end with SIGTERM and waits until it has; its exit status and all it wrote.
    pub fn terminate(self) -> (ExitStatus, Vec<String>) {
        self.signal("TERM");
        self.end()
    }

    /// Waits until the process has ended; its exit status and all it wrote.
    pub fn end(mut self) -> (ExitStatus, Vec<String>) {
        let lines = {
            let deadline = Instant::now() + PATIENCE;
            let mut written = self.output.written.lock().expect("no reader panicked");
            while written.ended < 2 {
                let left = deadline.saturating_duration_since(Instant::now());
                assert!(
                    !left.is_zero(),
                    "{} does not end; it wrote:\n{}",
                    self.name,
                    written.lines.join("\n")
                );
                written = self
                    .output
                    .changed
                    .wait_timeout(written, left)
                    .expect("no reader panicked")
                    .0;
            }
            written.lines.clone()
        };
        let status = self.child.wait().expect("a child that can be waited for");
        (status, lines)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Both fail only when the process has ended already.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

fn follow(stream: impl Read + Send + 'static, output: &Arc<Output>) {
    let output = Arc::clone(output);
    std::thread::spawn(move || {
        let mut stream = BufReader::new(stream);
        let mut line = Vec::new();
        while stream.read_until(b'\n', &mut line).is_ok_and(|read| read > 0) {
            let text = String::from_utf8_lossy(&line).trim_end().to_owned();
            line.clear();
            output
                .written
                .lock()
                .expect("no reader panicked")
                .lines
                .push(text);
            output.changed.notify_all();
        }
        output.written.lock().expect("no reader panicked").ended += 1;
        output.changed.notify_all();
    });
}
