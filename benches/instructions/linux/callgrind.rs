//! Instructions by function, from callgrind.

use std::collections::HashMap;
use std::fs;
use std::net::UdpSocket;
use std::process::Stdio;
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use xray_double::sized::Segment;

use super::Result;
use super::calls;
use super::endpoint::Endpoint;
use super::valgrind;

/// What callgrind calls the file of the first thread, which the calls are made on. Others receive, and write the log.
const MAIN_THREAD: &str = "out-01";

/// How long the daemon may take to bind, which takes fifty times as long as without valgrind.
const START_LIMIT: Duration = Duration::from_secs(60);

/// Instructions of a run, by function, each without what it calls.
#[derive(Debug, Default)]
pub(crate) struct Profile(HashMap<String, u64>);

/// Runs the daemon for `calls` batches and those before them: what its main thread did.
pub(crate) fn run(endpoint: &Endpoint, calls: u64) -> Result<Profile> {
    let dir = tempfile::tempdir()?;
    let out = format!("--callgrind-out-file={}/out", dir.path().display());
    let socket = UdpSocket::bind("127.0.0.1:0")?;
    // Free until the daemon has it.
    let udp = UdpSocket::bind("127.0.0.1:0")?.local_addr()?;
    socket.connect(udp)?;
    endpoint.forget();
    let mut process = valgrind::command(
        "callgrind",
        &["--separate-threads=yes", &out],
        calls::DAEMON,
        &[endpoint.url(), udp.to_string()],
    )?
    .stdout(Stdio::null())
    .spawn()
    .map_err(|error| valgrind::not_there(&error))?;
    let sent = send(&socket, endpoint, calls::WARM_UP + calls);
    let told = kill(Pid::from_raw(i32::try_from(process.id())?), Signal::SIGTERM);
    let status = process.wait()?;
    sent?;
    told?;
    if !status.success() {
        return Err(format!("under callgrind: {status}").into());
    }
    let profile = Profile::of(&fs::read_to_string(dir.path().join(MAIN_THREAD))?)?;
    if profile.total(Profile::is_sha) == 0 {
        return Err("callgrind knows no function by its name: start it with `.ci/run instructions`, which leaves names in".into());
    }
    Ok(profile)
}

/// Sends `batches`, each when the call of the last one has been answered.
fn send(socket: &UdpSocket, endpoint: &Endpoint, batches: u64) -> Result<()> {
    let started = Instant::now();
    // A socket that nobody has refuses, which shows at the next call.
    while socket.send(&[]).is_err() || socket.take_error()?.is_some() {
        if started.elapsed() > START_LIMIT {
            return Err("the daemon does not bind its socket".into());
        }
        thread::sleep(Duration::from_millis(10));
    }
    let mut segment = Segment::new(calls::DOCUMENT_BYTES);
    for _ in 0..batches {
        for number in 0..calls::DOCUMENTS {
            socket.send(segment.numbered(number))?;
        }
        endpoint.answer()?;
    }
    Ok(())
}

impl Profile {
    /// Reads what callgrind writes: `fn=(3) name` says of which function the following lines are, each a place and a cost;
    /// after `calls=` comes one that is the callee's.
    fn of(text: &str) -> Result<Self> {
        let mut names: HashMap<&str, &str> = HashMap::new();
        let mut costs: HashMap<&str, u64> = HashMap::new();
        let (mut function, mut is_of_callee) = ("", false);
        for line in text.lines() {
            if let Some(called) = line.strip_prefix("fn=").or(line.strip_prefix("cfn=")) {
                let (number, name) = called.split_once(' ').unwrap_or((called, ""));
                if !name.is_empty() {
                    names.insert(number, name);
                }
                if line.starts_with("fn=") {
                    function = number;
                }
            } else if line.starts_with("calls=") {
                is_of_callee = true;
            } else if line.starts_with(|first: char| first.is_ascii_digit() || "+-*".contains(first))
                && !std::mem::take(&mut is_of_callee)
            {
                let cost = line.split(' ').nth(1).unwrap_or("0");
                *costs.entry(function).or_default() += cost.parse::<u64>()?;
            }
        }
        let mut profile = Self::default();
        for (number, cost) in costs {
            let name = names.get(number).copied().unwrap_or("?");
            *profile.0.entry(name.to_owned()).or_default() += cost;
        }
        Ok(profile)
    }

    /// What is here and not in `other`.
    pub(crate) fn less(mut self, other: &Self) -> Self {
        for (name, cost) in &mut self.0 {
            *cost = cost.saturating_sub(other.0.get(name).copied().unwrap_or(0));
        }
        self
    }

    pub(crate) fn total(&self, counts: impl Fn(&str) -> bool) -> u64 {
        let counting = self.0.iter().filter(|(name, _)| counts(name));
        counting.map(|(_, cost)| cost).sum()
    }

    pub(crate) fn total_without_sha(&self) -> u64 {
        self.total(|name| !Self::is_sha(name))
    }

    pub(crate) fn largest(&self) -> Vec<(&str, u64)> {
        let mut all: Vec<(&str, u64)> = self.0.iter().map(|(name, cost)| (name.as_str(), *cost)).collect();
        all.sort_by_key(|(_, cost)| std::cmp::Reverse(*cost));
        all
    }

    /// The rounds of SHA-256.
    pub(crate) fn is_sha(name: &str) -> bool {
        name.contains("sha2::") || name.contains("sha256")
    }

    pub(crate) fn is_allocator(name: &str) -> bool {
        ["mi_", "_mi_", "__rustc", "__rust_"]
            .iter()
            .any(|start| name.starts_with(start))
            || name.contains("mimalloc")
    }

    pub(crate) fn is_of_memory(name: &str) -> bool {
        ["memcpy", "memmove", "memset", "memcmp", "bcmp"]
            .iter()
            .any(|word| name.contains(word))
    }
}
