//! Traces in a file, so that they are there after a restart.
//!
//! One file that grows at its end (`journal`) and is written anew when half of it is waste. A thread of its own writes
//! what the store has not written yet, with one sync for all that came meanwhile, so that neither a segment nor the page
//! ever waits for the disk: what came more than a moment ago survives a crash of the machine.
//!
//! The file is bounded as the store is: what is pushed out there is removed here.

mod files;
mod journal;
mod record;

use std::collections::HashSet;
use std::fmt;
use std::io;
use std::path::Path;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, SystemTime};

use xray_service::service::Service;
use xray_service::traces::{Document, Traces};

use files::Refused;
use journal::{End, Journal};
use record::{BESIDES_TEXT, Record};

/// Waste that a file may have besides as much as it holds: below, writing it anew is not worth it.
const WASTE_BYTES: u64 = 1 << 20;

/// How long documents gather before they are written: a sync costs what it costs, whatever is in it.
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
        let failed = |problem: &dyn fmt::Display, hint: &str| {
            StoreFileError(format!("--store {}: {problem}; {hint}.", path.display()))
        };
        let another = "give a file that can be written, or one that is not there yet";
        let io_failed = |error: io::Error| failed(&error, another);
        let journal = {
            let mut service = service.lock().unwrap_or_else(PoisonError::into_inner);
            let opened = load(path, &mut service);
            let (mut journal, end) = opened.map_err(|refused| match refused {
                Refused::InUse => failed(
                    &"the file is in use",
                    "another xray dev uses it; give each its own file",
                ),
                Refused::Foreign => failed(&"this is not a store of xray dev", another),
                Refused::Io(error) => io_failed(error),
            })?;
            let traces = service.traces_mut();
            traces.start_saving();
            match end {
                End::Whole => {}
                End::Cut(bytes) => tracing::warn!(
                    bytes,
                    path = %path.display(),
                    "--store {}: the last write was not finished; cut {bytes} bytes off",
                    path.display()
                ),
                End::Damaged(_) | End::FirstLine => {
                    let aside = journal.set_aside().map_err(io_failed)?;
                    rewrite(&mut journal, traces).map_err(io_failed)?;
                    let (path, aside) = (path.display(), aside.display());
                    let documents = traces.documents();
                    if let End::Damaged(at) = end {
                        tracing::warn!(
                            at,
                            documents,
                            %path,
                            %aside,
                            "--store {path}: damaged at byte {at}, set aside as {aside}; the {documents} documents \
                             before are kept"
                        );
                    } else {
                        tracing::warn!(
                            documents,
                            %path,
                            %aside,
                            "--store {path}: its first line is damaged, set aside as {aside}; the {documents} documents \
                             that can be read are kept"
                        );
                    }
                }
            }
            if is_wasteful(&journal, traces) {
                rewrite(&mut journal, traces).map_err(io_failed)?;
            }
            journal
        };
        let (wake, woken) = sync_channel(1);
        let writer = std::thread::Builder::new()
            .name("xray-store".to_owned())
            .spawn({
                let service = Arc::clone(service);
                move || write(journal, &service, &woken)
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

/// What the file has, into the service; and out of the file what the limits do not let in, which may be narrower than in
/// the last run.
fn load(path: &Path, service: &mut Service) -> Result<(Journal, End), Refused> {
    let mut keys = Vec::new();
    let (mut journal, end) = Journal::open(path, &mut |record| {
        if let Record::Put {
            key,
            at_ms,
            otlp,
            text,
        } = record
        {
            let at = SystemTime::UNIX_EPOCH + Duration::from_millis(at_ms);
            service.restore(key, text, otlp, at);
            keys.push(key);
        }
    })?;
    let kept: HashSet<u64> = service.traces().keys().collect();
    keys.retain(|key| !kept.contains(key));
    if !keys.is_empty() && !end.is_damage() {
        journal.append(keys.into_iter().map(Record::Delete))?;
    }
    Ok((journal, end))
}

/// Whether more than half of the file is waste.
fn is_wasteful(journal: &Journal, traces: &Traces) -> bool {
    let kept = traces.text_bytes() + traces.documents() * BESIDES_TEXT;
    journal.bytes() > 2 * kept as u64 + WASTE_BYTES
}

fn rewrite(journal: &mut Journal, traces: &mut Traces) -> io::Result<()> {
    replace(journal, traces.take_all())
}

fn replace(journal: &mut Journal, mut all: Vec<Document>) -> io::Result<()> {
    // In the order they came, as they are read.
    all.sort_unstable_by_key(|document| document.key);
    journal.rewrite(all.iter().map(record))
}

fn write(mut journal: Journal, service: &Mutex<Service>, woken: &Receiver<()>) {
    let lock = || service.lock().unwrap_or_else(PoisonError::into_inner);
    // After a failure nobody knows what is in the file: everything is written anew.
    let mut anew = false;
    loop {
        // Asleep without a timer while nothing comes.
        let ended = woken.recv().is_err() || gather(woken);
        let result = if anew || is_wasteful(&journal, lock().traces()) {
            let all = lock().traces_mut().take_all();
            replace(&mut journal, all)
        } else {
            let unsaved = lock().traces_mut().take_unsaved();
            if unsaved.put.is_empty() && unsaved.delete.is_empty() {
                Ok(())
            } else {
                let deleted = unsaved.delete.iter().copied().map(Record::Delete);
                journal.append(deleted.chain(unsaved.put.iter().map(record)))
            }
        };
        if let Err(error) = &result {
            tracing::error!(
                error = %error,
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

fn record(document: &Document) -> Record<'_> {
    let since = document
        .accepted_at
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or_default();
    Record::Put {
        key: document.key,
        at_ms: u64::try_from(since.as_millis()).unwrap_or(u64::MAX),
        otlp: document.otlp,
        text: &document.text,
    }
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

    fn count(path: &Path) -> usize {
        journal::tests::content(path).unwrap().0.len()
    }

    #[test]
    fn traces_are_there_after_a_restart_and_bounded_as_before() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("traces");
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

    #[test]
    fn a_damaged_file_is_set_aside_and_what_stands_before_the_damage_is_kept() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("traces");
        let first = service(9);
        let disk = StoreFile::open(&path, &first).unwrap();
        for trace in 1..=3 {
            put(&first, &disk, trace, true);
        }
        drop(disk);
        let whole = std::fs::read(&path).unwrap();
        for (n, aside) in ["traces.damaged", "traces.damaged-2"].into_iter().enumerate() {
            let mut bytes = whole.clone();
            let at = bytes.len() - bytes.len() / 4;
            bytes[at] ^= 1;
            // The last record would be an unfinished one.
            bytes.extend(&whole[whole.len() / 2..]);
            std::fs::write(&path, &bytes).unwrap();
            let again = service(9);
            drop(StoreFile::open(&path, &again).unwrap());
            assert_eq!((ids(&again).len(), count(&path)), (2, 2), "{n}");
            assert_eq!(std::fs::read(directory.path().join(aside)).unwrap(), bytes);
        }
    }

    #[test]
    fn a_file_of_waste_is_written_anew() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("traces");
        let few = service(2);
        let disk = StoreFile::open(&path, &few).unwrap();
        let length = || std::fs::metadata(&path).unwrap().len();
        let (mut most, mut shrunk) = (0, false);
        for trace in 1..=20_000 {
            put(&few, &disk, trace, true);
            if trace % 500 == 0 {
                // The writer gathers for a while.
                std::thread::sleep(GATHER / 4);
                shrunk |= length() < most;
                most = most.max(length());
            }
        }
        drop(disk);
        assert_eq!(count(&path), 2);
        assert!(shrunk || most < WASTE_BYTES, "{most} bytes for two documents");
        assert!(length() <= 2 * 2 * 500 + WASTE_BYTES, "{}", length());
    }
}
