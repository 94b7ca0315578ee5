//! The traces that are kept: inside a budget of bytes and a number of traces, oldest trace out first.
//!
//! No I/O and no clock: `now` is passed in. Whoever shows traces asks for what changed since he last looked
//! ([`Traces::changes_since`]); whoever keeps them on disk asks for what he has not written yet
//! ([`Traces::take_unsaved`]).

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::sync::{Arc, OnceLock};
use std::time::SystemTime;

use xray_document::outline::Outline;

use super::digest::Digest;
use super::model::Tree;

/// What a document costs in the budget besides its text: its entry here, and its share of the trace's digest.
const DOCUMENT_OVERHEAD_BYTES: usize = 512;

/// The most documents of one trace: ten times the thousand segments that a large trace has. Reading a trace takes time
/// with their number.
const MAX_DOCUMENTS_PER_TRACE: usize = 10_000;

/// Traces whose end is remembered for those who show them; who has missed more reads everything anew.
const MAX_GONE: usize = 10_000;

/// How much is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Of document text and 512 for each document. One trace may have a quarter of it.
    pub max_bytes: usize,
    /// Traces.
    pub max_traces: usize,
}

impl Default for Limits {
    /// 256 MiB and 10,000 traces.
    fn default() -> Self {
        Self {
            max_bytes: 256 << 20,
            max_traces: 10_000,
        }
    }
}

/// One document.
#[derive(Debug, Clone)]
pub struct Document {
    /// Its place among all documents that were ever kept.
    pub key: u64,
    /// The segment's id.
    pub id: String,
    /// As it was sent, or made of an OTLP span.
    pub text: Arc<str>,
    /// It was made of an OTLP span.
    pub otlp: bool,
    /// When it was accepted.
    pub accepted_at: SystemTime,
    in_progress: bool,
}

/// One trace.
#[derive(Debug)]
pub struct Trace {
    /// `1-<8 hex>-<24 hex>`.
    pub id: String,
    /// In the order they came.
    pub documents: Vec<Document>,
    /// Documents were left out, since it has become too large.
    pub limit_exceeded: bool,
    /// When it last changed.
    pub changed_at: SystemTime,
    born: u64,
    revision: u64,
    start_us: i64,
    bytes: usize,
    digest: OnceLock<Arc<Digest>>,
}

impl Trace {
    /// What filters and summaries need; made at the first question after a change.
    #[must_use]
    pub fn digest(&self) -> Arc<Digest> {
        Arc::clone(
            self.digest
                .get_or_init(|| Arc::new(Digest::of(&self.id, &self.tree()))),
        )
    }

    /// Everything in it, as a tree; made anew with each call.
    #[must_use]
    pub fn tree(&self) -> Tree {
        Tree::build(self.documents.iter().map(|document| &*document.text))
    }

    /// Goes up with every change of any trace, so that it tells versions apart.
    #[must_use]
    pub fn revision(&self) -> u64 {
        self.revision
    }
}

/// Where a page of traces ends: the next one begins after it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Cursor {
    start_us: i64,
    id: String,
}

impl Cursor {
    /// As a text for clients, who give it back unread.
    #[must_use]
    pub fn to_text(&self) -> String {
        format!("{}/{}", self.start_us, self.id)
    }

    /// Of a text that [`Cursor::to_text`] made.
    #[must_use]
    pub fn of_text(text: &str) -> Option<Self> {
        let (start_us, id) = text.split_once('/')?;
        Some(Self {
            start_us: start_us.parse().ok()?,
            id: id.to_owned(),
        })
    }

    /// Of the trace with this digest.
    #[must_use]
    pub fn of(digest: &Digest) -> Self {
        Self {
            start_us: micros(digest.start),
            id: digest.id.clone(),
        }
    }
}

/// What happened since somebody last looked.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Changes {
    /// Where the next look begins.
    pub revision: u64,
    /// Everything may have changed: all were forgotten, or too much happened.
    pub reset: bool,
    /// Traces that are new or have grown.
    pub changed: Vec<String>,
    /// Traces that were pushed out.
    pub gone: Vec<String>,
}

/// What a store on disk has to do to have what is here.
#[derive(Debug, Clone, Default)]
pub struct Unsaved {
    /// To be written.
    pub put: Vec<Document>,
    /// To be removed, by their keys.
    pub delete: Vec<u64>,
}

/// The store.
#[derive(Debug)]
pub struct Traces {
    limits: Limits,
    traces: HashMap<String, Trace>,
    by_birth: BTreeMap<u64, String>,
    by_start: BTreeSet<Cursor>,
    by_revision: BTreeMap<u64, String>,
    gone: VecDeque<(u64, String)>,
    /// Looks from before this revision see a reset.
    reset_at: u64,
    revision: u64,
    next_key: u64,
    bytes: usize,
    documents: usize,
    evicted: u64,
    saving: Option<Saving>,
}

