//! What the documents in a sealed body are: for the log lines about segments that the service did not take.
//!
//! The documents are parsed as JSON, so that spaces, order and escapes in them do not matter. This is off the hot
//! path: it runs only for calls that had unprocessed segments or were refused.

use serde::Deserialize;

use crate::pipeline::batch::encoding::Description;

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
    Description {
        id,
        trace_id,
        name,
        bytes: document.len(),
    }
}

#[cfg(test)]
mod tests;
