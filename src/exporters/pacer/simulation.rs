//! The pacer against a model of an endpoint, in simulated time: batches come evenly and wait in a queue with a bound; calls
//! fail, hang, are throttled or meet an outage by chance, from a seed.

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

use fastrand::Rng;

use super::{CallId, Outcome, Pacer, Start};

/// What happens in a run.
#[derive(Debug, Clone)]
struct Plan {
    length: Duration,
    batches_per_s: u32,
    /// Most batches that wait or are in flight; the oldest that waits gives way.
    room: usize,
    latency: Duration,
    /// At first, for so long, calls are answered at once and none fails or hangs.
    well_for: Duration,
    failing_share: f64,
    hanging_share: f64,
    quota_per_s: Option<f64>,
    outage: Option<(Duration, Duration)>,
}

impl Default for Plan {
    /// 1,000 segments a second for a minute, `-m 16`.
    fn default() -> Self {
        Self {
            length: Duration::from_secs(60),
            batches_per_s: 20,
            room: 320,
            latency: Duration::from_millis(50),
            well_for: Duration::ZERO,
            failing_share: 0.0,
            hanging_share: 0.0,
            quota_per_s: None,
            outage: None,
        }
    }
}

/// What came of it, in batches and calls.
#[derive(Debug, Default)]
struct Seen {
    calls: u32,
    taken: u32,
    dropped: u32,
    left: usize,
    /// From the tenth second on.
    late_calls: u32,
    late_throttles: u32,
    in_outage: u32,
    /// In the first second from the first call after the outage.
    first_second: u32,
}

#[derive(Debug)]
struct Batch {
    came: Instant,
    attempts: u32,
    not_before: Instant,
}

struct Call {
    id: CallId,
    batch: Batch,
    outcome: Outcome,
}

struct Simulation {
    plan: Plan,
    rng: Rng,
    start: Instant,
    now: Instant,
    pacer: Pacer,
    waiting: VecDeque<Batch>,
    /// By when they end, and which came first.
    calls: BTreeMap<(Instant, u32), Call>,
    quota_left: f64,
    quota_at: Instant,
    back_since: Option<Instant>,
    seen: Seen,
}

const TIME_OUT: Duration = Duration::from_secs(15);
const FAILED: Outcome = Outcome::Failed { retry_after: None };

impl Simulation {
    fn run(plan: Plan, seed: u64) -> Seen {
        let start = Instant::now();
        let mut simulation = Self {
            plan,
            rng: Rng::with_seed(seed),
            start,
            now: start,
            pacer: Pacer::new(64),
            waiting: VecDeque::new(),
            calls: BTreeMap::new(),
            quota_left: 1.0,
            quota_at: start,
            back_since: None,
            seen: Seen::default(),
        };
        let every = Duration::from_secs(1) / simulation.plan.batches_per_s;
        let mut next_comes = start + every;
        while simulation.now < start + simulation.plan.length {
            let woken = simulation.start_calls();
            let first_end = simulation.calls.first_key_value().map(|((at, _), _)| *at);
            let next = [woken, first_end, Some(next_comes)].into_iter().flatten().min();
            // As a timer does, a little late.
            simulation.now = next
                .unwrap_or(next_comes)
                .max(simulation.now + Duration::from_nanos(100));
            if simulation.now >= next_comes {
                simulation.come();
                next_comes += every;
            }
            simulation.end_calls();
        }
        simulation.seen.left = simulation.waiting.len() + simulation.calls.len();
        simulation.seen
    }

    fn come(&mut self) {
        self.waiting.push_back(Batch {
            came: self.now,
            attempts: 0,
            not_before: self.now,
        });
        while self.waiting.len() + self.calls.len() > self.plan.room && self.waiting.pop_front().is_some() {
            self.seen.dropped += 1;
        }
    }

