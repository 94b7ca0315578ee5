//! Settings by environment variables, for platforms where those are the interface: `XRAY_` and the long name of the flag
//! in capitals, `XRAY_SPOOL_DIR` for `--spool-dir`.
//!
//! Settings that have a key in the file and no flag have one too ([`settings_without_flag`]), and so have the flags of
//! `xray dev`. A variable goes over the file, and a flag over the variable. Values are written as after the flag; of a flag that may
//! be repeated, several are parted by commas. An empty variable counts as not set, as everywhere.

use clap::{Arg, ArgAction, ArgMatches, Command};

use super::definition::{self, Kind, int_value, switch, text_value, value};
use super::dev::{self, DevFlags};
use super::front::Given;
use super::{canonical, hint};
use crate::config::golang::NumberError;
use crate::config::text::{bare, nearest, quoted};
use crate::config::{ConfigError, Environment, Flags, Warning};

/// What every variable of ours begins with.
const PREFIX: &str = "XRAY_";

/// None of ours, and known: the official daemon's own, which are answered elsewhere, and the one from which the unit for
/// systemd makes arguments.
const OTHERS: [&str; 3] = [
    "XRAY_DAEMON_CPU_PROFILE",
    "XRAY_DAEMON_MEMORY_PROFILE",
    "XRAY_OPTIONS",
];

/// `flags` over what `environment` sets. A variable that looks like one of ours and is none is a warning.
///
/// # Errors
/// A line for every variable with a value that its flag does not take.
pub fn with_environment(flags: Flags, environment: &Environment) -> Result<Flags, ConfigError> {
    let command = command();
    let matches = read(&command, environment)?;
    let mut flags = flags.over(super::flags(&matches, &variable));
    flags
        .warnings
        .extend(unknown(&command, &dev::dev_command(), environment));
    Ok(flags)
}

/// As [`with_environment`], for `xray dev`, whose settings are those of its own flags.
///
/// # Errors
/// As there.
pub fn dev_with_environment(flags: DevFlags, environment: &Environment) -> Result<DevFlags, ConfigError> {
    let command = dev::dev_command();
    let matches = read(&command, environment)?;
    let mut flags = flags.over(dev::flags(&matches, &variable));
    flags
        .warnings
        .extend(unknown(&command, &self::command(), environment));
    Ok(flags)
}

/// The daemon's flags, and [`settings_without_flag`].
fn command() -> Command {
    definition::command().args(settings_without_flag())
}

/// What the file has a key for, and the command line, as the official daemon's, no flag.
fn settings_without_flag() -> [Arg; 7] {
    [
        text_value("endpoint", "URL"),
        value("concurrency", "N", int_value),
        switch("no-verify-ssl"),
        switch("log-rotation"),
        text_value("otlp-compression", "NAME"),
        text_value("otlp-service-name", "NAME"),
        text_value("otlp-xray", "FORM"),
    ]
}

/// What the variables of `command` say.
fn read(command: &Command, environment: &Environment) -> Result<ArgMatches, ConfigError> {
    let mut given = Vec::new();
    let mut problems = Vec::new();
    for arg in settings(command) {
        match given_by(command, arg, environment) {
            Ok(values) => given.extend(values),
            Err(problem) => problems.push(problem),
        }
    }
    if !problems.is_empty() {
        return Err(ConfigError::of(problems));
    }
    // Each was taken by itself, so clap has nothing left to refuse.
    matches(command, &given).map_err(|error| ConfigError::of(vec![bare(&error.to_string())]))
}

fn matches(command: &Command, given: &[Given]) -> Result<ArgMatches, clap::Error> {
    command.clone().try_get_matches_from(canonical(command, given))
}

/// The flags that set something.
fn settings(command: &Command) -> impl Iterator<Item = &Arg> {
    let only_flags = ["help", "version", "print-config"];
    command
        .get_arguments()
        .filter(move |arg| !only_flags.contains(&arg.get_id().as_str()))
}

