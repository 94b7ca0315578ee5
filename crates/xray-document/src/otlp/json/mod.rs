//! Requests in OTLP's JSON: those for traces as protobuf, for who has to read them; and all of them counted and halved
//! as JSON.
//!
//! | file | its one job |
//! |---|---|
//! | this one | a request for traces as protobuf |
//! | [`parts`] | how much is in a request, and its halves |
//!
//! How numbers, ids and values are written is told beside [`super::message`].

pub mod parts;

use std::fmt;

use prost::Message as _;
use serde::de::{DeserializeSeed, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use super::count::{MAX_MESSAGE_BYTES, max_groups, max_spans};
use super::message::{Resource, Scope, Span};
use super::wire::append;

/// The longest message of an error, in characters: the parser's words can quote what it read.
const MAX_ERROR_CHARS: usize = 160;

/// Why a request in JSON is not read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not an OTLP request in JSON: {0}")]
pub struct NotJson(String);

impl NotJson {
    fn of(error: &serde_json::Error) -> Self {
        let text = error.to_string();
        let shown = text.chars().flat_map(char::escape_debug);
        Self(shown.take(MAX_ERROR_CHARS).collect())
    }
}

/// A request for traces in JSON (`ExportTraceServiceRequest`) as protobuf. What nobody knows is left out.
///
/// One span at a time is held decoded; the result is shorter than the request.
///
/// # Errors
/// It is no such JSON, has more than [`max_spans`] spans or [`max_groups`] resources and scopes, or one of them is longer
/// than [`MAX_MESSAGE_BYTES`] or nests deeper than the JSON parser goes (128 levels).
pub fn to_protobuf(request: &[u8]) -> Result<Vec<u8>, NotJson> {
    let mut budget = Budget {
        spans: 0,
        max_spans: max_spans(request.len()),
        groups: 0,
        max_groups: max_groups(request.len()),
    };
    let mut out = Vec::new();
    let mut json = serde_json::Deserializer::from_slice(request);
    let level = Level {
        depth: Depth::Request,
        budget: &mut budget,
        out: &mut out,
    };
    level
        .deserialize(&mut json)
        .and_then(|()| json.end())
        .map_err(|error| NotJson::of(&error))?;
    Ok(out)
}

/// What has been read so far, and the most that is.
struct Budget {
    spans: u64,
    max_spans: u64,
    groups: u64,
    max_groups: u64,
}

/// The three messages that are written as they are read.
#[derive(Clone, Copy)]
enum Depth {
    Request,
    Resource,
    Scope,
}

/// A message that is read into the fields of its encoding.
struct Level<'b> {
    depth: Depth,
    budget: &'b mut Budget,
    out: &'b mut Vec<u8>,
}

impl<'de> DeserializeSeed<'de> for Level<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Level<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.depth {
            Depth::Request => "a request",
            Depth::Resource => "the spans of a resource",
            Depth::Scope => "the spans of a scope",
        })
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(key) = map.next_key::<String>()? {
            let children = match (self.depth, key.as_str()) {
                (Depth::Request, "resourceSpans") => Some((1, Child::Group(Depth::Resource))),
                (Depth::Resource, "scopeSpans") => Some((2, Child::Group(Depth::Scope))),
                (Depth::Scope, "spans") => Some((2, Child::Span)),
                _ => None,
            };
            if let Some((number, child)) = children {
                map.next_value_seed(Children {
                    number,
                    child,
                    budget: &mut *self.budget,
                    out: &mut *self.out,
                })?;
                continue;
            }
            match (self.depth, key.as_str()) {
                (Depth::Resource, "resource") => {
                    if let Some(resource) = bounded::<Resource, A>(&mut map)? {
                        append(1, &resource.encode_to_vec(), self.out);
                    }
                }
                (Depth::Scope, "scope") => {
                    if let Some(scope) = bounded::<Scope, A>(&mut map)? {
                        append(1, &scope.encode_to_vec(), self.out);
                    }
                }
                (Depth::Resource | Depth::Scope, "schemaUrl") => {
                    if let Some(url) = map.next_value::<Option<String>>()? {
                        append(3, url.as_bytes(), self.out);
                    }
                }
                _ => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        Ok(())
    }
}

/// A value that is read only if it is short enough; `None` for `null`.
fn bounded<'de, T: Deserialize<'de>, A: MapAccess<'de>>(map: &mut A) -> Result<Option<T>, A::Error> {
    parsed(map.next_value::<&RawValue>()?)
}

fn parsed<'de, T: Deserialize<'de>, E: Error>(raw: &'de RawValue) -> Result<Option<T>, E> {
    let bytes = raw.get().len();
    if bytes > MAX_MESSAGE_BYTES {
        return Err(E::custom(format_args!(
            "a span, resource or scope of {bytes} bytes; {MAX_MESSAGE_BYTES} are the most"
        )));
    }
    serde_json::from_str(raw.get()).map_err(E::custom)
}

#[derive(Clone, Copy)]
enum Child {
    Group(Depth),
    Span,
}

/// A list of messages, each of which becomes a field of that number.
struct Children<'b> {
    number: u32,
    child: Child,
    budget: &'b mut Budget,
    out: &'b mut Vec<u8>,
}

impl<'de> DeserializeSeed<'de> for Children<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Children<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list")
    }

    fn visit_unit<E: Error>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        match self.child {
            Child::Span => {
                while let Some(raw) = list.next_element::<&RawValue>()? {
                    self.budget.spans += 1;
                    let most = self.budget.max_spans;
                    if self.budget.spans > most {
                        return Err(A::Error::custom(format_args!(
                            "more than {most} spans in one request"
                        )));
                    }
                    let span = parsed::<Span, A::Error>(raw)?;
                    append(self.number, &span.unwrap_or_default().encode_to_vec(), self.out);
                }
            }
            Child::Group(depth) => loop {
                let mut content = Vec::new();
                let level = Level {
                    depth,
                    budget: &mut *self.budget,
                    out: &mut content,
                };
                if list.next_element_seed(level)?.is_none() {
                    break;
                }
                self.budget.groups += 1;
                let most = self.budget.max_groups;
                if self.budget.groups > most {
                    return Err(A::Error::custom(format_args!(
                        "more than {most} resources and scopes in one request"
                    )));
                }
                append(self.number, &content, self.out);
            },
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
