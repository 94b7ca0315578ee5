//! The name of a spool file: everything about the batch that its body does not say.

use std::fmt;

use crate::ledger::signal::Content;
use crate::pipeline::batch::Batch;
use crate::pipeline::batch::encoding::Encoding;
use crate::pipeline::batch::kind::Kind as Made;
use crate::pipeline::batch::origin::FileId;

/// Ends the name of a file that is being written.
const UNFINISHED: &str = ".tmp";

/// Ends the name of a file that was set aside.
const DAMAGED: &str = ".damaged";

/// The longest body that is written or read, in bytes. Bodies are about 1 MiB at most, plus the one document that closed
/// them; more is not of this daemon's making and must not be read into memory.
pub const MAX_BODY_BYTES: u64 = 64 << 20;

/// `<opened_ms>-<sequence>-<documents>-<redeliveries>-<bytes>-<crc32><suffix>`, the checksum in eight hexadecimal digits, the
/// suffix that of the kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct FileName {
    /// Sequence and age.
    pub id: FileId,
    /// What the body is made of.
    pub kind: Made,
    /// How many documents or items the body carries: 1 and up, to [`Encoding::MAX_DOCUMENTS`] for documents.
    pub documents: u64,
    /// How often they were sent again because the service had not processed them.
    pub redeliveries: u32,
    /// The length of the body.
    pub bytes: u64,
    /// CRC-32 (ISO-HDLC, as in zlib) of the body.
    pub crc32: u32,
}

impl FileName {
    /// Of a body of segments.
    #[must_use]
    pub fn of(id: FileId, documents: usize, redeliveries: u32, body: &[u8]) -> Self {
        Self {
            id,
            kind: Made::Segments,
            documents: documents as u64,
            redeliveries,
            bytes: body.len() as u64,
            crc32: crc32fast::hash(body),
        }
    }

    /// Of a batch.
    #[must_use]
    pub fn of_batch(id: FileId, batch: &Batch) -> Self {
        Self {
            kind: batch.kind,
            ..Self::of(id, batch.documents, batch.redeliveries, &batch.body)
        }
    }

    /// What it holds, and how many.
    #[must_use]
    pub fn amount(&self) -> (Content, u64) {
        (self.kind.content(), self.documents)
    }

    /// Reads a name as [`fmt::Display`] writes it, and no other form. `None`: not a whole file of a spool of `E`.
    #[must_use]
    pub fn parse<E: Encoding>(name: &str) -> Option<Self> {
        let (stem, suffix) = name.split_at(name.find('.')?);
        let kind = Made::ALL.into_iter().find(|kind| kind.suffix() == suffix)?;
        let mut fields = stem.split('-');
        let mut number = || fields.next()?.parse::<u64>().ok();
        let parsed = Self {
            // Fields are read in the order in which they stand here.
            id: FileId {
                opened_ms: number()?,
                sequence: number()?,
            },
            kind,
            documents: number()?,
            redeliveries: u32::try_from(number()?).ok()?,
            bytes: number()?,
            crc32: u32::from_str_radix(fields.next()?, 16).ok()?,
        };
        // One form for each name: what is parsed is found again under the name that is written.
        let most_documents = match kind {
            Made::Segments => E::MAX_DOCUMENTS as u64,
            // Each is some bytes.
            Made::Requests(..) => parsed.bytes,
        };
        let plausible = (1..=most_documents).contains(&parsed.documents)
            && parsed.bytes <= MAX_BODY_BYTES
            && parsed.to_string() == name;
        plausible.then_some(parsed)
    }

    /// The name while the file is being written.
    #[must_use]
    pub fn unfinished(&self) -> String {
        format!("{self}{UNFINISHED}")
    }

    /// The name once the file was set aside.
    #[must_use]
    pub fn damaged(&self) -> String {
        format!("{self}{DAMAGED}")
    }

    /// Whether `body` is what this name was given to, and a body of `E`.
    #[must_use]
    pub fn fits<E: Encoding>(&self, body: &[u8]) -> bool {
        body.len() as u64 == self.bytes
            && crc32fast::hash(body) == self.crc32
            && self.counted::<E>(body) == Some(self.documents)
    }

    /// How many documents or items there are in `body`; `None` when it is no body of this kind.
    fn counted<E: Encoding>(&self, body: &[u8]) -> Option<u64> {
        match self.kind {
            Made::Segments => E::documents(body).map(|documents| documents.len() as u64),
            Made::Requests(..) => E::items(self.kind, body),
        }
    }
}

impl fmt::Display for FileName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            id: FileId { opened_ms, sequence },
            kind,
            documents,
            redeliveries,
            bytes,
            crc32,
        } = self;
        // Padded, so that listings are in the order of age, where nobody set the clock.
        write!(
            f,
            "{opened_ms:013}-{sequence:08}-{documents}-{redeliveries}-{bytes}-{crc32:08x}{}",
            kind.suffix()
        )
    }
}

