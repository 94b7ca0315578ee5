//! The flags, once: names, kinds, defaults and help texts.

use std::any::TypeId;
use std::path::PathBuf;
use std::time::Duration;

use clap::builder::{OsStringValueParser, TypedValueParser as _, ValueParser};
use clap::{Arg, ArgAction, Command};

use crate::config::LogFormat;
use crate::config::golang::{NumberError, parse_bool, parse_int};

/// The longest time that a flag takes: beyond an hour it is a slip of the unit.
const MAX_DURATION: Duration = Duration::from_secs(3600);

/// The name of the program in help texts and suggestions.
pub(super) const PROGRAM: &str = "xray";

/// Whether `word` is the program's name, with or without a path.
pub(super) fn is_program(word: &str) -> bool {
    let name = word.rsplit(['/', '\\']).next().unwrap_or(word);
    name == PROGRAM || name == "xray.exe"
}

/// What a flag's value is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// True without a value, and given a value only by `=`.
    Bool,
    /// A whole number.
    Int,
    /// Milliseconds to minutes.
    Duration,
    /// `text` or `json`.
    LogFormat,
    /// Any text.
    Text,
    /// A path: any bytes.
    Path,
}

impl Kind {
    /// The kind of `arg`, read off the type that its parser makes.
    pub(super) fn of(arg: &Arg) -> Self {
        let type_id = arg.get_value_parser().type_id();
        // A flag that takes no value has no parser of its own.
        if !arg.get_action().takes_values() || type_id == TypeId::of::<bool>() {
            Self::Bool
        } else if type_id == TypeId::of::<i64>() {
            Self::Int
        } else if type_id == TypeId::of::<Duration>() {
            Self::Duration
        } else if type_id == TypeId::of::<LogFormat>() {
            Self::LogFormat
        } else if type_id == TypeId::of::<PathBuf>() {
            Self::Path
        } else {
            Self::Text
        }
    }

    /// Why `value` does not fit, in the words of Go's flag package; `None` when it does.
    pub(super) fn refuses(self, value: &str) -> Option<&'static str> {
        let outcome = match self {
            Self::Bool => bool_value(value).map(drop),
            Self::Int => int_value(value).map(drop),
            Self::Duration => duration_value(value).map(drop),
            Self::LogFormat => log_format_value(value).map(drop),
            Self::Text | Self::Path => Ok(()),
        };
        outcome.err()
    }
}

/// The subcommand that asks a running daemon how it is.
pub(super) const HEALTH_CHECK: &str = "healthcheck";

/// The subcommand that says why there are no traces.
pub(super) const DOCTOR: &str = "doctor";

/// The subcommand that runs the daemon with X-Ray built in.
pub(super) const DEV: &str = "dev";

/// The subcommand that sends one segment.
pub(super) const SEND: &str = "send";

/// The subcommand that lists the traces of a running `xray dev`.
pub(super) const TRACES: &str = "traces";

/// The subcommand that shows one of them.
pub(super) const TRACE: &str = "trace";

/// What is typed to run `command`: `xray`, `xray dev`.
pub(super) fn typed(command: &Command) -> String {
    match command.get_name() {
        PROGRAM => PROGRAM.to_owned(),
        name => format!("{PROGRAM} {name}"),
    }
}

/// The command line of `xray healthcheck`: that of the daemon, so that it is asked where its flags say, and `--ready`.
pub(super) fn health_check() -> Command {
    command()
        .name(HEALTH_CHECK)
        .override_usage("xray healthcheck [--ready] [options of the daemon]")
        .about(
            "Asks the daemon on this machine whether it runs. Prints one line; exits 0 if it does, else 1.",
        )
        .next_help_heading("Options of healthcheck")
        .arg(switch("ready").help("Ask whether the daemon can do its work: region, credentials, calls"))
}

/// The command line of `xray doctor`: that of the daemon whose settings are looked at, and its own.
pub(super) fn doctor() -> Command {
    command()
        .name(DOCTOR)
        .override_usage("xray doctor [--json] [--no-calls] [options of the daemon]")
        .about(
            "Says why there are no traces: looks at settings, ports, the daemon that runs, credentials and the way to X-Ray.\n\
             A line for each check, within ten seconds; changes nothing. Exits 0 if nothing failed, 1 if something did.",
        )
        .next_help_heading("Options of doctor")
        .args([
            switch("json").help("Print JSON instead of lines"),
            switch("no-calls").help("Make no signed call to X-Ray"),
        ])
}

