//! What Linux tells of this process.

use std::path::Path;

use crate::config::Files;

/// A file of lines such as `Threads: 4`, with a tab.
const STATUS: &str = "/proc/self/status";

/// The values by their names.
#[derive(Debug, Clone)]
pub(super) struct Status(Vec<u8>);

impl Status {
    /// As of now; one without any value where the system does not tell.
    pub(super) fn now(files: &dyn Files) -> Self {
        Self::of(files.read(Path::new(STATUS)).unwrap_or_default())
    }

    /// Of the file's content.
    pub(super) fn of(text: impl Into<Vec<u8>>) -> Self {
        Self(text.into())
    }

    /// The value of that name.
    pub(super) fn value(&self, name: &str) -> Option<&str> {
        // A process may have any bytes for a name.
        let value = self
            .0
            .split(|&byte| byte == b'\n')
            .find_map(|line| line.strip_prefix(name.as_bytes())?.strip_prefix(b":"))?;
        std::str::from_utf8(value).ok().map(str::trim)
    }

    /// How many threads there are.
    pub(super) fn threads(&self) -> Option<u64> {
        self.value("Threads")?.parse().ok()
    }

    /// Whether a filter decides which system calls are made, and may end the process for one of them.
    #[cfg(target_os = "linux")]
    pub(super) fn is_filtered(&self) -> bool {
        self.value("Seccomp") == Some("2")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // What only Linux has is in it.
    #[cfg(target_os = "linux")]
    #[test]
    fn a_value_is_that_of_the_line_with_its_name() {
        let status = Status::of(b"Name:\tx\xff\nThreads:\t4\nSeccomp:\t2\nSeccomp_filters:\t1\n");
        assert_eq!(status.threads(), Some(4));
        assert!(status.is_filtered());
        assert_eq!(status.value("Name"), None);
        assert_eq!(status.value("Seccomp_filters"), Some("1"));
        for status in [&b""[..], b"Seccomp:\t0\n", b"Name:\tSeccomp:\t2\n", b"Seccomp"] {
            let status = Status::of(status);
            assert!(!status.is_filtered());
            assert_eq!(status.threads(), None);
        }
    }

    // By a file in /proc.
    #[cfg(target_os = "linux")]
    #[test]
    fn linux_tells() {
        assert!(Status::now(&crate::config::SystemFiles).threads() >= Some(1));
    }
}
