//! Sends segments on an absolute schedule, a small burst each millisecond, and says how late it was itself.

use std::io::BufRead;
use std::net::{SocketAddr, UdpSocket};
use std::path::Path;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;
use std::thread;
use std::time::{Duration, Instant};

use xray_double::sized::Segment;

use super::role::{self, Answer, Helper};
use super::times::{self, Event};
use super::{Result, say};

/// The distance of two bursts.
const TICK: Duration = Duration::from_millis(1);

/// Between two looks at the clock when there is no schedule.
const UNPACED_BURST: u64 = 64;

/// What to send.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Load {
    /// Documents a second; 0 is as fast as possible.
    pub(crate) rate: u64,
    pub(crate) document_bytes: usize,
    /// Ends after so many documents ...
    pub(crate) count: u64,
    /// ... or so long, whichever is first.
    pub(crate) time: Duration,
    /// The number of the first document.
    pub(crate) first_number: u64,
    /// Each document is a trace of its own, of now.
    pub(crate) in_traces: bool,
}

/// What was sent.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Sent {
    /// Datagrams that the kernel took.
    pub(crate) sent: u64,
    pub(crate) seconds: f64,
    /// How late the latest of the bursts was.
    pub(crate) lag_max_ms: f64,
    /// How late 99 of 100 bursts were at most.
    pub(crate) lag_p99_ms: f64,
}

impl Sent {
    /// What was sent since `start`, in bursts that were so late.
    pub(crate) fn since(start: Instant, sent: u64, mut lags: Vec<Duration>) -> Self {
        lags.sort_unstable();
        let ms = |lag: Option<&Duration>| lag.map_or(0.0, |lag| lag.as_secs_f64() * 1000.0);
        Self {
            sent,
            seconds: start.elapsed().as_secs_f64(),
            lag_max_ms: ms(lags.last()),
            lag_p99_ms: ms(lags.get(lags.len() * 99 / 100)),
        }
    }

    /// Says it to the process that started this one.
    pub(crate) fn tell(&self) {
        say(&format!(
            "sent={} seconds={} lag_max_ms={} lag_p99_ms={}",
            self.sent, self.seconds, self.lag_max_ms, self.lag_p99_ms
        ));
    }

    /// What [`Sent::tell`] said.
    pub(crate) fn told(answer: &Answer) -> Result<Self> {
        Ok(Self {
            sent: answer.get("sent")?,
            seconds: answer.get("seconds")?,
            lag_max_ms: answer.get("lag_max_ms")?,
            lag_p99_ms: answer.get("lag_p99_ms")?,
        })
    }
}

/// A generator that waits for its start.
#[derive(Debug)]
pub(crate) struct Generator(Helper);

impl Generator {
    pub(crate) fn prepare(to: SocketAddr, load: Load) -> Result<Self> {
        Self::prepare_with(to, load, None)
    }

    /// As [`Generator::prepare`]; when each document was sent stands in `times` afterwards, as [`super::times`] reads it.
    pub(crate) fn prepare_with(to: SocketAddr, load: Load, times: Option<&Path>) -> Result<Self> {
        let arguments = [
            to.to_string(),
            load.rate.to_string(),
            load.document_bytes.to_string(),
            load.count.to_string(),
            load.time.as_millis().to_string(),
            load.first_number.to_string(),
            load.in_traces.to_string(),
        ];
        let times = times.map(|file| file.to_string_lossy().into_owned());
        let arguments: Vec<String> = arguments.into_iter().chain(times).collect();
        let mut helper = Helper::start(role::GENERATOR, &arguments)?;
        helper.hear()?;
        Ok(Self(helper))
    }

    pub(crate) fn start(&mut self) -> Result<()> {
        self.0.tell("go")
    }

    /// Ends a load with a rate before its time.
    pub(crate) fn stop(&mut self) -> Result<()> {
        self.0.tell("stop")
    }

    /// Blocks until all is sent.
    pub(crate) fn finish(mut self) -> Result<Sent> {
        Sent::told(&self.0.hear()?)
    }
}

