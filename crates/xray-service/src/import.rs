//! Traces out of a file: what `aws xray batch-get-traces` prints, segment documents one a line (or one after the other,
//! or in a list), requests of OTLP in JSON. What kind it is, each value in the file tells by itself. Pure.
//!
//! A file may be anybody's. It is read once, value by value; what is no trace is counted, with the place of the first of
//! them. Documents may be longer than those that SDKs send: X-Ray gives back one for each segment, with the subsegments
//! that came by themselves in it. What the store lets in is the store's business.

use std::borrow::Cow;
use std::collections::BTreeSet;

use serde::Deserialize;
use serde_json::value::RawValue;
use xray_document::otlp::json::to_protobuf;
use xray_document::otlp::to_segment::{Options, segments_of};
use xray_document::outline;

use crate::traces::Incoming;

/// The longest document: what X-Ray gives back for one trace has 500 KB.
const MAX_DOCUMENT_BYTES: usize = 1 << 20;

/// Traces whose ids are told.
const MAX_IDS: usize = 1_000;

/// Wrong values that are told one by one.
const MAX_WRONG: usize = 5;

/// What was in a file.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Found {
    /// Documents that were handed over.
    pub documents: u64,
    /// The traces that they are of, the first thousand, in the order of their ids.
    pub traces: BTreeSet<String>,
    /// Values that are no documents.
    pub wrong: u64,
    /// What is wrong with the first of them, with its place.
    pub examples: Vec<String>,
}

/// Hands what is in `file` to `take`.
pub fn read(file: &[u8], mut take: impl FnMut(Incoming)) -> Found {
    let mut reading = Reading {
        found: Found::default(),
        take: &mut take,
    };
    let file = file.strip_prefix(b"\xef\xbb\xbf").unwrap_or(file);
    let (mut start, mut line) = (0, 1);
    // Each turn goes on behind what could not be read, so that all of them together read the file once.
    while let Some(rest) = file.get(start..).filter(|rest| !rest.trim_ascii().is_empty()) {
        let mut values = serde_json::Deserializer::from_slice(rest).into_iter::<&RawValue>();
        let error = loop {
            let before = values.byte_offset();
            match values.next() {
                None => return reading.found,
                Some(Ok(value)) => {
                    let lines = newlines(&rest[..before]) + leading_newlines(&rest[before..]);
                    reading.value(value.get(), line + lines);
                }
                Some(Err(error)) => break error,
            }
        };
        reading.wrong(line + error.line() - 1, &plain(&error));
        let failed = end_of_line(rest, error.line());
        start += failed;
        line += newlines(&rest[..failed]);
    }
    reading.found
}

struct Reading<'t> {
    found: Found,
    take: &'t mut dyn FnMut(Incoming),
}

/// The keys by which a value tells what it is.
#[derive(Deserialize)]
struct Kind<'a> {
    #[serde(borrow, rename = "Traces")]
    traces: Option<Vec<&'a RawValue>>,
    #[serde(borrow, rename = "Segments")]
    segments: Option<Vec<OfBatch<'a>>>,
    #[serde(borrow, rename = "resourceSpans")]
    spans: Option<&'a RawValue>,
    /// The header line of a datagram.
    #[serde(borrow)]
    format: Option<&'a RawValue>,
    /// What `xray trace --json` prints.
    #[serde(borrow)]
    documents: Option<Vec<&'a RawValue>>,
    #[serde(borrow)]
    id: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct OfBatch<'a> {
    #[serde(borrow, rename = "Document")]
    document: Cow<'a, str>,
}

