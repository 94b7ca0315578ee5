//! What a request body of one kind is made of: all that the pipeline has to know of a destination's language.

use std::fmt;

use super::kind::Kind;
use crate::logs::sanitize;

/// How a body that carries documents is opened, appended to, closed, taken apart and described.
///
/// A body is [`Encoding::HEAD`], the documents with [`Encoding::SEPARATOR`] between them, [`Encoding::TAIL`]. It is
/// written once, document by document, and sent, spooled and read back as it is. There is no value of an encoding: a
/// lane has one for good, which is known when it is compiled.
pub trait Encoding: fmt::Debug + Send + Sync + 'static {
    /// Most documents in a body, 1 and up.
    const MAX_DOCUMENTS: usize;

    /// What stands before the first document.
    const HEAD: &'static [u8];

    /// What stands between two documents.
    const SEPARATOR: &'static [u8];

    /// What stands behind the last document.
    const TAIL: &'static [u8];

    /// By how many bytes a document grows at the least when it is appended, its separator included.
    const LEAST_GROWTH_BYTES: usize;

    /// The most room that [`Encoding::append`] usually asks for beyond what it writes, in bytes. The memory for a body has
    /// so much more, so that it need not grow for its last document.
    const SLACK_BYTES: usize;

    /// Appends `document`, whatever its bytes are, without separator. True when bytes had to be replaced because this
    /// kind of body can't carry them.
    fn append(document: &[u8], body: &mut impl Output) -> bool;

    /// The documents of `body` as they stand in it, in order, at least one. `None` when it is no body of this kind.
    fn documents(body: &[u8]) -> Option<Vec<&[u8]>>;

    /// What may be said about each document of `body`, in order; empty when it is no body of this kind. Off the hot path.
    fn describe(body: &[u8]) -> Vec<Description>;

    /// How many items `body` has, which holds requests of `kind`; `None` when it does not, as far as a shallow look tells.
    /// An encoding that knows no requests has none. Off the hot path.
    fn items(kind: Kind, body: &[u8]) -> Option<u64> {
        let _ = (kind, body);
        None
    }

    /// Two bodies of requests in place of `body`, which has at least two items, with some half of its bytes or items each,
    /// every item in one of them, in order; `None` when it can't be divided. Off the hot path.
    fn halves(kind: Kind, body: &[u8]) -> Option<[Requests; 2]> {
        let _ = (kind, body);
        None
    }
}

/// Requests of one kind, as a body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Requests {
    /// The bytes.
    pub body: Vec<u8>,
    /// How many items there are in them, 1 and up.
    pub items: usize,
}

/// What a body can be written into.
pub trait Output {
    /// Lets `write` fill up to `max_bytes` at the end, and keeps as many of them as it returns.
    fn append_with(&mut self, max_bytes: usize, write: impl FnOnce(&mut [u8]) -> usize);
}

impl Output for Vec<u8> {
    fn append_with(&mut self, max_bytes: usize, write: impl FnOnce(&mut [u8]) -> usize) {
        let start = self.len();
        self.resize(start + max_bytes, 0);
        let written = write(&mut self[start..]);
        self.truncate(start + written);
    }
}

/// Most characters of a name or id that are shown.
const SHOWN_MAX_CHARS: usize = 64;

/// What may be said about a document without showing its content. The texts are the sender's: who shows one escapes it, as
/// its [`Display`](fmt::Display) does, which is one line of some hundred characters at most.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Description {
    /// The id that a destination names it by, as it stands in the document; `None` when it has none.
    pub id: Option<String>,
    /// Its trace, as it stands in the document.
    pub trace_id: Option<String>,
    /// What it is about, as it stands in the document.
    pub name: Option<String>,
    /// Its length.
    pub bytes: usize,
}

impl Description {
    /// A text of a description as a log shows it.
    #[must_use]
    pub fn field(text: &Option<String>) -> Option<String> {
        text.as_deref().map(|text| sanitize(text, SHOWN_MAX_CHARS))
    }
}

impl fmt::Display for Description {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = |text| Self::field(text).unwrap_or_else(|| "unknown".to_owned());
        write!(
            f,
            "id {}, trace id {}, name {}, {} bytes",
            shown(&self.id),
            shown(&self.trace_id),
            shown(&self.name),
            self.bytes
        )
    }
}
