//! The file operations that a spool needs, and the directory that does them.

use std::fs::{self, File, TryLockError};
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::thread::{Scope, ScopedJoinHandle};

/// The file whose lock keeps a second daemon out. It stays when the daemon ends; the lock goes with the process.
const LOCK: &str = ".lock";

/// Most files that are made safe at the same time.
const SYNC_THREADS: usize = 4;

/// A directory of files. All names are plain file names in it.
pub trait Disk {
    /// A file that is being written.
    type File;

    /// Makes the directory if need be and locks it against other processes, until dropped. Nothing to do when that was
    /// done and still holds: somebody may have removed the directory since, and another process made it anew.
    ///
    /// # Errors
    /// [`io::ErrorKind::WouldBlock`] when another process has it; otherwise what the file system says.
    fn lock(&mut self) -> io::Result<()>;

    /// Whether users other than the owner may write to it, and so remove or plant files.
    fn is_open_to_others(&self) -> bool;

    /// The regular files, with their lengths.
    ///
    /// # Errors
    /// What the file system says.
    fn list(&self) -> io::Result<Vec<(String, u64)>>;

    /// Writes a new file. It need not be safe before [`Disk::sync`].
    ///
    /// # Errors
    /// [`io::ErrorKind::AlreadyExists`], or what the file system says; part of the file may then be there.
    fn create(&self, name: &str, content: &[u8]) -> io::Result<Self::File>;

    /// Makes the contents of files safe against a loss of power; what the file system says of each.
    fn sync(&self, files: &[Self::File]) -> Vec<io::Result<()>>;

    /// Makes names, new ones and removed ones, safe against a loss of power.
    ///
    /// # Errors
    /// What the file system says.
    fn sync_names(&self) -> io::Result<()>;

    /// Gives a file another name, at once and whole.
    ///
    /// # Errors
    /// What the file system says.
    fn rename(&self, from: &str, to: &str) -> io::Result<()>;

    /// The content of a regular file that is `bytes` long; longer ones are not read further than one byte beyond.
    ///
    /// # Errors
    /// [`io::ErrorKind::NotFound`], or what the file system says.
    fn read(&self, name: &str, bytes: u64) -> io::Result<Vec<u8>>;

    /// Removes a file.
    ///
    /// # Errors
    /// [`io::ErrorKind::NotFound`], or what the file system says.
    fn remove(&self, name: &str) -> io::Result<()>;
}

/// A directory of the file system. What it makes, others can't read: the directory has mode 0700, files 0600.
#[derive(Debug)]
pub struct Directory {
    path: PathBuf,
    lock: Option<File>,
}

impl Directory {
    /// At `path`, which need not exist yet.
    #[must_use]
    pub fn new(path: &Path) -> Self {
        Self {
            path: path.to_owned(),
            lock: None,
        }
    }

    fn of(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }
}

impl Disk for Directory {
    type File = File;

