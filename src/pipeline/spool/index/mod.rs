//! What is in the spool and what is to be done with it: which files go when a new one comes, and which goes out next.
//! No I/O and no clock: names in, decisions out.

use std::collections::{BTreeMap, BTreeSet};

use super::name::FileName;
use crate::ledger::amounts::Amounts;
use crate::pipeline::batch::origin::FileId;

/// What a file takes up at least, and in steps of which: the block size of usual file systems. Thousands of small
/// batches must not take up many times what the limit says.
pub const BLOCK_BYTES: u64 = 4096;

/// Most files that stay set aside for a person to look at.
pub const MAX_DAMAGED: usize = 16;

/// The space that a body of this length takes up.
#[must_use]
pub fn cost_bytes(body_bytes: u64) -> u64 {
    body_bytes.max(1).next_multiple_of(BLOCK_BYTES)
}

/// Where a file is on its way out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Being written; its room is taken.
    Writing,
    /// On disk only.
    Waiting,
    /// As waiting, but it could not be read: it does not go out before it is woken.
    Resting,
    /// Its batch is in memory too, to be sent.
    Out,
    /// Its documents are settled; what is left is to remove it.
    Settled,
}

/// The files of a spool.
#[derive(Debug)]
pub struct Index {
    limit_bytes: u64,
    files: BTreeMap<FileId, (FileName, State)>,
    damaged: BTreeSet<FileName>,
    bytes: u64,
    /// Those in [`State::Waiting`]: what goes out next is found at once, however many don't go.
    ready: BTreeSet<FileId>,
    resting_files: usize,
    next_sequence: u64,
}

/// What must go so that something else has room. Each is in the index until [`Index::gone`] or
/// [`Index::damaged_gone`].
#[derive(Debug, Default, PartialEq, Eq)]
#[must_use = "these files are to be removed, and the documents of the evicted ones to be counted"]
pub struct Room {
    /// The oldest waiting files, in order.
    pub evicted: Vec<FileName>,
    /// Files that were set aside.
    pub damaged: Vec<FileName>,
}

impl Index {
    /// An empty one; files take up at most `limit_bytes`.
    #[must_use]
    pub fn new(limit_bytes: u64) -> Self {
        Self {
            limit_bytes,
            files: BTreeMap::new(),
            damaged: BTreeSet::new(),
            bytes: 0,
            ready: BTreeSet::new(),
            resting_files: 0,
            next_sequence: 0,
        }
    }

    /// Whether there is a file of this age and sequence. Two spools that somebody put together may have one each.
    #[must_use]
    pub fn has(&self, id: FileId) -> bool {
        self.files.contains_key(&id)
    }

    /// A file that was found at the start; there must be no other one of its age and sequence.
    pub fn found(&mut self, name: FileName) {
        self.next_sequence = self.next_sequence.max(name.id.sequence.saturating_add(1));
        self.reserve(name);
        self.written(name.id);
    }

    /// A file that was found set aside.
    pub fn found_damaged(&mut self, name: FileName) {
        self.next_sequence = self.next_sequence.max(name.id.sequence.saturating_add(1));
        self.add_damaged(name);
    }

    fn add_damaged(&mut self, name: FileName) {
        // One that was set aside under this name before was written over.
        if self.damaged.insert(name) {
            self.bytes += cost_bytes(name.bytes);
        }
    }

    /// What is over the limit, or more than may stay set aside: after a start with a smaller limit.
    pub fn surplus(&self) -> Room {
        self.make_room(0, None).unwrap_or_default()
    }

    /// A name for a new file, behind all others.
    pub fn next_id(&mut self, opened_ms: u64) -> FileId {
        loop {
            let sequence = self.next_sequence;
            self.next_sequence = self.next_sequence.wrapping_add(1);
            let id = FileId { opened_ms, sequence };
            // Only after the last number there is.
            if !self.has(id) {
                return id;
            }
        }
    }

    /// The sequence that the next new file will have.
    #[must_use]
    pub fn next_sequence(&self) -> u64 {
        self.next_sequence
    }

    /// What must go so that `name` fits in. `None`: it does not, because what is there can't go or is younger than it.
    pub fn room_for(&self, name: &FileName) -> Option<Room> {
        self.make_room(cost_bytes(name.bytes), Some(name.id))
    }

    /// The oldest waiting files that were made before the one of sequence `before`, as many as take up `bytes`, or all.
    #[must_use]
    pub fn oldest(&self, bytes: u64, before: u64) -> Vec<FileName> {
        let mut found_bytes = 0;
        self.waiting()
            .take_while(|name| name.id.sequence < before)
            .take_while(|name| {
                let more = found_bytes < bytes;
                found_bytes += cost_bytes(name.bytes);
                more
            })
            .copied()
            .collect()
    }

    /// A file is about to be written. It must go on through [`Index::written`] or [`Index::gone`].
    pub fn reserve(&mut self, name: FileName) {
        self.bytes += cost_bytes(name.bytes);
        self.files.insert(name.id, (name, State::Writing));
    }

    /// A file that was being written is on disk and waits.
    pub fn written(&mut self, id: FileId) {
        let _: Option<FileName> = self.change(id, State::Writing, State::Waiting);
    }

