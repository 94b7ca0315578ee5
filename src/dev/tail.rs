//! `--tail FILE`: lines of a log that name a trace, as they are written. One thread a file: it reads what is there, and looks
//! again a few times a second.

use std::fs::{File, Metadata};
use std::io::{self, Read, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Weak};
use std::thread;
use std::time::{Duration, SystemTime};

use xray_service::logs::{self, Line, MAX_TEXT_BYTES};

use super::web::Site;

/// How often a file is looked at.
const EVERY: Duration = Duration::from_millis(250);

/// So much of what is there already is read, for traces that are there already too.
const BEFORE_BYTES: u64 = 256 << 10;

/// What is read in one go.
const READ_BYTES: usize = 64 << 10;

/// The longest line; what is beyond it is left out.
const MAX_LINE_BYTES: usize = 64 << 10;

/// Follows a file until `site` is gone.
///
/// # Errors
/// When the system refuses a thread.
pub(super) fn start(path: PathBuf, site: Weak<Site>) -> io::Result<()> {
    let follow = move || {
        let mut tail = Tail::new(&path);
        let mut said = false;
        loop {
            let Some(site) = site.upgrade() else { return };
            if let Err(error) = tail.read(&*site)
                && !said
            {
                // Once: it may not be there yet, and is then read from its beginning.
                said = true;
                let path = path.display().to_string();
                tracing::warn!(path, error = %error, "Cannot read {path} (--tail): {error}. It is tried again");
            }
            drop(site);
            thread::sleep(EVERY);
        }
    };
    thread::Builder::new()
        .name("xray-tail".to_owned())
        .spawn(follow)
        .map(drop)
}

/// Who keeps lines.
trait Keeps {
    fn log(&self, lines: Vec<(String, Line)>);
    fn go_on(&self, trace_ids: &[String], source: &str, text: &str);
    fn now_s(&self) -> f64;
}

impl Keeps for Site {
    fn log(&self, lines: Vec<(String, Line)>) {
        Self::log(self, lines);
    }

    fn go_on(&self, trace_ids: &[String], source: &str, text: &str) {
        self.log_goes_on(trace_ids, source, text);
    }

    fn now_s(&self) -> f64 {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        now.unwrap_or_default().as_secs_f64()
    }
}

/// A file that is followed.
struct Tail {
    path: PathBuf,
    source: Arc<str>,
    file: Option<(File, Metadata)>,
    /// What of the file has been read.
    place: u64,
    /// The file was there at the first look: it is read from near its end.
    has_looked: bool,
    /// A line that has no end yet.
    line: Vec<u8>,
    /// The rest of a line that is too long.
    skips: bool,
    /// The traces of the last line that named some, which the next may go on from.
    last: Vec<String>,
}

impl Tail {
    fn new(path: &Path) -> Self {
        let name = path.file_name().unwrap_or(path.as_os_str());
        Self {
            path: path.to_owned(),
            source: Arc::from(name.to_string_lossy().chars().take(100).collect::<String>()),
            file: None,
            place: 0,
            has_looked: false,
            line: Vec::new(),
            skips: false,
            last: Vec::new(),
        }
    }

    /// Reads what has come since the last look.
    fn read(&mut self, keeps: &impl Keeps) -> io::Result<()> {
        let is_first = !std::mem::replace(&mut self.has_looked, true);
        if self.is_another()? {
            let file = File::open(&self.path)?;
            let metadata = file.metadata()?;
            if metadata.is_dir() {
                return Err(io::Error::other("it is a directory"));
            }
            let length = metadata.len();
            self.place = if is_first {
                length.saturating_sub(BEFORE_BYTES)
            } else {
                0
            };
            // What comes first is the rest of a line.
            self.skips = self.place > 0;
            self.line.clear();
            self.last.clear();
            self.file = Some((file, metadata));
        }
        let mut read = vec![0; READ_BYTES];
        loop {
            let Some((file, _)) = &mut self.file else {
                return Ok(());
            };
            if file.metadata()?.is_file() {
                file.seek(SeekFrom::Start(self.place))?;
            }
            let count = file.read(&mut read)?;
            if count == 0 {
                return Ok(());
            }
            self.place += count as u64;
            self.take(&read[..count], keeps);
        }
    }

    /// Whether there is another file by this name, or a shorter one: a log that was rotated or emptied.
    fn is_another(&self) -> io::Result<bool> {
        let Some((file, opened)) = &self.file else {
            return Ok(true);
        };
        let there = match std::fs::metadata(&self.path) {
            Ok(there) => there,
            // It is being rotated: the old one is read on.
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
            Err(error) => return Err(error),
        };
        Ok(file.metadata()?.len() < self.place && there.is_file() || !is_same(opened, &there))
    }

