//! The log file: made with its directories, appended to, rotated by size, opened anew on demand.
//!
//! It may be a device or a pipe (`/dev/stdout` in a container is one) as long as somebody reads: opening it waits for
//! nobody.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};

// For pipes that have a path, which Windows does not have.
#[cfg(unix)]
use crate::config::files::no_waiting;

/// The size that a log file never exceeds when it is rotated: 50 MB, as with the official daemon.
pub(super) const ROTATE_BYTES: u64 = 50 * 1024 * 1024;

/// A log file that is open for appending.
#[derive(Debug)]
pub(super) struct LogFile {
    path: PathBuf,
    pub(super) file: File,
    size_bytes: u64,
    /// `None`: it grows without limit.
    limit_bytes: Option<u64>,
    /// The size at which rotation is tried; above the limit only after an attempt failed.
    rotate_at_bytes: u64,
}

impl LogFile {
    /// Opens `path` as [`open_for_appending`] does. `limit_bytes` counts for regular files only: a device or a pipe must
    /// not be renamed.
    pub(super) fn open(path: &Path, limit_bytes: Option<u64>) -> io::Result<Self> {
        let file = open_for_appending(path)?;
        let metadata = file.metadata()?;
        let limit_bytes = limit_bytes.filter(|_| metadata.is_file());
        Ok(Self {
            path: path.to_owned(),
            file,
            size_bytes: if metadata.is_file() { metadata.len() } else { 0 },
            limit_bytes,
            rotate_at_bytes: limit_bytes.unwrap_or(u64::MAX),
        })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// `n` bytes were written.
    pub(super) fn grew(&mut self, n: usize) {
        self.size_bytes = self.size_bytes.saturating_add(n as u64);
    }

    /// Makes room for `next_bytes`: when the file would exceed the limit, it becomes `<path>.1`, replacing the one
    /// before, and a new one is begun. One line longer than the limit still gets a file of its own.
    ///
    /// # Errors
    /// What the file system says. The open file stays in use then, and the next attempt comes when it has grown by
    /// the limit once more.
    pub(super) fn rotate_if_full(&mut self, next_bytes: usize) -> io::Result<()> {
        let Some(limit_bytes) = self.limit_bytes else {
            return Ok(());
        };
        if self.size_bytes == 0 || self.size_bytes.saturating_add(next_bytes as u64) <= self.rotate_at_bytes {
            return Ok(());
        }
        let renamed = match std::fs::rename(&self.path, old_path(&self.path)) {
            // Somebody else has moved it away, or an earlier attempt got this far.
            Err(err) if err.kind() == io::ErrorKind::NotFound => Ok(()),
            other => other,
        };
        renamed.and_then(|()| self.reopen()).inspect_err(|_| {
            self.rotate_at_bytes = self.size_bytes.saturating_add(limit_bytes);
        })
    }

    /// Opens the path anew, for when somebody moved the file away. The open file stays in use when that fails.
    pub(super) fn reopen(&mut self) -> io::Result<()> {
        let limit_bytes = self.limit_bytes;
        *self = Self::open(&self.path, limit_bytes)?;
        Ok(())
    }
}

/// Opens `path` for appending, making it (0644) and its directories (0755) when missing, both less the umask. A pipe that
/// nobody reads is an error, at once.
///
/// # Errors
/// What the file system says.
pub fn open_for_appending(path: &Path) -> io::Result<File> {
    if let Some(directory) = path.parent().filter(|parent| !parent.as_os_str().is_empty()) {
        let mut builder = DirBuilder::new();
        builder.recursive(true);
        // On Windows a directory has the rights of the one above it.
        #[cfg(unix)]
        std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o755);
        builder.create(directory)?;
    }
    let mut options = OpenOptions::new();
    options.append(true).create(true);
    // Pipes and modes are not Windows'.
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt as _;
        options.mode(0o644).custom_flags(no_waiting());
    }
    let file = options.open(path).map_err(explained)?;
    // From here on its reader is waited for, by the thread that writes: lines are not lost to a moment's delay.
    #[cfg(unix)]
    {
        let flags = rustix::fs::fcntl_getfl(&file)?;
        rustix::fs::fcntl_setfl(&file, flags - rustix::fs::OFlags::NONBLOCK)?;
    }
    Ok(file)
}

/// The one error whose own words say nothing.
fn explained(error: io::Error) -> io::Error {
    // It is that of a pipe.
    #[cfg(unix)]
    if error.raw_os_error() == Some(rustix::io::Errno::NXIO.raw_os_error()) {
        return io::Error::new(
            error.kind(),
            "it is a pipe that nobody reads, or a device that is not there",
        );
    }
    error
}

/// `xray.log` becomes `xray.log.1`.
pub(super) fn old_path(path: &Path) -> PathBuf {
    let mut old = path.as_os_str().to_owned();
    old.push(".1");
    old.into()
}
