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

pub mod amounts;
pub mod calls;
pub mod destination;
pub mod histogram;
pub mod http;
pub mod outcome;
pub mod receipts;
pub mod signal;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, PoisonError};

use tokio::sync::{Notify, watch};

use amounts::Amounts;
use calls::{Calls, Ended, Failure, Operation};
use http::Http;
use signal::Content;

/// Why a datagram became no document.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RejectReason {
    /// No newline between header and segment.
    MissingHeader,
    /// Nothing after the header's newline; over TCP, an empty document.
    MissingSegment,
    /// The header is not `{"format":"json","version":1}`.
    InvalidHeader,
}

impl RejectReason {
    /// Every reason, in the order of their counters.
    pub const ALL: [Self; 3] = [Self::MissingHeader, Self::MissingSegment, Self::InvalidHeader];

    const fn index(self) -> usize {
        self as usize
    }

    /// The label in metrics and JSON logs.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::MissingHeader => "missing_header",
            Self::MissingSegment => "missing_segment",
            Self::InvalidHeader => "invalid_header",
        }
    }
}

/// Why an accepted document was lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DropReason {
    /// The buffer budget was full and this was the oldest batch.
    BufferFull,
    /// The service refused the request for good.
    Refused,
    /// Still unsent when the shutdown deadline passed.
    Shutdown,
    /// The spool was full and this was its oldest file.
    SpoolFull,
    /// The spool's disk refused it.
    SpoolFailed,
    /// More came than the spool's disk could write.
    SpoolSlow,
    /// The file that it waited in was damaged, or removed by somebody.
    SpoolDamaged,
    /// It can't be said in the destination's language: a segment that is no span, a span that is no segment. Another
    /// destination may have taken it.
    NotConvertible,
    /// A segment in progress, for a destination that knows only what has ended: its final form follows.
    InProgress,
    /// A span that was not sampled, for a destination that counts on being given sampled ones only.
    Unsampled,
}

impl DropReason {
    /// Every reason, in the order of their counters.
    pub const ALL: [Self; 10] = [
        Self::BufferFull,
        Self::Refused,
        Self::Shutdown,
        Self::SpoolFull,
        Self::SpoolFailed,
        Self::SpoolSlow,
        Self::SpoolDamaged,
        Self::NotConvertible,
        Self::InProgress,
        Self::Unsampled,
    ];

    /// How many of them, the first, there are where nothing is converted.
    pub const UNCONVERTED: usize = 7;

    const fn index(self) -> usize {
        self as usize
    }

    /// The label in metrics and JSON logs.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::BufferFull => "buffer_full",
            Self::Refused => "refused",
            Self::Shutdown => "shutdown",
            Self::SpoolFull => "spool_full",
            Self::SpoolFailed => "spool_failed",
            Self::SpoolSlow => "spool_slow",
            Self::SpoolDamaged => "spool_damaged",
            Self::NotConvertible => "not_convertible",
            Self::InProgress => "in_progress",
            Self::Unsampled => "unsampled",
        }
    }
}

/// Most different error codes that are kept apart; a service that invents more must not grow our memory.
const MAX_CODES: usize = 32;

/// Longest error code that is kept, in characters.
const MAX_CODE_CHARS: usize = 64;

/// The label of codes beyond [`MAX_CODES`].
const OTHER_CODE: &str = "Other";

/// A code as a label: the service's word as far as it is one, `None` where it gave none.
fn code_label(code: Option<&str>) -> String {
    let word: String = code
        .unwrap_or_default()
        .chars()
        .filter(char::is_ascii_alphanumeric)
        .take(MAX_CODE_CHARS)
        .collect();
    if word.is_empty() { "None".to_owned() } else { word }
}

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

/// What became of one content at one destination.
#[derive(Debug, Default)]
pub struct Account {
    accepted: AtomicU64,
    recovered: AtomicU64,
    spooled: AtomicU64,
    sent: AtomicU64,
    dropped: [AtomicU64; DropReason::ALL.len()],
}

impl Account {
    /// `n` of an earlier process were found in the spool, where they are.
    pub fn add_recovered(&self, n: u64) {
        self.recovered.fetch_add(n, Relaxed);
        self.spooled.fetch_add(n, Relaxed);
    }

    /// `n` wait on disk, and not in memory any more.
    pub fn add_spooled(&self, n: u64) {
        self.spooled.fetch_add(n, Relaxed);
    }

    /// `n` on disk were taken into memory, or lost there.
    pub fn sub_spooled(&self, n: u64) {
        self.spooled.fetch_sub(n, Relaxed);
    }

    /// The service took `n`.
    pub fn add_sent(&self, n: u64) {
        self.sent.fetch_add(n, Relaxed);
    }

    /// `n` that were accepted are lost, or not for this destination.
    pub fn add_dropped(&self, reason: DropReason, n: u64) {
        self.dropped[reason.index()].fetch_add(n, Relaxed);
    }
}

