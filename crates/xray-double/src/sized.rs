//! Segment documents as the SDKs send them, of an exact size and with a number that the sink reads back.

/// The header line that the X-Ray SDKs for Java, Go and Node send before each document.
pub const HEADER: &[u8] = b"{\"format\":\"json\",\"version\":1}\n";

/// Stands before the number of a document and nowhere else in it, so that the sink finds it with one byte search.
pub const MARK: u8 = b'~';

/// What stands before the mark: the URL that the number is the end of.
pub const BEFORE_MARK: &[u8] = b"https://shop.example/orders/";

/// Hexadecimal digits of a number.
pub const DIGITS: usize = 8;

/// The least size of a document, in bytes.
pub const MIN_BYTES: usize = 280;

/// The most that fits into a datagram over IPv4 with its header.
pub const MAX_BYTES: usize = 65_507 - HEADER.len();

const HEAD: &str = concat!(
    r#"{"name":"shop-api","id":"70de5b6f19ff9a0a","trace_id":"1-5f84c7a3-5f2d2e4f0b1a6c9d8e7f0a1b","#,
    r#""start_time":1602537379.218,"end_time":1602537379.631,"http":{"request":{"method":"GET","#,
    r#""url":"https://shop.example/orders/~00000000"},"response":{"status":200}},"user":"Zoë""#,
);

/// What an instrumented service adds: a call of an AWS API, a query with quotes of its own, a call over HTTP.
const SUBSEGMENTS: [&str; 3] = [
    concat!(
        r#"{"id":"2226d81bd82d6d4f","name":"DynamoDB","start_time":1602537379.231,"end_time":1602537379.276,"#,
        r#""namespace":"aws","http":{"response":{"status":200,"content_length":612}},"aws":{"operation":"GetItem","#,
        r#""region":"eu-central-1","table_name":"orders","request_id":"3AIENM5J4ELQ3SPODHKBIRVIC3VV4KQNSO5AEMVJF66Q9ASUAAJG"}}"#,
    ),
    concat!(
        r#"{"id":"7c3b1a9e54d20f88","name":"orders@db-1.internal","start_time":1602537379.281,"end_time":1602537379.333,"#,
        r#""namespace":"remote","sql":{"url":"jdbc:postgresql://db-1.internal:5432/orders","database_type":"PostgreSQL","#,
        r#""sanitized_query":"SELECT \"id\", \"status\" FROM \"orders\" WHERE \"customer\" = ?\n  AND \"status\" <> 'void'"}}"#,
    ),
    concat!(
        r#"{"id":"0f1e2d3c4b5a6978","name":"payments.internal","start_time":1602537379.340,"end_time":1602537379.602,"#,
        r#""namespace":"remote","http":{"request":{"method":"POST","url":"http://payments.internal/v2/charges?currency=EUR"},"#,
        r#""response":{"status":201,"content_length":187}},"annotations":{"tenant":"münchen-3","attempt":1,"cached":false}}"#,
    ),
];

/// Fills up what is left, as a stack trace or a payload in `metadata` does.
const FILL: &str =
    r"at com.example.shop.Orders.load(Orders.java:214)\n\tat com.example.shop.Größe.von(Größe.java:7)\n\t";

/// The beginning of all times in a document: what [`Segment::in_traces`] puts the present in place of.
const SECONDS: &str = "1602537379";

/// The same in a trace's id, which has the end of another number behind it.
const TRACE: &str = "1-5f84c7a3-5f2d2e4f0b1a6c9d8e7f0a1b";

/// Of the segment itself.
const ID: &str = "70de5b6f19ff9a0a";

/// A datagram whose document has a given size and number.
#[derive(Debug, Clone)]
pub struct Segment {
    datagram: Vec<u8>,
    /// Where the digits of the number begin, each time that it stands there.
    numbers_at: Vec<usize>,
}

