//! Sealed batches on disk when memory is not enough: `--spool-dir`, off by default.
//!
//! A batch that the budget pushes out of memory goes into a file of its own, waits there, and goes out beside the live
//! traffic when the endpoint answers. What is still unsent at the end of the process goes there too, and the next
//! process on the same directory finds it.
//!
//! # On disk
//!
//! One file a batch, and the file is the very request body, as the lane's [`Encoding`] writes it. Its name says the rest:
//!
//! ```text
//! 1795227595034-00000012-50-0-51234-9ab01c2d.json
//! │             │        │  │ │     └ CRC-32 of the body, hexadecimal
//! │             │        │  │ └ its length in bytes
//! │             │        │  └ how often its documents were sent again because the service had not processed them
//! │             │        └ documents in it
//! │             └ counted up with each file, over restarts too
//! └ when its first document came, in milliseconds since 1970
//! ```
//!
//! A listing so says what is there without a file being read, and a body can't be mistaken for another one. Other names:
//! `*.json.tmp` while a file is being written, `*.json.damaged` for a file whose content is not what its name says, set
//! aside for a person to look at (the last 16, and they go first when room is needed), `.lock`. Other files are left
//! alone. The directory is made with mode 0700 and files with 0600: segments are customer data.
//!
//! # What a crash leaves
//!
//! A file is written under its temporary name, made safe (`fsync`), given its name, and then the directory is made safe.
//! Only then its documents count as spooled. So whatever happens in between, whole batches are what is found.
//!
//! A file is removed after the service took its documents. When the process or the host dies in between, or while the
//! batch is on its way, it is found again and sent a second time: segments may come twice, they don't get lost. X-Ray
//! takes the second one for the same segment, by its id.
//!
//! # Bounds
//!
//! `--spool-size` bounds the directory, counted in blocks of 4 KiB; when it is full, the oldest file goes
//! ([`DropReason::SpoolFull`]), once the new one is safe: for that moment the directory may have a quarter more. Where the
//! disk itself is full before, the oldest go too. Oldest is what has the lowest number, whatever the clock said.
//!
//! The way to the disk is a queue bounded in bytes, which is part of the memory budget; what has no room in it is dropped,
//! so the disk never holds up the receiver. A disk that refuses is a slow one: what it did not take stays in that queue,
//! which is tried again soon, and can be sent from there. What is dropped meanwhile is
//! [`DropReason::SpoolFailed`], and [`DropReason::SpoolSlow`] otherwise.
//!
//! A file that can't be read is left alone for a while, and the others go on.
//!
//! The lock is looked at before each group of files is written: somebody may have removed the directory, and another
//! daemon made it anew. Then it is that one's, and what waited in ours is lost ([`DropReason::SpoolDamaged`]).
//!
//! # Parts
//!
//! [`name`], [`index`] and `pace` decide, without I/O; [`disk`] does file operations; [`store`] is the files as the index wants
//! them; [`worker`] is the thread that has a store; [`Spool`] is how the stages talk to it.
//!
//! [`DropReason::SpoolFull`]: crate::ledger::DropReason::SpoolFull
//! [`DropReason::SpoolSlow`]: crate::ledger::DropReason::SpoolSlow
//! [`DropReason::SpoolFailed`]: crate::ledger::DropReason::SpoolFailed
//! [`DropReason::SpoolDamaged`]: crate::ledger::DropReason::SpoolDamaged

pub mod disk;
pub mod index;
mod log;
pub mod name;
mod pace;
pub mod settings;
#[allow(
    clippy::disallowed_methods,
    reason = "takes the spool's time: the worker asks it for the moment"
)]
pub mod store;
#[allow(clippy::disallowed_methods, reason = "waits for the disk or for what is due")]
pub mod worker;

use std::marker::PhantomData;
use std::path::Path;
use std::sync::atomic::{
    AtomicBool, AtomicU64, AtomicUsize,
    Ordering::{AcqRel, Acquire, Relaxed},
};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc};
use std::time::Duration;

