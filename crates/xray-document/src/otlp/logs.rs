//! Log records of OTLP that name a trace: what `xray dev` shows of them. One record at a time is decoded.

use prost::Message;
use serde::{Deserialize, Deserializer};
use serde_json::Value;
use serde_json::value::RawValue;

use super::attributes::json_of;
use super::count::MAX_MESSAGE_BYTES;
use super::message::json::{hex_bytes, number, or_default};
use super::message::{AnyValue, KeyValue, Resource};
use super::wire::Fields;

/// Records of one request that are looked at; SDKs send some hundred.
const MAX_RECORDS: usize = 20_000;

/// Four numbers each, from 1 on.
const LEVELS: [&str; 6] = ["TRACE", "DEBUG", "INFO", "WARN", "ERROR", "FATAL"];

/// `LogRecord`, without what nobody reads here.
#[derive(Clone, PartialEq, Message, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct LogRecord {
    #[prost(fixed64, tag = "1")]
    #[serde(deserialize_with = "number")]
    time_unix_nano: u64,
    #[prost(fixed64, tag = "11")]
    #[serde(deserialize_with = "number")]
    observed_time_unix_nano: u64,
    #[prost(int32, tag = "2")]
    #[serde(deserialize_with = "severity")]
    severity_number: i32,
    #[prost(string, tag = "3")]
    #[serde(deserialize_with = "or_default")]
    severity_text: String,
    #[prost(message, optional, tag = "5")]
    body: Option<AnyValue>,
    #[prost(message, repeated, tag = "6")]
    #[serde(deserialize_with = "or_default")]
    attributes: Vec<KeyValue>,
    #[prost(bytes = "vec", tag = "9")]
    #[serde(deserialize_with = "hex_bytes")]
    trace_id: Vec<u8>,
    #[prost(bytes = "vec", tag = "10")]
    #[serde(deserialize_with = "hex_bytes")]
    span_id: Vec<u8>,
}

/// A number of severity, also by its name (`SEVERITY_NUMBER_ERROR2`); 0 for anything else.
fn severity<'de, D: Deserializer<'de>>(deserializer: D) -> Result<i32, D::Error> {
    const PREFIX: &str = "SEVERITY_NUMBER_";
    let value = Value::deserialize(deserializer)?;
    if let Some(number) = value.as_i64() {
        return Ok(i32::try_from(number).unwrap_or_default());
    }
    let name = value
        .as_str()
        .and_then(|text| text.strip_prefix(PREFIX))
        .unwrap_or_default();
    let level = LEVELS.iter().position(|level| name.starts_with(level));
    let within = name
        .bytes()
        .last()
        .filter(u8::is_ascii_digit)
        .map_or(0, |digit| i32::from(digit - b'1'));
    Ok(level.map_or(0, |level| level as i32 * 4 + within + 1))
}

/// A record that names a trace.
#[derive(Debug, Clone, PartialEq)]
pub struct Record {
    /// `1-<8 hex>-<24 hex>`.
    pub trace_id: String,
    /// 16 hex digits.
    pub span_id: Option<String>,
    /// Seconds since 1970; `None` where it does not say.
    pub time: Option<f64>,
    /// `service.name` of the resource; empty where there is none.
    pub service: String,
    /// In capitals.
    pub level: Option<String>,
    /// The body, and what exception it tells of, if it does.
    pub text: String,
}

/// Hands each record of a request in protobuf that names a trace to `take`. What cannot be read is left out; how many
/// records were looked at.
pub fn of_protobuf(request: &[u8], take: &mut dyn FnMut(Record)) -> usize {
    let mut seen = 0;
    for logs in messages(request, 1) {
        let content: Vec<u8> = messages(logs, 1).flatten().copied().collect();
        let service =
            Resource::decode(&content[..]).map_or_else(|_| String::new(), |resource| service(&resource));
        for scope in messages(logs, 2) {
            for record in messages(scope, 2) {
                seen += 1;
                if seen > MAX_RECORDS {
                    return seen;
                }
                let is_short = record.len() <= MAX_MESSAGE_BYTES;
                if let Some(Ok(record)) = is_short.then(|| LogRecord::decode(record))
                    && let Some(record) = record.named(&service)
                {
                    take(record);
                }
            }
        }
    }
    seen
}