impl Reading<'_> {
    /// A value that begins in this line.
    fn value(&mut self, text: &str, line: usize) {
        match text.as_bytes().first() {
            Some(b'[') => match serde_json::from_str::<Vec<&RawValue>>(text) {
                Ok(values) => {
                    for value in values {
                        // Lists in lists are no documents.
                        self.object(value.get(), line);
                    }
                }
                Err(error) => self.wrong(line, &plain(&error)),
            },
            _ => self.object(text, line),
        }
    }

    fn object(&mut self, text: &str, line: usize) {
        if text.starts_with('"') {
            // A document as a call of the API has it.
            return match serde_json::from_str::<Cow<'_, str>>(text) {
                Ok(document) => self.document(&document, line),
                Err(error) => self.wrong(line, &plain(&error)),
            };
        }
        let kind: Kind<'_> = match serde_json::from_str(text) {
            Ok(kind) if text.starts_with('{') => kind,
            _ => return self.wrong(line, "no object of a trace, a segment or an OTLP request"),
        };
        if let Some(traces) = kind.traces {
            for trace in traces {
                match serde_json::from_str::<Kind<'_>>(trace.get()) {
                    Ok(Kind {
                        segments: Some(segments),
                        ..
                    }) => self.batch(&segments, line),
                    _ => self.wrong(line, "a trace without Segments"),
                }
            }
        } else if let Some(segments) = kind.segments {
            self.batch(&segments, line);
        } else if kind.spans.is_some() {
            self.spans(text, line);
        } else if let Some(documents) = kind.documents {
            for document in documents {
                self.document(document.get(), line);
            }
        } else if kind.id.is_some() {
            self.document(text, line);
        } else if kind.format.is_none() {
            self.wrong(
                line,
                "neither Traces (of aws xray batch-get-traces) nor a segment nor resourceSpans",
            );
        }
    }

    fn batch(&mut self, segments: &[OfBatch<'_>], line: usize) {
        for segment in segments {
            self.document(&segment.document, line);
        }
    }

    fn document(&mut self, text: &str, line: usize) {
        if text.len() > MAX_DOCUMENT_BYTES {
            let bytes = text.len();
            return self.wrong(
                line,
                &format!("a document of {bytes} bytes, of at most {MAX_DOCUMENT_BYTES}"),
            );
        }
        let outline = outline::outline(text).and_then(|outline| {
            // Also as OpenTelemetry writes it.
            let trace_id = crate::filter::trace_id(&outline.trace_id)?;
            Some(outline::Outline { trace_id, ..outline })
        });
        match outline {
            Some(outline) => self.found(outline, text, false),
            None => self.wrong(line, "a document without id or trace_id"),
        }
    }

    fn spans(&mut self, text: &str, line: usize) {
        let request = match to_protobuf(text.as_bytes()) {
            Ok(request) => request,
            Err(error) => return self.wrong(line, &error.to_string()),
        };
        let read = segments_of(&request, &Options::default(), |made| match made {
            Ok(segment) => self.found(segment.outline, &segment.document, true),
            Err(refused) => self.wrong(line, &refused.to_string()),
        });
        if let Err(error) = read {
            self.wrong(line, &error.to_string());
        }
    }

    fn found(&mut self, outline: outline::Outline, text: &str, otlp: bool) {
        self.found.documents += 1;
        if self.found.traces.len() < MAX_IDS {
            self.found.traces.insert(outline.trace_id.clone());
        }
        (self.take)(Incoming::new(outline, text, otlp));
    }

    fn wrong(&mut self, line: usize, why: &str) {
        self.found.wrong += 1;
        if self.found.examples.len() < MAX_WRONG {
            let why: String = why.chars().take(200).collect();
            self.found.examples.push(format!("line {line}: {why}"));
        }
    }
}

/// What the parser says, without the place, which is told in lines of the file.
fn plain(error: &serde_json::Error) -> String {
    let text = error.to_string();
    text.rsplit_once(" at line ")
        .map_or(text.clone(), |(said, _)| said.to_owned())
}

fn newlines(text: &[u8]) -> usize {
    text.iter().filter(|byte| **byte == b'\n').count()
}

fn leading_newlines(text: &[u8]) -> usize {
    newlines(&text[..text.len() - text.trim_ascii_start().len()])
}

