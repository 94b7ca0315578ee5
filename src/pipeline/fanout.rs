//! What receivers speak to in a daemon: each document and each request goes to the lanes that are to have it.
//!
//! With one lane, a call is a call of that lane. With two, documents are written once, in the first lane that takes segments,
//! and each batch that it seals goes into the other one as well, as it is. Requests of OTLP go to each lane that is to have
//! their signal; where spans go to X-Ray as segments, they are made into documents here. No lane ever waits for the other.

use std::sync::Arc;
use std::time::Instant;

use xray_document::otlp::json;
use xray_document::otlp::to_segment::{Options, segments_of};

use crate::config::otlp::{Routes, SpansForXRay, Targets};
use crate::ledger::destination::Destination;
use crate::ledger::receipts::Receipts;
use crate::ledger::signal::{Content, Receiver, Signal};
use crate::ledger::{DropReason, Ledger};
use crate::logs::{self, LineBudget};
use crate::pipeline::batch::encoding::Encoding;
use crate::pipeline::batch::kind::Kind;
use crate::pipeline::intake::{Form, Intake, NotTaken, Request, Requests, Room};
use crate::pipeline::lane::Lane;

/// Most characters of the reason why a span is no segment.
const REASON_MAX_CHARS: usize = 300;

/// Documents are put into their lane whenever so many bytes of them are made: a request of the longest kind makes four times
/// its length, which need not be there at once.
const MADE_AT_ONCE_BYTES: usize = 256 << 10;

/// Documents as many times as long as the protobuf that they are made of are usual; that much room is asked for.
const DOCUMENT_GROWTH: usize = 2;

/// Short spans grow more: each document says all that its resource, its scope and its form are. So many times as long are the
/// documents of a request of a few of them, on top; what a request of this length or more has on top.
const SMALL_GROWTH: usize = 16;
const SMALL_GROWTH_MAX_BYTES: usize = 64 << 10;

/// The room that is asked for the documents of a request of so many bytes.
fn documents_bytes(request_bytes: usize) -> usize {
    let more = request_bytes.saturating_mul(SMALL_GROWTH);
    request_bytes
        .saturating_mul(DOCUMENT_GROWTH)
        .saturating_add(more.min(SMALL_GROWTH_MAX_BYTES))
}

/// The lanes of a daemon, and what goes where.
#[derive(Debug)]
pub struct Fanout<E> {
    lanes: Lanes<E>,
    routes: Routes,
    receipts: Receipts,
    refused: std::sync::Mutex<LineBudget>,
}

/// One lane for each destination that anything goes to.
#[derive(Debug)]
pub enum Lanes<E> {
    /// One.
    One(Arc<Lane<E>>),
    /// Both.
    Two {
        /// That of X-Ray.
        xray: Arc<Lane<E>>,
        /// That of OTLP.
        otlp: Arc<Lane<E>>,
    },
}

impl<E: Encoding> Lanes<E> {
    /// That of a destination.
    #[must_use]
    pub fn to(&self, destination: Destination) -> Option<&Arc<Lane<E>>> {
        self.all().find(|lane| lane.destination() == destination)
    }

    /// All of them, that of X-Ray first.
    pub fn all(&self) -> impl Iterator<Item = &Arc<Lane<E>>> {
        let (first, second) = match self {
            Self::One(lane) => (lane, None),
            Self::Two { xray, otlp } => (xray, Some(otlp)),
        };
        std::iter::once(first).chain(second)
    }
}

impl<E: Encoding> Fanout<E> {
    /// Puts things into `lanes` as `routes` say. Where segments go to both lanes, that of OTLP follows that of X-Ray
    /// ([`Lane::followed_by`]).
    #[must_use]
    pub fn new(lanes: Lanes<E>, routes: Routes) -> Self {
        Self {
            lanes,
            routes,
            receipts: Receipts::default(),
            refused: std::sync::Mutex::default(),
        }
    }

    /// Of a lane that takes segments and nothing else.
    #[must_use]
    pub fn of_segments(lane: Arc<Lane<E>>) -> Self {
        Self::new(Lanes::One(lane), Routes::WITHOUT_OTLP)
    }

    /// The lanes.
    #[must_use]
    pub fn lanes(&self) -> &Lanes<E> {
        &self.lanes
    }