    fn lock(&mut self) -> io::Result<()> {
        // The lock is worth nothing once the file is another one than at the path, or none is there.
        if let Some(lock) = &self.lock
            && is_at(lock, &self.of(LOCK))
        {
            return Ok(());
        }
        let mut directory = fs::DirBuilder::new();
        directory.recursive(true);
        // On Windows a directory has the rights of the one above it.
        #[cfg(unix)]
        std::os::unix::fs::DirBuilderExt::mode(&mut directory, 0o700);
        directory.create(&self.path)?;
        let lock = private().create(true).truncate(false).open(self.of(LOCK))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(io::ErrorKind::WouldBlock.into()),
            Err(TryLockError::Error(error)) => return Err(error),
        }
        self.lock = Some(lock);
        Ok(())
    }

    fn is_open_to_others(&self) -> bool {
        // Windows' lists of rights are not asked: they are the administrator's.
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt as _;
            fs::metadata(&self.path).is_ok_and(|metadata| metadata.permissions().mode() & 0o022 != 0)
        }
        // As above.
        #[cfg(not(unix))]
        {
            false
        }
    }

    fn list(&self) -> io::Result<Vec<(String, u64)>> {
        let mut files = Vec::new();
        for entry in fs::read_dir(&self.path)? {
            let entry = entry?;
            // Not followed: a link may lead anywhere.
            let Ok(metadata) = entry.metadata() else {
                continue;
            };
            if let (true, Ok(name)) = (metadata.is_file(), entry.file_name().into_string()) {
                files.push((name, metadata.len()));
            }
        }
        Ok(files)
    }

    fn create(&self, name: &str, content: &[u8]) -> io::Result<File> {
        let mut file = private().create_new(true).open(self.of(name))?;
        file.write_all(content)?;
        Ok(file)
    }

    fn sync(&self, files: &[File]) -> Vec<io::Result<()>> {
        // Side by side: a file system writes its journal once for those that wait together.
        let share = files.len().div_ceil(SYNC_THREADS).max(1);
        std::thread::scope(|scope| {
            let mut shares = files.chunks(share);
            let own = shares.next().unwrap_or_default();
            let others: Vec<_> = shares.map(|files| (files, sync_beside(scope, files))).collect();
            let mut results = sync_all(own);
            for (files, thread) in others {
                results.extend(match thread.map(|thread| thread.join()) {
                    Some(Ok(synced)) => synced,
                    // No thread to be had, or one that panicked.
                    _ => sync_all(files),
                });
            }
            results
        })
    }

    fn sync_names(&self) -> io::Result<()> {
        // Windows cannot open a directory to make it safe, and has names in its file system's own journal.
        #[cfg(unix)]
        File::open(&self.path)?.sync_all()?;
        Ok(())
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        fs::rename(self.of(from), self.of(to))
    }

    fn read(&self, name: &str, bytes: u64) -> io::Result<Vec<u8>> {
        let path = self.of(name);
        // Opening a pipe would wait for its writer, and a link may lead anywhere.
        if !fs::symlink_metadata(&path)?.is_file() {
            return Err(io::Error::other("not a regular file"));
        }
        let mut content = Vec::with_capacity(usize::try_from(bytes).unwrap_or_default());
        File::open(path)?
            .take(bytes.saturating_add(1))
            .read_to_end(&mut content)?;
        Ok(content)
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        fs::remove_file(self.of(name))
    }
}

/// Whether `file` is the one at `path`.
fn is_at(file: &File, path: &Path) -> bool {
    // On Windows a file that is open is not replaced.
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt as _;
        let identity = |metadata: fs::Metadata| (metadata.dev(), metadata.ino());
        let own = file.metadata().map(identity);
        own.is_ok_and(|own| fs::metadata(path).map(identity).is_ok_and(|there| there == own))
    }
    // As above.
    #[cfg(not(unix))]
    {
        let _: &File = file;
        path.exists()
    }
}

fn sync_all(files: &[File]) -> Vec<io::Result<()>> {
    files.iter().map(File::sync_all).collect()
}

fn sync_beside<'scope>(
    scope: &'scope Scope<'scope, '_>,
    files: &'scope [File],
) -> Option<ScopedJoinHandle<'scope, Vec<io::Result<()>>>> {
    std::thread::Builder::new()
        .name("xray-spool-sync".to_owned())
        .spawn_scoped(scope, || sync_all(files))
        .ok()
}

/// Options for files that nobody else can read.
fn private() -> fs::OpenOptions {
    let mut options = File::options();
    options.write(true);
    // On Windows a file has the rights of its directory.
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options
}

