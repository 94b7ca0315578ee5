//! Traces in a file, so that they are there after a restart.
//!
//! redb, because it is pure Rust (no C compiler in the build), one file, crash-safe by copy-on-write, kept well, and
//! brings no dependency but libc; SQLite would bring a C library for one table that is only written and read whole. A
//! thread of its own writes what the store has not written yet, in one transaction for all that came meanwhile, so
//! that neither a segment nor the page ever waits for the disk.
//!
//! The file is bounded as the store is: what is pushed out there is removed here, and its pages are used again.

use std::collections::HashSet;
use std::path::Path;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, SystemTime};

use redb::{Database, ReadableTable as _, TableDefinition};
use xray_service::service::Service;
use xray_service::traces::{Document, Unsaved};

/// Key, and: milliseconds since 1970, whether it was made of an OTLP span, the document.
const DOCUMENTS: TableDefinition<'_, u64, (u64, bool, &str)> = TableDefinition::new("documents");

/// How long documents gather before they are written: a transaction costs two syncs, whatever is in it.
const GATHER: Duration = Duration::from_millis(300);

/// Why the file cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct StoreFileError(String);

/// A file that is kept up with the store until this is dropped.
#[derive(Debug)]
pub(crate) struct StoreFile {
    wake: Option<SyncSender<()>>,
    writer: Option<JoinHandle<()>>,
}

impl StoreFile {
    /// Opens or makes the file, puts what is in it into the service, and writes what comes from now on.
    ///
    /// # Errors
    /// When the file can't be made or read, is no such file, or is open in another process.
    pub(crate) fn open(path: &Path, service: &Arc<Mutex<Service>>) -> Result<Self, StoreFileError> {
        let failed = |error: redb::Error| {
            let hint = match error {
                redb::Error::DatabaseAlreadyOpen => "another xray dev uses it; give each its own file",
                _ => "give a file that can be written, or one that is not there yet",
            };
            StoreFileError(format!("--store {}: {error}; {hint}.", path.display()))
        };
        let database = Database::create(path).map_err(|error| failed(error.into()))?;
        {
            let mut service = service.lock().unwrap_or_else(PoisonError::into_inner);
            load(&database, &mut service).map_err(failed)?;
            service.traces_mut().start_saving();
        }
        let (wake, woken) = sync_channel(1);
        let writer = std::thread::Builder::new()
            .name("xray-store".to_owned())
            .spawn({
                let service = Arc::clone(service);
                move || write(&database, &service, &woken)
            })
            .map_err(|error| StoreFileError(format!("--store {}: {error}", path.display())))?;
        Ok(Self {
            wake: Some(wake),
            writer: Some(writer),
        })
    }

    /// There is something to write. Does not wait.
    pub(crate) fn wake(&self) {
        if let Some(wake) = &self.wake {
            // Full: it is awake.
            let _ = wake.try_send(());
        }
    }
}

/// Waits until all is written.
impl Drop for StoreFile {
    fn drop(&mut self) {
        drop(self.wake.take());
        if let Some(writer) = self.writer.take() {
            // A panic of it has shown itself.
            let _ = writer.join();
        }
    }
}

fn load(database: &Database, service: &mut Service) -> Result<(), redb::Error> {
    let transaction = database.begin_write()?;
    {
        // Also makes the table.
        let mut table = transaction.open_table(DOCUMENTS)?;
        let mut keys = Vec::new();
        for entry in table.iter()? {
            let (key, value) = entry?;
            let (at_ms, otlp, text) = value.value();
            let at = SystemTime::UNIX_EPOCH + Duration::from_millis(at_ms);
            service.restore(key.value(), text, otlp, at);
            keys.push(key.value());
        }
        // The limits may be narrower than in the last run.
        let kept: HashSet<u64> = service.traces().keys().collect();
        for key in keys.iter().filter(|key| !kept.contains(key)) {
            table.remove(key)?;
        }
    }
    transaction.commit()?;
    Ok(())
}

fn write(database: &Database, service: &Mutex<Service>, woken: &Receiver<()>) {
    let lock = || service.lock().unwrap_or_else(PoisonError::into_inner);
    // After a failure nobody knows what is in the file: everything is written anew.
    let mut anew = false;
    loop {
        // Asleep without a timer while nothing comes.
        let ended = woken.recv().is_err() || gather(woken);
        let result = if anew {
            let all = lock().traces_mut().take_all();
            replace(database, &all)
        } else {
            let unsaved = lock().traces_mut().take_unsaved();
            save(database, &unsaved)
        };
        if let Err(error) = &result {
            tracing::error!(
                "Traces are not saved (--store): {error}. Trying again when the next segment comes"
            );
        }
        anew = result.is_err();
        if ended {
            break;
        }
    }
}

