//! What a store must know of a document at once.

use serde_json::{Map, Value};

use crate::clock;
use crate::fields::{array, number, text};

/// What the store must know of a document before it reads the rest.
#[derive(Debug, Clone, PartialEq)]
pub struct Outline {
    /// The segment's id.
    pub id: String,
    /// `1-<8 hex>-<24 hex>`.
    pub trace_id: String,
    /// It has no end yet.
    pub in_progress: bool,
    /// The earliest start in it, in seconds since 1970, whatever unit it was sent in ([`clock::seconds`]).
    pub start: f64,
}

/// The outline of a document that [`crate::segment::check`] has passed; `None` when it is no segment.
#[must_use]
pub fn outline(document: &str) -> Option<Outline> {
    let value: Value = serde_json::from_str(document).ok()?;
    let data = value.as_object()?;
    Some(Outline {
        id: text(data.get("id"))?,
        trace_id: text(data.get("trace_id"))?,
        in_progress: number(data.get("end_time")).is_none(),
        start: earliest(data).unwrap_or_default(),
    })
}

/// The JSON parser's bound of 128 levels bounds the recursion.
fn earliest(data: &Map<String, Value>) -> Option<f64> {
    let nested = array(data.get("subsegments")).iter();
    let nested = nested.filter_map(|child| earliest(child.as_object()?));
    number(data.get("start_time"))
        .map(clock::seconds)
        .into_iter()
        .chain(nested)
        .reduce(f64::min)
}
