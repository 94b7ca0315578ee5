//! The documents of a simulation: each has a number of its own, and its kind in its id, by which the endpoint knows what to
//! say of it.

use crate::exporters::bodies::Bodies;
use crate::pipeline::batch::encoding::Encoding as _;

/// What a document is for the endpoint; the first letter of its id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Taken.
    Normal,
    /// With it, the whole call is refused.
    Poison,
    /// Never processed, through a fault of its own.
    Bad,
    /// In progress, and its final form under the same id: sometimes one of them is not processed, and only the id is named.
    Twin,
}

impl Kind {
    const fn letter(self) -> char {
        match self {
            Self::Normal => 'n',
            Self::Poison => 'p',
            Self::Bad => 'b',
            Self::Twin => 't',
        }
    }

    fn of_letter(letter: u8) -> Self {
        match letter {
            b'n' => Self::Normal,
            b'p' => Self::Poison,
            b'b' => Self::Bad,
            b't' => Self::Twin,
            _ => panic!("no such kind"),
        }
    }
}

/// A document as the endpoint sees it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Document {
    /// Its number, counted up from 0 over the whole run.
    pub(super) number: usize,
    pub(super) kind: Kind,
    /// Of twins, the number that both have in their id.
    named: usize,
}

impl Document {
    pub(super) fn id(&self) -> String {
        format!("{}{}", self.kind.letter(), self.named)
    }
}

/// The text of document `number`, with so many bytes beyond what it needs. The second of two twins is named by the first.
pub(super) fn text(number: usize, kind: Kind, is_second: bool, pad: usize) -> String {
    let (letter, second) = (kind.letter(), usize::from(is_second));
    let named = number - second;
    format!(
        "{{\"id\":\"{letter}{named}\",\"s\":{second},\"p\":\"{:x>pad$}\"}}",
        ""
    )
}

/// The documents of a body, in order.
pub(super) fn of_body(body: &[u8]) -> Vec<Document> {
    Bodies::documents(body)
        .expect("a request body")
        .into_iter()
        .map(|raw| {
            // As it stands in the body: a JSON string.
            let rest = raw.strip_prefix(br#""{\"id\":\""#).expect("an id");
            let digits = rest[1..].iter().take_while(|byte| byte.is_ascii_digit());
            let (mut named, mut length) = (0, 1);
            for digit in digits {
                named = named * 10 + usize::from(digit - b'0');
                length += 1;
            }
            let second = rest[length..]
                .strip_prefix(br#"\",\"s\":"#)
                .map(|rest| usize::from(rest[0] - b'0'));
            Document {
                number: named + second.expect("which of two"),
                kind: Kind::of_letter(rest[0]),
                named,
            }
        })
        .collect()
}
