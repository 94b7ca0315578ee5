//! Bodies of OTLP requests, taken apart where they have to be. Off the hot path.

use xray_document::otlp::json::parts;
use xray_document::otlp::{count, split};

use crate::ledger::signal::Signal;
use crate::pipeline::batch::encoding::Requests;
use crate::pipeline::intake::Form;

/// How many items are in a body; `None` when it is no request of this form.
pub(in crate::exporters) fn items(signal: Signal, form: Form, body: &[u8]) -> Option<u64> {
    let count = match form {
        Form::Protobuf => count::count(signal, body).ok()?,
        Form::Json => parts::count(signal, body).ok()?,
    };
    Some(count.items)
}

/// Two bodies in place of one, each with at least one item of it; `None` for a single item, and for what is no request of
/// this form.
pub(in crate::exporters) fn halves(signal: Signal, form: Form, body: &[u8]) -> Option<[Requests; 2]> {
    let mut halves = halved(signal, form, body)?;
    loop {
        let [first, second] = halves;
        let (items_first, items_second) = (items(signal, form, &first)?, items(signal, form, &second)?);
        // Resources and scopes without items make a half that nothing need be sent of.
        halves = match (items_first, items_second) {
            (0, 0) => return None,
            (0, _) => halved(signal, form, &second)?,
            (_, 0) => halved(signal, form, &first)?,
            _ => {
                let requests = |mut body: Vec<u8>, items: u64| {
                    // It may wait for long, and counts in the budget with all that it holds.
                    body.shrink_to_fit();
                    Requests {
                        body,
                        items: usize::try_from(items).unwrap_or(usize::MAX),
                    }
                };
                return Some([requests(first, items_first), requests(second, items_second)]);
            }
        };
    }
}

fn halved(signal: Signal, form: Form, body: &[u8]) -> Option<[Vec<u8>; 2]> {
    match form {
        Form::Protobuf => split::halves(signal, body).ok()?,
        Form::Json => parts::halves(signal, body).ok()?,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use xray_double::protobuf::field;

    use super::*;
    use crate::exporters::bodies::Bodies;
    use crate::pipeline::batch::kind::Kind;
    use crate::pipeline::batch::requests::batches_of;

    /// A resource with so many spans in one scope.
    fn resource(spans: &[&[u8]]) -> Vec<u8> {
        let spans: Vec<u8> = spans.iter().flat_map(|span| field(2, span)).collect();
        field(1, &[field(1, b"r"), field(2, &spans)].concat())
    }

    #[test]
    fn a_body_is_halved_at_resources_and_then_at_spans() {
        let body = [resource(&[b"a"]), resource(&[b"b", b"c"])].concat();
        let [first, second] = halves(Signal::Traces, Form::Protobuf, &body).unwrap();
        assert_eq!((first.items, second.items), (1, 2));
        assert_eq!(first.body, resource(&[b"a"]));
        let [b, c] = halves(Signal::Traces, Form::Protobuf, &second.body).unwrap();
        assert_eq!((b.body, c.body), (resource(&[b"b"]), resource(&[b"c"])));
        assert_eq!(halves(Signal::Traces, Form::Protobuf, &first.body), None);
    }

    #[test]
    fn a_long_request_is_divided_within_an_eighth_of_its_length_whatever_its_items_share() {
        let now = Instant::now();
        let kind = Kind::Requests(Signal::Traces, Form::Protobuf);
        for (shared_bytes, spans, span_bytes, parts) in [
            (1_000, 8_000, 300, 4..=8),
            // Each part would have it.
            (1_100_000, 1_000, 20, 1..=1),
            (100_000, 4_000, 300, 2..=2),
        ] {
            let span = field(2, &vec![b's'; span_bytes]);
            let scope = field(2, &span.repeat(spans));
            let body = field(1, &[field(1, &vec![b'r'; shared_bytes]), scope].concat());
            let whole_bytes = body.len();
            let batches = batches_of::<Bodies>(kind, body.into(), spans, 1 << 20, now);
            assert!(parts.contains(&batches.len()), "{} of {spans}", batches.len());
            let items: usize = batches.iter().map(|batch| batch.documents).sum();
            assert_eq!(items, spans);
            let cost_bytes: usize = batches.iter().map(|batch| batch.cost_bytes()).sum();
            // What `Lane::room_for` takes it for.
            assert!(
                cost_bytes <= whole_bytes + whole_bytes / 4,
                "{cost_bytes} of {whole_bytes}"
            );
        }
    }

    #[test]
    fn no_half_is_without_items() {
        let body = [
            resource(&[]),
            resource(&[b"a", b"b"]),
            resource(&[]),
            resource(&[]),
        ]
        .concat();
        let [first, second] = halves(Signal::Traces, Form::Protobuf, &body).unwrap();
        assert_eq!((first.items, second.items), (1, 1));
        let empty = [resource(&[]), resource(&[])].concat();
        assert_eq!(halves(Signal::Traces, Form::Protobuf, &empty), None);
    }

    #[test]
    fn json_is_halved_as_json() {
        let body = br#"{"resourceLogs":[{"scopeLogs":[{"logRecords":[{"body":1},{"body":2}]}]}]}"#;
        let [first, second] = halves(Signal::Logs, Form::Json, body).unwrap();
        assert_eq!((first.items, second.items), (1, 1));
        let json: serde_json::Value = serde_json::from_slice(&second.body).unwrap();
        assert_eq!(
            json["resourceLogs"][0]["scopeLogs"][0]["logRecords"][0]["body"],
            2
        );
        assert_eq!(items(Signal::Logs, Form::Json, body), Some(2));
        assert_eq!(items(Signal::Logs, Form::Json, b"{"), None);
        assert_eq!(items(Signal::Logs, Form::Protobuf, body), None);
    }
}
