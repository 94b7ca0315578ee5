//! What the system does for the store's file: a lock, modes, names that survive a crash.

use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

/// Why a file can't be used.
#[derive(Debug)]
pub(super) enum Refused {
    /// Another process has it.
    InUse,
    /// It is something else; it was not touched.
    Foreign,
    /// The system says no.
    Io(io::Error),
}

impl From<io::Error> for Refused {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

/// Opens or makes a file that nobody else has open here.
pub(super) fn locked(path: &Path) -> Result<File, Refused> {
    loop {
        let mut options = File::options();
        options.create(true).append(true).read(true);
        private(&mut options);
        let file = options.open(path)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(Refused::InUse),
            Err(TryLockError::Error(error)) => return Err(Refused::Io(error)),
        }
        // Whoever had it may have put a new one in its place meanwhile.
        if is_at(&file, path)? {
            return Ok(file);
        }
    }
}

/// Whether `file` is still the one at `path`, which somebody may have replaced.
#[cfg(unix)]
fn is_at(file: &File, path: &Path) -> io::Result<bool> {
    use std::os::unix::fs::MetadataExt as _;
    let (own, other) = (file.metadata()?, fs::metadata(path)?);
    Ok((own.dev(), own.ino()) == (other.dev(), other.ino()))
}

/// The same on Windows.
#[cfg(not(unix))]
fn is_at(_: &File, _: &Path) -> io::Result<bool> {
    // An open file cannot be replaced.
    Ok(true)
}

/// Segments are customer data: others can't read them.
pub(super) fn private(options: &mut fs::OpenOptions) {
    // On Windows a file has the rights of its directory, which is the user's own.
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(options, 0o600);
    // As above: nothing to ask for.
    #[cfg(not(unix))]
    let _ = options;
}

/// Also when somebody has opened it to others.
pub(super) fn keep_private(file: &File) -> io::Result<()> {
    // As in [`private`].
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        if file.metadata()?.permissions().mode() & 0o077 != 0 {
            file.set_permissions(fs::Permissions::from_mode(0o600))?;
        }
    }
    // As in [`private`].
    #[cfg(not(unix))]
    let _ = file;
    Ok(())
}

/// A new name is there after a crash only when its directory has it.
pub(super) fn sync_directory(path: &Path) -> io::Result<()> {
    // Windows cannot open a directory to make it safe, and has names in its file system's own journal.
    #[cfg(unix)]
    {
        let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty());
        File::open(directory.unwrap_or(Path::new(".")))?.sync_all()
    }
    // As above: nothing to do.
    #[cfg(not(unix))]
    {
        let _ = path;
        Ok(())
    }
}

/// A name beside it.
pub(super) fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".");
    name.push(suffix);
    PathBuf::from(name)
}
