//! Why a signature is refused, in AWS's codes and words.

use super::MAX_SKEW;

/// The longest piece of a request that an error repeats, in characters.
pub(super) const QUOTED_CHARS: usize = 80;

/// [`MAX_SKEW`] in the words of the errors.
const SKEW_MINUTES: u64 = MAX_SKEW.as_secs() / 60;

/// Why a request is refused. The text is for the client, in AWS's words where they are known.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SignatureError {
    /// No `Authorization` header.
    #[error("Missing Authentication Token")]
    Missing,
    /// The `Authorization` header or the date cannot be read; the text says what is wrong.
    #[error("{0}")]
    Incomplete(String),
    /// The access key id is not one of ours.
    #[error("The security token included in the request is invalid.")]
    UnknownKey(String),
    /// `X-Amz-Security-Token` is absent, unexpected or not this key's.
    #[error("The security token included in the request is invalid.")]
    InvalidToken,
    /// The credential scope is for another date, region or service; the text says which.
    #[error("{0}")]
    Scope(String),
    /// A header that must be signed is not, or a header is signed that did not arrive, or the list is out of order.
    #[error("{0}")]
    Headers(String),
    /// Signed too long ago.
    #[error(
        "Signature expired: {signed} is more than {} min. earlier than {now}",
        SKEW_MINUTES
    )]
    Expired {
        /// `X-Amz-Date`.
        signed: String,
        /// The verifier's clock, in the same form.
        now: String,
    },
    /// Signed in the future.
    #[error(
        "Signature not yet current: {signed} is more than {} min. later than {now}",
        SKEW_MINUTES
    )]
    NotYetCurrent {
        /// `X-Amz-Date`.
        signed: String,
        /// The verifier's clock, in the same form.
        now: String,
    },
    /// `X-Amz-Content-Sha256` is not the body's hash.
    #[error("The value of x-amz-content-sha256 ({declared}) is not the hash of the body ({actual})")]
    BodyHash {
        /// The header's value, shortened.
        declared: String,
        /// The body's hash in hex.
        actual: String,
    },
    /// All in order but the signature itself: other content, or another secret.
    #[error(
        "The request signature we calculated does not match the signature you provided. \
         Check your AWS Secret Access Key and signing method.\n\n\
         The Canonical String for this request should have been\n'{canonical_request}'\n\n\
         The String-to-Sign should have been\n'{string_to_sign}'\n"
    )]
    Mismatch {
        /// What the signer should have hashed; a session token is masked.
        canonical_request: String,
        /// What the signer should have signed.
        string_to_sign: String,
    },
}

impl SignatureError {
    /// The error code AWS sends in `x-amzn-errortype`.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Missing => "MissingAuthenticationTokenException",
            Self::Incomplete(_) => "IncompleteSignatureException",
            Self::UnknownKey(_) | Self::InvalidToken => "UnrecognizedClientException",
            Self::Scope(_)
            | Self::Headers(_)
            | Self::Expired { .. }
            | Self::NotYetCurrent { .. }
            | Self::BodyHash { .. }
            | Self::Mismatch { .. } => "InvalidSignatureException",
        }
    }
}

/// A piece of a request for an error text: escaped, in quotes, at most [`QUOTED_CHARS`] characters of it.
pub(super) fn quoted(text: &str) -> String {
    let mut chars = text.chars();
    let head: String = chars.by_ref().take(QUOTED_CHARS).collect();
    let more = if chars.next().is_some() { "…" } else { "" };
    format!("'{}{more}'", head.escape_debug())
}
