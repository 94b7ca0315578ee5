//! Web pages that may use a port after all: those whose origins somebody names (CORS).
//!
//! Their browsers ask before they send (a *preflight*), and let the page read an answer only if it names the origin.
//! Nothing of this is said to any other page, and the names of hosts are checked for these pages too.

use http::header::{
    ACCESS_CONTROL_ALLOW_CREDENTIALS, ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS,
    ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_MAX_AGE, ACCESS_CONTROL_REQUEST_HEADERS,
    ACCESS_CONTROL_REQUEST_METHOD, ORIGIN, VARY,
};
use http::request::Parts;
use http::{HeaderName, HeaderValue, Method, Response, StatusCode};

use super::answer::{Answer, Body};

/// How long a browser need not ask again, in seconds: the most that Chromium takes.
const MAX_AGE_SECONDS: &str = "7200";

/// The longest list of headers that a page is allowed to send, in bytes.
const ASKED_HEADERS_MAX_BYTES: usize = 1 << 10;

/// A browser asks so before a page of the public network may reach one that is not.
const ASKS_FOR_PRIVATE: HeaderName = HeaderName::from_static("access-control-request-private-network");
const ALLOWS_PRIVATE: HeaderName = HeaderName::from_static("access-control-allow-private-network");

/// The origins of web pages that may use a port; none unless they are named.
#[derive(Debug, Clone, Default)]
pub struct Origins(Vec<String>);

impl Origins {
    /// `named` are origins as browsers send them: scheme, host in lower case, and a port that is not the scheme's own.
    #[must_use]
    pub fn new(named: &[String]) -> Self {
        Self(named.to_vec())
    }

    /// The origin of a request, if it has one and that is named.
    pub(crate) fn of<'h>(&self, head: &'h Parts) -> Option<&'h HeaderValue> {
        let mut origins = head.headers.get_all(ORIGIN).iter();
        let origin = origins.next().filter(|_| origins.next().is_none())?;
        let is_named = self.0.iter().any(|named| named.as_bytes() == origin.as_bytes());
        is_named.then_some(origin)
    }
}

/// Whether a browser asks whether a page may send something.
pub(crate) fn is_preflight(head: &Parts) -> bool {
    head.method == Method::OPTIONS && head.headers.contains_key(ACCESS_CONTROL_REQUEST_METHOD)
}

/// What it is told whose page has an origin that is named: it may POST, with the headers that it asks for.
pub(crate) fn preflight(head: &Parts) -> Answer {
    let mut answer = Response::new(Body::Whole(bytes::Bytes::new()));
    *answer.status_mut() = StatusCode::NO_CONTENT;
    let headers = answer.headers_mut();
    headers.insert(ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static("POST"));
    headers.insert(ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static(MAX_AGE_SECONDS));
    if let Some(asked) = head.headers.get(ACCESS_CONTROL_REQUEST_HEADERS)
        && asked.len() <= ASKED_HEADERS_MAX_BYTES
    {
        headers.insert(ACCESS_CONTROL_ALLOW_HEADERS, asked.clone());
    }
    if head.headers.contains_key(ASKS_FOR_PRIVATE) {
        headers.insert(ALLOWS_PRIVATE, HeaderValue::from_static("true"));
    }
    answer
}

/// `answer`, which the page of this origin may read.
pub(crate) fn readable(mut answer: Answer, origin: HeaderValue) -> Answer {
    let headers = answer.headers_mut();
    headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin);
    // What a page sends while it is closed (a beacon) comes with credentials, and is dropped without this.
    headers.insert(ACCESS_CONTROL_ALLOW_CREDENTIALS, HeaderValue::from_static("true"));
    headers.append(VARY, HeaderValue::from_static("Origin"));
    answer
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;

    fn head(method: Method, headers: &[(&str, &str)]) -> Parts {
        let mut request = Request::builder().method(method).uri("/v1/traces");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.body(()).unwrap().into_parts().0
    }

    #[test]
    fn an_origin_is_one_of_these_when_it_is_the_same_to_the_last_byte_and_alone() {
        let named = Origins::new(&["https://app.example.com".to_owned()]);
        for (origins, expected) in [
            (vec!["https://app.example.com"], true),
            (vec!["https://app.example.com:8443"], false),
            (vec!["http://app.example.com"], false),
            (vec!["https://evil.com"], false),
            (vec!["null"], false),
            (vec![], false),
            (vec!["https://app.example.com", "https://evil.com"], false),
        ] {
            let headers: Vec<(&str, &str)> = origins.iter().map(|origin| ("origin", *origin)).collect();
            let head = head(Method::POST, &headers);
            assert_eq!(named.of(&head).is_some(), expected, "{origins:?}");
            assert!(Origins::default().of(&head).is_none());
        }
    }

    #[test]
    fn a_preflight_is_answered_with_what_it_asks_for_and_no_more() {
        let asks = head(
            Method::OPTIONS,
            &[
                ("access-control-request-method", "POST"),
                ("access-control-request-headers", "content-type,x-mine"),
                ("access-control-request-private-network", "true"),
            ],
        );
        assert!(is_preflight(&asks));
        let answer = preflight(&asks);
        assert_eq!(answer.status(), StatusCode::NO_CONTENT);
        let header = |name| answer.headers().get(name).and_then(|value| value.to_str().ok());
        assert_eq!(header("access-control-allow-methods"), Some("POST"));
        assert_eq!(
            header("access-control-allow-headers"),
            Some("content-type,x-mine")
        );
        assert_eq!(header("access-control-allow-private-network"), Some("true"));
        assert_eq!(header("access-control-max-age"), Some("7200"));
        let long = "x".repeat(ASKED_HEADERS_MAX_BYTES + 1);
        let asks = head(Method::OPTIONS, &[("access-control-request-headers", &long)]);
        assert!(!is_preflight(&asks));
        assert_eq!(
            preflight(&asks).headers().get("access-control-allow-headers"),
            None
        );
    }

    #[test]
    fn an_answer_names_the_one_origin_that_may_read_it() {
        let answer = readable(
            Response::new(Body::from("{}")),
            HeaderValue::from_static("https://a.example"),
        );
        let header = |name| answer.headers().get(name).and_then(|value| value.to_str().ok());
        assert_eq!(header("access-control-allow-origin"), Some("https://a.example"));
        assert_eq!(header("access-control-allow-credentials"), Some("true"));
        assert_eq!(header("vary"), Some("Origin"));
    }
}
