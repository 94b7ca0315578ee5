//! The records of the store's file: how they are written, read, and known among other bytes.

use std::fs::File;
use std::io::{self, BufReader, BufWriter, Read, Seek as _, SeekFrom, Write as _};

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

/// What stands before a record, when its checksum is right.
struct Head {
    /// Of the rest of the record.
    length: usize,
    /// The checksum of the rest.
    of_body: u32,
}

impl Head {
    fn of(bytes: &[u8; HEAD_BYTES]) -> Option<Self> {
        let number = |at: usize| u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]);
        (crc32fast::hash(&bytes[..8]) == number(8)).then(|| Self {
            length: number(0) as usize,
            of_body: number(4),
        })
    }
}

/// Whether these bytes begin with a whole record. Two checksums say so: nothing else looks like one.
pub(super) fn is_at_start_of(bytes: &[u8]) -> bool {
    let Some((head, rest)) = bytes.split_first_chunk() else {
        return false;
    };
    Head::of(head).is_some_and(|Head { length, of_body }| {
        let body = rest.get(..length);
        body.is_some_and(|body| crc32fast::hash(body) == of_body && Record::of(body).is_some())
    })
}

/// Whether a whole record stands anywhere in these bytes.
pub(super) fn is_any_in(bytes: &[u8]) -> bool {
    (0..bytes.len()).any(|at| is_at_start_of(&bytes[at..]))
}

/// What stands at a place of the file.
pub(super) enum Next<'a> {
    Record(Record<'a>),
    /// The end of the file.
    End,
    /// A record that was not finished.
    Unfinished,
    /// Anything else.
    Damage,
}

/// Reads records behind each other.
pub(super) struct Reader<'f> {
    file: BufReader<&'f File>,
    /// Where the next record begins.
    pub(super) at: u64,
    length: u64,
    body: Vec<u8>,
}

impl<'f> Reader<'f> {
    /// From byte `at` on, in a file of so many bytes.
    pub(super) fn new(mut file: &'f File, at: u64, length: u64) -> io::Result<Self> {
        file.seek(SeekFrom::Start(at))?;
        Ok(Self {
            file: BufReader::with_capacity(256 << 10, file),
            at,
            length,
            body: Vec::new(),
        })
    }

    /// What comes next.
    pub(super) fn next(&mut self) -> io::Result<Next<'_>> {
        let left = self.length - self.at;
        if left == 0 {
            return Ok(Next::End);
        }
        let mut head = [0; HEAD_BYTES];
        let read = read_up_to(&mut self.file, &mut head)?;
        if read < HEAD_BYTES {
            return Ok(Next::Unfinished);
        }
        let Some(Head { length, of_body }) = Head::of(&head) else {
            return self.unfinished_or_damage();
        };
        let whole = (HEAD_BYTES + length) as u64;
        if length > MAX_RECORD_BYTES {
            return Ok(Next::Damage);
        }
        if whole > left {
            return Ok(Next::Unfinished);
        }
        self.body.resize(length, 0);
        self.file.read_exact(&mut self.body)?;
        if crc32fast::hash(&self.body) != of_body {
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

/// Writes records into `file`; how many bytes they are.
pub(super) fn write_all<'a>(file: &mut File, records: impl Iterator<Item = Record<'a>>) -> io::Result<u64> {
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
pub(super) fn read_up_to(from: &mut impl Read, into: &mut [u8]) -> io::Result<usize> {
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
mod tests {
    use super::*;

    #[test]
    fn a_record_is_known_wherever_it_stands_and_nothing_else_is_taken_for_one() {
        let mut record = Vec::new();
        Record::Delete(7).write(&mut record);
        for before in 0..40 {
            let bytes = [vec![b'x'; before], record.clone(), vec![0; 9]].concat();
            assert!(is_any_in(&bytes));
            assert!(!is_any_in(&bytes[..before + record.len() - 1]));
            for at in 0..record.len() {
                let mut damaged = bytes.clone();
                damaged[before + at] ^= 4;
                assert!(!is_any_in(&damaged), "{at}");
            }
        }
        assert!(!is_any_in(&[0; 100]) && !is_any_in(&[]));
    }
}
