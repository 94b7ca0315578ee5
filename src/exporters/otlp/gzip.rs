//! Bodies, compressed.

use std::io::Write as _;

use flate2::Compression;
use flate2::write::GzEncoder;

/// The fastest one. Of 1 MiB of spans as a web application makes them, level 1 leaves 23 %, level 2 20 % in half as much time
/// again, level 6 18.5 % in four times the time (docs/adr/0014-zlib-rs.md): three percent are not worth that.
const LEVEL: u32 = 1;

/// What a body becomes at the most, as a part of it, before the buffer has to grow: a third, for what compresses badly.
const EXPECTED_PART: usize = 3;

/// `body` as one member of gzip.
pub(in crate::exporters) fn compressed(body: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(
        Vec::with_capacity(body.len() / EXPECTED_PART + 64),
        Compression::new(LEVEL),
    );
    // Writing to memory does not fail.
    let written = encoder.write_all(body).and_then(|()| encoder.finish());
    written.unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use flate2::read::GzDecoder;
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_is_compressed_is_read_back_as_it_was(
            body in proptest::collection::vec(any::<u8>(), 0..1_000),
            times in 0_usize..10,
        ) {
            let body = body.repeat(times);
            let mut back = Vec::new();
            GzDecoder::new(&compressed(&body)[..]).read_to_end(&mut back).unwrap();
            prop_assert_eq!(back, body);
        }
    }
}
