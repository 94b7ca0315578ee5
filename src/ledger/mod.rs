//! What became of every document, at any quiet moment:
//!
//! ```text
//! received + recovered = sent + rejected + dropped + unprocessed + pending + spooled
//! ```
//!
//! *Recovered* are documents that an earlier process left in the spool, *spooled* those that wait on disk and not in
//! memory, *pending* those in memory: in the open batch, in the queue, in a call, on their way to the spool. Without a
//! spool both of the others are 0. Pending is what the other counts leave; the lanes count it too
//! ([`crate::pipeline::lane::Lane::pending_documents`]), and at the end the two are compared.
//!
//! Counters only go up, save for spooled; reasons are closed enums. One place counts each: [`crate::receivers::udp`] receives and
//! rejects, [`crate::pipeline::lane`] drops what has no room, [`crate::pipeline::spool`] what it can't keep, [`crate::exporters::sender`] settles
//! the rest.
//!
//! Each process accounts for itself. A batch that was in a call when the process ended is in the spool too, though the
//! service may have taken it: it is recovered and sent once more by the next process.

mod account;
pub mod amounts;
pub mod calls;
mod codes;
pub mod destination;
pub mod histogram;
pub mod http;
pub mod outcome;
mod reasons;
pub mod receipts;
pub mod signal;
mod snapshot;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, PoisonError};

use tokio::sync::{Notify, watch};

use amounts::Amounts;
use calls::{Calls, Ended, Failure, Operation};
use codes::{MAX_CODES, OTHER_CODE, code_label};
use http::Http;
use signal::Content;

pub use account::Account;
pub use reasons::{DropReason, RejectReason};
pub use snapshot::Snapshot;

/// One destination's counters; shared by all stages, lock-free on the way of the data.
///
/// Receivers of segments count in that of the destination whose lane they fill. What a lane is handed by others than them,
/// the batches of the other lane or what came as OTLP, is *accepted*, which is among the received.
#[derive(Debug, Default)]
pub struct Ledger {
    received: AtomicU64,
    received_over_tcp: AtomicU64,
    accounts: [Account; Content::ALL.len()],
    // A mutex, because the service's codes are no closed list; it is touched only when segments were not processed.
    unprocessed: Mutex<BTreeMap<(Content, String), u64>>,
    replaced_utf8: AtomicU64,
    rejected: [AtomicU64; RejectReason::ALL.len()],
    rejected_over_tcp: [AtomicU64; RejectReason::ALL.len()],
    active: AtomicBool,
    activity: Notify,
    first: Notify,
    // A mutex: calls end some hundred times a second at the most, and only the sender and a scrape take it.
    calls: Mutex<Calls>,
    // For whoever shows more than numbers; it is touched once a second at the most.
    refused: watch::Sender<RefusedDatagrams>,
    /// What the TCP port was asked.
    pub http: Http,
}

/// Datagrams that were no segments, as they were told in the log.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RefusedDatagrams {
    /// How many have been told.
    pub datagrams: u64,
    /// What was wrong with one of the latest, as one line.
    pub example: String,
    /// The first bytes of that one, escaped. Content: not for a log, but for whoever looks at their own segments.
    pub beginning: String,
}

impl Ledger {
    /// The account of what is made of `content`.
    #[must_use]
    pub fn of(&self, content: Content) -> &Account {
        &self.accounts[content.index()]
    }

    /// `n` documents over TCP came in, accepted or not.
    pub fn add_received_over_tcp(&self, n: u64) {
        self.received_over_tcp.fetch_add(n, Relaxed);
        self.add_received(n);
    }

    /// How many of the documents that receivers of segments have counted came over TCP; the others came as datagrams.
    #[must_use]
    pub fn received_over_tcp(&self) -> u64 {
        self.received_over_tcp.load(Relaxed)
    }

    /// How many datagrams and documents over TCP the receivers of segments have counted here, accepted or not.
    #[must_use]
    pub fn received_as_segments(&self) -> u64 {
        self.received.load(Relaxed)
    }

