//! What a destination said of a body that it took.

use crate::ledger::outcome::ErrorClass;

/// The answer to a call that succeeded.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Answer {
    /// The documents it did not take. Empty: it took all.
    pub unprocessed: Vec<Unprocessed>,
    /// The destination's id of the call, for support requests.
    pub request_id: Option<String>,
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
