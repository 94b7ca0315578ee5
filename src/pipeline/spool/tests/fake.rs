//! A disk in memory for tests: it tells apart what would survive a loss of power, and fails when told to.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::{Arc, Mutex, MutexGuard};

use crate::pipeline::spool::disk::Disk;

/// The disk; clones are the same one.
#[derive(Debug, Clone, Default)]
pub(crate) struct FakeDisk(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    /// By inode: what was written and whether it was made safe.
    contents: Vec<(Vec<u8>, bool)>,
    names: BTreeMap<String, usize>,
    /// The names at the last time they were made safe, and what happened to them since, in order.
    safe_names: BTreeMap<String, usize>,
    unsafe_changes: Vec<Change>,
    /// How many more changes there may be before the power fails.
    power_left: Option<usize>,
    /// What every change fails with.
    fault: Option<io::ErrorKind>,
    /// How many succeed before.
    good_left: usize,
    /// How many more changes fail with it; `None`: all.
    faults_left: Option<usize>,
    /// What every read fails with.
    read_fault: Option<io::ErrorKind>,
    /// Files that can't be read.
    unreadable: BTreeSet<String>,
    /// Bytes that all files together may have.
    room_bytes: Option<usize>,
    /// Files that were made safe.
    synced: usize,
    /// What locking fails with.
    lock_fault: Option<io::ErrorKind>,
    open_to_others: bool,
    operations: usize,
}

#[derive(Debug)]
enum Change {
    Put(String, usize),
    Rename(String, String),
    Remove(String),
}

impl Change {
    fn apply(self, names: &mut BTreeMap<String, usize>) {
        match self {
            Self::Put(name, inode) => {
                names.insert(name, inode);
            }
            Self::Rename(from, to) => {
                if let Some(inode) = names.remove(&from) {
                    names.insert(to, inode);
                }
            }
            Self::Remove(name) => {
                names.remove(&name);
            }
        }
    }
}

impl FakeDisk {
    /// The power fails after so many changes from now: the last one happens by half.
    pub(crate) fn fail_power_after(&self, changes: usize) {
        self.state().power_left = Some(changes);
    }

    /// Every change fails from now on; `None`: no more.
    pub(crate) fn set_fault(&self, fault: Option<io::ErrorKind>) {
        let mut state = self.state();
        (state.good_left, state.fault, state.faults_left) = (0, fault, None);
    }

    /// The next `changes` changes fail.
    pub(crate) fn fail_next(&self, changes: usize, fault: io::ErrorKind) {
        self.fail_after(0, changes, fault);
    }

    /// Of the changes from now on, `changes` fail behind the first `good` ones.
    pub(crate) fn fail_after(&self, good: usize, changes: usize, fault: io::ErrorKind) {
        let mut state = self.state();
        (state.good_left, state.fault, state.faults_left) = (good, Some(fault), Some(changes));
    }

    /// This file can't be read from now on, or again.
    pub(crate) fn set_unreadable(&self, name: &str, unreadable: bool) {
        let mut state = self.state();
        if unreadable {
            state.unreadable.insert(name.to_owned());
        } else {
            state.unreadable.remove(name);
        }
    }

    /// All files together may have so many bytes.
    pub(crate) fn set_room(&self, bytes: usize) {
        self.state().room_bytes = Some(bytes);
    }

    /// How many files were made safe.
    pub(crate) fn synced(&self) -> usize {
        self.state().synced
    }

    /// False once the power has failed.
    pub(crate) fn has_power(&self) -> bool {
        self.state().power_left != Some(0)
    }

    /// Every read fails from now on; `None`: no more.
    pub(crate) fn set_read_fault(&self, fault: Option<io::ErrorKind>) {
        self.state().read_fault = fault;
    }

    /// Others may write to the directory.
    pub(crate) fn open_to_others(&self) {
        self.state().open_to_others = true;
    }

    /// Another process has the directory.
    pub(crate) fn set_locked(&self, locked: bool) {
        self.set_lock_fault(locked.then_some(io::ErrorKind::WouldBlock));
    }

    /// Locking fails from now on; `None`: no more.
    pub(crate) fn set_lock_fault(&self, fault: Option<io::ErrorKind>) {
        self.state().lock_fault = fault;
    }

    /// How many operations there were, also those that failed.
    pub(crate) fn operations(&self) -> usize {
        self.state().operations
    }

    /// The disk after the process is gone, the power being on: everything that was done is there.
    pub(crate) fn after_kill(&self) -> Self {
        let state = self.state();
        let after = State {
            contents: state
                .contents
                .iter()
                .map(|(content, _)| (content.clone(), true))
                .collect(),
            names: state.names.clone(),
            safe_names: state.names.clone(),
            ..State::default()
        };
        Self(Arc::new(Mutex::new(after)))
    }

