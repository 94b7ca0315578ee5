//! The subcommands `xray traces` and `xray trace`: what they ask a running `xray dev`.

use std::ffi::OsString;

use clap::Command;

use super::UsageError;
use super::definition::{TRACE, TRACES, int_value, switch, text_value, value};
use super::dev::{Asked, base, read, unexpected};
use crate::config::text::quoted;

/// The flags of `xray traces`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TracesFlags {
    /// What is typed before, between and after the flags, in one text: a filter expression or words; empty: all traces.
    pub filter: String,
    /// `--json`.
    pub json: bool,
    /// `--follow`.
    pub follow: bool,
    /// `--limit`.
    pub limit: Option<i64>,
    /// `--from`.
    pub from: Option<String>,
}

/// The flags of `xray trace`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TraceFlags {
    /// The trace id, in any of its forms.
    pub id: String,
    /// `--json`.
    pub json: bool,
    /// `--from`.
    pub from: Option<String>,
}

pub(super) fn traces_command() -> Command {
    base(TRACES, "xray traces [FILTER] [--json] [--follow] [--limit N] [--from ADDRESS]")
        .about(
            "Lists the traces of a running xray dev, a line each, the latest last. FILTER is a filter expression, or words that \
             a trace mentions in URL, name, service, annotations or exceptions.\n\
             Exits 0 when there was one, 1 when there was none, 2 when the command line or the filter is wrong, 3 when no \
             xray dev answers.",
        )
        .args([
            switch("json").help("Print each trace as a JSON object"),
            switch("follow").help("Go on with traces as they are finished, until told to stop"),
            value("limit", "N", int_value).help("The most traces that are there already, 1000 at most [default: 20; with --follow 0]"),
            from(),
        ])
}

pub(super) fn trace_command() -> Command {
    base(TRACE, "xray trace ID [--json] [--from ADDRESS]")
        .about(
            "Shows one trace of a running xray dev as a tree, with hints about what went wrong in who sent it. ID is a trace id \
             as X-Ray, OpenTelemetry (32 hex digits), a tracing header or the page's address has it.\n\
             Exits 0 when it is there, 1 when it is not, 2 when the command line is wrong, 3 when no xray dev answers.",
        )
        .args([
            switch("json").help("Print a JSON object with the trace, its documents and hints"),
            from(),
        ])
}

fn from() -> clap::Arg {
    text_value("from", "ADDRESS").help(
        "The page's address [default: XRAY_BIND_TCP, or AWS_XRAY_DAEMON_ADDRESS, or else 127.0.0.1:2000]",
    )
}

/// Reads what follows `traces`.
pub(super) fn parse_traces(arguments: &[OsString]) -> Result<Asked<TracesFlags>, UsageError> {
    let (matches, words) = match with_words(&traces_command(), arguments)? {
        Asked::Run(read) => read,
        Asked::Help(text) => return Ok(Asked::Help(text)),
    };
    let is_on = |id| matches.get_one(id).copied().unwrap_or_default();
    let limit = matches.get_one::<i64>("limit").copied();
    if let Some(limit) = limit.filter(|limit| !(0..=1000).contains(limit)) {
        return Err(UsageError::new(
            format!("invalid value \"{limit}\" for flag -limit: value out of range"),
            "--limit takes 0 to 1000 traces.".to_owned(),
        ));
    }
    Ok(Asked::Run(TracesFlags {
        filter: words.join(" "),
        json: is_on("json"),
        follow: is_on("follow"),
        limit,
        from: matches.get_one("from").cloned(),
    }))
}

/// Reads what follows `trace`.
pub(super) fn parse_trace(arguments: &[OsString]) -> Result<Asked<TraceFlags>, UsageError> {
    let (matches, words) = match with_words(&trace_command(), arguments)? {
        Asked::Run(read) => read,
        Asked::Help(text) => return Ok(Asked::Help(text)),
    };
    let mut words = words.into_iter();
    let Some(id) = words.next() else {
        return Err(UsageError::new(
            "a trace id is missing".to_owned(),
            "Write it behind the command: xray trace 1-581cf771-a006649127e371903a2de979.".to_owned(),
        ));
    };
    if let Some(extra) = words.next() {
        return Err(unexpected(&OsString::from(extra), TRACE));
    }
    let Some(id) = xray_service::filter::trace_id(&id) else {
        return Err(UsageError::new(
            format!("{} is no trace id", quoted(&id)),
            "One is 1-, 8 hex digits, -, 24 hex digits; or 32 hex digits.".to_owned(),
        ));
    };
    Ok(Asked::Run(TraceFlags {
        id,
        json: matches.get_one("json").copied().unwrap_or_default(),
        from: matches.get_one("from").cloned(),
    }))
}

