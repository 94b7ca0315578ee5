//! What each target checks of one input. A target panics when what it checks does not hold.
//!
//! Inputs are kept in forms that a person can write and read, so that seeds are lines of text and a finding says what
//! it is: parts of an input are separated by [`SEPARATOR`].

pub mod body;
pub mod config;
pub mod datagram;
pub mod filter;
pub mod flags;
pub mod http;
pub mod otlp;
pub mod spool_files;
pub mod spool_name;
mod subject;
pub mod to_segments;
pub mod to_spans;

/// Parts the documents, files or the like of one input: ASCII's record separator, which is in none of the seeds.
pub const SEPARATOR: u8 = 0x1e;

/// What is said to people: bounded, and without characters that move the cursor, end the line or turn the text around.
fn assert_is_plain(said: &str, max_bytes: usize) {
    let is_raw = |c: char| c.is_control() || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    assert!(!said.contains(is_raw), "raw characters: {said:?}");
    assert!(said.len() <= max_bytes, "{} bytes: {said}", said.len());
}
