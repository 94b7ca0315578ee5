//! The subcommands `xray dev` and `xray send`: their flags, in the same spellings as the daemon's.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Arg, ArgAction, ArgMatches, Command};

use super::definition::{
    DEV, SEND, duration_value, int_value, log_format_value, path_value, switch, text_value, value,
};
use super::front::{self, StoppedAt};
use super::{UsageError, all_sourced, canonical, flag, sourced};
use crate::config::text::quoted;
use crate::config::{LogFormat, Sourced, Warning};

/// The flags of `xray dev`; `None`: not given.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct DevFlags {
    /// `-b`, `--bind`: the UDP address.
    pub udp_address: Option<Sourced<String>>,
    /// `-t`, `--bind-tcp`: the address of page and API.
    pub tcp_address: Option<Sourced<String>>,
    /// `-m`, `--buffer-memory`, in MB.
    pub buffer_memory_mb: Option<Sourced<i64>>,
    /// `-l`, `--log-level`.
    pub log_level: Option<Sourced<String>>,
    /// `-f`, `--log-file`.
    pub log_file: Option<Sourced<PathBuf>>,
    /// `--log-format`.
    pub log_format: Option<Sourced<LogFormat>>,
    /// `--shutdown-timeout`.
    pub shutdown_timeout: Option<Sourced<Duration>>,
    /// `--tree`.
    pub tree: Option<Sourced<bool>>,
    /// `--sampling`.
    pub sampling: Option<Sourced<Sampling>>,
    /// `--sampling-rules`.
    pub sampling_rules: Option<Sourced<PathBuf>>,
    /// `--store`.
    pub store: Option<Sourced<PathBuf>>,
    /// `--open`, each time it was given.
    pub open: Vec<Sourced<PathBuf>>,
    /// `--tail`, each time it was given.
    pub tail: Vec<Sourced<PathBuf>>,
    /// `--max-traces`.
    pub max_traces: Option<Sourced<i64>>,
    /// `--max-store-mb`.
    pub max_store_mb: Option<Sourced<i64>>,
    /// `--allow-host`, each time it was given.
    pub allow_host: Vec<Sourced<String>>,
    /// `--otlp-listen`, each time it was given; one that is empty is no address, and keeps the default ones away.
    pub otlp_listen: Vec<Sourced<String>>,
    /// `--print-config`: show the settings, and do not run.
    pub print_config: bool,
    /// What the user should know about them, to be logged at Warn.
    pub warnings: Vec<Warning>,
}

impl DevFlags {
    /// What is given here, else there; of what may be repeated, both.
    #[must_use]
    pub(super) fn over(self, lower: Self) -> Self {
        Self {
            udp_address: self.udp_address.or(lower.udp_address),
            tcp_address: self.tcp_address.or(lower.tcp_address),
            buffer_memory_mb: self.buffer_memory_mb.or(lower.buffer_memory_mb),
            log_level: self.log_level.or(lower.log_level),
            log_file: self.log_file.or(lower.log_file),
            log_format: self.log_format.or(lower.log_format),
            shutdown_timeout: self.shutdown_timeout.or(lower.shutdown_timeout),
            tree: self.tree.or(lower.tree),
            sampling: self.sampling.or(lower.sampling),
            sampling_rules: self.sampling_rules.or(lower.sampling_rules),
            store: self.store.or(lower.store),
            open: [self.open, lower.open].concat(),
            tail: [self.tail, lower.tail].concat(),
            max_traces: self.max_traces.or(lower.max_traces),
            max_store_mb: self.max_store_mb.or(lower.max_store_mb),
            allow_host: [self.allow_host, lower.allow_host].concat(),
            // As one address goes over another, and not beside it.
            otlp_listen: if self.otlp_listen.is_empty() {
                lower.otlp_listen
            } else {
                self.otlp_listen
            },
            print_config: self.print_config,
            warnings: self.warnings,
        }
    }
}

/// What the default sampling rule of `xray dev` is, unless a file has one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Sampling {
    /// Every request: whoever looks at traces on a laptop wants to see the one that was just made.
    #[default]
    All,
    /// AWS's: one request a second and 5 % of the rest.
    Aws,
}

