//! The page's own proof that it is the page: a key that is made anew in each run and written into the page, which is
//! shown under names only that no other page can have.
//!
//! A page of somebody else that a browser runs can make requests to this port, by addresses in its markup or by a name of
//! its own that it lets lead here. It cannot read the page, and so does not have the key.

use std::fmt::Write as _;
use std::io;

use rustls::crypto::ring;

/// Nobody guesses it.
const KEY_BYTES: usize = 16;

/// Stands in the page's file for the key.
const PLACE: &str = "{{key}}";

/// The parameter of requests that has it. `EventSource` sends no headers.
pub(super) const PARAMETER: &str = "key";

/// The key of this run.
#[derive(Debug)]
pub(super) struct Key(String);

impl Key {
    /// # Errors
    /// When the system gives no random bytes.
    pub(super) fn new() -> io::Result<Self> {
        let mut bytes = [0; KEY_BYTES];
        ring::default_provider()
            .secure_random
            .fill(&mut bytes)
            .map_err(|_| io::Error::other("no random numbers"))?;
        let mut text = String::new();
        for byte in bytes {
            // Writing to a string does not fail.
            let _ = write!(text, "{byte:02x}");
        }
        Ok(Self(text))
    }

    /// The page with the key in it.
    pub(super) fn written_into(&self, page: &str) -> String {
        page.replace(PLACE, &self.0)
    }

    /// Whether it is this one. Takes as long whatever of it is right.
    pub(super) fn is(&self, given: Option<&str>) -> bool {
        given.is_some_and(|given| {
            let differences = self
                .0
                .bytes()
                .zip(given.bytes())
                .fold(0, |all, (own, other)| all | (own ^ other));
            given.len() == self.0.len() && differences == 0
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_the_one_of_its_page_and_no_other() {
        let (key, other) = (Key::new().unwrap(), Key::new().unwrap());
        let page = key.written_into("<meta content=\"{{key}}\">");
        let written = page
            .strip_prefix("<meta content=\"")
            .unwrap()
            .strip_suffix("\">")
            .unwrap();
        assert_eq!(written.len(), 2 * KEY_BYTES);
        assert!(key.is(Some(written)) && !other.is(Some(written)));
        for wrong in ["", "0", &written[1..], &format!("{written}0")] {
            assert!(!key.is(Some(wrong)), "{wrong}");
        }
        assert!(!key.is(None));
    }
}
