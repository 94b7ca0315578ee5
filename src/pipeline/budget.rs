//! How many bytes may wait in memory: `-m` when given, else 1 % of the memory this process may use, at least 16 MB, but
//! not more than a third of it.
//!
//! The official daemon takes 1 % of the *host's* memory, whatever the container's limit is. Here the control group's
//! limit counts first (v2 `memory.max`, v1 `memory.limit_in_bytes`, the least along the path to the root), then the
//! host's `MemTotal`. A process that goes beyond such a limit is killed, with all that waits in it, so what does not fit
//! is said at the start.
//!
//! What is counted is the memory that batches hold. Beside it, while segments keep coming, memory of two of the largest
//! bodies at most is kept for the next ones ([`crate::pipeline::batch`]).

use std::fmt;
use std::path::{Path, PathBuf};

use crate::config::Files;
use crate::pipeline::batch;

/// Bytes of a MB as `-m` and `TotalBufferSizeMB` mean it.
pub const MB: u64 = 1 << 20;

/// The least that is chosen without being asked for, where there is room for it.
pub const MIN_DEFAULT_MB: u64 = 16;

/// The least that works, and so the least that is ever chosen.
const LEAST_MB: u64 = 3;

/// The most that the process needs beside what waits, in MB: the program and its threads, calls under way, bodies over
/// TCP, and the kernel's buffers of its sockets, which the control group counts too. Measured were 25.5, of which 12 are
/// the program's own pages, with 20,000 segments/s, 16 clients that post 2 MB, and slow calls over TLS; the rest is for
/// other systems. Bodies of OTLP come on top.
const OWN_MB: u64 = 35;

/// What is assumed where the system tells no memory size at all: as if it had 1.6 GB.
const UNKNOWN_MEMORY_BYTES: u64 = MIN_DEFAULT_MB * MB * 100;

/// The budget of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Budget {
    /// The whole, in MB; that of all lanes together.
    pub total_mb: u64,
    /// Most bytes of an open batch.
    pub open_batch_bytes: usize,
    /// Most bytes of all sealed batches, waiting or in flight.
    pub sealed_bytes: usize,
    /// Most bytes of batches on their way to the spool; 0 without one.
    pub to_spool_bytes: usize,
}

impl Budget {
    /// Splits `total_mb` (at least 3, checked by [`crate::config`]).
    ///
    /// The open batch gets an eighth at most, so that even the smallest budget holds several batches and the oldest
    /// one to be dropped is not the whole of it.
    #[must_use]
    pub fn of_mb(total_mb: u64) -> Self {
        let total_bytes = usize::try_from(total_mb.saturating_mul(MB)).unwrap_or(usize::MAX);
        Self::of_bytes(total_mb, total_bytes)
    }

    fn of_bytes(total_mb: u64, bytes: usize) -> Self {
        let open_batch_bytes = (bytes / 8).min(batch::MAX_BODY_BYTES);
        Self {
            total_mb,
            open_batch_bytes,
            sealed_bytes: bytes - open_batch_bytes,
            to_spool_bytes: 0,
        }
    }

    /// The share of each of `lanes` lanes. What two of them have in common counts in both, so together they hold no more.
    #[must_use]
    pub fn share(self, lanes: usize) -> Self {
        let bytes = self.open_batch_bytes + self.sealed_bytes + self.to_spool_bytes;
        Self::of_bytes(self.total_mb, bytes / lanes.max(1))
    }

    /// The same in all, with half of it for batches that wait to be written to the spool: a disk that does not answer for
    /// a second must not cost anything, even with the smallest budget.
    #[must_use]
    pub fn with_spool(self) -> Self {
        let to_spool_bytes = (self.open_batch_bytes + self.sealed_bytes) / 2;
        Self {
            sealed_bytes: self.sealed_bytes - to_spool_bytes,
            to_spool_bytes,
            ..self
        }
    }

