//! What the documents in a sealed body are: for the log lines about segments that the service did not take.
//!
//! The documents are parsed as JSON, so that spaces, order and escapes in them do not matter. This is off the hot
//! path: it runs only for calls that had unprocessed segments or were refused.

use std::fmt;

use serde::Deserialize;

use crate::logs;

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

/// What may be said about a segment without showing its content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Description {
    /// Its id, when it has one as text.
    pub id: Option<String>,
    /// Its trace id, when it has one as text.
    pub trace_id: Option<String>,
    /// Its name, when it has one as text.
    pub name: Option<String>,
    /// The length of the document.
    pub bytes: usize,
}

/// The documents of `body`, a request body, in order; empty when it is none.
#[must_use]
pub fn describe(body: &[u8]) -> Vec<Description> {
    let Ok(body) = serde_json::from_slice::<Body>(body) else {
        return Vec::new();
    };
    let documents = body.documents.iter().map(|document| {
        let Identity { id, trace_id, name } = serde_json::from_str(document).unwrap_or_default();
        Description {
            id,
            trace_id,
            name,
            bytes: document.len(),
        }
    });
    documents.collect()
}

impl fmt::Display for Description {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = |text: &Option<String>| match text {
            Some(text) => logs::sanitize(text.as_bytes(), SHOWN_CHARS),
            None => "unknown".to_owned(),
        };
        write!(
            f,
            "id {}, trace id {}, name {}, {} bytes",
            shown(&self.id),
            shown(&self.trace_id),
            shown(&self.name),
            self.bytes
        )
    }
}

#[cfg(test)]
mod tests;
