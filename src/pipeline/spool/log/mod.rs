//! What the spool says in the log: changes of its state, each once, and losses, at most once a second.

use std::io;
use std::time::Instant;

use super::name::FileName;
use super::settings::WorkerConfig;
use super::store::Found;
use crate::ledger::amounts::Amounts;
use crate::ledger::signal::Content;
use crate::logs::{self, Reminder, Tally};
use crate::pipeline::budget::MB;

/// What was said, and what is to be said.
#[derive(Debug)]
pub(super) struct SpoolLog {
    shown: String,
    limit_mb: u64,
    full: Tally,
    /// What was lost the last time, in the plural.
    full_items: &'static str,
    lost_files: Tally,
    /// The file of the next line about lost ones, and what happened to it.
    example: Option<String>,
    /// The disk refuses, and that was said.
    failing: Option<Reminder>,
    spooling: Spooling,
    no_directory: bool,
    names_unsafe: bool,
    unreadable: Reminder,
    not_removed: Reminder,
}

/// Whether there are files, and what was said about it.
#[derive(Debug, Default)]
struct Spooling {
    files: bool,
    said: bool,
    reminder: Reminder,
}

/// An error of the file system, as it may be shown.
fn shown(error: &io::Error) -> String {
    logs::sanitize(error.to_string(), 200)
}

impl SpoolLog {
    pub(super) fn new(config: WorkerConfig) -> Self {
        Self {
            shown: config.shown,
            limit_mb: config.limit_bytes / MB,
            full: Tally::default(),
            full_items: Content::Segments.items(),
            lost_files: Tally::default(),
            example: None,
            failing: None,
            spooling: Spooling::default(),
            no_directory: false,
            names_unsafe: false,
            unreadable: Reminder::default(),
            not_removed: Reminder::default(),
        }
    }

    /// The directory is ours, and this was in it.
    pub(super) fn opened(&mut self, found: &Found, now: Instant) {
        let Self { shown, limit_mb, .. } = self;
        tracing::info!(
            directory = shown,
            limit_mb,
            "Using spool {shown}, at most {limit_mb} MB"
        );
        if found.files > 0 {
            let (files, segments, items) = (found.files, found.documents.total(), found.documents.items());
            tracing::info!(
                segments,
                files,
                "Found {segments} {items} in {files} files in the spool; they are sent beside new ones"
            );
            self.spooling = Spooling {
                files: true,
                said: true,
                reminder: Reminder::said(now),
            };
        }
        if found.foreign > 0 {
            tracing::warn!(
                files = found.foreign,
                directory = shown,
                "{} files in {shown} are not of the spool and are left alone",
                found.foreign
            );
        }
        if found.open_to_others {
            tracing::warn!(
                directory = shown,
                "Other users may write to the spool {shown}, and so remove segments or add some: give it to this user alone"
            );
        }
        for name in &found.damaged {
            self.damaged(name, now);
        }
        self.full(found.evicted.iter().map(FileName::amount).collect(), now);
        self.no_directory = false;
    }

    /// Another process has the directory, or it can't be used.
    pub(super) fn cannot_open(&mut self, error: &io::Error) {
        if std::mem::replace(&mut self.no_directory, true) {
            return;
        }
        let shown_path = &self.shown;
        let reason = match error.kind() {
            io::ErrorKind::WouldBlock => "is in use by another daemon".to_owned(),
            _ => format!("can't be used: {}", shown(error)),
        };
        tracing::error!(
            directory = shown_path,
            reason,
            "The spool {shown_path} {reason}; segments wait in memory until it can be used, and are dropped when that has \
             no room for more (tried every second)"
        );
    }

    /// Another process has the directory that was ours, and with it so many documents that waited there.
    pub(super) fn taken_over(&mut self, error: &io::Error, lost: Amounts) {
        self.cannot_open(error);
        // Those that wait are no news here: they are not there.
        self.spooling.said = false;
        let (documents, items) = (lost.total(), lost.items());
        if documents > 0 {
            tracing::error!(
                segments = documents,
                directory = self.shown,
                "{documents} {items} that waited in the spool {} are lost: its files were removed, or are the other \
                 daemon's now",
                self.shown
            );
        }
    }

    /// There are so many files that hold segments.
    pub(super) fn holds(&mut self, files: usize, now: Instant) {
        let before = std::mem::replace(&mut self.spooling.files, files > 0);
        let (shown, limit_mb) = (&self.shown, self.limit_mb);
        if !before && files > 0 && self.spooling.reminder.is_due(now) {
            self.spooling.said = true;
            tracing::info!(
                directory = shown,
                limit_mb,
                "The buffer memory limit is reached: the oldest segments wait in the spool {shown} (at most {limit_mb} \
                 MB) until they can be sent"
            );
        }
        if before && files == 0 && std::mem::take(&mut self.spooling.said) {
            tracing::info!("The spool is empty again");
        }
    }

