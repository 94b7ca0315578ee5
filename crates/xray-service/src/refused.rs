//! Documents that were not taken, as people look at them.

use std::time::SystemTime;

use xray_document::segment::Refusal;

/// A document that was not taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// When.
    pub at: SystemTime,
    /// What the answer said.
    pub refusal: Refusal,
    /// The document's `name`, when it has one.
    pub name: Option<String>,
    /// The trace that it would have been in, when it names one.
    pub trace_id: Option<String>,
}
