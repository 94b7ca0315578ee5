//! Ids, names and times: what every span needs.

use serde_json::{Map, Value};

use super::{Unconvertible, wrong};
use crate::clock;
use crate::fields::number;
use crate::segment::{is_hex, is_trace_id};

/// `1-<8 hex>-<24 hex>`, or 32 hex digits; the time in it is not looked at.
pub(super) fn trace_id(value: Option<&Value>) -> Result<Vec<u8>, Unconvertible> {
    let id = value.and_then(Value::as_str).and_then(trace_id_bytes);
    id.ok_or_else(|| wrong("trace_id is missing, or not 1-<8 hex digits>-<24 hex digits>"))
}

pub(super) fn trace_id_bytes(id: &str) -> Option<Vec<u8>> {
    let digits = if is_trace_id(id) {
        format!("{}{}", &id[2..10], &id[11..])
    } else {
        id.to_owned()
    };
    let bytes = hex::decode(digits).ok()?;
    (bytes.len() == 16 && bytes.iter().any(|&byte| byte != 0)).then_some(bytes)
}

/// 16 hex digits, which are not all zero.
pub(super) fn span_id(value: Option<&Value>) -> Option<Vec<u8>> {
    let id = value?.as_str().filter(|id| is_hex(id, 16))?;
    let bytes = hex::decode(id).ok()?;
    bytes.iter().any(|&byte| byte != 0).then_some(bytes)
}

/// Empty for a root.
pub(super) fn parent_id(entity: &mut Map<String, Value>) -> Result<Vec<u8>, Unconvertible> {
    match entity.remove("parent_id") {
        None | Some(Value::Null) => Ok(Vec::new()),
        id => span_id(id.as_ref()).ok_or_else(|| wrong("parent_id is not 16 hex digits")),
    }
}

pub(super) fn name_of(entity: &Map<String, Value>) -> Result<String, Unconvertible> {
    let name = entity.get("name").and_then(Value::as_str);
    let name = name.filter(|name| !name.is_empty()).map(str::to_owned);
    name.ok_or_else(|| wrong("a name is missing, or not a text"))
}

/// Nanoseconds since 1970, to the microsecond: the rest of such a number is noise, and SDKs send no more.
pub(super) fn time(value: Option<&Value>) -> Option<u64> {
    let micros = (clock::seconds(number(value)?) * 1e6).round();
    // As many as fit into 64 bits of nanoseconds: until the year 2554.
    (1.0..1.8e16).contains(&micros).then(|| micros as u64 * 1_000)
}
