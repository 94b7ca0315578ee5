//! The traces that are kept: inside a budget of bytes and a number of traces, oldest trace out first.
//!
//! The budget is of what the process holds because of them: each document is charged for its text, its place here and
//! what it brings to the digest, when it comes (`cost`). Questions are asked of a [`Snapshot`], so that whoever asks
//! holds up nobody who brings documents.
//!
//! No I/O and no clock: `now` is passed in. Whoever shows traces asks for what changed since he last looked
//! ([`Traces::changes_since`]); whoever keeps them on disk asks for what he has not written yet
//! ([`Traces::take_unsaved`]).

mod cost;
mod snapshot;

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::mem::size_of;
use std::sync::{Arc, OnceLock};
use std::time::SystemTime;

use xray_document::outline::Outline;

pub use snapshot::Snapshot;

use super::digest::Digest;
use super::model::{Entity, Tree};
use cost::{Cost, TRACE_BYTES};

/// The most documents of one trace: ten times the thousand segments that a large trace has. Reading a trace takes time
/// with their number.
const MAX_DOCUMENTS_PER_TRACE: usize = 10_000;

/// Traces whose end is remembered for those who show them; who has missed more reads everything anew.
const MAX_GONE: usize = 2_000;

/// The share of the budget that the tree of one trace may take while its digest is made: a sixteenth, so that a few at
/// once stay inside a tenth.
const TREE_SHARE: usize = 16;

/// The segments and subsegments that one trace may have however small the budget is.
const MIN_ENTITIES: usize = 1_000;

/// How much is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Of what the process holds because of the traces. One trace may have a quarter of it.
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

impl Limits {
    /// The most segments and subsegments of one trace.
    fn max_entities(self) -> usize {
        (self.max_bytes / TREE_SHARE / size_of::<Entity>()).max(MIN_ENTITIES)
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
    start_us: i64,
    cost: Cost,
}

/// A document on its way into the store: what takes time with its length is done.
#[derive(Debug)]
pub struct Incoming {
    outline: Outline,
    text: Arc<str>,
    otlp: bool,
    cost: Cost,
}

impl Incoming {
    /// `otlp`: made of an OTLP span.
    #[must_use]
    pub fn new(outline: Outline, text: &str, otlp: bool) -> Self {
        Self {
            cost: Cost::of(text, &outline.id),
            outline,
            text: Arc::from(text),
            otlp,
        }
    }
}

/// One trace.
#[derive(Debug, Clone)]
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
    /// Of its documents, together.
    cost: Cost,
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

    /// Its place among the traces in the order of their start.
    #[must_use]
    pub fn cursor(&self) -> Cursor {
        Cursor {
            start_us: self.start_us,
            id: self.id.clone(),
        }
    }

    /// The text of its documents, in bytes.
    #[must_use]
    pub fn text_bytes(&self) -> usize {
        self.documents.iter().map(|document| document.text.len()).sum()
    }

    /// The first documents, as far as their text is no longer than so many bytes together.
    #[must_use]
    pub fn first_documents(&self, most_bytes: usize) -> &[Document] {
        let mut bytes = 0;
        let fits = |document: &&Document| {
            bytes += document.text.len();
            bytes <= most_bytes
        };
        &self.documents[..self.documents.iter().take_while(fits).count()]
    }

    /// What it costs in the budget.
    fn bytes(&self) -> usize {
        TRACE_BYTES + cost::places::<Document>(self.documents.capacity()) + self.cost.bytes
    }

