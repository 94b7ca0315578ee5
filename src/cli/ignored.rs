//! What the user should know about a command line that runs all the same: arguments that nobody reads.
//!
//! The official daemon says nothing about them. A widely copied docker-compose line ends in one quoted string
//! (`"xray -o -b xray-daemon:2000"`), so that the daemon runs without `-o` and nobody knows why.

use std::ffi::OsString;

use clap::Command;

use super::definition::{Kind, PROGRAM, find, is_program};
use super::front::{Given, Line, StoppedAt, read};
use crate::config::Warning;
use crate::config::golang::parse_bool;
use crate::config::text::{bare, quoted};

/// Arguments that a message names one by one.
const SHOWN_ARGUMENTS: usize = 6;

/// Words of advice: two for each flag there is are enough.
const ADVISED_WORDS: usize = 30;

/// The warnings that `line` deserves, each with what to write in its place.
pub(super) fn warnings(command: &Command, line: &Line) -> Vec<Warning> {
    let mut warnings: Vec<Warning> = line
        .given
        .iter()
        .filter_map(|given| swallowed_flag(command, given))
        .collect();
    warnings.extend(unread(command, line));
    warnings
}

/// `-f -o`: in Go the value of `-f` is then `-o`.
fn swallowed_flag(command: &Command, given: &Given) -> Option<Warning> {
    let value = given.value.to_str().filter(|_| given.value_apart)?;
    let name = value.strip_prefix('-')?;
    let name = name.strip_prefix('-').unwrap_or(name);
    let name = name.split_once('=').map_or(name, |(name, _)| name);
    find(command, name)?;
    let flag = &given.written;
    let text = format!(
        "The value of -{flag} is {}, which looks like the next flag: is the value missing? If it is meant, write \
         -{flag}={}.",
        quoted(value),
        bare(value),
    );
    Some(Warning::at(&format!("flag -{flag}"), text).value(value))
}

fn unread(command: &Command, line: &Line) -> Option<Warning> {
    let first = line.rest.first()?.to_string_lossy();
    let shown = list(&line.rest);
    let ignored = |text| Warning::at("command line", text).value(&shown);
    if line.stop == StoppedAt::Terminator {
        return Some(ignored(format!(
            "Ignored {shown}: flags end at \"--\". If these are meant, leave the \"--\" out."
        )));
    }
    if let Some(switch) = switch_before(command, line)
        && parse_bool(&first).is_some()
    {
        let value = &first;
        return Some(ignored(format!(
            "Ignored {shown}: a switch takes a value only after \"=\", so -{switch} counts as true and nothing after it \
             was read. Write -{switch}={value}."
        )));
    }
    let one_string = first.contains(char::is_whitespace) && first.contains('-');
    let why = if one_string {
        "it came as one string, so the flags in it were not seen".to_owned()
    } else {
        format!(
            "flags end at the first argument that is not one, here {}",
            quoted(&first)
        )
    };
    Some(ignored(format!(
        "Ignored {shown}: {why}. {}",
        remedy(command, line)
    )))
}

/// The switch that stands right before what was not read.
fn switch_before<'l>(command: &Command, line: &'l Line) -> Option<&'l str> {
    let last = line.given.last()?;
    let arg = find(command, &last.written)?;
    // One argument means `-o`, and not `-o=true`, only if there is no "=" in it, which `value_apart` cannot tell.
    (Kind::of(arg) == Kind::Bool && last.value == "true" && last.arguments.len() == 1)
        .then_some(last.written.as_str())
}

/// What to write, found by reading the rest as if each word had been an argument.
fn remedy(command: &Command, line: &Line) -> String {
    let words: Vec<OsString> = line
        .rest
        .iter()
        .flat_map(|argument| {
            let text = argument.to_string_lossy();
            text.split_whitespace().map(OsString::from).collect::<Vec<_>>()
        })
        .collect();
    let is_flag = |word: &OsString| word.to_string_lossy().starts_with('-') && word != "-" && word != "--";
    let first_flag = words.iter().position(is_flag).unwrap_or(words.len());
    let (before, words) = words.split_at(first_flag);
    let names_program = before.iter().any(|word| is_program(&word.to_string_lossy()));
    if words.is_empty() {
        return if names_program && before.len() == 1 {
            format!("Leave it out: the program's name ({PROGRAM}) is not an argument.")
        } else {
            "Leave it out: the daemon takes flags only.".to_owned()
        };
    }
    let alone = if names_program {
        ", without the program's name"
    } else if before.is_empty() && line.rest.first().is_some_and(|first| !first.is_empty()) {
        ""
    } else {
        ", with nothing before it"
    };
    // Flags that cannot be are no advice, nor are very many; nor is `--help`, which is not kept as a flag.
    let meant = match read(command, words) {
        Ok(meant) if !meant.given.is_empty() && words.len() <= ADVISED_WORDS => meant,
        Ok(_) | Err(_) => return format!("Give each flag as an argument of its own{alone}."),
    };
    let set_before = |given: &Given| line.given.iter().any(|earlier| earlier.id == given.id);
    let missing: Vec<String> = meant
        .given
        .iter()
        .filter(|given| !set_before(given))
        .flat_map(|given| &words[given.arguments.clone()])
        .map(|word| quoted(&word.to_string_lossy()))
        .collect();
    let already: Vec<String> = meant
        .given
        .iter()
        .filter(|given| set_before(given))
        .map(|given| format!("-{}", given.written))
        .collect();
    if missing.is_empty() {
        return format!(
            "Leave it out: the flags before it set {} already.",
            already.join(", ")
        );
    }
    let left_out = if already.is_empty() {
        String::new()
    } else {
        format!(" (set before: {})", already.join(", "))
    };
    format!(
        "Give each flag as an argument of its own{alone}: command: [{}]{left_out}.",
        missing.join(", ")
    )
}

/// `the argument "a"`, or `the arguments "a", "b" and 3 more`.
fn list(arguments: &[OsString]) -> String {
    let shown: Vec<String> = arguments
        .iter()
        .take(SHOWN_ARGUMENTS)
        .map(|argument| quoted(&argument.to_string_lossy()))
        .collect();
    let more = arguments.len() - shown.len();
    let noun = if arguments.len() == 1 {
        "argument"
    } else {
        "arguments"
    };
    let tail = if more > 0 {
        format!(" and {more} more")
    } else {
        String::new()
    };
    format!("the {noun} {}{tail}", shown.join(", "))
}