    /// The oldest file that is ready; it is on its way out from here on.
    pub fn check_out(&mut self) -> Option<FileName> {
        let id = *self.ready.first()?;
        self.change(id, State::Waiting, State::Out)
    }

    /// A file that was on its way out waits again. `None` when it was not.
    pub fn give_back(&mut self, id: FileId) -> Option<FileName> {
        self.change(id, State::Out, State::Waiting)
    }

    /// A file that was on its way out could not be read: it waits, and does not go out before [`Index::wake`].
    pub fn rest(&mut self, id: FileId) {
        let _: Option<FileName> = self.change(id, State::Out, State::Resting);
    }

    /// A file that rested may go out again.
    pub fn wake(&mut self, id: FileId) {
        let _: Option<FileName> = self.change(id, State::Resting, State::Waiting);
    }

    /// The documents of a file that was on its way out are settled: it is to be removed, and never goes out again even
    /// if that fails.
    pub fn settle(&mut self, id: FileId) -> Option<FileName> {
        self.change(id, State::Out, State::Settled)
    }

    /// `None` when it is not in the state `from`.
    fn change(&mut self, id: FileId, from: State, to: State) -> Option<FileName> {
        let (name, state) = self.files.get_mut(&id).filter(|(_, state)| *state == from)?;
        let name = *name;
        *state = to;
        self.count_out(id, from);
        match to {
            State::Waiting => {
                self.ready.insert(id);
            }
            State::Resting => self.resting_files += 1,
            State::Writing | State::Out | State::Settled => {}
        }
        Some(name)
    }

    /// A file is in `state` no more.
    fn count_out(&mut self, id: FileId, state: State) {
        match state {
            State::Waiting => {
                self.ready.remove(&id);
            }
            State::Resting => self.resting_files -= 1,
            State::Writing | State::Out | State::Settled => {}
        }
    }

    /// Settled files that are still there.
    pub fn settled(&self) -> impl Iterator<Item = FileName> + '_ {
        self.files
            .values()
            .filter(|(_, state)| *state == State::Settled)
            .map(|(name, _)| *name)
    }

    /// A file is not there any more.
    pub fn gone(&mut self, id: FileId) {
        if let Some((name, state)) = self.files.remove(&id) {
            self.bytes -= cost_bytes(name.bytes);
            self.count_out(id, state);
        }
    }

    /// A file that was on its way out was set aside. Returns those that were set aside longest and are too many now.
    #[must_use = "these files are to be removed"]
    pub fn set_aside(&mut self, id: FileId) -> Vec<FileName> {
        if let Some((name, state)) = self.files.remove(&id) {
            self.count_out(id, state);
            self.bytes -= cost_bytes(name.bytes);
            self.add_damaged(name);
        }
        self.surplus_damaged()
    }

    /// A file that was set aside is not there any more.
    pub fn damaged_gone(&mut self, name: &FileName) {
        if self.damaged.remove(name) {
            self.bytes -= cost_bytes(name.bytes);
        }
    }

    /// What all files take up.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Files that hold segments or held them: all but those set aside.
    #[must_use]
    pub fn files(&self) -> usize {
        self.files.len()
    }

    /// Files that wait, those that can't be read now among them.
    #[must_use]
    pub fn waiting_files(&self) -> usize {
        self.ready.len() + self.resting_files
    }

    /// Files that may go out now.
    #[must_use]
    pub fn ready_files(&self) -> usize {
        self.ready.len()
    }

    /// Documents in files that wait.
    #[must_use]
    pub fn waiting_documents(&self) -> u64 {
        self.waiting_amounts().total()
    }

    /// What waits in files.
    #[must_use]
    pub fn waiting_amounts(&self) -> Amounts {
        self.waiting().map(FileName::amount).collect()
    }

    fn waiting(&self) -> impl Iterator<Item = &FileName> {
        self.files
            .values()
            .filter(|(_, state)| matches!(state, State::Waiting | State::Resting))
            .map(|(name, _)| name)
    }

    /// Room for `cost` more, at the expense of files that are older than `newcomer`.
    fn make_room(&self, cost: u64, newcomer: Option<FileId>) -> Option<Room> {
        let limit = self.limit_bytes.checked_sub(cost)?;
        let mut bytes = self.bytes;
        let mut needed = |name: &FileName| {
            let needed = bytes > limit;
            if needed {
                bytes -= cost_bytes(name.bytes);
            }
            needed
        };
        let too_many = self.damaged.len().saturating_sub(MAX_DAMAGED);
        let mut damaged = Vec::new();
        // Those first that nobody waits for.
        for (n, name) in self.damaged.iter().enumerate() {
            if !needed(name) && n >= too_many {
                break;
            }
            damaged.push(*name);
        }
        let older = |name: &&FileName| newcomer.is_none_or(|newcomer| name.id < newcomer);
        let evicted = self
            .waiting()
            .take_while(older)
            .take_while(|name| needed(name))
            .copied()
            .collect();
        (bytes <= limit || newcomer.is_none()).then_some(Room { evicted, damaged })
    }

    fn surplus_damaged(&self) -> Vec<FileName> {
        let too_many = self.damaged.len().saturating_sub(MAX_DAMAGED);
        self.damaged.iter().take(too_many).copied().collect()
    }
}

#[cfg(test)]
mod tests;
