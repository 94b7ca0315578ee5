//! Segment documents as spans. The input is a document.

use serde_json::Value;

use crate::assert_is_plain;
use crate::subject::otlp::{Context, Converted, Options, segments_of, spans_of};

/// What is no span is said in plain words. What becomes spans is a request that is read again, with as many spans as
/// were told; and what comes back of it are documents that X-Ray takes, of the same ids as spans.
///
/// # Panics
/// When one of these does not hold.
pub fn check(document: &[u8]) {
    let document = String::from_utf8_lossy(document);
    let context = Context {
        service_name: Some("shop"),
    };
    let spans = match spans_of(&document, &context) {
        Ok(Converted::Spans(spans)) => spans,
        Ok(Converted::InProgress | Converted::Unsampled) => return,
        Err(why) => return assert_is_plain(&why.to_string(), 300),
    };
    let mut back = 0;
    let is_otlp = document.starts_with("T1S");
    let counted = segments_of(&spans.request, &Options::default(), |made| match made {
        Ok(segment) => {
            back += 1;
            crate::otlp::is_whole(&segment.document);
        }
        // A name of white space has no other way.
        Err(refused) => assert!(is_otlp, "{refused}"),
    });
    match counted {
        Ok(counted) => {
            assert_eq!(counted.items, spans.spans);
            assert!(is_otlp || back == counted.items);
        }
        Err(_) => assert!(is_otlp),
    }
    if !is_otlp {
        let value: Value = serde_json::from_str(&document).expect("JSON");
        assert!(value.is_object());
    }
}
