//! The command line: the official daemon's flags in every spelling that Go's flag package takes, and a few of our own.
//!
//! A [`clap::Command`] is the one definition of the flags, their kinds and help texts (`definition`). Before clap
//! sees an argument, a front end reads it as Go does (`front`): drop-in means that `-bind=:2000`, `--b :2000` and
//! `-m 0x10` go on working, and that what stands after the first argument that is no flag is not an error. Messages
//! begin with the official daemon's words; the line under them says what to do (`hint`).
//!
//! Nothing here reads a file or the environment, so that `--version` and `--help` answer whatever state those are in.
//! A subcommand, when there is one, is recognised by the first argument being exactly its name, before any flag is
//! read: the official daemon ignores such an argument.

mod ask;
mod definition;
mod dev;
mod front;
mod hint;
mod ignored;
mod process;
#[cfg(test)]
mod shipped;
mod variables;

use std::ffi::OsString;

use clap::{ArgAction, ArgMatches};

use crate::config::{Flags, Sourced};
pub use ask::{TraceFlags, TracesFlags};
pub use dev::{DevFlags, Sampling, SendFlags};
pub use process::of_process_one;
pub use variables::{dev_with_environment, with_environment};

use definition::{Kind, command};
use dev::Asked;
use front::{Given, StoppedAt};

/// What a command line asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Invocation {
    /// Run the daemon.
    Run(Flags),
    /// Ask the daemon that runs with these flags how it is: `xray healthcheck`.
    HealthCheck {
        /// The flags of that daemon.
        flags: Flags,
        /// `--ready`: whether it can do its work, not only whether it answers.
        ready: bool,
    },
    /// Say why there are no traces: `xray doctor`.
    Doctor(DoctorFlags),
    /// Run the daemon with X-Ray built in: `xray dev`, or show its settings.
    Dev(DevFlags),
    /// Show the settings that the daemon would run with, and where each comes from: `--print-config`.
    PrintConfig(Flags),
    /// Send one segment: `xray send`.
    Send(SendFlags),
    /// List traces of a running `xray dev`: `xray traces`.
    Traces(TracesFlags),
    /// Show one of them: `xray trace`.
    Trace(TraceFlags),
    /// Print this text, which ends in a newline, to stdout and exit 0.
    Print(String),
}

/// What `xray doctor` is to look at, and how it tells.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct DoctorFlags {
    /// The flags of the daemon.
    pub flags: Flags,
    /// `--json`.
    pub json: bool,
    /// `--no-calls`: no signed call to X-Ray.
    pub no_calls: bool,
}

/// A command line that cannot be run: exit code 2, this on stderr, [`UsageError::help`] on stdout, as the official
/// daemon does.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}\n{hint}")]
pub struct UsageError {
    message: String,
    hint: String,
    help: String,
    in_health_check: bool,
}

impl UsageError {
    fn new(message: String, hint: String) -> Self {
        Self {
            message,
            hint,
            help: String::new(),
            in_health_check: false,
        }
    }

    /// With the help text of the command that was meant.
    fn in_command(self, command: &clap::Command) -> Self {
        Self {
            help: help_of(command),
            in_health_check: command.get_name() == definition::HEALTH_CHECK,
            ..self
        }
    }

    /// Whether it was to be a health check. Those say one line on stdout and exit 1, since container platforms know
    /// no other exit code.
    #[must_use]
    pub fn is_of_health_check(&self) -> bool {
        self.in_health_check
    }

    /// What was wrong, in the official daemon's words, on one line.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.message
    }

    /// What to do, on one line.
    #[must_use]
    pub fn hint(&self) -> &str {
        &self.hint
    }

    /// The help text of the command, or of the subcommand, that it was to be.
    #[must_use]
    pub fn help(&self) -> &str {
        &self.help
    }
}

/// The help text.
#[must_use]
pub fn help() -> String {
    help_of(&command())
}

fn help_of(command: &clap::Command) -> String {
    command.clone().render_help().to_string()
}