/// The command line of the daemon.
pub(super) fn command() -> Command {
    let official = [
        text("resource-arn", 'a', "ARN")
            .help("ARN of the AWS resource that the daemon runs on, for telemetry"),
        switch("local-mode")
            .short('o')
            .help("Ask no EC2 or ECS metadata for the region"),
        value("buffer-memory", "MB", int_value)
            .short('m')
            .help("Memory that segments may wait in, at least 3 [default: 1 % of the memory there is]"),
        text("region", 'n', "REGION").help("AWS region of the X-Ray service"),
        text("bind", 'b', "ADDRESS").help("UDP address for segments [default: 127.0.0.1:2000]"),
        text("bind-tcp", 't', "ADDRESS").help("TCP address for sampling calls [default: 127.0.0.1:2000]"),
        text("role-arn", 'r', "ARN").help("IAM role to assume, to send to another account"),
        path("config")
            .short('c')
            .help("Configuration file [default: /etc/amazon/xray/cfg.yaml, then ./cfg.yaml]"),
        path("log-file")
            .short('f')
            .help("Log to this file and not to stdout"),
        text("log-level", 'l', "LEVEL")
            .help("What to log, most first: dev, debug, info, warn, error [default: prod, which is info]"),
        text("proxy-address", 'p', "URL").help("HTTP proxy on the way to AWS"),
        Arg::new("version")
            .long("version")
            .short('v')
            .action(ArgAction::SetTrue)
            .help("Print the version"),
        Arg::new("help")
            .long("help")
            .short('h')
            .action(ArgAction::SetTrue)
            .help("Print this text"),
    ];
    let own = [
        value("log-format", "FORMAT", log_format_value)
            .help("text (the lines of the official daemon) or json [default: text]"),
        path("spool-dir")
            .help("Keep segments in this directory when memory is full [default: drop the oldest]"),
        value("spool-size", "MB", int_value)
            .help("Most that the spool may take up, at least 16 [default: 1024]"),
        value("connect-timeout", "DURATION", duration_value)
            .help("Time to connect to the service, such as 500ms, 3s [default: 3s]"),
        value("call-timeout", "DURATION", duration_value)
            .help("Time for one call to the service, from credentials to its answer [default: 15s]"),
        value("shutdown-timeout", "DURATION", duration_value)
            .help("Time to send what waits when told to stop, such as 500ms, 8s, 1m30s [default: 8s]"),
        switch("no-tcp").help("Open no TCP port: no sampling, no health, no metrics"),
        repeated("proxy-allow", "PATH")
            .help("Forward POST requests to this path of the X-Ray API too, signed; may be repeated"),
        repeated("allow-host", "NAME")
            .help("Let the TCP port be called by this host name, by all below .NAME; may be repeated"),
        switch("no-telemetry").help("Send X-Ray no counts about the daemon itself"),
        repeated("otlp-listen", "ADDRESS")
            .help("Take OTLP here too, over HTTP and gRPC, such as 127.0.0.1:4318; may be repeated"),
        repeated("otlp-allow-origin", "ORIGIN")
            .help("Let web pages of this origin send OTLP (https://app.example.com); may be repeated"),
        text_value("otlp-endpoint", "URL")
            .help("Send OTLP there, over HTTP: the base to which v1/traces and so on are appended"),
        text_value("segments-to", "LIST")
            .help("Where segments go: xray, otlp [default: both with an OTLP endpoint, else xray]"),
        text_value("spans-to", "LIST")
            .help("Where spans go: xray, otlp [default: otlp with an OTLP endpoint, else xray]"),
        switch("print-config").help("Print each setting with the place it comes from, and end"),
    ];
    Command::new(PROGRAM)
        .disable_help_flag(true)
        .disable_version_flag(true)
        .override_usage("xray [options]")
        .next_help_heading("Options of the AWS X-Ray daemon")
        .args(official)
        .next_help_heading("More options")
        .args(own)
        .after_help(
            "xray doctor says why there are no traces; xray healthcheck asks a running daemon how it is; --help after each\n\
             tells more.\n\n\
             One dash or two before any name; a value after a space or after \"=\" (-n eu-west-1, --region=eu-west-1).\n\
             Switches take a value only after \"=\" (-o=false). The last one given wins; a flag goes over cfg.yaml, and so does a\n\
             variable, over which a flag goes: XRAY_ and the long name in capitals (XRAY_SPOOL_DIR, XRAY_LOG_LEVEL).\n\
             Flags end at the first argument that is not one: put nothing before or between them.\n\n\
             Also: xray dev (X-Ray on this machine, without AWS), xray send (one segment, to try with), xray traces and xray\n\
             trace (what a running xray dev has); --help after each tells more.",
        )
}

fn text(long: &'static str, short: char, value_name: &'static str) -> Arg {
    text_value(long, value_name).short(short)
}

pub(super) fn text_value(long: &'static str, value_name: &'static str) -> Arg {
    value(long, value_name, ValueParser::string())
}

fn path(long: &'static str) -> Arg {
    path_value(long, "PATH")
}

pub(super) fn path_value(long: &'static str, value_name: &'static str) -> Arg {
    // Not clap's own path parser, which refuses the empty value that takes a file's setting back (`-f ''`).
    value(long, value_name, OsStringValueParser::new().map(PathBuf::from))
}

fn repeated(long: &'static str, value_name: &'static str) -> Arg {
    value(long, value_name, ValueParser::string()).action(ArgAction::Append)
}

pub(super) fn switch(long: &'static str) -> Arg {
    value(long, "true|false", bool_value)
        .num_args(0..=1)
        .require_equals(true)
        .default_missing_value("true")
}