    /// `n` of `content` were handed to the lane by another one, or came as OTLP.
    pub fn add_accepted(&self, content: Content, n: u64) {
        self.of(content).accepted.fetch_add(n, Relaxed);
        self.be_active();
    }

    /// `n` datagrams, or documents over TCP, came in, accepted or not.
    pub fn add_received(&self, n: u64) {
        self.received.fetch_add(n, Relaxed);
        self.be_active();
    }

    fn be_active(&self) {
        // Read first: it is nearly always true, and a plain read does not take the cache line away from others.
        if !self.active.load(Relaxed) && !self.active.swap(true, Relaxed) {
            self.activity.notify_one();
            self.first.notify_one();
        }
    }

    /// Returns when something was received since the last time it returned. For one caller.
    pub async fn activity(&self) {
        self.activity.notified().await;
        self.active.store(false, Relaxed);
    }

    /// `n` documents of an earlier process were found in the spool, where they are.
    pub fn add_recovered(&self, n: u64) {
        self.of(Content::Segments).add_recovered(n);
    }

    /// `n` documents wait on disk, and not in memory any more.
    pub fn add_spooled(&self, n: u64) {
        self.of(Content::Segments).add_spooled(n);
    }

    /// `n` documents on disk were taken into memory, or lost there.
    pub fn sub_spooled(&self, n: u64) {
        self.of(Content::Segments).sub_spooled(n);
    }

    /// Whether anything has come in.
    fn has_received(&self) -> bool {
        let accepted = |account: &Account| account.accepted.load(Relaxed);
        self.received.load(Relaxed) > 0 || self.accounts.iter().any(|account| accepted(account) > 0)
    }

    /// Returns once anything was received since the start. For one caller.
    pub async fn first_received(&self) {
        while !self.has_received() {
            self.first.notified().await;
        }
    }

    /// A datagram was refused.
    pub fn add_rejected(&self, reason: RejectReason) {
        self.rejected[reason.index()].fetch_add(1, Relaxed);
    }

    /// A document over TCP was refused.
    pub fn add_rejected_over_tcp(&self, reason: RejectReason) {
        self.rejected_over_tcp[reason.index()].fetch_add(1, Relaxed);
        self.add_rejected(reason);
    }

    /// Documents over TCP that were refused for `reason`, which are among all that were.
    #[must_use]
    pub fn rejected_over_tcp(&self, reason: RejectReason) -> u64 {
        self.rejected_over_tcp[reason.index()].load(Relaxed)
    }

    /// `n` refused datagrams were told, `example` being about one of them, which begins with `beginning`.
    pub fn tell_refused(&self, n: u64, example: &str, beginning: &str) {
        self.refused.send_modify(|refused| {
            refused.datagrams += n;
            example.clone_into(&mut refused.example);
            beginning.clone_into(&mut refused.beginning);
        });
    }

    /// Hears of refused datagrams when they are told.
    #[must_use]
    pub fn refused_datagrams(&self) -> watch::Receiver<RefusedDatagrams> {
        self.refused.subscribe()
    }

    /// The service took `n` documents.
    pub fn add_sent(&self, n: u64) {
        self.of(Content::Segments).add_sent(n);
    }

    /// The service named a document of an answered call as unprocessed, for this error code, and it is not sent again.
    pub fn add_unprocessed(&self, code: Option<&str>) {
        self.add_unprocessed_of(Content::Segments, code, 1);
    }

    /// `n` of `content` in an answered call were not processed, for this error code, and are not sent again.
    pub fn add_unprocessed_of(&self, content: Content, code: Option<&str>, n: u64) {
        let code = code_label(code);
        let mut codes = self.lock_unprocessed();
        let mut key = (content, code);
        if codes.len() >= MAX_CODES && !codes.contains_key(&key) {
            OTHER_CODE.clone_into(&mut key.1);
        }
        *codes.entry(key).or_default() += n;
    }

    /// What the service has not processed and is not sent again, by its error code.
    #[must_use]
    pub fn unprocessed_by_code(&self) -> BTreeMap<(Content, String), u64> {
        self.lock_unprocessed().clone()
    }

