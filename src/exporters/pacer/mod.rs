//! When a call may start, and when a batch may go again. No clock: `now` comes in; no randomness: `jitter` comes in.
//!
//! The endpoint's health is a measurement, not a flag. Three things are measured, each from calls that *started*
//! recently, and each bounds what starts next:
//!
//! * **Whether anything succeeds** (`health`). How many failures a success costs is learned from every success. While
//!   one comes now and then, failing calls are nothing but repeats: the rest goes on. Only when nothing has succeeded for
//!   far longer than chance explains does the endpoint count as down; then single probes go out after a back-off.
//! * **How many calls in flight carry the work** (the limit, here). It grows by one with each call that ends while it is
//!   reached, as in TCP's slow start and in Vector's adaptive concurrency; unlike there, a failure that has nothing to do
//!   with the number of calls does not lower it: an endpoint of which half is ill needs twice the calls, not fewer. So
//!   failures count as well, as soon as a success after them shows that they are that share. It shrinks when answers
//!   become slow, to where it began; when they are slow then too, that is what is usual from there on. A call that hangs
//!   does not count once a later one has succeeded, and gives way when the places are used up or many hang. Should all of
//!   them hang, one more goes from time to time.
//! * **How many documents a second the service takes** (`quota`): after a throttle as in the adaptive mode of AWS's SDKs.
//!   **How many calls** (`rate`), after an outage: from the rate before it.
//!
//! A *batch's* own gate ([`Pacer::hold_back`]): a batch that fails more often than the endpoint's health explains must not
//! stand before the others.

mod health;
mod quota;
mod rate;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use health::Health;
use quota::Quota;
use rate::Rate;

/// The first back-off's upper bound; it doubles with each failure.
const BASE: Duration = Duration::from_millis(200);

/// The largest back-off: how late an endpoint's return may be noticed.
const CAP: Duration = Duration::from_secs(10);

/// The same near the end: what is there is lost soon, and the way to it does not bear a tenth of the calls that it bore.
const CAP_AT_END: Duration = Duration::from_millis(250);

/// The least back-off, so that full jitter never means at once.
const FLOOR: Duration = Duration::from_millis(20);

/// The longest Retry-After that is obeyed; a service that says an hour must not stop a daemon for an hour.
const MAX_RETRY_AFTER: Duration = Duration::from_secs(60);

/// Calls in flight at the start: the official daemon's number of senders. Slow answers do not lower the limit below it.
pub const INITIAL_CONCURRENCY: usize = 8;

/// Most calls in flight when `Concurrency` does not say: at 1 s an answer, 64 calls carry 3,200 segments a second.
pub const DEFAULT_MAX_CONCURRENCY: usize = 64;

/// The age at which a call may count as hanging, when answers are quick.
const HANGING_MIN_AGE: Duration = Duration::from_secs(1);

/// The same near the end: there is no time then to wait for many that hang, one after the other.
const HANGING_MIN_AGE_AT_END: Duration = Duration::from_millis(200);

/// How many times the usual time of an answer a call must be out to count as hanging; and near the end.
const HANGING_FACTOR: u32 = 4;
const HANGING_FACTOR_AT_END: u32 = 2;

/// Near the end a call is waited for twice as long after so many that were given up in vain: it may be that all take long. One
/// that fails by itself says that they do not, as much as so many said that they do.
const GIVEN_UP_PER_DOUBLING: u32 = 2;

/// Most calls that hang and are waited for all the same: one is no reason to give it up, some at a time are no accident, and
/// the segments in them wait.
const HANGING_MAX: usize = 2 * INITIAL_CONCURRENCY;

/// Slow: answers that take this many times as long as usual.
const SLOW_FACTOR: f64 = 2.0;

/// What is left of the limit with each answer while answers are slow.
const SHRINKS_TO: f64 = 0.98;

/// The weight of one answer in how long answers take usually, and lately.
const USUAL_WEIGHT: f64 = 0.005;
const LATELY_WEIGHT: f64 = 0.1;

/// A call in flight.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CallId(u64);

/// What is known of it.
#[derive(Debug, Clone, Copy)]
struct InFlight {
    started: Instant,
    documents: usize,
}

/// What an ended call says of the endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It answered: the documents were taken, or refused in its own words.
    Answered,
    /// It asks for fewer calls, for all or some of the documents.
    Throttled {
        /// How long it asks to wait.
        retry_after: Option<Duration>,
        /// How many documents were taken all the same.
        taken: usize,
    },
    /// No answer, or one that says nothing of the documents.
    Failed {
        /// How long it asks to wait.
        retry_after: Option<Duration>,
    },
}

