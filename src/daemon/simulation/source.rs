//! What comes in, in place of the receiver: documents by the plan, at their time, while the process receives.

use std::io;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use fastrand::Rng;
use tokio::sync::oneshot;

use super::documents::{self, Kind};
use super::endpoint::Endpoint;
use super::moment;
use super::plan::{Plan, Traffic};
use super::watch::Watch;
use crate::exporters::bodies::Bodies;
use crate::ledger::{DropReason, Ledger};
use crate::pipeline::budget::Budget;
use crate::pipeline::intake::Intake as _;
use crate::pipeline::lane::Lane;
use crate::pipeline::spool::Spool;

/// The applications; clones are the same ones.
#[derive(Debug, Clone)]
pub(super) struct Source(Arc<Mutex<State>>);

#[derive(Debug)]
struct State {
    rng: Rng,
    documents_per_s: f64,
    gap: Duration,
    pad: std::ops::Range<usize>,
    odd_percent: u32,
    budget: Budget,
    is_over: bool,
    endpoint: Endpoint,
    watch: Watch,
}

impl Source {
    pub(super) fn new(plan: &Plan, endpoint: &Endpoint, watch: &Watch, rng: Rng) -> Self {
        let Traffic {
            documents_per_s,
            gap,
            ref pad,
            odd_percent,
        } = plan.traffic;
        Self(Arc::new(Mutex::new(State {
            rng,
            documents_per_s,
            gap,
            pad: pad.clone(),
            odd_percent,
            budget: plan.budget,
            is_over: false,
            endpoint: endpoint.clone(),
            watch: watch.clone(),
        })))
    }

    /// Nothing more comes.
    pub(super) fn end(&self) {
        self.0.lock().unwrap().is_over = true;
    }

    /// As the receiver does: takes what comes until it is told to stop, then what came before, and seals.
    pub(super) async fn receive(
        self,
        lane: Arc<Lane<Bodies>>,
        ledger: Arc<Ledger>,
        mut stop: oneshot::Receiver<()>,
        tell_ended: oneshot::Sender<io::Result<()>>,
    ) {
        let mut comes_at = moment();
        loop {
            let tick = lane.next_tick();
            let is_over = self.0.lock().unwrap().is_over;
            let at = [tick, (!is_over).then_some(comes_at)].into_iter().flatten().min();
            let due = async {
                match at {
                    Some(at) => tokio::time::sleep_until(at.into()).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                biased;
                _ = &mut stop => break,
                () = due => {}
            }
            let now = moment();
            if tick.is_some_and(|at| at <= now) {
                lane.tick(now);
            }
            if !is_over && comes_at <= now {
                let mut state = self.0.lock().unwrap();
                state.add(&lane, &ledger, now);
                comes_at = now + state.gap.mul_f64(0.5 + state.rng.f64());
            }
        }
        let state = &mut *self.0.lock().unwrap();
        if !state.is_over {
            state.add(&lane, &ledger, moment());
        }
        lane.seal(moment());
        // Nobody listens any more when the end came before.
        drop(tell_ended.send(Ok(())));
    }
}

impl State {
    /// Those of one gap.
    fn add(&mut self, lane: &Lane<Bodies>, ledger: &Ledger, now: Instant) {
        let mean = self.documents_per_s * self.gap.as_secs_f64();
        let count = (mean * 2.0 * self.rng.f64()).round() as usize;
        let mut texts = Vec::with_capacity(count + 1);
        while texts.len() < count {
            self.make(&mut texts);
        }
        let lost = || {
            let counts = ledger.snapshot();
            let reasons = [
                DropReason::BufferFull,
                DropReason::SpoolSlow,
                DropReason::SpoolFailed,
            ];
            reasons.map(|reason| counts.dropped(reason)).iter().sum::<u64>()
        };
        let before = lost();
        ledger.add_received(texts.len() as u64);
        lane.add(texts.iter().map(String::as_bytes), now);
        if lost() > before {
            self.check_full(lane);
        }
    }

    fn make(&mut self, texts: &mut Vec<String>) {
        let mut pad = || self.rng.usize(self.pad.clone());
        let (first_pad, second_pad) = (pad(), pad());
        let kind = match self.rng.u32(0..100) < self.odd_percent {
            true => [Kind::Poison, Kind::Bad, Kind::Twin][self.rng.usize(..3)],
            false => Kind::Normal,
        };
        let mut service = self.endpoint.service();
        texts.push(documents::text(service.next_number(), kind, false, first_pad));
        if kind == Kind::Twin {
            texts.push(documents::text(service.next_number(), kind, true, second_pad));
        }
    }

    /// Something was just lost for want of room: there must be none for one more of the largest batches.
    fn check_full(&self, lane: &Lane<Bodies>) {
        let budget = self.budget;
        let largest = 2 * budget.open_batch_bytes + 1000;
        let (held, has_room) = match lane.spool().map(Spool::to_write_bytes) {
            Some(to_write) => (to_write, to_write + largest < budget.to_spool_bytes),
            None => {
                let held = lane.held().sealed_bytes;
                (held, held + largest < budget.sealed_bytes)
            }
        };
        if has_room {
            self.watch.found(format!(
                "something was dropped with {held} bytes held: {budget:?}"
            ));
        }
    }
}
