//! The file of `--store`: documents behind each other, and what became of them.
//!
//! A line that names the format, then records: their length and its checksum, the checksum of what follows, and that. A
//! document that is let go is a record too. What is written is in the file after a sync, one for each [`Journal::append`];
//! a record that was not finished is cut off at the next start. Anything else that does not fit is damage, which no crash
//! makes: the rest of such a file is not trusted, and nothing of it is overwritten.
//!
//! A file that begins with anything but that line may be somebody's own, given by mistake: it is refused and stays where
//! it is, unless it shows that it was one of ours ([`was_ours`]).

use std::collections::HashMap;
use std::fs::{self, File};
use std::io::{self, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};

use super::files::{Refused, keep_private, locked, private, sync_directory, with_suffix};
use super::record::{self, Next, Reader, Record, read_up_to, write_all};

/// The first line. That of a later format is as long at least, and what stands behind it is no record of this one.
const FORMAT: &[u8] = b"xray dev --store, format 1\n";

/// Where the first record stands.
const FIRST: u64 = FORMAT.len() as u64;

/// Bytes of the first line that may differ from it. No other file's beginning comes that near.
const MAX_DAMAGED_BYTES: usize = 4;

/// How far a record is looked for in a file whose beginning was lost: a document has a few hundred kilobytes at most.
const SEARCHED_BYTES: usize = 1 << 20;

/// How a file ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    /// With a record.
    Whole,
    /// With a record that was not finished: so many bytes of it were cut off.
    Cut(u64),
    /// From this byte on it is not what was written.
    Damaged(u64),
    /// Its first line is not what was written; what follows was read as far as it is.
    FirstLine,
}

impl End {
    /// Nothing may be written behind it.
    pub(super) fn is_damage(self) -> bool {
        matches!(self, Self::Damaged(_) | Self::FirstLine)
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
        let first = &first[..read];
        let is_new = read < FORMAT.len() || length == FIRST;
        // What had been given room and not its content when its making ended is zeros.
        let is_new = is_new && (*first == FORMAT[..read] || first.iter().all(|byte| *byte == 0));
        let is_whole = first == FORMAT;
        if !is_new && !is_whole && !was_ours(&file, first, length)? {
            return Err(Refused::Foreign);
        }
        keep_private(&file)?;
        if is_new && !is_whole {
            file.set_len(0)?;
            file.write_all(FORMAT)?;
            file.sync_all()?;
            sync_directory(&path)?;
            let bytes = FIRST;
            return Ok((Self { path, file, bytes }, End::Whole));
        }
        let mut deleted: HashMap<u64, u64> = HashMap::new();
        let mut reader = Reader::new(&file, FIRST, length)?;
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
        let end = if is_whole { end } else { End::FirstLine };
        let bytes = reader.at;
        // Twice, so that what was deleted is not held meanwhile.
        let mut reader = Reader::new(&file, FIRST, bytes)?;
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
        let bytes = FIRST + write_all(&mut file, records)?;
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

/// Whether a file of so many bytes whose first line is not ours was one of ours: it is nearly that line, or a record stands
/// right behind it; or its beginning was lost, as zeros, and a record stands somewhere behind. Anything else is left to
/// its owner, also what has a store inside of it, as an archive.
fn was_ours(mut file: &File, first: &[u8], length: u64) -> io::Result<bool> {
    if length < FIRST {
        return Ok(false);
    }
    let mut behind = vec![0; SEARCHED_BYTES];
    file.seek(SeekFrom::Start(FIRST))?;
    let read = read_up_to(&mut file, &mut behind)?;
    let behind = &behind[..read];
    if record::is_at_start_of(behind) {
        return Ok(true);
    }
    if first.iter().all(|byte| *byte == 0) {
        return Ok(record::is_any_in(behind));
    }
    let damaged = first
        .iter()
        .zip(FORMAT)
        .filter(|(own, other)| own != other)
        .count();
    Ok(damaged <= MAX_DAMAGED_BYTES && (behind.is_empty() || !is_of_another_format(first)))
}

/// Whether this is how the first line of another format begins.
fn is_of_another_format(first: &[u8]) -> bool {
    let words = FORMAT.len() - "1\n".len();
    let (own, number) = first.split_at(words);
    own == &FORMAT[..words]
        && number[0].is_ascii_digit()
        && (number[1].is_ascii_digit() || number[1] == b'\n')
}

#[cfg(test)]
pub(super) mod tests {
    use proptest::prelude::*;

    use super::super::record::BESIDES_TEXT;
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
        for bytes in [&FORMAT[..5], &[0; 5], &[0; FORMAT.len()]] {
            fs::write(&path, bytes).unwrap();
            assert_eq!(content(&path).unwrap(), (Vec::new(), End::Whole));
            assert_eq!(fs::read(&path).unwrap(), FORMAT);
        }
    }

    #[test]
    fn what_others_made_is_not_touched() {
        let (directory, path) = file();
        write(&path, &[put(1, "a")]);
        let store = fs::read(&path).unwrap();
        for other in [
            b"a text\n".as_slice(),
            b"y",
            &[0; 100],
            b"xray dev --store, format 2\nand what that one writes",
            b"xray dev --store, format 10\n",
            b"xray dev --store, how to use it\n",
            &[b"an archive, whose header is as long as this\n", store.as_slice()].concat(),
        ] {
            fs::write(&path, other).unwrap();
            assert!(matches!(content(&path), Err(Refused::Foreign)), "{other:?}");
            assert_eq!(fs::read(&path).unwrap(), other);
        }
        assert!(matches!(content(directory.path()), Err(Refused::Foreign)));
    }

    #[test]
    fn a_damaged_first_line_costs_nothing_that_stands_behind_it() {
        let (_directory, path) = file();
        write(&path, &[put(1, "first"), Record::Delete(1), put(2, "second")]);
        let whole = fs::read(&path).unwrap();
        for at in 0..FORMAT.len() {
            for bit in 0..8 {
                let mut bytes = whole.clone();
                bytes[at] ^= 1 << bit;
                fs::write(&path, &bytes).unwrap();
                assert_eq!(content(&path).unwrap(), (of(&[(2, "second")]), End::FirstLine));
                // Also of a store with nothing in it.
                fs::write(&path, &bytes[..FORMAT.len()]).unwrap();
                assert_eq!(content(&path).unwrap(), (Vec::new(), End::FirstLine));
            }
        }
        // All of the line, which the records behind it make up for.
        let mut bytes = whole.clone();
        bytes[..FORMAT.len()].fill(b'?');
        fs::write(&path, &bytes).unwrap();
        assert_eq!(content(&path).unwrap(), (of(&[(2, "second")]), End::FirstLine));
        // And of the records some.
        bytes[..FORMAT.len() + 5].fill(0);
        fs::write(&path, &bytes).unwrap();
        assert_eq!(content(&path).unwrap(), (Vec::new(), End::FirstLine));
        assert_eq!(fs::read(&path).unwrap(), bytes, "not cut");
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

    // On Windows the directory decides who may read.
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
                // Too little of it is left to tell whose it is, or it looks like another format's, with no record behind.
                let is_renumbered = at >= FORMAT.len() - "1\n".len();
                prop_assert!(at < FORMAT.len() && (bytes.len() < FORMAT.len() || is_renumbered && cut.is_some()));
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