    /// So many of an earlier process were found in the spool.
    pub fn add_all_recovered(&self, amounts: Amounts) {
        for (content, count) in amounts.some() {
            self.of(content).add_recovered(count);
        }
    }

    /// So many wait on disk, and not in memory any more.
    pub fn add_all_spooled(&self, amounts: Amounts) {
        for (content, count) in amounts.some() {
            self.of(content).add_spooled(count);
        }
    }

    /// So many on disk were taken into memory, or lost there.
    pub fn sub_all_spooled(&self, amounts: Amounts) {
        for (content, count) in amounts.some() {
            self.of(content).sub_spooled(count);
        }
    }

    /// So many that were accepted are lost, or not for this destination.
    pub fn add_all_dropped(&self, reason: DropReason, amounts: Amounts) {
        for (content, count) in amounts.some() {
            self.of(content).add_dropped(reason, count);
        }
    }

    fn lock_unprocessed(&self) -> std::sync::MutexGuard<'_, BTreeMap<(Content, String), u64>> {
        self.unprocessed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// `n` accepted documents are lost.
    pub fn add_dropped(&self, reason: DropReason, n: u64) {
        self.of(Content::Segments).add_dropped(reason, n);
    }

    /// `n` documents had bytes that are not UTF-8, replaced by U+FFFD.
    pub fn add_replaced_utf8(&self, n: u64) {
        if n != 0 {
            self.replaced_utf8.fetch_add(n, Relaxed);
        }
    }

    /// A call for a batch of `segments` starts; `again`: its batch was sent before.
    pub fn call_started(&self, segments: usize, again: bool) {
        self.lock_calls().started(segments, again);
    }

    /// A started call of `PutTraceSegments` is over.
    pub fn call_ended(&self, ended: Ended<'_>) {
        self.call_ended_of(Operation::Segments, ended);
    }

    /// A started call of this operation is over.
    pub fn call_ended_of(&self, operation: Operation, ended: Ended<'_>) {
        self.lock_calls().ended(operation, ended);
    }

    /// A started call is over, and nobody knows how: it panicked.
    pub fn call_lost(&self) {
        self.lock_calls().lost();
    }

    /// A call of `PutTelemetryRecords` is over.
    pub fn telemetry_call_ended(&self, failure: Option<Failure<'_>>) {
        self.lock_calls().count(Operation::Telemetry, failure);
    }

    /// What became of the calls.
    #[must_use]
    pub fn calls(&self) -> Calls {
        self.lock_calls().clone()
    }

    fn lock_calls(&self) -> std::sync::MutexGuard<'_, Calls> {
        self.calls.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The counts now, of all contents together. Each is exact; together they are only at a quiet moment.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        let all = Content::ALL.map(|content| self.snapshot_of(content));
        all.into_iter()
            .fold(Snapshot::default(), |sum, one| sum.plus(&one))
    }

    /// The counts of `content` alone. What receivers of segments count is among the segments.
    #[must_use]
    pub fn snapshot_of(&self, content: Content) -> Snapshot {
        let account = self.of(content);
        let unprocessed = self.lock_unprocessed();
        let of_content = unprocessed.iter().filter(|((of, _), _)| *of == content);
        let counts = Snapshot {
            received: account.accepted.load(Relaxed),
            recovered: account.recovered.load(Relaxed),
            spooled: account.spooled.load(Relaxed),
            sent: account.sent.load(Relaxed),
            unprocessed: of_content.map(|(_, count)| *count).sum(),
            dropped: std::array::from_fn(|i| account.dropped[i].load(Relaxed)),
            ..Snapshot::default()
        };
        match content {
            Content::Segments => Snapshot {
                received: counts.received + self.received.load(Relaxed),
                replaced_utf8: self.replaced_utf8.load(Relaxed),
                rejected: std::array::from_fn(|i| self.rejected[i].load(Relaxed)),
                ..counts
            },
            _ => counts,
        }
    }
}

#[cfg(test)]
mod tests;