/// What a file in the spool's directory is, by its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A whole batch.
    Whole(FileName),
    /// Left behind by a process that ended while writing.
    Unfinished,
    /// Set aside, and what its name had said.
    Damaged(FileName),
    /// Not of a spool: left alone.
    Foreign,
}

impl Kind {
    /// By the name, in a spool of `E`.
    #[must_use]
    pub fn of<E: Encoding>(name: &str) -> Self {
        let stem = |suffix| name.strip_suffix(suffix).and_then(FileName::parse::<E>);
        if let Some(name) = FileName::parse::<E>(name) {
            Self::Whole(name)
        } else if stem(UNFINISHED).is_some() {
            Self::Unfinished
        } else if let Some(name) = stem(DAMAGED) {
            Self::Damaged(name)
        } else {
            Self::Foreign
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::pipeline::batch::testing::Strings;

    const BODY: &[u8] = br#"{"TraceSegmentDocuments":["{\"id\":1}","{}"]}"#;

    /// Two documents, as the encoding of these tests writes them.
    const LIST: &[u8] = br#"["{\"id\":1}","{}"]"#;

    fn name() -> FileName {
        let id = FileId {
            opened_ms: 1_795_227_595_034,
            sequence: 12,
        };
        FileName::of(id, 2, 1, BODY)
    }

    #[test]
    fn a_name_says_everything_about_the_batch() {
        let written = name().to_string();
        assert_eq!(written, "1795227595034-00000012-2-1-45-b8a9edfd.json");
        assert_eq!(FileName::parse::<Strings>(&written), Some(name()));
        assert_eq!(Kind::of::<Strings>(&name().unfinished()), Kind::Unfinished);
        assert_eq!(Kind::of::<Strings>(&name().damaged()), Kind::Damaged(name()));
    }

    #[test]
    fn the_end_of_a_name_says_what_the_body_is_made_of() {
        for kind in Made::ALL {
            let batch = Batch::of_requests(kind, b"abc".to_vec(), 3, std::time::Instant::now());
            let name = FileName::of_batch(name().id, &batch);
            let written = name.to_string();
            assert!(written.ends_with(kind.suffix()), "{written}");
            assert_eq!(FileName::parse::<Strings>(&written), Some(name), "{written}");
            assert_eq!(Kind::of::<Strings>(&name.damaged()), Kind::Damaged(name));
            assert_eq!(name.fits::<Strings>(b"abc"), kind != Made::Segments, "{written}");
        }
        assert_eq!(
            Kind::of::<Strings>("1795227595034-00000012-4-0-3-00000000.traces"),
            Kind::Foreign,
            "four items in three bytes"
        );
    }

    #[test]
    fn names_of_other_files_are_foreign() {
        for other in [
            "",
            ".lock",
            "a.json",
            "notes.tmp",
            "x.damaged",
            // Not in the written form.
            "1795227595034-12-2-1-45-b8a9edfd.json",
            "1795227595034-00000012-2-1-45-B8A9EDFD.json",
            "1795227595034-00000012-2-+1-45-b8a9edfd.json",
            "1795227595034-00000012-2-1-45-b8a9edfd.json.tmp.tmp",
            "1795227595034-00000012-2-1-45-b8a9edfd-0.json",
            // Not what a batch can be.
            "1795227595034-00000012-0-1-45-b8a9edfd.json",
            "1795227595034-00000012-51-1-45-b8a9edfd.json",
            "1795227595034-00000012-2-1-99999999999-b8a9edfd.json",
            "99999999999999999999-00000012-2-1-45-b8a9edfd.json",
        ] {
            assert_eq!(Kind::of::<Strings>(other), Kind::Foreign, "{other}");
        }
    }

    #[test]
    fn only_the_very_body_fits() {
        let name = FileName::of(name().id, 2, 1, LIST);
        assert!(name.fits::<Strings>(LIST));
        assert!(!name.fits::<Strings>(&LIST[1..]));
        let mut changed = LIST.to_vec();
        changed[5] ^= 1;
        assert!(!name.fits::<Strings>(&changed));
        // A checksum alone proves no batch: these are as their names say, and not request bodies of two documents.
        for other in [&b"\0\0\0"[..], br#"["{}"]"#, BODY] {
            assert!(!FileName::of(name.id, 2, 0, other).fits::<Strings>(other));
        }
    }

    proptest! {
        #[test]
        fn every_name_is_read_as_it_was_written(
            opened_ms: u64, sequence: u64, documents in 1_u64..=50, redeliveries: u32,
            bytes in 0..=MAX_BODY_BYTES, crc32: u32,
        ) {
            let name = FileName {
                id: FileId { opened_ms, sequence }, kind: Made::Segments, documents, redeliveries, bytes, crc32,
            };
            prop_assert_eq!(FileName::parse::<Strings>(&name.to_string()), Some(name));
        }

        #[test]
        fn whatever_a_file_is_called_nothing_panics(called in "[0-9a-f.-]{0,60}(json|traces|logs|tmp|damaged)?|.*") {
            if let Kind::Whole(name) = Kind::of::<Strings>(&called) {
                prop_assert_eq!(name.to_string(), called);
            }
        }
    }
}
