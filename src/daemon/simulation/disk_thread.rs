//! The spool's thread, without a thread: it works whenever everything else waits, and an operation of the disk keeps it
//! busy for as long as that takes in simulated time.

use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Instant;

use tokio::sync::Notify;

use super::disk::SimulatedDisk;
use super::moment;
use crate::exporters::bodies::Bodies;
use crate::pipeline::lane::Lane;
use crate::pipeline::spool::worker::{Step, Worker};

/// The thread; clones are the same one. There is one for a run, and a worker in it for each process.
#[derive(Debug, Clone, Default)]
pub(super) struct DiskThread(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    work: Mutex<Option<Work>>,
    /// The time of the next turn has changed.
    rearmed: Notify,
    power_failed: Notify,
}

#[derive(Debug)]
struct Work {
    worker: Worker<SimulatedDisk, Bodies>,
    lane: Arc<Lane<Bodies>>,
    disk: SimulatedDisk,
    busy_until: Option<Instant>,
    next_turn: Option<Instant>,
}

impl DiskThread {
    pub(super) fn start(
        &self,
        worker: Worker<SimulatedDisk, Bodies>,
        lane: &Arc<Lane<Bodies>>,
        disk: &SimulatedDisk,
    ) {
        *self.work() = Some(Work {
            worker,
            lane: Arc::clone(lane),
            disk: disk.clone(),
            busy_until: None,
            next_turn: None,
        });
    }

    /// The process is gone, and its thread with it.
    pub(super) fn end(&self) {
        *self.work() = None;
    }

    /// Everything else waits: it may work.
    pub(super) fn turn(&self) {
        let mut place = self.work();
        let Some(work) = place.as_mut() else { return };
        let now = moment();
        if work.busy_until.is_some_and(|until| until > now) {
            return;
        }
        work.busy_until = None;
        loop {
            let step = work.worker.step(&*work.lane, || work.disk.clock());
            let spent = work.disk.take_spent();
            if !work.disk.fake.has_power() {
                *place = None;
                self.0.power_failed.notify_one();
                return;
            }
            if step == Step::Over {
                *place = None;
                return;
            }
            if !spent.is_zero() {
                work.busy_until = Some(now + spent);
                break;
            }
            if step == Step::Done {
                break;
            }
        }
        let next_turn = work.busy_until.or(work.worker.next_wake());
        if next_turn != work.next_turn {
            work.next_turn = next_turn;
            self.0.rearmed.notify_one();
        }
    }

    /// Stops the time when it has something to do; for ever.
    pub(super) async fn keep_time(self) {
        loop {
            let next_turn = self.work().as_ref().and_then(|work| work.next_turn);
            match next_turn.filter(|at| *at > moment()) {
                Some(at) => tokio::select! {
                    biased;
                    () = self.0.rearmed.notified() => {}
                    () = tokio::time::sleep_until(at.into()) => {}
                },
                // The turn comes by itself when all wait.
                None => self.0.rearmed.notified().await,
            }
        }
    }

    pub(super) async fn power_failed(&self) {
        self.0.power_failed.notified().await;
    }

    fn work(&self) -> MutexGuard<'_, Option<Work>> {
        self.0.work.lock().unwrap()
    }
}
