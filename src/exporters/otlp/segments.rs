//! A body of segment documents as one request with their spans, made in the call: what is kept and spooled is the body.

use std::collections::BTreeMap;
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
    pub(super) left_out: BTreeMap<DropReason, u64>,
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
        let of_place = |(place, reason): &'_ (usize, String)| {
            let unknown = || Description {
                id: None,
                shown: "unknown".to_owned(),
            };
            let description = described.get(*place).cloned().unwrap_or_else(unknown);
            (description, *place, reason.len())
        };
        self.unconvertible
            .iter()
            .map(|one| (of_place(one).0, one.1.as_str()))
            .collect()
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
    for (place, document) in documents.into_iter().enumerate() {
        let mut left_out = |reason| *spans.left_out.entry(reason).or_default() += 1;
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
            Ok(Converted::InProgress) => left_out(DropReason::InProgress),
            Ok(Converted::Unsampled) => left_out(DropReason::Unsampled),
            Err(reason) => {
                left_out(DropReason::NotConvertible);
                spans.unconvertible.push((place, reason));
            }
        }
    }
    Some(spans)
}
