//! `cause`: exceptions as events.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::rest::{leftovers, take_object};
use crate::otlp::attributes::{Attributes, flat, listed, of_text};
use crate::otlp::keys::EXCEPTION;
use crate::otlp::message::{Event, any_value};
use crate::otlp::stack;

/// Messages of exceptions, by the ids that causes refer to.
pub(super) type Messages = BTreeMap<String, String>;

/// The messages of all exceptions of a document; [`crate::nesting::MAX_LEVELS`] bounds the recursion.
pub(super) fn messages(entity: &Map<String, Value>) -> Messages {
    let mut found = Messages::new();
    collect(entity, &mut found);
    found
}

fn collect(entity: &Map<String, Value>, found: &mut Messages) {
    for exception in crate::fields::array(entity.get("cause").and_then(|cause| cause.get("exceptions"))) {
        if let (Some(Value::String(id)), Some(Value::String(message))) =
            (exception.get("id"), exception.get("message"))
        {
            found.insert(id.clone(), message.clone());
        }
    }
    for child in crate::fields::array(entity.get("subsegments")) {
        if let Value::Object(child) = child {
            collect(child, found);
        }
    }
}

/// What a cause becomes.
#[derive(Default)]
pub(super) struct Caused {
    pub(super) events: Vec<Event>,
    /// For people: the message of the first exception.
    pub(super) message: Option<String>,
}

/// Takes `cause`: its exceptions as events at `end`, an id of an exception elsewhere as an attribute.
pub(super) fn take(
    entity: &mut Map<String, Value>,
    end: u64,
    messages: &Messages,
    attributes: &mut Attributes,
) -> Caused {
    if let Some(id) = entity.get("cause").and_then(Value::as_str) {
        // The id itself is an attribute as every field that nobody maps.
        return Caused {
            message: messages.get(id).cloned(),
            ..Caused::default()
        };
    }
    let Some(mut cause) = take_object(entity, "cause") else {
        return Caused::default();
    };
    let mut caused = Caused::default();
    if cause.get("exceptions").is_some_and(Value::is_array)
        && let Some(Value::Array(exceptions)) = cause.remove("exceptions")
    {
        caused.events = exceptions
            .into_iter()
            .map(|exception| event(exception, end))
            .collect();
    }
    // Node's form of an id: an object with it and without exceptions.
    let reference = cause
        .get("id")
        .and_then(Value::as_str)
        .filter(|_| caused.events.is_empty());
    if let Some(id) = reference {
        attributes.insert("aws.xray.cause".to_owned(), of_text(id));
        caused.message = messages.get(id).cloned();
    } else {
        caused.message = caused.events.iter().find_map(message);
    }
    leftovers(&["cause"], cause, attributes);
    caused
}

fn message(event: &Event) -> Option<String> {
    let message = event
        .attributes
        .iter()
        .rfind(|attribute| attribute.key == "exception.message")?;
    match message.value.as_ref()?.value.as_ref()? {
        any_value::Value::Text(text) => Some(text.clone()),
        _ => None,
    }
}

/// An exception without an id (Ruby) has none here either, and `null` (.NET) is nothing.
fn event(exception: Value, end: u64) -> Event {
    let mut attributes = Attributes::new();
    match exception {
        Value::Object(mut exception) => {
            let field = |name: &str| exception.get(name).and_then(Value::as_str).map(str::to_owned);
            let (kind, message) = (field("type"), field("message"));
            if let Some(frames) = exception
                .get("stack")
                .and_then(Value::as_array)
                .filter(|frames| !frames.is_empty())
            {
                let text_of = stack_text(kind.as_deref(), message.as_deref(), frames);
                // Frames that the text does not tell exactly, as those with fields that nobody knows, stay beside it.
                if stack::frames(&text_of) == *frames {
                    exception.remove("stack");
                }
                attributes.insert("exception.stacktrace".to_owned(), of_text(text_of));
            }
            for (name, value) in [("type", kind), ("message", message)] {
                if let Some(value) = value {
                    exception.remove(name);
                    attributes.insert(format!("exception.{name}"), of_text(value));
                }
            }
            let fields = exception.into_iter().filter(|(_, value)| !value.is_null());
            attributes.extend(fields.map(|(name, value)| (format!("{EXCEPTION}{name}"), flat(value))));
        }
        other => {
            attributes.insert("aws.xray.exception".to_owned(), of_text(other.to_string()));
        }
    }
    Event {
        name: "exception".to_owned(),
        time_unix_nano: end,
        attributes: listed(attributes),
        ..Event::default()
    }
}

/// As Java prints it, without a space before the line, so that the Collector's exporter finds the line again.
fn stack_text(kind: Option<&str>, message: Option<&str>, frames: &[Value]) -> String {
    let mut out = kind.unwrap_or("Error").to_owned();
    if let Some(message) = message {
        out.push_str(": ");
        out.push_str(message);
    }
    for frame in frames {
        let part = |name: &str| frame.get(name).and_then(Value::as_str);
        out.push_str("\n\tat ");
        out.push_str(part("label").unwrap_or("<anonymous>"));
        out.push('(');
        out.push_str(part("path").unwrap_or("Unknown Source"));
        if let Some(line) = frame.get("line").and_then(Value::as_u64) {
            out.push_str(&format!(":{line}"));
        }
        out.push(')');
    }
    out
}
