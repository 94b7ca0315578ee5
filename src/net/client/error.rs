//! Settings that make every call impossible ([`SettingError`]), and texts of foreign errors for lines of the log.

use std::error::Error;
use std::path::PathBuf;

use crate::logs::sanitize_lines;

/// Longest text of a chain of causes, in characters.
const TOLD_MAX_CHARS: usize = 400;

/// A setting that makes every call impossible; found at the start, before anything is sent.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SettingError {
    /// An endpoint that is no usable URL.
    #[error("{source}: {reason}")]
    Endpoint {
        /// Where it was set: `AWS_ENDPOINT_URL_XRAY`, `cfg.yaml line 4 (Endpoint)`, ...
        r#source: String,
        /// What is wrong with it and what to write instead; quotes it, without a password.
        reason: String,
    },
    /// A proxy address that is no usable URL.
    #[error("{source}: {reason}")]
    Proxy {
        /// Where it was set: `HTTPS_PROXY`, `flag -p`, ...
        r#source: String,
        /// What is wrong with it and what to write instead; quotes it, without a password.
        reason: String,
    },
    /// A file of CA certificates that cannot be used.
    #[error("AWS_CA_BUNDLE: cannot use the CA certificates of {path:?}: {reason}")]
    CaBundle {
        /// The file that `AWS_CA_BUNDLE` names.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// A certificate, a key or certificates of authorities for one endpoint, which cannot be used.
    #[error("{source}: cannot use {path:?}: {reason}")]
    CertificateFile {
        /// Where it was set: `OTEL_EXPORTER_OTLP_CLIENT_KEY`, ...
        r#source: String,
        /// The file.
        path: PathBuf,
        /// What is wrong with it; of a key never what is in it.
        reason: String,
    },
}

/// [`with_causes`], fit for one line of a message.
pub(crate) fn told(error: &(dyn Error + 'static)) -> String {
    sanitize_lines(&with_causes(error), TOLD_MAX_CHARS)
}

/// What `error` and its causes say, joined to one text; a cause that its parent already quotes is left out.
fn with_causes(error: &(dyn Error + 'static)) -> String {
    let mut text = String::new();
    for error in causes(error) {
        let said = error.to_string();
        if said.is_empty() || text.ends_with(&said) {
            continue;
        }
        if !text.is_empty() {
            text.push_str(": ");
        }
        text.push_str(&said);
    }
    text
}

/// `error` and each of its causes.
///
/// `io::Error::source` skips the error that it wraps, so that one is taken by `get_ref`.
pub(crate) fn causes<'a>(
    error: &'a (dyn Error + 'static),
) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(Some(error), |&error| {
        match error.downcast_ref::<std::io::Error>() {
            Some(io) => io.get_ref().map(|inner| inner as &(dyn Error + 'static)),
            None => error.source(),
        }
    })
    // Errors of libraries could refer to themselves; no real chain is this long.
    .take(32)
}

/// The first of `error` and its causes that is a `T`.
pub(crate) fn find_cause<'a, T: Error + 'static>(error: &'a (dyn Error + 'static)) -> Option<&'a T> {
    causes(error).find_map(|error| error.downcast_ref::<T>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn causes_include_what_an_io_error_wraps_and_are_not_repeated() {
        let inner = SettingError::Proxy {
            source: "HTTPS_PROXY".to_owned(),
            reason: "inner".to_owned(),
        };
        let outer = std::io::Error::other(std::io::Error::other(inner));
        assert!(find_cause::<SettingError>(&outer).is_some());
        assert_eq!(with_causes(&outer), "HTTPS_PROXY: inner");
    }
}
