//! How much is in a request in JSON, and the request as two that have half of it each. Items are stepped over and go on
//! byte for byte; fields that nobody knows stay with both halves.

use std::fmt;

use serde::Deserializer;
use serde::de::{DeserializeSeed, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use super::NotJson;
use crate::otlp::count::{Count, Signal};

/// The keys that lead from a request to its items, a level each, as [`Signal::levels`] in protobuf.
const fn levels(signal: Signal) -> &'static [&'static [&'static str]] {
    match signal {
        Signal::Traces => &[&["resourceSpans"], &["scopeSpans"], &["spans"]],
        Signal::Logs => &[&["resourceLogs"], &["scopeLogs"], &["logRecords"]],
        Signal::Metrics => &[
            &["resourceMetrics"],
            &["scopeMetrics"],
            &["metrics"],
            &["gauge", "sum", "histogram", "exponentialHistogram", "summary"],
            &["dataPoints"],
        ],
    }
}

/// Counts what is in a request in JSON. Nothing of it is kept.
///
/// # Errors
/// It is no JSON, or something else stands where resources, scopes or items do.
pub fn count(signal: Signal, request: &[u8]) -> Result<Count, NotJson> {
    let levels = levels(signal);
    let mut counts = [0; 5];
    let mut json = serde_json::Deserializer::from_slice(request);
    let walk = Walk {
        levels,
        counts: &mut counts,
        is_child: false,
    };
    walk.deserialize(&mut json)
        .and_then(|()| json.end())
        .map_err(|error| NotJson::of(&error))?;
    Ok(Count {
        resources: counts[0],
        scopes: counts[1],
        items: counts[levels.len() - 1],
    })
}

/// A message with the levels below it, or what is in its field for them.
struct Walk<'l> {
    levels: &'static [&'static [&'static str]],
    counts: &'l mut [u64],
    /// A list of messages, one message, or nothing.
    is_child: bool,
}

impl<'de> DeserializeSeed<'de> for Walk<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        if self.levels.is_empty() && !self.is_child {
            return deserializer.deserialize_ignored_any(IgnoredAny).map(drop);
        }
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Walk<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.is_child {
            "a list of messages"
        } else {
            "a message"
        })
    }

    fn visit_unit<E: Error>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        let (true, Some((count, counts))) = (self.is_child, self.counts.split_first_mut()) else {
            return Err(A::Error::custom("a list where a message is meant"));
        };
        loop {
            let message = Walk {
                levels: self.levels,
                counts: &mut *counts,
                is_child: false,
            };
            if list.next_element_seed(message)?.is_none() {
                return Ok(());
            }
            *count += 1;
        }
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let counts = if self.is_child {
            let Some((count, counts)) = self.counts.split_first_mut() else {
                return Ok(());
            };
            *count += 1;
            counts
        } else {
            self.counts
        };
        while let Some(key) = map.next_key::<String>()? {
            match self.levels.split_first() {
                Some((keys, below)) if keys.contains(&key.as_str()) => map.next_value_seed(Walk {
                    levels: below,
                    counts: &mut *counts,
                    is_child: true,
                })?,
                _ => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        Ok(())
    }
}

/// The two halves of a request in JSON, as [`crate::otlp::split::halves`] makes them of one in protobuf. `None` when it
/// cannot be halved.
///
/// # Errors
/// It is no JSON down to where it would be halved.
pub fn halves(signal: Signal, request: &[u8]) -> Result<Option<[Vec<u8>; 2]>, NotJson> {
    let request = std::str::from_utf8(request).map_err(|_| NotJson("not UTF-8".to_owned()))?;
    halve(levels(signal), request).map_err(|error| NotJson::of(&error))
}

/// As deep as there are levels.
fn halve(
    levels: &'static [&'static [&'static str]],
    message: &str,
) -> Result<Option<[Vec<u8>; 2]>, serde_json::Error> {
    let Some((keys, below)) = levels.split_first() else {
        return Ok(None);
    };
    let mut seen = Seen {
        keys,
        children: 0,
        only: None,
    };
    read(message, &mut seen)?;
    if seen.children >= 2 {
        let mut writer = Halves {
            keys,
            first: seen.children.div_ceil(2),
            place: 0,
            alone: None,
            out: [Vec::new(), Vec::new()],
        };
        read(message, &mut writer)?;
        return Ok(Some(writer.out.map(closed)));
    }
    let Some(only) = seen.only else {
        return Ok(None);
    };
    let Some(parts) = halve(below, only.get())? else {
        return Ok(None);
    };
    let mut halves = Vec::with_capacity(2);
    for part in &parts {
        let mut writer = Replaced {
            keys,
            part,
            out: Vec::new(),
        };
        read(message, &mut writer)?;
        halves.push(closed(writer.out));
    }
    Ok(halves.try_into().ok())
}

fn closed(mut fields: Vec<u8>) -> Vec<u8> {
    if fields.is_empty() {
        fields.push(b'{');
    }
    fields.push(b'}');
    fields
}

/// What is done with the fields of a message.
trait Fields<'a> {
    fn keys(&self) -> &'static [&'static str];
    /// A field with messages of the next level is about to come; `is_list`: in a list.
    fn begin(&mut self, key: &str, is_list: bool);
    fn child(&mut self, child: &'a RawValue);
    fn end(&mut self, is_list: bool);
    fn other(&mut self, key: &str, value: &'a RawValue);
}

/// How many messages of the next level there are, and the only one.
struct Seen<'a> {
    keys: &'static [&'static str],
    children: usize,
    only: Option<&'a RawValue>,
}