/// The line that `--version` prints, in the official daemon's form.
#[must_use]
pub fn version() -> String {
    format!("AWS X-Ray daemon version: {}\n", env!("CARGO_PKG_VERSION"))
}

/// Reads a command line, without the program's name.
///
/// # Errors
/// When a flag is unknown, or its value missing or not of its kind.
pub fn parse(args: impl IntoIterator<Item = OsString>) -> Result<Invocation, UsageError> {
    let arguments: Vec<OsString> = args.into_iter().collect();
    match arguments.split_first() {
        Some((first, rest)) if first == definition::HEALTH_CHECK => {
            parse_with(definition::health_check(), rest)
        }
        Some((first, rest)) if first == definition::DOCTOR => parse_with(definition::doctor(), rest),
        Some((first, rest)) if first == definition::DEV => {
            let asked = dev::parse_dev(rest).map_err(|error| error.in_command(&dev::dev_command()))?;
            Ok(match asked {
                Asked::Run(flags) => Invocation::Dev(flags),
                Asked::Help(text) => Invocation::Print(text),
            })
        }
        Some((first, rest)) if first == definition::SEND => {
            let asked = dev::parse_send(rest).map_err(|error| error.in_command(&dev::send_command()))?;
            Ok(match asked {
                Asked::Run(flags) => Invocation::Send(flags),
                Asked::Help(text) => Invocation::Print(text),
            })
        }
        Some((first, rest)) if first == definition::TRACES => {
            let asked = ask::parse_traces(rest).map_err(|error| error.in_command(&ask::traces_command()))?;
            Ok(match asked {
                Asked::Run(flags) => Invocation::Traces(flags),
                Asked::Help(text) => Invocation::Print(text),
            })
        }
        Some((first, rest)) if first == definition::TRACE => {
            let asked = ask::parse_trace(rest).map_err(|error| error.in_command(&ask::trace_command()))?;
            Ok(match asked {
                Asked::Run(flags) => Invocation::Trace(flags),
                Asked::Help(text) => Invocation::Print(text),
            })
        }
        _ => parse_with(command(), &arguments),
    }
}

fn parse_with(command: clap::Command, arguments: &[OsString]) -> Result<Invocation, UsageError> {
    let line = front::read(&command, arguments).map_err(|error| error.in_command(&command))?;
    if line.stop == StoppedAt::Help {
        return Ok(Invocation::Print(help_of(&command)));
    }
    let warnings = ignored::warnings(&command, &line);
    let canonical = canonical(&command, &line.given);
    let name = command.get_name().to_owned();
    let matches = command
        .clone()
        .try_get_matches_from(canonical)
        // The front end has checked every name and value, so clap has nothing left to refuse.
        .map_err(|error| UsageError::new(error.to_string(), hint::SYNTAX.to_owned()).in_command(&command))?;
    if matches.get_flag("version") {
        return Ok(Invocation::Print(version()));
    }
    let flags = Flags {
        ignored: line.rest,
        warnings,
        ..flags(&matches, &|id| flag(&command, id))
    };
    if matches.get_one("print-config").copied().unwrap_or_default() {
        return Ok(Invocation::PrintConfig(flags));
    }
    let is_on = |id| matches.get_one(id).copied().unwrap_or_default();
    if name == definition::HEALTH_CHECK {
        let ready = is_on("ready");
        return Ok(Invocation::HealthCheck { flags, ready });
    }
    if name == definition::DOCTOR {
        return Ok(Invocation::Doctor(DoctorFlags {
            flags,
            json: is_on("json"),
            no_calls: is_on("no-calls"),
        }));
    }
    Ok(Invocation::Run(flags))
}