/// Behind the end of a line, counted from 1.
fn end_of_line(text: &[u8], line: usize) -> usize {
    let mut ends = text.iter().enumerate().filter(|(_, byte)| **byte == b'\n');
    ends.nth(line.saturating_sub(1))
        .map_or(text.len(), |(at, _)| at + 1)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    const ID: &str = "1-581cf771-a006649127e371903a2de979";

    fn segment(id: u32) -> Value {
        json!({"trace_id": ID, "id": format!("{id:016x}"), "name": "shop", "start_time": 1.0, "end_time": 2.0})
    }

    fn found(text: &str) -> Found {
        let mut taken = 0;
        let found = read(text.as_bytes(), |_| taken += 1);
        assert_eq!(taken, found.documents);
        found
    }

    fn of_documents(documents: u64) -> Found {
        Found {
            documents,
            traces: BTreeSet::from([ID.to_owned()]),
            ..Found::default()
        }
    }

    #[test]
    fn what_the_aws_command_line_prints_is_read() {
        let batch = json!({
            "Traces": [{"Id": ID, "Duration": 1.0, "LimitExceeded": false, "Segments": [
                {"Id": "0000000000000001", "Document": segment(1).to_string()},
                {"Id": "0000000000000002", "Document": segment(2).to_string()}]}],
            "UnprocessedTraceIds": []
        });
        assert_eq!(found(&batch.to_string()), of_documents(2));
        assert_eq!(
            found(&serde_json::to_string_pretty(&batch).unwrap()),
            of_documents(2)
        );
        assert_eq!(found(&batch["Traces"][0].to_string()), of_documents(2));
        assert_eq!(found(&format!("\u{feff}{batch}")), of_documents(2));
    }

    #[test]
    fn segments_are_read_one_a_line_with_headers_between_in_a_list_and_as_texts() {
        let lines = format!("{}\r\n\n{}\n", segment(1), segment(2));
        assert_eq!(found(&lines), of_documents(2));
        let header = "{\"format\": \"json\", \"version\": 1}";
        assert_eq!(
            found(&format!("{header}\n{}\n{header}\n{}", segment(1), segment(2))),
            of_documents(2)
        );
        assert_eq!(
            found(&json!([segment(1), segment(2)]).to_string()),
            of_documents(2)
        );
        assert_eq!(
            found(&json!([segment(1).to_string()]).to_string()),
            of_documents(1)
        );
        assert_eq!(
            found(&json!({"trace_id": ID, "documents": [segment(1)]}).to_string()),
            of_documents(1)
        );
        let of_otel =
            json!({"trace_id": "581cf771a006649127e371903a2de979", "id": "1", "name": "n", "start_time": 1});
        assert_eq!(found(&of_otel.to_string()), of_documents(1));
    }

    #[test]
    fn requests_of_otlp_are_read_one_a_line() {
        let request = json!({"resourceSpans": [{"scopeSpans": [{"spans": [{
            "traceId": "581cf771a006649127e371903a2de979", "spanId": "0000000000000007", "name": "GET", "kind": 2,
            "startTimeUnixNano": "1795227595000000000", "endTimeUnixNano": "1795227596000000000"}]}]}]});
        assert_eq!(found(&format!("{request}\n{request}\n")), of_documents(2));
    }

    #[test]
    fn what_is_no_trace_is_counted_with_its_line_and_the_rest_is_read() {
        let text = format!(
            "{}\n{{broken\n{}\n5\n{{\"a\":1}}\n[[1]]\n{}",
            segment(1),
            segment(2),
            segment(3)
        );
        let found = found(&text);
        assert_eq!((found.documents, found.wrong), (3, 4));
        let lines: Vec<&str> = found
            .examples
            .iter()
            .map(|one| one.split(':').next().unwrap())
            .collect();
        assert_eq!(
            lines,
            ["line 2", "line 4", "line 5", "line 6"],
            "{:?}",
            found.examples
        );
    }

    #[test]
    fn hostile_files_end_soon_and_bring_nothing() {
        for text in [
            String::new(),
            "[".repeat(1_000_000),
            "{\n".repeat(100_000),
            "x\n".repeat(100_000),
            "{\"Traces\":[{\"Segments\":[{\"Document\":5}]}]}".to_owned(),
            format!("{{\"id\":{}1{}}}", "[".repeat(10_000), "]".repeat(10_000)),
            json!({"trace_id": ID, "id": "1", "name": "n".repeat(MAX_DOCUMENT_BYTES)}).to_string(),
            json!({"trace_id": "x", "id": "1"}).to_string(),
            "\u{0}".to_owned(),
        ] {
            let found = found(&text);
            assert_eq!(found.documents, 0, "{:.80}", text);
            assert!(found.examples.len() <= MAX_WRONG && found.examples.iter().all(|one| one.len() < 900));
        }
        assert_eq!(read(b"\xff\xfe{}", |_| unreachable!()).wrong, 1);
    }
}
