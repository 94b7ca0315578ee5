//! Documents over `POST /TraceSegments`, as fast as they are taken.

use std::net::SocketAddr;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use std::thread;
use std::time::Duration;

use xray::exporters::xray::encoding::escape::escape;
use xray_double::sized::Segment;

use super::args::Options;
use super::clients;
use super::measure::{arrived, start_warm};
use super::subject::{Bench, Running, Subject};
use super::table::Table;
use super::times::{quantile, shown};
use super::{Result, role, say};

/// Clients at a time.
const CLIENTS: [u32; 2] = [1, 8];

/// Documents of a request, as many as may be, and how long each is.
const DOCUMENTS: u32 = 50;
const DOCUMENT_BYTES: usize = 1024;

/// Requests of a client that its numbers have room for.
const QUESTIONS: u32 = 100_000;

/// Before a request goes again that there was no room for.
const AGAIN_AFTER: Duration = Duration::from_millis(2);

/// How long the last documents may take.
const QUIET: Duration = Duration::from_secs(5);

pub(crate) fn run(bench: &Bench, options: &Options) -> Result<()> {
    say(
        "\n## ingest: 50 documents of 1 KB in each POST /TraceSegments, each client after its last answer\n\n\
         The control is one thread for each client that reads, takes the documents out, escapes, hashes, writes and reads the \
         answer. A request for which there is no room is answered 503 and goes again.\n",
    );
    let table = Table::new(&[
        "subject",
        "clients",
        "documents",
        "documents/s",
        "lost",
        "p50",
        "p99",
        "worst",
        "503s",
        "CPU µs/doc",
    ]);
    for clients in CLIENTS {
        for subject in [Subject::Daemon, Subject::Control] {
            let running = match subject {
                Subject::Control => {
                    bench.sink().ask(role::UP)?;
                    bench.sink().ask(role::RESET)?;
                    bench.start_control_over_tcp()?
                }
                _ => start_warm(bench, subject, &[])?,
            };
            table.row(measure(bench, options, running, clients)?);
        }
    }
    Ok(())
}

fn measure(bench: &Bench, options: &Options, mut running: Running, clients: u32) -> Result<Vec<String>> {
    let to: SocketAddr = running.udp;
    let cpu = running.process.cpu()?;
    let refused = AtomicU64::new(0);
    let asked = clients::ask(to, clients, options.time, |client, number, question| {
        let body = body(number * QUESTIONS + question % QUESTIONS);
        match client.post("/TraceSegments", &body)?.status {
            200 => Ok(true),
            503 => {
                refused.fetch_add(1, Relaxed);
                thread::sleep(AGAIN_AFTER);
                Ok(false)
            }
            status => Err(format!("a document is answered with status {status}").into()),
        }
    })?;
    let sent = asked.times.len() as u64 * u64::from(DOCUMENTS);
    let arrived = arrived(bench, sent, QUIET)?;
    running.must_run()?;
    let cpu = running.process.cpu()? - cpu;
    let name = running.name;
    running.end()?;
    let delivered: u64 = bench.sink().ask(role::COUNT)?.get("distinct")?;
    let seconds = asked.seconds + arrived.bulk_after.as_secs_f64();
    let time = |share| shown(quantile(&asked.times, share));
    Ok(vec![
        name.to_owned(),
        clients.to_string(),
        sent.to_string(),
        format!("{:.0}", delivered as f64 / seconds),
        sent.saturating_sub(delivered).to_string(),
        time(0.5),
        time(0.99),
        time(1.0),
        refused.load(Relaxed).to_string(),
        format!("{:.1}", cpu.as_secs_f64() * 1e6 / delivered.max(1) as f64),
    ])
}

/// A request whose documents have the numbers from `request` times [`DOCUMENTS`] on.
fn body(request: u32) -> Vec<u8> {
    let mut segment = Segment::new(DOCUMENT_BYTES);
    let mut body = b"{\"TraceSegmentDocuments\":[".to_vec();
    for document in 0..DOCUMENTS {
        if document > 0 {
            body.push(b',');
        }
        segment.numbered(request * DOCUMENTS + document);
        escape(segment.document(), &mut body);
    }
    body.extend_from_slice(b"]}");
    body
}