    /// When to look again, if time alone is what it takes.
    fn start_calls(&mut self) -> Option<Instant> {
        loop {
            let Some(ready) = self.waiting.iter().position(|batch| batch.not_before <= self.now) else {
                return self.waiting.iter().map(|batch| batch.not_before).min();
            };
            match self.pacer.may_start(self.now) {
                Start::Now => {
                    let batch = self.waiting.remove(ready)?;
                    self.call(batch);
                }
                Start::InPlaceOf(id) => {
                    self.pacer.given_up(id, self.now, self.rng.f64());
                    let key = *self.calls.iter().find(|(_, call)| call.id == id)?.0;
                    let call = self.calls.remove(&key)?;
                    self.back(call.batch);
                }
                Start::At(at) => return Some(at),
                Start::WhenOneEnds(at) => return at,
            }
        }
    }

    fn back(&mut self, mut batch: Batch) {
        batch.attempts += 1;
        batch.not_before = self.pacer.hold_back(self.now, batch.attempts, self.rng.f64());
        let place = self.waiting.partition_point(|other| other.came <= batch.came);
        self.waiting.insert(place, batch);
    }

    fn call(&mut self, batch: Batch) {
        let passed = self.now - self.start;
        let id = self.pacer.started(50, self.now, self.rng.f64());
        self.seen.calls += 1;
        let is_late = passed >= Duration::from_secs(10);
        self.seen.late_calls += u32::from(is_late);
        let is_down = self
            .plan
            .outage
            .is_some_and(|(from, to)| (from..to).contains(&passed));
        if is_down {
            self.seen.in_outage += 1;
        } else if self.plan.outage.is_some_and(|(_, to)| passed >= to) {
            let back_since = *self.back_since.get_or_insert(self.now);
            self.seen.first_second += u32::from(self.now < back_since + Duration::from_secs(1));
        }
        let (took, outcome) = if is_down {
            (Duration::from_millis(2), FAILED)
        } else if passed < self.plan.well_for {
            (Duration::from_millis(1), Outcome::Answered)
        } else if self.rng.f64() < self.plan.hanging_share {
            (TIME_OUT, FAILED)
        } else if self.rng.f64() < self.plan.failing_share {
            (self.plan.latency, FAILED)
        } else if self.is_over_quota() {
            self.seen.late_throttles += u32::from(is_late);
            let throttled = Outcome::Throttled {
                retry_after: None,
                taken: 0,
            };
            (self.plan.latency, throttled)
        } else {
            (
                self.plan.latency.mul_f64(0.8 + 0.4 * self.rng.f64()),
                Outcome::Answered,
            )
        };
        self.calls
            .insert((self.now + took, self.seen.calls), Call { id, batch, outcome });
    }

    fn is_over_quota(&mut self) -> bool {
        let Some(per_s) = self.plan.quota_per_s else {
            return false;
        };
        let passed = (self.now - self.quota_at).as_secs_f64();
        self.quota_at = self.now;
        self.quota_left = (self.quota_left + passed * per_s).min(1.0 + per_s / 4.0);
        let is_over = self.quota_left < 1.0;
        if !is_over {
            self.quota_left -= 1.0;
        }
        is_over
    }

    fn end_calls(&mut self) {
        while let Some(first) = self.calls.first_entry()
            && first.key().0 <= self.now
        {
            let Call { id, batch, outcome } = first.remove();
            let _ = self.pacer.ended(id, self.now, outcome, self.rng.f64());
            match outcome {
                Outcome::Answered => self.seen.taken += 1,
                _ => self.back(batch),
            }
        }
    }
}