use tokio::sync::oneshot;

use crate::ledger::amounts::{Amounts, AtomicAmounts};
use crate::ledger::{DropReason, Ledger};
use crate::pipeline::batch::encoding::Encoding;
use crate::pipeline::batch::join;
use crate::pipeline::batch::origin::FileId;
use crate::pipeline::batch::{Batch, MAX_BODY_BYTES};
use disk::{Directory, Disk};
use pace::Pace;
use settings::WorkerConfig;
use worker::Worker;

/// Whoever the worker gives batches that were read from disk: the memory they wait in, which stands above the spool.
pub trait TakesBack {
    /// A batch from the spool is to be sent; false when there is no room for it or the end has come, and it is not taken.
    #[must_use]
    fn take_back(&self, batch: Batch) -> bool;

    /// Makes the sender look again at what there is to do.
    fn wake(&self);
}

/// What the stages tell the worker.
#[derive(Debug)]
enum Command {
    /// Write it.
    Keep(Batch),
    /// Read the next one into memory.
    Next,
    /// The batch, which is what a file holds, is not in memory any more; it waits on disk again.
    GiveBack(FileId, Batch),
    /// Its documents are settled.
    Settled(FileId),
    /// The end: the disk gets its last chance now.
    Hurry,
    /// Say so when everything before is done, and end.
    Close(oneshot::Sender<()>),
}

/// What both sides count.
#[derive(Debug, Default)]
struct SpoolCounts {
    /// Memory of batches that wait to be written.
    to_write_bytes: AtomicUsize,
    /// What was handed over and is in no count of the ledger yet. Changed together with the ledger, under the lock below,
    /// when it is.
    unaccounted: AtomicAmounts,
    /// Files that wait on disk.
    waiting_files: AtomicUsize,
    /// Batches that can be had for the asking.
    ready: AtomicUsize,
    /// The disk refused the last time.
    refuses: AtomicBool,
    /// How long it takes.
    pace: Mutex<Pace>,
    /// What all files take up.
    file_bytes: AtomicU64,
    /// Batches that were asked for and have not come to their end.
    out: AtomicUsize,
    /// Of these, the ones that have not come yet.
    reading: AtomicUsize,
    /// True once the account is closed. A lock, so that nothing is counted while the last line is made.
    account_closed: Mutex<bool>,
}

/// The spool as the stages see it, of bodies of `E`. Nothing here waits for the disk.
#[derive(Debug)]
pub struct Spool<E> {
    commands: mpsc::Sender<Command>,
    shared: Arc<SpoolCounts>,
    write_limit_bytes: usize,
    limit_bytes: u64,
    max_joined_bytes: usize,
    encoding: PhantomData<E>,
}

impl<E: Encoding> Spool<E> {
    /// In `directory`, whose files may take up `limit_bytes`; batches that wait to be written take up
    /// `write_limit_bytes` of memory at most. Nothing happens before the worker runs.
    #[must_use]
    pub fn new(
        directory: &Path,
        limit_bytes: u64,
        write_limit_bytes: usize,
        ledger: Arc<Ledger>,
    ) -> (Self, Worker<Directory, E>) {
        let config = WorkerConfig {
            shown: crate::logs::sanitize(directory.to_string_lossy().as_bytes(), 500),
            limit_bytes,
            write_limit_bytes,
            max_joined_bytes: max_joined_bytes(write_limit_bytes),
        };
        Self::on(Directory::new(directory), config, ledger)
    }

    fn on<D: Disk>(disk: D, config: WorkerConfig, ledger: Arc<Ledger>) -> (Self, Worker<D, E>) {
        let (commands, receiver) = mpsc::channel();
        let shared = Arc::new(SpoolCounts::default());
        let (limit_bytes, max_joined_bytes) = (config.limit_bytes, config.max_joined_bytes);
        let write_limit_bytes = config.write_limit_bytes;
        let worker = Worker::new(disk, config, receiver, Arc::clone(&shared), ledger);
        let spool = Self {
            commands,
            shared,
            write_limit_bytes,
            limit_bytes,
            max_joined_bytes,
            encoding: PhantomData,
        };
        (spool, worker)
    }