/// The counts of one moment, in documents.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Snapshot {
    /// Datagrams, and documents over TCP, that came in; empty datagrams do not count, as with the official daemon.
    pub received: u64,
    /// Documents of an earlier process found in the spool.
    pub recovered: u64,
    /// Documents that wait on disk; not a counter.
    pub spooled: u64,
    /// Documents the service took.
    pub sent: u64,
    /// Documents the service named as unprocessed and that are not sent again.
    pub unprocessed: u64,
    /// Documents in which bytes were replaced by U+FFFD.
    pub replaced_utf8: u64,
    rejected: [u64; RejectReason::ALL.len()],
    dropped: [u64; DropReason::ALL.len()],
}

impl Snapshot {
    /// Datagrams refused for `reason`.
    #[must_use]
    pub fn rejected(&self, reason: RejectReason) -> u64 {
        self.rejected[reason.index()]
    }

    /// Documents lost for `reason`.
    #[must_use]
    pub fn dropped(&self, reason: DropReason) -> u64 {
        self.dropped[reason.index()]
    }

    /// Datagrams refused, all reasons.
    #[must_use]
    pub fn rejected_total(&self) -> u64 {
        self.rejected.iter().sum()
    }

    /// Documents lost, all reasons.
    #[must_use]
    pub fn dropped_total(&self) -> u64 {
        self.dropped.iter().sum()
    }

    /// These and `other` together.
    #[must_use]
    pub fn plus(&self, other: &Self) -> Self {
        Self {
            received: self.received + other.received,
            recovered: self.recovered + other.recovered,
            spooled: self.spooled + other.spooled,
            sent: self.sent + other.sent,
            unprocessed: self.unprocessed + other.unprocessed,
            replaced_utf8: self.replaced_utf8 + other.replaced_utf8,
            rejected: std::array::from_fn(|i| self.rejected[i] + other.rejected[i]),
            dropped: std::array::from_fn(|i| self.dropped[i] + other.dropped[i]),
        }
    }

    /// What came since `before`; what is spooled is what is now.
    #[must_use]
    pub fn since(&self, before: &Self) -> Self {
        Self {
            received: self.received.saturating_sub(before.received),
            recovered: self.recovered.saturating_sub(before.recovered),
            spooled: self.spooled,
            sent: self.sent.saturating_sub(before.sent),
            unprocessed: self.unprocessed.saturating_sub(before.unprocessed),
            replaced_utf8: self.replaced_utf8.saturating_sub(before.replaced_utf8),
            rejected: std::array::from_fn(|i| self.rejected[i].saturating_sub(before.rejected[i])),
            dropped: std::array::from_fn(|i| self.dropped[i].saturating_sub(before.dropped[i])),
        }
    }

    /// Documents in memory, accepted and not settled yet, as far as the counts tell.
    #[must_use]
    pub fn pending(&self) -> u64 {
        u64::try_from(self.remainder()).unwrap_or_default()
    }

    /// What the counts leave: documents that came and are in no other count. Less than 0 when some are in two.
    #[must_use]
    pub fn remainder(&self) -> i64 {
        let elsewhere =
            self.sent + self.unprocessed + self.rejected_total() + self.dropped_total() + self.spooled;
        // Both are far below 2^63.
        (self.received + self.recovered).cast_signed() - elsewhere.cast_signed()
    }
}

#[cfg(test)]
mod tests {
    use super::outcome::ErrorClass;
    use super::*;

    /// Whether `future` is done the first time it is asked.
    async fn is_ready(future: impl Future<Output = ()>) -> bool {
        tokio::select! {
            biased;
            () = future => true,
            () = std::future::ready(()) => false,
        }
    }

    #[tokio::test]
    async fn activity_is_told_once_for_all_that_came_since_the_last_time() {
        let ledger = Ledger::default();
        assert!(!is_ready(ledger.activity()).await);
        assert!(!is_ready(ledger.first_received()).await);
        for _ in 0..2 {
            ledger.add_received(1);
            ledger.add_received(1);
            assert!(is_ready(ledger.activity()).await);
            assert!(!is_ready(ledger.activity()).await);
            assert!(is_ready(ledger.first_received()).await, "from then on at once");
        }
    }

