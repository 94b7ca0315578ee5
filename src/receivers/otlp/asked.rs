//! What the head of a request asks for.

use http::header::CONTENT_TYPE;
use http::request::Parts;
use http::{HeaderName, Version};

use super::answer::{PROTOBUF, Speech};
use crate::ledger::signal::Signal;

/// How the body is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Coding {
    None,
    Gzip,
}

/// How the client speaks; `None`: in no way that is known here.
pub(super) fn speech(head: &Parts) -> Option<Speech> {
    let content_type = only(head, &CONTENT_TYPE)?;
    let content_type = content_type.split(';').next().unwrap_or_default().trim();
    let is = |name: &str| content_type.eq_ignore_ascii_case(name);
    if is(PROTOBUF) {
        Some(Speech::Protobuf)
    } else if is("application/json") {
        Some(Speech::Json)
    } else if (is("application/grpc") || is("application/grpc+proto")) && head.version == Version::HTTP_2 {
        Some(Speech::Grpc)
    } else {
        None
    }
}

/// The signal that is taken at this path over HTTP.
pub(super) fn signal(path: &str) -> Option<Signal> {
    let name = path.strip_prefix("/v1/")?;
    Signal::ALL.into_iter().find(|signal| signal.label() == name)
}

/// How the body is compressed, as the header of this name says; `None`: in no way that is known here.
pub(super) fn coding(head: &Parts, name: &HeaderName) -> Option<Coding> {
    if !head.headers.contains_key(name) {
        return Some(Coding::None);
    }
    let encoding = only(head, name)?.trim();
    if encoding.eq_ignore_ascii_case("gzip") {
        Some(Coding::Gzip)
    } else if encoding.is_empty() || encoding.eq_ignore_ascii_case("identity") {
        Some(Coding::None)
    } else {
        None
    }
}

/// The only header of this name.
fn only<'h>(head: &'h Parts, name: &HeaderName) -> Option<&'h str> {
    let mut values = head.headers.get_all(name).iter();
    let value = values.next().filter(|_| values.next().is_none())?;
    value.to_str().ok()
}

#[cfg(test)]
mod tests {
    use http::Request;
    use http::header::CONTENT_ENCODING;

    use super::*;

    fn head(version: Version, headers: &[(&str, &str)]) -> Parts {
        let mut request = Request::post("/").version(version);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.body(()).unwrap().into_parts().0
    }

    #[test]
    fn the_content_type_says_how_a_client_speaks_and_grpc_needs_http_2() {
        for (content_type, over_1, over_2) in [
            (
                "application/x-protobuf",
                Some(Speech::Protobuf),
                Some(Speech::Protobuf),
            ),
            ("application/json", Some(Speech::Json), Some(Speech::Json)),
            (
                "Application/JSON; charset=utf-8",
                Some(Speech::Json),
                Some(Speech::Json),
            ),
            ("application/grpc", None, Some(Speech::Grpc)),
            ("application/grpc+proto", None, Some(Speech::Grpc)),
            ("application/grpc+json", None, None),
            ("application/grpc-web", None, None),
            ("text/plain", None, None),
            ("", None, None),
        ] {
            let headers = [("content-type", content_type)];
            let over = |version| speech(&head(version, &headers));
            assert_eq!(over(Version::HTTP_11), over_1, "{content_type}");
            assert_eq!(over(Version::HTTP_2), over_2, "{content_type}");
        }
        assert_eq!(speech(&head(Version::HTTP_11, &[])), None);
        let twice = [
            ("content-type", "application/json"),
            ("content-type", "text/plain"),
        ];
        assert_eq!(speech(&head(Version::HTTP_11, &twice)), None);
    }

    #[test]
    fn each_signal_has_its_path() {
        for (path, expected) in [
            ("/v1/traces", Some(Signal::Traces)),
            ("/v1/metrics", Some(Signal::Metrics)),
            ("/v1/logs", Some(Signal::Logs)),
            ("/v1/profiles", None),
            ("/v1/traces/", None),
            ("/traces", None),
            ("/", None),
        ] {
            assert_eq!(signal(path), expected, "{path}");
        }
    }

    #[test]
    fn bodies_come_in_gzip_or_not_compressed() {
        for (encodings, expected) in [
            (vec![], Some(Coding::None)),
            (vec!["identity"], Some(Coding::None)),
            (vec![""], Some(Coding::None)),
            (vec!["gzip"], Some(Coding::Gzip)),
            (vec!["GZIP"], Some(Coding::Gzip)),
            (vec!["zstd"], None),
            (vec!["gzip, gzip"], None),
            (vec!["gzip", "gzip"], None),
        ] {
            let headers: Vec<(&str, &str)> = encodings
                .iter()
                .map(|value| ("content-encoding", *value))
                .collect();
            let head = head(Version::HTTP_11, &headers);
            assert_eq!(coding(&head, &CONTENT_ENCODING), expected, "{encodings:?}");
        }
    }
}