/// `__generator ADDRESS RATE BYTES COUNT MILLISECONDS FIRST IN_TRACES [TIMES_FILE]`: starts when a line comes on stdin, and ends at the latest with
/// the next one, if there is a rate.
pub(crate) fn main(mut arguments: impl Iterator<Item = String>) -> Result<()> {
    let to: SocketAddr = role::argument(&mut arguments, "address")?;
    let load = Load {
        rate: role::argument(&mut arguments, "rate")?,
        document_bytes: role::argument(&mut arguments, "bytes")?,
        count: role::argument(&mut arguments, "count")?,
        time: Duration::from_millis(role::argument(&mut arguments, "milliseconds")?),
        first_number: role::argument(&mut arguments, "first")?,
        in_traces: role::argument(&mut arguments, "whether in traces")?,
    };
    let times_file = arguments.next();
    let socket = UdpSocket::bind("127.0.0.1:0")?;
    socket.connect(to)?;
    say("ready=1");
    std::io::stdin().lock().read_line(&mut String::new())?;
    // Ends with the process.
    thread::spawn(|| {
        let told = std::io::stdin().lock().read_line(&mut String::new());
        STOPPED.store(told.is_ok_and(|bytes| bytes > 0), Relaxed);
    });
    let mut out = Out::new(&socket, load, times_file.is_some());
    let sent = if load.rate == 0 {
        unpaced(&mut out, load)
    } else {
        paced(&mut out, load)
    };
    if let (Some(file), Some(times)) = (times_file, out.times) {
        times::write(Path::new(&file), &times)?;
    }
    sent.tell();
    Ok(())
}

/// Whether the second line has come.
static STOPPED: AtomicBool = AtomicBool::new(false);

/// Numbers each document; one that the kernel refused is not sent, and its number is used again.
struct Out<'a> {
    socket: &'a UdpSocket,
    segment: Segment,
    first_number: u64,
    sent: u64,
    /// When each was sent, if somebody wants to know.
    times: Option<Vec<Event>>,
}

impl<'a> Out<'a> {
    fn new(socket: &'a UdpSocket, load: Load, with_times: bool) -> Self {
        let segment = if load.in_traces {
            Segment::in_traces(load.document_bytes, times::seconds())
        } else {
            Segment::new(load.document_bytes)
        };
        Self {
            socket,
            segment,
            first_number: load.first_number,
            sent: 0,
            times: with_times.then(Vec::new),
        }
    }

    fn send(&mut self) {
        let number = u32::try_from(self.first_number + self.sent).unwrap_or(u32::MAX);
        if let Some(times) = &mut self.times {
            times.push(Event::now(number, 0));
        }
        if self.socket.send(self.segment.numbered(number)).is_ok() {
            self.sent += 1;
        }
    }
}

fn unpaced(out: &mut Out<'_>, load: Load) -> Sent {
    let start = Instant::now();
    while out.sent < load.count && start.elapsed() < load.time {
        for _ in 0..UNPACED_BURST.min(load.count - out.sent) {
            out.send();
        }
    }
    Sent::since(start, out.sent, Vec::new())
}

fn paced(out: &mut Out<'_>, load: Load) -> Sent {
    let ticks = u64::try_from(load.time.as_millis() / TICK.as_millis()).unwrap_or(u64::MAX);
    let mut lags: Vec<Duration> = Vec::with_capacity(usize::try_from(ticks).unwrap_or(0));
    let (mut tick, mut due) = (0, 0);
    let start = Instant::now();
    while tick < ticks && due < load.count && !STOPPED.load(Relaxed) {
        let at = start + Duration::from_millis(tick);
        let early = at.saturating_duration_since(Instant::now());
        if !early.is_zero() {
            thread::sleep(early);
        }
        lags.push(at.elapsed());
        tick += 1;
        let next_due = (tick * load.rate / 1000).min(load.count);
        for _ in due..next_due {
            out.send();
        }
        due = next_due;
    }
    Sent::since(start, out.sent, lags)
}
