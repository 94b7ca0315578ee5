//! What became of the documents of a call that was answered: sent, refused for good, or to be sent again.

use std::collections::{HashMap, HashSet};
use std::time::Instant;

use super::say::{batch_of, say_unprocessed};
use super::settled::Settled;
use super::{Sender, now};
use crate::exporters::Exporter;
use crate::exporters::answer::{Answer, Unprocessed};
use crate::exporters::error::PutError;
use crate::ledger::DropReason;
use crate::ledger::outcome::ErrorClass;
use crate::logs;
use crate::pipeline::batch::Batch;
use crate::pipeline::batch::encoding::{Description, Encoding as _};
use crate::pipeline::queue::Flight;

/// How often an unprocessed segment is sent again when the service says that it failed over it. With the back-off between
/// them that is about a minute, in which the service answers for others: what fails then is this segment. That the service
/// throttles does not count.
const MAX_FAULTS: u32 = 16;

impl<X: Exporter> Sender<X> {
    /// A batch is refused for good: the fault is in one of its documents, so it is halved until that one is alone. What
    /// that may cost is bounded ([`splits`]); nothing good is lost by it. Where the fault is in none of them, all go.
    pub(super) fn refused(&mut self, flight: &Flight, error: &PutError) {
        let now = now();
        if error.is_too_long() {
            self.learn_bodies_bound(flight, now);
        }
        // A body that is too long has no bad document: how often it is halved is bounded by its length.
        let is_search = flight.documents > 1 && !error.whole && !error.is_too_long();
        let not_before = if is_search { self.splits.split(now) } else { None };
        if !error.whole && self.halve(flight, not_before, now) {
            self.say_halved(flight, &error.message, now);
            if not_before.is_some() && self.splits_reminder.is_due(now) {
                tracing::warn!(
                    "So many batches hold segments that the service refuses that the search for them is slowed down; those \
                     batches wait. The lines about refused segments say whose they are"
                );
            }
            return;
        }
        let segments = flight.documents;
        let content = flight.kind.content();
        if self.lane.settle(flight.ticket) {
            self.ledger
                .of(content)
                .add_dropped(DropReason::Refused, segments as u64);
        }
        let Some(left_out) = self.refused_lines.allow(now) else {
            return;
        };
        let what = match self.described(flight).as_slice() {
            [only] => format!("segment {only}"),
            _ => format!("its {segments} {}", content.items()),
        };
        tracing::error!(
            destination = self.destination(),
            segments,
            error = error.message,
            left_out,
            "Sending {} batch{} failed with: {}; {what} dropped, since the service refuses it for good{}",
            batch_of(flight.kind),
            self.to_other(),
            error.message,
            logs::more(left_out)
        );
    }

    /// Settles the documents of an answered call; those that may yet be processed go back to the queue.
    pub(super) fn account_for(&mut self, flight: &Flight, started: Instant, answer: &Answer) {
        let segments = flight.documents;
        let seconds = now().duration_since(started).as_secs_f64();
        let items = flight.kind.content().items();
        if answer.unprocessed.is_empty() {
            let settled = Settled::of(flight, answer);
            if self.lane.settle(flight.ticket) {
                settled.count(&self.ledger);
            }
            self.say_sent(flight, &settled, answer, seconds);
            return;
        }
        // The service can't have left more undone than it was given.
        let unprocessed = answer.unprocessed.len().min(segments);
        tracing::info!(
            segments,
            unprocessed,
            seconds,
            "Sent batch of {segments} {items} but had {unprocessed} Unprocessed segments ({seconds:.3} seconds)"
        );
        let described = X::Encoding::describe(&flight.body);
        let raw = X::Encoding::documents(&flight.body).unwrap_or_default();
        let places = Places::of(&described, &answer.unprocessed);
        let mut named: HashSet<usize> = HashSet::new();
        // Of several documents with one id, nobody knows which was meant: each goes again, alone.
        let (mut again, mut alone, mut given_up) = (Vec::new(), Vec::new(), Vec::new());
        let mut faults = flight.faults;
        for left in answer.unprocessed.iter().take(segments) {
            let code = left.error_code.as_deref();
            let passes = left.class == ErrorClass::Throttled
                || (left.class.is_retriable() && flight.faults < MAX_FAULTS);
            let found: Vec<usize> = places.of_id(left.id.as_deref());
            let is_shared = places.is_shared(left.id.as_deref());
            let new: Vec<usize> = found
                .into_iter()
                .filter(|place| raw.get(*place).is_some() && !named.contains(place))
                // One entry stands for one document, unless it could be any of several.
                .take(if is_shared { usize::MAX } else { 1 })
                .collect();
            let place = new.first().copied();
            named.extend(&new);
            let goes_again = !new.is_empty() && (passes || is_shared);
            if goes_again && is_shared {
                alone.extend(new.iter().map(|place| raw[*place]));
            } else if goes_again {
                again.extend(new.iter().map(|place| raw[*place]));
            } else if !(is_shared && new.is_empty()) {
                given_up.push(code);
            }
            if goes_again && left.class != ErrorClass::Throttled {
                faults = flight.faults.saturating_add(1);
            }
            if let Some(left_out) = self.unprocessed_lines.allow(now()) {
                let segment = place.map(|place| &described[place]);
                say_unprocessed(left, segment, goes_again, left_out);
            }
        }
        let now = now();
        let redeliveries = flight.redeliveries.saturating_add(1);
        let failed = faults > flight.faults;
        let not_before = self
            .pacer
            .hold_back_unprocessed(now, redeliveries, failed, fastrand::f64());
        let unsettled = again.len() + alone.len() + given_up.len();
        let parts: Vec<Batch> = std::iter::once(again.as_slice())
            .chain(alone.chunks(1))
            .filter_map(|documents| Batch::of_documents::<X::Encoding>(documents, flight.opened_at))
            .map(|mut part| {
                part.redeliveries = redeliveries;
                part.faults = faults;
                part.not_before = Some(not_before);
                part
            })
            .collect();
        let landed = if parts.is_empty() {
            self.lane.settle(flight.ticket)
        } else {
            self.lane.replace(flight.ticket, parts, now)
        };
        if landed {
            self.ledger.add_sent(segments.saturating_sub(unsettled) as u64);
            for code in given_up {
                self.ledger.add_unprocessed(code);
            }
        }
    }
}

/// Where the documents stand that an answer names.
struct Places<'a> {
    /// Of each id the documents that have it, in order, and how many entries name it.
    by_id: HashMap<&'a str, (Vec<usize>, usize)>,
}

impl<'a> Places<'a> {
    fn of(described: &'a [Description], unprocessed: &'a [Unprocessed]) -> Self {
        let mut by_id: HashMap<&str, (Vec<usize>, usize)> = HashMap::new();
        for id in unprocessed.iter().filter_map(|left| left.id.as_deref()) {
            by_id.entry(id).or_default().1 += 1;
        }
        for (place, document) in described.iter().enumerate() {
            if let Some((places, _)) = document.id.as_deref().and_then(|id| by_id.get_mut(id)) {
                places.push(place);
            }
        }
        Self { by_id }
    }

    fn of_id(&self, id: Option<&str>) -> Vec<usize> {
        let found = id.and_then(|id| self.by_id.get(id));
        found.map(|(places, _)| places.clone()).unwrap_or_default()
    }

    /// Whether more documents have this id than entries name it: an in-progress segment and its final form, say.
    fn is_shared(&self, id: Option<&str>) -> bool {
        let found = id.and_then(|id| self.by_id.get(id));
        found.is_some_and(|(places, entries)| places.len() > *entries)
    }
}
