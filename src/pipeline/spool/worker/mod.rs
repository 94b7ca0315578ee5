//! The thread that has the spool's files.
//!
//! What is to be written waits here, in order, until it is on disk. A disk that refuses is nothing else than a very slow
//! one: the batches stay, the disk is left alone for a while and then tried again, and what has no room meanwhile is lost
//! where it would be handed over ([`super::Spool::keep`]). While the disk refuses, the sender can have them back.

mod own;
mod read;
mod write;

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed, Release};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use super::disk::Disk;
use super::log::SpoolLog;
use super::settings::{BUSY_RETRY, FIRST_RETRY, RETRY, WorkerConfig};
use super::store::{Moment, Store};
use super::{Command, SpoolCounts, TakesBack};
use crate::ledger::amounts::Amounts;
use crate::ledger::{DropReason, Ledger};
use crate::pipeline::batch::Batch;
use crate::pipeline::batch::encoding::Encoding;
use crate::pipeline::batch::origin::FileId;

/// Has the files of one spool, bodies of `E`.
#[derive(Debug)]
pub struct Worker<D, E> {
    commands: Receiver<Command>,
    shared: Arc<SpoolCounts>,
    ledger: Arc<Ledger>,
    limit_bytes: u64,
    write_limit_bytes: usize,
    max_joined_bytes: usize,
    files: Files<D, E>,
    /// What is to be written, in the order in which it came.
    to_write: VecDeque<Batch>,
    /// The disk refused, and is left alone.
    refused: Option<Refused>,
    /// Settled files could not be removed; they are tried again then.
    sweep_at: Option<Instant>,
    /// Nothing more comes; whoever waits for that is told once all is written.
    closing: Option<oneshot::Sender<()>>,
    /// What is left comes now, however much it is.
    is_ending: bool,
    log: SpoolLog,
}

#[derive(Debug)]
enum Files<D, E> {
    Open(Store<D, E>),
    Closed(D),
    /// Only while it is being opened.
    Opening,
}

/// For how long the disk is left alone, and until when.
#[derive(Debug, Clone, Copy)]
struct Refused {
    pause: Duration,
    until: Instant,
}

/// What a step left to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    /// There may be more to do at once.
    More,
    /// Nothing before [`Worker::next_wake`] or the next command.
    Done,
    /// Nothing any more.
    Over,
}

impl<D: Disk, E: Encoding> Worker<D, E> {
    pub(super) fn new(
        disk: D,
        config: WorkerConfig,
        commands: Receiver<Command>,
        shared: Arc<SpoolCounts>,
        ledger: Arc<Ledger>,
    ) -> Self {
        Self {
            commands,
            shared,
            ledger,
            limit_bytes: config.limit_bytes,
            write_limit_bytes: config.write_limit_bytes,
            max_joined_bytes: config.max_joined_bytes,
            files: Files::Closed(disk),
            to_write: VecDeque::new(),
            refused: None,
            sweep_at: None,
            closing: None,
            is_ending: false,
            log: SpoolLog::new(config),
        }
    }

    /// Makes the directory if need be and locks it, so that a setting with which that can never be is known at the start.
    /// What may pass is no error: another daemon has the directory (still: it is about to end), or the disk is full or
    /// read-only. [`Worker::run`] tries again then.
    ///
    /// # Errors
    /// What the file system says.
    pub fn claim(&mut self) -> io::Result<()> {
        let Files::Closed(disk) = &mut self.files else {
            return Ok(());
        };
        match disk.lock() {
            Err(error)
                if !matches!(
                    error.kind(),
                    io::ErrorKind::WouldBlock
                        | io::ErrorKind::StorageFull
                        | io::ErrorKind::QuotaExceeded
                        | io::ErrorKind::ReadOnlyFilesystem
                ) =>
            {
                Err(error)
            }
            _ => Ok(()),
        }
    }