    /// On a disk in memory.
    #[cfg(test)]
    pub(crate) fn on_fake<D: Disk + Clone>(
        disk: &D,
        limit_bytes: u64,
        write_limit_bytes: usize,
        ledger: &Arc<Ledger>,
    ) -> (Self, Worker<D, E>) {
        let config = WorkerConfig {
            shown: "/spool".to_owned(),
            limit_bytes,
            write_limit_bytes,
            max_joined_bytes: max_joined_bytes(write_limit_bytes),
        };
        Self::on(disk.clone(), config, Arc::clone(ledger))
    }

    /// Keeps a batch that memory has no room for. One that was read from here and is still whole costs nothing.
    ///
    /// Returns it when too much waits for the disk already; see [`Spool::drop_reason`].
    #[must_use = "this batch is to be counted as dropped"]
    pub fn keep(&self, batch: Batch) -> Option<Batch> {
        self.keep_within(self.write_limit_bytes, batch)
    }

    /// Keeps what is left at the end, however much waits for the disk: it is in memory anyway, and nothing more comes.
    ///
    /// Returns what can't be kept because the worker has ended.
    #[must_use = "these batches are to be counted as dropped"]
    pub fn keep_at_end(&self, batches: Vec<Batch>) -> Vec<Batch> {
        // Should the worker be gone, the batches say so.
        drop(self.commands.send(Command::Hurry));
        batches
            .into_iter()
            .filter_map(|batch| self.keep_within(usize::MAX, batch))
            .collect()
    }

    fn keep_within(&self, limit_bytes: usize, batch: Batch) -> Option<Batch> {
        let command = match batch.origin.as_ref().filter(|origin| origin.is_whole()) {
            Some(origin) => Command::GiveBack(origin.file(), batch.clone()),
            None => {
                let cost = batch.cost_bytes();
                let room = |bytes: usize| bytes.checked_add(cost).filter(|bytes| *bytes <= limit_bytes);
                let to_write = &self.shared.to_write_bytes;
                if to_write.fetch_update(AcqRel, Acquire, room).is_err() {
                    return Some(batch);
                }
                // A copy of what is in the batch, not of the body.
                Command::Keep(batch.clone())
            }
        };
        // Before the worker can have it.
        self.shared.unaccounted.add(batch.amount_alone());
        let Err(mpsc::SendError(command)) = self.commands.send(command) else {
            return None;
        };
        self.shared.unaccounted.sub(batch.amount_alone());
        if let Command::Keep(batch) = &command {
            self.shared.to_write_bytes.fetch_sub(batch.cost_bytes(), AcqRel);
        }
        Some(batch)
    }

    /// A batch has come to its end: if it was the last one of a file, the file goes.
    pub fn ended(&self, batch: &Batch) {
        if let Some(origin) = &batch.origin
            && origin.end()
        {
            // Without a worker the file stays, and the next process sends it once more.
            drop(self.commands.send(Command::Settled(origin.file())));
        }
    }

    /// Asks for the oldest batch; it comes through [`TakesBack::take_back`], unless it turns out to be none. False when the
    /// worker has ended.
    pub fn ask(&self) -> bool {
        self.shared.out.fetch_add(1, AcqRel);
        self.shared.reading.fetch_add(1, AcqRel);
        let asked = self.commands.send(Command::Next).is_ok();
        if !asked {
            self.shared.out.fetch_sub(1, AcqRel);
            self.shared.reading.fetch_sub(1, AcqRel);
        }
        asked
    }

