//! The spans of a request as segment documents, one each.
//!
//! What X-Ray has a field for goes there. All that a span is, attributes, events, resource and scope, is in
//! `metadata.otlp` as well, so that nothing is lost on the way, and [`super::to_span`] finds the span again. Spans that
//! were made of segments have no need of that: their attributes become the fields that they were.
//!
//! | file | its one job |
//! |---|---|
//! | this one | a request span by span, within bounds |
//! | `entity` | what a span is: segment, subsegment, or both; and its text |
//! | `names` | the names of services and calls |
//! | `http` | `http`, and what went wrong |
//! | `aws` | `aws` of a call, `sql` |
//! | `cause` | exceptions |
//! | `annotations` | annotations |
//! | `fields` | attributes of [`super::to_span`] as the fields that they were |
//! | `metadata` | `metadata.otlp` |
//! | `shed` | what is left out of a document that is too long |

mod annotations;
mod aws;
mod cause;
mod entity;
mod fields;
mod http;
mod metadata;
mod names;
mod shed;
#[cfg(test)]
mod tests;

use std::collections::HashSet;
use std::ops::ControlFlow;

use prost::Message;
use serde_json::{Map, Value};

use super::attributes::json_of;
use super::count::{Count, MAX_MESSAGE_BYTES, Signal, TooMuch, count};
use super::keys::FROM_SEGMENT;
use super::message::{Resource, Scope, Span};
use super::wire::{Fields, Malformed};
use crate::outline::Outline;

/// How spans are converted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Options<'a> {
    /// Keys of attributes that become annotations, besides those that a span lists itself (`aws.xray.annotations`). X-Ray
    /// has 50 for a trace.
    pub annotations: &'a [String],
}

/// A document made of a span.
#[derive(Debug, Clone, PartialEq)]
pub struct Segment {
    /// Its ids and start.
    pub outline: Outline,
    /// As `PutTraceSegments` takes it: [`crate::segment::check`] passes it, so it has at most 64 KiB.
    pub document: String,
}

/// A span that becomes no document. Short, plain text, whatever is in the span.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("span {place} of the request ({name:?}): {why}")]
pub struct Refused {
    /// From 1.
    pub place: u64,
    /// The first characters of the span's name; empty when it cannot be read.
    pub name: String,
    /// What is wrong with it.
    pub why: String,
}