/// The settings that clap found, each with the source that `source` makes of its flag's long name.
fn flags(matches: &ArgMatches, source: &dyn Fn(&str) -> String) -> Flags {
    Flags {
        resource_arn: sourced(matches, "resource-arn", source),
        local_mode: sourced(matches, "local-mode", source),
        buffer_memory_mb: sourced(matches, "buffer-memory", source),
        region: sourced(matches, "region", source),
        udp_address: sourced(matches, "bind", source),
        tcp_address: sourced(matches, "bind-tcp", source),
        role_arn: sourced(matches, "role-arn", source),
        config_file: sourced(matches, "config", source),
        log_file: sourced(matches, "log-file", source),
        log_level: sourced(matches, "log-level", source),
        proxy_address: sourced(matches, "proxy-address", source),
        log_format: sourced(matches, "log-format", source),
        connect_timeout: sourced(matches, "connect-timeout", source),
        call_timeout: sourced(matches, "call-timeout", source),
        spool_directory: sourced(matches, "spool-dir", source),
        spool_size_mb: sourced(matches, "spool-size", source),
        shutdown_timeout: sourced(matches, "shutdown-timeout", source),
        no_tcp: sourced(matches, "no-tcp", source),
        proxy_allow: all_sourced(matches, "proxy-allow", source),
        allow_host: all_sourced(matches, "allow-host", source),
        no_telemetry: sourced(matches, "no-telemetry", source),
        otlp_listen: all_sourced(matches, "otlp-listen", source),
        otlp_allow_origin: all_sourced(matches, "otlp-allow-origin", source),
        otlp_endpoint: sourced(matches, "otlp-endpoint", source),
        segments_to: sourced(matches, "segments-to", source),
        spans_to: sourced(matches, "spans-to", source),
        otlp_compression: sourced(matches, "otlp-compression", source),
        otlp_service_name: sourced(matches, "otlp-service-name", source),
        otlp_xray: sourced(matches, "otlp-xray", source),
        endpoint: sourced(matches, "endpoint", source),
        concurrency: sourced(matches, "concurrency", source),
        no_verify_ssl: sourced(matches, "no-verify-ssl", source),
        log_rotation: sourced(matches, "log-rotation", source),
        ignored: Vec::new(),
        warnings: Vec::new(),
    }
}

/// A flag as messages name it, by its short name if it has one: `flag -n`, `flag --spool-dir`.
fn flag(command: &clap::Command, id: &str) -> String {
    match definition::find(command, id).and_then(clap::Arg::get_short) {
        Some(short) => format!("flag -{short}"),
        None => format!("flag --{id}"),
    }
}

/// The last value of each flag, or all of one that may be repeated, in the one spelling that clap shall see:
/// `--name=value`.
fn canonical(command: &clap::Command, given: &[Given]) -> Vec<OsString> {
    let mut arguments = vec![OsString::from(definition::PROGRAM)];
    for arg in command.get_arguments() {
        let counting = match arg.get_action() {
            ArgAction::Append => usize::MAX,
            _ => 1,
        };
        let of_arg = given
            .iter()
            .rev()
            .filter(|given| arg.get_id() == given.id.as_str());
        let last: Vec<&Given> = of_arg.take(counting).collect();
        for given in last.into_iter().rev() {
            let mut argument = OsString::from(format!("--{}", given.id));
            if Kind::of(arg) != Kind::Bool || arg.get_action().takes_values() {
                argument.push("=");
                argument.push(&given.value);
            } else if given.value.to_str().and_then(crate::config::golang::parse_bool) != Some(true) {
                // `-v=false`: as if not given.
                continue;
            }
            arguments.push(argument);
        }
    }
    arguments
}

fn all_sourced<T: Clone + Send + Sync + 'static>(
    matches: &ArgMatches,
    id: &str,
    source: &dyn Fn(&str) -> String,
) -> Vec<Sourced<T>> {
    let values = matches.get_many::<T>(id).into_iter().flatten();
    let sourced = |value: &T| Sourced {
        value: value.clone(),
        source: source(id),
    };
    values.map(sourced).collect()
}

/// `None` too where there is no `id`: some settings have a variable and no flag.
fn sourced<T: Clone + Send + Sync + 'static>(
    matches: &ArgMatches,
    id: &str,
    source: &dyn Fn(&str) -> String,
) -> Option<Sourced<T>> {
    let value = matches.try_get_one::<T>(id).ok().flatten()?;
    Some(Sourced {
        value: value.clone(),
        source: source(id),
    })
}
