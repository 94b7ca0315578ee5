//! The processes of the benchmark and how they talk: a line in, a line of `name=value` pairs out.

use std::collections::HashMap;
use std::fmt::Debug;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::str::FromStr;

use super::Result;

pub(crate) const SINK: &str = "__sink";
pub(crate) const GENERATOR: &str = "__generator";
pub(crate) const CONTROL: &str = "__control";
pub(crate) const CONTROL_OVER_TCP: &str = "__control-over-tcp";
pub(crate) const SPANS: &str = "__spans";
pub(crate) const OTLP_CONTROL: &str = "__otlp_control";

/// This very program as another process.
pub(crate) fn command(role: &str) -> Result<Command> {
    let mut command = Command::new(std::env::current_exe()?);
    command.arg(role);
    Ok(command)
}

/// A process that answers each line on stdin with one on stdout. It is killed when this is dropped.
#[derive(Debug)]
pub(crate) struct Helper {
    child: Child,
    stdin: ChildStdin,
    stdout: BufReader<ChildStdout>,
}

/// The pairs of one answer.
#[derive(Debug)]
pub(crate) struct Answer(HashMap<String, String>);

impl Helper {
    pub(crate) fn start(role: &str, arguments: &[String]) -> Result<Self> {
        let mut child = command(role)?
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let (Some(stdin), Some(stdout)) = (child.stdin.take(), child.stdout.take()) else {
            return Err("no pipes to a helper".into());
        };
        Ok(Self {
            child,
            stdin,
            stdout: BufReader::new(stdout),
        })
    }

    pub(crate) fn tell(&mut self, line: &str) -> Result<()> {
        writeln!(self.stdin, "{line}")?;
        Ok(self.stdin.flush()?)
    }

    pub(crate) fn hear(&mut self) -> Result<Answer> {
        let mut line = String::new();
        if self.stdout.read_line(&mut line)? == 0 {
            return Err("a helper process ended too early; its message is above".into());
        }
        let pairs = line.split_whitespace().filter_map(|pair| pair.split_once('='));
        Ok(Answer(
            pairs
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .collect(),
        ))
    }

    pub(crate) fn ask(&mut self, line: &str) -> Result<Answer> {
        self.tell(line)?;
        self.hear()
    }
}

impl Drop for Helper {
    fn drop(&mut self) {
        let _: std::io::Result<()> = self.child.kill();
        let _: std::io::Result<std::process::ExitStatus> = self.child.wait();
    }
}

impl Answer {
    pub(crate) fn get<T: FromStr>(&self, name: &str) -> Result<T> {
        let value = self
            .0
            .get(name)
            .ok_or_else(|| format!("no {name} in a helper's answer"))?;
        value
            .parse()
            .map_err(|_| format!("{name}={value} in a helper's answer").into())
    }
}

/// A helper's argument by place.
pub(crate) fn argument<T>(arguments: &mut impl Iterator<Item = String>, name: &str) -> Result<T>
where
    T: FromStr,
    T::Err: Debug,
{
    let value = arguments.next().ok_or_else(|| format!("no {name}"))?;
    value
        .parse()
        .map_err(|error| format!("{name} {value}: {error:?}").into())
}

/// The sink's commands; each is answered with its counts.
pub(crate) const COUNT: &str = "count";
pub(crate) const RESET: &str = "reset";
/// With a number: documents from there on are counted apart as well.
pub(crate) const APART: &str = "apart";
pub(crate) const UP: &str = "up";
pub(crate) const DOWN: &str = "down";
pub(crate) const HOLD: &str = "hold";
/// From here on it is kept when each document comes.
pub(crate) const RECORD: &str = "record";
/// With a file, into which what was kept is written.
pub(crate) const WRITE: &str = "write";
/// With the words of [`super::sink::Faults::line`].
pub(crate) const FAULTS: &str = "faults";
