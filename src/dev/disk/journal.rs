//! The file of `--store`: documents behind each other, and what became of them.
//!
//! A line that names the format, then records: their length and its checksum, the checksum of what follows, and that. A
//! document that is let go is a record too. What is written is in the file after a sync, one for each [`Journal::append`];
//! a record that was not finished is cut off at the next start. Anything else that does not fit is damage, which no crash
//! makes: the rest of such a file is not trusted, and nothing of it is overwritten.

use std::collections::HashMap;
use std::fs::{self, File, TryLockError};
use std::io::{self, BufReader, BufWriter, Read, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};

/// The first line.
const FORMAT: &[u8] = b"xray dev --store, format 1\n";

/// Length, checksum of the rest, checksum of these two.
const HEAD_BYTES: usize = 12;

/// What a record has besides a document's text: its head, its kind, key, time, and whether it was made of an OTLP span.
pub(super) const BESIDES_TEXT: usize = HEAD_BYTES + 1 + 8 + 8 + 1;

/// The longest record that is read: a document's text has a few hundred kilobytes at most.
const MAX_RECORD_BYTES: usize = 16 << 20;

const PUT: u8 = 1;
const DELETE: u8 = 2;

/// A record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Record<'a> {
    /// A document.
    Put {
        /// Its key.
        key: u64,
        /// When it was accepted, in milliseconds since 1970.
        at_ms: u64,
        /// It was made of an OTLP span.
        otlp: bool,
        /// The document.
        text: &'a str,
    },
    /// The document of this key is gone.
    Delete(u64),
}

impl<'a> Record<'a> {
    /// Behind what is in `out`.
    fn write(self, out: &mut Vec<u8>) {
        let start = out.len();
        out.extend([0; HEAD_BYTES]);
        match self {
            Self::Put {
                key,
                at_ms,
                otlp,
                text,
            } => {
                out.push(PUT);
                out.extend(key.to_le_bytes());
                out.extend(at_ms.to_le_bytes());
                out.push(u8::from(otlp));
                out.extend(text.as_bytes());
            }
            Self::Delete(key) => {
                out.push(DELETE);
                out.extend(key.to_le_bytes());
            }
        }
        let (head, body) = out[start..].split_at_mut(HEAD_BYTES);
        // Of 4 GiB is no document.
        let length = u32::try_from(body.len()).unwrap_or(u32::MAX);
        head[..4].copy_from_slice(&length.to_le_bytes());
        head[4..8].copy_from_slice(&crc32fast::hash(body).to_le_bytes());
        let of_head = crc32fast::hash(&head[..8]);
        head[8..].copy_from_slice(&of_head.to_le_bytes());
    }

    /// Of what stands behind a head whose checksum is right.
    fn of(body: &'a [u8]) -> Option<Self> {
        let (kind, rest) = body.split_first()?;
        let (key, rest) = rest.split_first_chunk()?;
        let key = u64::from_le_bytes(*key);
        match *kind {
            DELETE if rest.is_empty() => Some(Self::Delete(key)),
            PUT => {
                let (at_ms, rest) = rest.split_first_chunk()?;
                let (otlp, text) = rest.split_first()?;
                Some(Self::Put {
                    key,
                    at_ms: u64::from_le_bytes(*at_ms),
                    otlp: *otlp == 1,
                    text: std::str::from_utf8(text).ok()?,
                })
            }
            _ => None,
        }
    }
}

/// How a file ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    /// With a record.
    Whole,
    /// With a record that was not finished: so many bytes of it were cut off.
    Cut(u64),
    /// From this byte on it is not what was written.
    Damaged(u64),
}

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

/// An open file, which no other process can open meanwhile.
#[derive(Debug)]
pub(super) struct Journal {
    path: PathBuf,
    file: File,
    /// Up to where it is as it was written.
    bytes: u64,
}

