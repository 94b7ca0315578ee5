use super::*;

const BODY: &[u8] = br#"{"TraceSegmentDocuments":["T1Sabc","{\"id\": \"aa\", \"trace_id\": \"1-2-3\", \"name\": \"web\"}","{\"name\":\"x\\ny\",\"id\":\"bb\"}","5"]}"#;

#[test]
fn each_document_is_described_whatever_its_spaces_and_order() {
    let lines: Vec<String> = describe(BODY).iter().map(Description::to_string).collect();
    assert_eq!(
        lines,
        [
            "id unknown, trace id unknown, name unknown, 6 bytes",
            "id aa, trace id 1-2-3, name web, 48 bytes",
            "id bb, trace id unknown, name x\\ny, 25 bytes",
            "id unknown, trace id unknown, name unknown, 1 bytes",
        ]
    );
}

#[test]
fn what_is_no_body_has_no_documents() {
    assert_eq!(describe(b"not json"), []);
}
