//! Sampling calls through the daemon's TCP port, beside the same calls of the endpoint itself.

use super::args::Options;
use super::clients;
use super::measure::start_warm;
use super::subject::{Bench, Subject};
use super::table::Table;
use super::times::{quantile, shown};
use super::{Result, say};

/// Clients at a time. SDKs ask for rules every 5 minutes and for targets every 10 s: the second is far more than a host has.
const CLIENTS: [u32; 2] = [1, 16];

const CALLS: [(&str, &[u8]); 2] = [
    ("/GetSamplingRules", b"{}"),
    (
        "/SamplingTargets",
        br#"{"SamplingStatisticsDocuments":[{"RuleName":"Default","ClientID":"70de5b6f19ff9a0a00000000","Timestamp":1602537379,"RequestCount":10,"SampledCount":1,"BorrowCount":0}]}"#,
    ),
];

pub(crate) fn run(bench: &Bench, options: &Options) -> Result<()> {
    say(
        "\n## sampling: GetSamplingRules and SamplingTargets in turns, each client after its last answer\n\n\
         The control is the endpoint, asked without anybody in between. \"Added\" is what a call through the daemon takes \
         longer than that; the CPU is the daemon's, with that of signing.\n",
    );
    let table = Table::new(&[
        "asked",
        "clients",
        "calls",
        "calls/s",
        "p50",
        "p99",
        "worst",
        "added p50",
        "CPU µs/call",
    ]);
    for clients in CLIENTS {
        let ask = |to| {
            clients::ask(to, clients, options.time, |client, _, question| {
                let (path, body) = CALLS[question as usize % CALLS.len()];
                match client.post(path, body)?.status {
                    200 => Ok(true),
                    status => Err(format!("{path} is answered with status {status}").into()),
                }
            })
        };
        let alone = ask(bench.endpoint())?;
        let running = start_warm(bench, Subject::Daemon, &[])?;
        let cpu = running.process.cpu()?;
        let through = ask(running.udp)?;
        let cpu = running.process.cpu()? - cpu;
        running.end()?;
        let added = quantile(&through.times, 0.5).saturating_sub(quantile(&alone.times, 0.5));
        let cpu_us = cpu.as_secs_f64() * 1e6 / through.times.len().max(1) as f64;
        for (name, asked, added, cpu_us) in [
            ("xray", &through, shown(added), format!("{cpu_us:.0}")),
            ("control", &alone, "-".to_owned(), "-".to_owned()),
        ] {
            let time = |share| shown(quantile(&asked.times, share));
            table.row(vec![
                name.to_owned(),
                clients.to_string(),
                asked.times.len().to_string(),
                format!("{:.0}", asked.times.len() as f64 / asked.seconds),
                time(0.5),
                time(0.99),
                time(1.0),
                added,
                cpu_us,
            ]);
        }
    }
    Ok(())
}
