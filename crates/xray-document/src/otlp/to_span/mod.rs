//! A segment document as spans: one for the segment or subsegment that it is, and one for each subsegment in it.
//!
//! Every field is taken out of the document as it finds its place. What is left at the end goes to the attributes under
//! its own name (`aws.xray.…`): so nothing is lost, whoever invented it.
//!
//! | file | its one job |
//! |---|---|
//! | this one | documents, and what each span is: ids, times, kind, status |
//! | `http` | `http` |
//! | `aws` | `aws` of a subsegment, and `sql` |
//! | `resource` | `aws`, `service` and `origin` of a segment |
//! | `cause` | `cause` |
//! | `ids` | ids, names and times |
//! | `links` | `links` |
//! | `rest` | annotations, metadata, and what nobody maps |
//! | `restore` | documents that [`super::to_segment`] has made |
//! | `names` | the segment's name for a subsegment that does not say it |

mod aws;
mod cause;
mod http;
mod ids;
mod links;
mod names;
mod resource;
mod rest;
mod restore;
#[cfg(test)]
mod tests;

use prost::Message as _;
use serde_json::{Map, Value};

use ids::{name_of, parent_id, span_id, time, trace_id};
pub use names::Names;

use super::attributes::{Attributes, listed, of_text};
use super::count::{self, MAX_SPANS, Signal};
use super::keys::FROM_SEGMENT;
use super::message::{
    AnyValue, KeyValue, Request, Resource, ResourceSpans, STATUS_ERROR, Scope, ScopeSpans, Span, Status,
    any_value, flags, kind,
};
use crate::nesting;

/// The longest document that is read: sixteen times what X-Ray takes. Read, a byte takes up ten.
pub const MAX_BYTES: usize = 1 << 20;

const NO_ID: &str = "an id is not 16 hex digits";

const NO_START: &str = "a start_time is missing, or not a time in seconds since 1970";

/// What is not in the document.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Context<'a> {
    /// The service of a subsegment that was sent on its own, which does not say it: the one segment name that was seen
    /// lately ([`Names::only`]), else the configured one. `None`: `unknown_service`.
    pub service_name: Option<&'a str>,
}

/// What a document becomes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Converted {
    /// A request with its spans.
    Spans(Spans),
    /// No span yet: OTLP has no spans that go on, and the document comes again when it has ended.
    InProgress,
    /// No span: an OTLP document (`T1U`) that says that it is not sampled.
    Unsampled,
}

/// The spans of a document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Spans {
    /// An `ExportTraceServiceRequest`: to be sent as it is, or appended to another one.
    pub request: Vec<u8>,
    /// How many spans are in it.
    pub spans: u64,
    /// The name of the segment, when the document is one: for [`Names::note`].
    pub segment_name: Option<String>,
}

/// Why a document is not converted. Short, plain text, whatever is in the document.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unconvertible {
    /// Longer than [`MAX_BYTES`].
    #[error("{0} bytes; {MAX_BYTES} are the most")]
    TooLong(usize),
    /// Objects and lists are inside each other in more levels than [`nesting::MAX_LEVELS`].
    #[error("objects and lists are {0} deep inside each other; {max} are the most", max = nesting::MAX_LEVELS)]
    TooDeep(usize),
    /// More subsegments than a request may have spans ([`MAX_SPANS`]).
    #[error("more than {MAX_SPANS} subsegments")]
    TooMany,
    /// No JSON, no object, no OTLP request after `T1S`, or a field that every span needs is missing or of the wrong form.
    #[error("{0}")]
    Wrong(String),
}

/// The spans of a segment document, or of the OTLP request in one (`T1S…`).
///
/// # Errors
/// It has no spans; X-Ray may take it all the same.
pub fn spans_of(document: &str, context: &Context<'_>) -> Result<Converted, Unconvertible> {
    if document.len() > MAX_BYTES {
        return Err(Unconvertible::TooLong(document.len()));
    }
    if let Some(base64) = document.strip_prefix("T1S") {
        return sampled(base64);
    }
    if document.starts_with("T1U") {
        return Ok(Converted::Unsampled);
    }
    let levels = nesting::levels(document);
    if levels > nesting::MAX_LEVELS {
        return Err(Unconvertible::TooDeep(levels));
    }
    let entity = match serde_json::from_str(document) {
        Ok(Value::Object(entity)) => entity,
        Ok(_) => return Err(wrong("the document is not a JSON object")),
        Err(_) => return Err(wrong("the document is not JSON")),
    };
    if is_absent(entity.get("end_time")) {
        return goes_on(&entity).map(|()| Converted::InProgress);
    }
    segment(entity, context)
}

