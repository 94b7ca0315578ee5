//! What datagrams the daemon takes: the table is [`xray_double::harness::datagrams`], which the tests of the process share.

use std::net::{Ipv4Addr, SocketAddr};

use xray::ledger::RejectReason;
use xray::receivers::udp::datagram::document;
use xray_double::harness::datagrams::{Flaw, rows};

/// The ledger's word for it.
fn reason(flaw: Flaw) -> RejectReason {
    match flaw {
        Flaw::MissingHeader => RejectReason::MissingHeader,
        Flaw::InvalidHeader => RejectReason::InvalidHeader,
        Flaw::MissingSegment => RejectReason::MissingSegment,
    }
}

fn sender() -> SocketAddr {
    SocketAddr::from((Ipv4Addr::LOCALHOST, 5))
}

#[test]
fn each_datagram_of_the_table_becomes_what_the_official_daemon_makes_of_it() {
    for (name, datagram, expected) in rows() {
        let expected = expected.map_err(reason);
        let got = document(&datagram)
            .map(<[u8]>::to_vec)
            .map_err(|reject| reject.reason);
        assert!(got == expected, "{name}: {got:?}");
    }
}

#[test]
fn a_refused_datagram_is_logged_short_and_without_its_content() {
    for (name, datagram, expected) in rows() {
        let Err(reject) = document(&datagram) else {
            continue;
        };
        let line = reject.line(sender());
        assert!(expected.is_err(), "{name}");
        assert!(line.len() < 400, "{name}: {} bytes: {line}", line.len());
        assert!(!line.chars().any(char::is_control), "{name}: {line:?}");
        assert!(
            !line.contains("0000000000000002"),
            "{name} shows the segment: {line}"
        );
    }
}

#[test]
fn the_lines_begin_with_the_official_words() {
    let line = |datagram: &[u8]| document(datagram).unwrap_err().line(sender());
    for (datagram, begins) in [
        (
            &b"hello"[..],
            "Missing header or segment: no newline in a datagram of 5 bytes",
        ),
        (
            b"{}\n",
            "Missing header or segment: nothing after the header line in a datagram of 3 bytes",
        ),
        (b"{\"format\":\"xml\",\"version\":1}\nx", "Invalid header: "),
    ] {
        let line = line(datagram);
        assert!(line.starts_with(begins), "{line}");
    }
}

mod properties {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn no_bytes_make_it_panic_and_a_document_is_always_the_end_of_its_datagram(
            datagram in prop::collection::vec(any::<u8>(), 0..2000),
        ) {
            match document(&datagram) {
                Ok(body) => prop_assert!(!body.is_empty() && datagram.ends_with(body)),
                Err(reject) => prop_assert!(reject.line(sender()).len() < 800),
            }
        }

        #[test]
        fn any_body_comes_out_as_it_went_in(body in prop::collection::vec(any::<u8>(), 1..2000)) {
            for header in [&b"{\"format\":\"json\",\"version\":1}\n"[..], b"{ \"version\":1,\"FORMAT\":\"Json\" }\r\n"] {
                let datagram = [header, &body].concat();
                prop_assert_eq!(document(&datagram), Ok(&body[..]));
            }
        }

        #[test]
        fn headers_near_the_right_one_never_panic(
            cut in 0_usize..30, put in prop::collection::vec(any::<u8>(), 0..4), body in "[a-z]{1,9}",
        ) {
            let mut header = b"{\"format\":\"json\",\"version\":1}".to_vec();
            let at = cut.min(header.len());
            header.splice(at..at, put);
            let datagram = [&header[..], b"\n", body.as_bytes()].concat();
            let line = document(&datagram).map_or_else(|reject| reject.line(sender()), |_| String::new());
            prop_assert!(!line.chars().any(char::is_control));
        }
    }
}
