//! The spool's files: found, written, read, set aside and removed, as the [`Index`] decides.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::marker::PhantomData;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use super::disk::Disk;
use super::index::{Index, Room, cost_bytes};
use super::name::{FileName, Kind};
use super::settings::{READ_RETRY_MAX, RETRY};
use crate::ledger::amounts::Amounts;
use crate::pipeline::batch::Batch;
use crate::pipeline::batch::encoding::Encoding;
use crate::pipeline::batch::origin::{FileId, Origin};

/// One moment on both clocks: files carry the time of day, batches the other one.
#[derive(Debug, Clone, Copy)]
pub struct Moment {
    /// The clock of the process.
    pub instant: Instant,
    /// Milliseconds since 1970.
    pub unix_ms: u64,
}

impl Moment {
    /// Now.
    #[must_use]
    pub fn now() -> Self {
        let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self {
            instant: Instant::now(),
            unix_ms: u64::try_from(since_1970.as_millis()).unwrap_or(u64::MAX),
        }
    }

    fn unix_ms_of(&self, instant: Instant) -> u64 {
        let age = self.instant.saturating_duration_since(instant);
        self.unix_ms
            .saturating_sub(u64::try_from(age.as_millis()).unwrap_or(u64::MAX))
    }

    fn instant_of(&self, unix_ms: u64) -> Instant {
        let age = Duration::from_millis(self.unix_ms.saturating_sub(unix_ms));
        self.instant.checked_sub(age).unwrap_or(self.instant)
    }
}

/// What was in the directory at the start.
#[derive(Debug, Default)]
pub struct Found {
    /// Whole files.
    pub files: usize,
    /// What is in them.
    pub documents: Amounts,
    /// Of these files, the oldest ones, removed because they are over the limit.
    pub evicted: Vec<FileName>,
    /// Files whose length was wrong, set aside and not among [`Found::files`].
    pub damaged: Vec<FileName>,
    /// Files that are not of a spool, left alone.
    pub foreign: usize,
    /// Other users may write to the directory.
    pub open_to_others: bool,
}

/// What became of batches that were to be written.
#[derive(Debug, Default)]
#[must_use = "every one of these batches is to be counted"]
pub struct Written {
    /// Safe on disk.
    pub stored: Vec<Batch>,
    /// Not written, and never: there is no room, even without all that can go.
    pub full: Vec<Batch>,
    /// Not written: the disk refused. In the order in which they came, to be tried again.
    pub unwritten: Vec<Batch>,
    /// Older files, removed to make room.
    pub evicted: Vec<FileName>,
    /// What the disk said last, if anything is unwritten.
    pub error: Option<io::Error>,
    /// The directory could not be made safe: what is stored may not survive a loss of power.
    pub names_unsafe: Option<io::Error>,
}

/// The next file, or why there is none.
#[derive(Debug)]
pub enum Taken {
    /// Its batch, on its way out.
    Batch(Batch),
    /// Nothing waits.
    Nothing,
    /// Its content is not what was written; it was set aside.
    Damaged(FileName),
    /// Somebody removed it.
    Missing(FileName),
    /// It can't be read now. It waits on and is left alone for a while, see [`Store::wake`]; others are not.
    Failed(FileName, io::Error),
}

/// The files of one directory, bodies of `E`, which this process has for itself.
#[derive(Debug)]
pub struct Store<D, E> {
    disk: D,
    index: Index,
    /// For how long each file that could not be read is left alone.
    unread: BTreeMap<FileId, Duration>,
    /// Until when. One that is not there any more may still be here.
    resting: BTreeSet<(Instant, FileId)>,
    encoding: PhantomData<E>,
}