/// A document without an end comes again only if it is a segment.
fn goes_on(entity: &Map<String, Value>) -> Result<(), Unconvertible> {
    trace_id(entity.get("trace_id"))?;
    name_of(entity)?;
    let id = span_id(entity.get("id")).ok_or_else(|| wrong(NO_ID));
    let start = time(entity.get("start_time")).ok_or_else(|| wrong(NO_START));
    id.and(start).map(|_| ())
}

fn wrong(what: impl Into<String>) -> Unconvertible {
    Unconvertible::Wrong(what.into())
}

fn sampled(base64: &str) -> Result<Converted, Unconvertible> {
    let request =
        aws_smithy_types::base64::decode(base64).map_err(|_| wrong("what follows T1S is not base64"))?;
    let counted = count::count(Signal::Traces, &request)
        .map_err(|error| wrong(format!("what follows T1S is not an OTLP request: {error}")))?;
    if counted.items == 0 {
        return Err(wrong("what follows T1S is an OTLP request without spans"));
    }
    Ok(Converted::Spans(Spans {
        request,
        spans: counted.items,
        segment_name: None,
    }))
}

fn segment(mut entity: Map<String, Value>, context: &Context<'_>) -> Result<Converted, Unconvertible> {
    let trace_id = trace_id(entity.remove("trace_id").as_ref())?;
    let is_subsegment = entity.get("type").and_then(Value::as_str) == Some("subsegment");
    let unwrapped = restore::unwrap(&mut entity);
    let name = name_of(&entity)?;
    let segment_name = (!is_subsegment).then(|| name.clone());
    let service = segment_name.as_deref().or(context.service_name);
    let mut attributes = Attributes::new();
    let mut resource = resource::take(&mut entity, service, is_subsegment, &mut attributes);
    let mut scope = resource::scope(&resource);
    let mut resource_schema_url = String::new();
    let mut scope_schema_url = String::new();
    let ours = match unwrapped {
        Some(call) => {
            // The segment was made for the call in it, and what it tells of the service is in the call's resource.
            attributes.clear();
            entity = call;
            restore::take(&mut entity)
        }
        None => restore::take(&mut entity),
    };
    let mut resource = Resource {
        attributes: listed(std::mem::take(&mut resource)),
        ..Resource::default()
    };
    if let Some(ours) = &ours {
        ours.resource(&mut resource, &mut resource_schema_url);
        ours.scope(&mut scope, &mut scope_schema_url);
    }
    let mut making = Making {
        trace_id,
        messages: cause::messages(&entity),
        spans: Vec::new(),
    };
    let parent = parent_id(&mut entity)?;
    let is_segment = !is_subsegment;
    making.entity(entity, Place::Outermost { parent, is_segment }, attributes, ours)?;
    let spans = making.spans.len() as u64;
    let request = Request {
        resource_spans: vec![ResourceSpans {
            resource: Some(resource),
            scope_spans: vec![ScopeSpans {
                scope: Some(scope),
                spans: making.spans,
                schema_url: scope_schema_url,
            }],
            schema_url: resource_schema_url,
        }],
    };
    Ok(Converted::Spans(Spans {
        request: request.encode_to_vec(),
        spans,
        segment_name,
    }))
}

/// A scope, of spans made of a segment.
fn scope_of(name: &str, version: &str) -> Scope {
    Scope {
        name: name.to_owned(),
        version: version.to_owned(),
        attributes: vec![KeyValue {
            key: FROM_SEGMENT.to_owned(),
            value: Some(AnyValue {
                value: Some(any_value::Value::Bool(true)),
            }),
        }],
        ..Scope::default()
    }
}

/// Where an entity is.
#[derive(Clone)]
enum Place {
    /// The document is it.
    Outermost { parent: Vec<u8>, is_segment: bool },
    /// In another one, with that one's id and end.
    Inside { parent: Vec<u8>, end: u64 },
}

/// The spans of one document, as they are made.
struct Making {
    trace_id: Vec<u8>,
    /// Messages of the document's exceptions, by their ids.
    messages: cause::Messages,
    spans: Vec<Span>,
}

