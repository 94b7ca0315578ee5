//! Fields of protobuf messages, written by hand: what a test sends shares no code with what reads it.

/// A field with a length: bytes, a text or a message. `number` is below 16.
#[must_use]
pub fn field(number: u8, content: &[u8]) -> Vec<u8> {
    let mut field = vec![number << 3 | 2];
    let mut length = content.len();
    while length >= 0x80 {
        field.push((length & 0x7f) as u8 | 0x80);
        length >>= 7;
    }
    field.push(length as u8);
    field.extend_from_slice(content);
    field
}

/// A field of eight bytes. `number` is below 16.
#[must_use]
pub fn fixed64(number: u8, value: u64) -> Vec<u8> {
    [&[number << 3 | 1][..], &value.to_le_bytes()].concat()
}