impl Sampling {
    fn parse(text: &str) -> Result<Self, &'static str> {
        match text.to_ascii_lowercase().as_str() {
            "all" => Ok(Self::All),
            "aws" => Ok(Self::Aws),
            _ => Err("it is neither all nor aws"),
        }
    }
}

/// The flags of `xray send`; `None`: not given.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SendFlags {
    /// `--to`.
    pub to: Option<String>,
    /// The file, or `-`.
    pub file: Option<PathBuf>,
}

/// What a subcommand's command line asks for.
pub(super) enum Asked<T> {
    Run(T),
    Help(String),
}

pub(super) fn dev_command() -> Command {
    base(DEV, "xray dev [options]")
        .about("X-Ray on this machine: it receives segments as the daemon does, answers the X-Ray API and has a page to look at traces. Nothing is sent to AWS.")
        .args([
            switch("tree").help("Print each finished trace as a tree"),
            value("sampling", "RULE", Sampling::parse)
                .help("The default rule: all samples every request, aws one a second and 5 % [default: all]"),
            path_value("sampling-rules", "FILE").help(
                "Sampling rules in the API's JSON, as `aws xray get-sampling-rules` prints them, or an SDK's local rules",
            ),
            path_value("store", "FILE").help("Keep traces in this file over restarts [default: in memory only]"),
            path_value("open", "FILE").action(ArgAction::Append).help(
                "Show the traces in this file: output of aws xray batch-get-traces, segment documents, OTLP JSON; may be repeated",
            ),
            path_value("tail", "FILE").action(ArgAction::Append).help(
                "Show the lines of this log beside the traces whose ids they have; may be repeated",
            ),
            value("max-traces", "N", int_value).help("The most traces to keep, oldest out first [default: 10000]"),
            value("max-store-mb", "MB", int_value).help("The most memory for traces, beyond what an idle process has, 32 at least [default: 256]"),
            text_value("bind", "ADDRESS")
                .short('b')
                .help("UDP address for segments [default: 127.0.0.1:2000]"),
            text_value("bind-tcp", "ADDRESS")
                .short('t')
                .help("TCP address of page and API [default: 127.0.0.1:2000]"),
            text_value("allow-host", "NAME")
                .action(ArgAction::Append)
                .help("A host name with a dot under which page and API are asked; `.NAME`: all below it"),
            text_value("otlp-listen", "ADDRESS")
                .action(ArgAction::Append)
                .help("Take OTLP here, over HTTP and gRPC; may be repeated; \"\": nowhere [default: 127.0.0.1:4317 and 127.0.0.1:4318]"),
            value("buffer-memory", "MB", int_value)
                .short('m')
                .help("Memory that segments may wait in on their way to the store"),
            text_value("log-level", "LEVEL")
                .short('l')
                .help("What the daemon logs besides: dev, debug, info, warn, error [default: warn]"),
            path_value("log-file", "PATH").short('f').help("Log to this file and not to stdout"),
            value("log-format", "FORMAT", log_format_value)
                .help("text, or json: traces and log as one JSON object a line [default: text]"),
            value("shutdown-timeout", "DURATION", duration_value)
                .help("Time to take in what waits when told to stop [default: 8s]"),
            switch("print-config").help("Print each setting with the place it comes from, and end"),
            // People put `dev` before the command line that they have.
            switch("local-mode")
                .short('o')
                .help("Without effect: no metadata is asked for anyway"),
            text_value("region", "REGION")
                .short('n')
                .help("Without effect: nothing is sent to a region"),
        ])
}

pub(super) fn send_command() -> Command {
    base(SEND, "xray send [--to ADDRESS] [FILE]")
        .about(
            "Send one segment to a daemon over UDP, as an SDK does: a sample, or the document in FILE (- for stdin).",
        )
        .arg(
            text_value("to", "ADDRESS")
                .help("Where [default: AWS_XRAY_DAEMON_ADDRESS, or else 127.0.0.1:2000]"),
        )
}

