//! `http`, with the names of the stable conventions.

use serde_json::{Map, Value};

use super::rest::{leftovers, move_text, take_object};
use crate::otlp::attributes::{Attributes, of_text};
use crate::otlp::message::any_value;

/// Takes `http`.
pub(super) fn take(entity: &mut Map<String, Value>, is_server: bool, attributes: &mut Attributes) {
    let Some(mut http) = take_object(entity, "http") else {
        return;
    };
    if let Some(mut request) = take_object(&mut http, "request") {
        move_text(&mut request, "method", attributes, "http.request.method");
        move_text(&mut request, "url", attributes, "url.full");
        move_text(&mut request, "user_agent", attributes, "user_agent.original");
        move_text(&mut request, "client_ip", attributes, "client.address");
        if let Some(Value::Bool(forwarded)) = request.get("x_forwarded_for") {
            let forwarded = any_value::Value::Bool(*forwarded);
            attributes.insert("aws.xray.x_forwarded_for".to_owned(), forwarded);
            request.remove("x_forwarded_for");
        }
        // It has two places, and readers look for it in one.
        if let (Some(Value::Bool(traced)), false) = (request.get("traced"), entity.contains_key("traced")) {
            attributes.insert("aws.xray.traced".to_owned(), any_value::Value::Bool(*traced));
        }
        leftovers(&["http", "request"], request, attributes);
    }
    if let Some(mut response) = take_object(&mut http, "response") {
        move_whole(&mut response, "status", attributes, "http.response.status_code");
        move_whole(
            &mut response,
            "content_length",
            attributes,
            "http.response.body.size",
        );
        leftovers(&["http", "response"], response, attributes);
    }
    leftovers(&["http"], http, attributes);
    if is_server
        && let Some(any_value::Value::Text(url)) = attributes.get("url.full")
        && let Some(parts) = Parts::of(url)
    {
        let parts: Vec<(&str, any_value::Value)> = parts.attributes();
        attributes.extend(parts.into_iter().map(|(key, value)| (key.to_owned(), value)));
    }
}

/// A whole number that is not negative, also one in a string; −1 stands for a length that is not known.
fn move_whole(from: &mut Map<String, Value>, field: &str, attributes: &mut Attributes, key: &str) {
    let found = match from.get(field) {
        Some(Value::Number(number)) => number
            .as_f64()
            .filter(|number| number.fract() == 0.0 && *number < 9e15),
        Some(Value::String(digits)) => digits.parse::<u32>().ok().map(f64::from),
        _ => None,
    };
    let found = found.filter(|number| *number >= 0.0);
    if let Some(found) = found {
        from.remove(field);
        attributes.insert(key.to_owned(), any_value::Value::Int(found as i64));
    }
}

/// The parts of an absolute URL.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Parts<'a> {
    pub(super) scheme: &'a str,
    pub(super) host: &'a str,
    pub(super) port: Option<u16>,
    pub(super) path: &'a str,
    query: Option<&'a str>,
}

impl<'a> Parts<'a> {
    /// `None` for what is not one.
    pub(super) fn of(url: &'a str) -> Option<Self> {
        let (scheme, rest) = url.split_once("://")?;
        let is_scheme = |c: char| c.is_ascii_alphanumeric() || "+-.:".contains(c);
        if scheme.is_empty() || !scheme.chars().all(is_scheme) {
            return None;
        }
        let rest = rest.split('#').next()?;
        let end = rest.find(['/', '?']).unwrap_or(rest.len());
        let (authority, rest) = rest.split_at(end);
        let authority = authority.rsplit('@').next()?;
        let (host, port) = match authority.rsplit_once(':') {
            Some((host, port)) if !port.ends_with(']') => (host, Some(port.parse().ok()?)),
            _ => (authority, None),
        };
        let host = host
            .strip_prefix('[')
            .and_then(|host| host.strip_suffix(']'))
            .unwrap_or(host);
        if host.is_empty() || host.contains(char::is_whitespace) {
            return None;
        }
        let (path, query) = match rest.split_once('?') {
            Some((path, query)) => (path, Some(query)),
            None => (rest, None),
        };
        Some(Self {
            scheme,
            host,
            port,
            path,
            query,
        })
    }

    fn attributes(&self) -> Vec<(&'static str, any_value::Value)> {
        let mut found = vec![
            ("url.scheme", of_text(self.scheme)),
            ("server.address", of_text(self.host)),
            (
                "url.path",
                of_text(if self.path.is_empty() { "/" } else { self.path }),
            ),
        ];
        if let Some(port) = self.port {
            found.push(("server.port", any_value::Value::Int(port.into())));
        }
        if let Some(query) = self.query {
            found.push(("url.query", of_text(query)));
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_have_parts_and_what_is_no_url_has_none() {
        let parts =
            |url| Parts::of(url).map(|parts| (parts.scheme, parts.host, parts.port, parts.path, parts.query));
        assert_eq!(
            parts("https://user:secret@shop.example:8443/cart?n=1&m#top"),
            Some(("https", "shop.example", Some(8443), "/cart", Some("n=1&m")))
        );
        assert_eq!(
            parts("http://[::1]:80"),
            Some(("http", "::1", Some(80), "", None))
        );
        assert_eq!(
            parts("http://[::1]?q"),
            Some(("http", "::1", None, "", Some("q")))
        );
        for none in [
            "/cart",
            "shop.example",
            "http://",
            "http://a:b/",
            "http://a:70000/",
            "://a",
            "",
        ] {
            assert_eq!(parts(none), None, "{none}");
        }
    }
}
