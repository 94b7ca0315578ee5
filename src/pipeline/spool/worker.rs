//! The thread that has the spool's files, one command at a time.

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering::{AcqRel, Relaxed, Release};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::Instant;

use super::disk::Disk;
use super::log::SpoolLog;
use super::name::FileName;
use super::settings::{RETRY, WorkerConfig};
use super::store::{Moment, Store, Taken};
use super::{Command, SpoolCounts, TakesBack};
use crate::ledger::{DropReason, Ledger};
use crate::pipeline::batch::Batch;
use crate::pipeline::batch::encoding::Encoding;
use crate::pipeline::batch::origin::{FileId, Origin};

/// Most batches that are written together. More would hold the ones at the front up for longer than it helps.
const GROUP: usize = 32;

/// Has the files of one spool, bodies of `E`.
#[derive(Debug)]
pub struct Worker<D, E> {
    commands: Receiver<Command>,
    /// Taken out of `commands` and not obeyed yet.
    pulled: Option<Command>,
    shared: Arc<SpoolCounts>,
    ledger: Arc<Ledger>,
    limit_bytes: u64,
    files: Files<D, E>,
    /// Nothing is written before.
    retry_at: Option<Instant>,
    /// Settled files could not be removed; they are tried again then.
    sweep_at: Option<Instant>,
    /// Nothing is read before.
    read_again_at: Option<Instant>,
    log: SpoolLog,
}

#[derive(Debug)]
enum Files<D, E> {
    Open(Store<D, E>),
    Closed(D),
    /// Only while it is being opened.
    Opening,
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
            pulled: None,
            shared,
            ledger,
            limit_bytes: config.limit_bytes,
            files: Files::Closed(disk),
            retry_at: None,
            sweep_at: None,
            read_again_at: None,
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

    /// Takes possession of the directory and looks at what is there.
    fn open(&mut self, at: Moment) -> io::Result<()> {
        let Files::Closed(disk) = std::mem::replace(&mut self.files, Files::Opening) else {
            return Ok(());
        };
        match Store::open(disk, self.limit_bytes) {
            Err((disk, error)) => {
                self.files = Files::Closed(disk);
                self.retry_at = Some(at.instant + RETRY);
                Err(error)
            }
            Ok((store, found)) => {
                self.files = Files::Open(store);
                self.retry_at = None;
                let damaged: u64 = found.damaged.iter().map(|name| name.documents).sum();
                let evicted: u64 = found.evicted.iter().map(|name| name.documents).sum();
                self.account(|ledger| {
                    ledger.add_recovered(found.documents + damaged);
                    ledger.sub_spooled(damaged + evicted);
                    ledger.add_dropped(DropReason::SpoolDamaged, damaged);
                    ledger.add_dropped(DropReason::SpoolFull, evicted);
                });
                self.log.opened(&found, at.instant);
                self.publish(at.instant);
                Ok(())
            }
        }
    }

    /// Works until the spool is closed or nobody has it any more. Blocks its thread.
    pub fn run(mut self, taker: &impl TakesBack) {
        self.open_or_say(Moment::now());
        taker.wake();
        while let Some(command) = self.wait(taker) {
            if !self.obey(command, taker, Moment::now()) {
                return;
            }
        }
    }

    /// The next command; due work of its own is done meanwhile. Without any, no timer runs.
    fn wait(&mut self, taker: &impl TakesBack) -> Option<Command> {
        loop {
            let received = match self.next_wake() {
                _ if self.pulled.is_some() => return self.pulled.take(),
                None => self.commands.recv().map_err(|_| RecvTimeoutError::Disconnected),
                Some(at) => self
                    .commands
                    .recv_timeout(at.saturating_duration_since(Instant::now())),
            };
            match received {
                Ok(command) => return Some(command),
                Err(RecvTimeoutError::Disconnected) => return None,
                Err(RecvTimeoutError::Timeout) => self.wake(taker, Moment::now()),
            }
        }
    }

    /// Obeys what has been commanded so far, and what is due, at `at`; false when that was to end. For tests.
    #[cfg(test)]
    pub(crate) fn work(&mut self, taker: &impl TakesBack, at: Moment) -> bool {
        if matches!(self.files, Files::Closed(_)) && self.retry_at.is_none() {
            self.open_or_say(at);
        }
        if self.next_wake().is_some_and(|due| due <= at.instant) {
            self.wake(taker, at);
        }
        while let Some(command) = self.pulled.take().or_else(|| self.commands.try_recv().ok()) {
            if !self.obey(command, taker, at) {
                return false;
            }
        }
        true
    }