    /// What goes where.
    #[must_use]
    pub fn routes(&self) -> &Routes {
        &self.routes
    }

    /// What came as OTLP.
    #[must_use]
    pub fn receipts(&self) -> &Receipts {
        &self.receipts
    }

    /// What goes to a destination, by these routes.
    #[must_use]
    pub fn contents_to(&self, destination: Destination) -> Vec<Content> {
        let goes = |targets| is_among(targets, destination);
        let makes_segments = self.routes.spans.xray && self.makes_segments(destination);
        Content::ALL
            .into_iter()
            .filter(|content| match content {
                Content::Segments => goes(self.routes.segments) || makes_segments,
                Content::Traces => goes(self.routes.spans),
                Content::Metrics => goes(self.routes.metrics),
                Content::Logs => goes(self.routes.logs),
            })
            .collect()
    }

    /// The account that receivers of segments count in.
    #[must_use]
    pub fn ledger(&self) -> &Arc<Ledger> {
        self.documents().ledger()
    }

    /// The lane that documents are written in.
    fn documents(&self) -> &Lane<E> {
        match &self.lanes {
            Lanes::One(lane) => lane,
            Lanes::Two { xray, .. } if self.routes.segments.xray => xray,
            Lanes::Two { otlp, .. } => otlp,
        }
    }

    /// The other one, if there is one.
    fn other(&self) -> Option<&Lane<E>> {
        match &self.lanes {
            Lanes::One(_) => None,
            Lanes::Two { otlp, .. } if self.routes.segments.xray => Some(otlp),
            Lanes::Two { xray, .. } => Some(xray),
        }
    }

    fn targets(&self, signal: Signal) -> Targets {
        match signal {
            Signal::Traces => self.routes.spans,
            Signal::Metrics => self.routes.metrics,
            Signal::Logs => self.routes.logs,
        }
    }

    fn lanes_of(&self, targets: Targets) -> impl Iterator<Item = &Arc<Lane<E>>> {
        self.lanes
            .all()
            .filter(move |lane| is_among(targets, lane.destination()))
    }

    /// Whether spans become segments on the way to a destination.
    fn makes_segments(&self, destination: Destination) -> bool {
        destination == Destination::XRay && self.routes.spans_for_xray == SpansForXRay::Segments
    }

    /// Makes documents of the spans in `request` and puts them into `lane`. Returns what is no document.
    fn add_as_segments(&self, lane: &Lane<E>, request: &Request, now: Instant) -> Option<NotTaken> {
        let protobuf: Vec<u8>;
        let body = match request.form {
            Form::Protobuf => &request.body[..],
            Form::Json => match json::to_protobuf(&request.body) {
                Ok(bytes) => {
                    protobuf = bytes;
                    &protobuf
                }
                Err(error) => return Some(self.refuse(lane, request.items, &error.to_string(), now)),
            },
        };
        let (mut documents, mut bytes, mut refused, mut example) = (Vec::new(), 0, 0, None);
        let read = segments_of(body, &Options::default(), |made| match made {
            Ok(segment) => {
                bytes += segment.document.len();
                documents.push(segment.document);
                if bytes >= MADE_AT_ONCE_BYTES {
                    lane.add_made(documents.iter().map(String::as_bytes), now);
                    documents.clear();
                    bytes = 0;
                }
            }
            Err(error) => {
                refused += 1;
                example.get_or_insert(error);
            }
        });
        lane.add_made(documents.iter().map(String::as_bytes), now);
        match (read, example) {
            (Err(error), _) => Some(self.refuse(lane, request.items, &error.to_string(), now)),
            (Ok(_), Some(example)) => Some(self.refuse(lane, refused, &example.to_string(), now)),
            (Ok(_), None) => None,
        }
    }

    /// Counts spans that are no segments, and says so.
    fn refuse(&self, lane: &Lane<E>, spans: u64, why: &str, now: Instant) -> NotTaken {
        let why = logs::sanitize(why, REASON_MAX_CHARS);
        lane.ledger().add_accepted(Content::Traces, spans);
        lane.ledger()
            .of(Content::Traces)
            .add_dropped(DropReason::NotConvertible, spans);
        let budget = self.refused.lock();
        let allowed = budget
            .unwrap_or_else(std::sync::PoisonError::into_inner)
            .allow(now);
        if let Some(left_out) = allowed {
            tracing::warn!(
                spans,
                reason = why,
                left_out,
                "{spans} spans can't be made into segments and do not go to X-Ray: {why}"
            );
        }
        NotTaken { items: spans, why }
    }
}