impl Segment {
    /// A document of exactly `document_bytes`, at least [`MIN_BYTES`]; the datagram has [`HEADER`] on top.
    ///
    /// # Panics
    /// When `document_bytes` is less than [`MIN_BYTES`].
    #[must_use]
    pub fn new(document_bytes: usize) -> Self {
        assert!(
            document_bytes >= MIN_BYTES,
            "a segment has {MIN_BYTES} bytes at least"
        );
        let mut datagram = HEADER.to_vec();
        let full = HEADER.len() + document_bytes;
        datagram.extend_from_slice(HEAD.as_bytes());
        let number_at = datagram
            .iter()
            .position(|&byte| byte == MARK)
            .map_or(0, |at| at + 1);
        let mut separator = &br#","subsegments":["#[..];
        for subsegment in SUBSEGMENTS.iter().cycle() {
            // Room for the closing bracket, the metadata and the closing braces.
            if datagram.len() + separator.len() + subsegment.len() + 40 > full {
                break;
            }
            datagram.extend_from_slice(separator);
            datagram.extend_from_slice(subsegment.as_bytes());
            separator = b",";
        }
        if separator == b"," {
            datagram.push(b']');
        }
        fill(&mut datagram, full);
        Self {
            datagram,
            numbers_at: vec![number_at],
        }
    }

    /// As [`Segment::new`], with a segment and a trace of its own for each number, all of which took place at `seconds` since
    /// 1970.
    ///
    /// # Panics
    /// As [`Segment::new`].
    #[must_use]
    pub fn in_traces(document_bytes: usize, seconds: u32) -> Self {
        let mut segment = Self::new(document_bytes);
        let now = format!("{seconds:010}");
        while let Some(at) = segment.find(SECONDS) {
            segment.datagram[at..at + now.len()].copy_from_slice(now.as_bytes());
        }
        for id in [TRACE, ID] {
            if let Some(at) = segment.find(id) {
                segment.numbers_at.push(at + id.len() - DIGITS);
            }
        }
        if let Some(at) = segment.find(TRACE) {
            segment.datagram[at + 2..at + 2 + DIGITS].copy_from_slice(format!("{seconds:08x}").as_bytes());
        }
        segment
    }

    fn find(&self, text: &str) -> Option<usize> {
        self.datagram
            .windows(text.len())
            .position(|window| window == text.as_bytes())
    }

    /// The datagram, its document carrying `number`.
    pub fn numbered(&mut self, number: u32) -> &[u8] {
        for &at in &self.numbers_at {
            let digits = &mut self.datagram[at..at + DIGITS];
            for (place, digit) in digits.iter_mut().rev().enumerate() {
                *digit = b"0123456789abcdef"[(number >> (4 * place)) as usize & 15];
            }
        }
        &self.datagram
    }

    /// The document without its header.
    #[must_use]
    pub fn document(&self) -> &[u8] {
        &self.datagram[HEADER.len()..]
    }
}

/// Closes the document at exactly `full` bytes.
fn fill(datagram: &mut Vec<u8>, full: usize) {
    const BEFORE: &[u8] = br#","metadata":{"s":""#;
    const AFTER: &[u8] = br#""}}"#;
    let room = full - datagram.len();
    if room < BEFORE.len() + AFTER.len() {
        // White space is as good as any.
        datagram.resize(full - 1, b' ');
        datagram.push(b'}');
        return;
    }
    datagram.extend_from_slice(BEFORE);
    let end = full - AFTER.len();
    while datagram.len() + FILL.len() <= end {
        datagram.extend_from_slice(FILL.as_bytes());
    }
    datagram.resize(end, b'.');
    datagram.extend_from_slice(AFTER);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_number_has_a_segment_and_a_trace_of_its_own_at_the_given_time() {
        let mut segment = Segment::in_traces(1024, 1_795_651_200);
        segment.numbered(0x00C0_FFEE);
        let document = String::from_utf8(segment.document().to_vec()).unwrap();
        assert_eq!(document.len(), 1024);
        assert!(
            document.contains(r#""id":"70de5b6f00c0ffee","trace_id":"1-6b077680-5f2d2e4f0b1a6c9d00c0ffee""#)
        );
        assert!(document.contains("/orders/~00c0ffee"));
        assert_eq!(document.matches("1795651200.").count(), 2 * (1 + 2), "{document}");
        assert!(!document.contains(SECONDS));
    }
}