pub(super) fn base(name: &'static str, usage: &'static str) -> Command {
    Command::new(name)
        .disable_help_flag(true)
        .disable_version_flag(true)
        .override_usage(usage)
        .arg(
            Arg::new("help")
                .long("help")
                .short('h')
                .action(ArgAction::SetTrue)
                .help("Print this text"),
        )
}

/// Reads what follows `dev`.
pub(super) fn parse_dev(arguments: &[OsString]) -> Result<Asked<DevFlags>, UsageError> {
    let command = dev_command();
    let (matches, rest) = match read(command.clone(), arguments)? {
        Asked::Run(read) => read,
        Asked::Help(text) => return Ok(Asked::Help(text)),
    };
    if let Some(extra) = rest.first() {
        return Err(unexpected(extra, DEV));
    }
    Ok(Asked::Run(flags(&matches, &|id| flag(&command, id))))
}

/// The settings that clap found, each with the source that `source` makes of its flag's long name.
pub(super) fn flags(matches: &ArgMatches, source: &dyn Fn(&str) -> String) -> DevFlags {
    DevFlags {
        udp_address: sourced(matches, "bind", source),
        tcp_address: sourced(matches, "bind-tcp", source),
        buffer_memory_mb: sourced(matches, "buffer-memory", source),
        log_level: sourced(matches, "log-level", source),
        log_file: sourced(matches, "log-file", source),
        log_format: sourced(matches, "log-format", source),
        shutdown_timeout: sourced(matches, "shutdown-timeout", source),
        tree: sourced(matches, "tree", source),
        sampling: sourced(matches, "sampling", source),
        sampling_rules: sourced(matches, "sampling-rules", source),
        store: sourced(matches, "store", source),
        open: all_sourced(matches, "open", source),
        tail: all_sourced(matches, "tail", source),
        max_traces: sourced(matches, "max-traces", source),
        max_store_mb: sourced(matches, "max-store-mb", source),
        allow_host: all_sourced(matches, "allow-host", source),
        otlp_listen: all_sourced(matches, "otlp-listen", source),
        print_config: matches.get_one("print-config").copied().unwrap_or_default(),
        warnings: Vec::new(),
    }
}

/// Reads what follows `send`; the file may stand before the flags or after them.
pub(super) fn parse_send(arguments: &[OsString]) -> Result<Asked<SendFlags>, UsageError> {
    let mut arguments = arguments.to_vec();
    let mut file = None;
    loop {
        let (matches, mut rest) = match read(send_command(), &arguments)? {
            Asked::Run(read) => read,
            Asked::Help(text) => return Ok(Asked::Help(text)),
        };
        if rest.is_empty() {
            let to = matches.get_one("to").cloned();
            return Ok(Asked::Run(SendFlags { to, file }));
        }
        if file.is_some() {
            return Err(unexpected(&rest[0], SEND));
        }
        // The flags before the file, then those after it.
        let flags = arguments.len() - rest.len();
        file = Some(PathBuf::from(rest.remove(0)));
        arguments.truncate(flags);
        arguments.extend(rest);
    }
}

pub(super) fn read(
    command: Command,
    arguments: &[OsString],
) -> Result<Asked<(ArgMatches, Vec<OsString>)>, UsageError> {
    let line = front::read(&command, arguments)?;
    if line.stop == StoppedAt::Help {
        let mut command = command;
        return Ok(Asked::Help(command.render_help().to_string()));
    }
    let canonical = canonical(&command, &line.given);
    let matches = command
        .try_get_matches_from(canonical)
        .map_err(|error| UsageError::new(error.to_string(), super::hint::SYNTAX.to_owned()))?;
    Ok(Asked::Run((matches, line.rest)))
}

