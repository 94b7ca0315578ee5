//! How a body as it comes becomes what it means, a piece at a time and within bounds.

use std::io::Write as _;

use flate2::write::GzDecoder;

/// What a decoder of gzip needs, in bytes: the window of 32 KiB with its tables, and two buffers for what comes out.
const GZIP_OWN_BYTES: usize = 192 << 10;

/// The most members of one body in gzip, each of which is a whole gzip file. Compressors write one; a body of nothing but
/// empty ones would set up a decoder for each 20 bytes.
const GZIP_MAX_MEMBERS: usize = 64;

/// Why a body is refused for what is in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Undecodable {
    /// It says that it will be longer than so many bytes.
    TooLong(usize),
    /// What is wrong, to go on after "The body".
    Malformed(&'static str),
}

/// Takes bodies apart.
pub(crate) trait Decode: Send {
    /// The memory in bytes that it needs for itself.
    fn own_bytes(&self) -> usize {
        0
    }

    /// How many bytes a body can have beside what is kept of it.
    fn frame_bytes(&self) -> usize {
        0
    }

    /// Whether what is kept is as long as what comes.
    fn keeps_length(&self) -> bool {
        false
    }

    /// Takes some of the front of `data`, which is not empty. Returns how many bytes of it, and what came of them: no more
    /// than some 100 KB, however much can be made of it.
    ///
    /// # Errors
    /// The body is not what it should be.
    fn decode<'d>(&'d mut self, data: &'d [u8]) -> Result<(usize, &'d [u8]), Undecodable>;

    /// The body is over. Returns the rest of what came of it.
    ///
    /// # Errors
    /// It is over too early.
    fn end(&mut self) -> Result<&[u8], Undecodable>;
}

/// A body that is kept as it is.
#[derive(Debug, Clone, Copy)]
pub(crate) struct AsItIs;

impl Decode for AsItIs {
    fn keeps_length(&self) -> bool {
        true
    }

    fn decode<'d>(&'d mut self, data: &'d [u8]) -> Result<(usize, &'d [u8]), Undecodable> {
        Ok((data.len(), data))
    }

    fn end(&mut self) -> Result<&[u8], Undecodable> {
        Ok(&[])
    }
}

/// A body in gzip.
#[derive(Debug)]
pub(crate) struct Gzip {
    /// Set up when there is room for it.
    member: Option<GzDecoder<Vec<u8>>>,
    members: usize,
    out: Vec<u8>,
}

/// What is said of a body that is no gzip.
const NO_GZIP: Undecodable = Undecodable::Malformed("is not what its encoding, gzip, says");

impl Gzip {
    pub(crate) fn new() -> Self {
        Self {
            member: None,
            members: 0,
            out: Vec::new(),
        }
    }

    /// Ends a member, whose check sum must be right. What was left of it is added to what is out.
    fn end_member(&mut self) -> Result<(), Undecodable> {
        let Some(member) = self.member.take() else {
            return Ok(());
        };
        let rest = member.finish().map_err(|_| NO_GZIP)?;
        self.out.extend_from_slice(&rest);
        Ok(())
    }
}

impl Decode for Gzip {
    fn own_bytes(&self) -> usize {
        GZIP_OWN_BYTES
    }

    fn decode<'d>(&'d mut self, data: &'d [u8]) -> Result<(usize, &'d [u8]), Undecodable> {
        self.out.clear();
        if self.member.is_none() {
            self.members += 1;
            if self.members > GZIP_MAX_MEMBERS {
                return Err(Undecodable::Malformed("has too many gzip members"));
            }
        }
        let member = self.member.get_or_insert_with(|| GzDecoder::new(Vec::new()));
        let taken = member.write(data).map_err(|_| NO_GZIP)?;
        std::mem::swap(&mut self.out, member.get_mut());
        if taken == 0 {
            // It is complete, and another one follows.
            self.end_member()?;
        }
        Ok((taken, &self.out))
    }

    fn end(&mut self) -> Result<&[u8], Undecodable> {
        self.out.clear();
        if self.members == 0 {
            return Err(NO_GZIP);
        }
        self.end_member()?;
        Ok(&self.out)
    }
}

#[cfg(test)]
pub(crate) mod testing {
    //! Bodies for tests.

    use std::io::Write as _;

    use flate2::Compression;
    use flate2::write::GzEncoder;

    /// `bytes` in gzip.
    pub(crate) fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::testing::gzip;
    use super::*;

    /// What comes of `body`, which comes in pieces of `step` bytes; and the longest piece that came out.
    fn decoded(mut decode: impl Decode, body: &[u8], step: usize) -> Result<(Vec<u8>, usize), Undecodable> {
        let (mut all, mut longest) = (Vec::new(), 0);
        for mut data in body.chunks(step) {
            while !data.is_empty() {
                let (taken, piece) = decode.decode(data)?;
                data = &data[taken..];
                longest = longest.max(piece.len());
                all.extend_from_slice(piece);
            }
        }
        all.extend_from_slice(decode.end()?);
        Ok((all, longest))
    }

    proptest! {
        #[test]
        fn gzip_gives_what_was_compressed_however_it_is_cut_and_in_however_many_members(
            parts in prop::collection::vec(prop::collection::vec(0_u8..4, 0..3000), 1..4),
            step in 1_usize..600,
        ) {
            let body: Vec<u8> = parts.iter().flat_map(|part| gzip(part)).collect();
            prop_assert_eq!(decoded(Gzip::new(), &body, step).unwrap().0, parts.concat());
            for cut in [1, body.len() / 2, body.len() - 1] {
                // Only where a member ends is it whole.
                let whole = parts.len() > 1 && decoded(Gzip::new(), &body[..cut], step).is_ok();
                prop_assert!(whole || decoded(Gzip::new(), &body[..cut], step) == Err(NO_GZIP), "{}", cut);
            }
        }

        #[test]
        fn what_is_no_gzip_is_an_error_and_nothing_worse(body in prop::collection::vec(any::<u8>(), 0..300), step in 1_usize..50) {
            prop_assert_eq!(decoded(Gzip::new(), &body, step).map(|_| ()), Err(NO_GZIP));
        }
    }

    #[test]
    fn a_bomb_comes_out_in_small_pieces() {
        let bomb = gzip(&vec![0; 30 << 20]);
        assert!(bomb.len() < 40_000);
        let (all, longest) = decoded(Gzip::new(), &bomb, usize::MAX).unwrap();
        assert_eq!(all.len(), 30 << 20);
        assert!(longest < 100_000, "{longest}");
    }

    #[test]
    fn a_wrong_check_sum_is_found() {
        let mut body = gzip(b"hello");
        let at = body.len() - 8;
        body[at] ^= 1;
        assert_eq!(decoded(Gzip::new(), &body, 100), Err(NO_GZIP));
    }

    #[test]
    fn members_are_as_many_as_any_compressor_writes() {
        let member = gzip(b"");
        let taken = decoded(Gzip::new(), &member.repeat(GZIP_MAX_MEMBERS), 1000);
        assert_eq!(taken, Ok((Vec::new(), 0)));
        assert_eq!(
            decoded(Gzip::new(), &member.repeat(GZIP_MAX_MEMBERS + 1), 1000),
            Err(Undecodable::Malformed("has too many gzip members"))
        );
    }
}