/// A time in which nothing succeeds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Outage {
    /// When the first call of it started.
    pub since: Instant,
    /// How many calls have failed in it.
    pub failures: u32,
}

/// Whether a call may start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Start {
    /// Yes.
    Now,
    /// Yes, when this one, which hangs, is given up for it.
    InPlaceOf(CallId),
    /// Not before then.
    At(Instant),
    /// Not before one in flight has ended, or until then, when those in flight have been out for long.
    WhenOneEnds(Option<Instant>),
}

/// Paces the calls to one endpoint.
#[derive(Debug)]
pub struct Pacer {
    max: usize,
    /// In fractions, so that it can shrink by less than one.
    limit: f64,
    /// Calls that failed since the last success, each while the limit was reached.
    failed_at_limit: u32,
    in_flight: BTreeMap<CallId, InFlight>,
    next: u64,
    health: Health,
    rate: Rate,
    quota: Quota,
    /// How long answers take, over hundreds of them and over the last ten, in seconds.
    usual_s: Option<f64>,
    lately_s: Option<f64>,
    /// When the call started that is the latest to have succeeded.
    latest_success_started: Option<Instant>,
    asked_to_wait_until: Option<Instant>,
    /// The end is near.
    hurried: bool,
    /// How many calls were given up since the last success, or since the end is near; fewer where others fail by themselves.
    given_up: u32,
}

impl Pacer {
    /// At most `max` calls in flight.
    #[must_use]
    pub fn new(max: usize) -> Self {
        let max = max.max(1);
        Self {
            max,
            limit: INITIAL_CONCURRENCY.min(max) as f64,
            failed_at_limit: 0,
            in_flight: BTreeMap::new(),
            next: 0,
            health: Health::default(),
            rate: Rate::default(),
            quota: Quota::default(),
            usual_s: None,
            lately_s: None,
            latest_success_started: None,
            asked_to_wait_until: None,
            hurried: false,
            given_up: 0,
        }
    }

    /// How many calls may be in flight, those that hang left out.
    #[must_use]
    pub fn limit(&self) -> usize {
        (self.limit as usize).clamp(1, self.max)
    }

    /// Calls in flight.
    #[must_use]
    pub fn in_flight(&self) -> usize {
        self.in_flight.len()
    }

    /// The outage that is going on: nothing has succeeded for longer than chance explains.
    #[must_use]
    pub fn outage(&self) -> Option<Outage> {
        self.health.outage()
    }

    /// Whether the last call that ended was answered.
    #[must_use]
    pub fn is_answered(&self) -> bool {
        self.latest_success_started.is_some() && !self.health.is_failing()
    }

    /// The share of calls that fail lately, 0 to 1.
    #[cfg(test)]
    fn failing_share(&self) -> f64 {
        self.health.failing_share()
    }

    /// Whether one more call may start at `now`.
    #[must_use]
    pub fn may_start(&self, now: Instant) -> Start {
        if let Some(until) = self.asked_to_wait_until.filter(|until| *until > now) {
            return Start::At(until);
        }
        if let Some(until) = self.health.probe_at() {
            // One more although the last probe may hang: after its back-off, which grows.
            return match (until > now, self.in_flight.len() < self.max) {
                (true, _) => Start::At(until),
                (false, true) => Start::Now,
                (false, false) => Start::WhenOneEnds(None),
            };
        }
        if let Some(at) = self.rate.next_at(now).max(self.quota.next_at(now)) {
            return Start::At(at);
        }
        let hanging = self.hanging(now);
        let counted = self.in_flight.len() - hanging.count;
        if counted >= self.limit() {
            // Should all of them hang, nothing will ever show it: one more goes when they have been out for so long.
            let one_more_at = match self.in_flight.last_key_value() {
                Some((_, latest)) if self.in_flight.len() < self.max => {
                    Some(latest.started + self.hanging_age())
                }
                _ => None,
            };
            return match one_more_at {
                Some(at) if at <= now => Start::Now,
                _ => Start::WhenOneEnds([hanging.next_at, one_more_at].into_iter().flatten().min()),
            };
        }
        let has_place = self.in_flight.len() < self.max && hanging.count <= HANGING_MAX;
        match (has_place, hanging.oldest) {
            (true, _) => Start::Now,
            (false, Some(oldest)) => Start::InPlaceOf(oldest),
            (false, None) => Start::WhenOneEnds(hanging.next_at),
        }
    }

    /// How many documents a call may carry that starts at `now`; `None`: any number.
    #[must_use]
    pub fn most_documents(&self, now: Instant) -> Option<usize> {
        self.quota.most_documents(now)
    }