/// The messages in a field, as far as they can be read.
fn messages(message: &[u8], number: u32) -> impl Iterator<Item = &[u8]> {
    let fields = Fields::of(message).map_while(Result::ok);
    fields.filter_map(move |field| field.message(number))
}

/// As [`of_protobuf`], of a request in JSON.
pub fn of_json(request: &[u8], take: &mut dyn FnMut(Record)) -> usize {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct All<'a> {
        #[serde(borrow)]
        resource_logs: Vec<&'a RawValue>,
    }
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct OfResource<'a> {
        #[serde(default, deserialize_with = "or_default")]
        resource: Resource,
        #[serde(borrow, default)]
        scope_logs: Vec<&'a RawValue>,
    }
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct OfScope<'a> {
        #[serde(borrow, default)]
        log_records: Vec<&'a RawValue>,
    }
    let mut seen = 0;
    let Ok(all) = serde_json::from_slice::<All<'_>>(request) else {
        return seen;
    };
    for logs in all.resource_logs {
        let Ok(logs) = serde_json::from_str::<OfResource<'_>>(logs.get()) else {
            continue;
        };
        let service = service(&logs.resource);
        let scopes = logs.scope_logs.iter();
        for scope in scopes.filter_map(|scope| serde_json::from_str::<OfScope<'_>>(scope.get()).ok()) {
            for record in scope.log_records {
                seen += 1;
                if seen > MAX_RECORDS {
                    return seen;
                }
                let record = serde_json::from_str::<LogRecord>(record.get()).ok();
                if let Some(record) = record.and_then(|record| record.named(&service)) {
                    take(record);
                }
            }
        }
    }
    seen
}

fn service(resource: &Resource) -> String {
    let name = resource
        .attributes
        .iter()
        .find(|attribute| attribute.key == "service.name");
    let name = name.map(|name| json_of(std::slice::from_ref(name)));
    name.and_then(|name| Some(name.get("service.name")?.as_str()?.to_owned()))
        .unwrap_or_default()
}

impl LogRecord {
    /// `None` when it names no trace.
    fn named(self, service: &str) -> Option<Record> {
        if self.trace_id.len() != 16 || self.trace_id.iter().all(|byte| *byte == 0) {
            return None;
        }
        let id = hex::encode(&self.trace_id);
        let has_span = self.span_id.len() == 8 && self.span_id.iter().any(|byte| *byte != 0);
        let nanoseconds = [self.time_unix_nano, self.observed_time_unix_nano];
        let mut text = self.body.map(text_of).unwrap_or_default();
        let attributes = json_of(&self.attributes);
        for key in ["exception.message", "exception.stacktrace"] {
            if let Some(more) = attributes.get(key).and_then(Value::as_str)
                && !text.contains(more)
            {
                text.push('\n');
                text.push_str(more);
            }
        }
        Some(Record {
            trace_id: format!("1-{}-{}", &id[..8], &id[8..]),
            span_id: has_span.then(|| hex::encode(&self.span_id)),
            time: nanoseconds.into_iter().find(|time| *time > 0).map(seconds),
            service: service.to_owned(),
            level: level(self.severity_number, &self.severity_text),
            text,
        })
    }
}

/// Seconds of nanoseconds, as near as a number can be.
fn seconds(nanoseconds: u64) -> f64 {
    const IN_A_SECOND: u64 = 1_000_000_000;
    (nanoseconds / IN_A_SECOND) as f64 + (nanoseconds % IN_A_SECOND) as f64 / 1e9
}

/// A text as it is, anything else as JSON.
fn text_of(body: AnyValue) -> String {
    let body = KeyValue {
        key: String::new(),
        value: Some(body),
    };
    match json_of(&[body]).remove("") {
        Some(Value::String(text)) => text,
        Some(Value::Null) | None => String::new(),
        Some(other) => other.to_string(),
    }
}