    fn next_wake(&self) -> Option<Instant> {
        let reopen_at = match self.files {
            Files::Open(_) => None,
            Files::Closed(_) | Files::Opening => self.retry_at,
        };
        [reopen_at, self.sweep_at, self.read_again_at, self.log.due()]
            .into_iter()
            .flatten()
            .min()
    }

    fn wake(&mut self, taker: &impl TakesBack, at: Moment) {
        let due = |time: Option<Instant>| time.is_some_and(|time| time <= at.instant);
        if matches!(self.files, Files::Closed(_)) && due(self.retry_at) {
            self.open_or_say(at);
            taker.wake();
        }
        if due(self.sweep_at) {
            self.sweep_at = None;
            let swept = self.store().map_or(Ok(()), Store::sweep);
            self.removed(swept, at);
        }
        if due(self.read_again_at) {
            self.read_again_at = None;
            self.publish(at.instant);
            taker.wake();
        }
        self.log.speak(at.instant);
    }

    /// False when it was the last one.
    fn obey(&mut self, command: Command, taker: &impl TakesBack, at: Moment) -> bool {
        match command {
            Command::Keep(batch) => {
                let group = self.group(batch);
                self.keep(group, at);
            }
            Command::Next => self.next(taker, at),
            Command::GiveBack(file, documents) => {
                let name = self.store().and_then(|store| store.give_back(file));
                self.account_for(documents, |ledger| match name {
                    Some(_) => ledger.add_spooled(documents as u64),
                    // The directory was lost since.
                    None => ledger.add_dropped(DropReason::SpoolDamaged, documents as u64),
                });
                self.shared.out.fetch_sub(1, AcqRel);
            }
            Command::Settled(file) => self.settled(file, at),
            Command::Hurry => self.retry_at = None,
            Command::Close(done) => {
                self.log.flush(at.instant);
                // Nobody waits any more when the deadline has passed.
                let _: Result<(), ()> = done.send(());
                return false;
            }
        }
        self.publish(at.instant);
        // Whatever it was, what the sender decides by has changed.
        taker.wake();
        true
    }

    /// `first` and those that come right behind it, as far as they should be written together.
    fn group(&mut self, first: Batch) -> Vec<Batch> {
        // None of a group makes room for another one, so a group must be much smaller than the whole.
        let most_bytes = self.limit_bytes / 4;
        let mut bytes = first.body.len() as u64;
        let mut group = vec![first];
        while group.len() < GROUP && bytes < most_bytes {
            match self.commands.try_recv() {
                Ok(Command::Keep(batch)) => {
                    bytes += batch.body.len() as u64;
                    group.push(batch);
                }
                Ok(other) => {
                    self.pulled = Some(other);
                    break;
                }
                Err(_) => break,
            }
        }
        group
    }

    fn keep(&mut self, batches: Vec<Batch>, at: Moment) {
        let cost: usize = batches.iter().map(Batch::cost_bytes).sum();
        let count: usize = batches.iter().map(|batch| batch.documents).sum();
        if matches!(self.files, Files::Closed(_))
            && self.retry_at.is_none_or(|retry_at| retry_at <= at.instant)
        {
            self.open_or_say(at);
        }
        let is_time = self.retry_at.is_none_or(|retry_at| retry_at <= at.instant);
        let refused = if is_time { self.lock_again(at).err() } else { None };
        let may_write = is_time && refused.is_none();
        match &mut self.files {
            Files::Open(store) if may_write => {
                let written = store.write(batches, at);
                let [stored, full, failed] =
                    [&written.stored, &written.full, &written.failed].map(|batches| documents(batches));
                let evicted: u64 = written.evicted.iter().map(|name| name.documents).sum();
                self.account_for(count, |ledger| {
                    ledger.add_spooled(stored);
                    ledger.sub_spooled(evicted);
                    ledger.add_dropped(DropReason::SpoolFull, full + evicted);
                    ledger.add_dropped(DropReason::SpoolFailed, failed);
                });
                self.log.full(full + evicted, at.instant);
                match &written.error {
                    Some(error) => {
                        self.retry_at = Some(at.instant + RETRY);
                        self.log.failed(error, failed, at.instant);
                    }
                    None => {
                        self.retry_at = None;
                        self.log.writes_again();
                    }
                }
                if let Some(error) = &written.names_unsafe {
                    self.log.names_unsafe(error);
                }
                for batch in [written.stored, written.full, written.failed].iter().flatten() {
                    self.end_origin(batch, at);
                }
            }
            _ => {
                let failed = documents(&batches);
                self.account_for(count, |ledger| {
                    ledger.add_dropped(DropReason::SpoolFailed, failed)
                });
                match refused.filter(|_| matches!(self.files, Files::Open(_))) {
                    Some(error) => self.log.failed(&error, failed, at.instant),
                    // Why was said before.
                    None => self.log.dropped(failed, at.instant),
                }
                for batch in &batches {
                    self.end_origin(batch, at);
                }
            }
        }
        self.shared.to_write_bytes.fetch_sub(cost, AcqRel);
    }

