//! Sends segments on an absolute schedule, a small burst each millisecond, and says how late it was itself.

use std::io::BufRead;
use std::net::{SocketAddr, UdpSocket};
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;
use std::thread;
use std::time::{Duration, Instant};

use xray_double::sized::Segment;

use super::role::{self, Answer, Helper};
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

/// A generator that waits for its start.
#[derive(Debug)]
pub(crate) struct Generator(Helper);

impl Generator {
    pub(crate) fn prepare(to: SocketAddr, load: Load) -> Result<Self> {
        let arguments = [
            to.to_string(),
            load.rate.to_string(),
            load.document_bytes.to_string(),
            load.count.to_string(),
            load.time.as_millis().to_string(),
            load.first_number.to_string(),
        ];
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
        let answer: Answer = self.0.hear()?;
        Ok(Sent {
            sent: answer.get("sent")?,
            seconds: answer.get("seconds")?,
            lag_max_ms: answer.get("lag_max_ms")?,
            lag_p99_ms: answer.get("lag_p99_ms")?,
        })
    }
}

/// `__generator ADDRESS RATE BYTES COUNT MILLISECONDS FIRST`: starts when a line comes on stdin, and ends at the latest with
/// the next one, if there is a rate.
pub(crate) fn main(mut arguments: impl Iterator<Item = String>) -> Result<()> {
    let to: SocketAddr = role::argument(&mut arguments, "address")?;
    let load = Load {
        rate: role::argument(&mut arguments, "rate")?,
        document_bytes: role::argument(&mut arguments, "bytes")?,
        count: role::argument(&mut arguments, "count")?,
        time: Duration::from_millis(role::argument(&mut arguments, "milliseconds")?),
        first_number: role::argument(&mut arguments, "first")?,
    };
    let socket = UdpSocket::bind("127.0.0.1:0")?;
    socket.connect(to)?;
    say("ready=1");
    std::io::stdin().lock().read_line(&mut String::new())?;
    // Ends with the process.
    thread::spawn(|| {
        let told = std::io::stdin().lock().read_line(&mut String::new());
        STOPPED.store(told.is_ok_and(|bytes| bytes > 0), Relaxed);
    });
    let sent = if load.rate == 0 {
        unpaced(&socket, load)
    } else {
        paced(&socket, load)
    };
    say(&format!(
        "sent={} seconds={} lag_max_ms={} lag_p99_ms={}",
        sent.sent, sent.seconds, sent.lag_max_ms, sent.lag_p99_ms
    ));
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
}

impl<'a> Out<'a> {
    fn new(socket: &'a UdpSocket, load: Load) -> Self {
        Self {
            socket,
            segment: Segment::new(load.document_bytes),
            first_number: load.first_number,
            sent: 0,
        }
    }

    fn send(&mut self) {
        let number = u32::try_from(self.first_number + self.sent).unwrap_or(u32::MAX);
        if self.socket.send(self.segment.numbered(number)).is_ok() {
            self.sent += 1;
        }
    }
}

fn unpaced(socket: &UdpSocket, load: Load) -> Sent {
    let mut out = Out::new(socket, load);
    let start = Instant::now();
    while out.sent < load.count && start.elapsed() < load.time {
        for _ in 0..UNPACED_BURST.min(load.count - out.sent) {
            out.send();
        }
    }
    Sent {
        sent: out.sent,
        seconds: start.elapsed().as_secs_f64(),
        ..Sent::default()
    }
}

fn paced(socket: &UdpSocket, load: Load) -> Sent {
    let mut out = Out::new(socket, load);
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
    lags.sort_unstable();
    let ms = |lag: Option<&Duration>| lag.map_or(0.0, |lag| lag.as_secs_f64() * 1000.0);
    Sent {
        sent: out.sent,
        seconds: start.elapsed().as_secs_f64(),
        lag_max_ms: ms(lags.last()),
        lag_p99_ms: ms(lags.get(lags.len() * 99 / 100)),
    }
}
