//! The names of services and of what they call.

use serde_json::{Map, Value};

use crate::otlp::attributes::text;
use crate::otlp::message::Span;
use crate::segment::{MAX_NAME_CHARS, fits_name};

/// A name as X-Ray takes it: other characters become `_`, and after 200 it is cut.
pub(super) fn cleaned(name: &str) -> String {
    let name: String = name
        .chars()
        .take(MAX_NAME_CHARS)
        .map(|c| if fits_name(c) { c } else { '_' })
        .collect();
    if name.trim().is_empty() {
        "unknown".to_owned()
    } else {
        name
    }
}

/// The service that a span is of.
pub(super) fn service(resource: &Map<String, Value>, attributes: &Map<String, Value>) -> String {
    let name = text(resource, &["service.name"])
        .or_else(|| text(attributes, &["aws.local.service"]))
        .unwrap_or("unknown_service");
    cleaned(name)
}

/// Whether it is a call to AWS: by the conventions, or as the Collector's receiver for X-Ray says it.
pub(super) fn is_aws(attributes: &Map<String, Value>) -> bool {
    let has = |key| text(attributes, &[key]);
    [has("rpc.system"), has("rpc.system.name")].contains(&Some("aws-api"))
        || (has("aws.service").is_some() && has("aws.operation").is_some())
}

/// The name of a span's entity: of the service for a segment, of what is called for a call, else its own.
pub(super) fn of(
    span: &Span,
    attributes: &Map<String, Value>,
    service: &str,
    is_call: bool,
    is_from_segment: bool,
) -> String {
    if is_call && is_from_segment {
        return cleaned(text(attributes, &["rpc.service", "peer.service"]).unwrap_or(&span.name));
    }
    if is_call {
        return cleaned(called(attributes).unwrap_or(&span.name));
    }
    cleaned(if service.is_empty() { &span.name } else { service })
}

/// The name is the node in the service map.
fn called(attributes: &Map<String, Value>) -> Option<&str> {
    if is_aws(attributes) {
        let service = text(attributes, &["rpc.service", "aws.service", "aws.remote.service"]);
        let service = service.or_else(|| Some(text(attributes, &["rpc.method"])?.rsplit_once('/')?.0));
        return service.map(|service| {
            let service = service.strip_prefix("AWS.SDK.").unwrap_or(service);
            service.strip_prefix("AWS::").unwrap_or(service)
        });
    }
    text(
        attributes,
        &[
            "aws.remote.service",
            "peer.service",
            "service.peer.name",
            "db.namespace",
            "db.name",
            "rpc.service",
            "messaging.destination.name",
            "messaging.destination",
            "server.address",
            "net.peer.name",
            "http.host",
            "db.system.name",
            "db.system",
        ],
    )
    .or_else(|| {
        let url = text(attributes, &["url.full", "http.url"])?;
        let host = url.split_once("://")?.1.split(['/', '?', '#']).next()?;
        host.rsplit('@').next().filter(|host| !host.is_empty())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_have_the_characters_and_the_length_that_x_ray_takes() {
        assert_eq!(cleaned("SELECT * FROM t?"), "SELECT _ FROM t_");
        assert_eq!(cleaned("größe 価格"), "größe 価格");
        assert_eq!(cleaned(&"é".repeat(300)), "é".repeat(200));
        assert_eq!(
            (cleaned(""), cleaned(" ")),
            ("unknown".to_owned(), "unknown".to_owned())
        );
    }
}
