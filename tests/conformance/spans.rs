//! Every document of the tables on the way to an OTLP endpoint, and back.

use std::collections::BTreeSet;

use xray_document::otlp::to_span::{Context, Converted, spans_of};
use xray_document::segment::{self, Document};
use xray_double::harness::datagrams::rows;

#[path = "../../crates/xray-document/tests/round_trips/compare.rs"]
mod compare;

#[test]
fn what_x_ray_takes_comes_back_and_what_it_refuses_is_named() {
    let (mut came_back, mut refused) = (BTreeSet::new(), BTreeSet::new());
    for (name, _, document) in rows() {
        let Ok(document) = document else { continue };
        // As it is in the body of a batch.
        let document = String::from_utf8_lossy(&document);
        match segment::check(&document) {
            Ok(Document::Segment { .. }) => {
                compare::assert_comes_back(&document);
                came_back.insert(name);
            }
            Ok(_) => {}
            Err(_) => {
                let converted = spans_of(&document, &Context::default());
                // A short text, which is logged.
                let why = converted.expect_err(&name).to_string();
                assert!(!why.is_empty() && why.len() < 400, "{name}: {why}");
                refused.insert(name);
            }
        }
    }
    assert!(
        came_back.len() > 10 && refused.len() > 10,
        "{came_back:?} {refused:?}"
    );
}

#[test]
fn an_otlp_document_that_says_that_it_is_not_sampled_has_no_spans() {
    let unsampled = spans_of("T1UCgYKBAoCCAESEgoQ", &Context::default());
    assert_eq!(unsampled, Ok(Converted::Unsampled));
}