impl<'a> Fields<'a> for Seen<'a> {
    fn keys(&self) -> &'static [&'static str] {
        self.keys
    }

    fn begin(&mut self, _: &str, _: bool) {}

    fn child(&mut self, child: &'a RawValue) {
        self.children += 1;
        self.only = Some(child);
    }

    fn end(&mut self, _: bool) {}

    fn other(&mut self, _: &str, _: &'a RawValue) {}
}

/// A key of an object that is being written, with what stands before it.
fn write_key(key: &str, out: &mut Vec<u8>) {
    out.push(if out.is_empty() { b'{' } else { b',' });
    // A string always becomes JSON.
    out.extend(serde_json::to_vec(key).unwrap_or_default());
    out.push(b':');
}

/// Writes the first of the messages into one half, the others into the other one.
struct Halves {
    keys: &'static [&'static str],
    first: usize,
    place: usize,
    /// The key of a message that is in no list.
    alone: Option<String>,
    out: [Vec<u8>; 2],
}

impl<'a> Fields<'a> for Halves {
    fn keys(&self) -> &'static [&'static str] {
        self.keys
    }

    fn begin(&mut self, key: &str, is_list: bool) {
        if !is_list {
            self.alone = Some(key.to_owned());
            return;
        }
        for out in &mut self.out {
            write_key(key, out);
            out.push(b'[');
        }
    }

    fn child(&mut self, child: &'a RawValue) {
        let out = &mut self.out[usize::from(self.place >= self.first)];
        if let Some(key) = self.alone.take() {
            write_key(&key, out);
        } else if out.last() != Some(&b'[') {
            out.push(b',');
        }
        out.extend_from_slice(child.get().as_bytes());
        self.place += 1;
    }

    fn end(&mut self, is_list: bool) {
        if is_list {
            self.out.iter_mut().for_each(|out| out.push(b']'));
        }
    }

    fn other(&mut self, key: &str, value: &'a RawValue) {
        for out in &mut self.out {
            write_key(key, out);
            out.extend_from_slice(value.get().as_bytes());
        }
    }
}

/// Writes another message in the place of the only one.
struct Replaced<'p> {
    keys: &'static [&'static str],
    part: &'p [u8],
    out: Vec<u8>,
}

impl<'a> Fields<'a> for Replaced<'_> {
    fn keys(&self) -> &'static [&'static str] {
        self.keys
    }

    fn begin(&mut self, key: &str, is_list: bool) {
        write_key(key, &mut self.out);
        if is_list {
            self.out.push(b'[');
        }
    }

    fn child(&mut self, _: &'a RawValue) {
        self.out.extend_from_slice(self.part);
    }

    fn end(&mut self, is_list: bool) {
        if is_list {
            self.out.push(b']');
        }
    }

    fn other(&mut self, key: &str, value: &'a RawValue) {
        write_key(key, &mut self.out);
        self.out.extend_from_slice(value.get().as_bytes());
    }
}

fn read<'a>(message: &'a str, fields: &mut dyn Fields<'a>) -> Result<(), serde_json::Error> {
    let mut json = serde_json::Deserializer::from_str(message);
    json.deserialize_map(Reader { fields })?;
    json.end()
}

struct Reader<'f, 'a> {
    fields: &'f mut dyn Fields<'a>,
}

impl<'a> Visitor<'a> for Reader<'_, 'a> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a message")
    }

    fn visit_map<A: MapAccess<'a>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(key) = map.next_key::<String>()? {
            let value = map.next_value::<&'a RawValue>()?;
            match value.get().as_bytes().first() {
                Some(b'[') if self.fields.keys().contains(&key.as_str()) => {
                    self.fields.begin(&key, true);
                    let mut list = serde_json::Deserializer::from_str(value.get());
                    let fields = &mut *self.fields;
                    list.deserialize_seq(Reader { fields })
                        .map_err(A::Error::custom)?;
                    self.fields.end(true);
                }
                Some(b'{') if self.fields.keys().contains(&key.as_str()) => {
                    self.fields.begin(&key, false);
                    self.fields.child(value);
                    self.fields.end(false);
                }
                _ => self.fields.other(&key, value),
            }
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'a>>(self, mut list: A) -> Result<(), A::Error> {
        while let Some(child) = list.next_element::<&'a RawValue>()? {
            self.fields.child(child);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