    /// Whether its documents were made of OTLP spans; `None`: some were.
    #[must_use]
    pub fn is_of_otlp(&self) -> Option<bool> {
        let first = self.documents.first()?.otlp;
        let is_alike = self.documents.iter().all(|document| document.otlp == first);
        is_alike.then_some(first)
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
    traces: HashMap<String, Arc<Trace>>,
    by_birth: BTreeMap<u64, String>,
    by_start: BTreeSet<Cursor>,
    by_revision: BTreeMap<u64, String>,
    gone: VecDeque<(u64, String)>,
    /// Looks from before this revision see a reset.
    reset_at: u64,
    revision: u64,
    next_key: u64,
    /// What all documents are charged for.
    bytes: usize,
    /// What they cost beyond that, or less, as was seen.
    overhead: i64,
    text_bytes: usize,
    documents: usize,
    evicted: u64,
    saving: Option<Saving>,
    /// What was cleared and can still be brought back. It is charged as before, and the first to go.
    cleared: Vec<Arc<Trace>>,
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
            overhead: 0,
            text_bytes: 0,
            documents: 0,
            evicted: 0,
            saving: None,
            cleared: Vec::new(),
        }
    }

    /// From now on [`Traces::take_unsaved`] tells what to write. What is here already counts as written.
    pub fn start_saving(&mut self) {
        self.saving = Some(Saving::default());
    }

    /// Takes one document, and lets the oldest traces go until the limits hold.
    pub(super) fn insert(&mut self, incoming: Incoming, now: SystemTime) {
        self.next_key += 1;
        let key = self.next_key;
        self.insert_with_key(key, incoming, now);
    }

    /// Takes a document that was kept on disk under `key`.
    pub(super) fn restore(&mut self, key: u64, incoming: Incoming, at: SystemTime) {
        self.next_key = self.next_key.max(key);
        self.insert_with_key(key, incoming, at);
    }

    fn insert_with_key(&mut self, key: u64, incoming: Incoming, now: SystemTime) {
        let Incoming {
            outline,
            text,
            otlp,
            cost,
        } = incoming;
        let Outline {
            id,
            trace_id,
            in_progress,
            start,
        } = outline;
        self.revision += 1;
        let is_new = !self.traces.contains_key(&trace_id);
        let trace = self.traces.entry(trace_id.clone()).or_insert_with(|| {
            Arc::new(Trace {
                id: trace_id.clone(),
                documents: Vec::with_capacity(1),
                limit_exceeded: false,
                changed_at: now,
                born: key,
                revision: 0,
                start_us: i64::MAX,
                cost: Cost::default(),
                digest: OnceLock::new(),
            })
        });
        let charged = if is_new { 0 } else { trace.bytes() };
        let old = trace.documents.iter().position(|document| document.id == id);
        if let Some(old) = old.filter(|_| in_progress)
            && !trace.documents[old].in_progress
        {
            // The complete one has come already.
            return;
        }
        let freed = old.map_or(Cost::default(), |old| trace.documents[old].cost);
        let new_cost = Cost {
            bytes: trace.cost.bytes - freed.bytes + cost.bytes,
            entities: trace.cost.entities - freed.entities + cost.entities,
        };
        let places = trace.documents.len() + usize::from(old.is_none());
        let too_large = TRACE_BYTES + cost::places::<Document>(places) + new_cost.bytes
            > self.limits.max_bytes / 4
            || new_cost.entities > self.limits.max_entities()
            || places > MAX_DOCUMENTS_PER_TRACE;
        if too_large {
            if is_new {
                self.traces.remove(&trace_id);
            } else {
                let trace = Arc::make_mut(trace);
                trace.limit_exceeded = true;
                self.bytes = self.bytes - charged + trace.bytes();
            }
            return;
        }
        // Whoever looks at it at this moment keeps it as it was.
        let trace = Arc::make_mut(trace);
        if is_new {
            self.by_birth.insert(key, trace_id.clone());
        } else {
            self.by_revision.remove(&trace.revision);
            self.by_start.remove(&trace.cursor());
        }
        if let Some(old) = old {
            let old = trace.documents.remove(old);
            self.documents -= 1;
            self.text_bytes -= old.text.len();
            if let Some(saving) = &mut self.saving
                && saving.unsaved.remove(&old.key).is_none()
            {
                saving.delete.push(old.key);
            }
            if old.start_us == trace.start_us {
                let starts = trace.documents.iter().map(|document| document.start_us);
                trace.start_us = starts.min().unwrap_or(i64::MAX);
            }
        }
        let start_us = micros(start);
        trace.cost = new_cost;
        trace.start_us = trace.start_us.min(start_us);
        trace.changed_at = now;
        trace.digest = OnceLock::new();
        trace.revision = self.revision;
        self.text_bytes += text.len();
        trace.documents.push(Document {
            key,
            id,
            text,
            otlp,
            accepted_at: now,
            in_progress,
            start_us,
            cost,
        });
        self.bytes = self.bytes - charged + trace.bytes();
        self.documents += 1;
        self.by_revision.insert(trace.revision, trace_id.clone());
        self.by_start.insert(trace.cursor());
        if let Some(saving) = &mut self.saving {
            saving.unsaved.insert(key, trace_id);
        }
        self.evict();
    }

    fn evict(&mut self) {
        if self.bytes() > self.limits.max_bytes {
            self.forget_cleared();
        }
        while self.traces.len() > self.limits.max_traces || self.bytes() > self.limits.max_bytes {
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

    /// The process was seen to hold so much because of the traces, or up to `unsure_bytes` less. From now on what this is
    /// beyond the charges counts too, but for an eighth of the limit, so that some room stays always; the oldest traces
    /// go until the limit holds. Whether any did.
    pub fn correct(&mut self, held_bytes: usize, unsure_bytes: usize) -> bool {
        let signed = |bytes: usize| i64::try_from(bytes).unwrap_or(i64::MAX);
        let most = signed(held_bytes) - signed(self.bytes);
        let overhead = self.overhead.clamp(most - signed(unsure_bytes), most);
        self.overhead = overhead.min(signed(self.limits.max_bytes / 8 * 7));
        let before = self.evicted;
        self.evict();
        self.evicted > before
    }

    fn remove(&mut self, id: &str) -> Option<Arc<Trace>> {
        let trace = self.traces.remove(id)?;
        self.by_birth.remove(&trace.born);
        self.by_revision.remove(&trace.revision);
        self.by_start.remove(&trace.cursor());
        self.bytes -= trace.bytes();
        self.text_bytes -= trace.text_bytes();
        self.documents -= trace.documents.len();
        if let Some(saving) = &mut self.saving {
            for document in &trace.documents {
                if saving.unsaved.remove(&document.key).is_none() {
                    saving.delete.push(document.key);
                }
            }
        }
        Some(trace)
    }

    /// Sets every trace aside: [`Traces::bring_back`] undoes it until [`Traces::forget_cleared`], another clearing, or until
    /// their room is needed. Until then they are charged for.
    pub fn clear(&mut self) {
        self.forget_cleared();
        let ids: Vec<String> = self.traces.keys().cloned().collect();
        self.cleared = ids.iter().filter_map(|id| self.remove(id)).collect();
        self.bytes += self.cleared_bytes();
        self.show_anew();
    }

    /// Brings back what was cleared last, beside what has come since. How many traces there were; 0: nothing to bring back.
    pub fn bring_back(&mut self) -> usize {
        self.bytes -= self.cleared_bytes();
        let cleared = std::mem::take(&mut self.cleared);
        let count = cleared.len();
        for trace in cleared {
            if self.traces.contains_key(&trace.id) {
                self.insert_again(&trace);
            } else {
                self.put_back(trace);
            }
        }
        if count > 0 {
            self.show_anew();
            self.evict();
        }
        count
    }

    /// Forgets what was cleared last.
    pub fn forget_cleared(&mut self) {
        self.bytes -= self.cleared_bytes();
        self.cleared = Vec::new();
    }

    fn cleared_bytes(&self) -> usize {
        self.cleared.iter().map(|trace| trace.bytes()).sum()
    }

    /// As it was, at the revision that it had: whoever hears of changes has heard of it.
    fn put_back(&mut self, trace: Arc<Trace>) {
        if let Some(saving) = &mut self.saving {
            for document in &trace.documents {
                saving.unsaved.insert(document.key, trace.id.clone());
            }
        }
        self.bytes += trace.bytes();
        self.text_bytes += trace.text_bytes();
        self.documents += trace.documents.len();
        self.by_birth.insert(trace.born, trace.id.clone());
        self.by_revision.insert(trace.revision, trace.id.clone());
        self.by_start.insert(trace.cursor());
        self.traces.insert(trace.id.clone(), trace);
    }

    /// The documents of a trace of which others have come since; those that came again stay as they are.
    fn insert_again(&mut self, trace: &Trace) {
        for document in &trace.documents {
            let has = |now: &Trace| now.documents.iter().any(|own| own.id == document.id);
            if self.traces.get(&trace.id).is_some_and(|now| has(now)) {
                continue;
            }
            let outline = Outline {
                id: document.id.clone(),
                trace_id: trace.id.clone(),
                in_progress: document.in_progress,
                start: document.start_us as f64 / 1e6,
            };
            let incoming = Incoming {
                outline,
                text: Arc::clone(&document.text),
                otlp: document.otlp,
                cost: document.cost,
            };
            self.insert(incoming, document.accepted_at);
        }
    }

    /// Something beside the trace has changed: whoever shows it is told. Without effect when it is not here.
    pub fn touch(&mut self, id: &str) {
        let Some(trace) = self.traces.get_mut(id) else {
            return;
        };
        self.revision += 1;
        let trace = Arc::make_mut(trace);
        self.by_revision.remove(&trace.revision);
        trace.revision = self.revision;
        self.by_revision.insert(self.revision, id.to_owned());
    }

    /// Whoever has looked before reads everything anew.
    fn show_anew(&mut self) {
        self.gone.clear();
        self.revision += 1;
        self.reset_at = self.revision;
    }

    /// One trace.
    #[must_use]
    pub fn get(&self, id: &str) -> Option<&Trace> {
        self.traces.get(id).map(AsRef::as_ref)
    }

    /// One trace, to be looked at while the store goes on.
    #[must_use]
    pub fn share(&self, id: &str) -> Option<Arc<Trace>> {
        self.traces.get(id).cloned()
    }

    /// All traces of this moment. Takes time with their number, not with their size.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        let newest_first = self.by_start.iter().rev();
        Snapshot {
            newest_first: newest_first.filter_map(|cursor| self.share(&cursor.id)).collect(),
        }
    }

    /// Every trace, newest start first; with `before`, those that come after it in this order.
    pub fn newest_first(&self, before: Option<&Cursor>) -> impl Iterator<Item = &Trace> {
        let range = match before {
            Some(before) => self.by_start.range(..before.clone()),
            None => self.by_start.range(..),
        };
        range.rev().filter_map(|cursor| self.get(&cursor.id))
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
        let documents = self.traces.values().flat_map(|trace| trace.documents.iter());
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

    /// What they cost in the budget: what the process holds because of them.
    #[must_use]
    pub fn bytes(&self) -> usize {
        let overhead = usize::try_from(self.overhead.unsigned_abs()).unwrap_or(usize::MAX);
        if self.overhead < 0 {
            self.bytes.saturating_sub(overhead)
        } else {
            self.bytes.saturating_add(overhead)
        }
    }

    /// The text of all documents, in bytes.
    #[must_use]
    pub fn text_bytes(&self) -> usize {
        self.text_bytes
    }

    /// Traces that were pushed out by newer ones.
    #[must_use]
    pub fn evicted(&self) -> u64 {
        self.evicted
    }

    /// The keys of all documents that are kept.
    pub fn keys(&self) -> impl Iterator<Item = u64> {
        let documents = self.traces.values().flat_map(|trace| trace.documents.iter());
        documents.map(|document| document.key)
    }
}

/// Microseconds since 1970.
fn micros(seconds: f64) -> i64 {
    (seconds * 1e6).round() as i64
}

#[cfg(test)]
mod tests;