    #[test]
    fn every_document_is_somewhere() {
        let ledger = Ledger::default();
        ledger.add_received(100);
        ledger.add_recovered(10);
        assert_eq!(ledger.snapshot().spooled, 10);
        ledger.add_spooled(20);
        ledger.sub_spooled(5);
        ledger.add_sent(30);
        ledger.add_rejected(RejectReason::InvalidHeader);
        ledger.add_rejected(RejectReason::MissingHeader);
        ledger.add_unprocessed(Some("ThrottledException"));
        ledger.add_dropped(DropReason::Shutdown, 7);
        let counts = ledger.snapshot();
        assert_eq!((counts.received, counts.recovered, counts.spooled), (100, 10, 25));
        assert_eq!((counts.sent, counts.unprocessed), (30, 1));
        assert_eq!((counts.rejected_total(), counts.dropped_total()), (2, 7));
        assert_eq!(counts.pending(), 110 - 25 - 30 - 2 - 1 - 7);
        assert_eq!(
            counts.since(&counts),
            Snapshot {
                spooled: 25,
                ..Snapshot::default()
            }
        );
        let more = 200;
        ledger.add_received(more);
        assert_eq!(ledger.snapshot().since(&counts).received, more);
        ledger.add_sent(1000);
        assert_eq!(ledger.snapshot().pending(), 0, "not below nothing");
    }

    #[test]
    fn each_reason_has_a_counter_and_a_label_of_its_own() {
        let ledger = Ledger::default();
        for (n, reason) in (1..).zip(DropReason::ALL) {
            ledger.add_dropped(reason, n);
        }
        for (n, reason) in (1..).zip(RejectReason::ALL) {
            (0..n).for_each(|_| ledger.add_rejected(reason));
        }
        let counts = ledger.snapshot();
        assert_eq!(
            DropReason::ALL.map(|reason| counts.dropped(reason)),
            [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]
        );
        assert_eq!(RejectReason::ALL.map(|reason| counts.rejected(reason)), [1, 2, 3]);
        assert_eq!(
            DropReason::ALL.map(DropReason::label),
            [
                "buffer_full",
                "refused",
                "shutdown",
                "spool_full",
                "spool_failed",
                "spool_slow",
                "spool_damaged",
                "not_convertible",
                "in_progress",
                "unsampled",
            ]
        );
        assert_eq!(
            RejectReason::ALL.map(RejectReason::label),
            ["missing_header", "missing_segment", "invalid_header"]
        );
    }

    #[test]
    fn replaced_bytes_are_counted() {
        let ledger = Ledger::default();
        for documents in [0, 1, 50] {
            ledger.add_replaced_utf8(documents);
        }
        assert_eq!(ledger.snapshot().replaced_utf8, 51);
    }

    #[test]
    fn codes_beyond_the_most_that_are_kept_are_counted_as_other() {
        let ledger = Ledger::default();
        for n in 0..MAX_CODES + 3 {
            ledger.add_unprocessed(Some(&format!("Code{n}")));
        }
        // One that is known already.
        ledger.add_unprocessed(Some("Code7"));
        let codes = ledger.unprocessed_by_code();
        assert_eq!(codes.len(), MAX_CODES + 1);
        let count = |code: &str| codes[&(Content::Segments, code.to_owned())];
        assert_eq!((count("Code31"), count("Code7"), count("Other")), (1, 2, 3));
        assert_eq!(ledger.snapshot().unprocessed, 36);
    }

    #[test]
    fn a_code_is_a_word_of_letters_and_digits() {
        let long = "x".repeat(100);
        for (code, label) in [
            (Some("ParseError"), "ParseError"),
            (Some("a-b c\n1"), "abc1"),
            (Some("{}"), "None"),
            (None, "None"),
            (Some(&long), &long[..64]),
        ] {
            assert_eq!(code_label(code), label, "{code:?}");
        }
    }

    #[test]
    fn calls_that_are_over_are_counted_by_operation() {
        let ledger = Ledger::default();
        ledger.call_started(50, false);
        ledger.call_ended(Ended {
            at: std::time::Instant::now(),
            duration: std::time::Duration::from_millis(5),
            body_bytes: 1000,
            failure: None,
        });
        ledger.telemetry_call_ended(Some(Failure {
            class: ErrorClass::Timeout,
            status: None,
            message: "late",
        }));
        let calls = ledger.calls();
        assert_eq!((calls.in_flight, calls.sent_bytes), (0, 1000));
        assert_eq!(calls.outcome(Operation::Segments, None), 1);
        assert_eq!(calls.outcome(Operation::Telemetry, Some(ErrorClass::Timeout)), 1);
    }

    #[test]
    fn a_call_that_panicked_is_not_in_flight_any_more() {
        let ledger = Ledger::default();
        ledger.call_started(50, false);
        ledger.call_started(50, false);
        ledger.call_lost();
        assert_eq!(ledger.calls().in_flight, 1);
    }
    #[test]
    fn refused_datagrams_add_up_and_the_latest_is_the_example() {
        let ledger = Ledger::default();
        let mut hears = ledger.refused_datagrams();
        assert!(!hears.has_changed().unwrap());
        ledger.tell_refused(3, "first", "a");
        ledger.tell_refused(4, "second", "b");
        assert!(hears.has_changed().unwrap());
        let expected = RefusedDatagrams {
            datagrams: 7,
            example: "second".to_owned(),
            beginning: "b".to_owned(),
        };
        assert_eq!(*hears.borrow_and_update(), expected);
    }
}
