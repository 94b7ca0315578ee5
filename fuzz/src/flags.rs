//! Command lines. The input is the arguments, with NUL between them.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};

use crate::assert_is_plain;
use crate::config::loaded;
use crate::subject::config::{Flags, Invocation, UsageError, parse};

/// What `--help` says is the longest.
const TEXT_MAX_BYTES: usize = 20_000;

/// A command line runs, prints or is refused in two lines of plain text; what nobody read is its end; and it means the
/// same with one dash for two, and with its first flag given twice.
///
/// # Panics
/// When one of these does not hold.
pub fn check(input: &[u8]) {
    let arguments: Vec<OsString> = input
        .split(|&byte| byte == 0)
        .map(|argument| OsString::from_vec(argument.to_vec()))
        .collect();
    let parsed = parse(arguments.iter().cloned());
    match &parsed {
        Ok(
            Invocation::Run(flags) | Invocation::PrintConfig(flags) | Invocation::HealthCheck { flags, .. },
        ) => {
            assert!(arguments.ends_with(&flags.ignored));
            for warning in &flags.warnings {
                assert_is_plain(&warning.text, crate::config::LINE_MAX_BYTES);
            }
            let _config = loaded(flags, b"Version: 2\n");
        }
        Ok(Invocation::Print(text)) => assert!(text.ends_with('\n') && text.len() < TEXT_MAX_BYTES),
        Ok(
            Invocation::Dev(_)
            | Invocation::Doctor(_)
            | Invocation::Send(_)
            | Invocation::Trace(_)
            | Invocation::Traces(_),
        ) => {}
        Err(error) => {
            assert!(!error.message().is_empty() && !error.hint().is_empty());
            assert_is_plain(error.message(), crate::config::LINE_MAX_BYTES);
            assert_is_plain(error.hint(), crate::config::LINE_MAX_BYTES);
        }
    }
    if let Some(respelled) = arguments.first().and_then(|first| respelled(first)) {
        let others = arguments[1..].iter().cloned();
        assert_eq!(parse([respelled].into_iter().chain(others)), parsed);
    }
    given_twice(&arguments, parsed);
}

/// A flag with one dash for two, or two for one. `None`: it is no flag, or none that can be.
fn respelled(argument: &OsStr) -> Option<OsString> {
    let bytes = argument.as_bytes();
    let is_name = |name: &&[u8]| !matches!(name.first(), None | Some(b'-' | b'='));
    let one = bytes.strip_prefix(b"--").map(|name| (&b"-"[..], name));
    let (dashes, name) = one.or_else(|| Some((&b"--"[..], bytes.strip_prefix(b"-")?)))?;
    is_name(&name).then(|| OsString::from_vec([dashes, name].concat()))
}

/// The last one of a flag wins, so the same one twice is as good as once. Those that add up are another matter.
fn given_twice(arguments: &[OsString], parsed: Result<Invocation, UsageError>) {
    let Some(first) = arguments.first() else {
        return;
    };
    let text = first.to_string_lossy();
    let Ok(Invocation::Run(once)) = parsed else {
        return;
    };
    if !text.starts_with('-') || !text.contains('=') || text.contains("-allow") || text.contains("-otlp-listen") {
        return;
    }
    let doubled = [first.clone()].into_iter().chain(arguments.iter().cloned());
    match parse(doubled) {
        Ok(Invocation::Run(twice)) => assert_eq!(plain(twice), plain(once)),
        other => panic!("{other:?}"),
    }
}

/// Without the warnings, which may tell how often.
fn plain(flags: Flags) -> Flags {
    Flags {
        warnings: Vec::new(),
        ..flags
    }
}
