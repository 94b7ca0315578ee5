//! Files that somebody named, read whole and never waited for.
//!
//! Whoever names a file can name anything: a pipe that nobody writes to, a terminal, `/dev/zero`, a directory that a
//! container engine made where a file was missing, a dump of 100 MB. So what is read here is a file of bounded size, and
//! all else is an error at once. [`Kind`] is the one reader for all of them; what a library reads by itself is looked at
//! with it first.

use std::fs::{self, File, Metadata};
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

/// A kind of file: what it is called and how large it may be.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Kind {
    /// What it is in the singular, as in "larger than 1 MiB, which no cfg.yaml is".
    pub(crate) name: &'static str,
    /// The most MiB of one.
    pub(crate) max_mib: u64,
}

/// A configuration file; the official example has 1,300 bytes.
const CONFIG: Kind = Kind {
    name: "cfg.yaml",
    max_mib: 1,
};

/// How often a pipe is looked at, and how many times: two seconds in all.
const PIPE_PAUSE: Duration = Duration::from_millis(10);
const PIPE_LOOKS: u32 = 200;

impl Kind {
    /// The bytes of the file at `path`. Waits for nothing but the disk.
    ///
    /// # Errors
    /// What the file system says; [`io::ErrorKind::FileTooLarge`]; or [`io::ErrorKind::Other`], with words of its own, for
    /// a pipe, a device, and a file of the kernel's that would be waited for.
    pub(crate) fn read(self, path: &Path) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        // One byte more than allowed, so that a file that is too large shows and is not read in part.
        let mut file = open(path)?.take(self.max_bytes() + 1);
        let read = file.read_to_end(&mut bytes).map_err(in_words)?;
        self.fits(read as u64).map(|()| bytes)
    }

    /// Whether [`Kind::read`] would go well, without reading: for a file that a library reads by itself.
    ///
    /// # Errors
    /// As [`Kind::read`].
    pub(crate) fn check(self, path: &Path) -> io::Result<()> {
        let mut file = open(path)?;
        let bytes = file.metadata()?.len();
        // The kernel's own files (in /proc, say) tell no length. Some have no end, and some are waited for: who reads one of
        // these without knowing never comes back, not even for a signal.
        if bytes == 0 && file.read(&mut [0]).map_err(in_words)? > 0 {
            return Err(io::Error::other("is a file of the kernel's, without a length"));
        }
        self.fits(bytes)
    }

    fn fits(self, bytes: u64) -> io::Result<()> {
        if bytes > self.max_bytes() {
            let Self { name, max_mib } = self;
            return Err(io::Error::new(
                io::ErrorKind::FileTooLarge,
                format!("larger than {max_mib} MiB, which no {name} is"),
            ));
        }
        Ok(())
    }

    fn max_bytes(self) -> u64 {
        self.max_mib << 20
    }
}

/// The error of a read that did not wait.
fn in_words(error: io::Error) -> io::Error {
    match error.kind() {
        io::ErrorKind::WouldBlock => io::Error::other("is a file of the kernel's that has no end"),
        _ => error,
    }
}

/// Opens a file, and nothing else.
fn open(path: &Path) -> io::Result<File> {
    // Before it is opened, since to open some devices is to do something with them.
    must_be_file(&fs::metadata(path)?)?;
    let file = open_without_waiting(path)?;
    // It may be another one by now.
    must_be_file(&file.metadata()?)?;
    Ok(file)
}

fn open_without_waiting(path: &Path) -> io::Result<File> {
    let mut options = fs::OpenOptions::new();
    options.read(true);
    // Windows opens no pipe by the path of a file.
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::custom_flags(&mut options, no_waiting());
    options.open(path)
}

/// The flag for opening a pipe or a device without waiting for its other end; it changes nothing for files.
#[cfg(unix)]
pub(crate) fn no_waiting() -> i32 {
    rustix::fs::OFlags::NONBLOCK.bits().cast_signed()
}

/// Files, and the null device, by which people say "none".
fn must_be_file(metadata: &Metadata) -> io::Result<()> {
    if metadata.is_file() || is_null_device(metadata) {
        return Ok(());
    }
    if metadata.is_dir() {
        return Err(io::Error::new(io::ErrorKind::IsADirectory, "is a directory"));
    }
    let what = if is_pipe(metadata) { "pipe" } else { "device" };
    Err(io::Error::other(format!("is a {what}, not a file")))
}

/// A file that is there in order to be empty. Windows has none: `NUL` is no path in a file system.
#[cfg(unix)]
fn is_null_device(metadata: &Metadata) -> bool {
    use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
    let null = || fs::metadata("/dev/null").is_ok_and(|null| null.rdev() == metadata.rdev());
    metadata.file_type().is_char_device() && null()
}

/// The same on Windows.
#[cfg(not(unix))]
fn is_null_device(_: &Metadata) -> bool {
    false
}

/// Something that may never end. On Windows pipes have paths of their own kind.
#[cfg(unix)]
fn is_pipe(metadata: &Metadata) -> bool {
    std::os::unix::fs::FileTypeExt::is_fifo(&metadata.file_type())
}

/// The same on Windows.
#[cfg(not(unix))]
fn is_pipe(_: &Metadata) -> bool {
    false
}

/// Reads configuration files; a trait so that tests pass texts.
pub trait Files {
    /// The bytes of the file at `path`.
    ///
    /// # Errors
    /// What the file system says.
    fn read(&self, path: &Path) -> io::Result<Vec<u8>>;

