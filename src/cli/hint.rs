//! What to do about a command line that is not right: the line under the error.

use clap::{Arg, Command};

use super::definition::{self, DEV, Kind, find, typed};
use crate::config::text::{bare, nearest, redacted};

/// For `---x` and `-=x`.
pub(super) const SYNTAX: &str = "A flag is one dash or two, then its name: -o, --local-mode, -n=eu-west-1.";

/// What was probably meant by a flag that there is not.
pub(super) fn for_unknown(command: &Command, written: &str) -> String {
    let see = format!("Run {} --help for the flags there are.", typed(command));
    if command.get_name() == DEV && find(&definition::command(), written).is_some() {
        return format!(
            "That flag is the daemon's; {} does without: leave it out. {see}",
            typed(command)
        );
    }
    if written.replace('_', "-").eq_ignore_ascii_case("otlp-headers") {
        return "Keys are no flags, since every user of the machine can read those: set OTEL_EXPORTER_OTLP_HEADERS, or Headers in \
                the section OTLP of cfg.yaml."
            .to_owned();
    }
    let names = command.get_arguments().filter_map(Arg::get_long);
    if let Some(name) = nearest(&written.replace('_', "-"), names) {
        return format!("Did you mean --{name}? {see}");
    }
    if let Some(short) = short_of_other_case(command, written) {
        return format!("Did you mean -{short}? {see}");
    }
    let mut chars = written.chars();
    let first = chars
        .next()
        .and_then(|c| find(command, c.encode_utf8(&mut [0; 4])));
    let attached = chars.as_str();
    match first {
        Some(arg) if attached.is_empty() || Kind::of(arg) == Kind::Bool => match grouped(command, written) {
            Some(apart) => format!("Each flag stands by itself: {apart}."),
            None => see,
        },
        Some(arg) if looks_like_value(attached) => {
            let short = arg.get_short().unwrap_or_default();
            // Taken apart before anything is cut or shown, so that a password in an attached URL stays hidden.
            let value = bare(&redacted(attached));
            format!("A value stands apart from its flag: -{short} {value}, or -{short}={value}.")
        }
        _ => see,
    }
}

/// Whether what follows a letter is a value (`127.0.0.1:2000`, `eu-west-1`) and not the rest of a name (`ocal-modus`).
fn looks_like_value(attached: &str) -> bool {
    !attached.starts_with(char::is_alphabetic)
        || attached.contains([':', '.', '/'])
        || attached.contains('-') && attached.contains(|c: char| c.is_ascii_digit())
}

/// The short flag that `written` is but for its case: `-B` for `-b`.
fn short_of_other_case(command: &Command, written: &str) -> Option<char> {
    let lower = written.to_lowercase();
    find(command, &lower).filter(|_| lower != written)?.get_short()
}

/// `-o -v` for `-ov`, when every letter is a switch.
fn grouped(command: &Command, written: &str) -> Option<String> {
    let letters: Option<Vec<String>> = written
        .chars()
        .map(|c| {
            find(command, c.encode_utf8(&mut [0; 4]))
                .filter(|arg| Kind::of(arg) == Kind::Bool)
                .map(|_| format!("-{c}"))
        })
        .collect();
    Some(letters?.join(" "))
}

/// How to write the value of `arg`, with the name that was used.
pub(super) fn for_value(arg: &Arg, written: &str) -> String {
    match Kind::of(arg) {
        Kind::Bool => {
            format!("-{written} is a switch: write -{written}, -{written}=true or -{written}=false.")
        }
        Kind::Int => {
            let (of_what, example) = of_number(arg);
            format!("-{written} takes a whole number{of_what}, for example -{written} {example}.")
        }
        Kind::Duration => format!(
            "-{written} takes a whole number with a unit, at most one hour: 500ms, 8s, 1m30s; without a unit it is seconds."
        ),
        Kind::LogFormat => format!("-{written} takes text or json."),
        Kind::Text | Kind::Path => match example(arg) {
            Some(example) => format!("-{written} takes a value, for example -{written} {example}."),
            None => format!("-{written} takes a value."),
        },
    }
}

/// Of what a number of that flag is, and one that it may be.
fn of_number(arg: &Arg) -> (&'static str, &'static str) {
    match arg.get_id().as_str() {
        "limit" => (" of traces, 1000 at most", "100"),
        "max-traces" => (" of traces", "10000"),
        _ => (" of MB", "100"),
    }
}

/// A value that the flag may have.
fn example(arg: &Arg) -> Option<&'static str> {
    Some(match arg.get_id().as_str() {
        "resource-arn" => "arn:aws:ec2:eu-west-1:123456789012:instance/i-0abc",
        "role-arn" => "arn:aws:iam::123456789012:role/xray",
        "region" => "eu-west-1",
        "bind" | "bind-tcp" => "0.0.0.0:2000",
        // Where a daemon is, and where the page of `xray dev` is.
        "to" | "from" => "127.0.0.1:2000",
        "config" => "/etc/amazon/xray/cfg.yaml",
        "log-file" => "/var/log/xray/xray.log",
        "log-level" => "debug",
        "spool-dir" => "/var/spool/xray",
        "proxy-address" => "http://proxy.example.com:3128",
        "proxy-allow" => "/TraceSummaries",
        "allow-host" => "xray.example.com",
        "otlp-listen" => "127.0.0.1:4318",
        "otlp-allow-origin" => "https://app.example.com",
        "otlp-endpoint" => "https://otlp.example.com",
        "segments-to" => "xray,otlp",
        "spans-to" => "otlp",
        "sampling" => "all",
        "sampling-rules" => "sampling-rules.json",
        "store" => "traces.xray",
        "open" => "traces.json",
        "tail" => "app.log",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::super::dev::send_command;
    use super::super::shipped::subcommands;
    use super::*;

    #[test]
    fn each_flag_has_an_example_of_its_own_and_a_number_says_of_what() {
        for command in [definition::command()].into_iter().chain(subcommands()) {
            for arg in command.get_arguments().filter(|arg| arg.get_long().is_some()) {
                let (name, of) = (arg.get_id(), typed(&command));
                match Kind::of(arg) {
                    Kind::Text | Kind::Path => assert!(example(arg).is_some(), "--{name} of {of}"),
                    Kind::Int => {
                        let is_mb = arg.get_value_names().is_some_and(|names| names == ["MB"]);
                        assert_eq!(of_number(arg).0 == " of MB", is_mb, "--{name} of {of}");
                    }
                    _ => {}
                }
            }
        }
        let to = send_command();
        let to = find(&to, "to").unwrap();
        assert_eq!(
            for_value(to, "to"),
            "-to takes a value, for example -to 127.0.0.1:2000."
        );
    }
}
