//! What gRPC puts around a message, on both ways: five bytes in front of it, and the status behind it.

use bytes::{BufMut as _, Bytes, BytesMut};
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderName, HeaderValue, Response};
use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};

use crate::ledger::signal::Signal;
use crate::net::server::answer::{Answer, Body};
use crate::net::server::body::decode::{Decode, Gzip, Undecodable};

/// In front of a message: whether it is compressed, and its length in four bytes.
const PREFIX_BYTES: usize = 5;

pub(super) const ENCODING: HeaderName = HeaderName::from_static("grpc-encoding");
const ACCEPT_ENCODING: HeaderName = HeaderName::from_static("grpc-accept-encoding");
const STATUS: HeaderName = HeaderName::from_static("grpc-status");
const MESSAGE: HeaderName = HeaderName::from_static("grpc-message");
const DETAILS: HeaderName = HeaderName::from_static("grpc-status-details-bin");

/// The signal of the method at this path.
pub(super) fn signal(path: &str) -> Option<Signal> {
    Some(match path {
        "/opentelemetry.proto.collector.trace.v1.TraceService/Export" => Signal::Traces,
        "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export" => Signal::Metrics,
        "/opentelemetry.proto.collector.logs.v1.LogsService/Export" => Signal::Logs,
        _ => return None,
    })
}

/// The one message of a unary call.
#[derive(Debug)]
pub(super) struct Message {
    max_bytes: usize,
    /// `Some` when the call says that messages may be compressed.
    gzip: Option<Gzip>,
    prefix: [u8; PREFIX_BYTES],
    prefix_bytes: usize,
    is_compressed: bool,
    /// How much of the message has not come yet.
    left_bytes: usize,
}

impl Message {
    /// One of `max_bytes` at the most; `gzip`: the call says that it may be compressed.
    pub(super) fn new(max_bytes: usize, gzip: bool) -> Self {
        Self {
            max_bytes,
            gzip: gzip.then(Gzip::new),
            prefix: [0; PREFIX_BYTES],
            prefix_bytes: 0,
            is_compressed: false,
            left_bytes: 0,
        }
    }

    /// The prefix is there.
    fn begin(&mut self) -> Result<(), Undecodable> {
        let [flag, a, b, c, d] = self.prefix;
        self.is_compressed = match (flag, &self.gzip) {
            (0, _) => false,
            (1, Some(_)) => true,
            (1, None) => {
                return Err(Undecodable::Malformed(
                    "has a compressed gRPC message, and no grpc-encoding that says how",
                ));
            }
            _ => {
                return Err(Undecodable::Malformed(
                    "is no gRPC message: its first byte is neither 0 nor 1",
                ));
            }
        };
        let bytes = u32::from_be_bytes([a, b, c, d]);
        self.left_bytes = usize::try_from(bytes).unwrap_or(usize::MAX);
        if self.left_bytes > self.max_bytes {
            return Err(Undecodable::TooLong(self.max_bytes));
        }
        // An empty one is empty, compressed or not.
        self.is_compressed &= bytes > 0;
        Ok(())
    }
}

impl Decode for Message {
    fn own_bytes(&self) -> usize {
        self.gzip.as_ref().map_or(0, Gzip::own_bytes)
    }

    fn frame_bytes(&self) -> usize {
        PREFIX_BYTES
    }

    fn decode<'d>(&'d mut self, data: &'d [u8]) -> Result<(usize, &'d [u8]), Undecodable> {
        if self.prefix_bytes < PREFIX_BYTES {
            let taken = data.len().min(PREFIX_BYTES - self.prefix_bytes);
            self.prefix[self.prefix_bytes..self.prefix_bytes + taken].copy_from_slice(&data[..taken]);
            self.prefix_bytes += taken;
            if self.prefix_bytes == PREFIX_BYTES {
                self.begin()?;
            }
            return Ok((taken, &[]));
        }
        if self.left_bytes == 0 {
            return Err(Undecodable::Malformed("has more than its one gRPC message"));
        }
        let part = &data[..data.len().min(self.left_bytes)];
        let (taken, piece) = match &mut self.gzip {
            Some(gzip) if self.is_compressed => gzip.decode(part)?,
            _ => (part.len(), part),
        };
        self.left_bytes -= taken;
        Ok((taken, piece))
    }

    fn end(&mut self) -> Result<&[u8], Undecodable> {
        if self.prefix_bytes < PREFIX_BYTES {
            return Err(Undecodable::Malformed("has no gRPC message"));
        }
        if self.left_bytes > 0 {
            return Err(Undecodable::Malformed(
                "ends before its gRPC message, whose length says more",
            ));
        }
        match &mut self.gzip {
            Some(gzip) if self.is_compressed => gzip.end(),
            _ => Ok(&[]),
        }
    }
}

/// The answer to a call that succeeded: `message` is its response.
pub(super) fn success(message: &[u8]) -> Answer {
    let mut data = BytesMut::with_capacity(PREFIX_BYTES + message.len());
    data.put_u8(0);
    data.put_u32(u32::try_from(message.len()).unwrap_or(u32::MAX));
    data.put_slice(message);
    let mut trailers = HeaderMap::with_capacity(1);
    trailers.insert(STATUS, HeaderValue::from_static("0"));
    of(Body::Trailed {
        data: data.freeze(),
        trailers: Some(Box::new(trailers)),
    })
}

