//! The messages of an OTLP request for traces, whole: opentelemetry-proto 1.x, `trace.proto`, `resource.proto` and
//! `common.proto`. They are written out here because the crate of that name brings the OpenTelemetry SDK with it.
//!
//! Each is read from protobuf and from JSON (lowerCamelCase keys, unknown ones stepped over).

pub(super) mod json;

use std::fmt;

use prost::Message;
use serde::Deserialize;
use serde::de::{IgnoredAny, MapAccess, Visitor};

use self::json::{Base64, Double, Int, hex_bytes, number, or_default, texts};

/// `ExportTraceServiceRequest`.
#[derive(Clone, PartialEq, Message)]
pub struct Request {
    /// Spans, by what made them.
    #[prost(message, repeated, tag = "1")]
    pub resource_spans: Vec<ResourceSpans>,
}

/// The spans of one resource.
#[derive(Clone, PartialEq, Message)]
pub struct ResourceSpans {
    /// What made them.
    #[prost(message, optional, tag = "1")]
    pub resource: Option<Resource>,
    /// Spans, by instrumentation library.
    #[prost(message, repeated, tag = "2")]
    pub scope_spans: Vec<ScopeSpans>,
    /// The version of the conventions that the resource keeps to.
    #[prost(string, tag = "3")]
    pub schema_url: String,
}

/// A service, its process and its host.
#[derive(Clone, PartialEq, Message, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Resource {
    /// `service.name` and the like.
    #[prost(message, repeated, tag = "1")]
    #[serde(deserialize_with = "or_default")]
    pub attributes: Vec<KeyValue>,
    /// How many the SDK has left out.
    #[prost(uint32, tag = "2")]
    #[serde(deserialize_with = "number")]
    pub dropped_attributes_count: u32,
    /// Which of the attributes name what.
    #[prost(message, repeated, tag = "3")]
    #[serde(deserialize_with = "or_default")]
    pub entity_refs: Vec<EntityRef>,
}

/// An entity that attributes of a resource name: a host, a container.
#[derive(Clone, PartialEq, Eq, Message, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct EntityRef {
    /// The version of the conventions that its keys keep to.
    #[prost(string, tag = "1")]
    #[serde(deserialize_with = "or_default")]
    pub schema_url: String,
    /// `host`, say.
    #[prost(string, tag = "2")]
    #[serde(rename = "type", deserialize_with = "or_default")]
    pub kind: String,
    /// The keys of the attributes that tell it from others of its kind.
    #[prost(string, repeated, tag = "3")]
    #[serde(deserialize_with = "texts")]
    pub id_keys: Vec<String>,
    /// The keys of those that tell more of it.
    #[prost(string, repeated, tag = "4")]
    #[serde(deserialize_with = "texts")]
    pub description_keys: Vec<String>,
}

/// The spans of one instrumentation library.
#[derive(Clone, PartialEq, Message)]
pub struct ScopeSpans {
    /// The library.
    #[prost(message, optional, tag = "1")]
    pub scope: Option<Scope>,
    /// In any order.
    #[prost(message, repeated, tag = "2")]
    pub spans: Vec<Span>,
    /// The version of the conventions that the spans keep to.
    #[prost(string, tag = "3")]
    pub schema_url: String,
}

/// `InstrumentationScope`: a library that makes spans.
#[derive(Clone, PartialEq, Message, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Scope {
    /// Its name.
    #[prost(string, tag = "1")]
    #[serde(deserialize_with = "or_default")]
    pub name: String,
    /// Its version.
    #[prost(string, tag = "2")]
    #[serde(deserialize_with = "or_default")]
    pub version: String,
    /// Anything.
    #[prost(message, repeated, tag = "3")]
    #[serde(deserialize_with = "or_default")]
    pub attributes: Vec<KeyValue>,
    /// How many the SDK has left out.
    #[prost(uint32, tag = "4")]
    #[serde(deserialize_with = "number")]
    pub dropped_attributes_count: u32,
}