    /// Batches that were asked for and have not come yet.
    #[must_use]
    pub fn reading(&self) -> usize {
        self.shared.reading.load(Acquire)
    }

    /// Batches that were asked for and have not come to their end.
    #[must_use]
    pub fn out(&self) -> usize {
        self.shared.out.load(Acquire)
    }

    /// Batches that can be had for the asking: in files that can be read, and in memory while the disk refuses them.
    #[must_use]
    pub fn ready(&self) -> usize {
        self.shared.ready.load(Acquire)
    }

    /// Why what has no room on its way to the disk is lost.
    #[must_use]
    pub fn drop_reason(&self) -> DropReason {
        if self.shared.refuses.load(Relaxed) {
            DropReason::SpoolFailed
        } else {
            DropReason::SpoolSlow
        }
    }

    /// How long it takes to write `batches` batches with so many documents and bytes, beside those that wait to be written,
    /// by what this disk has shown.
    #[must_use]
    pub fn time_to_keep(&self, batches: usize, documents: usize, bytes: usize) -> Duration {
        let waiting_documents = self.pending_documents();
        let (documents, bytes) = (documents + waiting_documents, bytes + self.to_write_bytes());
        // How many batches wait is not known here; each has a document.
        let batches = batches + waiting_documents;
        let files = join::most_bodies::<E>(batches, documents, bytes, self.max_joined_bytes);
        self.shared.lock_pace().expect(files, bytes)
    }

    /// Files that wait on disk, those that can't be read now among them.
    #[must_use]
    pub fn waiting_files(&self) -> usize {
        self.shared.waiting_files.load(Acquire)
    }

    /// What the files take up on disk, in bytes.
    #[must_use]
    pub fn file_bytes(&self) -> u64 {
        self.shared.file_bytes.load(Relaxed)
    }

    /// What the files may take up on disk, in bytes.
    #[must_use]
    pub fn limit_bytes(&self) -> u64 {
        self.limit_bytes
    }

    /// Whether `bytes` more can be kept without losing what is older.
    #[must_use]
    pub fn has_room(&self, bytes: usize) -> bool {
        let to_write = self.to_write_bytes().saturating_add(bytes);
        to_write <= self.write_limit_bytes
            && self.file_bytes().saturating_add(to_write as u64) <= self.limit_bytes
    }

    /// Memory of batches that wait to be written, in bytes.
    #[must_use]
    pub fn to_write_bytes(&self) -> usize {
        self.shared.to_write_bytes.load(Acquire)
    }

    /// Documents that are on their way to the disk: handed over, and neither counted as spooled nor as lost.
    #[must_use]
    pub fn pending_documents(&self) -> usize {
        usize::try_from(self.pending_amounts().total()).unwrap_or(usize::MAX)
    }

    /// The same by what they are.
    #[must_use]
    pub fn pending_amounts(&self) -> Amounts {
        self.shared.unaccounted.load()
    }

    /// Returns once everything that was given to the spool before is on disk or counted as lost, and ends the worker.
    pub async fn close(&self) {
        let (done, closed) = oneshot::channel();
        if self.commands.send(Command::Close(done)).is_ok() {
            // An error means that the worker has ended too.
            drop(closed.await);
        }
    }

    /// From here on the worker changes nothing in the ledger, whatever it is still doing. It ends when it has done it.
    pub fn close_account(&self) {
        *self.shared.lock_account() = true;
        // An error means that it has ended already.
        drop(self.commands.send(Command::Close(oneshot::channel().0)));
    }
}

/// The longest body that small batches are joined to: read again, it must fit into memory beside others.
fn max_joined_bytes(write_limit_bytes: usize) -> usize {
    (write_limit_bytes / 8).min(MAX_BODY_BYTES)
}

impl SpoolCounts {
    fn lock_pace(&self) -> MutexGuard<'_, Pace> {
        self.pace.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lock_account(&self) -> MutexGuard<'_, bool> {
        self.account_closed.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
pub(crate) mod tests;