impl<D: Disk, E: Encoding> Store<D, E> {
    /// Takes possession of `disk`'s directory and looks at what is there. Files of a process that ended while writing
    /// are removed.
    ///
    /// # Errors
    /// `disk` and what it says: see [`Disk::lock`] and [`Disk::list`].
    pub fn open(mut disk: D, limit_bytes: u64) -> Result<(Self, Found), (D, io::Error)> {
        let files = match disk.lock().and_then(|()| disk.list()) {
            Ok(files) => files,
            Err(error) => return Err((disk, error)),
        };
        let mut found = Found {
            open_to_others: disk.is_open_to_others(),
            ..Found::default()
        };
        let mut index = Index::new(limit_bytes);
        let mut doubles = Vec::new();
        for (called, bytes) in files {
            match Kind::of::<E>(&called) {
                Kind::Whole(name) if bytes == name.bytes && index.has(name.id) => doubles.push(name),
                Kind::Whole(name) if bytes == name.bytes => {
                    found.files += 1;
                    found.documents.add_some(name.amount());
                    index.found(name);
                }
                Kind::Whole(name) => {
                    // Where even this fails, it is met again at the next start.
                    let _: io::Result<()> = disk.rename(&called, &name.damaged());
                    found.damaged.push(name);
                    index.found_damaged(name);
                }
                Kind::Damaged(name) => index.found_damaged(name),
                Kind::Unfinished => drop(disk.remove(&called)),
                Kind::Foreign => found.foreign += usize::from(!called.starts_with('.')),
            }
        }
        // Files of two spools that somebody put together can be of one age and sequence.
        for name in doubles {
            let id = index.next_id(name.id.opened_ms);
            let renamed = FileName { id, ..name };
            // Where this fails, it is met again at the next start.
            if disk.rename(&name.to_string(), &renamed.to_string()).is_ok() {
                found.files += 1;
                found.documents.add_some(renamed.amount());
                index.found(renamed);
            }
        }
        let surplus = index.surplus();
        let mut store = Self {
            disk,
            index,
            unread: BTreeMap::new(),
            resting: BTreeSet::new(),
            encoding: PhantomData,
        };
        // A directory that can't be written to shows with the first file that is to be written.
        let _: io::Result<()> = store.clear(&surplus, &mut found.evicted);
        Ok((store, found))
    }

    /// Writes `batches`, all of them or as many as can be: first the contents, then made safe, then under their
    /// names. In groups this costs much less than one at a time.
    ///
    /// What has to go for them goes after they are safe: the directory may hold that much more for a moment. Only where
    /// the disk itself is full, the oldest files go first, and no more than about twice what is written for it.
    pub fn write(&mut self, batches: Vec<Batch>, at: Moment) -> Written {
        let mut written = Written::default();
        // What could not be removed the last time.
        let surplus = self.index.surplus();
        if let Err(error) = self.clear(&surplus, &mut written.evicted) {
            (written.unwritten, written.error) = (batches, Some(error));
            return written;
        }
        let first_sequence = self.index.next_sequence();
        // How many more batches are made room for at a time, while that helps.
        let mut helped = 1;
        let mut left = batches;
        loop {
            let stored = written.stored.len();
            left = self.try_to_write(left, at, &mut written);
            let is_full = written.error.as_ref().is_some_and(is_full);
            if left.is_empty() || !is_full || (helped > 1 && written.stored.len() == stored) {
                break;
            }
            let needed = left
                .iter()
                .take(helped)
                .map(|batch| cost_bytes(batch.body.len() as u64))
                .sum();
            let oldest = self.index.oldest(needed, first_sequence);
            helped *= 2;
            let room = Room {
                evicted: oldest,
                damaged: Vec::new(),
            };
            if room.evicted.is_empty() || self.clear(&room, &mut written.evicted).is_err() {
                break;
            }
        }
        if left.is_empty() {
            written.error = None;
        }
        written.unwritten = left;
        if !written.stored.is_empty() {
            written.names_unsafe = self.disk.sync_names().err();
        }
        // Where this fails, nothing more is written until it is done.
        let surplus = self.index.surplus();
        let _: io::Result<()> = self.clear(&surplus, &mut written.evicted);
        written
    }

    /// One try; those that are left, in their order.
    fn try_to_write(&mut self, batches: Vec<Batch>, at: Moment, written: &mut Written) -> Vec<Batch> {
        let (mut files, mut contents, mut left) = (Vec::new(), Vec::new(), Vec::new());
        let mut batches = batches.into_iter().enumerate();
        for (place, batch) in batches.by_ref() {
            let id = self.index.next_id(at.unix_ms_of(batch.opened_at));
            let name = FileName::of_batch(id, &batch);
            if self.index.room_for(&name).is_none() {
                written.full.push(batch);
                continue;
            }
            self.index.reserve(name);
            match self.disk.create(&name.unfinished(), &batch.body) {
                Ok(content) => {
                    files.push((place, batch, name));
                    contents.push(content);
                }
                Err(error) => {
                    let is_full = is_full(&error);
                    self.forget(&name);
                    written.error = Some(error);
                    left.push((place, batch));
                    if is_full {
                        break;
                    }
                }
            }
        }
        left.extend(batches);
        let synced = self.disk.sync(&contents);
        for ((place, batch, name), synced) in files.into_iter().zip(synced) {
            match synced.and_then(|()| self.disk.rename(&name.unfinished(), &name.to_string())) {
                Ok(()) => {
                    self.index.written(name.id);
                    written.stored.push(batch);
                }
                Err(error) => {
                    self.forget(&name);
                    written.error = Some(error);
                    left.push((place, batch));
                }
            }
        }
        left.sort_by_key(|(place, _)| *place);
        left.into_iter().map(|(_, batch)| batch).collect()
    }

