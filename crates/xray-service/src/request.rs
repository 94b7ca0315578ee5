//! Requests: their JSON, and what is wrong with it.

use serde::Deserialize;
use serde_json::Value;

use crate::answer::Answer;

/// The account and region of every ARN that is made here.
pub(crate) const ARN: &str = "arn:aws:xray:us-east-1:000000000000";

/// The body of a request; an empty one is `{}`.
pub(crate) fn read<'a, T: Deserialize<'a>>(body: &'a [u8]) -> Result<T, Answer> {
    let body = if body.trim_ascii().is_empty() { b"{}" } else { body };
    serde_json::from_slice(body).map_err(|error| Answer::malformed(&error.to_string()))
}

/// A field that must be there.
pub(crate) fn required<T>(field: Option<T>, name: &str) -> Result<T, Answer> {
    field.ok_or_else(|| Answer::invalid(&format!("{name} is required")))
}

/// A text of so many characters at least and at most.
pub(crate) fn bounded(text: &str, name: &str, least: usize, most: usize) -> Result<(), Answer> {
    let chars = text.chars().count();
    if (least..=most).contains(&chars) {
        return Ok(());
    }
    Err(Answer::invalid(&format!(
        "{name} has {chars} characters, not {least} to {most}"
    )))
}

/// Refuses a page that was never spoken of: where everything is on one page, no token was given out.
pub(crate) fn first_page(next_token: Option<&str>) -> Result<(), Answer> {
    match next_token {
        None | Some("") => Ok(()),
        Some(_) => Err(unknown_token()),
    }
}

/// As [`first_page`], for bodies that SDKs send in every form, so that nothing else in them is looked at.
pub(crate) fn first_page_of(body: &[u8]) -> Result<(), Answer> {
    let value: Value = serde_json::from_slice(body).unwrap_or_default();
    first_page(value.get("NextToken").and_then(Value::as_str))
}

/// The text is **believed**.
pub(crate) fn unknown_token() -> Answer {
    Answer::invalid("NextToken is not one that was given out")
}

/// 404, as the model has it for resources.
pub(crate) fn missing(message: &str) -> Answer {
    Answer::error(404, "ResourceNotFoundException", message)
}