    /// Makes sure that the open directory is still ours, and makes it anew if somebody removed it.
    fn lock_again(&mut self, at: Moment) -> io::Result<()> {
        let locked = self.store().map_or(Ok(()), |store| store.disk_mut().lock());
        if let Err(error) = &locked {
            self.retry_at = Some(at.instant + RETRY);
            if error.kind() == io::ErrorKind::WouldBlock {
                self.lose_directory(error, at);
            }
        }
        locked
    }

    /// Another process has the directory that was ours: what waits in it is not ours any more. What is in memory is sent
    /// from there.
    fn lose_directory(&mut self, error: &io::Error, at: Moment) {
        match std::mem::replace(&mut self.files, Files::Opening) {
            Files::Open(store) => {
                let lost = store.index().waiting_documents();
                self.account(|ledger| {
                    ledger.sub_spooled(lost);
                    ledger.add_dropped(DropReason::SpoolDamaged, lost);
                });
                self.log.taken_over(error, lost);
                self.files = Files::Closed(store.into_disk());
            }
            other => self.files = other,
        }
        (self.sweep_at, self.read_again_at) = (None, None);
        self.shared.file_bytes.store(0, Relaxed);
        self.shared.waiting_files.store(0, Release);
        self.log.holds(0, at.instant);
    }

    fn next(&mut self, taker: &impl TakesBack, at: Moment) {
        let taken = self.store().map_or(Taken::Nothing, |store| store.take(at));
        let lost = |worker: &Self, name: &FileName| {
            worker.account(|ledger| {
                ledger.sub_spooled(name.documents);
                ledger.add_dropped(DropReason::SpoolDamaged, name.documents);
            });
        };
        match taken {
            Taken::Batch(batch) => {
                let file = batch.origin.as_ref().map(Origin::file);
                let count = batch.documents as u64;
                // In one, so that the last count finds them here or there.
                let taken = self.account(|ledger| {
                    // Before it is there, so that it can't be settled before it is counted.
                    ledger.sub_spooled(count);
                    let taken = taker.take_back(batch);
                    if !taken {
                        ledger.add_spooled(count);
                    }
                    taken
                });
                // After the last count nothing is taken any more.
                if taken == Some(true) {
                    return;
                }
                if let (Some(file), Some(store)) = (file, self.store()) {
                    store.give_back(file);
                }
            }
            Taken::Nothing => {}
            Taken::Damaged(name) => {
                lost(self, &name);
                self.log.damaged(&name, at.instant);
            }
            Taken::Missing(name) => {
                lost(self, &name);
                self.log.missing(&name, at.instant);
            }
            Taken::Failed(error) => {
                self.read_again_at = Some(at.instant + RETRY);
                self.log.unreadable(&error, at.instant);
            }
        }
        self.shared.out.fetch_sub(1, AcqRel);
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

    fn open_or_say(&mut self, at: Moment) {
        if let Err(error) = self.open(at) {
            self.log.cannot_open(&error);
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
    fn account_for(&self, documents: usize, count: impl FnOnce(&Ledger)) {
        self.account(|ledger| {
            count(ledger);
            self.shared.unaccounted_documents.fetch_sub(documents, AcqRel);
        });
    }

    /// Tells the other side what there is.
    fn publish(&mut self, now: Instant) {
        let Files::Open(store) = &self.files else { return };
        let index = store.index();
        self.shared.file_bytes.store(index.bytes(), Relaxed);
        // What can't be read is not there, or the sender would ask for it again and again.
        let readable = if self.read_again_at.is_none() {
            index.waiting_files()
        } else {
            0
        };
        self.shared.waiting_files.store(readable, Release);
        self.log.holds(index.files(), now);
    }
}

fn documents(batches: &[Batch]) -> u64 {
    batches.iter().map(|batch| batch.documents as u64).sum()
}
