//! The parts of the benchmark. The first argument says whether this process measures or is measured.

use std::error::Error;
use std::io::Write;
use std::process::ExitCode;

mod baseline;
mod callgrind;
mod calls;
mod endpoint;
mod lines;
mod valgrind;

use baseline::{Baseline, Measured};
use callgrind::Profile;
use endpoint::Endpoint;

/// Errors end the run with a message; none is handled.
pub(crate) type Result<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

/// Calls that are measured: so many, and twice as many; what the difference costs is the calls alone, without the start.
const CALLS: u64 = 200;

/// The most functions in a list of them.
const SHOWN_FUNCTIONS: usize = 60;

pub(crate) fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let result = match arguments.first().map(String::as_str) {
        Some(calls::DAEMON) => calls::daemon(&arguments[1..]),
        Some(calls::CALLS) => calls::calls(&arguments[1..]),
        _ => run(&arguments),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            say(&format!("instructions: {error}"));
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &[String]) -> Result<()> {
    let (mut record, mut functions) = (false, false);
    for argument in arguments {
        match argument.as_str() {
            "--record" => record = true,
            "--functions" => functions = true,
            // Cargo says it to every benchmark.
            "--bench" => {}
            other => {
                return Err(format!("{other} is unknown; there are --record and --functions").into());
            }
        }
    }
    let endpoint = Endpoint::start()?;
    let call = callgrind::run(&endpoint, 2 * CALLS)?.less(&callgrind::run(&endpoint, CALLS)?);
    let touched = lines::of_one_call(&endpoint)?;
    let measured = Measured {
        instructions: call.total_without_sha() / CALLS,
        lines: touched.all(),
    };
    say(&format!(
        "| of one call | |\n|---|---|\n\
         | instructions, without SHA-256 and the kernel | {} |\n\
         | of them in the allocator | {} |\n\
         | of them in memcpy, memset and memcmp | {} |\n\
         | instructions of SHA-256 | {} |\n\
         | distinct lines of 64 bytes, without the body's | {} |\n\
         | of them code | {} |",
        measured.instructions,
        call.total(Profile::is_allocator) / CALLS,
        call.total(Profile::is_of_memory) / CALLS,
        call.total(Profile::is_sha) / CALLS,
        measured.lines,
        touched.code,
    ));
    if functions {
        say("\n| instructions of a call | function |\n|---|---|");
        for (name, cost) in call.largest().into_iter().take(SHOWN_FUNCTIONS) {
            say(&format!("| {} | `{name}` |", cost / CALLS));
        }
    }
    if record {
        return Baseline::record(measured);
    }
    Baseline::read()?.judge(measured)
}

/// A line of the report. What can't be written has no reader.
pub(crate) fn say(text: &str) {
    let mut out = std::io::stdout().lock();
    let _: std::io::Result<()> = writeln!(out, "{text}").and_then(|()| out.flush());
}