    /// A file was not written.
    fn forget(&mut self, name: &FileName) {
        self.index.gone(name.id);
        // It may not even have been made; if it stays, the next start removes it.
        let _: io::Result<()> = self.disk.remove(&name.unfinished());
    }

    /// The batch of the oldest file that waits and is not left alone.
    pub fn take(&mut self, at: Moment) -> Taken {
        let Some(name) = self.index.check_out() else {
            return Taken::Nothing;
        };
        match self.disk.read(&name.to_string(), name.bytes) {
            Ok(body) if name.fits::<E>(&body) => {
                let documents = usize::try_from(name.documents).unwrap_or_default();
                let opened_at = at.instant_of(name.id.opened_ms);
                let mut batch = Batch::of_body(body, documents, opened_at);
                batch.kind = name.kind;
                batch.redeliveries = name.redeliveries;
                batch.origin = Some(Origin::new(name.id));
                self.unread.remove(&name.id);
                Taken::Batch(batch)
            }
            Ok(_) => {
                let surplus = self.index.set_aside(name.id);
                // If it keeps its name, it is met again at the next start, and not before.
                let _: io::Result<()> = self.disk.rename(&name.to_string(), &name.damaged());
                for surplus in surplus {
                    if missing_is_fine(self.disk.remove(&surplus.damaged())).is_ok() {
                        self.index.damaged_gone(&surplus);
                    }
                }
                Taken::Damaged(name)
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                self.index.gone(name.id);
                Taken::Missing(name)
            }
            Err(error) => {
                self.index.rest(name.id);
                let pause = self.unread.get(&name.id).map_or(RETRY, |pause| *pause * 2);
                let pause = pause.min(READ_RETRY_MAX);
                self.unread.insert(name.id, pause);
                self.resting.insert((at.instant + pause, name.id));
                Taken::Failed(name, error)
            }
        }
    }

    /// When the first of the files that could not be read may be tried again.
    #[must_use]
    pub fn wakes_at(&self) -> Option<Instant> {
        self.resting.first().map(|(at, _)| *at)
    }

    /// Lets files go out again that could not be read and were left alone for long enough at `now`.
    pub fn wake(&mut self, now: Instant) {
        while let Some((at, id)) = self.resting.first().copied()
            && at <= now
        {
            self.resting.remove(&(at, id));
            self.index.wake(id);
        }
    }

    /// A batch that was taken is not in memory any more, and its file waits again. `None` when it did not come from here.
    pub fn give_back(&mut self, id: FileId) -> Option<FileName> {
        self.index.give_back(id)
    }

    /// Every document of a file that was taken is settled: removes the file.
    ///
    /// # Errors
    /// What the file system says; the file never goes out again all the same, and [`Store::sweep`] tries again.
    pub fn settle(&mut self, id: FileId) -> io::Result<()> {
        match self.index.settle(id) {
            Some(name) => self.remove_settled(&name),
            None => Ok(()),
        }
    }

    /// Removes settled files that could not be removed before.
    ///
    /// # Errors
    /// What the file system says.
    pub fn sweep(&mut self) -> io::Result<()> {
        let settled: Vec<FileName> = self.index.settled().collect();
        settled.iter().try_for_each(|name| self.remove_settled(name))
    }

    fn remove_settled(&mut self, name: &FileName) -> io::Result<()> {
        missing_is_fine(self.disk.remove(&name.to_string()))?;
        self.index.gone(name.id);
        Ok(())
    }

    /// Removes files that must make room, up to the first that can't be removed. Those that held segments go to
    /// `evicted`.
    fn clear(&mut self, room: &Room, evicted: &mut Vec<FileName>) -> io::Result<()> {
        for name in &room.damaged {
            missing_is_fine(self.disk.remove(&name.damaged()))?;
            self.index.damaged_gone(name);
        }
        for name in &room.evicted {
            missing_is_fine(self.disk.remove(&name.to_string()))?;
            self.index.gone(name.id);
            self.unread.remove(&name.id);
            evicted.push(*name);
        }
        Ok(())
    }

    /// What is there.
    #[must_use]
    pub fn index(&self) -> &Index {
        &self.index
    }

    /// The directory alone, for when another process has it.
    pub fn into_disk(self) -> D {
        self.disk
    }

    /// The directory.
    pub fn disk_mut(&mut self) -> &mut D {
        &mut self.disk
    }
}

/// Whether the disk has no room, for anybody or for this user.
fn is_full(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded
    )
}

fn missing_is_fine(result: io::Result<()>) -> io::Result<()> {
    match result {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

#[cfg(test)]
mod tests;
