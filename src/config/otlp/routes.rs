//! Where each signal goes.

use std::fmt;

use crate::config::text::{nearest, quoted};
use crate::config::{Report, Sourced};

/// The destinations of one signal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Targets {
    /// X-Ray.
    pub xray: bool,
    /// The OTLP endpoint.
    pub otlp: bool,
}

impl Targets {
    /// Nowhere: such a signal is not taken.
    pub const NONE: Self = Self {
        xray: false,
        otlp: false,
    };

    /// X-Ray alone.
    pub const XRAY: Self = Self {
        xray: true,
        otlp: false,
    };

    /// The OTLP endpoint alone.
    pub const OTLP: Self = Self {
        xray: false,
        otlp: true,
    };

    /// Both.
    pub const BOTH: Self = Self {
        xray: true,
        otlp: true,
    };

    /// Whether there is any.
    #[must_use]
    pub const fn any(self) -> bool {
        self.xray || self.otlp
    }

    /// Names parted by commas, at least one.
    ///
    /// # Errors
    /// What is wrong, as the rest of a sentence that began with the source.
    pub(super) fn of(text: &str) -> Result<Self, String> {
        const NAMES: [&str; 2] = ["xray", "otlp"];
        let mut targets = Self::NONE;
        for name in text.split(',').map(str::trim).filter(|name| !name.is_empty()) {
            match name.to_ascii_lowercase().as_str() {
                "xray" => targets.xray = true,
                "otlp" => targets.otlp = true,
                _ => {
                    let meant = nearest(name, NAMES).map_or_else(
                        || "write xray, otlp or xray,otlp".to_owned(),
                        |near| format!("write {near}"),
                    );
                    return Err(format!("{} is no destination: {meant}", quoted(name)));
                }
            }
        }
        if targets.any() {
            Ok(targets)
        } else {
            Err("it names no destination: write xray, otlp or xray,otlp".to_owned())
        }
    }

    /// The setting of a flag, else of the file; an empty flag takes the file's value back.
    pub(super) fn setting(
        flag: &Option<Sourced<String>>,
        file: &[Sourced<String>],
        report: &mut Report,
    ) -> Option<Sourced<Self>> {
        let setting = match flag {
            Some(flag) => Some(flag.clone()).filter(|flag| !flag.value.is_empty()),
            None => file.first().map(|first| Sourced {
                value: file
                    .iter()
                    .map(|name| name.value.as_str())
                    .collect::<Vec<_>>()
                    .join(","),
                source: first.source.clone(),
            }),
        };
        report.checked(setting, |text| Self::of(text))
    }
}

impl fmt::Display for Targets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match (self.xray, self.otlp) {
            (true, true) => "xray, otlp",
            (true, false) => "xray",
            (false, true) => "otlp",
            (false, false) => "none",
        })
    }
}

/// In which form spans go to X-Ray.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum SpansForXRay {
    /// As segments, by PutTraceSegments.
    #[default]
    Segments,
    /// As they are, to X-Ray's OTLP endpoint, signed.
    Otlp,
}

/// Where what comes in goes. What cannot come in goes nowhere: without an address for OTLP there are only segments.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Routes {
    /// Segment documents.
    pub segments: Targets,
    /// Spans.
    pub spans: Targets,
    /// Metrics: to an OTLP endpoint or nowhere.
    pub metrics: Targets,
    /// Log records: to an OTLP endpoint or nowhere.
    pub logs: Targets,
    /// How spans go to X-Ray, where they do.
    pub spans_for_xray: SpansForXRay,
}

impl Routes {
    /// Those of a daemon without any setting of OTLP.
    pub const WITHOUT_OTLP: Self = Self {
        segments: Targets::XRAY,
        spans: Targets::NONE,
        metrics: Targets::NONE,
        logs: Targets::NONE,
        spans_for_xray: SpansForXRay::Segments,
    };

    /// Whether anything goes to X-Ray: then region and credentials are needed.
    #[must_use]
    pub const fn to_xray(&self) -> bool {
        self.segments.xray || self.spans.xray
    }

    /// Whether anything goes to the OTLP endpoint.
    #[must_use]
    pub const fn to_otlp(&self) -> bool {
        self.segments.otlp || self.spans.otlp || self.metrics.otlp || self.logs.otlp
    }