pub(super) fn unexpected(argument: &OsString, command: &str) -> UsageError {
    UsageError::new(
        format!("unexpected argument {}", quoted(&argument.to_string_lossy())),
        format!("Run xray {command} --help for what there is."),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(line: &str) -> Vec<OsString> {
        line.split_whitespace().map(OsString::from).collect()
    }

    fn dev(line: &str) -> DevFlags {
        match parse_dev(&words(line)) {
            Ok(Asked::Run(flags)) => flags,
            Ok(Asked::Help(_)) => panic!("help"),
            Err(error) => panic!("{error}"),
        }
    }

    fn send(line: &str) -> SendFlags {
        match parse_send(&words(line)) {
            Ok(Asked::Run(flags)) => flags,
            Ok(Asked::Help(_)) => panic!("help"),
            Err(error) => panic!("{error}"),
        }
    }

    #[test]
    fn the_definitions_are_sound() {
        dev_command().debug_assert();
        send_command().debug_assert();
    }

    #[test]
    fn flags_are_read_in_the_daemons_spellings() {
        let flags =
            dev("--tree -b=:1 --bind-tcp 127.0.0.1:2 -store x.traces -max-traces 0x10 --log-format json");
        assert!(flags.tree.unwrap().value);
        assert_eq!(flags.udp_address.unwrap().value, ":1");
        assert_eq!(flags.tcp_address.unwrap().value, "127.0.0.1:2");
        assert_eq!(flags.store.unwrap().value, PathBuf::from("x.traces"));
        assert_eq!(flags.max_traces.unwrap().value, 16);
        assert_eq!(flags.log_format.unwrap().value, LogFormat::Json);
        assert_eq!(dev(""), DevFlags::default());
        let sampling = |line: &str| dev(line).sampling.unwrap().value;
        assert_eq!(
            [sampling("--sampling aws"), sampling("-sampling=ALL")],
            [Sampling::Aws, Sampling::All]
        );
        assert!(dev("--print-config").print_config);
    }

    #[test]
    fn the_daemons_flags_about_aws_are_taken_without_effect() {
        for line in [
            "-o",
            "--local-mode",
            "-o=false",
            "-n eu-west-1",
            "--region=eu-west-1 -o",
            "-n ''",
        ] {
            assert_eq!(dev(line), DevFlags::default(), "{line}");
        }
        assert_eq!(dev("-o -b :1 -n x").udp_address.unwrap().value, ":1");
    }

    #[test]
    fn an_unknown_flag_is_told_what_dev_has() {
        for (line, hint) in [
            ("--nope", "Run xray dev --help for the flags there are."),
            ("--local-modus-x", "Run xray dev --help for the flags there are."),
            (
                "--tre",
                "Did you mean --tree? Run xray dev --help for the flags there are.",
            ),
            (
                "-r=x",
                "That flag is the daemon's; xray dev does without: leave it out. Run xray dev --help for the flags \
                 there are.",
            ),
            (
                "--no-tcp",
                "That flag is the daemon's; xray dev does without: leave it out. Run xray dev --help for the flags \
                 there are.",
            ),
            (
                "-b:2000",
                "A value stands apart from its flag: -b :2000, or -b=:2000.",
            ),
            (
                "-neu-west-1",
                "A value stands apart from its flag: -n eu-west-1, or -n=eu-west-1.",
            ),
        ] {
            match parse_dev(&words(line)) {
                Err(error) => assert_eq!(error.hint(), hint, "{line}"),
                Ok(_) => panic!("{line} was understood"),
            }
        }
    }

    #[test]
    fn what_is_not_understood_is_refused() {
        for line in [
            "extra",
            "--nope",
            "--tree -- x",
            "-m x",
            "--store",
            "--sampling some",
        ] {
            assert!(parse_dev(&words(line)).is_err(), "{line}");
        }
        assert!(
            matches!(parse_dev(&words("--help")), Ok(Asked::Help(text)) if text.contains("--sampling-rules"))
        );
    }

    #[test]
    fn the_file_to_send_may_stand_anywhere() {
        let wanted = SendFlags {
            to: Some("a:1".to_owned()),
            file: Some(PathBuf::from("f.json")),
        };
        assert_eq!(send("--to a:1 f.json"), wanted);
        assert_eq!(send("f.json --to a:1"), wanted);
        assert_eq!(send("-").file, Some(PathBuf::from("-")));
        assert_eq!(send(""), SendFlags::default());
        assert!(parse_send(&words("a b")).is_err());
    }
}