    /// A call with so many documents starts.
    pub fn started(&mut self, documents: usize, now: Instant, jitter: f64) -> CallId {
        let id = CallId(self.next);
        self.next += 1;
        self.in_flight.insert(
            id,
            InFlight {
                started: now,
                documents,
            },
        );
        self.rate.started(now);
        self.quota.started(documents, now);
        self.health.probe_started(now, jitter);
        id
    }

    /// A call that [`Start::InPlaceOf`] named was given up. It counts as failed.
    pub fn given_up(&mut self, id: CallId, now: Instant, jitter: f64) {
        let given_up = self.given_up.saturating_add(1);
        let _ = self.ended(id, now, Outcome::Failed { retry_after: None }, jitter);
        self.given_up = given_up;
    }

    /// A call that was started was not made after all: it says nothing of the endpoint.
    pub fn not_made(&mut self, id: CallId) {
        let _: Option<InFlight> = self.in_flight.remove(&id);
    }

    /// A call ended. `jitter` is a random number in [0, 1). Returns the outage that it ends.
    pub fn ended(&mut self, id: CallId, now: Instant, outcome: Outcome, jitter: f64) -> Option<Outage> {
        let was_in_flight = self.in_flight.len() - self.hanging(now).count;
        let InFlight { started, documents } = self.in_flight.remove(&id)?;
        match outcome {
            Outcome::Answered => {
                self.measure(now.saturating_duration_since(started));
                self.quota.taken(documents, now);
                self.succeeded(started, now, was_in_flight)
            }
            Outcome::Throttled { retry_after, taken } => {
                self.ask_to_wait(retry_after, now, jitter);
                self.quota.throttled(started, now, self.asked_to_wait_until);
                self.quota.taken(taken, now);
                // Who says that it is too much is there.
                self.succeeded(started, now, 0)
            }
            Outcome::Failed { retry_after } => {
                self.given_up = self.given_up.saturating_sub(GIVEN_UP_PER_DOUBLING);
                self.ask_to_wait(retry_after, now, jitter);
                if was_in_flight >= self.limit() {
                    self.failed_at_limit = self.failed_at_limit.saturating_add(1);
                }
                if self.health.is_doubtful() {
                    self.rate.hold(now);
                }
                if self.health.failed(started, now, jitter) {
                    self.rate.outage();
                    self.quota.outage();
                }
                if self.health.outage().is_some() {
                    // Those are no share of anything.
                    self.failed_at_limit = 0;
                }
                None
            }
        }
    }

    fn succeeded(&mut self, started: Instant, now: Instant, was_in_flight: usize) -> Option<Outage> {
        self.given_up = 0;
        self.latest_success_started = self.latest_success_started.max(Some(started));
        self.rate.let_go();
        let ended = self.health.succeeded(started);
        if let Some(outage) = ended {
            let from = self.asked_to_wait_until.unwrap_or(now).max(now);
            self.rate.recovers(from);
            self.quota
                .recovers(now.saturating_duration_since(outage.since), from);
        }
        let failed_before = f64::from(std::mem::take(&mut self.failed_at_limit));
        // Only a limit that was reached is raised: otherwise nothing shows that more would be carried.
        if was_in_flight >= self.limit() {
            let least = INITIAL_CONCURRENCY.min(self.max) as f64;
            if self.is_slow() && self.limit > least {
                self.limit = (self.limit * SHRINKS_TO).max(least);
            } else if self.is_slow() {
                // So slow with so few calls: that is how it is, and not of our making.
                self.usual_s = self.lately_s;
            } else {
                self.limit = (self.limit + failed_before + 1.0).min(self.max as f64);
            }
        }
        ended
    }

    fn is_slow(&self) -> bool {
        matches!((self.usual_s, self.lately_s), (Some(usual), Some(lately)) if lately > SLOW_FACTOR * usual)
    }

    fn measure(&mut self, duration: Duration) {
        let seconds = duration.as_secs_f64();
        let averaged =
            |old: Option<f64>, weight: f64| old.map_or(seconds, |old| old + weight * (seconds - old));
        self.usual_s = Some(averaged(self.usual_s, USUAL_WEIGHT));
        self.lately_s = Some(averaged(self.lately_s, LATELY_WEIGHT));
    }

    fn ask_to_wait(&mut self, retry_after: Option<Duration>, now: Instant, jitter: f64) {
        // A fleet that was told the same must not come back in the same moment.
        let asked = retry_after.map(|asked| now + asked.min(MAX_RETRY_AFTER).mul_f64(1.0 + jitter / 2.0));
        self.asked_to_wait_until = self.asked_to_wait_until.max(asked);
    }

