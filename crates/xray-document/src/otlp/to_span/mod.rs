//! A segment document as spans.

use crate::otlp::count::MAX_SPANS;

/// What is not in the document.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Context<'a> {
    /// The service of a subsegment that was sent on its own, which does not say it: the one segment name that was seen
    /// lately ([`Names::only`]), else the configured one. `None`: `unknown_service`.
    pub service_name: Option<&'a str>,
}

/// What a document becomes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Converted {
    /// A request with its spans.
    Spans(Spans),
    /// No span yet: OTLP has no spans that go on, and the document comes again when it has ended.
    InProgress,
    /// No span: an OTLP document (`T1U`) that says that it is not sampled.
    Unsampled,
}

/// The spans of a document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Spans {
    /// An `ExportTraceServiceRequest`: to be sent as it is, or appended to another one.
    pub request: Vec<u8>,
    /// How many spans are in it.
    pub spans: u64,
    /// The name of the segment, when the document is one: for [`Names::note`].
    pub segment_name: Option<String>,
}

/// Why a document is not converted. Short, plain text, whatever is in the document.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unconvertible {
    /// Longer than [`MAX_BYTES`].
    #[error("{0} bytes; {MAX_BYTES} are the most")]
    TooLong(usize),
    /// Objects and lists are inside each other in more levels than [`crate::nesting::MAX_LEVELS`].
    #[error("objects and lists are {0} deep inside each other; {max} are the most", max = crate::nesting::MAX_LEVELS)]
    TooDeep(usize),
    /// More subsegments than a request may have spans.
    #[error("more than {MAX_SPANS} subsegments")]
    TooMany,
    /// No JSON, no object, a field that every span needs is missing or of the wrong form, or no OTLP request after `T1S`.
    #[error("{0}")]
    Wrong(String),
}

/// The longest document that is read: sixteen times what X-Ray takes. Read, a byte takes up ten.
pub const MAX_BYTES: usize = 1 << 20;

/// The spans of a segment document, or of the OTLP request in one (`T1S…`).
///
/// # Errors
/// It has no spans; X-Ray may take it all the same.
pub fn spans_of(document: &str, context: &Context<'_>) -> Result<Converted, Unconvertible> {
    let _ = (document, context);
    Err(Unconvertible::Wrong("being written".to_owned()))
}
