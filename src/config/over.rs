//! What a flag and the file make together: the flag goes over the file.

use super::text::quoted;
use super::{Report, Sourced};

/// An empty flag takes the file's value back, as in the official daemon.
pub(super) fn text(
    flag: &Option<Sourced<String>>,
    file: &Option<Sourced<String>>,
) -> Option<Sourced<String>> {
    flag.as_ref()
        .or(file.as_ref())
        .cloned()
        .filter(|sourced| !sourced.value.is_empty())
}

/// Off when neither says anything.
pub(super) fn switch(flag: &Option<Sourced<bool>>, file: &Option<Sourced<bool>>) -> bool {
    flag.as_ref()
        .or(file.as_ref())
        .is_some_and(|sourced| sourced.value)
}

/// Those of the flags and those of the file, each once.
pub(super) fn list(
    flags: &[Sourced<String>],
    file: &[Sourced<String>],
    report: &mut Report,
    check: impl Fn(&str) -> Result<String, String>,
) -> Vec<String> {
    let mut values = Vec::new();
    for setting in flags
        .iter()
        .chain(file)
        .filter(|setting| !setting.value.is_empty())
    {
        let checked = report.checked(Some(setting.clone()), |text: &String| {
            check(text).map_err(|reason| format!("{} {reason}", quoted(text)))
        });
        values.extend(
            checked
                .map(|sourced| sourced.value)
                .filter(|value| !values.contains(value)),
        );
    }
    values
}