impl<E: Encoding> Intake for Fanout<E> {
    fn add<'a>(&self, documents: impl Iterator<Item = &'a [u8]>, now: Instant) {
        self.documents().add(documents, now);
    }

    fn add_from_elsewhere(&self, document: &[u8], now: Instant) {
        self.documents().add_from_elsewhere(document, now);
    }

    async fn opened(&self) {
        match self.other() {
            None => self.documents().opened().await,
            Some(other) => tokio::select! {
                () = self.documents().opened() => {}
                () = other.opened() => {}
            },
        }
    }

    fn next_tick(&self) -> Option<Instant> {
        let other = self.other().and_then(Lane::next_tick);
        [self.documents().next_tick(), other].into_iter().flatten().min()
    }

    fn tick(&self, now: Instant) {
        self.documents().tick(now);
        if let Some(other) = self.other() {
            other.tick(now);
        }
    }

    fn seal(&self, now: Instant) {
        // In this order: the other one is given what this one seals.
        self.documents().seal(now);
        if let Some(other) = self.other() {
            other.seal(now);
        }
    }

    /// One lane that has room is enough: the other one drops its oldest, in its own account.
    fn room_for(&self, bytes: usize) -> Room {
        let lanes = self.lanes_of(self.routes.segments);
        most_room(lanes.map(|lane| lane.room_for(bytes)))
    }

    fn longest_bytes(&self) -> usize {
        let lanes = self.lanes_of(self.routes.segments);
        lanes.map(|lane| lane.longest_bytes()).max().unwrap_or_default()
    }
}

impl<E: Encoding> Requests for Fanout<E> {
    fn wants(&self, signal: Signal) -> bool {
        self.targets(signal).any()
    }

    fn room_for(&self, signal: Signal, bytes: usize) -> Room {
        let lanes = self.lanes_of(self.targets(signal));
        most_room(lanes.map(|lane| {
            let makes = signal == Signal::Traces && self.makes_segments(lane.destination());
            lane.room_for(if makes { documents_bytes(bytes) } else { bytes })
        }))
    }

    fn add(&self, request: Request, now: Instant) -> Option<NotTaken> {
        let Request {
            signal,
            form,
            receiver,
            items,
            ..
        } = request;
        self.receipts.add_received(receiver, signal, items);
        let mut not_taken = None;
        let mut taken = false;
        for lane in self.lanes_of(self.targets(signal)) {
            if signal == Signal::Traces && self.makes_segments(lane.destination()) {
                not_taken = self.add_as_segments(lane, &request, now);
            } else {
                lane.add_requests(Kind::Requests(signal, form), &request.body, items, now);
                taken = true;
            }
        }
        // What one destination takes is not to be sent again for the sake of the other.
        not_taken.filter(|_| !taken)
    }

    fn add_refused(&self, signal: Signal, receiver: Receiver) {
        self.receipts.add_rejected(receiver, signal);
    }

    fn is_converted(&self, signal: Signal) -> bool {
        signal == Signal::Traces
            && self
                .lanes_of(self.routes.spans)
                .any(|lane| self.makes_segments(lane.destination()))
    }
}

const fn is_among(targets: Targets, destination: Destination) -> bool {
    match destination {
        Destination::XRay => targets.xray,
        Destination::Otlp => targets.otlp,
    }
}