/// The variable for a flag of this long name.
fn variable(long: &str) -> String {
    format!("{PREFIX}{}", long.to_ascii_uppercase().replace('-', "_"))
}

/// The values of the variable for `arg`, none when it is not set.
fn given_by(command: &Command, arg: &Arg, environment: &Environment) -> Result<Vec<Given>, String> {
    let id = arg.get_id().as_str();
    let name = variable(id);
    let Some(text) = environment.get(&name) else {
        return Ok(Vec::new());
    };
    let values: Vec<&str> = match arg.get_action() {
        ArgAction::Append => text
            .split(',')
            .map(str::trim)
            .filter(|part| !part.is_empty())
            .collect(),
        _ => vec![text],
    };
    let kind = Kind::of(arg);
    let given = |value: &str| {
        let given = Given {
            id: id.to_owned(),
            written: id.to_owned(),
            value: value.into(),
            value_apart: false,
            arguments: 0..0,
        };
        // What is of no kind by itself, clap refuses: the rule of --sampling.
        let reason = kind.refuses(value).or_else(|| {
            let is_taken = matches(command, std::slice::from_ref(&given)).is_ok();
            (!is_taken).then_some(NumberError::Syntax.text())
        });
        let Some(reason) = reason else {
            return Ok(given);
        };
        let remedy = match (kind, id) {
            (Kind::Bool, _) => "Write true or false.".to_owned(),
            (_, "concurrency") => "Write a whole number.".to_owned(),
            (_, "sampling") => "Write all or aws.".to_owned(),
            _ => format!("It is what --{id} takes: {}", hint::for_value(arg, id)),
        };
        Err(format!(
            "{name}: invalid value {}: {reason}. {remedy}",
            quoted(value)
        ))
    };
    values.into_iter().map(given).collect()
}

/// A warning for each variable with our beginning that is none of ours: not of `command`, and not of `other`, which may
/// share an environment with it.
fn unknown(command: &Command, other: &Command, environment: &Environment) -> Vec<Warning> {
    let variables_of = |command: &Command| -> Vec<String> {
        settings(command)
            .map(|arg| variable(arg.get_id().as_str()))
            .collect()
    };
    let (known, of_other) = (variables_of(command), variables_of(other));
    let is_unknown = |name: &&String| {
        name.starts_with(PREFIX)
            && environment.get(name).is_some()
            && !known.contains(name)
            && !of_other.contains(name)
            && !OTHERS.contains(&name.as_str())
            && !is_of_a_service(name)
    };
    let warning = |name: &String| {
        // Without the beginning, which is right in any case and must not count.
        let rest = |name: &str| name.strip_prefix(PREFIX).unwrap_or_default().to_owned();
        let known: Vec<String> = known.iter().map(|name| rest(name)).collect();
        let meant = match nearest(&rest(name), known.iter().map(String::as_str)) {
            Some(near) => format!("Did you mean {PREFIX}{near}?"),
            None => format!("They are {PREFIX} and the long name of a flag in capitals; see --help."),
        };
        let name = bare(name);
        let text = format!("{name} is no setting of this daemon. {meant}");
        Warning::at(&name, text)
    };
    environment.0.keys().filter(is_unknown).map(warning).collect()
}

