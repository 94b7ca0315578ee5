//! A simulation: the real lane, sender, pacer, spool and stop of the daemon on simulated time, against an endpoint, a disk
//! and clocks that fail by a plan. The plan and everything that is left to chance come from a seed, which repeats the run.
//!
//! | module | its one job |
//! |---|---|
//! | `plan` | what happens in a run, from its seed |
//! | `run` | the processes of a plan, one after the other, and what must hold between and after them |
//! | `watch` | what must hold at every quiet moment |
//! | `source` | what comes in, in place of the receiver |
//! | `endpoint`, `wire` | X-Ray by the plan: what it takes, and what it and others on the way say |
//! | `disk`, `disk_thread` | the disk in memory with its faults and its time, and the spool's thread on it |
//! | `documents` | what is sent: each has a number |
//! | `trace` | what happened, as one number |
//!
//! Nothing here waits for the world: there is one thread, no socket and no file, and when everybody waits, time moves on to
//! the next thing that is due. `docs/testing.md` says how to run more seeds, or one again.

mod disk;
mod disk_thread;
mod documents;
mod endpoint;
mod plan;
mod run;
mod source;
mod trace;
mod watch;
mod wire;

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::thread;
use std::time::Instant;

use self::run::{Report, run};

/// Seeds that a usual run of the tests tries.
const SEEDS: u64 = 2000;

/// The time of the simulation.
fn moment() -> Instant {
    tokio::time::Instant::now().into_std()
}

fn variable(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    Some(
        text.parse()
            .unwrap_or_else(|_| panic!("{name} is to be a number")),
    )
}

#[test]
fn whatever_fails_every_document_is_accounted_for_and_nothing_is_lost_that_had_room() {
    if let Some(seed) = variable("SIMULATION_SEED") {
        let report = run(seed);
        eprintln!("{report:?}\n{:#?}", plan::Plan::of_seed(seed));
        assert_eq!(report.violation, None);
        return;
    }
    let seeds = variable("SIMULATION_SEEDS").unwrap_or(SEEDS);
    let (next, total) = (AtomicU64::new(0), Mutex::new((Report::default(), Vec::new())));
    let work = || {
        loop {
            let seed = next.fetch_add(1, Relaxed);
            if seed >= seeds {
                break;
            }
            let report = run(seed);
            let (sum, violations) = &mut *total.lock().unwrap();
            sum.simulated += report.simulated;
            sum.faults += report.faults;
            sum.calls += report.calls;
            sum.documents += report.documents;
            violations.extend(
                report
                    .violation
                    .map(|what| format!("SIMULATION_SEED={seed}: {what}")),
            );
        }
    };
    thread::scope(|scope| {
        let threads = thread::available_parallelism().map_or(1, usize::from);
        for _ in 0..threads {
            scope.spawn(work);
        }
    });
    let (sum, violations) = total.into_inner().unwrap();
    eprintln!(
        "{seeds} seeds: {:.1} simulated hours, {} faults, {} calls, {} documents",
        sum.simulated.as_secs_f64() / 3600.0,
        sum.faults,
        sum.calls,
        sum.documents
    );
    assert!(
        violations.is_empty(),
        "{} of {seeds}:\n{}",
        violations.len(),
        violations.join("\n")
    );
}

#[test]
fn a_seed_repeats_its_run() {
    for seed in 0..20 {
        let first = run(seed);
        assert!(first.calls > 0, "seed {seed}");
        assert_eq!(first, run(seed), "seed {seed}");
    }
}
