//! A fleet: many daemons, each with its own lane and sender, share the quota of one account through an outage.

mod account;

use std::sync::Arc;
use std::time::Duration;

use fastrand::Rng;
use tokio::runtime;
use tokio::sync::watch;

use self::account::{Account, Second, Throttle, Way};
use super::{moment, variable};
use crate::exporters::bodies::Bodies;
use crate::exporters::sender::{Phase, Sender};
use crate::ledger::Ledger;
use crate::pipeline::budget::Budget;
use crate::pipeline::intake::Intake as _;
use crate::pipeline::lane::Lane;

/// Daemons in a usual run of the tests; `SIMULATION_DAEMONS` are more.
const DAEMONS: usize = 100;

/// What comes, as a share of the quota.
const DEMAND: f64 = 0.7;

const BEFORE: Duration = Duration::from_secs(120);

/// A fleet, and what happens to it.
#[derive(Debug, Clone, Copy)]
struct Plan {
    daemons: usize,
    /// Segments a second that the account takes of each on average.
    quota_per_daemon_s: f64,
    throttle: Throttle,
    outage: Duration,
    after: Duration,
}

impl Plan {
    /// Many daemons with few segments each: of 1,000 the account takes 2,600 a second.
    fn of_many(throttle: Throttle) -> Self {
        let daemons = variable("SIMULATION_DAEMONS").map_or(DAEMONS, |daemons| daemons as usize);
        Self {
            daemons,
            quota_per_daemon_s: 2.6,
            throttle,
            outage: Duration::from_secs(600),
            after: Duration::from_secs(360),
        }
    }

    /// Ten, which have as many together.
    fn of_ten(throttle: Throttle) -> Self {
        Self {
            daemons: 10,
            quota_per_daemon_s: 260.0,
            outage: Duration::from_secs(120),
            after: Duration::from_secs(180),
            ..Self::of_many(throttle)
        }
    }

    fn quota_per_s(&self) -> f64 {
        self.quota_per_daemon_s * self.daemons as f64
    }
}

/// How often somebody looks at a lane: a receiver's timer.
const TURN: Duration = Duration::from_millis(100);

/// What a fleet has shown.
#[derive(Debug)]
struct Shown {
    plan: Plan,
    seconds: Vec<Second>,
    /// By daemon and minute.
    taken: Vec<Vec<u32>>,
    lost: u64,
    waiting: u64,
}

fn run(plan: Plan, seed: u64) -> Shown {
    fastrand::seed(seed);
    let runtime = runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .unwrap();
    runtime.block_on(fleet(plan, seed))
}

async fn fleet(plan: Plan, seed: u64) -> Shown {
    let mut rng = Rng::with_seed(seed);
    let Plan {
        daemons, throttle, ..
    } = plan;
    let outage = BEFORE..BEFORE + plan.outage;
    let account = Account::new(plan.quota_per_s(), throttle, outage, daemons, rng.fork());
    let (_phase, phases) = watch::channel(Phase::Running);
    let fleet: Vec<(Arc<Lane<Bodies>>, Arc<Ledger>)> = (0..daemons)
        .map(|daemon| {
            let ledger = Arc::new(Ledger::default());
            let lane = Arc::new(Lane::new(Budget::of_mb(8), Arc::clone(&ledger)));
            let way = Way {
                account: Arc::clone(&account),
                daemon,
            };
            let sender = Sender::new(way, Arc::clone(&lane), Arc::clone(&ledger), None);
            tokio::spawn(sender.run(phases.clone()));
            (lane, ledger)
        })
        .collect();
    let start = moment();
    let mut due: Vec<f64> = (0..daemons).map(|_| rng.f64()).collect();
    let mut number = 0_u64;
    while moment() < start + BEFORE + plan.outage + plan.after {
        tokio::time::sleep(TURN).await;
        let now = moment();
        for ((lane, ledger), due) in fleet.iter().zip(&mut due) {
            *due += TURN.as_secs_f64() * plan.quota_per_daemon_s * DEMAND * 2.0 * rng.f64();
            while *due >= 1.0 {
                *due -= 1.0;
                number += 1;
                ledger.add_received(1);
                lane.add(
                    std::iter::once(format!("{{\"id\":\"{number}\"}}").as_bytes()),
                    now,
                );
            }
            if lane.next_tick().is_some_and(|at| at <= now) {
                lane.tick(now);
            }
        }
    }
    let mut account = account.lock().unwrap();
    Shown {
        plan,
        seconds: std::mem::take(&mut account.seconds),
        taken: std::mem::take(&mut account.taken),
        lost: fleet
            .iter()
            .map(|(_, ledger)| ledger.snapshot().dropped_total())
            .sum(),
        waiting: fleet.iter().map(|(lane, _)| lane.pending_documents()).sum(),
    }
}

