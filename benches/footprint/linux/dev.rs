//! `xray dev` under load, with what the page asks while it is open.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;
use std::thread;
use std::time::{Duration, Instant};

use super::args::Options;
use super::clients::Client;
use super::generator::{Generator, Load, Sent};
use super::metrics::Metrics;
use super::subject::{Bench, Running};
use super::table::Table;
use super::times::{quantile, shown};
use super::{Result, say};

/// Segments a second, each a trace of its own. Nothing for the control: the same questions when the store is full.
const RATE: u64 = 5000;
const DOCUMENT_BYTES: usize = 1024;

/// As many as the store keeps.
const FULL: u64 = 10_000;

/// Between two rounds of questions: more often than the page asks anything but its events.
const ROUND: Duration = Duration::from_millis(250);

/// How long the last segments may take.
const QUIET: Duration = Duration::from_secs(5);

/// What the page asks: its list, the same with a filter, the response times of the list.
const QUESTIONS: [(&str, &str); 3] = [
    ("list", "/-/traces?limit=200"),
    (
        "filter",
        "/-/traces?limit=200&filter=responsetime%20%3E%200.4%20AND%20http.url%20CONTAINS%20%22orders%22",
    ),
    ("latency", "/-/latency"),
];

pub(crate) fn run(bench: &Bench, options: &Options) -> Result<()> {
    say(&format!(
        "\n## dev: {RATE} segments/s of 1 KB into xray dev, a trace each, with its page open\n\n\
         The page's events are read all the while, and its list, a filter over it and its response times are asked four times a \
         second; the page itself asks for them when it is opened, when a filter is typed, and every 1.5 s. The store holds \
         {FULL} traces. The control is the same daemon with the same traces when nothing comes.\n"
    ));
    let table = Table::new(&[
        "load",
        "sent",
        "lost",
        "kernel drops",
        "cores",
        "list p50",
        "p99",
        "filter p50",
        "p99",
        "latency p50",
        "p99",
        "events MB",
        "RSS MiB",
    ]);
    let mut running = bench.start_dev()?;
    let fill = Load {
        rate: RATE,
        document_bytes: DOCUMENT_BYTES,
        count: FULL,
        time: QUIET,
        in_traces: true,
        ..Load::default()
    };
    let filled = super::measure::send(&running, fill)?;
    until_taken(&running, 0, filled.sent)?;
    for loaded in [false, true] {
        let row = measure(&mut running, loaded, options.dev, filled.sent)?;
        table.row(row);
    }
    running.end()?;
    Ok(())
}

fn measure(running: &mut Running, loaded: bool, time: Duration, first_number: u64) -> Result<Vec<String>> {
    let load = Load {
        rate: RATE,
        document_bytes: DOCUMENT_BYTES,
        count: if loaded { u64::from(u32::MAX) } else { 0 },
        time,
        first_number,
        in_traces: true,
    };
    let address = running.udp;
    let before = taken(address)?;
    let drops = running.kernel_drops()?;
    let cpu = running.process.cpu()?;
    let mut generator = Generator::prepare(address, load)?;
    let page = Page::open(address, time)?;
    generator.start()?;
    let shown_page = page.close()?;
    let sent: Sent = generator.finish()?;
    let lost = sent.sent - until_taken(running, before, sent.sent)?;
    let cpu = running.process.cpu()? - cpu;
    running.must_run()?;
    let mut row = vec![
        if loaded {
            format!("{RATE}/s")
        } else {
            "control".to_owned()
        },
        sent.sent.to_string(),
        lost.to_string(),
        (running.kernel_drops()? - drops).to_string(),
        format!("{:.2}", cpu.as_secs_f64() / time.as_secs_f64()),
    ];
    for times in &shown_page.times {
        row.extend([0.5, 0.99].map(|share| shown(quantile(times, share))));
    }
    row.push(format!("{:.1}", shown_page.events_bytes as f64 / 1e6));
    row.push(super::table::mib(running.process.memory()?.now_kib as f64));
    Ok(row)
}

/// Segments that the store has taken since the start.
fn taken(address: SocketAddr) -> Result<u64> {
    Metrics::connect(address)?.page()?.sum("xray_segments_sent_total")
}

/// Waits until `count` more than `before` are taken, or no more come; how many it were.
fn until_taken(running: &Running, before: u64, count: u64) -> Result<u64> {
    let (mut last, mut at) = (0, Instant::now());
    loop {
        let now = taken(running.udp)? - before;
        if now > last {
            (last, at) = (now, Instant::now());
        }
        if now >= count || at.elapsed() >= QUIET {
            return Ok(now.min(count));
        }
        thread::sleep(Duration::from_millis(20));
    }
}

/// The page, open in no browser.
#[derive(Debug)]
struct Page {
    asking: thread::JoinHandle<Result<Shown>>,
}

/// What it was shown.
#[derive(Debug, Default)]
struct Shown {
    /// Of each question, sorted.
    times: [Vec<Duration>; QUESTIONS.len()],
    events_bytes: u64,
}

impl Page {
    /// Asks for `time`.
    fn open(address: SocketAddr, time: Duration) -> Result<Self> {
        let mut client = Client::connect(address)?;
        let html = String::from_utf8(client.get("/")?.body)?;
        let key = html
            .split("<meta name=\"xray-key\" content=\"")
            .nth(1)
            .and_then(|rest| rest.split('"').next())
            .ok_or("the page has no key")?
            .to_owned();
        let asking = thread::spawn(move || {
            let closed = Arc::new(AtomicBool::new(false));
            let mut shown = Shown::default();
            let mut events = Client::connect(address)?.events(&format!("/-/events?key={key}"))?;
            let reading = thread::spawn({
                let closed = Arc::clone(&closed);
                move || {
                    let mut bytes = 0;
                    while !closed.load(Relaxed) {
                        bytes += events.read_some()?;
                    }
                    Ok::<u64, std::io::Error>(bytes)
                }
            });
            let start = Instant::now();
            let mut round = 0;
            while start.elapsed() < time {
                for ((name, path), times) in QUESTIONS.iter().zip(&mut shown.times) {
                    let separator = if path.contains('?') { '&' } else { '?' };
                    let reply = client.get(&format!("{path}{separator}key={key}"))?;
                    if reply.status != 200 {
                        return Err(format!("{name} is answered with status {}", reply.status).into());
                    }
                    times.push(client.took());
                }
                round += 1;
                thread::sleep((ROUND * round).saturating_sub(start.elapsed()));
            }
            closed.store(true, Relaxed);
            shown.events_bytes = reading.join().map_err(|_| "the reader of events panicked")??;
            for times in &mut shown.times {
                times.sort_unstable();
            }
            Ok(shown)
        });
        Ok(Self { asking })
    }

    /// Waits for the end of its time.
    fn close(self) -> Result<Shown> {
        self.asking.join().map_err(|_| "the page panicked")?
    }
}