    /// The budget asked for, or 1 % of `memory_bytes` but not less than [`MIN_DEFAULT_MB`], and then not more than a
    /// third of it, but 3 MB at least.
    #[must_use]
    pub fn decide(asked_mb: Option<u64>, memory_bytes: u64) -> Self {
        let memory_mb = memory_bytes / MB;
        let default_mb = (memory_mb / 100).max(MIN_DEFAULT_MB).min(memory_mb / 3);
        Self::of_mb(asked_mb.unwrap_or(default_mb.max(LEAST_MB)))
    }

    /// Whether this and the process's own needs, with `otlp_bytes` for bodies of OTLP, are more than the memory that it may
    /// use.
    #[must_use]
    pub fn warning(&self, memory_bytes: u64, otlp_bytes: u64) -> Option<TooLittleMemory> {
        let memory_mb = memory_bytes / MB;
        let own_mb = OWN_MB + otlp_bytes.div_ceil(MB);
        let needed_mb = self.total_mb.saturating_add(own_mb);
        (needed_mb > memory_mb).then(|| TooLittleMemory {
            memory_mb,
            buffer_mb: self.total_mb,
            needed_mb,
            own_mb,
            smaller: match memory_mb.saturating_sub(own_mb) {
                fits_mb @ LEAST_MB.. => Some((fits_mb, fits_mb + own_mb)),
                _ if self.total_mb > LEAST_MB => Some((LEAST_MB, LEAST_MB + own_mb)),
                _ => None,
            },
        })
    }
}

/// What this process may use is less than it needs at the worst; shown, it says what to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TooLittleMemory {
    /// What it may use, in MB.
    pub memory_mb: u64,
    /// What segments may wait in, in MB.
    pub buffer_mb: u64,
    /// What the process may need in all, in MB.
    pub needed_mb: u64,
    /// What it may need of that beside what waits, in MB.
    pub own_mb: u64,
    /// A smaller buffer that fits, or is the least that works, and what the process may need then, in MB.
    pub smaller: Option<(u64, u64)>,
}

impl fmt::Display for TooLittleMemory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            memory_mb,
            buffer_mb,
            needed_mb,
            own_mb,
            smaller,
        } = self;
        write!(
            f,
            "This process may use {memory_mb} MB of memory, and may need {needed_mb} MB under load: {buffer_mb} MB for \
             segments that wait (-m) and up to {own_mb} MB for itself. Beyond the limit the system kills it, and what \
             waits is lost. "
        )?;
        match smaller {
            Some((fits_mb, needs_mb)) if needs_mb <= memory_mb => {
                write!(f, "Allow {needed_mb} MB, or write -m {fits_mb}.")
            }
            Some((least_mb, needs_mb)) => {
                write!(f, "Allow {needed_mb} MB, or {needs_mb} MB with -m {least_mb}.")
            }
            None => write!(f, "Allow {needed_mb} MB."),
        }
    }
}

/// The memory this process may use, in bytes: its control group's limit or the host's memory, whichever is less.
#[must_use]
pub fn available_memory_bytes(files: &dyn Files) -> u64 {
    let text = |path: &Path| {
        files
            .read(path)
            .ok()
            .map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
    };
    let host = text(Path::new("/proc/meminfo"))
        .as_deref()
        .and_then(mem_total_bytes);
    let groups = text(Path::new("/proc/self/cgroup")).unwrap_or_default();
    limit_files(&groups)
        .iter()
        .filter_map(|path| text(path).as_deref().and_then(limit_bytes))
        .chain(host)
        .min()
        .unwrap_or(UNKNOWN_MEMORY_BYTES)
}

