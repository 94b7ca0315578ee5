//! Arguments in the spellings of Go's flag package, turned into settings of the flags that the definition names.
//!
//! One dash or two before short and long names alike; `-x value` or `-x=value`; switches take a value only by `=`;
//! the last one wins; reading stops at the first argument that is no flag, at `-` and after `--`.

use std::ffi::{OsStr, OsString};
use std::ops::Range;

use clap::{Arg, Command};
use clap_lex::OsStrExt as _;

use super::UsageError;
use super::definition::{Kind, find};
use super::hint;
use crate::config::text::{bare, quoted};

/// One flag as it was given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Given {
    /// The long name, which is the flag's id in the definition.
    pub(super) id: String,
    /// The name as written, without dashes.
    pub(super) written: String,
    /// The value; `true` for a switch without one.
    pub(super) value: OsString,
    /// The value was an argument of its own, not joined by `=`.
    pub(super) value_apart: bool,
    /// Which arguments it took.
    pub(super) arguments: Range<usize>,
}

/// Why reading of flags stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum StoppedAt {
    /// There was nothing left.
    End,
    /// `--`.
    Terminator,
    /// An argument that is no flag.
    NoFlag,
    /// `-h` or `--help`, in any spelling, with or without a value: Go answers it at once.
    Help,
}

/// A command line, read as far as Go reads it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Line {
    /// Every flag in order, repeated ones too.
    pub(super) given: Vec<Given>,
    /// Why reading stopped.
    pub(super) stop: StoppedAt,
    /// What was not read.
    pub(super) rest: Vec<OsString>,
}

/// The name of a flag in an argument such as `-name` or `--name=value`; `None` when the argument is no flag.
///
/// `Err` when it looks like a flag and cannot be one: `---x`, `-=x`.
fn split(argument: &OsStr) -> Result<Option<(&OsStr, Option<&OsStr>)>, ()> {
    let Some(after_one) = argument.strip_prefix("-") else {
        return Ok(None);
    };
    if after_one.is_empty() {
        return Ok(None);
    }
    let body = after_one.strip_prefix("-").unwrap_or(after_one);
    if body.is_empty() || body.starts_with("-") || body.starts_with("=") {
        return Err(());
    }
    Ok(Some(match body.split_once("=") {
        Some((name, value)) => (name, Some(value)),
        None => (body, None),
    }))
}

/// Reads `arguments` (without the program's name) against `command`.
pub(super) fn read(command: &Command, arguments: &[OsString]) -> Result<Line, UsageError> {
    let mut given = Vec::new();
    let mut next = 0;
    let stop = loop {
        let Some(argument) = arguments.get(next) else {
            break StoppedAt::End;
        };
        if argument == "--" {
            next += 1;
            break StoppedAt::Terminator;
        }
        let (name, joined) = match split(argument) {
            Ok(Some(parts)) => parts,
            Ok(None) => break StoppedAt::NoFlag,
            Err(()) => {
                return Err(UsageError::new(
                    format!("bad flag syntax: {}", bare(&argument.to_string_lossy())),
                    hint::SYNTAX.to_owned(),
                ));
            }
        };
        let start = next;
        next += 1;
        let written = name.to_string_lossy().into_owned();
        let Some(arg) = find(command, &written) else {
            return Err(UsageError::new(
                format!("flag provided but not defined: -{}", bare(&written)),
                hint::for_unknown(command, &written),
            ));
        };
        let id = arg.get_id().as_str().to_owned();
        if id == "help" {
            break StoppedAt::Help;
        }
        let kind = Kind::of(arg);
        let (value, value_apart) = match joined {
            Some(value) => (value.to_owned(), false),
            None if kind == Kind::Bool => (OsString::from("true"), false),
            None => {
                let Some(value) = arguments.get(next) else {
                    return Err(UsageError::new(
                        format!("flag needs an argument: -{written}"),
                        hint::for_value(arg, &written),
                    ));
                };
                next += 1;
                (value.clone(), true)
            }
        };
        check(arg, kind, &written, &value)?;
        given.push(Given {
            id,
            written,
            value,
            value_apart,
            arguments: start..next,
        });
    };
    Ok(Line {
        given,
        stop,
        rest: arguments.get(next..).unwrap_or_default().to_vec(),
    })
}

/// Refuses a value that its flag cannot take, in the words of Go's flag package.
fn check(arg: &Arg, kind: Kind, written: &str, value: &OsStr) -> Result<(), UsageError> {
    if kind == Kind::Path {
        return Ok(());
    }
    let shown = quoted(&value.to_string_lossy());
    let reason = match value.to_str() {
        Some(text) => kind.refuses(text),
        None => Some("not UTF-8"),
    };
    match reason {
        None => Ok(()),
        Some(reason) => Err(UsageError::new(
            if kind == Kind::Bool {
                format!("invalid boolean value {shown} for -{written}: {reason}")
            } else {
                format!("invalid value {shown} for flag -{written}: {reason}")
            },
            hint::for_value(arg, written),
        )),
    }
}
