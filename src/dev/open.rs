//! Traces out of a file that is named at the start.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::SystemTime;

use serde_json::json;
use xray_service::import::{self, Found};
use xray_service::service::Service;

use super::lines::Sheet;
use crate::config::LogFormat;

/// The longest file: it is held in memory while it is read.
const MAX_BYTES: u64 = 256 << 20;

/// Why a file was not opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// It can't be read.
    #[error("Cannot open {} (--open): {}", .0.display(), .1)]
    Read(PathBuf, io::Error),
    /// It is longer than is held in memory.
    #[error("{} (--open) has more than {MAX_BYTES} bytes: split it, a trace or a segment is one line", .0.display())]
    Long(PathBuf),
    /// Nothing in it is a trace.
    #[error(
        "{} (--open) has no trace: {}. It takes the output of aws xray batch-get-traces, segment documents one a line, and \
         OTLP in JSON", .0.display(), .1
    )]
    Nothing(PathBuf, String),
}

/// What a file had.
#[derive(Debug)]
pub(super) struct Opened {
    path: PathBuf,
    found: Found,
}

/// Takes the traces in a file.
///
/// # Errors
/// As [`OpenError`].
pub(super) fn open(path: &Path, service: &Mutex<Service>, now: SystemTime) -> Result<Opened, OpenError> {
    let failed = |error| OpenError::Read(path.to_owned(), error);
    let file = File::open(path).map_err(failed)?;
    let mut bytes = Vec::new();
    file.take(MAX_BYTES + 1).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() as u64 > MAX_BYTES {
        return Err(OpenError::Long(path.to_owned()));
    }
    let mut service = service.lock().unwrap_or_else(PoisonError::into_inner);
    let found = import::read(&bytes, |incoming| service.import(incoming, now));
    if found.documents == 0 {
        let why = found
            .examples
            .first()
            .cloned()
            .unwrap_or_else(|| "it is empty".to_owned());
        return Err(OpenError::Nothing(path.to_owned(), why));
    }
    Ok(Opened {
        path: path.to_owned(),
        found,
    })
}

impl Opened {
    /// What is said of it, with its end of line.
    pub(super) fn text(&self, format: LogFormat, sheet: &Sheet) -> String {
        let Found {
            documents,
            traces,
            wrong,
            examples,
        } = &self.found;
        let path = self.path.display().to_string();
        if format == LogFormat::Json {
            return format!(
                "{}\n",
                json!({"opened": {
                    "file": path, "documents": documents, "traces": traces, "wrong": wrong, "examples": examples
                }})
            );
        }
        let first = traces.first().map(|id| sheet.link(id)).unwrap_or_default();
        let mut text = format!(
            "Opened {path}: {documents} documents of {} traces: {first}\n",
            traces.len()
        );
        if *wrong > 0 {
            text.push_str(&format!(
                "  {wrong} values in it are no traces: {}\n",
                examples.join("; ")
            ));
        }
        text
    }
}
