//! What a YAML value is as a number, a truth value or a text, by the rules of the official daemon's YAML library
//! (YAML 1.1 as go-yaml version 2 has it): `yes` and `on` are true, `2.0` is a number, `0x10` is 16, 123 is a text too.

use super::golang::{NumberError, parse_int};
use super::yaml::{Node, Value};
use crate::config::text::quoted;

/// The largest float that is a whole number of 64 bits, as a bound: 2^63.
const INT_BOUND: f64 = 9_223_372_036_854_775_808.0;

/// A whole number, and, when a fraction was cut off, the text that had it. `None`: no value.
pub(super) fn int(value: &Value) -> Result<Option<(i64, Option<String>)>, String> {
    match value {
        Value::Null => Ok(None),
        Value::Scalar { text, plain: true } => match parse_int(&text.replace('_', "")) {
            Ok(int) => Ok(Some((int, None))),
            Err(NumberError::Range) => Err(format!("must be a smaller number than {}", quoted(text))),
            Err(NumberError::Syntax) => match float(text) {
                Some(float) if float.fract() == 0.0 => Ok(Some((float as i64, None))),
                Some(float) => Ok(Some((float as i64, Some(text.clone())))),
                None => Err(format!("must be a whole number, not {}", quoted(text))),
            },
        },
        Value::Scalar { text, plain: false } => Err(format!(
            "must be a whole number, not the text {}: write it without quotes",
            quoted(text)
        )),
        Value::Mapping(_) | Value::Sequence(_) => Err("must be a whole number".to_owned()),
    }
}

/// Digits with a point or an exponent, in the range of whole numbers. Names such as `.inf` or `nan` are none.
fn float(text: &str) -> Option<f64> {
    let numeric = |b: u8| b.is_ascii_digit() || matches!(b, b'.' | b'e' | b'E' | b'+' | b'-');
    text.bytes()
        .all(numeric)
        .then(|| text.parse::<f64>().ok())
        .flatten()
        .filter(|float| float.abs() < INT_BOUND)
}

/// A truth value. `None`: no value.
pub(super) fn bool(value: &Value) -> Result<Option<bool>, String> {
    match value {
        Value::Null => Ok(None),
        Value::Scalar { text, plain: true } => match text.as_str() {
            "y" | "Y" | "yes" | "Yes" | "YES" | "true" | "True" | "TRUE" | "on" | "On" | "ON" => {
                Ok(Some(true))
            }
            "n" | "N" | "no" | "No" | "NO" | "false" | "False" | "FALSE" | "off" | "Off" | "OFF" => {
                Ok(Some(false))
            }
            _ => Err(format!("must be true or false, not {}", quoted(text))),
        },
        Value::Scalar { text, plain: false } => Err(format!(
            "must be true or false, not the text {}: write it without quotes",
            quoted(text)
        )),
        Value::Mapping(_) | Value::Sequence(_) => Err("must be true or false".to_owned()),
    }
}

/// A text, as written: `Region: 123` is the text `123`. `None`: no value, or an empty one.
pub(super) fn text(value: &Value) -> Result<Option<String>, String> {
    match value {
        Value::Null => Ok(None),
        Value::Scalar { text, .. } => Ok(Some(text.clone()).filter(|text| !text.is_empty())),
        Value::Mapping(_) | Value::Sequence(_) => Err("must be one value on the line of its name".to_owned()),
    }
}

/// Texts with their lines: a list, or a single text. Empty ones are left out.
pub(super) fn texts(node: &Node) -> Result<Vec<(usize, String)>, String> {
    let items = match &*node.value {
        Value::Sequence(items) => items.as_slice(),
        Value::Null | Value::Scalar { .. } | Value::Mapping(_) => std::slice::from_ref(node),
    };
    let mut texts = Vec::new();
    for item in items {
        match text(&item.value) {
            Ok(Some(text)) => texts.push((item.line, text)),
            Ok(None) => {}
            Err(_) => {
                return Err("must be a list of texts, each on a line of its own after \"- \"".to_owned());
            }
        }
    }
    Ok(texts)
}

/// Names with their texts and lines. Of a name that stands there again the later one counts. No error shows a text.
pub(super) fn named_texts(node: &Node) -> Result<Vec<(usize, String, String)>, String> {
    const FORM: &str =
        "must be names and texts, each on a line of its own below it: x-api-key: ${env:API_KEY}";
    let entries = match &*node.value {
        Value::Null => return Ok(Vec::new()),
        Value::Mapping(entries) => entries,
        Value::Scalar { .. } | Value::Sequence(_) => return Err(FORM.to_owned()),
    };
    let mut texts = Vec::new();
    for (name, value) in entries {
        match (&*name.value, &*value.value) {
            (Value::Scalar { text: name_text, .. }, Value::Scalar { text, .. }) => {
                texts.push((name.line, name_text.clone(), text.clone()));
            }
            (Value::Scalar { text: name_text, .. }, Value::Null) => {
                texts.push((name.line, name_text.clone(), String::new()));
            }
            _ => return Err(FORM.to_owned()),
        }
    }
    Ok(texts)
}
