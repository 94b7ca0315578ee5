//! What the doctor says: verdicts in a fixed order, as lines or as JSON.

use std::fmt::Write as _;

use serde_json::{Value, json};

use crate::config::{OtlpConfig, Setting};

/// How a check ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Level {
    /// Nothing stands in the way here.
    Ok,
    /// Traces can come, but not always or not from everybody.
    Warn,
    /// No traces, for this reason.
    Fail,
    /// Not looked at: something before it failed, or it was not asked for.
    Skip,
}

impl Level {
    /// The word at the beginning of a line, and in JSON.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warn => "warn",
            Self::Fail => "fail",
            Self::Skip => "skip",
        }
    }
}

/// What one check found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    /// One of [`CHECKS`].
    pub check: &'static str,
    /// How it ended.
    pub level: Level,
    /// What was found, on one line.
    pub message: String,
    /// What to do, where there is something to be done.
    pub remedy: Option<String>,
}

/// Every check there is, in the order of the report. Those whose names begin with `otlp` are made only where OTLP is set.
pub const CHECKS: [&str; 27] = [
    "settings",
    "udp",
    "tcp",
    OTLP_LISTEN,
    "daemon",
    "datagram",
    "kernel-drops",
    "receive-buffer",
    "memory",
    "sdks",
    CREDENTIAL_FILES,
    "region",
    "credentials",
    "endpoint",
    "dns",
    "connect",
    "proxy",
    "tls",
    "clock",
    "call",
    OTLP_TO_XRAY,
    "otlp-endpoint",
    "otlp-dns",
    "otlp-connect",
    "otlp-proxy",
    "otlp-tls",
    "otlp-call",
];

/// Where OTLP comes in.
pub(super) const OTLP_LISTEN: &str = "otlp-listen";

/// What X-Ray's own OTLP endpoint says.
pub(super) const OTLP_TO_XRAY: &str = "otlp-to-xray";

/// The files that may have keys for X-Ray.
pub(super) const CREDENTIAL_FILES: &str = "credential-files";

/// What is looked at on the way to X-Ray, beside [`OTLP_TO_XRAY`].
pub(super) const OF_XRAY: [&str; 9] = [
    "region",
    "credentials",
    "endpoint",
    "dns",
    "connect",
    "proxy",
    "tls",
    "clock",
    "call",
];

/// What is looked at on the way to the OTLP endpoint.
pub(super) const OF_OTLP_ENDPOINT: [&str; 6] = [
    "otlp-endpoint",
    "otlp-dns",
    "otlp-connect",
    "otlp-proxy",
    "otlp-tls",
    "otlp-call",
];

/// What of OTLP a daemon has.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct OfOtlp {
    /// It comes in.
    pub(super) listens: bool,
    /// It goes out, to an endpoint for it.
    pub(super) sends: bool,
    /// Spans go to X-Ray's own OTLP endpoint.
    pub(super) to_xray: bool,
}

impl OfOtlp {
    /// What a daemon with these settings has; `calls_xray` is whether it makes any call to X-Ray.
    pub(super) fn of(otlp: Option<&OtlpConfig>, calls_xray: bool) -> Self {
        otlp.map_or_else(Self::default, |otlp| Self {
            listens: !otlp.listen.is_empty(),
            sends: otlp.endpoint.is_some(),
            to_xray: calls_xray && otlp.routes().spans_to_xray_as_they_are(),
        })
    }
}

/// The checks of a run, in the order of the report.
pub(super) fn checks(otlp: OfOtlp) -> Vec<&'static str> {
    let is_made = |check: &&str| match *check {
        OTLP_LISTEN => otlp.listens,
        OTLP_TO_XRAY => otlp.to_xray,
        check if OF_OTLP_ENDPOINT.contains(&check) => otlp.sends,
        _ => true,
    };
    CHECKS.into_iter().filter(is_made).collect()
}

impl Verdict {
    /// All is well.
    pub(super) fn ok(check: &'static str, message: impl Into<String>) -> Self {
        Self::new(check, Level::Ok, message, None)
    }

    /// Something to look at, and what to do.
    pub(super) fn warn(check: &'static str, message: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self::new(check, Level::Warn, message, Some(remedy.into()))
    }

    /// What keeps traces away, and what to do.
    pub(super) fn fail(check: &'static str, message: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self::new(check, Level::Fail, message, Some(remedy.into()))
    }

    /// Not looked at, and why.
    pub(super) fn skip(check: &'static str, message: impl Into<String>) -> Self {
        Self::new(check, Level::Skip, message, None)
    }

    fn new(check: &'static str, level: Level, message: impl Into<String>, remedy: Option<String>) -> Self {
        Self {
            check,
            level,
            message: message.into(),
            remedy,
        }
    }
}

/// All that was found.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Report {
    /// One for each check that was made, in the order of [`CHECKS`].
    pub verdicts: Vec<Verdict>,
    /// The settings that were looked at, each with the place it comes from; empty when they could not be read.
    pub settings: Vec<Setting>,
}

impl Report {
    /// Of `found`, in the order of `checks`; for one without a verdict there is one that says `missing`, and what to do.
    pub(super) fn of(
        checks: &[&'static str],
        found: &[Verdict],
        settings: Vec<Setting>,
        (missing, remedy): (&str, &str),
    ) -> Self {
        let verdict = |&check: &&'static str| {
            let verdict = found.iter().find(|verdict| verdict.check == check).cloned();
            verdict.unwrap_or_else(|| Verdict::fail(check, missing, remedy))
        };
        Self {
            verdicts: checks.iter().map(verdict).collect(),
            settings,
        }
    }

