//! An endpoint that is half ill: what share of its calls may fail, hang or be too many before something is lost.

mod case;

use std::time::Duration;

use self::case::{Case, Group, Seen};
use super::args::Options;
use super::generator::Load;
use super::scenario::AROUND;
use super::sink::Faults;
use super::subject::Bench;
use super::table::Table;
use super::{Result, say};

const FAILING_PERCENT: [u32; 5] = [10, 30, 50, 70, 90];
const ANSWER_MS: [u64; 3] = [5, 50, 200];

const RATE: u64 = 1000;
const DOCUMENT_BYTES: usize = 1024;

/// What the daemon puts into one call, and how many calls it has in flight at the most.
const BATCH: u64 = 50;
const IN_FLIGHT: f64 = 64.0;

/// `-m 16`, in the cells; the outage of a minute needs the default.
const MEMORY: &[&str] = &["-m", "16"];

/// What every cell is held against.
const PENDING_MAX_S: u64 = 3;
const CALLS_MAX: f64 = 1.3;
const THROTTLED_MAX: f64 = 0.1;
const FIRST_SECOND_MAX: f64 = 2.0;

/// Where more fails, a batch may need more tries than a stop has time for.
const STOP_PERCENT_MAX: u32 = 50;

/// The 429s: calls a second that are taken, and segments a second.
const QUOTA_PER_S: f64 = 40.0;
const QUOTA_RATE: u64 = 1500;

/// When SIGTERM comes while the endpoint is as ill as can be.
const STOP_AFTER: Duration = Duration::from_secs(20);

/// After an outage the calls come back gently; what waited takes a while.
const SETTLE: Duration = Duration::from_secs(30);

fn load(rate: u64, time: Duration) -> Load {
    Load {
        rate,
        document_bytes: DOCUMENT_BYTES,
        count: u64::from(u32::MAX),
        time,
        ..Load::default()
    }
}

pub(crate) fn run(bench: &Bench, options: &Options) -> Result<()> {
    shares(bench, options.ill)?;
    others(bench, options)
}

/// A share of calls fails, by the time of an answer.
fn shares(bench: &Bench, time: Duration) -> Result<()> {
    say(&format!(
        "\n## half-ill: a share of the calls fails\n\n\
         {RATE}/s of 1 KB for {} s, -m 16; each answer, 200 or 503, takes its time, and which it is is chance. The {} cells of \
         one time run side by side, each with a sink, a daemon and a generator of its own. Pending and dropped are read \
         when the last segment is sent; then comes SIGTERM, with the endpoint as ill as before. Needed are the calls that \
         chance asks for: one for {BATCH} segments that arrived, over the share that succeeds. {IN_FLIGHT} calls in flight \
         carry so many segments a second: where that is {RATE} or more, nothing has to be lost. Missed: dropped above 0, \
         pending above {PENDING_MAX_S} s of traffic, calls above {CALLS_MAX} times the needed, lost at the stop above 0 where {STOP_PERCENT_MAX} % or less \
         fail: beyond, a batch may need more tries than the 8 s have time for. The last column is the control, \
         arithmetic and no measurement: what three attempts without regard to the endpoint, as the official daemon makes \
         them, lose.\n",
        time.as_secs(),
        FAILING_PERCENT.len(),
    ));
    let table = Table::new(&[
        "answer ms",
        "failing %",
        "calls carry /s",
        "received",
        "sent",
        "dropped",
        "pending",
        "calls",
        "× needed",
        "lost at stop",
        "stop s",
        "missed",
        "three blind attempts would lose",
    ]);
    let mut notes = Vec::new();
    for answer_ms in ANSWER_MS {
        let cases = FAILING_PERCENT.map(|percent| Case {
            faults: Faults {
                after: Duration::from_millis(answer_ms),
                failing: f64::from(percent) / 100.0,
                ..Faults::default()
            },
            outage: None,
            arguments: MEMORY,
            load: load(RATE, time),
            settle: Duration::ZERO,
        });
        let group = Group::run(bench, &cases)?;
        for (percent, seen) in FAILING_PERCENT.into_iter().zip(&group.seen) {
            let failing = f64::from(percent) / 100.0;
            let carried_per_s = IN_FLIGHT / (answer_ms as f64 / 1000.0) * (1.0 - failing) * BATCH as f64;
            let needed = seen.arrived as f64 / BATCH as f64 / (1.0 - failing);
            let ratio = seen.calls as f64 / needed;
            let is_allowed = carried_per_s >= RATE as f64;
            let missed = missed(&[
                (is_allowed && seen.dropped > 0, "dropped"),
                (is_allowed && seen.pending() > PENDING_MAX_S * RATE, "pending"),
                (ratio > CALLS_MAX, "calls"),
                (percent <= STOP_PERCENT_MAX && seen.lost_at_stop > 0, "stop"),
            ]);
            let blind = failing.powi(3);
            table.row(vec![
                answer_ms.to_string(),
                percent.to_string(),
                format!("{carried_per_s:.0}"),
                seen.sent.to_string(),
                seen.arrived.to_string(),
                seen.dropped.to_string(),
                seen.pending().to_string(),
                seen.calls.to_string(),
                format!("{ratio:.2}"),
                seen.lost_at_stop.to_string(),
                format!("{:.1}", seen.stop.as_secs_f64()),
                missed,
                format!("{:.0} ({:.1} %)", blind * seen.sent as f64, blind * 100.0),
            ]);
        }
        notes.push(note(&format!("answers after {answer_ms} ms"), &group));
    }
    say(&format!("\n{}", notes.join("\n")));
    Ok(())
}

