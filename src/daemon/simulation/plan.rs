//! What happens in a run, made from its seed: settings, traffic, faults and how each process ends.

use std::ops::Range;
use std::time::Duration;

use fastrand::Rng;

use crate::ledger::outcome::ErrorClass;
use crate::pipeline::budget::Budget;

/// A run.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) budget: Budget,
    /// What spool files may take up; `None`: no spool.
    pub(super) spool_bytes: Option<u64>,
    pub(super) concurrency: Option<usize>,
    pub(super) traffic: Traffic,
    /// How long answers take when nothing is wrong.
    pub(super) latency: Duration,
    pub(super) endpoint: Vec<Window<EndpointFault>>,
    pub(super) disk: Vec<Window<DiskFault>>,
    /// When somebody sets the clock, and by how many milliseconds.
    pub(super) clock_steps: Vec<(Duration, i64)>,
    /// One process after the other, on the same disk; the last one lives until all is sent.
    pub(super) lives: Vec<Life>,
    /// Whether every fault leaves the endpoint able to take what comes, so that nothing may be lost for want of room.
    pub(super) is_bearable: bool,
}

/// What comes in.
#[derive(Debug)]
pub(super) struct Traffic {
    pub(super) documents_per_s: f64,
    /// The time between two moments at which some come.
    pub(super) gap: Duration,
    /// Bytes of a document beyond the least.
    pub(super) pad: Range<usize>,
    /// Of a hundred documents, those that are not normal.
    pub(super) odd_percent: u32,
}

/// Something that is so for a while, counted from the start of the run.
#[derive(Debug, Clone)]
pub(super) struct Window<F> {
    pub(super) span: Range<Duration>,
    pub(super) fault: F,
}

impl<F> Window<F> {
    pub(super) fn is_open(&self, passed: Duration) -> bool {
        self.span.contains(&passed)
    }
}

/// What is wrong with the endpoint, or the way to it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum EndpointFault {
    /// Such a share of the calls fails.
    Fails { share: f64, how: Failure },
    /// Such a share is not answered; of half of those the documents are taken all the same.
    Hangs { share: f64 },
    /// Answers take so many times as long.
    Slow { factor: f64 },
    /// More calls a second than this are throttled.
    Throttles {
        per_s: f64,
        how: Throttle,
        retry_after_s: Option<u64>,
    },
    /// Such a share of the answers gets lost behind the endpoint, which took the documents.
    LosesAnswers { share: f64 },
    /// The service fails over such a share of the documents, and says so in its answer.
    FailsOver { share: f64 },
    /// Longer bodies are refused.
    TakesOnly { bytes: usize },
}

/// How a call fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Failure {
    /// An error of the service: this status in its JSON form.
    Service(u16),
    /// A page of somebody on the way, with this status.
    Page(u16),
    /// The keys are refused.
    Credentials,
    /// No answer at all.
    Transport(ErrorClass),
}

/// Where and how it is said that it is too much.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Throttle {
    /// 429.
    Status,
    /// 503 with a page or XML that says "slow down".
    SlowDown,
    /// 400 with `ThrottlingException`.
    Code,
    /// 200 in which some or all of the documents are throttled.
    Documents,
}

/// What is wrong with the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum DiskFault {
    /// Such a share of a thousand changes fails.
    Fails { in_thousand: u32 },
    /// There is no room.
    Full,
    /// Nothing can be read.
    Unreadable,
    /// Each operation takes so long.
    Slow { each: Duration },
    /// Another process has the directory.
    Locked,
}

/// A process.
#[derive(Debug, Clone, Copy)]
pub(super) struct Life {
    pub(super) length: Duration,
    pub(super) end: End,
}

/// How a process ends.
#[derive(Debug, Clone, Copy)]
pub(super) enum End {
    /// Told to, with this shutdown timeout; told a second time so much later.
    Stopped {
        timeout: Duration,
        again_after: Option<Duration>,
    },
    /// Killed, in the middle of everything.
    Killed,
    /// The power fails with one of the next changes of the disk, or soon.
    PowerFailed { after_changes: usize },
}

impl Plan {
    pub(super) fn of_seed(seed: u64) -> Self {
        let mut rng = Rng::with_seed(seed);
        let is_bearable = rng.u8(0..4) == 0;
        let lives: Vec<Life> = (0..rng.usize(1..=3)).map(|_| life(&mut rng)).collect();
        let length: Duration = lives.iter().map(|life| life.length).sum();
        let documents_per_s = between(&mut rng, 2.0, 30.0);
        let least_pad = rng.usize(0..100);
        let pad = least_pad..least_pad + rng.usize(1..200);
        let spool_bytes = rng.bool().then(|| rng.u64(10..100) << 12);
        let bytes_per_s = documents_per_s * (60.0 + (pad.start + pad.end) as f64 / 2.0);
        // So many seconds of traffic have room; where nothing may be lost, more than the longest fault that lasts.
        let seconds = if is_bearable {
            between(&mut rng, 40.0, 60.0)
        } else {
            between(&mut rng, 2.0, 20.0)
        };
        let budget = budget((bytes_per_s * seconds) as usize + 4096, spool_bytes.is_some());
        let latency = Duration::from_millis(rng.u64(1..if is_bearable { 100 } else { 400 }));
        let endpoint = windows(&mut rng, length, 1..=4, |rng| match is_bearable {
            true => bearable_fault(rng),
            false => endpoint_fault(rng),
        });
        let disk = match spool_bytes.is_some() && !is_bearable {
            true => windows(&mut rng, length, 0..=3, disk_fault),
            false => Vec::new(),
        };
        Self {
            budget,
            spool_bytes,
            concurrency: (rng.u8(0..4) == 0 && !is_bearable).then(|| rng.usize(1..20)),
            traffic: Traffic {
                documents_per_s,
                gap: Duration::from_millis(rng.u64(150..600)),
                pad,
                odd_percent: if rng.bool() { rng.u32(0..10) } else { 0 },
            },
            latency,
            endpoint,
            disk,
            clock_steps: (0..rng.usize(0..3))
                .map(|_| (moment(&mut rng, length), rng.i64(-4_000_000..4_000_000)))
                .collect(),
            lives,
            is_bearable,
        }
    }
}