/// Whether Kubernetes sets it in every container beside a service called `xray` or `xray-…`: `XRAY_SERVICE_HOST`,
/// `XRAY_PORT_2000_UDP_ADDR`.
fn is_of_a_service(name: &str) -> bool {
    name.ends_with("_SERVICE_HOST")
        || name.contains("_SERVICE_PORT")
        || name.ends_with("_PORT")
        || name
            .split_once("_PORT_")
            .is_some_and(|(_, port)| port.starts_with(|c: char| c.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::{Invocation, Sampling, parse};
    use crate::config::Sourced;

    fn environment(variables: &[(&str, &str)]) -> Environment {
        let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        Environment(variables.iter().map(owned).collect())
    }

    fn by(source: &str, value: &str) -> Option<Sourced<String>> {
        let (value, source) = (value.to_owned(), source.to_owned());
        Some(Sourced { value, source })
    }

    #[test]
    fn every_setting_with_a_flag_has_a_variable_that_sets_it() {
        let command = command();
        for arg in settings(&command) {
            let value = match Kind::of(arg) {
                Kind::Bool => "true",
                Kind::Int => "16",
                Kind::Duration => "1m30s",
                Kind::LogFormat => "json",
                Kind::Text | Kind::Path => "text",
            };
            let name = variable(arg.get_id().as_str());
            let set = with_environment(Flags::default(), &environment(&[(&name, value)])).unwrap();
            assert!(!set.are_none(), "{name}");
            assert_eq!(set.warnings, [""; 0], "{name}");
        }
    }

    #[test]
    fn a_flag_goes_over_its_variable_and_an_empty_variable_is_none() {
        let flags = || Flags {
            region: by("flag -n", "eu-west-1"),
            udp_address: by("flag -b", ""),
            ..Flags::default()
        };
        let variables = environment(&[
            ("XRAY_REGION", "us-east-1"),
            ("XRAY_BIND", ":1"),
            ("XRAY_BIND_TCP", ""),
            ("XRAY_ALLOW_HOST", "a.example, .b.example,"),
        ]);
        let set = with_environment(flags(), &variables).unwrap();
        assert_eq!(set.region, by("flag -n", "eu-west-1"));
        assert_eq!(
            set.udp_address,
            by("XRAY_BIND", ":1"),
            "an empty -b counts as not given"
        );
        assert_eq!(set.tcp_address, None);
        let hosts: Vec<&str> = set.allow_host.iter().map(|host| host.value.as_str()).collect();
        assert_eq!(hosts, ["a.example", ".b.example"]);
    }

    #[test]
    fn a_value_that_its_flag_does_not_take_is_a_problem_with_the_name_of_the_variable() {
        let variables = environment(&[
            ("XRAY_BUFFER_MEMORY", "much"),
            ("XRAY_CALL_TIMEOUT", "2h"),
            ("XRAY_NO_TCP", "yes"),
        ]);
        let error = with_environment(Flags::default(), &variables).unwrap_err();
        let problems = error.problems();
        assert_eq!(
            problems[0],
            "XRAY_BUFFER_MEMORY: invalid value \"much\": parse error. It is what --buffer-memory takes: -buffer-memory takes \
             a whole number of MB, for example -buffer-memory 100."
        );
        assert!(problems[1].starts_with("XRAY_CALL_TIMEOUT: invalid value \"2h\": parse error. "));
        assert_eq!(
            problems[2],
            "XRAY_NO_TCP: invalid value \"yes\": parse error. Write true or false."
        );
        assert_eq!(problems.len(), 3);
    }

    #[test]
    fn a_variable_that_is_none_of_ours_is_warned_about_but_for_those_of_a_service() {
        let variables = environment(&[
            ("XRAY_REGOIN", "x"),
            ("XRAY_PURPLE", "x"),
            ("XRAY_PRINT_CONFIG", "x"),
            // Nearer to XRAY_REGION than a third of its letters, but for those of XRAY_.
            ("XRAY_VERSION", "x"),
            ("XRAY_DAEMON_CPU_PROFILE", "x"),
            ("XRAY_OPTIONS", "-o"),
            ("XRAY_SERVICE_HOST", "10.0.0.1"),
            ("XRAY_SERVICE_PORT_UDP", "2000"),
            ("XRAY_PORT", "udp://10.0.0.1:2000"),
            ("XRAY_DAEMON_PORT_2000_UDP_ADDR", "10.0.0.1"),
            ("AWS_XRAY_DAEMON_ADDRESS", "x"),
            ("XRAY_EMPTY", ""),
            // Of the service file, and of `xray dev`.
            ("XRAY_OPTIONS", "-o"),
            ("XRAY_STORE", "x"),
        ]);
        let set = with_environment(Flags::default(), &variables).unwrap();
        let by_rule = "is no setting of this daemon. They are XRAY_ and the long name of a flag in capitals; see --help.";
        assert_eq!(
            set.warnings,
            [
                &*format!("XRAY_PRINT_CONFIG {by_rule}"),
                &*format!("XRAY_PURPLE {by_rule}"),
                "XRAY_REGOIN is no setting of this daemon. Did you mean XRAY_REGION?",
                &*format!("XRAY_VERSION {by_rule}"),
            ]
        );
        assert!(set.are_none());
    }

    #[test]
    fn what_the_file_has_a_key_for_and_no_flag_has_a_variable_too() {
        let variables = environment(&[
            ("XRAY_ENDPOINT", "http://localhost:1"),
            ("XRAY_CONCURRENCY", "3"),
            ("XRAY_NO_VERIFY_SSL", "true"),
            ("XRAY_LOG_ROTATION", "false"),
        ]);
        let set = with_environment(Flags::default(), &variables).unwrap();
        assert_eq!(set.endpoint, by("XRAY_ENDPOINT", "http://localhost:1"));
        assert_eq!(set.concurrency.unwrap().value, 3);
        assert_eq!(set.no_verify_ssl.unwrap().source, "XRAY_NO_VERIFY_SSL");
        assert!(!set.log_rotation.unwrap().value);
        let wrong = environment(&[("XRAY_CONCURRENCY", "many")]);
        assert_eq!(
            with_environment(Flags::default(), &wrong).unwrap_err().problems(),
            ["XRAY_CONCURRENCY: invalid value \"many\": parse error. Write a whole number."]
        );
    }

    #[test]
    fn an_address_that_a_flag_hides_is_told() {
        let flags = Flags {
            udp_address: by("flag -b", ":1"),
            tcp_address: by("flag -t", ":2"),
            ..Flags::default()
        };
        let variables = environment(&[("XRAY_BIND", ":3"), ("XRAY_BIND_TCP", ":2")]);
        let set = with_environment(flags, &variables).unwrap();
        assert_eq!(set.udp_address, by("flag -b", ":1"));
        assert_eq!(
            set.warnings,
            ["flag -b goes over XRAY_BIND: listening on \":1\", not on \":3\"."]
        );
    }

    #[test]
    fn xray_dev_has_variables_of_its_own() {
        let with = |arguments: &[&str], variables: &[(&str, &str)]| {
            let arguments = ["dev"].iter().chain(arguments).map(Into::into);
            let Ok(Invocation::Dev(flags)) = parse(arguments) else {
                panic!("it does not run")
            };
            dev_with_environment(flags, &environment(variables))
        };
        let variables = [
            ("XRAY_TREE", "true"),
            ("XRAY_SAMPLING", "aws"),
            ("XRAY_STORE", "traces"),
            ("XRAY_MAX_TRACES", "7"),
            ("XRAY_ROLE_ARN", "of the daemon"),
            ("XRAY_STROE", "x"),
        ];
        let flags = with(&["--tree=false", "-b", ":1"], &variables).unwrap();
        assert_eq!(flags.tree.unwrap().source, "flag --tree");
        assert_eq!(flags.sampling.unwrap().value, Sampling::Aws);
        let store = flags.store.unwrap();
        assert_eq!(
            (store.value, store.source),
            ("traces".into(), "XRAY_STORE".to_owned())
        );
        assert_eq!(flags.max_traces.unwrap().source, "XRAY_MAX_TRACES");
        assert_eq!(flags.udp_address, by("flag -b", ":1"));
        assert_eq!(
            flags.warnings,
            ["XRAY_STROE is no setting of this daemon. Did you mean XRAY_STORE?"]
        );
        assert_eq!(
            with(&[], &[("XRAY_SAMPLING", "some")]).unwrap_err().problems(),
            ["XRAY_SAMPLING: invalid value \"some\": parse error. Write all or aws."]
        );
    }
}