#[test]
fn whatever_share_of_calls_fails_nothing_is_dropped_and_calls_are_what_the_share_makes_necessary() {
    for failing_percent in [10, 30, 50, 70, 90] {
        for latency_ms in [5, 50, 200] {
            let failing_share = f64::from(failing_percent) / 100.0;
            for seed in 0..10 {
                let plan = Plan {
                    failing_share,
                    latency: Duration::from_millis(latency_ms),
                    ..Plan::default()
                };
                let seen = Simulation::run(plan, seed);
                let what = format!("{failing_percent} %, {latency_ms} ms, seed {seed}: {seen:?}");
                assert_eq!(seen.dropped, 0, "{what}");
                // Three seconds of traffic. Nine of ten calls of 200 ms fail: 40 batches are in flight on average.
                assert!(seen.left <= 60, "{what}");
                let necessary = f64::from(seen.taken) / (1.0 - failing_share);
                assert!(f64::from(seen.calls) <= 1.3 * necessary + 64.0, "{what}");
            }
        }
    }
}

#[test]
fn where_a_third_or_half_of_the_calls_hangs_until_the_time_out_nothing_is_dropped() {
    for hanging_share in [0.33, 0.5] {
        for seed in 0..10 {
            let plan = Plan {
                hanging_share,
                ..Plan::default()
            };
            let seen = Simulation::run(plan, seed);
            assert_eq!(seen.dropped, 0, "seed {seed}: {seen:?}");
            // Three seconds of traffic.
            assert!(seen.left <= 60, "seed {seed}: {seen:?}");
        }
    }
}

#[test]
fn an_endpoint_that_falls_ill_and_slow_at_once_costs_nothing() {
    // After a long good time, nine of ten are ten failures in a row, and those are an outage.
    for (failing_share, hanging_share, latency_ms, well_for_ms) in [
        (0.9, 0.0, 200, 100),
        (0.5, 0.33, 50, 100),
        (0.5, 0.0, 200, 20_000),
        (0.0, 0.33, 200, 20_000),
    ] {
        for seed in 0..10 {
            let plan = Plan {
                well_for: Duration::from_millis(well_for_ms),
                failing_share,
                hanging_share,
                latency: Duration::from_millis(latency_ms),
                ..Plan::default()
            };
            let seen = Simulation::run(plan, seed);
            let what = format!(
                "{failing_share}, {hanging_share}, {latency_ms} ms, {well_for_ms} ms, seed {seed}: {seen:?}"
            );
            assert_eq!(seen.dropped, 0, "{what}");
            assert!(seen.left <= 60, "{what}");
        }
    }
}

#[test]
fn with_a_quota_above_the_need_few_calls_are_throttled_and_below_it_all_of_it_is_used() {
    for seed in 0..10 {
        let quota = |batches_per_s, room| Plan {
            quota_per_s: Some(40.0),
            batches_per_s,
            room,
            ..Plan::default()
        };
        let seen = Simulation::run(quota(30, 480), seed);
        assert_eq!(seen.dropped, 0, "seed {seed}: {seen:?}");
        assert!(
            10 * seen.late_throttles <= seen.late_calls,
            "seed {seed}: {seen:?}"
        );
        let seen = Simulation::run(quota(60, 960), seed);
        assert!(seen.taken >= 60 * 40 * 8 / 10, "seed {seed}: {seen:?}");
        assert!(
            4 * seen.late_throttles <= seen.late_calls,
            "seed {seed}: {seen:?}"
        );
    }
}

#[test]
fn an_outage_costs_nothing_but_probes_and_its_end_sees_no_more_than_twice_the_usual_rate() {
    for latency_ms in [5, 50, 200] {
        for seed in 0..10 {
            let plan = Plan {
                length: Duration::from_secs(120),
                latency: Duration::from_millis(latency_ms),
                room: 1500,
                outage: Some((Duration::from_secs(10), Duration::from_secs(70))),
                ..Plan::default()
            };
            let seen = Simulation::run(plan, seed);
            assert_eq!(seen.dropped, 0, "seed {seed}: {seen:?}");
            assert!(seen.in_outage <= 80, "seed {seed}: {seen:?}");
            assert!(seen.first_second <= 40, "seed {seed}: {seen:?}");
            assert!(seen.left <= 20, "seed {seed}: {seen:?}");
        }
    }
}
