//! OTLP requests. The input is the request, without the prefix and the base64 that it comes in.

use serde_json::Value;

use crate::subject::otlp::documents;
use crate::subject::trace::{Digest, Tree};

/// What can be read becomes documents that are whole: JSON objects with ids in their forms and an end that is not
/// before the start; and a trace is made of them.
///
/// # Panics
/// When one of these does not hold.
pub fn check(request: &[u8]) {
    let document = format!("T1S{}", aws_smithy_types::base64::encode(request));
    if let Some(found) = documents(&document) {
        let documents: Vec<String> = found.into_iter().map(|(_, text)| text).collect();
        for document in &documents {
            is_whole(document);
        }
        let tree = Tree::build(documents.iter().map(String::as_str));
        // A call that nobody calls is two: a segment of its service, and the call in it.
        assert!(tree.entities.len() <= 2 * documents.len());
        let digest = Digest::of("t", &tree);
        assert!(digest.calls.len() <= digest.parts.len() * digest.parts.len());
    }
    // As it would be with base64 that is none.
    if let Ok(text) = std::str::from_utf8(request) {
        drop(documents(text));
    }
}

pub(crate) fn is_whole(document: &str) {
    let document: Value = serde_json::from_str(document).expect("JSON");
    let text = |name: &str| document[name].as_str().expect("a text");
    let is_hex = |text: &str| text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    assert!(text("id").len() == 16 && is_hex(text("id")));
    let trace_id: Vec<&str> = text("trace_id").split('-').collect();
    match trace_id[..] {
        ["1", time, random] => {
            assert!(time.len() == 8 && random.len() == 24 && is_hex(time) && is_hex(random))
        }
        _ => panic!("{trace_id:?}"),
    }
    let start = document["start_time"].as_f64().expect("a time");
    match document["end_time"].as_f64() {
        Some(end) => assert!(end >= start),
        None => assert_eq!(document["in_progress"], true),
    }
    assert!(document["name"].is_string());
}