impl Making {
    /// Makes the span of an entity and those of what is in it; [`nesting::MAX_LEVELS`] bounds the recursion.
    fn entity(
        &mut self,
        mut entity: Map<String, Value>,
        place: Place,
        mut attributes: Attributes,
        ours: Option<restore::Ours>,
    ) -> Result<(), Unconvertible> {
        if self.spans.len() as u64 >= MAX_SPANS {
            return Err(Unconvertible::TooMany);
        }
        let id = span_id(entity.remove("id").as_ref()).ok_or_else(|| wrong(NO_ID))?;
        let name = name_of(&entity)?;
        entity.remove("name");
        let start = time(entity.remove("start_time").as_ref()).ok_or_else(|| wrong(NO_START))?;
        let is_segment = matches!(place, Place::Outermost { is_segment: true, .. });
        let (parent, end) = self.parent_and_end(&mut entity, place, start)?;
        let children = match entity.remove("subsegments") {
            Some(Value::Array(children)) => children,
            None => Vec::new(),
            Some(other) => {
                entity.insert("subsegments".to_owned(), other);
                Vec::new()
            }
        };
        let namespace = match entity.get("namespace").and_then(Value::as_str) {
            Some("aws") if !is_segment => Some(Called::Aws),
            Some("remote") if !is_segment => Some(Called::Remote),
            _ => None,
        };
        if namespace.is_some() {
            entity.remove("namespace");
        }
        let mut span = Span {
            trace_id: self.trace_id.clone(),
            span_id: id.clone(),
            name: name.clone(),
            kind: match namespace {
                _ if is_segment => kind::SERVER,
                Some(_) => kind::CLIENT,
                None => kind::INTERNAL,
            },
            start_time_unix_nano: start,
            end_time_unix_nano: end,
            flags: flags::SAMPLED
                | flags::REMOTE_KNOWN
                | if is_segment && !parent.is_empty() {
                    flags::REMOTE
                } else {
                    0
                },
            parent_span_id: parent,
            ..Span::default()
        };
        http::take(&mut entity, is_segment, &mut attributes);
        match namespace {
            Some(Called::Aws) => {
                if let Some(operation) = aws::service(&mut entity, &name, &mut attributes) {
                    span.name = format!("{name}.{operation}");
                }
            }
            Some(Called::Remote) => {
                attributes.insert("peer.service".to_owned(), of_text(name));
            }
            None => {}
        }
        if !is_segment {
            aws::take(&mut entity, &mut attributes);
        }
        aws::sql(&mut entity, &mut attributes);
        rest::move_text(&mut entity, "user", &mut attributes, "enduser.id");
        let caused = cause::take(&mut entity, end, &self.messages, &mut attributes);
        span.events = caused.events;
        span.status = status(&entity, &attributes, is_segment, caused.message);
        span.links = links::take(&mut entity);
        rest::take(entity, &mut attributes);
        span.attributes = listed(attributes);
        if let Some(ours) = ours {
            ours.span(&mut span);
        }
        self.spans.push(span);
        for child in children {
            let Value::Object(child) = child else {
                return Err(wrong("a subsegment is not an object"));
            };
            let inside = Place::Inside {
                parent: id.clone(),
                end,
            };
            self.entity(child, inside, Attributes::new(), None)?;
        }
        Ok(())
    }

    /// Takes what says where an entity belongs and whether it has ended. One that goes on inside of one that has ended
    /// is not sent again: it ends with that one.
    fn parent_and_end(
        &self,
        entity: &mut Map<String, Value>,
        place: Place,
        start: u64,
    ) -> Result<(Vec<u8>, u64), Unconvertible> {
        entity.remove("type");
        let end = entity.remove("end_time");
        let (parent, ends_with) = match place {
            Place::Outermost { parent, .. } => (parent, None),
            Place::Inside { parent, end } => {
                // Nesting counts: Python repeats these inside.
                entity.remove("trace_id");
                entity.remove("parent_id");
                (parent, Some(end))
            }
        };
        let goes_on = is_absent(end.as_ref());
        if !goes_on && entity.get("in_progress") != Some(&Value::Bool(true)) {
            entity.remove("in_progress");
        }
        let end = match ends_with {
            Some(with) if goes_on => Some(with.max(start)),
            _ => time(end.as_ref()),
        };
        let end = end.ok_or_else(|| wrong("an end_time is not a time in seconds since 1970"))?;
        Ok((parent, end))
    }
}

#[derive(Clone, Copy)]
enum Called {
    Aws,
    Remote,
}

fn is_absent(value: Option<&Value>) -> bool {
    matches!(value, None | Some(Value::Null))
}

/// The conventions for HTTP: what a client has asked wrongly is no error of the server.
fn status(
    entity: &Map<String, Value>,
    attributes: &Attributes,
    is_server: bool,
    message: Option<String>,
) -> Option<Status> {
    let is_set = |flag: &str| entity.get(flag) == Some(&Value::Bool(true));
    let code = match attributes.get("http.response.status_code") {
        Some(any_value::Value::Int(code)) => Some(*code),
        _ => None,
    };
    let is_client_error = code.is_some_and(|code| (400..500).contains(&code));
    let has_failed = if is_set("fault") || code.is_some_and(|code| code >= 500) {
        true
    } else if is_server {
        (is_set("error") || is_set("throttle")) && !is_client_error
    } else {
        is_set("error") || is_set("throttle") || is_client_error
    };
    has_failed.then(|| Status {
        code: STATUS_ERROR,
        message: message.unwrap_or_default(),
    })
}
