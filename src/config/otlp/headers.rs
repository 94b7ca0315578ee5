//! The headers of requests to an OTLP endpoint: most of them are keys, so no value is ever shown.

use std::fmt;

use http::{HeaderName, HeaderValue};

use crate::config::text::{bare, quoted};
use crate::config::{Environment, Report, Warning};

/// The most headers; a back end asks for one to three.
const MAX: usize = 64;

/// Of those beyond.
const TOO_MANY: &str = "there are more than 64 headers";

/// The longest value, in bytes: what servers usually take of all headers together.
const VALUE_MAX_BYTES: usize = 8 << 10;

/// What says how the body stands in the request, or belongs to the connection. Ours, since another one would make every
/// request wrong.
const OWN: [&str; 12] = [
    "connection",
    "content-encoding",
    "content-length",
    "content-type",
    "expect",
    "host",
    "keep-alive",
    "proxy-authorization",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// Headers, each name once. `Debug` shows no value.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Headers(Vec<(HeaderName, HeaderValue)>);

impl Headers {
    /// Each with its value, which is marked as sensitive.
    pub fn iter(&self) -> impl Iterator<Item = (&HeaderName, &HeaderValue)> {
        self.0.iter().map(|(name, value)| (name, value))
    }

    /// The names, which may be shown.
    #[must_use]
    pub fn names(&self) -> Vec<&str> {
        self.0.iter().map(|(name, _)| name.as_str()).collect()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Those of `other` over these.
    pub(super) fn with(&self, other: &Self) -> Self {
        let mut all = self.clone();
        for (name, value) in &other.0 {
            all.insert(name.clone(), value.clone());
        }
        all
    }

    fn insert(&mut self, name: HeaderName, value: HeaderValue) {
        match self.0.iter_mut().find(|(old, _)| *old == name) {
            Some((_, old)) => *old = value,
            None => self.0.push((name, value)),
        }
    }

    /// One more, checked. `source` is where it stands.
    fn add(&mut self, name: &str, value: &[u8], source: &str, report: &mut Report) {
        match checked(name, value) {
            Ok((name, value)) => {
                if value.is_empty() {
                    let text = format!(
                        "{source}: the header {name} is empty. If it is a key, the endpoint will refuse every request."
                    );
                    report.warning(Warning::at(source, text).value(&name));
                }
                self.insert(name, value);
            }
            Err(reason) => report.problem(format!("{source}: {reason}.")),
        }
    }

    /// Those of a variable, `name=value,name=value`, the values percent-encoded, as the specification of OTLP exporters has
    /// it.
    pub(super) fn of_variable(variable: &str, text: &str, report: &mut Report) -> Self {
        let mut headers = Self::default();
        let entries = text.split(',').map(str::trim);
        for (place, entry) in entries.enumerate().filter(|(_, entry)| !entry.is_empty()) {
            // Neither name nor value is shown: a key without its name stands where a name would.
            let source = format!("{variable}, entry {}", place + 1);
            if place == MAX {
                report.problem(format!("{source}: {TOO_MANY}."));
                break;
            }
            let Some((name, value)) = entry.split_once('=') else {
                report.problem(format!("{source}: it has no \"=\": write name=value,name=value."));
                continue;
            };
            let (name, value) = (percent_decoded(name.trim()), percent_decoded(value.trim()));
            let (Some(name), Some(value)) = (name, value) else {
                report.problem(format!(
                    "{source}: it has a \"%\" without two hexadecimal digits behind it: write %25 for a percent sign."
                ));
                continue;
            };
            headers.add(&String::from_utf8_lossy(&name), &value, &source, report);
        }
        headers
    }

    /// Those of the file, in whose values `${env:NAME}` stands for a variable.
    pub(super) fn of_file(given: &[FileHeader], env: &Environment, report: &mut Report) -> Self {
        let mut headers = Self::default();
        for (place, FileHeader { name, value, source }) in given.iter().enumerate() {
            if place == MAX {
                report.problem(format!("{source}: {TOO_MANY}."));
                break;
            }
            match expanded(&value.0, env) {
                Ok(value) => headers.add(name, value.as_bytes(), source, report),
                Err(reason) => report.problem(format!("{source}: {}: {reason}.", bare(name))),
            }
        }
        headers
    }
}

/// A header as the file has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::config) struct FileHeader {
    pub(in crate::config) name: String,
    pub(in crate::config) value: Secret,
    /// `cfg.yaml line 4 (OTLP.Headers)`.
    pub(in crate::config) source: String,
}

/// A text that `Debug` does not show.
#[derive(Clone, PartialEq, Eq)]
pub(in crate::config) struct Secret(pub(in crate::config) String);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// # Errors
/// What is wrong, without the value.
fn checked(name: &str, value: &[u8]) -> Result<(HeaderName, HeaderValue), String> {
    let Ok(header) = HeaderName::try_from(name) else {
        return Err(
            "what stands before the value is not the name of a header: letters, digits and dashes".to_owned(),
        );
    };
    if OWN.contains(&header.as_str()) {
        return Err(format!("{header} is written by the daemon itself: leave it out"));
    }
    if value.len() > VALUE_MAX_BYTES {
        return Err(format!(
            "the value of {header} has {} bytes, more than {VALUE_MAX_BYTES}",
            value.len()
        ));
    }
    let Ok(mut value) = HeaderValue::from_bytes(value) else {
        return Err(format!(
            "the value of {header} has a control character, which no header can carry: look for a line break at its end"
        ));
    };
    value.set_sensitive(true);
    Ok((header, value))
}

/// `None` when a percent sign has no two digits behind it.
fn percent_decoded(text: &str) -> Option<Vec<u8>> {
    let mut bytes = text.bytes();
    let mut decoded = Vec::with_capacity(text.len());
    while let Some(byte) = bytes.next() {
        decoded.push(if byte == b'%' {
            let mut digit = || char::from(bytes.next()?).to_digit(16);
            u8::try_from(digit()? * 16 + digit()?).ok()?
        } else {
            byte
        });
    }
    Some(decoded)
}

/// `text` with variables in the place of `${env:NAME}`, `${NAME}` and `${env:NAME:-default}`, and `$` in that of `$$`, as in
/// a Collector's file. A variable that is not set is an error and not an empty key.
fn expanded(text: &str, env: &Environment) -> Result<String, String> {
    let mut rest = text;
    let mut out = String::new();
    while let Some(at) = rest.find('$') {
        out.push_str(&rest[..at]);
        let after = &rest[at + 1..];
        if let Some(after) = after.strip_prefix('$') {
            out.push('$');
            rest = after;
        } else if let Some(inner) = after.strip_prefix('{') {
            let Some((reference, after)) = inner.split_once('}') else {
                return Err("\"${\" has no \"}\"; a dollar sign is written \"$$\"".to_owned());
            };
            let (name, default) = match reference.split_once(":-") {
                Some((name, default)) => (name, Some(default)),
                None => (reference, None),
            };
            let name = name.strip_prefix("env:").unwrap_or(name);
            let is_name = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
            if name.is_empty() || !name.bytes().all(is_name) {
                return Err("only variables can stand in \"${}\": write ${env:NAME}".to_owned());
            }
            match env.get(name).or(default) {
                Some(value) => out.push_str(value),
                None => return Err(format!("the variable {} is not set", quoted(name))),
            }
            rest = after;
        } else {
            out.push('$');
            rest = after;
        }
    }
    out.push_str(rest);
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn environment(variables: &[(&str, &str)]) -> Environment {
        let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        Environment(variables.iter().map(owned).collect())
    }

    fn shown(headers: &Headers) -> Vec<(String, String)> {
        let text = |(name, value): (&HeaderName, &HeaderValue)| {
            (
                name.to_string(),
                String::from_utf8_lossy(value.as_bytes()).into_owned(),
            )
        };
        headers.iter().map(text).collect()
    }

    fn of_variable(text: &str) -> (Vec<(String, String)>, Report) {
        let mut report = Report::default();
        let headers = Headers::of_variable("V", text, &mut report);
        (shown(&headers), report)
    }

    fn pair(name: &str, value: &str) -> (String, String) {
        (name.to_owned(), value.to_owned())
    }

    #[test]
    fn a_variable_has_pairs_whose_values_are_percent_encoded() {
        for (text, headers) in [
            ("x-honeycomb-team=abc", vec![pair("x-honeycomb-team", "abc")]),
            (
                " Authorization = Basic%20dTpw%3D , b=1=2,,",
                vec![pair("authorization", "Basic dTpw="), pair("b", "1=2")],
            ),
            ("a=1,A=2", vec![pair("a", "2")]),
            ("a=%C3%A9+;x", vec![pair("a", "é+;x")]),
        ] {
            let (found, report) = of_variable(text);
            assert_eq!(found, headers, "{text}");
            assert!(
                report.problems.is_empty() && report.warnings.is_empty(),
                "{report:?}"
            );
        }
        let (found, report) = of_variable("x-honeycomb-team=");
        assert_eq!(found, [pair("x-honeycomb-team", "")]);
        assert_eq!(
            report.warnings,
            [
                "V, entry 1: the header x-honeycomb-team is empty. If it is a key, the endpoint will refuse every request."
            ]
        );
    }

    #[test]
    fn what_is_wrong_with_a_variable_is_told_without_its_text() {
        for (text, problem) in [
            (
                "secret",
                "V, entry 1: it has no \"=\": write name=value,name=value.",
            ),
            (
                "a=1,b=secret%2",
                "V, entry 2: it has a \"%\" without two hexadecimal digits behind it: write %25 for a percent sign.",
            ),
            (
                "a=secret%+1",
                "V, entry 1: it has a \"%\" without two hexadecimal digits behind it: write %25 for a percent sign.",
            ),
            (
                "secret key=1",
                "V, entry 1: what stands before the value is not the name of a header: letters, digits and dashes.",
            ),
            (
                "a=secret%0A",
                "V, entry 1: the value of a has a control character, which no header can carry: look for a line break at its \
                 end.",
            ),
            (
                "Content-Type=secret",
                "V, entry 1: content-type is written by the daemon itself: leave it out.",
            ),
        ] {
            assert_eq!(of_variable(text).1.problems, [problem]);
        }
        let long = format!("a={}", "s".repeat(VALUE_MAX_BYTES + 1));
        assert_eq!(
            of_variable(&long).1.problems,
            ["V, entry 1: the value of a has 8193 bytes, more than 8192."]
        );
        let many: String = (0..=MAX).map(|n| format!("a{n}=1,")).collect();
        assert_eq!(
            of_variable(&many).1.problems,
            ["V, entry 65: there are more than 64 headers."]
        );
    }

    #[test]
    fn variables_stand_in_the_file_as_in_a_collectors() {
        let env = environment(&[("KEY", "s3cret"), ("EMPTY", "")]);
        for (text, value) in [
            ("${env:KEY}", "s3cret"),
            ("Bearer ${KEY}!", "Bearer s3cret!"),
            ("${env:NONE:-other}${env:KEY:-other}", "others3cret"),
            ("a$$b$c$", "a$b$c$"),
            ("$${env:KEY}", "${env:KEY}"),
            ("plain", "plain"),
        ] {
            assert_eq!(expanded(text, &env).as_deref(), Ok(value));
        }
        for (text, reason) in [
            ("${env:NONE}", "the variable \"NONE\" is not set"),
            ("${env:EMPTY}", "the variable \"EMPTY\" is not set"),
            (
                "x${env:KEY",
                "\"${\" has no \"}\"; a dollar sign is written \"$$\"",
            ),
            (
                "${file:/key}",
                "only variables can stand in \"${}\": write ${env:NAME}",
            ),
            ("${}", "only variables can stand in \"${}\": write ${env:NAME}"),
        ] {
            assert_eq!(expanded(text, &env), Err(reason.to_owned()));
        }
    }

    #[test]
    fn no_debug_form_shows_a_value() {
        let header = FileHeader {
            name: "key".to_owned(),
            value: Secret("secret".to_owned()),
            source: "cfg.yaml".to_owned(),
        };
        let headers = Headers::of_file(
            std::slice::from_ref(&header),
            &Environment::default(),
            &mut Report::default(),
        );
        assert_eq!(headers.names(), ["key"]);
        assert!(!format!("{header:?} {headers:?}").contains("secret"));
    }
}
