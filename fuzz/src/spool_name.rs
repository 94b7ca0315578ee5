//! Names of spool files. The input is a name, and also the numbers of one.

use crate::subject::body::Segments;
use crate::subject::spool::{FileId, FileName, Kind, MAX_BODY_BYTES, Made};

/// A name that is taken is written back as it was read; what is written is read again; no name leads out of the
/// directory.
///
/// # Panics
/// When one of these does not hold.
pub fn check(input: &[u8]) {
    if let Ok(text) = std::str::from_utf8(input) {
        read(text);
    }
    if let Some(fields) = input.first_chunk::<33>() {
        write(fields);
    }
}

fn read(text: &str) {
    let name = match Kind::of::<Segments>(text) {
        Kind::Whole(name) => {
            assert_eq!(name.to_string(), text);
            name
        }
        Kind::Damaged(name) => {
            assert_eq!(name.damaged(), text);
            name
        }
        Kind::Unfinished => {
            let stem = text.strip_suffix(".tmp").expect("the end of such a name");
            let name = FileName::parse::<Segments>(stem).expect("the name of a whole file");
            assert_eq!(name.unfinished(), text);
            name
        }
        Kind::Foreign => {
            assert_eq!(FileName::parse::<Segments>(text), None);
            return;
        }
    };
    assert!(
        text.bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.'))
    );
    assert!(!text.starts_with('.') && text.len() < 200);
    kinds(&name);
}

fn write(fields: &[u8; 33]) {
    let number = |at: usize| u64::from_le_bytes(std::array::from_fn(|n| fields[at + n]));
    let name = FileName {
        id: FileId {
            opened_ms: number(0),
            sequence: number(8),
        },
        kind: Made::Segments,
        // Also those that are none: 0, and 51 to 63.
        documents: u64::from(fields[32] % 64),
        redeliveries: number(16) as u32,
        bytes: number(24) >> (fields[32] % 40),
        crc32: (number(16) >> 32) as u32,
    };
    let is_one = (1..=50).contains(&name.documents) && name.bytes <= MAX_BODY_BYTES;
    if is_one {
        kinds(&name);
    } else {
        assert_eq!(FileName::parse::<Segments>(&name.to_string()), None);
    }
}

fn kinds(name: &FileName) {
    assert_eq!(FileName::parse::<Segments>(&name.to_string()), Some(*name));
    assert_eq!(Kind::of::<Segments>(&name.to_string()), Kind::Whole(*name));
    assert_eq!(Kind::of::<Segments>(&name.unfinished()), Kind::Unfinished);
    assert_eq!(Kind::of::<Segments>(&name.damaged()), Kind::Damaged(*name));
}
