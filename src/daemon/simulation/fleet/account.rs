//! One account of X-Ray, which many daemons share: so many segments a second for all of them, and what it takes of whom.

use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use bytes::Bytes;
use fastrand::Rng;

use crate::daemon::simulation::moment;
use crate::exporters::Exporter;
use crate::exporters::answer::{Answer, Unprocessed};
use crate::exporters::bodies::Bodies;
use crate::exporters::error::PutError;
use crate::ledger::outcome::ErrorClass;
use crate::pipeline::batch::encoding::Encoding as _;
use crate::pipeline::batch::kind::Kind;

/// What it does with a call that is too much.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Throttle {
    /// Refuses it whole, with 429; and asks to wait for so many seconds.
    Whole { retry_after_s: Option<u64> },
    /// Takes as many segments as are left, and names the others.
    Rest,
}

/// So much of the quota may be used at once after a pause, as a time.
const BURST: Duration = Duration::from_millis(250);

/// The account.
#[derive(Debug)]
pub(super) struct Account {
    start: Instant,
    quota_per_s: f64,
    throttle: Throttle,
    /// From the start of the run.
    pub(super) outage: std::ops::Range<Duration>,
    latency: Duration,
    tokens: f64,
    filled_at: Instant,
    rng: Rng,
    pub(super) seconds: Vec<Second>,
    /// Segments of each daemon that were taken, in each minute.
    pub(super) taken: Vec<Vec<u32>>,
}

/// What was seen in one second of the run.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Second {
    pub(super) calls: u32,
    /// Calls that were throttled, wholly or in part.
    pub(super) throttled: u32,
    pub(super) taken: u32,
}

impl Account {
    pub(super) fn new(
        quota_per_s: f64,
        throttle: Throttle,
        outage: std::ops::Range<Duration>,
        daemons: usize,
        rng: Rng,
    ) -> Arc<Mutex<Self>> {
        let start = moment();
        Arc::new(Mutex::new(Self {
            start,
            quota_per_s,
            throttle,
            outage,
            latency: Duration::from_millis(30),
            tokens: 0.0,
            filled_at: start,
            rng,
            seconds: Vec::new(),
            taken: vec![Vec::new(); daemons],
        }))
    }

    fn second(&mut self, now: Instant) -> &mut Second {
        let second = (now - self.start).as_secs() as usize;
        if self.seconds.len() <= second {
            self.seconds.resize(second + 1, Second::default());
        }
        &mut self.seconds[second]
    }

    /// A call with so many segments of `daemon`: how many of them are taken, `None` during the outage.
    fn call(&mut self, daemon: usize, segments: u32, now: Instant) -> Option<u32> {
        self.second(now).calls += 1;
        let passed = now - self.start;
        if self.outage.contains(&passed) {
            return None;
        }
        let refill = (now - self.filled_at).as_secs_f64() * self.quota_per_s;
        self.filled_at = now;
        self.tokens = (self.tokens + refill).min(self.quota_per_s * BURST.as_secs_f64());
        let taken = match self.throttle {
            _ if self.tokens >= f64::from(segments) => segments,
            Throttle::Whole { .. } => 0,
            Throttle::Rest => self.tokens as u32,
        };
        self.tokens -= f64::from(taken);
        let second = self.second(now);
        second.taken += taken;
        second.throttled += u32::from(taken < segments);
        let minute = passed.as_secs() as usize / 60;
        let minutes = &mut self.taken[daemon];
        if minutes.len() <= minute {
            minutes.resize(minute + 1, 0);
        }
        minutes[minute] += taken;
        Some(taken)
    }
}

/// The way of one daemon to the account.
#[derive(Debug, Clone)]
pub(super) struct Way {
    pub(super) account: Arc<Mutex<Account>>,
    pub(super) daemon: usize,
}

impl Way {
    fn account(&self) -> MutexGuard<'_, Account> {
        self.account.lock().unwrap()
    }
}

impl Exporter for Way {
    type Encoding = Bodies;

    async fn put(&self, _: Kind, body: Bytes) -> Result<Answer, PutError> {
        let (segments, result, after) = {
            let mut account = self.account();
            // No comma is inside of a document here.
            let segments = 1 + body.iter().filter(|byte| **byte == b',').count() as u32;
            let taken = account.call(self.daemon, segments, moment());
            let after = account.latency.mul_f64(0.7 + 0.6 * account.rng.f64());
            let result = match (taken, account.throttle) {
                (None, _) => Err(PutError::new(ErrorClass::ConnectionRefused, "down")),
                (Some(0), Throttle::Whole { retry_after_s }) => Err(PutError {
                    status: Some(429),
                    retry_after: retry_after_s.map(Duration::from_secs),
                    ..PutError::new(ErrorClass::Throttled, "throttled")
                }),
                (Some(taken), _) => Ok(taken),
            };
            (segments, result, after)
        };
        tokio::time::sleep(after).await;
        let taken = result?;
        let mut answer = Answer::default();
        if taken < segments {
            let left = Bodies::describe(&body).into_iter().skip(taken as usize);
            answer.unprocessed.extend(left.map(|document| Unprocessed {
                id: document.id,
                error_code: Some("ThrottledException".to_owned()),
                message: None,
                class: ErrorClass::Throttled,
            }));
        }
        Ok(answer)
    }
}