/// One piece of work.
#[derive(Clone, PartialEq, Message, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Span {
    /// 16 bytes.
    #[prost(bytes = "vec", tag = "1")]
    #[serde(deserialize_with = "hex_bytes")]
    pub trace_id: Vec<u8>,
    /// 8 bytes.
    #[prost(bytes = "vec", tag = "2")]
    #[serde(deserialize_with = "hex_bytes")]
    pub span_id: Vec<u8>,
    /// W3C `tracestate`.
    #[prost(string, tag = "3")]
    #[serde(deserialize_with = "or_default")]
    pub trace_state: String,
    /// 8 bytes; empty for a root.
    #[prost(bytes = "vec", tag = "4")]
    #[serde(deserialize_with = "hex_bytes")]
    pub parent_span_id: Vec<u8>,
    /// What is done.
    #[prost(string, tag = "5")]
    #[serde(deserialize_with = "or_default")]
    pub name: String,
    /// 1: internal, 2: server, 3: client, 4: producer, 5: consumer.
    #[prost(int32, tag = "6")]
    #[serde(deserialize_with = "self::json::kind")]
    pub kind: i32,
    /// Nanoseconds since 1970.
    #[prost(fixed64, tag = "7")]
    #[serde(deserialize_with = "number")]
    pub start_time_unix_nano: u64,
    /// Nanoseconds since 1970; 0: not ended.
    #[prost(fixed64, tag = "8")]
    #[serde(deserialize_with = "number")]
    pub end_time_unix_nano: u64,
    /// Anything.
    #[prost(message, repeated, tag = "9")]
    #[serde(deserialize_with = "or_default")]
    pub attributes: Vec<KeyValue>,
    /// How many the SDK has left out.
    #[prost(uint32, tag = "10")]
    #[serde(deserialize_with = "number")]
    pub dropped_attributes_count: u32,
    /// What happened meanwhile, exceptions above all.
    #[prost(message, repeated, tag = "11")]
    #[serde(deserialize_with = "or_default")]
    pub events: Vec<Event>,
    /// How many the SDK has left out.
    #[prost(uint32, tag = "12")]
    #[serde(deserialize_with = "number")]
    pub dropped_events_count: u32,
    /// Spans of other traces that this one has to do with.
    #[prost(message, repeated, tag = "13")]
    #[serde(deserialize_with = "or_default")]
    pub links: Vec<Link>,
    /// How many the SDK has left out.
    #[prost(uint32, tag = "14")]
    #[serde(deserialize_with = "number")]
    pub dropped_links_count: u32,
    /// How it ended.
    #[prost(message, optional, tag = "15")]
    pub status: Option<Status>,
    /// The low 8 bits are W3C's; 0x100: whether the parent is remote is known; 0x200: it is.
    #[prost(fixed32, tag = "16")]
    #[serde(deserialize_with = "number")]
    pub flags: u32,
}

/// Something that happened during a span.
#[derive(Clone, PartialEq, Message, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Event {
    /// Nanoseconds since 1970.
    #[prost(fixed64, tag = "1")]
    #[serde(deserialize_with = "number")]
    pub time_unix_nano: u64,
    /// `exception`, say.
    #[prost(string, tag = "2")]
    #[serde(deserialize_with = "or_default")]
    pub name: String,
    /// Anything.
    #[prost(message, repeated, tag = "3")]
    #[serde(deserialize_with = "or_default")]
    pub attributes: Vec<KeyValue>,
    /// How many the SDK has left out.
    #[prost(uint32, tag = "4")]
    #[serde(deserialize_with = "number")]
    pub dropped_attributes_count: u32,
}

/// A span that another one has to do with.
#[derive(Clone, PartialEq, Message, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Link {
    /// 16 bytes.
    #[prost(bytes = "vec", tag = "1")]
    #[serde(deserialize_with = "hex_bytes")]
    pub trace_id: Vec<u8>,
    /// 8 bytes.
    #[prost(bytes = "vec", tag = "2")]
    #[serde(deserialize_with = "hex_bytes")]
    pub span_id: Vec<u8>,
    /// W3C `tracestate`.
    #[prost(string, tag = "3")]
    #[serde(deserialize_with = "or_default")]
    pub trace_state: String,
    /// Anything.
    #[prost(message, repeated, tag = "4")]
    #[serde(deserialize_with = "or_default")]
    pub attributes: Vec<KeyValue>,
    /// How many the SDK has left out.
    #[prost(uint32, tag = "5")]
    #[serde(deserialize_with = "number")]
    pub dropped_attributes_count: u32,
    /// As [`Span::flags`].
    #[prost(fixed32, tag = "6")]
    #[serde(deserialize_with = "number")]
    pub flags: u32,
}

/// How a span ended.
#[derive(Clone, PartialEq, Eq, Message, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Status {
    /// For people.
    #[prost(string, tag = "2")]
    #[serde(deserialize_with = "or_default")]
    pub message: String,
    /// 0: unset, 1: ok, 2: error.
    #[prost(int32, tag = "3")]
    #[serde(deserialize_with = "self::json::status_code")]
    pub code: i32,
}