    /// The disk after the power failed. Of the changes that were not made safe, the first `kept` happened; contents that
    /// were not made safe are cut by `cut` bytes.
    pub(crate) fn after_power_failure(&self, kept: usize, cut: usize) -> Self {
        let mut state = self.state();
        let mut names = state.safe_names.clone();
        let count = state.unsafe_changes.len();
        for change in state.unsafe_changes.drain(..).take(kept % (count + 1)) {
            change.apply(&mut names);
        }
        let contents = state.contents.iter().map(|(content, safe)| {
            let mut content = content.clone();
            if !safe {
                content.truncate(content.len().saturating_sub(cut));
            }
            (content, true)
        });
        let after = State {
            contents: contents.collect(),
            safe_names: names.clone(),
            names,
            ..State::default()
        };
        Self(Arc::new(Mutex::new(after)))
    }

    /// All names.
    pub(crate) fn names(&self) -> Vec<String> {
        self.state().names.keys().cloned().collect()
    }

    /// Changes a file from outside.
    pub(crate) fn edit(&self, name: &str, change: impl FnOnce(&mut Vec<u8>)) {
        let mut state = self.state();
        let inode = state.names[name];
        change(&mut state.contents[inode].0);
    }

    /// Puts a file there from outside.
    pub(crate) fn plant(&self, name: &str, content: &[u8]) {
        let mut state = self.state();
        let inode = state.contents.len();
        state.contents.push((content.to_vec(), true));
        state.names.insert(name.to_owned(), inode);
    }

    /// Removes a file from outside.
    pub(crate) fn lose(&self, name: &str) {
        self.state().names.remove(name);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap()
    }
}

impl State {
    /// Ok when a change may happen wholly.
    fn change(&mut self) -> io::Result<()> {
        self.operations += 1;
        if self.good_left > 0 {
            self.good_left -= 1;
        } else if let Some(fault) = self.fault
            && self.faults_left != Some(0)
        {
            if let Some(left) = &mut self.faults_left {
                *left -= 1;
            }
            return Err(fault.into());
        }
        match &mut self.power_left {
            None => Ok(()),
            Some(0) => Err(io::Error::other("no power")),
            Some(left) => {
                *left -= 1;
                Ok(())
            }
        }
    }

    fn rename_now(&mut self, change: Change) {
        match &change {
            Change::Put(name, inode) => Change::Put(name.clone(), *inode),
            Change::Rename(from, to) => Change::Rename(from.clone(), to.clone()),
            Change::Remove(name) => Change::Remove(name.clone()),
        }
        .apply(&mut self.names);
        self.unsafe_changes.push(change);
    }
}

impl Disk for FakeDisk {
    type File = usize;

    fn lock(&mut self) -> io::Result<()> {
        match self.state().lock_fault {
            Some(fault) => Err(fault.into()),
            None => Ok(()),
        }
    }

    fn is_open_to_others(&self) -> bool {
        self.state().open_to_others
    }

    fn list(&self) -> io::Result<Vec<(String, u64)>> {
        let state = self.state();
        Ok(state
            .names
            .iter()
            .map(|(name, inode)| (name.clone(), state.contents[*inode].0.len() as u64))
            .collect())
    }

    fn create(&self, name: &str, content: &[u8]) -> io::Result<usize> {
        let mut state = self.state();
        if state.names.contains_key(name) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        let last = state.power_left == Some(1);
        state.change()?;
        let taken_bytes: usize = state
            .names
            .values()
            .map(|inode| state.contents[*inode].0.len())
            .sum();
        if state
            .room_bytes
            .is_some_and(|room| taken_bytes + content.len() > room)
        {
            return Err(io::ErrorKind::StorageFull.into());
        }
        let inode = state.contents.len();
        let written = if last { content.len() / 2 } else { content.len() };
        state.contents.push((content[..written].to_vec(), false));
        state.rename_now(Change::Put(name.to_owned(), inode));
        if last {
            Err(io::Error::other("no power"))
        } else {
            Ok(inode)
        }
    }

    fn sync(&self, files: &[usize]) -> Vec<io::Result<()>> {
        let mut state = self.state();
        let mut sync = |file: &usize| {
            state.change()?;
            state.synced += 1;
            state.contents[*file].1 = true;
            Ok(())
        };
        files.iter().map(&mut sync).collect()
    }

    fn sync_names(&self) -> io::Result<()> {
        let mut state = self.state();
        state.change()?;
        state.safe_names = state.names.clone();
        state.unsafe_changes.clear();
        Ok(())
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let mut state = self.state();
        state.change()?;
        if !state.names.contains_key(from) {
            return Err(io::ErrorKind::NotFound.into());
        }
        state.rename_now(Change::Rename(from.to_owned(), to.to_owned()));
        Ok(())
    }

    fn read(&self, name: &str, bytes: u64) -> io::Result<Vec<u8>> {
        let mut state = self.state();
        state.operations += 1;
        if let Some(fault) = state.read_fault {
            return Err(fault.into());
        }
        if state.unreadable.contains(name) {
            return Err(io::ErrorKind::PermissionDenied.into());
        }
        let inode = *state.names.get(name).ok_or(io::ErrorKind::NotFound)?;
        let mut content = state.contents[inode].0.clone();
        content.truncate(bytes as usize + 1);
        Ok(content)
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        let mut state = self.state();
        state.change()?;
        if !state.names.contains_key(name) {
            return Err(io::ErrorKind::NotFound.into());
        }
        state.rename_now(Change::Remove(name.to_owned()));
        Ok(())
    }
}