// They ask for modes of files, and replace what is open.
#[cfg(unix)]
#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    #[test]
    fn other_users_see_neither_the_directory_nor_the_files() {
        let parent = tempfile::tempdir().unwrap();
        let path = parent.path().join("a/spool");
        let mut directory = Directory::new(&path);
        directory.lock().unwrap();
        directory.create("x", b"secret").unwrap();
        assert_eq!(mode(&path), 0o700);
        assert_eq!((mode(&path.join("x")), mode(&path.join(LOCK))), (0o600, 0o600));
        assert!(!directory.is_open_to_others());
        fs::set_permissions(&path, fs::Permissions::from_mode(0o770)).unwrap();
        assert!(directory.is_open_to_others());
    }

    #[test]
    fn a_second_one_is_kept_out_until_the_first_is_gone() {
        let parent = tempfile::tempdir().unwrap();
        let mut first = Directory::new(parent.path());
        let mut second = Directory::new(parent.path());
        first.lock().unwrap();
        assert_eq!(second.lock().unwrap_err().kind(), io::ErrorKind::WouldBlock);
        drop(first);
        second.lock().unwrap();
    }

    #[test]
    fn a_directory_that_was_replaced_is_locked_anew_unless_another_one_was_there_first() {
        let parent = tempfile::tempdir().unwrap();
        let path = parent.path().join("spool");
        let mut first = Directory::new(&path);
        first.lock().unwrap();
        fs::remove_dir_all(&path).unwrap();
        let mut second = Directory::new(&path);
        second.lock().unwrap();
        assert_eq!(first.lock().unwrap_err().kind(), io::ErrorKind::WouldBlock);
        fs::remove_dir_all(&path).unwrap();
        first.lock().unwrap();
        assert_eq!(second.lock().unwrap_err().kind(), io::ErrorKind::WouldBlock);
        first.lock().unwrap();
    }

    #[test]
    fn links_and_pipes_are_no_files_of_a_spool() {
        let parent = tempfile::tempdir().unwrap();
        let directory = Directory::new(parent.path());
        directory.create("file", b"content").unwrap();
        std::os::unix::fs::symlink(parent.path().join("file"), parent.path().join("link")).unwrap();
        fs::create_dir(parent.path().join("directory")).unwrap();
        assert_eq!(directory.list().unwrap(), [("file".to_owned(), 7)]);
        assert_eq!(directory.read("file", 7).unwrap(), b"content");
        assert_eq!(
            directory.read("file", 3).unwrap(),
            b"cont",
            "one more than the length, to see that it is wrong"
        );
        assert_eq!(
            directory.read("link", 7).unwrap_err().kind(),
            io::ErrorKind::Other
        );
        assert_eq!(
            directory.create("file", b"").unwrap_err().kind(),
            io::ErrorKind::AlreadyExists
        );
        assert_eq!(
            directory.create("link", b"").unwrap_err().kind(),
            io::ErrorKind::AlreadyExists
        );
    }
    #[test]
    fn what_the_file_system_says_of_each_file_comes_back_in_the_order_of_the_files() {
        let parent = tempfile::tempdir().unwrap();
        let directory = Directory::new(parent.path());
        for count in [0, 1, 3, 10] {
            // A device can't be made safe.
            let is_device = |n: usize| n % 4 == 1 || n == 9;
            let files: Vec<File> = (0..count)
                .map(|n| match is_device(n) {
                    true => File::options().write(true).open("/dev/null").unwrap(),
                    false => directory.create(&format!("{count}-{n}"), b"x").unwrap(),
                })
                .collect();
            let synced: Vec<bool> = directory.sync(&files).iter().map(Result::is_ok).collect();
            let expected: Vec<bool> = (0..count).map(|n| !is_device(n)).collect();
            assert_eq!(synced, expected);
        }
    }

    #[test]
    fn a_file_is_renamed_and_removed_and_what_is_not_there_is_an_error() {
        let parent = tempfile::tempdir().unwrap();
        let directory = Directory::new(parent.path());
        directory.create("a", b"content").unwrap();
        directory.rename("a", "b").unwrap();
        assert_eq!(directory.list().unwrap(), [("b".to_owned(), 7)]);
        directory.sync_names().unwrap();
        directory.remove("b").unwrap();
        assert_eq!(directory.list().unwrap(), []);
        for gone in [
            directory.rename("a", "b"),
            directory.remove("b"),
            directory.read("b", 7).map(drop),
            Directory::new(&parent.path().join("gone")).sync_names(),
        ] {
            assert_eq!(gone.unwrap_err().kind(), io::ErrorKind::NotFound);
        }
    }
}
