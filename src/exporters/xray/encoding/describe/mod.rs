//! What the documents in a sealed body are: for the log lines about segments that the service did not take.
//!
//! The documents are parsed as JSON, so that spaces, order and escapes in them do not matter. This is off the hot
//! path: it runs only for calls that had unprocessed segments or were refused.

use serde::Deserialize;

use crate::logs;
use crate::pipeline::batch::encoding::Description;

/// Most characters of a name or id that are shown.
const SHOWN_CHARS: usize = 64;

#[derive(Deserialize)]
struct Body {
    #[serde(rename = "TraceSegmentDocuments")]
    documents: Vec<String>,
}

#[derive(Deserialize, Default)]
struct Identity {
    id: Option<String>,
    trace_id: Option<String>,
    name: Option<String>,
}

/// The documents of `body`, a request body, in order; empty when it is none.
#[must_use]
pub(super) fn describe(body: &[u8]) -> Vec<Description> {
    let Ok(body) = serde_json::from_slice::<Body>(body) else {
        return Vec::new();
    };
    body.documents
        .iter()
        .map(|document| description(document))
        .collect()
}

fn description(document: &str) -> Description {
    let Identity { id, trace_id, name } = serde_json::from_str(document).unwrap_or_default();
    let shown = |text: &Option<String>| match text {
        Some(text) => logs::sanitize(text.as_bytes(), SHOWN_CHARS),
        None => "unknown".to_owned(),
    };
    let shown = format!(
        "id {}, trace id {}, name {}, {} bytes",
        shown(&id),
        shown(&trace_id),
        shown(&name),
        document.len()
    );
    Description { id, shown }
}

#[cfg(test)]
mod tests;
