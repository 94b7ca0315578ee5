//! Files in a spool's directory. The input is one file after the other: a line with its name, then its content.
//!
//! A first line such as `@12 3`, age and sequence, stands for the right name of the content, so that files which are
//! taken need no checksum that fits by chance.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io;
use std::time::Instant;

use crate::SEPARATOR;
use crate::subject::body::{Encoding as _, OpenBatch, Segments};
use crate::subject::spool::{Disk, FileId, FileName, Kind, MAX_DAMAGED, Moment, Store, Taken, cost_bytes};

/// Whatever the files are: what is taken out of the spool is what a file's name says; everything that can be taken is
/// taken once, and then nothing is left but foreign files, untouched, and those set aside; the account of bytes is
/// right; and the spool works afterwards.
///
/// # Panics
/// When one of these does not hold.
pub fn check(input: &[u8]) {
    let files: BTreeMap<String, Vec<u8>> = input
        .split(|&byte| byte == SEPARATOR)
        .filter_map(file)
        .filter(|(name, _)| name != ".lock")
        .collect();
    let limit_bytes = 4096 << (input.len() % 6);
    let is_foreign = |name: &String| Kind::of::<Segments>(name) == Kind::Foreign;
    let foreign: BTreeMap<_, _> = files
        .clone()
        .into_iter()
        .filter(|(name, _)| is_foreign(name))
        .collect();
    let count = files.len();
    let disk = Memory {
        files: RefCell::new(files.clone()),
        last_read: RefCell::default(),
    };
    let Ok((mut store, found)) = Store::open(disk, limit_bytes) else {
        panic!("a disk that never fails");
    };
    assert!(store.index().bytes() <= limit_bytes);
    assert!(found.files <= count && found.foreign <= foreign.len());
    assert_eq!(
        store.index().waiting_files() + found.evicted.len(),
        found.files,
        "each is there or was evicted"
    );
    let at = Moment {
        instant: Instant::now(),
        unix_ms: 1_795_227_595_034,
    };
    let waiting = store.index().waiting_files();
    let mut taken = 0;
    loop {
        match store.take(at) {
            Taken::Batch(batch) => {
                let (called, content) = store.disk_mut().last_read.take();
                assert_eq!(content, batch.body);
                let name = FileName::parse::<Segments>(&called).expect("the name of a whole file");
                assert!(was_there(&files, &name, &content));
                assert_eq!(batch.documents as u64, name.documents);
                assert_eq!(
                    Segments::documents(&batch.body).map(|found| found.len()),
                    Some(batch.documents)
                );
                assert_eq!(batch.redeliveries, name.redeliveries);
                store.settle(name.id).expect("a disk that never fails");
            }
            Taken::Damaged(name) => assert!(!name.fits::<Segments>(&store.disk_mut().last_read.take().1)),
            Taken::Nothing => break,
            Taken::Missing(name) => panic!("{name} was there"),
            Taken::Failed(name, error) => panic!("{name}: {error}"),
        }
        taken += 1;
        assert!(taken <= waiting, "more than there were");
    }
    assert_eq!(taken, waiting, "less than there were");
    let mut damaged_bytes = 0;
    let mut damaged = 0;
    for (name, content) in store.disk_mut().files.get_mut() {
        match Kind::of::<Segments>(name) {
            Kind::Foreign => assert_eq!(foreign.get(name), Some(&*content)),
            Kind::Damaged(name) => {
                damaged += 1;
                damaged_bytes += cost_bytes(name.bytes);
            }
            Kind::Whole(_) | Kind::Unfinished => panic!("{name} is left"),
        }
    }
    assert!(damaged <= MAX_DAMAGED);
    assert_eq!(store.disk_mut().files.get_mut().len(), damaged + foreign.len());
    let index = store.index();
    assert_eq!(
        (index.bytes(), index.files(), index.waiting_files()),
        (damaged_bytes, 0, 0)
    );
    goes_on(&mut store, at);
}

/// Under this name, or under another number where there were two of one.
fn was_there(files: &BTreeMap<String, Vec<u8>>, name: &FileName, content: &[u8]) -> bool {
    files.iter().any(|(called, planted)| {
        let is_it = |called: FileName| {
            let FileId { opened_ms, .. } = called.id;
            opened_ms == name.id.opened_ms
                && *name
                    == FileName {
                        id: name.id,
                        ..called
                    }
        };
        planted == content && FileName::parse::<Segments>(called).is_some_and(is_it)
    })
}

fn goes_on(store: &mut Store<Memory>, at: Moment) {
    let batch = OpenBatch::of_one(b"{}", at.instant).expect("one document");
    let written = store.write(vec![batch.clone()], at);
    assert_eq!(written.stored.len(), 1);
    match store.take(at) {
        Taken::Batch(again) => assert_eq!(again.body, batch.body),
        other => panic!("{other:?}"),
    }
}

/// Name and content.
fn file(record: &[u8]) -> Option<(String, Vec<u8>)> {
    let newline = record.iter().position(|&byte| byte == b'\n')?;
    let name = std::str::from_utf8(&record[..newline]).ok()?;
    let content = &record[newline + 1..];
    let name = match name.strip_prefix('@').and_then(|numbers| numbers.split_once(' ')) {
        None => name.to_owned(),
        Some((opened_ms, sequence)) => {
            let id = FileId {
                opened_ms: opened_ms.parse().ok()?,
                sequence: sequence.parse().ok()?,
            };
            let documents = Segments::documents(content).map_or(1, |found| found.len());
            FileName::of(id, documents, 0, content).to_string()
        }
    };
    Some((name, content.to_vec()))
}

/// A directory in memory, which never fails.
#[derive(Debug)]
struct Memory {
    files: RefCell<BTreeMap<String, Vec<u8>>>,
    /// Name and content.
    last_read: RefCell<(String, Vec<u8>)>,
}

impl Disk for Memory {
    type File = ();

    fn lock(&mut self) -> io::Result<()> {
        Ok(())
    }

    fn is_open_to_others(&self) -> bool {
        false
    }

    fn list(&self) -> io::Result<Vec<(String, u64)>> {
        let files = self.files.borrow();
        Ok(files
            .iter()
            .map(|(name, content)| (name.clone(), content.len() as u64))
            .collect())
    }

    fn create(&self, name: &str, content: &[u8]) -> io::Result<()> {
        match self.files.borrow_mut().insert(name.to_owned(), content.to_vec()) {
            None => Ok(()),
            Some(_) => Err(io::ErrorKind::AlreadyExists.into()),
        }
    }

    fn sync(&self, files: &[()]) -> Vec<io::Result<()>> {
        files.iter().map(|()| Ok(())).collect()
    }

    fn sync_names(&self) -> io::Result<()> {
        Ok(())
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let mut files = self.files.borrow_mut();
        let content = files.remove(from).ok_or(io::ErrorKind::NotFound)?;
        files.insert(to.to_owned(), content);
        Ok(())
    }

    fn read(&self, name: &str, bytes: u64) -> io::Result<Vec<u8>> {
        let mut content = self
            .files
            .borrow()
            .get(name)
            .ok_or(io::ErrorKind::NotFound)?
            .clone();
        content.truncate(usize::try_from(bytes).unwrap_or(usize::MAX).saturating_add(1));
        *self.last_read.borrow_mut() = (name.to_owned(), content.clone());
        Ok(content)
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        match self.files.borrow_mut().remove(name) {
            Some(_) => Ok(()),
            None => Err(io::ErrorKind::NotFound.into()),
        }
    }
}
