//! OTLP requests as segment documents. The input is a request, in protobuf or JSON.

use crate::assert_is_plain;
use crate::subject::otlp::{
    Context, Converted, MAX_DOCUMENT_BYTES, Options, Signal, count, halves, json, segments_of, spans_of,
};

/// Every span becomes a document that X-Ray takes or is refused in plain words; a document becomes a span again. A request
/// is as much as its halves are together, in protobuf and in JSON.
///
/// # Panics
/// When one of these does not hold.
pub fn check(request: &[u8]) {
    segments(request);
    if let Ok(request) = json::to_protobuf(request) {
        segments(&request);
    }
    for signal in [Signal::Traces, Signal::Metrics, Signal::Logs] {
        if let (Ok(counted), Ok(Some([first, second]))) = (count(signal, request), halves(signal, request)) {
            let items = |half: &[u8]| count(signal, half).expect("a request").items;
            assert_eq!(items(&first) + items(&second), counted.items);
        }
        let parts = (
            json::parts::count(signal, request),
            json::parts::halves(signal, request),
        );
        if let (Ok(counted), Ok(Some([first, second]))) = parts {
            let items = |half: &[u8]| json::parts::count(signal, half).expect("a request").items;
            assert_eq!(items(&first) + items(&second), counted.items);
        }
    }
}

fn segments(request: &[u8]) {
    let mut made = 0;
    let counted = segments_of(request, &Options::default(), |one| {
        made += 1;
        match one {
            Ok(segment) => {
                assert!(segment.document.len() <= MAX_DOCUMENT_BYTES);
                crate::otlp::is_whole(&segment.document);
                match spans_of(&segment.document, &Context::default()) {
                    Ok(Converted::Spans(spans)) => assert_eq!(spans.spans, 1),
                    Ok(Converted::InProgress) => assert!(segment.outline.in_progress),
                    Ok(Converted::Unsampled) => panic!("a segment says that it is not sampled"),
                    // A time before the first microsecond of 1970 is none, for one.
                    Err(error) => assert_is_plain(&error.to_string(), 1_000),
                }
            }
            Err(refused) => assert_is_plain(&refused.to_string(), 1_000),
        }
    });
    if let Ok(counted) = counted {
        assert_eq!(counted.items, made);
    }
}