    /// Where the link at `path` leads. Files that are made up have none.
    ///
    /// # Errors
    /// What the file system says.
    fn link(&self, path: &Path) -> io::Result<PathBuf> {
        Err(io::Error::new(
            io::ErrorKind::NotFound,
            format!("{} is no link", path.display()),
        ))
    }
}

/// The files of the system; one larger than 1 MiB is an error, and so is what is no file. A pipe is read for two seconds:
/// `-c <(…)` of a shell is one.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemFiles;

impl Files for SystemFiles {
    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        if fs::metadata(path).is_ok_and(|metadata| is_pipe(&metadata)) {
            return read_pipe(open_without_waiting(path)?, PIPE_LOOKS);
        }
        CONFIG.read(path)
    }

    fn link(&self, path: &Path) -> io::Result<PathBuf> {
        fs::read_link(path)
    }
}

/// What is written to a pipe until its writer closes it.
fn read_pipe(pipe: File, looks: u32) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let mut pipe = pipe.take(CONFIG.max_bytes() + 1);
    for _ in 0..looks {
        match pipe.read_to_end(&mut bytes) {
            Ok(_) if bytes.is_empty() => {
                return Err(io::Error::other("is a pipe that nobody writes to"));
            }
            Ok(_) => return CONFIG.fits(bytes.len() as u64).map(|()| bytes),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => thread::sleep(PIPE_PAUSE),
            Err(error) => return Err(error),
        }
    }
    Err(io::Error::other(format!(
        "is a pipe that has no end within {} s",
        (PIPE_PAUSE * looks).as_secs_f32()
    )))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write as _;
    use std::process::{Command, Stdio};

    const SMALL: Kind = Kind {
        name: "file of this test",
        max_mib: 1,
    };

    fn said(result: io::Result<Vec<u8>>) -> String {
        result.unwrap_err().to_string()
    }

    fn pipe(directory: &tempfile::TempDir) -> PathBuf {
        let path = directory.path().join("pipe");
        assert!(Command::new("mkfifo").arg(&path).status().unwrap().success());
        path
    }

    #[test]
    fn a_file_of_the_largest_size_is_read_and_a_larger_one_is_not() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("cfg.yaml");
        let largest = vec![b'#'; usize::try_from(CONFIG.max_bytes()).unwrap()];
        fs::write(&path, &largest).unwrap();
        assert_eq!(SystemFiles.read(&path).unwrap(), largest);
        assert!(SMALL.check(&path).is_ok());
        fs::write(&path, [&largest[..], b"#"].concat()).unwrap();
        assert_eq!(
            SystemFiles.read(&path).unwrap_err().to_string(),
            "larger than 1 MiB, which no cfg.yaml is"
        );
        assert_eq!(
            SMALL.check(&path).unwrap_err().to_string(),
            "larger than 1 MiB, which no file of this test is"
        );
    }

    #[test]
    fn what_is_no_file_is_refused_at_once_but_the_null_device() {
        let directory = tempfile::tempdir().unwrap();
        assert_eq!(said(SMALL.read(&pipe(&directory))), "is a pipe, not a file");
        assert_eq!(said(SMALL.read(directory.path())), "is a directory");
        assert_eq!(
            said(SMALL.read(Path::new("/dev/zero"))),
            "is a device, not a file"
        );
        assert_eq!(SMALL.read(Path::new("/dev/null")).unwrap(), b"");
        let link = directory.path().join("link");
        std::os::unix::fs::symlink("/dev/zero", &link).unwrap();
        assert_eq!(said(SystemFiles.read(&link)), "is a device, not a file");
        assert_eq!(
            SMALL.read(&directory.path().join("gone")).unwrap_err().kind(),
            io::ErrorKind::NotFound
        );
    }

    // Its files are in /proc.
    #[cfg(target_os = "linux")]
    #[test]
    fn a_file_of_the_kernels_is_no_file_for_a_library_and_an_empty_one_is() {
        let said = |path: &Path| SMALL.check(path).map_err(|error| error.to_string());
        assert_eq!(
            said(Path::new("/proc/self/status")),
            Err("is a file of the kernel's, without a length".to_owned())
        );
        let directory = tempfile::tempdir().unwrap();
        let empty = directory.path().join("empty");
        fs::write(&empty, "").unwrap();
        assert_eq!(said(&empty), Ok(()));
        assert_eq!(
            in_words(io::ErrorKind::WouldBlock.into()).to_string(),
            "is a file of the kernel's that has no end"
        );
        assert_eq!(
            in_words(io::ErrorKind::NotFound.into()).kind(),
            io::ErrorKind::NotFound
        );
    }

    #[test]
    fn a_pipe_is_read_to_its_end_as_a_configuration_file_and_not_waited_for() {
        let directory = tempfile::tempdir().unwrap();
        let path = pipe(&directory);
        assert_eq!(said(SystemFiles.read(&path)), "is a pipe that nobody writes to");
        let mut writer = Command::new("sh")
            .args(["-c", "exec cat > \"$0\""])
            .arg(&path)
            .stdin(Stdio::piped())
            .spawn()
            .unwrap();
        // Waits for the writer, as a shell's own reader does.
        let reader = File::open(&path).unwrap();
        let open = || open_without_waiting(&path).unwrap();
        assert_eq!(
            said(read_pipe(open(), 2)),
            "is a pipe that has no end within 0.02 s"
        );
        writer.stdin.take().unwrap().write_all(b"Version: 2\n").unwrap();
        assert!(writer.wait().unwrap().success());
        assert_eq!(SystemFiles.read(&path).unwrap(), b"Version: 2\n");
        drop(reader);
    }
}