/// An attribute.
#[derive(Clone, PartialEq, Message, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct KeyValue {
    /// Its name.
    #[prost(string, tag = "1")]
    #[serde(deserialize_with = "or_default")]
    pub key: String,
    /// Its value.
    #[prost(message, optional, tag = "2")]
    pub value: Option<AnyValue>,
}

/// A value of any type.
#[derive(Clone, PartialEq, Message)]
pub struct AnyValue {
    /// `None`: an empty value.
    #[prost(oneof = "any_value::Value", tags = "1, 2, 3, 4, 5, 6, 7")]
    pub value: Option<any_value::Value>,
}

impl<'de> Deserialize<'de> for AnyValue {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(AnyValueKeys)
    }
}

/// An object with one key, which says the type.
struct AnyValueKeys;

impl<'de> Visitor<'de> for AnyValueKeys {
    type Value = AnyValue;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value with its type as the key")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut value = None;
        while let Some(key) = map.next_key::<String>()? {
            let read = match key.as_str() {
                "stringValue" => map.next_value::<Option<String>>()?.map(any_value::Value::Text),
                "boolValue" => map.next_value::<Option<bool>>()?.map(any_value::Value::Bool),
                "intValue" => map
                    .next_value::<Option<Int>>()?
                    .map(|int| any_value::Value::Int(int.0)),
                "doubleValue" => map
                    .next_value::<Option<Double>>()?
                    .map(|double| any_value::Value::Double(double.0)),
                "arrayValue" => map
                    .next_value::<Option<ArrayValue>>()?
                    .map(any_value::Value::Array),
                "kvlistValue" => map
                    .next_value::<Option<KeyValueList>>()?
                    .map(any_value::Value::List),
                "bytesValue" => map
                    .next_value::<Option<Base64>>()?
                    .map(|bytes| any_value::Value::Bytes(bytes.0)),
                _ => {
                    map.next_value::<IgnoredAny>()?;
                    None
                }
            };
            value = read.or(value);
        }
        Ok(AnyValue { value })
    }
}

/// What an [`AnyValue`] can hold.
pub mod any_value {
    use super::{ArrayValue, KeyValueList};

    /// One of these.
    #[derive(Clone, PartialEq, prost::Oneof)]
    pub enum Value {
        /// A string.
        #[prost(string, tag = "1")]
        Text(String),
        /// `true` or `false`.
        #[prost(bool, tag = "2")]
        Bool(bool),
        /// A whole number.
        #[prost(int64, tag = "3")]
        Int(i64),
        /// A number.
        #[prost(double, tag = "4")]
        Double(f64),
        /// A list.
        #[prost(message, tag = "5")]
        Array(ArrayValue),
        /// An object.
        #[prost(message, tag = "6")]
        List(KeyValueList),
        /// Bytes.
        #[prost(bytes, tag = "7")]
        Bytes(Vec<u8>),
    }
}

/// A list of values.
#[derive(Clone, PartialEq, Message, Deserialize)]
#[serde(default)]
pub struct ArrayValue {
    /// In their order.
    #[prost(message, repeated, tag = "1")]
    #[serde(deserialize_with = "or_default")]
    pub values: Vec<AnyValue>,
}

/// Named values.
#[derive(Clone, PartialEq, Message, Deserialize)]
#[serde(default)]
pub struct KeyValueList {
    /// In their order.
    #[prost(message, repeated, tag = "1")]
    #[serde(deserialize_with = "or_default")]
    pub values: Vec<KeyValue>,
}

/// Values of [`Span::kind`].
pub mod kind {
    /// Inside of a service.
    pub const INTERNAL: i32 = 1;
    /// A request that is answered.
    pub const SERVER: i32 = 2;
    /// A request that is made.
    pub const CLIENT: i32 = 3;
    /// A message that is sent.
    pub const PRODUCER: i32 = 4;
    /// A message that is handled.
    pub const CONSUMER: i32 = 5;
}

/// The value of [`Status::code`] of what has failed.
pub const STATUS_ERROR: i32 = 2;

/// Bits of [`Span::flags`].
pub mod flags {
    /// W3C: the trace is recorded.
    pub const SAMPLED: u32 = 1;
    /// Whether the parent is remote is known.
    pub const REMOTE_KNOWN: u32 = 0x100;
    /// The parent is of another process.
    pub const REMOTE: u32 = 0x200;
}