    /// Works until the spool is closed or nobody has it any more. Blocks its thread; without anything due, no timer runs.
    pub fn run(mut self, taker: &impl TakesBack) {
        while self.work(taker, Moment::now) {
            let received = match self.next_wake() {
                None => self.commands.recv().map_err(|_| RecvTimeoutError::Disconnected),
                Some(at) => self
                    .commands
                    .recv_timeout(at.saturating_duration_since(Instant::now())),
            };
            match received {
                Ok(command) => self.obey(command, taker, Moment::now()),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
        }
    }

    /// Does all there is to do, by `clock`, without waiting; false when that was the last of it.
    pub(crate) fn work(&mut self, taker: &impl TakesBack, clock: impl Fn() -> Moment) -> bool {
        loop {
            match self.step(taker, &clock) {
                Step::More => {}
                Step::Done => return true,
                Step::Over => return false,
            }
        }
    }

    /// Does what it was told and what is due, and then one thing with the disk.
    pub(crate) fn step(&mut self, taker: &impl TakesBack, clock: impl Fn() -> Moment) -> Step {
        let at = clock();
        // All of them first: what is to be written can then be joined.
        while let Ok(command) = self.commands.try_recv() {
            self.obey(command, taker, at);
        }
        self.do_what_is_due(taker, at);
        if self.may_try(at.instant) {
            if matches!(self.files, Files::Closed(_)) {
                self.open(at);
                self.changed(taker, at);
                return Step::More;
            }
            if !self.to_write.is_empty() {
                self.write(at, || clock().instant);
                self.changed(taker, at);
                return Step::More;
            }
        }
        if self.is_over(at.instant) {
            Step::Over
        } else {
            Step::Done
        }
    }

    /// Whether it was closed and there is nothing left that it is to do or may do; whoever waits for that is told.
    fn is_over(&mut self, now: Instant) -> bool {
        let is_done = self.to_write.is_empty() || *self.shared.lock_account();
        match self.closing.take_if(|_| is_done) {
            None => false,
            Some(done) => {
                self.log.flush(now);
                // Nobody waits any more when the deadline has passed.
                let _: Result<(), ()> = done.send(());
                true
            }
        }
    }

    /// When there is something to do without being told; `None`: nothing.
    pub(crate) fn next_wake(&self) -> Option<Instant> {
        let reads_at = match &self.files {
            Files::Open(store) => store.wakes_at(),
            Files::Closed(_) | Files::Opening => None,
        };
        let is_wanted = matches!(self.files, Files::Closed(_)) || !self.to_write.is_empty();
        let tries_at = self.refused.filter(|_| is_wanted).map(|refused| refused.until);
        [tries_at, self.sweep_at, reads_at, self.log.due()]
            .into_iter()
            .flatten()
            .min()
    }

    fn do_what_is_due(&mut self, taker: &impl TakesBack, at: Moment) {
        let due = |time: Option<Instant>| time.is_some_and(|time| time <= at.instant);
        if due(self.sweep_at) {
            self.sweep_at = None;
            let swept = self.store().map_or(Ok(()), Store::sweep);
            self.removed(swept, at);
        }
        if let Some(store) = self.store()
            && due(store.wakes_at())
        {
            store.wake(at.instant);
            self.changed(taker, at);
        }
        self.log.speak(at.instant);
    }

    fn obey(&mut self, command: Command, taker: &impl TakesBack, at: Moment) {
        match command {
            Command::Keep(batch) => self.to_write.push_back(batch),
            Command::Next => {
                self.next(taker, at);
                self.shared.reading.fetch_sub(1, AcqRel);
            }
            Command::GiveBack(file, batch) => self.give_back(file, batch),
            Command::Settled(file) => self.settled(file, at),
            Command::Hurry => {
                self.is_ending = true;
                if let Some(refused) = &mut self.refused {
                    *refused = Refused {
                        pause: FIRST_RETRY,
                        until: at.instant,
                    };
                }
            }
            Command::Close(done) => self.closing = Some(done),
        }
        // While nothing waited, the disk may have been left alone for long.
        if let Some(refused) = &mut self.refused
            && !self.to_write.is_empty()
        {
            refused.pause = refused.pause.min(BUSY_RETRY);
            refused.until = refused.until.min(at.instant + BUSY_RETRY);
        }
        self.changed(taker, at);
    }

    /// A batch that was read from `file` is not in memory any more: it waits there again. Without its file, since the
    /// directory was lost, it is written anew, as far as there is room for it beside the others that are to be written.
    fn give_back(&mut self, file: FileId, mut batch: Batch) {
        self.shared.out.fetch_sub(1, AcqRel);
        if self.store().and_then(|store| store.give_back(file)).is_some() {
            let (content, count) = batch.amount();
            self.account_for(batch.amount_alone(), |ledger| {
                ledger.of(content).add_spooled(count)
            });
            return;
        }
        batch.origin = None;
        let (cost, most) = (batch.cost_bytes(), self.write_limit_bytes);
        let room = |bytes: usize| bytes.checked_add(cost).filter(|bytes| *bytes <= most);
        if !self.is_ending
            && self
                .shared
                .to_write_bytes
                .fetch_update(AcqRel, Acquire, room)
                .is_err()
        {
            let (content, count) = batch.amount();
            self.account_for(batch.amount_alone(), |ledger| {
                ledger.of(content).add_dropped(DropReason::SpoolDamaged, count);
            });
            return;
        }
        self.to_write.push_back(batch);
    }

    /// What the sender decides by may have changed.
    fn changed(&mut self, taker: &impl TakesBack, at: Moment) {
        self.publish(at.instant);
        taker.wake();
    }

    fn may_try(&self, now: Instant) -> bool {
        self.refused.is_none_or(|refused| refused.until <= now)
    }

    /// The disk refused: it is left alone, longer each time.
    fn leave_alone(&mut self, now: Instant) {
        let most = if self.to_write.is_empty() {
            RETRY
        } else {
            BUSY_RETRY
        };
        let pause = self
            .refused
            .map_or(FIRST_RETRY, |refused| refused.pause * 2)
            .min(most);
        self.refused = Some(Refused {
            pause,
            until: now + pause,
        });
    }

    fn settled(&mut self, file: FileId, at: Moment) {
        self.shared.out.fetch_sub(1, AcqRel);
        let removed = self.store().map_or(Ok(()), |store| store.settle(file));
        self.removed(removed, at);
    }

    fn removed(&mut self, removed: io::Result<()>, at: Moment) {
        if let Err(error) = removed {
            if self.sweep_at.is_none() {
                self.sweep_at = Some(at.instant + RETRY);
            }
            self.log.not_removed(&error, at.instant);
        }
    }

    fn end_origin(&mut self, batch: &Batch, at: Moment) {
        if let Some(origin) = &batch.origin
            && origin.end()
        {
            self.settled(origin.file(), at);
        }
    }

    fn store(&mut self) -> Option<&mut Store<D, E>> {
        match &mut self.files {
            Files::Open(store) => Some(store),
            Files::Closed(_) | Files::Opening => None,
        }
    }

    /// Counts, unless the account is closed.
    fn account<T>(&self, count: impl FnOnce(&Ledger) -> T) -> Option<T> {
        let closed = self.shared.lock_account();
        (!*closed).then(|| count(&self.ledger))
    }

    /// As [`Worker::account`] for so many documents that were handed over.
    fn account_for(&self, amounts: Amounts, count: impl FnOnce(&Ledger)) {
        self.account(|ledger| {
            count(ledger);
            self.shared.unaccounted.sub(amounts);
        });
    }

    /// Tells the other side what there is.
    fn publish(&mut self, now: Instant) {
        let is_refused = self.refused.is_some();
        let unwritten = if is_refused { self.to_write.len() } else { 0 };
        let (waiting, ready, bytes) = match &self.files {
            Files::Open(store) => {
                let index = store.index();
                // At the end everything goes there, whether memory has room or not.
                if !self.is_ending || index.files() == 0 {
                    self.log.holds(index.files(), now);
                }
                (index.waiting_files(), index.ready_files(), index.bytes())
            }
            Files::Closed(_) | Files::Opening => (0, 0, 0),
        };
        self.shared.file_bytes.store(bytes, Relaxed);
        self.shared.waiting_files.store(waiting, Relaxed);
        self.shared.refuses.store(is_refused, Relaxed);
        self.shared.ready.store(ready + unwritten, Release);
    }
}

fn amounts(batches: &[Batch]) -> Amounts {
    batches.iter().map(Batch::amount).collect()
}