/// The limit files of the groups in `/proc/self/cgroup`, from the group up to the root. Inside a container the group
/// named there may lie outside of what is mounted, so the mount's root is always among them.
fn limit_files(groups: &str) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for line in groups.lines() {
        let mut fields = line.splitn(3, ':');
        let (Some(_), Some(controllers), Some(group)) = (fields.next(), fields.next(), fields.next()) else {
            continue;
        };
        let (mount, name) = if controllers.is_empty() {
            ("/sys/fs/cgroup", "memory.max")
        } else if controllers.split(',').any(|controller| controller == "memory") {
            ("/sys/fs/cgroup/memory", "memory.limit_in_bytes")
        } else {
            continue;
        };
        for ancestor in Path::new(group.trim_start_matches('/')).ancestors() {
            files.push(Path::new(mount).join(ancestor).join(name));
        }
    }
    files
}

/// A limit file's number; `max` and v1's huge "no limit" are none (the host's memory is less anyway).
fn limit_bytes(text: &str) -> Option<u64> {
    text.trim().parse().ok().filter(|&bytes| bytes > 0)
}

fn mem_total_bytes(meminfo: &str) -> Option<u64> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    let kib: u64 = line.trim().trim_end_matches("kB").trim().parse().ok()?;
    Some(kib.saturating_mul(1024))
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;
    use std::io;

    use super::*;

    struct Texts(HashMap<&'static str, &'static str>);

    impl Files for Texts {
        fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
            let text = path.to_str().and_then(|path| self.0.get(path));
            text.map(|text| text.as_bytes().to_vec())
                .ok_or_else(|| io::ErrorKind::NotFound.into())
        }
    }

    const HOST: (&str, &str) = ("/proc/meminfo", "MemTotal:       24600000 kB\nMemFree: 1 kB\n");

    fn memory(files: &[(&'static str, &'static str)]) -> u64 {
        available_memory_bytes(&Texts(files.iter().copied().collect()))
    }

    #[test]
    fn without_a_control_group_the_host_counts() {
        assert_eq!(memory(&[HOST]), 24_600_000 * 1024);
    }

    #[test]
    fn the_least_limit_along_the_v2_path_counts() {
        let bytes = memory(&[
            HOST,
            ("/proc/self/cgroup", "0::/kubepods/pod1/c1\n"),
            ("/sys/fs/cgroup/kubepods/pod1/c1/memory.max", "max\n"),
            ("/sys/fs/cgroup/kubepods/pod1/memory.max", "67108864\n"),
            ("/sys/fs/cgroup/kubepods/memory.max", "20000000000\n"),
        ]);
        assert_eq!(bytes, 64 * MB);
    }

    #[test]
    fn inside_a_container_the_mounts_own_limit_counts() {
        let bytes = memory(&[
            HOST,
            ("/proc/self/cgroup", "0::/../../elsewhere\n"),
            ("/sys/fs/cgroup/memory.max", "268435456\n"),
        ]);
        assert_eq!(bytes, 256 * MB);
    }

    #[test]
    fn a_v1_memory_group_counts() {
        let bytes = memory(&[
            HOST,
            ("/proc/self/cgroup", "5:cpu,cpuacct:/a\n4:memory:/docker/x\n"),
            (
                "/sys/fs/cgroup/memory/docker/x/memory.limit_in_bytes",
                "134217728\n",
            ),
            (
                "/sys/fs/cgroup/memory/memory.limit_in_bytes",
                "9223372036854771712\n",
            ),
        ]);
        assert_eq!(bytes, 128 * MB);
    }

    #[test]
    fn a_limit_of_nothing_is_none() {
        let bytes = memory(&[
            HOST,
            ("/proc/self/cgroup", "0::/\n"),
            ("/sys/fs/cgroup/memory.max", "0\n"),
        ]);
        assert_eq!(bytes, 24_600_000 * 1024);
    }

    #[test]
    fn where_nothing_tells_the_size_of_the_memory_the_least_budget_is_one_percent_of_it() {
        assert_eq!(memory(&[]), 1_677_721_600);
        assert_eq!((MB, MIN_DEFAULT_MB), (1_048_576, 16));
    }

    #[test]
    fn the_default_is_one_percent_but_not_below_sixteen() {
        assert_eq!(Budget::decide(None, 24_600_000 * 1024).total_mb, 240);
        assert_eq!(Budget::decide(None, 512 * MB).total_mb, 16);
        assert_eq!(Budget::decide(None, memory(&[])).total_mb, 16);
        assert_eq!(Budget::decide(Some(3), 24_600_000 * 1024).total_mb, 3);
    }

    #[test]
    fn the_default_is_a_third_of_a_small_limit_and_never_less_than_three() {
        for (limit_mb, default_mb) in [
            (4096, 40),
            (64, 16),
            (48, 16),
            (47, 15),
            (32, 10),
            (16, 5),
            (8, 3),
            (0, 3),
        ] {
            assert_eq!(
                Budget::decide(None, limit_mb * MB).total_mb,
                default_mb,
                "{limit_mb} MB"
            );
        }
        assert_eq!(
            Budget::decide(Some(24), 24 * MB).total_mb,
            24,
            "what was asked for"
        );
    }

    #[test]
    fn a_limit_that_is_too_small_is_said_with_the_numbers_in_both_versions_of_control_groups() {
        for (group, file) in [
            ("0::/\n", "/sys/fs/cgroup/memory.max"),
            ("4:memory:/\n", "/sys/fs/cgroup/memory/memory.limit_in_bytes"),
        ] {
            let memory = memory(&[HOST, ("/proc/self/cgroup", group), (file, "25165824\n")]);
            let warning = Budget::decide(Some(24), memory).warning(memory, 0).unwrap();
            assert_eq!(
                warning.to_string(),
                ("This process may use 24 MB of memory, and may need 59 MB under load: 24 MB for segments that wait \
                     (-m) and up to 35 MB for itself. Beyond the limit the system kills it, and what waits is lost. Allow \
                     59 MB, or 38 MB with -m 3.")
            );
        }
        let advice = |asked_mb, limit_mb: u64| {
            let warning = Budget::decide(asked_mb, limit_mb * MB).warning(limit_mb * MB, 0);
            warning.map(|warning| warning.to_string().split_once(" lost. ").unwrap().1.to_owned())
        };
        assert_eq!(
            advice(Some(40), 64).as_deref(),
            Some("Allow 75 MB, or write -m 29.")
        );
        assert_eq!(advice(Some(3), 16).as_deref(), Some("Allow 38 MB."));
        assert_eq!(
            advice(None, 16).as_deref(),
            Some("Allow 40 MB, or 38 MB with -m 3.")
        );
        assert_eq!(advice(None, 64), None);
        assert_eq!(advice(Some(29), 64), None);
        let with_otlp = Budget::decide(Some(29), 64 * MB).warning(64 * MB, 6 * MB + 1);
        assert_eq!(
            with_otlp.map(|warning| (warning.needed_mb, warning.own_mb, warning.smaller)),
            Some((71, 42, Some((22, 64))))
        );
    }

    #[test]
    fn the_parts_make_the_whole() {
        for (mb, open) in [(3, 393_216), (8, 1 << 20), (240, 1 << 20)] {
            let budget = Budget::of_mb(mb);
            assert_eq!(budget.open_batch_bytes, open, "{mb} MB");
            assert_eq!(
                (budget.open_batch_bytes + budget.sealed_bytes) as u64,
                mb * MB,
                "{mb} MB"
            );
            let spooling = budget.with_spool();
            assert_eq!(
                (spooling.open_batch_bytes + spooling.sealed_bytes + spooling.to_spool_bytes) as u64,
                mb * MB,
                "{mb} MB"
            );
            assert_eq!(spooling.to_spool_bytes as u64, mb * MB / 2, "{mb} MB");
        }
    }

    #[test]
    fn two_lanes_have_half_each() {
        let [whole, half] = [1, 2].map(|lanes| Budget::of_mb(3).share(lanes));
        assert_eq!(whole, Budget::of_mb(3));
        assert_eq!(half.open_batch_bytes, 196_608);
        assert_eq!(half.open_batch_bytes + half.sealed_bytes, 3 << 19);
        assert_eq!(half.total_mb, 3);
    }
}
