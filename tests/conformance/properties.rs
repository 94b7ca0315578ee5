//! What holds for every command line and every file.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt as _;

use proptest::prelude::*;
use xray::cli::{Invocation, parse};
use xray::config::Flags;
use xray::config::{Environment, load};

use crate::support::Bytes;

/// Pieces of which command lines are made, so that chance finds more than unknown flags.
const ARGUMENTS: &[&str] = &[
    "-",
    "--",
    "-o",
    "-b",
    "-n",
    "-m",
    "-c",
    "-l",
    "-p",
    "-v",
    "-h",
    "--bind",
    "-bind-tcp",
    "--log-format",
    "--shutdown-timeout",
    "=",
    "-o=",
    "-m=",
    "-x=y",
    "---",
    "-=",
    "1",
    "0x",
    "true",
    "false",
    "debug",
    "xray",
    "xray -o -b xray-daemon:2000",
    "http://u:p@h:1",
    ":2000",
    "",
];

fn argument() -> impl Strategy<Value = OsString> {
    prop_oneof![
        3 => proptest::sample::select(ARGUMENTS).prop_map(OsString::from),
        2 => (proptest::sample::select(ARGUMENTS), "\\PC{0,8}").prop_map(|(a, b)| OsString::from(format!("{a}{b}"))),
        1 => proptest::collection::vec(any::<u8>(), 0..12).prop_map(OsString::from_vec),
    ]
}

/// Pieces of which files are made.
const LINES: &[&str] = &[
    "Version: 2\n",
    "Version",
    ": ",
    "\n",
    "  ",
    "\t",
    "Socket:\n",
    "  UDPAddress: ",
    "Region: ",
    "Logging: ",
    "Endpoint: http://x\n",
    "Concurrency: ",
    "-1",
    "1e9",
    "0x10",
    "yes",
    "~",
    "[",
    "]",
    "{",
    "}",
    ",",
    "- ",
    "? ",
    "&a ",
    "*a",
    "<<: ",
    "!!str ",
    "!!int ",
    "! ",
    "\"",
    "'",
    "|\n",
    ">\n",
    "#",
    "---\n",
    "...\n",
    "%YAML 1.1\n",
    "\r\n",
    "\u{feff}",
    "\\",
    "é",
    "\0",
    "proxyserver: ",
    "MemoryLimit: 5\n",
    "ProxyAllow: ",
    "AllowHost:\n",
    "/Traces",
    "OTLP:\n",
    "  Headers:\n",
    "    x-key: ",
    "${env:A}",
    "  Endpoint: ",
    "http://a.example",
    "  SpansTo: [otlp, xray]\n",
    "  Listen: 127.0.0.1:4318\n",
];

fn file() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        4 => proptest::collection::vec(proptest::sample::select(LINES), 0..40)
            .prop_map(|pieces| pieces.concat().into_bytes()),
        1 => proptest::collection::vec(any::<u8>(), 0..200),
        1 => "\\PC{0,100}".prop_map(String::into_bytes),
    ]
}

/// The flags whose value is a text, short and long.
const TEXT_FLAGS: &[(&str, &str)] = &[
    ("a", "resource-arn"),
    ("n", "region"),
    ("b", "bind"),
    ("t", "bind-tcp"),
    ("r", "role-arn"),
    ("c", "config"),
    ("f", "log-file"),
    ("l", "log-level"),
    ("p", "proxy-address"),
    ("", "otlp-endpoint"),
    ("", "segments-to"),
    ("", "spans-to"),
];

/// One flag: its names, a value, and the same value in another notation, which only some kinds have.
fn flag() -> impl Strategy<Value = (&'static str, &'static str, String, String)> {
    let text = "[a-z0-9:/._=-]{0,12}";
    prop_oneof![
        6 => (proptest::sample::select(TEXT_FLAGS), text).prop_map(|((s, l), v)| (s, l, v.clone(), v)),
        1 => any::<i64>().prop_map(|n| {
            let sign = if n < 0 { "-" } else { "+" };
            ("m", "buffer-memory", n.to_string(), format!("{sign}{:#x}", n.unsigned_abs()))
        }),
        1 => proptest::sample::select(&[("true", "T"), ("false", "0"), ("1", "TRUE"), ("f", "False")][..])
            .prop_map(|(a, b)| ("o", "local-mode", a.to_owned(), b.to_owned())),
        1 => (proptest::sample::select(&["connect-timeout", "call-timeout"][..]), 0..3600_u32)
            .prop_map(|(long, n)| ("", long, n.to_string(), format!("{n}s"))),
        1 => "[a-z/]{0,9}".prop_map(|v| ("", "spool-dir", v.clone(), v)),
        1 => (0..9999_i64).prop_map(|n| ("", "spool-size", n.to_string(), format!("{n:#x}"))),
        1 => (0..3600_u32).prop_map(|n| ("", "shutdown-timeout", n.to_string(), format!("{n}s"))),
        1 => proptest::sample::select(&["text", "json"][..])
            .prop_map(|v| ("", "log-format", v.to_owned(), v.to_owned())),
    ]
}

