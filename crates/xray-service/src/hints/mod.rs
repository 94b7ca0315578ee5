//! What probably went wrong in the application that sent a trace, and what to do about it: for whoever wonders why a
//! trace looks as it does. Pure: `now` is passed in.
//!
//! | code | what is seen | what it means |
//! |---|---|---|
//! | `waits_for_parent` | a parent that is named has not come | it works still, was left out, or could not be sent |
//! | `own_segment` | a segment without a request waits for one that has not come | it was begun inside a request and took the middleware's place |
//! | `never_ended` | something has no end, and nothing came for minutes | it was begun and not closed, or the process ended |
//! | `refused` | a document of the trace was refused | a name, field or size that X-Ray does not take |
//! | `large_document` | a document is nearly as long as a datagram | the next one is not sent at all |
//! | `wrong_unit` | times are far beyond any clock | milliseconds in place of seconds |
//! | `left_out` | a traced call has no segment of who was called | another sampling decision, or SDK not set up |
//! | `two_traces` | a segment and a span of the same request at the same time | two SDKs in a process, each with an id of its own |
//!
//! Each looks once at the trace; `two_traces` looks at the traces of the same second too.

mod other;

use std::borrow::Cow;
use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, SystemTime};

use xray_document::segment::MAX_DOCUMENT_BYTES;

use crate::model::{Entity, Kind, Tree};
use crate::refused::Refused;
use crate::traces::{Snapshot, Trace};
use crate::work::{Ended, Work};

/// After so long without anything new, what has no end probably never gets one: a request that takes longer is rare on
/// a laptop.
pub const NEVER_ENDED_AFTER: Duration = Duration::from_secs(120);

/// From here on a document is said to be large. A datagram has room for 65,507 bytes with its header line, and documents
/// grow with each subsegment.
const LARGE_BYTES: usize = MAX_DOCUMENT_BYTES / 10 * 9;

/// The longest datagram that macOS sends unless told otherwise (`net.inet.udp.maxdgram`).
const MACOS_DATAGRAM_BYTES: usize = 9_216;

/// Names in one text.
const MAX_NAMES: usize = 3;

/// The longest name in a text, in characters.
const NAME_CHARS: usize = 60;

/// Hints of one trace, and of one code in it.
const MAX_HINTS: usize = 12;
const MAX_OF_A_CODE: usize = 3;

/// One hint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hint {
    /// What kind it is of, for programs: a code of the table above.
    pub code: Cow<'static, str>,
    /// What is seen and what to do, for people. Has names from the trace in it.
    pub text: String,
    /// The ids of the segments that it is about, the first of them first.
    pub segments: Vec<String>,
}

/// What is known beside the trace.
#[derive(Debug, Clone, Copy)]
pub struct Around<'a> {
    /// The other traces.
    pub traces: &'a Snapshot,
    /// Documents that were refused.
    pub refused: &'a VecDeque<Refused>,
    /// Now.
    pub now: SystemTime,
}

/// The hints of a trace, what keeps most of it away first.
///
/// # Errors
/// When the budget is spent, or nobody waits.
pub fn of(trace: &Trace, around: Around<'_>, work: &Work) -> Result<Vec<Hint>, Ended> {
    let tree = trace.tree();
    work.spend(tree.entities.len() as u64)?;
    let quiet = around.now.duration_since(trace.changed_at).unwrap_or_default();
    let mut hints = of_tree(&tree, quiet);
    hints.extend(refused(&trace.id, around.refused));
    hints.extend(large(trace));
    if let Some(hint) = other::two_traces(trace, around.traces, work)? {
        hints.push(hint);
    }
    hints.truncate(MAX_HINTS);
    Ok(hints)
}

/// Those that the trace alone tells. `quiet`: for how long nothing new came.
#[must_use]
pub fn of_tree(tree: &Tree, quiet: Duration) -> Vec<Hint> {
    let mut hints = waiting(tree);
    hints.extend(never_ended(tree, quiet));
    hints.extend(wrong_unit(tree));
    hints.extend(left_out(tree));
    hints
}

/// Those whose parent has not come, by the parent that they name.
fn waiting(tree: &Tree) -> Vec<Hint> {
    let mut by_parent: BTreeMap<&str, Vec<&Entity>> = BTreeMap::new();
    for entity in tree.entities.iter().filter(|entity| entity.orphan) {
        let parent = entity.parent_id.as_deref().unwrap_or_default();
        by_parent.entry(parent).or_default().push(entity);
    }
    let mut groups: Vec<(&str, Vec<&Entity>)> = by_parent.into_iter().collect();
    // Where most waits first; the sort keeps the order of ids otherwise.
    groups.sort_by_key(|(_, waiting)| usize::MAX - waiting.len());
    let one = |(parent, waiting): (&str, Vec<&Entity>)| {
        let segments = waiting.iter().map(|entity| entity.id.clone()).take(100).collect();
        let names = names(&waiting);
        let (verb, parent) = (if waiting.len() == 1 { "waits" } else { "wait" }, quoted(parent));
        // Whoever is asked by HTTP has a request in its segment; one that a handler begins has none.
        let is_own = |entity: &&&Entity| {
            entity.kind == Kind::Segment && entity.http == crate::model::Http::default() && !entity.inferred
        };
        if let Some(own) = waiting.iter().find(is_own) {
            let own = name(own);
            return Hint {
                code: "own_segment".into(),
                text: format!(
                    "{names} {verb} for segment {parent}, which has not come. {own} has no request of its own: if it \
                     was begun inside a request (begin_segment in a handler), it took the place of the middleware's \
                     segment, which is then never sent. Begin a subsegment there."
                ),
                segments,
            };
        }
        Hint {
            code: "waits_for_parent".into(),
            text: format!(
                "{names} {verb} for {parent}, which has not come. It comes when its work ends. If it never does: who \
                 made the call sends no segments here, or its document is longer than a datagram (its SDK logs \
                 \"Message too long\"), or begin_segment inside a request has taken its place."
            ),
            segments,
        }
    };
    groups.into_iter().take(MAX_OF_A_CODE).map(one).collect()
}

