//! JSON escaping, eight bytes at a time, without `unsafe`.
//!
//! Documents are JSON, so every seventh byte or so is a quote or a backslash. What counts is the price of one escape,
//! not the speed over plain text: this takes about half the time of `serde_json` on segments (`cargo bench --bench
//! micro escape`), and the escapes are the same.

use crate::pipeline::batch::encoding::Output;

const HIGH_BITS: u64 = 0x8080_8080_8080_8080;

/// Every byte but a control character has one of these bits.
const PRINTED_BITS: u8 = 0xE0;

/// Bytes escaped at a time, which bounds the scratch room at the end of the output.
const PIECE_BYTES: usize = 512;

/// A control character takes six bytes.
const MAX_GROWTH: usize = 6;

/// Appends `document` as a JSON string with its quotes; bytes that are not UTF-8 stay as they are.
pub fn escape(document: &[u8], out: &mut impl Output) {
    push(out, b'"');
    for piece in document.chunks(PIECE_BYTES) {
        let mut grows = false;
        out.append_with(room_bytes(piece.len()), |room| {
            fast(piece, room).unwrap_or_else(|| {
                grows = true;
                0
            })
        });
        if grows {
            out.append_with(MAX_GROWTH * piece.len(), |room| slow(piece, room));
        }
    }
    push(out, b'"');
}

/// The most room that is asked for beyond what is written, while no escape takes more than two bytes.
pub const SLACK_BYTES: usize = room_bytes(PIECE_BYTES);

/// Twice the piece when every byte is escaped, and room for the last eight bytes to be written whole.
const fn room_bytes(piece_bytes: usize) -> usize {
    2 * piece_bytes + 8
}

fn push(out: &mut impl Output, byte: u8) {
    out.append_with(1, |room| {
        room[0] = byte;
        1
    });
}

/// Into `out`, which has room enough; `None` when there is a control character, which grows more than twofold.
fn fast(piece: &[u8], out: &mut [u8]) -> Option<usize> {
    let mut at = 0;
    let mut done = 0;
    // A block and the eight bytes after it are there, so that every copy is eight bytes long.
    while let Some(block) = piece.get(done..done + 16) {
        let word = u64::from_le_bytes(*block.first_chunk()?);
        let mut left = special(word);
        let mut copied = 0;
        *out.get_mut(at..)?.first_chunk_mut()? = word.to_le_bytes();
        while left != 0 {
            let index = (left.trailing_zeros() / 8) as usize;
            left &= left - 1;
            let byte = *block.get(index)?;
            if byte & PRINTED_BITS == 0 {
                return None;
            }
            at += index - copied;
            *out.get_mut(at..)?.first_chunk_mut()? = [b'\\', byte];
            at += 2;
            copied = index + 1;
            *out.get_mut(at..)?.first_chunk_mut::<8>()? = *block.get(copied..)?.first_chunk()?;
        }
        at += 8 - copied;
        done += 8;
    }
    for &byte in &piece[done..] {
        if byte < b' ' {
            return None;
        }
        if byte == b'"' || byte == b'\\' {
            *out.get_mut(at)? = b'\\';
            at += 1;
        }
        *out.get_mut(at)? = byte;
        at += 1;
    }
    Some(at)
}

/// The high bit of each byte that can't stand in a JSON string as it is.
fn special(word: u64) -> u64 {
    let each = |byte: u8| u64::from_le_bytes([byte; 8]);
    let is_set = |bytes: u64| ((bytes & !HIGH_BITS) + !HIGH_BITS) | bytes;
    let plain = is_set(word ^ each(b'"')) & is_set(word ^ each(b'\\')) & is_set(word & each(PRINTED_BITS));
    !plain & HIGH_BITS
}