/// Jain's index of what each got: 1 when all got the same, 1/n when one got all.
fn jain(got: &[f64]) -> f64 {
    let sum: f64 = got.iter().sum();
    let squares: f64 = got.iter().map(|got| got * got).sum();
    sum * sum / (got.len() as f64 * squares)
}

/// A minute of a fleet.
#[derive(Debug)]
struct Minute {
    /// How much of the quota was used, as a share.
    used: f64,
    calls_per_s: f64,
    most_calls: u32,
    /// The share of the calls that were throttled.
    throttled: f64,
    jain: f64,
    /// What the daemons got that got least and most, as shares of what each should have.
    least: f64,
    greatest: f64,
}

impl Shown {
    fn minute(&self, minute: usize) -> Minute {
        let daemons = self.taken.len() as f64;
        let seconds = &self.seconds[minute * 60..(minute + 1) * 60];
        let sum = |of: fn(&Second) -> u32| seconds.iter().map(|second| f64::from(of(second))).sum::<f64>();
        let got: Vec<f64> = self
            .taken
            .iter()
            .map(|taken| f64::from(taken.get(minute).copied().unwrap_or_default()))
            .collect();
        let fair = got.iter().sum::<f64>() / daemons;
        let calls = sum(|second| second.calls);
        Minute {
            used: sum(|second| second.taken) / (60.0 * self.plan.quota_per_s()),
            calls_per_s: calls / 60.0,
            most_calls: seconds
                .iter()
                .map(|second| second.calls)
                .max()
                .unwrap_or_default(),
            throttled: sum(|second| second.throttled) / calls,
            jain: jain(&got),
            least: got.iter().copied().fold(f64::MAX, f64::min) / fair,
            greatest: got.iter().copied().fold(0.0, f64::max) / fair,
        }
    }
}

/// Runs a fleet through the outage, and asserts what must be true of it in each minute afterwards.
fn share(plan: Plan) {
    let shown = run(plan, variable("SIMULATION_SEED").unwrap_or(1));
    let steady = shown.minute(1);
    eprintln!("{plan:?}, steadily {steady:.2?}");
    assert_eq!(shown.lost, 0);
    assert!(shown.waiting > 0, "there was work all the time");
    let back = (BEFORE + plan.outage).as_secs() as usize / 60;
    let end = back + plan.after.as_secs() as usize / 60;
    let minutes: Vec<Minute> = (back..end).map(|minute| shown.minute(minute)).collect();
    for (n, minute) in minutes.iter().enumerate() {
        eprintln!("minute {} after the outage: {minute:.2?}", n + 1);
    }
    for minute in &minutes {
        assert!(minute.used >= 0.9, "{minute:?}");
        assert!(
            f64::from(minute.most_calls) <= 2.0 * steady.calls_per_s,
            "{minute:?}"
        );
        assert!(minute.throttled < 0.5, "{minute:?}");
        assert!(minute.jain >= 0.9, "{minute:?}");
        assert!(minute.least >= 0.5 && minute.greatest <= 2.0, "{minute:?}");
    }
}

const WHOLE: Throttle = Throttle::Whole { retry_after_s: None };
const WHOLE_WITH_A_WAIT: Throttle = Throttle::Whole {
    retry_after_s: Some(5),
};

#[test]
fn a_fleet_shares_a_quota_evenly_where_calls_that_are_too_much_are_refused_whole() {
    share(Plan::of_many(WHOLE));
}

#[test]
fn a_fleet_shares_a_quota_evenly_where_those_that_are_refused_are_asked_to_wait() {
    share(Plan::of_many(WHOLE_WITH_A_WAIT));
}

#[test]
fn a_fleet_shares_a_quota_evenly_where_calls_that_are_too_much_are_taken_in_part() {
    share(Plan::of_many(Throttle::Rest));
}

#[test]
fn ten_daemons_with_many_segments_share_a_quota_as_evenly_and_use_it_however_it_throttles() {
    for throttle in [WHOLE, WHOLE_WITH_A_WAIT, Throttle::Rest] {
        share(Plan::of_ten(throttle));
    }
}
