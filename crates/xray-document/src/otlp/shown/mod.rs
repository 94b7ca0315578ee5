//! The spans of an OTLP document (`T1S…`), as the OpenTelemetry distributions of AWS send them over UDP, as `xray dev`
//! shows them: the documents of [`super::to_segment`].
//!
//! A document becomes no more than some times its own length of text. What its spans share, the resource, is in the
//! first of them of each trace.

use std::ops::ControlFlow;

use super::count::{Signal, count};
use super::to_segment::{Options, Sharing, each};
use crate::outline::Outline;
use crate::segment::MAX_DOCUMENT_BYTES;

/// The most spans of one document: what is left of [`MAX_DOCUMENT_BYTES`] without base64 has room for some 1,500 with
/// nothing but their ids.
const MAX_SPANS: u64 = 2_000;

/// How much room copies of resources and of their attributes get, in lengths of the document.
const RESOURCE_ROOM: usize = 4;

/// Whether this is the document of an OTLP request, broken or not.
#[must_use]
pub fn is_otlp(document: &str) -> bool {
    document.starts_with("T1S") || document.starts_with("T1U")
}

/// The spans of a `T1S` or `T1U` document, each as the outline and text of a document; `None` when it cannot be read, or
/// is longer than [`MAX_DOCUMENT_BYTES`], or has more than 2,000 spans. Spans without proper ids or a start are left out.
#[must_use]
pub fn documents(document: &str) -> Option<Vec<(Outline, String)>> {
    if document.len() > MAX_DOCUMENT_BYTES {
        return None;
    }
    let request = aws_smithy_types::base64::decode(document.get(3..)?).ok()?;
    let counted = count(Signal::Traces, &request).ok()?;
    if counted.within_limits(request.len()).is_err() || counted.items > MAX_SPANS {
        return None;
    }
    let sharing = Sharing {
        room: RESOURCE_ROOM * document.len(),
        once_a_trace: true,
    };
    let mut found = Vec::new();
    let mut take = |made: Result<super::to_segment::Segment, super::to_segment::Refused>| {
        found.extend(made.ok().map(|segment| (segment.outline, segment.document)));
        ControlFlow::Continue(())
    };
    each(&request, &Options::default(), sharing, &mut take).ok()?;
    Some(found)
}

#[cfg(test)]
mod tests;
