//! The bodies that a lane of the daemon holds, whatever its destination: segment documents as X-Ray wants them, and OTLP
//! export requests as they came.
//!
//! Both lanes have the same ones, so a batch of segments is written once and its memory is shared. A destination that speaks
//! another language than a body converts it in its call.

use crate::exporters::otlp::requests;
use crate::exporters::xray::encoding::Segments;
use crate::pipeline::batch::encoding::{Description, Encoding, Output, Requests};
use crate::pipeline::batch::kind::Kind;

/// Segment documents in a body of `PutTraceSegments`, and OTLP requests.
#[derive(Debug, Clone, Copy)]
pub enum Bodies {}

impl Encoding for Bodies {
    const MAX_DOCUMENTS: usize = Segments::MAX_DOCUMENTS;

    const HEAD: &'static [u8] = Segments::HEAD;

    const SEPARATOR: &'static [u8] = Segments::SEPARATOR;

    const TAIL: &'static [u8] = Segments::TAIL;

    const LEAST_GROWTH_BYTES: usize = Segments::LEAST_GROWTH_BYTES;

    const SLACK_BYTES: usize = Segments::SLACK_BYTES;

    fn append(document: &[u8], body: &mut impl Output) -> bool {
        Segments::append(document, body)
    }

    fn documents(body: &[u8]) -> Option<Vec<&[u8]>> {
        Segments::documents(body)
    }

    fn describe(body: &[u8]) -> Vec<Description> {
        Segments::describe(body)
    }

    fn items(kind: Kind, body: &[u8]) -> Option<u64> {
        match kind {
            Kind::Segments => None,
            Kind::Requests(signal, form) => requests::items(signal, form, body),
        }
    }

    fn halves(kind: Kind, body: &[u8]) -> Option<[Requests; 2]> {
        match kind {
            Kind::Segments => None,
            Kind::Requests(signal, form) => requests::halves(signal, form, body),
        }
    }
}