/// Into `out`, which has room for [`MAX_GROWTH`] times the piece.
fn slow(piece: &[u8], out: &mut [u8]) -> usize {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    let mut at = 0;
    let mut put = |bytes: &[u8]| {
        out[at..at + bytes.len()].copy_from_slice(bytes);
        at += bytes.len();
    };
    for &byte in piece {
        match byte {
            b'"' | b'\\' => put(&[b'\\', byte]),
            8 => put(b"\\b"),
            b'\t' => put(b"\\t"),
            b'\n' => put(b"\\n"),
            12 => put(b"\\f"),
            b'\r' => put(b"\\r"),
            0..b' ' => {
                put(b"\\u00");
                put(&[HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]]);
            }
            _ => put(&[byte]),
        }
    }
    at
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn ours(text: &str) -> Vec<u8> {
        let mut out = b"before".to_vec();
        escape(text.as_bytes(), &mut out);
        out.split_off(6)
    }

    #[test]
    fn every_character_of_ascii_is_escaped_as_serde_json_does_it_wherever_it_stands() {
        for character in '\0'..='\u{80}' {
            for before in 0..24 {
                for after in [0, 1, 7, 8, 9, 600] {
                    let text = format!("{}{character}{}", "x".repeat(before), "y".repeat(after));
                    assert_eq!(ours(&text), serde_json::to_vec(&text).unwrap(), "{text:?}");
                }
            }
        }
    }

    /// What the fast way makes of `text` in the room that it is given.
    fn fast_way(text: &str) -> Option<Vec<u8>> {
        let mut out = vec![0; room_bytes(text.len())];
        let written = fast(text.as_bytes(), &mut out)?;
        out.truncate(written);
        Some(out)
    }

    #[test]
    fn only_control_characters_take_the_slow_way() {
        for before in 0..40 {
            for after in 0..40 {
                let text = |character| format!("{}{character}{}", " ".repeat(before), "y".repeat(after));
                for control in ['\0', '\n', '\x1f'] {
                    assert_eq!(fast_way(&text(control)), None, "{before} {control:?} {after}");
                }
                for plain in ['"', '\\', ' ', 'x', '\x7f', 'é'] {
                    let text = text(plain);
                    let quoted = serde_json::to_vec(&text).unwrap();
                    let expected = Some(quoted[1..quoted.len() - 1].to_vec());
                    assert_eq!(fast_way(&text), expected, "{before} {plain:?} {after}");
                }
            }
        }
        let all_escaped = "\"".repeat(PIECE_BYTES);
        assert_eq!(
            fast_way(&all_escaped).unwrap(),
            "\\\"".repeat(PIECE_BYTES).into_bytes()
        );
    }

    /// The rooms that were asked for.
    #[derive(Default)]
    struct Rooms(Vec<usize>);

    impl Output for Rooms {
        fn append_with(&mut self, max_bytes: usize, write: impl FnOnce(&mut [u8]) -> usize) {
            self.0.push(max_bytes);
            write(&mut vec![0; max_bytes]);
        }
    }

    #[test]
    fn no_more_room_is_asked_for_than_a_piece_may_take() {
        for (document, expected) in [
            ("x".repeat(10), vec![1, 28, 1]),
            ("\n".repeat(10), vec![1, 28, 60, 1]),
            ("x".repeat(PIECE_BYTES + 1), vec![1, 1032, 10, 1]),
            (String::new(), vec![1, 1]),
        ] {
            let mut rooms = Rooms::default();
            escape(document.as_bytes(), &mut rooms);
            assert_eq!(rooms.0, expected, "{document}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_escaped_as_serde_json_does_it(text in any::<String>(), times in 1_usize..40) {
            let text = text.repeat(times);
            prop_assert_eq!(ours(&text), serde_json::to_vec(&text).unwrap());
        }

        #[test]
        fn text_that_is_mostly_quotes_is_escaped_as_serde_json_does_it(text in "[\"\\\\a-c\n]{0,2000}") {
            prop_assert_eq!(ours(&text), serde_json::to_vec(&text).unwrap());
        }
    }
}
