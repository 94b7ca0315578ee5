//! Files, for [`super::load`] and for what the kernel tells.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::Path;

/// The most bytes of a configuration file; the official example has 1,300. The bound is for `-c /dev/zero`.
const MAX_BYTES: u64 = 1024 * 1024;

/// Reads configuration files; a trait so that tests pass texts.
pub trait Files {
    /// The bytes of the file at `path`.
    ///
    /// # Errors
    /// What the file system says.
    fn read(&self, path: &Path) -> io::Result<Vec<u8>>;
}

/// The files of the system; one larger than 1 MiB is an error.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemFiles;

impl Files for SystemFiles {
    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        // One byte more than allowed, so that a file that is too large shows and is not read in part.
        let read = File::open(path)?.take(MAX_BYTES + 1).read_to_end(&mut bytes)?;
        if read as u64 > MAX_BYTES {
            return Err(io::Error::other("larger than 1 MiB, which no cfg.yaml is"));
        }
        Ok(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_of_the_largest_size_is_read_and_a_larger_one_is_not() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("cfg.yaml");
        let largest = vec![b'#'; usize::try_from(MAX_BYTES).unwrap()];
        std::fs::write(&path, &largest).unwrap();
        assert_eq!(SystemFiles.read(&path).unwrap(), largest);
        std::fs::write(&path, [&largest[..], b"#"].concat()).unwrap();
        assert_eq!(
            SystemFiles.read(&path).unwrap_err().to_string(),
            "larger than 1 MiB, which no cfg.yaml is"
        );
    }
}
