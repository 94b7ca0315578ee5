//! What a user should know of settings with which the daemon runs all the same.

use std::fmt;

/// A sentence for a person, and what it names for a machine.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Warning {
    /// The sentence, whole.
    pub text: String,
    /// The setting that it is about, as its place has it: `-b`, `Region`, `XRAY_REGION`.
    pub setting: Option<String>,
    /// Where that was set, in words that a person can act on: `flag -b`, `cfg.yaml line 4 (Region)`.
    pub source: Option<String>,
    /// What stands there, as far as the sentence shows it.
    pub value: Option<String>,
    /// What counts in its place.
    pub used: Option<String>,
    /// Where that was set.
    pub used_source: Option<String>,
}

impl Warning {
    /// About what was set at `source`.
    pub(crate) fn at(source: &str, text: impl Into<String>) -> Self {
        Self {
            setting: Some(setting_in(source).to_owned()),
            source: Some(source.to_owned()),
            ..Self::of(text)
        }
    }

    /// About something that was set nowhere.
    pub(crate) fn of(text: impl Into<String>) -> Self {
        Self {
            text: text.into(),
            ..Self::default()
        }
    }

    /// With what stands there.
    pub(crate) fn value(self, value: impl fmt::Display) -> Self {
        Self {
            value: Some(value.to_string()),
            ..self
        }
    }

    /// With what counts in its place.
    pub(crate) fn used(self, used: impl fmt::Display) -> Self {
        Self {
            used: Some(used.to_string()),
            ..self
        }
    }

    /// With where that was set which counts in its place.
    pub(crate) fn used_source(self, source: &str) -> Self {
        Self {
            used_source: Some(source.to_owned()),
            ..self
        }
    }

    /// Says it in the log.
    pub(crate) fn say(&self) {
        tracing::warn!(
            setting = self.setting,
            source = self.source,
            value = self.value,
            used = self.used,
            used_source = self.used_source,
            "{self}"
        );
    }
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// By the sentence alone, which is what a person sees.
impl PartialEq<&str> for Warning {
    fn eq(&self, other: &&str) -> bool {
        self.text == *other
    }
}

/// The sentences one after the other.
pub(crate) fn in_words(warnings: &[Warning], between: &str) -> String {
    let texts: Vec<&str> = warnings.iter().map(|warning| warning.text.as_str()).collect();
    texts.join(between)
}

/// The name of a setting in words about its place.
fn setting_in(source: &str) -> &str {
    let in_file = source
        .rsplit_once(" (")
        .and_then(|(_, name)| name.strip_suffix(')'));
    in_file.or_else(|| source.strip_prefix("flag ")).unwrap_or(source)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_setting_is_what_its_place_calls_it() {
        for (source, setting) in [
            ("flag -b", "-b"),
            ("flag --spool-dir", "--spool-dir"),
            ("XRAY_REGION", "XRAY_REGION"),
            ("cfg.yaml line 4 (Socket.UDPAddress)", "Socket.UDPAddress"),
            ("/etc/my (old)/cfg.yaml line 4 (Region)", "Region"),
        ] {
            let warning = Warning::at(source, "It is odd.")
                .value(5)
                .used("x")
                .used_source("y");
            assert_eq!(
                warning,
                Warning {
                    text: "It is odd.".to_owned(),
                    setting: Some(setting.to_owned()),
                    source: Some(source.to_owned()),
                    value: Some("5".to_owned()),
                    used: Some("x".to_owned()),
                    used_source: Some("y".to_owned()),
                }
            );
        }
    }
}
