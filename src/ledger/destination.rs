//! Where things go.

use std::fmt;

/// A destination, of which each has a lane of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Destination {
    /// AWS X-Ray.
    XRay,
    /// An OTLP endpoint.
    Otlp,
}

impl Destination {
    /// Every destination.
    pub const ALL: [Self; 2] = [Self::XRay, Self::Otlp];

    /// The label in metrics and JSON logs.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::XRay => "xray",
            Self::Otlp => "otlp",
        }
    }

    /// ` to OTLP`, for lines that are about X-Ray where they name no destination.
    #[must_use]
    pub const fn to_other(self) -> &'static str {
        match self {
            Self::XRay => "",
            Self::Otlp => " to OTLP",
        }
    }

    /// Its label, where it is not X-Ray: for the fields of lines that are about X-Ray where they name no destination.
    #[must_use]
    pub fn other_label(self) -> Option<&'static str> {
        (self != Self::XRay).then(|| self.label())
    }
}

impl fmt::Display for Destination {
    /// As people write it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::XRay => "X-Ray",
            Self::Otlp => "OTLP",
        })
    }
}
