//! What is found wrong or odd with a configuration, on the way through it.

use super::{Sourced, Warning};

/// What is wrong with the configuration: exit code 1, each problem a line of its own on stderr, as
/// [`ConfigError::problems`] gives them.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}", .problems.join("\n"))]
pub struct ConfigError {
    problems: Vec<String>,
}

impl ConfigError {
    /// Of problems that were found elsewhere.
    pub(crate) const fn of(problems: Vec<String>) -> Self {
        Self { problems }
    }

    /// Each begins with the words of the official daemon where it has some, names the flag or the file and line, and
    /// says what to do. At least one.
    #[must_use]
    pub fn problems(&self) -> &[String] {
        &self.problems
    }
}

/// What is found on the way; a configuration with problems is none.
#[derive(Debug, Default)]
pub(super) struct Report {
    pub(super) problems: Vec<String>,
    pub(super) warnings: Vec<Warning>,
}

impl Report {
    pub(super) fn problem(&mut self, text: String) {
        self.problems.push(text);
    }

    pub(super) fn warning(&mut self, warning: Warning) {
        self.warnings.push(warning);
    }

    /// The value, or a problem that begins with its source: `flag -b: "x" has no port`.
    pub(super) fn checked<T, U>(
        &mut self,
        setting: Option<Sourced<T>>,
        check: impl FnOnce(&T) -> Result<U, String>,
    ) -> Option<Sourced<U>> {
        let Sourced { value, source } = setting?;
        match check(&value) {
            Ok(value) => Some(Sourced { value, source }),
            Err(reason) => {
                self.problem(format!("{source}: {reason}."));
                None
            }
        }
    }
}
