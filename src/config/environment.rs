//! Environment variables.

use std::collections::BTreeMap;

/// The environment variables a run sees; passed in, never read from the process by the library.
#[derive(Debug, Clone, Default)]
pub struct Environment(pub BTreeMap<String, String>);

impl Environment {
    /// The variables of this process. Values that are not UTF-8 are replaced lossily.
    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "the one place that reads them")]
    pub fn of_process() -> Self {
        Self(
            std::env::vars_os()
                .map(|(name, value)| {
                    (
                        name.to_string_lossy().into_owned(),
                        value.to_string_lossy().into_owned(),
                    )
                })
                .collect(),
        )
    }

    /// The value of `name`; an empty value counts as unset, as the AWS SDKs treat it.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0
            .get(name)
            .map(String::as_str)
            .filter(|value| !value.is_empty())
    }
}