    /// The call that hangs for longest, if one does: others that started after it have succeeded. Near the end, when few
    /// others start, it is enough that it takes long; twice as long with each second one that was given up in vain.
    #[must_use]
    pub fn hangs(&self, now: Instant) -> Option<CallId> {
        self.hanging(now).oldest
    }

    /// When one more of the calls in flight may count as hanging; `None` when that takes a success first.
    #[must_use]
    pub fn hangs_at(&self, now: Instant) -> Option<Instant> {
        self.hanging(now).next_at
    }

    /// The age at which a call may count as hanging.
    fn hanging_age(&self) -> Duration {
        let usual = Duration::from_secs_f64(self.usual_s.unwrap_or_default());
        let (least, factor) = match self.hurried {
            true => (HANGING_MIN_AGE_AT_END, HANGING_FACTOR_AT_END),
            false => (HANGING_MIN_AGE, HANGING_FACTOR),
        };
        least.max(usual * factor)
    }

    fn hanging(&self, now: Instant) -> Hanging {
        let overtaken_age = self.hanging_age();
        let mut hanging = Hanging::default();
        for (id, InFlight { started, .. }) in &self.in_flight {
            let is_overtaken = self
                .latest_success_started
                .is_some_and(|latest| latest > *started);
            let age = match is_overtaken {
                true => overtaken_age,
                // Without an answer ever nobody knows what takes long.
                false if self.hurried && self.usual_s.is_some() => {
                    let lately = Duration::from_secs_f64(self.lately_s.unwrap_or_default());
                    let age = overtaken_age.max(lately * HANGING_FACTOR_AT_END);
                    age.saturating_mul(2_u32.saturating_pow(self.given_up / GIVEN_UP_PER_DOUBLING))
                }
                false => break,
            };
            if *started + age > now {
                hanging.next_at = Some(*started + age);
                break;
            }
            hanging.count += 1;
            hanging.oldest = hanging.oldest.or(Some(*id));
        }
        hanging
    }

    /// Starts every back-off anew from its shortest, and from here on they stay short, and only a throttle lowers the rate:
    /// for the last chances before the end.
    pub fn hurry(&mut self, now: Instant) {
        self.hurried = true;
        self.given_up = 0;
        self.asked_to_wait_until = None;
        self.rate.hurry();
        self.quota.hurry(now);
        self.health.hurry(now);
    }

    /// When a batch that failed `attempts` times (1 and up) may go again: its own back-off, beside the endpoint's. As long
    /// as the endpoint's health explains its failures, a short one, so that a batch of an endpoint that is half ill is soon
    /// through.
    #[must_use]
    pub fn hold_back(&self, now: Instant, attempts: u32, jitter: f64) -> Instant {
        let unexplained = attempts.saturating_sub(self.health.explained_failures());
        now + match unexplained {
            0 => BASE.mul_f64(jitter.clamp(0.0, 1.0) / 4.0).max(FLOOR),
            // As with probes: where a success costs many failures, so does a longer wait.
            _ => {
                let doublings = unexplained.div_ceil(self.health.failures_per_doubling());
                back_off(doublings, self.back_off_cap(), jitter)
            }
        }
    }

    /// When documents that an answered call left undone `times` (1 and up) may go again. The endpoint's health explains
    /// nothing here: it answered. Where the service `failed` over them it is given its time near the end as well: they have
    /// so many chances and no more.
    #[must_use]
    pub fn hold_back_unprocessed(&self, now: Instant, times: u32, failed: bool, jitter: f64) -> Instant {
        let cap = if failed { CAP } else { self.back_off_cap() };
        now + back_off(times.saturating_sub(1), cap, jitter)
    }

    fn back_off_cap(&self) -> Duration {
        if self.hurried { CAP_AT_END } else { CAP }
    }
}

/// Calls in flight that hang.
#[derive(Debug, Default)]
struct Hanging {
    count: usize,
    oldest: Option<CallId>,
    /// When the next one may count as hanging.
    next_at: Option<Instant>,
}

/// Full jitter below a bound that doubles from [`BASE`] to `cap`.
fn back_off(doublings: u32, cap: Duration, jitter: f64) -> Duration {
    let bound = BASE.saturating_mul(2_u32.saturating_pow(doublings)).min(cap);
    bound.mul_f64(jitter.clamp(0.0, 1.0)).max(FLOOR)
}

#[cfg(test)]
mod simulation;
#[cfg(test)]
mod tests;