    /// Whether nothing failed.
    #[must_use]
    pub fn is_sound(&self) -> bool {
        self.count(Level::Fail) == 0
    }

    fn count(&self, level: Level) -> usize {
        let of_level = self.verdicts.iter().filter(|verdict| verdict.level == level);
        of_level.count()
    }

    /// One verdict a line, and a last line that counts them. Ends in a newline.
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = String::new();
        let width = CHECKS.iter().map(|check| check.len()).max().unwrap_or_default();
        for verdict in &self.verdicts {
            let (level, check) = (verdict.level.word(), verdict.check);
            let message = one_line(&verdict.message);
            // Writing to a String does not fail.
            let _: std::fmt::Result = match &verdict.remedy {
                Some(remedy) => writeln!(
                    text,
                    "{level:4}  {check:width$}  {message} -> {}",
                    one_line(remedy)
                ),
                None => writeln!(text, "{level:4}  {check:width$}  {message}"),
            };
        }
        let [ok, warn, fail, skip] =
            [Level::Ok, Level::Warn, Level::Fail, Level::Skip].map(|level| self.count(level));
        let _: std::fmt::Result = writeln!(
            text,
            "{fail} failed, {warn} to look at, {ok} well, {skip} skipped"
        );
        text
    }

    /// The same as one JSON object on a line.
    #[must_use]
    pub fn json(&self) -> String {
        let verdicts = self.verdicts.iter().map(|verdict| {
            json!({
                "check": verdict.check,
                "verdict": verdict.level.word(),
                "message": verdict.message,
                "remedy": verdict.remedy,
            })
        });
        let settings = self
            .settings
            .iter()
            .map(|setting| json!({"name": setting.name, "value": setting.value, "source": setting.source}));
        let report = json!({
            "sound": self.is_sound(),
            "verdicts": verdicts.collect::<Value>(),
            "settings": settings.collect::<Value>(),
        });
        format!("{report}\n")
    }
}

/// What comes from elsewhere was escaped where it came in; this is for what was forgotten there.
fn one_line(text: &str) -> String {
    let printable = |char: char| if char.is_control() { ' ' } else { char };
    text.chars().map(printable).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report() -> Report {
        let found = vec![
            Verdict::fail("call", "no\nkeys", "get some"),
            Verdict::ok("settings", "as they are"),
            Verdict::warn("memory", "little", "allow more"),
            Verdict::skip("tls", "plain HTTP"),
        ];
        Report::of(&CHECKS, &found, Vec::new(), ("no answer", "run it again"))
    }

    #[test]
    fn each_check_has_a_line_in_its_place_and_what_did_not_answer_failed() {
        let text = report().text();
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(lines.len(), CHECKS.len() + 1);
        assert_eq!(lines[0], "ok    settings          as they are");
        assert!(lines[1].starts_with("fail  udp               no answer -> run it again"));
        assert_eq!(lines[8], "warn  memory            little -> allow more");
        assert_eq!(lines[17], "skip  tls               plain HTTP");
        assert_eq!(lines[19], "fail  call              no keys -> get some");
        assert_eq!(lines[27], "24 failed, 1 to look at, 1 well, 1 skipped");
    }

    #[test]
    fn the_json_says_the_same() {
        let json: Value = serde_json::from_str(&report().json()).unwrap();
        assert_eq!(json["sound"], false);
        assert_eq!(json["verdicts"].as_array().unwrap().len(), CHECKS.len());
        assert_eq!(
            json["verdicts"][19],
            json!({"check": "call", "verdict": "fail", "message": "no\nkeys", "remedy": "get some"})
        );
        assert_eq!(json["verdicts"][0]["remedy"], Value::Null);
    }

    #[test]
    fn a_report_without_a_failure_is_sound() {
        let found = CHECKS.map(|check| Verdict::skip(check, "not asked for"));
        assert!(Report::of(&CHECKS, &found, Vec::new(), ("no answer", "run it again")).is_sound());
        assert!(!report().is_sound());
    }

    #[test]
    fn what_is_about_otlp_is_looked_at_only_where_it_is_set() {
        let about_otlp = |made: Vec<&'static str>| -> Vec<&'static str> {
            made.into_iter()
                .filter(|check| check.starts_with("otlp"))
                .collect()
        };
        let none = OfOtlp::default();
        let all = OfOtlp {
            listens: true,
            sends: true,
            to_xray: true,
        };
        assert_eq!(checks(all), CHECKS);
        assert_eq!(checks(none).len(), 19);
        assert_eq!(about_otlp(checks(none)), [""; 0]);
        let of = |otlp| about_otlp(checks(otlp));
        assert_eq!(
            of(OfOtlp {
                listens: true,
                ..none
            }),
            [OTLP_LISTEN]
        );
        assert_eq!(of(OfOtlp { sends: true, ..none }), OF_OTLP_ENDPOINT);
        assert_eq!(
            of(OfOtlp {
                to_xray: true,
                ..none
            }),
            [OTLP_TO_XRAY]
        );
        for check in OF_XRAY.iter().chain(&[CREDENTIAL_FILES]) {
            assert!(CHECKS.contains(check), "{check}");
        }
    }
}