/// Flags, and words before, between and after them.
fn with_words(
    command: &Command,
    arguments: &[OsString],
) -> Result<Asked<(clap::ArgMatches, Vec<String>)>, UsageError> {
    let mut flags: Vec<OsString> = Vec::new();
    let mut words = Vec::new();
    let mut left = arguments.to_vec();
    loop {
        let (matches, mut rest) = match read(command.clone(), &[flags.clone(), left.clone()].concat())? {
            Asked::Run(read) => read,
            Asked::Help(text) => return Ok(Asked::Help(text)),
        };
        if rest.is_empty() {
            return Ok(Asked::Run((matches, words)));
        }
        // The flags up to the word, then what is behind it.
        let known = flags.len() + left.len() - rest.len();
        flags = [flags, left].concat();
        flags.truncate(known);
        // `--` ends the flags, and is none: what follows it are words.
        if flags.last().is_some_and(|last| last == "--") {
            flags.pop();
            words.extend(rest.iter().map(|word| word.to_string_lossy().into_owned()));
            left = Vec::new();
            continue;
        }
        words.push(rest.remove(0).to_string_lossy().into_owned());
        left = rest;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(line: &[&str]) -> Vec<OsString> {
        line.iter().map(OsString::from).collect()
    }

    fn traces(line: &[&str]) -> TracesFlags {
        match parse_traces(&words(line)) {
            Ok(Asked::Run(flags)) => flags,
            Ok(Asked::Help(_)) => panic!("help"),
            Err(error) => panic!("{error}"),
        }
    }

    fn trace(line: &[&str]) -> Result<TraceFlags, String> {
        match parse_trace(&words(line)) {
            Ok(Asked::Run(flags)) => Ok(flags),
            Ok(Asked::Help(_)) => panic!("help"),
            Err(error) => Err(error.message().to_owned()),
        }
    }

    #[test]
    fn the_definitions_are_sound() {
        traces_command().debug_assert();
        trace_command().debug_assert();
    }

    #[test]
    fn words_may_stand_anywhere_and_are_one_filter() {
        let all = TracesFlags {
            filter: "fault AND cart".to_owned(),
            json: true,
            follow: true,
            limit: Some(5),
            from: Some(":1".to_owned()),
        };
        assert_eq!(
            traces(&[
                "fault",
                "--json",
                "AND",
                "cart",
                "-follow",
                "--limit=5",
                "--from",
                ":1"
            ]),
            all
        );
        assert_eq!(
            traces(&[
                "--json",
                "--limit",
                "5",
                "--follow",
                "--from=:1",
                "fault AND cart"
            ]),
            all
        );
        assert_eq!(traces(&[]), TracesFlags::default());
        assert_eq!(traces(&["--json", "--", "-x", "--json"]).filter, "-x --json");
        for wrong in [&["--nope"][..], &["--limit", "-1"], &["--limit", "1001"]] {
            assert!(parse_traces(&words(wrong)).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn one_trace_is_named_in_any_form_of_its_id() {
        let id = "1-581cf771-a006649127e371903a2de979";
        for form in [
            id,
            "581cf771a006649127e371903a2de979",
            "Root=1-581cf771-a006649127e371903a2de979;Sampled=1",
        ] {
            assert_eq!(trace(&[form]).unwrap().id, id);
        }
        assert!(trace(&["--json", id]).unwrap().json && trace(&[id, "--json"]).unwrap().json);
        assert_eq!(trace(&[]).unwrap_err(), "a trace id is missing");
        assert_eq!(trace(&["shop"]).unwrap_err(), "\"shop\" is no trace id");
        assert_eq!(
            trace(&[id, id]).unwrap_err(),
            format!("unexpected argument \"{id}\"")
        );
    }
}