impl Journal {
    /// Opens or makes a file, and hands on what is in it and not deleted, in the order it was written.
    pub(super) fn open(path: &Path, take: &mut dyn FnMut(Record<'_>)) -> Result<(Self, End), Refused> {
        // The file that a link leads to is the one that is rewritten.
        let path = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
        // A pipe or a device would be waited for.
        if fs::metadata(&path).is_ok_and(|metadata| !metadata.is_file()) {
            return Err(Refused::Foreign);
        }
        let mut file = locked(&path)?;
        let length = file.metadata()?.len();
        let mut first = vec![0; FORMAT.len()];
        let read = read_up_to(&mut file, &mut first)?;
        if first[..read] != FORMAT[..read] {
            return Err(Refused::Foreign);
        }
        keep_private(&file)?;
        if read < FORMAT.len() {
            // New, or ended while it was made.
            file.set_len(0)?;
            file.write_all(FORMAT)?;
            file.sync_all()?;
            sync_directory(&path)?;
            let bytes = FORMAT.len() as u64;
            return Ok((Self { path, file, bytes }, End::Whole));
        }
        let mut deleted: HashMap<u64, u64> = HashMap::new();
        let mut reader = Reader::at_start(&file, length)?;
        let end = loop {
            let at = reader.at;
            match reader.next()? {
                Next::Record(Record::Delete(key)) => {
                    deleted.insert(key, at);
                }
                Next::Record(Record::Put { .. }) => {}
                Next::End => break End::Whole,
                Next::Unfinished => break End::Cut(length - at),
                Next::Damage => break End::Damaged(at),
            }
        };
        let bytes = reader.at;
        // Twice, so that what was deleted is not held meanwhile.
        let mut reader = Reader::at_start(&file, bytes)?;
        loop {
            let at = reader.at;
            match reader.next()? {
                Next::Record(Record::Delete(_)) => {}
                Next::Record(record @ Record::Put { key, .. }) => {
                    if deleted.get(&key).is_none_or(|deleted| *deleted < at) {
                        take(record);
                    }
                }
                Next::End | Next::Unfinished | Next::Damage => break,
            }
        }
        if matches!(end, End::Cut(_)) {
            file.set_len(bytes)?;
            file.sync_all()?;
        }
        Ok((Self { path, file, bytes }, end))
    }

    /// Its length.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Writes records behind the others, and waits until the disk has them.
    ///
    /// # Errors
    /// When the disk refuses. What is in the file then, [`Journal::rewrite`] mends.
    pub(super) fn append<'a>(&mut self, records: impl Iterator<Item = Record<'a>>) -> io::Result<()> {
        let written = write_all(&mut self.file, records)?;
        self.file.sync_data()?;
        self.bytes += written;
        Ok(())
    }

    /// Writes the file anew with these records alone. The old one is there until the new one is whole.
    ///
    /// # Errors
    /// When the disk refuses; the old file is as it was.
    pub(super) fn rewrite<'a>(&mut self, records: impl Iterator<Item = Record<'a>>) -> io::Result<()> {
        let new = with_suffix(&self.path, "rewriting");
        let mut options = File::options();
        options.create(true).append(true).read(true);
        private(&mut options);
        let mut file = options.open(&new)?;
        // Before it has the name that others look for.
        file.try_lock()?;
        file.set_len(0)?;
        file.write_all(FORMAT)?;
        let bytes = FORMAT.len() as u64 + write_all(&mut file, records)?;
        file.sync_all()?;
        fs::rename(&new, &self.path)?;
        self.file = file;
        self.bytes = bytes;
        sync_directory(&self.path)
    }

    /// Gives the file another name, and returns it. The next [`Journal::rewrite`] makes a new one under the old name.
    ///
    /// # Errors
    /// When the system refuses.
    pub(super) fn set_aside(&mut self) -> io::Result<PathBuf> {
        let mut aside = with_suffix(&self.path, "damaged");
        let mut number = 2;
        while aside.exists() {
            aside = with_suffix(&self.path, &format!("damaged-{number}"));
            number += 1;
        }
        fs::rename(&self.path, &aside)?;
        Ok(aside)
    }
}

/// What stands at a place of the file.
enum Next<'a> {
    Record(Record<'a>),
    End,
    Unfinished,
    Damage,
}

struct Reader<'f> {
    file: BufReader<&'f File>,
    /// Where the next record begins.
    at: u64,
    length: u64,
    body: Vec<u8>,
}

impl<'f> Reader<'f> {
    fn at_start(mut file: &'f File, length: u64) -> io::Result<Self> {
        let at = FORMAT.len() as u64;
        file.seek(SeekFrom::Start(at))?;
        Ok(Self {
            file: BufReader::with_capacity(256 << 10, file),
            at,
            length,
            body: Vec::new(),
        })
    }

