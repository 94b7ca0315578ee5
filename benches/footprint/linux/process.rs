//! What the system tells of another process.

use std::collections::BTreeMap;
use std::fs;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::time::{ClockId, clock_gettime};
use nix::unistd::Pid;

use super::Result;

/// A process by its number.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Process(pub(crate) u32);

/// Resident memory, in KiB.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Memory {
    pub(crate) now_kib: u64,
    pub(crate) peak_kib: u64,
}

impl Process {
    fn pid(self) -> Result<Pid> {
        Ok(Pid::from_raw(i32::try_from(self.0)?))
    }

    /// User and system time of all its threads, also those that have ended, to the nanosecond.
    pub(crate) fn cpu(self) -> Result<Duration> {
        Ok(clock_gettime(ClockId::pid_cpu_clock_id(self.pid()?)?)?.into())
    }

    /// `VmRSS` and `VmHWM`.
    pub(crate) fn memory(self) -> Result<Memory> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.0))?;
        Ok(Memory {
            now_kib: number(&status, "VmRSS:")?,
            peak_kib: number(&status, "VmHWM:")?,
        })
    }

    /// The name of each thread and how often it gave the processor away of its own accord: every sleep is one, and
    /// the wake-up that ends it.
    pub(crate) fn threads(self) -> Result<BTreeMap<u32, (String, u64)>> {
        let mut threads = BTreeMap::new();
        for entry in fs::read_dir(format!("/proc/{}/task", self.0))? {
            let entry = entry?;
            let Some(id) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else {
                continue;
            };
            // A thread may end while we look.
            let Ok(status) = fs::read_to_string(entry.path().join("status")) else {
                continue;
            };
            let name = status
                .lines()
                .next()
                .and_then(|line| line.split_whitespace().nth(1));
            let name = name.unwrap_or("?").to_owned();
            threads.insert(id, (name, number(&status, "voluntary_ctxt_switches:")?));
        }
        Ok(threads)
    }

    /// Sleeps of all threads that live.
    pub(crate) fn sleeps(self) -> Result<u64> {
        Ok(self.threads()?.values().map(|(_, sleeps)| sleeps).sum())
    }

    pub(crate) fn terminate(self) -> Result<()> {
        Ok(kill(self.pid()?, Signal::SIGTERM)?)
    }
}

fn number(status: &str, name: &str) -> Result<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix(name));
    let value = line.and_then(|line| line.split_whitespace().next()?.parse().ok());
    value.ok_or_else(|| format!("no {name} in /proc").into())
}

/// What the processors of the machine have done since it runs, in ticks of all of them.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Machine {
    busy: u64,
    all: u64,
}

impl Machine {
    pub(crate) fn now() -> Result<Self> {
        let stat = fs::read_to_string("/proc/stat")?;
        let line = stat.lines().next().unwrap_or_default();
        let ticks: Vec<u64> = line
            .split_whitespace()
            .filter_map(|word| word.parse().ok())
            .collect();
        // user, nice, system, idle, waiting for disks, interrupts of two kinds, stolen; guests are among the first.
        let &[user, nice, system, idle, waiting, hard, soft, stolen, ..] = ticks.as_slice() else {
            return Err("/proc/stat does not say what the processors did".into());
        };
        let busy = user + nice + system + hard + soft + stolen;
        Ok(Self {
            busy,
            all: busy + idle + waiting,
        })
    }

    /// The share of the processors' time in which they were busy since `earlier`, 0 to 1.
    pub(crate) fn busy_since(self, earlier: Self) -> f64 {
        (self.busy - earlier.busy) as f64 / (self.all - earlier.all).max(1) as f64
    }
}

/// Datagrams that the kernel dropped on the sockets of a local UDP port, because their buffers were full.
pub(crate) fn kernel_drops(port: u16) -> Result<u64> {
    let mut drops = 0;
    for table in ["/proc/net/udp", "/proc/net/udp6"] {
        // A host without IPv6 has no second table.
        let Ok(table) = fs::read_to_string(table) else {
            continue;
        };
        for line in table.lines().skip(1) {
            let fields: Vec<&str> = line.split_whitespace().collect();
            let local = fields.get(1).and_then(|address| address.rsplit(':').next());
            if local.is_some_and(|local| u16::from_str_radix(local, 16) == Ok(port)) {
                drops += fields
                    .last()
                    .and_then(|drops| drops.parse::<u64>().ok())
                    .unwrap_or(0);
            }
        }
    }
    Ok(drops)
}
