//! What a destination said of a body that it took.

use crate::ledger::DropReason;
use crate::ledger::outcome::ErrorClass;

/// The answer to a call that succeeded.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Answer {
    /// The documents it did not take. Empty: it took all.
    pub unprocessed: Vec<Unprocessed>,
    /// What it did not take without saying which: not to be sent again.
    pub unnamed: Option<Unnamed>,
    /// Documents of the body that were not for this destination, by reason; each is at most counted once. They are settled
    /// with the answer.
    pub left_out: Vec<(DropReason, u64)>,
    /// Nothing of the body was for this destination, so nothing was sent, and the answer says nothing of its health.
    pub not_called: bool,
    /// The destination's id of the call, for support requests.
    pub request_id: Option<String>,
}

/// A number of documents or items that the destination did not take, whichever they were: a partial success of OTLP.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unnamed {
    /// How many, as far as there were so many; 1 and up.
    pub count: u64,
    /// Why, as one line, control characters escaped, some hundred characters at most.
    pub message: String,
}

/// A document that the destination did not take. All texts are the destination's own, some hundred characters at most, and
/// anything may stand in them: who shows one escapes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unprocessed {
    /// The document's id, as in its [`Description`](crate::pipeline::batch::encoding::Description); missing when the
    /// destination found none, as in what is no JSON.
    pub id: Option<String>,
    /// Why, as a code.
    pub error_code: Option<String>,
    /// Why, in words.
    pub message: Option<String>,
    /// What the code means: whether the same document may be taken later.
    pub class: ErrorClass,
}