    fn next(&mut self) -> io::Result<Next<'_>> {
        let left = self.length - self.at;
        if left == 0 {
            return Ok(Next::End);
        }
        let mut head = [0; HEAD_BYTES];
        let read = read_up_to(&mut self.file, &mut head)?;
        if read < HEAD_BYTES {
            return Ok(Next::Unfinished);
        }
        let number = |at: usize| u32::from_le_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]);
        if crc32fast::hash(&head[..8]) != number(8) {
            return self.unfinished_or_damage();
        }
        let length = number(0) as usize;
        let whole = (HEAD_BYTES + length) as u64;
        if length > MAX_RECORD_BYTES {
            return Ok(Next::Damage);
        }
        if whole > left {
            return Ok(Next::Unfinished);
        }
        self.body.resize(length, 0);
        self.file.read_exact(&mut self.body)?;
        if crc32fast::hash(&self.body) != number(4) {
            return self.unfinished_or_damage();
        }
        match Record::of(&self.body) {
            Some(record) => {
                self.at += whole;
                Ok(Next::Record(record))
            }
            None => Ok(Next::Damage),
        }
    }

    /// A file system may give room before it has what belongs there: then nothing follows. After damage something does.
    fn unfinished_or_damage(&mut self) -> io::Result<Next<'static>> {
        let mut piece = [0; 4096];
        loop {
            match read_up_to(&mut self.file, &mut piece)? {
                0 => return Ok(Next::Unfinished),
                read if piece[..read].iter().any(|byte| *byte != 0) => return Ok(Next::Damage),
                _ => {}
            }
        }
    }
}

/// Opens or makes a file that nobody else has open here.
fn locked(path: &Path) -> Result<File, Refused> {
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

#[cfg(unix)]
fn is_at(file: &File, path: &Path) -> io::Result<bool> {
    use std::os::unix::fs::MetadataExt as _;
    let (own, other) = (file.metadata()?, fs::metadata(path)?);
    Ok((own.dev(), own.ino()) == (other.dev(), other.ino()))
}

#[cfg(not(unix))]
fn is_at(_: &File, _: &Path) -> io::Result<bool> {
    // An open file cannot be replaced.
    Ok(true)
}

/// Segments are customer data: others can't read them.
fn private(options: &mut fs::OpenOptions) {
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(options, 0o600);
    #[cfg(not(unix))]
    let _ = options;
}

/// Also when somebody has opened it to others.
fn keep_private(file: &File) -> io::Result<()> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        if file.metadata()?.permissions().mode() & 0o077 != 0 {
            file.set_permissions(fs::Permissions::from_mode(0o600))?;
        }
    }
    #[cfg(not(unix))]
    let _ = file;
    Ok(())
}

/// A new name is there after a crash only when its directory has it.
fn sync_directory(path: &Path) -> io::Result<()> {
    #[cfg(unix)]
    {
        let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty());
        File::open(directory.unwrap_or(Path::new(".")))?.sync_all()
    }
    #[cfg(not(unix))]
    {
        let _ = path;
        Ok(())
    }
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".");
    name.push(suffix);
    PathBuf::from(name)
}

fn write_all<'a>(file: &mut File, records: impl Iterator<Item = Record<'a>>) -> io::Result<u64> {
    let mut writer = BufWriter::with_capacity(256 << 10, file);
    let (mut written, mut record_bytes) = (0, Vec::new());
    for record in records {
        record_bytes.clear();
        record.write(&mut record_bytes);
        writer.write_all(&record_bytes)?;
        written += record_bytes.len() as u64;
    }
    writer.flush()?;
    Ok(written)
}