/// Whatever else an endpoint may have.
fn others(bench: &Bench, options: &Options) -> Result<()> {
    let outage = options.outage;
    say(&format!(
        "\n## half-ill: other faults\n\n\
         {RATE}/s of 1 KB, {} s, -m 16, answers after 50 ms, but: the 429s at {QUOTA_RATE}/s, which is {} calls a second; the \
         outage of {} s with the default budget, until all has arrived; SIGTERM after {} s. Side by side as above. 429s are \
         counted from the tenth second on. After the outage: the calls of the first second from the first one on, over \
         those of a second before it. Missed: dropped or lost above 0, pending above {PENDING_MAX_S} s of traffic, 429s \
         above {:.0} %, calls after the outage above {FIRST_SECOND_MAX} times the usual.\n",
        options.ill.as_secs(),
        QUOTA_RATE / BATCH,
        outage.as_secs(),
        STOP_AFTER.min(options.ill).as_secs(),
        THROTTLED_MAX * 100.0,
    ));
    let faults = Faults {
        after: Duration::from_millis(50),
        ..Faults::default()
    };
    let case = Case {
        faults,
        outage: None,
        arguments: MEMORY,
        load: load(RATE, options.ill),
        settle: Duration::ZERO,
    };
    let named = [
        (
            "each third connection hangs",
            Case {
                faults: Faults {
                    hanging_connections: 3,
                    ..faults
                },
                ..case
            },
        ),
        (
            "each third call hangs",
            Case {
                faults: Faults {
                    hanging_calls: 3,
                    ..faults
                },
                ..case
            },
        ),
        (
            "429 beyond 40 calls/s",
            Case {
                faults: Faults {
                    quota_per_s: Some(QUOTA_PER_S),
                    ..faults
                },
                load: load(QUOTA_RATE, options.ill),
                ..case
            },
        ),
        (
            "SIGTERM while each third call hangs and half of the rest fails",
            Case {
                faults: Faults {
                    hanging_calls: 3,
                    failing: 0.5,
                    ..faults
                },
                load: load(RATE, options.ill.min(STOP_AFTER)),
                ..case
            },
        ),
        (
            "down",
            Case {
                faults: Faults::default(),
                outage: Some(outage),
                arguments: &[],
                load: load(RATE, outage + 2 * AROUND),
                settle: SETTLE,
            },
        ),
    ];
    let group = Group::run(bench, &named.map(|(_, case)| case))?;
    let table = Table::new(&[
        "fault",
        "received",
        "sent",
        "dropped",
        "pending",
        "calls",
        "429 %",
        "calls/s before",
        "after outage",
        "lost at stop",
        "stop s",
        "missed",
    ]);
    for ((name, case), seen) in named.iter().zip(&group.seen) {
        table.row(other(name, case, seen));
    }
    say(&format!("\n{}", note("all of them", &group)));
    Ok(())
}

fn other(name: &str, case: &Case, seen: &Seen) -> Vec<String> {
    let throttled = seen.late_throttled as f64 / seen.late_calls.max(1) as f64;
    let after_outage = seen.first_second as f64 / seen.usual_calls_per_s;
    let only = |is_so: bool, text: String| if is_so { text } else { "-".to_owned() };
    let has_quota = case.faults.quota_per_s.is_some();
    let missed = missed(&[
        (seen.dropped > 0, "dropped"),
        (seen.pending() > PENDING_MAX_S * case.load.rate, "pending"),
        (has_quota && throttled > THROTTLED_MAX, "429"),
        (
            case.outage.is_some() && after_outage > FIRST_SECOND_MAX,
            "after outage",
        ),
        (seen.lost_at_stop > 0, "stop"),
    ]);
    vec![
        name.to_owned(),
        seen.sent.to_string(),
        seen.arrived.to_string(),
        seen.dropped.to_string(),
        seen.pending().to_string(),
        seen.calls.to_string(),
        only(has_quota, format!("{:.1}", throttled * 100.0)),
        only(case.outage.is_some(), format!("{:.1}", seen.usual_calls_per_s)),
        only(
            case.outage.is_some(),
            format!("{} (× {after_outage:.2})", seen.first_second),
        ),
        seen.lost_at_stop.to_string(),
        format!("{:.1}", seen.stop.as_secs_f64()),
        missed,
    ]
}

fn missed(targets: &[(bool, &str)]) -> String {
    let names: Vec<&str> = targets
        .iter()
        .filter(|(is_missed, _)| *is_missed)
        .map(|(_, name)| *name)
        .collect();
    if names.is_empty() {
        "-".to_owned()
    } else {
        names.join(", ")
    }
}

/// Whether the machine was the bottleneck.
fn note(what: &str, group: &Group) -> String {
    let lag_ms = group.seen.iter().map(|seen| seen.lag_p99_ms).fold(0.0, f64::max);
    format!(
        "- {what}: the processors were {:.0} % busy; 99 of 100 of a generator's bursts were at most {lag_ms:.1} ms late",
        group.busy * 100.0
    )
}
