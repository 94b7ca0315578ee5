//! A body of segment documents as one request with their spans, made in the call: what is kept and spooled is the body.

use std::time::Instant;

use xray_document::otlp::to_span::{Context, Converted, Names, spans_of};

use crate::exporters::xray::encoding::Segments;
use crate::ledger::DropReason;
use crate::pipeline::batch::encoding::{Description, Encoding as _};

/// What a body became.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct AsSpans {
    /// One request with all spans; empty when there are none.
    pub(super) request: Vec<u8>,
    /// The documents that have no spans for this destination, by reason.
    pub(super) left_out: Vec<(DropReason, u64)>,
    /// The places of those that cannot be converted, and why.
    pub(super) unconvertible: Vec<(usize, String)>,
}

impl AsSpans {
    /// What may be said of each document that cannot be converted, and why it cannot.
    pub(super) fn described(&self, body: &[u8]) -> Vec<(Description, &str)> {
        if self.unconvertible.is_empty() {
            return Vec::new();
        }
        let described = Segments::describe(body);
        self.unconvertible
            .iter()
            .map(|(place, reason)| {
                let description = described.get(*place).cloned();
                (description.unwrap_or_default(), reason.as_str())
            })
            .collect()
    }

    fn leave_out(&mut self, reason: DropReason) {
        match self.left_out.iter_mut().find(|(left, _)| *left == reason) {
            Some((_, count)) => *count += 1,
            None => self.left_out.push((reason, 1)),
        }
    }
}

/// The documents of `body` as spans. `names` has the segment names that were seen lately, and learns those in it;
/// `configured` is the service of subsegments that came on their own, where those do not tell. `None` when it is no body of
/// documents.
pub(super) fn as_spans(
    body: &[u8],
    names: &mut Names,
    configured: Option<&str>,
    now: Instant,
) -> Option<AsSpans> {
    let documents = Segments::documents(body)?;
    let mut spans = AsSpans::default();
    // From the end: a segment, which tells its name, comes after those of its subsegments that are sent on their own.
    for (place, document) in documents.into_iter().enumerate().rev() {
        let text = serde_json::from_slice::<String>(document);
        let converted = match &text {
            Ok(text) => {
                let service_name = names.only(now).or(configured);
                spans_of(text, &Context { service_name }).map_err(|error| error.to_string())
            }
            Err(_) => Err("not a text in JSON".to_owned()),
        };
        match converted {
            Ok(Converted::Spans(of_document)) => {
                if let Some(name) = &of_document.segment_name {
                    names.note(name, now);
                }
                if spans.request.is_empty() {
                    spans.request = of_document.request;
                } else {
                    spans.request.extend_from_slice(&of_document.request);
                }
            }
            Ok(Converted::InProgress) => spans.leave_out(DropReason::InProgress),
            Ok(Converted::Unsampled) => spans.leave_out(DropReason::Unsampled),
            Err(reason) => {
                spans.leave_out(DropReason::NotConvertible);
                spans.unconvertible.push((place, reason));
            }
        }
    }
    Some(spans)
}