/// Four numbers for each level, from `TRACE` on; its own word before that.
fn level(number: i32, text: &str) -> Option<String> {
    let name = usize::try_from(number - 1)
        .ok()
        .and_then(|number| LEVELS.get(number / 4));
    match name {
        Some(name) => Some((*name).to_owned()),
        None => {
            Some(text.chars().take(10).collect::<String>().to_uppercase()).filter(|text| !text.is_empty())
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::otlp::message::any_value;

    fn request() -> Value {
        json!({"resourceLogs": [{
            "resource": {"attributes": [{"key": "service.name", "value": {"stringValue": "shop"}}]},
            "scopeLogs": [{"logRecords": [
                {"timeUnixNano": "1795227595120000000", "severityNumber": "SEVERITY_NUMBER_ERROR", "severityText": "Error",
                 "body": {"stringValue": "no money"}, "traceId": "581cf771a006649127e371903a2de979",
                 "spanId": "53995c3f42cd8ad8",
                 "attributes": [{"key": "exception.stacktrace", "value": {"stringValue": "at pay"}}]},
                {"observedTimeUnixNano": 1_795_227_596_000_000_000_u64, "severityText": "note",
                 "body": {"kvlistValue": {"values": [{"key": "items", "value": {"intValue": "2"}}]}},
                 "traceId": "581cf771a006649127e371903a2de979"},
                {"body": {"stringValue": "of no trace"}},
                {"traceId": "581c"},
                5
            ]}]
        }, 7, {"scopeLogs": [null]}]})
    }

    fn expected() -> [Record; 2] {
        let trace_id = "1-581cf771-a006649127e371903a2de979".to_owned();
        [
            Record {
                trace_id: trace_id.clone(),
                span_id: Some("53995c3f42cd8ad8".to_owned()),
                time: Some(1_795_227_595.12),
                service: "shop".to_owned(),
                level: Some("ERROR".to_owned()),
                text: "no money\nat pay".to_owned(),
            },
            Record {
                trace_id,
                span_id: None,
                time: Some(1_795_227_596.0),
                service: "shop".to_owned(),
                level: Some("NOTE".to_owned()),
                text: "{\"items\":2}".to_owned(),
            },
        ]
    }

    #[test]
    fn records_that_name_a_trace_are_read_from_json() {
        let mut records = Vec::new();
        let seen = of_json(request().to_string().as_bytes(), &mut |record| {
            records.push(record)
        });
        assert_eq!((seen, records.as_slice()), (5, &expected()[..]));
        for broken in [
            "",
            "{}",
            "[]",
            "{\"resourceLogs\":5}",
            "{\"resourceLogs\":[{\"scopeLogs\":5}]}",
        ] {
            assert_eq!(of_json(broken.as_bytes(), &mut |_| unreachable!()), 0, "{broken}");
        }
    }

    #[test]
    fn records_that_name_a_trace_are_read_from_protobuf() {
        let field = |number: u32, bytes: &[u8]| {
            let mut out = Vec::new();
            prost::encoding::bytes::encode(number, &bytes.to_vec(), &mut out);
            out
        };
        let text = |text: &str| AnyValue {
            value: Some(any_value::Value::Text(text.to_owned())),
        };
        let record = LogRecord {
            time_unix_nano: 1_795_227_595_120_000_000,
            severity_number: 17,
            body: Some(text("no money")),
            attributes: vec![KeyValue {
                key: "exception.stacktrace".to_owned(),
                value: Some(text("at pay")),
            }],
            trace_id: hex::decode("581cf771a006649127e371903a2de979").unwrap(),
            span_id: hex::decode("53995c3f42cd8ad8").unwrap(),
            ..LogRecord::default()
        };
        let resource = Resource {
            attributes: vec![KeyValue {
                key: "service.name".to_owned(),
                value: Some(text("shop")),
            }],
            ..Resource::default()
        };
        let scope = [
            field(2, &record.encode_to_vec()),
            field(2, b"\xff"),
            field(2, b""),
        ]
        .concat();
        let logs = [field(1, &resource.encode_to_vec()), field(2, &scope)].concat();
        let mut records = Vec::new();
        let seen = of_protobuf(&field(1, &logs), &mut |record| records.push(record));
        assert_eq!((seen, records.as_slice()), (3, &expected()[..1]));
        assert_eq!(of_protobuf(b"\xff\xff\xff", &mut |_| unreachable!()), 0);
    }
}