    fn take(&mut self, bytes: &[u8], keeps: &impl Keeps) {
        let mut lines = Vec::new();
        for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
            let is_end = piece.ends_with(b"\n");
            let room = MAX_LINE_BYTES.saturating_sub(self.line.len());
            if !self.skips {
                self.line.extend_from_slice(&piece[..piece.len().min(room)]);
            }
            if is_end {
                if !self.skips {
                    self.end_line(&mut lines, keeps);
                }
                self.line.clear();
                self.skips = false;
            }
        }
        if !lines.is_empty() {
            keeps.log(lines);
        }
    }

    fn end_line(&mut self, lines: &mut Vec<(String, Line)>, keeps: &impl Keeps) {
        let text = String::from_utf8_lossy(&self.line);
        let text = text.trim_end();
        let arrived = keeps.now_s();
        let told = logs::line::read(text, arrived);
        if told.traces.is_empty() {
            if logs::line::goes_on(text) && !self.last.is_empty() {
                keeps.log(std::mem::take(lines));
                keeps.go_on(&self.last, &self.source, text);
            } else {
                self.last.clear();
            }
            return;
        }
        let line = Line {
            time: told.time.unwrap_or(arrived),
            source: Arc::clone(&self.source),
            level: told.level.map(str::to_owned),
            text: text.chars().take(MAX_TEXT_BYTES).collect(),
            span: None,
        };
        lines.extend(told.traces.iter().map(|id| (id.clone(), line.clone())));
        self.last = told.traces;
    }
}

/// Whether both are of one file, by the numbers that a file has on Unix.
#[cfg(unix)]
fn is_same(a: &Metadata, b: &Metadata) -> bool {
    use std::os::unix::fs::MetadataExt as _;
    (a.dev(), a.ino()) == (b.dev(), b.ino())
}

/// Two files are told apart by when they were made, where they have no number.
#[cfg(not(unix))]
fn is_same(a: &Metadata, b: &Metadata) -> bool {
    a.created().ok() == b.created().ok()
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::fs;

    use super::*;

    const ID: &str = "1-581cf771-a006649127e371903a2de979";

    #[derive(Default)]
    struct Kept(RefCell<Vec<(String, String)>>);

    impl Keeps for Kept {
        fn log(&self, lines: Vec<(String, Line)>) {
            self.0
                .borrow_mut()
                .extend(lines.into_iter().map(|(id, line)| (id, line.text)));
        }

        fn go_on(&self, trace_ids: &[String], _: &str, text: &str) {
            let mut all = self.0.borrow_mut();
            for id in trace_ids {
                let last = all
                    .iter_mut()
                    .rev()
                    .find(|(own, _)| own == id)
                    .expect("a line before");
                last.1 = format!("{}|{text}", last.1);
            }
        }

        fn now_s(&self) -> f64 {
            1_795_227_596.0
        }
    }

    impl Kept {
        fn texts(&self) -> Vec<String> {
            self.0.take().into_iter().map(|(_, text)| text).collect()
        }
    }

    fn append(path: &Path, text: &str) {
        let mut all = fs::read(path).unwrap_or_default();
        all.extend_from_slice(text.as_bytes());
        fs::write(path, all).unwrap();
    }

    #[test]
    fn lines_are_kept_as_they_come_with_what_goes_on_from_them() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("app.log");
        let (mut tail, kept) = (Tail::new(&path), Kept::default());
        assert!(tail.read(&kept).is_err(), "it is not there yet");
        append(&path, &format!("before\n{ID} one\n  at main\n"));
        tail.read(&kept).unwrap();
        assert_eq!(kept.texts(), [format!("{ID} one|  at main")]);
        append(&path, &format!("{ID} tw"));
        tail.read(&kept).unwrap();
        assert_eq!(kept.texts(), Vec::<String>::new(), "a line without an end");
        append(&path, "o\nother\n  not of it\n");
        tail.read(&kept).unwrap();
        assert_eq!(kept.texts(), [format!("{ID} two")]);
    }

    #[test]
    fn a_file_that_is_there_is_read_from_near_its_end_and_a_new_one_from_its_beginning() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("app.log");
        let filler = "x".repeat(BEFORE_BYTES as usize);
        append(&path, &format!("{ID} old\n{filler}\n{ID} new\n"));
        let (mut tail, kept) = (Tail::new(&path), Kept::default());
        tail.read(&kept).unwrap();
        assert_eq!(kept.texts(), [format!("{ID} new")]);
        fs::rename(&path, directory.path().join("app.log.1")).unwrap();
        tail.read(&kept).unwrap();
        append(&path, &format!("{ID} rotated\n"));
        tail.read(&kept).unwrap();
        assert_eq!(kept.texts(), [format!("{ID} rotated")]);
        fs::write(&path, format!("{ID} cut\n")).unwrap();
        tail.read(&kept).unwrap();
        assert_eq!(kept.texts(), [format!("{ID} cut")]);
    }

    #[test]
    fn a_line_without_end_takes_no_more_than_its_bound() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("app.log");
        let (mut tail, kept) = (Tail::new(&path), Kept::default());
        append(&path, &format!("{ID} {}", "x".repeat(3 * MAX_LINE_BYTES)));
        tail.read(&kept).unwrap();
        assert_eq!(tail.line.len(), MAX_LINE_BYTES);
        append(&path, "\n\u{fffd}\u{0}\n");
        tail.read(&kept).unwrap();
        assert_eq!(kept.texts()[0].chars().count(), MAX_TEXT_BYTES);
    }
}
