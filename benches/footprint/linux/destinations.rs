//! Where segments go.

use std::str::FromStr;

/// One or both of the two.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Destinations {
    pub(crate) xray: bool,
    pub(crate) otlp: bool,
}

impl Destinations {
    pub(crate) const XRAY: Self = Self {
        xray: true,
        otlp: false,
    };
    pub(crate) const OTLP: Self = Self {
        xray: false,
        otlp: true,
    };
    pub(crate) const BOTH: Self = Self {
        xray: true,
        otlp: true,
    };

    /// As the control's argument says it.
    pub(crate) fn name(self) -> &'static str {
        match (self.xray, self.otlp) {
            (true, true) => "both",
            (false, true) => "otlp",
            _ => "xray",
        }
    }

    /// More arguments for a daemon, whose OTLP endpoint is at `base`.
    pub(crate) fn arguments(self, base: &str) -> Vec<&str> {
        match (self.xray, self.otlp) {
            (true, true) => vec!["--otlp-endpoint", base],
            (false, true) => vec!["--otlp-endpoint", base, "--segments-to", "otlp"],
            _ => Vec::new(),
        }
    }
}

impl FromStr for Destinations {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        [Self::XRAY, Self::OTLP, Self::BOTH]
            .into_iter()
            .find(|destinations| destinations.name() == name)
            .ok_or_else(|| "neither xray nor otlp nor both".to_owned())
    }
}