/// As much as there is, up to all of `into`.
fn read_up_to(from: &mut impl Read, into: &mut [u8]) -> io::Result<usize> {
    let mut read = 0;
    while read < into.len() {
        match from.read(&mut into[read..]) {
            Ok(0) => break,
            Ok(more) => read += more,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(read)
}

#[cfg(test)]
pub(super) mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Keys and texts that a file holds, and how it ends.
    pub(in crate::dev::disk) fn content(path: &Path) -> Result<(Vec<(u64, String)>, End), Refused> {
        let mut found = Vec::new();
        let (_, end) = Journal::open(path, &mut |record| {
            if let Record::Put { key, text, .. } = record {
                found.push((key, text.to_owned()));
            }
        })?;
        Ok((found, end))
    }

    fn put(key: u64, text: &str) -> Record<'_> {
        Record::Put {
            key,
            at_ms: 5,
            otlp: false,
            text,
        }
    }

    fn of(pairs: &[(u64, &str)]) -> Vec<(u64, String)> {
        pairs
            .iter()
            .map(|(key, text)| (*key, (*text).to_owned()))
            .collect()
    }

    fn file() -> (tempfile::TempDir, PathBuf) {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("traces");
        (directory, path)
    }

    fn write(path: &Path, records: &[Record<'_>]) {
        let (mut journal, _) = Journal::open(path, &mut |_| {}).unwrap();
        journal.append(records.iter().copied()).unwrap();
        assert_eq!(journal.bytes(), fs::metadata(path).unwrap().len());
    }

    #[test]
    fn what_was_written_and_not_deleted_is_read_in_its_order() {
        let (_directory, path) = file();
        write(&path, &[put(1, "a"), put(2, "b"), Record::Delete(1), put(3, "c")]);
        // A key that was free may be given again.
        write(&path, &[put(1, "d"), Record::Delete(2), Record::Delete(9)]);
        assert_eq!(content(&path).unwrap(), (of(&[(3, "c"), (1, "d")]), End::Whole));
        let (mut journal, _) = Journal::open(&path, &mut |_| {}).unwrap();
        let before = journal.bytes();
        journal.rewrite([put(3, "c")].into_iter()).unwrap();
        assert!(journal.bytes() < before);
        journal.append([put(4, "e")].into_iter()).unwrap();
        drop(journal);
        assert_eq!(content(&path).unwrap(), (of(&[(3, "c"), (4, "e")]), End::Whole));
        assert_eq!(
            fs::metadata(&path).unwrap().len(),
            (FORMAT.len() + 2 * (BESIDES_TEXT + 1)) as u64
        );
    }

    #[test]
    fn a_write_that_was_not_finished_is_cut_off_wherever_it_ended() {
        let (_directory, path) = file();
        write(&path, &[put(1, "first")]);
        let first = fs::metadata(&path).unwrap().len();
        write(&path, &[put(2, "second")]);
        let whole = fs::read(&path).unwrap();
        for length in first + 1..whole.len() as u64 {
            for filled in [false, true] {
                let mut bytes = whole[..length as usize].to_vec();
                if filled {
                    bytes.resize(whole.len(), 0);
                }
                fs::write(&path, &bytes).unwrap();
                let (found, end) = content(&path).unwrap();
                assert_eq!(found, of(&[(1, "first")]), "{length}");
                assert_eq!(end, End::Cut(bytes.len() as u64 - first), "{length}");
                assert_eq!(fs::metadata(&path).unwrap().len(), first);
            }
        }
        fs::write(&path, &FORMAT[..5]).unwrap();
        assert_eq!(content(&path).unwrap(), (Vec::new(), End::Whole));
    }

    #[test]
    fn what_others_made_is_not_touched() {
        let (directory, path) = file();
        for other in [b"a text\n".as_slice(), b"y", b"xray dev --store, format 2\n"] {
            fs::write(&path, other).unwrap();
            assert!(matches!(content(&path), Err(Refused::Foreign)));
            assert_eq!(fs::read(&path).unwrap(), other);
        }
        assert!(matches!(content(directory.path()), Err(Refused::Foreign)));
    }

    #[test]
    fn one_process_has_it_also_after_it_was_rewritten() {
        let (_directory, path) = file();
        let (mut journal, _) = Journal::open(&path, &mut |_| {}).unwrap();
        assert!(matches!(content(&path), Err(Refused::InUse)));
        journal.rewrite(std::iter::empty()).unwrap();
        assert!(matches!(content(&path), Err(Refused::InUse)));
        drop(journal);
        assert!(content(&path).is_ok());
    }

    #[cfg(unix)]
    #[test]
    fn nobody_else_can_read_it() {
        use std::os::unix::fs::PermissionsExt as _;
        let (_directory, path) = file();
        let mode = || fs::metadata(&path).unwrap().permissions().mode() & 0o777;
        let (mut journal, _) = Journal::open(&path, &mut |_| {}).unwrap();
        assert_eq!(mode(), 0o600);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        journal.rewrite(std::iter::empty()).unwrap();
        assert_eq!(mode(), 0o600);
        drop(journal);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        content(&path).unwrap();
        assert_eq!(mode(), 0o600);
    }

    proptest! {
        /// Of sixty damaged files twelve ended the process.
        #[test]
        fn a_damaged_file_gives_what_stands_before_the_damage_and_never_anything_else(
            at in 0_usize..400, bit in 0_u8..8, cut in proptest::option::of(0_usize..400),
        ) {
            let (_directory, path) = file();
            let texts: Vec<String> = (0..8).map(|n| "x".repeat(n * 3)).collect();
            let records: Vec<Record<'_>> = (0..).zip(&texts).map(|(key, text)| put(key, text)).collect();
            write(&path, &records);
            let mut bytes = fs::read(&path).unwrap();
            let at = at % bytes.len();
            bytes[at] ^= 1 << bit;
            bytes.truncate(cut.unwrap_or(usize::MAX));
            fs::write(&path, &bytes).unwrap();
            let Ok((found, end)) = content(&path) else {
                prop_assert!(at < FORMAT.len());
                return Ok(());
            };
            let all: Vec<(u64, String)> = (0..).zip(texts).collect();
            prop_assert!(all.starts_with(&found));
            if end == End::Whole && bytes.len() > FORMAT.len() {
                // Cut where a record ends, before the damage.
                prop_assert!(at >= bytes.len());
            }
        }
    }
}