/// Why a request is not read at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unreadable {
    /// No protobuf.
    #[error(transparent)]
    Malformed(#[from] Malformed),
    /// More than is taken.
    #[error(transparent)]
    TooMuch(#[from] TooMuch),
}

/// How much room copies of what spans share get, in lengths of the request: resources and scopes, which each document has.
const SHARED_ROOM: usize = 4;

/// Room that a small request has as well: a single span with the longest resource that a document has room for.
const LEAST_ROOM_BYTES: usize = 64 << 10;

/// Makes a document of each span of a request in protobuf and hands it to `take`, in the order of the request; what becomes
/// none is handed over as well. Returns how much is in the request: `take` is called once for each span.
///
/// One span at a time is decoded. What all documents have together is no more than some times the request: where
/// spans share a resource that is too long for that, the later ones say that it is left out.
///
/// # Errors
/// The request is not read: `take` has not been called.
pub fn segments_of(
    request: &[u8],
    options: &Options<'_>,
    mut take: impl FnMut(Result<Segment, Refused>),
) -> Result<Count, Unreadable> {
    segments_while(request, options, |made| {
        take(made);
        ControlFlow::Continue(())
    })
}

/// As [`segments_of`], until `take` breaks off: what is left of the request is not looked at then.
///
/// # Errors
/// As there.
pub fn segments_while(
    request: &[u8],
    options: &Options<'_>,
    mut take: impl FnMut(Result<Segment, Refused>) -> ControlFlow<()>,
) -> Result<Count, Unreadable> {
    let counted = count(Signal::Traces, request)?;
    counted.within_limits(request.len())?;
    let sharing = Sharing {
        room: (SHARED_ROOM * request.len()).max(LEAST_ROOM_BYTES),
        once_a_trace: false,
    };
    each(request, options, sharing, &mut take)?;
    Ok(counted)
}

/// What copies of resources and scopes get.
pub(super) struct Sharing {
    /// In bytes.
    pub(super) room: usize,
    /// Only the first span of each trace and resource has it.
    pub(super) once_a_trace: bool,
}

/// As [`segments_of`], of a request that has been counted.
pub(super) fn each(
    request: &[u8],
    options: &Options<'_>,
    mut sharing: Sharing,
    take: &mut dyn FnMut(Result<Segment, Refused>) -> ControlFlow<()>,
) -> Result<(), Malformed> {
    let mut place = 0;
    for field in Fields::of(request) {
        let Some(resource_spans) = field?.message(1) else {
            continue;
        };
        let resource = shared::<Resource>(resource_spans)?;
        let mut resource = resource.map(|(resource, schema_url)| OfResource::new(&resource, schema_url));
        for field in Fields::of(resource_spans) {
            let Some(scope_spans) = field?.message(2) else {
                continue;
            };
            let scope = shared::<Scope>(scope_spans)?;
            let scope = scope.map(|(scope, schema_url)| OfScope::new(&scope, &schema_url));
            for field in Fields::of(scope_spans) {
                let Some(span) = field?.message(2) else {
                    continue;
                };
                place += 1;
                let made = match (&mut resource, &scope) {
                    (Ok(resource), Ok(scope)) => decoded::<Span>(span, "it").and_then(|span| {
                        let beside = Beside {
                            resource,
                            scope,
                            sharing: &mut sharing,
                            options,
                        };
                        let name = shown(&span.name);
                        entity::document(&span, beside).map_err(|why| (name, why))
                    }),
                    (Err((_, why)), _) => Err((String::new(), why.clone())),
                    (_, Err((_, why))) => Err((String::new(), why.clone())),
                };
                if take(made.map_err(|(name, why)| Refused { place, name, why })).is_break() {
                    return Ok(());
                }
            }
        }
    }
    Ok(())
}

/// Why a span is refused, after its name.
type Why = (String, String);

fn shown(name: &str) -> String {
    name.chars().take(40).collect()
}

fn decoded<M: Message + Default>(message: &[u8], what: &str) -> Result<M, Why> {
    let why = if message.len() > MAX_MESSAGE_BYTES {
        format!(
            "{what} has {} bytes; {MAX_MESSAGE_BYTES} are the most",
            message.len()
        )
    } else {
        match M::decode(message) {
            Ok(message) => return Ok(message),
            Err(_) => format!("{what} is not protobuf, not UTF-8, or nests deeper than 100 levels"),
        }
    };
    Err((String::new(), why))
}

/// What is in field 1 beside the children, and the schema's URL in field 3: fields may come in any order, and in parts.
fn shared<M: Message + Default>(message: &[u8]) -> Result<Result<(M, String), Why>, Malformed> {
    let mut content = Vec::new();
    let mut url = Vec::new();
    for field in Fields::of(message) {
        let field = field?;
        if let Some(part) = field.message(1) {
            content.extend_from_slice(part);
        } else if let Some(found) = field.message(3) {
            found.clone_into(&mut url);
        }
    }
    let url = String::from_utf8_lossy(&url);
    let url = url.chars().take(1_000).collect();
    Ok(decoded(&content, "its resource or scope").map(|content| (content, url)))
}

/// What the spans of a resource share.
struct OfResource {
    attributes: Map<String, Value>,
    /// What of it is not in its attributes.
    more: Value,
    /// `aws`, `service` and `origin` of its segments.
    fields: Map<String, Value>,
    /// The length of attributes and the rest as JSON.
    bytes: usize,
    fields_bytes: usize,
    /// Whether all of it comes back from `fields`.
    is_told: bool,
    /// The traces whose first span has it.
    named: HashSet<Vec<u8>>,
}

impl OfResource {
    fn new(resource: &Resource, schema_url: String) -> Self {
        let attributes = json_of(&resource.attributes);
        let more = metadata::resource_more(resource, schema_url);
        let fields = super::resource::fields(&attributes);
        let length = |value: &Map<String, Value>| Value::Object(value.clone()).to_string().len();
        Self {
            bytes: length(&attributes) + more.as_object().map_or(0, length),
            fields_bytes: length(&fields),
            is_told: more.is_null() && attributes.keys().all(|key| super::resource::is_told(key)),
            attributes,
            more,
            fields,
            named: HashSet::new(),
        }
    }
}

/// What the spans of a scope share.
struct OfScope {
    json: Value,
    bytes: usize,
    /// The spans were made of a segment document.
    is_from_segment: bool,
}

impl OfScope {
    fn new(scope: &Scope, schema_url: &str) -> Self {
        let json = metadata::scope(scope, schema_url);
        Self {
            bytes: json.to_string().len(),
            is_from_segment: json
                .get("attributes")
                .and_then(|attributes| attributes.get(FROM_SEGMENT))
                == Some(&Value::Bool(true)),
            json,
        }
    }
}

/// What a span is converted with.
struct Beside<'a> {
    resource: &'a mut OfResource,
    scope: &'a OfScope,
    sharing: &'a mut Sharing,
    options: &'a Options<'a>,
}

impl Sharing {
    /// Whether there is room for a copy of so many bytes; if so it is taken.
    fn takes(&mut self, bytes: usize) -> bool {
        let fits = bytes <= self.room;
        if fits {
            self.room -= bytes;
        }
        fits
    }
}

/// The most links of a segment that X-Ray takes.
const MAX_LINKS: usize = 20;

/// What decides on how a span's fields are read.
#[derive(Clone, Copy)]
struct Made {
    is_segment: bool,
    /// The span was made of a segment: its attributes tell exactly what the fields were, and nothing is guessed.
    is_from_segment: bool,
}

/// A span's times as X-Ray has them.
struct Times {
    start: u64,
    /// `None`: it has not ended.
    end: Option<u64>,
}

impl Times {
    fn of(span: &Span) -> Self {
        let start = span.start_time_unix_nano;
        let end = span.end_time_unix_nano;
        Self {
            start,
            // An end before the start is one that clocks have made.
            end: (end != 0).then(|| end.max(start)),
        }
    }

    /// Whether start and end are found again in whole microseconds.
    fn are_whole(&self, span: &Span) -> bool {
        let is_whole = |nanos: u64| nanos.is_multiple_of(1_000) && nanos < 18_000_000_000_000_000_000;
        is_whole(self.start)
            && self
                .end
                .is_none_or(|end| is_whole(end) && end == span.end_time_unix_nano)
    }
}
