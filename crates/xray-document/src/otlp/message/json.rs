//! How values are written in OTLP's JSON: ids in hex, 64-bit numbers as strings or numbers, enums as numbers, and `null`
//! for what is not there.

use std::fmt;
use std::marker::PhantomData;

use serde::de::{Error, Visitor};
use serde::{Deserialize, Deserializer};

/// The value, or the default for `null`.
pub(in crate::otlp) fn or_default<'de, T: Deserialize<'de> + Default, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<T, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

/// A list of strings.
pub(super) fn texts<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    or_default(deserializer)
}

/// Bytes as hex digits of either case.
pub(in crate::otlp) fn hex_bytes<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u8>, D::Error> {
    let text: String = or_default(deserializer)?;
    hex::decode(text).map_err(|_| Error::custom("an id is not made of hex digits"))
}

/// A whole number, also one in a string.
pub(in crate::otlp) fn number<'de, T: Whole, D: Deserializer<'de>>(deserializer: D) -> Result<T, D::Error> {
    Ok(deserializer
        .deserialize_any(Number(PhantomData))?
        .unwrap_or_default())
}

/// A kind of span, also by its name.
pub(super) fn kind<'de, D: Deserializer<'de>>(deserializer: D) -> Result<i32, D::Error> {
    const NAMES: [&str; 6] = [
        "SPAN_KIND_UNSPECIFIED",
        "SPAN_KIND_INTERNAL",
        "SPAN_KIND_SERVER",
        "SPAN_KIND_CLIENT",
        "SPAN_KIND_PRODUCER",
        "SPAN_KIND_CONSUMER",
    ];
    enumeration(deserializer, &NAMES)
}

/// A code of a status, also by its name.
pub(super) fn status_code<'de, D: Deserializer<'de>>(deserializer: D) -> Result<i32, D::Error> {
    enumeration(
        deserializer,
        &["STATUS_CODE_UNSET", "STATUS_CODE_OK", "STATUS_CODE_ERROR"],
    )
}

/// Names are what protobuf's own JSON has; OTLP has numbers only, and the Collector takes both.
fn enumeration<'de, D: Deserializer<'de>>(deserializer: D, names: &[&str]) -> Result<i32, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Either {
        Number(i32),
        Name(String),
    }
    match Option::deserialize(deserializer)? {
        None => Ok(0),
        Some(Either::Number(number)) => Ok(number),
        Some(Either::Name(name)) => {
            let place = names.iter().position(|known| *known == name);
            let place = place.ok_or_else(|| Error::custom("an enum has a name that is not known"))?;
            Ok(place as i32)
        }
    }
}

/// The types of whole numbers that fields have.
pub(in crate::otlp) trait Whole: TryFrom<i128> + Default {}
impl Whole for u32 {}
impl Whole for u64 {}
impl Whole for i64 {}

struct Number<T>(PhantomData<T>);

impl<T: Whole> Number<T> {
    fn within<E: Error>(number: i128) -> Result<Option<T>, E> {
        let number = T::try_from(number).map_err(|_| E::custom("a number is out of range"))?;
        Ok(Some(number))
    }
}

impl<T: Whole> Visitor<'_> for Number<T> {
    type Value = Option<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a whole number, or one in a string")
    }

    fn visit_unit<E: Error>(self) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<Self::Value, E> {
        Self::within(number.into())
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<Self::Value, E> {
        Self::within(number.into())
    }

    /// Encoders of JavaScript write large whole numbers with an exponent.
    fn visit_f64<E: Error>(self, number: f64) -> Result<Self::Value, E> {
        if number.fract() == 0.0 && number.abs() < 1e20 {
            return Self::within(number as i128);
        }
        Err(E::custom("a number is not whole"))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Self::Value, E> {
        match text.parse() {
            Ok(number) => Self::within(number),
            Err(_) => Err(E::custom("a string is not a whole number")),
        }
    }
}

/// A number, also one in a string, and the three that JSON has no number for.
pub(super) struct Double(pub(super) f64);

impl<'de> Deserialize<'de> for Double {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Either {
            Number(f64),
            Text(String),
        }
        match Either::deserialize(deserializer)? {
            Either::Number(number) => Ok(Self(number)),
            Either::Text(text) => match text.as_str() {
                "NaN" => Ok(Self(f64::NAN)),
                "Infinity" => Ok(Self(f64::INFINITY)),
                "-Infinity" => Ok(Self(f64::NEG_INFINITY)),
                text => text
                    .parse()
                    .map(Self)
                    .map_err(|_| Error::custom("a string is not a number")),
            },
        }
    }
}

/// A whole number, also one in a string.
pub(super) struct Int(pub(super) i64);

impl<'de> Deserialize<'de> for Int {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        number(deserializer).map(Self)
    }
}

/// Bytes in base64.
pub(super) struct Base64(pub(super) Vec<u8>);

impl<'de> Deserialize<'de> for Base64 {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let bytes = aws_smithy_types::base64::decode(text);
        bytes
            .map(Self)
            .map_err(|_| Error::custom("a value of bytes is not base64"))
    }
}
