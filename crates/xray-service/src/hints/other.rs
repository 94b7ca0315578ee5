//! Two SDKs in one process: the same request as a segment in one trace and as a span in another.

use super::Hint;
use crate::digest::Digest;
use crate::traces::{Snapshot, Trace};
use crate::work::{Ended, Work};

/// How far apart two records of one request begin, in seconds: one middleware runs inside the other.
const APART_S: f64 = 0.1;

/// Another trace of the same request, made by an SDK of the other kind.
pub(super) fn two_traces(trace: &Trace, traces: &Snapshot, work: &Work) -> Result<Option<Hint>, Ended> {
    let own = trace.digest();
    let Some(request) = request(&own) else {
        return Ok(None);
    };
    // One in which both are is what is wanted.
    let Some(is_otlp) = trace.is_of_otlp() else {
        return Ok(None);
    };
    for other in traces.around(own.start, APART_S) {
        work.spend(1)?;
        let digest = other.digest();
        if other.is_of_otlp() != Some(!is_otlp) {
            continue;
        }
        // One contains the other, as one middleware does the other one.
        let is_inside = |a: &Digest, b: &Digest| a.start >= b.start && a.end <= b.end;
        if self::request(&digest) == Some(request) && (is_inside(&own, &digest) || is_inside(&digest, &own)) {
            return Ok(Some(hint(other)));
        }
    }
    Ok(None)
}

fn hint(other: &Trace) -> Hint {
    Hint {
        code: "two_traces".into(),
        text: format!(
            "The same request is in trace {} too: an X-Ray SDK and an OpenTelemetry SDK run in one process, and each has \
             begun a trace. Leave one of them out, or let both read and write one header: OTEL_PROPAGATORS=xray for \
             OpenTelemetry, and a client that passes X-Amzn-Trace-Id on.",
            other.id
        ),
        segments: Vec::new(),
    }
}

/// Method and path of the request that began it.
fn request(digest: &Digest) -> Option<(&str, &str)> {
    let http = &digest.entry_part()?.http;
    let url = http.url.as_deref()?;
    let path = match url.split_once("://") {
        Some((_, rest)) => rest.find('/').map_or("/", |slash| &rest[slash..]),
        None => url,
    };
    let path = path.split(['?', '#']).next().unwrap_or(path);
    Some((http.method.as_deref()?, path))
}
