//! Documents as SDKs send them.

use crate::compare::{assert_comes_back, there_and_back};

/// One a line; lines that begin with `#` say whose they are.
const DOCUMENTS: &str = include_str!("documents.jsonl");

/// What SDKs sent to a socket: `recorded/record.*` made them, with the versions that the documents say.
const RECORDED: [&str; 2] = [
    include_str!("recorded/node.jsonl"),
    include_str!("recorded/python.jsonl"),
];

#[test]
fn the_documents_of_every_sdk_come_back() {
    let documents = DOCUMENTS
        .lines()
        .filter(|line| !line.starts_with('#') && !line.is_empty());
    let mut count = 0;
    for document in documents {
        assert_comes_back(document);
        count += 1;
    }
    assert!(count >= 10, "{count}");
}

#[test]
fn what_sdks_sent_comes_back() {
    for documents in RECORDED {
        for document in documents.lines() {
            assert_comes_back(document);
        }
    }
}

#[test]
fn what_is_no_document_has_no_spans() {
    for text in ["", "x", "[]", "T1S", "T1SCgA=", "{}"] {
        assert_eq!(there_and_back(text), None, "{text}");
    }
}
