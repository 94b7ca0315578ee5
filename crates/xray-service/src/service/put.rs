//! `PutTraceSegments`: what a call brings is read and checked without the service, so that who shares one locks it for
//! as long as a document takes to be put into its trace, and not for as long as it takes to read.

use std::fmt;
use std::marker::PhantomData;

use serde::de::{DeserializeSeed, IgnoredAny, MapAccess, SeqAccess, Visitor};
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
/// call, and says why it is not taken. None is taken of a call that is refused as a whole.
///
/// The documents are read one by one, after all have been counted: fifty at once would leave the allocator with holes
/// between what is kept of them.
pub fn answer(body: &[u8], mut take: impl FnMut(usize, String) -> Result<(), Refusal>) -> Answer {
    if let Err(answer) = count::<Text>(body) {
        return answer;
    }
    let (mut place, mut unprocessed) = (0, Vec::new());
    let mut one = |document| {
        if let Err(refusal) = take(place, document) {
            unprocessed.push(entry(&refusal));
        }
        place += 1;
    };
    let mut json = serde_json::Deserializer::from_slice(body);
    match (EachDocument { take: &mut one }).deserialize(&mut json) {
        Ok(()) => Answer::ok(&json!({ "UnprocessedTraceSegments": unprocessed })),
        Err(error) => Answer::malformed(&error.to_string()),
    }
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

/// The field of a call.
const DOCUMENTS: &str = "TraceSegmentDocuments";

#[derive(Deserialize)]
struct PutTraceSegments<T> {
    #[serde(rename = "TraceSegmentDocuments", default = "Option::default")]
    documents: Option<Documents<T>>,
}

/// How many documents a call has; each is a `T`.
struct Documents<T> {
    count: usize,
    each: PhantomData<T>,
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
                let mut count = 0;
                // Those beyond the most are not looked at.
                while count < MAX_DOCUMENTS && list.next_element::<T>()?.is_some() {
                    count += 1;
                }
                while list.next_element::<IgnoredAny>()?.is_some() {
                    count += 1;
                }
                let each = PhantomData;
                Ok(Documents { count, each })
            }
        }
        deserializer.deserialize_seq(Counting(PhantomData))
    }
}

/// A string that is read and not kept.
struct Text;

impl<'de> Deserialize<'de> for Text {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reading;
        impl Visitor<'_> for Reading {
            type Value = Text;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string")
            }

            fn visit_str<E>(self, _: &str) -> Result<Text, E> {
                Ok(Text)
            }
        }
        deserializer.deserialize_str(Reading)
    }
}

/// Hands each document of a call on, one at a time: of a call, and of the list in it.
struct EachDocument<'f> {
    take: &'f mut dyn FnMut(String),
}

impl<'de> DeserializeSeed<'de> for EachDocument<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for EachDocument<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of documents")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut call: A) -> Result<(), A::Error> {
        while let Some(field) = call.next_key::<String>()? {
            if field == DOCUMENTS {
                let take = &mut *self.take;
                call.next_value_seed(EachDocument { take })?;
            } else {
                call.next_value::<IgnoredAny>()?;
            }
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        while let Some(document) = list.next_element()? {
            (self.take)(document);
        }
        Ok(())
    }
}

/// How many documents are in a body of `PutTraceSegments`; they are not looked at.
///
/// # Errors
/// The answer to a body that is not the model's JSON, or has more than [`MAX_DOCUMENTS`].
pub fn count_documents(body: &[u8]) -> Result<usize, Answer> {
    count::<IgnoredAny>(body)
}

/// How many documents are in a body, each a `T`; or the answer to a bad one.
fn count<'a, T: Deserialize<'a>>(body: &'a [u8]) -> Result<usize, Answer> {
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
    Ok(documents.count)
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
        let answer = answer(body.as_bytes(), |_, _| unreachable!("it is refused as a whole"));
        assert_eq!(answer.status, 400);
        assert!(answer.body.contains("Exceeding maximum segment count: 50"));
        assert_eq!(count_documents(body.as_bytes()).unwrap_err(), answer);
    }

    #[test]
    fn nothing_of_a_broken_call_is_taken_and_what_nobody_knows_is_stepped_over() {
        for body in [
            r#"{"TraceSegmentDocuments":["a","b",5]}"#,
            r#"{"TraceSegmentDocuments":["a","\ud800"]}"#,
            r#"{"TraceSegmentDocuments":["a"],"TraceSegmentDocuments":["b"]}"#,
            r#"{"TraceSegmentDocuments":["a"]} x"#,
            r#"{"TraceSegmentDocuments":["a""#,
            r#"["a"]"#,
        ] {
            let answer = answer(body.as_bytes(), |_, _| unreachable!("{body}"));
            assert_eq!(answer.error_type, Some("SerializationException"), "{body}");
        }
        let invalid_utf8 = b"{\"TraceSegmentDocuments\":[\"a\",\"\xff\"]}";
        let refused = answer(invalid_utf8, |_, _| unreachable!("no UTF-8"));
        assert_eq!(refused.error_type, Some("SerializationException"));
        let body = br#"{"Other":{"TraceSegmentDocuments":["x"]},"TraceSegmentDocuments":["a","\u00e9\n"],"More":[1]}"#;
        let mut taken = Vec::new();
        let all = answer(body, |place, document| {
            taken.push((place, document));
            Ok(())
        });
        assert_eq!(all.status, 200);
        assert_eq!(taken, [(0, "a".to_owned()), (1, "é\n".to_owned())]);
    }
}