#[derive(Debug, Default)]
struct Saving {
    unsaved: BTreeMap<u64, String>,
    delete: Vec<u64>,
}

impl Traces {
    /// Empty.
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        Self {
            limits,
            traces: HashMap::new(),
            by_birth: BTreeMap::new(),
            by_start: BTreeSet::new(),
            by_revision: BTreeMap::new(),
            gone: VecDeque::new(),
            reset_at: 0,
            revision: 0,
            next_key: 0,
            bytes: 0,
            documents: 0,
            evicted: 0,
            saving: None,
        }
    }

    /// From now on [`Traces::take_unsaved`] tells what to write. What is here already counts as written.
    pub fn start_saving(&mut self) {
        self.saving = Some(Saving::default());
    }

    /// Takes one document, and lets the oldest traces go until the limits hold.
    pub(super) fn insert(&mut self, outline: Outline, text: &str, otlp: bool, now: SystemTime) {
        self.next_key += 1;
        let key = self.next_key;
        self.insert_with_key(key, outline, text, otlp, now);
    }

    /// Takes a document that was kept on disk under `key`.
    pub(super) fn restore(&mut self, key: u64, outline: Outline, text: &str, otlp: bool, at: SystemTime) {
        self.next_key = self.next_key.max(key);
        self.insert_with_key(key, outline, text, otlp, at);
    }

    fn insert_with_key(&mut self, key: u64, outline: Outline, text: &str, otlp: bool, now: SystemTime) {
        let Outline {
            id,
            trace_id,
            in_progress,
            start,
        } = outline;
        self.revision += 1;
        let revision = self.revision;
        let start_us = micros(start);
        let trace = self.traces.entry(trace_id.clone()).or_insert_with(|| {
            self.by_birth.insert(key, trace_id.clone());
            Trace {
                id: trace_id.clone(),
                documents: Vec::new(),
                limit_exceeded: false,
                changed_at: now,
                born: key,
                revision: 0,
                start_us: i64::MAX,
                bytes: 0,
                digest: OnceLock::new(),
            }
        });
        let cost = text.len() + DOCUMENT_OVERHEAD_BYTES;
        let old = trace.documents.iter().position(|document| document.id == id);
        if let Some(old) = old.filter(|_| in_progress)
            && !trace.documents[old].in_progress
        {
            // The complete one has come already.
            return;
        }
        let freed = old.map_or(0, |old| trace.documents[old].text.len() + DOCUMENT_OVERHEAD_BYTES);
        let too_large = trace.bytes - freed + cost > self.limits.max_bytes / 4
            || (old.is_none() && trace.documents.len() >= MAX_DOCUMENTS_PER_TRACE);
        if too_large {
            trace.limit_exceeded = true;
            if trace.documents.is_empty() {
                self.by_birth.remove(&key);
                self.traces.remove(&trace_id);
            }
            return;
        }
        if let Some(old) = old {
            let old = trace.documents.remove(old);
            self.documents -= 1;
            if let Some(saving) = &mut self.saving
                && saving.unsaved.remove(&old.key).is_none()
            {
                saving.delete.push(old.key);
            }
        }
        trace.bytes = trace.bytes - freed + cost;
        self.bytes = self.bytes - freed + cost;
        self.documents += 1;
        trace.documents.push(Document {
            key,
            id,
            text: Arc::from(text),
            otlp,
            accepted_at: now,
            in_progress,
        });
        trace.changed_at = now;
        trace.digest = OnceLock::new();
        self.by_revision.remove(&trace.revision);
        trace.revision = revision;
        self.by_revision.insert(revision, trace_id.clone());
        if start_us < trace.start_us {
            self.by_start.remove(&Cursor {
                start_us: trace.start_us,
                id: trace_id.clone(),
            });
            trace.start_us = start_us;
            self.by_start.insert(Cursor {
                start_us,
                id: trace_id.clone(),
            });
        }
        if let Some(saving) = &mut self.saving {
            saving.unsaved.insert(key, trace_id);
        }
        self.evict();
    }

    fn evict(&mut self) {
        while self.traces.len() > self.limits.max_traces || self.bytes > self.limits.max_bytes {
            let Some((_, id)) = self.by_birth.pop_first() else {
                break;
            };
            self.remove(&id);
            self.evicted += 1;
            self.revision += 1;
            self.gone.push_back((self.revision, id));
            if self.gone.len() > MAX_GONE
                && let Some((revision, _)) = self.gone.pop_front()
            {
                self.reset_at = self.reset_at.max(revision);
            }
        }
    }

    fn remove(&mut self, id: &str) {
        let Some(trace) = self.traces.remove(id) else {
            return;
        };
        self.by_birth.remove(&trace.born);
        self.by_revision.remove(&trace.revision);
        self.by_start.remove(&Cursor {
            start_us: trace.start_us,
            id: trace.id,
        });
        self.bytes -= trace.bytes;
        self.documents -= trace.documents.len();
        if let Some(saving) = &mut self.saving {
            for document in &trace.documents {
                if saving.unsaved.remove(&document.key).is_none() {
                    saving.delete.push(document.key);
                }
            }
        }
    }

    /// Forgets every trace.
    pub fn clear(&mut self) {
        let ids: Vec<String> = self.traces.keys().cloned().collect();
        for id in ids {
            self.remove(&id);
        }
        self.gone.clear();
        self.revision += 1;
        self.reset_at = self.revision;
    }

    /// One trace.
    #[must_use]
    pub fn get(&self, id: &str) -> Option<&Trace> {
        self.traces.get(id)
    }

    /// Every trace, newest start first; with `before`, those that come after it in this order.
    pub fn newest_first(&self, before: Option<&Cursor>) -> impl Iterator<Item = &Trace> {
        let range = match before {
            Some(before) => self.by_start.range(..before.clone()),
            None => self.by_start.range(..),
        };
        range.rev().filter_map(|cursor| self.traces.get(&cursor.id))
    }

    /// What happened since `revision`, as an earlier look gave it; 0: since the beginning. Of `most` changed traces at
    /// most: more at the next look, which begins where this one ends.
    #[must_use]
    pub fn changes_since(&self, revision: u64, most: usize) -> Changes {
        let mut after = self.by_revision.range(revision.saturating_add(1)..);
        let mut reached = self.revision;
        let mut changed = Vec::new();
        for (at, id) in after.by_ref().take(most) {
            reached = *at;
            changed.push(id.clone());
        }
        if after.next().is_none() {
            reached = self.revision;
        }
        let gone = self.gone.iter();
        let gone = gone.filter(|(at, _)| *at > revision && *at <= reached);
        Changes {
            revision: reached,
            reset: revision < self.reset_at,
            changed,
            gone: gone
                // Who was pushed out and has come again is not gone.
                .filter(|(_, id)| !self.traces.contains_key(id))
                .map(|(_, id)| id.clone())
                .collect(),
        }
    }

    /// Where a look begins that sees only what happens from now on.
    #[must_use]
    pub fn revision(&self) -> u64 {
        self.revision
    }

    /// Every document that is kept; it counts as written from now on.
    pub fn take_all(&mut self) -> Vec<Document> {
        if let Some(saving) = &mut self.saving {
            *saving = Saving::default();
        }
        let documents = self.traces.values().flat_map(|trace| &trace.documents);
        documents.cloned().collect()
    }

    /// What has not been written yet; from now on it counts as written.
    pub fn take_unsaved(&mut self) -> Unsaved {
        let Some(saving) = &mut self.saving else {
            return Unsaved::default();
        };
        let unsaved = std::mem::take(&mut saving.unsaved);
        let delete = std::mem::take(&mut saving.delete);
        let put = unsaved
            .iter()
            .filter_map(|(key, id)| {
                let documents = &self.traces.get(id)?.documents;
                documents
                    .iter()
                    .rev()
                    .find(|document| document.key == *key)
                    .cloned()
            })
            .collect();
        Unsaved { put, delete }
    }

    /// The limits.
    #[must_use]
    pub fn limits(&self) -> Limits {
        self.limits
    }

    /// How many are kept.
    #[must_use]
    pub fn len(&self) -> usize {
        self.traces.len()
    }

    /// Whether none is kept.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.traces.is_empty()
    }

    /// Documents that are kept.
    #[must_use]
    pub fn documents(&self) -> usize {
        self.documents
    }

    /// What they cost in the budget.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Traces that were pushed out by newer ones.
    #[must_use]
    pub fn evicted(&self) -> u64 {
        self.evicted
    }

    /// The keys of all documents that are kept.
    pub fn keys(&self) -> impl Iterator<Item = u64> {
        let documents = self.traces.values().flat_map(|trace| &trace.documents);
        documents.map(|document| document.key)
    }
}

/// Microseconds since 1970; a time that no calendar has becomes the nearest that fits.
fn micros(seconds: f64) -> i64 {
    (seconds * 1e6).round() as i64
}

#[cfg(test)]
mod tests;
