//! `http`, of the stable names and those before them; and what went wrong.

use serde_json::{Map, Value, json};

use crate::otlp::attributes::{add, add_object, text, whole};
use crate::otlp::message::{STATUS_ERROR, Span};

/// Who asked. The last three are the other end of the connection, which a proxy may be.
const CLIENT: [&str; 5] = [
    "client.address",
    "http.client_ip",
    "network.peer.address",
    "net.sock.peer.addr",
    "net.peer.ip",
];

/// `http`; empty when there is nothing of it. Where the span is the `server`, the other end of its connection is a client if
/// nothing else tells that.
pub(super) fn of(attributes: &Map<String, Value>, server: bool) -> Map<String, Value> {
    let mut request = Map::new();
    let client = if server { &CLIENT[..] } else { &CLIENT[..2] };
    for (field, keys) in [
        ("method", &["http.request.method", "http.method"][..]),
        ("user_agent", &["user_agent.original", "http.user_agent"]),
        ("client_ip", client),
    ] {
        add(&mut request, field, text(attributes, keys));
    }
    let is_http = request.contains_key("method") || status(attributes).is_some();
    if !is_http && text(attributes, &CLIENT[..2]).is_none() {
        // Another protocol has such a connection too.
        request.remove("client_ip");
    }
    add(&mut request, "url", url(attributes, is_http));
    let mut response = Map::new();
    add(&mut response, "status", status(attributes));
    add(
        &mut response,
        "content_length",
        whole(
            attributes,
            &["http.response.body.size", "http.response_content_length"],
        ),
    );
    let mut http = Map::new();
    add_object(&mut http, "request", request);
    add_object(&mut http, "response", response);
    http
}

fn status(attributes: &Map<String, Value>) -> Option<i64> {
    whole(attributes, &["http.response.status_code", "http.status_code"])
}

/// As it is, or put together: `scheme://host[:port]path?query`.
fn url(attributes: &Map<String, Value>, is_http: bool) -> Option<String> {
    if let Some(url) = text(attributes, &["url.full", "http.url"]) {
        return Some(url.to_owned());
    }
    let path = text(attributes, &["url.path", "http.target"]);
    let host = text(
        attributes,
        &["server.address", "http.host", "net.host.name", "net.peer.name"],
    );
    if path.is_none() && (host.is_none() || !is_http) {
        return None;
    }
    let mut url = String::new();
    if let Some(host) = host {
        url.push_str(text(attributes, &["url.scheme", "http.scheme"]).unwrap_or("http"));
        url.push_str("://");
        let is_ipv6 = host.matches(':').count() > 1 && !host.starts_with('[');
        url.push_str(&if is_ipv6 {
            format!("[{host}]")
        } else {
            host.to_owned()
        });
        let has_port = host
            .rsplit_once(':')
            .is_some_and(|(_, port)| port.parse::<u16>().is_ok());
        let port = whole(attributes, &["server.port", "net.host.port", "net.peer.port"]);
        if let Some(port) = port.filter(|port| (is_ipv6 || !has_port) && ![80, 443].contains(port)) {
            url.push_str(&format!(":{port}"));
        }
    }
    url.push_str(path.unwrap_or_default());
    if let Some(query) = text(attributes, &["url.query"]).filter(|_| !url.contains('?')) {
        url.push('?');
        url.push_str(query.strip_prefix('?').unwrap_or(query));
    }
    Some(url)
}

/// `error`, `throttle` and `fault`, of the status of the response, or else of the span.
pub(super) fn marks(span: &Span, attributes: &Map<String, Value>, entity: &mut Map<String, Value>) {
    let failed = span
        .status
        .as_ref()
        .is_some_and(|status| status.code == STATUS_ERROR);
    let mark = match status(attributes) {
        Some(429) => {
            entity.insert("throttle".to_owned(), json!(true));
            "error"
        }
        Some(400..=499) => "error",
        Some(500..) => "fault",
        _ if failed => "fault",
        _ => return,
    };
    entity.insert(mark.to_owned(), json!(true));
}