/// The best of what lanes say; without any there is no room, and never will be.
fn most_room(rooms: impl Iterator<Item = Room>) -> Room {
    rooms.fold(Room::TooLong, |best, room| match (best, room) {
        (Room::Free, _) | (_, Room::Free) => Room::Free,
        (Room::Full, _) | (_, Room::Full) => Room::Full,
        (Room::TooLong, Room::TooLong) => Room::TooLong,
    })
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::logs::testing::LogLines;
    use crate::pipeline::batch::testing::Strings;
    use crate::pipeline::budget::Budget;

    const ALL_TO_OTLP: Routes = Routes {
        segments: Targets::BOTH,
        spans: Targets::OTLP,
        metrics: Targets::OTLP,
        logs: Targets::OTLP,
        spans_for_xray: SpansForXRay::Segments,
    };

    fn lane(destination: Destination) -> Lane<Strings> {
        Lane::new(Budget::of_mb(3), Arc::default())
            .to(destination)
            .with_others()
    }

    fn two(routes: Routes) -> Fanout<Strings> {
        let otlp = Arc::new(lane(Destination::Otlp));
        let xray = lane(Destination::XRay);
        let xray = Arc::new(if routes.segments == Targets::BOTH {
            xray.followed_by(Arc::clone(&otlp))
        } else {
            xray
        });
        Fanout::new(Lanes::Two { xray, otlp }, routes)
    }

    fn pending(fanout: &Fanout<Strings>) -> [u64; 2] {
        Destination::ALL.map(|destination| {
            let lane = fanout.lanes().to(destination);
            lane.map_or(0, |lane| lane.pending_documents())
        })
    }

    /// A trace of one good span; or one whose trace id has a single byte.
    fn spans(is_good: bool) -> Request {
        let id = if is_good {
            "5759e988bd862e3fe1be46a994272793"
        } else {
            "00"
        };
        let span = format!(
            r#"{{"traceId":"{id}","spanId":"defdfd9912dc5a56","name":"home","startTimeUnixNano":"1795227595034205914"}}"#
        );
        Request {
            signal: Signal::Traces,
            form: Form::Json,
            receiver: Receiver::OtlpHttp,
            body: Bytes::from(format!(
                r#"{{"resourceSpans":[{{"scopeSpans":[{{"spans":[{span}]}}]}}]}}"#
            )),
            items: 1,
        }
    }

    #[test]
    fn segments_go_to_both_and_what_came_as_otlp_to_otlp() {
        let (fanout, now) = (two(ALL_TO_OTLP), Instant::now());
        Intake::add(&fanout, [&b"x"[..]; 50].into_iter(), now);
        assert_eq!(pending(&fanout), [50, 50]);
        for signal in Signal::ALL {
            assert!(fanout.wants(signal));
            let request = Request {
                signal,
                ..spans(true)
            };
            assert_eq!(Requests::add(&fanout, request, now), None);
        }
        assert_eq!(pending(&fanout), [50, 53]);
        assert_eq!(fanout.receipts().all_of(Receiver::OtlpHttp).received, 3);
        fanout.add_from_elsewhere(b"open", now);
        assert_eq!(pending(&fanout), [51, 53]);
        fanout.seal(now);
        assert_eq!(pending(&fanout), [51, 54]);
    }

    #[test]
    fn where_segments_go_to_otlp_alone_the_other_lane_gets_none_of_them() {
        let routes = Routes {
            segments: Targets::OTLP,
            spans: Targets::XRAY,
            ..ALL_TO_OTLP
        };
        let (fanout, now) = (two(routes), Instant::now());
        Intake::add(&fanout, [&b"x"[..]; 60].into_iter(), now);
        fanout.seal(now);
        assert_eq!(pending(&fanout), [0, 60]);
        assert_eq!(Requests::add(&fanout, spans(true), now), None);
        assert_eq!(pending(&fanout), [1, 60]);
        assert_eq!(
            fanout.contents_to(Destination::XRay),
            [Content::Segments, Content::Traces]
        );
        assert_eq!(
            fanout.contents_to(Destination::Otlp),
            [Content::Segments, Content::Metrics, Content::Logs]
        );
    }

    #[test]
    fn a_span_that_is_no_segment_is_named_to_its_sender_unless_somebody_took_it() {
        let log = LogLines::collect();
        let now = Instant::now();
        for (spans_to, is_told) in [(Targets::XRAY, true), (Targets::BOTH, false)] {
            let fanout = two(Routes {
                spans: spans_to,
                ..ALL_TO_OTLP
            });
            let not_taken = Requests::add(&fanout, spans(false), now);
            assert_eq!(not_taken.is_some(), is_told, "{spans_to:?}");
            assert_eq!(pending(&fanout), [0, u64::from(!is_told)]);
            let xray = fanout.lanes().to(Destination::XRay).unwrap().ledger();
            let counts = xray.snapshot_of(Content::Traces);
            assert_eq!(
                (counts.received, counts.dropped(DropReason::NotConvertible)),
                (1, 1)
            );
            assert_eq!(xray.snapshot().remainder(), 0);
        }
        let lines = log.take();
        assert_eq!(lines.len(), 2);
        assert!(
            lines[0].starts_with(
                "[Warn] 1 spans can't be made into segments and do not go to X-Ray: span 1 of the request"
            ),
            "{lines:?}"
        );
    }

    #[test]
    fn spans_that_go_to_x_ray_as_segments_are_converted_and_nothing_else_is() {
        for (spans, spans_for_xray, is_converted) in [
            (Targets::XRAY, SpansForXRay::Segments, true),
            (Targets::BOTH, SpansForXRay::Segments, true),
            (Targets::OTLP, SpansForXRay::Segments, false),
            (Targets::XRAY, SpansForXRay::Otlp, false),
        ] {
            let fanout = two(Routes {
                spans,
                spans_for_xray,
                ..ALL_TO_OTLP
            });
            assert_eq!(fanout.is_converted(Signal::Traces), is_converted, "{spans:?}");
            assert!(!fanout.is_converted(Signal::Metrics));
        }
    }

    #[test]
    fn short_spans_are_given_room_for_what_every_document_says() {
        for (request, documents) in [(0, 0), (1_000, 18_000), (1 << 20, (2 << 20) + (64 << 10))] {
            assert_eq!(documents_bytes(request), documents);
        }
        assert_eq!(documents_bytes(usize::MAX), usize::MAX);
    }

    #[test]
    fn a_request_that_makes_more_than_is_kept_at_a_time_loses_and_doubles_nothing() {
        let now = Instant::now();
        let fanout = two(Routes {
            spans: Targets::XRAY,
            ..ALL_TO_OTLP
        });
        let text = "x".repeat(10_000);
        let span = |number: usize| {
            format!(
                r#"{{"traceId":"5759e988bd862e3fe1be46a994272793","spanId":"defdfd9912dc{number:04x}","name":"{text}",
                "startTimeUnixNano":"1795227595034205914"}}"#
            )
        };
        let all: Vec<String> = (0..60).map(span).collect();
        let request = Request {
            body: Bytes::from(format!(
                r#"{{"resourceSpans":[{{"scopeSpans":[{{"spans":[{}]}}]}}]}}"#,
                all.join(",")
            )),
            items: 60,
            ..spans(true)
        };
        assert_eq!(Requests::add(&fanout, request, now), None);
        assert_eq!(pending(&fanout), [60, 0]);
    }

    #[test]
    fn there_is_room_as_long_as_one_destination_has_some() {
        let (fanout, now) = (two(ALL_TO_OTLP), Instant::now());
        let otlp = fanout.lanes().to(Destination::Otlp).unwrap();
        let spans_in_protobuf = Kind::Requests(Signal::Traces, Form::Protobuf);
        while Intake::room_for(&**otlp, 60_000) == Room::Free {
            otlp.add_requests(spans_in_protobuf, &Bytes::from(vec![b'x'; 60_000]), 60_000, now);
        }
        assert_eq!(Intake::room_for(&fanout, 60_000), Room::Free, "X-Ray has");
        assert_eq!(Requests::room_for(&fanout, Signal::Traces, 60_000), Room::Full);
        assert_eq!(
            Requests::room_for(&fanout, Signal::Traces, 4 << 20),
            Room::TooLong
        );
        assert_eq!(Intake::longest_bytes(&fanout), otlp.longest_bytes());
    }

    #[test]
    fn a_daemon_that_has_nothing_to_do_with_otlp_wants_no_request() {
        let lane = Arc::new(Lane::<Strings>::new(Budget::of_mb(3), Arc::default()));
        let fanout = Fanout::of_segments(Arc::clone(&lane));
        assert!(Signal::ALL.iter().all(|signal| !fanout.wants(*signal)));
        assert_eq!(Requests::room_for(&fanout, Signal::Logs, 1), Room::TooLong);
        Intake::add(&fanout, std::iter::once(&b"x"[..]), Instant::now());
        assert_eq!(lane.pending_documents(), 1);
        fanout.add_refused(Signal::Logs, Receiver::OtlpGrpc);
        assert_eq!(fanout.receipts().all_of(Receiver::OtlpGrpc).rejected, 1);
    }
}