/// Waits for more; `true` when the end has come.
fn gather(woken: &Receiver<()>) -> bool {
    let until = std::time::Instant::now() + GATHER;
    loop {
        let left = until.saturating_duration_since(std::time::Instant::now());
        match woken.recv_timeout(left) {
            Ok(()) => {}
            Err(RecvTimeoutError::Timeout) => return false,
            Err(RecvTimeoutError::Disconnected) => return true,
        }
    }
}

fn save(database: &Database, unsaved: &Unsaved) -> Result<(), redb::Error> {
    if unsaved.put.is_empty() && unsaved.delete.is_empty() {
        return Ok(());
    }
    let transaction = database.begin_write()?;
    {
        let mut table = transaction.open_table(DOCUMENTS)?;
        for key in &unsaved.delete {
            table.remove(key)?;
        }
        for document in &unsaved.put {
            table.insert(document.key, entry(document))?;
        }
    }
    transaction.commit()?;
    Ok(())
}

fn replace(database: &Database, all: &[Document]) -> Result<(), redb::Error> {
    let transaction = database.begin_write()?;
    transaction.delete_table(DOCUMENTS)?;
    {
        let mut table = transaction.open_table(DOCUMENTS)?;
        for document in all {
            table.insert(document.key, entry(document))?;
        }
    }
    transaction.commit()?;
    Ok(())
}

fn entry(document: &Document) -> (u64, bool, &str) {
    let since = document
        .accepted_at
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or_default();
    let at_ms = u64::try_from(since.as_millis()).unwrap_or(u64::MAX);
    (at_ms, document.otlp, &document.text)
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use xray_service::traces::Limits;

    use super::*;

    fn service(max_traces: usize) -> Arc<Mutex<Service>> {
        Arc::new(Mutex::new(Service::new(Limits {
            max_traces,
            ..Limits::default()
        })))
    }

    fn put(service: &Mutex<Service>, disk: &StoreFile, trace: u32, done: bool) {
        let end = done.then_some(2.0);
        let document = json!({
            "trace_id": format!("1-581cf771-{trace:024x}"), "id": "0000000000000001", "name": "shop",
            "start_time": 1, "end_time": end, "in_progress": !done
        });
        let body = json!({"TraceSegmentDocuments": [document.to_string()]}).to_string();
        let mut service = service.lock().unwrap();
        service.handle("POST", "/TraceSegments", body.as_bytes(), SystemTime::now());
        disk.wake();
    }

    fn ids(service: &Mutex<Service>) -> Vec<String> {
        let service = service.lock().unwrap();
        let mut ids: Vec<String> = service
            .traces()
            .newest_first(None)
            .map(|t| t.id.clone())
            .collect();
        ids.sort();
        ids
    }

    fn count(path: &Path) -> u64 {
        use redb::{ReadableDatabase as _, ReadableTableMetadata as _};
        let database = Database::create(path).unwrap();
        let transaction = database.begin_read().unwrap();
        transaction.open_table(DOCUMENTS).unwrap().len().unwrap()
    }

    #[test]
    fn traces_are_there_after_a_restart_and_bounded_as_before() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("traces.redb");
        let first = service(3);
        let disk = StoreFile::open(&path, &first).unwrap();
        for trace in 1..=5 {
            put(&first, &disk, trace, false);
            put(&first, &disk, trace, true);
        }
        drop(disk);
        assert_eq!(
            count(&path),
            3,
            "what was pushed out or replaced is not in the file"
        );

        let second = service(3);
        let disk = StoreFile::open(&path, &second).unwrap();
        assert_eq!(ids(&second), ids(&first));
        put(&second, &disk, 6, true);
        drop(disk);

        let narrow = service(1);
        drop(StoreFile::open(&path, &narrow).unwrap());
        assert_eq!(ids(&narrow), ["1-581cf771-000000000000000000000006"]);
        assert_eq!(count(&path), 1);
    }

    #[test]
    fn a_file_that_is_none_or_is_in_use_is_refused_with_what_to_do() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("x");
        std::fs::write(&path, "this is a text file, and not a short one at that").unwrap();
        let error = StoreFile::open(&path, &service(1)).unwrap_err().to_string();
        assert!(
            error.contains("--store") && error.contains("not there yet"),
            "{error}"
        );
        let used = directory.path().join("used");
        let one = service(1);
        let _disk = StoreFile::open(&used, &one).unwrap();
        let error = StoreFile::open(&used, &service(1)).unwrap_err().to_string();
        assert!(error.contains("its own file"), "{error}");
    }
}
