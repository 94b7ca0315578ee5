//! The error codes of the service as labels: bounded in length and number, whatever it invents.

/// Most different error codes that are kept apart; a service that invents more must not grow our memory.
pub(super) const MAX_CODES: usize = 32;

/// Longest error code that is kept, in characters.
const MAX_CODE_CHARS: usize = 64;

/// The label of codes beyond [`MAX_CODES`].
pub(super) const OTHER_CODE: &str = "Other";

/// A code as a label: the service's word as far as it is one, `None` where it gave none.
pub(super) fn code_label(code: Option<&str>) -> String {
    let word: String = code
        .unwrap_or_default()
        .chars()
        .filter(char::is_ascii_alphanumeric)
        .take(MAX_CODE_CHARS)
        .collect();
    if word.is_empty() { "None".to_owned() } else { word }
}
