//! Cache lines that one call touches, from lackey's trace of each access.

use std::collections::HashSet;
use std::io::{BufRead, BufReader, Write as _};
use std::ops::Range;
use std::process::Stdio;
use std::sync::{Arc, OnceLock};
use std::thread;

use super::Result;
use super::calls;
use super::endpoint::Endpoint;
use super::valgrind;

const LINE_BYTES: u64 = 64;

/// Calls under lackey, which is slow. The one that touches least counts: what the allocator does from time to time is no
/// call's, and comes the more often the slower the calls are.
const CALLS: u64 = 4;

/// Lines that were read, written or run at least once.
#[derive(Debug)]
pub(crate) struct Touched {
    pub(crate) code: u64,
    pub(crate) data: u64,
}

impl Touched {
    pub(crate) fn all(&self) -> u64 {
        self.code + self.data
    }
}

/// Where the process says that things are.
#[derive(Debug)]
struct Places {
    mark: u64,
    body: Range<u64>,
}

impl Places {
    fn of(line: &str) -> Result<Self> {
        let number = |name: &str| -> Result<u64> {
            let value = line.split_whitespace().find_map(|pair| pair.strip_prefix(name));
            Ok(value.ok_or("a process that does not say where it is")?.parse()?)
        };
        let body = number("body=")?;
        Ok(Self {
            mark: number("mark=")?,
            body: body..body + number("bytes=")?,
        })
    }
}

/// What one call touches.
pub(crate) fn of_one_call(endpoint: &Endpoint) -> Result<Touched> {
    let arguments = [endpoint.url(), CALLS.to_string()];
    let mut process = valgrind::command("lackey", &["--trace-mem=yes"], calls::CALLS, &arguments)?
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|error| valgrind::not_there(&error))?;
    let (Some(mut stdin), Some(stdout), Some(trace)) =
        (process.stdin.take(), process.stdout.take(), process.stderr.take())
    else {
        return Err("no pipes to valgrind".into());
    };
    let places = Arc::new(OnceLock::new());
    let tracing = thread::spawn({
        let places = Arc::clone(&places);
        move || touched(BufReader::with_capacity(1 << 20, trace), &places)
    });
    let mut said = String::new();
    BufReader::new(stdout).read_line(&mut said)?;
    places.get_or_init(|| Places::of(&said).ok());
    // It waits for this, so that no call is made before its places are known.
    writeln!(stdin)?;
    let status = process.wait()?;
    let touched = tracing.join().map_err(|_| "the reader of the trace panicked")??;
    if !status.success() {
        return Err(format!("under lackey: {status}").into());
    }
    if touched.code == 0 {
        return Err(format!("there is no call in lackey's trace; {said}").into());
    }
    Ok(touched)
}

/// Reads lines like ` S 1ffeffe7e,8`, and counts between two stores to the mark, of which there is one before each call and
/// one after the last.
fn touched(mut trace: impl BufRead, places: &OnceLock<Option<Places>>) -> Result<Touched> {
    let mut least: Option<Touched> = None;
    let (mut code, mut data) = (HashSet::new(), HashSet::new());
    let (mut line, mut marks) = (String::new(), 0);
    loop {
        line.clear();
        if trace.read_line(&mut line)? == 0 {
            break;
        }
        let Some(places) = places.get().and_then(Option::as_ref) else {
            continue;
        };
        let Some((kind, place)) = line.split_at_checked(3) else {
            continue;
        };
        let is_code = match kind {
            "I  " => true,
            " S " | " L " | " M " => false,
            _ => continue,
        };
        let Some((address, bytes)) = place.trim_end().split_once(',') else {
            continue;
        };
        let address = u64::from_str_radix(address, 16)?;
        if address == places.mark && kind != " L " {
            marks += 1;
            if marks > calls::WARM_UP + 1 {
                let touched = Touched {
                    code: code.len() as u64,
                    data: data.len() as u64,
                };
                least = least.into_iter().chain([touched]).min_by_key(Touched::all);
            }
            code.clear();
            data.clear();
        } else if marks > calls::WARM_UP {
            let lines = address / LINE_BYTES..=(address + bytes.parse::<u64>()? - 1) / LINE_BYTES;
            if is_code {
                code.extend(lines);
            } else if !places.body.contains(&address) {
                data.extend(lines);
            }
        }
    }
    Ok(least.unwrap_or(Touched { code: 0, data: 0 }))
}
