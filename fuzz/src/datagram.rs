//! The header of a datagram. The input is the datagram.

use std::net::{Ipv4Addr, SocketAddr};

use crate::assert_is_plain;
use crate::subject::datagram::{RejectReason, document};

/// A document is the end of its datagram, a refusal is plain text and says what is wrong, and the same header gets the
/// same answer on the fast way and on the slow one, and whatever follows it.
///
/// # Panics
/// When one of these does not hold.
pub fn check(datagram: &[u8]) {
    let newline = datagram.iter().position(|&byte| byte == b'\n');
    let found = document(datagram);
    match (&found, newline) {
        (Ok(body), Some(newline)) => {
            assert!(!body.is_empty());
            assert_eq!(*body, &datagram[newline + 1..]);
        }
        (Ok(_), None) => panic!("a document without a header"),
        (Err(reject), newline) => {
            let sender = SocketAddr::from((Ipv4Addr::LOCALHOST, 2000));
            assert_is_plain(&reject.line(sender), 800);
            let expected = match newline {
                None => RejectReason::MissingHeader,
                Some(newline) if newline + 1 == datagram.len() => RejectReason::MissingSegment,
                Some(_) => RejectReason::InvalidHeader,
            };
            assert_eq!(reject.reason, expected);
        }
    }
    let Some(newline) = newline.filter(|newline| newline + 1 < datagram.len()) else {
        return;
    };
    // White space before a header means nothing, and takes it off the fast way.
    let spaced = [b" ", datagram].concat();
    assert_eq!(document(&spaced).ok(), found.as_ref().ok().copied());
    let other = [&datagram[..=newline], b"x"].concat();
    assert_eq!(document(&other).is_ok(), found.is_ok());
}
