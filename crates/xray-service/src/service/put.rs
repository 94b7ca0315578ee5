//! `PutTraceSegments`: what a call brings is read and checked without the service, so that who shares one locks it for
//! as long as a document takes to be put into its trace, and not for as long as it takes to read.

use std::fmt;
use std::marker::PhantomData;

use serde::de::{IgnoredAny, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::{Value, json};
use xray_document::cause::cause;
use xray_document::segment::{self, Refusal};
use xray_document::{otlp, outline};

use crate::answer::Answer;
use crate::traces::Incoming;

/// The most documents in one `PutTraceSegments` call; enforced by the service, not part of the model.
pub const MAX_DOCUMENTS: usize = 50;

/// Answers a call of `PutTraceSegments`: `take` gets each document, with its place in the call and in the order of the
/// call, and says why it is not taken.
pub fn answer(body: &[u8], mut take: impl FnMut(usize, String) -> Result<(), Refusal>) -> Answer {
    let documents = match parse_documents::<String>(body) {
        Ok(documents) => documents,
        Err(answer) => return answer,
    };
    let refused = |(position, document)| take(position, document).err();
    let refused = documents.into_iter().enumerate().filter_map(refused);
    let unprocessed: Vec<Value> = refused.map(|refusal| entry(&refusal)).collect();
    Answer::ok(&json!({ "UnprocessedTraceSegments": unprocessed }))
}

/// A document that was read: what of it goes into traces, or why nothing does.
#[derive(Debug)]
pub struct Checked {
    pub(super) document: String,
    pub(super) found: Result<Vec<Incoming>, Refusal>,
}

impl Checked {
    /// Reads a document. With `tells_causes` a refusal says what is wrong with it and where.
    #[must_use]
    pub fn of(document: String, tells_causes: bool) -> Self {
        let mut found = segment::check(&document).and_then(|_| incoming(&document));
        if let Err(refusal) = &mut found
            && tells_causes
        {
            add_cause(refusal, &document);
        }
        Self { document, found }
    }

    /// One that is not taken, whatever is in it.
    pub(super) fn refused(document: String, code: String, message: String) -> Self {
        let id = segment::id_of(&document);
        let refusal = Refusal { id, code, message };
        Self {
            document,
            found: Err(refusal),
        }
    }
}

/// What a document that was checked brings: itself, or the spans of an OTLP document.
fn incoming(document: &str) -> Result<Vec<Incoming>, Refusal> {
    if !otlp::is_otlp(document) {
        let outline = outline::outline(document).into_iter();
        return Ok(outline
            .map(|outline| Incoming::new(outline, document, false))
            .collect());
    }
    // Believed, as what the answer to broken base64 is.
    let spans = otlp::documents(document).ok_or_else(|| Refusal {
        id: None,
        code: "ParseError".to_owned(),
        message: "Invalid segment. ErrorCode: ParseError".to_owned(),
    })?;
    let spans = spans.into_iter();
    Ok(spans
        .map(|(outline, text)| Incoming::new(outline, &text, true))
        .collect())
}

/// Puts what is wrong with a document into the message of its refusal, unless it says so already.
fn add_cause(refusal: &mut Refusal, document: &str) {
    let said = refusal.message.trim_end_matches(", Cause: null");
    if said.contains(", Cause: ") {
        return;
    }
    if let Some(cause) = cause(document) {
        refusal.message = format!("{said}, Cause: {cause}");
    }
}

#[derive(Deserialize)]
struct PutTraceSegments<T> {
    #[serde(rename = "TraceSegmentDocuments", default = "Option::default")]
    documents: Option<Documents<T>>,
}

/// The documents of a call. Those beyond [`MAX_DOCUMENTS`] are counted, not kept: nobody reads them.
struct Documents<T> {
    first: Vec<T>,
    count: usize,
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Documents<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Counting<T>(PhantomData<T>);
        impl<'de, T: Deserialize<'de>> Visitor<'de> for Counting<T> {
            type Value = Documents<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list of documents")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Documents<T>, A::Error> {
                let (mut first, mut count) = (Vec::new(), 0);
                while count < MAX_DOCUMENTS {
                    let Some(document) = list.next_element()? else {
                        return Ok(Documents { first, count });
                    };
                    first.push(document);
                    count += 1;
                }
                while list.next_element::<IgnoredAny>()?.is_some() {
                    count += 1;
                }
                Ok(Documents { first, count })
            }
        }
        deserializer.deserialize_seq(Counting(PhantomData))
    }
}

/// How many documents are in a body of `PutTraceSegments`; they are not looked at.
///
/// # Errors
/// The answer to a body that is not the model's JSON, or has more than [`MAX_DOCUMENTS`].
pub fn count_documents(body: &[u8]) -> Result<usize, Answer> {
    parse_documents::<IgnoredAny>(body).map(|documents| documents.len())
}

/// The documents of a `PutTraceSegments` body, or the answer to a bad one.
fn parse_documents<'a, T: Deserialize<'a>>(body: &'a [u8]) -> Result<Vec<T>, Answer> {
    let call: PutTraceSegments<T> =
        serde_json::from_slice(body).map_err(|error| Answer::malformed(&error.to_string()))?;
    let documents = call
        .documents
        .ok_or_else(|| Answer::invalid("TraceSegmentDocuments is required"))?;
    if documents.count > MAX_DOCUMENTS {
        return Err(Answer::invalid(&format!(
            "Exceeding maximum segment count: {MAX_DOCUMENTS}"
        )));
    }
    Ok(documents.first)
}

/// One entry of `UnprocessedTraceSegments`; without `Id` when the document shows none.
fn entry(refusal: &Refusal) -> Value {
    let mut entry = json!({"ErrorCode": refusal.code, "Message": refusal.message});
    if let Some(id) = &refusal.id {
        entry["Id"] = json!(id);
    }
    entry
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_with_a_million_documents_is_counted_and_not_kept() {
        let body = format!(
            "{{\"TraceSegmentDocuments\":[{}\"\"]}}",
            "\"\",".repeat(1_000_000)
        );
        let documents = serde_json::from_str::<PutTraceSegments<String>>(&body).unwrap();
        let documents = documents.documents.unwrap();
        assert_eq!((documents.first.len(), documents.count), (50, 1_000_001));
        assert_eq!(count_documents(body.as_bytes()).unwrap_err().status, 400);
    }
}
