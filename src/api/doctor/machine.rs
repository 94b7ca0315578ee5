//! What this machine or container gives: the receive buffer, and memory for the budget.

use std::io;
use std::path::{Path, PathBuf};

use super::report::Verdict;
use crate::config::{Config, Files, Sourced, SystemFiles};
use crate::pipeline::budget::{self, Budget, MB};
use crate::receivers::otlp::limits::bodies_bytes;
use crate::receivers::udp;
use crate::receivers::udp::receive_buffer::{receive_buffer_advice, receive_buffer_bytes};

/// What a socket like the daemon's gets here.
pub(super) fn receive_buffer() -> Verdict {
    let anywhere = Sourced {
        value: "127.0.0.1:0".to_owned(),
        source: "doctor".to_owned(),
    };
    let granted = udp::bind(&anywhere)
        .map_err(|error| error.to_string())
        .and_then(|socket| receive_buffer_bytes(&socket).map_err(|error| error.to_string()));
    of_granted(granted)
}

fn of_granted(granted: Result<usize, String>) -> Verdict {
    const CHECK: &str = "receive-buffer";
    let granted_bytes = match granted {
        Ok(granted_bytes) => granted_bytes,
        Err(error) => {
            let remedy = "see why this machine gives no socket";
            return Verdict::warn(CHECK, format!("unknown: {error}"), remedy);
        }
    };
    let kib = granted_bytes / 1024;
    match receive_buffer_advice(granted_bytes) {
        None => Verdict::ok(CHECK, format!("a socket of this process gets {kib} KiB")),
        Some(_) => Verdict::warn(
            CHECK,
            format!(
                "a socket of this process gets {kib} KiB, capped by the system: bursts beyond it are lost"
            ),
            "`sysctl -w net.core.rmem_max=8388608` on the host, or CAP_NET_ADMIN for the daemon",
        ),
    }
}

/// Whether the budget fits into the memory that the daemon may use: `process` is the daemon, if it runs and is seen.
pub(super) fn memory(config: &Config, process: Option<u32>) -> Verdict {
    let available_bytes = budget::available_memory_bytes(&OfProcess(process));
    let otlp_bytes = bodies_bytes(config, available_bytes);
    of_memory(config.buffer.memory_mb, available_bytes, otlp_bytes)
}

fn of_memory(asked_mb: Option<u64>, available_bytes: u64, otlp_bytes: u64) -> Verdict {
    const CHECK: &str = "memory";
    let budget = Budget::decide(asked_mb, available_bytes);
    let (total_mb, available_mb) = (budget.total_mb, available_bytes / MB);
    match budget.warning(available_bytes, otlp_bytes) {
        None => Verdict::ok(
            CHECK,
            format!("{total_mb} MB for segments that wait (-m), of {available_mb} MB"),
        ),
        Some(warning) => Verdict::warn(
            CHECK,
            warning.to_string(),
            "a higher memory limit, or a smaller -m, as it says",
        ),
    }
}

/// The files of the system as that process sees its control group.
struct OfProcess(Option<u32>);

impl Files for OfProcess {
    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        let own = || SystemFiles.read(path);
        match self.0 {
            Some(id) if path == Path::new("/proc/self/cgroup") => {
                let other = PathBuf::from(format!("/proc/{id}/cgroup"));
                SystemFiles.read(&other).or_else(|_| own())
            }
            _ => own(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::report::Level;
    use super::*;

    #[test]
    fn a_receive_buffer_that_the_system_capped_is_told_with_its_size() {
        assert_eq!(of_granted(Ok(16 << 20)).level, Level::Ok);
        let capped = of_granted(Ok(425_984));
        assert_eq!(capped.level, Level::Warn);
        assert!(capped.message.contains("gets 416 KiB, capped"), "{capped:?}");
        assert!(capped.remedy.unwrap().contains("net.core.rmem_max=8388608"));
        let unknown = of_granted(Err("no more files".to_owned()));
        assert_eq!(
            (unknown.level, unknown.message.as_str()),
            (Level::Warn, "unknown: no more files")
        );
    }

    #[test]
    fn a_budget_that_does_not_fit_is_told_with_the_numbers() {
        assert_eq!(of_memory(None, 64 * MB, 0).level, Level::Ok);
        let tight = of_memory(Some(40), 64 * MB, 0);
        assert_eq!(tight.level, Level::Warn);
        assert!(
            tight
                .message
                .contains("may use 64 MB of memory, and may need 75 MB"),
            "{tight:?}"
        );
    }
}