    /// So many documents are lost because the spool is full.
    pub(super) fn full(&mut self, lost: Amounts, now: Instant) {
        if lost.total() > 0 {
            self.full_items = lost.items();
        }
        let said = self
            .full
            .add(usize::try_from(lost.total()).unwrap_or(usize::MAX), now);
        self.say_full(said);
    }

    fn say_full(&self, said: Option<u64>) {
        let Some(segments) = said else { return };
        let (limit_mb, items) = (self.limit_mb, self.full_items);
        tracing::warn!(
            segments,
            limit_mb,
            "Dropping {segments} {items}: the spool's {limit_mb} MB are full, the oldest go; --spool-size raises the \
             limit"
        );
    }

    /// The disk refuses.
    pub(super) fn failed(&mut self, error: &io::Error, now: Instant) {
        let (shown_path, shown_error) = (&self.shown, shown(error));
        if let Some(reminder) = &mut self.failing {
            if reminder.is_due(now) {
                tracing::error!(
                    directory = shown_path,
                    error = shown_error,
                    "The spool {shown_path} still can't be written to: {shown_error}"
                );
            }
            return;
        }
        self.failing = Some(Reminder::said(now));
        tracing::error!(
            directory = shown_path,
            error = shown_error,
            "The spool {shown_path} can't be written to: {shown_error}; segments wait in memory until it can be, and are \
             dropped when that has no room for more (tried every second)"
        );
    }

    /// The disk took something.
    pub(super) fn writes_again(&mut self) {
        if self.failing.take().is_some() {
            tracing::info!("The spool can be written to again");
        }
    }

    /// The names of files could not be made safe.
    pub(super) fn names_unsafe(&mut self, error: &io::Error) {
        if std::mem::replace(&mut self.names_unsafe, true) {
            return;
        }
        let error = shown(error);
        tracing::warn!(
            error,
            "The directory of the spool can't be made safe ({error}): after a loss of power, files may be missing"
        );
    }

    /// A file is not what its name says.
    pub(super) fn damaged(&mut self, name: &FileName, now: Instant) {
        let (content, count) = name.amount();
        let items = content.items();
        self.lost_file(
            format!("{name} is damaged and set aside as *.damaged; its {count} {items} are lost"),
            now,
        );
    }

    /// A file is gone.
    pub(super) fn missing(&mut self, name: &FileName, now: Instant) {
        let (content, count) = name.amount();
        let items = content.items();
        self.lost_file(
            format!("{name} was removed by somebody; its {count} {items} are lost"),
            now,
        );
    }

    fn lost_file(&mut self, what: String, now: Instant) {
        self.example.get_or_insert(what);
        let said = self.lost_files.add(1, now);
        self.say_lost_files(said);
    }

    fn say_lost_files(&mut self, said: Option<u64>) {
        let Some(files) = said else { return };
        let example = self.example.take().unwrap_or_default();
        match files {
            1 => tracing::error!(files, error = example, "Spool file {example}"),
            _ => tracing::error!(
                files,
                error = example,
                "Spool file {example} (and {} more such files)",
                files - 1
            ),
        }
    }

    /// A file can't be read now.
    pub(super) fn unreadable(&mut self, name: &FileName, error: &io::Error, now: Instant) {
        if self.unreadable.is_due(now) {
            let (segments, shown_error) = (name.documents, shown(error));
            let items = name.kind.content().items();
            tracing::error!(
                segments,
                file = %name,
                error = shown_error,
                "Spool file {name} can't be read: {shown_error}; its {segments} {items} wait, and it is tried again \
                 later; other files go on"
            );
        }
    }

    /// A file whose segments are sent can't be removed.
    pub(super) fn not_removed(&mut self, error: &io::Error, now: Instant) {
        if self.not_removed.is_due(now) {
            let (directory, error) = (&self.shown, shown(error));
            tracing::error!(
                directory,
                error,
                "Files in the spool {directory} whose segments were sent can't be removed: {error}; after a restart they \
                 would be sent again"
            );
        }
    }

    /// When something is to be said that could not be said at once.
    pub(super) fn due(&self) -> Option<Instant> {
        [self.full.due(), self.lost_files.due()]
            .into_iter()
            .flatten()
            .min()
    }

    /// Says what is due.
    pub(super) fn speak(&mut self, now: Instant) {
        let full = self.full.add(0, now);
        self.say_full(full);
        let lost = self.lost_files.add(0, now);
        self.say_lost_files(lost);
    }

    /// Says what is left to be said.
    pub(super) fn flush(&mut self, now: Instant) {
        let full = self.full.flush(0, now);
        self.say_full(full);
        let lost = self.lost_files.flush(0, now);
        self.say_lost_files(lost);
    }
}

#[cfg(test)]
mod tests;