fn never_ended(tree: &Tree, quiet: Duration) -> Option<Hint> {
    if quiet < NEVER_ENDED_AFTER {
        return None;
    }
    let open: Vec<&Entity> = tree.entities.iter().filter(|entity| entity.in_progress).collect();
    // What is inside of it has no end because it has none.
    let outer: Vec<&Entity> = open
        .iter()
        .copied()
        .filter(|entity| {
            entity
                .parent
                .is_none_or(|parent| !tree.entities[parent].in_progress)
        })
        .collect();
    let first = outer.first()?;
    let verb = if outer.len() == 1 { "has" } else { "have" };
    Some(Hint {
        code: "never_ended".into(),
        text: format!(
            "{} {verb} no end, and nothing came for {} minutes. Close each segment and subsegment that is begun, also \
             where an exception leaves it (with, try-finally, captureAsyncFunc); or the process ended before {} was sent.",
            names(&outer),
            quiet.as_secs() / 60,
            name(first),
        ),
        segments: outer.iter().map(|entity| entity.id.clone()).take(100).collect(),
    })
}

fn wrong_unit(tree: &Tree) -> Option<Hint> {
    let unit = tree.unit?;
    Some(Hint {
        code: "wrong_unit".into(),
        text: format!(
            "start_time looks like {}. X-Ray takes seconds since 1970 with a fraction, and drops what lies in the far \
             future: divide by {:.0}.",
            unit.name(),
            unit.in_a_second()
        ),
        segments: tree
            .entities
            .iter()
            .filter(|entity| entity.has_wrong_unit())
            .map(|entity| entity.id.clone())
            .take(100)
            .collect(),
    })
}

/// Calls that say that they passed the trace on, and nobody took it up.
fn left_out(tree: &Tree) -> Option<Hint> {
    let is_answered = |entity: &Entity| {
        let mut children = entity.children.iter().map(|&child| &tree.entities[child]);
        children.any(|child| child.kind == Kind::Segment)
    };
    let alone: Vec<&Entity> = tree
        .entities
        .iter()
        .filter(|entity| entity.traced && !entity.in_progress && !is_answered(entity))
        .collect();
    let first = alone.first()?;
    Some(Hint {
        code: "left_out".into(),
        text: format!(
            "{} passed the trace on (\"traced\": true), and no segment of who was called has come. {} decided not to \
             sample, has no SDK in its server, or sends its segments elsewhere (AWS_XRAY_DAEMON_ADDRESS).",
            names(&alone),
            name(first),
        ),
        segments: alone.iter().map(|entity| entity.id.clone()).take(100).collect(),
    })
}

fn refused(trace_id: &str, refused: &VecDeque<Refused>) -> Vec<Hint> {
    let own = refused
        .iter()
        .rev()
        .filter(|one| one.trace_id.as_deref() == Some(trace_id));
    own.take(MAX_OF_A_CODE)
        .map(|one| Hint {
            code: "refused".into(),
            text: format!(
                "A document of this trace was refused, as X-Ray refuses it{}: {}",
                one.name
                    .as_deref()
                    .map_or_else(String::new, |name| format!(" ({})", quoted(name))),
                one.refusal.message
            ),
            segments: one.refusal.id.iter().cloned().collect(),
        })
        .collect()
}

fn large(trace: &Trace) -> Option<Hint> {
    let sent = trace.documents.iter().filter(|document| !document.otlp);
    let largest = sent.max_by_key(|document| document.text.len())?;
    let bytes = largest.text.len();
    (bytes >= LARGE_BYTES).then(|| Hint {
        code: "large_document".into(),
        text: format!(
            "The document of segment {} has {bytes} bytes, of {MAX_DOCUMENT_BYTES} that X-Ray takes and a datagram holds \
             (macOS sends {MACOS_DATAGRAM_BYTES} unless net.inet.udp.maxdgram says more). A longer one never arrives. \
             Let the SDK send subsegments as they end (streaming_threshold in Python, setStreamingThreshold in \
             Node.js), and put less into metadata and SQL.",
            quoted(&largest.id)
        ),
        segments: vec![largest.id.clone()],
    })
}

/// `"a", "b" and 3 more`.
fn names(entities: &[&Entity]) -> String {
    let mut distinct: Vec<&str> = Vec::new();
    for entity in entities.iter().take(100) {
        if !distinct.contains(&entity.name.as_str()) && distinct.len() < MAX_NAMES {
            distinct.push(&entity.name);
        }
    }
    let shown: Vec<String> = distinct.iter().map(|name| quoted(name)).collect();
    match entities.len() - distinct.len().min(entities.len()) {
        0 => shown.join(", "),
        more => format!("{} and {more} more", shown.join(", ")),
    }
}

fn name(entity: &Entity) -> String {
    quoted(&entity.name)
}

/// A text of somebody's in a sentence of ours.
fn quoted(text: &str) -> String {
    let mut shown: String = text.chars().take(NAME_CHARS).collect();
    if shown.len() < text.len() {
        shown.push('…');
    }
    format!("\"{shown}\"")
}

#[cfg(test)]
mod tests;
