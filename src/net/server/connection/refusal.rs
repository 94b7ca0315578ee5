//! What is said to the start of a connection that is no request.

use http::StatusCode;

use crate::logs::sanitize;
use crate::net::server::answer;

/// The most of a wrong Content-Length that is shown, in characters.
const LENGTH_MAX_CHARS: usize = 40;

/// What is said to this start of a connection, which is no request.
pub(super) fn refusal(head: &[u8], is_too_large: bool, head_max_bytes: usize) -> Vec<u8> {
    if head.starts_with(b"PRI * HTTP/2") {
        return answer::raw_error(
            StatusCode::HTTP_VERSION_NOT_SUPPORTED,
            "HttpVersionNotSupported",
            "This port speaks HTTP/1.1, and this connection began with HTTP/2. Set the client to HTTP/1.1; there is no \
             gRPC here.",
        );
    }
    if let Some(length) = wrong_length(head) {
        return answer::raw_error(
            StatusCode::BAD_REQUEST,
            "InvalidContentLength",
            &format!(
                "The Content-Length \"{}\" is not one number of bytes that a body can have.",
                sanitize(length, LENGTH_MAX_CHARS)
            ),
        );
    }
    if is_too_large {
        return answer::raw_error(
            StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
            "RequestHeaderTooLarge",
            &format!(
                "The head of the request is longer than {head_max_bytes} bytes or has over 100 headers."
            ),
        );
    }
    answer::raw_error(
        StatusCode::BAD_REQUEST,
        "BadRequest",
        "This is not an HTTP/1.1 request. This port speaks plain HTTP, without TLS.",
    )
}

/// The Content-Length of a head that is no number, one that is too large for any body, or another one than before.
fn wrong_length(head: &[u8]) -> Option<&[u8]> {
    let mut before = None;
    let lines = head.split(|byte| *byte == b'\n').skip(1);
    for line in lines.take_while(|line| !line.trim_ascii().is_empty()) {
        let Some(colon) = line.iter().position(|byte| *byte == b':') else {
            continue;
        };
        let (name, value) = (&line[..colon], line[colon + 1..].trim_ascii());
        if !name.eq_ignore_ascii_case(b"content-length") {
            continue;
        }
        let digits = std::str::from_utf8(value)
            .ok()
            .filter(|value| !value.starts_with('+'));
        match digits.and_then(|digits| digits.parse::<u64>().ok()) {
            // The last two mean something else to hyper.
            Some(length) if length < u64::MAX - 1 && before.is_none_or(|before| before == length) => {
                before = Some(length);
            }
            _ => return Some(value),
        }
    }
    None
}