    /// Whether spans go to X-Ray's OTLP endpoint as they are.
    #[must_use]
    pub fn spans_to_xray_as_they_are(&self) -> bool {
        self.spans.xray && self.spans_for_xray == SpansForXRay::Otlp
    }

    /// The routes for a line of the log: `segments go to X-Ray and https://api.example.com; spans, metrics and logs to
    /// https://api.example.com`. `endpoint` is the OTLP endpoint as it may be shown.
    #[must_use]
    pub fn in_words(&self, endpoint: &str) -> String {
        let mut groups: Vec<(String, Vec<&str>)> = Vec::new();
        for (signal, targets) in [
            ("segments", self.segments),
            ("spans", self.spans),
            ("metrics", self.metrics),
            ("logs", self.logs),
        ] {
            if !targets.any() {
                continue;
            }
            let xray = match signal {
                "spans" if self.spans_for_xray == SpansForXRay::Otlp => "X-Ray's OTLP endpoint",
                "spans" => "X-Ray as segments",
                _ => "X-Ray",
            };
            let places = match (targets.xray, targets.otlp) {
                (true, true) => format!("{xray} and {endpoint}"),
                (true, false) => xray.to_owned(),
                _ => endpoint.to_owned(),
            };
            match groups.last_mut().filter(|(last, _)| *last == places) {
                Some((_, signals)) => signals.push(signal),
                None => groups.push((places, vec![signal])),
            }
        }
        let parts: Vec<String> = groups
            .iter()
            .enumerate()
            .map(|(place, (places, signals))| {
                let verb = if place == 0 { "go to" } else { "to" };
                format!("{} {verb} {places}", listed(signals))
            })
            .collect();
        parts.join("; ")
    }
}

/// `a`, `a and b`, `a, b and c`.
fn listed(names: &[&str]) -> String {
    match names {
        [] => String::new(),
        [only] => (*only).to_owned(),
        [first @ .., last] => format!("{} and {last}", first.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn destinations_are_names_parted_by_commas() {
        for (text, targets) in [
            ("xray", Targets::XRAY),
            ("otlp", Targets::OTLP),
            (" OTLP , xray,", Targets::BOTH),
            ("xray,xray", Targets::XRAY),
        ] {
            assert_eq!(Targets::of(text), Ok(targets));
        }
        for (text, reason) in [
            ("x-ray", r#""x-ray" is no destination: write xray"#),
            (
                "both",
                r#""both" is no destination: write xray, otlp or xray,otlp"#,
            ),
            (" , ", "it names no destination: write xray, otlp or xray,otlp"),
        ] {
            assert_eq!(Targets::of(text), Err(reason.to_owned()));
        }
    }

    #[test]
    fn the_routes_are_told_in_words() {
        let routes = |segments, spans, other| Routes {
            segments,
            spans,
            metrics: other,
            logs: other,
            spans_for_xray: SpansForXRay::Segments,
        };
        let (none, xray, otlp, both) = (Targets::NONE, Targets::XRAY, Targets::OTLP, Targets::BOTH);
        for (routes, words) in [
            (Routes::WITHOUT_OTLP, "segments go to X-Ray"),
            (routes(both, none, none), "segments go to X-Ray and URL"),
            (
                routes(both, otlp, otlp),
                "segments go to X-Ray and URL; spans, metrics and logs to URL",
            ),
            (
                routes(otlp, otlp, otlp),
                "segments, spans, metrics and logs go to URL",
            ),
            (
                routes(xray, xray, none),
                "segments go to X-Ray; spans to X-Ray as segments",
            ),
            (
                Routes {
                    spans_for_xray: SpansForXRay::Otlp,
                    ..routes(otlp, both, otlp)
                },
                "segments go to URL; spans to X-Ray's OTLP endpoint and URL; metrics and logs to URL",
            ),
        ] {
            assert_eq!(routes.in_words("URL"), words);
        }
    }

    #[test]
    fn region_and_credentials_are_needed_where_anything_goes_to_xray() {
        let routes = |segments, spans| Routes {
            segments,
            spans,
            ..Routes::WITHOUT_OTLP
        };
        assert!(Routes::WITHOUT_OTLP.to_xray() && !Routes::WITHOUT_OTLP.to_otlp());
        assert!(!routes(Targets::OTLP, Targets::NONE).to_xray());
        assert!(routes(Targets::OTLP, Targets::XRAY).to_xray());
        assert!(routes(Targets::OTLP, Targets::XRAY).to_otlp());
    }
}