/// The arguments for one flag in one of Go's spellings.
fn spelled(flag: &(&str, &str, String, String), spelling: u8) -> Vec<OsString> {
    let (short, long, value, other_value) = flag;
    let dashes = if spelling & 1 == 0 { "-" } else { "--" };
    let name = if spelling & 2 == 0 && !short.is_empty() {
        short
    } else {
        long
    };
    let value = if spelling & 4 == 0 { value } else { other_value };
    let is_switch = *long == "local-mode";
    if is_switch && spelling & 8 == 0 && matches!(value.as_str(), "true" | "T" | "TRUE" | "1") {
        vec![format!("{dashes}{name}").into()]
    } else if is_switch || spelling & 8 == 0 {
        vec![format!("{dashes}{name}={value}").into()]
    } else {
        vec![format!("{dashes}{name}").into(), value.into()]
    }
}

/// The flags without the warnings, which quote the spelling.
fn flags(arguments: Vec<OsString>) -> Flags {
    match parse(arguments) {
        Ok(Invocation::Run(flags)) => Flags {
            warnings: Vec::new(),
            ..flags
        },
        other => panic!("{other:?}"),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_000, ..ProptestConfig::default() })]

    #[test]
    fn any_arguments_run_print_or_are_refused(
        arguments in proptest::collection::vec(argument(), 0..8),
        bytes in file(),
    ) {
        match parse(arguments) {
            Ok(Invocation::Run(flags) | Invocation::PrintConfig(flags) | Invocation::HealthCheck { flags, .. }) => {
                let _ = load(&flags, &Environment::default(), &Bytes(&bytes));
            }
            Ok(Invocation::Print(text)) => prop_assert!(text.ends_with('\n')),
            Ok(other) => prop_assert!(matches!(other, Invocation::Dev(_) | Invocation::Send(_))),
            Err(error) => {
                // Each on one line, whatever the arguments hold.
                for line in [error.message(), error.hint()] {
                    prop_assert!(!line.is_empty() && !line.contains(char::is_control), "{line:?}");
                }
            }
        }
    }

    #[test]
    fn any_file_is_read_or_refused_in_lines_of_plain_text(bytes in file(), strict: bool) {
        let arguments: &[&str] = if strict { &["-c", "x"] } else { &[] };
        let flags = flags(arguments.iter().map(OsString::from).collect());
        let said = match load(&flags, &Environment::default(), &Bytes(&bytes)) {
            Ok(config) => config.warnings.into_iter().map(|warning| warning.text).collect(),
            Err(error) => {
                prop_assert!(!error.problems().is_empty());
                error.problems().to_vec()
            }
        };
        for line in said {
            prop_assert!(!line.contains(char::is_control) && line.len() < 2_000, "{line:?}");
        }
    }

    #[test]
    fn every_spelling_of_the_same_flags_is_the_same(
        given in proptest::collection::vec((flag(), any::<u8>(), any::<u8>()), 0..8),
    ) {
        let one = given.iter().flat_map(|(flag, spelling, _)| spelled(flag, *spelling)).collect();
        let other = given.iter().flat_map(|(flag, _, spelling)| spelled(flag, *spelling)).collect();
        prop_assert_eq!(flags(one), flags(other));
    }

    #[test]
    fn the_last_of_a_repeated_flag_wins(
        (short, long) in proptest::sample::select(TEXT_FLAGS),
        values in proptest::collection::vec("[a-z0-9:]{0,8}", 1..4),
        spelling: u8,
    ) {
        let one = |value: &String| spelled(&(short, long, value.clone(), value.clone()), spelling);
        let repeated = values.iter().flat_map(one).collect();
        let last = values.last().map(one).unwrap();
        prop_assert_eq!(flags(repeated), flags(last));
    }
}