/// As [`Budget::of_mb`] and [`Budget::with_spool`], of fewer bytes, so that a minute of little traffic fills it.
fn budget(total_bytes: usize, with_spool: bool) -> Budget {
    let open_batch_bytes = total_bytes / 8;
    let budget = Budget {
        total_mb: 0,
        open_batch_bytes,
        sealed_bytes: total_bytes - open_batch_bytes,
        to_spool_bytes: 0,
    };
    if with_spool { budget.with_spool() } else { budget }
}

fn between(rng: &mut Rng, least: f64, most: f64) -> f64 {
    least + rng.f64() * (most - least)
}

fn moment(rng: &mut Rng, length: Duration) -> Duration {
    length.mul_f64(rng.f64())
}

fn windows<F>(
    rng: &mut Rng,
    length: Duration,
    count: impl std::ops::RangeBounds<usize>,
    mut fault: impl FnMut(&mut Rng) -> F,
) -> Vec<Window<F>> {
    (0..rng.usize(count))
        .map(|_| {
            let from = moment(rng, length);
            let lasts = Duration::from_secs_f64(between(rng, 0.5, 20.0));
            Window {
                span: from..(from + lasts).min(length),
                fault: fault(rng),
            }
        })
        .collect()
}

fn life(rng: &mut Rng) -> Life {
    let end = match rng.u8(0..5) {
        0..=2 => End::Stopped {
            timeout: Duration::from_millis(rng.u64(200..9000)),
            again_after: (rng.u8(0..4) == 0).then(|| Duration::from_millis(rng.u64(1000..4000))),
        },
        3 => End::Killed,
        _ => End::PowerFailed {
            after_changes: rng.usize(1..12),
        },
    };
    Life {
        length: Duration::from_millis(rng.u64(2000..25_000)),
        end,
    }
}

fn failure(rng: &mut Rng) -> Failure {
    let pick = |rng: &mut Rng, of: &[u16]| of[rng.usize(..of.len())];
    match rng.u8(0..4) {
        0 => Failure::Service(pick(rng, &[500, 502, 503, 504])),
        1 => Failure::Page(pick(
            rng,
            &[200, 302, 400, 402, 404, 409, 418, 423, 451, 499, 502],
        )),
        2 => Failure::Credentials,
        _ => Failure::Transport(
            [
                ErrorClass::ConnectionRefused,
                ErrorClass::UnknownHost,
                ErrorClass::Connection,
                ErrorClass::Other,
            ][rng.usize(..4)],
        ),
    }
}

fn throttle(rng: &mut Rng) -> Throttle {
    [
        Throttle::Status,
        Throttle::SlowDown,
        Throttle::Code,
        Throttle::Documents,
    ][rng.usize(..4)]
}

fn endpoint_fault(rng: &mut Rng) -> EndpointFault {
    match rng.u8(0..10) {
        0 => EndpointFault::Fails {
            share: 1.0,
            how: failure(rng),
        },
        1 | 2 => EndpointFault::Fails {
            share: rng.f64(),
            how: failure(rng),
        },
        3 => EndpointFault::Hangs { share: rng.f64() },
        4 => EndpointFault::Slow {
            factor: between(rng, 1.5, 20.0),
        },
        5 | 6 => EndpointFault::Throttles {
            per_s: between(rng, 0.2, 5.0),
            how: throttle(rng),
            retry_after_s: rng.bool().then(|| rng.u64(0..40)),
        },
        7 => EndpointFault::LosesAnswers { share: rng.f64() },
        8 => EndpointFault::FailsOver { share: rng.f64() },
        _ => EndpointFault::TakesOnly {
            bytes: rng.usize(400..8000),
        },
    }
}

/// One that leaves the endpoint able to take what comes.
fn bearable_fault(rng: &mut Rng) -> EndpointFault {
    match rng.u8(0..6) {
        0 | 1 => EndpointFault::Fails {
            share: between(rng, 0.05, 0.6),
            how: failure(rng),
        },
        2 => EndpointFault::Hangs {
            share: between(rng, 0.05, 0.3),
        },
        3 => EndpointFault::Slow {
            factor: between(rng, 1.5, 4.0),
        },
        4 => EndpointFault::LosesAnswers {
            share: between(rng, 0.05, 0.5),
        },
        _ => EndpointFault::TakesOnly {
            bytes: rng.usize(2000..8000),
        },
    }
}

fn disk_fault(rng: &mut Rng) -> DiskFault {
    match rng.u8(0..6) {
        0 => DiskFault::Fails { in_thousand: 1000 },
        1 => DiskFault::Fails {
            in_thousand: rng.u32(20..500),
        },
        2 => DiskFault::Full,
        3 => DiskFault::Unreadable,
        4 => DiskFault::Slow {
            each: Duration::from_millis(rng.u64(1..200)),
        },
        _ => DiskFault::Locked,
    }
}