/// Values may start with a dash and may be empty: in Go the argument after a flag is its value, whatever it is.
pub(super) fn value(long: &'static str, value_name: &'static str, parser: impl Into<ValueParser>) -> Arg {
    Arg::new(long)
        .long(long)
        .value_name(value_name)
        .action(ArgAction::Set)
        .allow_hyphen_values(true)
        .value_parser(parser.into())
}

fn bool_value(value: &str) -> Result<bool, &'static str> {
    parse_bool(value).ok_or(NumberError::Syntax.text())
}

pub(super) fn int_value(value: &str) -> Result<i64, &'static str> {
    parse_int(value).map_err(NumberError::text)
}

pub(super) fn log_format_value(value: &str) -> Result<LogFormat, &'static str> {
    match value {
        "text" => Ok(LogFormat::Text),
        "json" => Ok(LogFormat::Json),
        _ => Err(NumberError::Syntax.text()),
    }
}

/// Whole numbers, each with its unit (`ms`, `s`, `m`), one after the other: `1m30s`. A number alone is seconds.
pub(super) fn duration_value(value: &str) -> Result<Duration, &'static str> {
    let alone = value.bytes().all(|b| b.is_ascii_digit());
    let seconds = format!("{value}s");
    let mut rest = if alone && !value.is_empty() {
        &seconds
    } else {
        value
    };
    let mut total = Duration::ZERO;
    loop {
        let (digits, after) = split_while(rest, |b| b.is_ascii_digit());
        let (unit, after) = split_while(after, |b| b.is_ascii_alphabetic());
        let unit_ms = match unit {
            "ms" => 1,
            "s" => 1_000,
            "m" => 60_000,
            _ => return Err(NumberError::Syntax.text()),
        };
        if digits.is_empty() {
            return Err(NumberError::Syntax.text());
        }
        // Digits only, so a failure to parse or to multiply means too many of them.
        let part = digits.parse::<u64>().ok().and_then(|n| n.checked_mul(unit_ms));
        let sum = part.and_then(|ms| total.checked_add(Duration::from_millis(ms)));
        total = sum
            .filter(|sum| *sum <= MAX_DURATION)
            .ok_or(NumberError::Range.text())?;
        if after.is_empty() {
            return Ok(total);
        }
        rest = after;
    }
}

/// The longest beginning whose bytes are all of a kind of ASCII, and what follows.
fn split_while(text: &str, is_of_kind: impl Fn(u8) -> bool) -> (&str, &str) {
    text.split_at(text.bytes().take_while(|&b| is_of_kind(b)).count())
}

/// The flag of that name, long or short.
pub(super) fn find<'c>(command: &'c Command, name: &str) -> Option<&'c Arg> {
    command.get_arguments().find(|arg| {
        arg.get_long() == Some(name) || arg.get_short().is_some_and(|short| name.chars().eq([short]))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_a_unit_or_are_seconds() {
        for (text, ms) in [
            ("8", 8_000),
            ("8s", 8_000),
            ("500ms", 500),
            ("1m", 60_000),
            ("0", 0),
            ("60m", 3_600_000),
            ("1m30s", 90_000),
            ("1s500ms", 1_500),
            ("59m59s1000ms", 3_600_000),
            ("0m0s", 0),
        ] {
            assert_eq!(duration_value(text), Ok(Duration::from_millis(ms)), "{text}");
        }
        for text in [
            "", "s", "ms", "-1", "+1", "1.5s", "1h", "1 s", "1_0", "8S", "é", "1m30", "1m 30s", "m30s",
            "1m-30s",
        ] {
            assert_eq!(duration_value(text), Err("parse error"), "{text}");
        }
        for text in [
            "61m",
            "3601",
            "99999999999999999999",
            "18446744073709551615m",
            "60m1ms",
        ] {
            assert_eq!(duration_value(text), Err("value out of range"), "{text}");
        }
    }

    #[test]
    fn the_definition_is_sound() {
        command().debug_assert();
    }

    #[test]
    fn each_flag_has_the_kind_of_its_value() {
        let command = command();
        let kinds: Vec<_> = command
            .get_arguments()
            .map(|arg| (arg.get_id().as_str(), Kind::of(arg)))
            .filter(|(_, kind)| *kind != Kind::Text)
            .collect();
        assert_eq!(
            kinds,
            [
                ("local-mode", Kind::Bool),
                ("buffer-memory", Kind::Int),
                ("config", Kind::Path),
                ("log-file", Kind::Path),
                ("version", Kind::Bool),
                ("help", Kind::Bool),
                ("log-format", Kind::LogFormat),
                ("spool-dir", Kind::Path),
                ("spool-size", Kind::Int),
                ("connect-timeout", Kind::Duration),
                ("call-timeout", Kind::Duration),
                ("shutdown-timeout", Kind::Duration),
                ("no-tcp", Kind::Bool),
                ("no-telemetry", Kind::Bool),
                ("print-config", Kind::Bool),
            ]
        );
    }
}
