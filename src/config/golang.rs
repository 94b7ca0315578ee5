//! How Go reads numbers and truth values in flags and cfg.yaml, so that what the official daemon accepts is accepted.
//!
//! Source of the rules: the documentation of Go's packages `flag` and `strconv` (`ParseInt` with base 0, `ParseBool`).

/// Why a text is no number; the words are those of Go's flag package.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NumberError {
    /// It is not written as a number.
    Syntax,
    /// It does not fit in 64 bits.
    Range,
}

impl NumberError {
    /// `parse error` or `value out of range`.
    pub(crate) const fn text(self) -> &'static str {
        match self {
            Self::Syntax => "parse error",
            Self::Range => "value out of range",
        }
    }
}

/// `strconv.ParseInt(text, 0, 64)`: a sign, a prefix (`0x`, `0o`, `0b`, or `0` for octal) and `_` between digits.
pub(crate) fn parse_int(text: &str) -> Result<i64, NumberError> {
    let (negative, unsigned) = match text.strip_prefix(['+', '-']) {
        Some(rest) => (text.starts_with('-'), rest),
        None => (false, text),
    };
    let (radix, prefix, digits) = split_radix(unsigned);
    if digits.is_empty() && prefix.is_empty() {
        return Err(NumberError::Syntax);
    }
    let mut magnitude: u64 = 0;
    for c in digits.chars().filter(|&c| c != '_') {
        let digit = c.to_digit(radix).ok_or(NumberError::Syntax)?;
        // As in Go, a number already too big is out of range, whatever follows.
        magnitude = magnitude
            .checked_mul(u64::from(radix))
            .and_then(|m| m.checked_add(u64::from(digit)))
            .ok_or(NumberError::Range)?;
    }
    if !underscores_separate_digits(prefix, digits) {
        return Err(NumberError::Syntax);
    }
    if negative {
        0_i64.checked_sub_unsigned(magnitude).ok_or(NumberError::Range)
    } else {
        i64::try_from(magnitude).map_err(|_| NumberError::Range)
    }
}

/// The radix, the prefix that says so, and the digits. A prefix with nothing after it is no prefix: `0x` is octal `x`.
fn split_radix(unsigned: &str) -> (u32, &str, &str) {
    if unsigned.len() >= 3 {
        let radix = match unsigned.as_bytes() {
            [b'0', b'x' | b'X', ..] => 16,
            [b'0', b'o' | b'O', ..] => 8,
            [b'0', b'b' | b'B', ..] => 2,
            _ => 0,
        };
        if radix != 0 {
            return (radix, &unsigned[..2], &unsigned[2..]);
        }
    }
    match unsigned.strip_prefix('0') {
        Some(digits) => (8, "0", digits),
        None => (10, "", unsigned),
    }
}

/// Each `_` stands after a digit (or the prefix) and before a digit.
fn underscores_separate_digits(prefix: &str, digits: &str) -> bool {
    if !digits.contains('_') {
        return true;
    }
    let starts_well = !prefix.is_empty() || !digits.starts_with('_');
    starts_well && !digits.ends_with('_') && !digits.contains("__")
}

/// `strconv.ParseBool`.
pub(crate) fn parse_bool(text: &str) -> Option<bool> {
    match text {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Some(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Some(false),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::NumberError::{Range, Syntax};
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn numbers_are_read_as_go_reads_them() {
        for (text, value) in [
            ("0", Ok(0)),
            ("5", Ok(5)),
            ("+5", Ok(5)),
            ("-5", Ok(-5)),
            ("0x10", Ok(16)),
            ("0X1f", Ok(31)),
            ("-0x10", Ok(-16)),
            ("010", Ok(8)),
            ("0o17", Ok(15)),
            ("0b101", Ok(5)),
            ("1_0", Ok(10)),
            ("0_7", Ok(7)),
            ("0x_1F", Ok(31)),
            ("00", Ok(0)),
            ("9223372036854775807", Ok(i64::MAX)),
            ("-9223372036854775808", Ok(i64::MIN)),
            ("9223372036854775808", Err(Range)),
            ("-9223372036854775809", Err(Range)),
            ("99999999999999999999", Err(Range)),
            ("99999999999999999999999x", Err(Range)),
            ("", Err(Syntax)),
            ("+", Err(Syntax)),
            ("-", Err(Syntax)),
            ("+-5", Err(Syntax)),
            ("abc", Err(Syntax)),
            ("3.5", Err(Syntax)),
            (" 5", Err(Syntax)),
            ("5 ", Err(Syntax)),
            ("08", Err(Syntax)),
            ("0x", Err(Syntax)),
            ("0x_", Err(Syntax)),
            ("0b2", Err(Syntax)),
            ("_1", Err(Syntax)),
            ("1_", Err(Syntax)),
            ("1__0", Err(Syntax)),
            ("_", Err(Syntax)),
            ("é", Err(Syntax)),
            ("0é1", Err(Syntax)),
        ] {
            assert_eq!(parse_int(text), value, "{text:?}");
        }
    }

    #[test]
    fn only_gos_words_are_truth_values() {
        for word in ["1", "t", "T", "true", "TRUE", "True"] {
            assert_eq!(parse_bool(word), Some(true));
        }
        for word in ["0", "f", "F", "false", "FALSE", "False"] {
            assert_eq!(parse_bool(word), Some(false));
        }
        for word in ["", "yes", "no", "maybe", "tRUE", "on", "2"] {
            assert_eq!(parse_bool(word), None);
        }
    }

    proptest! {
        #[test]
        fn any_text_is_a_number_or_an_error(text in "\\PC*|[+-]?0?[xob]?[0-9a-f_]{0,24}") {
            let _ = parse_int(&text);
        }

        #[test]
        fn every_number_is_read_back_in_every_notation(value: i64) {
            prop_assert_eq!(parse_int(&value.to_string()), Ok(value));
            let sign = if value < 0 { "-" } else { "+" };
            let magnitude = value.unsigned_abs();
            for text in [
                format!("{sign}{magnitude:#x}"),
                format!("{sign}{magnitude:#o}"),
                format!("{sign}{magnitude:#b}"),
                format!("{sign}0{magnitude:o}"),
            ] {
                prop_assert_eq!(parse_int(&text), Ok(value));
            }
        }
    }
}
