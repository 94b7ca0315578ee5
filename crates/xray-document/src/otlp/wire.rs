//! The wire form of protobuf, read without a schema: which fields a message has and the bytes of each.

/// What ends a walk: bytes that are no protobuf.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not protobuf: {what}")]
pub struct Malformed {
    /// What is wrong.
    what: &'static str,
}

const fn malformed(what: &'static str) -> Malformed {
    Malformed { what }
}

/// A field of a message.
#[derive(Debug, Clone, Copy)]
pub(super) struct Field<'a> {
    /// Its number in the schema.
    pub(super) number: u32,
    /// The message, text or bytes in it; `None` for a number.
    pub(super) content: Option<&'a [u8]>,
    /// All of its bytes, with number and length.
    pub(super) whole: &'a [u8],
}

impl<'a> Field<'a> {
    /// The message in the field, when it is that of the number.
    pub(super) fn message(&self, number: u32) -> Option<&'a [u8]> {
        self.content.filter(|_| self.number == number)
    }
}

/// The fields of a message, in the order that they came in.
#[derive(Debug, Clone)]
pub(super) struct Fields<'a> {
    rest: &'a [u8],
}

impl<'a> Fields<'a> {
    pub(super) const fn of(message: &'a [u8]) -> Self {
        Self { rest: message }
    }

    fn field(&mut self) -> Result<Field<'a>, Malformed> {
        let start = self.rest;
        let tag = u32::try_from(self.varint()?).map_err(|_| malformed("a field's number is too large"))?;
        let number = tag >> 3;
        if number == 0 {
            return Err(malformed("a field has number 0"));
        }
        let content = match tag & 7 {
            0 => {
                self.varint()?;
                None
            }
            1 => {
                self.take(8)?;
                None
            }
            2 => {
                let length = self.varint()?;
                let length = usize::try_from(length).map_err(|_| malformed("a length is too large"))?;
                Some(self.take(length)?)
            }
            5 => {
                self.take(4)?;
                None
            }
            // Groups: nothing of OTLP has one, and they nest without a length.
            _ => return Err(malformed("a field has a type that OTLP does not use")),
        };
        Ok(Field {
            number,
            content,
            whole: &start[..start.len() - self.rest.len()],
        })
    }

    fn take(&mut self, bytes: usize) -> Result<&'a [u8], Malformed> {
        let taken = self
            .rest
            .get(..bytes)
            .ok_or_else(|| malformed("it ends inside of a field"))?;
        self.rest = &self.rest[bytes..];
        Ok(taken)
    }

    fn varint(&mut self) -> Result<u64, Malformed> {
        let mut value = 0_u64;
        for shift in (0..64).step_by(7) {
            let (&byte, rest) = self
                .rest
                .split_first()
                .ok_or_else(|| malformed("it ends inside of a number"))?;
            self.rest = rest;
            if shift == 63 && byte > 1 {
                break;
            }
            value |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Ok(value);
            }
        }
        Err(malformed("a number has more than 64 bits"))
    }
}

impl<'a> Iterator for Fields<'a> {
    type Item = Result<Field<'a>, Malformed>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let field = self.field();
        if field.is_err() {
            self.rest = &[];
        }
        Some(field)
    }
}

/// Appends a field that has a length.
pub(super) fn append(number: u32, content: &[u8], to: &mut Vec<u8>) {
    append_varint(u64::from(number << 3 | 2), to);
    append_varint(content.len() as u64, to);
    to.extend_from_slice(content);
}

/// A message of these fields, for tests.
#[cfg(test)]
pub(super) fn message(fields: &[(u32, &[u8])]) -> Vec<u8> {
    let mut message = Vec::new();
    for (number, content) in fields {
        append(*number, content, &mut message);
    }
    message
}

fn append_varint(mut value: u64, to: &mut Vec<u8>) {
    while value >= 0x80 {
        to.push(value as u8 | 0x80);
        value >>= 7;
    }
    to.push(value as u8);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn numbers(message: &[u8]) -> Result<Vec<u32>, Malformed> {
        Fields::of(message)
            .map(|field| field.map(|field| field.number))
            .collect()
    }

    #[test]
    fn each_field_has_its_bytes() {
        let mut message = vec![1 << 3, 0x96, 1];
        append(300, b"text", &mut message);
        message.extend([3 << 3 | 1, 0, 0, 0, 0, 0, 0, 0, 0, 4 << 3 | 5, 0, 0, 0, 0]);
        assert_eq!(numbers(&message), Ok(vec![1, 300, 3, 4]));
        let fields: Vec<Field<'_>> = Fields::of(&message).map(Result::unwrap).collect();
        assert_eq!(fields[1].message(300), Some(&b"text"[..]));
        assert_eq!((fields[1].message(1), fields[0].content), (None, None));
        let whole: Vec<u8> = fields.iter().flat_map(|field| field.whole).copied().collect();
        assert_eq!(whole, message);
    }

    #[test]
    fn what_is_no_protobuf_is_said() {
        for (bytes, what) in [
            (&[0x0a, 5, 1][..], "it ends inside of a field"),
            (&[0x80], "it ends inside of a number"),
            (&[0x02, 0], "a field has number 0"),
            (&[0x0b], "a field has a type that OTLP does not use"),
            (
                &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2],
                "a number has more than 64 bits",
            ),
            (&[0xff, 0xff, 0xff, 0xff, 0x7f], "a field's number is too large"),
            (
                &[0x0a, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1],
                "it ends inside of a field",
            ),
        ] {
            assert_eq!(numbers(bytes), Err(Malformed { what }), "{bytes:x?}");
        }
    }

    proptest! {
        #[test]
        fn fields_end_at_the_first_that_is_none(bytes in proptest::collection::vec(any::<u8>(), 0..100)) {
            let found: Vec<_> = Fields::of(&bytes).collect();
            prop_assert!(found.iter().rev().skip(1).all(Result::is_ok));
            if found.iter().all(Result::is_ok) {
                let whole: Vec<u8> = found.into_iter().flat_map(|field| field.unwrap().whole.to_vec()).collect();
                prop_assert_eq!(whole, bytes);
            }
        }
    }
}