/// The answer to a call that failed with this code; `details` is a `google.rpc.Status`, if it says more than the others.
pub(super) fn failure(code: u8, message: &str, details: Option<&[u8]>) -> Answer {
    let mut answer = of(Body::Whole(Bytes::new()));
    let headers = answer.headers_mut();
    headers.insert(STATUS, HeaderValue::from(u16::from(code)));
    if let Ok(message) = HeaderValue::from_str(&utf8_percent_encode(message, ENCODED).to_string()) {
        headers.insert(MESSAGE, message);
    }
    if let Some(details) = details {
        let encoded = aws_smithy_types::base64::encode(details);
        // Without padding, as gRPC's page on the protocol has it.
        if let Ok(details) = HeaderValue::from_str(encoded.trim_end_matches('=')) {
            headers.insert(DETAILS, details);
        }
    }
    answer
}

fn of(body: Body) -> Answer {
    let mut answer = Response::new(body);
    let headers = answer.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity,gzip"));
    answer
}

/// What `grpc-message` does not carry as it is; besides, what is not ASCII.
const ENCODED: &AsciiSet = &CONTROLS.add(b'%');

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::net::server::body::decode::testing::gzip;

    const MAX_BYTES: usize = 1000;

    fn framed(flag: u8, bytes: u32, message: &[u8]) -> Vec<u8> {
        [&[flag][..], &bytes.to_be_bytes(), message].concat()
    }

    fn message(flag: u8, message: &[u8]) -> Vec<u8> {
        framed(flag, message.len().try_into().unwrap(), message)
    }

    fn decoded(body: &[u8], step: usize, with_gzip: bool) -> Result<Vec<u8>, Undecodable> {
        let mut decode = Message::new(MAX_BYTES, with_gzip);
        let mut all = Vec::new();
        for mut data in body.chunks(step) {
            while !data.is_empty() {
                let (taken, piece) = decode.decode(data)?;
                data = &data[taken..];
                all.extend_from_slice(piece);
            }
        }
        all.extend_from_slice(decode.end()?);
        Ok(all)
    }

    proptest! {
        #[test]
        fn a_message_is_the_same_however_it_is_cut_compressed_or_not(
            text in prop::collection::vec(0_u8..3, 0..900),
            step in 1_usize..40,
            says_gzip in any::<bool>(),
        ) {
            prop_assert_eq!(decoded(&message(0, &text), step, says_gzip), Ok(text.clone()));
            prop_assert_eq!(decoded(&message(1, &gzip(&text)), step, true), Ok(text));
        }

        #[test]
        fn any_bytes_are_a_message_or_refused(body in prop::collection::vec(any::<u8>(), 0..60), step in 1_usize..10) {
            let _ = decoded(&body, step, true);
        }
    }

    #[test]
    fn frames_that_lie_are_refused_for_what_they_lie_about() {
        for (body, with_gzip, why) in [
            (Vec::new(), false, "has no gRPC message"),
            (b"\0\0\0".to_vec(), false, "has no gRPC message"),
            (
                framed(0, 5, b"four"),
                false,
                "ends before its gRPC message, whose length says more",
            ),
            (framed(0, 3, b"four"), false, "has more than its one gRPC message"),
            (
                [message(0, b"one"), message(0, b"two")].concat(),
                false,
                "has more than its one gRPC message",
            ),
            (
                message(1, b"one"),
                false,
                "has a compressed gRPC message, and no grpc-encoding that says how",
            ),
            (message(1, b"one"), true, "is not what its encoding, gzip, says"),
            (
                message(2, b"one"),
                true,
                "is no gRPC message: its first byte is neither 0 nor 1",
            ),
        ] {
            assert_eq!(
                decoded(&body, 7, with_gzip),
                Err(Undecodable::Malformed(why)),
                "{body:?}"
            );
        }
        // Before any of it has come.
        assert_eq!(
            decoded(&framed(0, 1001, b""), 7, false),
            Err(Undecodable::TooLong(MAX_BYTES))
        );
        assert_eq!(
            decoded(&framed(0, u32::MAX, b""), 7, false),
            Err(Undecodable::TooLong(MAX_BYTES))
        );
        assert_eq!(decoded(&framed(1, 0, b""), 7, true), Ok(Vec::new()));
    }

    #[test]
    fn text_goes_as_grpc_wants_it() {
        assert_eq!(
            utf8_percent_encode("100 % für\n~", ENCODED).to_string(),
            "100 %25 f%C3%BCr%0A~"
        );
    }

    #[test]
    fn each_service_has_its_method_and_nothing_else_is_one() {
        for (path, expected) in [
            (
                "/opentelemetry.proto.collector.trace.v1.TraceService/Export",
                Some(Signal::Traces),
            ),
            (
                "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export",
                Some(Signal::Metrics),
            ),
            (
                "/opentelemetry.proto.collector.logs.v1.LogsService/Export",
                Some(Signal::Logs),
            ),
            (
                "/opentelemetry.proto.collector.trace.v1.TraceService/Import",
                None,
            ),
            ("/v1/traces", None),
        ] {
            assert_eq!(signal(path), expected, "{path}");
        }
    }
}
